"""Putting a head into models of every convention: miniatures of timm's and torchvision's, real ones of transformers."""

from collections import OrderedDict

import pytest
import torch
from torch import nn

from equiangular.heads import ETFHead, LinearHead, attach, find_head, forward_with_features, make_head
from equiangular.losses import dot_regression_loss

D, OLD = 8, 6


class Backbone(nn.Module):
    """An image network with one linear layer inside, which is not the classifier."""

    def __init__(self) -> None:
        super().__init__()
        self.conv = nn.Conv2d(3, 4, 3)
        self.inner = nn.Linear(4, D)

    def forward(self, x):
        return self.inner(self.conv(x).mean((2, 3)))


class Named(nn.Module):
    """torchvision's way: a backbone, then a classifier under some name."""

    def __init__(self, name: str, classifier: nn.Module) -> None:
        super().__init__()
        self.backbone = Backbone()
        self.name = name
        setattr(self, name, classifier)

    def forward(self, x):
        return getattr(self, self.name)(self.backbone(x))


class Timm(nn.Module):
    """timm's way: default_cfg names the classifier, which may be followed by other layers."""

    def __init__(self, classifier: object = "head.fc") -> None:
        super().__init__()
        self.num_classes = OLD
        self.default_cfg = {"classifier": classifier}
        self.stem = Backbone()
        self.head = nn.Module()
        self.head.num_classes = OLD
        self.head.fc = nn.Linear(D, OLD)
        self.auxiliary = nn.Linear(D, 3)

    def get_classifier(self) -> nn.Module:
        return self.head.fc

    def reset_classifier(self, num_classes: int, pool: str = "avg") -> None:
        self.asked = num_classes, pool
        self.head.fc = nn.Linear(D, num_classes)

    def forward(self, x):
        return self.head.fc(self.stem(x))


class HuggingFaceConfig:
    num_labels = OLD

    def __init__(self) -> None:
        self.id2label = {i: f"name {i}" for i in range(OLD)}
        self.label2id = {f"name {i}": i for i in range(OLD)}


IMAGES = torch.randn(5, 3, 6, 6, generator=torch.Generator().manual_seed(0))
MODELS = {
    "resnet": (lambda: Named("fc", nn.Linear(D, OLD)), "fc"),
    "mobilenet": (lambda: Named("classifier", nn.Sequential(nn.Dropout(0.1), nn.Linear(D, OLD))), "classifier.1"),
    "densenet": (lambda: Named("classifier", nn.Linear(D, OLD)), "classifier"),
    "vit": (lambda: Named("heads", nn.Sequential(OrderedDict(head=nn.Linear(D, OLD)))), "heads.head"),
    "swin": (lambda: Named("head", nn.Linear(D, OLD)), "head"),
    "gpt": (lambda: Named("score", nn.Linear(D, OLD, bias=False)), "score"),
    "timm": (Timm, "head.fc"),
    "sequential": (lambda: nn.Sequential(Backbone(), nn.ReLU(), nn.Sequential(nn.Linear(D, OLD)), nn.ReLU()), "2.0"),
    "one linear layer": (lambda: nn.ModuleDict({"classify": nn.Linear(D, OLD)}), "classify"),
}


@pytest.mark.parametrize("name", MODELS)
def test_the_classifier_is_found_and_replaced(name: str) -> None:
    build, path = MODELS[name]
    model = build()
    assert attach(model, 4, norm="batch") is model
    head = model.get_submodule(path)
    assert isinstance(head, ETFHead)
    assert (head.in_features, head.num_classes) == (D, 4)
    if name != "one linear layer":
        logits, features = forward_with_features(model, IMAGES)
        assert logits.shape == (5, 4)
        torch.testing.assert_close(features.norm(dim=1), torch.ones(5))
        dot_regression_loss(features, torch.arange(5) % 4, head.weight).backward()
        assert next(model.parameters()).grad.abs().sum() > 0


@pytest.mark.parametrize("name", [n for n in MODELS if n != "one linear layer"])
def test_an_example_input_finds_the_same_layer(name: str) -> None:
    build, path = MODELS[name]
    model = attach(build(), example_input=IMAGES)
    assert isinstance(model.get_submodule(path), ETFHead)
    assert find_head(model).num_classes == OLD


