from __future__ import annotations

import itertools
import math
import os

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp
from torchmetrics.functional.classification import multiclass_calibration_error

from equiangular.measures import calibration_bins, expected_calibration_error
from equiangular.measures.streaming import CalibrationError, ShotAccuracy
from tests.processes import run_two


def reference(confidence, correct, n_bins):
    """The definition, bin by bin in float64; 1.0 belongs to the last bin."""
    confidence, correct = np.asarray(confidence, dtype=float), np.asarray(correct, dtype=float)
    edges = [m / n_bins for m in range(n_bins)] + [np.inf]
    total = 0.0
    for low, high in itertools.pairwise(edges):
        inside = (confidence >= low) & (confidence < high)
        if inside.any():
            total += inside.mean() * abs(correct[inside].mean() - confidence[inside].mean())
    return total


def batch(n=400, num_classes=5, seed=0):
    rng = np.random.default_rng(seed)
    logits = torch.from_numpy(rng.normal(scale=2.0, size=(n, num_classes)))
    return logits.softmax(1), torch.from_numpy(rng.integers(0, num_classes, n))


@pytest.mark.parametrize("n_bins", [1, 2, 10, 15, 100])
def test_against_the_definition(n_bins):
    probabilities, labels = batch()
    confidence, predicted = probabilities.max(1)
    expected = reference(confidence, predicted == labels, n_bins)
    assert expected_calibration_error(probabilities, labels, n_bins).item() == pytest.approx(expected, abs=1e-14)
    hits = predicted == labels
    assert expected_calibration_error(confidence, hits, n_bins).item() == pytest.approx(expected, abs=1e-14)
    assert expected_calibration_error(probabilities, hits, n_bins).item() == pytest.approx(expected, abs=1e-14)


@pytest.mark.parametrize("n_bins", [10, 15])
def test_against_torchmetrics(n_bins):
    probabilities, labels = batch(seed=1)
    theirs = multiclass_calibration_error(probabilities, labels, 5, n_bins=n_bins, norm="l1")
    assert expected_calibration_error(probabilities, labels, n_bins).item() == pytest.approx(theirs.item(), abs=1e-6)


@settings(deadline=None)
@given(
    hnp.arrays(np.float64, st.integers(1, 50), elements=st.integers(0, 128).map(lambda i: i / 128)),
    st.integers(0, 2**31),
)
def test_on_bin_edges(confidence, seed):
    # 128ths and 8 bins: every edge is met exactly, and exactly representable.
    correct = np.random.default_rng(seed).random(len(confidence)) < 0.5
    ours = expected_calibration_error(torch.from_numpy(confidence), torch.from_numpy(correct), 8)
    assert ours.item() == pytest.approx(reference(confidence, correct, 8), abs=1e-14)
    assert 0 <= ours <= 1


def test_confidence_one_is_in_the_last_bin():
    total, summed, correct = calibration_bins(torch.tensor([1.0, 0.99]), torch.tensor([True, False]), 10)
    assert total.tolist() == [0] * 9 + [2]
    assert correct.tolist() == [0] * 9 + [1]
    assert summed[9].item() == pytest.approx(1.99)


def test_low_precision_input_is_summed_in_float64():
    confidence = torch.full((100_000,), 0.7, dtype=torch.bfloat16)
    ours = expected_calibration_error(confidence, torch.ones(100_000, dtype=torch.bool)).item()
    assert ours == pytest.approx(1 - confidence[0].double().item(), abs=1e-12)
    naive = abs(confidence.cumsum(0)[-1].double().item() / 100_000 - 1)
    assert abs(naive - ours) > 1e-3  # what summing in bfloat16 gives


def test_no_samples_is_nan():
    assert math.isnan(expected_calibration_error(torch.zeros(0), torch.zeros(0, dtype=torch.bool)).item())
    with pytest.warns(UserWarning, match="before the ``update``"):
        assert math.isnan(CalibrationError().compute()["ece"].item())


