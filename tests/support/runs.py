"""A small run, and ways in which a run folder can be damaged."""

import json
from collections.abc import Callable
from pathlib import Path

import pandas as pd
import torch
from safetensors.torch import load_file, save_file

from lphm.data.fitting import fit_features
from lphm.data.targets import fit_target
from lphm.learn.config import NetworkConfig, NetworkRunConfig, TrainingConfig, build_network
from lphm.learn.run import Run, save_run
from lphm.structures import LPHM

FRAME = pd.DataFrame({"x": [0.0, 1.0, None, 3.0] * 3, "c": ["u", "v", "w", "u"] * 3})


def make_run() -> Run:
    config = NetworkRunConfig(
        source="t.csv",
        input=fit_features(FRAME),
        target=fit_target(pd.Series(["no", "yes"], name="y"), "classification"),
        network=NetworkConfig(
            width=8,
            blocks=1,
            channels=2,
            instance_channels=1,
            dropout=0.1,
            members=1,
            attribute=LPHM(n=4, p=2, q=4, r=1).to_config(),
            instance=LPHM(n=8, p=2, r=2).to_config(),
        ),
        training=TrainingConfig(
            seed=0, epochs=1, batch_size=4, learning_rate=0.1, weight_decay=0.0, patience=1
        ),
    )
    return Run(config, build_network(config))


def edit_config(change: Callable[[dict], None]) -> Callable[[Path], None]:
    def edit(folder: Path) -> None:
        config = json.loads((folder / "config.json").read_text())
        change(config)
        (folder / "config.json").write_text(json.dumps(config))

    return edit


def edit_weights(change: Callable[[dict], None]) -> Callable[[Path], None]:
    def edit(folder: Path) -> None:
        weights = load_file(folder / "weights.safetensors")
        change(weights)
        save_file(weights, folder / "weights.safetensors")

    return edit


def truncate(name: str) -> Callable[[Path], None]:
    def edit(folder: Path) -> None:
        content = (folder / name).read_bytes()
        (folder / name).write_bytes(content[: len(content) // 2])

    return edit


#: What was done to a saved run, and the error that names it. The command line's tests use it too.
DAMAGE: dict[str, tuple[Callable[[Path], None], str]] = {
    "no weights": (
        lambda f: (f / "weights.safetensors").unlink(),
        "must be a readable safetensors file, got: .*No such",
    ),
    "no config": (lambda f: (f / "config.json").unlink(), r"is not a run folder \(it has no config.json\)"),
    "truncated weights": (truncate("weights.safetensors"), "must be a readable safetensors file"),
    "empty weights": (
        lambda f: (f / "weights.safetensors").write_bytes(b""),
        "must be a readable safetensors file",
    ),
    "truncated config": (truncate("config.json"), "config.json must be a JSON file, got: "),
    "config is a list": (
        lambda f: (f / "config.json").write_text("[]"),
        "config.json must hold a JSON object, got list",
    ),
    "missing tensor": (
        edit_weights(lambda w: w.pop("head.down.weight")),
        r"'head.down.weight' must be \(1, 16, 2\) torch.float32, got absent",
    ),
    "unknown tensor": (
        edit_weights(lambda w: w.update(extra=torch.zeros(1))),
        r"'extra' must be absent, got \(1,\) torch.float32",
    ),
    "wrong shape": (
        edit_weights(lambda w: w.update({"head.down.bias": torch.zeros(1, 1, 3)})),
        r"'head.down.bias' must be \(1, 1, 2\) torch.float32, got \(1, 1, 3\) torch.float32",
    ),
    "wrong type": (
        edit_weights(lambda w: w.update({"head.down.bias": torch.zeros(1, 1, 2, dtype=torch.float64)})),
        r"'head.down.bias' must be \(1, 1, 2\) torch.float32, got \(1, 1, 2\) torch.float64",
    ),
    "nan": (
        edit_weights(lambda w: w["head.down.bias"][0, 0, 1:].fill_(torch.nan)),
        "tensor 'head.down.bias' must hold finite numbers, got inf or nan",
    ),
    "infinite": (
        edit_weights(lambda w: w["head.up.weight"][0, 0, :1].fill_(-torch.inf)),
        "tensor 'head.up.weight' must hold finite numbers, got inf or nan",
    ),
    "edited weights": (
        edit_weights(lambda w: w["head.down.bias"].add_(1)),
        "weights.safetensors must hold the weights of its config.json, .* got others",
    ),
    "weights of another run": (
        lambda f: (
            save_run(make_run(), f.with_name("other"), {})
            or (f.with_name("other") / "weights.safetensors").replace(f / "weights.safetensors")
        ),
        "weights.safetensors must hold the weights of its config.json, .* got others",
    ),
    "no hash": (
        edit_config(lambda c: c.pop("weights_sha256")),
        "weights.safetensors must hold the weights of its config.json, .* got others",
    ),
    "missing key": (edit_config(lambda c: c.pop("network")), "got at network: Field required"),
    "unknown key": (edit_config(lambda c: c.update(more=1)), "got at more: Extra inputs"),
    "unknown size": (edit_config(lambda c: c["network"].update(depth=2)), "got at network.depth: Unexpected"),
    "no epochs": (edit_config(lambda c: c["training"].update(epochs=None)), "got at training.epochs: Input"),
    "wrong value": (edit_config(lambda c: c["network"].update(width="wide")), "got at network.width: Input"),
    "out of bounds": (
        edit_config(lambda c: c["network"].update(members=10**9)),
        "got at network: members must be a whole number of at least 1 and at most 1000, got 1000000000",
    ),
    "other format": (edit_config(lambda c: c.update(format=6)), "got at format: Input should be 7"),
    "unknown structure": (
        edit_config(lambda c: c["network"]["attribute"].update(name="cubic")),
        "the network cannot be built: structure name must be one of",
    ),
    "structure without r": (
        edit_config(lambda c: c["network"]["attribute"].pop("r")),
        "the network cannot be built: .*'r'",
    ),
    "structure of other size": (
        edit_config(lambda c: c["network"]["attribute"].update(n=16)),
        r"n of the structure must be the network's rows, got LPHM\(n=16, p=2, q=4, r=1\) and 4",
    ),
    "p that does not divide": (
        edit_config(lambda c: c["network"]["attribute"].update(p=3)),
        "p must divide n, got p=3, n=4",
    ),
    "another number of blocks": (
        edit_config(lambda c: c["network"].update(blocks=2)),
        "'blocks.1.* must be .*, got absent",
    ),
    "a width of terabytes": (
        edit_config(lambda c: c["network"].update(width=2**20, instance=None)),
        r"must be \(.*1048576",
    ),
}
