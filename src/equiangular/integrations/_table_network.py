"""The network behind :class:`ETFClassifier` and its training, in plain torch: the extra brings scikit-learn only."""

from __future__ import annotations

import copy
import math
from collections.abc import Callable, Iterable
from itertools import pairwise
from typing import Any

import torch
from torch import Tensor, nn

from equiangular._random import make_generator
from equiangular.frames import class_mean_frame
from equiangular.heads import ETFHead, Head, recommended_head
from equiangular.heads.functional import make_projection
from equiangular.losses import dot_regression_loss, logit_adjusted_cross_entropy, soft_target_cross_entropy

LOSSES = ("ce", "la", "dr")


class TableNetwork(nn.Module):
    """Standardised columns, hidden layers and a head.

    Args:
        columns: d.
        hidden: layers between the columns and the head.
        head: what follows them.
        by_column: whether each column is brought to mean 0 and variance 1. Vectors of an encoder keep their angles: one
            number brings them to a mean square norm of 1.
        dtype: dtype of the network.
    """

    mean: Tensor
    std: Tensor

    def __init__(
        self, columns: int, hidden: nn.Module, head: Head, *, by_column: bool = True, dtype: torch.dtype | None = None
    ) -> None:
        super().__init__()
        self.register_buffer("mean", torch.zeros(columns, dtype=dtype))
        self.register_buffer("std", torch.ones(columns, dtype=dtype))
        self.hidden, self.head, self.by_column = hidden, head, by_column

    def standardise(self, x: Tensor, weight: Tensor) -> None:
        """Take up the weighted mean and standard deviation of the columns of x (N, columns)."""
        if self.by_column:
            self.mean, self.std = weighted_moments(x, weight)
            beyond = (~torch.isfinite(self.std)).nonzero().flatten().tolist()
            if beyond:
                raise ValueError(
                    f"column {beyond[0]} of X is too large: {str(x.dtype).removeprefix('torch.')} does not hold the "
                    "squares of its values. Scale it."
                )
        else:
            size = ((weight / weight.sum())[:, None] * x.square()).sum().sqrt()
            self.std = torch.where(size > 0, size, 1.0).expand_as(self.std).clone()

    def forward(self, x: Tensor) -> tuple[Tensor, Tensor]:
        """Features (N, K) and logits (N, K) of a table (N, columns)."""
        return self.head.features_and_logits(self.hidden((x - self.mean) / self.std))

    def losses(self, x: Tensor, y: Tensor, loss: str, class_counts: Tensor) -> Tensor:
        """The loss of every sample, (N,). A class without samples pushes and is pushed by none."""
        features, logits = self(x)
        if loss == "dr":
            return dot_regression_loss(features, y, self.head.class_vectors(), reduction="none")
        seen = class_counts > 0
        if not bool(seen.all()):
            place = seen.to(y.device)
            logits, y, class_counts = logits[:, place], (place.cumsum(0) - 1)[y], class_counts[seen]
        if loss == "la":
            return logit_adjusted_cross_entropy(logits, y, class_counts, reduction="none")
        return soft_target_cross_entropy(logits, y, reduction="none")


def weighted_moments(x: Tensor, weight: Tensor) -> tuple[Tensor, Tensor]:
    """Weighted mean and standard deviation of columns, (d,) each; 1 for the deviation of a constant column.

    Example:
        >>> weighted_moments(torch.tensor([[1.0, 2.0], [3.0, 2.0]]), torch.ones(2))
        (tensor([2., 2.]), tensor([1., 1.]))
    """
    share = (weight / weight.sum())[:, None]
    mean = (share * x).sum(0)
    std = (share * (x - mean).square()).sum(0).sqrt()
    constant = std <= 10 * torch.finfo(x.dtype).eps * mean.abs()
    return mean, torch.where(constant, 1.0, std)


