from __future__ import annotations

import pytest
import torch
from torch import nn

import equiangular as eq
from equiangular.frames import is_simplex_etf
from equiangular.heads.registry import needs_projection


@pytest.mark.parametrize(("width", "classes"), [(64, 10), (64, 16), (64, 17), (8, 26), (1, 2), (20, 2), (9, 10)])
def test_an_etf_fits_for_every_number_of_classes_and_every_width(width, classes):
    head = eq.recommended_head(width, classes)
    projected = width < 4 * classes
    assert needs_projection(width, classes) == projected == (head.projection_kind == "linear")
    assert head.dim == (classes - 1 if projected else width)
    assert is_simplex_etf(head.weight)
    assert not head.weight.requires_grad
    # Two numbers of BatchNorm for each feature, and a linear map with a bias where there is one.
    assert head.head_parameters() == 2 * width + ((width + 1) * (classes - 1) if projected else 0)


@pytest.mark.parametrize("classes", [3, 5])
def test_logits_are_those_of_the_formula(classes):
    head = eq.recommended_head(12, classes, seed=3).eval()
    x = torch.randn(7, 12, generator=torch.Generator().manual_seed(0))
    norm = head.norm
    normalised = nn.functional.batch_norm(x, norm.running_mean, norm.running_var, norm.weight, norm.bias)
    assert torch.allclose(head(x), head.projection(normalised) @ head.weight.T, atol=1e-6)


@pytest.mark.parametrize(("width", "classes"), [(12, 3), (12, 5)])
def test_options_win_and_the_name_makes_the_same_head(width, classes):
    changed = eq.recommended_head(width, classes, projection="mlp", scale=0.5)
    assert (changed.scale.item(), changed.projection_kind) == (0.5, "mlp")
    assert eq.recommended_head(width, classes, projection=None).dim == width
    assert eq.recommended_head(width, classes, projection="linear").dim == classes - 1
    ours, named = eq.recommended_head(width, classes, seed=1), eq.make_head("recommended", width, classes, seed=1)
    assert all(torch.equal(a, b) for a, b in zip(ours.state_dict().values(), named.state_dict().values(), strict=True))


def test_it_is_attached_by_name():
    model = eq.attach(nn.Sequential(nn.Linear(6, 8), nn.ReLU(), nn.Linear(8, 30)), head="recommended")
    assert model(torch.randn(4, 6)).shape == (4, 30)


def test_class_means_give_vectors_with_their_cosines():
    means = torch.randn(5, 40, generator=torch.Generator().manual_seed(0))
    head = eq.recommended_head(12, 5, class_means=means, seed=2)
    centred = nn.functional.normalize(means - means.mean(0), dim=1)
    torch.testing.assert_close(head.weight @ head.weight.T, centred @ centred.T, rtol=0, atol=1e-5)
    assert (head.normalize, float(head.scale), head.head_parameters()) == (True, 4.0, 24)
    model = eq.attach(nn.Sequential(nn.ReLU(), nn.Linear(12, 5)), head="recommended", class_means=means)
    assert model(torch.randn(3, 12)).shape == (3, 5)


def test_what_is_wrong_is_named():
    with pytest.raises(ValueError, match="num_classes"):
        eq.recommended_head(12, 1)
    with pytest.raises(ValueError, match="did you mean 'recommended'"):
        eq.make_head("recomended", 12, 5)
    with pytest.raises(ValueError, match="class_means has 4 rows for 5 classes"):
        eq.recommended_head(12, 5, class_means=torch.randn(4, 7))
    with pytest.raises(ValueError, match="unknown option 'class_means' of the head 'etf'"):
        eq.make_head("etf", 12, 5, class_means=torch.randn(5, 7))
    with pytest.raises(ValueError, match="did you mean 'scale'"):
        eq.make_head("recommended", 12, 5, scal=2.0)


def test_class_means_of_the_features_themselves_are_not_turned():
    means = torch.randn(5, 12, generator=torch.Generator().manual_seed(0))
    head = eq.recommended_head(12, 5, class_means=means, projection="residual")
    torch.testing.assert_close(head.weight, nn.functional.normalize(means, dim=1))
    assert (head.kind, float(head.scale), head.norm_kind) == ("mapped", 16.0, "none")
    assert torch.equal(head(means).argmax(1), torch.arange(5))  # the nearest mean before any training
    with pytest.raises(ValueError, match="class_means must have width 12"):
        eq.recommended_head(12, 5, class_means=torch.randn(5, 7), projection="residual")


def step(head, x):
    nn.functional.cross_entropy(head(x), torch.arange(len(x)) % head.num_classes).backward()


def test_frozen_features_that_nothing_turns_are_told_once():
    head, x = eq.recommended_head(64, 5), torch.randn(8, 64, generator=torch.Generator().manual_seed(0))
    with pytest.warns(UserWarning, match="only BatchNorm learns. Behind a frozen encoder.*projection='linear'"):
        step(head, x)
    step(head, x)


def test_features_that_are_turned_bring_no_warning():
    x = torch.randn(8, 64, generator=torch.Generator().manual_seed(0))
    step(eq.recommended_head(64, 5, projection="linear"), x)
    step(eq.recommended_head(64, 5), nn.Linear(64, 64)(x))
    step(eq.make_head("cosine", 64, 5, norm="batch"), x)
    eq.recommended_head(64, 5)(x)  # nothing is trained
