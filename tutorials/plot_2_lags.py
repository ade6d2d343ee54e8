r"""
Series: which channel leads which
=================================

Some series differ in nothing but *when* their channels do the same: one leads, the
other follows a few steps later. Means, variances and correlations at the same step
say nothing about that. This page makes such series, and compares what a dense and
a structured :math:`W` need to see it.
"""

# sphinx_gallery_thumbnail_number = 3

import matplotlib.pyplot as plt
import torch
from torch import Tensor, nn
from torch.nn import functional as F

import lphm

STEPS, LAG = 64, 3


def draw(number: int, seed: int) -> tuple[Tensor, Tensor]:
    """Series ``(number, steps, 4)`` and their classes 0 or 1.

    Channels 0 and 1 share a signal, and so do 2 and 3. In class 0 the second of the
    two has it three steps later, in class 1 three steps earlier. Each channel also
    has noise of its own.
    """
    generator = torch.Generator().manual_seed(seed)
    classes = torch.randint(2, (number,), generator=generator)
    signal = torch.randn(number, STEPS + 2 * LAG, 2, generator=generator)
    later, earlier = signal[:, :STEPS], signal[:, 2 * LAG :]
    second = torch.where(classes[:, None, None] == 0, later, earlier)
    x = torch.stack([signal[:, LAG:-LAG], second], dim=-1).flatten(2)
    return x + 0.7 * torch.randn(x.shape, generator=generator), classes


x, classes = draw(2000, seed=1)
print("mean of channel 0 times channel 1 ...  same step  3 later  3 earlier")
for number in (0, 1):
    first, second = x[classes == number][..., 0], x[classes == number][..., 1]
    same = (first * second).mean()
    later = (first[:, :-LAG] * second[:, LAG:]).mean()
    earlier = (first[:, LAG:] * second[:, :-LAG]).mean()
    print(f"class {number} {same:38.2f}{later:9.2f}{earlier:11.2f}")
    assert abs(same) < 0.1

# %%
# The picture shows one series of each class. Can you see which channel leads?

fig, axes = plt.subplots(2, 1, figsize=(6.4, 3.6), sharex=True)
for number, ax in enumerate(axes):
    series = x[classes == number][0]
    for channel in (0, 1):
        ax.plot(series[:, channel].numpy(), label=f"channel {channel}", linewidth=1.5)
    leader, follower = (0, 1) if number == 0 else (1, 0)
    ax.set(
        title=f"class {number}: channel {leader} leads channel {follower} by 3 steps",
        ylabel="value",
    )
axes[1].set(xlabel="step")
fig.legend(*axes[0].get_legend_handles_labels(), loc="outside lower right", ncols=2)
plt.show()

# %%
# Five models
# -----------
#
# For a series :math:`X` (steps by channels), :math:`\xi = X^\top W X` has an entry
# for each pair of channels, and :math:`W_{st}` says how much step :math:`s` of one
# counts with step :math:`t` of the other. Four models read :math:`\xi`. They differ
# in :math:`W`, and the first has a hidden layer as well:
#
# - *no lags*: :math:`W = I`. :math:`\xi` is the covariance at the same step, which a
#   hidden layer reads. This is the model without interdependence of different
#   steps.
# - *dense*: all :math:`64^2` entries of :math:`W` are learned.
# - *LPHM*: :math:`W = A \otimes (S T^\top)`.
# - *Toeplitz*: :math:`W_{st}` depends on the lag :math:`t - s` alone, from -7 to 7.
#
# The fifth is what many would choose first: a convolution over the steps, which
# sees lags too.


class Pairs(nn.Module):
    """Scores of the classes from xi."""

    def __init__(self, structure: lphm.Structure) -> None:
        super().__init__()
        self.layer = lphm.BilinearInterdependence(structure, normalize="scale")
        self.read = nn.Sequential(nn.Flatten(), nn.BatchNorm1d(16), nn.Linear(16, 2))

    def forward(self, x: Tensor) -> Tensor:
        """Series ``(N, 64, 4)`` to scores ``(N, 2)``."""
        return self.read(self.layer.matrix(x))  # xi is (N, 1, 4, 4)


class NoLags(nn.Module):
    """Scores of the classes from the covariance at the same step."""

    def __init__(self) -> None:
        super().__init__()
        self.read = nn.Sequential(
            nn.Flatten(),
            nn.BatchNorm1d(16),
            nn.Linear(16, 32),
            nn.ReLU(),
            nn.Linear(32, 2),
        )

    def forward(self, x: Tensor) -> Tensor:
        """Series ``(N, 64, 4)`` to scores ``(N, 2)``."""
        return self.read(x.mT @ x / STEPS)


class Convolution(nn.Module):
    """Scores of the classes from the mean responses of 16 filters of 7 steps."""

    def __init__(self) -> None:
        super().__init__()
        self.filters = nn.Sequential(
            nn.Conv1d(4, 16, 7, padding=3), nn.BatchNorm1d(16), nn.ReLU()
        )
        self.read = nn.Linear(16, 2)

    def forward(self, x: Tensor) -> Tensor:
        """Series ``(N, 64, 4)`` to scores ``(N, 2)``."""
        return self.read(self.filters(x.mT).mean(-1))


choices = {
    "no lags": NoLags,
    "dense W": lambda: Pairs(lphm.Full(n=STEPS)),
    "LPHM": lambda: Pairs(lphm.LPHM(n=STEPS, p=8, r=2)),
    "Toeplitz": lambda: Pairs(lphm.Toeplitz(n=STEPS, lags=15)),
    "convolution": Convolution,
}

