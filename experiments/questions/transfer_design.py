"""What the transfer study trains and measures: sources, targets, heads, measures."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any


@dataclass(frozen=True)
class Source:
    dataset: str
    classes: int | None  # the largest so many of the set; None: all
    images: int | None  # as even over the classes as can be; None: all
    epochs: int
    augment: bool
    targets: tuple[str, ...]


@dataclass(frozen=True)
class Protocol:
    size: int | None = 16
    target_train: int = 3000
    target_test: int = 2000


SOURCES = {
    "cifar10_lt50": Source("cifar10_lt50", None, None, 10, True, ("cifar100_lt50", "fashion_mnist")),
    "cifar100_lt50, 60 classes": Source("cifar100_lt50", 60, None, 10, True, ("cifar10_lt50", "plankton")),
    "fashion_mnist, 2,000 images": Source("fashion_mnist", None, 2000, 40, False, ("cifar10_lt50", "plankton")),
}
PROTOCOL = Protocol()
# name -> head, its options, loss
HEADS: dict[str, tuple[str, dict[str, Any], str] | None] = {
    "linear + CE": ("linear", {}, "ce"),
    "cosine + CE": ("cosine", {"norm": "batch", "scale": 16.0}, "ce"),
    "ETF + CE": ("etf", {"norm": "batch", "scale": 16.0}, "ce"),
    "ETF + DR": ("etf", {"norm": "batch"}, "dr"),
    "ETF on free features + CE": ("etf", {"norm": "batch", "normalize": False, "scale": 0.5}, "ce"),
    "untrained": None,
}
REFERENCE = "linear + CE"
PLACES, MEASURES, COLLAPSE = ("backbone", "h"), ("probe", "knn"), ("nc1", "cdnv")
PENALTIES = (0.1, 0.03, 0.01, 0.003, 0.001, 0.0003, 0.0001)
NEIGHBOURS, TEMPERATURE = 20, 0.07
