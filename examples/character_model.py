"""A small causal character model, with standard attention and with structured attention of the same size.

The text is what ``help()`` knows of Python's language, 460,000 characters that Python ships with; every tenth
topic is held out. The models differ in the maps of queries and keys alone. Printed are, for each of them, the
bits per character on the topics held out, the parameters of these maps and of all, and the CPU seconds of
training: means over the seeds, with the range of the bits.

    python examples/character_model.py            # about two and a half minutes of CPU time
    python examples/character_model.py --quick    # one seed, a few steps
"""

import argparse
import math
import time
from pydoc_data.topics import topics

import torch
from torch import Tensor, nn
from torch.nn import functional as F

import lphm

WIDTH, HEADS, LAYERS, CONTEXT, BATCH = 64, 4, 2, 32, 16

#: What the maps of queries and keys are; None is nn.MultiheadAttention.
STRUCTURES: dict[str, lphm.Structure | None] = {
    "nn.MultiheadAttention": None,
    "LowRank(n=64, r=16)": lphm.LowRank(n=WIDTH, r=16),  # the same, W_h = P Qᵀ
    "LowRank(n=64, r=4)": lphm.LowRank(n=WIDTH, r=4),
    "LPHM(n=64, p=8, r=8)": lphm.LPHM(n=WIDTH, p=8, r=8),
    "LPHM(n=64, p=8, r=2)": lphm.LPHM(n=WIDTH, p=8, r=2),  # the default of InterdependenceAttention
}


class CharacterModel(nn.Module):
    """Characters ``(N, CONTEXT)`` to the logits of each next one ``(N, CONTEXT, characters)``."""

    def __init__(self, characters: int, structure: lphm.Structure | None) -> None:
        super().__init__()
        self.embedding = nn.Embedding(characters, WIDTH)
        self.position = nn.Embedding(CONTEXT, WIDTH)
        self.layers = nn.ModuleList(
            nn.TransformerEncoderLayer(
                WIDTH, HEADS, 4 * WIDTH, dropout=0.0, activation="gelu", batch_first=True, norm_first=True
            )
            for _ in range(LAYERS)
        )
        if structure is not None:
            for layer in self.layers:
                layer.self_attn = lphm.InterdependenceAttention(
                    WIDTH, HEADS, structure=structure, batch_first=True
                )
        self.read = nn.Sequential(nn.LayerNorm(WIDTH), nn.Linear(WIDTH, characters))
        self.register_buffer("hidden", torch.ones(CONTEXT, CONTEXT, dtype=torch.bool).triu(1))

    def forward(self, x: Tensor) -> Tensor:
        """Each position looks at itself and those before it."""
        x = self.embedding(x) + self.position.weight
        for layer in self.layers:
            x = layer(x, self.hidden, is_causal=True)
        return self.read(x)

    def parameters_of_maps(self) -> int:
        """Those from which queries and keys are made."""
        return sum(
            attention.weight.numel()
            if isinstance(attention, lphm.InterdependenceAttention)
            else 2 * WIDTH * (WIDTH + 1)  # two thirds of in_proj_weight and in_proj_bias
            for attention in (layer.self_attn for layer in self.layers)
        )


def texts() -> tuple[Tensor, Tensor, int]:
    """Windows of ``CONTEXT + 1`` characters to learn from and to test on; the number of characters."""
    names = sorted(topics)
    held_out = names[::10]
    parts = ["".join(topics[name] for name in names if name not in held_out)]
    parts.append("".join(topics[name] for name in held_out))
    characters = sorted(set("".join(parts)))
    code = {character: number for number, character in enumerate(characters)}
    learn, test = (torch.tensor([code[character] for character in part]) for part in parts)
    return learn.unfold(0, CONTEXT + 1, 1), test.unfold(0, CONTEXT + 1, CONTEXT), len(characters)


def loss_of(model: nn.Module, windows: Tensor) -> Tensor:
    return F.cross_entropy(model(windows[:, :-1]).flatten(0, 1), windows[:, 1:].flatten())


def train(model: nn.Module, windows: Tensor, steps: int) -> None:
    optimizer = torch.optim.AdamW(model.parameters(), lr=3e-3)
    schedule = torch.optim.lr_scheduler.OneCycleLR(optimizer, 3e-3, total_steps=steps)
    for _ in range(steps):
        loss = loss_of(model, windows[torch.randint(len(windows), (BATCH,))])
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        schedule.step()


def bits_by_frequency(learn: Tensor, test: Tensor, characters: int) -> float:
    """Bits per character of the best prediction that looks at no other character."""
    counts = torch.bincount(learn[:, -1], minlength=characters) + 1
    return -(counts / counts.sum()).log2()[test[:, 1:]].mean().item()


def main(quick: bool = False) -> dict[str, float]:
    """Train all models, print the table, and return the mean bits per character of each."""
    torch.set_num_threads(1)
    steps, seeds = (60, 1) if quick else (600, 3)
    learn, test, characters = texts()
    train(CharacterModel(characters, None), learn, 2)  # what torch does once counts for no model
    means = {"frequencies of characters": bits_by_frequency(learn, test, characters)}
    print(f"{'queries and keys by':26}{'bits per character':>22}{'maps':>8}{'all':>9}{'CPU s':>8}")
    print(f"{'frequencies of characters':26}{means['frequencies of characters']:>22.3f}")
    for name, structure in STRUCTURES.items():
        bits, seconds = [], []
        for seed in range(seeds):
            torch.manual_seed(seed)
            model = CharacterModel(characters, structure)
            start = time.process_time()
            train(model, learn, steps)
            seconds.append(time.process_time() - start)
            with torch.inference_mode():
                bits.append(loss_of(model.eval(), test).item() / math.log(2))
        means[name] = sum(bits) / seeds
        score = f"{means[name]:.3f} ({min(bits):.3f}-{max(bits):.3f})"
        total = sum(parameter.numel() for parameter in model.parameters())
        print(
            f"{name:26}{score:>22}{model.parameters_of_maps():>8,}{total:>9,}{sum(seconds) / seeds:>8.1f}",
            flush=True,
        )
    return means


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--quick", action="store_true", help="one seed and 60 steps")
    main(parser.parse_args().quick)
