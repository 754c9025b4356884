"""Classifier retraining (cRT): the backbone as trained, a new classifier on top, trained with balanced classes."""

from __future__ import annotations

import copy
from collections.abc import Callable

import torch
from torch import Tensor

from equiangular._random import isolated_rng
from equiangular._validate import check_features, check_labels
from equiangular.heads import Head
from equiangular.training.batches import batch_bounds, epoch_generator
from equiangular.training.config import Budget
from equiangular.training.methods import cross_entropy
from equiangular.training.methods.base import Context, Criterion
from equiangular.training.methods.second_stage import StoredFeatures, TwoStageMethod
from equiangular.training.schedule import learning_rate_factor

# Ten epochs of the classifier alone; they cost little beside those of the network.
RETRAINING = Budget(epochs=10, batch_size=128, learning_rate=0.1, weight_decay=5e-4, warmup_epochs=0)


def class_balanced_indices(labels: Tensor, num_samples: int, generator: torch.Generator) -> Tensor:
    """Indices of samples drawn with replacement: first a class, all being equally likely, then one of its samples.

    Args:
        labels: (N,) integers; classes without samples are never drawn.
        num_samples: how many to draw.
        generator: CPU generator.

    Returns:
        (num_samples,) int64 on the CPU.

    Raises:
        ValueError: no labels.

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
    criterion: Criterion = cross_entropy.criterion,
    balanced: bool = True,
    after_step: Callable[[Head], None] | None = None,
) -> Head:
    """Train a head on stored features; the features stay as they are.

    An epoch is N samples, drawn with balanced classes or, with ``balanced=False``, every sample once. The result
    depends on the arguments alone: order and dropout come from ``seed``, and global generators are put back.

    Args:
        features: (N, in_features) floating point: what the head takes, on its device.
        labels: (N,) integers in [0, K).
        head: the head to start from; it is copied, not changed.
        seed: seed of the order of the samples and of dropout.
        budget: epochs, batch size, SGD and schedule of the retraining.
        criterion: see :class:`Method`; its context has the class counts of ``labels``.
        balanced: whether classes are drawn with equal probability.
        after_step: called with the head after each optimiser step, without gradients; a constraint may be put on the
            weights there.

    Returns:
        The trained copy, in evaluation mode.

    Raises:
        ValueError: wrong shapes or dtypes, labels out of range, NaN features, a head that has nothing to learn, or a
            loss that became NaN or infinite.

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
    optimizer = torch.optim.SGD(
        learned,
        lr=budget.learning_rate,
        momentum=budget.momentum,
        weight_decay=budget.weight_decay,
        nesterov=budget.momentum > 0,
    )
    bounds, step = batch_bounds(len(labels), budget.batch_size), 0
    with isolated_rng(seed):
        for epoch in range(budget.epochs):
            context = Context(counts, epoch, budget.epochs)
            order = _epoch_order(labels, balanced, epoch_generator(seed, epoch)).to(labels.device)
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
                raise ValueError(
                    f"the loss of the retraining became {float(loss.detach())} in epoch {epoch}. Lower its learning "
                    f"rate (now {budget.learning_rate}) or look for very large features."
                )
    return head.eval()


def _epoch_order(labels: Tensor, balanced: bool, generator: torch.Generator) -> Tensor:
    if balanced:
        return class_balanced_indices(labels, len(labels), generator)
    return torch.randperm(len(labels), generator=generator)


def reinitialized(head: Head) -> Head:
    """A copy with new class vectors, drawn from the head's seed; its BatchNorm and projection stay as trained."""
    fresh = copy.deepcopy(head)
    fresh.reset(head.num_classes)
    return fresh


def second_stage(head: Head, stored: StoredFeatures, seed: int) -> Head:
    """A new classifier, trained on the stored features with balanced classes."""
    return retrain_classifier(stored.features, stored.labels, reinitialized(head), seed=seed)


METHODS = (
    TwoStageMethod(
        "linear-crt",
        "learnable linear + CE, classifier retrained (cRT)",
        "linear",
        cross_entropy.criterion,
        "Kang et al. 2020",
        trained_as="linear-ce",
        balances=True,
        second_stage=second_stage,
    ),
)
