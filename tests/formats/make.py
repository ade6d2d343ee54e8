"""Write what users keep, runs and the state of a layer, and what they compute, into a folder per version.

    python tests/formats/make.py

A release runs this once, and commits the folder. `test_formats.py` loads the folders of all versions.
"""

import json
import os
from pathlib import Path

import numpy as np
import pandas as pd
import torch
from safetensors.torch import save_file

import lphm
from lphm.__main__ import app

HERE = Path(__file__).parent.resolve()


def table(rows: int) -> pd.DataFrame:
    """Numbers, a category, a date and missing cells, and the number that follows from them."""
    random = np.random.default_rng(0)
    size, zone = random.uniform(20, 200, rows).round(1), random.choice(["north", "south", "east"], rows)
    sold = pd.Timestamp("2020-01-01") + pd.to_timedelta(random.integers(0, 1500, rows), "D")
    price = 1000 * size * np.where(zone == "north", 2, 1) + random.normal(0, 3000, rows)
    frame = pd.DataFrame(
        {"size": size, "zone": zone, "sold": sold.strftime("%d.%m.%Y"), "price": price.round()}
    )
    frame.loc[random.random(rows) < 0.1, "size"] = np.nan
    return frame


def series(count: int) -> pd.DataFrame:
    """Two channels of 24 steps; the second one follows the first one by two steps, or leads it."""
    random = np.random.default_rng(1)
    frames = []
    for i in range(count):
        first = random.normal(size=28).cumsum()
        shift = 0 if i % 2 else 4
        frames.append(
            pd.DataFrame(
                {
                    "id": i,
                    "step": range(24),
                    "a": first[2:26],
                    "b": first[shift : shift + 24],
                    "y": "fl"[i % 2],
                }
            )
        )
    return pd.concat(frames).round(4)


def train_and_predict(folder: Path, frame: pd.DataFrame, new: pd.DataFrame, *options: str) -> None:
    folder.mkdir(parents=True)
    os.chdir(folder)  # the run holds the path as it is given
    frame.to_csv("data.csv", index=False)
    new.to_csv("new.csv", index=False)
    app(["train", "data.csv", "--quiet", "-o", "run", *options])
    app(["predict", "run", "new.csv", "--quiet", "-o", "predicted.csv"])
    Path("data.csv").unlink()
    for file in Path("run").iterdir():  # the model alone
        if file.name not in ("config.json", "weights.safetensors", "metrics.json"):
            file.unlink()


def layer(file: Path) -> None:
    """A layer with channels and a running average: its state, its structure, an input and its output."""
    torch.manual_seed(0)
    structure = lphm.LPHM(n=12, p=3, q=2, r=2)
    mixing = lphm.BilinearInterdependence(structure, channels=2, normalize="softmax", running_size=5)
    for _batch in range(2):
        mixing(torch.randn(3, 12, 5))
    x = torch.randn(2, 12, 5)
    tensors = {**mixing.state_dict(), "x": x, "out": mixing.eval()(x).detach()}
    save_file(tensors, file, {"structure": json.dumps(structure.to_config())})


def main() -> None:
    folder = HERE / lphm.__version__
    frame, many = table(80), series(40)
    few = ("--epochs", "4", "--no-early-stopping", "--members", "2")
    train_and_predict(
        folder / "table", frame[:70], frame[70:].drop(columns="price"), "--target", "price", *few
    )
    keys = ("--target", "y", "--series", "id", "--step", "step")
    new = many[many["id"] >= 34].drop(columns="y")
    train_and_predict(folder / "ridge", many[many["id"] < 34], new, *keys)
    train_and_predict(folder / "network", many[many["id"] < 34], new, *keys, "--method", "network", *few)
    layer(folder / "layer.safetensors")


if __name__ == "__main__":
    main()
