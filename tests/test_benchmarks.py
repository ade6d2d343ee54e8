"""The benchmarks time only correct results, take turns, and count correctly.

No peer has to be installed, and no test asserts a time.
"""

import importlib
import importlib.util
import json
import re
import runpy
import sys
from dataclasses import replace
from pathlib import Path

import pytest
import torch
from torch.utils.flop_counter import FlopCounterMode

# The package is not part of the distribution; it is in the root of the repository.
ROOT = Path(__file__).parents[1]
sys.path.insert(0, str(ROOT))

from benchmarks import __main__ as command  # noqa: E402
from benchmarks import counts, idea, memory, oracle, peers, plots, roofline, runner, scaling, tables  # noqa: E402
from benchmarks.cases import TABLE, Case, draw, parse_sizes, select  # noqa: E402
from benchmarks.contenders import LINEAR, LPHM, PLAIN, SOFTMAX, Contender, lphm_step  # noqa: E402
from benchmarks.settings import Settings  # noqa: E402
from benchmarks.timing import SLOW_ROUNDS, CPUClock, CUDAClock, interleave  # noqa: E402

from lphm._io import write_json  # noqa: E402
from support import reference  # noqa: E402
from support.contenders import MEGABYTES_64, dies, takes_64_megabytes  # noqa: E402

SMALL = [
    Case("attribute", 12, 5, 3, 2, 2),
    Case("attribute", 12, 20, 2, 3, 1),
    Case("instance", 5, 12, 3, 2, 2),
    Case("instance", 20, 12, 2, 3, 1),
]
QUICK = Settings(threads=1, rounds=2)
CONTENDERS = [LPHM, LINEAR, *PLAIN, *peers.PEERS, *SOFTMAX]
every_small_case = pytest.mark.parametrize("case", SMALL, ids=str)


class CountingClock:
    """Takes the value that a run returns for its seconds."""

    def time(self, run):
        return float(run())


# Results are checked before they are timed.


@every_small_case
@pytest.mark.parametrize("normalize", [None, "softmax"])
def test_the_oracle_agrees_with_the_kronecker_product(case, normalize, monkeypatch):
    monkeypatch.setattr(oracle, "COLUMNS", 7)  # so that softmax takes several chunks
    inputs = draw(case, normalize=normalize)
    factors = [t.double().requires_grad_() for t in (inputs.A, inputs.S, inputs.T)]
    x = inputs.x.detach().double().requires_grad_()
    w = torch.cat([factor.flatten() for factor in factors])
    value = reference.apply(case.structure, w, x, None, case.kind, normalize)
    gradients = torch.autograd.grad(value, [x, *factors], inputs.G.double())
    truth = oracle.lphm_truth(inputs)
    assert list(truth) == ["value", "dx", "dA", "dS", "dT"]
    for result, expected in zip(truth.values(), [value, *gradients], strict=True):
        assert reference.error(result, expected) < 1e-12


@pytest.mark.parametrize(
    ("case", "contender"),
    [(case, contender) for case in SMALL for contender in CONTENDERS if case.kind in contender.kinds],
    ids=lambda value: f"{value.name}-{value.normalize}" if isinstance(value, Contender) else str(value),
)
def test_every_contender_is_correct(case, contender):
    inputs = draw(case, normalize=contender.normalize)
    checked = runner.build_and_check([contender], inputs, largest_dense=100)
    if checked.skipped:
        pytest.skip(checked.skipped[contender.name])
    assert checked.wrong == {}
    assert 0 < checked.errors[contender.name] < 1e-4


def off_by_one_percent(what):
    """The library, with its value or one of its gradients 1.01 times too large."""

    def build(inputs):
        step = lphm_step(inputs)
        if what == "value":
            return replace(step, forward=lambda: step.forward() * 1.01)
        index = {"dx": slice(0, 0), "dA": slice(0, 6), "dS": slice(6, 14), "dT": slice(14, 26)}[what]
        x, w = step.leaves
        grown = torch.ones_like(w).index_fill(0, torch.arange(26)[index], 1.01)
        x.register_hook(lambda g: g * 1.01) if what == "dx" else w.register_hook(lambda g: g * grown)
        return step

    return build


