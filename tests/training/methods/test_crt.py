"""Classifier retraining: balanced batches, nothing but the head is trained, the same seed gives the same head."""

import math

import numpy as np
import pytest
import torch
from equiangular.training.methods.crt import class_balanced_indices, retrain_classifier
from equiangular.training.methods.second_stage import StoredFeatures

from equiangular.heads import ETFHead, LinearHead
from equiangular.training import Budget
from equiangular.training.methods import crt, get_method

GENERATOR = torch.Generator().manual_seed(0)
LABELS = torch.repeat_interleave(torch.tensor([2, 0, 3]), torch.tensor([90, 9, 1]))  # class 1 has no samples


def balanced_accuracy(head, features, labels):
    predicted = head(features).argmax(1)
    return np.mean([float((predicted[labels == c] == c).float().mean()) for c in labels.unique()])


def test_classes_are_drawn_alike_and_samples_alike_within_a_class():
    drawn = class_balanced_indices(LABELS, 30_000, torch.Generator().manual_seed(1))
    per_class = torch.bincount(LABELS[drawn], minlength=4).numpy()
    assert per_class[1] == 0
    np.testing.assert_allclose(per_class[[0, 2, 3]], 10_000, atol=5 * math.sqrt(30_000 * 2 / 9))
    per_sample = torch.bincount(drawn, minlength=100).numpy()
    np.testing.assert_allclose(per_sample[:90], 10_000 / 90, atol=6 * math.sqrt(10_000 / 90))
    np.testing.assert_allclose(per_sample[90:99], 10_000 / 9, atol=6 * math.sqrt(10_000 / 9))


def test_drawing_depends_on_the_generator_alone_and_any_order_of_labels_will_do():
    draws = [class_balanced_indices(LABELS, 500, torch.Generator().manual_seed(s)) for s in (3, 3, 4)]
    assert torch.equal(draws[0], draws[1])
    assert not torch.equal(draws[0], draws[2])
    order = torch.randperm(100, generator=GENERATOR)
    drawn = class_balanced_indices(LABELS[order], 3000, torch.Generator().manual_seed(5))
    assert int(torch.bincount(LABELS[order][drawn], minlength=4)[[0, 2, 3]].min()) > 850
    with pytest.raises(ValueError, match="needs at least one sample"):
        class_balanced_indices(LABELS[:0], 5, GENERATOR)


def test_retraining_is_deterministic_and_leaves_its_arguments_and_the_global_generator_alone(toy):
    head = LinearHead(6, 4, drop_rate=0.2)
    before, state = head.weight.detach().clone(), torch.get_rng_state()
    heads = [retrain_classifier(toy.inputs, toy.labels, head, seed=s) for s in (0, 0, 1)]
    assert torch.equal(heads[0].weight, heads[1].weight)
    assert not torch.equal(heads[0].weight, heads[2].weight)
    assert torch.equal(head.weight, before)
    assert head.training
    assert not heads[0].training
    assert torch.equal(torch.get_rng_state(), state)


def test_without_balancing_every_sample_is_seen_once_an_epoch(toy):
    seen = []

    def criterion(features, target, head, context):
        seen.append(features.detach())
        assert context.class_counts.tolist() == [40, 20, 8, 3]
        return head.logits_from_features(features).logsumexp(1).mean()

    budget = Budget(epochs=1, batch_size=16)
    options = {"seed": 0, "budget": budget, "criterion": criterion, "balanced": False}
    retrain_classifier(toy.inputs, toy.labels, LinearHead(6, 4), **options)
    rows = torch.cat(seen)
    assert len(rows) == len(toy.inputs)
    assert torch.equal(rows.sort(0)[0], toy.inputs.sort(0)[0])


def test_balanced_classes_lift_the_balanced_accuracy():
    """With few directions and much overlap, class sizes decide where the boundaries lie."""
    generator = torch.Generator().manual_seed(3)
    sizes = torch.tensor([400, 100, 25, 10])
    labels = torch.repeat_interleave(torch.arange(4), sizes)
    centres = 1.2 * torch.eye(4)
    features = centres[labels] + torch.randn(len(labels), 4, generator=generator)
    test_labels = torch.arange(4).repeat(500)
    test_features = centres[test_labels] + torch.randn(2000, 4, generator=generator)
    start = LinearHead(4, 4)
    plain = retrain_classifier(features, labels, start, seed=0, balanced=False)
    balanced = retrain_classifier(features, labels, start, seed=0)
    before, after = (balanced_accuracy(h, test_features, test_labels) for h in (plain, balanced))
    assert after > before + 0.08


def test_the_second_stage_starts_from_a_new_classifier(toy):
    (method,) = crt.METHODS
    assert (method.name, method.training_name) == ("linear-crt", "linear-ce")
    _, task = toy.train(get_method("linear-ce"), steps=5)
    features = task.backbone(toy.inputs).detach()
    trained = task.head.weight.detach().clone()
    head = method.second_stage(task.head, StoredFeatures(features, toy.labels), 0)
    assert torch.equal(task.head.weight, trained)
    fresh = method.build_head(12, 4, seed=0)
    assert torch.equal(crt.reinitialized(task.head).weight, fresh.weight)
    expected = retrain_classifier(features, toy.labels, fresh, seed=0)
    assert torch.equal(head.weight, expected.weight)
    assert balanced_accuracy(head, features, toy.labels) >= balanced_accuracy(task.head, features, toy.labels)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"features": torch.zeros(71, 5)}, "features must have width 6"),
        ({"labels": torch.full((71,), 4)}, r"labels must lie in \[0, 3\]"),
        ({"labels": torch.zeros(3, dtype=torch.long)}, "labels has 3 entries for 71 samples"),
        ({"head": ETFHead(6, 4)}, "got 0 learnable parameters.*A fixed head cannot be retrained"),
    ],
)
def test_bad_input(toy, change, message):
    good = {"features": toy.inputs, "labels": toy.labels, "head": LinearHead(6, 4)}
    with pytest.raises(ValueError, match=message):
        retrain_classifier(**{**good, **change}, seed=0)


def test_a_loss_that_is_not_finite_is_named(toy):
    def criterion(features, target, head, context):
        return head.logits_from_features(features).mean() * math.inf

    budget = Budget(epochs=1, batch_size=128)
    with pytest.raises(ValueError, match=r"the loss of the retraining became .* in epoch 0\. Lower its learning rate"):
        retrain_classifier(toy.inputs, toy.labels, LinearHead(6, 4), seed=0, criterion=criterion, budget=budget)
