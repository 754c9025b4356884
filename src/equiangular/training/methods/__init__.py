"""Training methods; ``get_method(name)`` finds one."""

from equiangular.training.methods.base import Context as Context, Method as Method, StoredFeatures as StoredFeatures
from equiangular.training.methods.base import TrainingDivergedError as TrainingDivergedError
from equiangular.training.methods.base import TwoStageMethod as TwoStageMethod
from equiangular.training.methods.fitted import FittedMethod as FittedMethod
from equiangular.training.methods.registry import METHODS as METHODS, RENAMED as RENAMED, corrected as corrected
from equiangular.training.methods.registry import get_method as get_method
