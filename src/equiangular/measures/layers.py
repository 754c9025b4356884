"""The layers of a network in which collapse is measured: their names, and one vector a sample from their outputs."""

from __future__ import annotations

from collections.abc import Sequence

from torch import Tensor, nn


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

    Args:
        model: the network.
        classifier: the layer behind which there is nothing to watch.
        layers: dotted names; or ``"auto"``: the stages of the network in the order they are registered, which are the
            children with parameters of the module that holds all of them, a ``Sequential`` or ``ModuleList`` among them
            replaced by its own children.

    Raises:
        ValueError: a name that the model does not have.

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
