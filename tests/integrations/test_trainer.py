"""Real trainings of tiny transformers, built from configurations, with a fixed head; saved and loaded again."""

import json
from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest
import torch
from safetensors.torch import load_file
from sklearn.metrics import balanced_accuracy_score
from torch import nn
from transformers import (
    AutoModelForImageClassification,
    BertConfig,
    BertForSequenceClassification,
    Trainer,
    TrainingArguments,
    ViTConfig,
    ViTForImageClassification,
)

from equiangular import attach, dot_regression_loss, find_head, forward_with_features
from equiangular.integrations.pretrained import load_pretrained
from equiangular.integrations.trainer import TrainerLoss, trainer_metrics

pytestmark = [
    pytest.mark.filterwarnings("ignore::UserWarning"),
    pytest.mark.filterwarnings("ignore::DeprecationWarning"),
    pytest.mark.filterwarnings("ignore::FutureWarning"),
]
K = 3
COUNTS = [40, 20, 4]


class LongTail(torch.utils.data.Dataset):
    """A sample of class c: an image, or a text, in which c can be seen."""

    def __init__(self, kind: str, counts: list[int], seed: int) -> None:
        generator = torch.Generator().manual_seed(seed)
        self.labels = torch.repeat_interleave(torch.arange(K), torch.tensor(counts))
        if kind == "pixel_values":
            signal = torch.randn(K, 3, 8, 8, generator=torch.Generator().manual_seed(99))
            self.inputs = signal[self.labels] + torch.randn(len(self.labels), 3, 8, 8, generator=generator)
        else:
            self.inputs = torch.randint(K, 30, (len(self.labels), 6), generator=generator)
            self.inputs[:, 1] = self.labels
        self.kind = kind

    def __len__(self) -> int:
        return len(self.labels)

    def __getitem__(self, i: int) -> dict[str, torch.Tensor]:
        return {self.kind: self.inputs[i], "labels": self.labels[i]}


def tiny_vit(**options) -> nn.Module:
    config = ViTConfig(
        hidden_size=16, num_hidden_layers=1, num_attention_heads=2, intermediate_size=32, image_size=8, patch_size=4,
        num_labels=7,
    )  # fmt: skip
    torch.manual_seed(0)
    return attach(ViTForImageClassification(config), K, **options)


def tiny_bert(**options) -> nn.Module:
    config = BertConfig(
        vocab_size=30, hidden_size=16, num_hidden_layers=1, num_attention_heads=2, intermediate_size=32, num_labels=7,
        max_position_embeddings=8,
    )  # fmt: skip
    torch.manual_seed(0)
    return attach(BertForSequenceClassification(config), K, **options)


def arguments(folder: Path, **options) -> TrainingArguments:
    common = {"per_device_train_batch_size": 16, "learning_rate": 0.01, "num_train_epochs": 8, "seed": 0}
    return TrainingArguments(
        output_dir=str(folder), use_cpu=True, report_to=[], save_strategy="no", disable_tqdm=True,
        logging_strategy="no", **{**common, **options},
    )  # fmt: skip


@pytest.mark.slow
@pytest.mark.parametrize("loss", ["ce", "la", "dr"])
@pytest.mark.parametrize(("build", "kind"), [(tiny_vit, "pixel_values"), (tiny_bert, "input_ids")])
def test_train_save_load(build: Callable, kind: str, loss: str, tmp_path: Path) -> None:
    model = build(norm="batch")
    frame = find_head(model).weight.clone()
    trainer = Trainer(
        model,
        arguments(tmp_path),
        train_dataset=LongTail(kind, COUNTS, seed=0),
        eval_dataset=LongTail(kind, [20, 20, 20], seed=1),
        compute_loss_func=TrainerLoss(model, loss, class_counts=COUNTS if loss == "la" else None),
        compute_metrics=trainer_metrics(COUNTS, thresholds=(10, 30)),
    )
    before = trainer.evaluate()
    trainer.train()
    after = trainer.evaluate()
    assert after["eval_loss"] < before["eval_loss"]
    assert after["eval_balanced_accuracy"] > 0.6
    assert {"eval_accuracy_many", "eval_accuracy_medium", "eval_accuracy_few", "eval_ece"} <= set(after)
    trainer.save_model(str(tmp_path / "model"))
    loaded = load_pretrained(type(model), tmp_path / "model")
    assert torch.equal(find_head(loaded).weight, frame)
    batch = {kind: LongTail(kind, [2, 2, 2], seed=2).inputs}
    with torch.no_grad():
        torch.testing.assert_close(loaded(**batch).logits, model.eval()(**batch).logits)


