"""Commands with right, odd and impossible options."""

from hypothesis import strategies as st

from fuzz.bases import SMALL, base
from fuzz.calls import Call, Case
from fuzz.readings import TERMINALS

NUMBERS = [
    "0",
    "-1",
    "1",
    "2",
    "3",
    "8",
    "0.5",
    "1.5",
    "1e200",
    "inf",
    "nan",
    "-0.0",
    "1000000",
    "1000000000",
    "9" * 400,
]
NUMBERS += ["", " 1", "0x10", "1_0", "None", "true", "abc", "[red]", "[/]", "é", "日本", "1,2", "=1"]
COUNTS = ["1", "2", "3", "4", "8"]
FRACTIONS = ["0.01", "0.1", "0.5", "0.9"]
WORDS = ["", "y", "a", "[/]", "nope", "--x", "é", "\udcff", "a b", "\n", "'"]
STRUCTURE = {
    "--structure": ["lphm", "full", "low-rank", "hm", "dual-lphm", "toeplitz"],
    "--p": COUNTS,
    "--q": COUNTS,
    "--r": COUNTS,
    "--lags": COUNTS,
    "--budget": ["0.1", "1", "20", "100"],
}
#: The options of every command, and values that they take.
OPTIONS: dict[str, dict[str, list[str] | None]] = {
    "train": {
        **STRUCTURE,
        "--target": ["y", "a", "c"],
        "--task": ["classification", "regression"],
        "--drop": ["a", "b"],
        "--category": ["a", "c"],
        "--series": ["id"],
        "--step": ["t"],
        "--wide": [r"v_(\d)", "(", "a", r"(\w)_(.)", "(.*)"],
        "--test": ["t.csv", "r.csv", "many.csv", "t.parquet", "s.npz", "s.ts", "long.csv"],
        "--group": ["c", "a", "id"],
        "--time": ["a", "t"],
        "--weight": ["a", "id"],
        "-o": ["o", "a/b", "run"],
        "--folds": ["2", "3"],
        "--compare": None,
        "--resume": None,
        "--config": ["run/options.json", "run/config.json", "series/options.json"],
        "--timeout": ["1", "9"],
        "--kind": ["attribute", "instance", "both", "none"],
        "--width": COUNTS,
        "--blocks": COUNTS,
        "--channels": COUNTS,
        "--instance-channels": COUNTS,
        "--members": COUNTS,
        "--dropout": FRACTIONS,
        "--learning-rate": FRACTIONS,
        "--weight-decay": FRACTIONS,
        "--precision": ["32-true", "bf16-mixed"],
        "--time-limit": ["0.01", "0.1"],
        "--epochs": COUNTS,
        "--batch-size": COUNTS,
        "--early-stopping": None,
        "--validation": FRACTIONS,
        "--patience": COUNTS,
        "--threads": ["1", "2"],
        "--device": ["cpu", "auto"],
        "--seed": COUNTS,
        "--balanced": None,
        "--quiet": None,
        "--json": None,
    },
    "predict": {"-o": ["o.csv", "a/b.CSV", "t.csv"], "--device": ["cpu", "auto"]},
    "evaluate": {"--device": ["cpu", "auto"], "--quiet": None, "--json": None},
    "report": {"-o": ["o.html", "a/b.html", "run", "t.csv", "run/config.json"]},
    "info": {"--json": None},
    "apply": {
        **STRUCTURE,
        "--kind": ["attribute", "instance"],
        "--normalize": ["none", "scale", "softmax"],
        "--weights": ["x.npy", "run/weights.safetensors", "t.csv"],
        "--seed": COUNTS,
        "--drop": ["a", "id"],
        "--keep": ["id", "a"],
        "--matrix": ["m.csv", "o.csv", "t.csv"],
        "-o": ["o.parquet", "o.npy", "a/b.parquet", "x.parquet", "x.npy"],
        "--resume": None,
        "--quiet": None,
        "--json": None,
    },
    "compress": {
        "--budget": ["0.5", "1", "20", "100"],
        "--structure": ["lphm", "hm", "toeplitz"],
        "--tensor": ["a", "y"],
        "-o": ["o.safetensors", "a/b.safetensors", "run/weights.safetensors"],
        "--quiet": None,
        "--json": None,
    },
    "bench": {
        **STRUCTURE,
        "--kind": ["attribute", "instance"],
        "--b": COUNTS,
        "--m": COUNTS,
        "--threads": ["1", "2"],
        "--json": None,
    },
}
PLACES: dict[str, list[list[str]]] = {
    "train": [
        ["t.csv"],
        ["r.csv"],
        ["t.parquet"],
        ["d"],
        ["s.npz"],
        ["long.csv"],
        ["wide.csv"],
        ["s.ts"],
        ["iris"],
        [],
    ],
    "predict": [
        ["run", "t.csv"],
        ["regression", "t.csv"],
        ["series", "s.npz"],
        ["series", "s.ts"],
        ["run", "r.csv"],
    ],
    "evaluate": [
        ["run", "t.csv"],
        ["regression", "r.csv"],
        ["series", "s.npz"],
        ["series", "s.ts"],
        ["run", "r.csv"],
    ],
    "report": [["run"], ["regression"], ["series"]],
    "info": [["run"], ["regression"], ["series"]],
    "apply": [["x.parquet"], ["x.npy"], ["d"], ["t.parquet"]],
    "compress": [["w.npy"], ["x.npy"], ["run/weights.safetensors"]],
    "bench": [[]],
}
#: Options whose large values are honest work that takes long, or that take all threads of a machine.
BEYOND = ["0", "-1", "1.5", "1e200", "inf", "nan", "9" * 400]
LONG = dict.fromkeys(("--epochs", "--b", "--m", "--threads"), BEYOND)
#: All of them inside the folder, for what is named as an output may be made.
FILES = [
    "",
    ".",
    "..",
    "t.csv",
    "t.csv/x",
    "t.csv/x.csv",
    "x" * 300 + ".csv",
    "[red]",
    "[/].csv",
    "é.npy",
    "nope",
]
FILES += ["-", "\udcff", "\udcff.csv", "\udcff.parquet", "a\nb.csv", "d/o.parquet"]
#: Needed, so that something happens.
ENOUGH = {
    "train": ["--target", "y", *SMALL, "-o", "new"],
    "predict": ["-o", "new.csv"],
    "apply": ["-o", "new.parquet"],
    "compress": ["--budget", "20", "-o", "new.safetensors"],
    "bench": ["--b", "4", "--m", "4"],
}


