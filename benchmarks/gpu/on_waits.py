"""What makes the host wait for the device: CUDA's own check, in every head, loss, metric update and a training step.

A step is run a few times first, since libraries set themselves up in the first. Then it runs with
``torch.cuda.set_sync_debug_mode("warn")``, and every warning is a finding, with the line of ours that asked. A profile
of the training step counts the synchronising calls of the driver.
"""

from __future__ import annotations

import traceback
import warnings
from collections.abc import Callable
from typing import Any

import torch
from on_equality import HEADS, B, D, K, drawn, head_of, labels
from torch.profiler import ProfilerActivity, profile

import equiangular as eq
from equiangular.training import Budget, Hardware, Training, build_task, get_method

WAITS = ("cudaStreamSynchronize", "cudaDeviceSynchronize", "cudaEventSynchronize", "Memcpy DtoH")


def waits_of(step: Callable[[], object], device: torch.device) -> list[str]:
    """Lines of the library in which the host waited."""
    for _ in range(3):
        step()
    found: list[str] = []

    def told(message: Any, *_: Any, **__: Any) -> None:
        ours = [f for f in traceback.extract_stack() if "/equiangular/" in f.filename]
        found.append(f"{ours[-1].filename.split('/src/')[-1]}:{ours[-1].lineno}" if ours else str(message)[:200])

    kept = warnings.showwarning
    with warnings.catch_warnings():
        warnings.simplefilter("always")
        warnings.showwarning = told
        if device.type == "cuda":
            torch.cuda.synchronize()
            torch.cuda.set_sync_debug_mode("warn")
        try:
            step()
        finally:
            if device.type == "cuda":
                torch.cuda.set_sync_debug_mode("default")
            warnings.showwarning = kept
    return found


def steps(device: torch.device) -> dict[str, Callable[[], object]]:
    x, y = drawn(B, D).to(device).requires_grad_(), labels().to(device)
    counts = torch.arange(1.0, K + 1, device=device)
    weight = eq.ETFHead(D, K).to(device).weight
    adjusted = eq.LogitAdjustedCrossEntropyLoss(counts.cpu()).to(device)
    told: dict[str, Callable[[], object]] = {}
    for name in HEADS:
        head = head_of(name, device)
        told[f"head: {name}"] = lambda head=head: torch.nn.functional.cross_entropy(head(x), y).backward()
    told["loss: dot-regression"] = lambda: eq.dot_regression_loss(x, y, weight).backward()
    told["loss: dot"] = lambda: eq.dot_loss(x, y, weight).backward()
    told["loss: logit-adjusted"] = lambda: adjusted(x @ weight.T, y).backward()
    told["loss: cosine cross-entropy"] = lambda: eq.cosine_cross_entropy(x, y, weight, scale=8.0).backward()
    metrics = {
        "collapse": eq.NeuralCollapse(num_classes=K, dim=D).to(device),
        "calibration": eq.CalibrationError(num_classes=K).to(device),
        "shots": eq.ShotAccuracy(torch.arange(1, K + 1) * 12).to(device),
    }
    for name, metric in metrics.items():
        values = x.detach() if name == "collapse" else x.detach()[:, :K].softmax(1)
        told[f"update: {name}"] = lambda metric=metric, values=values: metric.update(values, y)
    return told


def training_profile(device: torch.device) -> dict[str, int]:
    """Synchronising calls in 20 steps of the engine."""
    images, y = drawn(20 * 64, 3, 16, 16), labels(20 * 64)
    task = build_task(get_method("etf-dr"), "resnet8", (3, 16, 16), K, seed=0)
    hardware = Hardware(accelerator="cuda" if device.type == "cuda" else "cpu")
    training = Training(task, images, y, Budget(epochs=2, batch_size=64), seed=0, hardware=hardware)
    activities = [ProfilerActivity.CPU, *([ProfilerActivity.CUDA] if device.type == "cuda" else [])]
    recorder = profile(activities=activities)
    # The first epoch warms up; what waits at its end for the mean loss is outside the steps.
    training.run(
        on_step=lambda t: recorder.start() if (t.epoch, t.step) == (1, 1) else None,
        on_epoch=lambda t: recorder.stop() if t.epoch == 2 else None,
    )
    names = [event.key for event in recorder.key_averages() for _ in range(event.count)]
    return {name: sum(name in n for n in names) for name in WAITS}


def run(device: torch.device, *, small: bool, keep: Callable[[object], None]) -> dict[str, Any]:
    told: dict[str, Any] = {}
    for name, step in steps(device).items():
        try:
            told[name] = waits_of(step, device)
        except Exception as error:
            told[name] = {"failed": f"{type(error).__name__}: {error}"[:500]}
        keep(told)
    told["training, 19 steps and the end of an epoch"] = training_profile(device)
    waiting = [name for name, found in told.items() if found and not name.startswith("training")]
    print(
        f"waits: none in {len(told) - 1 - len(waiting)} of {len(told) - 1}"
        + (f"; in {', '.join(waiting)}" if waiting else "")
    )
    return told
