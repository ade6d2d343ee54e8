"""``xi`` of rows that come block after block and are never all in memory: one pass for it, one to apply it.

    attribute   xi = Xᵀ W X        U = Sᵀ X_p and V = Tᵀ X_q are added up, (p + q) r m numbers; out = X xi
    instance    D ↦ (X W Xᵀ)ᵀ D    Z = left D is added up, K m numbers; out = rightᵀ Z; no xi, b x b

Memory does not grow with the rows, but for ``w`` of the attribute kind, which has ``r (b/p + b/q)`` numbers.
Everything is computed in the type of ``w``.
"""

from collections.abc import Callable, Iterable, Iterator
from typing import cast

import torch
from torch import Tensor
from torch.nn import functional as F

from lphm.ops.checks import Kind, Normalize, check_choices
from lphm.ops.cost import scale_of, skips_matrix
from lphm.ops.functional import normalized_matrix
from lphm.structures.base import Structure
from lphm.structures.row_blocks import RowBlocks, has_thin_pair, reduce_rows_from

Blocks = Callable[[], Iterable[Tensor]]


class Reduction:
    """The first pass: what the rows of ``X`` add up to.

    Args:
        structure: what ``W`` is; for the attribute kind one that reduces blocks of rows, ``n`` all rows.
        w: parameters, ``(l,)``.
        columns: ``m``, columns of ``X``.
        kind: ``"attribute"`` or ``"instance"``.
        normalize: as for ``lphm.interdependence_apply``; for the instance kind ``None`` or ``"scale"``.

    Attributes:
        rows: rows that were added so far.
        sums: what they add up to: all that has to be kept to go on another time.

    Raises:
        ValueError: ``w`` does not fit; for the instance kind, ``W`` is not ``m x m`` or ``normalize`` needs
            all of ``xi``.
        TypeError: the structure does not reduce blocks of rows, and the kind is attribute.
    """

    def __init__(
        self,
        structure: Structure,
        w: Tensor,
        columns: int,
        kind: Kind = "attribute",
        normalize: Normalize = None,
    ) -> None:
        structure.check_parameters(w)
        if w.dim() != 1:
            raise ValueError(f"w must be (l,) for rows that come in blocks, got shape {tuple(w.shape)}")
        check_choices(kind, normalize)
        if kind == "instance" and normalize not in (None, "scale"):
            raise ValueError(
                f"normalize must be None or 'scale' for the instance kind in blocks, got {normalize!r}, "
                "which needs all of xi, b x b"
            )
        self.structure, self.w, self.columns, self.rows = structure, w, columns, 0
        self.kind, self.normalize = kind, normalize
        self.factors = structure.unpack(w.unsqueeze(0))
        if kind == "instance":
            if structure.n != columns:
                raise ValueError(f"structure must have n={columns}, the columns of X, got {structure}")
            left, _ = self.pair_of_columns(w.new_zeros(1, 1, columns))
            self.sums = [w.new_zeros(len(left), columns)]  # (K, m)
            return
        if not has_thin_pair(structure):
            raise TypeError(
                f"structure must reduce blocks of rows for rows in blocks, got {structure!r}, which keeps "
                "all of them; use LPHM, DualLPHM, LowRank or RandomMatrixAdaptation, or a subclass that "
                "overrides row_factors and combine"
            )
        self.row_factors: tuple[Tensor, ...] = ()
        if structure.reduces_rows:
            self.row_factors = cast(RowBlocks, structure).row_factors(self.factors)
            self.sums = [
                w.new_zeros(structure.n // S.shape[1], S.shape[2], columns) for S in self.row_factors
            ]
        else:  # a subclass that overrides the pair itself: it is linear in x, so padded blocks add up
            self.sums = [w.new_zeros(structure.middle, columns) for _ in ("left", "right")]

    def add(self, block: Tensor) -> None:
        """Take the next rows, ``(rows, m)``.

        Raises:
            ValueError: they have other columns, or there are more than ``n`` of them by now.
        """
        self._check(block)
        if not len(block):
            return
        x = block.to(self.w).unsqueeze(0)
        if self.kind == "instance":
            left, _ = self.pair_of_columns(x)
            self.sums[0] += left @ x[0]
        elif self.row_factors:
            for S, whole in zip(self.row_factors, self.sums, strict=True):
                part = reduce_rows_from(S, x, self.rows)[0, 0]  # (blocks, r, m)
                first = self.rows // S.shape[1]
                whole[first : first + len(part)] += part
        else:
            padded = F.pad(x, (0, 0, self.rows, self.structure.n - self.rows - len(block)))
            pair = self.structure.pair(self.factors, padded)
            self.sums = [whole + side[0, 0] for whole, side in zip(self.sums, pair, strict=True)]
        self.rows += len(block)

    def pair(self) -> tuple[Tensor, Tensor]:
        """``left, right`` ``(1, 1, K, m)`` of the attribute kind, from the sums; ``left`` is scaled."""
        left, right = (side[None, None] for side in self.sums)
        if self.row_factors:
            blocks = [-(-self.rows // S.shape[1]) for S in self.row_factors]
            sides = [whole[:count][None, None] for whole, count in zip(self.sums, blocks, strict=True)]
            left, right = cast(RowBlocks, self.structure).combine(self.factors, sides[0], sides[1])
        return left * scale_of(self.structure, self.normalize), right

    def _check(self, block: Tensor) -> None:
        if block.dim() != 2 or block.shape[1] != self.columns:
            raise ValueError(f"a block must be (rows, {self.columns}), got shape {tuple(block.shape)}")
        if self.kind == "attribute" and self.rows + len(block) > self.structure.n:
            raise ValueError(
                f"there must be no more than n={self.structure.n} rows, got {self.rows + len(block)} and more"
            )

    def pair_of_columns(self, x: Tensor) -> tuple[Tensor, Tensor]:
        """``left, right`` ``(K, rows)`` of the instance kind for rows ``(1, rows, m)``, scaled."""
        left, right = self.structure.pair(self.factors, x.mT)
        return left[0, 0] * scale_of(self.structure, self.normalize), right[0, 0]

    def finish(self, *, partial: bool = False) -> "Mixing":
        """What the second pass needs.

        Args:
            partial: there may have been fewer than ``n`` rows; the missing ones count as zeros.

        Raises:
            ValueError: rows are missing.
        """
        n = self.structure.n
        if self.kind == "attribute" and (self.rows == 0 or (self.rows < n and not partial)):
            raise ValueError(
                f"there must be n={n} rows, got {self.rows}; pass partial=True to treat missing ones as zeros"
            )
        return Mixing(self)


class Mixing:
    """The second pass: ``xi``, applied to rows.

    Attributes:
        xi: ``(m, m)``; None for the instance kind.
    """

    xi: Tensor | None

    def __init__(self, reduction: Reduction) -> None:
        self._reduction = reduction
        self._pair: tuple[Tensor, Tensor] | None = None
        self.xi = None
        if reduction.kind == "instance":
            return
        left, right = reduction.pair()
        self.xi = normalized_matrix(left, right, reduction.normalize)[0, 0]
        linear = reduction.normalize in (None, "scale")
        if linear and skips_matrix(left.shape[2], reduction.columns, reduction.rows):
            self._pair = left[0, 0], right[0, 0]

    def __call__(self, block: Tensor) -> Tensor:
        """The output for rows of ``X``, ``(rows, m)``."""
        reduction = self._reduction
        x = block.to(reduction.w)
        if self.xi is None:
            _, right = reduction.pair_of_columns(x.unsqueeze(0))
            return right.mT @ reduction.sums[0]
        if self._pair is not None:
            left, right = self._pair
            return (x @ left.mT) @ right
        return x @ self.xi


def _mixing(
    structure: Structure, w: Tensor, blocks: Iterable[Tensor], kind: Kind, normalize: Normalize, partial: bool
) -> Mixing:
    reduction: Reduction | None = None
    for block in blocks:
        if reduction is None:
            reduction = Reduction(structure, w, block.shape[-1], kind, normalize)
        reduction.add(block)
    if reduction is None:
        raise ValueError("there must be at least one block of rows, got none")
    return reduction.finish(partial=partial)


@torch.no_grad()
def interdependence_matrix(
    structure: Structure,
    w: Tensor,
    blocks: Iterable[Tensor],
    normalize: Normalize = None,
    *,
    partial: bool = False,
) -> Tensor:
    """``xi = Xᵀ W X`` ``(m, m)`` of rows that come block after block; without gradients.

    Args:
        structure: what ``W`` is, one that reduces blocks of rows; its ``n`` is the number of all rows.
        w: parameters, ``(l,)``; their type is the one that is computed in.
        blocks: rows ``(rows, m)``, of any number each.
        normalize: as for ``lphm.interdependence_matrix``.
        partial: let there be fewer than ``n`` rows; the missing ones count as zeros.

    Raises:
        ValueError: a shape does not fit, or rows are missing.
        TypeError: the structure does not reduce blocks of rows.

    Example:
        >>> from lphm import LPHM, streamed
        >>> x, structure = torch.randn(96, 7), LPHM(n=96, p=8, r=4)
        >>> streamed.interdependence_matrix(structure, torch.randn(160), x.split(10)).shape
        torch.Size([7, 7])
    """
    return cast(Tensor, _mixing(structure, w, blocks, "attribute", normalize, partial).xi)


@torch.no_grad()
def interdependence_apply(
    structure: Structure,
    w: Tensor,
    blocks: Blocks,
    kind: Kind = "attribute",
    normalize: Normalize = None,
    *,
    partial: bool = False,
) -> Iterator[Tensor]:
    """``X @ xi`` (attribute) or ``xiᵀ @ X`` (instance), block after block; without gradients.

    Args:
        structure: what ``W`` is; for the attribute kind one that reduces blocks of rows.
        w: parameters, ``(l,)``; their type is the one that is computed in.
        blocks: called twice; gives the same rows ``(rows, m)`` each time, of any number each.
        kind: ``"attribute"`` or ``"instance"``.
        normalize: as for ``lphm.interdependence_apply``; for the instance kind ``None`` or ``"scale"``.
        partial: as for ``interdependence_matrix``.

    Yields:
        the output of each block, ``(rows, m)``.

    Raises:
        ValueError: a shape does not fit, rows are missing, or ``normalize`` needs all of an instance ``xi``.
        TypeError: the structure does not reduce blocks of rows, and the kind is attribute.

    Example:
        >>> from lphm import LPHM, streamed
        >>> x, structure = torch.randn(96, 7), LPHM(n=96, p=8, r=4)
        >>> out = streamed.interdependence_apply(structure, torch.randn(160), lambda: x.split(10))
        >>> torch.cat(list(out)).shape
        torch.Size([96, 7])
    """
    mix = _mixing(structure, w, blocks(), kind, normalize, partial)
    for block in blocks():
        yield mix(block)
