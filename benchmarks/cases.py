"""The sizes that are measured, and the tensors that every contender of a size gets."""

from dataclasses import dataclass
from typing import Literal, get_args

import torch
from torch import Tensor

import lphm

Kind = Literal["attribute", "instance"]
KINDS: tuple[Kind, ...] = get_args(Kind)


class Oriented:
    """Sizes that follow from the kind, for ``X`` ``b x m``."""

    kind: Kind
    b: int
    m: int

    @property
    def n(self) -> int:
        """Rows and columns of ``W``."""
        return self.b if self.kind == "attribute" else self.m

    @property
    def k(self) -> int:
        """Rows and columns of ``xi``."""
        return self.m if self.kind == "attribute" else self.b


@dataclass(frozen=True)
class Case(Oriented):
    """One kind at one size: ``X`` is ``b x m``, ``W = A ⊗ (S Tᵀ)`` has ``p x q`` blocks of rank ``r``."""

    kind: Kind
    b: int
    m: int
    p: int
    q: int
    r: int

    @property
    def structure(self) -> lphm.LPHM:
        """The structure of ``W`` in the library, which rejects sizes that do not divide."""
        return lphm.LPHM(n=self.n, p=self.p, q=self.q, r=self.r)

    @property
    def sizes(self) -> str:
        """The sizes as the tables print them."""
        return f"{self.b}, {self.m}, {self.p}, {self.q}, {self.r}"

    def __str__(self) -> str:
        return f"{self.kind} {self.sizes}"


# The first two measure little but call overhead; the last of each kind has as many columns as rows.
TABLE = (
    Case("attribute", 16, 8, 4, 4, 1),
    Case("attribute", 64, 16, 8, 8, 2),
    Case("attribute", 256, 64, 16, 16, 4),
    Case("attribute", 1024, 64, 32, 32, 4),
    Case("attribute", 4096, 128, 64, 64, 8),
    Case("attribute", 16384, 64, 128, 128, 8),
    Case("attribute", 65536, 64, 256, 256, 4),
    Case("attribute", 1024, 1024, 32, 32, 8),
    Case("instance", 256, 64, 8, 8, 4),
    Case("instance", 4096, 128, 8, 8, 8),
    Case("instance", 16384, 64, 8, 8, 8),
    Case("instance", 1024, 1024, 32, 32, 8),
)


def parse_sizes(text: str) -> tuple[int, ...]:
    """``b,m,p,q,r`` as five integers."""
    parts = [part.strip() for part in text.split(",")]
    if len(parts) != 5 or not all(part.isdecimal() for part in parts):
        raise ValueError(f"a case must be five integers b,m,p,q,r, got {text!r}")
    return tuple(int(part) for part in parts)


def select(kinds: tuple[Kind, ...], sizes: list[tuple[int, ...]]) -> list[Case]:
    """Cases of these kinds and sizes; without sizes, those of the table.

    A size is left out for a kind whose ``W`` it does not fit.

    Raises:
        ValueError: a size fits none of the kinds.
    """
    if not sizes:
        return [case for case in TABLE if case.kind in kinds]
    return [case for size in sizes for case in _fitting(kinds, size)]


def _fitting(kinds: tuple[Kind, ...], size: tuple[int, ...]) -> list[Case]:
    cases = [Case(kind, *size) for kind in kinds]
    reasons = {case: _objection(case) for case in cases}
    if all(reasons.values()):
        raise ValueError("; ".join(f"{case.kind}: {reason}" for case, reason in reasons.items()))
    return [case for case in cases if not reasons[case]]


def _objection(case: Case) -> str | None:
    """Why the sizes are invalid; None if they are valid."""
    try:
        return None if case.structure and min(case.b, case.m) > 0 else "b and m must be at least 1"
    except ValueError as reason:
        return str(reason)


@dataclass(frozen=True)
class Inputs:
    """Data, output gradient and factors of a case. Every contender makes leaves of its own from them."""

    case: Case
    normalize: str | None
    x: Tensor  # (b, m)
    G: Tensor  # (b, m), the gradient of the output
    A: Tensor  # (p, q)
    S: Tensor  # (n/p, r)
    T: Tensor  # (n/q, r)
    M: Tensor  # (m, m), the linear layer's weight

    @property
    def data(self) -> Tensor:
        """A new leaf ``x`` on the same memory, so that the caches hold it equally for all contenders."""
        return self.x.detach().requires_grad_()

    @property
    def leaves(self) -> tuple[Tensor, Tensor, Tensor, Tensor]:
        """New leaves ``x, A, S, T``."""
        A, S, T = (factor.clone().requires_grad_() for factor in (self.A, self.S, self.T))
        return self.data, A, S, T


def draw(
    case: Case, device: str = "cpu", dtype: torch.dtype = torch.float32, normalize: str | None = None
) -> Inputs:
    """The same numbers on every machine; ``E‖W‖_F² = 1``, so that ``xi`` has entries of unit variance."""
    generator = torch.Generator().manual_seed(0)

    def normal(rows: int, columns: int, variance: float = 1.0) -> Tensor:
        drawn = torch.randn(rows, columns, generator=generator) * variance**0.5
        return drawn.to(device, dtype)

    b, m, p, q, r, n = case.b, case.m, case.p, case.q, case.r, case.n
    return Inputs(
        case,
        normalize,
        x=normal(b, m),
        G=normal(b, m),
        A=normal(p, q, 1 / (p * q)),
        S=normal(n // p, r, p / n),
        T=normal(n // q, r, q / (n * r)),
        M=normal(m, m, 1 / m),
    )
