r"""
More rows than memory, and rows of several processes
====================================================

For columns, :math:`\xi = X^\top W X` is small however many rows :math:`X` has, and a
structured :math:`W` is never formed. So the rows can be read from a file block
after block, or be spread over processes. This page does both with one file, and
measures the memory that it takes.
"""

import os
import subprocess
import sys
import tempfile
from pathlib import Path

import matplotlib.pyplot as plt
import numpy as np

import lphm

folder = tempfile.TemporaryDirectory()
MiB = 2**20


def run(*command: str) -> list[str]:
    """What a process prints, as lines; an error if it fails."""
    ended = subprocess.run(
        [sys.executable, *command],
        cwd=folder.name,
        env={**os.environ, "OMP_NUM_THREADS": "1"},
        capture_output=True,
        text=True,
        check=False,
    )
    assert ended.returncode == 0, ended.stderr
    return ended.stdout.splitlines()


# %%
# A file of rows
# --------------
#
# 400,000 rows of 64 columns, written in pieces. All columns are noise, but for
# column 1: there, 0.8 times column 0 of the row before is part of each value.

ROWS, COLUMNS = 400_000, 64
generator = np.random.default_rng(0)
path = Path(folder.name, "rows.f32")
with path.open("wb") as file:
    for _ in range(16):
        block = generator.standard_normal((ROWS // 16, COLUMNS), dtype=np.float32)
        block[1:, 1] = 0.8 * block[:-1, 0] + 0.6 * block[1:, 1]
        block.tofile(file)
print(f"{path.stat().st_size / MiB:.0f} MiB")

# %%
# Which column leads which by one row? That is the covariance at lag 1, :math:`\xi/n`
# with ones in :math:`W` beside its diagonal. A dense :math:`W` for so many rows would
# fill a large disk. As ``Toeplitz`` it has one number for each lag:

structure, w = lphm.kernels.lag(ROWS, 1)
print(f"{structure}: {w.tolist()} in place of {4 * structure.n**2 / 1e9:.0f} GB")

# %%
# Block after block
# -----------------
#
# The program ``reading.py`` computes :math:`\xi` of the first rows of the file in
# two ways, and prints how much memory each took above what the process held
# before. ``lphm.streamed`` takes any sequence of blocks of rows.

Path(folder.name, "reading.py").write_text("""
import resource, sys
import numpy as np, torch
import lphm

def read(file, rows):
    numbers = np.fromfile(file, np.float32, 64 * rows)
    return torch.from_numpy(numbers).view(rows, 64)

def blocks(rows, size=10_000):
    with open("rows.f32", "rb") as file:
        for first in range(0, rows, size):  # 2.4 MiB at a time
            yield read(file, min(size, rows - first))

def in_blocks(rows):
    structure, w = lphm.kernels.lag(rows, 1)
    return lphm.streamed.interdependence_matrix(
        structure, w.float(), blocks(rows), normalize="scale"
    )

def at_once(rows):
    structure, w = lphm.kernels.lag(rows, 1)
    x = read("rows.f32", rows)
    return lphm.interdependence_matrix(structure, w.float(), x, normalize="scale")

def reset_peak():
    try:
        open("/proc/self/clear_refs", "w").write("5")
    except OSError:
        pass  # only Linux can: elsewhere a peak never falls

def peak():
    if sys.platform == "linux":
        status = open("/proc/self/status").read()
        return int(status.split("VmHWM:")[1].split()[0]) * 1024
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss

in_blocks(50_000), at_once(50_000)  # what the first call loads does not count
for way in (in_blocks, at_once):
    for rows in (50_000, 100_000, 200_000, 400_000):
        reset_peak()
        before = peak()
        xi = way(rows)
        print(way.__name__, rows, max(0, peak() - before))
np.save("xi.npy", xi)

if sys.platform == "linux":
    held = int(open("/proc/self/statm").read().split()[0]) * resource.getpagesize()
    resource.setrlimit(resource.RLIMIT_AS, (held + 50 * 2**20,) * 2)
    try:
        print(f"limited, in blocks: largest entry {in_blocks(400_000).max():.3f}")
        print(f"limited, at once: largest entry {at_once(400_000).max():.3f}")
    except (MemoryError, RuntimeError) as error:  # of NumPy or of torch
        print("limited, at once: not enough memory,", type(error).__name__)
""")
lines = run("reading.py")
sizes = [50_000, 100_000, 200_000, 400_000]
of_file = [rows * COLUMNS * 4 / MiB for rows in sizes]
peaks: dict[str, list[float]] = {"in_blocks": [], "at_once": []}
for way, _, size in map(str.split, lines[:8]):
    peaks[way].append(int(size) / MiB)
print("    rows   size of them   in blocks   at once   (MiB)")
for row in zip(sizes, of_file, *peaks.values(), strict=True):
    print("{:8,}{:15.0f}{:12.0f}{:10.0f}".format(*row))

# %%
# In blocks, the memory does not grow with the rows. At once, it is several times
# that of the rows.

fig, ax = plt.subplots(figsize=(6.4, 3.4))
ax.plot(sizes, peaks["at_once"], "o-", label="at once")
ax.plot(sizes, peaks["in_blocks"], "s-", label="in blocks")
ax.plot(sizes, of_file, ":", color="#8a8f98", label="size of the rows")
ax.set(
    title="Memory for xi of the first rows of a file",
    xlabel="rows",
    ylabel="peak memory (MiB)",
)
ax.set(xticks=sizes, xticklabels=[f"{rows:,}" for rows in sizes], ylim=(0, None))
ax.legend()
plt.show()

assert max(peaks["in_blocks"]) < 0.3 * of_file[-1]
assert peaks["at_once"][-1] > of_file[-1]

# %%
# Less memory than the file
# -------------------------
#
# At its end, ``reading.py`` asks Linux to refuse it more than 50 MiB above what it
# holds. :math:`\xi` in blocks is computed all the same; at once it is not:

print("\n".join(lines[8:]))
if sys.platform == "linux":
    assert lines[8].startswith("limited, in blocks: largest entry 0.")
    assert lines[9].startswith("limited, at once: not enough memory")

# %%
# The answer is in :math:`\xi` itself: column 0 leads column 1, and nothing else
# leads anything.

xi = np.load(Path(folder.name, "xi.npy"))
leader, follower = np.unravel_index(xi.argmax(), xi.shape)
print(f"column {leader} leads column {follower}: {xi[leader, follower]:.3f}")
print(f"the largest of all other entries: {np.sort(np.abs(xi), axis=None)[-2]:.3f}")
assert (leader, follower) == (0, 1)
assert abs(xi[0, 1] - 0.8) < 0.01
assert np.sort(np.abs(xi), axis=None)[-2] < 0.01

# %%
# Rows of several processes
# -------------------------
#
# If the rows are spread over processes, the *ranks* of a ``torch.distributed``
# group, each rank counts its own rows, and the ranks exchange the small results.
# Here each of two ranks reads its half of the file. On a cluster, the same program
# runs on several machines.

Path(folder.name, "ranks.py").write_text("""
import numpy as np, torch
import torch.distributed as dist
import lphm

dist.init_process_group("gloo")
rank, ranks = dist.get_rank(), dist.get_world_size()
structure, w = lphm.kernels.lag(400_000, 1)
rows = 400_000 // ranks
first = rank * rows * 64 * 4  # in bytes
numbers = np.fromfile("rows.f32", np.float32, rows * 64, offset=first)
xi = lphm.sharded.interdependence_matrix(
    structure, w.float(), torch.from_numpy(numbers).view(rows, 64), normalize="scale"
)
if rank == 0:
    np.save("xi_of_ranks.npy", xi)
    print(f"{ranks} ranks of {rows:,} rows; each has all of xi, {tuple(xi.shape)}")
dist.destroy_process_group()
""")
torchrun = ("-m", "torch.distributed.run", "--standalone", "--nproc-per-node=2")
print("\n".join(run(*torchrun, "ranks.py")))

# %%
# Both ways compute the same :math:`\xi`, up to the rounding of float32. The last
# row of the first half and the first row of the second are neighbours, too:
# ``lphm.sharded`` sends the one row that is needed for that.

difference = np.abs(np.load(Path(folder.name, "xi_of_ranks.npy")) - xi).max()
print(f"largest difference: {difference:.0e}")
assert difference < 1e-5

# %%
# What to take with you
# ---------------------
#
# - A learned :math:`W` works in the same way, and so does every structure with few
#   middle rows, such as ``LPHM``.
# - ``lphm.streamed.interdependence_apply`` also mixes the rows, in a second pass
#   over the file. For tables in files, the command ``lphm apply FILE -o MIXED``
#   does it, and goes on after a crash.
# - ``lphm.sharded.interdependence_apply`` has gradients: :doc:`/scaling` trains over
#   ranks, and says what is sent between them and how long it takes.

folder.cleanup()
