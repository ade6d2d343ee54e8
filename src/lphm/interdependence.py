"""The layer: one parameter, ``forward`` and ``matrix``."""

import torch
from torch import Tensor, nn

from lphm.arguments import Kind, Normalize, check_choices
from lphm.contraction import interdependence_grouped, interdependence_matrix
from lphm.errors import require_positive
from lphm.initialization import initialize_
from lphm.structures.base import Structure

__all__ = ["BilinearInterdependence"]


class BilinearInterdependence(nn.Module):
    r"""Mixes the columns or the rows of its input by a matrix computed from the input itself.

        attribute:  D @ (Xᵀ W X)        instance:  (X W Xᵀ)ᵀ @ D

    With ``channels=C`` it works like attention heads: ``data`` is split into ``C`` equal groups along
    the dimension that ``xi`` does not mix (rows for the attribute kind, columns for the instance
    kind), group ``c`` is mixed by ``xi_c``, computed from all of ``x``, and the groups are put together.

    Shape:
        ``x`` ``(*batch, b, m)``; ``data`` ``(*batch, b', m)`` for the attribute kind, ``(*batch, b, m')``
        for the instance kind; output: the shape of ``data``.

    Args:
        structure: what ``W`` is; its ``n`` is ``b`` (attribute) or ``m`` (instance).
        kind: ``"attribute"`` or ``"instance"``.
        channels: number of parameter vectors, each with its own ``xi``.
        normalize: ``None``, ``"scale"``, ``"softmax"`` or a callable on ``xi``.
        gain: ``E‖W‖_F² = gain²`` at the start; 0 starts from ``xi = 0``.
        device: of the parameters.
        dtype: of the parameters.
        partial: let ``x`` have fewer than ``n`` rows (attribute) or columns (instance); the missing ones
            at its end count as zeros. Otherwise that is an error.

    Attributes:
        weight: the parameters, ``(channels, l)``, ``l = structure.num_parameters``.

    Raises:
        ValueError: ``channels`` below 1, an unknown ``kind`` or ``normalize``; a shape that does not fit.
        TypeError: ``structure`` is not a ``Structure``.

    Example:
        >>> layer = BilinearInterdependence(LPHM(n=96, p=8, q=8, r=4), normalize="softmax")
        >>> layer(torch.randn(32, 96, 7)).shape
        torch.Size([32, 96, 7])

    Reference:
        RPN 2 (Zhang, 2024, arXiv:2411.11162), bilinear interdependence functions.
    """

    def __init__(
        self,
        structure: Structure,
        kind: Kind = "attribute",
        channels: int = 1,
        normalize: Normalize = None,
        gain: float = 1.0,
        device: torch.device | str | None = None,
        dtype: torch.dtype | None = None,
        *,
        partial: bool = False,
    ) -> None:
        super().__init__()
        if not isinstance(structure, Structure):
            raise TypeError(f"structure must be a lphm.Structure such as lphm.LPHM(...), got {structure!r}")
        check_choices(kind, normalize)
        require_positive(channels=channels)
        self.structure = structure
        self.kind: Kind = kind
        self.channels = channels
        self.normalize = normalize
        self.gain = gain
        self.partial = partial
        self.weight = nn.Parameter(
            torch.empty(channels, structure.num_parameters, device=device, dtype=dtype)
        )
        self.reset_parameters()

    def reset_parameters(self) -> None:
        """Draw ``weight`` anew with ``E‖W‖_F² = gain²``."""
        initialize_(self.structure, self.weight, self.gain)

    def forward(self, x: Tensor, data: Tensor | None = None) -> Tensor:
        """``data`` (``x`` if not given) mixed by ``xi(x)``."""
        return interdependence_grouped(
            self.structure, self.weight, x, data, self.kind, self.normalize, partial=self.partial
        )

    def matrix(self, x: Tensor) -> Tensor:
        """``xi(x)`` of every channel, ``(*batch, channels, k, k)``."""
        return interdependence_matrix(
            self.structure, self.weight, x, self.kind, self.normalize, partial=self.partial
        )

    def extra_repr(self) -> str:
        """The arguments that differ from one layer to the next."""
        partial = ", partial=True" if self.partial else ""
        choices = f"kind={self.kind!r}, channels={self.channels}, normalize={self.normalize!r}"
        return f"{self.structure}, {choices}{partial}"
