"""What every structure of W shares: a validated value, and the way from a vector to its factors."""

import math
from abc import ABC, abstractmethod
from collections.abc import Callable
from dataclasses import asdict, dataclass
from functools import lru_cache, wraps
from typing import Any, ClassVar, ParamSpec, TypeVar

import torch
from torch import Tensor

from lphm.errors import require_positive

Factors = tuple[Tensor, ...]
Arguments = ParamSpec("Arguments")
Result = TypeVar("Result")

#: The hooks by which a class states the dense ``W``, and those by which it states the pair.
DENSE_HOOKS = frozenset({"dense_from_factors", "kronecker_factors"})
PAIR_HOOKS = frozenset({"pair_from_factors", "row_factors", "combine"})


def cached_constant(function: Callable[Arguments, Result]) -> Callable[Arguments, Result]:
    """Keep the results of ``function``; torch.compile takes them as constants and does not trace it."""
    cached = lru_cache(maxsize=128)(function)

    @wraps(cached)
    def constant(*args: Arguments.args, **kwargs: Arguments.kwargs) -> Result:
        return cached(*args, **kwargs)  # type: ignore[arg-type]

    # What torch.compiler.assume_constant_result does, which would load the compiler (2 s) for everyone.
    constant._dynamo_marked_constant = True  # type: ignore[attr-defined]
    return constant


@dataclass(frozen=True, kw_only=True)
class Structure(ABC):
    """The shape of an ``n x n`` matrix ``W`` that is made from a parameter vector ``w``.

    A new structure **must** give ``factor_shapes``, ``terms``, and ``dense_from_factors`` or
    ``pair_from_factors``. It **may** give both, and then also ``middle`` and ``projection_flops``, the cost
    of the pair. A subclass that overrides one of the two changes what ``W`` is: the other, if it is only
    inherited, is derived from the new one. ``docs/structures.md`` works an example out.

    Args:
        n: rows and columns of ``W``; the rows ``b`` of ``X`` for the attribute kind, its columns
            ``m`` for the instance kind.

    Raises:
        ValueError: a size is below 1.
        TypeError: a size is not an int.

    Example:
        >>> structure = LPHM(n=96, p=8, q=8, r=4)
        >>> structure.to_dense(torch.randn(structure.num_parameters)).shape
        torch.Size([96, 96])
    """

    n: int
    name: ClassVar[str]

    def __post_init__(self) -> None:
        self._take(require_positive(**vars(self)))

    def _take(self, sizes: dict[str, int]) -> None:
        """Keep the sizes as they were checked: Python's own ints, so that the configuration is JSON."""
        for name, size in sizes.items():
            object.__setattr__(self, name, size)

    # What a structure must give.

    @property
    @abstractmethod
    def factor_shapes(self) -> dict[str, tuple[int, ...]]:
        """Shape of each factor, by its letter, in the order in which it lies in ``w``."""

    @property
    @abstractmethod
    def terms(self) -> float:
        """Number of products of factor entries that are summed in one entry of ``W``, on average."""

    def dense_from_factors(self, factors: Factors) -> Tensor:
        """Factors ``(C, *shape)`` to ``W`` ``(C, n, n)``.

        By default from the pair: ``leftᵀ right`` of the identity matrix in place of ``X``.
        """
        identity = torch.eye(self.n, dtype=factors[0].dtype, device=factors[0].device)
        left, right = self.pair_from_factors(factors, identity.unsqueeze(0))  # (1, C or 1, K, n)
        return (left.mT @ right).squeeze(0)

    def pair_from_factors(self, factors: Factors, x: Tensor) -> tuple[Tensor, Tensor]:
        """Factors ``(C, *shape)`` and ``x`` ``(N, rows, k)`` to ``left, right`` ``(N, C or 1, K, k)``.

        Both sides are linear in ``x``. ``rows`` is ``n``, or fewer for a partial ``x``: missing rows count as
        zeros, and ``K`` may be smaller. By default from the dense form: ``left, right = x, W x``.
        """
        rows = x.shape[1]
        return dense_pair(self.dense_from_factors(factors)[:, :rows, :rows], x)

    # What a structure may give: the cost of its pair.

    @property
    def middle(self) -> int:
        """``K``, the number of rows of ``left`` and ``right``; ``n`` where there is no thin middle."""
        return self.n

    def projection_flops(self, k: int) -> int:
        """Floating-point operations of ``project`` for one ``(n, k)`` matrix."""
        return 2 * self.n**2 * k

    # What follows.

    def dense(self, factors: Factors) -> Tensor:
        """``W`` ``(C, n, n)`` as the class states it last; see ``dense_from_factors``."""
        if stated_last(type(self)) == "pair":
            return Structure.dense_from_factors(self, factors)
        return self.dense_from_factors(factors)

    def pair(self, factors: Factors, x: Tensor) -> tuple[Tensor, Tensor]:
        """``left, right`` as the class states them last; see ``pair_from_factors``."""
        if stated_last(type(self)) == "dense":
            return Structure.pair_from_factors(self, factors, x)
        return self.pair_from_factors(factors, x)

    def maps(self, w: Tensor) -> Tensor:
        """The matrices ``F`` of the pair, ``left_c = F[0, c] x`` and ``right_c = F[1, c] x``.

        Shape:
            ``w`` ``(C, l)``; ``F`` ``(2, C, K, n)``.
        """
        identity = torch.eye(self.n, dtype=w.dtype, device=w.device)
        pair = self.pair(self.unpack(w), identity.unsqueeze(0))  # (1, C or 1, K, n) twice
        return torch.stack([side.expand(1, len(w), -1, -1).squeeze(0) for side in pair])

    @property
    def num_parameters(self) -> int:
        """``l``, the length of the parameter vector."""
        return sum(math.prod(shape) for shape in self.factor_shapes.values())

    @property
    def dense_flops(self) -> float:
        """Floating-point operations of ``to_dense``."""
        return 0 if self.num_parameters == self.n**2 else 2 * self.n**2 * self.terms

    def to_config(self) -> dict[str, Any]:
        """The structure as JSON-serialisable values; ``lphm.structures.from_config`` reads them."""
        return {"name": self.name, **asdict(self)}

    def unpack(self, w: Tensor) -> Factors:
        """Views of the factors that lie in ``w``.

        Shape:
            ``w`` ``(*, l)``; each factor ``(*, *shape)``, in the order of ``factor_shapes``.
        """
        self.check_parameters(w)
        shapes = self.factor_shapes.values()
        parts = torch.split(w, [math.prod(shape) for shape in shapes], dim=-1)
        return tuple(torch.unflatten(part, -1, shape) for part, shape in zip(parts, shapes, strict=True))

    def pack(self, *factors: Tensor) -> Tensor:
        """The parameter vector that holds these factors: the inverse of ``unpack``.

        Shape:
            each factor ``(*, *shape)`` with the same ``*``; the result ``(*, l)``.
        """
        shapes = self.factor_shapes
        given = [tuple(factor.shape) for factor in factors]
        ends = [shape[-len(end) :] for shape, end in zip(given, shapes.values(), strict=False)]
        if len(given) != len(shapes) or ends != list(shapes.values()):
            expected = ", ".join(
                f"{name} (*, {', '.join(map(str, shape))})" for name, shape in shapes.items()
            )
            raise ValueError(f"factors must be {expected}, got shapes {', '.join(map(str, given)) or 'none'}")
        return torch.cat([f.flatten(-len(end)) for f, end in zip(factors, ends, strict=True)], dim=-1)

    def to_dense(self, w: Tensor) -> Tensor:
        """``W`` itself, for small ``n``, for tests and for pictures.

        Shape:
            ``w`` ``(*, l)``; ``W`` ``(*, n, n)``.
        """
        self.check_parameters(w)
        factors = self.unpack(w.reshape(-1, self.num_parameters))
        return self.dense(factors).reshape(*w.shape[:-1], self.n, self.n)

    def project(self, w: Tensor, x: Tensor) -> tuple[Tensor, Tensor]:
        """The pair with ``Xᵀ W X = leftᵀ right``.

        Shape:
            ``w`` ``(l,)`` or ``(channels, l)``; ``x`` ``(*batch, n, k)``; ``left`` and ``right``
            ``(*batch, K, k)`` or ``(*batch, channels, K, k)`` with ``K = structure.middle``.
        """
        self.check_parameters(w)
        if w.dim() > 2:
            raise ValueError(f"w must be (l,) or (channels, l), got {tuple(w.shape)}; use torch.func.vmap")
        if x.dim() < 2 or x.shape[-2] != self.n:
            raise ValueError(f"x must be (*batch, {self.n}, k), n={self.n} rows, got shape {tuple(x.shape)}")
        batch = (*x.shape[:-2], *w.shape[:-1])
        pair = self.pair(self.unpack(w.reshape(-1, self.num_parameters)), flatten_batch(x))
        left, right = (side.expand(-1, w.shape[:-1].numel(), -1, -1) for side in pair)
        return left.reshape(*batch, *left.shape[-2:]), right.reshape(*batch, *right.shape[-2:])

    def check_parameters(self, w: Tensor) -> None:
        """Raise ``ValueError`` unless the last dimension of ``w`` is ``l``."""
        if w.dim() < 1 or w.shape[-1] != self.num_parameters:
            sizes = " + ".join(f"{name} {math.prod(shape)}" for name, shape in self.factor_shapes.items())
            raise ValueError(
                f"w must hold {self.num_parameters} parameters ({sizes}) in its last dimension, "
                f"got shape {tuple(w.shape)}"
            )