@pytest.mark.parametrize("dtype", [torch.float64, torch.bfloat16])
def test_dtype_device_and_mode_of_the_old_layer_are_kept(dtype: torch.dtype) -> None:
    model = Named("fc", nn.Linear(D, OLD)).to(dtype).eval()
    head = find_head(attach(model, head="linear"))
    assert head.weight.dtype == dtype
    assert not head.training
    meta = Named("fc", nn.Linear(D, OLD, device="meta"))
    assert find_head(attach(meta)).weight.device.type == "meta"
    assert find_head(attach(Named("fc", nn.Linear(D, OLD)), dtype=dtype)).weight.dtype == dtype


def test_counts_of_classes_are_updated_around_the_head() -> None:
    model = attach(Timm(), 4)
    assert model.num_classes == 4
    assert model.head.num_classes == 4
    assert isinstance(model.get_classifier(), ETFHead)


def test_the_family_is_told_of_new_classes_and_the_head_stays() -> None:
    model = attach(Timm(), 4)
    head = find_head(model)
    model.reset_classifier(5, pool="max")
    assert model.asked == (5, "max")
    assert model.head.fc is head
    assert (head.num_classes, model.num_classes, model.head.num_classes) == (5, 5, 5)


def test_labels_of_a_configuration_are_updated() -> None:
    model = Named("classifier", nn.Linear(D, OLD))
    model.config, model.num_labels = HuggingFaceConfig(), OLD
    attach(model)
    assert model.config.id2label[0] == "name 0"
    other = Named("classifier", nn.Linear(D, OLD))
    other.config, other.num_labels = HuggingFaceConfig(), OLD
    attach(other, 3)
    assert (other.num_labels, other.config.num_labels) == (3, 3)
    assert other.config.id2label == {0: "LABEL_0", 1: "LABEL_1", 2: "LABEL_2"}
    assert other.config.label2id == {"LABEL_0": 0, "LABEL_1": 1, "LABEL_2": 2}


def test_a_path_decides() -> None:
    model = nn.ModuleDict({"a": nn.Linear(D, OLD), "b": nn.Linear(D, OLD)})
    attach(model, path="a", head="cosine")
    assert find_head(model) is model["a"]
    assert isinstance(model["b"], nn.Linear)


def test_no_classes_make_a_feature_extractor() -> None:
    model = attach(Named("fc", nn.Linear(D, OLD)), 0, example_input=IMAGES)
    assert model(IMAGES).shape == (5, D)


def test_a_narrow_classifier_takes_a_projection() -> None:
    with pytest.raises(ValueError, match=r'K=20 .*projection="linear"'):
        attach(Named("fc", nn.Linear(D, OLD)), 20)
    assert attach(Named("fc", nn.Linear(D, OLD)), 20, projection="linear")(IMAGES).shape == (5, 20)


class Ambiguous(nn.Module):
    """``fc`` exists and is not the classifier."""

    def __init__(self) -> None:
        super().__init__()
        self.fc = nn.Linear(D, 16)
        self.out = nn.Linear(16, OLD)

    def forward(self, x):
        return self.out(self.fc(x)).softmax(1)


def test_a_usual_name_that_is_not_last_is_not_trusted() -> None:
    with pytest.raises(ValueError, match=r"'fc' \(8 -> 16\), 'out' \(16 -> 6\).*path=.*example_input="):
        attach(Ambiguous())
    model = attach(Ambiguous(), example_input=torch.randn(2, D))
    assert isinstance(model.out, ETFHead)
    assert isinstance(model.fc, nn.Linear)


