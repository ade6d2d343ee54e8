"""The page: what the run folder says, put into the template."""

import math
from pathlib import Path
from typing import Any

from jinja2 import Environment, PackageLoader, StrictUndefined, UndefinedError

from lphm._io import write_atomically
from lphm.errors import InputError
from lphm.learn.evaluation import Evaluation
from lphm.report.charts import (
    curves,
    quantile_chart,
    reliability_chart,
    residual_histogram,
    scatter_chart,
)
from lphm.report.colors import LEVELS, level_rules
from lphm.report.heatmaps import HeatMap, shortened
from lphm.report.pictures import factor_pictures, mixing_pictures
from lphm.report.quality import confusion_counts, reliability, residuals
from lphm.report.sources import Sources, read_sources
from lphm.report.tables import configuration, confusion_table, parameters, plain, scores


def write_report(folder: Path, destination: Path | None = None) -> Path:
    """Write a run as one page of HTML that needs no network.

    A pure function of the run folder. Only ``config.json`` and ``weights.safetensors`` must be there; what
    else is missing is left out of the page, which says so.

    Args:
        folder: a run folder.
        destination: the file to write; ``report.html`` in the folder if not given.

    Returns:
        the file that was written.

    Raises:
        InputError: a file of the folder is damaged or does not fit the others.
    """
    folder = Path(folder)
    destination = folder / "report.html" if destination is None else Path(destination)
    sources = read_sources(folder)
    try:
        page = _environment().get_template("page.html").render(_content(sources))
    except (UndefinedError, KeyError, TypeError, AttributeError) as error:
        raise InputError(
            f"metrics.json and summary.json in {folder} must be as training wrote them, got: {error}; "
            "train the run again"
        ) from error
    with write_atomically(destination) as temporary:
        temporary.write_text(page, encoding="utf-8")
    return destination


def _environment() -> Environment:
    environment = Environment(
        loader=PackageLoader("lphm.report"),
        autoescape=True,  # every name in the page is from somebody's file
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    environment.filters.update(plain=plain, percent=_percent, short=shortened)
    environment.globals.update(
        light_levels=level_rules("light"), dark_levels=level_rules("dark"), levels=LEVELS
    )
    return environment


def _percent(share: float | None) -> str:
    return "–" if share is None else f"{100 * share:.1f} %"


def _content(sources: Sources) -> dict[str, Any]:
    """Everything that the template names."""
    run = sources.run
    factors, left_out = factor_pictures(sources)
    mixing = mixing_pictures(sources)
    maps: list[HeatMap] = [m.picture for m in mixing] + [p for f in factors for p in f.pictures]
    return {
        "run": run,
        "score_name": {"r2": "R²"}.get(run.config.target.score_name, run.config.target.score_name),
        "classes": sources.classes,
        "scores": scores(sources),
        "summary": sources.summary,
        "configuration": configuration(run),
        "training": _training(sources),
        "quality": _quality(sources.evaluation, sources.classes),
        "mixing": mixing,
        "factors": factors,
        "layers_left_out": left_out,
        "parameters": parameters(run.network),
        "maps": {picture.name: picture.data for picture in maps},
    }


def _training(sources: Sources) -> dict[str, Any] | None:
    """The learning curves, and what is to be said beside them."""
    history = (sources.metrics or {}).get("history") or []
    if not sources.metrics or not history:
        return None
    epochs, chosen = [int(line["epoch"]) for line in history], sources.metrics.get("best_epoch")

    def column(key: str) -> list[float]:
        return [math.nan if line.get(key) is None else float(line[key]) for line in history]

    known = {key for line in history for key in line}
    losses = {"training": column("train_loss")}
    losses |= {"validation": column("val_loss")} if "val_loss" in known else {}
    name = {"r2": "R²"}.get(sources.run.config.target.score_name, sources.run.config.target.score_name)
    loss = curves("loss", "loss", epochs, losses, chosen)
    charts = [("Loss of each epoch", loss, _ends(losses))]
    if "val_score" in known:
        lines = {"validation": column("val_score")}
        score = curves("score", name, epochs, lines, chosen)
        charts.append((f"Validation {name} of each epoch", score, _ends(lines)))
    return {"epochs": len(history), "chosen": chosen, "charts": charts, "validated": "val_loss" in known}


def _ends(lines: dict[str, list[float]]) -> str:
    """Curves in words, for who does not see them."""
    return ", ".join(f"{line} from {plain(v[0])} to {plain(v[-1])}" for line, v in lines.items())


def _quality(evaluation: Evaluation | None, classes: list[str] | None) -> dict[str, Any] | None:
    """Confusion and calibration, or residuals."""
    if evaluation is None or evaluation.predictions.empty:
        return None
    frame = evaluation.predictions
    told = {"loss": evaluation.loss, "score": evaluation.score, "samples": len(frame)}
    if classes is None:
        found = residuals(frame)
        charts = [
            ("Predicted against true", scatter_chart(found)),
            ("How large the residuals are", residual_histogram(found)),
        ]
        return {**told, "residuals": found, "charts": charts, "quantiles": quantile_chart(found)}
    counts = confusion_counts(frame, classes)
    calibration = reliability(frame)
    return {
        **told,
        "confusion": confusion_table(counts, classes),
        "baseline": counts.sum(axis=1).max() / counts.sum(),
        "calibration": calibration,
        "reliability": reliability_chart(calibration),
    }
