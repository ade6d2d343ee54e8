"""Tables of the CSV files that ``benchmarks.accuracy.tables`` and ``.series`` write, as Markdown.

Figures are means over the seeds, then over the folds that every model of a set has. The best of a set is
bold; the library's variants say how far they are from it. Mean ranks and sums of seconds are on the sets that
every model has. The variants are also compared with ``lphm`` fold by fold.

python -m benchmarks.accuracy.report runs/accuracy/tables.csv runs/accuracy/series.csv --output docs/images
"""

import argparse
import sys
from collections.abc import Iterable
from pathlib import Path

import numpy as np
import pandas as pd

from benchmarks.accuracy import fits, series, tables
from benchmarks.accuracy.fits import OURS, SCORES, SECONDS, is_ours, variant_of
from benchmarks.accuracy.plots import plot_ranks
from benchmarks.accuracy.ranks import cliques, compare, mean_ranks
from benchmarks.plots import can_plot
from benchmarks.tables import table_head, table_row
from lphm._io import write_atomically

SUITES = (tables.SUITE, series.SUITE)
#: The sections of a report, and their sets.
PARTS = {
    f"{suite.name}, {half}": [*sets]
    for suite in SUITES
    for half, sets in (("development", suite.development), ("reporting", suite.reporting))
}
ORDER = [*tables.PEERS, *series.PEERS, *OURS]
HIGHER_IS_BETTER = {"score": True, "logloss": False}
CALIBRATION = ("calibration_error", "overconfidence")
NAMES = {"score": "accuracy or R²", "logloss": "log-loss"}


def means(lines: pd.DataFrame) -> pd.DataFrame:
    """The means of each set and model (the index), over the folds that all models of the set have."""
    models_of_fold = lines.groupby(["set", "fold"])["model"].transform("nunique")
    models_of_set = lines.groupby("set")["model"].transform("nunique")
    complete = lines[models_of_fold == models_of_set]
    folds = complete.groupby(["set", "model", "fold"])[[*SCORES, *SECONDS]].mean()  # over the seeds
    return folds.groupby(["set", "model"]).mean()


def square(figures: pd.Series, sets: list[str]) -> pd.DataFrame:
    """A row for each set that has the figure and a column for each model that has it, in their orders."""
    table = figures.unstack("model").dropna(how="all").dropna(how="all", axis=1)
    return table.reindex([name for name in sets if name in table.index])[in_order(table.columns)]


def in_order(models: Iterable[str]) -> list[str]:
    """Peers, then the variants of the library, and those with options after those without."""
    return sorted(models, key=lambda model: (ORDER.index(variant_of(model)), model))


def differences(lines: pd.DataFrame) -> dict[str, pd.DataFrame]:
    """How far the library's other variants are above its first, for each set (the index).

    The columns are the mean and its standard error over the folds, of pairs with the same fold and seed; the
    seeds of a fold are averaged first. The keys say what is compared, such as ``none - lphm, log-loss``.
    """
    figures = lines.groupby(["model", "set", "fold", "seed"])[[*NAMES]].mean()
    ours = in_order(filter(is_ours, lines["model"].unique()))
    found = {}
    for model in ours[1:]:
        folds = (figures.loc[model] - figures.loc[ours[0]]).groupby(["set", "fold"]).mean()
        for figure, name in NAMES.items():
            part = folds[figure].groupby("set").agg(["mean", "sem"]).dropna(subset="mean")
            if len(part):
                found[f"{model} - {ours[0]}, {name}"] = part
    return found


def score_table(name: str, values: pd.DataFrame, seconds: pd.DataFrame | None = None) -> list[str]:
    """The best of each set in bold, the distance of the library's variants from it, and the CPU seconds."""
    lines = [table_head(["set", *values.columns])]
    for one, row in values.iterrows():
        best = row.max() if HIGHER_IS_BETTER[name] else row.min()
        cells = []
        for model, value in row.items():
            loss = f" ({value - best:+.3f})" if is_ours(str(model)) else ""
            text = f"**{value:.3f}**" if value == best else f"{value:.3f}{loss}"
            took = "" if seconds is None else f", {in_seconds(seconds.loc[one, model])}"
            cells.append("" if pd.isna(value) else text + took)
        lines.append(table_row([one, *cells]))
    return lines


