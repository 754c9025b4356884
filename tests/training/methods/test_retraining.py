"""Second stages: classifiers retrained, smoothed, bounded and normalised; the same seed gives the same head."""

import math

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from equiangular.heads import ETFHead, LinearHead
from equiangular.posthoc.tau_norm import choose_tau
from equiangular.training import Budget
from equiangular.training.methods import StoredFeatures, get_method
from equiangular.training.methods.retraining import class_balanced_indices, max_norm_, reinitialized, retrain_classifier

CRT, SMOOTH = get_method("linear-crt"), get_method("linear-crt-las")
TAU, BOUNDED = get_method("linear-tau-norm"), get_method("linear-wb")
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
    assert CRT.training_name == "linear-ce"
    _, task = toy.train(get_method("linear-ce"), steps=5)
    features = task.backbone(toy.inputs).detach()
    trained = task.head.weight.detach().clone()
    head = CRT.second_stage(task.head, StoredFeatures(features, toy.labels), 0)
    assert torch.equal(task.head.weight, trained)
    fresh = CRT.build_head(12, 4, seed=0)
    assert torch.equal(reinitialized(task.head).weight, fresh.weight)
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


def test_two_stages_share_the_training_of_cross_entropy_and_smooth_in_the_second(toy):
    assert SMOOTH.training_name == "linear-ce"
    _, task = toy.train(get_method("linear-ce"), steps=5)
    features = task.backbone(toy.inputs).detach()
    head = SMOOTH.second_stage(task.head, StoredFeatures(features, toy.labels), 3)
    fresh = SMOOTH.build_head(12, 4, seed=0)
    smoothed = retrain_classifier(features, toy.labels, fresh, seed=3, criterion=get_method("linear-las").criterion)
    assert torch.equal(head.weight, smoothed.weight)
    plain = retrain_classifier(features, toy.labels, fresh, seed=3)
    confidence = [h(features).softmax(1).max(1).values[:40].mean().item() for h in (head, plain)]
    assert confidence[0] < confidence[1]  # the largest class is smoothed by 0.3


def test_tau_norm_shares_the_training_of_cross_entropy():
    assert (TAU.head, TAU.training_name) == ("linear", "linear-ce")
    assert TAU.criterion is get_method("linear-ce").criterion


def test_tau_norm_changes_norms_by_the_chosen_tau_and_drops_the_bias(toy, held_out):
    losses, task = toy.train(TAU, steps=30)
    assert losses[-1] < losses[0]
    weight = task.head.weight.detach().clone()
    features, other = task.backbone(toy.inputs).detach(), task.backbone(held_out.inputs).detach()
    stored = StoredFeatures(features, toy.labels, other, held_out.labels)
    head = TAU.second_stage(task.head, stored, 0)
    tau = choose_tau(other, held_out.labels, weight)
    norms = weight.norm(dim=1)
    torch.testing.assert_close(head.weight.detach(), weight / norms[:, None] ** tau)
    assert torch.equal(head.bias, torch.zeros(4))
    assert torch.equal(task.head.weight, weight)
    assert bool(task.head.bias.any())
    again = TAU.second_stage(task.head, stored, 5)
    assert torch.equal(again.weight, head.weight)


def test_tau_norm_without_held_out_data_says_what_to_do(toy):
    task = toy.task(TAU)
    with pytest.raises(ValueError, match=r"held-out training data, got none\. Hold a part"):
        TAU.second_stage(task.head, StoredFeatures(task.backbone(toy.inputs).detach(), toy.labels), 0)


@given(seed=st.integers(0, 1000), radius=st.floats(0.1, 5))
def test_projection_is_the_nearest_point_of_the_ball(seed, radius):
    weight = torch.randn(6, 4, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)
    before = weight.clone()
    assert max_norm_(weight, radius) is weight
    for row, old in zip(weight, before, strict=True):
        norm = float(old.norm())
        torch.testing.assert_close(row, old if norm <= radius else old * (radius / norm))
    assert torch.equal(max_norm_(weight.clone(), radius * (1 + 1e-12)), weight)


def test_a_zero_row_stays_and_bad_input_is_named():
    assert max_norm_(torch.zeros(2, 3), 1.0).tolist() == [[0.0] * 3] * 2
    with pytest.raises(ValueError, match="radius must be a finite number above 0, got 0"):
        max_norm_(torch.ones(2, 3), 0.0)
    with pytest.raises(ValueError, match="weight has NaN"):
        max_norm_(torch.full((2, 3), math.nan), 1.0)


def test_stage_one_learns_under_its_own_weight_decay(check_learns):
    assert BOUNDED.training_name == "linear-wb"
    check_learns(BOUNDED)
    assert Budget().with_changes(**BOUNDED.budget_changes).weight_decay == 5e-3


def test_stage_two_goes_on_from_the_trained_classifier_inside_the_ball(toy):
    _, task = toy.train(BOUNDED, steps=40)
    features = task.backbone(toy.inputs).detach()
    trained = task.head.weight.detach().clone()
    norms = trained.norm(dim=1)
    radius = float(norms.min() + 0.1 * (norms.max() - norms.min()))
    stored = StoredFeatures(features, toy.labels)
    head = BOUNDED.second_stage(task.head, stored, 0)
    after = head.weight.detach().norm(dim=1)
    assert float(after.max()) <= radius * (1 + 1e-6)
    assert float(after.max() / after.min()) < float(norms.max() / norms.min())
    cosines = torch.cosine_similarity(head.weight.detach(), trained)
    assert float(cosines.min()) > 0.5
    assert torch.equal(BOUNDED.second_stage(task.head, stored, 0).weight, head.weight)
    assert torch.equal(task.head.weight, trained)
