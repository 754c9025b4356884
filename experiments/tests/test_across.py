from __future__ import annotations

import numpy as np
import pytest
from scipy import stats

from equiangular.compare.verdict import verdict
from experiments.studies.across import MARGIN, VERDICTS, contrasts, effects_across, ranking, summarise_across, verdicts
from experiments.studies.data_sets import data_sets
from experiments.studies.registry import screening
from experiments.tests.synthetic import COSINE, ETF, ETF_PC, LINEAR, LINEAR_CE, drawn, part_of, results_of

# Three data sets; differences etf - cosine by run: (1, 1), (-2, -4) and (0, 2).
SCORES = ([71.0, 73.0], [70.0, 72.0]), ([50.0, 52.0], [52.0, 56.0]), ([80.0, 83.0], [80.0, 81.0])
THREE = [results_of(n, part_of({ETF: e, COSINE: c})) for n, (e, c) in zip("abc", SCORES, strict=True)]


def test_effects_are_means_over_data_sets_with_students_interval():
    (effect,) = effects_across(THREE)
    assert (effect["factor"], effect["level"], effect["reference"]) == ("head", "etf", "learnable")
    assert [p["mean_difference"] for p in effect["data_sets"]] == [1, -3, 1]
    mean, low = -1 / 3, stats.t.interval(0.95, 2, -1 / 3, stats.sem([1, -3, 1]))[0]
    assert effect["overall"]["mean_difference"] == pytest.approx(mean)
    assert effect["overall"]["ci95"] == pytest.approx(mean - low)
    assert effect["overall"]["n"] == 3
    # a does not vary, so its interval is a point above 0; b: -3 +- 12.7, c: 1 +- 12.7.
    assert (effect["overall"]["above"], effect["overall"]["below"]) == (1, 0)


def test_cuts_of_the_same_data_are_averaged_first():
    two = results_of("b", *(part_of({ETF: e, COSINE: c}, i) for i, (e, c) in zip((1, 10), SCORES[:2], strict=True)))
    (effect,) = effects_across([two, THREE[2]])
    assert effect["overall"]["n"] == 3
    assert effect["over_data"]["n"] == 2
    assert effect["over_data"]["mean_difference"] == pytest.approx(((1 - 3) / 2 + 1) / 2)


def test_a_single_data_set_has_an_effect_without_an_interval():
    (effect,) = effects_across(THREE[:1])
    assert effect["overall"]["mean_difference"] == 1
    assert np.isnan(effect["overall"]["ci95"])


def test_the_same_data_at_the_same_imbalance_count_once_with_the_most_cells():
    small = results_of("small", part_of({ETF: [1.0, 2.0], COSINE: [1.0, 3.0]}, 100), data="digits")
    large = results_of("large", part_of({ETF: [1.0, 2.0], COSINE: [1.0, 3.0], LINEAR: [2.0, 3.0]}, 100), data="digits")
    for given in ([small, large], [large, small]):
        kept, left_out = data_sets(given)
        assert [one["name"] for one in kept] == ["large, imbalance 100"]
        assert left_out == ["small, imbalance 100"]
    assert summarise_across([small, large])["left_out"] == ["small, imbalance 100"]
    assert len(data_sets([small, small])[0]) == 1