def etf_network(
    columns: int,
    hidden: Iterable[int],
    num_classes: int,
    *,
    kind: str = "etf",
    prototypes: Tensor | None = None,
    class_means: Tensor | None = None,
    normalize: bool,
    seed: int,
    dtype: torch.dtype,
) -> TableNetwork:
    """Standardised columns, hidden layers with ReLU, and a head of fixed class vectors.

    ``"etf"``: a linear map to K dimensions, unit norm, and a simplex ETF, or the ``prototypes`` (K, d) after a map to d
    dimensions, or vectors with the cosines of ``class_means`` (K, p). One dimension more than the K - 1 of the simplex:
    a sample that belongs nowhere can point there, where in K - 1 dimensions every unit vector leans towards some
    class (and for K = 2 there would be two of them only). ``"recommended"``:
    :func:`equiangular.heads.recommended_head`; without hidden layers it has a map in front of it.
    """
    like, generator = torch.empty(0, dtype=dtype), make_generator(seed)
    sizes = [columns, *hidden]
    layers: list[nn.Module] = []
    for before, after in pairwise(sizes):
        layers += [make_projection("linear", before, after, generator=generator, like=like), nn.ReLU()]
    head: Head
    if kind == "recommended":
        mapped: dict[str, Any] = {} if layers else {"projection": "linear"}
        given = {} if prototypes is None else {"prototypes": prototypes, "dim": prototypes.shape[1], **_LINEAR}
        own: dict[str, Any] = {**mapped, **given, "seed": seed, "dtype": dtype}
        head = recommended_head(sizes[-1], num_classes, class_means=class_means, **own)
    else:
        if class_means is not None:
            prototypes = class_mean_frame(class_means, num_classes, seed=seed)
        dim = num_classes if prototypes is None else prototypes.shape[1]
        options: dict[str, Any] = {"prototypes": prototypes, "dim": dim, "seed": seed, "dtype": dtype}
        head = ETFHead(sizes[-1], num_classes, projection="linear", normalize=normalize, **options)
    return TableNetwork(columns, nn.Sequential(*layers), head, dtype=dtype)


_LINEAR = {"projection": "linear"}


def batches(order: Tensor, batch_size: int) -> list[Tensor]:
    """Positions by the batch; a last one that would be alone joins the batch before it, as BatchNorm needs two.

    Example:
        >>> [len(part) for part in batches(torch.arange(7), 3)]
        [3, 4]
    """
    parts = list(order.split(batch_size))
    if len(parts) > 1 and len(parts[-1]) == 1:
        parts[-2:] = [torch.cat(parts[-2:])]
    return parts


def train(
    network: TableNetwork,
    x: Tensor,
    y: Tensor,
    weight: Tensor,
    criterion: Callable[[Tensor, Tensor], Tensor],
    *,
    validation: tuple[Tensor, Tensor, Tensor] | None,
    epochs: int,
    batch_size: int,
    learning_rate: float,
    weight_decay: float,
    patience: int,
    seed: int,
) -> tuple[list[float], list[float]]:
    """AdamW with a cosine schedule on sum_i w_i loss_i / sum_i w_i; the learning rate falls to 0 over the epochs.

    Args:
        network: what is trained, in place.
        x, y, weight: (N, d) table, (N,) int64 classes, and (N,) sample weights above 0, of any scale.
        criterion: ``criterion(x, y) -> (B,)`` losses of samples.
        validation: x, y and weights of held-out samples; training then stops once their loss has not fallen for
            ``patience`` epochs, and the best weights are put back.
        epochs, batch_size, learning_rate, weight_decay, patience, seed: as of :class:`ETFClassifier`.

    Returns:
        Mean training loss and, with ``validation``, held-out loss of every epoch.

    Raises:
        ValueError: the loss is no longer finite.
    """
    weight = weight / weight.mean()
    network.standardise(x, weight)
    optimizer = torch.optim.AdamW(network.parameters(), lr=learning_rate, weight_decay=weight_decay)
    curve: list[float] = []
    held_out: list[float] = []
    best: dict[str, Any] = {}
    generator = make_generator(seed)
    for epoch in range(epochs):
        for group in optimizer.param_groups:
            group["lr"] = learning_rate * 0.5 * (1 + math.cos(math.pi * epoch / epochs))
        total = 0.0
        network.train()
        for index in batches(torch.randperm(len(y), generator=generator).to(y.device), batch_size):
            loss = (weight[index] * criterion(x[index], y[index])).mean()
            optimizer.zero_grad(set_to_none=True)
            loss.backward()
            optimizer.step()
            total += float(loss.detach()) * len(index)
        curve.append(total / len(y))
        if not math.isfinite(curve[-1]):
            raise ValueError(
                f"the loss became {curve[-1]} in epoch {epoch}. Lower learning_rate (now {learning_rate}), or look for "
                "values in X that are far out of range."
            )
        if validation is not None:
            network.eval()
            with torch.no_grad():
                held_x, held_y, share = validation
                held_out.append(float((share * criterion(held_x, held_y)).sum() / share.sum()))
            if held_out[-1] <= min(held_out):
                best = copy.deepcopy(network.state_dict())
            elif epoch - held_out.index(min(held_out)) >= patience:
                break
    if best:
        network.load_state_dict(best)
    return curve, held_out
