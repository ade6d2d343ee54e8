r"""
Attention with fewer parameters
===============================

In attention, the score of a query and a key is :math:`\xi = Q W K^\top`, where
:math:`W` is made of the maps of queries and keys.
:py:class:`lphm.InterdependenceAttention` takes the place of
:py:class:`torch.nn.MultiheadAttention` and lets :math:`W` have a structure with
fewer parameters. This page trains a small model of characters with each, draws
what the heads look at, and shows what the fewer parameters cost.
"""

# sphinx_gallery_thumbnail_number = 2

import math
from pydoc_data.topics import topics

import matplotlib.pyplot as plt
import torch
from torch import Tensor, nn
from torch.nn import functional as F

import lphm

# %%
# The text
# --------
#
# The text is what Python's ``help()`` knows of the language. Every tenth topic is
# held out for the test. The model sees 32 characters and predicts the next one, at
# each place.

CONTEXT = 32
names = sorted(topics)
characters = sorted(set("".join(topics.values())))
code = {character: number for number, character in enumerate(characters)}


def windows(topic_names: list[str], step: int) -> Tensor:
    """Pieces of the text of 32 characters and the next one, as numbers."""
    text = "".join(topics[name] for name in topic_names)
    return torch.tensor([code[character] for character in text]).unfold(
        0, CONTEXT + 1, step
    )


learn = windows([name for name in names if name not in names[::10]], 1)
test = windows(names[::10], 2 * CONTEXT)
print(f"{len(characters)} different characters")
print(f"{len(learn):,} windows to learn from, {len(test):,} to test on")

# %%
# The model
# ---------
#
# One layer of a transformer. To change its attention is one line:
# ``register_module``.

WIDTH, HEADS = 64, 4


class CharacterModel(nn.Module):
    """Characters ``(N, 32)`` to logits of each next one ``(N, 32, characters)``."""

    def __init__(self, attention: nn.Module | None = None) -> None:
        super().__init__()
        self.embedding = nn.Embedding(len(characters), WIDTH)
        self.position = nn.Parameter(torch.randn(CONTEXT, WIDTH))
        self.layer = nn.TransformerEncoderLayer(
            WIDTH,
            HEADS,
            4 * WIDTH,
            dropout=0,
            activation="gelu",
            batch_first=True,
            norm_first=True,
        )
        if attention is not None:
            self.layer.register_module("self_attn", attention)
        self.read = nn.Sequential(
            nn.LayerNorm(WIDTH), nn.Linear(WIDTH, len(characters))
        )
        self.register_buffer(
            "later", torch.ones(CONTEXT, CONTEXT, dtype=torch.bool).triu(1)
        )

    def forward(self, x: Tensor) -> Tensor:
        """Each character looks at itself and at those before it."""
        x = self.embedding(x) + self.position
        return self.read(self.layer(x, self.later, is_causal=True))

    @torch.inference_mode()
    def attention_weights(self, x: Tensor) -> Tensor:
        """What character ``i`` looks at, in row ``i``: ``(N, heads, 32, 32)``."""
        x = self.layer.norm1(self.embedding(x) + self.position)
        return self.layer.self_attn(
            x, x, x, attn_mask=self.later, average_attn_weights=False
        )[1]


# %%
# For a head of ``nn.MultiheadAttention``, :math:`W` has rank 16 = 64 / 4 and two
# maps of 16 by 64, 2,048 parameters.
#
# - ``LowRank(n=64, r=4)`` writes it as :math:`P Q^\top` with a quarter of the
#   parameters and of the rank.
# - ``LPHM(n=64, p=8, r=2)`` is what ``InterdependenceAttention`` chooses if it is
#   not told: the same rank of 16 with the fewest parameters.


def attention(structure: lphm.Structure) -> lphm.InterdependenceAttention:
    """Attention whose scores have this structure."""
    return lphm.InterdependenceAttention(
        WIDTH, HEADS, structure=structure, batch_first=True
    )


assert lphm.InterdependenceAttention(WIDTH, HEADS).structure == lphm.LPHM(
    n=64, p=8, r=2
)
choices = {
    "nn.MultiheadAttention": lambda: None,
    "LowRank(n=64, r=4)": lambda: attention(lphm.LowRank(n=64, r=4)),
    "LPHM(n=64, p=8, r=2)": lambda: attention(lphm.LPHM(n=64, p=8, r=2)),
}

# %%
# Training
# --------


def loss_of(model: nn.Module, windows: Tensor) -> Tensor:
    """Mean cross-entropy of the next character, in bits."""
    logits = model(windows[:, :-1])
    return F.cross_entropy(logits.flatten(0, 1), windows[:, 1:].flatten()) / math.log(
        2
    )


def train(model: nn.Module, steps: int = 200) -> list[float]:
    """Train a model; the loss at each step."""
    optimizer = torch.optim.AdamW(model.parameters(), lr=0.01)
    schedule = torch.optim.lr_scheduler.OneCycleLR(optimizer, 0.01, total_steps=steps)
    losses = []
    for _ in range(steps):
        loss = loss_of(model, learn[torch.randint(len(learn), (16,))])
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        schedule.step()
        losses.append(loss.item())
    return losses


