"""``attach`` on real model families of timm and torchvision: one small member of each, random weights, tiny images."""

import copy
from pathlib import Path

import pytest
import timm
import torch
import torchvision
from tests.vision.families import REFUSED, TIMM, TORCHVISION, table

import equiangular as eq

pytestmark = pytest.mark.filterwarnings("ignore")  # the models' own warnings, and ReLU features before an ETF
DOCUMENT = Path(__file__).parents[2] / "docs" / "integrations.md"
K = 7


def check(model: torch.nn.Module, size: int) -> torch.Tensor:
    """Forward, backward, features and a round trip of the weights; the input is returned."""
    assert eq.attach(model, K) is model
    head = eq.find_head(model)
    frame = head.weight.clone()
    assert head.num_classes == K
    x = torch.randn(2, 3, size, size, generator=torch.Generator().manual_seed(0))
    model.train()  # batch statistics keep the features of an untrained network from vanishing
    logits, features = eq.forward_with_features(model, x)
    assert logits.shape == (2, K)
    assert features.shape == (2, head.in_features)
    torch.testing.assert_close(logits, features @ frame.T * head.scale, rtol=1e-4, atol=1e-4)
    assert torch.isfinite(logits).all()
    logits.square().sum().backward()
    assert head.weight.grad is None
    assert any(p.grad is not None and p.grad.abs().sum() > 0 for p in model.parameters())
    model.eval()
    with torch.no_grad():
        expected = model(x)
        other = copy.deepcopy(model)
        for value in other.state_dict().values():
            value.zero_()
        other.load_state_dict(model.state_dict())
        assert torch.equal(other(x), expected)
    assert torch.equal(eq.find_head(other).weight, frame)
    return x


@pytest.mark.slow
@pytest.mark.parametrize("family", TIMM)
def test_timm(family: str) -> None:
    name, size, options = TIMM[family]
    assert name in timm.list_models(module=family)
    model = timm.create_model(name, pretrained=False, **options)
    x = check(model, size)
    head = eq.find_head(model)
    assert model.get_classifier() is head
    assert model.num_classes == K
    with torch.no_grad():
        pooled = model.forward_head(model.forward_features(x), pre_logits=True)
        assert pooled.shape == (2, head.in_features)
        torch.testing.assert_close(head(pooled), model(x))
        model.reset_classifier(4)
        assert eq.find_head(model) is head
        assert model.get_classifier() is head
        assert model.num_classes == head.num_classes == 4
        assert model(x).shape == (2, 4)


@pytest.mark.slow
@pytest.mark.parametrize("family", TORCHVISION)
def test_torchvision(family: str) -> None:
    name, size, options = TORCHVISION[family]
    model = torchvision.models.get_model(name, weights=None, **options)
    assert type(model).__module__ == f"torchvision.models.{family}"
    check(model, size)


@pytest.mark.slow
@pytest.mark.parametrize("family", REFUSED)
def test_families_that_one_vector_head_cannot_serve_say_so(family: str) -> None:
    name, reason = REFUSED[family]
    assert name in timm.list_models(module=family)
    with torch.device("meta"):
        model = timm.create_model(name, pretrained=False)
    with pytest.raises(ValueError, match=reason):
        eq.attach(model, K)


def test_thirty_families_and_more_as_the_document_lists_them() -> None:
    assert len(TIMM) >= 50
    assert len(TIMM.keys() | TORCHVISION.keys()) >= 55
    text = DOCUMENT.read_text(encoding="utf-8")
    assert table() in text, "docs/integrations.md: put in the table that tests.vision.families.table() gives"
    assert ", ".join(sorted(REFUSED)) in text
