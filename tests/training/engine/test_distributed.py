"""Several gloo processes on the CPU give what one gives: weights, statistics of BatchNorm, losses and predictions."""

import os
import subprocess
import sys
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file
from tests.processes import run_as_torchrun
from tests.training.engine import distributed_cases
from torch import nn

from equiangular.training import TrainConfig, load_model, train
from equiangular.training.engine.sync_batch_norm import SyncedBatchNorm, synchronise_batch_norm
from equiangular.training.run.checkpoint import load_checkpoint

TORCHRUN = [sys.executable, "-m", "torch.distributed.run", "--standalone"]
# The cases import from tests/.
PATH = os.pathsep.join([str(Path(__file__).parents[3]), os.environ.get("PYTHONPATH", "")])
ENVIRONMENT = {**os.environ, "OMP_NUM_THREADS": "1", "PYTHONPATH": PATH}


def launch(folder: Path, processes: int, strategy: str) -> dict[str, torch.Tensor]:
    """Run the cases, two processes of DDP under torchrun itself, and read what the first process wrote."""
    if (processes, strategy) != (2, "ddp"):
        run_as_torchrun(processes, distributed_cases.main, folder, strategy)
        return load_file(folder / "results.safetensors")
    script = str(Path(distributed_cases.__file__))
    command = [*TORCHRUN, f"--nproc-per-node={processes}", script, str(folder), strategy]
    done = subprocess.run(command, capture_output=True, text=True, env=ENVIRONMENT)
    assert done.returncode == 0, done.stderr[-3000:]
    return load_file(folder / "results.safetensors")


@pytest.mark.slow
@pytest.mark.parametrize("processes", [2, 3])
def test_ddp_gives_the_result_of_one_process(tmp_path: Path, processes: int) -> None:
    got = launch(tmp_path, processes, "ddp")
    for case in distributed_cases.CASES:
        for name, value in distributed_cases.outcome(distributed_cases.make(case)).items():
            torch.testing.assert_close(got[f"{case}/{name}"], value, rtol=1e-5, atol=1e-5, msg=f"{case}: {name}")
    for name in (key for key in got if key.startswith(("resumed/", "continued/"))):
        whole = got[f"BatchNorm, momentum/{name.partition('/')[2]}"]
        torch.testing.assert_close(got[name], whole, rtol=1e-5, atol=1e-5)
    alone = distributed_cases.make("BatchNorm, momentum")  # one process goes on from the checkpoint of several
    load_checkpoint(tmp_path / "run" / "checkpoint" / "state", alone, config={})
    for name, value in distributed_cases.outcome(alone).items():
        torch.testing.assert_close(value, got[f"resumed/{name}"], rtol=1e-5, atol=1e-5, msg=name)


@pytest.mark.slow
def test_fsdp_gives_the_result_of_one_process(tmp_path: Path) -> None:
    got = launch(tmp_path, 2, "fsdp")
    for case in distributed_cases.SHARDED:
        for name, value in distributed_cases.outcome(distributed_cases.make(case, "32-true")).items():
            torch.testing.assert_close(got[f"{case}/{name}"], value, rtol=1e-3, atol=1e-3, msg=f"{case}: {name}")
    for name in (key for key in got if key.startswith(("resumed/", "continued/"))):
        whole = got[f"{distributed_cases.SHARDED[0]}/{name.partition('/')[2]}"]
        torch.testing.assert_close(got[name], whole, rtol=1e-3, atol=1e-3, msg=name)


@pytest.mark.slow
def test_the_command_line_on_two_processes(tmp_path: Path) -> None:
    """``--devices 2`` starts the second process itself; the files of the run are written once."""
    options = ["--imbalance", "20", "--epochs", "2", "--accelerator", "cpu", "--devices", "2", "--quiet"]
    command = [sys.executable, "-m", "equiangular", "train", "digits", *options, "-o", str(tmp_path / "two")]
    done = subprocess.run(command, capture_output=True, text=True, env=ENVIRONMENT)
    assert done.returncode == 0, done.stderr[-3000:]
    assert done.stdout.count("wrote results.json") == 1
    train(TrainConfig(imbalance=20.0, epochs=2, accelerator="cpu"), tmp_path / "one")
    tasks = [load_model(tmp_path / run)[0].state_dict() for run in ("one", "two")]
    for name, value in tasks[0].items():
        torch.testing.assert_close(tasks[1][name], value, rtol=1e-3, atol=1e-3, msg=name)


def test_synchronising_keeps_parameters_and_output() -> None:
    network = nn.Sequential(nn.Conv2d(2, 4, 3), nn.BatchNorm2d(4), nn.Sequential(nn.BatchNorm2d(4, momentum=None)))
    x, before = torch.randn(3, 2, 6, 6), [id(p) for p in network.parameters()]
    network(x)
    names, expected = list(network.state_dict()), network.eval()(x)
    synchronise_batch_norm(network)
    assert isinstance(network[1], SyncedBatchNorm)
    assert isinstance(network[2][0], SyncedBatchNorm)
    assert [id(p) for p in network.parameters()] == before
    assert list(network.state_dict()) == names
    assert torch.equal(network(x), expected)
    assert torch.isfinite(network.train()(x)).all()


class Fused(nn.BatchNorm2d):
    """A BatchNorm with an activation of its own, as timm's."""

    def __init__(self, channels: int) -> None:
        super().__init__(channels)
        self.drop, self.act = nn.Identity(), nn.ReLU()

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return self.act(self.drop(super().forward(x)))


def test_a_fused_activation_is_kept() -> None:
    network, x = nn.Sequential(Fused(2)), torch.randn(4, 2, 3, 3)
    expected = network(x)
    names = list(network.state_dict())
    synchronise_batch_norm(network)
    assert isinstance(network[0], SyncedBatchNorm)
    assert torch.equal(network(x), expected)
    assert expected.min() == 0
    assert list(network.state_dict()) == names


def test_another_kind_of_batch_norm_is_refused() -> None:
    class Strange(nn.BatchNorm2d):
        pass

    message = "the backbone has a Strange, which normalises the samples of one process alone"
    with pytest.raises(ValueError, match=message):
        synchronise_batch_norm(nn.Sequential(Strange(3)))
