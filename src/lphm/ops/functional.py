"""The public functions: ``xi``, and ``xi`` applied.

The core knows one orientation. ``x`` is ``(N, n, k)`` and ``xi = xᵀ W x`` is ``(k, k)``; ``data`` is
``(N, d, k)`` and the result ``data @ xi``. The attribute kind is this with ``X``, the instance kind
with ``Xᵀ``: ``xiᵀ D = (Dᵀ xi)ᵀ``.
"""

import functools

import torch
from torch import Tensor
from torch.nn import functional as F

from lphm.ops.checks import Kind, Normalize, check_arguments
from lphm.ops.cost import choose_order, count_samples, counted, is_symbol, scale_of
from lphm.ops.dispatch import try_fused_apply, try_fused_matrix
from lphm.ops.reference import cheaper_pair, compose, orient, product
from lphm.ops.softmax import attend, clear_unseen, clear_unused, flatten_mask, masked_softmax
from lphm.structures.base import Structure, flatten_batch


def interdependence_matrix(
    structure: Structure,
    w: Tensor,
    x: Tensor,
    kind: Kind = "attribute",
    normalize: Normalize = None,
    *,
    partial: bool = False,
    mask: Tensor | None = None,
    causal: bool = False,
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
        mask: with ``"softmax"``, what may be looked at, by ``True``. ``(*batch, k)``: which rows of ``x``
            (columns for the attribute kind) take part in any output. ``(*batch, k, k)``: ``mask[i, j]``
            says whether output ``i`` may look at ``j``, as in ``scaled_dot_product_attention``; that is
            the entry ``xi[j, i]``, for ``j`` is the index that is summed. Leading dimensions may be 1.
            What is hidden is zero in ``xi``; where an output may look at nothing, the whole column is. A row
            that is hidden from all outputs has no effect, whatever numbers it holds: a mask ``(*batch, k)``
            makes it zeros, so that its own output weighs all that is seen alike.
        causal: with ``"softmax"`` and the instance kind, output ``i`` looks at rows ``j <= i`` only.

    Raises:
        ValueError: a shape does not fit, ``kind`` or ``normalize`` is unknown, or does not go with ``mask``
            or ``causal``.
        TypeError: ``w`` or ``x`` is not floating point, they differ in type or device, or ``mask`` is not
            boolean.

    Example:
        >>> structure = LPHM(n=96, p=8, q=8, r=4)
        >>> interdependence_matrix(structure, torch.randn(160), torch.randn(32, 96, 7)).shape
        torch.Size([32, 7, 7])

    Reference:
        RPN 2 (Zhang, 2024, arXiv:2411.11162), bilinear interdependence functions.
    """
    if mask is None and not causal:
        xi = try_fused_matrix(structure, w, x, kind, normalize)
        if xi is not None:
            return xi
    check_arguments(structure, w, x, kind, normalize, partial=partial, mask=mask, causal=causal)
    vectors, rows = w.reshape(-1, structure.num_parameters), _rows(structure, x, kind)
    if mask is not None:
        pairs, mask = mask.dim() == x.dim(), flatten_mask(mask, x.shape[:-2])
        rows = clear_unused(rows, mask, pairs)
    pair = cheaper_pair(structure, vectors, rows, scale_of(structure, normalize))
    xi = normalized_matrix(*pair, normalize, mask, causal)
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
    mask: Tensor | None = None,
    causal: bool = False,
    grouped: bool = False,
) -> Tensor:
    r"""The interdependence matrix applied to data ``D``.

        attribute:  D @ xi(X | w)        instance:  xi(X | w)ᵀ @ D

    The order with the fewest counted flops is taken: through ``xi``, past it, or with ``W`` formed, the
    last only for ``n <= max(k, 64)``. A callable ``normalize`` always sees ``xi``. LPHM costs
    ``4 n k r + 2 p q r k`` flops for the thin pair and ``2 k² (K + d)`` or ``4 d k K`` for the rest
    (``d`` rows of ``D``, ``K = r min(p, q)``).

    Shape:
        ``w`` ``(l,)`` or ``(channels, l)``; ``x`` ``(*batch, b, m)``; ``data`` ``(*batch, b', m)`` for
        the attribute kind, ``(*batch, b, m')`` for the instance kind; the result has the shape of
        ``data``, with ``channels`` before its last two dimensions if ``w`` has them and is not ``grouped``.

    Args:
        structure: what ``W`` is.
        w: parameters.
        x: data that ``xi`` is computed from.
        data: data that ``xi`` is applied to (``kappa_x`` in RPN); ``x`` if not given.
        kind: ``"attribute"`` or ``"instance"``.
        normalize: as for ``interdependence_matrix``. With ``"softmax"`` every output is a convex
            combination of columns (attribute) or rows (instance) of ``data``, computed as attention
            unless ``xi`` is small.
        partial: as for ``interdependence_matrix``.
        mask: as for ``interdependence_matrix``. An output that may look at nothing is zero.
        causal: as for ``interdependence_matrix``. Like a mask of ``(*batch, k)``, it costs no ``k x k``.
        grouped: treat channels as attention heads, as ``lphm.BilinearInterdependence`` does. ``data`` is
            split into ``channels`` equal groups along the dimension that ``xi`` does not mix (rows for the
            attribute kind, columns for the instance kind); ``xi_c``, computed from all of ``x``, mixes
            group ``c``, and the groups are put together again.

    Raises:
        ValueError: as ``interdependence_matrix``, or ``channels`` do not divide ``data`` into groups.
        TypeError: as ``interdependence_matrix``.

    Example:
        >>> structure = LPHM(n=96, p=8, q=8, r=4)
        >>> interdependence_apply(structure, torch.randn(160), torch.randn(32, 96, 7)).shape
        torch.Size([32, 96, 7])

    Reference:
        RPN 2 (Zhang, 2024, arXiv:2411.11162), bilinear interdependence functions.
    """
    if (data is None or data is x) and mask is None and not causal:
        out = try_fused_apply(structure, w, x, kind, normalize, grouped)
        if out is not None:
            return out if grouped or w.dim() == 1 else out.unsqueeze(-3)
    data = x if data is None else data
    check_arguments(structure, w, x, kind, normalize, data, partial, mask, causal)
    vectors, rows = w.reshape(-1, structure.num_parameters), _rows(structure, x, kind)
    target = _split(data, kind, len(vectors) if grouped else 1)  # (N, C or 1, d, k)
    if mask is not None:
        pairs, mask = mask.dim() == x.dim(), flatten_mask(mask, x.shape[:-2])
        rows, target = clear_unused(rows, mask, pairs), clear_unseen(target, mask)
    out = _apply_core(structure, vectors, rows, target, normalize, mask, causal)  # (N, C, d, k)
    if grouped:
        return _join(out, kind, data.shape)
    shape = *x.shape[:-2], *w.shape[:-1], *data.shape[-2:]
    return orient(out, kind).reshape(shape).contiguous()  # in memory as the output of nn.Linear


#: ``interdependence_apply`` with channels as attention heads.
interdependence_grouped = functools.partial(interdependence_apply, grouped=True)


def apply_grouped(xi: Tensor, data: Tensor, kind: Kind) -> Tensor:
    """Group ``c`` of ``data`` mixed by ``xi_c``: ``xi`` ``(*batch, C, k, k)``, or ``(C, k, k)`` for all."""
    groups = _split(data, kind, xi.shape[-3])  # (N, C, d, k)
    xi = xi.reshape(-1, *xi.shape[-3:])  # (1 or N, C, k, k)
    return _join(torch.einsum("...cdk,...ckl->...cdl", groups, xi), kind, data.shape)


def _rows(structure: Structure, x: Tensor, kind: Kind) -> Tensor:
    """``x`` in the core's orientation, ``(N, rows, k)``; up to ``n`` by zero rows if a symbol counts them."""
    rows = flatten_batch(orient(x, kind))
    return F.pad(rows, (0, 0, 0, structure.n - rows.shape[1])) if is_symbol(rows.shape[1]) else rows


def _split(data: Tensor, kind: Kind, channels: int) -> Tensor:
    """``data`` in the core's orientation, ``(N, C, d, k)``: its rows in ``C`` groups."""
    rows = flatten_batch(orient(data, kind))
    d = rows.shape[1]
    if d % channels:
        what = "rows" if kind == "attribute" else "columns"
        raise ValueError(f"channels must divide the {what} of data, got channels={channels}, {what}={d}")
    return torch.unflatten(rows, 1, (channels, d // channels))


def _join(out: Tensor, kind: Kind, shape: torch.Size) -> Tensor:
    """Groups ``(N, C, d, k)`` put together in the given shape of ``data``."""
    rows = out if kind == "attribute" else out.permute(0, 3, 1, 2)  # (N, C, d, k) or (N, k, C, d)
    return rows.reshape(shape).contiguous()


def _apply_core(
    structure: Structure,
    w: Tensor,
    x: Tensor,
    data: Tensor,
    normalize: Normalize,
    mask: Tensor | None,
    causal: bool,
) -> Tensor:
    """``data @ xi`` ``(N, C, d, k)`` from ``(C, l)``, ``(N, n, k)`` and ``data`` ``(N, C or 1, d, k)``."""
    k, d = x.shape[-1], data.shape[-2]
    if normalize is None or normalize == "scale":
        order = choose_order(structure, count_samples(x), k, d)
        return compose(structure, order, w, x, data, scale_of(structure, normalize))
    if normalize == "softmax" and counted(k) > counted(d):
        return attend(*cheaper_pair(structure, w, x, width=d), data, mask, causal)
    pair = cheaper_pair(structure, w, x)
    return product(data, normalized_matrix(*pair, normalize, mask, causal))


def normalized_matrix(
    left: Tensor, right: Tensor, normalize: Normalize, mask: Tensor | None = None, causal: bool = False
) -> Tensor:
    """``xi`` ``(N, C, k, k)`` from a pair ``(N, C or 1, K, k)`` that is scaled already."""
    return normalized(product(left.mT, right), normalize, mask, causal)


def normalized(xi: Tensor, normalize: Normalize, mask: Tensor | None = None, causal: bool = False) -> Tensor:
    """``xi`` ``(N, C, k, k)``, scaled already, after its post-processing."""
    if normalize == "softmax":
        return masked_softmax(xi, mask, causal)
    return normalize(xi) if callable(normalize) else xi