@pytest.mark.parametrize("what", ["value", "dx", "dA", "dS", "dT"])
def test_a_contender_that_is_off_by_one_percent_is_not_timed(what):
    case, timed = SMALL[0], []

    class Clock(CPUClock):
        def time(self, run):
            timed.append(run)
            return super().time(run)

    wrong = Contender("wrong", off_by_one_percent(what))
    result = runner.measure(case, [LINEAR, wrong, LPHM], QUICK, Clock())
    assert f"wrong is off by 1.0e-02 in {what} at attribute 12, 5" in result["wrong"]["wrong"]
    assert result["both"]["contenders"] == result["forward"]["contenders"] == ["linear", "lphm"]
    assert len(timed) == 2 * 2 * (2 + 2 * QUICK.rounds)  # two warm-up calls, two calls in a turn
    assert "| wrong |" in tables.time_table([result], ["lphm", "wrong", "linear"], QUICK)


def test_nan_is_wrong():
    def build(inputs):
        step = lphm_step(inputs)
        return replace(step, forward=lambda: step.forward() * float("nan"))

    checked = runner.build_and_check([Contender("nan", build)], draw(SMALL[0]), 100)
    assert "off by nan" in checked.wrong["nan"]


def test_an_error_in_one_contender_does_not_stop_the_others():
    def build(_inputs):
        raise RuntimeError("no kernel")

    checked = runner.build_and_check([Contender("broken", build), LPHM], draw(SMALL[0]), 100)
    assert "broken raised RuntimeError at attribute 12, 5, 3, 2, 2: no kernel" in checked.wrong["broken"]
    assert list(checked.steps) == ["lphm"]


def test_nothing_is_measured_without_the_linear_layer():
    wrong = replace(LINEAR, build=off_by_one_percent("value"))
    with pytest.raises(
        oracle.WrongResultError, match=r"no linear layer to compare with: linear has 26 .* expected 25"
    ):
        runner.measure(SMALL[0], [LPHM, wrong], QUICK, CPUClock())


def test_a_wrong_result_sets_the_exit_code(monkeypatch, capsys):
    monkeypatch.setattr(runner, "LPHM", Contender("lphm", off_by_one_percent("dS")))
    monkeypatch.setattr(roofline, "SIZES", {"cpu": (64, 8)})
    arguments = ["--case", "12,5,3,2,2", "--kind", "attribute", "--peer", "dense", "--rounds", "1"]
    assert command.main([*arguments, "--threads", "1"]) == 1
    out, err = capsys.readouterr()
    assert "WRONG, not timed: lphm" in err
    assert "- WRONG, not timed: lphm is off by" in out


# Choice of contenders.


@pytest.fixture
def no_peer_installed(monkeypatch):
    """No package of a peer can be found."""
    find_spec = importlib.util.find_spec
    absent = {"opt_einsum", "linear_operator", "cola", "lycoris", "pyfastkron", "tinybig"}
    monkeypatch.setattr(importlib.util, "find_spec", lambda name: None if name in absent else find_spec(name))
    peers.load.cache_clear()
    yield
    peers.load.cache_clear()


@pytest.mark.usefixtures("no_peer_installed")
def test_an_absent_peer_is_skipped_with_the_command_that_installs_it(capsys):
    contenders = runner.choose_contenders(None, runner.peer_names())
    results = runner.run([SMALL[0], SMALL[2]], contenders, QUICK, CPUClock())
    err = capsys.readouterr().err
    for package in ("opt_einsum", "linear_operator", "cola", "lycoris"):
        assert f"{package} is not installed: pip install -c constraints.txt -e '.[bench]'" in err
    assert "tinybig is not installed: pip install --no-deps tinybig==0.2.1" in err
    assert "pyfastkron is not installed: pip install --no-deps pyfastkron" in err
    assert err.count("cola is not installed") == 1  # once for all sizes
    assert results[0]["both"]["contenders"] == ["lphm", "linear", "dense"]
    table = tables.time_table(results, [c.name for c in contenders], QUICK)
    assert "| cola-ml |" not in table
    assert "- cola-ml was skipped: cola is not installed" in table


def test_contenders_that_form_large_square_matrices_are_skipped():
    case = Case("attribute", 8192, 8, 64, 64, 1)
    dense, _ = PLAIN
    reason = dense.reason_to_skip(case, torch.float32, largest_dense=4096)
    assert reason == "forms a 8192 x 8192 matrix (--largest-dense 8192 runs it)"
    assert dense.reason_to_skip(case, torch.float32, largest_dense=8192) is None
    assert dense.reason_to_skip(Case("instance", 8192, 8, 4, 4, 1), torch.float32, 4096) is None
    assert PLAIN[1].reason_to_skip(Case("instance", 8192, 8, 4, 4, 1), torch.float32, 4096)