def in_seconds(seconds: float) -> str:
    return f"{seconds:.2f} s" if seconds < 10 else f"{seconds:.0f} s"


def calibration_table(error: pd.DataFrame, direction: pd.DataFrame) -> list[str]:
    """The calibration error, and the mean confidence less the accuracy."""
    lines = [table_head(["set", *error.columns])]
    for name, row in error.iterrows():
        cells = [f"{value:.3f} ({direction.loc[name, model]:+.3f})" for model, value in row.items()]
        lines.append(table_row([name, *(cell.replace("nan (+nan)", "") for cell in cells)]))
    return lines


def rank_table(complete: dict[str, pd.DataFrame], seconds: pd.DataFrame) -> list[str]:
    """Mean ranks in order, and the first of the library's variants beside every other model."""
    score = complete["score"]
    ranks = {name: mean_ranks(table, HIGHER_IS_BETTER[name]) for name, table in complete.items()}
    ours = next((model for model in score.columns if is_ours(model)), None)
    titles = [
        "model",
        *(f"mean rank by {NAMES[name]}" for name in ranks),
        f"mean {NAMES['score']}",
        "CPU seconds",
    ]
    versus = [] if ours is None else [f"{ours} better, equal, worse", "p (Wilcoxon, Holm)"]
    lines, p = [table_head([*titles, *versus])], compare(score)
    for model in ranks["score"].index:
        cells = [f"{ranks[name][model]:.2f}" if model in ranks[name] else "" for name in ranks]
        cells += [f"{score[model].mean():.3f}", in_seconds(seconds.loc[score.index, model].mean())]
        if model == ours:
            cells += ["", ""]
        elif ours is not None:
            sign = np.sign(score[ours] - score[model])
            cells.append(", ".join(str((sign == way).sum()) for way in (1, 0, -1)))
            cells.append(f"{p[frozenset((ours, model))]:.3f}")
        lines.append(table_row([model, *cells]))
    return lines


def difference_table(found: dict[str, pd.DataFrame], sets: list[str]) -> list[str]:
    """Differences with their standard errors, which one fold does not have; an asterisk beyond two."""
    beyond = {title: part[part["mean"].abs() > 2 * part["sem"]] for title, part in found.items()}
    cells = pd.DataFrame("", index=sets, columns=[*found])
    for title, part in found.items():
        for name, mean, error in part.itertuples():
            text = f"{mean:+.4f}" if np.isnan(error) else f"{mean:+.4f} ± {error:.4f}"
            cells.loc[name, title] = f"{text} *" if name in beyond[title].index else text
    for row, parts in (("all", found), ("beyond two standard errors", beyond)):
        signs = [np.sign(part["mean"]) for part in parts.values()]
        cells.loc[row] = [f"{(sign > 0).sum()} above, {(sign < 0).sum()} below" for sign in signs]
    return [table_head(["set", *cells]), *map(table_row, cells[(cells != "").any(axis=1)].itertuples())]


def seconds_table(seconds: dict[str, pd.DataFrame]) -> list[str]:
    """The sum of each of the tables of seconds over its sets."""
    sums = pd.DataFrame({title: table.sum() for title, table in seconds.items()})
    return [
        table_head(["model", *sums]),
        *(table_row([model, *map(in_seconds, row)]) for model, *row in sums.itertuples()),
    ]


def whole(suite: fits.Suite, figures: pd.DataFrame, lines: pd.DataFrame) -> list[str]:
    """The seconds and the differences of all sets of a suite."""
    sets = [*suite.sets]
    seconds = {name: square(figures[name], sets).dropna() for name in SECONDS}
    number = len(seconds["fit_cpu"])
    text = [f"## {suite.name}, in all", ""]
    text += [f"CPU seconds of one fit of each of the {number} sets that every model has", ""]
    text += [*seconds_table(seconds), ""]
    if found := differences(lines):
        text += [
            "differences of pairs with the same fold and seed; * beyond two standard errors of the folds",
            "",
        ]
        text += [*difference_table(found, sets), ""]
    return text