models, losses, bits = {}, {}, {}
print(f"{'':24}{'parameters of scores':>21}{'of all':>9}{'bits per character':>20}")
for name, build in choices.items():
    torch.manual_seed(0)
    models[name] = CharacterModel(build())
    losses[name] = train(models[name])
    with torch.inference_mode():
        bits[name] = loss_of(models[name].eval(), test).item()
    replaced = models[name].layer.self_attn
    of_scores = (
        2 * WIDTH * WIDTH if name.startswith("nn.") else replaced.weight.numel()
    )
    of_all = sum(parameter.numel() for parameter in models[name].parameters())
    print(f"{name:24}{of_scores:21,}{of_all:9,}{bits[name]:20.3f}")

counts = torch.bincount(learn[:, -1], minlength=len(characters)) + 1
by_frequency = -(counts / counts.sum()).log2()[test[:, 1:]].mean().item()
print(
    f"the best prediction that looks at no other character: {by_frequency:.3f} bits"
)

# %%
# Fewer bits are better. **Fewer parameters cost accuracy** here, and the model
# does not become much smaller, because most of its parameters are elsewhere. So a
# structure pays where the parameters of the scores count, for instance if they are
# stored for many models. :doc:`/attention` has a longer comparison: more
# structures, two layers, three seeds, and the time that each takes.

standard = bits["nn.MultiheadAttention"]
assert max(bits.values()) < by_frequency - 0.5  # the characters before help
assert standard < min(bits["LowRank(n=64, r=4)"], bits["LPHM(n=64, p=8, r=2)"])

fig, ax = plt.subplots(figsize=(6.4, 3.4))
smooth = torch.tensor(list(losses.values())).unfold(1, 25, 1).mean(-1)
for name, line in zip(losses, smooth, strict=True):
    ax.plot(range(25, 25 + len(line)), line.numpy(), label=name)
ax.axhline(by_frequency, color="#8a8f98", linestyle=":", label="no other character")
ax.set(
    title="Training loss, mean of 25 steps",
    xlabel="step",
    ylabel="bits per character",
    ylim=(3, 5.5),
)
ax.legend(fontsize="small")
plt.show()

# %%
# What the heads look at
# ----------------------
#
# Each row of a picture is a character that the model predicts from, and its
# colours say how much that character takes from itself and from each one before,
# as the mean of the heads.

text = "the value of the attribute is re"
x = torch.tensor([[code[character] for character in text]])
near = {}
fig, axes = plt.subplots(1, 2, figsize=(6.4, 3.7), sharey=True)
for ax, name in zip(
    axes, ("nn.MultiheadAttention", "LPHM(n=64, p=8, r=2)"), strict=True
):
    weights = models[name].attention_weights(x)[0]  # (heads, 32, 32)
    assert torch.allclose(weights.sum(-1), torch.ones(HEADS, CONTEXT), atol=1e-5)
    assert not weights.triu(1).any()  # nothing is taken from later characters
    picture = ax.imshow(weights.mean(0).sqrt().numpy(), vmin=0, vmax=1, cmap="magma")
    ax.set_xticks(range(CONTEXT), text.replace(" ", "\u2423"), fontsize=6)
    ax.set_yticks(range(CONTEXT), text.replace(" ", "\u2423"), fontsize=6)
    ax.tick_params(length=0, pad=2)
    ax.set(title=name, xlabel="looked at")
    near[name] = sum(weights.diagonal(-lag, 1, 2)[:, 8:].mean() for lag in range(4))
    print(f"{name}: {near[name]:.0%} from itself and the three characters before")
axes[0].set(ylabel="character that looks")
fig.colorbar(picture, ax=axes, label="square root of the weight", shrink=0.8)
plt.show()

# %%
# Standard attention looks at the nearest characters first. LPHM spreads its weights
# over more of them, which agrees with its larger loss.

assert near["nn.MultiheadAttention"] > near["LPHM(n=64, p=8, r=2)"]

# %%
# From a trained model
# --------------------
#
# The :math:`W` of trained attention can be replaced by the nearest structured one,
# by :py:func:`lphm.nearest`. How much is lost depends on the structure and on what
# was learned:

query, key, _ = (
    models["nn.MultiheadAttention"].layer.self_attn.in_proj_weight.detach().chunk(3)
)
query, key = (side.unflatten(0, (HEADS, -1)) for side in (query, key))
W = query.mT @ key  # (heads, 64, 64)
lost = {}
for structure in (
    lphm.LowRank(n=64, r=16),
    lphm.LowRank(n=64, r=4),
    lphm.LPHM(n=64, p=8, r=2),
):
    replaced = structure.to_dense(lphm.nearest(structure, W))
    lost[structure] = ((replaced - W).norm() / W.norm()).item()
    print(f"{structure!r:26} {structure.num_parameters:5,} parameters", end="")
    print(f", distance {lost[structure]:.2f}")
assert lost[lphm.LowRank(n=64, r=16)] < 1e-4

# %%
# 0 is the same :math:`W`, and 1 is no nearer than zero. A model that was trained
# without the structure does not have it: train with the structure from the start,
# or go on training after the replacement.

assert lost[lphm.LPHM(n=64, p=8, r=2)] > 0.5
