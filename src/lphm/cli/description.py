"""What a run is, in words: the rows of ``lphm info``."""

from collections.abc import Sequence
from typing import Any

from lphm.data.amounts import LABELS, amount, labelled, listed
from lphm.data.schema import CategoricalColumn, FeatureSchema, GridSchema, InputSchema, NumericColumn
from lphm.data.targets import ClassTarget, TargetSchema
from lphm.learn.config import NetworkConfig, PatternRunConfig
from lphm.learn.run import Run
from lphm.nn.network import full_parameters, interdependence_parameters
from lphm.structures import from_config

KINDS = {"attribute": "of columns (attribute)", "instance": "of rows (instance)"}
PARTS = {"train": "training", "validation": "validation", "test": "test"}


def description(run: Run, metrics: dict[str, Any], weights: int) -> dict[str, str]:
    """A line for each fact; ``metrics`` may be empty, and ``weights`` is the size of their file in bytes."""
    config, network = run.config, run.network
    parts = [f"{rows:,} rows for {PARTS[part]}" for part, rows in (metrics.get("rows") or {}).items()]
    rows = {"data": ": ".join(filter(None, [config.source, ", ".join(parts)]))}
    rows |= {"target": _target(config.target), "features": _features(config.input)}
    if left_out := metrics.get("left_out"):
        rows["left out"] = listed([f"{name} ({reason})" for name, reason in left_out.items()])
    rows |= {f"{role} column": name for role, name in (metrics.get("row_columns") or {}).items()}
    scores = {part: metrics[key] for key, part in PARTS.items() if metrics.get(key)}
    rows |= {f"{part} score": _score(config.target, values) for part, values in scores.items()}
    if isinstance(config, PatternRunConfig):
        sizes = config.patterns
        rows["learner"] = f"ridge regression on local patterns, {sizes.groups} groups of {sizes.maps} maps"
    else:
        rows |= _network(config.network)
    total, of_w = sum(p.numel() for p in network.parameters()), interdependence_parameters(network)
    full = f", of which {of_w:,} in W ({full_parameters(network):,} with a dense W)" if of_w else ""
    rows["parameters"] = f"{total:,}{full}"
    rows["weights"] = f"{weights / 1e6:,.1f} MB" if weights >= 1e5 else f"{weights / 1e3:,.1f} kB"
    if training := _training(metrics):
        rows["training"] = training
    return rows


def _counted(number: int, thing: str) -> str:
    return f"{number:,} {thing}{'' if number == 1 else 's'}"


def _target(target: TargetSchema) -> str:
    if isinstance(target, ClassTarget):
        return f"{target.name} (classification), {len(target.classes)} classes: {listed(target.classes)}"
    return f"{target.name} (regression), {amount(target.mean)} ± {amount(target.std)} in training"


def _score(target: TargetSchema, scores: dict[str, float]) -> str:
    """The score and what stands beside it, errors in the unit of the target."""
    shown = {target.score_name: scores[target.score_name]}
    shown |= {name: value for name, value in scores.items() if name in LABELS}
    return ", ".join(f"{name} {value}" for name, value in labelled(shown, target.unit).items())


def _features(schema: InputSchema) -> str:
    if isinstance(schema, FeatureSchema):
        kinds: list[tuple[str, str, Sequence[NumericColumn | CategoricalColumn]]] = [
            ("number", "numbers", schema.numeric),
            ("category", "categories", schema.categorical),
        ]
        return "; ".join(
            f"{len(columns):,} {one if len(columns) == 1 else several}: {listed([c.name for c in columns])}"
            for one, several, columns in kinds
            if columns
        )
    if isinstance(schema, GridSchema):
        return f"images of {schema.rows} x {schema.columns}: {listed(schema.names)}"
    channels = _counted(len(schema.channels), "channel")
    return f"series of {_counted(schema.steps, 'step')} and {channels}: {listed(schema.column_labels)}"


def _network(sizes: NetworkConfig) -> dict[str, str]:
    structures = {"attribute": sizes.attribute, "instance": sizes.instance}
    kinds = [KINDS[kind] for kind, structure in structures.items() if structure is not None]
    mixing = f"interdependence {' and '.join(kinds)}" if kinds else "no interdependence"
    blocks = f"{_counted(sizes.blocks, 'block')} of width {sizes.width}"
    members = f"{_counted(sizes.members, 'member')}{', averaged' if sizes.members > 1 else ''}"
    rows = {"network": f"{members}; {blocks}; {mixing}"}
    for kind, saved in structures.items():
        if saved is not None:
            W = from_config(saved)
            rows[f"W, {kind}"] = f"{W}: {_counted(W.num_parameters, 'parameter')} (a dense W: {W.n**2:,})"
    return rows


def _training(metrics: dict[str, Any]) -> str:
    facts = []
    if history := metrics.get("history"):
        facts.append(_counted(len(history), "epoch"))
    if metrics.get("best_epoch") is not None:
        facts.append(f"best {metrics['best_epoch']}")
    if metrics.get("out_of_time"):
        facts.append("stopped by the time limit")
    if "seconds" in metrics:
        facts.append(f"{metrics['seconds']:,.1f} seconds")
    return ", ".join(facts)