def test_a_peer_that_lacks_a_type_is_skipped():
    fastkron = next(peer for peer in peers.PEERS if peer.name == "fastkron")
    assert fastkron.reason_to_skip(SMALL[0], torch.bfloat16, 100) == "has no bfloat16"


def test_only_named_peers_are_measured():
    names = [contender.name for contender in runner.choose_contenders(None, ["lokr", "dense"])]
    assert names == ["lphm", "linear", "dense", "lokr"]
    assert "fastkron" in runner.peer_names()
    assert "fastkron" not in [contender.name for contender in runner.choose_contenders(None)]
    assert [c.name for c in runner.choose_contenders("softmax")] == [
        "lphm",
        "linear",
        "softmax-xi",
        "softmax-sdpa",
    ]


def test_the_table_is_valid_and_cases_are_chosen_from_it():
    assert all(case.structure.num_parameters for case in TABLE)
    assert [case.kind for case in select(("instance",), [])] == ["instance"] * 4
    assert select(("attribute", "instance"), [(12, 5, 3, 2, 2)]) == SMALL[:1]  # 3 does not divide 5
    with pytest.raises(ValueError, match="p must divide n, got p=5, n=12"):
        select(("attribute",), [(12, 5, 5, 2, 2)])
    for text in ("1,2,3", "1,2,3,4,a", "", "1,2,3,4,-5"):
        with pytest.raises(ValueError, match="five integers b,m,p,q,r"):
            parse_sizes(text)


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["--case", "12,5,5,2,2"], "p must divide n"),
        (["--rounds", "0"], "--rounds must be at least 1"),
        (["--peer", "nobody"], "invalid choice"),
        (["--memory", "--scaling"], "not allowed with"),
    ],
)
def test_wrong_arguments_are_one_line(words, message, capsys):
    with pytest.raises(SystemExit, match="2"):
        command.main(words)
    assert message in capsys.readouterr().err.splitlines()[-1]


# Turns.


def test_rounds_are_interleaved_in_random_order():
    made = []
    runs = {name: (lambda name=name: made.append(name) or 0.1) for name in "abc"}
    samples = interleave(runs, rounds=20, clock=CountingClock())
    assert all(sorted(turn) == ["a", "b", "c"] for turn in samples.order)
    assert len({tuple(turn) for turn in samples.order}) > 3
    assert made[6:] == [name for turn in samples.order for name in turn]  # after two warm-up calls each
    assert {name: len(seconds) for name, seconds in samples.seconds.items()} == dict.fromkeys("abc", 20)


def test_the_second_of_two_short_calls_is_timed():
    calls = []
    runs = {"a": lambda: calls.append(0) or 1e-6 * len(calls)}
    samples = interleave(runs, rounds=5, clock=CountingClock())
    assert samples.seconds["a"] == [1e-6 * number for number in (4, 6, 8, 10, 12)]  # 1 and 2 are the warm-up


def test_slow_calls_are_few_and_evenly_spaced():
    calls = []
    runs = {"slow": lambda: calls.append(0) or 2.0, "fast": lambda: 0.001}
    samples = interleave(runs, rounds=30, clock=CountingClock())
    assert len(calls) == 1 + SLOW_ROUNDS
    assert samples.summary("slow") == {
        "median": 2.0,
        "fastest": 2.0,
        "lower_quartile": 2.0,
        "upper_quartile": 2.0,
        "rounds": SLOW_ROUNDS,
    }
    assert [number for number, turn in enumerate(samples.order) if "slow" in turn] == [0, 10, 20]


@pytest.mark.cuda
@pytest.mark.parametrize("dtype", ["float32", "bfloat16"])
def test_the_command_on_a_gpu(tmp_path, capsys, dtype):
    words = ["--device", "cuda", "--dtype", dtype, "--case", "12,5,3,2,2", "--rounds", "2"]
    for more in ([], ["--memory"]):
        assert command.main([*words, *more, "--peer", "dense", "--output", str(tmp_path)]) == 0
    assert json.loads((tmp_path / "results.json").read_text())["machine"]["gpu"]


def test_the_cuda_clock_waits_before_and_after():
    log = []

    class Event:
        def __init__(self, enable_timing):
            assert enable_timing

        def record(self):
            log.append("record")

        def synchronize(self):
            log.append("wait for the end")

        def elapsed_time(self, _stop):
            return 1500.0  # milliseconds

    clock = CUDAClock(Event, lambda: log.append("wait for others"))
    assert clock.time(lambda: log.append("run")) == 1.5
    assert log == ["wait for others", "record", "run", "record", "wait for the end"]


