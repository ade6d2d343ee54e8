r"""
Digits: which pixels act together
=================================

A linear model reads an image one pixel at a time: every pixel adds its share to
the score of a digit, whatever the other pixels show. Here we add what *pairs* of
pixels say, by an interdependence matrix :math:`\xi`, and measure what that gains.
The images are scikit-learn's digits, 8 by 8 pixels.
"""

# sphinx_gallery_thumbnail_number = 2

import matplotlib.pyplot as plt
import torch
from sklearn.datasets import load_digits
from sklearn.model_selection import train_test_split
from torch import Tensor, nn
from torch.nn import functional as F

import lphm

images, digits = load_digits(return_X_y=True)
pixels = torch.tensor(images / 16, dtype=torch.float32)  # (1797, 64)
digits = torch.tensor(digits)
learn, test = train_test_split(
    torch.arange(len(pixels)), test_size=0.5, stratify=digits, random_state=0
)
print(len(learn), "images to learn from,", len(test), "to test on")

# %%
# The model
# ---------
#
# ``lphm`` takes a matrix :math:`X` for each sample. We give each pixel a row: its
# brightness times 8 learned numbers. So :math:`X` is 64 by 8, and
#
# .. math:: \xi = X^\top W X = \sum_{i,j} W_{ij}\, x_i x_j^\top
#
# is a sum over all pairs of pixels :math:`i, j`. :math:`W_{ij}` says how much the
# pair counts. A dense :math:`W` has :math:`64^2` parameters. ``LPHM(n=64, p=8, r=2)``
# writes it as :math:`A \otimes (S T^\top)`, with one number of :math:`A` for each
# pair of the 8 *rows of the image*, and with :math:`S T^\top` for the places within
# a row.

structure = lphm.LPHM(n=64, p=8, r=2)
print(structure.explain())


class DigitModel(nn.Module):
    """A linear model of the pixels and, if there is a structure, of xi."""

    def __init__(
        self,
        structure: lphm.Structure | None = None,
        width: int = 8,
        channels: int = 2,
    ) -> None:
        super().__init__()
        self.single = nn.Linear(64, 10)
        self.pairs = None
        if structure is not None:
            self.embedding = nn.Parameter(torch.randn(64, width))
            self.layer = lphm.BilinearInterdependence(
                structure, channels=channels, normalize="scale"
            )
            self.pairs = nn.Linear(channels * width * width, 10, bias=False)

    def forward(self, pixels: Tensor) -> Tensor:
        """Images ``(N, 64)`` to the scores of the digits ``(N, 10)``."""
        scores = self.single(pixels)
        if self.pairs is not None:
            X = pixels.unsqueeze(-1) * self.embedding  # (N, 64, width)
            xi = self.layer.matrix(X)  # (N, channels, width, width)
            scores = scores + self.pairs(xi.flatten(1))
        return scores


class HiddenUnits(nn.Module):
    """What one would try without this library: a linear model plus a hidden layer."""

    def __init__(self, units: int = 20) -> None:
        super().__init__()
        self.single = nn.Linear(64, 10)
        self.hidden = nn.Sequential(
            nn.Linear(64, units), nn.ReLU(), nn.Linear(units, 10)
        )

    def forward(self, pixels: Tensor) -> Tensor:
        """Images ``(N, 64)`` to the scores of the digits ``(N, 10)``."""
        return self.single(pixels) + self.hidden(pixels)


# %%
# Training
# --------
#
# All models are trained in the same way, three times each, from different initial
# values.


def train(model: nn.Module, steps: int = 200) -> float:
    """Train a model, and return its accuracy on the test images."""
    optimizer = torch.optim.AdamW(model.parameters(), lr=0.03)
    schedule = torch.optim.lr_scheduler.OneCycleLR(optimizer, 0.03, total_steps=steps)
    for _ in range(steps):
        batch = learn[torch.randint(len(learn), (48,))]
        loss = F.cross_entropy(model(pixels[batch]), digits[batch])
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        schedule.step()
    with torch.inference_mode():
        return (model(pixels[test]).argmax(-1) == digits[test]).float().mean().item()


choices = {
    "no pairs": DigitModel,
    "pairs, W = LPHM": lambda: DigitModel(structure),
    "pairs, dense W": lambda: DigitModel(lphm.Full(n=64)),
    "hidden layer": HiddenUnits,
}
models: dict[str, nn.Module] = {}
accuracy: dict[str, list[float]] = {}
print(
    f"{'':16}{'parameters':>11}{'in W':>7}{'accuracy':>10}{'lowest':>9}{'highest':>9}"
)
for name, build in choices.items():
    accuracy[name] = []
    for seed in range(3):
        torch.manual_seed(seed)
        models[name] = build()
        accuracy[name].append(train(models[name]))
    scores = torch.tensor(accuracy[name])
    parameters = sum(parameter.numel() for parameter in models[name].parameters())
    in_w = models[name].layer.weight.numel() if name.startswith("pairs") else 0
    print(
        f"{name:16}{parameters:11,}{in_w:7,}{scores.mean():10.3f}{scores.min():9.3f}{scores.max():9.3f}"
    )

