"""The questions of the newest rivals and of unlearned heads, on data made up: formulas, resuming, tables."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
import torch
from torch import nn
from torch.nn import functional as F

from equiangular.data import from_arrays
from equiangular.frames import nearest_simplex_etf
from equiangular.heads import CosineHead
from experiments.questions import growing, huge_k, rivals, unlearned
from experiments.questions.features import Part


def clusters(seed: int, sizes=(40, 30, 20, 12), dim: int = 6) -> tuple[np.ndarray, np.ndarray]:
    generator = np.random.default_rng(seed)
    y = np.repeat(np.arange(len(sizes)), sizes)
    centres = np.random.default_rng(7).normal(size=(len(sizes), dim))
    return (2 * centres[y] + generator.normal(size=(len(y), dim))).astype("f4"), y


def test_space_alignment_takes_out_what_leads_away_from_the_means() -> None:
    """By the formula, row by row: the part along w and the part along the tangent to the mean, .6 of all kept."""
    generator = torch.Generator().manual_seed(0)
    weight = nn.Parameter(torch.randn(4, 5, generator=generator))
    running, gradient = torch.randn(4, 5, generator=generator), torch.randn(4, 5, generator=generator)
    found = rivals.space_aligned(weight, running)(gradient)
    for w, mean, g, ours in zip(weight.detach(), running - running.mean(0), gradient, found, strict=True):
        w, mean = w / w.norm(), mean / mean.norm()
        u = mean - (mean @ w) * w
        u = u / u.norm()
        tangent = g - (g @ w) * w
        if tangent @ u > 0:  # a step against it leads away from the mean
            tangent = tangent - (tangent @ u) * u
        torch.testing.assert_close(ours, 0.4 * tangent + 0.6 * g)


def test_the_starts_are_what_they_say() -> None:
    x, y = (torch.from_numpy(part) for part in clusters(0))
    names = torch.stack([x[y == k][0] for k in range(4)])
    data = rivals.make_data(x, y, (x, y), 1, 0, names)
    means = F.normalize(torch.stack([data.x[data.y == k].mean(0) for k in range(4)]))
    start = rivals.started("class means", data, 10.0, 0)
    torch.testing.assert_close(start.weight.detach(), means)
    random = rivals.started("random", data, 10.0, 3)
    assert torch.equal(random.weight, CosineHead(6, 4, scale=10.0, seed=3).weight)
    ridge = rivals.started("ridge", data, 10.0, 0)
    assert float((ridge(data.x).argmax(1) == data.y).float().mean()) > 0.9
    # Names are moved with the features: one that is a sample lies where that sample lies.
    named = rivals.started("class names", data, 10.0, 0).weight.detach()
    cosines = F.normalize(data.test_x) @ named.T
    torch.testing.assert_close(cosines.max(0).values, torch.ones(4))


def test_rivals_go_on_where_they_were_stopped(tmp_path: Path, monkeypatch, capsys) -> None:
    (x, y), (test_x, test_y) = clusters(0), clusters(1)
    data = from_arrays(x, y, test_x=test_x, test_y=test_y)
    monkeypatch.setattr(rivals, "pool", lambda name: data)
    monkeypatch.setattr(rivals, "frozen_features", lambda name: Part(x, y, test_x, test_y))
    monkeypatch.setattr(rivals, "names_of", lambda name: torch.from_numpy(x[:4]))
    cells = {"a": rivals.Cell("a", 1, "mlp", 2), "a 10": rivals.Cell("a", 10, "mlp", 2)}
    rows = ("linear, CE", "linear, SpA-Proj", "cosine, CE", "cosine, LA", "cosine, NTCE", "ETF, NONL")
    monkeypatch.setattr(rivals, "ROWS", rows)
    for name, value in (("CELLS", cells), ("FROZEN", {"b 10": ("b", "10:1")}), ("RATES", (0.1,)), ("SCALES", (10.0,)),
                        ("STEPS", (0, 1, 2))):  # fmt: skip
        monkeypatch.setattr(rivals, name, value)
    output = tmp_path / "rivals.json"
    rivals.main(["--draws", "1", "--output", str(output)])
    first = json.loads(output.read_text())
    assert set(first["networks"]["a 10"]) == set(rows)
    assert set(first["networks"]["a"]) == {row for row in rows if not row.endswith("LA")}
    assert set(first["starts"]["b 10"]) == set(rivals.STARTS)
    rivals.main(["--draws", "2", "--output", str(output)])
    again = json.loads(output.read_text())
    runs = again["networks"]["a 10"]["cosine, NTCE"]["runs"]
    assert runs[0] == first["networks"]["a 10"]["cosine, NTCE"]["runs"][0]
    assert len(runs) == 2
    capsys.readouterr()
    rivals.main(["--table", "--output", str(output)])
    shown = capsys.readouterr().out
    assert (
        f"| cosine, NTCE | {np.mean([r['as it is'] for r in again['networks']['a']['cosine, NTCE']['runs']]):.1f} ±"
        in shown
    )
    gaps = [a["as it is"] - b["as it is"] for a, b in zip(*(again["networks"]["a 10"][row]["runs"] for row in
            ("cosine, NTCE", "cosine, CE")), strict=True)]  # fmt: skip
    assert f"{np.mean(gaps):+.1f} ±".replace("-", "−") in shown
    with pytest.raises(ValueError, match="--cells"):
        rivals.main(["--cells", "c", "--output", str(output)])


def test_a_grown_simplex_holds_its_angles_and_moves_little() -> None:
    means = F.normalize(torch.randn(6, 32, generator=torch.Generator().manual_seed(1), dtype=torch.float64))
    basis = growing.basis_near(means)
    nearest = nearest_simplex_etf(F.normalize(means - means.mean(0)))
    torch.testing.assert_close(growing.vertices(basis), nearest)
    more = growing.grown(basis, 4)
    torch.testing.assert_close(more[:6], basis)
    gram = growing.vertices(more) @ growing.vertices(more).T
    torch.testing.assert_close(gram, (10 * torch.eye(10, dtype=torch.float64) - 1) / 9)
    moved = F.cosine_similarity(growing.vertices(more)[:6], growing.vertices(basis))
    assert float(moved.min()) > 0.95


@pytest.fixture
def blobs(monkeypatch) -> unlearned.Data:
    (x, y), (test_x, test_y) = clusters(0, (90, 60, 50, 30)), clusters(1)
    data = unlearned.Data(*(torch.from_numpy(part) for part in (x, y, test_x, test_y)))
    for name in ("pool", "small"):
        monkeypatch.setattr(unlearned, name, lambda _: data)
    return data


@pytest.mark.parametrize("skew", [0.01, 1.0])
def test_clients_share_all_samples(blobs: unlearned.Data, skew: float) -> None:
    parts = unlearned.spread_out(blobs.y, skew, 0)
    assert len(parts) == unlearned.CLIENTS
    assert torch.equal(torch.cat(parts).sort().values, torch.arange(len(blobs.y)))


def test_averaging_and_angles(blobs: unlearned.Data) -> None:
    one, other = (unlearned.make_network(blobs, "ETF", "hidden layer", seed) for seed in (0, 1))
    assert torch.equal(one[1].weight, other[1].weight)  # one frame for all
    mean = unlearned.mean_network([one, other], [1, 3])
    torch.testing.assert_close(mean[0][0].weight, 0.25 * one[0][0].weight + 0.75 * other[0][0].weight)
    learned = unlearned.make_network(blobs, "linear", "hidden layer", 0)
    assert unlearned.sent(learned) - unlearned.sent(one) == 4 * (unlearned.DIM + 1) * blobs.classes
    h = torch.randn(50, 8, generator=torch.Generator().manual_seed(0))
    turn = torch.linalg.qr(torch.randn(8, 8, generator=torch.Generator().manual_seed(1)))[0]
    found = unlearned.angles(h, h @ turn)
    assert found["angle"] > 45
    assert found["rotated"] < 0.1


def test_unlearned_heads_go_on_where_they_were_stopped(blobs, tmp_path: Path, monkeypatch, capsys) -> None:
    for name, value in (("SETS", ("digits",)), ("ROUNDS", (1, 2)), ("RATES", (0.1,)), ("SKEWS", (1.0,)),
                        ("ROWS", ("linear, CE", "ETF, LA")), ("HEADS", ("cosine", "ETF")), ("CLIENTS", 3)):  # fmt: skip
        monkeypatch.setattr(unlearned, name, value)
    output = tmp_path / "unlearned.json"
    unlearned.main(["--draws", "1", "--output", str(output)])
    first = json.loads(output.read_text())
    unlearned.main(["--draws", "2", "--output", str(output)])
    again = json.loads(output.read_text())
    rows = again["federated"]["digits"]["runs"]["1.0"]
    assert {len(runs) for runs in rows.values()} == {2}
    assert rows["ETF, LA"][0] == first["federated"]["digits"]["runs"]["1.0"]["ETF, LA"][0]
    for kind in unlearned.GIVEN:
        for runs in again["exact"]["digits"][kind].values():
            assert max(run["vectors"] for run in runs) < 1e-9
    capsys.readouterr()
    unlearned.main(["--table", "--output", str(output)])
    shown = capsys.readouterr().out
    assert f"| digits, 1.0 | ETF, LA | {np.mean([r['1'] for r in rows['ETF, LA']]):.1f} ±" in shown
    assert "| digits | gaussian | a class | " in shown


def test_names_and_their_misspellings() -> None:
    generator = np.random.default_rng(0)
    written = huge_k.names(500, generator)
    assert written.shape == (500, 10)
    assert len(np.unique(written, axis=0)) == 500
    wrong = huge_k.misspelt(written, generator)
    apart = (wrong != written).sum(1)
    assert apart.max() <= huge_k.LENGTH
    assert (apart == 0).mean() < 0.2  # a letter changed to itself, or two alike swapped
    assert huge_k.trigrams(np.array([[1, 2, 3]])).tolist() == [[1 * 27 + 2, 1 * 729 + 2 * 27 + 3, 2 * 729 + 3 * 27]]


def test_huge_k_goes_on_where_it_was_stopped(tmp_path: Path, monkeypatch, capsys) -> None:
    for name, value in (("EPOCHS", {300: 2}), ("DRAWS", {300: 2}), ("QUERIES", 50), ("SAMPLED", 64)):
        monkeypatch.setattr(huge_k, name, value)
    monkeypatch.setattr(huge_k, "run_alone", lambda way, k, seed: huge_k.run(way, k, seed, huge_k.EPOCHS[k]))
    output = tmp_path / "huge_k.json"
    huge_k.main(["--draws", "1", "--output", str(output)])
    first = json.loads(output.read_text())
    assert set(first["runs"]["300"]) == set(huge_k.WAYS)
    assert first["runs"]["300"][huge_k.WAYS[0]][0]["accuracy"] > 50
    assert first["runs"]["300"]["random, unstored"][0]["bytes"] == 0
    huge_k.main(["--output", str(output)])
    again = json.loads(output.read_text())
    for way, runs in again["runs"]["300"].items():
        assert runs[0] == first["runs"]["300"][way][0]
        assert len(runs) == (1 if way in huge_k.LONG else 2)
        assert all(run["peak"] > 1e8 for run in runs)
    capsys.readouterr()
    huge_k.main(["--table", "--output", str(output)])
    values = [run["accuracy"] for run in again["runs"]["300"][huge_k.WAYS[1]]]
    assert f"| 300 | {huge_k.WAYS[1]} | {np.mean(values):.1f} ±" in capsys.readouterr().out