def section(title: str, figures: pd.DataFrame, sets: list[str], folder: Path | None) -> list[str]:
    """The tables of one half of a suite; the pictures are written to the folder."""
    table = {name: square(figures[name], sets) for name in (*HIGHER_IS_BETTER, *CALIBRATION)}
    seconds = square(figures["fit_cpu"] + figures["predict_cpu"], sets)
    lines = [f"## {title}", "", f"{NAMES['score']}, and the CPU seconds of a fit and its predictions", ""]
    lines += score_table("score", table["score"], seconds)
    if not table["logloss"].empty:
        lines += ["", NAMES["logloss"], "", *score_table("logloss", table["logloss"])]
        lines += ["", "calibration error (mean confidence less accuracy)", ""]
        lines += calibration_table(*(table[name] for name in CALIBRATION))
    complete = {name: table[name].dropna() for name in HIGHER_IS_BETTER}
    complete = {name: part for name, part in complete.items() if len(part) > 1 and len(part.columns) > 1}
    left_out = sorted({*table["score"].index} - {*table["score"].dropna().index})
    lines += ["", f"mean ranks; sets that not every model has, left out: {', '.join(left_out) or 'none'}", ""]
    lines += rank_table(complete, seconds) if "score" in complete else ["two sets at least are needed"]
    if folder is not None and can_plot():
        for name, part in complete.items():
            caption = f"{title}: mean rank by {NAMES[name]} on {len(part)} sets"
            ranks = mean_ranks(part, HIGHER_IS_BETTER[name])
            path = folder / f"{title.replace(', ', '_')}_{name}.png"
            plot_ranks(ranks, cliques([*ranks.index], compare(part)), caption, path)
    return [*lines, ""]


def report(lines: pd.DataFrame, folder: Path | None = None) -> str:
    """All sections that have lines, and the versions that were fitted."""
    figures = means(lines)
    text = []
    for title, sets in PARTS.items():
        part = figures[figures.index.get_level_values("set").isin(sets)]
        if len(part):
            text += section(title, part, sets, folder)
    for suite in SUITES:
        part = figures[figures.index.get_level_values("set").isin([*suite.sets])]
        if len(part):
            text += whole(suite, part, lines[lines["set"].isin([*suite.sets])])
    without = sorted({*lines["set"]} - {*figures.index.get_level_values("set")})
    text += [f"Left out, without a fold that all their models have: {', '.join(without)}.", ""] * bool(
        without
    )
    seeds = ", ".join(map(str, sorted(lines["seed"].unique())))
    text += [f"Seeds: {seeds}. What was fitted:", ""]
    text += [f"- {model}: {', '.join(part['version'].unique())}" for model, part in lines.groupby("model")]
    return "\n".join(text) + "\n"


def parser() -> argparse.ArgumentParser:
    parse = argparse.ArgumentParser(
        prog="python -m benchmarks.accuracy.report",
        description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    add = parse.add_argument
    add("files", nargs="+", type=Path, metavar="CSV")
    add("--sets", nargs="+", metavar="SET", help="of these alone")
    add("--models", nargs="+", metavar="MODEL", help='of these alone; with options, "lphm epochs=20"')
    add("--output", type=Path, metavar="DIR", help="folder for accuracy.md and the pictures")
    return parse


def main(words: list[str] | None = None) -> int:
    """Print the report; with an output folder, write it and the pictures there too."""
    arguments = parser().parse_args(words)
    lines = pd.concat([pd.read_csv(file) for file in arguments.files])
    for name in ("set", "model"):
        chosen = getattr(arguments, f"{name}s")
        lines = lines if chosen is None else lines[lines[name].isin(chosen)]
    text = report(lines, arguments.output)
    print(text, end="")
    if arguments.output is not None:
        with write_atomically(arguments.output / "accuracy.md") as temporary:
            temporary.write_text(text, encoding="utf-8")
    return 0


if __name__ == "__main__":
    sys.exit(main())
