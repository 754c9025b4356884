from __future__ import annotations

import pytest
import torch

from equiangular.heads import make_head
from equiangular.losses import dot_regression_loss
from equiangular.studies.cells import CORRECTIONS, HEADS, LOSSES, MIXES, Cell, all_cells, defined
from equiangular.training.methods import Context
from equiangular.training.methods.in_batch_balance import balanced_in_batch, class_shares

CLASSES, DIM = 4, 6
GENERATOR = torch.Generator().manual_seed(0)
X = torch.randn(12, DIM, generator=GENERATOR)
Y = torch.tensor([0, 0, 0, 0, 0, 0, 1, 1, 1, 2, 2, 0])  # class 3 is absent
COUNTS = torch.tensor([60.0, 30.0, 20.0, 5.0])


def test_every_combination_is_a_cell_or_undefined():
    names = {cell.name for cell in all_cells()}
    assert len(names) == len(all_cells())
    for head in HEADS:
        for loss in LOSSES:
            for correction in CORRECTIONS:
                for mix in MIXES:
                    wanted = not (loss in ("dr", "dot") and (head == "linear" or correction == "la"))
                    assert (f"{head}/{loss}/{correction}/{mix}" in names) == wanted == defined(head, loss, correction)


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
    balanced = Cell("etf", "dr", "batch", "none").method().criterion
    for target in (Y, (Y, Y.flip(0), 0.3)):
        expected = dot_regression_loss(h, target, head.weight, balance="batch")
        assert balanced(h, target, head, Context(COUNTS)).mean().item() == pytest.approx(expected.item(), rel=1e-5)


def test_weights_of_absent_classes_are_zero_and_the_others_average_to_one():
    weights = class_shares(torch.tensor([7.0, 3.0, 2.0, 0.0]))
    assert weights[3] == 0
    assert weights[Y].mean().item() == pytest.approx(1)


def test_settings_of_the_scale():
    assert Cell("etf", "ce", "none", "none").method().head_options["scale"] == 1.0
    assert Cell("etf", "scaled-ce", "la", "none").method(8.0).head_options["scale"] == 8.0


@pytest.mark.parametrize(
    ("levels", "message"),
    [
        (("eft", "ce", "none", "none"), "did you mean 'etf'"),
        (("linear", "dr", "none", "none"), "not defined"),
        (("etf", "dr", "la", "none"), "logit adjustment needs cross-entropy"),
    ],
)
def test_bad_levels(levels, message):
    with pytest.raises(ValueError, match=message):
        Cell(*levels)