def test_contrasts_choose_by_validation_and_favour_the_rival_by_test():
    scores = {
        ETF: [70.0, 72.0, 75.0],
        ETF_PC: [76.0, 77.0, 78.0],
        COSINE: [71.0, 70.0, 72.0],
        LINEAR: [74.0, 75.0, 79.0],
    }
    scores |= {LINEAR_CE: [60.0, 61.0, 65.0]}
    validation = {ETF: 9.0, ETF_PC: 1.0, COSINE: 8.0, LINEAR: 2.0, LINEAR_CE: 1.0}  # not what the test part says
    found = {c["contrast"]: c for c in contrasts([results_of("x", part_of(scores, 50, validation))])}
    assert {c["fixed"] for c in found.values()} == {ETF}
    rivals = {"validation": COSINE, "test": LINEAR, "linear": LINEAR_CE, "bare": COSINE}
    assert {k: c["learnable"] for k, c in found.items()} == rivals
    for contrast in found.values():
        ours, theirs = np.array(scores[ETF]), np.array(scores[contrast["learnable"]])
        test = stats.ttest_rel(ours, theirs)
        interval = test.confidence_interval(0.95)
        assert contrast["mean_difference"] == pytest.approx((ours - theirs).mean())
        assert contrast["p_value"] == pytest.approx(test.pvalue)
        assert (contrast["ci_low"], contrast["ci_high"]) == pytest.approx((interval.low, interval.high))
        assert contrast["n"] == 3
        estimate = (ours - theirs).mean(), interval.low, interval.high
        assert contrast["verdict"] == verdict(*estimate, margin=1.0)
        assert contrast["scores"]["ece"]["fixed"] == pytest.approx(ours.mean() / 10)
        assert contrast["scores"]["many"]["learnable"] == pytest.approx(theirs.mean() + 2)
    assert found["linear"]["verdict"] == "better"
    assert found["bare"]["verdict"] == "cannot tell"  # contains 0, and is many points wide


@pytest.mark.parametrize(
    ("differences", "expected"),
    [
        ((0.2, 0.3, 0.4), "level"),  # surely not 0, surely less than a point
        ((-0.2, 0.3, 0.1), "level"),
        ((2.0, 2.2, 2.1), "better"),
        ((-2.0, -2.2, -2.1), "worse"),
        ((-4.0, 5.0, 1.0), "cannot tell"),  # contains 0, as the level ones do
        ((0.5, 1.5, 0.2), "cannot tell"),
    ],
)
def test_a_verdict_is_level_only_within_the_margin(differences, expected):
    scores = {ETF: [70.0 + d for d in differences], COSINE: [70.0] * 3}
    rows = contrasts([results_of("x", part_of(scores))])
    assert [row["verdict"] for row in rows] == [expected] * len(rows)
    counts = verdicts(rows)[0]
    assert {word: counts[word] for word in VERDICTS} == {word: int(word == expected) for word in VERDICTS}


def test_the_linear_rival_is_the_one_that_was_run():
    found = contrasts([results_of("x", part_of({ETF: [70.0, 72.0], COSINE: [1.0, 2.0], LINEAR: [3.0, 5.0]}))])
    assert [c["learnable"] for c in found if c["contrast"] == "linear"] == [LINEAR]
    assert [c["contrast"] for c in contrasts(THREE[:1])] == ["bare", "validation", "test"]  # neither was run


def test_a_cell_with_a_diverged_run_is_nobody_s_choice():
    scores = {ETF: [70.0, 72.0], ETF_PC: [99.0, None], COSINE: [71.0, 70.0], LINEAR: [None, 98.0]}
    found = contrasts([results_of("x", part_of(scores))])
    assert {(c["fixed"], c["learnable"]) for c in found} == {(ETF, COSINE)}
    assert contrasts([results_of("x", part_of({ETF: [70.0, 72.0]}))]) == []


def test_verdicts_count_data_sets_and_test_over_them():
    rows = contrasts([drawn(name, seed, imbalances=(1, 10, 100)) for seed, name in enumerate("abc")])
    for found in verdicts(rows):
        own = [r for r in rows if r["contrast"] == found["contrast"]]
        assert len(own) == found["n"] == 9 == sum(found[word] for word in VERDICTS)
        inside = [max(-r["ci_low"], r["ci_high"]) <= MARGIN for r in own]
        assert found["level"] == sum(inside)
        assert found["better"] == sum(r["ci_low"] > 0 and not i for r, i in zip(own, inside, strict=True))
        assert found["worse"] == sum(r["ci_high"] < 0 and not i for r, i in zip(own, inside, strict=True))
        test = stats.ttest_1samp([r["mean_difference"] for r in own], 0)
        assert found["p_value"] == pytest.approx(test.pvalue)
        interval = test.confidence_interval()
        assert found["ci_low"] == pytest.approx(interval.low)
        assert found["verdict"] == verdict(found["mean_difference"], interval.low, interval.high, margin=1.0)
        smallest = min(own, key=lambda r: r["p_value"])
        assert smallest["p_holm"] == pytest.approx(min(1, 9 * smallest["p_value"]))
        assert found["better_holm"] <= found["better"]
        by_data = [np.mean([r["mean_difference"] for r in own if r["data"] == d]) for d in "abc"]
        assert found["over_data"]["n"] == 3
        assert found["over_data"]["mean_difference"] == pytest.approx(np.mean(by_data))
    (single,) = verdicts(contrasts(THREE[:1])[:1])
    assert single["mean_difference"] == 1
    assert np.isnan(single["p_value"])
    assert single["verdict"] == "cannot tell"


