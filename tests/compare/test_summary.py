"""The table, the tests and the sentence, from records made by hand."""

import numpy as np
import pytest
from equiangular.compare.study import planned_runs
from scipy import stats

from equiangular.compare import CompareConfig, summarise
from equiangular.compare.summary import COLUMNS

METHODS = ("linear-ce", "cosine-la", "etf-la", "etf-dr-pc")


def records(means: dict[str, float], noise: float = 0.3, n: int = 8) -> list[dict]:
    rng = np.random.default_rng(0)
    runs = []
    for seed in range(n):
        shared = rng.normal(scale=3)  # what a subset does to every method: pairing removes it
        for name, mean in means.items():
            value = mean + shared + rng.normal(scale=noise)
            base = {key: 1.0 for key, _, _ in COLUMNS}
            runs.append({**base, "method": name, "seed": seed, "balanced_accuracy": value, "few": None})
    return runs


def config() -> CompareConfig:
    return CompareConfig(methods=METHODS, seeds=8)


def summary(**means: float) -> dict:
    return summarise(records({k.replace("_", "-"): v for k, v in means.items()}), config())


def test_means_and_intervals_against_scipy() -> None:
    runs = records(dict.fromkeys(METHODS, 80.0))
    cell = summarise(runs, config())["table"]["etf-la"]["balanced_accuracy"]
    values = [r["balanced_accuracy"] for r in runs if r["method"] == "etf-la"]
    low, high = stats.t.interval(0.95, 7, np.mean(values), stats.sem(values))
    assert cell["mean"] == pytest.approx(np.mean(values))
    assert cell["ci95"] == pytest.approx((high - low) / 2)


def test_the_rival_is_the_best_learnable_head_and_the_test_is_paired() -> None:
    runs = records({"linear-ce": 70, "cosine-la": 80, "etf-la": 81, "etf-dr-pc": 79})
    contrasts = {c["fixed"]: c for c in summarise(runs, config())["comparisons"]}
    assert {c["learnable"] for c in contrasts.values()} == {"cosine-la"}
    ours, rival = ([r["balanced_accuracy"] for r in runs if r["method"] == m] for m in ("etf-la", "cosine-la"))
    expected = stats.ttest_rel(ours, rival)
    assert contrasts["etf-la"]["p_value"] == pytest.approx(expected.pvalue)
    interval = expected.confidence_interval()
    assert contrasts["etf-la"]["ci_low"] == pytest.approx(interval.low)
    assert contrasts["etf-la"]["p_holm"] >= contrasts["etf-la"]["p_value"]


@pytest.mark.parametrize(
    ("means", "verdict", "words"),
    [
        ({"linear_ce": 70, "cosine_la": 80, "etf_la": 85, "etf_dr_pc": 80}, "better", "No, and a fixed one is better"),
        ({"linear_ce": 70, "cosine_la": 80, "etf_la": 80, "etf_dr_pc": 75}, "level", "Not as far as this test"),
        ({"linear_ce": 90, "cosine_la": 80, "etf_la": 80, "etf_dr_pc": 75}, "worse", "Yes, here a learnable"),
    ],
)
def test_the_answer_follows_the_test(means: dict, verdict: str, words: str) -> None:
    answer = summary(**means)["answer"]
    assert answer["verdict"] == verdict
    assert answer["sentence"].startswith(words)


def test_the_answer_says_when_the_corrected_head_is_not_as_good() -> None:
    sentence = summary(linear_ce=70, cosine_la=80, etf_la=80, etf_dr_pc=75)["answer"]["sentence"]
    assert "ETF + DR is not as good as the best learnable classifier within its confidence" in sentence
    sentence = summary(linear_ce=70, cosine_la=80, etf_la=78, etf_dr_pc=81)["answer"]["sentence"]
    assert "ETF + DR is at least as good as the best learnable classifier within its confidence" in sentence


def test_a_corrected_head_that_is_behind_by_chance_is_not_called_as_good() -> None:
    runs = records({"linear-ce": 70, "cosine-la": 80, "etf-la": 80, "etf-dr-pc": 78}, noise=8, n=3)
    results = summarise(runs, config())
    contrast = next(c for c in results["comparisons"] if c["fixed"] == "etf-dr-pc")
    assert contrast["mean_difference"] < 0 < contrast["ci_high"]
    assert "ETF + DR is not to be told from the best learnable classifier within" in results["answer"]["sentence"]


def test_an_empty_group_has_no_mean() -> None:
    assert np.isnan(summary(linear_ce=70, cosine_la=80, etf_la=78, etf_dr_pc=80)["table"]["etf-la"]["few"]["mean"])


def test_without_a_rival_there_is_no_answer() -> None:
    only = CompareConfig(methods=("etf-la",))
    assert summarise(records({"etf-la": 80.0}), only)["answer"]["verdict"] == "none"


def test_corrected_methods_share_a_training() -> None:
    runs = planned_runs(CompareConfig(seeds=2))
    assert len(runs) == 2 * 8
    served = {methods[0].training_name: [m.name for m in methods] for _, methods in runs}
    assert served["etf-dr"] == ["etf-dr", "etf-dr-pc"]
    assert [seed for seed, _ in runs] == [0] * 8 + [1] * 8


@pytest.mark.parametrize(
    ("fields", "message"),
    [
        ({"imbalance": 0.01}, "at least 1, got 0.01: 0.01 looks like the reciprocal; use 100"),
        ({"imbalance": -5.0}, "at least 1, got -5.0"),
        ({"seeds": 1}, "A confidence interval needs two runs"),
        ({"methods": ("etf-rd",)}, "did you mean 'etf-dr'"),
        ({"methods": ()}, "no method to compare"),
        ({"profile": "expo"}, "did you mean 'exp'"),
        ({"holdout": 0.0}, "strictly between 0 and 1"),
        ({"subset_seed": -1}, "subset_seed must be an integer >= 0"),
    ],
)
def test_bad_configurations(fields: dict, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        CompareConfig(**fields)


def test_the_fingerprint_covers_what_a_training_depends_on() -> None:
    base = CompareConfig()
    same = CompareConfig(seeds=3, methods=("etf-la",), head_options={"linear-ce": {"scale": 0.3}})
    assert base.run_fingerprint("etf-la") == same.run_fingerprint("etf-la")
    assert base.run_fingerprint("linear-ce") != same.run_fingerprint("linear-ce")
    assert base.run_fingerprint("etf-la") != CompareConfig(imbalance=50).run_fingerprint("etf-la")
