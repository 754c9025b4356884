"""Models saved in a folder and loaded again; nothing here needs a network."""

import json
from pathlib import Path

import pytest
import torch
import yaml
from safetensors.torch import load_file, save_file
from tests.damage import flip_last_bit
from torch import nn

from equiangular import ETFHead, SubsetManifest, find_head
from equiangular.integrations.hub import HubClassifier, HubMixin, card_fields


class Net(nn.Module, HubMixin, license="apache-2.0"):
    def __init__(self, width: int, num_classes: int = 3) -> None:
        super().__init__()
        self.backbone = nn.Sequential(nn.Linear(4, width), nn.ReLU())
        self.head = ETFHead(width, num_classes, norm="batch", scale="learned")

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return self.head(self.backbone(x))


CLASSIFIERS = {
    "digits": {"backbone": "digits", "input_shape": [1, 8, 8], "num_classes": 5, "head_options": {"norm": "batch"}},
    "cosine head": {"backbone": "mlp", "input_shape": [6], "num_classes": 4, "head": "cosine", "width": 0.5},
    "options": {"backbone": "mlp", "input_shape": [6], "num_classes": 4, "seed": 3,
                "head_options": {"projection": "linear", "norm": "batch", "basis": "minimal"}},
}  # fmt: skip


def trained(model: nn.Module, x: torch.Tensor) -> nn.Module:
    """A step, so that nothing is as it was initialised."""
    model.train()
    model(x).square().sum().backward()
    torch.optim.SGD(model.parameters(), lr=0.1).step()
    return model.eval()


@pytest.mark.parametrize("name", CLASSIFIERS)
def test_round_trip(name: str, tmp_path: Path) -> None:
    config = CLASSIFIERS[name]
    x = torch.randn(4, *config["input_shape"])
    model = trained(HubClassifier(**config), x)
    model.save_pretrained(tmp_path)
    written = json.loads((tmp_path / "config.json").read_text())
    assert {key: written[key] for key in config} == config
    assert sorted(p.name for p in tmp_path.iterdir()) == ["README.md", "config.json", "model.safetensors"]
    loaded = HubClassifier.from_pretrained(tmp_path)
    assert not loaded.training
    torch.testing.assert_close(loaded(x), model(x))
    stored = load_file(tmp_path / "model.safetensors")
    assert torch.equal(stored["head.weight"], find_head(model).weight)


def test_a_class_of_ones_own(tmp_path: Path) -> None:
    x = torch.randn(5, 4)
    model = trained(Net(8), x)
    model.save_pretrained(tmp_path)
    assert json.loads((tmp_path / "config.json").read_text()) == {"width": 8, "num_classes": 3}
    torch.testing.assert_close(Net.from_pretrained(str(tmp_path))(x), model(x))


def front_matter(card: str) -> dict:
    return yaml.safe_load(card.split("---")[1])


def test_the_card_tells_protocol_seeds_and_results(tmp_path: Path) -> None:
    labels = [0] * 8 + [1] * 4 + [2] * 2
    manifest = SubsetManifest.from_indices(
        [0, 1, 2, 3, 8, 9, 12], labels, source="toy", seed=7, protocol="local", imbalance_factor=4
    )
    fields = card_fields(
        data="toy, test set balanced", protocol="exponential profile, last epoch", seeds=[0, 1, 2], seed=1,
        results={"balanced accuracy, %": [80, 82, 84], "few-shot, %": [70, 71, 69]}, manifest=manifest,
    )  # fmt: skip
    Net(8).save_pretrained(tmp_path, model_card_kwargs=fields)
    card = (tmp_path / "README.md").read_text(encoding="utf-8")
    meta = front_matter(card)
    assert meta["library_name"] == "equiangular"
    assert meta["license"] == "apache-2.0"
    assert {"simplex-etf", "long-tailed-recognition", "pytorch_model_hub_mixin"} <= set(meta["tags"])
    for expected in (
        "# Net",
        "ETFHead (3 classes, features of width 8; 17 of the model's 57 learnable parameters are the head's)",
        "- Training data: toy, test set balanced\n- Protocol: exponential profile, last epoch\n",
        "- Subset of toy: 7 of 14 samples in 3 classes, ",
        "4 to 1 a class, imbalance 4 asked for, protocol 'local', subset seed 7",
        manifest.sha256,
        "- Training seeds: 0, 1, 2\n",
        "| measure | mean ± 95 % CI | per seed |\n|---|---|---|\n"
        "| balanced accuracy, % | 82.00 ± 4.97 | 80.00, 82.00, 84.00 |\n",
        "the weights in this repository are of seed 1",
        "import Net\n",
    ):
        assert expected in card, expected
    assert "{{" not in card
    assert "{%" not in card


