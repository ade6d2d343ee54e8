"""The layer, and what an expert would write in its place with ``nn.Linear``, ``W`` formed, or attention."""

import torch
from torch import Tensor, nn
from torch.nn import functional as F

import lphm
from benchmarks.contenders import Contender, Step, forms_neither, forms_w
from benchmarks.layer_cases import (
    LayerCase,
    LayerInputs,
    attention_truth,
    factors_truth,
    layer_truth,
    linear_truth,
)


def lphm_step(inputs: LayerInputs) -> Step:
    """The library's layer."""
    case = inputs.case
    layer = lphm.BilinearInterdependence(case.structure, case.kind, case.channels, case.normalize)
    layer.weight = nn.Parameter(inputs.w)
    x = inputs.data
    forward = (lambda: layer.matrix(x)) if case.matrix else (lambda: layer(x))
    return Step(forward, (x, layer.weight), inputs.G)


def linear_step(inputs: LayerInputs) -> Step:
    """``nn.Linear(m, m)`` without bias on ``(N, b, m)``."""
    x, layer = inputs.data, nn.Linear(inputs.case.m, inputs.case.m, bias=False)
    layer.weight = nn.Parameter(inputs.M.clone())
    return Step(lambda: layer(x), (x, layer.weight), inputs.linear_G)


def attention_step(inputs: LayerInputs) -> Step:
    """``nn.MultiheadAttention`` with its four projections, as a training step calls it."""
    case, x = inputs.case, inputs.data
    layer = nn.MultiheadAttention(case.m, case.channels, bias=False, batch_first=True)
    layer.in_proj_weight = nn.Parameter(inputs.projections.clone())
    layer.out_proj.weight = nn.Parameter(inputs.M.clone())

    def forward() -> Tensor:
        return layer(x, x, x, need_weights=False)[0]

    return Step(forward, (x, layer.in_proj_weight, layer.out_proj.weight), inputs.G)


def _form(A: Tensor, S: Tensor, T: Tensor) -> Tensor:
    """``A ⊗ (S Tᵀ)`` of every channel, ``(C, n, n)``."""
    (C, p, _), s = A.shape, S.shape[1]
    blocks = A[:, :, None, :, None] * (S @ T.mT)[:, None, :, None, :]
    return blocks.reshape(C, p * s, p * s)


def dense_step(inputs: LayerInputs) -> Step:
    """``W`` of all channels formed once; the products in the order with the fewest flops."""
    case, (x, A, S, T) = inputs.case, inputs.leaves
    n, k, C = case.n, case.k, case.channels
    formed, gram = C * (2 * n * n * k + 2 * n * k * k) + 2 * n * k * k, 4 * n * n * k + 2 * n**3
    compute = _with_xi if case.matrix or case.normalize or formed < gram else _with_gram
    return Step(lambda: compute(case, x, _form(A, S, T)), (x, A, S, T), inputs.G)


def _with_xi(case: LayerCase, x: Tensor, W: Tensor) -> Tensor:
    """``xi`` formed, of one wide product with ``W``, and its softmax."""
    (N, b, m), C = x.shape, case.channels
    if case.kind == "attribute":
        right = (W.flatten(0, 1) @ x).view(N, C, b, m)  # W_c X
        xi = x.mT.unsqueeze(1) @ right  # (N, C, m, m)
        if case.matrix:
            return xi
        xi = xi.softmax(-2) if case.normalize == "softmax" else xi
        return (x.view(N, C, b // C, m) @ xi).view(N, b, m)
    queries = F.linear(x, W.flatten(0, 1)).view(N, b, C, m).transpose(1, 2)  # X W_cᵀ
    weights = queries.flatten(1, 2) @ x.mT  # xiᵀ, (N, C b, b): every channel has the same keys
    weights = weights.softmax(-1) if case.normalize == "softmax" else weights
    out = weights.view(N, C, b, b) @ x.view(N, b, C, m // C).transpose(1, 2)
    return out.transpose(1, 2).reshape(N, b, m)


def _with_gram(case: LayerCase, x: Tensor, W: Tensor) -> Tensor:
    """``((D Xᵀ) W) X``, or ``X (Wᵀ (Xᵀ D))``."""
    (N, b, m), C = x.shape, case.channels
    if case.kind == "attribute":
        Z = x @ x.mT  # (N, b, b)
        if C == 1:
            return Z @ W[0] @ x
        return torch.einsum("ncdi,cij->ncdj", Z.view(N, C, b // C, b), W).reshape(N, b, b) @ x
    Z = x.mT @ x  # (N, m, m), symmetric
    if C == 1:
        return x @ (Z @ W[0]).mT
    Q = torch.einsum("ncdi,cij->ncdj", Z.view(N, C, m // C, m), W)  # (W_cᵀ Z_c)ᵀ
    return x @ Q.reshape(N, m, m).mT


def dense_attention_step(inputs: LayerInputs) -> Step:
    """``W`` formed, then ``scaled_dot_product_attention`` with one head per channel."""
    case, (x, A, S, T) = inputs.case, inputs.leaves
    (N, b, m), C = x.shape, case.channels

    def forward() -> Tensor:
        query = F.linear(x, _form(A, S, T).flatten(0, 1)).view(N, b, C, m).transpose(1, 2)
        key = x.unsqueeze(1).expand(-1, C, -1, -1)
        value = x.view(N, b, C, m // C).transpose(1, 2)
        value = value if C == 1 else F.pad(value, (0, m - m // C))  # the kernel needs equal widths
        out = F.scaled_dot_product_attention(query, key, value, scale=1.0)[..., : m // C]
        return out.transpose(1, 2).reshape(N, b, m)

    return Step(forward, (x, A, S, T), inputs.G)


def _forms_xi(case: LayerCase) -> int:
    """Rows of a square matrix as large as all ``xi``."""
    return int((case.N * case.channels) ** 0.5 * case.k)


def _forms_w_or_xi(case: LayerCase) -> int:
    return _forms_xi(case) if case.normalize else forms_w(case)


LAYER = Contender("lphm", lphm_step, oracle=layer_truth)
LINEAR = Contender("linear", linear_step, oracle=linear_truth)
DENSE = Contender("dense", dense_step, dense_rows=_forms_w_or_xi, oracle=factors_truth)
DENSE_ATTENTION = Contender(
    "dense-sdpa", dense_attention_step, kinds=("instance",), dense_rows=forms_neither, oracle=factors_truth
)
ATTENTION = Contender("attention", attention_step, kinds=("instance",), oracle=attention_truth)


def contenders_of(case: LayerCase) -> list[Contender]:
    """Those that compute this case, or what it is compared with."""
    if case.normalize == "softmax" and case.kind == "instance":
        return [LAYER, LINEAR, DENSE, DENSE_ATTENTION, ATTENTION]
    return [LAYER, LINEAR, DENSE]