HEADS = {
    "etf": {},
    "cosine, learned scale": {"head": "cosine", "scale": "learned"},
    "projection": {"projection": "mlp", "norm": "batch", "drop_rate": 0.1},
    "linear": {"head": "linear"},
    "random": {"head": "random", "seed": 5},
    "rotated": {"head": "rotated-etf"},
    "with reserved vertices": {"head": "incremental-etf", "reserved": 4},
    "implicit": {"head": "implicit"},
    "best frame": {"basis": "spread", "projection": "linear", "dim": 2},
    "given class vectors": {"prototypes": torch.eye(16)[:K]},
    "double precision": {"dtype": torch.float64},
}


@pytest.mark.parametrize("name", HEADS)
def test_every_head_comes_back_bit_for_bit(name: str, tmp_path: Path) -> None:
    model = tiny_vit(**HEADS[name]).eval()
    if "double" in name:
        model = model.double()
    model.save_pretrained(tmp_path)
    assert json.loads((tmp_path / "config.json").read_text())["equiangular_head"]["path"] == "classifier"
    loaded = load_pretrained(ViTForImageClassification, tmp_path)
    for key, value in model.state_dict().items():
        assert torch.equal(loaded.state_dict()[key], value), key
    assert not loaded.training
    loaded.save_pretrained(tmp_path / "again")
    again = load_pretrained(type(loaded), tmp_path / "again")
    x = {"pixel_values": torch.randn(2, 3, 8, 8).to(next(model.parameters()).dtype)}
    torch.testing.assert_close(again(**x).logits, model(**x).logits)


@pytest.mark.parametrize("soft", [False, True])
def test_dot_regression_from_logits_is_dot_regression_from_features(soft: bool) -> None:
    model = tiny_bert(scale="learned", norm="batch").double()
    data = LongTail("input_ids", [3, 2, 2], seed=0)
    labels = torch.eye(K, dtype=torch.float64)[data.labels] * 0.7 + 0.1 if soft else data.labels
    output, features = forward_with_features(model, input_ids=data.inputs)
    expected = dot_regression_loss(features, labels, find_head(model).weight)
    loss = TrainerLoss(model, "dr")(output, labels)
    torch.testing.assert_close(loss, expected)
    parameters = list(model.bert.parameters())
    ours = torch.autograd.grad(loss, parameters, retain_graph=True, allow_unused=True)
    theirs = torch.autograd.grad(expected, parameters, allow_unused=True)
    torch.testing.assert_close([g for g in ours if g is not None], [g for g in theirs if g is not None])


@pytest.mark.slow
def test_accumulated_gradients_are_those_of_the_whole_batch(tmp_path: Path) -> None:
    """One step over 16 samples: at once, and as 5 + 5 + 5 + 1."""
    data = torch.utils.data.Subset(LongTail("pixel_values", COUNTS, seed=0), range(0, 64, 4))
    states = []
    for size, parts in ((16, 1), (5, 4)):
        model = tiny_vit(head="linear")
        options = arguments(
            tmp_path, per_device_train_batch_size=size, gradient_accumulation_steps=parts, num_train_epochs=1,
            optim="sgd", learning_rate=0.5, max_grad_norm=0.0, lr_scheduler_type="constant",
        )  # fmt: skip
        Trainer(model, options, train_dataset=data, compute_loss_func=TrainerLoss(model)).train()
        states.append(model.state_dict())
    torch.testing.assert_close(states[0], states[1], rtol=1e-4, atol=1e-6)


def test_the_loss_counts_samples_for_every_kind_of_label() -> None:
    model = attach(nn.Sequential(nn.Linear(4, K)), head="linear")
    logits, labels = model(torch.randn(6, 4)), torch.arange(6) % K
    loss = TrainerLoss(model)
    mean = nn.functional.cross_entropy(logits, labels)
    torch.testing.assert_close(loss({"logits": logits}, labels), mean)
    torch.testing.assert_close(loss((logits,), labels, num_items_in_batch=torch.tensor(12)), mean / 2)
    soft = torch.eye(K)[labels]
    torch.testing.assert_close(loss({"logits": logits}, soft, num_items_in_batch=torch.tensor(12 * K)), mean / 2)


