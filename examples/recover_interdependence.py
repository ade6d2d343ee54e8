"""Recover the W that generated some data.

Each sample is a series of 24 steps and 6 channels, observed with its ``xi = Xᵀ W X``. The true ``W`` is
24 x 24 and of the structure ``A ⊗ (S Tᵀ)`` with r = 2. A layer with 40 parameters recovers it; a dense ``W``
would have 576.

    python examples/recover_interdependence.py
"""

import torch

import lphm


def main(steps: int = 600) -> float:
    """Train, and return the relative error of the learned ``W``, ``‖W - truth‖_F / ‖truth‖_F``."""
    torch.manual_seed(0)
    structure = lphm.LPHM(n=24, p=4, q=4, r=2)
    truth = structure.to_dense(lphm.initialize_(structure, torch.empty(structure.num_parameters)))
    x = torch.randn(512, 24, 6)
    observed = x.mT @ truth @ x

    layer = lphm.BilinearInterdependence(structure)
    optimizer = torch.optim.Adam(layer.parameters(), lr=0.02)
    schedule = torch.optim.lr_scheduler.CosineAnnealingLR(optimizer, steps)
    for step in range(steps):
        loss = (layer.matrix(x).squeeze(1) - observed).square().mean()
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        schedule.step()
        if step % 100 == 0:
            print(f"step {step:4d}  loss {loss.item():.2e}")

    learned = structure.to_dense(layer.weight.detach()).squeeze(0)
    error = ((learned - truth).norm() / truth.norm()).item()
    print(f"{structure.num_parameters} parameters; |W - truth| / |truth| = {error:.1e}")
    return error


if __name__ == "__main__":
    main()
