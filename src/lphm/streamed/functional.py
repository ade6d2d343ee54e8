"""``xi`` of rows that come block after block and are never all in memory: one pass for it, one to apply it.

    attribute   xi = Xᵀ W X        U = Sᵀ X_p and V = Tᵀ X_q are added up, (p + q) r m numbers; out = X xi
                                   Toeplitz: xi itself is added up, m² numbers, and h rows are kept
    instance    D ↦ (X W Xᵀ)ᵀ D    Z = left D is added up, K m numbers; out = rightᵀ Z; no xi, b x b

Memory does not grow with the rows, but for ``w`` of the attribute kind, which has ``r (b/p + b/q)`` numbers
where it has row factors.
Everything is computed in the type of ``w``.
"""

from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from typing import cast

import torch
from torch import Tensor

from lphm.ops.checks import Kind, Normalize, check_choices, check_split_rows
from lphm.ops.cost import scale_of, skips_matrix
from lphm.ops.functional import normalized, normalized_matrix
from lphm.ops.reference import scale_pair
from lphm.structures.base import Structure
from lphm.structures.row_blocks import RowBlocks
from lphm.structures.toeplitz import is_stationary

Blocks = Callable[[], Iterable[Tensor]]


def kept_numbers(structure: Structure, columns: int, kind: Kind) -> int:
    """The largest number of numbers that are kept for sums, the pair that they become, and ``xi``."""
    if kind == "instance":
        return structure.middle * columns
    rows = structure.halo if is_stationary(structure) else structure.middle
    return 3 * rows * columns + columns**2


@dataclass(frozen=True)
class Mixing:
    """The second pass: ``xi`` applied to rows.

        attribute:  X @ xi        instance:  rightᵀ Z

    Attributes:
        xi: ``(m, m)``; None for the instance kind.
        apply: rows of ``X`` ``(rows, m)``, of the type of ``w``, to their output.
        w: parameters.
    """

    xi: Tensor | None
    apply: Callable[[Tensor], Tensor]
    w: Tensor

    def __call__(self, block: Tensor) -> Tensor:
        """The output for rows of ``X``, ``(rows, m)``."""
        return self.apply(block.to(self.w))


