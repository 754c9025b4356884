import pytest

from equiangular.training.config.budget import Budget, fingerprint, learning_rate_factor


def factors(budget: Budget, steps: int = 3) -> list[float]:
    return [learning_rate_factor(s, steps, budget) for s in range(budget.epochs * steps)]


def test_the_papers_schedule() -> None:
    values = factors(Budget(epochs=200, warmup_epochs=5, schedule="step"), steps=2)
    assert values[:10] == [pytest.approx((s + 1) / 10) for s in range(10)]
    assert values[10:320] == [1.0] * 310
    assert values[320:360] == [pytest.approx(0.1)] * 40
    assert values[360:] == [pytest.approx(0.01)] * 40


def test_cosine_falls_from_one_to_almost_zero() -> None:
    values = factors(Budget(epochs=10, warmup_epochs=2))
    after = values[6:]
    assert max(values) == 1.0
    assert after == sorted(after, reverse=True)
    assert 0 < after[-1] < 0.02


def test_constant() -> None:
    assert set(factors(Budget(epochs=4, warmup_epochs=0, schedule="constant"))) == {1.0}


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"epochs": 0}, "epochs must be an integer >= 1"),
        ({"batch_size": 1}, "batch_size must be an integer >= 2"),
        ({"learning_rate": -0.1}, "learning_rate must be a finite number above 0"),
        ({"momentum": 1.0}, r"momentum must lie in \[0, 1\)"),
        ({"weight_decay": -1.0}, "weight_decay must be a finite number of at least 0"),
        ({"warmup_epochs": -1}, "warmup_epochs must be an integer >= 0"),
        ({"schedule": "cosin"}, "did you mean 'cosine'"),
    ],
)
def test_bad_budgets(changes: dict, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        Budget(**changes)


def test_an_unknown_field_is_named_with_the_closest() -> None:
    with pytest.raises(ValueError, match="unknown budget field 'learning_rat'; did you mean 'learning_rate'"):
        Budget.from_dict({"learning_rat": 0.1})


def test_fingerprints_tell_configurations_apart() -> None:
    assert fingerprint({"a": 1}) != fingerprint({"a": 2})
