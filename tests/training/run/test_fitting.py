"""A trial whose head is fitted in one call: the same parts, scores, files and commands as one that is trained."""

from pathlib import Path

import numpy as np
import pytest
import torch
from tests.compare.conftest import blobs

from equiangular._files import read_json
from equiangular.closed_form import ClosedFormHead
from equiangular.data import load_dataset
from equiangular.training import Classifier, TrainConfig, Trial, TrialStore, get_method, load_model, run_trial, train
from equiangular.training.methods.fitted import FITTED
from equiangular.training.run.fitting import Fitting
from equiangular.training.run.trial import split_of


@pytest.fixture
def vectors(tmp_path: Path) -> Path:
    """An .npz file of an encoder's vectors: three classes, 40, 20 and 10 samples."""
    (x, y), (test_x, test_y) = blobs((40, 20, 10), 0), blobs((15, 15, 15), 1)
    path = tmp_path / "v.npz"
    np.savez(path, train_X=x, train_y=y, test_X=test_x, test_y=test_y)
    return path


def test_a_trial_is_the_fit_to_its_training_part(vectors: Path) -> None:
    dataset = load_dataset(vectors)
    assert dataset.kind == "vectors"
    trial = Trial(data=str(vectors), method="ridge")
    run, (outcome,) = run_trial(trial, dataset)
    split = split_of(trial, dataset)
    alone = ClosedFormHead(6, 3, kind="ridge").fit(split.standardise(split.train_x), split.train_y)
    x = split.standardise(split.test_x)
    assert isinstance(run.training, Fitting)
    assert torch.equal(outcome.task.head(outcome.task.backbone(x)), alone(x))
    assert outcome.scores["accuracy"] == 100 * float((alone(x).argmax(1) == split.test_y).float().mean())
    assert (run.backbone, outcome.task.head.kind, outcome.collapse) == ("identity", "computed", {})
    held = split.standardise(split.holdout_x)
    rates = [(alone(held).argmax(1) == split.holdout_y)[split.holdout_y == k].float().mean() for k in range(3)]
    assert outcome.validation == pytest.approx(100 * float(sum(rates)) / 3)


def test_the_backbone_may_be_another(vectors: Path) -> None:
    """Features of a network as it is, pretrained or not, take the place of the inputs."""
    run, (outcome,) = run_trial(Trial(data=str(vectors), method="gaussian", backbone="mlp"), load_dataset(vectors))
    assert outcome.task.head.in_features == run.training.task.backbone.num_features == 64
    assert not any(p.grad is not None for p in outcome.task.parameters())


@pytest.mark.parametrize("method", [*(m.name for m in FITTED if not m.named), "logistic-pc"])
def test_a_run_in_a_folder_is_the_trial_and_comes_back(method: str, vectors: Path, tmp_path: Path) -> None:
    options = {"width": 40} if method == "random-features" else {}
    config = TrainConfig(data=str(vectors), method=method, head=options, accelerator="cpu")
    results = train(config, tmp_path / "run")
    assert train(config, tmp_path / "run") == results  # finished: it is read
    trial = Trial(data=str(vectors), method=method, head=options)
    store = TrialStore(tmp_path / "trials")
    dataset = load_dataset(vectors)
    (record,) = store.records(trial, dataset, {}, [get_method(method)])
    assert results["weights_sha256"] == record.weights_sha256
    assert results["test"]["balanced_accuracy"] == record.scores["balanced_accuracy"]
    assert results["test"]["correction"] == record.correction
    assert (results["head_kind"], results["head_parameters"]) == (record.kind, record.head_parameters)
    assert (record.kind == "computed") == (record.head_parameters == 0) == ("logistic" not in method)
    _, probabilities = Classifier.load(tmp_path / "run")(dataset.test_x)
    right = (probabilities.argmax(1) == dataset.test_y).float().mean()
    assert 100 * float(right) == pytest.approx(results["test"]["accuracy"])
    task, info = load_model(tmp_path / "run" / "best")
    assert (task.head.kind, info.epoch) == (record.kind, None)


def test_options_of_the_head_arrive(vectors: Path) -> None:
    dataset = load_dataset(vectors)
    _, (outcome,) = run_trial(Trial(data="v", method="ridge", head={"regularization": 3.0}), dataset)
    assert outcome.task.head.chosen["regularization"] == 3.0
    weak, strong = (
        run_trial(Trial(data="v", method="logistic", head={"strength": c}), dataset)[1][0].task.head.weight.norm()
        for c in (1e-3, 1.0)
    )
    assert weak < 0.5 * strong
    with pytest.raises(ValueError, match=r"'ridge' has no option 'norm' of the head; it has regularization"):
        run_trial(Trial(data="v", method="ridge", head={"norm": "batch"}), dataset)
    with pytest.raises(ValueError, match="strength must be"):
        run_trial(Trial(data="v", method="logistic", head={"strength": -1.0}), dataset)


def test_a_model_that_does_not_fit_its_description(vectors: Path, tmp_path: Path) -> None:
    from safetensors import safe_open
    from safetensors.torch import save_file

    train(TrainConfig(data=str(vectors), method="ridge", accelerator="cpu"), tmp_path / "run")
    file = tmp_path / "run" / "model" / "model.safetensors"
    with safe_open(file, framework="pt") as archive:
        metadata, tensors = archive.metadata(), {k: archive.get_tensor(k) for k in archive.keys()}  # noqa: SIM118
    assert read_json(tmp_path / "run" / "model" / "config.json")["head"]["kind"] == "closed-form"
    del tensors["head.bias"]
    metadata.pop("checksum")  # as of a file of before, or of another program
    save_file(tensors, file, metadata=metadata)
    with pytest.raises(ValueError, match=r"cannot load the model .*closed-form.*bias"):
        load_model(tmp_path / "run")
