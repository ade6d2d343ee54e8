"""The values that the templates name, computed from the files of a run folder."""

from typing import Any

import pandas as pd
from markupsafe import Markup
from torch import nn

from lphm.learn.config import PatternRunConfig
from lphm.learn.run import Run
from lphm.nn.network import full_parameters, interdependence_layers, interdependence_parameters
from lphm.report.answers import drivers, together
from lphm.report.charts import curves
from lphm.report.heat_maps import factor_panels, layer_name, xi_panels
from lphm.report.numbers import plain
from lphm.report.quality import quality
from lphm.report.sources import Sources
from lphm.structures import from_config

PARTS, ROLES = ("train", "validation", "test"), ("group", "time", "weight")


def content(sources: Sources) -> dict[str, Any]:
    """Every value that the templates name."""
    run = sources.run
    xi, factors = xi_panels(sources), factor_panels(run.network)
    return {
        "run": run,
        "by_ridge": isinstance(run.config, PatternRunConfig),
        "target": sources.target,
        "unit": f" {run.config.target.unit}" if run.config.target.unit else "",
        "suspect": (sources.metrics.get("importance") or {}).get("suspect"),
        "score_label": sources.score_label,
        "classes": sources.classes,
        "scores": scores(sources),
        "row_columns": dict.fromkeys(ROLES) | (sources.metrics.get("row_columns") or {}),
        "drivers": drivers(sources),
        "together": together(sources),
        "summary": sources.summary,
        "left_out": sources.metrics.get("left_out") or [],
        "configuration": configuration(run),
        "training": training(sources),
        "quality": quality(sources),
        "xi": xi,
        "factors": factors,
        "parameters": parameters(run.network),
        "maps": {m.name: m.data for panel in xi + factors for m in panel.maps},
    }


def scores(sources: Sources) -> list[tuple[str, Any, Any, Any]]:
    """Name, number of samples, loss and score of each part of the data."""
    metrics = sources.metrics
    rows, parts = metrics.get("rows") or {}, {part: metrics.get(part) for part in PARTS}
    return [(part, rows.get(part), v.get("loss"), v.get(sources.score)) for part, v in parts.items() if v]


def configuration(run: Run) -> dict[str, list[tuple[str, Any]]]:
    """The choices of the run by name, in groups; the features are described elsewhere."""
    choices = run.config.model_dump(mode="json", exclude={"input", "target"})
    parts = [name for name in ("network", "training", "patterns") if name in choices]
    groups: dict[str, dict[str, Any]] = {name: choices.pop(name) for name in parts}
    target = run.config.target
    facts = {"source": run.config.source, "target": target.name, "task": target.task}
    facts["layout"] = run.config.input.layout
    return {
        name: [
            (choice.replace("_", " "), str(from_config(value)) if isinstance(value, dict) else value)
            for choice, value in group.items()
        ]
        for name, group in {"run": facts | choices, **groups}.items()
    }


def training(sources: Sources) -> dict[str, Any] | None:
    """The learning curves, as charts and in words."""
    history, best = sources.metrics.get("history"), sources.metrics.get("best_epoch")
    if not history:
        return None
    epochs = [int(line["epoch"]) for line in history]
    lines = pd.DataFrame(history).astype(float)
    label = sources.score_label
    charts: list[tuple[str, Markup, str]] = []
    for title, axis, keys in (
        ("Loss of each epoch", "loss", {"training": "train_loss", "validation": "val_loss"}),
        (f"Validation {label} of each epoch", label, {"validation": "val_score"}),
    ):
        values = {name: lines[key].tolist() for name, key in keys.items() if key in lines}
        if values:
            measured = {name: lines[key].dropna().tolist() for name, key in keys.items() if key in lines}
            words = ", ".join(f"{name} {_course(each)}" for name, each in measured.items() if each)
            charts.append((title, curves(f"curves{len(charts)}", axis, epochs, values, best), words))
    return {
        "epochs": len(epochs),
        "out_of_time": sources.metrics.get("out_of_time", False),
        "best": best,
        "charts": charts,
        "validated": "val_loss" in lines,
    }


def _course(values: list[float]) -> str:
    first, last = plain(values[0]), plain(values[-1])
    return f"from {first} to {last}" if len(values) > 1 else first


def parameters(network: nn.Module) -> dict[str, Any]:
    """Name, shape, size and role of every parameter, and how many a full ``W`` would take."""
    layers = interdependence_layers(network)
    return {
        "tensors": [
            (
                name,
                " × ".join(map(str, tensor.shape)),
                tensor.numel(),
                layer_name(name, layers[name.removesuffix(".weight")])
                if name.removesuffix(".weight") in layers
                else "",
            )
            for name, tensor in network.named_parameters()
        ],
        "total": sum(tensor.numel() for tensor in network.parameters()),
        "interdependence": interdependence_parameters(network),
        "full": full_parameters(network),
        "layers": len(layers),
    }
