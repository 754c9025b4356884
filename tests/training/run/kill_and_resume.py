"""Run by test_resume.py in a process of its own: train in forked children, kill them at random, go on, compare."""

import json
import os
import random
import signal
import sys
import time
from pathlib import Path

import torch

from equiangular.training import TrainConfig, load_model, resume, train

CONFIG = TrainConfig(
    data="digits",
    method="etf-dr-batch",
    head={"drop_rate": 0.2},
    imbalance=20.0,
    epochs=3,
    batch_size=32,
    mix="mixup:1.0",
    augment="crop",
    ema=0.9,
    clip_norm=1.0,
    sampler="class-balanced:0.5",
    accelerator="cpu",
    threads=1,
    checkpoint_minutes=1e-9,  # after every step
)


def child(folder: Path) -> int:
    """Train, or go on, in a forked child; its process id."""
    pid = os.fork()
    if pid == 0:
        code = 1
        try:
            resume(folder) if (folder / "config.yaml").exists() else train(CONFIG, folder)
            code = 0
        finally:
            os._exit(code)
    return pid


def main(folder: Path, kills: int, seed: int) -> None:
    """Print what came out as JSON."""
    torch.set_num_threads(1)
    chance = random.Random(seed)
    started = time.monotonic()
    _, status = os.waitpid(child(folder / "whole"), 0)
    lasted = time.monotonic() - started
    killed = 0
    while not (folder / "cut" / "results.json").exists():
        pid = child(folder / "cut")
        if killed < kills:
            time.sleep(chance.uniform(0.1, 0.7) * lasted)
            os.kill(pid, signal.SIGKILL)
        _, status = os.waitpid(pid, 0)
        killed += os.WIFSIGNALED(status)
        if not os.WIFSIGNALED(status) and status:
            raise SystemExit(f"a child failed with status {status}")
    equal = {}
    for name in ("model", "best"):
        one, other = (load_model(folder / run / name)[0].state_dict() for run in ("whole", "cut"))
        equal[name] = all(torch.equal(one[k], other[k]) for k in one)
    rows = [json.loads((folder / run / "results.json").read_text()) for run in ("whole", "cut")]
    for r in rows:
        for row in r["epochs"]:
            row.pop("seconds")
    equal["epochs"] = rows[0]["epochs"] == rows[1]["epochs"]
    equal["test"] = rows[0]["test"] == rows[1]["test"]
    leftovers = [str(p) for p in (folder / "cut").rglob(".*") if p.name != ".lock"]
    other = [(a, b) for a, b in zip(rows[0]["epochs"], rows[1]["epochs"], strict=False) if a != b]
    print(json.dumps({"killed": killed, "equal": equal, "leftovers": leftovers, "other epochs": other}))


if __name__ == "__main__":
    main(Path(sys.argv[1]), int(sys.argv[2]), int(sys.argv[3]))
