"""Attention whose scores are the interdependence of queries and keys: a drop-in for nn.MultiheadAttention."""

import math
from typing import cast

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from lphm.errors import divisors, require_divisor, require_positive
from lphm.nn.init import initialize_
from lphm.ops.checks import check_tensor
from lphm.structures import LPHM, Structure


class InterdependenceAttention(nn.Module):
    r"""``torch.nn.MultiheadAttention`` with scores ``Q W_h Kᵀ``, where the ``W_h`` of a head is structured.

        head_h = softmax(Q W_h Kᵀ / √d + mask) V_h       d = embed_dim / num_heads
        output = [head_1 … head_H] · out_projᵀ           V = value · in_projᵀ, of which head h has d columns

    ``nn.MultiheadAttention`` with ``W_q`` and ``W_k`` and without their biases is the case ``W_h = W_q,hᵀ
    W_k,h``, which ``LowRank(n=embed_dim, r=d)`` holds.

    ``forward`` has the arguments, shapes and results of ``nn.MultiheadAttention``, and the layer can take its
    place in ``nn.TransformerEncoderLayer`` and ``nn.TransformerDecoderLayer``. With ``need_weights=False``
    neither the scores nor any ``W_h`` are formed: the left of each query and the right of each key, ``K =
    structure.middle`` numbers, go to ``torch.nn.functional.scaled_dot_product_attention``.

    Shape:
        ``query`` ``(L, N, embed_dim)``, ``key`` ``(S, N, embed_dim)``, ``value`` ``(S, N, vdim)``; with
        ``batch_first`` ``N`` is first; without a batch there is no ``N``. ``key_padding_mask`` ``(N, S)``;
        ``attn_mask`` ``(L, S)`` or ``(N · num_heads, L, S)``; both are boolean, True where hidden, or
        floating point and added to the scores. The output has the shape of ``query``; the weights are
        ``(N, L, S)``, the mean of all heads, or ``(N, num_heads, L, S)``.

    Args:
        embed_dim: features of queries, keys and the output; ``n`` of the structure.
        num_heads: heads, each with its own ``W_h``; divides ``embed_dim``.
        dropout: share of the attention weights that is dropped in training.
        bias: whether values and output have a bias.
        structure: what ``W_h`` is, with ``n = embed_dim``. If not given, LPHM with the ``K`` of
            ``nn.MultiheadAttention``, ``embed_dim / num_heads``, and the fewest parameters.
        budget: instead of a structure, parameters for each head: ``LPHM.suggest(embed_dim, budget)``.
        vdim: features of the values; ``embed_dim`` if not given. There is no ``kdim``, as ``W_h`` is square.
        batch_first: the batch is the first dimension.
        device: of the parameters.
        dtype: of the parameters.

    Attributes:
        weight: the parameters of all ``W_h``, ``(num_heads, l)``, ``l = structure.num_parameters``.
        in_proj_weight: the map of the values, ``(embed_dim, vdim)``.
        in_proj_bias: their bias, ``(embed_dim,)``, or None.
        out_proj: the linear map from all heads to the output.

    Raises:
        DivisibilityError: ``num_heads`` does not divide ``embed_dim``.
        ValueError: a size is below 1; ``dropout`` is not between 0 and 1; the ``n`` of the structure is not
            ``embed_dim``; a structure and a budget; in ``forward``, shapes that do not fit, ``is_causal``
            without ``attn_mask``, nested tensors other than in self-attention without masks.
        TypeError: ``structure`` is no ``Structure``; in ``forward``, a tensor or a mask of another type.

    Example:
        >>> layer = torch.nn.TransformerEncoderLayer(64, nhead=4, batch_first=True)
        >>> layer.self_attn = InterdependenceAttention(64, 4, dropout=0.1, batch_first=True)
        >>> layer(torch.randn(8, 30, 64)).shape
        torch.Size([8, 30, 64])

    Reference:
        Vaswani et al. (2017), Attention is all you need, arXiv:1706.03762; for ``W`` RPN 2 (Zhang, 2024,
        arXiv:2411.11162), instance interdependence.
    """

    # nn.TransformerEncoder reads this: its fast path computes queries, keys and values by one dense matrix.
    _qkv_same_embed_dim = False
    in_proj_bias: nn.Parameter | None

    def __init__(
        self,
        embed_dim: int,
        num_heads: int,
        dropout: float = 0.0,
        bias: bool = True,
        *,
        structure: Structure | None = None,
        budget: float | None = None,
        vdim: int | None = None,
        batch_first: bool = False,
        device: torch.device | str | None = None,
        dtype: torch.dtype | None = None,
    ) -> None:
        super().__init__()
        vdim = embed_dim if vdim is None else vdim
        sizes = require_positive(embed_dim=embed_dim, num_heads=num_heads, vdim=vdim)
        self.embed_dim, self.num_heads, self.vdim = sizes.values()
        require_divisor("embed_dim", self.embed_dim, num_heads=self.num_heads)
        if not 0 <= dropout <= 1:
            raise ValueError(f"dropout must be between 0 and 1, got {dropout}")
        self.head_dim = self.embed_dim // self.num_heads
        self.dropout = dropout
        self.batch_first = batch_first
        self.structure = _chosen(self.embed_dim, self.head_dim, structure, budget)
        weight = torch.empty(self.num_heads, self.structure.num_parameters, device=device, dtype=dtype)
        self.weight = nn.Parameter(weight)
        self.in_proj_weight = nn.Parameter(torch.empty(self.embed_dim, self.vdim, device=device, dtype=dtype))
        in_proj_bias = nn.Parameter(torch.empty(self.embed_dim, device=device, dtype=dtype)) if bias else None
        self.register_parameter("in_proj_bias", in_proj_bias)
        self.out_proj = nn.Linear(self.embed_dim, self.embed_dim, bias=bias, device=device, dtype=dtype)
        self.reset_parameters()

    def reset_parameters(self) -> None:
        """Draw all parameters anew; the scores vary as those of a new ``nn.MultiheadAttention`` do."""
        initialize_(self.structure, self.weight, gain=0.5 * self.head_dim**0.5)
        nn.init.xavier_uniform_(self.in_proj_weight)
        self.out_proj.reset_parameters()
        for bias in (self.in_proj_bias, self.out_proj.bias):
            if bias is not None:
                nn.init.zeros_(bias)

    def forward(
        self,
        query: Tensor,
        key: Tensor,
        value: Tensor,
        key_padding_mask: Tensor | None = None,
        need_weights: bool = True,
        attn_mask: Tensor | None = None,
        average_attn_weights: bool = True,
        is_causal: bool = False,
    ) -> tuple[Tensor, Tensor | None]:
        """Output and attention weights, as ``nn.MultiheadAttention.forward``; None for weights not needed.

        ``is_causal`` says that ``attn_mask`` is causal, which lets torch skip what is hidden.
        """
        if query.is_nested or key.is_nested or value.is_nested:
            self._check_nested(query, key, value, key_padding_mask, attn_mask)
            return self._attend_nested(query, need_weights, average_attn_weights)
        self._check(query, key, value, key_padding_mask, attn_mask)
        if is_causal and attn_mask is None:
            raise ValueError(
                "attn_mask must be given with is_causal=True, which says that it is causal, got None; use "
                "nn.Transformer.generate_square_subsequent_mask"
            )
        causal = is_causal and key_padding_mask is None and not need_weights
        mask = None if causal else self._joined(key_padding_mask, attn_mask, query.dtype)
        out, weights = self._attend(*self._heads(query, key, value), mask, causal, need_weights)
        out = self.out_proj(out.transpose(1, 2).flatten(2))  # (N, L, embed_dim)
        if weights is not None and average_attn_weights:
            weights = weights.mean(dim=1)
        if query.dim() == 2:
            return out.squeeze(0), weights if weights is None else weights.squeeze(0)
        return out if self.batch_first else out.transpose(0, 1), weights

    def _attend(
        self,
        left: Tensor,
        right: Tensor,
        values: Tensor,
        mask: Tensor | None,
        causal: bool,
        need_weights: bool,
    ) -> tuple[Tensor, Tensor | None]:
        """Output of the heads ``(N, H, L, d)``, and weights ``(N, H, L, S)`` if they are needed."""
        dropout = self.dropout if self.training else 0.0
        scale = self.head_dim**-0.5
        if need_weights:
            scores = (left * scale) @ right.mT
            scores = scores if mask is None else scores + mask
            weights = F.dropout(scores.softmax(dim=-1), dropout)
            return weights @ values, weights
        # For unequal widths torch has no kernel on CPU that forms no scores; zero columns change nothing.
        if (missing := self.head_dim - left.shape[-1]) > 0:
            left, right = F.pad(left, (0, missing)), F.pad(right, (0, missing))
        elif missing < 0:
            values = F.pad(values, (0, -missing))
        out = F.scaled_dot_product_attention(left, right, values, mask, dropout, causal, scale=scale)
        return out[..., : self.head_dim], None

    def _heads(self, query: Tensor, key: Tensor, value: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """Left of queries ``(N, H, L, K)``, right of keys ``(N, H, S, K)``, and values ``(N, H, S, d)``."""
        left_map, right_map = self.structure.maps(self.weight)  # (H, K, n) twice
        values = self._split(F.linear(value, self.in_proj_weight, self.in_proj_bias), 1)
        if query is key:  # one product
            maps = torch.cat([left_map, right_map]).flatten(0, 1)
            left, right = self._split(F.linear(query, maps), 2).chunk(2, dim=1)
            return left, right, values
        left = self._split(F.linear(query, left_map.flatten(0, 1)), 1)
        return left, self._split(F.linear(key, right_map.flatten(0, 1)), 1), values

    def _split(self, x: Tensor, parts: int) -> Tensor:
        """Rows in the layout of the input to ``(N, parts · H, rows, features of a head)``."""
        if x.dim() == 2:
            x = x.unsqueeze(0)
        elif not self.batch_first:
            x = x.transpose(0, 1)
        return torch.unflatten(x, -1, (parts * self.num_heads, -1)).transpose(1, 2)

    def _joined(
        self, key_padding_mask: Tensor | None, attn_mask: Tensor | None, dtype: torch.dtype
    ) -> Tensor | None:
        """What both masks add to scores, ``(N or 1, H or 1, L or 1, S)``."""
        if key_padding_mask is not None:
            key_padding_mask = _added(key_padding_mask, dtype).view(-1, 1, 1, key_padding_mask.shape[-1])
        if attn_mask is None:
            return key_padding_mask
        heads = self.num_heads if attn_mask.dim() == 3 else 1
        attn_mask = _added(attn_mask, dtype).view(-1, heads, *attn_mask.shape[-2:])
        return attn_mask if key_padding_mask is None else attn_mask + key_padding_mask

    def _attend_nested(
        self, x: Tensor, need_weights: bool, average_attn_weights: bool
    ) -> tuple[Tensor, Tensor | None]:
        """Self-attention of the rows that each sample of a nested tensor has."""
        lengths = [len(sample) for sample in x.unbind()]
        padded = torch.nested.to_padded_tensor(x, 0.0)  # (N, L, embed_dim)
        steps = torch.arange(padded.shape[1], device=x.device)
        absent = steps >= torch.tensor(lengths, device=x.device).unsqueeze(1)
        out, weights = self.forward(
            padded, padded, padded, absent, need_weights, average_attn_weights=average_attn_weights
        )
        samples = [sample[:length] for sample, length in zip(out, lengths, strict=True)]
        return torch.nested.as_nested_tensor(samples), weights

    def _check_nested(self, query: Tensor, key: Tensor, value: Tensor, *masks: Tensor | None) -> None:
        """Raise ``ValueError`` unless nested tensors are those of self-attention without masks."""
        one = query is key is value and query.layout is torch.strided and self.batch_first
        if not one or any(mask is not None for mask in masks):
            raise ValueError(
                "nested query, key and value must be one strided tensor, with batch_first=True and no masks, "
                "got others; use torch.nested.to_padded_tensor and a key_padding_mask"
            )

    def _check(
        self,
        query: Tensor,
        key: Tensor,
        value: Tensor,
        key_padding_mask: Tensor | None,
        attn_mask: Tensor | None,
    ) -> None:
        """Raise ``TypeError`` or ``ValueError`` unless all tensors fit together."""
        for name, tensor in {"query": query, "key": key, "value": value}.items():
            check_tensor(name, tensor, self.weight)
            if tensor.dim() != query.dim() or tensor.dim() not in (2, 3):
                raise ValueError(
                    "query, key and value must have 2 dimensions, or all 3 with a batch, got shapes "
                    f"{tuple(query.shape)}, {tuple(key.shape)} and {tuple(value.shape)}"
                )
        rows = 1 if self.batch_first and query.dim() == 3 else 0
        L, S = query.shape[rows], key.shape[rows]
        batch = query.shape[1 - rows : 2 - rows] if query.dim() == 3 else torch.Size()
        keys = (*batch, S) if rows else (S, *batch)
        shapes = {
            "query": (query, [(*query.shape[:-1], self.embed_dim)]),
            "key": (key, [(*keys, self.embed_dim)]),
            "value": (value, [(*keys, self.vdim)]),
            "key_padding_mask": (key_padding_mask, [(*batch, S)]),
            "attn_mask": (attn_mask, [(L, S), (math.prod(batch) * self.num_heads, L, S)]),
        }
        for name, (each, allowed) in shapes.items():
            if each is not None and tuple(each.shape) not in allowed:
                wanted = " or ".join(map(str, allowed))
                raise ValueError(f"{name} must be {wanted}, got shape {tuple(each.shape)}")
        for name, mask in {"key_padding_mask": key_padding_mask, "attn_mask": attn_mask}.items():
            if mask is not None and mask.dtype != torch.bool and not mask.is_floating_point():
                raise TypeError(
                    f"{name} must be boolean, True where a key is hidden, or floating point and added to the "
                    f"scores, got {mask.dtype}; use {name}.bool()"
                )

    def extra_repr(self) -> str:
        """The arguments that differ from one layer to the next."""
        vdim = f", vdim={self.vdim}" if self.vdim != self.embed_dim else ""
        choices = f"dropout={self.dropout}, batch_first={self.batch_first}{vdim}"
        return f"{self.embed_dim}, {self.num_heads}, {self.structure}, {choices}"


def _added(mask: Tensor, dtype: torch.dtype) -> Tensor:
    """What a mask adds to scores: -inf where a boolean one is True, itself if it is floating point."""
    if mask.dtype != torch.bool:
        return mask.to(dtype)
    return torch.zeros_like(mask, dtype=dtype).masked_fill_(mask, -math.inf)


def _chosen(n: int, K: int, structure: Structure | None, budget: float | None) -> Structure:
    """The structure, the one for the budget, or the LPHM of this ``K`` with the fewest parameters."""
    if structure is None and budget is None:
        return min((LPHM(n=n, p=p, r=K // p) for p in divisors(K)), key=lambda each: each.num_parameters)
    if structure is None:
        return LPHM.suggest(n, cast(float, budget))
    if not isinstance(structure, Structure):
        raise TypeError(f"structure must be a lphm.Structure such as lphm.LPHM(...), got {structure!r}")
    if budget is not None:
        raise ValueError(f"budget must be left out where a structure is given, got {budget} and {structure}")
    if structure.shape != (n, n):
        raise ValueError(
            f"structure must have n={n}, which is embed_dim, got {structure}; build it with n={n}"
        )
    return structure
