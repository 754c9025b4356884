"""No head, loss, metric update or training step makes the host wait for an accelerator.

On the meta device tensors have no values, so whatever would read one fails: ``.item()``, ``nonzero``, ``unique``,
boolean indexing. Copies from one device to the other, which wait as well, are counted by a dispatch mode.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
import torch
from torch import Tensor, nn
from torch.utils._python_dispatch import TorchDispatchMode

import equiangular as eq
from equiangular.closed_form import ClosedFormHead
from equiangular.measures._metric import SumMetric
from equiangular.measures.collapse.moments import ClassMoments
from equiangular.training import build_task, get_method
from equiangular.training.methods import METHODS, Context
from equiangular.training.methods.fitted import FittedMethod

B, D, K = 12, 16, 5
META = torch.device("meta")


class NoCopies(TorchDispatchMode):
    """Refuses copies between devices."""

    def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        out = func(*args, **(kwargs or {}))
        if func.overloadpacket in (torch.ops.aten._to_copy, torch.ops.aten.copy_):
            devices = {t.device.type for t in (*args, out) if isinstance(t, Tensor)}
            assert len(devices) == 1, f"{func} copies between {devices}"
        return out


def on_meta(*shape: int) -> Tensor:
    return torch.empty(*shape, device=META, requires_grad=True)


def labels() -> Tensor:
    return torch.empty(B, dtype=torch.int64, device=META)


def test_the_check_sees_what_waits() -> None:
    x = torch.empty(3, device=META)
    waits: list[Callable[[], object]] = [
        lambda: x.sum().item(), lambda: x.nonzero(), lambda: x.unique(), lambda: x[x > 0], lambda: x.cpu(),
        lambda: torch.ones(3).to(META), lambda: x.copy_(torch.ones(3)), lambda: x.tolist(),
    ]  # fmt: skip
    for wait in waits:
        with NoCopies(), pytest.raises((RuntimeError, NotImplementedError, AssertionError)):
            wait()


def unstored(basis: str) -> nn.Module:
    """A head whose class vectors are a formula, as those of many classes are."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("equiangular.heads.unstored.LARGE_FRAME", 1)
        return eq.ETFHead(D, K, basis=basis)


HEADS: dict[str, Callable[[], nn.Module]] = {
    "etf": lambda: eq.ETFHead(D, K),
    "etf, batch norm": lambda: eq.ETFHead(D, K, norm="batch"),
    "etf, mapped": lambda: eq.ETFHead(D, K, projection="mlp"),
    "recommended": lambda: eq.recommended_head(D, K),
    "spread": lambda: eq.ETFHead(3, K, basis="spread"),
    "linear": lambda: eq.LinearHead(D, K),
    "cosine": lambda: eq.CosineHead(D, K, scale="learned"),
    "random": lambda: eq.RandomHead(D, K),
    "recommended, mapped": lambda: eq.recommended_head(4, K),
    "rotated": lambda: eq.RotatedETFHead(D, K),
    "incremental": lambda: eq.IncrementalETFHead(D, K, reserved=2),
    "structured": lambda: eq.ETFHead(D, K, basis="canonical"),
    "unstored": lambda: unstored("canonical"),
    "unstored, minimal": lambda: unstored("minimal"),
    "closed form": lambda: ClosedFormHead(D, kind="ridge").fit(torch.randn(30, D), torch.arange(30) % K),
    "implicit": lambda: eq.ImplicitHead(D, K),
    "implicit, quadratic": lambda: eq.ImplicitHead(D, K, construction="quadratic"),
    "named": lambda: eq.NamedHead(D, K, class_vectors=torch.eye(K, D)),
}


@pytest.mark.parametrize("name", HEADS)
def test_heads(name: str) -> None:
    head = HEADS[name]().to(META).train()
    x = on_meta(B, head.in_features)
    head(x)  # tables that are computed once are moved once
    with NoCopies():
        nn.functional.cross_entropy(head(x), labels()).backward()
        eq.dot_regression_loss(
            head(x, pre_logits=True), torch.arange(B, device=META), head.targets(labels())
        ).backward()


