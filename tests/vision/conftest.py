"""Make torchvision importable beside a CPU build of torch, whose operators its binary wheel does not find.

Test-only: it declares two operators of torchvision's namespace, without implementing them, and acts on nothing where
torchvision is healthy (https://github.com/pytorch/vision/issues/9077).
"""

import sys
from importlib import import_module

import torch

try:
    import_module("torchvision")
except RuntimeError as error:
    if "torchvision::" not in str(error):
        raise
    for name in [m for m in sys.modules if m.partition(".")[0] == "torchvision"]:
        del sys.modules[name]
    LIBRARY = torch.library.Library("torchvision", "FRAGMENT")
    for operator in ("nms", "qnms"):
        LIBRARY.define(f"{operator}(Tensor dets, Tensor scores, float iou_threshold) -> Tensor")
    import_module("torchvision")
