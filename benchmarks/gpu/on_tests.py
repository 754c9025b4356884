"""The fast tests of the core with their tensors on the device.

Tests are written for the CPU. A mode puts what a *test* makes on the device: it draws with the test's generators on the
CPU and moves the result, makes modules there, and compares values across devices. What the library makes stays
where the library puts it, so that a tensor that it forgets to move is an error. What fails is listed with its last
line, to be read by a person: some tests ask for the CPU's own errors.
"""

from __future__ import annotations

import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor, nn
from torch.overrides import TorchFunctionMode

ROOT = Path(__file__).parents[2]
FOLDERS = ("frames", "heads", "losses", "measures", "posthoc", "closed_form", "longtail")
FACTORIES = frozenset(
    "randn rand randint randperm tensor as_tensor zeros ones empty full eye arange linspace from_numpy normal".split()  # noqa: SIM905
)


class TestsOnDevice(TorchFunctionMode):
    """Results of factory functions that a file of tests calls without a device go to ``device``."""

    __test__ = False

    def __init__(self, device: torch.device) -> None:
        super().__init__()
        self.device = device
        self.factories = {getattr(torch, name) for name in FACTORIES}

    def __torch_function__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        kwargs = kwargs or {}
        made = func(*args, **kwargs)
        if func in self.factories and kwargs.get("device") is None and isinstance(made, Tensor):
            caller = sys._getframe(1).f_code.co_filename
            if "/tests/" in caller:
                return made.detach().to(self.device).requires_grad_(made.requires_grad)
        return made


class Plugin:
    def __init__(self, device: torch.device, keep: Callable[[object], None]) -> None:
        self.device, self.keep = device, keep
        self.passed, self.skipped, self.failed = 0, 0, {}

    @pytest.hookimpl(hookwrapper=True)
    def pytest_runtest_protocol(self, item: Any) -> Any:
        with TestsOnDevice(self.device):
            yield

    def pytest_runtest_logreport(self, report: Any) -> None:
        if report.failed:
            self.failed[report.nodeid] = str(report.longrepr).strip().splitlines()[-1][:300]
        elif report.when == "call":
            self.passed += report.passed
            self.skipped += report.skipped
        if report.when == "teardown" and (self.passed + len(self.failed)) % 50 == 0:
            self.keep(self.told())

    def told(self) -> dict[str, Any]:
        return {"passed": self.passed, "skipped": self.skipped, "failed": self.failed}


def lenient(device: torch.device) -> None:
    """Modules of tests are made on the device; values are compared, and given to NumPy, from wherever they are."""
    close, array, numpy, call = torch.testing.assert_close, Tensor.__array__, Tensor.numpy, nn.Module.__call__

    def assert_close(actual: Any, expected: Any, **options: Any) -> None:
        close(actual, expected, **({"check_device": False} | options))

    def moved(module: nn.Module, *args: Any, **kwargs: Any) -> Any:
        here = next((a.device for a in args if isinstance(a, Tensor)), None)
        tensors = [*module.parameters(), *module.buffers()]
        if (
            here == device
            and any(t.device.type == "cpu" for t in tensors)
            and "/tests/" in sys._getframe(1).f_code.co_filename
        ):
            module.to(device)
        return call(module, *args, **kwargs)

    torch.testing.assert_close = assert_close
    Tensor.__array__ = lambda self, *a, **k: array(self.cpu(), *a, **k)
    Tensor.numpy = lambda self, *a, **k: numpy(self.cpu(), *a, **k)
    nn.Module.__call__ = moved


def run(device: torch.device, *, small: bool, keep: Callable[[object], None]) -> dict[str, Any]:
    device = torch.empty(0, device=device).device
    plugin = Plugin(device, keep)
    if device.type != "cpu":
        lenient(device)
    folders = [str(ROOT / "tests" / name) for name in (FOLDERS[-1:] if small else FOLDERS)]
    options = [
        "-q",
        "-x" if small else "--maxfail=2000",
        "-m",
        "not slow",
        "-p",
        "no:cacheprovider",
        "--no-header",
        "--tb=line",
    ]
    pytest.main([*options, f"--rootdir={ROOT}", *folders], plugins=[plugin])
    return plugin.told()