@st.composite
def option_values(draw: st.DrawFn) -> Case:
    """A command with options that are right, out of bounds, or no values at all."""
    command = draw(st.sampled_from(["train"] * 4 + ["apply"] * 3 + sorted(OPTIONS)))
    options = OPTIONS[command]
    places = list(draw(st.sampled_from(PLACES[command])))
    if draw(st.integers(0, 7)) == 0:
        places[draw(st.integers(0, len(places))) :] = [draw(st.sampled_from([*FILES, "run", "x.parquet"]))]
    given: dict[str, list[str]] = {}
    for flag in draw(st.lists(st.sampled_from(sorted(options)), max_size=4, unique=True)):
        right, odd = options[flag], draw(st.integers(0, 2)) == 0
        if right is None:
            given[flag] = (
                [flag] if not odd else [draw(st.sampled_from([f"{flag}=yes", f"{flag}=false", flag]))]
            )
            continue
        values = LONG.get(flag, NUMBERS if right[0][0].isdigit() else WORDS)
        if odd and flag in ("-o", "--config", "--weights", "--matrix", "--test"):
            values = FILES
        value = draw(st.sampled_from(values if odd else right))
        given[flag] = draw(
            st.sampled_from([[flag, value]] * 8 + [[flag, value] * 2, [f"{flag}={value}"], [flag]])
        )
    enough = ENOUGH.get(command, [])
    words = [*places, *(word for flag in given.values() for word in flag)]
    for flag, value in zip(enough[::2], enough[1::2], strict=True):
        if flag not in given:
            words += [flag, value]
    words += draw(
        st.sampled_from([[]] * 12 + [["--help"], ["--nope"], ["extra", "words"], ["--", "x"], ["-"]])
    )
    written = {flag: _value(words, flag) for flag in ("-o", "--matrix")}
    if command == "report" and not written["-o"] and places:
        written["-o"] = f"{places[0]}/report.html"
    each = Call((command, *words), written["-o"], also=written["--matrix"])
    return Case(base(), (each,), draw(TERMINALS))


@st.composite
def full_disks(draw: st.DrawFn) -> Case:
    """A command that cannot write all that it wants to."""
    commands = [
        Call(("train", "t.csv", *ENOUGH["train"], "--quiet"), "new", resumed="new"),
        Call(("train", "t.csv", *ENOUGH["train"], "--folds", "2", "--quiet"), "new", resumed="new"),
        Call(("predict", "run", "many.csv", "-o", "new.csv"), "new.csv"),
        Call(("report", "run"), "run/report.html"),
        Call(
            ("apply", "x.parquet", "--keep", "id", "-o", "o.parquet", "--quiet"),
            "o.parquet",
            resumed="o.parquet.partial",
        ),
        Call(
            ("apply", "x.npy", "--matrix", "m.csv", "-o", "o.npy", "--quiet"),
            "o.npy",
            "m.csv",
            resumed="o.npy.partial",
        ),
    ]
    room = draw(st.sampled_from([0, 1, 100, 500, 1000, 2000, 4000, 8000, 16000, 32000, 64000, 256000]))
    return Case(base(), (draw(st.sampled_from(commands)),), room=room, note=f"files of {room} bytes at most")


def _value(words: list[str], flag: str) -> str | None:
    """The last value of an option."""
    pairs = zip(words, [*words[1:], ""], strict=True)
    values = [
        after if word == flag else word[len(flag) + 1 :]
        for word, after in pairs
        if word.split("=")[0] == flag
    ]
    return values[-1] if values else None
