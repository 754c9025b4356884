"""How classes lie in an encoder's space, against NumPy, and its page."""

from pathlib import Path

import numpy as np
import torch
from tests.report.test_page import Cells, data_of

from equiangular.data import Dataset
from equiangular.encoders.overview import overview
from equiangular.report.embedding import write_embedding_page

COUNTS = (40, 30, 20, 6, 3)


def made() -> Dataset:
    generator = torch.Generator().manual_seed(0)
    labels = torch.arange(5).repeat_interleave(torch.tensor(COUNTS))
    x = torch.randn(5, 8, generator=generator)[labels] + 0.2 * torch.randn(len(labels), 8, generator=generator)
    x[labels == 4] = x[labels == 1][:3] + 0.01  # all but the same class
    return Dataset("made", x, labels, x, labels, tuple("abcde"), "vectors", "here", encoder={"name": "mine"})


def test_cosines_and_closest_classes_are_those_of_numpy() -> None:
    data = made()
    found = overview(data)
    x, y = data.train_x.double().numpy(), data.train_y.numpy()
    means = np.stack([x[y == c].mean(0) for c in range(5)])
    means -= means.mean(0)
    means /= np.linalg.norm(means, axis=1, keepdims=True)
    cosines = means @ means.T
    np.testing.assert_allclose(found["cosines"], cosines, atol=6e-4)
    pairs = sorted(((cosines[i, j], i, j) for i in range(5) for j in range(i + 1, 5)), reverse=True)
    assert [tuple(pair[:2]) for pair in found["closest"]] == [(i, j) for _, i, j in pairs]
    assert found["closest"][0][:2] == [1, 4]
    assert found["train"] == list(COUNTS)
    assert found["view"]["classes"] == [0, 1, 3, 4]
    assert len(found["view"]["features"][0]) == 25 + 25 + 6 + 3


def test_the_page_has_what_was_found(tmp_path: Path) -> None:
    found = {**overview(made()), "file": "x.safetensors", "provenance": {"command": "equiangular embed"}}
    text = write_embedding_page(found, tmp_path / "x.html").read_text()
    rows = Cells(text).tables
    assert [[text for text, _ in row[:2]] for row in rows["closest"][1:2]] == [["b", "e"]]
    assert [float(row[2][1]) for row in rows["closest"][1:]] == [cosine for *_, cosine in found["closest"]]
    assert [row[1][1] for row in rows["class-table"][1:]] == list(map(str, COUNTS))
    assert data_of(text)["pairs"]["view"]["choices"]["mine"]["means"] == found["view"]["means"]
