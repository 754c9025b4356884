"""A trained model in a folder: one safetensors file with weights and description, and the description as JSON."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

from torch import Tensor

from equiangular._defaults import usual_defaults
from equiangular._files import prepare_folder, read_safetensors, write_json, write_safetensors
from equiangular._guarded import parse_json
from equiangular.closed_form.head import CLOSED_FORM, ClosedFormHead
from equiangular.heads.registry import build_described, describe_head
from equiangular.models import make_backbone
from equiangular.training.methods import get_method
from equiangular.training.model.info import ModelInfo
from equiangular.training.model.task import Task

WEIGHTS = "model.safetensors"
CONFIG = "config.json"
_KEY = "equiangular"


def save_model(folder: str | Path, task: Task, info: ModelInfo) -> Path:
    """Write ``model.safetensors`` and ``config.json`` into a folder, which is returned.

    Weights and description are one file, renamed into place when it is complete, so that a reader finds the old model
    or the new one and never a mixture. ``config.json`` repeats the description for people and other tools.

    Args:
        folder: where to write; it is created.
        task: the trained classifier, on any device; not the wrapper that a distributed strategy puts around it.
        info: what it is; its ``head`` is taken from the task.

    Raises:
        ValueError: the folder cannot be written (a full disk among the reasons), or the head is none of the library's.

    Example:
        >>> import tempfile
        >>> from equiangular.training import build_task, get_method
        >>> task = build_task(get_method("etf-la"), "mlp", (4,), 2, seed=0)
        >>> info = ModelInfo("etf-la", "mlp", (4,), ("a", "b"), (30, 3), (0.0,) * 4, (1.0,) * 4, kind="table")
        >>> with tempfile.TemporaryDirectory() as folder:
        ...     loaded, info = load_model(save_model(folder, task, info))
        >>> info.head["kind"], loaded.training
        ('etf', False)
    """
    head = task.head
    info = replace(info, head=head.describe() if isinstance(head, ClosedFormHead) else describe_head(head))
    description = info.as_dict()
    target = prepare_folder(folder)
    try:
        write_safetensors(target / WEIGHTS, task.state_dict(), {_KEY: json.dumps(description, allow_nan=False)})
        write_json(target / CONFIG, description)
    except OSError as error:
        raise ValueError(
            f"cannot write the model to {str(target)!r}: {error.strerror or error}. "
            "Make room there or choose another folder; a model that was there before is unharmed."
        ) from error
    return target


@usual_defaults()
def load_model(path: str | Path) -> tuple[Task, ModelInfo]:
    """Read a model and rebuild it from the names of its parts; nothing in the file is executed.

    Returns the classifier in evaluation mode on the CPU, and its description.

    Args:
        path: a run folder (its ``model`` is read), a model folder such as ``RUN/best``, or a ``.safetensors`` file.

    Raises:
        ValueError: no model there, a file that is damaged, foreign or of a newer format, or weights that do not fit the
            network that the description names.
        ImportError: a library that the backbone comes from is missing.
    """
    file = find_model(path)
    tensors, description = _read(file)
    try:
        info = ModelInfo.from_dict(description)
        network = make_backbone(info.backbone, info.input_shape, width=info.width, seed=info.seed)
        of_head = {name.removeprefix("head."): value for name, value in tensors.items() if name.startswith("head.")}
        build = ClosedFormHead.described if info.head.get("kind") == CLOSED_FORM else build_described
        head = build(info.head, network.num_features, info.num_classes, of_head)
        task = Task(network, head, get_method(info.method))
    except (AttributeError, IndexError, KeyError, OverflowError, RuntimeError, TypeError, ValueError) as error:
        # A description that another program has changed may be of any kind.
        raise ValueError(f"cannot load the model {str(file)!r}: {error}") from error
    _check_fit(file, info, tensors, task.state_dict())
    task.load_state_dict(tensors, strict=True)
    return task.eval(), info


def find_model(path: str | Path) -> Path:
    """The weights file that :func:`load_model` reads.

    Raises:
        ValueError: there is none; the message says what was expected, and whether a run there can be resumed.
    """
    given = Path(path).expanduser()
    if given.is_file():
        return given
    for file in (given / WEIGHTS, given / "model" / WEIGHTS):
        if file.is_file():
            return file
    if not given.exists():
        raise ValueError(f"{str(given)!r} does not exist. Give the folder of a run, or of a model.")
    hint = "Make one with: equiangular train"
    if (given / "checkpoint").is_dir():
        hint = f"The run has not finished; go on with: equiangular resume {given}"
    raise ValueError(f"no model in {str(given)!r}: neither {WEIGHTS} nor model/{WEIGHTS}. {hint}")


def _read(file: Path) -> tuple[dict[str, Tensor], dict[str, Any]]:
    """Tensors and description of a weights file."""
    tensors, metadata = read_safetensors(file, remedy="It is damaged or of another kind; save the model again.")
    try:
        description = parse_json(metadata[_KEY])
    except KeyError:
        raise ValueError(
            f"{str(file)!r} holds tensors but no description of a model of this library. Models are written by "
            "'equiangular train' and save_model."
        ) from None
    except ValueError as error:
        raise ValueError(f"the description inside {str(file)!r} is damaged ({error}). Save the model again.") from error
    if not isinstance(description, dict):
        raise ValueError(f"the description inside {str(file)!r} is damaged: {description!r}. Save the model again.")
    return tensors, description


def _check_fit(file: Path, info: ModelInfo, tensors: dict[str, Tensor], expected: dict[str, Tensor]) -> None:
    """Raise if names or shapes differ: which, how many, and what the network is."""
    what = f"the weights in {str(file)!r} do not fit backbone {info.backbone!r} with head {info.head['kind']!r}"
    missing, unknown = sorted(expected.keys() - tensors.keys()), sorted(tensors.keys() - expected.keys())
    if missing or unknown:
        both = ((missing, "missing"), (unknown, "unknown"))
        found = [f"{len(names)} {word} (first {names[0]!r})" for names, word in both if names]
        raise ValueError(f"{what}: {' and '.join(found)}. They come from another version of the network.")
    for name, value in expected.items():
        if tensors[name].shape != value.shape:
            raise ValueError(
                f"{what}: {name!r} has shape {tuple(tensors[name].shape)} in the file and {tuple(value.shape)} in the "
                "network. They come from another network."
            )
