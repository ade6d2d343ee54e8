"""The public functions: ``xi``, and ``xi`` applied.

The core knows one orientation. ``x`` is ``(N, n, k)``, ``y`` is ``x`` or ``(N, columns, k')``, and
``xi = xᵀ W y`` is ``(k, k')``; ``data`` is ``(N, d, k)`` and the result ``data @ xi``. The attribute kind is
this with ``X`` and ``Y``, the instance kind with ``Xᵀ`` and ``Yᵀ``: ``xiᵀ D = (Dᵀ xi)ᵀ``.
"""

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
    y: Tensor | None = None,
    partial: bool = False,
    mask: Tensor | None = None,
    causal: bool = False,
) -> Tensor:
    r"""The interdependence matrix ``xi(X | w)``, or ``xi(X, Y | w)`` of two sets of data.

        attribute:  xi = Xᵀ W X   (m x m)        instance:  xi = X W Xᵀ   (b x b)
                    xi = Xᵀ W Y   (m x m')                  xi = X W Yᵀ   (b x b')

    Shape:
        ``w`` ``(l,)`` or ``(channels, l)``; ``x`` ``(*batch, b, m)``; ``y`` ``(*batch, b', m')``; ``xi``
        ``(*batch, k, k')`` or ``(*batch, channels, k, k')``, ``k = m`` for the attribute kind, ``b`` for the
        instance kind, and ``k'`` the same of ``y``, or ``k`` without ``y``.

    Args:
        structure: what ``W`` is; its ``n`` is ``b`` for the attribute kind, ``m`` for the instance kind, and
            its ``columns`` are the same of ``y``.
        w: parameters.
        x: data.
        kind: ``"attribute"`` (columns influence columns) or ``"instance"`` (rows influence rows).
        normalize: ``None``; ``"scale"``, ``xi / n``, or ``xi / √(n columns)`` for a rectangular ``W``;
            ``"softmax"`` over dim -2, the index that is summed when ``xi`` is applied; or a callable on
            ``xi``.
        y: the second set of data; ``x`` if not given, which needs a square ``W``.
        partial: let ``x`` have fewer than ``n`` rows (attribute) or columns (instance), and ``y`` fewer than
            ``columns``. The missing ones at the end count as zeros, so ``xi`` uses the leading part of ``W``;
            nothing is padded.
        mask: with ``"softmax"``, what may be looked at, by ``True``. ``(*batch, k)``: which rows of ``x``
            (columns for the attribute kind) take part in any output. ``(*batch, k', k)``: ``mask[i, j]``
            says whether output ``i`` may look at ``j``, as in ``scaled_dot_product_attention``; that is
            the entry ``xi[j, i]``, for ``j`` is the index that is summed. Leading dimensions may be 1.
            What is hidden is zero in ``xi``; where an output may look at nothing, the whole column is. A row
            that is hidden from all outputs has no effect, whatever numbers it holds: a mask ``(*batch, k)``
            makes it zeros, so that its own output weighs all that is seen alike.
        causal: with ``"softmax"`` and the instance kind, output ``i`` looks at rows ``j <= i`` only.

    Raises:
        ValueError: a shape does not fit, a rectangular ``W`` has no ``y``, ``kind`` or ``normalize`` is
            unknown, or does not go with ``mask`` or ``causal``.
        TypeError: ``w``, ``x`` or ``y`` is not floating point, they differ in type or device, or ``mask`` is
            not boolean.

    Example:
        >>> structure = LPHM(n=96, p=8, q=8, r=4)
        >>> interdependence_matrix(structure, torch.randn(160), torch.randn(32, 96, 7)).shape
        torch.Size([32, 7, 7])

    Reference:
        RPN 2 (Zhang, 2024, arXiv:2411.11162), bilinear interdependence functions.
    """
    if mask is None and not causal and y is None:
        xi = try_fused_matrix(structure, w, x, kind, normalize)
        if xi is not None:
            return xi
    check_arguments(structure, w, x, kind, normalize, partial=partial, mask=mask, causal=causal, y=y)
    vectors, (rows, others) = w.reshape(-1, structure.num_parameters), _both_sets(structure, x, y, kind)
    if mask is not None:
        pairs, mask = mask.dim() == x.dim(), flatten_mask(mask, x.shape[:-2])
        rows, others = clear_unused(rows, others, mask, pairs)
    pair = cheaper_pair(structure, vectors, rows, others, scale_of(structure, normalize))
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
    y: Tensor | None = None,
    partial: bool = False,
    mask: Tensor | None = None,
    causal: bool = False,
) -> Tensor:
    r"""``xi(X | w)`` or ``xi(X, Y | w)`` applied to ``D``: ``D @ xi`` (attribute) or ``xiᵀ @ D`` (instance).

    With ``y`` the instance kind is cross-attention: every row of ``Y`` gets one output, which sums rows of
    ``D``.

    The order with the fewest counted flops is taken: through ``xi``, past it, or with ``W`` formed, the
    last only for ``n <= max(k, 64)``. A callable ``normalize`` always sees ``xi``. LPHM costs
    ``4 n k r + 2 p q r k`` flops for the thin pair and ``2 k² (K + d)`` or ``4 d k K`` for the rest
    (``d`` rows of ``D``, ``K = r min(p, q)``).

    Shape:
        ``w`` ``(l,)`` or ``(channels, l)``; ``x`` ``(*batch, b, m)``; ``data`` ``(*batch, d, m)`` for
        the attribute kind, ``(*batch, b, d)`` for the instance kind; the result has the shape of
        ``data``, with ``channels`` before its last two dimensions if ``w`` has them. With ``y``
        ``(*batch, b', m')`` it has ``m'`` columns in place of ``m``, or ``b'`` rows in place of ``b``.

    Args:
        structure: what ``W`` is.
        w: parameters.
        x: data that ``xi`` is computed from.
        data: data that ``xi`` is applied to (``kappa_x`` in RPN); ``x`` if not given.
        kind: ``"attribute"`` or ``"instance"``.
        y: as for ``interdependence_matrix``.
        normalize: as for ``interdependence_matrix``. With ``"softmax"`` every output is a convex
            combination of columns (attribute) or rows (instance) of ``data``, computed as attention
            unless ``xi`` is small.
        partial: as for ``interdependence_matrix``.
        mask: as for ``interdependence_matrix``. An output that may look at nothing is zero.
        causal: as for ``interdependence_matrix``. Like a mask of ``(*batch, k)``, it costs no ``k x k``.

    Raises:
        ValueError: as ``interdependence_matrix``.
        TypeError: as ``interdependence_matrix``.

    Example:
        >>> structure = LPHM(n=96, p=8, q=8, r=4)
        >>> interdependence_apply(structure, torch.randn(160), torch.randn(32, 96, 7)).shape
        torch.Size([32, 96, 7])

    Reference:
        RPN 2 (Zhang, 2024, arXiv:2411.11162), bilinear interdependence functions.
    """
    if (data is None or data is x) and mask is None and not causal and y is None:
        out = try_fused_apply(structure, w, x, kind, normalize, False)
        if out is not None:
            return out if w.dim() == 1 else out.unsqueeze(-3)
    data = x if data is None else data
    check_arguments(structure, w, x, kind, normalize, data, partial, mask, causal, y)
    rows = _split(data, kind, 1)  # (N, 1, d, k)
    out = orient(_apply(structure, w, x, y, rows, kind, normalize, mask, causal), kind)
    shape = *x.shape[:-2], *w.shape[:-1], *out.shape[-2:]
    return out.reshape(shape).contiguous()  # in memory as the output of nn.Linear


