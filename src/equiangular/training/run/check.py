"""Looking up every name in a configuration, before any data are loaded."""

from __future__ import annotations

from typing import TypeVar

from equiangular.training.augment import Augmentation, Mixing
from equiangular.training.config.options import Trial
from equiangular.training.methods import get_method
from equiangular.training.run.loggers import logger_names

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