# Counts.


@pytest.mark.parametrize(
    ("case", "limit"),
    [
        (Case("attribute", 256, 64, 16, 16, 4), 1.44),
        (Case("attribute", 4096, 128, 64, 64, 8), 1.31),
        (Case("attribute", 16384, 64, 128, 128, 8), 1.44),
        (Case("attribute", 1024, 1024, 32, 32, 8), 0.52),
        (Case("instance", 1024, 1024, 32, 32, 8), 0.52),
    ],
    ids=str,
)
def test_counted_flops_are_those_of_the_library(case, limit):
    """The library uses the order with the fewest flops here, and the count includes all but forming W."""
    assert counts.flop_limit(case) == pytest.approx(limit, abs=0.005)
    step = lphm_step(draw(case))
    with torch.no_grad(), FlopCounterMode(display=False) as counter:
        step.forward()
    if counts.linear_flops(case) >= 2**27:  # at small sizes fewer calls may be faster than fewer flops
        assert counter.get_total_flops() == pytest.approx(counts.fewest_flops(case), rel=0.1)
    else:
        assert counter.get_total_flops() >= 0.9 * counts.fewest_flops(case)


@every_small_case
def test_counted_flops_of_the_linear_layer(case):
    inputs = draw(case)
    step = LINEAR.build(inputs)
    with FlopCounterMode(display=False) as counter:
        step.both()
    assert counter.get_total_flops() == counts.BACKWARD * counts.linear_flops(case)


def test_the_rates_of_the_device(monkeypatch):
    class Clock:
        def time(self, run):
            run()
            return 0.5

    rates = roofline.measure_rates(QUICK, Clock(), sizes=(1000, 10))
    assert rates == {"copy": 2 * 1000 * 4 / 0.5, "matmul": 2 * 10**3 / 0.5}
    result = runner.measure(SMALL[0], [LPHM, LINEAR], QUICK, Clock())
    counted = result["counted"]["both"]
    assert counted["bytes"] == 5 * 12 * 5 * 4
    assert counted["flop_rate"] == counted["flops"] / 0.5
    assert "fractions of a large product (4e-09 TFLOP/s)" in tables.roofline_table([result], rates)


# Memory.


@pytest.mark.slow
def test_memory_is_that_of_one_step_in_a_new_process():
    settings, case = Settings(threads=1), Case("attribute", 1024, 64, 32, 32, 4)
    takes = memory.in_fresh_process(Contender("takes", takes_64_megabytes), case, settings)
    # Linux counts the pages of a thread in batches, so a few may be missing.
    assert 0.97 * MEGABYTES_64 < takes["over_inputs"] < 1.5 * MEGABYTES_64
    assert takes["process"] > takes["over_inputs"]
    results = memory.run([case], [LINEAR], settings)
    assert results[0]["peaks"]["linear"]["over_inputs"] < MEGABYTES_64 / 4
    assert "| attribute | 1024, 64, 32, 32, 4 |" in tables.memory_table(results, ["linear"], settings)


@pytest.mark.slow
def test_a_killed_process_is_reported(capsys):
    results = memory.run([SMALL[0]], [Contender("dies", dies)], Settings(threads=1))
    assert results[0]["skipped"] == {"dies": "its process was killed: out of memory?"}
    assert "skipped: dies" in capsys.readouterr().err


# Scaling.


@pytest.mark.parametrize("power", [0.5, 1.0, 2.0])
def test_the_exponent_is_recovered(power):
    rows = list(scaling.ROWS)
    assert scaling.exponent(rows, [3e-9 * b**power for b in rows]) == pytest.approx(power)
    noisy = [b**power * (1.02 if i % 2 else 0.98) for i, b in enumerate(rows)]
    assert scaling.exponent(rows, noisy) == pytest.approx(power, abs=0.02)
    assert scaling.exponent(rows[:1], [1.0]) is None
    assert scaling.exponent([10, 100, 1000], [0.0, 5.0, 5.0]) == pytest.approx(0)  # nothing measured at 10


def test_the_number_of_blocks_is_near_the_square_root():
    assert [scaling.nearest_divisor(b) for b in (1, 12, 1000, 1000000, 7)] == [1, 3, 25, 1000, 1]
    for b in scaling.ROWS:
        assert scaling.case_of(b).structure.p ** 2 == b


