"""The metric: torchmetrics' verbs, and the same values however the data are split."""

import pickle
from pathlib import Path

import numpy as np
import pytest
import torch
import torchmetrics
from torch import nn

from equiangular import NeuralCollapse
from equiangular.measures.collapse import ClassMoments, collapse_measures, nearest_mean
from tests.processes import run_two

K, D = 6, 9


def data(n: int = 240, seed: int = 0) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
    generator = torch.Generator().manual_seed(seed)
    labels = torch.randint(0, K, (n,), generator=generator)
    means = 3 * torch.randn(K, D, generator=generator, dtype=torch.float64) + 30
    h = means[labels] + 0.1 * torch.randn(n, D, generator=generator, dtype=torch.float64)
    return h, labels, torch.randn(K, D, generator=generator, dtype=torch.float64)


def expected(h: torch.Tensor, y: torch.Tensor, w: torch.Tensor) -> dict[str, float]:
    measured = collapse_measures(ClassMoments.empty(K, D).update(h, y), weight=w)
    return {k: float(v) for k, v in measured.items()}


def close(a: dict, b: dict) -> None:
    assert set(a) == set(b)
    for key in a:
        assert float(a[key]) == pytest.approx(float(b[key]), rel=1e-9, abs=1e-11, nan_ok=True), key


def filled(h: torch.Tensor, y: torch.Tensor, w: torch.Tensor, batch: int = 50, **options) -> NeuralCollapse:
    metric = NeuralCollapse(K, D, weight=w, **options)
    for a, b in zip(h.split(batch), y.split(batch), strict=True):
        metric.update(a, b)
    return metric


def test_batches_merge_and_reset() -> None:
    h, y, w = data()
    metric = filled(h, y, w)
    close(metric.compute(), expected(h, y, w))
    metric.reset()
    metric.update(h[:60], y[:60])
    close(metric.compute(), expected(h[:60], y[:60], w))


@pytest.mark.filterwarnings("ignore:The ``compute`` method")
def test_forward_gives_the_batch_and_keeps_the_whole() -> None:
    h, y, w = data()
    metric = NeuralCollapse(K, D, weight=w)
    close(metric(h[:100], y[:100]), expected(h[:100], y[:100], w))
    close(metric(h[100:], y[100:]), expected(h[100:], y[100:], w))
    close(metric.compute(), expected(h, y, w))


def test_merge_state_and_pickle_and_clone_and_collection() -> None:
    h, y, w = data()
    left, right = filled(h[:77], y[:77], w), filled(h[77:], y[77:], w)
    left.merge_state(right)
    close(left.compute(), expected(h, y, w))
    close(pickle.loads(pickle.dumps(left)).compute(), expected(h, y, w))
    close(left.clone().compute(), expected(h, y, w))
    collection = torchmetrics.MetricCollection({"nc": NeuralCollapse(K, D, weight=w)})
    collection.update(h, y)
    assert {k.removeprefix("nc_") for k in collection.compute()} >= {"nc1"}


def test_state_survives_a_checkpoint() -> None:
    h, y, w = data()
    metric = filled(h[:100], y[:100], w)
    metric.persistent(True)
    other = NeuralCollapse(K, D, weight=w)
    other.persistent(True)
    other.load_state_dict(metric.state_dict())
    other.update(h[100:], y[100:])
    close(other.compute(), expected(h, y, w))


def test_groups_and_options() -> None:
    h, y, w = data()
    metric = filled(h, y, w, class_counts=[500, 200, 50, 50, 5, 5], covariance=False, global_mean="sample")
    measured = metric.compute()
    assert "nc1" not in measured
    assert {"cdnv/many", "cdnv/medium", "cdnv/few", "weight_mean_cosine/few"} <= set(measured)
    grouped = NeuralCollapse(K, D, groups={"few": [4, 5]}, reference_means=torch.zeros(K, D))
    for a, b in zip(h.split(50), y.split(50), strict=True):
        grouped.update(a, b, a @ w.T)
    assert {"nc1/few", "vci/few", "nc4/few"} <= set(grouped.compute())
    assert float(grouped.compute()["nc1"]) == pytest.approx(expected(h, y, w)["nc1"])


