"""What is done with a structure and data: ``xi``, and ``xi`` applied.

The core knows one orientation. ``x`` is ``(N, n, k)`` and ``xi = xᵀ W x`` is ``(k, k)``; ``data`` is
``(N, d, k)`` and the result ``data @ xi``. The attribute kind is this with ``X``, the instance kind
with ``Xᵀ``: ``xiᵀ D = (Dᵀ xi)ᵀ``. The functions at the end of the file turn one into the other.
"""

import torch
from torch import Tensor
from torch.nn import functional as F

from lphm.arguments import Kind, Normalize, check_arguments
from lphm.fused import Order, apply_to_itself, can_apply_to_itself, compose, product
from lphm.structures.base import Structure, dense_pair, flatten_batch

__all__ = [
    "Kind",
    "Normalize",
    "Order",
    "choose_order",
    "interdependence_apply",
    "interdependence_grouped",
    "interdependence_matrix",
]

#: W may be formed for n > k up to this size: below it the cost of a call is the number of operators.
TINY = 64
#: What a flop of a projection through thin blocks costs, in flops of a wide product.
THIN_FLOP = 8


def choose_order(structure: Structure, samples: int, k: int, d: int) -> Order:
    """The cheapest order, by counted flops; ``DENSE`` only where ``W`` is no larger than the data.

    Args:
        structure: what ``W`` is.
        samples: matrices ``x`` that share one ``W``.
        k: columns of ``x`` in the core's orientation; rows and columns of ``xi``.
        d: rows of ``data`` in the core's orientation.
    """
    n, K = structure.n, structure.middle
    project = THIN_FLOP * samples * structure.projection_flops(k)
    matrix = project + samples * 2 * k * k * (K + d)
    factored = project + samples * 4 * d * k * K
    dense = structure.dense_flops + samples * 2 * d * n * (2 * k + n)
    # Plain comparisons: where a size is a symbol, torch.compile turns each into a guard.
    if n <= max(k, TINY) and dense <= matrix and dense <= factored:
        return Order.DENSE
    return Order.MATRIX if matrix <= factored else Order.FACTORED


def _samples(x: Tensor) -> int:
    """``N`` of ``x`` ``(N, n, k)``; 1 in a graph that is being traced, for it has to serve any ``N``."""
    return 1 if torch.compiler.is_compiling() else x.shape[0]


def _thin_pair(structure: Structure, w: Tensor, x: Tensor) -> tuple[Tensor, Tensor]:
    """``left, right`` with ``xᵀ W x = leftᵀ right``: ``(N, C or 1, K, k)`` each.

    ``left, right = x, W x`` is such a pair as well, and the cheaper one where ``n`` is small.
    """
    n, k, K, samples, rows = structure.n, x.shape[2], structure.middle, _samples(x), x.shape[1]
    thin = samples * (THIN_FLOP * structure.projection_flops(k) + 2 * k * k * K)
    dense = structure.dense_flops + samples * 2 * k * n * (n + k)
    if dense < thin and n <= max(k, TINY):
        return dense_pair(structure.to_dense(w)[:, :rows, :rows], x)
    return structure._project(structure.unpack(w), x)


def _matrix(structure: Structure, w: Tensor, x: Tensor, normalize: Normalize) -> Tensor:
    """``xi`` ``(N, C, k, k)`` from ``w`` ``(C, l)`` and ``x`` ``(N, n, k)``."""
    left, right = _thin_pair(structure, w, x)
    xi = product(left.mT, right)
    if normalize == "scale":
        return xi / structure.n
    if normalize == "softmax":
        return xi.softmax(dim=-2)
    return normalize(xi) if callable(normalize) else xi


def _apply(
    structure: Structure, w: Tensor, x: Tensor, data: Tensor, normalize: Normalize, itself: bool
) -> Tensor:
    """``data @ xi`` ``(N, C, d, k)`` from ``(C, l)``, ``(N, n, k)`` and ``data`` ``(N, C or 1, d, k)``.

    ``itself``: ``data`` is ``x``, in one group or in as many as there are channels.
    """
    k, d = x.shape[-1], data.shape[-2]
    if normalize == "softmax" and k > d:
        return _attend(*_thin_pair(structure, w, x), data)
    if normalize not in (None, "scale"):
        return product(data, _matrix(structure, w, x, normalize))
    if normalize == "scale":
        w = _scaled(structure, w, 1 / structure.n)
    order = choose_order(structure, _samples(x), k, d)
    if itself and can_apply_to_itself(structure, order, x):
        return apply_to_itself(structure, order, data.shape[1], w, x)
    return compose(structure, order, w, x, data)


