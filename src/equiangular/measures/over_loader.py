"""Measure the collapse of any model over a data loader: two lines for the user."""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Any

import torch
from torch import Tensor, nn

from equiangular._notebook import collapse
from equiangular.heads.locate import evaluating
from equiangular.measures.probe import unwrapped, watch


@torch.no_grad()
def measure_collapse(
    model: nn.Module,
    loader: Iterable[Any],
    *,
    classifier: str | nn.Module | None = None,
    layers: str | Sequence[str] = (),
    nc4: bool = True,
    ood: Iterable[Any] | None = None,
    device: torch.device | str | None = None,
    **options: Any,
) -> dict[str, Tensor]:
    """Measure a model over a data loader, in evaluation mode; every module's mode is put back.

    For the measures of neural collapse as defined, give the training data without augmentation: mu_c is the mean over
    all training samples of class c. Where torch.distributed is initialised every process gives its shard and gets the
    measures of the whole. Returns all measures by name, 0-dim tensors; a notebook shows them as a page.

    Args:
        model: any module; what torch.compile or a distributed wrapper put around it is taken off.
        loader: batches ``(inputs, labels)``, or mappings with ``"labels"`` or ``"label"`` whose other entries are the
            model's keyword arguments. It is gone through twice with ``nc4``.
        classifier: see :func:`equiangular.measures.watch`.
        layers: see :func:`equiangular.measures.watch`.
        nc4: whether to make the second pass, which compares decisions with the nearest class mean of the first.
        ood: batches of samples that belong to no class, as ``loader`` gives them, labels ignored, or inputs alone; adds
            NC5.
        device: device to move the batches to; by default that of the model's first parameter.
        options: options of :class:`equiangular.NeuralCollapse`.

    Raises:
        ValueError: no classifier, an empty loader, a loader that can be gone through only once where two passes are
            needed, or batches without labels.

    Example:
        >>> model = nn.Sequential(nn.Linear(8, 16), nn.ReLU(), nn.Linear(16, 3))
        >>> data = torch.utils.data.TensorDataset(torch.randn(30, 8), torch.arange(30) % 3)
        >>> measured = measure_collapse(model, torch.utils.data.DataLoader(data, batch_size=10))
        >>> {"nc1", "nc2_etf", "nc3", "nc4"} <= set(measured)
        True
    """
    if nc4 and isinstance(loader, Iterator):
        raise ValueError(
            f"loader is an iterator ({type(loader).__name__}): it can be gone through once, and NC4 needs two passes. "
            "Give a DataLoader or a list of batches, or pass nc4=False."
        )
    model = unwrapped(model)
    parameter = next(model.parameters(), None)
    device = (parameter.device if parameter is not None else "cpu") if device is None else device
    with evaluating(model):
        with watch(model, classifier=classifier, layers=layers, **options) as watched:
            _run(model, loader, device, watched.update)
            for batch in ood if ood is not None else ():
                args, kwargs, _ = split_batch(batch, device, labelled=False)
                model(*args, **kwargs)
                watched.update_ood()
            results = watched.compute()
        if nc4:
            options |= {"reference_means": watched.measured().class_means(), "covariance": False}
            with watch(model, classifier=watched.classifier, **options) as second:
                _run(model, loader, device, second.update)
                results |= second.measured().agreement()
    return collapse({key: value for key, value in results.items() if not key.startswith("nc4_running")})


def split_batch(
    batch: Any, device: Any, *, labelled: bool = True
) -> tuple[tuple[Any, ...], dict[str, Any], Tensor | None]:
    """Positional arguments, keyword arguments and labels of a batch, on a device."""
    if isinstance(batch, Mapping):
        key = next((k for k in ("labels", "label") if k in batch), None)
        if key is None and labelled:
            raise ValueError(f"a batch needs 'labels' or 'label' among its entries, got {', '.join(map(str, batch))}.")
        rest = {k: v.to(device) if isinstance(v, Tensor) else v for k, v in batch.items() if k != key}
        return (), rest, batch[key].to(device) if labelled else None
    if isinstance(batch, (tuple, list)) and len(batch) == 2:
        return (batch[0].to(device),), {}, batch[1].to(device) if labelled else None
    if isinstance(batch, Tensor) and not labelled:
        return (batch.to(device),), {}, None
    raise ValueError(f"a batch must be (inputs, labels) or a mapping with labels, got {type(batch).__name__}.")


def _run(model: nn.Module, loader: Iterable[Any], device: Any, update: Any) -> None:
    for batch in loader:
        args, kwargs, labels = split_batch(batch, device)
        model(*args, **kwargs)
        update(labels)
