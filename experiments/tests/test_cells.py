from __future__ import annotations

from itertools import product

import pytest
import torch

from equiangular.heads import make_head
from equiangular.losses import dot_regression_loss
from equiangular.training.methods import Context
from experiments.in_batch_balance import balanced_in_batch, class_shares
from experiments.studies.cells import FACTORS, Cell, all_cells, defined

CLASSES, DIM = 4, 6
GENERATOR = torch.Generator().manual_seed(0)
X = torch.randn(12, DIM, generator=GENERATOR)
Y = torch.tensor([0, 0, 0, 0, 0, 0, 1, 1, 1, 2, 2, 0])  # class 3 is absent
COUNTS = torch.tensor([60.0, 30.0, 20.0, 5.0])


def test_every_combination_is_a_cell_or_undefined():
    names = {cell.name for cell in all_cells()}
    assert len(names) == len(all_cells())
    for levels in product(*FACTORS.values()):
        _, features, loss, correction, _ = levels
        wanted = not (loss in ("dr", "dot") and (features == "free" or correction in ("la", "vs")))
        assert ("/".join(levels) in names) == wanted == defined(features, loss, correction)


@pytest.mark.parametrize("cell", all_cells(), ids=lambda cell: cell.name)
def test_every_cell_has_a_criterion_with_one_finite_loss_and_gradient_for_each_sample(cell):
    method = cell.method(scale=4.0 if cell.tunes_scale else None)
    head = make_head(method.head, DIM, CLASSES, seed=0, **method.head_options)
    for target in (Y, (Y, Y.flip(0), 0.3)):
        x = X.clone().requires_grad_()
        losses = method.criterion(head(x, pre_logits=True), target, head, Context(COUNTS))
        assert losses.shape == (12,)
        losses.mean().backward()
        assert torch.isfinite(x.grad).all()
    assert method.corrected == (cell.correction == "pc")
    assert method.training_name == cell.training.name


def test_in_batch_balance_is_the_mean_of_class_means():
    losses = torch.arange(12.0)
    balanced = balanced_in_batch(lambda features, target, head, context: losses)
    head = make_head("etf", DIM, CLASSES, seed=0)
    by_class = torch.stack([losses[c == Y].mean() for c in range(3)]).mean()
    assert balanced(X, Y, head, Context(COUNTS)).mean().item() == pytest.approx(by_class.item(), rel=1e-6)


def test_in_batch_balance_equals_that_of_dot_regression_under_mixup_too():
    head = make_head("etf", DIM, CLASSES, seed=0)
    h = head(X, pre_logits=True)
    balanced = Cell("etf", "normalised", "dr", "batch", "none").method().criterion
    for target in (Y, (Y, Y.flip(0), 0.3)):
        expected = dot_regression_loss(h, target, head.weight, balance="batch")
        assert balanced(h, target, head, Context(COUNTS)).mean().item() == pytest.approx(expected.item(), rel=1e-5)


def test_weights_of_absent_classes_are_zero_and_the_others_average_to_one():
    weights = class_shares(torch.tensor([7.0, 3.0, 2.0, 0.0]))
    assert weights[3] == 0
    assert weights[Y].mean().item() == pytest.approx(1)


def test_settings_become_options_of_the_head():
    assert Cell("etf", "normalised", "ce", "none", "none").method().head_options["scale"] == 1.0
    assert Cell("etf", "normalised", "scaled-ce", "la", "none").method(8.0).head_options["scale"] == 8.0
    assert Cell("learnable", "free", "scaled-ce", "la", "none").method(0.5, "none").head_options["norm"] == "none"
    assert Cell("etf-grouped", "free", "scaled-ce", "vs", "none").method(0.5, "none").head_options["norm"] == "none"
    assert Cell("means", "free", "scaled-ce", "la", "none").method(0.5).similarity == 1.0
    assert Cell("etf", "free", "scaled-ce", "la", "none").method(0.5).similarity is None
    assert Cell("learnable-means", "normalised", "scaled-ce", "la", "none").method(0.5).head == "cosine"
    assert Cell("etf-mapped", "free", "scaled-ce", "la", "none").method(0.5).head_options["norm"] == "batch-first"


@pytest.mark.parametrize("cell", all_cells(), ids=lambda cell: cell.name)
def test_features_have_unit_norm_where_the_name_says_so_and_fixed_vectors_take_no_gradient(cell):
    method = cell.method(scale=4.0 if cell.tunes_scale else None)
    head = make_head(method.head, DIM, CLASSES, seed=0, **method.head_options)
    norms = head(X, pre_logits=True).norm(dim=1)
    unit = torch.allclose(norms, torch.ones_like(norms), atol=1e-5)
    assert unit == (cell.features == "normalised")
    if cell.fixed:
        assert not head.weight.requires_grad
    assert cell.fixed == (cell.head not in ("learnable", "learnable-means", "etf-rotated"))
    assert cell.kind == method.build_head(8, 4, seed=0).kind
    assert (cell.kind == "learned") == cell.learnable
    assert (cell.kind == "mapped") == (cell.head in ("etf-rotated", "etf-projected", "etf-mapped"))


def test_names_are_read_back():
    assert all(Cell.parse(cell.name) == cell for cell in all_cells())
    with pytest.raises(ValueError, match="a cell has the form head/features/loss/correction/mix, got 'etf/dr'"):
        Cell.parse("etf/dr")


@pytest.mark.parametrize(
    ("levels", "message"),
    [
        (("eft", "normalised", "ce", "none", "none"), "did you mean 'etf'"),
        (("etf", "normal", "ce", "none", "none"), "features must be one of"),
        (("learnable", "free", "dr", "none", "none"), "free features x dr x none is not defined"),
        (("etf", "normalised", "dr", "la", "none"), "logit adjustment and vector scaling need cross-entropy"),
    ],
)
def test_bad_levels(levels, message):
    with pytest.raises(ValueError, match=message):
        Cell(*levels)
