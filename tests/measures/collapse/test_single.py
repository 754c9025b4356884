"""Products in float32: deviations stay exact, so that nothing is lost where features have collapsed."""

import pytest
import torch

from equiangular import NeuralCollapse
from equiangular.measures.collapse import ClassMoments, moments


def batches(k: int, d: int, noise: float, offset: float, dtype: torch.dtype) -> list[tuple[torch.Tensor, torch.Tensor]]:
    generator = torch.Generator().manual_seed(k)
    means = torch.randn(k, d, generator=generator, dtype=torch.float64) + offset
    labels = torch.randint(k - 1, (600,), generator=generator)  # one class has no sample
    features = means[labels] + noise * torch.randn(600, d, generator=generator, dtype=torch.float64)
    return [*zip(features.to(dtype).split(37), labels.split(37), strict=True), (features[:0].to(dtype), labels[:0])]


@pytest.mark.parametrize("readable", [True, False])
@pytest.mark.parametrize("dtype", [torch.float64, torch.float32, torch.bfloat16])
@pytest.mark.parametrize(("noise", "offset"), [(1.0, 0.0), (1e-2, 3.0), (1e-6, 1.0), (1e-3, 100.0)])
def test_moments(
    noise: float, offset: float, dtype: torch.dtype, readable: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    if not readable:
        monkeypatch.setattr(moments, "values_are_readable", lambda *_: False)
    slot = torch.tensor([0, 1, 1, 0, 0])
    double, single = (ClassMoments.empty(5, 8, slot=slot) for _ in range(2))
    for x, y in batches(5, 8, noise, offset, dtype):
        double.update(x, y)
        single.update(x, y, dtype=torch.float32)
    assert torch.equal(single.count, double.count)
    assert single.scatter is not None
    assert double.scatter is not None
    spread = (double.squares.sum() / double.count.sum()).sqrt()
    assert float((single.mean - double.mean).abs().max()) <= 1e-6 * float(spread)
    for got, expected in ((single.squares, double.squares), (single.scatter, double.scatter)):
        assert got.dtype == torch.float64
        assert float((got - expected).abs().max()) <= 1e-6 * float(expected.abs().max())


def test_the_metric_has_the_same_measures() -> None:
    found = []
    for precision in ("double", "single"):
        metric = NeuralCollapse(6, 10, precision=precision, groups={"few": [0, 1, 2]}, weight=torch.eye(6, 10))
        for x, y in batches(6, 10, 1e-3, 2.0, torch.float32):
            metric.update(x, y)
        found.append(metric.compute())
    double, single = found
    assert single.keys() == double.keys()
    for name, value in double.items():
        torch.testing.assert_close(single[name], value, rtol=2e-5, atol=1e-7, equal_nan=True, msg=name)
    with pytest.raises(ValueError, match="precision"):
        NeuralCollapse(6, 10, precision="half")
