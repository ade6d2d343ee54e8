"""Softmax interdependence: ``xi`` normalised over the index that is summed, as ``xi`` and as attention.

``data @ softmax(leftᵀ right, dim=-2)`` is attention with query ``right``, key ``left`` and value ``data``.
``torch.nn.functional.scaled_dot_product_attention`` applies it without forming ``xi`` (``k x k``), on CPU
only where query, key and value are equally wide and the entries of each row lie side by side in memory;
otherwise torch forms ``xi`` after all, without a word. Small ``xi`` are applied by ``fused_softmax.py``.

A mask is written as attention writes it: ``mask[i, j]`` says whether output ``i`` may look at ``j``, which
is ``xi[j, i]``. An output that may look at nothing is zero, and so are its gradients. What no output may look
at counts as zeros, NaN and infinity included.
"""

import math

import torch
from torch import Tensor
from torch.nn import functional as F

from lphm.ops.checks import autocasts


def masked_softmax(xi: Tensor, mask: Tensor | None, causal: bool) -> Tensor:
    """``softmax(xi, dim=-2)`` ``(N, C, k, k')`` over what ``mask`` and ``causal`` leave to see."""
    if mask is None and not causal:
        return xi.softmax(dim=-2)
    shape = xi.shape[-1], xi.shape[-2]
    hidden = ~_visible(mask, causal, shape, xi.device).mT  # (N or 1, 1, k, k' or 1): [j, i], as xi
    # Finite, so that a column with nothing to see has a softmax, and a gradient, before it is zeroed.
    return xi.masked_fill(hidden, torch.finfo(xi.dtype).min).softmax(dim=-2).masked_fill(hidden, 0)


def attend(left: Tensor, right: Tensor, data: Tensor, mask: Tensor | None, causal: bool) -> Tensor:
    """``data @ softmax(leftᵀ right, dim=-2)`` without ``xi``: query ``right``, key ``left``, value ``data``.

    A full mask and ``causal`` are joined in one mask of its own size. A key mask does not become as large as
    ``xi`` for it: it is one more feature of queries and keys, which leaves ``is_causal`` to torch.

    Flops: ``4 k² max(K, d)`` for a sample and channel, where no kernel needs equal widths ``2 k² (K + d)``.

    Shape:
        ``left`` ``(N, C or 1, K, k)``; ``right`` ``(N, C or 1, K, k')``; ``data`` ``(N, C or 1, d, k)``;
        ``mask`` as ``flatten_mask`` gives it; the result ``(N, C, d, k')``.
    """
    if mask is None:
        return _attention(left, right, data, None, causal)
    inputs, outputs = left.shape[-1], right.shape[-1]
    if mask.shape[-2] == 1 and (inputs == outputs or not causal):
        sees = mask.cumsum(-1) > 0 if causal else mask.any(-1, keepdim=True)  # (N or 1, 1, 1, k or 1)
        out = _attention(*_with_mask_feature(left, right, mask), data, None, causal)
    else:
        mask = _visible(mask, causal, (outputs, inputs), left.device)
        sees = mask.any(-1).unsqueeze(-2)  # (N or 1, 1, 1, k')
        # An output that may look at nothing looks at everything and is zeroed afterwards: kernels differ in
        # what an empty softmax gives.
        out = _attention(clear_unseen(left, mask), right, data, mask | ~sees.mT, False)
    return torch.where(sees, out, 0)


def flatten_mask(mask: Tensor, batch: torch.Size) -> Tensor:
    """``(*batch, k)`` or ``(*batch, k', k)`` as ``(N or 1, 1, 1 or k', k)``, one for all channels."""
    if mask.dim() == len(batch) + 1:
        mask = mask.unsqueeze(-2)
    if all(size == 1 for size in mask.shape[:-2]):
        return mask.reshape(1, 1, *mask.shape[-2:])
    return mask.expand(*batch, -1, -1).reshape(math.prod(batch), 1, *mask.shape[-2:])


def clear_unused(x: Tensor, y: Tensor, mask: Tensor, pairs: bool) -> tuple[Tensor, Tensor]:
    """``x`` ``(N, n, k)`` and ``y`` ``(N, columns, k')`` with zeros where ``mask`` lets them have no effect.

    ``mask`` is as ``flatten_mask`` gives it. Of ``x`` that is what no output looks at, of ``y`` the outputs
    that look at nothing. With one set of data, a mask for each row takes what it hides out altogether, and
    with one of ``pairs`` both must hold: what no output looks at may be the query of its own output.
    """
    seen, sees = mask.any(-2, keepdim=True), mask.any(-1, keepdim=True).mT  # (N or 1, 1, 1, k or k')
    if x is y:
        both = x.masked_fill(~(seen | sees if pairs else seen).squeeze(1), 0)
        return both, both
    return x.masked_fill(~seen.squeeze(1), 0), y.masked_fill(~sees.squeeze(1), 0)


def clear_unseen(side: Tensor, mask: Tensor) -> Tensor:
    """``left`` or ``data`` ``(N, C or 1, ., k)`` with zeros where no output looks, for 0 times NaN is NaN."""
    return side.masked_fill(~mask.any(-2, keepdim=True), 0)


def _visible(mask: Tensor | None, causal: bool, shape: tuple[int, int], device: torch.device) -> Tensor:
    """What output ``i`` may look at, ``[i, j]``: what ``mask`` allows, and with ``causal`` nothing later."""
    if not causal:
        assert mask is not None  # the callers have looked
        return mask
    earlier = torch.ones(shape, dtype=torch.bool, device=device).tril()
    return earlier if mask is None else mask & earlier


def _with_mask_feature(left: Tensor, right: Tensor, mask: Tensor) -> tuple[Tensor, Tensor]:
    """``left`` and ``right`` with one more row: 1 in every query, a very negative number in a hidden key.

    It is finite, so that nothing becomes NaN where all keys are hidden, in the precision that autocast will
    choose as well; ``exp`` takes a hidden entry to exactly 0 wherever anything else is seen.
    """
    device = left.device.type
    dtype = torch.get_autocast_dtype(device) if autocasts(device) else left.dtype
    hidden = torch.zeros_like(mask, dtype=left.dtype).masked_fill(~mask, torch.finfo(dtype).min / 2)
    left = torch.cat([left, hidden.expand(*left.shape[:2], -1, -1)], dim=-2)
    return left, torch.cat([right, torch.ones_like(right[..., :1, :])], dim=-2)


def _attention(left: Tensor, right: Tensor, data: Tensor, mask: Tensor | None, causal: bool) -> Tensor:
    (N, _, K, _), d = right.shape, data.shape[-2]
    C = max(left.shape[1], right.shape[1], data.shape[1])
    query, key, value = (_rows(side, max(K, d)).expand(N, C, -1, -1) for side in (right, left, data))
    out = F.scaled_dot_product_attention(query, key, value, mask, is_causal=causal, scale=1.0)
    # The kernel keeps its output for the backward: what the caller may change in place has to be a copy.
    return (out[..., :d] if d < K else out.clone()).mT  # (N, C, d, k')


def _rows(side: Tensor, width: int) -> Tensor:
    """``sideᵀ`` with zero columns up to ``width``, which change neither products nor sums."""
    missing = width - side.shape[-2]
    rows = F.pad(side.mT, (0, missing)) if missing else side.mT
    # Not `contiguous()`: it copies what a head has of each row, which is fine, and keeps a single column.
    return rows if rows.stride(-1) == 1 else rows.clone(memory_format=torch.contiguous_format)
