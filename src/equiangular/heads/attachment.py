"""Putting a head into an existing model in place of its classifier."""

from __future__ import annotations

from collections.abc import Mapping
from functools import partial
from typing import TYPE_CHECKING, Any, cast

from torch import Tensor, nn

from equiangular.heads.base import Head
from equiangular.heads.locate import find_classifier, output_tensor, run_once
from equiangular.heads.registry import describe_head, make_head

if TYPE_CHECKING:
    from typing_extensions import Unpack

    from equiangular.heads.options import AnyHeadOptions


def attach(
    model: nn.Module,
    num_classes: int | None = None,
    *,
    head: str | Head = "etf",
    path: str | None = None,
    example_input: Any | None = None,
    **head_options: Unpack[AnyHeadOptions],
) -> nn.Module:
    """Replace the classifier of ``model`` by a head of this library; the model is changed in place and returned.

    The classifier is found by the conventions of timm (``default_cfg["classifier"]``), torchvision (``fc``,
    ``classifier``, ``heads.head``, ``head``) and Hugging Face transformers (``classifier``, ``score``), else as the
    model's only linear layer, the last layer of a Sequential, or, with ``example_input``, the linear layer that
    computes the output. The head takes its width, device, dtype and training mode from the layer it replaces.
    ``model.num_classes`` and ``num_labels`` and the labels of ``model.config`` are updated where they exist.

    timm's verbs go on working: ``get_classifier()`` is the head, and ``reset_classifier(K)`` gives the head new classes
    where timm would put a linear layer in its place. The configuration of a transformers model keeps a description of
    the head, for :func:`equiangular.integrations.pretrained.load_pretrained`.

    A head that needs other features than the classifier had, such as an ETF of K classes on fewer than K - 1
    features, takes ``projection="linear"``.

    Args:
        model: the classifier network.
        num_classes: K; by default the number of outputs of the old classifier.
        head: ``"etf"``, ``"recommended"``, ``"linear"``, ``"cosine"`` or ``"random"``, see :func:`make_head`; or a
            head, such as a fitted :class:`ClosedFormHead`, which comes with its own classes and options.
        path: dotted name of the linear layer to replace, such as ``"head.fc"``, where it cannot be found.
        example_input: one input of the model (a tensor, a tuple of arguments or a mapping of keyword arguments). With
            it the model is run once, in evaluation mode, before and after, and the new output's shape is checked.
        head_options: keyword arguments of the head, see :class:`Head`.

    Returns:
        ``model``. Its output is the new logits; :func:`find_head` gives the head, :func:`forward_with_features` logits
        and features from one pass.

    Raises:
        ValueError: no classifier, or more than one, can be told; the linear layers of the model are listed.

    Example:
        >>> import torch
        >>> model = torch.nn.Sequential(torch.nn.Linear(20, 16), torch.nn.ReLU(), torch.nn.Linear(16, 5))
        >>> model = attach(model, norm="batch")
        >>> labels, x = torch.arange(5), torch.randn(5, 20)
        >>> logits, features = forward_with_features(model, x)
        >>> from equiangular.losses import dot_regression_loss
        >>> dot_regression_loss(features, labels, find_head(model).weight).shape
        torch.Size([])
    """
    path, old = find_classifier(model, path=path, example_input=example_input)
    options: AnyHeadOptions = {"device": old.weight.device, "dtype": old.weight.dtype, **head_options}
    if isinstance(head, Head):
        new = _check_given(head, old, num_classes, head_options)
    else:
        classes = old.out_features if num_classes is None else num_classes
        new = make_head(head, old.in_features, classes, **options)
    new.train(old.training)
    put_module(model, path, new)
    if example_input is not None:
        try:
            _check_output(run_once(model, example_input), new)
        except Exception:
            put_module(model, path, old)
            raise
    _update_class_counts(model, path, new)
    if callable(getattr(model, "reset_classifier", None)):
        cast("Any", model).reset_classifier = partial(_reset_classifier, model, path)
    return model


def find_head(model: nn.Module) -> Head:
    """The one head inside ``model``, wrapped (DistributedDataParallel, ``torch.compile``) or not.

    Of the copies that PEFT makes for ``modules_to_save`` it is the one in use: that of the active adapter.

    Raises:
        ValueError: there is none, or there are several.

    Example:
        >>> import torch
        >>> find_head(attach(torch.nn.Sequential(torch.nn.Linear(16, 5)))).num_classes
        5
    """
    found = heads_in_use(model)
    if len(found) != 1:
        listed = f"several: {', '.join(found)}" if found else "none; put one in with attach(model)"
        raise ValueError(f"{type(model).__name__} must have exactly one head, it has {listed}.")
    return next(iter(found.values()))


