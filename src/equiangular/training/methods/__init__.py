"""Training methods, one file each; ``get_method(name)`` finds one."""

from equiangular.training.methods.base import Context, Method
from equiangular.training.methods.registry import METHODS, get_method

__all__ = ["METHODS", "Context", "Method", "get_method"]
