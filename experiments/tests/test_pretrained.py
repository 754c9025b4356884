"""The study on pretrained features: the trainer, the exact ridge, the choice, resuming, and the page."""

from __future__ import annotations

import math
import re

import numpy as np
import pytest
import torch
from sklearn.linear_model import Ridge
from torch.nn import functional as F

from equiangular._codec import pack
from equiangular._files import json_plain, read_json
from equiangular.heads import NamedHead
from equiangular.losses import dot_regression_loss, logit_adjusted_cross_entropy
from experiments.common import DOCS
from experiments.pretrained import arms as design
from experiments.pretrained import run, summary
from experiments.pretrained.arms import CELLS, Arm, Cell, arms_of, others_of
from experiments.pretrained.claims import claims
from experiments.pretrained.fit import OPTIONS, Fit, class_vectors, ridge, train
from experiments.pretrained.sets import Part
from experiments.pretrained.tables import TABLES, with_tables

SIZES = (12, 8, 5)


def clusters(seed: int = 0, sizes: tuple[int, ...] = SIZES, dim: int = 4) -> tuple[np.ndarray, np.ndarray]:
    y = np.repeat(np.arange(len(sizes)), sizes)
    centres = np.random.default_rng(7).normal(size=(len(sizes), dim))
    noise = np.random.default_rng(seed).normal(size=(len(y), dim))
    return (centres[y] + 0.8 * noise).astype("f4"), y


def part(test_seed: int = 9) -> Part:
    (x, y), (test_x, test_y) = clusters(sizes=(40, 30, 20)), clusters(test_seed)
    return Part(x, y, test_x, test_y, {}, (x, test_x))


@pytest.mark.parametrize(
    "arm",
    [
        Arm("means", True, "residual", "LA"),
        Arm("random", False, "linear", "CE"),
        Arm("means", True, "BatchNorm", "LA"),
        Arm("means", False, "residual", "DR, balanced"),
    ],
    ids=str,
)
def test_heads_side_by_side_are_those_of_a_plain_loop(arm: Arm) -> None:
    at = clusters(5)[0]
    fits = [Fit(*clusters(seed), at, seed) for seed in range(2)]
    rates, scales = (0.01, 0.003), (16.0, 4.0)
    found = train(arm, {}, fits, rates, scales, (3, 7))
    for f, fit in enumerate(fits):
        x, y = torch.from_numpy(fit.x), torch.from_numpy(fit.y)
        vectors = class_vectors(arm, fit.x, fit.y, {}, fit.seed)
        for o, (rate, scale) in enumerate(zip(rates, scales, strict=True)):
            head = NamedHead(
                4, 3, class_vectors=vectors, learn_vectors=arm.learned, scale=scale, seed=fit.seed, **OPTIONS[arm.map]
            )
            adam = torch.optim.Adam(head.parameters(), lr=rate)
            for _ in range(7):
                adam.zero_grad()
                if arm.loss.startswith("DR"):
                    loss = dot_regression_loss(head(x, pre_logits=True), y, head.class_vectors(), balance="batch")
                else:
                    loss = logit_adjusted_cross_entropy(head(x), y, SIZES if arm.loss == "LA" else (1, 1, 1))
                loss.backward()
                adam.step()
            logits = head.eval()(torch.from_numpy(at)).detach()
            torch.testing.assert_close(found[f, o, 1], logits, rtol=1e-3, atol=2e-3)


@pytest.mark.parametrize("balanced", [False, True])
def test_ridge_is_that_of_scikit_learn(balanced: bool) -> None:
    """Behind a residual map the target is what is left of it."""
    (x, y), at = clusters(), clusters(5)[0]
    weight = 1 / np.bincount(y)[y] if balanced else np.ones(len(y))
    for map_, kept in (("linear", 0.0), ("residual", 1.0)):
        arm = Arm("random", False, map_, "ridge, balanced" if balanced else "ridge")
        unit = F.normalize(class_vectors(arm, x, y, {}, 0).double(), dim=1).numpy()
        model = Ridge(alpha=0.03).fit(x.astype("f8"), unit[y] - kept * x, sample_weight=weight / weight.sum())
        logits = ridge(arm, torch.from_numpy(unit), x, y, at, [0.03])[0]
        np.testing.assert_allclose(logits, (kept * at + model.predict(at.astype("f8"))) @ unit.T, rtol=1e-4, atol=1e-5)