def _scaled(structure: Structure, w: Tensor, factor: float) -> Tensor:
    """``w`` of ``factor · W``: every structure is linear in each of its factors, so one is scaled."""
    first, *others = structure.unpack(w)
    return structure.pack(first * factor, *others)


def _attend(left: Tensor, right: Tensor, data: Tensor) -> Tensor:
    """``data @ softmax(leftᵀ right, dim=-2)`` as attention: query ``right``, key ``left``, value ``data``.

    ``xi`` (``k x k``) is never formed. The fused CPU kernel runs only when query, key and value are
    equally wide and contiguous in their rows; without it torch forms ``xi`` after all.
    """
    (N, _, K, _), d = right.shape, data.shape[-2]
    C = max(left.shape[1], right.shape[1], data.shape[1])
    query, key, value = (_rows(side, max(K, d)).expand(N, C, -1, -1) for side in (right, left, data))
    out = F.scaled_dot_product_attention(query, key, value, scale=1.0)  # (N, C, k, width)
    return out[..., :d].mT


def _rows(side: Tensor, width: int) -> Tensor:
    """``sideᵀ`` with zero columns up to ``width``, which change neither products nor sums."""
    missing = width - side.shape[-2]
    return (F.pad(side.mT, (0, missing)) if missing else side.mT).contiguous()


# The public functions: shapes checked, oriented, and brought back.


def interdependence_matrix(
    structure: Structure,
    w: Tensor,
    x: Tensor,
    kind: Kind = "attribute",
    normalize: Normalize = None,
    *,
    partial: bool = False,
) -> Tensor:
    r"""The interdependence matrix ``xi(X | w)``.

        attribute:  xi = Xᵀ W X   (m x m)        instance:  xi = X W Xᵀ   (b x b)

    Shape:
        ``w`` ``(l,)`` or ``(channels, l)``; ``x`` ``(*batch, b, m)``; ``xi`` ``(*batch, k, k)`` or
        ``(*batch, channels, k, k)``, ``k = m`` for the attribute kind, ``b`` for the instance kind.

    Args:
        structure: what ``W`` is; its ``n`` is ``b`` for the attribute kind, ``m`` for the instance kind.
        w: parameters.
        x: data.
        kind: ``"attribute"`` (columns influence columns) or ``"instance"`` (rows influence rows).
        normalize: ``None``; ``"scale"``, ``xi / n``; ``"softmax"`` over dim -2, the index that is
            summed when ``xi`` is applied; or a callable on ``xi``.
        partial: let ``x`` have fewer than ``n`` rows (attribute) or columns (instance). The missing ones
            at its end count as zeros, so ``xi`` uses the leading part of ``W``; nothing is padded.

    Raises:
        ValueError: a shape does not fit, or ``kind`` or ``normalize`` is unknown.
        TypeError: ``w`` or ``x`` is not floating point, or they differ in type or device.

    Example:
        >>> structure = LPHM(n=96, p=8, q=8, r=4)
        >>> interdependence_matrix(structure, torch.randn(160), torch.randn(32, 96, 7)).shape
        torch.Size([32, 7, 7])

    Reference:
        RPN 2 (Zhang, 2024, arXiv:2411.11162), bilinear interdependence functions.
    """
    check_arguments(structure, w, x, kind, normalize, partial=partial)
    xi = _matrix(structure, *_flat(structure, w, x, kind), normalize)
    return xi.reshape(*x.shape[:-2], *w.shape[:-1], *xi.shape[-2:])


