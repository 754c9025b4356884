"""The view in three dimensions: geometry that is known, and what projections keep."""

import numpy as np
import pytest
import torch

from equiangular import simplex_etf
from equiangular.measures import ClassView, cosine_table


@pytest.mark.parametrize("num_classes", [4, 5, 10, 60])
def test_four_vectors_of_an_etf_are_a_regular_tetrahedron(num_classes: int) -> None:
    frame = simplex_etf(num_classes, num_classes + 3, seed=1)
    labels = torch.arange(num_classes).repeat(2)
    view = ClassView(labels, list(range(num_classes, 0, -1)))
    view.add(1, frame[labels], 7 * frame)  # the norm does not matter
    shown = view.project()
    points = np.array(shown["vectors"][0])
    distances = [np.linalg.norm(points[i] - points[j]) for i in range(4) for j in range(i)]
    assert np.ptp(distances) < 5e-3
    assert distances[0] == pytest.approx(np.sqrt(2 * num_classes / (num_classes - 1)), abs=5e-3)  # that of unit vectors
    np.testing.assert_allclose(points.mean(0), 0, atol=5e-3)
    corners = np.array([[1, 1, 1], [1, -1, -1], [-1, 1, -1], [-1, -1, 1]])
    assert ((points * corners).sum(1) > 0).all()  # turned to those of the drawing
    for part in ("features", "means"):  # collapsed: on the class vectors, but for the scale
        unit = np.array(shown[part][0])
        unit /= np.linalg.norm(unit, axis=1, keepdims=True)
        wanted = points[[view.classes.index(c) for c in labels[view.shown]]] if part == "features" else points
        np.testing.assert_allclose(unit, wanted / np.linalg.norm(wanted, axis=1, keepdims=True), atol=5e-3)


def test_merged_classes_lie_on_one_another() -> None:
    weight = torch.eye(6)
    weight[5] = weight[4]
    labels = torch.arange(6).repeat(3)
    view = ClassView(labels, [9, 8, 7, 6, 2, 2])
    view.add(1, torch.randn(18, 6, generator=torch.Generator().manual_seed(0)), weight)
    vectors = np.array(view.project()["vectors"][0])
    assert view.classes == [0, 1, 4, 5]
    assert np.linalg.norm(vectors[2] - vectors[3]) < 2e-3
    assert np.linalg.norm(vectors[0] - vectors[1]) > 1


@pytest.mark.parametrize(("counts", "dim"), [([3, 2], 1), ([3, 2], 5), ([4, 0, 3, 2], 2), ([5, 4, 3, 2, 1], 2)])
def test_few_classes_and_few_dimensions(counts: list[int], dim: int) -> None:
    labels = torch.arange(len(counts)).repeat_interleave(torch.tensor(counts))
    generator = torch.Generator().manual_seed(0)
    view = ClassView(labels, counts, samples=2)
    for epoch in (1, 2):
        features = torch.randn(len(labels), dim, generator=generator)
        view.add(epoch, features, torch.randn(len(counts), dim, generator=generator))
    shown = view.project()
    assert len(shown["features"]) == len(shown["means"]) == view.epochs[-1] == 2
    assert all(len(point) == 3 for part in shown.values() for epoch in part for point in epoch)
    assert np.isfinite(np.array(shown["features"])).all()
    assert all(counts[c] for c in view.classes)


def test_projection_keeps_what_lies_in_three_dimensions() -> None:
    weight = torch.randn(4, 3, generator=torch.Generator().manual_seed(1))
    labels = torch.arange(4).repeat(5)
    features = torch.randn(20, 3, generator=torch.Generator().manual_seed(2))
    view = ClassView(labels, [5] * 4)
    view.add(1, features, weight)
    points = np.array(view.project()["features"][0])
    means = np.stack([features[labels == c].mean(0).numpy() for c in range(4)])
    size = np.linalg.norm(means - means.mean(0), axis=1).mean()
    given = features[view.shown].numpy()
    distances = np.linalg.norm(given[:, None] - given[None], axis=2) / size
    np.testing.assert_allclose(np.linalg.norm(points[:, None] - points[None], axis=2), distances, atol=5e-3)


def test_cosines_about_the_mean_are_those_of_numpy() -> None:
    x = np.random.default_rng(0).normal(size=(5, 3))
    centred = x - x.mean(0)
    wanted = centred @ centred.T / np.outer(*[np.linalg.norm(centred, axis=1)] * 2)
    np.testing.assert_allclose(cosine_table(torch.tensor(x), centre=True), wanted, atol=5e-4)


def test_the_classes_shown_are_the_most_and_the_least_frequent() -> None:
    counts = [3, 9, 1, 7, 0, 5]
    labels = torch.arange(6).repeat_interleave(torch.tensor(counts))
    assert ClassView(labels, counts).classes == [1, 3, 0, 2]
