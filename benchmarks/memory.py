"""Peak memory of one forward+backward, each in a process of its own.

A process remembers its peak, and an allocator keeps what it was given: only a fresh process shows what
a computation needs. Counted from after the inputs are there, and as the peak of the whole process.
"""

import resource
import sys
from concurrent.futures import ProcessPoolExecutor
from concurrent.futures.process import BrokenProcessPool
from dataclasses import asdict
from multiprocessing import get_context
from pathlib import Path
from typing import Any

import torch

from benchmarks.cases import Case, draw
from benchmarks.contenders import Contender
from benchmarks.peers import AbsentError
from benchmarks.runner import say
from benchmarks.settings import Settings

STATUS, CLEAR = Path("/proc/self/status"), Path("/proc/self/clear_refs")
Peak = dict[str, int]


def measure_peak(contender: Contender, case: Case, settings: Settings) -> Peak:
    """Bytes over the inputs, and the process' peak, in this process; meant to be called in a new one.

    Raises:
        AbsentError: the contender's package is not installed.
    """
    torch.set_num_threads(settings.threads)
    arguments = (settings.device, settings.torch_dtype, settings.normalize)
    # Loads the BLAS and the contender's own code, which are nobody's working memory.
    contender.build(draw(Case(case.kind, 16, 16, 4, 4, 1), *arguments)).both()
    step = contender.build(draw(case, *arguments))
    if settings.device == "cuda":
        torch.cuda.reset_peak_memory_stats()
        before = torch.cuda.memory_allocated()
        step.both()
        peak = torch.cuda.max_memory_allocated()
        return {"over_inputs": peak - before, "process": peak}
    earlier = peak_resident()
    _forget_peak()
    before = resident()
    gradients = step.both()
    peak = peak_resident()
    del gradients
    return {"over_inputs": max(0, peak - before), "process": max(peak, earlier)}


def in_fresh_process(contender: Contender, case: Case, settings: Settings) -> Peak:
    """``measure_peak`` in a new interpreter.

    Raises:
        AbsentError: the contender's package is not installed.
        BrokenProcessPool: the process was killed, as the system does when memory runs out.
    """
    with ProcessPoolExecutor(1, mp_context=get_context("spawn")) as pool:
        return pool.submit(measure_peak, contender, case, settings).result()


def resident() -> int:
    """Bytes of this process in memory now; its peak where the system tells no more."""
    return _status("VmRSS") if STATUS.exists() else peak_resident()


def peak_resident() -> int:
    """Most bytes of this process that were ever in memory, or since ``_forget_peak``."""
    if STATUS.exists():
        return _status("VmHWM")
    unit = 1 if sys.platform == "darwin" else 1024
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * unit


def _status(name: str) -> int:
    line = next(line for line in STATUS.read_text().splitlines() if line.startswith(f"{name}:"))
    return int(line.split()[1]) * 1024


def _forget_peak() -> None:
    """Let the peak start from here, where Linux allows it: that of the imports may be higher."""
    try:
        CLEAR.write_text("5")
    except OSError:
        return


def run(cases: list[Case], everybody: list[Contender], settings: Settings) -> list[dict[str, Any]]:
    """Every contender of every case, each in a fresh process."""
    return [_run_case(case, everybody, settings) for case in cases]


def _run_case(case: Case, everybody: list[Contender], settings: Settings) -> dict[str, Any]:
    say(f"{case} ...")
    peaks: dict[str, Peak] = {}
    skipped: dict[str, str] = {}
    for contender in everybody:
        if case.kind not in contender.kinds:
            continue
        reason = contender.reason_against(case, settings.torch_dtype, settings.largest_dense)
        if reason is None:
            try:
                peaks[contender.name] = in_fresh_process(contender, case, settings)
            except AbsentError as absence:
                reason = str(absence)
            except BrokenProcessPool:
                reason = "its process was killed: out of memory?"
        if reason is not None:
            skipped[contender.name] = reason
            say(f"  skipped: {contender.name}: {reason}")
    return {"case": asdict(case), "peaks": peaks, "skipped": skipped}