def test_metrics_against_scikit_learn() -> None:
    rng = np.random.default_rng(0)
    logits, labels = rng.normal(size=(200, 4)), rng.integers(0, 4, 200)
    prediction = SimpleNamespace(predictions=(logits, "attentions"), label_ids=labels)
    measured = trainer_metrics([500, 50, 5, 3])(prediction)
    predicted = logits.argmax(1)
    assert measured["accuracy"] == pytest.approx((predicted == labels).mean())
    assert measured["balanced_accuracy"] == pytest.approx(balanced_accuracy_score(labels, predicted))
    few = [(predicted[labels == c] == c).mean() for c in (2, 3)]
    assert measured["accuracy_few"] == pytest.approx(np.mean(few))
    assert "accuracy_many" not in trainer_metrics()(prediction)
    assert "accuracy_medium" not in trainer_metrics([500, 400, 300, 1])(prediction)


def test_bad_input_to_the_loss() -> None:
    model = attach(nn.Sequential(nn.Linear(4, K)), head="linear")
    with pytest.raises(ValueError, match="loss must be one of 'ce', 'la', 'dr', got 'cee'; did you mean 'ce'"):
        TrainerLoss(model, "cee")
    with pytest.raises(ValueError, match="'la' needs class_counts=, the number of training samples"):
        TrainerLoss(model, "la")
    with pytest.raises(ValueError, match="used with loss='la' only, got loss='ce'"):
        TrainerLoss(model, "ce", class_counts=COUNTS)
    with pytest.raises(ValueError, match="class_counts has 2 entries for 3 classes"):
        TrainerLoss(model, "la", class_counts=[1, 2])
    with pytest.raises(ValueError, match="must have normalize=True and no bias"):
        TrainerLoss(model, "dr")
    with pytest.raises(ValueError, match="it has none; put one in with attach"):
        TrainerLoss(nn.Linear(4, 3))
    with pytest.raises(ValueError, match="must have a column 'labels'"):
        TrainerLoss(model)({"logits": torch.zeros(1, K)}, None)
    with pytest.raises(ValueError, match=r"labels must lie in \[0, 2\]"):
        TrainerLoss(tiny_vit(), "dr")({"logits": torch.zeros(1, K)}, torch.tensor([3]))
    with pytest.raises(ValueError, match=r"logits \(N, K\), got shape \(4,\)"):
        trainer_metrics()(SimpleNamespace(predictions=np.zeros(4), label_ids=np.zeros(4, dtype=int)))


def test_bad_input_to_loading(tmp_path: Path) -> None:
    plain = ViTForImageClassification(tiny_vit().config.__class__(**{**tiny_vit().config.to_dict()}))
    del plain.config.equiangular_head
    plain.save_pretrained(tmp_path / "plain")
    with pytest.raises(ValueError, match="has no equiangular_head: it was not saved with a head of this library"):
        load_pretrained(ViTForImageClassification, tmp_path / "plain")
    with pytest.raises(ValueError, match="instead of an Auto class"):
        load_pretrained(AutoModelForImageClassification, tmp_path / "plain")
    with pytest.raises((OSError, ValueError), match="nowhere"):  # transformers' own message, which says what to check
        load_pretrained(ViTForImageClassification, tmp_path / "nowhere")
    model = tiny_vit()
    for change, message in {
        "path": ({"path": "nothing"}, "name the linear layer in whose place it is"),
        "kind": ({"kind": "eft"}, "did you mean 'etf'"),
        "width": ({"options": {"projection": "linear", "dim": 2}}, "do not fit the model and its head"),
        "options": ({"options": {"norm": "batch"}}, "do not fit the model and its head: .*missing_keys.*running_mean"),
    }.values():
        model.save_pretrained(tmp_path / "bad")
        file = tmp_path / "bad" / "config.json"
        config = json.loads(file.read_text())
        config["equiangular_head"].update(change)
        file.write_text(json.dumps(config))
        with pytest.raises(ValueError, match=message):
            load_pretrained(ViTForImageClassification, tmp_path / "bad")


def test_another_number_of_classes_is_told_with_the_way_that_works(tmp_path: Path) -> None:
    tiny_vit(norm="batch").save_pretrained(tmp_path / "three")
    names = {i: f"name {i}" for i in range(7)}
    for asked in ({"num_labels": 7}, {"id2label": names, "label2id": {v: k for k, v in names.items()}}):
        with pytest.raises(ValueError, match=r"other number of classes than 7.*find_head\(model\)\.reset\(7\)"):
            load_pretrained(ViTForImageClassification, tmp_path / "three", **asked)
    model = load_pretrained(ViTForImageClassification, tmp_path / "three", num_labels=K)
    find_head(model).reset(7)  # what the message says
    model.config.num_labels = 7
    model.save_pretrained(tmp_path / "seven")
    again = load_pretrained(ViTForImageClassification, tmp_path / "seven")
    assert torch.equal(find_head(again).weight, find_head(model).weight)
    assert again(pixel_values=torch.zeros(1, 3, 8, 8)).logits.shape == (1, 7)


