"""Heads and losses in a user's own ``PreTrainedModel``, which transformers 5 builds on the meta device."""

from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file, save_file
from torch import nn
from transformers import PretrainedConfig, PreTrainedModel

from equiangular import PriorCorrection, losses
from equiangular.heads import make_head

pytestmark = pytest.mark.filterwarnings("ignore::FutureWarning", "ignore::UserWarning", "ignore::DeprecationWarning")

COUNTS = [50, 20, 9, 3]
HEADS = {
    "etf": {"norm": "batch"},
    "random": {},
    "linear": {"projection": "mlp"},
    "cosine": {"scale": "learned"},
    "rotated-etf": {},
    "incremental-etf": {"reserved": 1},
    "implicit": {},
    "recommended": {"projection": "linear"},
}
TABLES = [
    "LogitAdjustedCrossEntropyLoss",
    "VectorScalingLoss",
    "LabelAwareSmoothingLoss",
    "ClassBalancedLoss",
    "LDAMLoss",
]


class Config(PretrainedConfig):
    model_type = "own"

    def __init__(self, head: str = "etf", rude: bool = False, **options) -> None:
        self.head, self.rude = head, rude
        super().__init__(**options)


class Model(PreTrainedModel):
    config_class = Config
    base_model_prefix = "backbone"

    def __init__(self, config: Config) -> None:
        super().__init__(config)
        self.backbone = nn.Linear(6, 8)
        self.head = make_head(config.head, 8, 4, seed=2, **HEADS[config.head])
        self.losses = nn.ModuleDict({name: getattr(losses, name)(COUNTS) for name in TABLES})
        self.losses["FocalLoss"] = losses.FocalLoss(class_weight=COUNTS)
        self.correction = PriorCorrection(4)
        self.post_init()

    def _init_weights(self, module: nn.Module) -> None:
        super()._init_weights(module)
        if self.config.rude and module is not self:  # what many models do with every weight they meet
            for tensor in [*module.parameters(recurse=False), *module.buffers(recurse=False)]:
                if tensor.is_floating_point() and not getattr(tensor, "_is_hf_initialized", False):
                    tensor.data.normal_()

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return self.correction(self.head(torch.relu(self.backbone(x))))


def values(module: nn.Module) -> dict[str, torch.Tensor]:
    return dict([*module.named_parameters(), *module.named_buffers()])


def assert_same(ours: nn.Module, theirs: nn.Module) -> None:
    expected = values(theirs)
    assert values(ours).keys() == expected.keys()
    for name, value in values(ours).items():
        torch.testing.assert_close(value, expected[name], rtol=0, atol=0, msg=f"{name}: {value} for {expected[name]}")


@pytest.fixture
def dirty_memory(monkeypatch: pytest.MonkeyPatch) -> None:
    """Memory that transformers takes without filling it holds what no tensor of ours holds."""
    empty_like = torch.empty_like
    monkeypatch.setattr(torch, "empty_like", lambda *a, **k: empty_like(*a, **k).fill_(77))


@pytest.mark.parametrize("rude", [False, True])
@pytest.mark.parametrize("head", HEADS)
@pytest.mark.usefixtures("dirty_memory")
def test_a_checkpoint_of_the_backbone_alone(head: str, rude: bool, tmp_path: Path) -> None:
    model = Model(Config(head, rude=rude))
    for name in ("head", "losses", "correction"):  # a model that is built, not loaded, keeps what the options give too
        assert_same(getattr(model, name), getattr(Model(Config(head)), name))
    model.save_pretrained(tmp_path)
    kept = {k: v for k, v in load_file(tmp_path / "model.safetensors").items() if k.startswith("backbone.")}
    save_file(kept, tmp_path / "model.safetensors", metadata={"format": "pt"})
    loaded = Model.from_pretrained(tmp_path)
    assert torch.equal(loaded.backbone.weight, model.backbone.weight)
    for name in ("losses", "correction"):
        assert_same(getattr(loaded, name), getattr(model, name))
    assert_same(loaded.head, make_head(head, 8, 4, seed=2, **HEADS[head]).eval())
    assert torch.isfinite(loaded(torch.randn(3, 6))).all()


@pytest.mark.parametrize("rude", [False, True])
@pytest.mark.parametrize("head", HEADS)
@pytest.mark.usefixtures("dirty_memory")
def test_a_whole_checkpoint(head: str, rude: bool, tmp_path: Path) -> None:
    model = Model(Config(head, rude=rude)).eval()
    with torch.no_grad():
        for name, value in model.head.named_parameters():
            value.add_(1.0 if name == "log_scale" else torch.rand(value.shape))
    model.correction.fit(torch.eye(4)[torch.arange(40) % 4], torch.arange(40) // 10, COUNTS)
    model.save_pretrained(tmp_path)
    loaded = Model.from_pretrained(tmp_path)
    assert_same(loaded, model)
    x = torch.randn(3, 6)
    assert torch.equal(loaded(x), model(x))


@pytest.mark.usefixtures("dirty_memory")
def test_one_missing_tensor_is_filled_and_the_loaded_ones_stay(tmp_path: Path) -> None:
    model = Model(Config("linear"))
    with torch.no_grad():
        model.head.weight.fill_(5)
    model.save_pretrained(tmp_path)
    kept = load_file(tmp_path / "model.safetensors")
    del kept["head.bias"], kept["head.projection.0.weight"]
    save_file(kept, tmp_path / "model.safetensors", metadata={"format": "pt"})
    head, fresh = Model.from_pretrained(tmp_path).head, make_head("linear", 8, 4, seed=2, **HEADS["linear"])
    assert bool((head.weight == 5).all())
    assert torch.equal(head.bias, fresh.bias)
    assert torch.equal(head.projection[0].weight, fresh.projection[0].weight)
