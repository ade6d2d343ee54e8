"""What every structure of W shares: a validated value, and the way from a vector to its factors.

A structure holds no tensors. It knows the size ``n`` of ``W``, the shapes of the factors that lie
one after another in the parameter vector ``w``, and two maps from factors to tensors: the dense
``W``, and the pair ``left, right`` with ``Xᵀ W X = leftᵀ right``.
"""

import math
from abc import ABC, abstractmethod
from collections.abc import Callable
from dataclasses import asdict, dataclass
from typing import Any, ClassVar

import torch
from torch import Tensor

from lphm.errors import require_positive

Factors = tuple[Tensor, ...]

_DENSE = ("_dense_one", "_dense_keeping", "_dense_backward")
_THIN = ("_project_one", "_project_backward")
#: What a structure states, and the short ways that hold only for it.
SHORTCUTS = {
    **dict.fromkeys(("_project", "_block_factors", "_join"), _THIN),
    **dict.fromkeys(("_dense", "_kronecker"), _DENSE),
    "factor_shapes": _THIN + _DENSE,
}


@dataclass(frozen=True, kw_only=True)
class Structure(ABC):
    """The shape of an ``n x n`` matrix ``W`` that is made from a parameter vector ``w``.

    A new structure gives five things: ``factor_shapes``, ``terms``, ``middle``, ``_dense`` and
    ``_project`` (with its cost, ``projection_flops``). Everything else follows from them;
    ``docs/structures.md`` works one out.

    Args:
        n: rows and columns of ``W``; the rows ``b`` of ``X`` for the attribute kind, its columns
            ``m`` for the instance kind.
    """

    n: int
    name: ClassVar[str]

    def __init_subclass__(cls, **arguments: Any) -> None:
        """A class that says anew what ``W`` is does not inherit the short ways to what it was."""
        super().__init_subclass__(**arguments)
        for stated, shortcuts in SHORTCUTS.items():
            for name in shortcuts if stated in cls.__dict__ else ():
                if name not in cls.__dict__:
                    setattr(cls, name, Structure.__dict__[name])

    def __post_init__(self) -> None:
        require_positive(**asdict(self))

    # What a structure states about itself.

    @property
    @abstractmethod
    def factor_shapes(self) -> dict[str, tuple[int, ...]]:
        """Shape of each factor, by its letter, in the order in which it lies in ``w``."""

    @property
    @abstractmethod
    def terms(self) -> float:
        """Number of products of factor entries that are summed in one entry of ``W``, on average."""

    @property
    @abstractmethod
    def middle(self) -> int:
        """``K``, the number of rows of ``left`` and ``right``."""

    @abstractmethod
    def projection_flops(self, k: int) -> int:
        """Floating-point operations of ``project`` for one ``(n, k)`` matrix."""

    @abstractmethod
    def _dense(self, *factors: Tensor) -> Tensor:
        """Factors ``(C, *shape)`` to ``W`` ``(C, n, n)``."""

    @abstractmethod
    def _project(self, factors: Factors, x: Tensor) -> tuple[Tensor, Tensor]:
        """Factors ``(C, *shape)`` and ``x`` ``(N, rows, k)`` to ``left, right`` ``(N, C or 1, K, k)``.

        ``rows`` is ``n``, or fewer for a partial ``x``: the rest counts as zeros, and ``K`` may be less.
        """

    # What a structure may state as well, for the price of a call: one sample and one channel.

    def _dense_one(self, w: Tensor) -> Tensor:
        """``W`` ``(n, n)`` of ``w`` ``(l,)``."""
        return self.to_dense(w)

    def _project_one(self, w: Tensor, x: Tensor) -> tuple[Tensor, Tensor]:
        """``left, right`` ``(K, k)`` of ``w`` ``(l,)`` and ``x`` ``(n, k)``."""
        left, right = self._project(self.unpack(w.unsqueeze(0)), x.unsqueeze(0))
        return left.flatten(0, 2), right.flatten(0, 2)

    # What a structure may state as well, to be differentiated by hand where it is applied to its own data.
    # Whatever differentiates or transforms operators never sees these: they take strides for granted.
    # w, (C, l) or (l,), is contiguous; x (N, n, k) is, or is the transpose of what is.

    _project_keeping: ClassVar[Callable[..., tuple[Tensor, ...]]]
    """``(w, x)`` to ``left, right`` ``(N C, K, k)``, and after them what ``_project_backward`` wants."""

    _project_backward: ClassVar[Callable[..., tuple[Tensor, Tensor | None]] | None] = None
    """``(w, x, dleft, dright, needs_dx, *kept)`` to the gradients of ``w`` and, if wanted, of ``x``."""

    def _dense_keeping(self, w: Tensor) -> tuple[Tensor, ...]:
        """``W`` ``(C, n, n)``, and after it whatever ``_dense_backward`` wants to keep."""
        return (self.to_dense(w.view(-1, self.num_parameters)),)

    def _dense_backward(self, w: Tensor, dW: Tensor, *_kept: Tensor) -> Tensor:
        """The gradient of ``w``, in its shape, from that of ``W`` ``(C, n, n)``."""
        with torch.enable_grad():
            leaf = w.detach().requires_grad_()
            W = self.to_dense(leaf)
            return torch.autograd.grad(W, leaf, dW.view(W.shape))[0]

    # What follows.

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
        got = [tuple(factor.shape) for factor in factors]
        fits = len(got) == len(shapes) and all(
            shape == own[len(own) - len(shape) :] for own, shape in zip(got, shapes.values(), strict=True)
        )
        if not fits:
            must = ", ".join(f"{name} (*, {', '.join(map(str, shape))})" for name, shape in shapes.items())
            raise ValueError(f"factors must be {must}, got shapes {', '.join(map(str, got)) or 'none'}")
        return torch.cat(
            [f.flatten(-len(shape)) for f, shape in zip(factors, shapes.values(), strict=True)], dim=-1
        )

    def to_dense(self, w: Tensor) -> Tensor:
        """``W`` itself. For small ``n``, for tests and for pictures; nothing else forms it.

        Shape:
            ``w`` ``(*, l)``; ``W`` ``(*, n, n)``.
        """
        self.check_parameters(w)
        factors = self.unpack(w.reshape(-1, self.num_parameters))
        return self._dense(*factors).reshape(*w.shape[:-1], self.n, self.n)

    def project(self, w: Tensor, x: Tensor) -> tuple[Tensor, Tensor]:
        """The thin pair with ``Xᵀ W X = leftᵀ right``.

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
        pair = self._project(self.unpack(w.reshape(-1, self.num_parameters)), flatten_batch(x))
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


def flatten_batch(x: Tensor) -> Tensor:
    """``(*batch, i, j)`` to ``(N, i, j)``; works for an empty batch and for none."""
    return x.reshape(math.prod(x.shape[:-2]), *x.shape[-2:])  # Size.numel() would fix an exported batch


def dense_pair(W: Tensor, x: Tensor) -> tuple[Tensor, Tensor]:
    """``x, W x`` for ``W`` ``(C, n, n)`` and ``x`` ``(N, n, k)``: ``(N, 1, n, k), (N, C, n, k)``."""
    (N, n, k), C = x.shape, W.shape[0]
    right = W.flatten(0, 1).expand(N, -1, -1).bmm(x)  # (N, C n, k): one product for all channels
    return x.unsqueeze(1), right.view(N, C, n, k)