@pytest.mark.parametrize("name", HEADS)
def test_heads_predict(name: str) -> None:
    head = HEADS[name]().to(META).eval()
    x = torch.empty(B, head.in_features, device=META)
    with torch.no_grad():
        head(x)
        with NoCopies():
            head(x)


def test_every_head_is_among_them() -> None:
    assert {*eq.heads.HEADS.values(), ClosedFormHead} == {type(make()) for make in HEADS.values()}


def table() -> Tensor:
    return torch.empty(K, D, device=META)


COUNTS = torch.arange(1.0, K + 1)
FUNCTIONS: dict[str, Callable[[Tensor], Tensor]] = {
    "dot_regression_loss": lambda x: eq.dot_regression_loss(x, labels(), table()),
    "dot_regression_loss, balanced": lambda x: eq.dot_regression_loss(x, labels(), table(), balance="batch"),
    "dot_loss": lambda x: eq.dot_loss(x, labels(), table()),
    "cosine_cross_entropy": lambda x: eq.cosine_cross_entropy(x, labels(), table(), scale=8.0),
    "ntce_loss": lambda x: eq.losses.ntce_loss(x, labels(), table(), scale=8.0),
    "nonl_loss": lambda x: eq.losses.nonl_loss(x, labels(), table(), scale=8.0),
    "cosine_cross_entropy, chunks": lambda x: eq.cosine_cross_entropy(x, labels(), table(), scale=8.0, chunk_size=2),
}


@pytest.mark.parametrize("name", FUNCTIONS)
def test_loss_functions(name: str) -> None:
    x = on_meta(B, D)
    with NoCopies():
        FUNCTIONS[name](x).backward()


# Built on the CPU from class counts, then moved: what they hold moves with them.
LOSSES: dict[str, Callable[[], nn.Module]] = {
    "logit-adjusted": lambda: eq.losses.LogitAdjustedCrossEntropyLoss(COUNTS),
    "vector-scaling": lambda: eq.losses.VectorScalingLoss(COUNTS),
    "label-aware": lambda: eq.losses.LabelAwareSmoothingLoss(COUNTS),
    "class-balanced": lambda: eq.losses.ClassBalancedLoss(COUNTS),
    "ldam": lambda: eq.losses.LDAMLoss(COUNTS),
    "focal": lambda: eq.losses.FocalLoss(),
    "arb": lambda: eq.losses.ARBLoss(),
}
# Of features and class vectors.
TABLE_LOSSES: dict[str, Callable[[], nn.Module]] = {
    "dot-regression": lambda: eq.losses.DotRegressionLoss(),
    "dot-regression, balanced": lambda: eq.losses.DotRegressionLoss(balance="batch", class_weight=COUNTS),
    "dot": lambda: eq.losses.DotLoss(),
    "cosine": lambda: eq.losses.CosineCrossEntropyLoss(scale=8.0),
    "ntce": lambda: eq.losses.NTCELoss(scale=8.0),
    "nonl": lambda: eq.losses.NONLLoss(scale=8.0),
}
TARGETS: dict[str, Callable[[], Any]] = {
    "labels": labels,
    "probabilities": lambda: torch.empty(B, K, device=META),
    "mixup": lambda: (labels(), labels(), 0.3),
    "mixup by sample": lambda: (labels(), labels(), torch.empty(B, device=META)),
}


@pytest.mark.parametrize("target", TARGETS)
@pytest.mark.parametrize("name", LOSSES)
def test_losses_of_logits(name: str, target: str) -> None:
    loss = LOSSES[name]().to(META)
    logits = on_meta(B, K)
    with NoCopies():
        loss(logits, TARGETS[target]()).backward()


