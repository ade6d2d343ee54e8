"""Damaged runs, interrupted trainings, cross-validations and jobs, and the commands that read them."""

import json
from typing import Any

from hypothesis import strategies as st

from fuzz.bases import MOMENTS, RESUMED, base, data, finished, interrupted
from fuzz.calls import Call, Case, Files
from fuzz.readings import TERMINALS, predict
from fuzz.text_files import mutated

VALUES: list[Any] = [
    None,
    -1,
    0,
    1,
    2,
    1e308,
    10**400,
    0.5,
    "",
    "x",
    "[red]",
    "[/]",
    True,
    [],
    {},
    [1],
    {"a": 1},
    float("nan"),
]
READ = {
    "report": ["weights.safetensors", "config.json", "metrics.json", "summary.json", "predictions.csv"],
    "train": ["options.json"],
}
READ["report"] += ["interdependence.npz", "report.html"]
WAYS = ["removed", "cut", "a folder", "another file", "of another run"]


def edited_json(draw: st.DrawFn, content: bytes) -> bytes:
    """One value replaced, taken out or put in, anywhere."""
    root = json.loads(content)
    place, node = None, root
    while isinstance(node, dict | list) and node and (place is None or draw(st.integers(0, 3))):
        key = draw(st.sampled_from(sorted(node) if isinstance(node, dict) else range(min(len(node), 8))))
        place, node = (node, key), node[key]
    if place is None:
        return json.dumps(draw(st.sampled_from(VALUES))).encode()
    parent, key = place
    match draw(st.integers(0, 6)):
        case 0:
            del parent[key]
        case 1 if isinstance(parent, dict):
            parent["more"] = node
        case 2 if isinstance(parent, list):
            parent.append(node)
        case _:
            parent[key] = draw(st.sampled_from(VALUES))
    return json.dumps(root).encode()


def damaged(draw: st.DrawFn, files: Files, names: list[str]) -> tuple[Files, list[str]]:
    """Up to two of these files damaged, and what was done to them."""
    whole, files, done = files, dict(files), []
    for name in draw(st.lists(st.sampled_from(names), min_size=1, max_size=2, unique=True)):
        content, is_json = whole[name] or b"", name.endswith(".json")
        way = draw(st.sampled_from([*["edited" if is_json else "mutated"] * 4, *WAYS]))
        match way:
            case "removed":
                del files[name]
            case "cut":
                files[name] = content[: draw(st.integers(0, len(content)))]
            case "a folder":
                files[name] = None
            case "another file":
                files[name] = whole[draw(st.sampled_from(names))]
            case "of another run":
                other = name.replace("run/", draw(st.sampled_from(["regression/", "series/"])), 1)
                files[name] = whole.get(other, b"")
            case "edited":
                files[name] = edited_json(draw, content)
            case _:
                files[name] = mutated(draw, content)
        done.append(f"{name} {way}")
    return files, done


@st.composite
def damaged_runs(draw: st.DrawFn) -> Case:
    """A run folder with a damaged file that the command reads."""
    command = draw(st.sampled_from(["predict", "evaluate", "info", "report", "report", "train"]))
    names = [f"run/{name}" for name in READ.get(command, ["weights.safetensors", "config.json"])]
    files, done = damaged(draw, base(), names)
    weights = "run/weights.safetensors"  # the one file that a person cannot have edited
    kept = {name: files.get(name, 0) == base()[name] for name in ("run/config.json", weights)}
    must = 2 if kept["run/config.json"] and not kept[weights] else None
    more = draw(st.sampled_from([(), ("--json",)]))
    calls = {
        "predict": predict("run", "t.csv", 40, must=must),
        "evaluate": Call(("evaluate", "run", "t.csv", "--quiet", *more), must=must),
        "report": Call(("report", "run"), "run/report.html", must=must),
        "info": Call(("info", "run", *more), must=must),
        "train": Call(("train", "--config", "run/options.json", "-o", "new", "--quiet", *more), "new"),
    }
    return Case(files, (calls[command],), draw(TERMINALS), note=", ".join(done))


@st.composite
def damaged_work(draw: st.DrawFn) -> Case:
    """An interrupted training, cross-validation or job with a damaged file, which is resumed."""
    kind = draw(st.sampled_from(sorted(RESUMED)))
    arguments, output, begun = RESUMED[kind]
    files = interrupted(kind, draw(st.integers(0, MOMENTS - 1)))
    names = sorted(name for name, content in files.items() if content)
    files, done = damaged(draw, files, names)
    expected, _ = finished(kind)
    same = ["half/weights.safetensors", "half/predictions.csv", "folds/cross_validation.json", output]
    unknowable = any(".json " in damage for damage in done)  # a number that a person may have edited
    files |= data() | {f"expected/{name}": content for name, content in expected.items()}
    call = Call((*arguments, "--resume", "--quiet"), output, resumed=begun)
    pairs = tuple((name, f"expected/{name}") for name in same if expected.get(name) and not unknowable)
    return Case(files, (call,), same=pairs, note=", ".join(done))
