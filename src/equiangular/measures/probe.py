"""Watch a model's classifier, and layers before it, while it runs: hooks, put on and taken off again."""

from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager
from typing import Any, cast

import torch
from torch import Tensor, nn

from equiangular.heads import Head
from equiangular.heads.attachment import heads_in_use
from equiangular.heads.locate import find_classifier, output_tensor
from equiangular.measures.neural_collapse import NeuralCollapse


def pool(output: Tensor) -> Tensor:
    """One vector a sample: the mean over space of (B, C, ...), over tokens of (B, T, d); (B, d) as it is.

    Example:
        >>> import torch
        >>> pool(torch.zeros(2, 5, 3, 3)).shape, pool(torch.zeros(2, 7, 5)).shape
        (torch.Size([2, 5]), torch.Size([2, 5]))
    """
    if output.ndim == 3:
        return output.mean(1)
    return output.flatten(2).mean(2) if output.ndim > 3 else output


def layer_names(model: nn.Module, classifier: nn.Module, layers: str | Sequence[str]) -> list[str]:
    """Names of the layers to watch.

    They are given, or ``"auto"``: the stages of the network in the order they are registered, which are the children
    with parameters of the module that holds all of them, a ``Sequential`` or ``ModuleList`` among them replaced by its
    own children, without the classifier.

    Example:
        >>> body = nn.Sequential(nn.Linear(4, 8), nn.ReLU(), nn.Linear(8, 8))
        >>> model = nn.Sequential(body, nn.Linear(8, 3))
        >>> layer_names(model, model[1], "auto")
        ['0.0', '0.2']
    """
    if isinstance(layers, str) and layers != "auto":
        raise ValueError(f"layers must be 'auto' or a sequence of names, got {layers!r}. For one layer: [{layers!r}]")
    modules = dict(model.named_modules())
    if layers == "auto":
        return _stages(model, classifier)
    for name in layers:
        if name not in modules:
            raise ValueError(f"the model has no module {name!r}; it has: {', '.join(list(modules)[1:][:40])}.")
    return list(layers)


def _stages(model: nn.Module, classifier: nn.Module) -> list[str]:
    excluded = set(classifier.modules())

    def children(module: nn.Module, prefix: str) -> list[tuple[str, nn.Module]]:
        found = [(f"{prefix}{name}", child) for name, child in module.named_children()]
        return [(name, c) for name, c in found if c not in excluded and any(p is not None for p in c.parameters())]

    stages = children(model, "")
    while len(stages) == 1 and children(stages[0][1], ""):
        stages = children(stages[0][1], f"{stages[0][0]}.")
    names: list[str] = []
    for name, module in stages:
        inner = children(module, f"{name}.") if isinstance(module, (nn.Sequential, nn.ModuleList)) else []
        names += [inner_name for inner_name, _ in inner] or [name]
    return names


class Watch:
    """What :func:`watch` gives: feed it labels after each forward pass, then compute.

    Attributes:
        metric: the :class:`NeuralCollapse` of the classifier's features, from the first batch on.
        layers: name -> metric of the layers watched beside it.
    """

    def __init__(self, classifier: nn.Module, layers: Sequence[str], options: dict[str, Any]) -> None:
        self.classifier = classifier
        self.options = options
        self.metric: NeuralCollapse | None = None
        self.layers: dict[str, NeuralCollapse | None] = dict.fromkeys(layers)
        self._seen: dict[str, Tensor] = {}

    def update(self, labels: Tensor) -> None:
        """Take features and logits of the last forward pass into account; labels (B,) integers in [0, K) of its batch.

        Raises:
            ValueError: no forward pass since the last call, or labels that do not fit.
        """
        features, logits = self._take()
        labels = labels.to(features.device)
        self._metric(features).update(features, labels, None if logits is None else logits.reshape(len(features), -1))
        for name in self.layers:
            if name not in self._seen:
                raise ValueError(f"layer {name!r} gave no tensor in the last forward pass, so it cannot be measured.")
            pooled = pool(self._seen.pop(name))
            metric = self.layers[name]
            if metric is None:
                options = {k: v for k, v in self.options.items() if k not in ("reference_means", "weight")}
                self.layers[name] = metric = NeuralCollapse(self._num_classes, pooled.shape[1], **options)
            metric.to(pooled.device).update(pooled, labels)

    def update_ood(self) -> None:
        """Take the features of the last forward pass as those of samples that belong to no class, for NC5.

        Raises:
            ValueError: no forward pass since the last call.
        """
        features, _ = self._take()
        self._metric(features).update_ood(features)

    def compute(self) -> dict[str, Tensor]:
        """All measures, see :class:`NeuralCollapse`; those of layers as ``"nc1_quotient@name"``.

        Raises:
            ValueError: no batch has been given.
        """
        results = dict(self.measured().compute())
        for name, metric in self.layers.items():
            if metric is not None:
                results |= {f"{key}@{name}": value for key, value in metric.compute().items()}
        return results

    def measured(self) -> NeuralCollapse:
        """The metric of the last features; a ValueError if no batch has been given."""
        if self.metric is None:
            raise ValueError("nothing to measure: no batch went through the model.")
        return self.metric

    @property
    def _num_classes(self) -> int:
        head = self.classifier
        return head.num_classes if isinstance(head, Head) else len(cast("Tensor", head.weight))

    def _take(self) -> tuple[Tensor, Tensor | None]:
        """Features (B, d) and logits of the last forward pass, which are then used up."""
        if "features" not in self._seen:
            raise ValueError("no forward pass to take features from: call the model on a batch before updating.")
        features, logits = self._seen.pop("features"), self._seen.pop("logits", None)
        if features.ndim > 2 and features[0].numel() == features.shape[1]:  # before a 1 x 1 convolution
            features = features.flatten(1)
        if features.ndim != 2:
            raise ValueError(
                f"the classifier is given features of shape {tuple(features.shape)}; one vector a sample is needed."
            )
        if isinstance(self.classifier, Head):
            with torch.no_grad():
                logits = self.classifier.logits_from_features(features)
        return features, logits

    def _metric(self, features: Tensor) -> NeuralCollapse:
        if self.metric is None:
            self.metric = NeuralCollapse(
                self._num_classes, features.shape[1], **{"weight": self.classifier, **self.options}
            )
        return self.metric.to(features.device)

    def _catch(self, name: str) -> Any:
        def hook(_module: nn.Module, _inputs: tuple[Any, ...], output: Any) -> None:
            tensor = output_tensor(output)
            if tensor is not None:
                self._seen[name] = tensor.detach()

        return hook

    def _catch_classifier(self, _: nn.Module, inputs: tuple[Any, ...], named: dict[str, Any], output: Any) -> None:
        logits = output_tensor(output)
        self._seen["features"] = (inputs or tuple(named.values()))[0].detach()
        if logits is not None:
            self._seen["logits"] = logits.detach()


