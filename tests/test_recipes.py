"""Every recipe says what it does: it parses, its groups are the ones its comment states, its commands are ours."""

from __future__ import annotations

import re
from pathlib import Path

import numpy as np
import pytest

from equiangular.longtail import class_groups, long_tail_indices
from equiangular.training.augment import Augmentation, Mixing
from equiangular.training.config.files import make_config, read_yaml
from equiangular.training.config.options import TrainConfig
from equiangular.training.methods import get_method

RECIPES = sorted((Path(__file__).parents[1] / "recipes").glob("*.yaml"))


def config_of(path: Path, **changes) -> TrainConfig:
    return make_config(TrainConfig, read_yaml(path), changes, where=str(path))


@pytest.mark.parametrize("path", RECIPES, ids=lambda path: path.stem)
def test_recipe_parses_and_its_commands_run_it(path):
    config, comment = config_of(path), path.read_text(encoding="utf-8")
    get_method(config.method)
    Augmentation.parse(config.augment)
    Mixing.parse(config.mix)
    assert f"--config recipes/{path.name}" in comment
    for method in re.findall(r"--method ([\w-]+)", comment):
        get_method(method)
    assert "What to expect" in comment


@pytest.mark.parametrize("path", [p for p in RECIPES if "cifar10" in p.name and "_lt" in p.name], ids=lambda p: p.stem)
def test_groups_are_those_of_the_comment(path):
    config = config_of(path)
    classes = 100 if "cifar100" in path.name else 10
    labels = np.repeat(np.arange(classes), 50_000 // classes)
    subset = long_tail_indices(labels, config.imbalance, protocol=config.protocol)
    groups = class_groups(np.bincount(labels[subset]), config.thresholds)
    stated = re.search(r"give (\d+) many-, (\d+) medium- and (\d+) few-shot", path.read_text(encoding="utf-8"))
    assert tuple(len(groups[name]) for name in ("many", "medium", "few")) == tuple(map(int, stated.groups()))


@pytest.mark.slow
def test_a_recipe_trains(tmp_path):
    """The CIFAR-10-LT recipe on images made at random, for one epoch."""
    from equiangular.training.run.train import train

    rng = np.random.default_rng(0)
    images, labels = rng.integers(0, 256, (1000, 32, 32, 3), dtype=np.uint8), np.repeat(np.arange(10), 100)
    np.savez(tmp_path / "data.npz", train_x=images, train_y=labels, test_x=images[::20], test_y=labels[::20])
    path = next(p for p in RECIPES if p.stem == "cifar10_lt100")
    config = config_of(path, data=str(tmp_path / "data.npz"), epochs=1, warmup_epochs=0, backbone="resnet8")
    results = train(config, tmp_path / "run")
    assert results["class_counts"] == [100, 59, 35, 21, 12, 7, 4, 2, 1, 1]
    assert 0 <= results["test"]["balanced_accuracy"] <= 100
