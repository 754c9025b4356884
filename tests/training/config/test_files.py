"""Configurations: every field has a meaning, files and options are merged, and mistakes are answered with advice."""

from dataclasses import fields
from pathlib import Path
from typing import Any

import pytest

from equiangular.cli._fields import field_help, parse_texts
from equiangular.training import Hardware, TrainConfig, make_config, read_yaml
from equiangular.training.config.files import write_yaml
from equiangular.training.engine.fabric import launched_processes
from equiangular.training.run.folder import check_names


def test_every_field_is_documented() -> None:
    assert set(field_help(TrainConfig)) >= {f.name for f in fields(TrainConfig)}


def test_a_configuration_survives_its_file(tmp_path: Path) -> None:
    head = {"scale": 0.5, "norm": "batch"}
    config = TrainConfig(data="ä/b", head=head, thresholds=(5, 50), learning_rate=1e-3, size=8)
    (tmp_path / "c.yaml").write_text(write_yaml(config.as_dict()), encoding="utf-8")
    assert make_config(TrainConfig, read_yaml(tmp_path / "c.yaml")) == config


def test_a_later_layer_wins_and_none_does_not() -> None:
    config = make_config(TrainConfig, {"epochs": 5, "seed": 2, "imbalance": 50}, {"epochs": 3, "seed": None})
    assert (config.epochs, config.seed, config.imbalance) == (3, 2, 50.0)


def test_numbers_that_yaml_reads_as_texts(tmp_path: Path) -> None:
    (tmp_path / "c.yaml").write_text("weight_decay: 5e-4\nimbalance: 100\n")
    config = make_config(TrainConfig, read_yaml(tmp_path / "c.yaml"))
    assert (config.weight_decay, config.imbalance) == (5e-4, 100.0)


@pytest.mark.parametrize(
    ("values", "message"),
    [
        ({"epoch": 3}, r"unknown key 'epoch' in the configuration; did you mean 'epochs'\?"),
        ({"lerning_rate": 3}, r"did you mean 'learning_rate'\?"),
        ({"epochs": "many"}, "epochs in the configuration must be an integer, got 'many'"),
        ({"epochs": 2.5}, "must be an integer, got 2.5"),
        ({"epochs": True}, "must be an integer, got True"),
        ({"compile": "yes"}, "must be true or false, got 'yes'"),
        ({"learning_rate": "fast"}, "must be a number, got 'fast'"),
        ({"head": "etf"}, "head in the configuration must be a mapping, got 'etf'"),
        ({"thresholds": [1, 2, 3]}, r"must be a list of 2 numbers, got \[1, 2, 3\]"),
        ({"data": ["a"]}, r"data in the configuration must be a text, got \['a'\]"),
        ({"epochs": 0}, "epochs must be an integer >= 1, got 0"),
        ({"imbalance": 0.01}, "at least 1, got 0.01: 0.01 looks like the reciprocal; use 100"),
        ({"validation": 1.0}, r"validation must lie in \[0, 1\), got 1.0"),
        ({"ema": 1.0}, r"ema must lie in \[0, 1\), got 1.0"),
        ({"clip_norm": -1.0}, "clip_norm must be a finite number of at least 0, got -1.0"),
        ({"sampler": "balanced"}, "did you mean 'class-balanced'"),
        ({"sampler": "class-balanced:2"}, r"must lie in \[0, 1\]"),
        ({"optimizer": "sdg"}, "did you mean 'sgd'"),
        ({"profile": "expo"}, "did you mean 'exp'"),
        ({"precision": "bf16"}, "did you mean 'bf16-mixed'"),
        ({"accelerator": "gpu"}, "accelerator must be one of 'auto', 'cpu', 'cuda', 'mps'"),
        ({"strategy": "fsdp", "precision": "64-true"}, "strategy='fsdp' works in 32-true and bf16-mixed"),
        ({"strategy": "fsdp", "ema": 0.9}, "choose one of them"),
        ({"devices": 0}, "devices must be an integer >= 1"),
        ({"seed": -1}, "seed must be an integer >= 0"),
        ({"method": "etf-rd"}, "did you mean 'etf-dr'"),
        ({"augment": "crop,flipp"}, "did you mean 'flip'"),
        ({"mix": "mixup:-1"}, "alpha of mixup must be a finite number above 0"),
        ({"loggers": "tensorbord"}, "did you mean 'tensorboard'"),
    ],
)
def test_mistakes(values: dict[str, Any], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        check_names(make_config(TrainConfig, values))


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("epochs: [1", "is not YAML that can be read: .*line 1"),
        ("- 1\n- 2\n", "must hold 'name: value' lines, got list"),
    ],
)
def test_files_that_are_no_configuration(tmp_path: Path, text: str, message: str) -> None:
    (tmp_path / "c.yaml").write_text(text)
    with pytest.raises(ValueError, match=message):
        read_yaml(tmp_path / "c.yaml")
    with pytest.raises(ValueError, match=r"cannot read the configuration .*none.yaml': No such file"):
        read_yaml(tmp_path / "none.yaml")


def test_an_empty_file_is_an_empty_configuration(tmp_path: Path) -> None:
    (tmp_path / "c.yaml").write_text("# nothing\n")
    assert read_yaml(tmp_path / "c.yaml") == {}


def test_texts_of_options() -> None:
    given = {"head": "norm=batch, scale=0.5", "thresholds": "20,100", "data": "a=b,c", "epochs": 3}
    expected = {"head": {"norm": "batch", "scale": 0.5}, "thresholds": [20, 100], "data": "a=b,c", "epochs": 3}
    assert parse_texts(TrainConfig, given) == expected
    with pytest.raises(ValueError, match="--head must be name=value,name=value, got 'batch'"):
        parse_texts(TrainConfig, {"head": "batch"})


def test_what_a_result_depends_on() -> None:
    one = TrainConfig().decisive()
    free = {"devices": 4, "workers": 2, "threads": 3, "loggers": "tensorboard", "checkpoint_minutes": 1.0, "root": "/x"}
    assert TrainConfig(**free).decisive() == one
    for name, value in {"seed": 1, "precision": "bf16-mixed", "accumulate": 2, "mix": "mixup:1", "width": 2.0}.items():
        assert TrainConfig(**{name: value}).decisive() != one


@pytest.mark.parametrize(
    ("environment", "expected"),
    [
        ({}, None),
        ({"TORCHELASTIC_RUN_ID": "x", "LOCAL_WORLD_SIZE": "4", "WORLD_SIZE": "8"}, (4, 2)),
        ({"SLURM_NTASKS": "6", "SLURM_NNODES": "3", "SLURM_PROCID": "0"}, (2, 3)),
        ({"SLURM_NTASKS": "1", "SLURM_PROCID": "0"}, None),
    ],
)
def test_processes_started_by_others(monkeypatch: pytest.MonkeyPatch, environment: dict, expected: Any) -> None:
    for name in ("TORCHELASTIC_RUN_ID", "GROUP_WORLD_SIZE", "SLURM_NTASKS", "SLURM_PROCID"):
        monkeypatch.delenv(name, raising=False)
    for name, value in environment.items():
        monkeypatch.setenv(name, value)
    assert launched_processes() == expected


def test_hardware_that_is_not_there(monkeypatch: pytest.MonkeyPatch) -> None:
    from equiangular.training.engine.fabric import make_fabric

    monkeypatch.setattr("torch.cuda.is_available", lambda: False)
    with pytest.raises(ValueError, match="accelerator='cuda' needs an NVIDIA GPU that PyTorch can see; there is none"):
        make_fabric(Hardware(accelerator="cuda"))
