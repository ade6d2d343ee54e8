"""Training on a table whose rows are spread over processes.

    torchrun --nproc-per-node 4 examples/rows_over_ranks.py
    python examples/rows_over_ranks.py        # the same on one rank

Each rank draws its own rows, which no other rank ever sees; the loss that is printed is that of all rows.
"""

import os

import torch
import torch.distributed as dist

import lphm


def main() -> float:
    """The loss after 40 steps; columns that are all mapped to zero have 1."""
    if "RANK" in os.environ:
        dist.init_process_group("nccl" if torch.cuda.is_available() else "gloo")
    else:
        dist.init_process_group("gloo", store=dist.HashStore(), rank=0, world_size=1)
    rank, ranks = dist.get_rank(), dist.get_world_size()
    device = torch.device("cuda", int(os.environ["LOCAL_RANK"])) if torch.cuda.is_available() else "cpu"

    b, m = 4096, 16
    structure = lphm.LPHM(n=b, p=32, r=2)
    rows = torch.randn(b // ranks, m, generator=torch.Generator().manual_seed(rank)).to(device)
    wanted = rows.roll(1, dims=1)  # every column is to become its neighbour
    w = torch.empty(structure.num_parameters)
    lphm.initialize_(structure, w, generator=torch.Generator().manual_seed(0))  # alike on all ranks
    w = w.to(device).requires_grad_()
    optimizer = torch.optim.Adam([w], lr=0.02)
    loss = torch.zeros(())
    for _ in range(40):
        mixed = lphm.sharded.interdependence_apply(structure, w, rows, normalize="scale")
        part = (mixed - wanted).square().sum() / (b * m)  # of this rank; the losses of all ranks add up
        optimizer.zero_grad()
        part.backward()  # the gradient of w is summed over the ranks
        optimizer.step()
        loss = part.detach()
    dist.all_reduce(loss)
    if rank == 0:
        print(f"{ranks} ranks with {len(rows)} rows each: loss {loss:.3f}")
    dist.destroy_process_group()
    return float(loss)


if __name__ == "__main__":
    main()
