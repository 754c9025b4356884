"""What `equiangular doctor` finds: versions, devices, what extras lack, and whether a little work comes out right."""

from __future__ import annotations

import importlib.metadata
import platform
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import torch

from equiangular._counted import counted


def versions() -> dict[str, str]:
    """Of this library, Python and PyTorch, and the system.

    Example:
        >>> list(versions())
        ['equiangular', 'python', 'torch', 'system']
    """
    from equiangular import __version__

    return {
        "equiangular": __version__,
        "python": sys.version.partition(" ")[0],
        "torch": torch.__version__,
        "system": f"{platform.system()} {platform.machine()}, {counted(torch.get_num_threads(), 'CPU thread')}",
    }


def devices() -> dict[str, str]:
    """What PyTorch can compute on, by name of the device, and what it is called."""
    found = {"cpu": platform.processor() or platform.machine()}
    for index in range(torch.cuda.device_count() if torch.cuda.is_available() else 0):
        found[f"cuda:{index}"] = torch.cuda.get_device_name(index)
    return {**found, **({"mps": "Apple GPU"} if torch.backends.mps.is_available() else {})}


def extras() -> dict[str, dict[str, Any]]:
    """Each extra: the packages that it brings with the version that is here, and those that are missing or too old.

    Returns:
        By name of the extra ``installed`` (version by package) and ``missing`` (requirements); empty where the library
        is not installed, such as a checkout on the path.
    """
    from packaging.requirements import Requirement

    try:
        stated = importlib.metadata.requires("equiangular") or []
    except importlib.metadata.PackageNotFoundError:
        return {}
    found: dict[str, dict[str, Any]] = {}
    for requirement in map(Requirement, stated):
        if requirement.marker is None or requirement.name == "equiangular":
            continue
        for extra in importlib.metadata.metadata("equiangular").get_all("Provides-Extra", []):
            if extra in ("dev", "docs", "all") or not requirement.marker.evaluate({"extra": extra}):
                continue
            one = found.setdefault(extra, {"installed": {}, "missing": []})
            try:
                version = importlib.metadata.version(requirement.name)
            except importlib.metadata.PackageNotFoundError:
                one["missing"].append(f"{requirement.name}{requirement.specifier}")
                continue
            if requirement.specifier.contains(version, prereleases=True):
                one["installed"][requirement.name] = version
            else:
                one["missing"].append(f"{requirement.name}{requirement.specifier} (here {version})")
    return found


def self_test(device: str) -> list[dict[str, Any]]:
    """A little of what the library is for, on a device, each with what came out and whether that is right.

    Returns:
        ``name``, ``right``, ``found`` (in words) and ``seconds`` of each.
    """
    return [_done(name, test, device) for name, test in _TESTS.items()]


def _done(name: str, test: Callable[[str], tuple[bool, str]], device: str) -> dict[str, Any]:
    start = time.perf_counter()
    try:
        right, found = test(device)
    except Exception as error:  # what broke is the finding
        right, found = False, f"{type(error).__name__}: {error}".partition("\n")[0]
    return {"name": name, "right": right, "found": found, "seconds": time.perf_counter() - start}


def _frame(device: str) -> tuple[bool, str]:
    """Class vectors: all pairs at cosine -1/(K-1)."""
    from equiangular import simplex_etf

    vectors = simplex_etf(10, 64, seed=0).to(device)
    cosines = (vectors @ vectors.T)[~torch.eye(10, dtype=torch.bool, device=device)]
    error = float((cosines + 1 / 9).abs().max())
    return error < 1e-5, f"10 class vectors, every pair within {error:.0e} of cosine -1/9"


def _training(device: str) -> tuple[bool, str]:
    """A step of dot-regression on a fixed head: the loss falls, the class vectors stay."""
    from equiangular import ETFHead
    from equiangular.losses import dot_regression_loss

    generator = torch.Generator().manual_seed(0)
    features = torch.randn(64, 16, generator=generator).to(device).requires_grad_()
    labels = torch.arange(64, device=device) % 10
    head = ETFHead(16, 10, norm="none", seed=0).to(device)
    before = head.class_vectors().detach().clone()
    losses = []
    for _ in range(20):
        loss = dot_regression_loss(head(features, pre_logits=True), labels, head.class_vectors())
        (gradient,) = torch.autograd.grad(loss, features)
        features = (features - 20.0 * gradient).detach().requires_grad_()
        losses.append(float(loss.detach()))
    fixed = torch.equal(before, head.class_vectors())
    return fixed and losses[-1] < losses[
        0
    ], f"loss {losses[0]:.3f} -> {losses[-1]:.3f} in 20 steps, class vectors fixed"


def _closed_form(device: str) -> tuple[bool, str]:
    """Ridge onto a simplex on real digits, as a fit in one call."""
    from equiangular import ClosedFormHead
    from equiangular.data import load_dataset

    digits = load_dataset("digits")
    train_x, test_x = (torch.as_tensor(x).flatten(1).float().to(device) for x in (digits.train_x, digits.test_x))
    head = ClosedFormHead(64, 10, kind="ridge").to(device)
    head.fit(train_x, digits.train_y.to(device))
    accuracy = 100 * float((head(test_x).argmax(1).cpu() == digits.test_y).float().mean())
    return accuracy > 90, f"ridge onto a simplex, digits: {accuracy:.1f} % of the test part"


def _files(device: str) -> tuple[bool, str]:
    """A file written and read again."""
    from equiangular._files import read_safetensors, write_safetensors

    with tempfile.TemporaryDirectory() as folder:
        path = write_safetensors(Path(folder) / "x.safetensors", {"x": torch.arange(10.0, device=device)})
        tensors, _ = read_safetensors(path, remedy="")
        return torch.equal(tensors["x"].cpu(), torch.arange(10.0)), "a file written, read and checked by its hash"


_TESTS: dict[str, Callable[[str], tuple[bool, str]]] = {
    "frames": _frame,
    "training": _training,
    "closed form": _closed_form,
    "files": _files,
}
