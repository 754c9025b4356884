"""Tau-normalisation of the trained linear classifier, tau chosen on held-out training data."""

from __future__ import annotations

import copy

import torch

from equiangular.heads import Head
from equiangular.posthoc.tau_norm import choose_tau, tau_normalized_weight
from equiangular.training.methods import cross_entropy
from equiangular.training.methods.second_stage import StoredFeatures, TwoStageMethod


@torch.no_grad()
def second_stage(head: Head, stored: StoredFeatures, seed: int) -> Head:
    """A copy of the head with class vectors w / ||w||^tau and without bias; nothing is retrained.

    Raises:
        ValueError: there is no held-out data to choose tau on.
    """
    if stored.held_out is None or not len(stored.held_out):
        raise ValueError(
            "tau-normalisation chooses tau on held-out training data, got none. Hold a part of the training data out."
        )
    head = copy.deepcopy(head).eval()
    tau = choose_tau(head(stored.held_out, pre_logits=True), stored.held_out_labels, head.weight)
    head.weight.copy_(tau_normalized_weight(head.weight, tau))
    if head.bias is not None:
        head.bias.zero_()
    return head


METHODS = (
    TwoStageMethod(
        "linear-tau-norm",
        "learnable linear + CE, tau-normalised",
        "linear",
        cross_entropy.criterion,
        "Kang et al. 2020",
        trained_as="linear-ce",
        balances=True,
        second_stage=second_stage,
    ),
)
