"""The callback in a real Hugging Face training of a tiny vision transformer built from a config."""

from pathlib import Path

import pytest
import torch
from transformers import Trainer, TrainingArguments, ViTConfig, ViTForImageClassification

from equiangular import attach, measure_collapse
from equiangular.integrations.transformers import NeuralCollapseTrainerCallback

pytestmark = [
    pytest.mark.filterwarnings("ignore::UserWarning"),
    pytest.mark.filterwarnings("ignore::DeprecationWarning"),
    pytest.mark.filterwarnings("ignore::FutureWarning"),
]


class Images(torch.utils.data.Dataset):
    def __len__(self) -> int:
        return 24

    def __getitem__(self, i: int) -> dict[str, torch.Tensor]:
        generator = torch.Generator().manual_seed(i)
        label = i % 3
        return {"pixel_values": torch.randn(3, 8, 8, generator=generator) + label, "labels": torch.tensor(label)}


@pytest.mark.slow
@pytest.mark.parametrize(("every", "measured"), [(1, [1, 2, 3]), (2, [2, 3])])
def test_it_measures_every_few_epochs_and_the_last(tmp_path: Path, every: int, measured: list[int]) -> None:
    config = ViTConfig(
        hidden_size=16, num_hidden_layers=1, num_attention_heads=2, intermediate_size=16, image_size=8, patch_size=4,
        num_labels=3,
    )  # fmt: skip
    model = attach(ViTForImageClassification(config))
    callback = NeuralCollapseTrainerCallback(every_n_epochs=every, layers=["vit.embeddings"])
    arguments = TrainingArguments(
        output_dir=str(tmp_path), num_train_epochs=3, per_device_train_batch_size=8, use_cpu=True, report_to=[],
        save_strategy="no", disable_tqdm=True, logging_strategy="no",
    )  # fmt: skip
    trainer = Trainer(model, arguments, train_dataset=Images(), callbacks=[callback])
    trainer.train()
    assert [row["epoch"] for row in callback.history] == measured
    assert {"nc1", "nc3", "nc4", "nc1@vit.embeddings"} <= set(callback.history[0])
    loader = torch.utils.data.DataLoader(Images(), batch_size=5)
    for key, value in measure_collapse(model, loader, layers=["vit.embeddings"]).items():
        assert callback.history[-1][key] == pytest.approx(float(value), rel=1e-3, abs=1e-6, nan_ok=True), key
    assert any("nc_nc1" in row for row in trainer.state.log_history)
    assert model.training


def test_bad_options() -> None:
    with pytest.raises(ValueError, match="every_n_epochs must be"):
        NeuralCollapseTrainerCallback(every_n_epochs=0)