def test_the_weight_of_a_module_is_that_of_the_moment() -> None:
    h, y, w = data()
    layer = nn.Linear(D, K).double()
    metric = filled(h, y, layer)
    with torch.no_grad():
        layer.weight.copy_(w)
    close(metric.compute(), expected(h, y, w))
    assert not list(metric.parameters())


def test_nc4_against_a_second_pass() -> None:
    h, y, w = data()
    bias = torch.linspace(0, 5, K, dtype=torch.float64)
    logits = h @ w.T + bias
    means = filled(h, y, w).class_means()
    metric = NeuralCollapse(K, D, reference_means=means)
    for part in zip(h.split(33), y.split(33), logits.split(33), strict=True):
        metric.update(*part)
    direct = (torch.cdist(h, means).argmin(1) == logits.argmax(1)).double().mean()
    assert float(metric.compute()["nc4"]) == pytest.approx(float(direct))
    running = NeuralCollapse(K, D)
    running.update(h, y, logits)
    assert float(running.compute()["nc4_running"]) == pytest.approx(float(direct))
    assert torch.equal(nearest_mean(h, means), torch.cdist(h, means).argmin(1))


@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16, torch.float16])
def test_low_precision_features_are_accumulated_in_float64(dtype: torch.dtype) -> None:
    h, y, w = data()
    low = (h - 30).to(dtype)
    close(filled(low, y, w).compute(), expected(low.double(), y, w))


def test_nc5_of_samples_that_belong_to_no_class() -> None:
    """Mean |cos| between class means and the mean of the unknown samples; unseen classes have no part in it."""
    h, y, w = data()
    unknown = torch.randn(50, D, generator=torch.Generator().manual_seed(9), dtype=torch.float64) + 1
    known = y != 2
    metric = filled(h[known], y[known], w, groups={"few": [2, 4, 5]})
    assert "nc5" not in metric.compute()
    for part in unknown.split(20):
        metric.update_ood(part)
    means = torch.stack([h[y == c].mean(0) for c in (0, 1, 3, 4, 5)])
    cosines = torch.cosine_similarity(means, unknown.mean(0)[None]).abs()
    assert float(metric.compute()["nc5"]) == pytest.approx(float(cosines.mean()))
    assert float(metric.compute()["nc5/few"]) == pytest.approx(float(cosines[-2:].mean()))
    with pytest.raises(ValueError, match="cannot merge a state of 147 numbers into one of 228"):
        metric.merge_state(NeuralCollapse(K, D))
    other = NeuralCollapse(K, D, groups={"few": [2, 4, 5]})
    other.update_ood(unknown[:7] - 3)
    metric.merge_state(other)
    merged = (unknown.sum(0) + (unknown[:7] - 3).sum(0)) / 57
    expected = torch.cosine_similarity(means, merged[None]).abs().mean()
    assert float(metric.compute()["nc5"]) == pytest.approx(float(expected))
    with pytest.raises(ValueError, match=f"width {D}"):
        metric.update_ood(unknown[:, :2])


@pytest.mark.filterwarnings("ignore:The ``compute`` method")
def test_a_collection_with_other_metrics() -> None:
    """By keyword each metric takes what it knows; two with the same state share it and keep their options."""
    h, y, w = data()
    metrics = {
        "class": NeuralCollapse(K, D, weight=w),
        "sample": NeuralCollapse(K, D, weight=w, global_mean="sample"),
        "accuracy": torchmetrics.classification.MulticlassAccuracy(K, average="micro"),
    }
    collection = torchmetrics.MetricCollection(metrics)
    for a, b in zip(h.split(50), y.split(50), strict=True):
        collection.update(features=a, labels=b, preds=a @ w.T, target=b)
    values = collection.compute()
    close({k.removeprefix("class_"): v for k, v in values.items() if k.startswith("class_")}, expected(h, y, w))
    by_sample = collapse_measures(ClassMoments.empty(K, D).update(h, y), weight=w, global_mean="sample")
    close({k.removeprefix("sample_"): v for k, v in values.items() if k.startswith("sample_")}, by_sample)
    assert float(values["accuracy"]) == pytest.approx(float(((h @ w.T).argmax(1) == y).double().mean()))