# %%
# How many series does each need?
# -------------------------------
#
# Each model learns from 50, 200 and 800 series, and is tested on 2,000 others.


def train(model: nn.Module, x: Tensor, classes: Tensor, steps: int = 120) -> None:
    """Minimise the cross-entropy over batches of 48 series."""
    optimizer = torch.optim.AdamW(model.parameters(), lr=0.03)
    schedule = torch.optim.lr_scheduler.OneCycleLR(optimizer, 0.03, total_steps=steps)
    for _ in range(steps):
        batch = torch.randint(len(x), (48,))
        loss = F.cross_entropy(model(x[batch]), classes[batch])
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        schedule.step()


sizes = [50, 200, 800]
test_x, test_classes = draw(2000, seed=2)
models: dict[str, nn.Module] = {}
accuracy: dict[str, list[float]] = {}
print(
    f"{'':12}{'parameters':>11}{'in W':>7}"
    + "".join(f"{f'{size} series':>12}" for size in sizes)
)
for name, build in choices.items():
    accuracy[name] = []
    for size in sizes:
        torch.manual_seed(0)
        models[name] = build()
        train(models[name], *draw(size, seed=3))
        with torch.inference_mode():
            predicted = models[name].eval()(test_x).argmax(-1)
        accuracy[name].append((predicted == test_classes).float().mean().item())
    parameters = sum(parameter.numel() for parameter in models[name].parameters())
    in_w = models[name].layer.weight.numel() if isinstance(models[name], Pairs) else 0
    print(
        f"{name:12}{parameters:11,}{in_w:7,}"
        + "".join(f"{score:12.3f}" for score in accuracy[name])
    )

# %%
# A guess is right for half of the series, and a model without lags can do no
# better. With enough series, every :math:`W` learns the lags. With few, only those
# do whose form fits: Toeplitz, and the convolution as well.

fig, ax = plt.subplots(figsize=(6.4, 3.4))
for name, style in zip(choices, ("s-", "o-", "v-", "D-", "^--"), strict=True):
    ax.plot(sizes, accuracy[name], style, label=name)
ax.set(
    xscale="log",
    xticks=sizes,
    xticklabels=sizes,
    xlabel="series to learn from",
    ylabel="accuracy",
)
ax.set(title="Accuracy on 2,000 other series", ylim=(0.4, 1.04))
ax.minorticks_off()
ax.legend(loc="center left", bbox_to_anchor=(1, 0.5))
plt.show()

assert max(accuracy["no lags"]) < 0.55
assert min(accuracy["Toeplitz"]) > 0.98
assert min(accuracy["convolution"]) > 0.95
assert accuracy["dense W"][0] < 0.8
assert min(accuracy["dense W"][-1], accuracy["LPHM"][-1]) > 0.95

# %%
# The learned W
# -------------
#
# These are the :math:`W` learned from 800 series. All three have found the two
# bands at the lags 3 and -3, with opposite signs: what follows three steps later
# counts for one class, what came three steps earlier for the other. The dense
# :math:`W` has to learn each entry of the bands by itself, and the noise between
# them as well. LPHM repeats a pattern of 8 by 8 steps. Toeplitz has one number for
# each lag.

fig, axes = plt.subplots(1, 3, figsize=(6.4, 2.9), sharey=True)
for ax, name in zip(axes, ("dense W", "LPHM", "Toeplitz"), strict=True):
    layer = models[name].layer
    W = layer.structure.to_dense(layer.weight.detach())[0]
    limit = W.abs().quantile(0.995).item()
    ax.imshow(W.numpy(), cmap="RdBu_r", vmin=-limit, vmax=limit)
    ax.set(
        title=name,
        xlabel="step t",
        xticks=range(0, 64, 16),
        yticks=range(0, 64, 16),
    )
axes[0].set(ylabel="step s")
plt.show()

# %%
# The mean of :math:`W` along each diagonal shows the same as numbers.

fig, ax = plt.subplots(figsize=(6.4, 3))
lags = range(-12, 13)
for name, marker in (("dense W", "o"), ("LPHM", "v"), ("Toeplitz", "D")):
    layer = models[name].layer
    W = layer.structure.to_dense(layer.weight.detach())[0]
    means = torch.tensor([W.diagonal(lag).mean() for lag in lags])
    means *= means[lags.index(LAG)].sign() / means.abs().max()  # W has no fixed sign
    ax.plot(
        lags, means.numpy(), marker=marker, markersize=5, linewidth=1.2, label=name
    )
    assert {lags[i] for i in means.abs().topk(2).indices} == {-LAG, LAG}, name
ax.set(
    xlabel="lag t - s (steps)",
    ylabel="mean of W, relative",
    xticks=range(-12, 13, 3),
)
ax.set(title="The two lags that tell the classes apart")
ax.legend()
plt.show()

# %%
# What to take with you
# ---------------------
#
# - Where the distance of two steps decides, and not their place, use
#   :py:class:`lphm.Toeplitz`: on the command line
#   ``lphm train FILE --structure toeplitz --lags 15``.
# - Without any choice, ``lphm.LPHMClassifier`` and ``lphm train`` learn series in
#   closed form, with lags: see :doc:`/series_features`.
# - A convolution sees the same. Toeplitz has fewer parameters, and a :math:`W` that
#   can be read.