def interdependence_grouped(
    structure: Structure,
    w: Tensor,
    x: Tensor,
    data: Tensor | None = None,
    kind: Kind = "attribute",
    normalize: Normalize = None,
    *,
    y: Tensor | None = None,
    partial: bool = False,
    mask: Tensor | None = None,
    causal: bool = False,
) -> Tensor:
    """``interdependence_apply`` with channels as attention heads, as ``lphm.BilinearInterdependence`` does.

    ``data`` is split into ``channels`` equal groups along the dimension that ``xi`` does not mix (rows for
    the attribute kind, columns for the instance kind); ``xi_c``, computed from all of ``x``, mixes group
    ``c``, and the groups are put together again.

    Shape:
        as ``interdependence_apply``; the result has no dimension for the channels.

    Raises:
        ValueError: as ``interdependence_apply``, or ``channels`` do not divide ``data`` into groups.
        TypeError: as ``interdependence_apply``.
    """
    if (data is None or data is x) and mask is None and not causal and y is None:
        out = try_fused_apply(structure, w, x, kind, normalize, True)
        if out is not None:
            return out
    data = x if data is None else data
    check_arguments(structure, w, x, kind, normalize, data, partial, mask, causal, y)
    groups = _split(data, kind, w.shape[:-1].numel())  # (N, C, d, k)
    return _join(_apply(structure, w, x, y, groups, kind, normalize, mask, causal), kind, data)