def test_a_device_without_float64_gets_float32(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("equiangular.measures._metric.accumulation_dtype", lambda device: torch.float32)
    h, y, w = data()
    metric = NeuralCollapse(K, D, weight=w).to("cpu")
    metric.update(h, y)
    assert metric.packed.dtype == torch.float32
    for key, value in expected(h, y, w).items():
        assert float(metric.compute()[key]) == pytest.approx(value, rel=2e-3, abs=1e-5), key


def test_plot() -> None:
    h, y, w = data()
    metric = filled(h, y, w, groups={"few": [4, 5], "of/two": [1, 2]})
    measured = metric.compute()
    _, ax = metric.plot()
    drawn = {text.get_text(): line for text, line in zip(ax.get_legend().get_texts(), ax.lines, strict=True)}
    assert list(drawn) == ["all classes", "few", "of/two"]
    names = [label.get_text() for label in ax.get_yticklabels()]
    assert drawn["few"].get_xdata()[names.index("cdnv")] == float(measured["cdnv/few"])
    curves, ax = metric.plot([measured, measured], keys=["nc1", "nc3"])
    assert [list(line.get_ydata()) for line in ax.lines] == [[float(measured[k])] * 2 for k in ("nc1", "nc3")]
    same, _ = metric.plot([measured], ax=ax)
    assert same is curves
    with pytest.raises(ValueError, match="'nc9' was not measured; there are: nc1_quotient"):
        metric.plot(keys=["nc9"])
    with pytest.raises(ValueError, match="nothing to plot"):
        metric.plot([])
    import matplotlib.pyplot as plt

    plt.close("all")


def test_bad_input() -> None:
    metric = NeuralCollapse(K, D)
    h, y, _ = data(10)
    cases = [
        ((h[:, :3], y), f"width {D}"),
        ((h, y.float()), "integers"),
        ((h, y + K), "lie in"),
        ((h, y[:3]), "3 entries for 10 samples"),
        ((h * float("nan"), y), "NaN"),
        ((h, y, torch.zeros(10, 3)), r"logits must have shape \(B, K\)"),
    ]
    for arguments, message in cases:
        with pytest.raises(ValueError, match=message):
            metric.update(*arguments)
    assert not metric.packed.any()  # what is refused leaves no trace
    with pytest.raises(ValueError, match="num_classes must be"):
        NeuralCollapse(1, D)
    with pytest.raises(ValueError, match="either class_counts or groups"):
        NeuralCollapse(K, D, class_counts=[1] * K, groups={"a": [0]})
    with pytest.raises(ValueError, match="5 entries for 6 classes"):
        NeuralCollapse(K, D, class_counts=[1] * 5)
    with pytest.raises(ValueError, match=r"classes of group .* must lie in"):
        NeuralCollapse(K, D, groups={"few": [K]})
    with pytest.raises(ValueError, match="reference_means must have shape"):
        NeuralCollapse(K, D, reference_means=torch.zeros(2, 2))


def _rank(rank: int, folder: str) -> None:
    h, y, w = data()
    mine = slice(0, 90) if rank == 0 else slice(90, None)  # unequal shards
    measured = filled(h[mine], y[mine], w).compute()
    np.savez(f"{folder}/{rank}.npz", **{k.replace("/", "-"): v.numpy() for k, v in measured.items()})


@pytest.mark.slow
def test_two_processes_equal_one(tmp_path: Path) -> None:
    run_two(_rank, tmp_path)
    for rank in (0, 1):
        with np.load(tmp_path / f"{rank}.npz") as values:
            close({k: float(values[k]) for k in values.files}, expected(*data()))
