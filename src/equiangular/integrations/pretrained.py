"""Loading a transformers model that was saved with a head of this library. Needs the extra ``[transformers]``."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import torch
from torch import nn

from equiangular._extras import require
from equiangular.heads.attachment import put_module
from equiangular.heads.registry import build_described

_transformers = require("transformers", extra="transformers", purpose="load_pretrained")


def load_pretrained(model_class: Any, name_or_path: str | Path, **options: Any) -> nn.Module:
    """``model_class.from_pretrained`` for a checkpoint of a model that :func:`equiangular.attach` gave its head.

    ``save_pretrained`` (and so ``Trainer.save_model`` and ``push_to_hub``) writes the head with the other weights, and
    ``attach`` keeps its description in the configuration as ``equiangular_head``. The plain ``from_pretrained`` knows
    neither: it would put the class vectors into a linear layer that learns, with a new bias and without normalisation
    and scale. Here the model is built with its head first, so that every weight finds its place.

    Args:
        model_class: the class of transformers that was saved, such as ``ViTForImageClassification``; no Auto class.
        name_or_path: folder, or name of a repository on the Hub.
        options: keyword arguments of ``from_pretrained``.

    Returns:
        The model, in evaluation mode, of a subclass of ``model_class`` with the same name; its class vectors are those
        that were saved, bit for bit. What it saves can be loaded here again.

    Raises:
        ValueError: an Auto class, a configuration without a head, or weights that do not fit the head, which has the
            classes it was saved with.

    Example::

        model = attach(ViTForImageClassification(config), norm="batch")
        model.save_pretrained("folder")
        model = load_pretrained(ViTForImageClassification, "folder")
    """
    if not (isinstance(model_class, type) and issubclass(model_class, _transformers.PreTrainedModel)):
        raise ValueError(
            f"model_class must be a model class of transformers, got {model_class!r}. Name the class that was saved, "
            "such as ViTForImageClassification, instead of an Auto class."
        )
    if "torch_dtype" not in options:
        options.setdefault("dtype", "auto")  # as it was saved, which is the default from transformers 5 on
    wrong: dict[str, list[str]] = {}
    for stored in (False, True):
        try:
            made = _with_head(model_class, stored=stored)
            model, report = made.from_pretrained(name_or_path, output_loading_info=True, **options)
        except RuntimeError as error:
            raise ValueError(f"{_misfit(name_or_path, options)} {error}") from error
        wrong = {kind: sorted(map(str, keys)) for kind, keys in report.items() if keys and "keys" in kind}
        missing, unknown = (wrong.get(f"{kind}_keys", []) for kind in ("missing", "unexpected"))
        # Class vectors that the head would make by their formula are stored here: they were moved, or are older.
        moved = [name.removesuffix("weight") for name in unknown]
        if not missing or [name.removesuffix("recipe") for name in missing] != moved:
            break
    if wrong:
        raise ValueError(f"{_misfit(name_or_path, options)} {wrong}.")
    return model


def _misfit(name_or_path: str | Path, options: dict[str, Any]) -> str:
    asked = {name: options[name] for name in ("num_labels", "id2label") if name in options}
    if not asked:
        return f"the weights in {str(name_or_path)!r} do not fit the model and its head:"
    classes = asked.get("num_labels", len(asked.get("id2label") or ()))
    return (
        f"the head in {str(name_or_path)!r} was saved with another number of classes than {classes}. Load it without "
        f"{' and '.join(asked)}; then find_head(model).reset({classes}) and model.config.num_labels = {classes} give "
        "the model new ones. In detail:"
    )


def _with_head(model_class: Any, *, stored: bool) -> Any:
    """A subclass whose models are built with the head that their configuration describes.

    ``stored`` keeps class vectors that have a formula in a buffer, for a checkpoint that has them.
    """
    model_class = getattr(model_class, "_without_head", model_class)

    class WithHead(model_class):
        _without_head = model_class

        def __init__(self, config: Any, *args: Any, **kwargs: Any) -> None:
            super().__init__(config, *args, **kwargs)
            description = getattr(config, "equiangular_head", None)
            if description is None:
                raise ValueError(
                    f"the configuration of this {model_class.__name__} has no equiangular_head: it was not saved with "
                    f"a head of this library. Load it with {model_class.__name__}.from_pretrained and attach(model)."
                )
            _put_head(self, description, config.num_labels, stored)

    WithHead.__name__ = WithHead.__qualname__ = model_class.__name__
    WithHead.__module__ = model_class.__module__
    return WithHead


def _put_head(model: nn.Module, description: dict[str, Any], num_classes: int, stored: bool) -> None:
    """The described head in the place of the model's classifier, ready to have its weights loaded."""
    try:
        path, old = description["path"], model.get_submodule(description["path"])
        width = old.in_features
        place: dict[str, Any] = {"dtype": old.weight.dtype}
    except (TypeError, KeyError, AttributeError) as error:
        raise ValueError(
            "equiangular_head in the configuration must describe a head and name the linear layer in whose place it "
            f"is, got {description!r}: {error}. Save the model again."
        ) from error
    if not old.weight.is_meta:  # there transformers puts what it wants there, and leaves the buffers where they are
        place["device"] = old.weight.device
    # Unit vectors where class vectors were given: the weights that are loaded next overwrite them.
    dim = description["options"].get("dim", width)
    stand_in = torch.eye(dim, dtype=old.weight.dtype)[torch.arange(num_classes) % dim]
    tensors = {"weight": stand_in, "skew": stand_in} | ({} if stored else {"recipe": stand_in})
    head = build_described(description, width, num_classes, tensors)
    put_module(model, path, head.to(**place))
