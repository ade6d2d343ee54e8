"""The layer: one parameter, ``forward`` and ``matrix``."""

from typing import Any, cast

import torch
from torch import Tensor, nn

from lphm.errors import require_positive
from lphm.nn.init import initialize_
from lphm.ops.checks import Kind, Normalize, check_arguments, check_choices, check_tensor
from lphm.ops.functional import apply_grouped, interdependence_grouped, interdependence_matrix
from lphm.structures.base import Structure


class BilinearInterdependence(nn.Module):
    r"""Mixes the columns or the rows of its input by a matrix computed from the input itself.

        attribute:  D @ (Xᵀ W X)        instance:  (X W Xᵀ)ᵀ @ D
                    D @ (Xᵀ W Y)                   (X W Yᵀ)ᵀ @ D

    The second line is for a call with ``y``, a second set of data, and the only one for a rectangular ``W``.
    For the instance kind that is cross-attention: there is one output for each row of ``y``.

    With ``channels=C`` it works like attention heads: ``data`` is split into ``C`` equal groups along
    the dimension that ``xi`` does not mix (rows for the attribute kind, columns for the instance
    kind), group ``c`` is mixed by ``xi_c``, computed from all of ``x``, and the groups are put together.

    Where the rows of ``x`` are the rows of a batch, ``xi`` makes a prediction depend on what else is in
    the batch. With ``running_size=k`` the layer does what ``BatchNorm`` does about that: in training it
    keeps a running average of ``xi``, after ``normalize``, and in eval mode ``xi`` is that average. Then
    ``x`` is only the default of ``data``, and the attribute kind takes any number of rows, one among them;
    and there is no ``mask``, because masks differ from batch to batch.

    Shape:
        ``x`` ``(*batch, b, m)``; ``data`` ``(*batch, b', m)`` for the attribute kind, ``(*batch, b, m')``
        for the instance kind; ``mask`` ``(*batch, k)`` or ``(*batch, k, k)``, ``k = m`` (attribute) or ``b``
        (instance), with ``"softmax"``; output: the shape of ``data``. With ``y``, whose ``k`` is ``k'``: the
        mask ``(*batch, k)`` or ``(*batch, k', k)``, the output with ``k'`` in place of ``k``.

    Args:
        structure: what ``W`` is; its ``n`` is ``b`` (attribute) or ``m`` (instance), and its ``columns`` are
            the same of ``y``.
        kind: ``"attribute"`` or ``"instance"``.
        channels: number of parameter vectors, each with its own ``xi``.
        normalize: ``None``, ``"scale"``, ``"softmax"`` or a callable on ``xi``; this, ``partial``, ``causal``
            and the ``mask`` of a call are those of ``lphm.interdependence_apply``.
        device: of the parameters.
        dtype: of the parameters.
        partial: let ``x`` have fewer than ``n`` rows (attribute) or columns (instance).
        running_size: ``k``, the size of the running average: the columns of ``x`` (attribute) or its rows
            (instance). None: there is no average, and eval mode is no different.
        momentum: the share of a new batch in the running average; while ``1 / num_batches_tracked`` is
            larger, it is that, so that the average starts from data and not from zero. None: always that.
        causal: output row ``i`` looks at rows ``j <= i`` only; for the instance kind with ``"softmax"``.

    Attributes:
        weight: the parameters, ``(channels, l)``, ``l = structure.num_parameters``.
        running_xi: the running average, ``(channels, k, k)``, a buffer; None without ``running_size``.
        num_batches_tracked: how many batches it is of, a buffer; None without ``running_size``.

    Raises:
        ValueError: as ``lphm.interdependence_apply``; ``channels`` below 1; a ``mask``, ``y`` or rectangular
            ``W`` with ``running_size``; eval mode with ``running_size`` before any batch in training mode.
        TypeError: ``structure`` is not a ``Structure``, ``mask`` not boolean.

    Example:
        >>> layer = BilinearInterdependence(LPHM(n=96, p=8, q=8, r=4), normalize="softmax")
        >>> layer(torch.randn(32, 96, 7)).shape
        torch.Size([32, 96, 7])

    Reference:
        RPN 2 (Zhang, 2024, arXiv:2411.11162), bilinear interdependence functions.
    """

    running_xi: Tensor | None
    num_batches_tracked: Tensor  # None without running_xi

    def __init__(
        self,
        structure: Structure,
        kind: Kind = "attribute",
        channels: int = 1,
        normalize: Normalize = None,
        device: torch.device | str | None = None,
        dtype: torch.dtype | None = None,
        *,
        partial: bool = False,
        running_size: int | None = None,
        momentum: float | None = 0.1,
        causal: bool = False,
    ) -> None:
        super().__init__()
        if not isinstance(structure, Structure):
            raise TypeError(f"structure must be a lphm.Structure such as lphm.LPHM(...), got {structure!r}")
        check_choices(kind, normalize, causal)
        channels = require_positive(channels=channels)["channels"]
        if running_size is not None:
            running_size = require_positive(running_size=running_size)["running_size"]
            _check_one_set(structure.columns)
        if momentum is not None and not 0 < momentum <= 1:
            raise ValueError(f"momentum must be above 0 and up to 1, or None, got {momentum}")
        self.structure = structure
        self.kind: Kind = kind
        self.channels = channels
        self.normalize = normalize
        self.partial = partial
        self.running_size = running_size
        self.momentum = momentum
        self.causal = causal
        weight = torch.empty(channels, structure.num_parameters, device=device, dtype=dtype)
        self.weight = nn.Parameter(weight)
        average, batches = None, None
        if running_size is not None:
            average = torch.empty(channels, running_size, running_size, device=device, dtype=dtype)
            batches = torch.empty((), device=device, dtype=torch.int64)
        self.register_buffer("running_xi", average)
        self.register_buffer("num_batches_tracked", batches)
        self.reset_parameters()

    def reset_parameters(self) -> None:
        """Draw ``weight`` anew with ``E‖W‖_F² = 1``, and forget the running average.

        ``lphm.initialize_(layer.structure, layer.weight, gain)`` draws another size, or with ``gain=0``
        starts from ``xi = 0``.
        """
        initialize_(self.structure, self.weight)
        self.reset_running_xi()

    def reset_running_xi(self) -> None:
        """Forget the running average, if there is one."""
        self._has_average = False
        if self.running_xi is not None:
            self.running_xi.zero_()
            self.num_batches_tracked.zero_()

    def forward(
        self, x: Tensor, data: Tensor | None = None, *, y: Tensor | None = None, mask: Tensor | None = None
    ) -> Tensor:
        """``data`` (``x`` if not given) mixed by ``xi(x)`` or ``xi(x, y)``, or by its running average."""
        structure, w, kind, normalize = self.structure, self.weight, self.kind, self.normalize
        if self.running_xi is None:
            partial, causal = self.partial, self.causal
            return interdependence_grouped(
                structure, w, x, data, kind, normalize, y=y, partial=partial, mask=mask, causal=causal
            )
        _check_one_set(y)
        data = x if data is None else data
        if self.training:
            check_arguments(structure, w, x, kind, normalize, data, self.partial)
            xi = self.matrix(x, mask=mask)
        else:
            self._check_running("data", data, mask)
            xi = self._average()
        mixed = apply_grouped(xi, data, kind)
        if self.training:
            self._track(xi)
        return mixed

    def matrix(self, x: Tensor, *, y: Tensor | None = None, mask: Tensor | None = None) -> Tensor:
        """``xi`` of every channel, ``(*batch, channels, k, k')``, or its running average in eval mode."""
        structure, w, kind, normalize = self.structure, self.weight, self.kind, self.normalize
        if self.running_xi is not None:
            _check_one_set(y)
            self._check_running("x", x, mask)
            if not self.training:
                return self._average().expand(*x.shape[:-2], -1, -1, -1)
        partial, causal = self.partial, self.causal
        return interdependence_matrix(
            structure, w, x, kind, normalize, y=y, partial=partial, mask=mask, causal=causal
        )

    def _check_running(self, name: str, tensor: Tensor, mask: Tensor | None) -> None:
        """Check what a layer with a running average can take: no mask, and a tensor of the average's size."""
        check_tensor(name, tensor, self.weight)
        if mask is not None:
            raise ValueError(
                "mask must be None for a layer with running_size, whose average is over batches that "
                "would each hide something else, got a mask; build the layer without running_size"
            )
        dim, what = (-1, "columns") if self.kind == "attribute" else (-2, "rows")
        if tensor.dim() < 2 or tensor.shape[dim] != self.running_size:
            raise ValueError(
                f"{name} must have {self.running_size} {what}, as many as running_size says, "
                f"got shape {tuple(tensor.shape)}"
            )

    @torch.no_grad()
    def _track(self, xi: Tensor) -> None:
        """Take ``xi`` ``(*batch, C, k, k)`` into the running average; an empty batch changes nothing."""
        average, batches = self.running_xi, self.num_batches_tracked
        if average is None or xi.numel() == 0:
            return
        batches.add_(1)
        share = 1 / batches.to(average.dtype)
        share = share if self.momentum is None else share.clamp(min=self.momentum)
        average.lerp_(xi.to(average.dtype).reshape(-1, *average.shape).mean(0), share)
        self._has_average = True

    def _average(self) -> Tensor:
        """The running average ``(C, k, k)``, if there is one."""
        if not self._has_average:  # the buffer is read once: that waits for the device, and is not traceable
            self._has_average = self._counts_batches()
        if not self._has_average:
            raise ValueError(
                "running_xi must hold an average of at least one batch for eval mode, got none; "
                "call the layer in training mode first, or load the state of one that was trained"
            )
        return cast(Tensor, self.running_xi)

    def _counts_batches(self) -> bool:
        return self.num_batches_tracked.is_meta or bool(self.num_batches_tracked > 0)

    def _load_from_state_dict(self, *args: Any, **kwargs: Any) -> None:
        super()._load_from_state_dict(*args, **kwargs)
        self._has_average = self.running_xi is not None and self._counts_batches()

    def extra_repr(self) -> str:
        """The arguments that differ from one layer to the next."""
        partial = ", partial=True" if self.partial else ""
        causal = ", causal=True" if self.causal else ""
        running = f", running_size={self.running_size}, momentum={self.momentum}" if self.running_size else ""
        choices = f"kind={self.kind!r}, channels={self.channels}, normalize={self.normalize!r}"
        return f"{self.structure}, {choices}{partial}{running}{causal}"


def _check_one_set(second: Tensor | int | None) -> None:
    """Raise ``ValueError`` if a layer with a running average is given a second set, or ``columns`` for it."""
    if second is not None:
        got = f"columns={second}" if isinstance(second, int) else f"y of shape {tuple(second.shape)}"
        raise ValueError(
            f"a layer with running_size must be for one set of data, whose xi it averages, got {got}; "
            "build the layer without running_size"
        )
