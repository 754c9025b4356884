"""Heads, losses and corrections built on the meta device get the values that their options give, not free memory."""

import copy

import pytest
import torch

import equiangular as eq
from equiangular import losses
from equiangular.heads import HEADS, make_head

COUNTS = [40, 9, 3]
HEAD_CASES = {
    **{kind: (kind, {}) for kind in HEADS if kind != "named"},  # given vectors: tests/heads/test_named.py
    "recommended": ("recommended", {}),
    "spread": ("etf", {"basis": "spread"}),
    "reserved": ("incremental-etf", {"reserved": 2}),
    "mapped": ("rotated-etf", {"norm": "batch-first", "projection": "mlp", "dim": 7, "scale": "learned"}),
}
LOSS_CASES = {
    "LogitAdjustedCrossEntropyLoss": (COUNTS,),
    "VectorScalingLoss": (COUNTS,),
    "LabelAwareSmoothingLoss": (COUNTS,),
    "ClassBalancedLoss": (COUNTS,),
    "LDAMLoss": (COUNTS,),
}
WEIGHTED = ["FocalLoss", "DotRegressionLoss"]


def make(name: str) -> torch.nn.Module:
    if name in HEAD_CASES:
        kind, options = HEAD_CASES[name]
        return make_head(kind, 8, 3, seed=3, **options)
    if name == "PriorCorrection":
        return eq.PriorCorrection(3)
    loss = getattr(losses, name)
    return loss(class_weight=COUNTS) if name in WEIGHTED else loss(*LOSS_CASES[name])


every_module = pytest.mark.parametrize("name", [*HEAD_CASES, *LOSS_CASES, *WEIGHTED, "PriorCorrection"])


def assert_same(module: torch.nn.Module, other: torch.nn.Module) -> None:
    theirs = dict([*other.named_parameters(), *other.named_buffers()])
    ours = dict([*module.named_parameters(), *module.named_buffers()])
    assert ours.keys() == theirs.keys()
    for key, value in ours.items():
        torch.testing.assert_close(value, theirs[key], rtol=0, atol=0)
        assert value.requires_grad == theirs[key].requires_grad


def dirty(module: torch.nn.Module) -> torch.nn.Module:
    """Memory as it may be found: without this a test could pass on pages that happen to be clean."""
    with torch.no_grad():
        for tensor in [*module.parameters(), *module.buffers()]:
            tensor.fill_(77)
    return module


@every_module
@pytest.mark.parametrize("nested", [False, True])
def test_from_the_meta_device_through_to_empty(name: str, nested: bool) -> None:
    with torch.device("meta"):
        module = torch.nn.Sequential(make(name)) if nested else make(name)
    assert all(t.is_meta for t in [*module.parameters(), *module.buffers()])
    module.to_empty(device="cpu")
    assert_same(module[0] if nested else module, make(name))


@every_module
def test_reset_parameters_fills_what_is_there(name: str) -> None:
    module, expected = make(name), make(name)
    before = dict([*module.named_parameters(), *module.named_buffers()])
    dirty(module).reset_parameters()
    assert_same(module, expected)
    after = dict([*module.named_parameters(), *module.named_buffers()])
    assert all(after[key] is value for key, value in before.items())  # an optimiser's parameters are still these


@every_module
def test_a_checkpoint_loaded_afterwards_is_what_counts(name: str) -> None:
    trained = make(name)
    with torch.no_grad():
        for parameter in trained.parameters():
            parameter.add_(1)
    with torch.device("meta"):
        module = make(name)
    module.to_empty(device="cpu").load_state_dict(trained.state_dict())
    assert_same(module, trained)
    with torch.device("meta"):
        module = make(name)
    if not list(module.named_buffers()) or module.state_dict():  # a loss has nothing in its state_dict to assign
        module.load_state_dict(trained.state_dict(), assign=True)
        assert_same(copy.deepcopy(module).to("cpu"), trained)


def test_reset_parameters_of_an_incremental_head_keeps_the_classes_that_came() -> None:
    head = make_head("incremental-etf", 8, 3, reserved=2)
    head.add_classes(1)
    dirty(head).reset_parameters()
    assert head.num_classes == 4
    assert int(head.classes_so_far) == 4
    assert torch.equal(head.frame, make_head("incremental-etf", 8, 3, reserved=2).frame)


def test_given_class_vectors_are_kept_until_the_head_has_memory() -> None:
    vectors = eq.simplex_etf(3, 8, seed=5)
    head = eq.ETFHead(8, 3, prototypes=vectors, device="meta").to_empty(device="cpu")
    assert torch.equal(head.weight, vectors)
    with pytest.raises(ValueError, match="given class vectors"):
        head.reset_parameters()


def test_given_class_vectors_without_values_are_told_at_first_use() -> None:
    with torch.device("meta"):
        head = eq.ETFHead(8, 3, prototypes=torch.empty(3, 8))
    head.to_empty(device="cpu")
    with pytest.raises(ValueError, match=r"built on the meta device and has no values.*Load a checkpoint"):
        head(torch.randn(2, 8))
    saved = eq.ETFHead(8, 3)
    head.load_state_dict(saved.state_dict())
    torch.testing.assert_close(head(torch.ones(2, 8)), saved(torch.ones(2, 8)))


def test_a_loss_from_counts_without_values_is_refused() -> None:
    counts = torch.tensor(COUNTS, device="meta")
    with torch.device("meta"), pytest.raises(ValueError, match=r"LDAMLoss is made from class counts .* device='meta'"):
        losses.LDAMLoss(counts)
    with torch.device("meta"), pytest.raises(ValueError, match=r"FocalLoss is made from class .* device='meta'"):
        losses.FocalLoss(class_weight=counts)


def test_from_the_meta_device_to_a_dtype() -> None:
    head = eq.ETFHead(8, 3, device="meta").to(torch.bfloat16).to_empty(device="cpu")
    assert torch.equal(head.weight, eq.ETFHead(8, 3).weight.bfloat16())