def interdependence_apply(
    structure: Structure,
    w: Tensor,
    x: Tensor,
    data: Tensor | None = None,
    kind: Kind = "attribute",
    normalize: Normalize = None,
    *,
    partial: bool = False,
) -> Tensor:
    r"""``xi(X | w)`` applied to ``D``: ``D @ xi`` (attribute) or ``xiᵀ @ D`` (instance).

    The order with the fewest counted flops is taken: through ``xi``, past it, or with ``W`` formed, the
    last only for ``n <= max(k, 64)``. A callable ``normalize`` always sees ``xi``. LPHM costs
    ``4 n k r + 2 p q r k`` flops for the thin pair and ``2 k² (K + d)`` or ``4 d k K`` for the rest
    (``d`` rows of ``D``, ``K = r min(p, q)``).

    Shape:
        ``w`` ``(l,)`` or ``(channels, l)``; ``x`` ``(*batch, b, m)``; ``data`` ``(*batch, b', m)`` for
        the attribute kind, ``(*batch, b, m')`` for the instance kind; the result has the shape of
        ``data``, with ``channels`` before its last two dimensions if ``w`` has them.

    Args:
        structure: what ``W`` is.
        w: parameters.
        x: data that ``xi`` is computed from.
        data: data that ``xi`` is applied to (``kappa_x`` in RPN); ``x`` if not given.
        kind: ``"attribute"`` or ``"instance"``.
        normalize: as for ``interdependence_matrix``. With ``"softmax"`` every output is a convex
            combination of columns (attribute) or rows (instance) of ``data``, computed as attention.
        partial: as for ``interdependence_matrix``.

    Raises:
        ValueError: a shape does not fit, or ``kind`` or ``normalize`` is unknown.
        TypeError: a tensor is not floating point, or they differ in type or device.

    Example:
        >>> structure = LPHM(n=96, p=8, q=8, r=4)
        >>> interdependence_apply(structure, torch.randn(160), torch.randn(32, 96, 7)).shape
        torch.Size([32, 96, 7])

    Reference:
        RPN 2 (Zhang, 2024, arXiv:2411.11162), bilinear interdependence functions.
    """
    data = x if data is None else data
    check_arguments(structure, w, x, kind, normalize, data, partial)
    parameters, rows = _flat(structure, w, x, kind)
    target = flatten_batch(_orient(data, kind)).unsqueeze(1)  # (N, 1, d, k)
    out = _orient(_apply(structure, parameters, rows, target, normalize, data is x), kind)
    return out.reshape(*x.shape[:-2], *w.shape[:-1], *data.shape[-2:])


def interdependence_grouped(
    structure: Structure,
    w: Tensor,
    x: Tensor,
    data: Tensor | None = None,
    kind: Kind = "attribute",
    normalize: Normalize = None,
    *,
    partial: bool = False,
) -> Tensor:
    """Channels as attention heads: group ``c`` of ``data`` is mixed by ``xi_c``, and all are put together.

    ``data`` is split into ``channels`` equal groups along the dimension that ``xi`` does not mix: rows
    for the attribute kind, columns for the instance kind. Each ``xi_c`` is computed from all of ``x``.

    Shape:
        ``w`` ``(channels, l)``; ``x`` and ``data`` as for ``interdependence_apply``; the result has the
        shape of ``data``.

    Raises:
        ValueError: as ``interdependence_apply``, and if ``channels`` does not divide that dimension.
        TypeError: as ``interdependence_apply``.
    """
    data = x if data is None else data
    check_arguments(structure, w, x, kind, normalize, data, partial)
    parameters, rows = _flat(structure, w, x, kind)
    target = flatten_batch(_orient(data, kind))  # (N, d, k)
    channels, d = parameters.shape[0], target.shape[1]
    if d % channels:
        what = "rows" if kind == "attribute" else "columns"
        raise ValueError(f"channels must divide the {what} of data, got channels={channels}, {what}={d}")
    groups = torch.unflatten(target, 1, (channels, d // channels))  # (N, C, d / C, k)
    out = _apply(structure, parameters, rows, groups, normalize, data is x).flatten(1, 2)  # (N, d, k)
    return _orient(out, kind).reshape(data.shape)


def _orient(x: Tensor, kind: Kind) -> Tensor:
    """To the core's orientation, and back: the instance kind is the attribute kind on the transpose."""
    return x if kind == "attribute" else x.mT


def _flat(structure: Structure, w: Tensor, x: Tensor, kind: Kind) -> tuple[Tensor, Tensor]:
    """``w`` as ``(C, l)`` and ``x`` as ``(N, n, k)``."""
    return w.reshape(-1, structure.num_parameters), flatten_batch(_orient(x, kind))