def apply_grouped(xi: Tensor, data: Tensor, kind: Kind) -> Tensor:
    """Group ``c`` of ``data`` mixed by ``xi_c``: ``xi`` ``(*batch, C, k, k)``, or ``(C, k, k)`` for all."""
    groups = _split(data, kind, xi.shape[-3])  # (N, C, d, k)
    xi = xi.reshape(-1, *xi.shape[-3:])  # (1 or N, C, k, k)
    return _join(torch.einsum("...cdk,...ckl->...cdl", groups, xi), kind, data)


def _both_sets(structure: Structure, x: Tensor, y: Tensor | None, kind: Kind) -> tuple[Tensor, Tensor]:
    """``x`` and ``y`` in the core's orientation, ``(N, n, k)`` and ``(N, columns, k')``, or ``x`` twice."""
    n, columns = structure.shape
    rows = _rows(x, kind, n)
    return rows, rows if y is None else _rows(y, kind, columns)


def _rows(x: Tensor, kind: Kind, n: int) -> Tensor:
    """One set in the core's orientation; up to ``n`` by zero rows where a symbol counts them."""
    rows = flatten_batch(orient(x, kind))
    return F.pad(rows, (0, 0, 0, n - rows.shape[1])) if is_symbol(rows.shape[1]) else rows


def _split(data: Tensor, kind: Kind, channels: int) -> Tensor:
    """``data`` in the core's orientation, ``(N, C, d, k)``: its rows in ``C`` groups."""
    rows = flatten_batch(orient(data, kind))
    d = rows.shape[1]
    if d % channels:
        what = "rows" if kind == "attribute" else "columns"
        raise ValueError(f"channels must divide the {what} of data, got channels={channels}, {what}={d}")
    return torch.unflatten(rows, 1, (channels, d // channels))


def _join(out: Tensor, kind: Kind, data: Tensor) -> Tensor:
    """Groups ``(N, C, d, k')`` put together in the shape of ``data``, but with ``k'`` for ``k``."""
    if kind == "attribute":
        return out.reshape(*data.shape[:-1], out.shape[3]).contiguous()
    return out.permute(0, 3, 1, 2).reshape(*data.shape[:-2], out.shape[3], data.shape[-1]).contiguous()


def _apply(
    structure: Structure,
    w: Tensor,
    x: Tensor,
    y: Tensor | None,
    data: Tensor,
    kind: Kind,
    normalize: Normalize,
    mask: Tensor | None,
    causal: bool,
) -> Tensor:
    """``data @ xi`` ``(N, C, d, k')``; ``data`` is ``(N, C or 1, d, k)``, the rest as the user gives it."""
    w, (rows, others) = w.reshape(-1, structure.num_parameters), _both_sets(structure, x, y, kind)
    if mask is not None:
        pairs, mask = mask.dim() == x.dim(), flatten_mask(mask, x.shape[:-2])
        rows, others = clear_unused(rows, others, mask, pairs)
        data = clear_unseen(data, mask)
    k, d = others.shape[-1], data.shape[-2]
    if normalize is None or normalize == "scale":
        order = choose_order(structure, count_samples(rows), rows.shape[-1], d, columns=k)
        return compose(structure, order, w, rows, data, scale_of(structure, normalize), others)
    if normalize == "softmax" and counted(k) > counted(d):
        return attend(*cheaper_pair(structure, w, rows, others, width=d), data, mask, causal)
    pair = cheaper_pair(structure, w, rows, others)
    return product(data, normalized_matrix(*pair, normalize, mask, causal))


def normalized_matrix(
    left: Tensor, right: Tensor, normalize: Normalize, mask: Tensor | None = None, causal: bool = False
) -> Tensor:
    """``xi`` ``(N, C, k, k')`` from a pair ``(N, C or 1, K, k or k')`` that is scaled already."""
    return normalized(product(left.mT, right), normalize, mask, causal)


def normalized(xi: Tensor, normalize: Normalize, mask: Tensor | None = None, causal: bool = False) -> Tensor:
    """``xi`` ``(N, C, k, k')``, scaled already, after its post-processing."""
    if normalize == "softmax":
        return masked_softmax(xi, mask, causal)
    return normalize(xi) if callable(normalize) else xi
