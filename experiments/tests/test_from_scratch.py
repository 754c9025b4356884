from __future__ import annotations

import pytest
import torch

from experiments.questions import from_scratch as question


def _run(values: list[float], test: float) -> dict[str, object]:
    curve = [{"epoch": e, "seconds": 10.0 * e, "validation": v} for e, v in enumerate(values, 1)]
    return {"curve": curve, "test": {"balanced_accuracy": test}}


def test_the_table_pairs_arms_by_seed() -> None:
    """Differences of 1 and 3 points: standard deviation 2^0.5, so that Student's quantile is the half width."""
    runs = {}
    for arm, tests in (("linear-la", (50.0, 60.0)), ("recommended", (51.0, 63.0))):
        for seed, test in enumerate(tests):
            runs[question.name_of(arm, 4, seed)] = _run([10.0, 20.0, 30.0, 34.0 + seed], test)
    rows = question.table({"runs": runs}).splitlines()
    assert rows[2].startswith("| `linear-la` | 4 | 2 | 55.0 ± 63.5 | | +4.5 ± ")
    assert rows[3].split(" | ")[4] == "+2.0 ± 12.7"
    assert rows[3].endswith("| 40 |")


def test_one_seed_has_no_interval() -> None:
    row = question.table({"runs": {question.name_of("etf-dr", 4, 0): _run([1.0, 2.0, 3.0, 2.5], 3.0)}}).splitlines()[2]
    assert row == "| `etf-dr` | 4 | 1 | 3.0 | | −0.5 | 40 |"


@pytest.mark.parametrize("arm", question.ARMS)
def test_every_arm_has_a_loss_for_each_sample(arm: str) -> None:
    from equiangular.training.methods import Context

    method = question.method_of(arm)
    head = method.build_head(16, 3, seed=0)
    x = torch.randn(6, 16, generator=torch.Generator().manual_seed(0))
    target = torch.tensor([0, 1, 2, 0, 1, 2])
    context = Context(class_counts=torch.tensor([4.0, 2.0, 1.0]))
    losses = method.criterion(head(x, pre_logits=True), target, head, context)
    assert losses.shape == (6,)
    assert losses.isfinite().all()
