"""Damaged runs, interrupted trainings, cross-validations and jobs, and the commands that read them."""

import json
from typing import Any

from hypothesis import strategies as st

from fuzz.bases import RESUMED, base, data, finished, interrupted
from fuzz.calls import Call, Case, Files
from fuzz.readings import TERMINALS, predict
from fuzz.sources import mutated

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
#: After how many renames the work is interrupted.
RENAMES = {
    "train": (1, 2, 3),
    "folds": (1, 2, 3, 4, 5, 6),
    "apply": (1, 2, 3, 4, 5, 6),
    "apply an array": (1, 2, 3),
}


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


def damaged(draw: st.DrawFn, files: Files, inside: str) -> tuple[Files, list[str]]:
    """Up to two files of a folder damaged, and the names of those whose loss cannot be seen from the file."""
    files, silent = dict(files), []
    names = sorted(
        name for name, content in files.items() if name.startswith(inside + "/") and content is not None
    )
    for name in draw(st.lists(st.sampled_from(names), min_size=1, max_size=2, unique=True)):
        content = files[name]
        if content is None:
            continue
        match draw(st.integers(0, 6)):
            case 0:
                del files[name]
            case 1:
                files[name] = content[: draw(st.integers(0, len(content)))]
            case 2:
                files[name] = None
            case 3:
                files[name] = files[draw(st.sampled_from(names))] if len(names) > 1 else b""
            case 4 if name.startswith("run/"):
                files[name] = files[name.replace("run/", draw(st.sampled_from(["regression/", "series/"])))]
            case 5 if name.endswith(".json"):
                files[name] = edited_json(draw, content)
                silent.append(name)
            case _:
                files[name] = mutated(draw, content)
                silent += [name] if name.endswith(".json") else []
    return files, silent


@st.composite
def damaged_runs(draw: st.DrawFn) -> Case:
    """A run folder with a damaged file."""
    files, _ = damaged(draw, base(), "run")
    # Weights are the file that says nothing about itself: others are text that may have been edited.
    must = 2 if files.get("run/weights.safetensors", 0) != base()["run/weights.safetensors"] else None
    again = ("train", "--config", "run/options.json", "-o", "new", "--quiet")
    call = draw(
        st.sampled_from(
            [
                predict("run", "t.csv", rows=40, must=must),
                Call(("evaluate", "run", "t.csv", "--json", "--quiet"), must=must),
                Call(("report", "run"), "run/report.html", must=must),
                Call(("report", "run", "-o", "o.html"), "o.html", must=must),
                Call(("info", "run"), must=must),
                Call(("info", "run", "--json"), must=must),
                Call(again, "new"),
            ]
        )
    )
    return Case(files, (call,), draw(TERMINALS))


@st.composite
def damaged_work(draw: st.DrawFn) -> Case:
    """An interrupted training, cross-validation or job with a damaged file, which is resumed."""
    kind = draw(st.sampled_from(sorted(RESUMED)))
    arguments, output, begun = RESUMED[kind]
    files, silent = damaged(draw, interrupted(kind, draw(st.sampled_from(RENAMES[kind]))), begun)
    expected = finished(kind)
    same = ["half/weights.safetensors", "half/predictions.csv", "folds/cross_validation.json", output]
    files |= data() | {f"expected/{name}": content for name, content in expected.items()}
    call = Call((*arguments, "--resume", "--quiet"), output, resumed=begun)
    pairs = tuple((name, f"expected/{name}") for name in same if expected.get(name) and not silent)
    return Case(files, (call,), same=pairs)
