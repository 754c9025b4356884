"""The whole state of a training in one safetensors file, from which it goes on as if it had never stopped.

Weights, buffers, optimiser and average are tensors; position, losses and the configuration are JSON in the file's
header. No generator is stored, because every draw is a function of (seed, epoch, step).
"""

from __future__ import annotations

import json
import warnings
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from equiangular._files import DamagedError, prepare_folder, read_safetensors, write_safetensors
from equiangular._guarded import parse_json
from equiangular.training.engine.fabric import full_tensor, load_sharded
from equiangular.training.engine.loop import Training

FORMAT = 1
_KEY = "equiangular-checkpoint"
_ADVICE = "Delete its folder to train from the beginning, which ends in the same results."


def save_checkpoint(path: str | Path, training: Training, *, config: dict[str, Any], extra: Any = None) -> None:
    """Write the state of a training; the file that was there is replaced when the new one is complete.

    All processes of a distributed run call this together; the first one writes.

    ``config`` are JSON-plain values that have to be the same when the training goes on, ``extra`` such that
    :func:`load_checkpoint` gives back. Where it cannot be written, to a full disk say, the old file is unharmed.
    """
    tensors = {
        f"{part}.{name}": full_tensor(value)
        for part, state in _tensor_states(training).items()
        for name, value in state.items()
    }
    total = training.fabric.all_reduce(training.total.clone(), reduce_op="sum")  # it works in place
    state = {
        "format": FORMAT,
        "config": config,
        "epoch": training.epoch,
        "step": training.step,
        "total": float(total),
        "losses": training.losses,
        "seconds": training.seconds,
        "precision": training.fabric.strategy.precision.state_dict(),
        "extra": extra,
    }
    failure = None
    if training.fabric.is_global_zero:
        try:
            prepare_folder(Path(path).parent)
            write_safetensors(path, tensors, {_KEY: json.dumps(state)}, durable=True, before=_before(path))
        except (OSError, ValueError) as error:
            failure = f"cannot write the checkpoint {str(path)!r}: {getattr(error, 'strerror', None) or error}"
    failure = training.fabric.broadcast(failure)
    if failure:
        kept = "The checkpoint before it is unharmed" if Path(path).exists() else "There is none before it"
        raise ValueError(f"{failure}. {kept}; make room and go on with: equiangular resume {Path(path).parents[1]}")


def load_checkpoint(path: str | Path, training: Training, *, config: dict[str, Any]) -> Any:
    """Bring a new training, made from the same configuration, to the state in a file; returns the ``extra`` values."""
    tensors, state = _read_last(path)
    # Where the data lie may change: what they hold is among the rest.
    said, stored = ({k: v for k, v in values.items() if k != "data"} for values in (config, state["config"]))
    check_same(said, stored, path)
    parts: dict[str, dict[str, Tensor]] = {}
    for name, value in tensors.items():
        part, _, rest = name.partition(".")
        parts.setdefault(part, {})[rest] = value
    try:
        _load_module(training.task, parts.get("task", {}))
        if training.average is not None:
            _load_module(training.average, parts.get("average", {}))
        _load_optimizer(training.optimizer.optimizer, parts.get("optimizer", {}))
    except (RuntimeError, KeyError, ValueError) as error:
        raise ValueError(f"the checkpoint {str(path)!r} does not fit this network: {error}") from error
    training.fabric.strategy.precision.load_state_dict(state["precision"])
    training.epoch, training.step = state["epoch"], state["step"]
    training.losses, training.seconds = list(state["losses"]), state["seconds"]
    training.total.fill_(state["total"] if training.fabric.is_global_zero else 0.0)
    return state["extra"]


def has_checkpoint(path: str | Path) -> bool:
    """Whether there is a checkpoint to go on from, or the one before it."""
    return Path(path).exists() or _before(path).exists()


def forget_checkpoints(path: str | Path) -> None:
    """Delete the checkpoint, and the one before it."""
    for file in (Path(path), _before(path)):
        file.unlink(missing_ok=True)


def _before(path: str | Path) -> Path:
    return Path(path).with_stem(f"{Path(path).stem}-before")


def _read_last(path: str | Path) -> tuple[dict[str, Tensor], dict[str, Any]]:
    """The last checkpoint; the one before it, with a warning, where the last is damaged."""
    before = _before(path)
    if not Path(path).exists():  # a process was killed between two renamings
        return read_checkpoint(before)
    try:
        return read_checkpoint(path)
    except DamagedError as error:
        if not before.exists():
            raise
        found = read_checkpoint(before)
        what = str(error).removesuffix(_ADVICE)
        warnings.warn(f"{what}The training goes on from the checkpoint before it, {str(before)!r}.", stacklevel=2)
        return found


def read_checkpoint(path: str | Path) -> tuple[dict[str, Tensor], dict[str, Any]]:
    """Tensors and state in a checkpoint file."""
    tensors, metadata = read_safetensors(path, remedy=_ADVICE)
    try:
        state = parse_json(metadata[_KEY])
        known = state["format"]
    except (json.JSONDecodeError, KeyError, TypeError) as error:
        raise ValueError(f"{str(path)!r} is no checkpoint of equiangular ({error!r}). {_ADVICE}") from error
    if known != FORMAT:
        raise ValueError(
            f"the checkpoint {str(path)!r} has format {known!r}, this version of equiangular reads format {FORMAT}. Go "
            f"on with the version that wrote it. {_ADVICE}"
        )
    return tensors, state


def check_same(config: dict[str, Any], stored: dict[str, Any], path: str | Path) -> None:
    """Raise if a configuration differs from the stored one, naming every key that does."""
    names = [*stored, *(name for name in config if name not in stored)]
    absent = object()
    changed = [n for n in names if config.get(n, absent) != stored.get(n, absent)]
    if changed:
        listed = ", ".join(f"{n}: {stored.get(n, 'nothing')!r} then, {config.get(n, 'nothing')!r} now" for n in changed)
        raise ValueError(
            f"the run of {str(path)!r} was started with another configuration ({listed}). Go on with the old one, or "
            "start a new run in another folder (--output)."
        )


def _tensor_states(training: Training) -> dict[str, dict[str, Tensor]]:
    optimizer = training.optimizer.optimizer.state_dict()["state"]
    states = {
        "task": training.task.state_dict(),
        "optimizer": {f"{i}.{name}": value for i, values in optimizer.items() for name, value in values.items()},
    }
    if training.average is not None:
        states["average"] = training.average.state_dict()
    return {part: {n: v for n, v in state.items() if isinstance(v, Tensor)} for part, state in states.items()}


@torch.no_grad()
def _load_module(module: nn.Module, values: dict[str, Tensor]) -> None:
    own = module.state_dict()
    if own.keys() != values.keys():
        raise ValueError(f"its weights have other names, such as {sorted(own.keys() ^ values.keys())[0]!r}")
    for name, value in values.items():
        load_sharded(own[name], value)


def _load_optimizer(optimizer: torch.optim.Optimizer, values: dict[str, Tensor]) -> None:
    state: dict[int, dict[str, Tensor]] = {}
    parameters = [p for group in optimizer.param_groups for p in group["params"]]
    for name, value in values.items():
        number, _, key = name.partition(".")
        like = parameters[int(number)]
        if value.shape == like.shape:
            value = load_sharded(torch.empty_like(like), value)
        state.setdefault(int(number), {})[key] = value
    optimizer.load_state_dict({"state": state, "param_groups": optimizer.state_dict()["param_groups"]})