def test_the_held_out_loss_counts_classes_alike_and_knows_no_temperature() -> None:
    logits, y = np.random.default_rng(0).normal(size=(30, 3)), np.repeat([0, 1, 2], [20, 8, 2])
    doubled = np.concatenate([logits, logits[y == 2]]), np.concatenate([y, y[y == 2]])
    assert run.held_out_loss(logits, y) == pytest.approx(run.held_out_loss(*doubled))
    scaled = run.held_out_loss(logits * run.TEMPERATURES[9] / run.TEMPERATURES[12], y)
    assert scaled == pytest.approx(run.held_out_loss(logits, y))
    assert run.held_out_loss(np.zeros((30, 3)), y) == pytest.approx(math.log(3))


@pytest.mark.parametrize(
    ("sizes", "tail"), [((12, 8, 5), False), ((5, 5), False), ((20, 6, 2, 1), True), ((9, 3), True)]
)
def test_every_class_that_can_be_is_held_out(sizes: tuple[int, ...], tail: bool) -> None:
    labels = np.repeat(np.arange(len(sizes)), sizes)
    assert run.is_tail(labels) == tail
    if not tail:
        assert all(set(labels[out]) == set(labels) for out in run.fifths(labels, 2))
    out = np.concatenate(run.folds(labels, 3))
    np.testing.assert_array_equal(np.sort(out), np.flatnonzero(np.bincount(labels)[labels] > 1))
    assert all(set(np.delete(labels, fold)) == set(labels) for fold in run.folds(labels, 5))


def test_fits_of_unlike_sizes_are_each_their_own() -> None:
    arm, option = Arm("means", True, "none", "LA"), {"rate": 0.01, "scale": 8.0, "steps": 3}
    fits = [Fit(*clusters(seed, sizes), clusters(5)[0], seed) for seed, sizes in enumerate((SIZES, (9, 8, 7), SIZES))]
    for fit, (logits,) in zip(fits, run.fit_arm(arm, {}, fits, [option]), strict=True):
        np.testing.assert_allclose(logits, run.fit_arm(arm, {}, [fit], [option])[0][0], rtol=1e-4, atol=1e-5)


def test_tuning_never_sees_the_test_part_and_a_cell_goes_on(tmp_path, monkeypatch) -> None:
    cell = Cell("letter", "6 each")
    arms = [Arm("means", False, "residual", "LA"), Arm("simplex", False, "linear", "ridge, balanced")]
    monkeypatch.setattr(design, "arms_of", lambda cell, level: arms)
    monkeypatch.setattr(run, "STEPS", (2, 5))
    found = []
    for folder, test_seed in ((tmp_path / "a", 9), (tmp_path / "b", 10)):
        monkeypatch.setattr(run, "load", lambda name, seed=test_seed: part(seed))
        folder.mkdir()
        run.run_cell(cell, folder, 2)
        found.append(read_json(run.path_of(folder, cell.name))["arms"])
    for arm, row in found[0].items():
        assert {key: row[key] for key in ("options", "held_out_loss")} == {
            key: found[1][arm][key] for key in ("options", "held_out_loss")
        }
    assert len(found[0]) == len(others_of(cell, True, 18)) + 2
    assert any(found[0][arm]["correct"] != found[1][arm]["correct"] for arm in found[0])
    monkeypatch.setattr(run, "run_one", lambda *_: pytest.fail("all of it was there"))
    run.run_cell(cell, tmp_path / "a", 2)


def record(cell: str, losses: dict[str, float], rates: dict[str, float]) -> dict:
    """A record of two draws and 40 test samples."""
    arms = {}
    for number, arm in enumerate(losses):
        hits = np.random.default_rng(number).random((2, 40)) < rates[arm]
        arms[arm] = {
            "held_out_loss": losses[arm],
            "correct": [pack(h.tolist()) for h in hits],
            "balanced_accuracy": [float(100 * np.mean([h[:20].mean(), h[20:].mean()])) for h in hits],
        }
    return {"cell": cell, "set": cell.partition(" ")[0], "kind": "table", "tested": [20, 20], "largest": 5,
            "smallest": 5, "samples": 10, "classes": 2, "arms": arms}  # fmt: skip


