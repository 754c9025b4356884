"""Training: methods (head + loss + what follows), runs over Lightning Fabric, models in files. Needs ``[train]``.

The names below are resolved on first use, so that the configuration, which the command line shows, costs no torch.
"""

from __future__ import annotations

from importlib import import_module
from typing import Any

_PUBLIC = {
    "METHODS": "methods",
    "AlignmentSchedule": "alignment",
    "Augmentation": "augment",
    "Budget": "config",
    "ClassBalancedSampler": "sampling",
    "Classifier": "classifier",
    "Context": "methods",
    "Fitted": "loop",
    "Hardware": "hardware",
    "Method": "methods",
    "MeasuredRun": "collapse",
    "Mixing": "augment",
    "ModelInfo": "model_info",
    "Scorer": "scoring",
    "Split": "split",
    "Stopped": "stopping",
    "Task": "task",
    "TrainConfig": "train_config",
    "Training": "loop",
    "backbone_features": "prediction",
    "build_task": "build",
    "corrected_logits": "correction",
    "default_backbone": "build",
    "fit": "loop",
    "fit_correction": "correction",
    "get_method": "methods",
    "measure_run": "collapse",
    "load_model": "model_files",
    "make_config": "config_files",
    "make_split": "split",
    "predict": "prediction",
    "read_yaml": "config_files",
    "resume": "run",
    "save_model": "model_files",
    "score": "scoring",
    "train": "run",
}

__all__ = sorted(_PUBLIC)


def __getattr__(name: str) -> Any:
    """Resolve a public name on first use (PEP 562)."""
    if name not in _PUBLIC:
        raise AttributeError(f"module 'equiangular.training' has no attribute {name!r}; it has: {', '.join(__all__)}")
    value = getattr(import_module(f"{__name__}.{_PUBLIC[name]}"), name)
    globals()[name] = value
    return value


def __dir__() -> list[str]:
    return __all__
