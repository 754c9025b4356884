"""The callback in a real Lightning training."""

import os
import subprocess
import sys
from pathlib import Path

import lightning.pytorch as pl
import pytest
import torch
from torch import nn
from torch.utils.data import DataLoader, TensorDataset

from equiangular import ETFHead, measure_collapse
from equiangular.integrations.lightning import NeuralCollapseCallback

pytestmark = [
    pytest.mark.filterwarnings("ignore::UserWarning"),  # Lightning's advice on loaders and loggers
    pytest.mark.filterwarnings("ignore::DeprecationWarning"),
    pytest.mark.filterwarnings("ignore::FutureWarning"),
]


class Module(pl.LightningModule):
    def __init__(self) -> None:
        super().__init__()
        self.model = nn.Sequential(nn.Linear(6, 8), nn.ReLU(), ETFHead(8, 3))

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return self.model(x)

    def training_step(self, batch: list, _: int) -> torch.Tensor:
        return nn.functional.cross_entropy(self(batch[0]), batch[1])

    def configure_optimizers(self) -> torch.optim.Optimizer:
        return torch.optim.SGD(self.parameters(), lr=0.1)


def loader() -> DataLoader:
    y = torch.arange(60) % 3
    x = torch.randn(60, 6, generator=torch.Generator().manual_seed(0)) + y[:, None]
    return DataLoader(TensorDataset(x, y), batch_size=20)


def trainer(folder: Path, callback: NeuralCollapseCallback, epochs: int) -> pl.Trainer:
    return pl.Trainer(
        max_epochs=epochs, accelerator="cpu", callbacks=[callback], default_root_dir=folder, logger=False,
        enable_progress_bar=False, enable_model_summary=False, enable_checkpointing=False,
    )  # fmt: skip


def test_it_logs_what_the_features_say(tmp_path: Path) -> None:
    callback, module = NeuralCollapseCallback(every_n_epochs=2, data=loader()), Module()
    run = trainer(tmp_path, callback, 3)
    run.fit(module, loader())
    assert [row["epoch"] for row in callback.history] == [1, 2]
    expected = measure_collapse(module, loader())
    for key, value in expected.items():
        assert callback.history[-1][key] == pytest.approx(float(value), rel=1e-6, abs=1e-9, nan_ok=True)
    assert run.callback_metrics["nc/nc1"] == pytest.approx(float(expected["nc1"]), rel=1e-4)


@pytest.mark.slow
def test_two_processes_measure_the_whole(tmp_path: Path) -> None:
    """Each process goes through its half; every one of them logs what the whole training set says."""
    script = tmp_path / "fit.py"
    script.write_text(FIT)
    environment = {**os.environ, "PYTHONPATH": str(Path(__file__).parents[2]), "OMP_NUM_THREADS": "1"}
    done = subprocess.run(
        [sys.executable, str(script)], cwd=tmp_path, env=environment, capture_output=True, text=True, timeout=300
    )
    assert done.returncode == 0, done.stderr[-3000:]
    ranks = [torch.load(tmp_path / f"{rank}.pt") for rank in (0, 1)]
    module = Module()
    module.load_state_dict(ranks[0]["module"])
    expected = measure_collapse(module, loader())
    for rank in ranks:
        assert set(expected) <= set(rank["history"][-1])
        for key, value in expected.items():
            assert rank["history"][-1][key] == pytest.approx(float(value), rel=1e-5, abs=1e-8), key


FIT = """
import torch
from tests.integrations.test_lightning import Module, NeuralCollapseCallback, loader, pl

if __name__ == "__main__":
    torch.set_num_threads(1)
    callback, module = NeuralCollapseCallback(every_n_epochs=2), Module()
    run = pl.Trainer(
        max_epochs=2, accelerator="cpu", devices=2, strategy="ddp", callbacks=[callback], logger=False,
        enable_progress_bar=False, enable_model_summary=False, enable_checkpointing=False,
    )
    run.fit(module, loader())
    torch.save({"history": callback.history, "module": module.state_dict()}, f"{run.global_rank}.pt")
"""


def test_the_history_travels_with_the_checkpoint() -> None:
    callback = NeuralCollapseCallback()
    callback.history = [{"epoch": 0, "nc1": 0.5}]
    other = NeuralCollapseCallback()
    other.load_state_dict(callback.state_dict())
    assert other.history == callback.history
    assert callback.state_key != NeuralCollapseCallback(every_n_epochs=2).state_key


def test_bad_options() -> None:
    with pytest.raises(ValueError, match="did you mean 'train'"):
        NeuralCollapseCallback(data="training")
    with pytest.raises(ValueError, match="every_n_epochs must be"):
        NeuralCollapseCallback(every_n_epochs=0)
