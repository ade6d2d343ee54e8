"""The picture of the idea in docs/understand.md: what W is made of, and the way to xi that never forms it.

python -m benchmarks.idea
"""

from pathlib import Path

import matplotlib
import torch

import lphm

matplotlib.use("svg")
from matplotlib import pyplot as plt
from matplotlib.axes import Axes

PICTURE = Path(__file__).parents[1] / "docs" / "images" / "idea.svg"
STRUCTURE = lphm.LPHM(n=12, p=3, q=3, r=1)
COLUMNS = 5
GREY = "#7f7f7f"  # is read on white and on black


def matrices() -> dict[str, torch.Tensor]:
    """The factors, W, a smooth X of 12 rows, the thin pair, and xi."""
    generator = torch.Generator().manual_seed(3)
    A = torch.randn(3, 3, generator=generator)
    S = torch.linspace(-1, 1, 4).unsqueeze(1)
    T = torch.tensor([[0.2], [1.0], [0.8], [-0.5]])
    w = STRUCTURE.pack(A, S, T)
    X = torch.randn(12, COLUMNS, generator=generator)
    left, right = STRUCTURE.project(w, X)
    return {
        "A": A,
        "S": S,
        "T": T,
        "W": STRUCTURE.to_dense(w),
        "X": X,
        "left": left,
        "right": right,
        "xi": left.mT @ right,
    }


def show(axes: Axes, matrix: torch.Tensor, title: str) -> None:
    """One matrix as a heat map with square cells, its name and its shape."""
    bound = float(matrix.abs().max())
    rows, columns = matrix.shape
    axes.pcolormesh(matrix.numpy(), cmap="RdBu_r", vmin=-bound, vmax=bound, edgecolors="white", linewidth=0.4)
    axes.set(xlim=(0, columns), ylim=(rows, 0), aspect="equal")
    axes.set_title(f"{title}\n{rows} × {columns}", fontsize=10, color=GREY)
    axes.axis("off")


def main() -> None:
    """Draw the two rows: the factors that make W, and the products that give xi."""
    found = matrices()
    plt.rcParams.update({"svg.fonttype": "none", "svg.hashsalt": "idea", "font.family": "sans-serif"})
    figure = plt.figure(figsize=(9, 5))
    above = [("A", "A"), ("S", "S"), ("T", "T"), ("W", "W = A ⊗ (S Tᵀ)")]
    below = [
        ("X", "X"),
        ("left", "left = Sᵀ X_p"),
        ("right", "right = A Tᵀ X_q"),
        ("xi", "xi = leftᵀ right = Xᵀ W X"),
    ]
    for row, names in enumerate((above, below)):
        widths = [0.16, 0.2, 0.24, 0.3]
        for place, (name, title) in enumerate(names):
            height = 0.34 * min(1.0, found[name].shape[0] / 9 + 0.25)
            bottom = (0.53 if row == 0 else 0.01) + (0.34 - height) / 2
            show(
                figure.add_axes((0.02 + sum(widths[:place]), bottom, widths[place], height)),
                found[name],
                title,
            )
    plain = STRUCTURE.num_parameters
    figure.text(
        0.02,
        0.96,
        f"{plain} parameters make W, which has {STRUCTURE.n**2} entries …",
        color=GREY,
        fontsize=11,
    )
    figure.text(0.02, 0.47, "… and xi is computed from the small factors alone", color=GREY, fontsize=11)
    PICTURE.parent.mkdir(exist_ok=True)
    figure.savefig(PICTURE, transparent=True, metadata={"Date": None})
    print(f"wrote {PICTURE}")


if __name__ == "__main__":
    main()
