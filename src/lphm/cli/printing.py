"""What a command prints: a table for people, JSON for scripts."""

import json
import shlex
import sys
from collections.abc import Iterable, Sequence
from pathlib import Path
from statistics import fmean
from typing import TYPE_CHECKING, Any

from rich.console import Console
from rich.table import Table

from lphm._io import read_json
from lphm.cli.arguments import Printing
from lphm.data.amounts import LABELS, amount, labelled
from lphm.data.schema import InputSchema
from lphm.data.unknown import UnknownCategories
from lphm.errors import EDITED, InputError, one_line
from lphm.learn.unfinished import SUMMARY

if TYPE_CHECKING:
    from lphm.learn.cross_validation import CrossValidation


LEARNED_BY_RIDGE = {"learned by": "ridge regression (--method network trains the network)"}


class PlainConsole(Console):
    """Prints text as it is; whether somebody reads it is for ``lphm.__main__`` to handle."""

    def on_broken_pipe(self) -> None:
        """Raise what ``lphm.__main__`` waits for."""
        raise BrokenPipeError


def say(table: Table, values: dict[str, Any], printing: Printing, text: str = "") -> None:
    """Print a result once, in the form that was asked for; the text stands under the table."""
    if printing.json:
        print(json.dumps(values))
    elif not printing.quiet:
        PlainConsole(markup=False, emoji=False).print(table, *filter(None, [text]))


def grid(title: str, rows: dict[str, str]) -> Table:
    """A table of names and values."""
    table = Table(title=one_line(title), show_header=False, title_justify="left")
    for label, value in rows.items():
        table.add_row(label, one_line(value), end_section=label in ("epochs", *LEARNED_BY_RIDGE))
    return table


def comparison_table(name: str, rows: "list[CrossValidation]") -> Table:
    """The table that answers: does interdependence help here, and what does it cost?

    Errors of numbers are columns; what the most frequent class gets, which is one for all, is a row.
    """
    baseline = rows[0].details.get("baseline")
    errors = [detail for detail in rows[0].details if detail != "baseline"]
    headings = (
        "structure",
        f"{LABELS[rows[0].score_name]} ± spread",
        *(LABELS[error] for error in errors),
        "interdependence parameters",
        "seconds a training",
    )
    cells = [
        (
            row.name or "network",
            f"{row.mean:.4f} ± {row.spread:.4f}",
            *(amount(fmean(row.details[error])) for error in errors),
            f"{row.interdependence_parameters:,}",
            f"{row.typical_seconds:.1f}",
        )
        for row in rows
    ]
    if baseline:
        cells.append((LABELS["baseline"], f"{fmean(baseline):.4f}", "", ""))
    table = columns(f"{name}: {len(rows[0].scores)} folds", headings, cells)
    table.columns[1].no_wrap = True
    return table


def columns(title: str, headings: Sequence[str], rows: Iterable[Sequence[str]]) -> Table:
    """A table with a heading over each column."""
    table = Table(*headings, title=one_line(title), title_justify="left")
    for row in rows:
        table.add_row(*map(one_line, row))
    return table


def say_unknown(unknown: UnknownCategories, run: Path, schema: InputSchema) -> None:
    """Print on standard error what the samples had that the training of the run had not."""
    file = run / SUMMARY
    try:
        empty = unknown.empty.lines(schema, read_json(file) if file.exists() else {})
    except EDITED as error:
        raise InputError(f"{file} must be as training wrote it, got {error!r}; train the run anew") from error
    for line in filter(None, [str(unknown), *empty]):
        print(one_line(line), file=sys.stderr)


def _matters_most(importance: dict[str, Any] | None) -> dict[str, str]:
    """The three columns, channels or rows without which the score falls most."""
    drops = [drop for drop in (importance or {}).get("drops", []) if drop["matters"] and drop["mean"] > 0]
    leading = sorted(drops, key=lambda drop: -float(drop["mean"]))[:3]
    return {"what matters most": ", ".join(drop["name"] for drop in leading)} if leading else {}


NO_BETTER = "R² is not above 0: the predictions are no better than always predicting the mean"


def warning(metrics: dict[str, Any], target: str) -> str:
    """A word on a score that is too good to be true, or worth nothing; empty for others."""
    if metrics["test"].get("r2", 1) <= 0:
        return NO_BETTER
    column = (metrics.get("importance") or {}).get("suspect")
    if column is None:
        return ""
    said = f"The test score is almost perfect and rests on {column!r} alone"
    return one_line(
        f"{said}: is it known before {target!r} is? To leave it out: --drop {shlex.quote(column)}"
    )


def summary(metrics: dict[str, Any], name: str, folder: Path, by_ridge: bool = False) -> Table:
    """The table that closes a training; of ridge regression without what only the network has."""
    tested = metrics["test"]
    (score,) = tested.keys() & {"accuracy", "r2"}
    beside = {name: value for name, value in tested.items() if name not in ("loss", score)}
    number, full = metrics["interdependence_parameters"], metrics["interdependence_parameters_full"]
    fewer = f" ({full / number:.1f} times fewer)" if 0 < number < full else ""
    of_w = {
        "interdependence parameters": f"{number:,}{fewer}",
        "the same network with Full": f"{full:,}",
    }
    best = "" if metrics["best_epoch"] is None else f", best {metrics['best_epoch']}"
    stopped = ", stopped by the time limit" if metrics.get("out_of_time") else ""
    epochs = {"epochs": f"{len(metrics['history'])}{best}{stopped}"}
    return grid(
        f"{name}: {metrics['task']}",
        {
            f"test {LABELS[score]}": f"{tested[score]:.4f}",
            **labelled(beside, metrics.get("unit") or ""),
            **(LEARNED_BY_RIDGE if by_ridge else of_w),
            "parameters in all": f"{metrics['parameters']:,}",
            **({} if by_ridge else epochs),
            "seconds": f"{metrics['seconds']:.0f}",
            **_matters_most(metrics.get("importance")),
            **({"the file is": metrics["read_as"]} if metrics.get("read_as") else {}),
            **{
                f"{role} column, no feature": name
                for role, name in (metrics.get("row_columns") or {}).items()
            },
            "run folder": str(folder),
        },
    )