def test_sides_are_chosen_by_held_out_loss_never_by_the_test_part() -> None:
    names = ("fixed means | residual | LA", "fixed simplex | residual | LA", "kernel", "learned means | none | LA",
             "learned random | none | LA", "logistic regression, prior out", "logistic regression",
             "learned random | none | CE")  # fmt: skip
    losses = dict(zip(names, (0.5, 0.6, 0.4, 0.1, 0.3, 0.35, 0.01, 0.02), strict=True))
    rates = dict(zip(names, (0.5, 0.99, 0.9, 0.9, 0.2, 0.99, 0.9, 0.9), strict=True))
    found = summary.summarise([record("a 5", losses, rates), record("b 5", losses, rates)])["duels"]
    for name, sides in {
        "fixed − ordinary": ("kernel", "learned random | none | LA"),
        "fixed − any learned": ("kernel", "learned means | none | LA"),
        "fixed head − ordinary": ("fixed means | residual | LA", "learned random | none | LA"),
    }.items():
        row = found[name]["cells"][0]
        assert (row["fixed"], row["rival"]) == sides
    own = record("a 5", losses, rates)["arms"]
    gap = np.mean(own["kernel"]["balanced_accuracy"]) - np.mean(own["learned random | none | LA"]["balanced_accuracy"])
    first = found["fixed − ordinary"]["cells"][0]
    assert first["mean"] == pytest.approx(gap)
    assert first["holm"] == pytest.approx(min(1, 2 * first["p"]))


def test_arms_and_cells() -> None:
    assert len({(cell.name, cell.plan) for cell in CELLS}) == len(CELLS)
    full = arms_of(Cell("cars", "50:1", plan="full"), False)
    assert len(full) == len(set(full)) > 80
    level = arms_of(Cell("cars", "5 each", plan="full"), True)
    assert not any(arm.loss.startswith("CE") or arm.loss in ("DR", "ridge") for arm in level)
    shots = {cell.set: cell.cut for cell in CELLS}
    ones = [cell for cell in CELLS if cell.cut == "1 each"]
    order = [cell.name for cell in CELLS]
    assert all(order.index(f"{cell.set} 5 each") < order.index(cell.name) for cell in ones)
    assert len({name.partition(",")[0] for name in shots}) >= 10


def test_the_page_and_the_summary_say_what_the_records_say() -> None:
    found = summary.summarise(summary.read_records(run.FOLDER))
    page = (DOCS / "pretrained.md").read_text(encoding="utf-8")
    assert all(f"<!-- table {name} -->" in page for name, table in TABLES.items() if table(found))
    again = "run `python -m experiments pretrained --summary`, and read what rests on its tables"
    assert with_tables(page, found) == page, again
    prose = " ".join(line for line in page.replace("**", "").splitlines() if not line.startswith("|"))
    prose = " ".join(prose.split())
    said = [claim.replace("**", "") for claim in claims(found)]
    assert [claim for claim in said if claim not in prose] == [], "docs/pretrained.md says otherwise"
    for claim in sorted(said, key=len, reverse=True):
        prose = prose.replace(claim, "")
    assert re.findall(r"[+−]?\d+\.\d", prose) == [], "figures that experiments/pretrained/claims.py does not make"
    kept = read_json(run.FOLDER / summary.SUMMARY)
    assert {key: kept[key] for key in ("cells", "accuracy")} == json_plain(
        {key: found[key] for key in ("cells", "accuracy")}
    ), again


def test_tables_take_the_place_of_those_before() -> None:
    rows = [record("a 5", dict.fromkeys(["kernel", "logistic regression, prior out"], 0.5),
                   {"kernel": 0.5, "logistic regression, prior out": 0.6})]  # fmt: skip
    rows[0]["arms"]["fixed means | none | LA"] = rows[0]["arms"]["kernel"]
    page = "before\n<!-- table sets -->\n\nold\n<!-- end -->\nafter\n"
    made = with_tables(page, summary.summarise(rows))
    assert made.startswith("before\n<!-- table sets -->\n\n| set |")
    assert made.endswith("|\n\n<!-- end -->\nafter\n")
    assert "old" not in made
