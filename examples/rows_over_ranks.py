"""Train on a table whose rows are spread over processes.

    torchrun --nproc-per-node 4 examples/rows_over_ranks.py
    python examples/rows_over_ranks.py        # in a single process

Each rank draws its own rows, which no other rank sees. The printed loss is that of all rows.
"""

import os

import torch
import torch.distributed as dist

import lphm


def main() -> float:
    """Train for 40 steps and return the loss; mapping all columns to zero has a loss of about 1."""
    if "RANK" in os.environ:
        dist.init_process_group("nccl" if torch.cuda.is_available() else "gloo")
    else:
        dist.init_process_group("gloo", store=dist.HashStore(), rank=0, world_size=1)
    rank, world_size = dist.get_rank(), dist.get_world_size()
    device = torch.device("cuda", int(os.environ["LOCAL_RANK"])) if torch.cuda.is_available() else "cpu"

    b, m = 4096, 16
    structure = lphm.LPHM(n=b, p=32, r=2)
    rows = torch.randn(b // world_size, m, generator=torch.Generator().manual_seed(rank)).to(device)
    goal = rows.roll(1, dims=1)  # each column should become a copy of its neighbour
    w = torch.empty(structure.num_parameters)
    lphm.initialize_(structure, w, generator=torch.Generator().manual_seed(0))  # the same on all ranks
    w = w.to(device).requires_grad_()
    optimizer = torch.optim.Adam([w], lr=0.02)
    loss = torch.zeros(())
    for _ in range(40):
        mixed = lphm.sharded.interdependence_apply(structure, w, rows, normalize="scale")
        part_loss = (mixed - goal).square().sum() / (b * m)  # the sum over all ranks is the loss
        optimizer.zero_grad()
        part_loss.backward()  # sums the gradient of w over the ranks
        optimizer.step()
        loss = part_loss.detach()
    dist.all_reduce(loss)
    if rank == 0:
        print(f"{world_size} ranks with {len(rows)} rows each: loss {loss:.3f}")
    dist.destroy_process_group()
    return float(loss)


if __name__ == "__main__":
    main()
