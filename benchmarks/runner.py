"""A case: everybody is checked, then everybody is timed."""

import sys
from dataclasses import asdict, dataclass, field
from typing import Any

import torch

from benchmarks.cases import Case, Inputs, draw
from benchmarks.contenders import LINEAR, LPHM, PLAIN, SOFTMAX, Contender, Step
from benchmarks.counts import BACKWARD, fewest_bytes, fewest_flops, flop_limit
from benchmarks.oracle import Truth, TruthOf, WrongResultError, check
from benchmarks.peers import APART, PEERS, AbsentError
from benchmarks.settings import Settings
from benchmarks.timing import Clock, Samples, interleave


@dataclass
class Admitted:
    """Who starts in a case, who does not, and whose result is wrong."""

    steps: dict[str, Step] = field(default_factory=dict)
    errors: dict[str, float] = field(default_factory=dict)
    skipped: dict[str, str] = field(default_factory=dict)
    wrong: dict[str, str] = field(default_factory=dict)


def contenders(normalize: str | None, peers: list[str] | None = None) -> list[Contender]:
    """The library, the yardstick, and those named, or all others that do not disturb the rest."""
    ours, *others = (LPHM, *PLAIN, *PEERS) if normalize is None else SOFTMAX
    wanted = [other.name for other in others if other.name not in APART] if peers is None else peers
    return [ours, LINEAR, *(other for other in others if other.name in wanted)]


def peer_names() -> list[str]:
    """Every name that can be asked for."""
    return list(dict.fromkeys(c.name for c in (*PLAIN, *PEERS, *SOFTMAX[1:])))


def admit(everybody: list[Contender], inputs: Inputs, largest_dense: int) -> Admitted:
    """Build and check everybody who can take part; nobody is timed before his result is right."""
    found, truths = Admitted(), dict[TruthOf, Truth]()
    for contender in everybody:
        name = contender.name
        if inputs.case.kind not in contender.kinds:
            continue
        reason = contender.reason_against(inputs.case, inputs.x.dtype, largest_dense)
        if reason is not None:
            found.skipped[name] = reason
            continue
        try:
            step = contender.build(inputs)
            if contender.truth not in truths:
                truths[contender.truth] = contender.truth(inputs)
            found.errors[name] = _checked(name, step, inputs, truths[contender.truth])
            found.steps[name] = step
        except AbsentError as absence:
            found.skipped[name] = str(absence)
        except WrongResultError as error:
            found.wrong[name] = str(error)
        except Exception as error:  # somebody else's package: it must not cost all others their turn
            found.wrong[name] = f"{name} raised {type(error).__name__} at {inputs.case}: {error}"
    return found


def _checked(name: str, step: Step, inputs: Inputs, truth: Truth) -> float:
    with torch.no_grad():
        value = step.forward()
    return check(name, inputs, (value, *step.both()), truth)


def measure(case: Case, everybody: list[Contender], settings: Settings, clock: Clock) -> dict[str, Any]:
    """Forward under ``no_grad``, and forward+backward, of everybody in one process."""
    inputs = draw(case, settings.device, settings.torch_dtype, settings.normalize)
    admitted = admit(everybody, inputs, settings.largest_dense)
    if LINEAR.name not in admitted.steps:
        raise WrongResultError(f"no yardstick: {admitted.wrong[LINEAR.name]}")
    with torch.no_grad():
        forward = interleave({n: s.forward for n, s in admitted.steps.items()}, settings.rounds, clock)
    both = interleave({n: s.both for n, s in admitted.steps.items()}, settings.rounds, clock, seed=1)
    return {
        "case": asdict(case),
        "forward": _summaries(forward),
        "both": _summaries(both),
        "errors": admitted.errors,
        "skipped": admitted.skipped,
        "wrong": admitted.wrong,
        "counted": _counted(case, settings, forward, both),
    }


def _summaries(samples: Samples) -> dict[str, Any]:
    """By contender; and the order of every round, one line of numbers each."""
    names = list(samples.seconds)
    return {
        "seconds": {name: samples.summary(name) for name in names},
        "contenders": names,
        "order": [" ".join(str(names.index(name)) for name in turn) for turn in samples.order],
    }


def _counted(case: Case, settings: Settings, forward: Samples, both: Samples) -> dict[str, Any]:
    """Counted flops and bytes, and the rates at which the library goes through them."""
    if settings.normalize is not None or "lphm" not in forward.seconds:
        return {}
    itemsize = settings.torch_dtype.itemsize
    counted: dict[str, Any] = {"flop_limit": flop_limit(case)}
    for name, samples, factor in (("forward", forward, 1), ("both", both, BACKWARD)):
        seconds = samples.summary("lphm")["median"]
        flops, moved = factor * fewest_flops(case), fewest_bytes(case, itemsize, backward=name == "both")
        counted[name] = {
            "flops": flops,
            "bytes": moved,
            "flop_rate": flops / seconds,
            "byte_rate": moved / seconds,
        }
    return counted


def say(*words: object) -> None:
    """Progress, beside the results and not among them."""
    print(*words, file=sys.stderr, flush=True)


def ratios_to_linear(result: dict[str, Any], way: str = "both") -> dict[str, float]:
    """Every contender's median over the linear layer's; ``way`` is ``forward`` or ``both``."""
    seconds = result[way]["seconds"]
    return {name: seconds[name]["median"] / seconds["linear"]["median"] for name in seconds}


def run(
    cases: list[Case], everybody: list[Contender], settings: Settings, clock: Clock
) -> list[dict[str, Any]]:
    """Every case; whoever is left out is named once for every reason."""
    results, said = [], set[str]()
    for case in cases:
        say(f"{case} ...")
        found = measure(case, everybody, settings, clock)
        results.append(found)
        say("  " + ", ".join(f"{name} {ratio:.2f}" for name, ratio in ratios_to_linear(found).items()))
        for name, reason in {**found["skipped"], **found["wrong"]}.items():
            line = f"  {'WRONG, not timed' if name in found['wrong'] else 'skipped'}: {name}: {reason}"
            if line not in said:
                said.add(line)
                say(line)
    return results
