"""What torchmetrics does with metrics behind their back: shared updates, merged states, converted dtypes."""

from collections.abc import Callable

import pytest
import torch
from torch import Tensor
from torchmetrics import Metric, MetricCollection

from equiangular.measures import CalibrationError, NeuralCollapse, ShotAccuracy

K, D, N = 4, 6, 400
generator = torch.Generator().manual_seed(0)
Y = torch.randint(0, K, (N,), generator=generator)
H = torch.randn(K, D, generator=generator)[Y] + torch.randn(N, D, generator=generator)
LOGITS = torch.randn(N, K, generator=generator) + 2 * torch.nn.functional.one_hot(Y, K)
MEANS = [torch.randn(K, D, generator=generator) for _ in range(2)]
COUNTS = [500, 50, 5, 5]


def feed_collapse(metric: Metric, part: slice) -> None:
    metric.update(H[part], Y[part], LOGITS[part])


def feed_probabilities(metric: Metric, part: slice) -> None:
    metric.update(LOGITS[part].softmax(1), Y[part])


# Metrics that a collection is given the same batches for, and how.
FAMILIES: dict[str, tuple[Callable, list[Callable[[], Metric]]]] = {
    "calibration": (
        feed_probabilities,
        [
            lambda: CalibrationError(groups={"a": [0], "b": [1, 2, 3]}, num_classes=K),
            lambda: CalibrationError(groups={"a": [0, 1, 2], "b": [3]}, num_classes=K),
            lambda: CalibrationError(groups={"x": [0], "y": [1, 2, 3]}, num_classes=K),
            lambda: CalibrationError(7),
            lambda: CalibrationError(),
        ],
    ),
    "collapse": (
        feed_collapse,
        [
            lambda: NeuralCollapse(K, D, reference_means=MEANS[0]),
            lambda: NeuralCollapse(K, D, reference_means=MEANS[1]),
            lambda: NeuralCollapse(K, D),
            lambda: NeuralCollapse(K, D, weight=MEANS[0]),
            lambda: NeuralCollapse(K, D, groups={"a": [0], "b": [1, 2, 3]}),
            lambda: NeuralCollapse(K, D, groups={"a": [0, 1], "b": [2, 3]}),
        ],
    ),
    "accuracy": (
        feed_probabilities,
        [lambda: ShotAccuracy(COUNTS), lambda: ShotAccuracy(COUNTS, (10, 600)), lambda: ShotAccuracy(COUNTS[::-1])],
    ),
}
families = pytest.mark.parametrize("family", FAMILIES)
PARTS = [slice(0, 100), slice(100, 101), slice(101, N)]


def assert_equal(ours: dict[str, Tensor], expected: dict[str, Tensor], tolerance: float = 1e-9) -> None:
    assert ours.keys() == expected.keys()
    for name, value in ours.items():
        torch.testing.assert_close(
            value, expected[name], rtol=tolerance, atol=tolerance, equal_nan=True, check_dtype=False, msg=name
        )


def alone(make: Callable[[], Metric], feed: Callable, parts: list[slice]) -> dict[str, Tensor]:
    metric = make()
    for part in parts:
        feed(metric, part)
    return metric.compute()


@families
def test_a_collection_gives_every_metric_its_own_value(family: str) -> None:
    feed, makers = FAMILIES[family]
    collection = MetricCollection({str(i): make() for i, make in enumerate(makers)})
    for part in PARTS:
        feed(collection, part)
    together = collection.compute()
    results = [alone(make, feed, PARTS) for make in makers]
    for i, expected in enumerate(results):
        named = {name: together[name if name in together else f"{i}_{name}"] for name in expected}
        assert_equal(named, expected)


def test_metrics_that_count_alike_go_on_sharing_their_update() -> None:
    collection = MetricCollection({"a": NeuralCollapse(K, D), "b": NeuralCollapse(K, D, global_mean="sample")})
    feed_collapse(collection, PARTS[0])
    assert len(collection.compute_groups) == 1


@families
def test_a_state_merged_after_compute_counts(family: str) -> None:
    feed, makers = FAMILIES[family]
    for make in makers:
        left, right = make(), make()
        feed(left, PARTS[0])
        left.compute()
        for part in PARTS[1:]:
            feed(right, part)
        for incoming in (right, right.metric_state):
            metric = make()
            feed(metric, PARTS[0])
            metric.compute()
            metric.merge_state(incoming)
            expected = alone(make, feed, PARTS)
            ours = metric.compute()
            for values in (ours, expected):
                values.pop("nc4_running", None)  # it depends on the order
                for name in [n for n in values if n.startswith("nc4_running/")]:
                    del values[name]
            assert_equal(ours, expected)


@pytest.mark.parametrize(
    ("left", "right"),
    [
        (ShotAccuracy([5, 5]), ShotAccuracy([5, 5, 5])),
        (ShotAccuracy([5, 5, 5]), ShotAccuracy([5])),
        (CalibrationError(1), CalibrationError(3)),
        (CalibrationError(3), CalibrationError(3, groups={"a": [0]}, num_classes=2)),
        (CalibrationError(3, groups={"a": [1]}, num_classes=2), CalibrationError(3, groups={"a": [0]}, num_classes=2)),
        (NeuralCollapse(K, 1), NeuralCollapse(K, D)),
        (NeuralCollapse(K, D, reference_means=MEANS[0]), NeuralCollapse(K, D, reference_means=MEANS[1])),
        (NeuralCollapse(K, D, reference_means=MEANS[0]), NeuralCollapse(K, D)),
    ],
)
def test_states_that_do_not_fit_are_refused(left: Metric, right: Metric) -> None:
    for incoming in (right, right.metric_state):
        with pytest.raises(ValueError, match=r"cannot merge .*: both metrics need the same .*"):
            left.merge_state(incoming)


@families
@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16, torch.float32])
@pytest.mark.parametrize("how", ["set_dtype", "to", "half"])
def test_no_count_is_rounded_away(family: str, dtype: torch.dtype, how: str) -> None:
    """Float16 holds whole numbers to 2,048, bfloat16 to 256."""
    feed, makers = FAMILIES[family]
    parts = PARTS * 12
    for make in makers[:2]:
        metric = make()
        feed(metric, parts[0])
        if how == "set_dtype":
            metric.set_dtype(dtype)
        elif how == "to":
            torch.nn.ModuleDict({"metric": metric}).to(dtype)
        else:
            torch.nn.ModuleDict({"metric": metric}).half()
        for part in parts[1:]:
            feed(metric, part)
        assert_equal(metric.compute(), alone(make, feed, parts), tolerance=1e-4)
        metric.reset()
        feed(metric, parts[0])
        assert_equal(metric.compute(), alone(make, feed, parts[:1]), tolerance=1e-4)


def test_nan_is_no_class() -> None:
    logits = LOGITS.clone()
    logits[3, 2] = torch.nan
    for metric, update in ((ShotAccuracy(COUNTS), (logits, Y)), (NeuralCollapse(K, D), (H, Y, logits))):
        with pytest.raises(ValueError, match="has NaN values, first in row 3"):
            metric.update(*update)
    logits[3, 2] = -torch.inf  # a class that is left out
    ShotAccuracy(COUNTS).update(logits, Y)
