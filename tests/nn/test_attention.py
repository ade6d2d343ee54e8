"""The attention layer, compared with ``nn.MultiheadAttention`` itself, whose scores ``LowRank`` can hold."""

import copy
import math
import pickle

import pytest
import torch
from torch import Tensor, nn
from torch.nn import functional as F

import lphm
from lphm import LPHM, DivisibilityError, Full, InterdependenceAttention, LowRank
from support import reference
from support.memory import Limit
from support.registry import TYPICAL

E, H, N, L, S = 12, 2, 3, 5, 7
NOT_NESTED = pytest.mark.filterwarnings("ignore:The PyTorch API of nested tensors")


def pair(
    vdim: int | None = None, dtype: torch.dtype = torch.float64, **arguments: object
) -> tuple[nn.MultiheadAttention, InterdependenceAttention]:
    """Attention of torch, and ours with the same parameters."""
    theirs = nn.MultiheadAttention(E, H, vdim=vdim, dtype=dtype, **arguments)
    structure = LowRank(n=E, r=E // H)
    ours = InterdependenceAttention(E, H, structure=structure, vdim=vdim, dtype=dtype, **arguments)
    take(ours, theirs)
    return theirs, ours


@torch.no_grad()
def take(ours: InterdependenceAttention, theirs: nn.MultiheadAttention) -> None:
    """The parameters of ``theirs``, whose queries and keys lose their biases."""
    if theirs.in_proj_weight is None:
        q, k, v = theirs.q_proj_weight, theirs.k_proj_weight, theirs.v_proj_weight
    else:
        q, k, v = theirs.in_proj_weight.chunk(3)
    heads = ours.num_heads
    P, Q = (side.unflatten(0, (heads, -1)).mT for side in (q, k))  # (H, E, d)
    ours.weight.copy_(ours.structure.pack(P, Q))
    ours.in_proj_weight.copy_(v)
    if theirs.in_proj_bias is not None:
        theirs.in_proj_bias.normal_()[: 2 * ours.embed_dim].zero_()
        theirs.out_proj.bias.normal_()
        ours.in_proj_bias.copy_(theirs.in_proj_bias[-ours.embed_dim :])
    ours.out_proj.load_state_dict(theirs.out_proj.state_dict())


def inputs(
    form: str = "batch_first", cross: bool = True, vdim: int = E, dtype: torch.dtype = torch.float64
) -> tuple[Tensor, Tensor, Tensor]:
    """Query, key and value; one tensor unless ``cross``."""
    sizes = [(L, E), (S, E), (S, vdim)] if cross else [(L, E)]
    x = [torch.randn(N, *size, dtype=dtype, requires_grad=True) for size in sizes]
    if form == "unbatched":
        x = [each[0] for each in x]
    elif form == "batch second":
        x = [each.transpose(0, 1) for each in x]
    return tuple(x) if cross else (x[0],) * 3


def padding(kind: str, columns: int, form: str) -> Tensor | None:
    if kind == "none":
        return None
    mask = torch.zeros(N, columns, dtype=torch.bool)
    mask[0, 2:], mask[2, 0] = True, True
    mask = (
        mask if kind == "bool" else torch.randn(N, columns, dtype=torch.float64).masked_fill(mask, -math.inf)
    )
    return mask[0] if form == "unbatched" else mask


def pairs_mask(kind: str, columns: int, form: str) -> Tensor | None:
    if kind == "none":
        return None
    heads = () if "of every head" not in kind else (H,) if form == "unbatched" else (N * H,)
    mask = torch.rand(*heads, L, columns) > 0.6
    mask[..., 0] = mask[..., 1] = False
    if kind.startswith("bool"):
        return mask
    return torch.randn(*heads, L, columns, dtype=torch.float64).masked_fill(mask, -math.inf)


FORMS = ["batch_first", "batch second", "unbatched"]
PAIRS = ["none", "bool", "float", "bool of every head", "float of every head"]
every_form = pytest.mark.parametrize("form", FORMS)
with_or_without_weights = pytest.mark.parametrize("need_weights", [True, False])


def same(got: tuple[Tensor, Tensor | None], want: tuple[Tensor, Tensor | None], bound: float = 1e-12) -> None:
    """Output and weights are equal; nan equals nan."""
    assert (got[1] is None) == (want[1] is None)
    for one, other in zip(got, want, strict=True):
        if one is not None:
            torch.testing.assert_close(one, other, rtol=0, atol=bound, equal_nan=True)


@every_form
@with_or_without_weights
@pytest.mark.parametrize("cross", [True, False])
@pytest.mark.parametrize("keys", ["none", "bool", "float"])
@pytest.mark.parametrize("pairs", PAIRS)
@pytest.mark.filterwarnings("ignore:Support for mismatched key_padding_mask")
def test_it_is_multihead_attention_with_every_mask(
    form: str, need_weights: bool, cross: bool, keys: str, pairs: str
) -> None:
    theirs, ours = pair(batch_first=form == "batch_first")
    x = inputs(form, cross)
    masks = {
        "key_padding_mask": padding(keys, S if cross else L, form),
        "attn_mask": pairs_mask(pairs, S if cross else L, form),
    }
    want, got = (layer(*x, need_weights=need_weights, **masks) for layer in (theirs, ours))
    assert got[0].shape == want[0].shape
    same(got, want)
    leaves = list(dict.fromkeys(x))
    wanted, gotten = (torch.autograd.grad(out[0].square().sum(), leaves) for out in (want, got))
    for one, other in zip(gotten, wanted, strict=True):
        torch.testing.assert_close(one, other, rtol=0, atol=1e-11)


@every_form
@pytest.mark.parametrize("average", [True, False])
def test_weights_of_every_head_or_their_mean(form: str, average: bool) -> None:
    theirs, ours = pair(batch_first=form == "batch_first")
    x = inputs(form)
    want, got = (layer(*x, average_attn_weights=average) for layer in (theirs, ours))
    assert got[1].shape == want[1].shape
    same(got, want)


@with_or_without_weights
@pytest.mark.parametrize("keys", ["none", "bool"])
def test_the_hint_that_a_mask_is_causal(need_weights: bool, keys: str) -> None:
    theirs, ours = pair(batch_first=True)
    x = inputs(cross=False)
    causal = torch.ones(L, L, dtype=torch.bool).triu(1)
    arguments = {"need_weights": need_weights, "key_padding_mask": padding(keys, L, "batch_first")}
    want, got = (layer(*x, attn_mask=causal, is_causal=True, **arguments) for layer in (theirs, ours))
    same(got, want)
    same(got, ours(*x, attn_mask=causal, **arguments))  # the hint changes no result


def test_the_hint_is_taken_at_its_word_where_torch_does() -> None:
    """The mask is not read at all: otherwise nothing would be gained by the hint."""
    theirs, ours = pair(batch_first=True)
    x = inputs(cross=False)
    wrong = torch.zeros(L, L, dtype=torch.bool)
    want, got = (layer(*x, attn_mask=wrong, is_causal=True, need_weights=False) for layer in (theirs, ours))
    same(got, want)


@with_or_without_weights
@pytest.mark.parametrize("which", ["key_padding_mask", "attn_mask"])
@pytest.mark.parametrize("kind", ["bool", "float"])
def test_rows_that_see_nothing_are_those_of_torch(need_weights: bool, which: str, kind: str) -> None:
    theirs, ours = pair(batch_first=True)
    x = inputs()
    mask = torch.zeros((N, S) if which == "key_padding_mask" else (L, S), dtype=torch.bool)
    mask[1] = True
    if kind == "float":
        mask = torch.zeros(mask.shape, dtype=torch.float64).masked_fill(mask, -math.inf)
    want, got = (layer(*x, need_weights=need_weights, **{which: mask}) for layer in (theirs, ours))
    assert got[0].isnan().any() == want[0].isnan().any() == need_weights  # if torch changes, so do we
    same(got, want)


@with_or_without_weights
def test_masks_of_another_precision_are_converted(need_weights: bool) -> None:
    """With weights, they are an error for nn.MultiheadAttention."""
    _, ours = pair(batch_first=True, dtype=torch.bfloat16)
    x = inputs(dtype=torch.bfloat16)
    mask = torch.randn(L, S)
    want = ours(*x, attn_mask=mask.bfloat16(), need_weights=need_weights)
    same(ours(*x, attn_mask=mask, need_weights=need_weights), want)


@pytest.mark.parametrize("bias", [True, False])
@pytest.mark.parametrize("vdim", [None, 5])
def test_biases_and_the_width_of_values(bias: bool, vdim: int | None) -> None:
    theirs, ours = pair(bias=bias, vdim=vdim, batch_first=True)
    x = inputs(vdim=vdim or E)
    same(ours(*x), theirs(*x))
    assert (ours.in_proj_bias is None) == (ours.out_proj.bias is None) == (not bias)


def test_single_precision() -> None:
    theirs, ours = pair(dtype=torch.float32, batch_first=True)
    x = inputs(dtype=torch.float32)
    for need_weights in (True, False):
        same(ours(*x, need_weights=need_weights), theirs(*x, need_weights=need_weights), 1e-6)


@with_or_without_weights
def test_dropout_of_attention_weights_in_training_alone(need_weights: bool) -> None:
    """The same seed drops the same weights."""
    theirs, ours = pair(dropout=0.5, batch_first=True)
    x = inputs()
    results = []
    for layer in (theirs, ours):
        torch.manual_seed(1)
        results.append(layer(*x, need_weights=need_weights))
    same(results[1], results[0])
    assert not ours(*x)[0].equal(ours(*x)[0])
    ours.eval()
    assert ours(*x)[0].equal(ours(*x)[0])


def test_gradients_of_all_parameters() -> None:
    theirs, ours = pair(batch_first=True)
    x = inputs()
    for layer in (theirs, ours):
        layer(*x)[0].square().sum().backward()
    q, k, v = theirs.in_proj_weight.grad.chunk(3)
    P, Q = (side.unflatten(0, (H, -1)).mT for side in (q, k))
    wanted = {
        "weight": ours.structure.pack(P, Q),
        "in_proj_weight": v,
        "in_proj_bias": theirs.in_proj_bias.grad[-E:],
        "out_proj.weight": theirs.out_proj.weight.grad,
        "out_proj.bias": theirs.out_proj.bias.grad,
    }
    assert wanted.keys() == dict(ours.named_parameters()).keys()
    for name, parameter in ours.named_parameters():
        assert reference.error(parameter.grad, wanted[name]) < 1e-12, name


# Structures.


@pytest.mark.parametrize("structure", TYPICAL.values(), ids=TYPICAL)
@pytest.mark.parametrize("cross", [True, False])
def test_scores_of_every_structure(structure: lphm.Structure, cross: bool) -> None:
    """``K`` below and above the width of a head, against ``W`` formed."""
    n = structure.n
    layer = InterdependenceAttention(n, 2, structure=structure, batch_first=True, dtype=torch.float64)
    query = torch.randn(N, L, n, dtype=torch.float64)
    key = torch.randn(N, S, n, dtype=torch.float64) if cross else query
    W = reference.dense(structure, layer.weight)
    scores = query.unsqueeze(1) @ W @ key.unsqueeze(1).mT / math.sqrt(n / 2)
    values = F.linear(key, layer.in_proj_weight, layer.in_proj_bias).chunk(2, dim=-1)
    weights = scores.softmax(-1)
    out = layer.out_proj(torch.cat([weights[:, h] @ values[h] for h in range(2)], dim=-1))
    for need_weights in (True, False):
        got = layer(query, key, key, need_weights=need_weights, average_attn_weights=False)
        same(got, (out, weights if need_weights else None))


def test_what_the_structure_is() -> None:
    by_default = InterdependenceAttention(512, 8, device="meta").structure
    assert by_default == LPHM(n=512, p=16, r=4)
    assert by_default.middle == 64  # as the queries and keys of nn.MultiheadAttention(512, 8)
    assert InterdependenceAttention(96, 8, budget=160).structure == LPHM.suggest(96, 160)
    assert InterdependenceAttention(96, 8, budget=0.1).structure == LPHM.suggest(96, 0.1)
    layer = InterdependenceAttention(12, 3, structure=Full(n=12))
    assert layer.weight.shape == (3, 144)


def test_scores_start_as_large_as_those_of_multihead_attention() -> None:
    x = torch.randn(4, 64, 256)
    theirs = nn.MultiheadAttention(256, 4)
    q, k, _ = F.linear(x, theirs.in_proj_weight).chunk(3, dim=-1)
    want = (q.unflatten(-1, (4, -1)).transpose(1, 2) @ k.unflatten(-1, (4, -1)).permute(0, 2, 3, 1) / 8).std()
    assert 0.45 < want < 0.55
    for structure in (LowRank(n=256, r=64), LPHM(n=256, p=16, r=4), Full(n=256)):
        layer = InterdependenceAttention(256, 4, structure=structure)
        W = structure.to_dense(layer.weight)
        got = (x.unsqueeze(1) @ W @ x.unsqueeze(1).mT / 8).std()
        assert 0.7 < got / want < 1.4, structure
    before = copy.deepcopy(layer.state_dict())
    layer.reset_parameters()
    assert not any(layer.state_dict()[name].equal(before[name]) for name in before if "bias" not in name)
    assert layer.in_proj_bias.eq(0).all()
    assert layer.out_proj.bias.eq(0).all()


def test_scores_are_not_formed_unless_they_are_needed() -> None:
    rows = 256
    for structure in (LPHM(n=16, p=4, r=1), LPHM(n=16, p=4, r=4)):  # K below and above the width of a head
        layer = InterdependenceAttention(16, 2, structure=structure, batch_first=True)
        x = torch.randn(1, rows, 16, requires_grad=True)
        hidden = torch.zeros(1, rows, dtype=torch.bool)
        hidden[:, 200:] = True
        for mask in (None, hidden):
            with Limit(rows * rows):
                layer(x, x, x, mask, need_weights=False)[0].sum().backward()
        with pytest.raises(AssertionError, match="made"), Limit(rows * rows):
            layer(x, x, x)


# In a transformer.


def encoders(**arguments: object) -> tuple[nn.TransformerEncoder, nn.TransformerEncoder]:
    """A stack of torch's, and one in which every ``self_attn`` was replaced afterwards."""
    arguments = {"dim_feedforward": 16, "dropout": 0.0, "batch_first": True, **arguments}
    theirs = nn.TransformerEncoder(nn.TransformerEncoderLayer(E, H, **arguments), 2).double()
    ours = copy.deepcopy(theirs)
    for mine, other in zip(ours.layers, theirs.layers, strict=True):
        attention = InterdependenceAttention(
            E, H, structure=LowRank(n=E, r=E // H), batch_first=arguments["batch_first"], dtype=torch.float64
        )
        take(attention, other.self_attn)
        mine.self_attn = attention
    return theirs, ours


@NOT_NESTED
@pytest.mark.parametrize("norm_first", [True, False])
@pytest.mark.parametrize("mode", ["training", "eval", "inference"])
@pytest.mark.parametrize("frozen", [True, False])
@pytest.mark.parametrize("mask", ["none", "padding", "causal", "both"])
@pytest.mark.filterwarnings("ignore:enable_nested_tensor is True")
def test_in_an_encoder(norm_first: bool, mode: str, frozen: bool, mask: str) -> None:
    """In inference without a mask of pairs, nn.TransformerEncoder hands nested tensors to its layers."""
    theirs, ours = encoders(norm_first=norm_first)
    x = torch.randn(N, L, E, dtype=torch.float64)
    hidden = torch.zeros(N, L, dtype=torch.bool)
    hidden[0, 3:] = hidden[2, 1:] = True
    causal = nn.Transformer.generate_square_subsequent_mask(L) < 0
    arguments = {
        "src_key_padding_mask": hidden if mask in ("padding", "both") else None,
        "mask": causal if mask in ("causal", "both") else None,
    }
    results = []
    for stack in (theirs, ours):
        stack.train(mode == "training").requires_grad_(not frozen)
        with torch.inference_mode(mode == "inference"):
            results.append(stack(x, **arguments))
    seen = ~hidden if arguments["src_key_padding_mask"] is not None else torch.ones_like(hidden)
    torch.testing.assert_close(results[1][seen], results[0][seen], rtol=0, atol=1e-11)
    if mode == "inference":  # the attention matters: with another one the output is another
        nn.init.normal_(ours.layers[0].self_attn.weight)
        with torch.inference_mode():
            assert not torch.allclose(ours(x, **arguments)[seen], results[0][seen], atol=1e-3)


@NOT_NESTED
def test_an_encoder_uses_nested_tensors_with_it() -> None:
    """Otherwise the test above would not try them."""
    _, ours = encoders()
    seen = []
    ours.layers[1].self_attn.register_forward_pre_hook(lambda _, args: seen.append(args[0].is_nested))
    hidden = torch.zeros(N, L, dtype=torch.bool)
    hidden[0, 3:] = True
    with torch.no_grad():
        ours.eval()(torch.randn(N, L, E, dtype=torch.float64), src_key_padding_mask=hidden)
    assert seen == [True]


@NOT_NESTED
def test_nested_tensors_and_their_gradients() -> None:
    _, ours = pair(batch_first=True)
    rows = [torch.randn(length, E, dtype=torch.float64, requires_grad=True) for length in (4, 1, 6)]
    x = torch.nested.as_nested_tensor(rows)
    out, weights = ours(x, x, x)
    assert weights.shape == (3, 6, 6)
    wanted = [ours(row, row, row)[0] for row in rows]
    for got, want in zip(out.unbind(), wanted, strict=True):
        torch.testing.assert_close(got, want, rtol=0, atol=1e-12)
    gradients = [
        torch.autograd.grad(out[0].square().sum(), rows)
        for out in ([torch.cat(list(out.unbind()))], [torch.cat(wanted)])
    ]
    for got, want in zip(*gradients, strict=True):
        torch.testing.assert_close(got, want, rtol=0, atol=1e-12)
    for wrong in ((x, x, torch.nested.as_nested_tensor(rows)), (x, x, x, torch.zeros(3, 6).bool())):
        with pytest.raises(ValueError, match="nested query, key and value must be one strided tensor"):
            ours(*wrong)


def test_an_encoder_built_from_it() -> None:
    layer = nn.TransformerEncoderLayer(E, H, 16, dropout=0.0, batch_first=True)
    layer.self_attn = InterdependenceAttention(E, H, batch_first=True)
    stack = nn.TransformerEncoder(layer, 2, enable_nested_tensor=False)
    x = torch.randn(N, L, E)
    hidden = torch.zeros(N, L, dtype=torch.bool)
    hidden[0, 3:] = True
    trained = stack(x, src_key_padding_mask=hidden)
    with torch.inference_mode():
        used = stack.eval()(x, src_key_padding_mask=hidden)
    torch.testing.assert_close(used[~hidden], trained[~hidden])


@pytest.mark.parametrize("batch_first", [True, False])
def test_in_a_decoder(batch_first: bool) -> None:
    """As self-attention and as cross-attention."""
    theirs = nn.TransformerDecoderLayer(E, H, 16, dropout=0.0, batch_first=batch_first).double()
    ours = copy.deepcopy(theirs)
    for name in ("self_attn", "multihead_attn"):
        attention = InterdependenceAttention(
            E, H, structure=LowRank(n=E, r=E // H), batch_first=batch_first, dtype=torch.float64
        )
        take(attention, getattr(theirs, name))
        ours.register_module(name, attention)
    target, memory, _ = inputs("batch_first" if batch_first else "batch second")
    arguments = {
        "tgt_mask": torch.ones(L, L, dtype=torch.bool).triu(1),
        "tgt_is_causal": True,
        "memory_key_padding_mask": padding("bool", S, "batch_first"),
    }
    for mode in (True, False):
        want, got = (layer.train(mode)(target, memory, **arguments) for layer in (theirs, ours))
        torch.testing.assert_close(got, want, rtol=0, atol=1e-11)


# What torch does with a module.


def test_copies_state_and_repr() -> None:
    layer, other = (InterdependenceAttention(E, H, batch_first=True) for _ in range(2))
    x = inputs(dtype=torch.float32)
    out = layer(*x)[0]
    assert not other(*x)[0].equal(out)
    other.load_state_dict(layer.state_dict())
    for copied in (other, copy.deepcopy(layer), pickle.loads(pickle.dumps(layer))):
        assert copied(*x)[0].equal(out)
    assert list(layer.state_dict()) == [
        "weight",
        "in_proj_weight",
        "in_proj_bias",
        "out_proj.weight",
        "out_proj.bias",
    ]
    assert repr(layer).startswith(
        "InterdependenceAttention(\n  12, 2, LPHM(n=12, p=3, q=3, r=2), dropout=0.0, batch_first=True\n"
    )
    assert "vdim=5" in repr(InterdependenceAttention(E, H, vdim=5))


def test_meta_device_and_type() -> None:
    layer = InterdependenceAttention(E, H, device="meta", dtype=torch.bfloat16)
    x = torch.empty(L, N, E, device="meta", dtype=torch.bfloat16)
    assert layer(x, x, x)[0].shape == x.shape
    assert {parameter.dtype for parameter in layer.parameters()} == {torch.bfloat16}


@with_or_without_weights
def test_autocast(need_weights: bool) -> None:
    layer = InterdependenceAttention(E, H, batch_first=True)
    x = inputs(dtype=torch.float32)
    mask = torch.zeros(L, S).masked_fill(torch.rand(L, S) > 0.7, -math.inf)
    want, _ = layer(*x, attn_mask=mask)
    with torch.autocast("cpu", torch.bfloat16):
        got, _ = layer(*x, attn_mask=mask, need_weights=need_weights)
    assert got.dtype == torch.bfloat16
    assert reference.error(got, want) < 3e-2
    got.float().sum().backward()
    assert layer.weight.grad.dtype == torch.float32


@pytest.mark.slow
@with_or_without_weights
@pytest.mark.parametrize("cross", [True, False])
def test_compiles_in_one_graph(need_weights: bool, cross: bool) -> None:
    torch._dynamo.reset()
    layer = InterdependenceAttention(E, H, batch_first=True, dtype=torch.float64)
    compiled = torch.compile(layer, fullgraph=True, backend="aot_eager")
    for batch in (1, 2):  # sizes become symbols
        x = inputs(cross=cross)
        if batch == 2:
            leaves = [torch.cat([each, each]).detach() for each in dict.fromkeys(x)]
            x = tuple(leaves) if cross else (leaves[0],) * 3
        mask = torch.zeros(len(x[0]), x[1].shape[1], dtype=torch.bool)
        mask[:, 3:] = True
        got, want = (call(*x, mask, need_weights=need_weights) for call in (compiled, layer))
        same(got, want)
        gradients = [
            torch.autograd.grad(out[0].square().sum(), list(layer.parameters())) for out in (got, want)
        ]
        for one, other in zip(*gradients, strict=True):
            assert reference.error(one, other) < 1e-12


# Mistakes.


def test_all_parameters_get_a_gradient_whatever_is_asked_for() -> None:
    """DistributedDataParallel waits for the gradient of every parameter."""
    for need_weights in (True, False):
        layer = InterdependenceAttention(E, H)
        x = torch.randn(L, N, E)
        layer(x, x, x, need_weights=need_weights)[0].sum().backward()
        assert all(parameter.grad is not None for parameter in layer.parameters())


def q(*shape: int) -> Tensor:
    return torch.randn(*shape)


def m(*shape: int) -> Tensor:
    return torch.zeros(*shape, dtype=torch.bool)


SELF = (q(N, L, E),) * 3
CROSS = (q(N, L, E), q(N, S, E), q(N, S, E))
#: Calls with batch_first=True, and what is said about them.
WRONG = {
    "a vector": ((q(E), q(E), q(E)), {}, "must have 2 dimensions, or all 3"),
    "four dimensions": ((q(1, N, L, E),) * 3, {}, "must have 2 dimensions, or all 3"),
    "key without a batch": ((q(N, L, E), q(S, E), q(S, E)), {}, "must have 2 dimensions, or all 3"),
    "value without a batch": ((q(N, L, E), q(N, S, E), q(S, E)), {}, "must have 2 dimensions, or all 3"),
    "another width": ((q(N, L, E + 1), q(N, S, E), q(N, S, E)), {}, r"query must be \(3, 5, 12\), got shape"),
    "another width of keys": ((q(N, L, E), q(N, S, E + 1), q(N, S, E)), {}, r"key must be \(3, 7, 12\)"),
    "another width of values": ((q(N, L, E), q(N, S, E), q(N, S, E + 1)), {}, r"value must be \(3, 7, 12\)"),
    "values of other keys": ((q(N, L, E), q(N, S, E), q(N, S + 1, E)), {}, r"value must be \(3, 7, 12\)"),
    "keys of another batch": ((q(N, L, E), q(N + 1, S, E), q(N + 1, S, E)), {}, r"key must be \(3, 7, 12\)"),
    "padding of one sample": (
        CROSS,
        {"key_padding_mask": m(S)},
        r"key_padding_mask must be \(3, 7\)",
    ),
    "padding of queries": (
        CROSS,
        {"key_padding_mask": m(N, L)},
        r"key_padding_mask must be \(3, 7\)",
    ),
    "padding of a batch": (
        (q(L, E), q(S, E), q(S, E)),
        {"key_padding_mask": m(1, S)},
        r"key_padding_mask must be \(7,\)",
    ),
    "a mask of one row": (
        CROSS,
        {"attn_mask": m(S)},
        r"attn_mask must be \(5, 7\) or \(6, 5, 7\)",
    ),
    "a transposed mask": (
        CROSS,
        {"attn_mask": m(S, L)},
        r"attn_mask must be \(5, 7\) or \(6, 5, 7\)",
    ),
    "a mask for each sample": (
        CROSS,
        {"attn_mask": m(N, L, S)},
        r"attn_mask must be \(5, 7\) or",
    ),
    "a mask for a batch": (
        (q(L, E), q(S, E), q(S, E)),
        {"attn_mask": m(N * H, L, S)},
        r"must be \(5, 7\) or \(2, 5, 7\)",
    ),
    "a hint without a mask": (SELF, {"is_causal": True}, "attn_mask must be given"),
}
WRONG_TYPES = {
    "integers in a mask": (SELF, {"attn_mask": m(L, L).int()}, "attn_mask must be boolean"),
    "integers in padding": (
        SELF,
        {"key_padding_mask": m(N, L).int()},
        "key_padding_mask must be boolean",
    ),
    "another type": ((q(N, L, E).double(),) * 3, {}, "query must have the type and device of w"),
}


@with_or_without_weights
@pytest.mark.parametrize("case", [*WRONG, *WRONG_TYPES])
def test_what_multihead_attention_refuses_is_refused(case: str, need_weights: bool) -> None:
    x, arguments, message = {**WRONG, **WRONG_TYPES}[case]
    with pytest.raises((AssertionError, RuntimeError)):
        nn.MultiheadAttention(E, H, batch_first=True)(*x, need_weights=need_weights, **arguments)
    layer = InterdependenceAttention(E, H, batch_first=True)
    with pytest.raises(TypeError if case in WRONG_TYPES else ValueError, match=message) as raised:
        layer(*x, need_weights=need_weights, **arguments)
    assert "\n" not in str(raised.value)


def test_mistakes_in_the_constructor() -> None:
    with pytest.raises(DivisibilityError, match="num_heads must divide embed_dim, got num_heads=5"):
        InterdependenceAttention(E, 5)
    with pytest.raises(ValueError, match="embed_dim must be at least 1"):
        InterdependenceAttention(0, 1)
    with pytest.raises(ValueError, match="vdim must be at least 1"):
        InterdependenceAttention(E, H, vdim=0)
    with pytest.raises(ValueError, match=r"dropout must be between 0 and 1, got 1\.5"):
        InterdependenceAttention(E, H, 1.5)
    with pytest.raises(TypeError, match=r"structure must be a lphm\.Structure"):
        InterdependenceAttention(E, H, structure="lphm")
    with pytest.raises(ValueError, match="structure must have n=12, which is embed_dim"):
        InterdependenceAttention(E, H, structure=Full(n=6))
    with pytest.raises(ValueError, match="budget must be left out where a structure is given"):
        InterdependenceAttention(E, H, structure=Full(n=E), budget=5)
    with pytest.raises(ValueError, match="budget must be at least"):
        InterdependenceAttention(E, H, budget=1)
