"""What all tests share."""

import gc
import os
from importlib.util import find_spec

import torch

# Nine thousand tests and what they import are garbage never: the collector goes through all of it eighteen times while
# they are gathered, a fifth of that time.
gc.disable()

torch.set_num_threads(1)
# Files of tests need not outlive a power cut, and a training waits for the disk a dozen times. What a failing fsync
# does is tested by functions put in its place.
os.fsync = lambda handle: None

# timm and torchvision live in an environment of their own (`make test-vision`): a torchvision that does not match the
# installed torch breaks torchmetrics, Lightning and transformers at import.
collect_ignore = [] if find_spec("timm") and find_spec("torchvision") else ["vision"]


def pytest_collection_finish() -> None:
    """What is there now stays: the collector need not look at it again."""
    gc.freeze()
    gc.enable()
