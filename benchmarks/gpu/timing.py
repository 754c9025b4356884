"""Times of cases side by side: CUDA events on a GPU, processor time on a CPU."""

from __future__ import annotations

import statistics
import time
from collections.abc import Callable, Mapping

import torch

Step = Callable[[], object]


def once(step: Step, device: torch.device, repeats: int) -> float:
    """Milliseconds of one step, the mean of ``repeats``."""
    if device.type != "cuda":
        start = time.process_time()
        for _ in range(repeats):
            step()
        return (time.process_time() - start) / repeats * 1e3
    begin, end = torch.cuda.Event(enable_timing=True), torch.cuda.Event(enable_timing=True)
    begin.record()
    for _ in range(repeats):
        step()
    end.record()
    end.synchronize()
    return begin.elapsed_time(end) / repeats


def side_by_side(cases: Mapping[str, Step], device: torch.device, *, rounds: int = 7, least_ms: float = 5.0) -> dict:
    """Case -> median milliseconds and peak MiB; the cases alternate. A case that fails says how, and is left out."""
    told: dict[str, dict[str, object]] = {}
    ready: dict[str, tuple[Step, int]] = {}
    for name, step in cases.items():
        try:
            for _ in range(3):  # compiles, captures and warms caches
                step()
            if device.type == "cuda":
                torch.cuda.synchronize(device)
                before = torch.cuda.memory_allocated(device)
                torch.cuda.reset_peak_memory_stats(device)
                step()
                told[name] = {"peak_mib": (torch.cuda.max_memory_allocated(device) - before) / 2**20}
            else:
                told[name] = {}
            ready[name] = step, max(1, min(200, int(least_ms / max(once(step, device, 1), 1e-3))))
        except Exception as error:
            told[name] = {"failed": f"{type(error).__name__}: {error}"[:500]}
    times: dict[str, list[float]] = {name: [] for name in ready}
    for _ in range(rounds):
        for name, (step, repeats) in ready.items():
            times[name].append(once(step, device, repeats))
    for name, found in times.items():
        told[name]["ms"] = statistics.median(found)
    return told


def bandwidth(device: torch.device, *, small: bool) -> float:
    """Bytes per second of a copy: what is read plus what is written."""
    x = torch.empty(2**24 if small else 2**28, dtype=torch.uint8, device=device)
    y = torch.empty_like(x)
    ms = side_by_side({"copy": lambda: y.copy_(x)}, device)["copy"]["ms"]
    return 2 * x.numel() / (float(ms) / 1e3)
