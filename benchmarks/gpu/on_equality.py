"""The same numbers on the device as on the CPU: frames, heads with gradients, losses, measures, corrections, closed
forms, and a training that changes the device half way.

Every case gives tensors; the largest difference is told relative to the largest value, beside what is allowed: nothing
for frames, 1e-5 in float32 for the rest, and 1e-3 after six steps of training.
"""

from __future__ import annotations

import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

import equiangular as eq
from equiangular.frames import simplex_etf
from equiangular.training import Budget, Hardware, Training, build_task, get_method
from equiangular.training.run.checkpoint import load_checkpoint, save_checkpoint

Case = Callable[[torch.device], dict[str, Tensor]]
B, D, K = 64, 32, 10


def drawn(*shape: int, seed: int = 0) -> Tensor:
    return torch.randn(*shape, generator=torch.Generator().manual_seed(seed))


def labels(count: int = B, classes: int = K) -> Tensor:
    return torch.randint(classes, (count,), generator=torch.Generator().manual_seed(1))


def frames(device: torch.device) -> dict[str, Tensor]:
    bases = ("haar", "canonical", "minimal")
    return {basis: simplex_etf(K, D, basis=basis, device=device, seed=3) for basis in bases}


def head_of(name: str, device: torch.device) -> nn.Module:
    torch.manual_seed(0)
    means = drawn(K, D, seed=5)
    made = {
        "etf": lambda: eq.ETFHead(D, K),
        "etf, batch norm": lambda: eq.ETFHead(D, K, norm="batch"),
        "recommended": lambda: eq.recommended_head(D, K),
        "linear": lambda: eq.LinearHead(D, K),
        "cosine": lambda: eq.CosineHead(D, K),
        "random": lambda: eq.RandomHead(D, K),
        "rotated": lambda: eq.RotatedETFHead(D, K),
        "implicit": lambda: eq.ImplicitHead(D, K),
        "named": lambda: eq.NamedHead(D, K, class_vectors=means),
    }
    return made[name]().to(device)


def head_case(name: str) -> Case:
    def case(device: torch.device) -> dict[str, Tensor]:
        head = head_of(name, device)
        x = drawn(B, D).to(device).requires_grad_()
        logits = head(x)
        torch.nn.functional.cross_entropy(logits, labels().to(device)).backward()
        learned = {n: p.grad for n, p in head.named_parameters() if p.grad is not None}
        return {"logits": logits, "gradient": x.grad, **learned}

    return case


def losses(device: torch.device) -> dict[str, Tensor]:
    y, counts = labels().to(device), torch.arange(1.0, K + 1, device=device)
    weight = simplex_etf(K, D).to(device)
    calls: dict[str, Callable[[Tensor], Tensor]] = {
        "dot-regression": lambda x: eq.dot_regression_loss(x, y, weight),
        "dot": lambda x: eq.dot_loss(x, y, weight),
        "logit-adjusted": lambda x: eq.logit_adjusted_cross_entropy(x @ weight.T, y, counts),
        "cosine cross-entropy": lambda x: eq.cosine_cross_entropy(x, y, weight, scale=8.0),
        "in chunks": lambda x: eq.cosine_cross_entropy(x, y, weight, scale=8.0, chunk_size=3),
    }
    told = {}
    for name, call in calls.items():
        x = drawn(B, D).to(device).requires_grad_()
        value = call(x)
        value.backward()
        told |= {name: value, f"{name}, gradient": x.grad}
    return told


def measures(device: torch.device) -> dict[str, Tensor]:
    x, y = drawn(B, D).to(device), labels().to(device)
    metric = eq.NeuralCollapse(num_classes=K, dim=D, weight=simplex_etf(K, D)).to(device)
    metric.update(x, y)
    ece = eq.CalibrationError(num_classes=K).to(device)
    ece.update(x[:, :K].softmax(1), y)
    shots = eq.ShotAccuracy(torch.arange(1, K + 1) * 12).to(device)
    shots.update(x[:, :K].softmax(1), y)
    found = {"collapse": metric.compute(), "calibration": ece.compute(), "shots": shots.compute()}
    told: dict[str, Tensor] = {}
    for name, value in found.items():
        parts = (
            value.items()
            if isinstance(value, dict)
            else vars(value).items()
            if hasattr(value, "__dict__")
            else [("", value)]
        )
        told |= {f"{name} {n}": v for n, v in parts if isinstance(v, Tensor) and v.is_floating_point()}
    return told


