"""Class vectors that follow the class means of the training inputs: the means, the methods, a run that is stored."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch

from equiangular import class_mean_frame, recommended_head
from equiangular.data import load_dataset
from equiangular.data.split import make_split
from equiangular.training import TrainConfig, get_method, load_model, train
from equiangular.training.run.trial import class_means, means_for


def test_means_are_those_of_numpy_over_any_batches() -> None:
    generator = torch.Generator().manual_seed(0)
    x = torch.randint(0, 256, (2500, 1, 3, 2), dtype=torch.uint8, generator=generator)
    y = torch.randint(0, 3, (2500,), generator=generator)
    found = class_means(x, y, 4, prepare=lambda batch: batch.float() / 255)
    for c in range(3):
        np.testing.assert_allclose(found[c], x[y == c].numpy().reshape(-1, 6).mean(0) / 255, rtol=1e-6)
    assert not found[3].any()  # a class without samples


KINDS = ("image", "table", "text")


@pytest.mark.parametrize(("name", "kinds"), [("means-la", KINDS), ("recommended", ("text",)), ("etf-la", ())])
def test_which_methods_follow_the_means_of_which_data(name: str, kinds: tuple[str, ...]) -> None:
    split = make_split(load_dataset("wine"), holdout=0.0)
    for kind in KINDS:
        means = means_for(get_method(name), kind, split)
        assert (means is not None) == (kind in kinds)
        if means is not None:
            x = split.standardise(split.train_x) if kind == "table" else split.train_x
            torch.testing.assert_close(means[1], x[split.train_y == 1].double().mean(0), rtol=1e-6, atol=1e-6)


def test_fixed_heads_have_the_vectors_and_learned_ones_start_there() -> None:
    means = torch.randn(4, 20, generator=torch.Generator().manual_seed(0))
    expected = class_mean_frame(means, 12, seed=3)
    fixed = get_method("means-la").build_head(12, 4, seed=3, class_means=means)
    assert torch.equal(fixed.weight, expected)
    assert not fixed.weight.requires_grad
    recommended = get_method("recommended").build_head(12, 4, seed=3, class_means=means)
    assert torch.equal(recommended.weight, expected)
    assert (recommended.normalize, float(recommended.scale)) == (True, 4.0)
    assert torch.equal(recommended_head(12, 4, class_means=means, seed=3).weight, expected)
    learned = replace(get_method("linear-la"), similarity=1.0).build_head(12, 4, seed=3, class_means=means)
    torch.testing.assert_close(torch.nn.functional.normalize(learned.weight, dim=1), expected)
    assert learned.weight.requires_grad
    plain = get_method("recommended").build_head(12, 4, seed=3)
    assert plain.projection_kind == "linear"  # 12 < 4 x 4, and nothing is known of the data


def test_a_run_keeps_its_vectors_and_is_loaded_again(tmp_path: Path) -> None:
    config = TrainConfig(data="wine", method="means-la", epochs=1, accelerator="cpu")
    results = train(config, tmp_path / "run")
    assert results["method"]["name"] == "means-la"
    model, _ = load_model(tmp_path / "run" / "model")
    split = make_split(load_dataset("wine"), imbalance=1.0, subset_seed=config.subset_seed, holdout=config.validation)
    expected = class_mean_frame(means_for(get_method("means-la"), "table", split), model.head.dim, seed=config.seed)
    torch.testing.assert_close(model.head.weight, expected)
