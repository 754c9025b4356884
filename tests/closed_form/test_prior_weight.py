"""The weight of prior samples, such as class names, from moments."""

from __future__ import annotations

import pytest
import torch

from equiangular.closed_form import ClassStatistics, ClosedForm
from equiangular.closed_form.solution import prior_weight_of_moments

K, D = 200, 50


def drawn(within: float, between: float, each: int, *, prior: int = 1) -> tuple[ClassStatistics, ClassStatistics]:
    """Statistics of ``each`` samples a class around means around prior means, and of the prior samples."""
    generator = torch.Generator().manual_seed(0)
    names = torch.randn(K, D, generator=generator)
    means = names + between**0.5 * torch.randn(K, D, generator=generator)
    labels = torch.arange(K).repeat(each)
    x = means[labels] + within**0.5 * torch.randn(K * each, D, generator=generator)
    data = ClassStatistics.empty(K, D).update(x, labels)
    return data, ClassStatistics.empty(K, D).update(names.repeat(prior, 1), torch.arange(K).repeat(prior))


@pytest.mark.parametrize(("within", "between"), [(1.0, 1.0), (4.0, 1.0), (1.0, 3.0)])
@pytest.mark.parametrize("each", [2, 9])
def test_it_is_the_ratio_of_the_variances(within: float, between: float, each: int) -> None:
    assert prior_weight_of_moments(*drawn(within, between, each)) == pytest.approx(within / between, rel=0.15)


def test_several_prior_samples_of_a_class_share_it() -> None:
    one, three = (prior_weight_of_moments(*drawn(2.0, 1.0, 5, prior=p)) for p in (1, 3))
    assert three == pytest.approx(one / 3, rel=1e-9)


def test_its_bounds_and_its_default() -> None:
    assert prior_weight_of_moments(*drawn(1.0, 0.0, 5)) == 8.0
    assert prior_weight_of_moments(*drawn(0.001, 1.0, 5)) == 1 / 8
    assert prior_weight_of_moments(*drawn(1.0, 1.0, 1)) == 1.0  # nothing says how wide a class is
    data, prior = drawn(1.0, 1.0, 3)
    assert prior_weight_of_moments(ClassStatistics.empty(K, D), prior) == 1.0
    assert prior_weight_of_moments(data, ClassStatistics.empty(K, D)) == 1.0


def test_the_posterior_mean_is_nearest_to_the_true_mean() -> None:
    """Class means of that weight have a smaller squared error than at half or twice the weight."""
    data, prior = drawn(6.0, 1.0, 4)
    generator = torch.Generator().manual_seed(0)
    truth = torch.randn(K, D, generator=generator) + torch.randn(K, D, generator=generator)
    best = prior_weight_of_moments(data, prior)
    means = [data.copy().merge(prior.scaled(w)).mean for w in (best, best / 2, best * 2)]
    errors = [float((mean - truth).square().mean()) for mean in means]
    assert errors[0] == min(errors)


@pytest.mark.parametrize("kind", ["class-means", "gaussian", "ridge", "kernel"])
def test_one_sample_a_class_is_mixed_with_its_name(kind: str) -> None:
    """Leave-one-out cannot weigh the names here: without its sample a class is its name alone."""
    generator = torch.Generator().manual_seed(1)
    names = torch.nn.functional.normalize(torch.randn(40, D, generator=generator), dim=1)
    means = names + 0.2 * torch.randn(40, D, generator=generator)
    labels = torch.arange(40).repeat(20)
    test = means[labels] + 0.3 * torch.randn(800, D, generator=generator)
    x = means + 0.3 * torch.randn(40, D, generator=generator)

    def accuracy(samples: bool, named: bool) -> float:
        model = ClosedForm(D, 40, kind=kind)
        if named:
            model.set_prior(names)
        if samples:
            model.update(x, torch.arange(40))
        return float((model.solve().logits(test).argmax(1) == labels).double().mean())

    both = accuracy(True, True)
    assert both > accuracy(True, False) + 0.02
    assert both > accuracy(False, True) + 0.02
