"""Training: methods (head + loss + what follows), runs over Lightning Fabric, models in files. Needs ``[train]``.

The names below are resolved on first use, so that the configuration, which the command line shows, costs no torch.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from equiangular._lazy import lazy_names

if TYPE_CHECKING:
    from equiangular.data.split import Split as Split, make_split as make_split
    from equiangular.training.augment import Augmentation as Augmentation, Mixing as Mixing
    from equiangular.training.config.budget import Budget as Budget
    from equiangular.training.config.files import make_config as make_config, read_yaml as read_yaml
    from equiangular.training.config.options import Hardware as Hardware, TrainConfig as TrainConfig, Trial as Trial
    from equiangular.training.engine.alignment import AlignmentSchedule as AlignmentSchedule
    from equiangular.training.engine.loop import Fitted as Fitted, Training as Training, fit as fit
    from equiangular.training.engine.prediction import backbone_features as backbone_features, predict as predict
    from equiangular.training.engine.sampling import ClassBalancedSampler as ClassBalancedSampler
    from equiangular.training.engine.stopping import Stopped as Stopped
    from equiangular.training.methods import METHODS as METHODS, Context as Context, Method as Method
    from equiangular.training.methods import get_method as get_method
    from equiangular.training.model.classifier import Classifier as Classifier
    from equiangular.training.model.correction import corrected_logits as corrected_logits
    from equiangular.training.model.correction import fit_correction as fit_correction
    from equiangular.training.model.files import load_model as load_model, save_model as save_model
    from equiangular.training.model.info import ModelInfo as ModelInfo
    from equiangular.training.model.task import Task as Task, build_task as build_task
    from equiangular.training.model.task import default_backbone as default_backbone
    from equiangular.training.run.collapse import MeasuredRun as MeasuredRun, measure_run as measure_run
    from equiangular.training.run.scoring import Scorer as Scorer, score as score
    from equiangular.training.run.store import TrialStore as TrialStore
    from equiangular.training.run.train import resume as resume, train as train
    from equiangular.training.run.trial import run_trial as run_trial
else:
    __getattr__, __dir__, __all__ = lazy_names(
        __name__,
        {
            ".augment": "Augmentation Mixing",
            ".config.budget": "Budget",
            ".config.files": "make_config read_yaml",
            ".config.options": "Hardware TrainConfig Trial",
            ".engine.alignment": "AlignmentSchedule",
            ".engine.loop": "Fitted Training fit",
            ".engine.prediction": "backbone_features predict",
            ".engine.sampling": "ClassBalancedSampler",
            ".engine.stopping": "Stopped",
            ".methods": "Context METHODS Method get_method",
            ".model.classifier": "Classifier",
            ".model.correction": "corrected_logits fit_correction",
            ".model.files": "load_model save_model",
            ".model.info": "ModelInfo",
            ".model.task": "Task build_task default_backbone",
            ".run.collapse": "MeasuredRun measure_run",
            ".run.scoring": "Scorer score",
            ".run.store": "TrialStore",
            ".run.train": "resume train",
            ".run.trial": "run_trial",
            "equiangular.data.split": "Split make_split",
        },
    )
