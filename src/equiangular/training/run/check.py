"""Looking up every name in a configuration before any data are loaded; loggers of Lightning by name."""

from __future__ import annotations

from pathlib import Path
from typing import Any, TypeVar

from equiangular._checks import check_choice
from equiangular._extras import require
from equiangular.training.augment import Augmentation, Mixing
from equiangular.training.config.options import Trial
from equiangular.training.methods import get_method

# Name -> module and class of the logger, and the arguments that make it write below the run's folder.
_LOGGERS = {
    "tensorboard": (
        "lightning_fabric.loggers",
        "TensorBoardLogger",
        {"root_dir": "tensorboard", "name": "", "version": ""},
    ),
    "wandb": ("lightning.pytorch.loggers", "WandbLogger", {"save_dir": ".", "project": "equiangular"}),
    "mlflow": ("lightning.pytorch.loggers", "MLFlowLogger", {"save_dir": "mlflow", "experiment_name": "equiangular"}),
    "comet": ("lightning.pytorch.loggers", "CometLogger", {}),
    "neptune": ("lightning.pytorch.loggers", "NeptuneLogger", {}),
}


def logger_names(text: str) -> list[str]:
    """The names in a text such as ``"tensorboard,wandb"``, each of them known.

    Example:
        >>> logger_names("tensorboard, wandb")
        ['tensorboard', 'wandb']
    """
    return [check_choice(name, _LOGGERS, "loggers") for name in text.replace(" ", "").split(",") if name]


def make_loggers(text: str, folder: Path) -> list[Any]:
    """One logger for each name; ImportError says which library is missing."""
    loggers = []
    for name in logger_names(text):
        module, kind, options = _LOGGERS[name]
        options = {k: str(folder / v) if k.endswith("_dir") else v for k, v in options.items()}
        try:
            loggers.append(getattr(require(module, extra="train", purpose=f"Logging to {name}"), kind)(**options))
            loggers[-1].experiment  # noqa: B018 - made now, so that what is missing is known before training
        except ModuleNotFoundError as error:
            raise ImportError(
                f"logging to {name} needs a library that is missing ({error}). Install it with: pip install {name}"
            ) from error
    return loggers


AnyTrial = TypeVar("AnyTrial", bound=Trial)


def check_names(config: AnyTrial) -> AnyTrial:
    """The configuration, if every name in it is known.

    Raises:
        ValueError: an unknown method, augmentation, mixing or logger; the closest one is suggested.
    """
    get_method(config.method)
    Augmentation.parse(config.augment)
    Mixing.parse(config.mix)
    logger_names(getattr(config, "loggers", ""))
    return config
