"""The closed form of the scale against softmax itself."""

import pytest
import torch

from equiangular.frames import simplex_etf
from equiangular.heads import scale_for_probability


@pytest.mark.parametrize("num_classes", [2, 3, 10, 100, 1000])
@pytest.mark.parametrize("probability", [0.6, 0.9, 0.999])
def test_a_feature_on_its_vertex_gets_that_probability(num_classes: int, probability: float) -> None:
    weight = simplex_etf(num_classes, basis="minimal", dtype=torch.float64)
    logits = scale_for_probability(probability, num_classes) * weight[0] @ weight.T
    assert float(logits.softmax(0)[0]) == pytest.approx(probability, abs=1e-10)


@pytest.mark.parametrize(("num_classes", "reachable"), [(10, 0.25), (100, 0.027), (1000, 0.003)])
def test_scale_one_reaches_only_the_published_probabilities(num_classes: int, reachable: float) -> None:
    assert scale_for_probability(reachable, num_classes) == pytest.approx(1.0, abs=0.12)


@pytest.mark.parametrize("probability", [0.1, 0.0, 1.0, -1, 2, "0.9"])
def test_an_unreachable_probability_is_refused(probability: object) -> None:
    with pytest.raises(ValueError, match=r"strictly between 1/K = 0\.1 .* got"):
        scale_for_probability(probability, 10)


def test_one_class_is_refused() -> None:
    with pytest.raises(ValueError, match="num_classes must be an integer >= 2, got 1"):
        scale_for_probability(0.9, 1)
