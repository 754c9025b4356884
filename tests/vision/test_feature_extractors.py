"""``create_feature_extractor`` of torchvision and timm, which trace a model with torch.fx."""

import pytest
import torch

import equiangular as eq

timm = pytest.importorskip("timm")
pytest.importorskip("torchvision")
from timm.models import create_feature_extractor as timm_extractor  # noqa: E402
from torchvision import models  # noqa: E402
from torchvision.models.feature_extraction import create_feature_extractor, get_graph_node_names  # noqa: E402

CASES = {
    "torchvision": (lambda: models.resnet18(), "fc", "avgpool"),
    "torchvision, nested": (lambda: models.mobilenet_v3_small(), "classifier.3", "avgpool"),
    "timm": (lambda: timm.create_model("resnet18"), "fc", "global_pool.flatten"),
}


@pytest.mark.parametrize("name", CASES)
def test_the_head_is_a_node(name: str) -> None:
    make, head, layer = CASES[name]
    model = eq.attach(make(), 5, norm="batch").eval()
    assert head in get_graph_node_names(model)[1]
    x = torch.randn(2, 3, 64, 64)
    extractor = create_feature_extractor(model, {head: "logits", layer: "pooled"})
    output = extractor(x)
    torch.testing.assert_close(output["logits"], model(x))
    if name == "timm":
        torch.testing.assert_close(timm_extractor(model, {head: "logits"})(x)["logits"], model(x))
