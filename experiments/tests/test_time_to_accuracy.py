from __future__ import annotations

import numpy as np
import torch

from equiangular._files import read_json
from equiangular.data import Dataset
from equiangular.data.split import make_split
from equiangular.losses import logit_adjusted_cross_entropy
from experiments.questions import time_to_accuracy as question
from experiments.recipe.fast_parts import whitening_filters


def long_tailed(counts: list[int]) -> Dataset:
    labels = torch.from_numpy(np.repeat(np.arange(len(counts)), counts))
    images = torch.randint(0, 256, (len(labels), 3, 8, 8), generator=torch.Generator().manual_seed(0)).byte()
    parts = {"train_x": images, "train_y": labels, "test_x": images[::7], "test_y": labels[::7]}
    return Dataset(name="drawn", kind="image", class_names=tuple("abcdefghij"[: len(counts)]), source="drawn", **parts)


def test_the_validation_part_is_what_the_cut_leaves() -> None:
    counts = [round(5000 * 50 ** (-k / 9)) for k in range(10)]
    data = question.with_validation_part(long_tailed(counts))
    split = make_split(data, imbalance=question.IMBALANCE)
    assert split.class_counts[0] == 5000 - 300
    assert split.class_counts[0] / split.class_counts[-1] == 100
    held = np.bincount(split.holdout_y.numpy(), minlength=10)
    assert held.max() == 300
    assert held.min() > 30
    assert (held + split.class_counts <= counts).all()


def test_a_recipe_is_timed_and_goes_on(tmp_path) -> None:
    data = question.with_validation_part(long_tailed([800, 500, 300]))
    values = {"method": "recommended", "backbone": "resnet8", "epochs": 2, "batch_size": 128, "augment": "flip"}
    values |= {"parts": ["whiten", "grow", "linear rate", "flip in turn"], "smoothing": [0.1, "prior"]}
    values |= {"optimizer": "muon", "channels_last": True}
    run = question.timed("one", values, data, tmp_path)
    assert [row["epoch"] for row in run["curve"]] == [1, 2]
    assert 0 < run["curve"][0]["seconds"] < run["curve"][1]["seconds"]
    again = question.timed("one", values, data, tmp_path)  # from its last checkpoint: nothing is trained
    assert again["curve"] == run["curve"]
    assert again["test"] == run["test"]


def test_what_is_told_of_a_curve() -> None:
    curve = [{"epoch": e, "seconds": 10.0 * e, "validation": v} for e, v in ((1, 30.0), (2, 50.0), (3, 45.0))]
    assert [question.soonest(curve, target) for target in (30, 31, 51)] == [10.0, 20.0, None]
    run = {"curve": curve, "test": {"balanced_accuracy": 44.04}}
    assert question.table({"runs": {"fast": run}}).endswith("| `fast` | 3 | 30 | 45.0 | 44.0 |")
    assert len(question.draw({"recommended": run, "fast": run}).axes[0].lines) == 4


def test_filters_whiten_patches() -> None:
    """Patches of correlated noise have the covariance of the identity behind all of the filters of one sign."""
    generator = torch.Generator().manual_seed(0)
    noise = torch.randn(64, 2, 12, 12, generator=generator, dtype=torch.float64)
    images = noise + 0.5 * noise.roll(1, 3) + 0.2 * noise.flip(1)
    filters = whitening_filters(images, 36, 3, eps=0.0).double()
    assert torch.equal(filters[:18], -filters[18:])
    outputs = torch.nn.functional.conv2d(images, filters[:18]).transpose(0, 1).flatten(1)
    torch.testing.assert_close(outputs @ outputs.T / outputs.shape[1], torch.eye(18, dtype=torch.float64))


def test_even_smoothing_favours_rare_classes_under_logit_adjustment() -> None:
    """Where the gradient is zero, the bare logits are log q - log prior for the smoothed posterior q."""
    prior = torch.tensor([0.9, 0.09, 0.01], dtype=torch.float64)
    posterior = torch.tensor([[0.95, 0.049, 0.001]], dtype=torch.float64)  # over prior: 1.06, 0.54, 0.1
    chosen = {}
    for towards, spread in (("prior", prior), ("even", torch.full_like(prior, 1 / 3))):
        target = 0.9 * posterior + 0.1 * spread
        logits = (target.log() - prior.log()).requires_grad_()
        logit_adjusted_cross_entropy(logits, target, 1000 * prior).backward()
        torch.testing.assert_close(logits.grad, torch.zeros_like(logits), atol=1e-12, rtol=0)
        chosen[towards] = int(logits.argmax())
    assert chosen == {"prior": 0, "even": 2}


def test_fast_takes_a_quarter_of_the_time() -> None:
    runs = read_json(question.OUTPUT)["runs"]
    slow, fast = (runs[name]["curve"][-1]["seconds"] for name in ("recommended", "fast"))
    assert fast <= slow / 4
