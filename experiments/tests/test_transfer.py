"""The transfer study: its measures against scikit-learn's, its arithmetic, and the whole of it on tiny data."""

from pathlib import Path

import numpy as np
import pytest
import torch
from sklearn.linear_model import LogisticRegression
from sklearn.neighbors import KNeighborsClassifier

from equiangular._files import read_json
from equiangular.data import Dataset
from experiments.common import DOCS, QUESTIONS
from experiments.questions import transfer


def clusters(n: int, classes: int, dim: int = 6, seed: int = 0) -> tuple[torch.Tensor, torch.Tensor]:
    generator = torch.Generator().manual_seed(seed)
    y = torch.arange(n) % classes
    centres = torch.randn(classes, dim, generator=torch.Generator().manual_seed(9))
    return centres[y] + 0.7 * torch.randn(n, dim, generator=generator), y


def images(name: str, classes: int, channels: int, per_class: tuple[int, ...]) -> Dataset:
    """Images whose brightness gives the class away."""
    generator = torch.Generator().manual_seed(classes)
    train_y = torch.arange(classes).repeat_interleave(torch.tensor(per_class))
    test_y = torch.arange(classes).repeat(6)
    x, test_x = (
        (y[:, None, None, None] * 90 // classes + torch.randint(160, (len(y), channels, 8, 8), generator=generator))
        .to(torch.uint8) for y in (train_y, test_y)
    )  # fmt: skip
    return Dataset(name, x, train_y, test_x, test_y, tuple("abcdef"[:classes]), "image", "made up")


def test_draws_are_as_even_as_the_classes_allow() -> None:
    y = torch.arange(4).repeat_interleave(torch.tensor([50, 20, 3, 7]))
    index = transfer.spread(y, 24, np.random.default_rng(0))
    assert y[index].bincount().tolist() == [7, 7, 3, 7]
    assert len(index.unique()) == 24
    assert not torch.equal(index, transfer.spread(y, 24, np.random.default_rng(1)))
    assert sorted(transfer.spread(y, 1000, np.random.default_rng(0)).tolist()) == list(range(80))


def test_the_source_keeps_its_largest_classes(monkeypatch: pytest.MonkeyPatch) -> None:
    data = images("shapes", 4, 1, (3, 9, 5, 8))
    monkeypatch.setattr(transfer, "load", lambda name, size: data)
    x, y, test_x, test_y = transfer.source_data(transfer.Source("shapes", 2, None, 1, False, ()), None, 0)
    assert y.bincount().tolist() == [9, 8]
    assert torch.equal(x[y == 1][:, :1], data.train_x[data.train_y == 3])
    assert test_y.bincount().tolist() == [6, 6]
    assert x.shape[1] == test_x.shape[1] == 3
    _, y, _, _ = transfer.source_data(transfer.Source("shapes", None, 12, 1, False, ()), None, 0)
    assert y.bincount().tolist() == [3, 3, 3, 3]


def test_nearest_neighbours_are_those_of_scikit_learn() -> None:
    (x, y), (test_x, _) = clusters(90, 5), clusters(60, 5, seed=1)
    weights = lambda distance: np.exp((1 - distance) / transfer.TEMPERATURE)  # noqa: E731
    reference = KNeighborsClassifier(transfer.NEIGHBOURS, metric="cosine", weights=weights).fit(x.double(), y)
    assert transfer.nearest_neighbours(x, y, test_x, 5).tolist() == reference.predict(test_x.double()).tolist()
    assert len(transfer.nearest_neighbours(x[:8], y[:8], test_x, 5)) == 60  # fewer samples than neighbours


@pytest.mark.parametrize("penalty", [0.3, 0.003])
def test_the_probe_is_logistic_regression(penalty: float) -> None:
    x, y = clusters(120, 4)
    weight = transfer.fit_probe(x, y, 4, penalty)
    reference = LogisticRegression(C=1 / (penalty * len(y)), tol=1e-8, max_iter=1000).fit(x.double(), y)
    found = transfer.logits(weight, x).softmax(1).numpy()
    assert found == pytest.approx(reference.predict_proba(x.double()), abs=2e-3)


def test_the_penalty_is_chosen_without_the_samples_to_predict() -> None:
    (x, y), (test_x, _) = clusters(100, 4), clusters(40, 4, seed=1)
    predicted, penalty = transfer.linear_probe(x, y, test_x, 4, seed=0)
    other, same = transfer.linear_probe(x, y, test_x[:7], 4, seed=0)
    assert penalty == same
    assert penalty in transfer.PENALTIES
    assert torch.equal(predicted[:7], other)


def test_the_summary_is_paired() -> None:
    runs = {}
    for title, source in transfer.SOURCES.items():
        runs[title] = {}
        for place, name in enumerate(transfer.HEADS):
            score = lambda seed, target, place=place: 50 + 10 * seed + 2 * target - place  # noqa: E731
            runs[title][name] = {
                str(seed): {
                    "source": {"accuracy": 90.0, **{f"{c} backbone": 1.0 + place for c in transfer.COLLAPSE}},
                    **{
                        target: {p: dict.fromkeys(transfer.MEASURES, score(seed, t)) for p in transfer.PLACES}
                        for t, target in enumerate(source.targets)
                    },
                }
                for seed in range(3)
            }
    table = transfer.summarise(runs, transfer.SOURCES)
    first = next(iter(table["pairs"].values()))
    assert first["linear + CE"]["h"]["knn"]["mean"] == pytest.approx(60)
    assert "difference" not in first["linear + CE"]["h"]["knn"]
    assert table["pairs"]["mean"]["linear + CE"]["backbone"]["probe"]["mean"] == pytest.approx(61)
    for place, name in enumerate(transfer.HEADS):
        if place:
            entry = table["pairs"]["mean"][name]["backbone"]["probe"]
            assert [entry["difference"], *entry["difference_ci95"]] == pytest.approx([-place] * 3)
    for correlations in table["rank_correlation"].values():
        assert correlations["nc1, probe"]["mean"] == pytest.approx(-1)
    assert table["frame"]["mean"]["knn, h"]["difference"] == pytest.approx(-1)
    assert "61.0 ± 24.8 |" in transfer.markdown(table)


@pytest.mark.slow
def test_a_small_study_runs_and_goes_on(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, capsys: pytest.CaptureFixture
) -> None:
    sets = {"a": images("a", 4, 3, (12, 9, 8, 7)), "b": images("b", 3, 1, (10, 10, 10)), "c": images("c", 2, 3, (9, 6))}
    source = transfer.Source("a", 3, None, 3, True, ("b", "c"))
    monkeypatch.setattr(transfer, "load", lambda name, size: sets[name])
    monkeypatch.setattr(transfer, "SOURCES", {"first": source})
    monkeypatch.setattr(transfer, "PENALTIES", (0.1, 0.01))
    output = tmp_path / "transfer.json"
    arguments = ["--output", str(output), "--figures", str(tmp_path), "--seeds", "2"]
    transfer.main(arguments)
    results = read_json(output)
    assert (tmp_path / "transfer.svg").exists()
    assert "provenance" in results
    assert transfer.markdown(results["table"]) in capsys.readouterr().out
    for name, seeds in results["runs"]["first"].items():
        assert set(seeds) == {"0", "1"}
        assert ("source" in seeds["0"]) == (name != "untrained")
        assert set(seeds["0"]) - {"source"} == {"b", "c"}
        if name in ("linear + CE", "untrained"):  # features that no head changes
            assert seeds["0"]["b"]["backbone"] == seeds["0"]["b"]["h"]
    del results["runs"]["first"]["ETF + DR"]["1"]
    transfer.write_json(output, results)
    again = []
    monkeypatch.setattr(transfer, "run", lambda *args, run=transfer.run: again.append(args[1:3]) or run(*args))
    transfer.main(arguments)
    assert again == [("ETF + DR", 1)]
    assert read_json(output)["table"] == results["table"]  # the same numbers again
    monkeypatch.setattr(transfer, "SOURCES", {"first": transfer.Source("a", 2, None, 3, True, ("b", "c"))})
    with pytest.raises(SystemExit):
        transfer.main(arguments)
    assert "made with other settings" in capsys.readouterr().err


def test_the_document_shows_the_stored_results() -> None:
    results = read_json(QUESTIONS / "transfer.json")
    document = (DOCS / "transfer.md").read_text(encoding="utf-8")
    for table in transfer.markdown(results["table"]).split("\n\n"):
        assert table.strip() in document
