"""What every structure of W shares: a validated value, and the way from a vector to its factors."""

import math
from abc import ABC, abstractmethod
from collections.abc import Callable
from dataclasses import dataclass, fields
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
    """The shape of a matrix ``W``, ``n x n`` or ``n x columns``, that is made from a parameter vector ``w``.

    A new structure **must** give ``factor_shapes``, ``terms``, and ``dense_from_factors`` or
    ``pair_from_factors``. It **may** give both, and then also ``middle`` and ``projection_flops``, the cost
    of the pair. A subclass that overrides one of the two changes what ``W`` is: the other, if it is only
    inherited, is derived from the new one. ``docs/structures.md`` works an example out.

    Args:
        n: rows of ``W``, and its columns too unless ``columns`` says otherwise; the rows ``b`` of ``X`` for
            the attribute kind, its columns ``m`` for the instance kind.
        columns: columns of a rectangular ``W``, which is for two sets, ``xi(X, Y) = Xᵀ W Y``: the rows of
            ``Y`` for the attribute kind, its columns for the instance kind. None where ``W`` is square;
            ``n`` is the same as None.

    Raises:
        ValueError: a size is below 1.
        TypeError: a size is not an int.

    Example:
        >>> structure = LPHM(n=96, p=8, q=8, r=4)
        >>> structure.to_dense(torch.randn(structure.num_parameters)).shape
        torch.Size([96, 96])
    """

    n: int
    columns: int | None = None
    name: ClassVar[str]

    def __init_subclass__(cls, **arguments: Any) -> None:
        super().__init_subclass__(**arguments)
        if "__repr__" not in vars(cls):  # then @dataclass would write one that shows columns=None
            type.__setattr__(cls, "__repr__", Structure.__repr__)

    def __post_init__(self) -> None:
        self._take(require_positive(**self._given))

    @property
    def _given(self) -> dict[str, Any]:
        """The fields, without ``columns`` where ``W`` is square."""
        values = {field.name: getattr(self, field.name) for field in fields(self)}
        return {name: value for name, value in values.items() if name != "columns" or value is not None}

    def _take(self, sizes: dict[str, int]) -> None:
        """Keep the sizes as they were checked: Python's own ints, so that the configuration is JSON."""
        for name, size in sizes.items():
            object.__setattr__(self, name, size)
        if self.columns == self.n:
            object.__setattr__(self, "columns", None)

    def __repr__(self) -> str:
        sizes = ", ".join(f"{name}={value!r}" for name, value in self._given.items())
        return f"{type(self).__qualname__}({sizes})"

    @property
    def shape(self) -> tuple[int, int]:
        """Rows and columns of ``W``."""
        return self.n, self.n if self.columns is None else self.columns

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
        """Factors ``(C, *shape)`` to ``W`` ``(C, n, columns)``.

        By default from the pair: ``leftᵀ right`` of identity matrices in place of ``X`` and ``Y``.
        """
        x, y = self._identities(factors[0])
        left, right = self.pair_from_factors(factors, x, y)  # (1, C or 1, K, n), (1, C or 1, K, columns)
        return (left.mT @ right).squeeze(0)

    def pair_from_factors(self, factors: Factors, x: Tensor, y: Tensor) -> tuple[Tensor, Tensor]:
        """``left`` of ``x`` and ``right`` of ``y`` with ``leftᵀ right = xᵀ W y``; factors ``(C, *shape)``.

        ``x`` is ``(N, n, k)`` and ``left`` ``(N, C or 1, K, k)``, linear in it; ``y`` is ``(N, columns, l)``
        and ``right`` ``(N, C or 1, K, l)``, linear in it. With one set of data, ``y`` is ``x`` itself.
        Both may have fewer rows: missing rows count as zeros, and ``K`` may be smaller. By default from the
        dense form: ``left, right = x, W y``.
        """
        return dense_pair(self.dense_from_factors(factors)[:, : x.shape[1], : y.shape[1]], x, y)

    # What a structure may give: the cost of its pair.

    @property
    def middle(self) -> int:
        """``K``, the number of rows of ``left`` and ``right``; ``n`` where there is no thin middle."""
        return self.n

    def projection_flops(self, k: int) -> int:
        """Floating-point operations of ``project`` for one ``(n, k)`` and one ``(columns, k)`` matrix."""
        return 2 * math.prod(self.shape) * k

    # What follows.

    def dense(self, factors: Factors) -> Tensor:
        """``W`` ``(C, n, columns)`` as the class states it last; see ``dense_from_factors``."""
        if stated_last(type(self)) == "pair":
            return Structure.dense_from_factors(self, factors)
        return self.dense_from_factors(factors)

    def pair(self, factors: Factors, x: Tensor, y: Tensor | None = None) -> tuple[Tensor, Tensor]:
        """``left, right`` of ``x`` and ``y``, or of ``x`` alone; see ``pair_from_factors``."""
        y = x if y is None else y
        if stated_last(type(self)) == "dense":
            return Structure.pair_from_factors(self, factors, x, y)
        return self.pair_from_factors(factors, x, y)

    def maps(self, w: Tensor) -> tuple[Tensor, Tensor]:
        """The matrices ``F`` and ``G`` of the pair, ``left_c = F[c] x`` and ``right_c = G[c] y``.

        Shape:
            ``w`` ``(C, l)``; ``F`` ``(C, K, n)``; ``G`` ``(C, K, columns)``.
        """
        left, right = self.pair(self.unpack(w), *self._identities(w))  # (1, C or 1, K, n or columns)
        return left.expand(1, len(w), -1, -1).squeeze(0), right.expand(1, len(w), -1, -1).squeeze(0)

    def _identities(self, like: Tensor) -> tuple[Tensor, Tensor]:
        """``(1, n, n)`` and ``(1, columns, columns)``, one tensor where ``W`` is square."""
        x = torch.eye(self.n, dtype=like.dtype, device=like.device).unsqueeze(0)
        if self.columns is None:
            return x, x
        return x, torch.eye(self.columns, dtype=like.dtype, device=like.device).unsqueeze(0)

    @property
    def num_parameters(self) -> int:
        """``l``, the length of the parameter vector."""
        return sum(math.prod(shape) for shape in self.factor_shapes.values())

    @property
    def dense_flops(self) -> float:
        """Floating-point operations of ``to_dense``."""
        entries = math.prod(self.shape)
        return 0 if self.num_parameters == entries else 2 * entries * self.terms

    def to_config(self) -> dict[str, Any]:
        """The structure as JSON-serialisable values; ``lphm.structures.from_config`` reads them."""
        return {"name": self.name, **self._given}

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
            ``w`` ``(*, l)``; ``W`` ``(*, n, columns)``.
        """
        self.check_parameters(w)
        factors = self.unpack(w.reshape(-1, self.num_parameters))
        return self.dense(factors).reshape(*w.shape[:-1], *self.shape)

    def project(self, w: Tensor, x: Tensor, y: Tensor | None = None) -> tuple[Tensor, Tensor]:
        """The pair with ``Xᵀ W Y = leftᵀ right``; ``Y = X`` if it is not given.

        Shape:
            ``w`` ``(l,)`` or ``(channels, l)``; ``x`` ``(*batch, n, k)``; ``y`` ``(*batch, columns, k')``;
            ``left`` ``(*batch, K, k)`` or ``(*batch, channels, K, k)``, ``right`` the same with ``k'``, where
            ``K = structure.middle``.
        """
        self.check_parameters(w)
        if w.dim() > 2:
            raise ValueError(f"w must be (l,) or (channels, l), got {tuple(w.shape)}; use torch.func.vmap")
        if x.dim() < 2 or x.shape[-2] != self.n:
            raise ValueError(f"x must be (*batch, {self.n}, k), n={self.n} rows, got shape {tuple(x.shape)}")
        columns, other = self.shape[1], x if y is None else y
        if other.shape[:-2] != x.shape[:-2] or other.dim() < 2 or other.shape[-2] != columns:
            got = f"none for a W of {self.n} x {columns}" if y is None else f"shape {tuple(y.shape)}"
            must = ", ".join([*map(str, x.shape[:-2]), str(columns), "k"])
            raise ValueError(f"y must be ({must}), columns={columns} rows in the batch of x, got {got}")
        batch, given = (*x.shape[:-2], *w.shape[:-1]), flatten_batch(x)
        pair = self.pair(
            self.unpack(w.reshape(-1, self.num_parameters)), given, given if y is None else flatten_batch(y)
        )
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


def dense_pair(W: Tensor, x: Tensor, y: Tensor) -> tuple[Tensor, Tensor]:
    """``x, W y`` for ``W`` ``(C, n, j)`` and ``y`` ``(N, j, l)``: ``(N, 1, n, k)`` and ``(N, C, n, l)``."""
    (N, j, l), (C, n, _) = y.shape, W.shape
    if is_transpose(y):  # one product for all samples as well
        right = y.mT.reshape(N * l, j) @ W.reshape(C * n, j).mT
        return x.unsqueeze(1), right.view(N, l, C, n).permute(0, 2, 3, 1)
    right = W.flatten(0, 1).expand(N, -1, -1).bmm(y)  # (N, C n, l): one product for all channels
    return x.unsqueeze(1), right.view(N, C, n, l)
