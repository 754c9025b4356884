"""What all tests share."""

from importlib.util import find_spec

import torch

torch.set_num_threads(1)

# timm and torchvision live in an environment of their own (`make test-vision`): a torchvision that does not match the
# installed torch breaks torchmetrics, Lightning and transformers at import.
collect_ignore = [] if find_spec("timm") and find_spec("torchvision") else ["vision"]
