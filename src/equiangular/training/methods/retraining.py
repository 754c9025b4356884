"""Second stages: the backbone as trained, its classifier trained anew, bounded or normalised."""

from __future__ import annotations

import copy
from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor

from equiangular._random import isolated_rng
from equiangular._validate import check_features, check_labels, check_positive
from equiangular.heads import Head
from equiangular.posthoc.prior import choose_tau, tau_normalized_weight
from equiangular.training.config.budget import Budget, learning_rate_factor
from equiangular.training.config.draws import batch_bounds, epoch_generator
from equiangular.training.methods import criteria
from equiangular.training.methods.base import Context, Criterion, StoredFeatures, TrainingDivergedError

# Ten epochs of the classifier alone; they cost little beside those of the network.
RETRAINING = Budget(epochs=10, batch_size=128, learning_rate=0.1, weight_decay=5e-4, warmup_epochs=0)
# Weight balancing: the settings of the code released with it, for CIFAR-100-LT at an imbalance of 100.
STAGE_ONE_WEIGHT_DECAY = 5e-3
BOUNDED = Budget(epochs=10, batch_size=64, learning_rate=0.01, weight_decay=0.1, warmup_epochs=0)
RADIUS_POSITION = 0.1  # of the radius between the smallest and the largest norm after stage one


def class_balanced_indices(labels: Tensor, num_samples: int, generator: torch.Generator) -> Tensor:
    """Indices of samples drawn with replacement: first a class, all being equally likely, then one of its samples.

    The indices are (num_samples,) int64 on the CPU; classes without samples are never drawn.

    Example:
        >>> labels = torch.tensor([0] * 98 + [1] * 2)
        >>> drawn = class_balanced_indices(labels, 1000, torch.Generator().manual_seed(0))
        >>> 450 < int(labels[drawn].sum()) < 550
        True
    """
    labels = check_labels(labels, 2**31).cpu()
    if not len(labels):
        raise ValueError("class-balanced sampling needs at least one sample, got none.")
    order = labels.argsort(stable=True)
    counts = torch.unique(labels, return_counts=True)[1]
    chosen = torch.randint(len(counts), (num_samples,), generator=generator)
    place = (torch.rand(num_samples, generator=generator, dtype=torch.float64) * counts[chosen]).long()
    return order[(counts.cumsum(0) - counts)[chosen] + place]


def retrain_classifier(
    features: Tensor,
    labels: Tensor,
    head: Head,
    *,
    seed: int,
    budget: Budget = RETRAINING,
    criterion: Criterion = criteria.cross_entropy,
    balanced: bool = True,
    after_step: Callable[[Head], None] | None = None,
) -> Head:
    """Train a copy of a head on stored features, which stay as they are; it is returned in evaluation mode.

    An epoch is N samples, drawn with balanced classes or, with ``balanced=False``, every sample once. The result
    depends on the arguments alone: order and dropout come from ``seed``, and global generators are put back.

    Args:
        features: (N, in_features) floating point: what the head takes, on its device.
        labels: (N,) integers in [0, K).
        head: the head to start from; it is copied, not changed.
        seed, budget, balanced: as above; of the budget, epochs, batch size, SGD and schedule.
        criterion: see :class:`Method`; its context has the class counts of ``labels``.
        after_step: called with the head after each optimiser step, without gradients: the place for a constraint.

    Raises:
        ValueError: wrong shapes or dtypes, labels out of range, NaN features, a head that has nothing to learn.
        TrainingDivergedError: the loss became NaN or infinite.

    Example:
        >>> from equiangular.heads import LinearHead
        >>> features, labels = torch.eye(4), torch.arange(4)
        >>> head = retrain_classifier(features, labels, LinearHead(4, 4), seed=0, budget=Budget(epochs=50))
        >>> bool((head(features).argmax(1) == labels).all())
        True

    Source: Kang et al., "Decoupling representation and classifier for long-tailed recognition", ICLR 2020, section on
    classifier re-training. There the images are augmented anew; stored features are not.
    """
    check_features(features, dim=head.in_features)
    labels = check_labels(labels, head.num_classes, batch=features.shape[0])
    head = copy.deepcopy(head).train()
    learned = [p for p in head.parameters() if p.requires_grad]
    if not learned or len(labels) < 2:
        raise ValueError(
            f"retraining needs a head with parameters and two samples, got {len(learned)} learnable parameters and "
            f"{len(labels)} samples. A fixed head cannot be retrained: use a 'linear' or 'cosine' one."
        )
    counts = torch.bincount(labels, minlength=head.num_classes).to(features.dtype)
    common: dict[str, Any] = {"lr": budget.learning_rate, "weight_decay": budget.weight_decay}
    optimizer = torch.optim.SGD(learned, momentum=budget.momentum, nesterov=budget.momentum > 0, **common)
    bounds, step, number = batch_bounds(len(labels), budget.batch_size), 0, len(labels)
    with isolated_rng(seed):
        for epoch in range(budget.epochs):
            context = Context(counts, epoch, budget.epochs)
            draws = epoch_generator(seed, epoch)
            order = (
                class_balanced_indices(labels, number, draws) if balanced else torch.randperm(number, generator=draws)
            )
            order = order.to(labels.device)
            for start, stop in bounds:
                for group in optimizer.param_groups:
                    group["lr"] = budget.learning_rate * learning_rate_factor(step, len(bounds), budget)
                index = order[start:stop]
                loss = criterion(head(features[index], pre_logits=True), labels[index], head, context).mean()
                optimizer.zero_grad(set_to_none=True)
                loss.backward()
                optimizer.step()
                step += 1
                if after_step is not None:
                    with torch.no_grad():
                        after_step(head)
            if not torch.isfinite(loss.detach()):
                raise TrainingDivergedError(
                    f"the loss of the retraining became {float(loss.detach())} in epoch {epoch}. Lower its learning "
                    f"rate (now {budget.learning_rate}) or look for very large features."
                )
    return head.eval()