@pytest.mark.parametrize(
    ("probabilities", "correct", "match"),
    [
        ([0.5], torch.tensor([True]), "must be a torch.Tensor, got list"),
        (torch.tensor([1]), torch.tensor([True]), "floating point and of shape"),
        (torch.zeros(1, 1, 1), torch.tensor([True]), r"got torch.float32 of shape \(1, 1, 1\)"),
        (torch.tensor([0.5, 0.5]), torch.tensor([True]), r"shape \(2,\), one per sample, got \(1,\)"),
        (torch.tensor([0.5]), [True], "got list"),
        (torch.tensor([0.5]), torch.tensor([1]), "must be torch.bool, got torch.int64"),
        (torch.tensor([2.5]), torch.tensor([True]), r"lie in \[0, 1\], got values from 2.5 to 2.5.*softmax"),
        (torch.tensor([-0.5]), torch.tensor([True]), "values from -0.5"),
        (torch.tensor([math.nan]), torch.tensor([True]), "values from nan"),
        (torch.tensor([[0.5, 0.5]]), torch.tensor([2]), r"lie in \[0, 1\] for 2 classes"),
    ],
)
def test_bad_input(probabilities, correct, match):
    with pytest.raises(ValueError, match=match):
        expected_calibration_error(probabilities, correct)


def test_bad_bins():
    with pytest.raises(ValueError, match="n_bins must be an integer >= 1, got 0"):
        expected_calibration_error(torch.tensor([0.5]), torch.tensor([True]), 0)


GROUPS = {"many": [0, 1], "medium": [], "few": [4]}


def test_streaming_with_groups():
    probabilities, labels = batch(seed=2)
    metric = CalibrationError(10, groups=GROUPS, num_classes=5)
    for p, y in zip(probabilities.split(64), labels.split(64), strict=True):
        metric.update(p, y)
    result = metric.compute()
    assert list(result) == ["ece", "ece_many", "ece_medium", "ece_few"]
    confidence, predicted = probabilities.max(1)
    assert result["ece"].item() == pytest.approx(reference(confidence, predicted == labels, 10), abs=1e-14)
    for name in ("many", "few"):
        own = torch.isin(labels, torch.tensor(GROUPS[name]))
        expected = reference(confidence[own], (predicted == labels)[own], 10)
        assert result[f"ece_{name}"].item() == pytest.approx(expected, abs=1e-14)
    assert math.isnan(result["ece_medium"].item())


def test_streaming_memory_is_bins_not_samples():
    metric = CalibrationError(15)
    before = sum(getattr(metric, name).numel() for name in metric._defaults)
    metric.update(torch.rand(10_000), torch.ones(10_000, dtype=torch.bool))
    assert sum(getattr(metric, name).numel() for name in metric._defaults) == before == 45
    assert {function.__name__ for function in metric._reductions.values()} == {"dim_zero_sum"}
    assert metric.state_dict() == {}


def test_streaming_bad_input():
    with pytest.raises(ValueError, match="groups need num_classes"):
        CalibrationError(groups=GROUPS)
    with pytest.raises(ValueError, match="group 'b' shares a class"):
        CalibrationError(groups={"a": [0, 1], "b": [1]}, num_classes=2)
    with pytest.raises(ValueError, match="classes of group 'few' must lie in"):
        CalibrationError(groups=GROUPS, num_classes=3)
    with pytest.raises(ValueError, match="target must hold integers"):
        CalibrationError(groups=GROUPS, num_classes=5).update(torch.rand(2), torch.tensor([True, False]))


def _two_processes(rank, folder):
    probabilities, labels = batch(seed=3)
    share = slice(0, 90) if rank == 0 else slice(90, None)  # unequal parts
    calibration = CalibrationError(groups=GROUPS, num_classes=5)
    shots = ShotAccuracy([500, 200, 50, 20, 5], confusion=True)
    calibration.update(probabilities[share], labels[share])
    shots.update(probabilities[share], labels[share])
    torch.save({**calibration.compute(), **shots.compute()}, os.path.join(folder, f"{rank}.pt"))


@pytest.mark.slow
def test_two_processes_give_the_result_of_one(tmp_path):
    run_two(_two_processes, tmp_path)
    probabilities, labels = batch(seed=3)
    calibration = CalibrationError(groups=GROUPS, num_classes=5)
    shots = ShotAccuracy([500, 200, 50, 20, 5], confusion=True)
    calibration.update(probabilities, labels)
    shots.update(probabilities, labels)
    expected = {**calibration.compute(), **shots.compute()}
    for rank in range(2):
        found = torch.load(tmp_path / f"{rank}.pt", weights_only=True)
        for name, value in expected.items():
            torch.testing.assert_close(found[name], value, rtol=0, atol=1e-14, equal_nan=True)