def test_scaling_fits_both_ranges(monkeypatch):
    peak = {"over_inputs": 1, "process": 10**8}
    monkeypatch.setattr(
        memory, "in_fresh_process", lambda _, case, __: {**peak, "over_inputs": 1000 * case.b}
    )
    monkeypatch.setattr(scaling, "LARGE", 64)
    results = scaling.run([16, 64, 256], QUICK, CPUClock())
    assert [(fit["contender"], fit["from"]) for fit in results["fits"]] == [
        ("lphm", 16),
        ("linear", 16),
        ("lphm", 64),
        ("linear", 64),
    ]
    assert all(fit["over_inputs"] == pytest.approx(1) for fit in results["fits"])
    table = tables.scaling_table(results, QUICK)
    assert "| 256, 64, 16, 16, 8 |" in table
    assert "| lphm | 64 to 256 |" in table


def test_scaling_is_plotted(tmp_path):
    side = {"seconds": 1.0, "over_inputs": 10}
    point = {"case": {"b": 10}, "contenders": {"lphm": side, "linear": side}}
    plots.plot_scaling({"points": [point]}, tmp_path / "scaling.png")
    assert (tmp_path / "scaling.png").read_bytes().startswith(b"\x89PNG")


# The commands.


MODULES = sorted(path.relative_to(ROOT).with_suffix("") for path in (ROOT / "benchmarks").rglob("*.py"))


@pytest.mark.parametrize("name", [".".join(path.parts).removesuffix(".__init__") for path in MODULES])
def test_every_module_can_be_imported(name):
    """The names that the scripts take from the library exist."""
    assert importlib.import_module(name).__doc__


@pytest.mark.filterwarnings("ignore:'benchmarks.__main__' found in sys.modules:RuntimeWarning")
def test_the_command_writes_what_it_measured(tmp_path, monkeypatch, capsys):
    words = "--case 16,8,4,4,1 --kind attribute --rounds 2 --threads 1 --output"
    monkeypatch.setattr(sys, "argv", ["benchmarks", *words.split(), str(tmp_path)])
    monkeypatch.setattr(roofline, "SIZES", {"cpu": (64, 8)})
    with pytest.raises(SystemExit, match=r"^0$"):
        runpy.run_module("benchmarks", run_name="__main__")
    assert sorted(path.name for path in tmp_path.iterdir()) == ["results.json", "results.md", "results.png"]
    content = json.loads((tmp_path / "results.json").read_text())
    assert content["settings"]["rounds"] == 2
    assert content["machine"]["threads"] == 1
    assert {"cpu", "cores", "torch", "torch_build", "python", "platform", "versions"} <= set(
        content["machine"]
    )
    (result,) = content["results"]
    assert result["case"] == {"kind": "attribute", "b": 16, "m": 8, "p": 4, "q": 4, "r": 1}
    for way in ("forward", "both"):
        assert {"lphm", "linear", "dense"} <= set(result[way]["seconds"])
        assert result[way]["seconds"]["lphm"]["rounds"] == 2
        assert len(result[way]["order"]) == 2
    assert result["wrong"] == {}
    assert content["rates"]["copy"] > 0
    text = (tmp_path / "results.md").read_text()
    assert text in capsys.readouterr().out
    assert "| kind | b, m, p, q, r | lphm | dense |" in text
    assert "| attribute | 16, 8, 4, 4, 1 |" in text
    assert text.count("**") == 2  # a single best peer is bold
    assert (tmp_path / "results.png").read_bytes().startswith(b"\x89PNG")


def test_results_that_are_not_numbers_are_not_written(tmp_path):
    with pytest.raises(ValueError, match="JSON"):
        write_json(tmp_path / "results.json", {"ratio": float("nan")})
    assert list(tmp_path.iterdir()) == []


def test_the_picture_of_the_idea_is_what_its_script_draws(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    committed = re.findall(r">([^<>\n]+)</text>", idea.PICTURE.read_text(encoding="utf-8"))
    monkeypatch.setattr(idea, "PICTURE", tmp_path / "idea.svg")
    idea.main()
    drawn = re.findall(r">([^<>\n]+)</text>", idea.PICTURE.read_text(encoding="utf-8"))
    assert drawn == committed
    assert "W = A ⊗ (S Tᵀ)" in drawn
    found = idea.matrices()
    assert torch.allclose(found["xi"], found["X"].mT @ found["W"] @ found["X"], atol=1e-5)
