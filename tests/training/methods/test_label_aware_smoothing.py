"""Label-aware smoothing in one stage, and in a retrained classifier."""

import torch
from equiangular.training.methods.crt import retrain_classifier
from equiangular.training.methods.second_stage import StoredFeatures

from equiangular.losses.label_aware_smoothing import label_aware_smoothing_loss
from equiangular.training import Context
from equiangular.training.methods import get_method, label_aware_smoothing

ONE, TWO = label_aware_smoothing.METHODS


def test_one_stage_learns_and_is_the_smoothed_loss_of_the_logits(toy, check_learns):
    assert ONE.name == "linear-las"
    check_learns(ONE)
    task = toy.task(ONE)
    loss = toy.loss(task, toy.inputs, toy.labels, Context(toy.counts))
    torch.testing.assert_close(loss, label_aware_smoothing_loss(task(toy.inputs)["logits"], toy.labels, toy.counts))


def test_two_stages_share_the_training_of_cross_entropy_and_smooth_in_the_second(toy):
    assert (TWO.name, TWO.training_name) == ("linear-crt-las", "linear-ce")
    _, task = toy.train(get_method("linear-ce"), steps=5)
    features = task.backbone(toy.inputs).detach()
    head = TWO.second_stage(task.head, StoredFeatures(features, toy.labels), 3)
    fresh = TWO.build_head(12, 4, seed=0)
    smoothed = retrain_classifier(features, toy.labels, fresh, seed=3, criterion=ONE.criterion)
    assert torch.equal(head.weight, smoothed.weight)
    plain = retrain_classifier(features, toy.labels, fresh, seed=3)
    confidence = [h(features).softmax(1).max(1).values[:40].mean().item() for h in (head, plain)]
    assert confidence[0] < confidence[1]  # the largest class is smoothed by 0.3