def heads_in_use(model: nn.Module) -> dict[str, Head]:
    """The heads inside ``model`` by name, without the copies in PEFT's wrappers that the present pass does not use."""
    found = {name: module for name, module in model.named_modules() if isinstance(module, Head)}
    idle: set[nn.Module] = set()
    for wrapper in model.modules() if len(found) > 1 else ():
        copies = wrapper._modules.get("modules_to_save")
        if isinstance(copies, nn.ModuleDict):
            state: Any = wrapper
            active = "" if state.disable_adapters else next(iter(state.active_adapters), "")
            unused = [state.original_module] if active in copies else []
            for module in unused + [copy for adapter, copy in copies.items() if adapter != active]:
                idle.update(module.modules())
    return {name: head for name, head in found.items() if head not in idle}


def forward_with_features(model: nn.Module, *args: Any, **kwargs: Any) -> tuple[Any, Tensor]:
    """Run ``model`` once; return its output and the features h (..., dim) from which its head made the logits.

    Args:
        model: a model with one :class:`Head` inside, in eager mode.
        args: positional arguments of the model.
        kwargs: keyword arguments of the model.

    Raises:
        ValueError: the model has no head, or more than one, or its head was not run exactly once.

    Example:
        >>> import torch
        >>> model = attach(torch.nn.Sequential(torch.nn.Linear(16, 5)))
        >>> logits, features = forward_with_features(model, torch.randn(2, 16))
        >>> logits.shape, features.shape
        (torch.Size([2, 5]), torch.Size([2, 16]))
    """
    head = find_head(model)
    caught: list[Tensor] = []
    handle = head.feature_tap.register_forward_hook(lambda _module, _inputs, output: caught.append(output))
    try:
        output = model(*args, **kwargs)
    finally:
        handle.remove()
    if len(caught) != 1:
        raise ValueError(f"the head of {type(model).__name__} was run {len(caught)} times in one pass, not once.")
    return output, caught[0]


def put_module(model: nn.Module, path: str, module: nn.Module) -> None:
    """Put ``module`` where ``path`` names a submodule of ``model``."""
    parent, _, name = path.rpartition(".")
    setattr(model.get_submodule(parent), name, module)


def _check_given(head: Head, old: nn.Linear, num_classes: int | None, options: Mapping[str, Any]) -> Head:
    """A head that the caller made, on the device and in the dtype of the layer that it replaces."""
    if head.in_features != old.in_features or options or num_classes not in (None, head.num_classes):
        given = ", ".join([*options, *(["num_classes"] if num_classes not in (None, head.num_classes) else [])])
        raise ValueError(
            f"the head takes {head.in_features} features and gives {head.num_classes} classes, the layer it is to "
            f"replace takes {old.in_features}{f', and {given} cannot be set on a head that is made' if given else ''}. "
            "Make a head of that width, on the features in front of that layer, and give no other options."
        )
    return head.to(old.weight)


def _check_output(output: Any, head: Head) -> None:
    logits = output_tensor(output)
    width = head.num_classes or head.dim
    if logits is None or logits.ndim == 0 or logits.shape[-1] != width:
        received = type(output).__name__ if logits is None else f"shape {tuple(logits.shape)}"
        raise ValueError(
            f"with the new head the model returns {received}, where {width} columns were expected: the layer that was "
            "replaced does not compute the output. Name the right one with path=."
        )


def _reset_classifier(model: nn.Module, path: str, num_classes: int, *args: Any, **kwargs: Any) -> None:
    """timm's verb: the family's own method does all it does, such as setting the pooling, and the head stays."""
    head = find_head(model)
    head.reset(num_classes)
    try:
        cast("Any", type(model)).reset_classifier(model, num_classes, *args, **kwargs)
    finally:
        put_module(model, path, head)
    _update_class_counts(model, path, head)


def _update_class_counts(model: nn.Module, path: str, head: Head) -> None:
    """``num_classes`` and ``num_labels`` of the model and of the modules around the head, and the configuration."""
    num_classes = head.num_classes
    parts = path.split(".")[:-1]
    for depth in range(len(parts) + 1):
        module = model.get_submodule(".".join(parts[:depth]))
        for name in ("num_classes", "num_labels"):
            if isinstance(getattr(module, name, None), int):
                setattr(module, name, num_classes)
    config: Any = getattr(model, "config", None)
    if not isinstance(getattr(config, "num_labels", None), int):
        return
    config.equiangular_head = {"path": path, **describe_head(head)}
    config.num_labels = num_classes
    if isinstance(getattr(config, "id2label", None), dict) and len(config.id2label) != num_classes:
        config.id2label = {i: f"LABEL_{i}" for i in range(num_classes)}
    if isinstance(getattr(config, "label2id", None), dict) and len(config.label2id) != num_classes:
        config.label2id = {f"LABEL_{i}": i for i in range(num_classes)}