def test_label_smoothing_of_trainer_is_told(tmp_path: Path) -> None:
    data = torch.utils.data.Subset(LongTail("pixel_values", COUNTS, seed=0), range(16))
    model, options = tiny_vit(), arguments(tmp_path, max_steps=1, label_smoothing_factor=0.1)
    trainer = Trainer(model, options, train_dataset=data, compute_loss_func=TrainerLoss(model))
    with pytest.raises(
        ValueError, match=r"label_smoothing_factor=0.1 has no effect.*label_smoothing=0.1 to TrainerLoss"
    ):
        trainer.train()


@pytest.mark.parametrize("loss", ["ce", "la"])
def test_label_smoothing_of_the_loss(loss: str) -> None:
    model = attach(nn.Sequential(nn.Linear(4, K)), head="linear")
    counts = COUNTS if loss == "la" else None
    logits, labels = model(torch.randn(6, 4)), torch.arange(6) % K
    shift = torch.tensor(COUNTS).float().log() if counts else torch.zeros(K)
    expected = nn.functional.cross_entropy(logits + shift, labels, label_smoothing=0.3)
    ours = TrainerLoss(model, loss, class_counts=counts, label_smoothing=0.3)
    torch.testing.assert_close(ours({"logits": logits}, labels), expected)
    with pytest.raises(ValueError, match="dot-regression has no other classes"):
        TrainerLoss(attach(nn.Sequential(nn.Linear(4, K))), "dr", label_smoothing=0.3)


@pytest.mark.parametrize("loss", ["ce", "la", "dr"])
def test_ignored_labels_count_for_nothing(loss: str) -> None:
    model = attach(nn.Sequential(nn.Linear(4, K)))
    criterion = TrainerLoss(model, loss, class_counts=COUNTS if loss == "la" else None)
    logits = model(torch.randn(6, 4))
    labels = torch.tensor([0, -100, 2, 1, -100, 0])
    known = labels != -100
    expected = criterion({"logits": logits[known]}, labels[known])
    torch.testing.assert_close(criterion({"logits": logits}, labels), expected)
    torch.testing.assert_close(criterion({"logits": logits}, labels, torch.tensor(4)), expected)  # as Trainer counts
    half = criterion({"logits": logits.bfloat16()}, labels)
    assert half.dtype == torch.float32
    torch.testing.assert_close(half, criterion({"logits": logits.bfloat16().float()}, labels))


def test_a_last_batch_of_one(tmp_path: Path) -> None:
    data = torch.utils.data.Subset(LongTail("pixel_values", COUNTS, seed=0), range(17))
    model = tiny_vit(norm="batch")
    options = {"num_train_epochs": 1, "per_device_train_batch_size": 16}
    trainer = Trainer(model, arguments(tmp_path, **options), train_dataset=data, compute_loss_func=TrainerLoss(model))
    with pytest.raises(
        ValueError, match=r"a single sample in training.*dataloader_drop_last=True of TrainingArguments"
    ):
        trainer.train()
    options["dataloader_drop_last"] = True
    Trainer(model, arguments(tmp_path, **options), train_dataset=data, compute_loss_func=TrainerLoss(model)).train()


@pytest.mark.parametrize("moved", [False, True])
def test_a_frame_that_is_not_stored_and_one_that_is(tmp_path: Path, moved: bool) -> None:
    config = ViTConfig(
        hidden_size=520, num_hidden_layers=1, num_attention_heads=2, intermediate_size=8, image_size=8, patch_size=4,
        num_labels=7,
    )  # fmt: skip
    model = attach(ViTForImageClassification(config), 512, basis="canonical").eval()
    if moved:
        find_head(model).weight.neg_()
    model.save_pretrained(tmp_path)
    assert ("classifier.weight" in load_file(tmp_path / "model.safetensors")) == moved
    loaded, x = load_pretrained(ViTForImageClassification, tmp_path), torch.randn(2, 3, 8, 8)
    assert torch.equal(find_head(loaded).weight, find_head(model).weight)
    assert torch.equal(loaded(x).logits, model(x).logits)
    assert (find_head(loaded).structure is None) == moved
