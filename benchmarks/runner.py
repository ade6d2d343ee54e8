"""Measures a case: every contender is checked, then every correct contender is timed."""

import sys
from dataclasses import asdict, dataclass, field
from typing import Any

import torch

from benchmarks.cases import Case, Inputs, draw
from benchmarks.contenders import LINEAR, LPHM, PLAIN, SOFTMAX, Contender, Step
from benchmarks.counts import BACKWARD, fewest_bytes, fewest_flops, flop_limit
from benchmarks.oracle import Oracle, Truth, WrongResultError, check
from benchmarks.peers import ON_REQUEST, PEERS, AbsentError
from benchmarks.settings import Settings
from benchmarks.timing import Clock, Samples, interleave


@dataclass
class Checked:
    """The contenders of a case by name: steps and errors of the correct ones, reasons for the others."""

    steps: dict[str, Step] = field(default_factory=dict)
    errors: dict[str, float] = field(default_factory=dict)
    skipped: dict[str, str] = field(default_factory=dict)
    wrong: dict[str, str] = field(default_factory=dict)


def choose_contenders(normalize: str | None, peers: list[str] | None = None) -> list[Contender]:
    """The library, the linear layer, and the named peers; without names, all that disturb no other."""
    library, *others = (LPHM, *PLAIN, *PEERS) if normalize is None else SOFTMAX
    chosen = [other.name for other in others if other.name not in ON_REQUEST] if peers is None else peers
    return [library, LINEAR, *(other for other in others if other.name in chosen)]


def peer_names() -> list[str]:
    """The names that ``--peer`` takes."""
    return list(dict.fromkeys(c.name for c in (*PLAIN, *PEERS, *SOFTMAX[1:])))


def build_and_check(contenders: list[Contender], inputs: Inputs, largest_dense: int) -> Checked:
    """Build every contender that can compute the case, and check its value and gradients."""
    checked, truths = Checked(), dict[Oracle, Truth]()
    for contender in contenders:
        name = contender.name
        if inputs.case.kind not in contender.kinds:
            continue
        reason = contender.reason_to_skip(inputs.case, inputs.x.dtype, largest_dense)
        if reason is not None:
            checked.skipped[name] = reason
            continue
        try:
            step = contender.build(inputs)
            if contender.oracle not in truths:
                truths[contender.oracle] = contender.oracle(inputs)
            checked.errors[name] = _error(name, step, inputs, truths[contender.oracle])
            checked.steps[name] = step
        except AbsentError as absence:
            checked.skipped[name] = str(absence)
        except WrongResultError as error:
            checked.wrong[name] = str(error)
        except Exception as error:  # an error in another package must not end the measurement of all others
            checked.wrong[name] = f"{name} raised {type(error).__name__} at {inputs.case}: {error}"
    return checked


def _error(name: str, step: Step, inputs: Inputs, truth: Truth) -> float:
    with torch.no_grad():
        value = step.forward()
    return check(name, inputs, (value, *step.both()), truth)


def measure(case: Case, contenders: list[Contender], settings: Settings, clock: Clock) -> dict[str, Any]:
    """Time forward under ``no_grad``, and forward+backward, of all contenders in one process."""
    inputs = draw(case, settings.device, settings.torch_dtype, settings.normalize)
    result = time_contenders(inputs, contenders, settings, clock)
    return {**result, "counted": _counted(case, settings, result)}


def time_contenders(
    inputs: Inputs, contenders: list[Contender], settings: Settings, clock: Clock
) -> dict[str, Any]:
    """Check all contenders, then time those that are correct."""
    checked = build_and_check(contenders, inputs, settings.largest_dense)
    if LINEAR.name not in checked.steps:
        raise WrongResultError(f"no linear layer to compare with: {checked.wrong[LINEAR.name]}")
    with torch.no_grad():
        forward = interleave({n: s.forward for n, s in checked.steps.items()}, settings.rounds, clock)
    both = interleave({n: s.both for n, s in checked.steps.items()}, settings.rounds, clock, seed=1)
    return {
        "case": asdict(inputs.case),
        "forward": _summaries(forward),
        "both": _summaries(both),
        "errors": checked.errors,
        "skipped": checked.skipped,
        "wrong": checked.wrong,
    }


def _summaries(samples: Samples) -> dict[str, Any]:
    """The summary of each contender, and the order of every round as a line of indices."""
    names = list(samples.seconds)
    return {
        "seconds": {name: samples.summary(name) for name in names},
        "contenders": names,
        "order": [" ".join(str(names.index(name)) for name in turn) for turn in samples.order],
    }


def _counted(case: Case, settings: Settings, result: dict[str, Any]) -> dict[str, Any]:
    """Counted flops and bytes of the library, and how many of them it processes per second."""
    if settings.normalize is not None or "lphm" not in result["forward"]["seconds"]:
        return {}
    itemsize = settings.torch_dtype.itemsize
    counted: dict[str, Any] = {"flop_limit": flop_limit(case)}
    for name, factor in (("forward", 1), ("both", BACKWARD)):
        seconds = result[name]["seconds"]["lphm"]["median"]
        flops, moved = factor * fewest_flops(case), fewest_bytes(case, itemsize, backward=name == "both")
        counted[name] = {
            "flops": flops,
            "bytes": moved,
            "flop_rate": flops / seconds,
            "byte_rate": moved / seconds,
        }
    return counted


def log(*words: object) -> None:
    """Print progress to standard error, apart from the results."""
    print(*words, file=sys.stderr, flush=True)


def ratios_to_linear(result: dict[str, Any], way: str = "both") -> dict[str, float]:
    """The median of each contender divided by the linear layer's; ``way`` is ``forward`` or ``both``."""
    seconds = result[way]["seconds"]
    return {name: seconds[name]["median"] / seconds["linear"]["median"] for name in seconds}


def run(
    cases: list[Case], contenders: list[Contender], settings: Settings, clock: Clock
) -> list[dict[str, Any]]:
    """Measure every case; the same reason for leaving a contender out is logged once."""
    results, logged = [], set[str]()
    for case in cases:
        log(f"{case} ...")
        result = measure(case, contenders, settings, clock)
        results.append(result)
        log("  " + ", ".join(f"{name} {ratio:.2f}" for name, ratio in ratios_to_linear(result).items()))
        for name, reason in {**result["skipped"], **result["wrong"]}.items():
            line = f"  {'WRONG, not timed' if name in result['wrong'] else 'skipped'}: {name}: {reason}"
            if line not in logged:
                logged.add(line)
                log(line)
    return results
