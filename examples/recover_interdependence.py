"""Find the interdependence that made some data.

Each sample is a series of 24 steps in 6 channels, and what is observed of it is ``xi = Xᵀ W X`` with a
``W`` that nobody knows: 24 x 24, in truth a Kronecker product of rank 2 blocks. A layer with 40
parameters finds it again; a dense ``W`` would have 576.

    python examples/recover_interdependence.py
"""

import torch

import lphm


def main(steps: int = 600) -> float:
    """Train, and return how far the learned W is from the true one, as a share of its size."""
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

    found = structure.to_dense(layer.weight.detach()).squeeze(0)
    error = ((found - truth).norm() / truth.norm()).item()
    print(f"{structure.num_parameters} parameters; |W - truth| / |truth| = {error:.1e}")
    return error


if __name__ == "__main__":
    main()