@contextmanager
def watch(
    model: nn.Module, *, classifier: str | nn.Module | None = None, layers: str | Sequence[str] = (), **options: Any
) -> Iterator[Watch]:
    """Watch a model's classifier while you run the model yourself.

    The features are what the classifier is given: the input of a linear layer, or the features h of a
    :class:`equiangular.heads.Head`, after its projection and normalisation. Only the hooks are added, and they are
    removed at the end.

    Args:
        model: any module.
        classifier: the linear layer or head that makes the logits, as a module or by its dotted name; by default the
            one that :func:`equiangular.attach` would replace.
        layers: dotted names of further modules, to see collapse through the depth, or ``"auto"`` for the stages of the
            network: see :func:`equiangular.measures.probe.layer_names`. Their outputs are averaged over space
            (B, C, H, W) or tokens (B, T, d).
        options: options of :class:`NeuralCollapse`, such as ``class_counts``.

    Yields:
        A :class:`Watch`.

    Raises:
        ValueError: no classifier, no module of that name, or a compiled model, which passes hooks over.

    Example:
        >>> model = nn.Sequential(nn.Linear(8, 16), nn.ReLU(), nn.Linear(16, 3))
        >>> with watch(model) as nc:
        ...     _ = model(torch.randn(30, 8))
        ...     nc.update(torch.arange(30) % 3)
        >>> sorted(nc.compute())[:3]
        ['cdnv', 'classes_seen', 'effective_rank']
    """
    if hasattr(model, "_orig_mod"):
        raise ValueError("a compiled model passes hooks over: watch the model that torch.compile was given.")
    model = unwrapped(model)
    target = _find(model, classifier)
    watched = Watch(target, layer_names(model, target, layers), options)
    with ExitStack() as stack:
        if isinstance(target, Head):
            stack.callback(target.feature_tap.register_forward_hook(watched._catch("features")).remove)
        else:
            hook = target.register_forward_hook(watched._catch_classifier, with_kwargs=True)
            stack.callback(hook.remove)
        for name in watched.layers:
            stack.callback(model.get_submodule(name).register_forward_hook(watched._catch(name)).remove)
        yield watched


def unwrapped(model: nn.Module) -> nn.Module:
    """The network inside what torch.compile, DistributedDataParallel or DataParallel put around it."""
    while True:
        if isinstance(model, (nn.parallel.DistributedDataParallel, nn.DataParallel)):
            model = model.module
        elif hasattr(model, "_orig_mod"):
            model = cast("nn.Module", model._orig_mod)
        else:
            return model


def _find(model: nn.Module, classifier: str | nn.Module | None) -> nn.Module:
    if isinstance(classifier, nn.Module):
        return classifier
    if isinstance(classifier, str):
        return model.get_submodule(layer_names(model, model, [classifier])[0])
    heads = list(heads_in_use(model).values())
    return heads[0] if len(heads) == 1 else find_classifier(model)[1]
