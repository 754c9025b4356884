"""Where time goes, before and after: the start of a command, a step of a small MLP, a collapse measure.

Each is profiled in the sources of two commits, which git unpacks into folders of their own, one after the other: the
processor time of all of it, and the functions (of the start: the modules) that took most, by their own time. Both see
the same environment. What an older commit cannot run says so.

    python benchmarks/profiles.py --before COMMIT --output benchmarks/results/profiles.json
"""

from __future__ import annotations

import argparse
import cProfile
import io
import json
import os
import pstats
import re
import resource
import subprocess
import sys
import tarfile
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

ROOT = Path(__file__).parents[1]
BEFORE = "0829b4d"  # before the work on speed
MOST = 15  # lines of a profile
STEPS = 400


def start() -> dict[str, Any]:
    """``train`` with a mistyped name, as a command: modules by their own time, in ms."""
    command = [sys.executable, "-X", "importtime", "-m", "equiangular", "train", "digitss"]
    done = subprocess.run(command, capture_output=True, text=True)
    used = resource.getrusage(resource.RUSAGE_CHILDREN)
    lines = re.findall(r"import time:\s+(\d+) \|\s+\d+ \|\s+(\S+)", done.stderr)
    modules = sorted(((int(own) / 1000, name) for own, name in lines), reverse=True)
    rows = [{"module": name, "ms": round(own, 1)} for own, name in modules[:MOST]]
    said = next((line for line in done.stderr.splitlines()[::-1] if not line.startswith("import time")), "")
    seconds, peak = used.ru_utime + used.ru_stime, used.ru_maxrss / 1024
    return {"processor_seconds": seconds, "peak_mib": peak, "modules": len(modules), "most": rows, "said": said[:200]}


def profiled(work: Callable[[], object]) -> dict[str, Any]:
    """Functions by their own time, in ms; the processor time is that of a run without the profiler."""
    work()
    begun = time.process_time()
    work()
    seconds = time.process_time() - begun
    profile = cProfile.Profile()
    profile.runcall(work)
    stats = pstats.Stats(profile, stream=io.StringIO())
    found = sorted(stats.stats.items(), key=lambda item: -item[1][2])[:MOST]  # type: ignore[attr-defined]
    rows = [
        {"function": f"{re.sub('^.*/(src|site-packages|python3[^/]*|benchmarks)/', '', file)}:{name}", "calls": row[1],
         "ms": round(1e3 * row[2], 1)}
        for (file, _, name), row in found
    ]  # fmt: skip
    return {"processor_seconds": seconds, "most": rows}


def step() -> dict[str, Any]:
    """Steps of a linear head with cross-entropy behind a small MLP, batches of 64."""
    import torch

    from equiangular.training import Budget, Hardware, Training, build_task, get_method

    torch.set_num_threads(1)
    x, labels = torch.randn(6400, 30), torch.arange(6400) % 10

    def work() -> None:
        task = build_task(get_method("linear-ce"), "mlp", (30,), 10, seed=0)
        hardware, budget = Hardware(accelerator="cpu"), Budget(epochs=STEPS // 100, batch_size=64)
        Training(task, x, labels, budget, seed=0, prepare=lambda x: x, hardware=hardware).run()

    return profiled(work)


def collapse() -> dict[str, Any]:
    """All measures at N, K, d = 10,000, 1,000, 512, in batches of 1,000."""
    import torch

    from equiangular.measures.collapse import ClassMoments, collapse_measures

    torch.set_num_threads(1)
    features, labels = torch.randn(10_000, 512), torch.arange(10_000) % 1000

    def work() -> None:
        moments = ClassMoments.empty(1000, 512)
        for h, y in zip(features.split(1000), labels.split(1000), strict=True):
            moments.update(h, y)
        collapse_measures(moments)

    return profiled(work)


WORKS = {"start": start, "step": step, "collapse": collapse}


def in_sources_of(commit: str, work: str) -> dict[str, Any]:
    """What a process says of one piece of work that imports the sources of a commit."""
    with tempfile.TemporaryDirectory() as folder:
        packed = subprocess.run(["git", "archive", commit, "src"], cwd=ROOT, capture_output=True, check=True).stdout
        with tarfile.open(fileobj=io.BytesIO(packed)) as archive:
            archive.extractall(folder, filter="data")
        environment = {**os.environ, "OMP_NUM_THREADS": "1", "PYTHONPATH": str(Path(folder) / "src")}
        command = [sys.executable, __file__, "--work", work]
        for _ in range(2 if work == "start" else 1):  # the first start compiles what it imports
            done = subprocess.run(command, capture_output=True, text=True, env=environment, cwd=folder)
    if done.returncode:
        return {"failed": done.stderr.strip().splitlines()[-1][:300]}
    found: dict[str, Any] = json.loads(done.stdout.splitlines()[-1])
    return found


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--before", default=BEFORE, help="commit to begin with")
    parser.add_argument("--output", type=Path, default=ROOT / "benchmarks" / "results" / "profiles.json")
    parser.add_argument("--work", choices=WORKS, help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.work:
        print(json.dumps(WORKS[options.work]()))
        return
    from equiangular._files import write_json
    from equiangular._provenance import provenance

    told: dict[str, Any] = {}
    for name, commit in (("before", options.before), ("after", "HEAD")):
        short = subprocess.run(["git", "rev-parse", "--short=12", commit], cwd=ROOT, capture_output=True, text=True)
        told[name] = {"commit": short.stdout.strip()}
        for work in WORKS:
            told[name][work] = in_sources_of(commit, work)
            print(name, work, {k: v for k, v in told[name][work].items() if k != "most"}, flush=True)
    write_json(options.output, {**told, "provenance": provenance()})


if __name__ == "__main__":
    main()