@cached_constant
def stated_last(cls: type[Structure]) -> str:
    """Which form of ``W`` the most derived class states: ``"dense"``, ``"pair"`` or ``"both"``.

    Raises:
        TypeError: the class states neither.
    """
    for base in cls.__mro__[: cls.__mro__.index(Structure)]:
        dense, pair = (not hooks.isdisjoint(vars(base)) for hooks in (DENSE_HOOKS, PAIR_HOOKS))
        if dense or pair:
            return "both" if dense and pair else "dense" if dense else "pair"
    raise TypeError(f"{cls.__name__} must define dense_from_factors or pair_from_factors, got neither")


def flatten_batch(x: Tensor) -> Tensor:
    """``(*batch, i, j)`` to ``(N, i, j)``; works for an empty batch and for none."""
    return x.reshape(math.prod(x.shape[:-2]), *x.shape[-2:])  # Size.numel() would fix an exported batch


def is_transpose(x: Tensor) -> bool:
    """Whether the columns of ``x`` are contiguous and its rows are not."""
    return x.stride(-2) == 1 and x.stride(-1) != 1


def dense_pair(W: Tensor, x: Tensor) -> tuple[Tensor, Tensor]:
    """``x, W x`` for ``W`` ``(C, n, n)`` and ``x`` ``(N, n, k)``: ``(N, 1, n, k), (N, C, n, k)``."""
    (N, n, k), C = x.shape, W.shape[0]
    if is_transpose(x):  # one product for all samples as well
        right = x.mT.reshape(N * k, n) @ W.reshape(C * n, n).mT
        return x.unsqueeze(1), right.view(N, k, C, n).permute(0, 2, 3, 1)
    right = W.flatten(0, 1).expand(N, -1, -1).bmm(x)  # (N, C n, k): one product for all channels
    return x.unsqueeze(1), right.view(N, C, n, k)
