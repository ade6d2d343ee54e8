"""Peak memory of one forward+backward, each contender in a process of its own.

A process keeps its peak and its allocator keeps freed memory, so only a new process shows what a computation
needs. There are two figures: the peak above the inputs, and the peak of the whole process.
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
from benchmarks.runner import log
from benchmarks.settings import Settings

STATUS, CLEAR = Path("/proc/self/status"), Path("/proc/self/clear_refs")
Peak = dict[str, int]


def measure_peak(contender: Contender, case: Case, settings: Settings) -> Peak:
    """Peak bytes above the inputs, and of the whole process; meant to be called in a new process.

    Raises:
        AbsentError: the contender's package is not installed.
    """
    torch.set_num_threads(settings.threads)
    arguments = (settings.device, settings.torch_dtype, settings.normalize)
    # A small step first: loading the BLAS and the contender's code does not count as working memory.
    contender.build(draw(Case(case.kind, 16, 16, 4, 4, 1), *arguments)).both()
    step = contender.build(draw(case, *arguments))
    if settings.device == "cuda":
        torch.cuda.reset_peak_memory_stats()
        before = torch.cuda.memory_allocated()
        step.both()
        peak = torch.cuda.max_memory_allocated()
        return {"over_inputs": peak - before, "process": peak}
    earlier = peak_resident()
    reset_peak()
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
    """Resident bytes of this process now; its peak on systems that report only the peak."""
    return _status("VmRSS") if STATUS.exists() else peak_resident()


def peak_resident() -> int:
    """Peak resident bytes of this process, since ``reset_peak`` if that was called."""
    if STATUS.exists():
        return _status("VmHWM")
    unit = 1 if sys.platform == "darwin" else 1024
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * unit


def _status(name: str) -> int:
    line = next(line for line in STATUS.read_text().splitlines() if line.startswith(f"{name}:"))
    return int(line.split()[1]) * 1024


def reset_peak() -> None:
    """Reset the peak, where Linux allows it: the peak during the imports may be higher."""
    try:
        CLEAR.write_text("5")
    except OSError:
        return


def run(cases: list[Case], contenders: list[Contender], settings: Settings) -> list[dict[str, Any]]:
    """Measure every contender of every case, each in a new process."""
    return [_run_case(case, contenders, settings) for case in cases]


def _run_case(case: Case, contenders: list[Contender], settings: Settings) -> dict[str, Any]:
    log(f"{case} ...")
    peaks: dict[str, Peak] = {}
    skipped: dict[str, str] = {}
    for contender in contenders:
        if case.kind not in contender.kinds:
            continue
        reason = contender.reason_to_skip(case, settings.torch_dtype, settings.largest_dense)
        if reason is None:
            try:
                peaks[contender.name] = in_fresh_process(contender, case, settings)
            except AbsentError as absence:
                reason = str(absence)
            except BrokenProcessPool:
                reason = "its process was killed: out of memory?"
        if reason is not None:
            skipped[contender.name] = reason
            log(f"  skipped: {contender.name}: {reason}")
    return {"case": asdict(case), "peaks": peaks, "skipped": skipped}