class Squeeze(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.classifier = nn.Sequential(nn.Dropout(), nn.Conv2d(D, OLD, 1), nn.ReLU())


REFUSED = {
    "convolution": (Squeeze, {}, "'classifier.1' is a convolution.*pooled features"),
    "two classifiers": (lambda: Timm(("head.fc", "auxiliary")), {}, "several classifiers .'head.fc', 'auxiliary'"),
    "no linear layer": (lambda: nn.Sequential(nn.ReLU()), {}, "Its linear layers are: none"),
    "wrong path": (Timm, {"path": "fc"}, "no linear layer at path='fc'.*'head.fc' .8 -> 6."),
    "path to another layer": (Timm, {"path": "stem.conv"}, "'stem.conv' is a convolution"),
    "the layer itself": (lambda: nn.Linear(D, OLD), {}, "itself a linear layer.*make_head"),
    "a lazy layer": (lambda: nn.Sequential(nn.LazyLinear(OLD)), {}, "lazy layer without a width.*run the model once"),
    "a head already": (lambda: nn.Sequential(make_head("etf", D, OLD)), {}, "has a head at '0' already.*reset"),
    "unknown head": (Timm, {"head": "eft"}, "did you mean 'etf'"),
}


@pytest.mark.filterwarnings("ignore:Lazy modules:UserWarning")
@pytest.mark.parametrize("case", REFUSED)
def test_what_cannot_be_told_is_refused(case: str) -> None:
    build, options, message = REFUSED[case]
    with pytest.raises(ValueError, match=message):
        attach(build(), **options)


def test_a_wrong_layer_is_noticed_with_an_example_and_put_back() -> None:
    model = Timm()
    with pytest.raises(ValueError, match=r"returns shape \(5, 6\), where 4 columns were expected"):
        attach(model, 4, path="auxiliary", example_input=IMAGES)
    assert isinstance(model.auxiliary, nn.Linear)
    assert model.num_classes == OLD


def test_running_the_example_leaves_no_trace() -> None:
    model = nn.Sequential(nn.Linear(D, D), nn.BatchNorm1d(D), nn.Linear(D, OLD))
    model[1].eval()
    attach(model, example_input=torch.randn(4, D), norm="batch")
    assert (model.training, model[0].training, model[1].training) == (True, True, False)
    assert int(find_head(model).norm.num_batches_tracked) == 0
    assert not any(m._forward_hooks for m in model.modules())


def test_find_head_and_features_refuse_a_model_without_or_with_two() -> None:
    with pytest.raises(ValueError, match="it has none; put one in with attach"):
        find_head(nn.Linear(2, 2))
    with pytest.raises(ValueError, match="it has several: 0, 1"):
        find_head(nn.Sequential(LinearHead(2, 2), LinearHead(2, 2)))
    twice = LinearHead(3, 3)
    with pytest.raises(ValueError, match="run 2 times in one pass"):
        forward_with_features(nn.Sequential(twice, twice), torch.zeros(1, 3))


# --- transformers -------------------------------------------------------------------------------------------------


def tiny_vit():
    transformers = pytest.importorskip("transformers")
    config = transformers.ViTConfig(
        hidden_size=8, num_hidden_layers=1, num_attention_heads=2, intermediate_size=8, image_size=8, patch_size=4,
        num_labels=OLD,
    )  # fmt: skip
    return transformers.ViTForImageClassification(config), {"pixel_values": torch.randn(2, 3, 8, 8)}


def tiny_resnet():
    transformers = pytest.importorskip("transformers")
    config = transformers.ResNetConfig(
        embedding_size=8, hidden_sizes=[8], depths=[1], layer_type="basic", num_labels=OLD
    )
    return transformers.ResNetForImageClassification(config), {"pixel_values": torch.randn(2, 3, 32, 32)}


def tiny_gpt():
    transformers = pytest.importorskip("transformers")
    config = transformers.GPT2Config(
        vocab_size=11, n_positions=8, n_embd=8, n_layer=1, n_head=2, num_labels=OLD, pad_token_id=0,
        bos_token_id=1, eos_token_id=1,
    )  # fmt: skip
    model = transformers.GPT2ForSequenceClassification(config)
    return model, {"input_ids": torch.tensor([[3, 4, 5], [6, 7, 8]])}


@pytest.mark.parametrize("build", [tiny_vit, tiny_resnet, tiny_gpt])
@pytest.mark.parametrize("with_example", [False, True])
def test_models_of_transformers(build, with_example: bool) -> None:
    model, inputs = build()
    attach(model, 4, norm="batch", example_input=inputs if with_example else None)
    assert (model.config.num_labels, model.num_labels) == (4, 4)
    assert sorted(model.config.id2label) == [0, 1, 2, 3]
    output, features = forward_with_features(model, **inputs, labels=torch.tensor([0, 3]))
    assert output.logits.shape == (2, 4)
    assert features.shape[-1] == 8
    output.loss.backward()
    assert any(p.grad is not None and p.grad.abs().sum() > 0 for p in model.parameters())
