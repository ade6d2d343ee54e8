"""A linear layer with a structured weight matrix, which is never formed."""

from collections.abc import Mapping
from numbers import Real
from typing import cast

import torch
from torch import Tensor, nn

from lphm.errors import require_positive
from lphm.nn.init import initialize_
from lphm.nn.lokr import LoKrFormat, read_lokr, write_lokr
from lphm.ops.checks import check_tensor
from lphm.ops.linear import multiply
from lphm.structures.base import Structure
from lphm.structures.compression import compress
from lphm.structures.nearest import nearest


class StructuredLinear(nn.Module):
    r"""``nn.Linear`` whose weight is a structured ``W``, ``out_features x in_features``.

        y = x Wᵀ + b

    ``W`` is not formed: ``x`` is multiplied by its factors, which for ``LPHM`` takes
    ``2 r (in_features + p q + out_features)`` flops for a row of ``x`` where ``nn.Linear`` takes
    ``2 in_features out_features``.

    Shape:
        ``x`` ``(*, in_features)``; output ``(*, out_features)``.

    Args:
        in_features: columns of ``W``.
        out_features: rows of ``W``.
        structure: what ``W`` is; ``n=out_features, columns=in_features``.
        bias: whether there is ``b``.
        device: of the parameters.
        dtype: of the parameters.

    Attributes:
        weight: the parameters of ``W``, ``(l,)``, ``l = structure.num_parameters``.
        bias: ``(out_features,)``, or None.

    Raises:
        ValueError: ``W`` of the structure is not ``out_features x in_features``.
        TypeError: ``structure`` is not a ``Structure``, or a size is not an int.

    Example:
        >>> layer = lphm.nn.StructuredLinear(96, 64, LPHM(n=64, columns=96, p=8, q=8, r=2))
        >>> layer(torch.randn(32, 96)).shape, layer.weight.shape     # nn.Linear: 6144
        (torch.Size([32, 64]), torch.Size([104]))

    Reference:
        Yeh et al. (2024, arXiv:2309.14859), Navigating Text-To-Image Customization: From LyCORIS Fine-Tuning
        to Model Evaluation, whose LoKr is ``LPHM``.
    """

    def __init__(
        self,
        in_features: int,
        out_features: int,
        structure: Structure,
        bias: bool = True,
        device: torch.device | str | None = None,
        dtype: torch.dtype | None = None,
    ) -> None:
        super().__init__()
        if not isinstance(structure, Structure):
            raise TypeError(f"structure must be a lphm.Structure such as lphm.LPHM(...), got {structure!r}")
        sizes = require_positive(in_features=in_features, out_features=out_features)
        self.in_features = sizes["in_features"]
        self.out_features = sizes["out_features"]
        if structure.shape != (self.out_features, self.in_features):
            rows, columns = structure.shape
            raise ValueError(
                f"structure must have a W of out_features x in_features, {self.out_features} x "
                f"{self.in_features}, got {rows} x {columns} of {structure}; build it with "
                f"n={self.out_features}, columns={self.in_features}"
            )
        self.structure = structure
        self.weight = nn.Parameter(torch.empty(structure.num_parameters, device=device, dtype=dtype))
        self.bias = nn.Parameter(torch.empty(self.out_features, device=device, dtype=dtype)) if bias else None
        self.reset_parameters()

    def reset_parameters(self) -> None:
        """Draw ``W`` with ``E‖W‖_F² = out_features / 3`` and ``b``, as large as those of ``nn.Linear``."""
        initialize_(self.structure, self.weight, gain=(self.out_features / 3) ** 0.5)
        if self.bias is not None:
            bound = self.in_features**-0.5
            nn.init.uniform_(self.bias, -bound, bound)

    def forward(self, x: Tensor) -> Tensor:
        """``x Wᵀ + b``."""
        check_tensor("x", x, self.weight)
        if x.dim() < 1 or x.shape[-1] != self.in_features:
            raise ValueError(
                f"x must be (*, {self.in_features}), in_features={self.in_features}, "
                f"got shape {tuple(x.shape)}"
            )
        out = multiply(self.structure, self.weight, x)
        return out if self.bias is None else out + self.bias

    @classmethod
    def from_linear(cls, linear: nn.Linear, structure: Structure | float) -> "StructuredLinear":
        """The layer whose ``W`` is nearest to the weight of ``linear``, with its bias, type and device.

        Args:
            linear: the layer to replace.
            structure: what ``W`` is to become; or a budget, for which ``lphm.compress`` searches the
                structure and its sizes: an int is a number of parameters, so 1 is a single one; a float up
                to 1 is a share of those of the weight, so 1.0 is all of them.

        Raises:
            ValueError, TypeError: as ``StructuredLinear``, ``lphm.nearest`` or ``lphm.compress``; ``linear``
                is not an ``nn.Linear``, ``structure`` neither a structure nor a number.

        Example:
            >>> linear = torch.nn.Linear(96, 64)
            >>> lphm.nn.StructuredLinear.from_linear(linear, 0.1).weight.numel() <= 614
            True
        """
        if not isinstance(linear, nn.Linear):
            raise TypeError(f"linear must be an nn.Linear, got {type(linear).__name__}")
        own, found, given = linear.weight, None, cast(object, structure)
        if not isinstance(structure, Structure):
            if isinstance(given, bool) or not isinstance(given, Real):
                raise TypeError(
                    "structure must be a lphm.Structure such as lphm.LPHM(...), or a budget: an int, a "
                    "number of parameters, or a float up to 1, a share of those of the weight, got "
                    f"{structure!r}"
                )
            found = compress(own, structure)
            structure = found.structure
        bias = linear.bias is not None
        layer = cls(linear.in_features, linear.out_features, structure, bias, own.device, own.dtype)
        with torch.no_grad():
            layer.weight.copy_(nearest(structure, own) if found is None else found.vector)
            if layer.bias is not None:
                layer.bias.copy_(linear.bias)
        return layer

    def to_linear(self) -> nn.Linear:
        """An ``nn.Linear`` with the same ``W``, formed, and the same bias."""
        own, bias = self.weight, self.bias
        linear = nn.Linear(self.in_features, self.out_features, bias is not None, own.device, own.dtype)
        with torch.no_grad():
            linear.weight.copy_(self.structure.to_dense(self.weight))
            if bias is not None:
                linear.bias.copy_(bias)
        return linear

    @classmethod
    def from_lokr(
        cls,
        state: Mapping[str, Tensor],
        prefix: str = "",
        *,
        alpha: float | None = None,
        r: int | None = None,
    ) -> "StructuredLinear":
        """The change of a weight that LoKr of peft or LyCORIS learned, as a layer without a bias.

            W = alpha / r · w1 ⊗ w2        w2 = w2_a w2_b

        It is ``LPHM`` with ``A = w1``, ``S = w2_a`` and ``T = w2_bᵀ``; ``HM`` if ``w2`` is one matrix, and
        ``DualLPHM`` if ``w1 = w1_a w1_b``, too. The scale ``alpha / r`` becomes part of the first factor.

        Args:
            state: the tensors, as ``load_file`` of safetensors reads them.
            prefix: of the names of one layer, such as ``"base_model.model.fc."`` or ``"lycoris_fc."``.
            alpha: of the ``LoKrConfig`` of peft, which saves it in ``adapter_config.json``; LyCORIS saves it
                in the state.
            r: of the ``LoKrConfig`` as well; the rank of the factors if not given.

        Raises:
            InputError: a tensor is missing, or there is one that is not supported: ``lokr_t2`` and other
                convolutions, and ``dora_scale``; ``alpha`` is missing.
        """
        structure, w = read_lokr(state, prefix, alpha, r)
        rows, columns = structure.shape
        layer = cls(columns, rows, structure, bias=False, device=w.device, dtype=w.dtype)
        with torch.no_grad():
            layer.weight.copy_(w)
        return layer

    def to_lokr(self, form: LoKrFormat = "lycoris", prefix: str = "") -> dict[str, Tensor]:
        """``W`` as the state of LoKr, with a scale of 1; ``bias`` is no part of it.

        Both packages keep a factor of low rank only if its rank is below half of its longer side; others are
        written as one matrix.

        Args:
            form: ``"lycoris"``, with ``alpha = r`` in the state; ``"peft"``, whose ``LoKrConfig`` must have
                ``alpha = r`` and a ``decompose_factor`` that gives ``p`` and ``q``.
            prefix: of the names.

        Raises:
            TypeError: the structure is not ``LPHM``, ``DualLPHM`` or ``HM``.
            ValueError: ``form`` is unknown.
        """
        return write_lokr(self.structure, self.weight.detach(), form, prefix)

    def extra_repr(self) -> str:
        """The arguments."""
        sizes = f"in_features={self.in_features}, out_features={self.out_features}"
        return f"{sizes}, {self.structure}, bias={self.bias is not None}"
