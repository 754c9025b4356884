"""Heads beside adapters of PEFT: the fixed head needs no saving, and what is trained of a head comes back."""

from collections.abc import Callable
from pathlib import Path

import pytest
import torch
from torch import nn
from transformers import ViTConfig, ViTForImageClassification

import equiangular as eq
from equiangular.integrations.trainer import TrainerLoss

peft = pytest.importorskip("peft")
pytestmark = pytest.mark.filterwarnings("ignore::FutureWarning", "ignore::UserWarning", "ignore::DeprecationWarning")

K = 3
X = torch.randn(12, 3, 8, 8, generator=torch.Generator().manual_seed(1))
Y = torch.arange(12) % K


def base(**head: object) -> nn.Module:
    """The same pretrained backbone every time, with a new head."""
    config = ViTConfig(
        hidden_size=16, num_hidden_layers=1, num_attention_heads=2, intermediate_size=16, image_size=8, patch_size=4
    )
    torch.manual_seed(0)
    return eq.attach(ViTForImageClassification(config), K, **head)


def lora(**options: object) -> "peft.LoraConfig":
    return peft.LoraConfig(target_modules=["q_proj", "v_proj", "query", "value"], r=4, **options)


def train(model: nn.Module, criterion: Callable, steps: int = 5) -> None:
    optimizer = torch.optim.SGD([p for p in model.parameters() if p.requires_grad], 0.5)
    model.train()
    for _ in range(steps):
        loss = criterion(model(pixel_values=X), Y)
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
    model.eval()


def logits(model: nn.Module) -> torch.Tensor:
    with torch.no_grad():
        return model(pixel_values=X).logits


SAVED = ["classifier"]
CASES = {  # head, what of it PEFT saves
    "fixed": ({}, None),
    "fixed, normalised by batch": ({"norm": "batch"}, SAVED),
    "recommended": ({"head": "recommended", "projection": "linear"}, SAVED),
    "learned": ({"head": "linear"}, SAVED),
    "rotated": ({"head": "rotated-etf"}, SAVED),
}
every_case = pytest.mark.parametrize(("head", "saved"), CASES.values(), ids=CASES)


@every_case
def test_an_adapter_saved_and_loaded_on_a_fresh_base_gives_the_same_logits(
    head: dict, saved: list, tmp_path: Path
) -> None:
    model = peft.get_peft_model(base(**head), lora(modules_to_save=saved))
    before = logits(model)
    train(model, TrainerLoss(model))
    assert not torch.allclose(logits(model), before, atol=1e-3)
    model.save_pretrained(tmp_path)
    loaded = peft.PeftModel.from_pretrained(base(**head), tmp_path).eval()
    assert torch.equal(logits(loaded), logits(model))
    assert torch.equal(eq.find_head(loaded).weight, eq.find_head(model).weight)


@every_case
def test_merged_into_the_base(head: dict, saved: list) -> None:
    model = peft.get_peft_model(base(**head), lora(modules_to_save=saved))
    train(model, TrainerLoss(model))
    expected = logits(model)
    merged = model.merge_and_unload()
    torch.testing.assert_close(logits(merged), expected, rtol=1e-4, atol=1e-5)
    assert isinstance(merged.classifier, eq.heads.Head)
    assert eq.find_head(merged) is merged.classifier


def test_the_head_of_the_active_adapter_is_the_head() -> None:
    inner = base(norm="batch")
    criterion = TrainerLoss(inner, "dr")  # made before PEFT wraps the model, as Trainer's users do
    model = peft.get_peft_model(inner, lora(modules_to_save=SAVED), "first")
    model.add_adapter("second", lora(modules_to_save=SAVED))
    wrapper = inner.classifier
    for name in ("first", "second"):
        model.set_adapter(name)
        assert eq.find_head(model) is wrapper.modules_to_save[name]
        train(model, criterion)
        output, features = eq.forward_with_features(model, pixel_values=X)
        torch.testing.assert_close(eq.find_head(model).logits_from_features(features), output.logits)
    first, second = (wrapper.modules_to_save[name].norm for name in ("first", "second"))
    assert not torch.equal(first.running_mean, second.running_mean)
    assert not wrapper.original_module.norm.running_mean.any()
    with model.disable_adapter():
        assert eq.find_head(model) is wrapper.original_module
        eq.forward_with_features(model, pixel_values=X)


def test_two_adapters_on_one_base_loaded_apart(tmp_path: Path) -> None:
    expected = {}
    for name, order in (("first", Y), ("second", Y.flip(0))):
        model = peft.get_peft_model(base(), lora())
        train(model, lambda output, _, order=order: nn.functional.cross_entropy(output.logits, order))
        model.save_pretrained(tmp_path / name)
        expected[name] = logits(model)
    loaded = peft.PeftModel.from_pretrained(base(), tmp_path / "first", "first").eval()
    loaded.load_adapter(tmp_path / "second", "second")
    for name, value in expected.items():
        loaded.set_adapter(name)
        assert torch.equal(logits(loaded), value)
    assert not torch.equal(*expected.values())


def test_collapse_is_measured_on_the_head_in_use() -> None:
    model = peft.get_peft_model(base(norm="batch"), lora(modules_to_save=SAVED))
    train(model, TrainerLoss(model))
    measured = eq.measure_collapse(model, [{"pixel_values": X, "labels": Y}])
    assert float(measured["nc4"]) >= 0


def test_statistics_that_no_adapter_file_keeps_are_told() -> None:
    model = peft.get_peft_model(base(norm="batch"), lora())
    with pytest.warns(UserWarning, match=r"BatchNorm is frozen.*running statistics.*modules_to_save"):
        train(model, TrainerLoss(model))