def corrections(device: torch.device) -> dict[str, Tensor]:
    logits, y = 2 * drawn(400, K).to(device), labels(400).to(device)
    counts = torch.arange(1.0, K + 1, device=device)
    return {
        "prior": eq.prior_corrected_logits(logits, counts),
        "scale": torch.as_tensor(float(eq.calibrate_scale(logits, y, counts))),
        "estimated prior": eq.estimate_prior(logits, counts / counts.sum()).prior,
    }


def closed_form(kind: str) -> Case:
    def case(device: torch.device) -> dict[str, Tensor]:
        y = labels(400)
        x = drawn(400, D) + 0.5 * drawn(K, D, seed=2)[y]
        head = eq.ClosedFormHead(D, K, kind=kind).to(device).partial_fit(x.to(device), y.to(device))
        return {"logits": head(x[:B].to(device))}

    return case


def changed_device(device: torch.device) -> dict[str, Tensor]:
    """Three steps on the CPU, a checkpoint, three steps on the device; on the CPU alone, all six there."""
    inputs, y = drawn(96, 1, 8, 8), labels(96)

    def training(where: torch.device) -> Training:
        task = build_task(get_method("etf-dr"), "digits", (1, 8, 8), K, seed=0)
        hardware = Hardware(accelerator="cuda" if where.type == "cuda" else "cpu")
        return Training(task, inputs, y, Budget(epochs=2, batch_size=32), seed=0, hardware=hardware)

    first, second = training(torch.device("cpu")), training(device)
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "last.safetensors"

        def save(t: Training) -> None:
            if t.epoch == 1:
                save_checkpoint(path, t, config={})

        first.run(on_epoch=save)
        load_checkpoint(path, second, config={})
        second.run()
    with torch.no_grad():
        return {"features": second.shown.backbone(inputs.to(device))}


CASES: dict[str, tuple[Case, float]] = {
    "frames": (frames, 0.0),
    "losses": (losses, 1e-5),
    "measures": (measures, 1e-5),
    "corrections": (corrections, 1e-5),
    "training changes the device": (changed_device, 1e-3),
}
HEADS = ("etf", "etf, batch norm", "recommended", "linear", "cosine", "random", "rotated", "implicit", "named")
CASES |= {f"head: {name}": (head_case(name), 1e-5) for name in HEADS}
KINDS = ("class-means", "gaussian", "ridge", "random-features", "kernel")
CASES |= {f"closed form: {kind}": (closed_form(kind), 1e-5) for kind in KINDS}


def run(device: torch.device, *, small: bool, keep: Callable[[object], None]) -> dict[str, Any]:
    torch.backends.cuda.matmul.allow_tf32 = False
    torch.backends.cudnn.allow_tf32 = False
    told: dict[str, Any] = {}
    for name, (case, allowed) in CASES.items():
        try:
            expected, got = case(torch.device("cpu")), case(device)
            differences = {}
            for part, value in expected.items():
                there, here = got[part].detach().cpu().double(), value.detach().double()
                differences[part] = float((there - here).abs().max() / here.abs().max().clamp(min=1e-12))
            told[name] = {"allowed": allowed, "equal": all(d <= allowed for d in differences.values())} | differences
        except Exception as error:
            told[name] = {"failed": f"{type(error).__name__}: {error}"[:500]}
        keep(told)
    wrong = [name for name, found in told.items() if not found.get("equal")]
    print(f"equality: {len(told) - len(wrong)} of {len(told)} cases" + (f"; not: {', '.join(wrong)}" if wrong else ""))
    return told