@pytest.mark.parametrize("target", TARGETS)
@pytest.mark.parametrize("name", TABLE_LOSSES)
def test_losses_of_class_vectors(name: str, target: str) -> None:
    loss = TABLE_LOSSES[name]().to(META)
    with NoCopies():
        loss(on_meta(B, D), TARGETS[target](), table()).backward()


def test_the_fused_loss_of_a_head() -> None:
    head, loss = eq.ETFHead(D, K).to(META), eq.losses.DotRegressionLoss()
    with NoCopies():
        loss(on_meta(B, D), labels(), head).backward()


def test_every_loss_is_among_them() -> None:
    made = {type(make()) for make in (LOSSES | TABLE_LOSSES).values()}
    assert made == {
        value for value in vars(eq.losses).values() if isinstance(value, type) and issubclass(value, nn.Module)
    }


GROUPS = {"many": [0, 1], "few": [3]}
UPDATES: dict[str, tuple[Callable[[], Any], tuple[int, ...]]] = {
    "collapse": (lambda: eq.NeuralCollapse(num_classes=K, dim=D, weight=eq.ETFHead(D, K)), (D,)),
    "collapse, single": (lambda: eq.NeuralCollapse(num_classes=K, dim=D, precision="single"), (D,)),
    "collapse of groups": (lambda: eq.NeuralCollapse(num_classes=K, dim=D, groups=GROUPS), (D,)),
    "collapse, NC4": (lambda: eq.NeuralCollapse(num_classes=K, dim=D, reference_means=torch.eye(K, D)), (D, K)),
    "calibration": (lambda: eq.CalibrationError(), (K,)),
    "calibration of groups": (lambda: eq.CalibrationError(groups=GROUPS, num_classes=K), (K,)),
    "shots": (lambda: eq.ShotAccuracy([200, 100, 50, 20, 5]), (K,)),
    "shots, confusion": (lambda: eq.ShotAccuracy([200, 100, 50, 20, 5], confusion=True), (K,)),
}


@pytest.mark.parametrize("name", UPDATES)
def test_metric_updates(name: str) -> None:
    make, widths = UPDATES[name]
    metric = make().to(META)
    values, *logits = [torch.empty(B, width, device=META) for width in widths]
    with NoCopies():
        metric.update(values, labels(), *logits)


def test_every_metric_is_among_them() -> None:
    made = {type(make()) for make, _ in UPDATES.values()}
    assert made == set(SumMetric.__subclasses__())


def test_moments_on_a_device_are_those_of_the_cpu(monkeypatch: pytest.MonkeyPatch) -> None:
    generator = torch.Generator().manual_seed(0)
    batches = [
        (3 + torch.randn(B, D, generator=generator), torch.randint(K - 1, (B,), generator=generator)) for _ in range(3)
    ]
    slot = torch.tensor([0, 1, 1, 0, 0])

    def moments() -> ClassMoments:
        made = ClassMoments.empty(K, D, slot=slot)
        for x, y in batches:
            made.update(x, y)
        return made

    expected = moments()
    monkeypatch.setattr("equiangular.measures.collapse.moments.values_are_readable", lambda *_: False)
    for got, value in zip(vars(moments()).values(), vars(expected).values(), strict=True):
        torch.testing.assert_close(got, value, rtol=1e-12, atol=1e-12)


@pytest.mark.parametrize("name", [name for name, method in METHODS.items() if not isinstance(method, FittedMethod)])
def test_a_training_step(name: str) -> None:
    method = get_method(name)
    task = build_task(method, "mlp", (D,), K, seed=0).to(META).train()
    optimizer = torch.optim.SGD([p for p in task.parameters() if p.requires_grad], lr=0.1, momentum=0.9)
    task.context = Context(torch.empty(K, device=META), 0, 2, labels())
    for _ in range(2):
        with NoCopies():
            optimizer.zero_grad(set_to_none=True)
            task(torch.empty(B, D, device=META), labels())["losses"].mean().backward()
            optimizer.step()
