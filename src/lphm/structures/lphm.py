"""Low-rank hierarchical mapping: W = A ⊗ (S Tᵀ)."""

from dataclasses import dataclass
from typing import ClassVar, cast

import torch
from torch import Tensor

from lphm.errors import require_divisor
from lphm.structures.base import Factors, Structure

__all__ = ["LPHM"]


@dataclass(frozen=True, kw_only=True)
class LPHM(Structure):
    r"""Low-rank hierarchical mapping, ``W = A ⊗ (S Tᵀ)``.

    ``A`` is ``p x q``, ``S`` is ``n/p x r``, ``T`` is ``n/q x r``; block ``(i, j)`` of ``W`` is
    ``A[i, j] · S Tᵀ``. The vector holds ``[A, S, T]``, each row-major,

        l = pq + r (n/p + n/q).

    ``W = (I_p ⊗ S)(A ⊗ I_r)(I_q ⊗ T)ᵀ`` gives the thin pair without forming ``W``:
    with ``U = Sᵀ X_p`` and ``V = Tᵀ X_q`` (``X`` cut into ``p`` and ``q`` blocks of rows)

        left, right = U, A V      K = p r      if p <= q
        left, right = Aᵀ U, V     K = q r      otherwise.

    Args:
        n: rows and columns of ``W``.
        p: row blocks of ``W``; divides ``n``.
        q: column blocks of ``W``; divides ``n``; ``p`` if not given.
        r: rank of a block.

    Raises:
        DivisibilityError: ``p`` or ``q`` does not divide ``n``.
        ValueError: a size is below 1.
        TypeError: a size is not an int.

    Example:
        >>> LPHM(n=96, p=8, q=8, r=4).num_parameters     # 64 + 4 (12 + 12); dense: 9216
        160

    Reference:
        RPN 2 (Zhang, 2024, arXiv:2411.11162), the LPHM parameterized bilinear interdependence function.
    """

    p: int
    q: int = cast(int, None)  # p takes its place in __post_init__: whoever reads q reads an int
    r: int
    name: ClassVar[str] = "lphm"

    def __post_init__(self) -> None:
        object.__setattr__(self, "q", self.p if cast(int | None, self.q) is None else self.q)
        super().__post_init__()
        require_divisor("n", self.n, p=self.p, q=self.q)

    @property
    def factor_shapes(self) -> dict[str, tuple[int, ...]]:
        """``A`` ``(p, q)``, ``S`` ``(n/p, r)``, ``T`` ``(n/q, r)``."""
        return {"A": (self.p, self.q), "S": (self.n // self.p, self.r), "T": (self.n // self.q, self.r)}

    @property
    def terms(self) -> int:
        """``W[..] = A[i, j] Σ_r S[s, r] T[t, r]``: ``r`` products."""
        return self.r

    @property
    def middle(self) -> int:
        """``K = r min(p, q)``."""
        return self.r * min(self.p, self.q)

    def projection_flops(self, k: int) -> int:
        """``Sᵀ X_p`` and ``Tᵀ X_q``, then ``A`` on the larger of the two."""
        return 4 * self.n * k * self.r + 2 * self.p * self.q * self.r * k

    def _dense(self, *factors: Tensor) -> Tensor:
        A, S, T = factors
        B = S @ T.mT  # (C, n/p, n/q)
        blocks = A[:, :, None, :, None] * B[:, None, :, None, :]  # (C, p, n/p, q, n/q)
        return blocks.reshape(-1, self.n, self.n)

    def _project(self, factors: Factors, x: Tensor) -> tuple[Tensor, Tensor]:
        A, S, T = factors  # (C, p, q), (C, n/p, r), (C, n/q, r)
        if self.p == self.q:  # one pass over x for both
            U, V = project_blocks(torch.cat([S, T]), x).chunk(2, dim=1)  # (N, C, p, r, k) twice
        else:
            U, V = project_blocks(S, x), project_blocks(T, x)  # (N, C, p, r, k), (N, C, q, r, k)
        if self.p <= self.q:
            V = mix_blocks(A, V)  # (N, C, p, r, k)
        else:
            U = mix_blocks(A.mT, U)  # (N, C, q, r, k)
        return U.flatten(2, 3), V.flatten(2, 3)  # (N, C, K, k) each


def project_blocks(S: Tensor, x: Tensor) -> Tensor:
    """``Sᵀ`` on every block of rows: ``S`` ``(C, s, r)``, ``x`` ``(N, p s, k)`` to ``(N, C, p, r, k)``.

    ``bmm`` on views, never ``matmul`` or ``einsum``: those fold the product through a transposed
    copy of ``x`` as soon as ``S`` requires a gradient. All channels go in one product.
    """
    (N, n, k), (C, s, r) = x.shape, S.shape
    p = n // s
    flat = S.transpose(0, 1).reshape(s, C * r)  # (s, C r)
    if x.stride(-2) == 1 and x.stride(-1) != 1:  # x is a transpose: keep to its own layout
        out = x.mT.reshape(N * k * p, s) @ flat  # (N k p, C r)
        return out.view(N, k, p, C, r).permute(0, 3, 2, 4, 1)
    out = flat.mT.expand(N * p, -1, -1).bmm(x.reshape(N * p, s, k))  # (N p, C r, k)
    return out.view(N, p, C, r, k).transpose(1, 2)


def mix_blocks(A: Tensor, V: Tensor) -> Tensor:
    """``A ⊗ I_r``: ``A`` ``(C, p, q)``, ``V`` ``(N, C, q, r, k)`` to ``(N, C, p, r, k)``."""
    (N, C, q, r, k), p = V.shape, A.shape[1]
    mixed = A.expand(N, -1, -1, -1).reshape(N * C, p, q).bmm(V.reshape(N * C, q, r * k))  # (N C, p, r k)
    return mixed.view(N, C, p, r, k)
