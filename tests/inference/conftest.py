"""A small network trained on the digits for a second, stored as a run; and images of digits in files."""

from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

from equiangular.data import load_dataset
from equiangular.training import ModelInfo, Task, build_task, fit_correction, get_method, save_model
from equiangular.training.methods import Context

KEEP = (100, 90, 80, 60, 40, 30, 20, 15, 12, 10)


def train(task: Task, x: torch.Tensor, y: torch.Tensor, counts: torch.Tensor, steps: int = 120) -> Task:
    """A bare loop: these tests are about what follows training."""
    optimizer = torch.optim.SGD([p for p in task.parameters() if p.requires_grad], lr=0.1, momentum=0.9)
    generator = torch.Generator().manual_seed(0)
    for _ in range(steps):
        index = torch.randint(len(y), (64,), generator=generator)
        features = task.head(task.backbone(x[index]), pre_logits=True)
        loss = task.method.criterion(features, y[index], task.head, Context(counts)).mean()
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
    return task.eval()


@pytest.fixture(scope="session")
def digits_run(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A run folder: ETF and cross-entropy on long-tailed digits, with a prior correction."""
    data = load_dataset("digits")
    kept = [(data.train_y == c).nonzero().flatten() for c in range(10)]
    held = torch.cat([own[n : n + 10] for own, n in zip(kept, KEEP, strict=True)])
    kept = torch.cat([own[:n] for own, n in zip(kept, KEEP, strict=True)])
    mean, std = (data.train_x[kept] / 255).mean(), (data.train_x[kept] / 255).std()
    x, y = (data.train_x / 255 - mean) / std, data.train_y
    method = get_method("etf-ce-pc")
    task = train(build_task(method, "digits", (1, 8, 8), 10, seed=0), x[kept], y[kept], torch.tensor(KEEP).float())
    with torch.no_grad():
        correction = fit_correction(task(x[held])["logits"], y[held], KEEP, method)
    info = ModelInfo(
        method.name,
        "digits",
        (1, 8, 8),
        tuple(f"digit {c}" for c in range(10)),
        KEEP,
        (float(mean),),
        (float(std),),
        correction=correction,
        epoch=8,
    )
    return save_model(tmp_path_factory.mktemp("run") / "model", task, info).parent


@pytest.fixture(scope="session")
def digit_images(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder ``digit C/N.png`` of test images, eight of each class."""
    data, folder = load_dataset("digits"), tmp_path_factory.mktemp("images")
    for c in range(10):
        (folder / f"digit {c}").mkdir()
        for n, image in enumerate(data.test_x[data.test_y == c][:8]):
            Image.fromarray(image[0].numpy()).save(folder / f"digit {c}" / f"{n}.png")
    return folder


@pytest.fixture(scope="session")
def table_run(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A run folder: a network on three columns of numbers."""
    rng = np.random.default_rng(0)
    y = torch.from_numpy(np.repeat([0, 1], [80, 20]))
    x = torch.from_numpy(rng.normal(size=(100, 3)).astype(np.float32)) + 2 * y[:, None]
    task = train(build_task(get_method("etf-la"), "mlp", (3,), 2, seed=0), x, y, torch.tensor([80.0, 20.0]), steps=30)
    info = ModelInfo("etf-la", "mlp", (3,), ("low", "high"), (80, 20), (0.0,) * 3, (1.0,) * 3, kind="table")
    return save_model(tmp_path_factory.mktemp("table") / "model", task, info).parent
