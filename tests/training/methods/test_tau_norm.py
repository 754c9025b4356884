"""The tau-normalised method: shares its training with CE, changes norms only, drops the bias."""

import pytest
import torch
from equiangular.training.methods.second_stage import StoredFeatures

from equiangular.posthoc.tau_norm import choose_tau
from equiangular.training.methods import get_method, tau_norm

(METHOD,) = tau_norm.METHODS


def test_it_shares_the_training_of_cross_entropy():
    assert (METHOD.name, METHOD.head, METHOD.training_name) == ("linear-tau-norm", "linear", "linear-ce")
    assert METHOD.criterion is get_method("linear-ce").criterion


def test_second_stage_changes_norms_by_the_chosen_tau_and_drops_the_bias(toy, held_out):
    losses, task = toy.train(METHOD, steps=30)
    assert losses[-1] < losses[0]
    weight = task.head.weight.detach().clone()
    features, other = task.backbone(toy.inputs).detach(), task.backbone(held_out.inputs).detach()
    stored = StoredFeatures(features, toy.labels, other, held_out.labels)
    head = METHOD.second_stage(task.head, stored, 0)
    tau = choose_tau(other, held_out.labels, weight)
    norms = weight.norm(dim=1)
    torch.testing.assert_close(head.weight.detach(), weight / norms[:, None] ** tau)
    assert torch.equal(head.bias, torch.zeros(4))
    assert torch.equal(task.head.weight, weight)
    assert bool(task.head.bias.any())
    again = METHOD.second_stage(task.head, stored, 5)
    assert torch.equal(again.weight, head.weight)


def test_without_held_out_data_it_says_what_to_do(toy):
    task = toy.task(METHOD)
    with pytest.raises(ValueError, match=r"held-out training data, got none\. Hold a part"):
        METHOD.second_stage(task.head, StoredFeatures(task.backbone(toy.inputs).detach(), toy.labels), 0)
