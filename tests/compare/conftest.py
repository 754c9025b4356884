"""A small table with a long tail of its own."""

from pathlib import Path

import numpy as np
import pytest

COUNTS = (120, 60, 30, 15, 6, 2)
HELD = (120, 60, 30, 15, 6, 5)  # a fifth of each class holds a sample of it


def blobs(counts: tuple[int, ...], seed: int, dim: int = 6, spread: float = 1.2) -> tuple[np.ndarray, np.ndarray]:
    """Gaussian classes around the corners of a simplex."""
    rng = np.random.default_rng(seed)
    centres = np.random.default_rng(99).normal(size=(len(counts), dim)) * 2
    labels = np.repeat(np.arange(len(counts)), counts)
    return (centres[labels] + spread * rng.normal(size=(len(labels), dim))).astype(np.float32), labels


@pytest.fixture
def table(tmp_path: Path) -> Path:
    """An .npz file with 233 training samples of six classes, 120 to 2 of each, and 20 test samples of each."""
    (x, y), (test_x, test_y) = blobs(COUNTS, 0), blobs((20,) * len(COUNTS), 1)
    path = tmp_path / "blobs.npz"
    np.savez(path, train_x=x, train_y=y, test_x=test_x, test_y=test_y)
    return path
