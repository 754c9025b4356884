"""Finding the classifier of a model: by its path, by conventions, or by watching a forward pass."""

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import Any, NoReturn

import torch
from torch import Tensor, nn
from torch.nn.modules.linear import NonDynamicallyQuantizableLinear  # the output layer inside nn.MultiheadAttention

from equiangular.heads.base import Head

# Names under which torchvision, timm and transformers keep their classifiers.
CONVENTIONAL_NAMES = ("fc", "classifier", "heads", "head", "score")


def find_classifier(
    model: nn.Module, *, path: str | None = None, example_input: Any | None = None
) -> tuple[str, nn.Linear]:
    """The dotted name of the linear layer that computes the logits, and the layer; see :func:`attach`."""
    heads = [name for name, module in model.named_modules() if isinstance(module, Head)]
    if heads:
        _refuse(model, f"it has a head at {heads[0]!r} already; use find_head(model).reset(num_classes)")
    if path is not None:
        found = _classifier_within(model, path)
    else:
        found = None if example_input is None else _observed(model, example_input)
        if found is None and (name := _timm_name(model)) is not None:
            found = _classifier_within(model, name)
        found = found or _by_convention(model) or _only_or_last(model)
    if found is None:
        where = "no classifier was found" if path is None else f"there is no linear layer at path={path!r}"
        _refuse(model, where)
    name, layer = found
    if not name:
        _refuse(model, "the model is itself a linear layer, which cannot be replaced in place; use make_head instead")
    if isinstance(layer.weight, nn.parameter.UninitializedParameter):
        _refuse(model, f"{name!r} is a lazy layer without a width yet; run the model once first")
    return name, layer


def linear_layers(model: nn.Module) -> dict[str, nn.Linear]:
    """The linear layers of a model by name, in the order of registration, without those inside attention modules."""
    return {
        name: module
        for name, module in model.named_modules()
        if isinstance(module, nn.Linear) and not isinstance(module, NonDynamicallyQuantizableLinear)
    }


def output_tensor(output: Any) -> Tensor | None:
    """The logits in what a model returns: a tensor, the entry ``logits`` of a mapping, or the first of a tuple."""
    if isinstance(output, Mapping):
        output = output.get("logits")
    elif isinstance(output, (tuple, list)) and output:
        output = output[0]
    return output if isinstance(output, Tensor) else None


@contextmanager
def evaluating(model: nn.Module) -> Iterator[None]:
    """Evaluation mode; every module's own mode is put back."""
    modes = [(module, module.training) for module in model.modules()]
    model.eval()
    try:
        yield
    finally:
        for module, mode in modes:
            module.training = mode


def run_once(model: nn.Module, example_input: Any) -> Any:
    """The model's output in evaluation mode, without gradients."""
    with evaluating(model), torch.no_grad():
        if isinstance(example_input, Mapping):
            return model(**example_input)
        return model(*example_input) if isinstance(example_input, (tuple, list)) else model(example_input)


def _refuse(model: nn.Module, what: str) -> NoReturn:
    layers = linear_layers(model)
    listed = ", ".join(f"{n!r} ({m.in_features} -> {m.out_features})" for n, m in list(layers.items())[-20:])
    raise ValueError(
        f"{type(model).__name__}: {what}. Its linear layers are: {listed or 'none'}. "
        "Name the classifier with path=, or pass example_input= to have it found by running the model."
    )


def _classifier_within(model: nn.Module, path: str) -> tuple[str, nn.Linear] | None:
    """The module at ``path`` if it is linear, else the linear layer it ends in; None if there is neither."""
    try:
        module = model.get_submodule(path)
    except AttributeError:
        return None
    last = None
    for name, inner in module.named_modules(prefix=path):
        if any(True for _ in inner.parameters(recurse=False)):
            last = name, inner
    if last is not None and isinstance(last[1], nn.modules.conv._ConvNd):
        _refuse(
            model,
            f"the classifier {last[0]!r} is a convolution, which a head on feature vectors cannot replace. Take the "
            "pooled features of the model instead and put a head from make_head behind them",
        )
    return last if last is not None and isinstance(last[1], nn.Linear) else None


def _timm_name(model: nn.Module) -> str | None:
    """What timm's configuration says; None if it says nothing."""
    config = getattr(model, "default_cfg", None)
    name = config.get("classifier") if isinstance(config, Mapping) else getattr(config, "classifier", None)
    if isinstance(name, (tuple, list)):
        if len(name) != 1:
            _refuse(model, f"the model has several classifiers ({', '.join(map(repr, name))})")
        name = name[0]
    return name or None


def _by_convention(model: nn.Module) -> tuple[str, nn.Linear] | None:
    """A classifier with a usual name, if no other linear layer is registered after it."""
    layers = list(linear_layers(model))
    for name in CONVENTIONAL_NAMES:
        found = _classifier_within(model, name)
        if found is not None and layers[-1] == found[0]:
            return found
    return None


def _only_or_last(model: nn.Module) -> tuple[str, nn.Linear] | None:
    """The only linear layer, or the one that a Sequential ends in."""
    layers = linear_layers(model)
    if len(layers) == 1:
        return next(iter(layers.items()))
    name, module = "", model
    while isinstance(module, nn.Sequential):
        learned = [(n, child) for n, child in module.named_children() if any(True for _ in child.parameters())]
        if not learned:
            return None
        name, module = f"{name}.{learned[-1][0]}".lstrip("."), learned[-1][1]
    return (name, module) if isinstance(module, nn.Linear) else None


def _observed(model: nn.Module, example_input: Any) -> tuple[str, nn.Linear] | None:
    """The linear layer whose result is the model's output; else the last one run, if it has as many outputs."""
    layers = linear_layers(model)
    seen: list[tuple[str, Tensor]] = []  # the tensors are kept, so that no two share a memory address

    def watch(name: str) -> Any:
        return layers[name].register_forward_hook(lambda _module, _inputs, output: seen.append((name, output)))

    handles = [watch(name) for name in layers]
    try:
        final = output_tensor(run_once(model, example_input))
    finally:
        for handle in handles:
            handle.remove()
    if final is None or not seen:
        return None
    same = {n for n, t in seen if t.data_ptr() == final.data_ptr() and t.numel() == final.numel()}
    name = same.pop() if len(same) == 1 else seen[-1][0]
    return (name, layers[name]) if layers[name].out_features == final.shape[-1] else None
