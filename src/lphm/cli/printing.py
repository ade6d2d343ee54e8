"""What a command prints: a table for people, JSON for scripts."""

import json
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from rich.console import Console
from rich.table import Table

from lphm.cli.arguments import Printing

if TYPE_CHECKING:
    from lphm.cli.bench import Timing
    from lphm.learn.cross_validation import CrossValidation


def say(table: Table, values: dict[str, Any], printing: Printing) -> None:
    """Print a result once, in the form that was asked for."""
    if printing.json:
        print(json.dumps(values, ensure_ascii=False))
    elif not printing.quiet:
        Console().print(table)


def grid(title: str, rows: dict[str, str]) -> Table:
    """A table of names and values."""
    table = Table(title=title, show_header=False, title_justify="left")
    for label, value in rows.items():
        table.add_row(label, value, end_section=label == "epochs")
    return table


def comparison_table(name: str, rows: "list[CrossValidation]") -> Table:
    """The table that answers: does interdependence help here, and what does it cost?"""
    score = {"r2": "R²"}.get(rows[0].score_name, rows[0].score_name)
    return _table(
        f"{name}: {len(rows[0].scores)} folds",
        ("structure", f"{score} ± spread", "interdependence parameters", "seconds a training"),
        [
            (
                row.name or "network",
                f"{row.mean:.4f} ± {row.spread:.4f}",
                f"{row.interdependence_parameters:,}",
                f"{sum(row.seconds) / len(row.seconds):.1f}",
            )
            for row in rows
        ],
    )


def bench_table(title: str, rows: "list[Timing]") -> Table:
    """Times as ratios to the linear layer."""
    cells = [(row.name, f"{row.ratio:.2f}", f"{row.milliseconds:.3g}", f"{row.parameters:,}") for row in rows]
    return _table(title, ("X xi by", "over linear", "milliseconds", "parameters"), cells)


def _table(title: str, headings: Sequence[str], rows: Sequence[Sequence[str]]) -> Table:
    table = Table(*headings, title=title, title_justify="left")
    for row in rows:
        table.add_row(*row)
    return table


def summary(metrics: dict[str, Any], name: str, folder: Path) -> Table:
    """The table that closes a training."""
    score = next(key for key in metrics["test"] if key != "loss")
    number, full = metrics["interdependence_parameters"], metrics["interdependence_parameters_full"]
    fewer = f"  ({full / number:.1f} times fewer)" if 0 < number < full else ""
    best = "" if metrics["best_epoch"] is None else f", best {metrics['best_epoch']}"
    return grid(
        f"{name}: {metrics['task']}",
        {
            f"test {'R²' if score == 'r2' else score}": f"{metrics['test'][score]:.4f}",
            "interdependence parameters": f"{number:,}{fewer}",
            "the same network with Full": f"{full:,}",
            "parameters in all": f"{metrics['parameters']:,}",
            "epochs": f"{len(metrics['history'])}{best}",
            "seconds": f"{metrics['seconds']:.0f}",
            "run folder": str(folder),
        },
    )