class Reduction:
    """The first pass: what the rows of ``X`` add up to.

        attribute:  U = Sᵀ X_p, V = Tᵀ X_q        instance:  Z = left X

    Args:
        structure: what ``W`` is; for the attribute kind one that reduces blocks of rows, ``n`` all rows.
        w: parameters, ``(l,)``.
        columns: ``m``, columns of ``X``.
        kind: ``"attribute"`` or ``"instance"``.
        normalize: as for ``lphm.interdependence_apply``; for the instance kind ``None`` or ``"scale"``.

    Attributes:
        rows: rows that were added so far.
        sums: what they add up to, ``(blocks, r, m)`` each, for ``Toeplitz`` ``xi`` and the last rows: all
            that has to be kept to go on another time.

    Raises:
        ValueError: ``w`` does not fit; for the instance kind, ``W`` is not ``m x m`` or ``normalize`` needs
            all of ``xi``.
        TypeError: the structure does not reduce blocks of rows, and the kind is attribute.

    Example:
        >>> from lphm import LPHM, streamed
        >>> reduction = streamed.Reduction(LPHM(n=96, p=8, r=4), torch.randn(160), columns=7)
        >>> x = torch.randn(96, 7)
        >>> for block in x.split(10):
        ...     reduction.add(block)
        >>> reduction.finish()(x[:10]).shape
        torch.Size([10, 7])
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
        check_split_rows(structure, kind, normalize)
        if kind == "instance" and structure.n != columns:
            raise ValueError(f"structure must have n={columns}, the columns of X, got {structure}")
        self.structure, self.w, self.columns, self.rows = structure, w, columns, 0
        self.kind, self.normalize = kind, normalize
        self.factors = structure.unpack(w.unsqueeze(0))
        if kind == "attribute" and is_stationary(structure):
            self.sums = [w.new_zeros(rows, columns) for rows in (columns, structure.halo)]
        else:
            parts = self._reduced(w.new_zeros(1, columns))
            self.sums = [w.new_zeros(blocks, *part.shape[1:]) for part, _, blocks in parts]

    def add(self, block: Tensor) -> None:
        """Take the next rows, ``(rows, m)``.

        Raises:
            ValueError: they have other columns, or there are more than ``n`` of them by now.
        """
        if block.dim() != 2 or block.shape[1] != self.columns:
            raise ValueError(f"a block must be (rows, {self.columns}), got shape {tuple(block.shape)}")
        rows, n = self.rows + len(block), self.structure.n
        if self.kind == "attribute" and rows > n:
            raise ValueError(f"there must be no more than n={n} rows, got {rows} and more")
        if not len(block):
            return
        x, structure = block.to(self.w), self.structure
        if self.kind == "attribute" and is_stationary(structure):
            xi, recent = self.sums
            left, right = self._scaled(*structure.pair_of_new_rows(self.factors, recent[None], x[None]))
            self.sums = [xi + left.mT @ right, torch.cat([recent, x])[-structure.halo :]]
        else:
            for total, (part, first, _) in zip(self.sums, self._reduced(x), strict=True):
                total[first : first + len(part)] += part
        self.rows = rows

    def _reduced(self, x: Tensor) -> list[tuple[Tensor, int, int]]:
        """What the next rows ``(rows, m)`` add to each of ``sums``, from which block on, of how many."""
        if self.kind == "instance":
            return [((self._pair_of(x)[0] @ x).unsqueeze(0), 0, 1)]
        structure, n = cast(RowBlocks, self.structure), self.structure.n
        parts, sizes = structure.reduce_part(self.factors, x.unsqueeze(0), self.rows)
        return [(part[0, 0], self.rows // s, n // s) for part, s in zip(parts, sizes, strict=True)]

    def _pair_of(self, x: Tensor) -> tuple[Tensor, Tensor]:
        """``left, right`` ``(K, rows)`` of the instance kind for rows ``(rows, m)``, scaled."""
        return self._scaled(*self.structure.pair(self.factors, x.mT.unsqueeze(0)))

    def _scaled(self, left: Tensor, right: Tensor) -> tuple[Tensor, Tensor]:
        """A pair ``(1, 1, K, k)`` as ``(K, k)``, scaled."""
        return scale_pair(left[0, 0], right[0, 0], scale_of(self.structure, self.normalize))

    def finish(self, *, partial: bool = False) -> Mixing:
        """What the second pass needs.

        Args:
            partial: there may have been fewer than ``n`` rows; the missing ones count as zeros.

        Raises:
            ValueError: rows are missing.
        """
        structure, n, w, normalize = self.structure, self.structure.n, self.w, self.normalize
        if self.kind == "instance":
            Z = self.sums[0][0]  # (K, m)
            return Mixing(None, lambda x: self._pair_of(x)[1].mT @ Z, w)
        if self.rows == 0 or (self.rows < n and not partial):
            raise ValueError(
                f"there must be n={n} rows, got {self.rows}; pass partial=True to treat missing ones as zeros"
            )
        if is_stationary(structure):
            xi = normalized(self.sums[0][None, None], normalize)[0, 0]
            return Mixing(xi, lambda x: x @ xi, w)
        U, V = (total[: -(-self.rows * len(total) // n)][None, None] for total in self.sums)
        left, right = cast(RowBlocks, structure).pair_from_parts(self.factors, U, V)  # (1, 1, K, m)
        left, right = scale_pair(left, right, scale_of(structure, normalize))
        xi = normalized_matrix(left, right, normalize)[0, 0]
        if normalize in (None, "scale") and skips_matrix(left.shape[2], self.columns, self.rows):
            return Mixing(xi, lambda x: (x @ left[0, 0].mT) @ right[0, 0], w)
        return Mixing(xi, lambda x: x @ xi, w)


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
