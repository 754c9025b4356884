"""Measure the collapse of any model: hooks on its classifier, two lines for the user."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from typing import Any

import torch
from torch import Tensor, nn

from equiangular.heads import Head
from equiangular.heads.locate import find_classifier, output_tensor
from equiangular.measures.neural_collapse import NeuralCollapse


class Watch:
    """What :func:`watch` gives: feed it labels after each forward pass, then compute.

    Attributes:
        metric: the :class:`NeuralCollapse` of the classifier's features.
        layers: name -> metric of the layers watched beside it.
    """

    def __init__(self, classifier: nn.Module, layer_names: Sequence[str], options: dict[str, Any]) -> None:
        self.classifier = classifier
        self.options = options
        self.metric: NeuralCollapse | None = None
        self.layers: dict[str, NeuralCollapse | None] = dict.fromkeys(layer_names)
        self._seen: dict[str, Tensor] = {}

    def update(self, labels: Tensor) -> None:
        """Take the features and logits of the last forward pass into account.

        Args:
            labels: (B,) integers in [0, K) of the batch that just went through the model.

        Raises:
            ValueError: no forward pass since the last call, or labels that do not fit.
        """
        if "features" not in self._seen:
            raise ValueError("no forward pass to take features from: call the model on a batch before update(labels).")
        features, logits = self._seen.pop("features"), self._seen.pop("logits")
        if features.ndim != 2:
            raise ValueError(
                f"the classifier is given features of shape {tuple(features.shape)}; one vector a sample is needed."
            )
        if self.metric is None:
            self.metric = self._new_metric(features.shape[1], weight=self.classifier, **self.options)
        labels = labels.to(features.device)
        self.metric.to(features.device).update(features, labels, logits.reshape(len(labels), -1))
        for name in self.layers:
            pooled = pool(self._seen.pop(name))
            if self.layers[name] is None:
                self.layers[name] = self._new_metric(pooled.shape[1], covariance=False, **_without_nc4(self.options))
            self.layers[name].to(pooled.device).update(pooled, labels)

    def compute(self) -> dict[str, Tensor]:
        """All measures, see :class:`NeuralCollapse`; those of layers as ``"nc1_quotient@name"``.

        Raises:
            ValueError: no batch has been given.
        """
        if self.metric is None:
            raise ValueError("nothing to measure: no batch went through the model.")
        results = dict(self.metric.compute())
        for name, metric in self.layers.items():
            results |= {f"{key}@{name}": value for key, value in metric.compute().items()}
        return results

    def _new_metric(self, dim: int, **options: Any) -> NeuralCollapse:
        return NeuralCollapse(_num_classes(self.classifier), dim, **options)

    def _catch(self, name: str) -> Any:
        def hook(_module: nn.Module, inputs: tuple, output: Any) -> None:
            self._seen[name] = output_tensor(output).detach()

        return hook

    def _catch_classifier(self, _module: nn.Module, inputs: tuple, output: Any) -> None:
        self._seen["features"], self._seen["logits"] = inputs[0].detach(), output_tensor(output).detach()

    def _catch_head_features(self, _module: nn.Module, _inputs: tuple, output: Tensor) -> None:
        self._seen["head features"] = output.detach()

    def _catch_head(self, _module: nn.Module, _inputs: tuple, output: Tensor) -> None:
        self._seen["features"], self._seen["logits"] = self._seen.pop("head features"), output.detach()


@contextmanager
def watch(
    model: nn.Module, *, classifier: str | nn.Module | None = None, layers: Sequence[str] = (), **options: Any
) -> Iterator[Watch]:
    """Watch a model's classifier while you run the model yourself.

    The features are what the classifier is given: the input of a linear layer, or the features h of a
    :class:`equiangular.heads.Head`, after its projection and normalisation. Only the hooks are added, and they are
    removed at the end.

    Args:
        model: any module.
        classifier: the linear layer or head that makes the logits, as a module or by its dotted name; by default the
            one that :func:`equiangular.attach` would replace.
        layers: dotted names of further modules, to see collapse through the depth: their outputs are averaged over
            space (B, C, H, W) or tokens (B, T, d), and measured without a covariance matrix.
        options: options of :class:`NeuralCollapse`, such as ``class_counts``.

    Yields:
        A :class:`Watch`.

    Raises:
        ValueError: no classifier, or no module of that name.

    Example:
        >>> model = nn.Sequential(nn.Linear(8, 16), nn.ReLU(), nn.Linear(16, 3))
        >>> with watch(model) as nc:
        ...     _ = model(torch.randn(30, 8))
        ...     nc.update(torch.arange(30) % 3)
        >>> sorted(nc.compute())[:3]
        ['cdnv', 'classes_seen', 'effective_rank']
    """
    target = _find(model, classifier)
    modules = dict(model.named_modules())
    for name in layers:
        if name not in modules:
            raise ValueError(f"the model has no module {name!r}; it has: {', '.join(list(modules)[1:][:40])}.")
    watched = Watch(target, layers, options)
    with ExitStack() as stack:
        if isinstance(target, Head):
            stack.callback(target.feature_tap.register_forward_hook(watched._catch_head_features).remove)
            stack.callback(target.register_forward_hook(watched._catch_head).remove)
        else:
            stack.callback(target.register_forward_hook(watched._catch_classifier).remove)
        for name in layers:
            stack.callback(modules[name].register_forward_hook(watched._catch(name)).remove)
        yield watched


@torch.no_grad()
def measure_collapse(
    model: nn.Module,
    loader: Iterable[Any],
    *,
    classifier: str | nn.Module | None = None,
    layers: Sequence[str] = (),
    nc4: bool = True,
    device: torch.device | str | None = None,
    **options: Any,
) -> dict[str, Tensor]:
    """Measure a model over a data loader, in evaluation mode; every module's mode is put back.

    For the measures of neural collapse as defined, give the training data without augmentation: mu_c is the mean over
    all training samples of class c.

    Args:
        model: any module.
        loader: batches ``(inputs, labels)``, or mappings with ``"labels"`` or ``"label"`` whose other entries are the
            model's keyword arguments. It is gone through twice with ``nc4``.
        classifier: see :func:`watch`.
        layers: see :func:`watch`.
        nc4: whether to make the second pass, which compares decisions with the nearest class mean of the first.
        device: device to move the batches to; by default that of the model's first parameter.
        options: options of :class:`NeuralCollapse`.

    Returns:
        All measures by name, 0-dim tensors.

    Raises:
        ValueError: no classifier, an empty loader, or batches without labels.

    Example:
        >>> model = nn.Sequential(nn.Linear(8, 16), nn.ReLU(), nn.Linear(16, 3))
        >>> data = torch.utils.data.TensorDataset(torch.randn(30, 8), torch.arange(30) % 3)
        >>> measured = measure_collapse(model, torch.utils.data.DataLoader(data, batch_size=10))
        >>> {"nc1", "nc2_etf", "nc3", "nc4"} <= set(measured)
        True
    """
    modes = [(module, module.training) for module in model.modules()]
    parameter = next(model.parameters(), None)
    device = (parameter.device if parameter is not None else "cpu") if device is None else device
    model.eval()
    try:
        results, means = _pass(model, loader, classifier, layers, device, options)
        if nc4:
            second, _ = _pass(model, loader, classifier, (), device, {**options, "reference_means": means})
            results |= {key: value for key, value in second.items() if key.startswith("nc4")}
    finally:
        for module, training in modes:
            module.training = training
    return {key: value for key, value in results.items() if not key.startswith("nc4_running")}


def pool(output: Tensor) -> Tensor:
    """One vector a sample: the mean over space of (B, C, ...), over tokens of (B, T, d); (B, d) as it is."""
    if output.ndim == 3:
        return output.mean(1)
    return output.flatten(2).mean(2) if output.ndim > 3 else output


def _pass(
    model: nn.Module, loader: Iterable, classifier: Any, layers: Sequence[str], device: Any, options: dict[str, Any]
) -> tuple[dict[str, Tensor], Tensor]:
    with watch(model, classifier=classifier, layers=layers, **options) as watched:
        for batch in loader:
            args, kwargs, labels = split_batch(batch, device)
            model(*args, **kwargs)
            watched.update(labels)
        return watched.compute(), watched.metric.class_means()


def split_batch(batch: Any, device: Any) -> tuple[tuple, dict[str, Any], Tensor]:
    """Positional arguments, keyword arguments and labels of a batch, on a device."""
    if isinstance(batch, Mapping):
        key = next((k for k in ("labels", "label") if k in batch), None)
        if key is None:
            raise ValueError(f"a batch needs 'labels' or 'label' among its entries, got {', '.join(map(str, batch))}.")
        rest = {k: v.to(device) if isinstance(v, Tensor) else v for k, v in batch.items() if k != key}
        return (), rest, batch[key].to(device)
    if isinstance(batch, (tuple, list)) and len(batch) == 2:
        return (batch[0].to(device),), {}, batch[1].to(device)
    raise ValueError(f"a batch must be (inputs, labels) or a mapping with labels, got {type(batch).__name__}.")


def _find(model: nn.Module, classifier: str | nn.Module | None) -> nn.Module:
    if isinstance(classifier, nn.Module):
        return classifier
    if isinstance(classifier, str):
        modules = dict(model.named_modules())
        if classifier not in modules:
            raise ValueError(f"the model has no module {classifier!r}; it has: {', '.join(list(modules)[1:][:40])}.")
        return modules[classifier]
    heads = [module for module in model.modules() if isinstance(module, Head)]
    return heads[0] if len(heads) == 1 else find_classifier(model)[1]


def _num_classes(classifier: nn.Module) -> int:
    return classifier.num_classes if isinstance(classifier, Head) else classifier.weight.shape[0]


def _without_nc4(options: dict[str, Any]) -> dict[str, Any]:
    return {key: value for key, value in options.items() if key not in ("reference_means", "weight", "covariance")}
