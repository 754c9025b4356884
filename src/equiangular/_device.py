"""Which device to compute on."""

from __future__ import annotations

import torch

from equiangular._checks import check_choice


def choose_device(accelerator: str, name: str = "accelerator") -> torch.device:
    """``"auto"``: a GPU if there is one, else the CPU. ``name`` is what messages call the argument.

    Raises:
        ValueError: an unknown name (the closest one is suggested), or a device that this machine does not have.

    Example:
        >>> choose_device("cpu")
        device(type='cpu')
    """
    there = {"cuda": torch.cuda.is_available(), "mps": torch.backends.mps.is_available(), "cpu": True}
    if check_choice(accelerator, ("auto", *there), name) == "auto":
        return torch.device(next(name for name, present in there.items() if present))
    if not there[accelerator]:
        raise ValueError(f"this machine has no {accelerator!r} that PyTorch can use; take {name} 'auto'.")
    return torch.device(accelerator)