def reinitialized(head: Head) -> Head:
    """A copy with new class vectors, drawn from the head's seed; its BatchNorm and projection stay as trained."""
    fresh = copy.deepcopy(head)
    fresh.reset(head.num_classes)
    return fresh


def retrained(head: Head, stored: StoredFeatures, seed: int) -> Head:
    """cRT: a new classifier, trained on the stored features with balanced classes."""
    return retrain_classifier(stored.features, stored.labels, reinitialized(head), seed=seed)


def retrained_smoothly(head: Head, stored: StoredFeatures, seed: int) -> Head:
    """MiSLAS: a new classifier, trained with balanced classes and smoothed labels.

    The source's shifted BatchNorm and learnable weight scaling are left out.
    """
    smoothing = criteria.label_aware_smoothing
    return retrain_classifier(stored.features, stored.labels, reinitialized(head), seed=seed, criterion=smoothing)


@torch.no_grad()
def tau_normalized(head: Head, stored: StoredFeatures, seed: int) -> Head:
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


@torch.no_grad()
def max_norm_(weight: Tensor, radius: float) -> Tensor:
    """Bring class vectors longer than ``radius`` back to it, in place: w_k <- w_k min(1, radius / ||w_k||).

    Example:
        >>> max_norm_(torch.tensor([[3.0, 4.0], [0.0, 0.5]]), 1.0)
        tensor([[0.6000, 0.8000],
                [0.0000, 0.5000]])

    Source: Alshammari et al., "Long-tailed recognition via weight balancing", CVPR 2022, MaxNorm by projected gradient
    descent.
    """
    check_features(weight, name="weight")
    norms = torch.linalg.vector_norm(weight, dim=1, keepdim=True)
    return weight.mul_((check_positive(radius, "radius") / norms).clamp(max=1))


def balanced_weights(head: Head, stored: StoredFeatures, seed: int) -> Head:
    """The classifier trained on with class-balanced cross-entropy, strong weight decay and a bound on its norms."""
    norms = torch.linalg.vector_norm(head.weight.detach(), dim=1)
    radius = float(norms.min() + RADIUS_POSITION * (norms.max() - norms.min()))
    return retrain_classifier(
        stored.features,
        stored.labels,
        head,
        seed=seed,
        budget=BOUNDED,
        criterion=criteria.class_balanced,
        balanced=False,
        after_step=lambda trained: max_norm_(trained.weight, radius),
    )
