"""Forward, backward and SGD step of heads and losses, in milliseconds, beside nn.Linear with cross-entropy.

Sizes of rows 3, 4 and 8 of the speed table: many small kernels, a structured frame, many classes. Each in float32 and
under bfloat16 autocast, as it is, compiled, and (small sizes) in a CUDA graph through ``mode="reduce-overhead"``. The
fused rivals cut-cross-entropy and Liger take part where they are installed.
"""

from __future__ import annotations

import importlib.util
from collections.abc import Callable
from typing import Any

import torch
from timing import bandwidth, side_by_side
from torch import Tensor, nn
from torch.nn import functional as F

import equiangular as eq
from equiangular.heads import Head

Loss = Callable[[Tensor, Tensor], Tensor]


class Step:
    """One training step on features that stand for what a backbone gave."""

    def __init__(self, loss: Loss, modules: nn.Module, x: Tensor, y: Tensor, dtype: torch.dtype, mode: str) -> None:
        self.x, self.y, self.dtype = x.clone().requires_grad_(), y, dtype
        learned = [p for p in modules.parameters() if p.requires_grad]
        self.optimizer = torch.optim.SGD([self.x, *learned], lr=1e-3, momentum=0.9)
        options: dict[str, Any] = {"graph": {"mode": "reduce-overhead"}, "compiled": {}}.get(mode, {})
        self.loss = loss if mode == "eager" else torch.compile(loss, fullgraph=True, **options)

    def __call__(self) -> None:
        with torch.autocast(self.x.device.type, torch.bfloat16, enabled=self.dtype is torch.bfloat16):
            loss = self.loss(self.x, self.y)
        self.optimizer.zero_grad(set_to_none=True)
        loss.backward()
        self.optimizer.step()


def losses(dim: int, classes: int, device: torch.device) -> dict[str, tuple[Loss, nn.Module]]:
    """The losses that hold K x d numbers or B x K logits: name -> (loss of features and labels, what learns)."""
    counts = torch.arange(1, classes + 1, device=device).float()
    linear = eq.LinearHead(dim, classes).to(device)
    basis = "haar" if classes <= 1024 else "minimal"
    fixed = (eq.ETFHead(dim, classes, basis=basis) if dim >= classes - 1 else eq.RandomHead(dim, classes)).to(device)
    adjust = eq.LogitAdjustedCrossEntropyLoss(counts).to(device)
    plain = nn.Linear(dim, classes).to(device)

    def dot_regression(x: Tensor, y: Tensor) -> Tensor:
        return eq.dot_regression_loss(fixed(x, pre_logits=True), y, fixed.weight)

    return {
        "nn.Linear + CE": (lambda x, y: F.cross_entropy(plain(x), y), plain),
        "LinearHead + CE": (lambda x, y: F.cross_entropy(linear(x), y), linear),
        "fixed + CE": (lambda x, y: F.cross_entropy(fixed(x), y), fixed),
        "fixed + dot-regression": (dot_regression, fixed),
        "nn.Linear + logit adjustment": (lambda x, y: adjust(plain(x), y), plain),
        "fixed + logit adjustment": (lambda x, y: adjust(fixed(x), y), fixed),
    }


def many_classes(dim: int, classes: int, device: torch.device) -> dict[str, tuple[Loss, nn.Module]]:
    """Losses that never hold B x K logits, and the rivals that are installed."""
    head: Head = eq.ImplicitHead(dim, classes).to(device)

    def implicit(x: Tensor, y: Tensor) -> Tensor:
        return eq.dot_regression_loss(head(x, pre_logits=True), torch.arange(len(y), device=device), head.targets(y))

    told: dict[str, tuple[Loss, nn.Module]] = {"implicit + dot-regression": (implicit, head)}
    if classes > 1_000_000:
        return told
    table = F.normalize(torch.randn(classes, dim, device=device), dim=1)
    plain = nn.Linear(dim, classes, bias=False).to(device)
    told["frozen, chunked cross-entropy"] = (
        lambda x, y: eq.cosine_cross_entropy(x, y, table, scale=16.0, chunk_size=4096), head,
    )  # fmt: skip
    told["nn.Linear + CE"] = (lambda x, y: F.cross_entropy(plain(x), y), plain)
    if importlib.util.find_spec("cut_cross_entropy"):
        from cut_cross_entropy import linear_cross_entropy

        told["cut-cross-entropy"] = (lambda x, y: linear_cross_entropy(x, plain.weight, y), plain)
    if importlib.util.find_spec("liger_kernel"):
        from liger_kernel.transformers import LigerFusedLinearCrossEntropyLoss

        fused = LigerFusedLinearCrossEntropyLoss()
        told["Liger"] = (lambda x, y: fused(plain.weight, x, y), plain)
    return told


def run(device: torch.device, *, small: bool, keep: Callable[[object], None]) -> list[dict[str, Any]]:
    sizes = [(128, 64, 10), (1024, 2048, 1000), (256, 10_000, 10_000)]
    huge = [100_000, 1_000_000, 10_000_000]
    if small:
        sizes, huge = [(128, 64, 10), (64, 128, 100)], [1000]
    speed = bandwidth(device, small=small)
    told: list[dict[str, Any]] = [{"copy_bytes_per_second": speed}]

    def measure(
        make: Callable[..., dict[str, tuple[Loss, nn.Module]]], b: int, d: int, k: int, modes: list[str]
    ) -> None:
        x, y = torch.randn(b, d, device=device), torch.randint(k, (b,), device=device)
        for dtype in (torch.float32, torch.bfloat16):
            for mode in modes:
                torch.compiler.reset()
                made = {name: Step(*case, x, y, dtype, mode) for name, case in make(d, k, device).items()}
                times = side_by_side(made, device, rounds=3 if small else 7)
                # What a step on B x K logits has to move at least, written and read once each way.
                least = 4 * b * k * dtype.itemsize / speed * 1e3
                row = {"B": b, "d": d, "K": k, "dtype": str(dtype), "mode": mode, "logits_at_bandwidth_ms": least}
                told.append(row | {"cases": times})
                keep(told)

    for b, d, k in sizes:
        measure(losses, b, d, k, ["eager", "compiled", "graph"] if k <= 1000 else ["eager", "compiled"])
    for k in huge:
        measure(many_classes, 128 if k > 100_000 else 1024, 512 if not small else 32, k, ["eager"])
    return told
