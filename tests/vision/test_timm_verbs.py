"""timm's verbs on a model with an attached head."""

import copy
import pickle

import pytest
import timm
import torch

import equiangular as eq

pytestmark = pytest.mark.filterwarnings("ignore")
MODELS = {
    "resnet": ("resnet18", {}),
    "vision transformer": ("vit_tiny_patch16_224", {"img_size": 32}),
    "convnext": ("convnext_atto", {}),
    "efficientnet": ("tinynet_e", {}),
    "regnet": ("regnetx_002", {}),
}
X = torch.randn(2, 3, 32, 32, generator=torch.Generator().manual_seed(0), dtype=torch.float64)


def attached(name: str, **options) -> torch.nn.Module:
    model, arguments = MODELS[name]
    return eq.attach(timm.create_model(model, pretrained=False, num_classes=6, **arguments).double().eval(), **options)


@pytest.mark.parametrize("name", MODELS)
def test_classes_come_and_go(name: str) -> None:
    model = attached(name, projection="linear", norm="batch")
    head = model.get_classifier()
    assert isinstance(head, eq.ETFHead)
    trained = head.norm
    with torch.no_grad():
        trained.weight.fill_(2.0)
    features = model.forward_features(X)
    pooled = model.forward_head(features, pre_logits=True)
    assert pooled.shape == (2, model.head_hidden_size)
    for num_classes in (4, 0, 6):
        model.reset_classifier(num_classes)
        assert model.num_classes == head.num_classes == num_classes
        assert model.get_classifier() is head
        assert head.norm is trained
        assert model(X).shape == (2, num_classes or head.dim)
        assert model(X).dtype == torch.float64
        torch.testing.assert_close(model.forward_head(features, pre_logits=True), pooled)
    assert eq.is_simplex_etf(head.weight)


def test_zero_classes_give_what_is_compared_with_the_class_vectors() -> None:
    model = attached("resnet")
    features = eq.forward_with_features(model, X)[1]
    model.reset_classifier(0)
    torch.testing.assert_close(model(X), features)


def test_the_pooling_is_the_familys_business() -> None:
    model = attached("resnet")
    model.reset_classifier(3, "max")
    pooled = model.forward_features(X).amax((2, 3))
    torch.testing.assert_close(model(X), model.get_classifier()(pooled))


def test_device_and_dtype_are_kept() -> None:
    with torch.device("meta"):
        model = eq.attach(timm.create_model("resnet18", pretrained=False, num_classes=6).to(torch.bfloat16))
    model.reset_classifier(12)
    assert (model.fc.weight.device.type, model.fc.weight.dtype) == ("meta", torch.bfloat16)


@pytest.mark.parametrize("copied", [copy.deepcopy, lambda model: pickle.loads(pickle.dumps(model))])
def test_a_copy_resets_itself(copied) -> None:
    model = attached("resnet")
    other = copied(model)
    other.reset_classifier(4)
    assert (model.num_classes, other.num_classes) == (6, 4)
    assert (model(X).shape, other(X).shape) == ((2, 6), (2, 4))


def test_bad_classes_leave_everything_as_it_was() -> None:
    model = attached("resnet")
    expected = model(X)
    for num_classes, message in ((1, "num_classes must be an integer >= 2"), (600, "K=600 classes needs features")):
        with pytest.raises(ValueError, match=message):
            model.reset_classifier(num_classes)
        assert model.num_classes == 6
        torch.testing.assert_close(model(X), expected)
