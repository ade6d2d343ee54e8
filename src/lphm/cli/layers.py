"""What needs no network: ``lphm bench``."""

from typing import Annotated, cast

import typer

from lphm.cli.arguments import Json, Kinds, Structures
from lphm.cli.bench import bench
from lphm.cli.printing import bench_table, say
from lphm.errors import InputError
from lphm.learn.options import NetworkOptions, StructureName, structure_for
from lphm.ops.checks import Kind


def bench_command(
    b: Annotated[int, typer.Option("--b", min=1, help="Rows of X.")] = 4096,
    m: Annotated[int, typer.Option("--m", min=1, help="Columns of X.")] = 128,
    kind: Annotated[Kinds, typer.Option(help="attribute or instance.")] = Kinds["attribute"],
    structure: Annotated[Structures, typer.Option(help="What W is.")] = Structures["lphm"],
    p: Annotated[int | None, typer.Option("--p", min=1, help="Row blocks of W.")] = None,
    q: Annotated[int | None, typer.Option("--q", min=1, help="Column blocks of W; p if not given.")] = None,
    r: Annotated[int | None, typer.Option("--r", min=1, help="Rank of the factors; 2 if not given.")] = None,
    budget: Annotated[float | None, typer.Option(min=0, help="Parameters of W, instead of sizes.")] = None,
    threads: Annotated[int, typer.Option(min=1, help="Threads of torch.")] = 1,
    json_output: Json = False,
) -> None:
    """Time X @ xi on this machine beside a linear layer and a dense W, forward and backward.

    Example: **lphm bench --b 4096 --m 128 --p 64 --r 8** · **lphm bench --kind instance --json**
    """
    if kind.value not in ("attribute", "instance"):
        raise InputError(f"--kind must be attribute or instance for a bench, got {kind.value}")
    of_kind = cast(Kind, kind.value)
    options = NetworkOptions(cast(StructureName, structure.value), p=p, q=q, r=r, budget=budget)
    try:
        chosen = structure_for(options, b if of_kind == "attribute" else m)
    except (ValueError, TypeError) as error:
        raise InputError(str(error)) from error
    rows = bench(chosen, b, m, of_kind, threads=threads)
    say(
        bench_table(f"{chosen}, X {b} x {m}", rows),
        {"table": [vars(row) for row in rows]},
        False,
        json_output,
    )