def test_ranks_are_those_of_scipy_with_the_projected_etf_in_its_place():
    results = [drawn("a", 1), drawn("b", 2, head="etf-projected", imbalances=(1,)), drawn("c", 3)]
    found = ranking(results)
    assert len(found["data_sets"]) == 5
    assert len(found["methods"]) == 14 + 1  # b has no fixed cell without a learned map
    assert found["left_out"] == []
    assert found["stand_ins"] == ["b"]
    table = np.array([m["scores"] for m in found["methods"]]).T
    ranks = stats.rankdata(-table, axis=1).mean(0)
    assert [m["mean_rank"] for m in found["methods"]] == pytest.approx(ranks)
    assert (np.diff(ranks) >= 0).all()
    assert found["p_value"] == pytest.approx(stats.friedmanchisquare(*table.T).pvalue)
    by_name = {m["name"]: m for m in found["methods"]}
    projected = results[1]["parts"][0]["table"]["etf-projected/free/scaled-ce/la/none"]["balanced_accuracy"]["mean"]
    assert by_name["etf/free/scaled-ce/la/none"]["scores"][2] == projected
    for i, one in enumerate(data_sets(results)[0]):  # validation scores are the test means here
        means = [r["balanced_accuracy"]["mean"] for r in one["table"].values() if r["kind"] == "learned"]
        assert by_name["best learnable"]["scores"][i] == max(means)
    assert by_name["best learnable"]["kind"] == "learned"
    assert "best fixed" not in by_name
    for clique in found["cliques"]:
        assert ranks[clique[-1]] - ranks[clique[0]] <= found["critical_difference"]


def test_cells_that_are_not_everywhere_are_left_out_of_the_ranking():
    part = part_of({name: [70.0 + i, 71.0 + i] for i, name in enumerate(screening("etf")[:-1])})
    found = ranking([drawn("a", 0), results_of("b", part)])
    assert found["left_out"] == [screening("etf")[-1]]
    assert len(found["methods"]) == 13 + 2


def test_the_best_fixed_cell_of_the_ranking_has_no_learned_map():
    mapped = {f"etf-projected/free/scaled-ce/{c}/none": [99.0, 99.5] for c in ("la", "pc")}
    parts = [part_of({name: [70.0 + i, 71.0 + i] for i, name in enumerate(screening("etf"))} | mapped) for _ in "ab"]
    found = ranking([results_of(name, part) for name, part in zip("ab", parts, strict=True)])
    by_name = {m["name"]: m for m in found["methods"]}
    for i, part in enumerate(parts):  # validation scores are the test means here
        means = [r["balanced_accuracy"]["mean"] for r in part["table"].values() if r["kind"] == "fixed"]
        assert by_name["best fixed"]["scores"][i] == max(means) < 99
    assert by_name["best fixed"]["kind"] == "fixed"


def test_too_little_to_rank():
    with pytest.raises(ValueError, match=r"data sets >= 2, methods >= 3"):
        ranking([drawn("a", 0, imbalances=(1,))])
    assert summarise_across([drawn("a", 0, imbalances=(1,))])["ranking"] is None
    assert summarise_across(THREE)["ranking"] is None  # two cells in common
    with pytest.raises(ValueError, match="no results were given"):
        summarise_across([])
