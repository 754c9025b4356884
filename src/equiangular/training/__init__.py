"""Training: methods (head + loss + what follows), runs over Lightning Fabric, models in files. Needs ``[train]``.

The names below are resolved on first use, so that the configuration, which the command line shows, costs no torch.
"""

from __future__ import annotations

from importlib import import_module
from typing import Any

_PUBLIC = {
    "METHODS": "methods",
    "AlignmentSchedule": "engine.alignment",
    "Augmentation": "augment",
    "Budget": "config.budget",
    "ClassBalancedSampler": "engine.sampling",
    "Classifier": "model.classifier",
    "Context": "methods",
    "Fitted": "engine.loop",
    "Hardware": "config.options",
    "Method": "methods",
    "MeasuredRun": "run.collapse",
    "Mixing": "augment",
    "ModelInfo": "model.info",
    "Scorer": "run.scoring",
    "Split": "equiangular.data.split",
    "Stopped": "engine.stopping",
    "Task": "model.task",
    "TrainConfig": "config.options",
    "Training": "engine.loop",
    "Trial": "config.options",
    "TrialStore": "run.store",
    "backbone_features": "engine.prediction",
    "build_task": "model.task",
    "corrected_logits": "model.correction",
    "default_backbone": "model.task",
    "fit": "engine.loop",
    "fit_correction": "model.correction",
    "get_method": "methods",
    "measure_run": "run.collapse",
    "load_model": "model.files",
    "make_config": "config.files",
    "make_split": "equiangular.data.split",
    "predict": "engine.prediction",
    "read_yaml": "config.files",
    "resume": "run.train",
    "run_trial": "run.trial",
    "save_model": "model.files",
    "score": "run.scoring",
    "train": "run.train",
}

__all__ = sorted(_PUBLIC)


def __getattr__(name: str) -> Any:
    """Resolve a public name on first use (PEP 562)."""
    if name not in _PUBLIC:
        raise AttributeError(f"module 'equiangular.training' has no attribute {name!r}; it has: {', '.join(__all__)}")
    place = _PUBLIC[name]
    value = getattr(import_module(place if place.startswith("equiangular.") else f"{__name__}.{place}"), name)
    globals()[name] = value
    return value


def __dir__() -> list[str]:
    return __all__