def test_a_card_without_results_says_so(tmp_path: Path) -> None:
    Net(8).save_pretrained(tmp_path)
    card = (tmp_path / "README.md").read_text(encoding="utf-8")
    assert "Nothing was recorded." in card
    assert "None were recorded." in card


def test_bad_fields() -> None:
    common = {"data": "toy", "protocol": "last epoch", "seeds": [0, 1], "seed": 0}
    with pytest.raises(ValueError, match=r"'accuracy' must be one finite number for each of 2 seeds, got .1.0."):
        card_fields(**common, results={"accuracy": [1]})
    with pytest.raises(ValueError, match="'accuracy' must be one finite number"):
        card_fields(**common, results={"accuracy": [1, float("nan")]})
    for seeds in ([], [0, 0], [1, 2]):
        with pytest.raises(ValueError, match="seeds must be distinct and hold seed=0"):
            card_fields(**{**common, "seeds": seeds}, results={})
    assert card_fields(**{**common, "seeds": [0]}, results={"a": [5]})["results"] == [["a", "5.00", "5.00"]]


def test_bad_folders(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match=r"there is no model.safetensors in .* Save a model there"):
        Net.from_pretrained(tmp_path)
    Net(8).save_pretrained(tmp_path / "net")
    config = tmp_path / "net" / "config.json"
    config.write_text(json.dumps({"width": 16, "num_classes": 3}))
    with pytest.raises(ValueError, match=r"(?s)does not hold a Net: .*size mismatch"):
        Net.from_pretrained(tmp_path / "net")
    config.write_text(json.dumps({"num_classes": 3}))
    with pytest.raises(ValueError, match=r"(?s)does not hold a Net: .*missing 1 required positional argument: 'width'"):
        Net.from_pretrained(tmp_path / "net")
    config.write_text(json.dumps({"width": 8, "num_classes": 3}))
    weights = tmp_path / "net" / "model.safetensors"
    tensors = load_file(weights)
    del tensors["head.weight"]
    save_file(tensors, weights)
    with pytest.raises(ValueError, match=r"(?s)does not hold a Net: .*head.weight"):
        Net.from_pretrained(tmp_path / "net")
    weights.write_bytes(b"not a file of tensors")
    with pytest.raises(ValueError, match=r"not a readable \.safetensors file"):
        Net.from_pretrained(tmp_path / "net")


def test_bad_models(tmp_path: Path) -> None:
    class Headless(nn.Module, HubMixin):
        pass

    with pytest.raises(ValueError, match="must have exactly one head, it has none"):
        Headless().save_pretrained(tmp_path)
    with pytest.raises(ValueError, match="head_options must be JSON-plain, to fit into config"):
        HubClassifier(backbone="mlp", input_shape=[6], num_classes=2, head_options={"prototypes": torch.eye(2)})
    with pytest.raises(ValueError, match="did you mean 'etf'"):
        HubClassifier(backbone="mlp", input_shape=[6], num_classes=2, head="eft")


def test_a_flipped_bit_is_seen(tmp_path: Path) -> None:
    Net(8).save_pretrained(tmp_path)
    assert sorted(p.name for p in tmp_path.iterdir()) == ["README.md", "config.json", "model.safetensors"]
    flip_last_bit(tmp_path / "model.safetensors")
    with pytest.raises(ValueError, match="is damaged: its content has another hash than was written"):
        Net.from_pretrained(str(tmp_path))
