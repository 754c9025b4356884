"""Frames, collapse measures, nearest class vectors and closed forms beside plain PyTorch (rows 5 to 7 of the table)."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import torch
from timing import bandwidth, side_by_side
from torch import Tensor

import equiangular as eq
from equiangular.frames import simplex_etf


def two_passes(x: Tensor, y: Tensor, classes: int) -> Tensor:
    """NC1 as one would write it in float32: class means, then deviations from them."""
    count = torch.zeros(classes, device=x.device).index_add_(0, y, torch.ones(len(y), device=x.device))
    means = torch.zeros(classes, x.shape[1], device=x.device).index_add_(0, y, x) / count.clamp(min=1)[:, None]
    deviations = x - means[y]
    within = deviations.T @ deviations / len(x)
    between = (means - means.mean(0)).T @ (means - means.mean(0)) / classes
    return torch.trace(within @ torch.linalg.pinv(between)) / classes


def run(device: torch.device, *, small: bool, keep: Callable[[object], None]) -> dict[str, Any]:
    told: dict[str, Any] = {"copy_bytes_per_second": bandwidth(device, small=small)}
    shapes = [(2000, 10, 64)] if small else [(20_000, 10, 512), (20_000, 1000, 1024), (20_000, 10_000, 256)]
    for n, k, d in shapes:
        x, y = torch.randn(n, d, device=device), torch.arange(n, device=device) % k

        def ours(x: Tensor = x, y: Tensor = y, k: int = k, d: int = d) -> object:
            metric = eq.NeuralCollapse(num_classes=k, dim=d).to(device)
            for part, labels in zip(x.split(1000), y.split(1000), strict=True):
                metric.update(part, labels)
            return metric.compute()

        def plain(x: Tensor = x, y: Tensor = y, k: int = k) -> object:
            return two_passes(x, y, k)

        told[f"collapse N={n} K={k} d={d}"] = side_by_side(
            {"NeuralCollapse": ours, "NC1 alone": plain}, device, rounds=3
        )
        keep(told)
    k, d = (100, 128) if small else (1000, 2048)
    told[f"frames {k} x {d}"] = side_by_side(
        {
            basis: lambda basis=basis: simplex_etf(k, d, basis=basis, device=device)
            for basis in ("haar", "canonical", "minimal")
        }
        | {"fill": lambda: torch.full((k, d), 0.5, device=device)},
        device,
        rounds=3,
    )
    keep(told)
    k = 10_000 if small else 1_000_000
    table, queries = torch.randn(k, 64, device=device), torch.randn(1024, 64, device=device)
    told[f"nearest of {k}"] = side_by_side(
        {
            "nearest_prototypes": lambda: eq.nearest_prototypes(queries, table, chunk_size=65_536),
            "matmul + topk": lambda: (queries @ table.T).topk(1),
        },
        device,
        rounds=3,
    )
    keep(told)
    n, k, d = (2000, 20, 64) if small else (100_000, 1000, 768)
    x, y = torch.randn(n, d, device=device), torch.arange(n, device=device) % k

    def fit(kind: str) -> object:
        return eq.ClosedFormHead(d, k, kind=kind).to(device).partial_fit(x, y)(x[:1])

    told[f"closed form N={n} K={k} d={d}"] = side_by_side(
        {kind: lambda kind=kind: fit(kind) for kind in ("class-means", "gaussian", "ridge")}
        | {"X^T X": lambda: x.T @ x, "X^T X in float64": lambda: x.double().T @ x.double()},
        device,
        rounds=3,
    )
    return told