# %%
# Pairs of pixels lower the number of errors clearly. They do so with a structured
# :math:`W` nearly as well as with a dense one, which has over 40 times the
# parameters. But a hidden layer with about as many parameters as the whole model
# does as well: **on these images, interdependence is one way to let pixels act
# together, and not a better one.** What it offers is a model that can be read, as
# the rest of this page shows.

mean = {name: sum(scores) / 3 for name, scores in accuracy.items()}
assert mean["pairs, W = LPHM"] > mean["no pairs"] + 0.01
assert abs(mean["pairs, W = LPHM"] - mean["pairs, dense W"]) < 0.02
assert abs(mean["pairs, W = LPHM"] - mean["hidden layer"]) < 0.02
assert lphm.Full(n=64).num_parameters > 40 * structure.num_parameters

# %%
# The learned W
# -------------
#
# On the left is the learned :math:`W` of the first channel. Its 8 by 8 blocks are
# all multiples of one pattern, :math:`S T^\top`. How large a block is, and its
# sign, is an entry of :math:`A`, on the right: how two rows of the image count
# together.

model = models["pairs, W = LPHM"]
w = model.layer.weight.detach()
A = w[0, :64].view(8, 8)
W = structure.to_dense(w)  # (channels, 64, 64)

fig, axes = plt.subplots(1, 2, figsize=(6.4, 3.7))
for ax, matrix in zip(axes, (W[0], A), strict=True):
    limit = matrix.abs().max().item()
    picture = ax.imshow(matrix.numpy(), cmap="RdBu_r", vmin=-limit, vmax=limit)
    fig.colorbar(picture, ax=ax, shrink=0.7)
axes[0].set(
    title="W: pairs of pixels",
    xlabel="pixel j",
    ylabel="pixel i",
    xticks=range(0, 64, 8),
)
axes[0].set(yticks=range(0, 64, 8))
axes[1].set(
    title="A: pairs of image rows", xlabel="row of pixel j", ylabel="row of pixel i"
)
plt.show()

# %%
# Pairs in one image
# ------------------
#
# The score of a digit is a sum over single pixels and over pairs of pixels, so
# each pair has a share in it that we can compute: :math:`x_i Q_{ij} x_j`, where
# :math:`Q` puts together the embedding, :math:`W` and the last layer. The shares add
# up to the score exactly.

with torch.inference_mode():
    last = model.pairs.weight.view(10, 2, 8, 8) / 64  # "scale" divides xi by n
    Q = torch.einsum("kcab,ia,cij,jb->kij", last, model.embedding, W, model.embedding)
    Q = (Q + Q.mT) / 2  # the pair (i, j) and the pair (j, i) are one pair
    X = pixels[test]
    shares = X[:, :, None] * Q[digits[test]] * X[:, None, :]  # (N, 64, 64)
    scores = model.single(X) + torch.einsum("ni,kij,nj->nk", X, Q, X)
    difference = (scores - model(X)).abs().max() / scores.abs().max()
print(f"the shares differ from the model's scores by {difference:.0e} of the largest")
assert difference < 1e-4

# %%
# The lines below join the 12 pairs with the largest shares in the score of the
# true digit: blue for it, orange against it. The wider the line, the larger the
# share.

fig, axes = plt.subplots(1, 4, figsize=(6.4, 2.3))
for ax, digit in zip(axes, (0, 3, 4, 7), strict=True):
    number = int((digits[test] == digit).nonzero()[0])
    ax.imshow(pixels[test][number].view(8, 8).numpy(), cmap="gray", vmax=1.6)
    pairs = (2 * shares[number]).triu(1).flatten()
    largest = pairs.abs().topk(12).indices
    for pair in largest.tolist():
        i, j = divmod(pair, 64)
        width = (4 * pairs[pair].abs() / pairs.abs().max()).item()
        colour = "#4aa3ff" if pairs[pair] > 0 else "#ff9a3c"
        ax.plot(
            [i % 8, j % 8],
            [i // 8, j // 8],
            color=colour,
            linewidth=width,
            solid_capstyle="round",
        )
    ax.set(title=f"a {digit}", xticks=[], yticks=[])
    ax.spines[:].set_visible(False)
plt.show()

# %%
# What to take with you
# ---------------------
#
# - ``layer.matrix(X)`` gives :math:`\xi`, on which any model can be built.
# - Choose ``p`` after the groups that your rows have: here the rows of an image.
# - Measure against a plain network of the same size before you keep it:
#   ``lphm train digits --compare`` does so on the command line, and :doc:`/accuracy`
#   has the results for many data sets.
