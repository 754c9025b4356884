"""Tensors are made where those that are given lie and in their precision, whatever PyTorch's defaults are.

A value that is made without a device or a dtype goes unnoticed on the CPU in single precision. Here the defaults are
the meta device, where nothing has a value, and float64: results must be the same, bit for bit. Nor is anything drawn
from PyTorch's own generator.
"""

from __future__ import annotations

import copy
import dataclasses
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from sklearn.naive_bayes import GaussianNB
from torch import Tensor, nn

import equiangular as eq
from equiangular import closed_form, frames, losses, measures, posthoc, theory
from equiangular.export import export_model
from equiangular.heads import HEADS as KINDS
from equiangular.heads import make_head
from equiangular.inference import evaluate, predict_files, read_inputs
from equiangular.measures import collapse
from equiangular.training import Classifier, TrainConfig, train
from equiangular.training.run.collapse import measure_run
from tests.test_waits import GROUPS, HEADS, LOSSES, TABLE_LOSSES, UPDATES, B, D, K


@pytest.fixture
def elsewhere() -> Iterator[Callable[[Callable[[], Any]], Any]]:
    """Calls a function under other defaults."""
    before = torch.get_default_dtype()

    def call(function: Callable[[], Any]) -> Any:
        torch.set_default_dtype(torch.float64)
        drawn = torch.get_rng_state()
        try:
            with torch.device("meta"):
                return function()
        finally:
            torch.set_default_dtype(before)
            assert torch.equal(torch.get_rng_state(), drawn), "it draws from PyTorch's own generator"

    yield call
    torch.set_default_dtype(before)


def draw(*shape: int, seed: int = 0) -> Tensor:
    return torch.randn(shape, generator=torch.Generator("cpu").manual_seed(seed), device="cpu", dtype=torch.float32)


def same(ours: Any, theirs: Any) -> None:
    """Two results, and all in them, are equal to the bit, of one dtype and in the same place."""
    assert type(ours) is type(theirs)
    if isinstance(ours, Tensor):
        assert (ours.device, ours.dtype) == (theirs.device, theirs.dtype)
        torch.testing.assert_close(ours, theirs, rtol=0, atol=0, equal_nan=True)
    elif isinstance(ours, Mapping):
        assert ours.keys() == theirs.keys()
        for key in ours:
            same(ours[key], theirs[key])
    elif isinstance(ours, (list, tuple)):
        for one, other in zip(ours, theirs, strict=True):
            same(one, other)
    elif dataclasses.is_dataclass(ours):
        same(vars(ours), vars(theirs))
    elif isinstance(ours, np.ndarray):
        np.testing.assert_array_equal(ours, theirs)
    elif isinstance(ours, float):
        assert ours == theirs or (ours != ours and theirs != theirs)
    elif not isinstance(ours, nn.Module):
        assert ours == theirs


X, LOGITS, COUNTS = draw(B, D), draw(B, K, seed=1), torch.arange(1.0, K + 1)
LABELS = torch.arange(B) % K
VECTORS = nn.functional.normalize(draw(K, D, seed=2), dim=1)
SPREAD = nn.functional.normalize(draw(9, 4, seed=3), dim=1)
MEANS, WEIGHT = draw(K, D, seed=4), draw(K, D, seed=5)
NUMBERS = torch.arange(40)
KNOWN, UNKNOWN = draw(40, K, seed=6), draw(30, K, seed=7)
TARGETS: dict[str, Any] = {
    "labels": LABELS,
    "some ignored": torch.where(LABELS == 1, -100, LABELS),
    "probabilities": LOGITS.softmax(1),
    "mixup": (LABELS, LABELS.flip(0), 0.3),
    "mixup by sample": (LABELS, LABELS.flip(0), torch.full((B,), 0.3)),
}


def passed(module: nn.Module, *given: Any) -> dict[str, Any]:
    """What a module gives, its state after it, and the gradients of what is given and of its parameters."""
    given = tuple(v.clone().requires_grad_() if isinstance(v, Tensor) and v.is_floating_point() else v for v in given)
    value = module(*given)
    wanted = [v for v in (*given, *module.parameters()) if isinstance(v, Tensor) and v.requires_grad]
    gradients = torch.autograd.grad(value.square().sum(), wanted, allow_unused=True)
    return {"value": value, "gradients": gradients, "state": module.state_dict()}


@pytest.mark.parametrize("name", HEADS)
def test_heads(name: str, elsewhere: Any) -> None:
    def used(call: Callable[[Callable[[], Any]], Any]) -> list[Any]:
        torch.manual_seed(0)
        head = HEADS[name]().train()
        x = draw(B, head.in_features)
        head.targets(LABELS[:1])
        return [
            call(lambda: passed(head, x)),
            call(lambda: passed(head.eval(), x)),
            call(lambda: head(x, pre_logits=True)),
            call(lambda: head.targets(LABELS)),
            call(lambda: head.weight) if not isinstance(head, eq.ImplicitHead) else None,
        ]

    same(used(elsewhere), used(lambda function: function()))


@pytest.mark.parametrize("kind", KINDS)
def test_a_head_is_made_where_it_is_told(kind: str, elsewhere: Any) -> None:
    given = {"class_vectors": VECTORS} if kind == "named" else {}

    def made() -> Any:
        return make_head(kind, D, K, seed=1, device=torch.device("cpu"), dtype=torch.float32, **given).state_dict()

    same(elsewhere(made), made())


@pytest.mark.parametrize("target", TARGETS)
@pytest.mark.parametrize("name", [*LOSSES, *TABLE_LOSSES])
def test_losses(name: str, target: str, elsewhere: Any) -> None:
    given = (LOGITS.tanh(),) if name in LOSSES else (X,)

    def used(call: Callable[[Callable[[], Any]], Any]) -> Any:
        loss = (LOSSES | TABLE_LOSSES)[name]()
        vectors = () if name in LOSSES else (VECTORS,)
        return call(lambda: passed(loss, *given, TARGETS[target], *vectors))

    same(used(elsewhere), used(lambda function: function()))


@pytest.mark.parametrize("name", UPDATES)
def test_metrics(name: str, elsewhere: Any) -> None:
    make, widths = UPDATES[name]
    values = [draw(B, width, seed=8).softmax(1) for width in widths]

    def used(call: Callable[[Callable[[], Any]], Any]) -> Any:
        metric = make()
        call(lambda: metric.update(values[0], LABELS, *values[1:]))
        call(lambda: metric.update(values[0].flip(0), LABELS, *values[1:]))
        return call(metric.compute)

    same(used(elsewhere), used(lambda function: function()))


def moments() -> collapse.ClassMoments:
    return collapse.ClassMoments.empty(K, K, device="cpu").update(KNOWN, NUMBERS % K)


HERE = {"device": torch.device("cpu"), "dtype": torch.float32}
ALIGNED = [eq.ETFHead(D, K), eq.RandomHead(D, K)]
IMPLICIT = {kind: eq.ImplicitHead(32, 100, construction=kind) for kind in ("random", "quadratic")}
CODE = frames.quadratic_code(100, 32)
assert CODE is not None
FUNCTIONS: dict[str, Callable[[], Any]] = {
    "moments": moments,
    "collapse_measures": lambda: collapse.collapse_measures(moments(), weight=KNOWN[:K]),
    "nearest_mean": lambda: collapse.nearest_mean(X, MEANS),
    "gram_alignment": lambda: collapse.gram_alignment(MEANS, WEIGHT),
    "simplex_etf": lambda: [eq.simplex_etf(K, D, basis=basis, seed=0, **HERE) for basis in frames.BASES],
    "spread_frame": lambda: eq.spread_frame(7, 3, restarts=2, steps=20, seed=0, cache=False, **HERE),
    "hadamard_frame": lambda: frames.hadamard_frame(K, 8, **HERE),
    "orthoplex": lambda: frames.orthoplex(K, 4, **HERE),
    "known_code": lambda: [frames.known_code(k, d, **HERE) for k, d in ((12, 3), (50, 21), (56, 20), (288, 16))],
    "implicit_rows": lambda: frames.implicit_rows(LABELS, 32, seed=0, dtype=torch.float32),
    "quadratic_nearest": lambda: frames.quadratic_nearest(CODE, draw(4, 32), 100),
    "class_mean_frame": lambda: eq.class_mean_frame(MEANS, D, **HERE),
    "frame_from_gram": lambda: frames.frame_from_gram(VECTORS @ VECTORS.T, D, **HERE),
    "nearest_simplex_etf": lambda: eq.nearest_simplex_etf(MEANS),
    "nearest_orientation": lambda: frames.nearest_orientation(VECTORS, MEANS),
    "etf_distance": lambda: frames.etf_distance(MEANS),
    "one_vs_rest_distance": lambda: frames.one_vs_rest_distance(SPREAD),
    "frame_report": lambda: eq.frame_report(SPREAD),
    "why_not_simplex_etf": lambda: eq.why_not_simplex_etf(VECTORS),
    "simplex_logits": lambda: [eq.simplex_logits(X, K, basis=basis) for basis in ("canonical", "minimal")],
    "nonnegative": lambda: frames.nonnegative_orthogonal_frame(K, D, seed=0, **HERE),
    "restrict_logits": lambda: eq.restrict_logits(LOGITS, [0, 2]),
    "nearest_prototypes": lambda: [
        eq.nearest_prototypes(draw(4, 32), of, k=2) for of in (draw(K, 32), *IMPLICIT.values())
    ],
    "align_head": lambda: [
        eq.align_head(copy.deepcopy(head), MEANS, move=move).weight
        for head in ALIGNED
        for move in ("turn", "match")
    ],
    "batch_class_counts": lambda: losses.batch_class_counts(LABELS, K),
    "measures of accuracy": lambda: [
        measures.accuracy(LOGITS.argmax(1), LABELS), measures.confusion_matrix(LOGITS.argmax(1), LABELS, K),
        measures.balanced_accuracy(LOGITS[0]), measures.group_accuracy(LOGITS[0], GROUPS),
        measures.expected_calibration_error(LOGITS[0].sigmoid(), LOGITS[1] > 0, 3),
    ],
    "ood_score": lambda: [measures.ood_score(X, VECTORS, kind) for kind in ("max_cosine", "msp", "energy")],
    "neco": lambda: measures.ood_score(X, VECTORS, "neco", subspace=measures.principal_subspace(X, 3)),
    "open_set_measures": lambda: measures.open_set_measures(KNOWN[:, 0], UNKNOWN[:, 0]),
    "prior_corrected_logits": lambda: posthoc.prior_corrected_logits(LOGITS, COUNTS, strength=0.7),
    "tau_normalized_weight": lambda: posthoc.tau_normalized_weight(WEIGHT, 0.5),
    "calibrate_scale": lambda: eq.calibrate_scale(KNOWN, torch.arange(40, device="cpu") % K, COUNTS),
    "estimate_prior": lambda: eq.estimate_prior(KNOWN.log_softmax(1), COUNTS),
    "bias_corrected_temperature": lambda: eq.bias_corrected_temperature(KNOWN, NUMBERS % K, COUNTS),
    "calibrate_prior_correction": lambda: eq.calibrate_prior_correction(KNOWN, NUMBERS % K, COUNTS),
    "rejection_threshold": lambda: eq.rejection_threshold(KNOWN[:, 0], 0.1),
}  # fmt: skip


@pytest.mark.filterwarnings("ignore::DeprecationWarning")  # of FAISS's own import
def test_an_index_of_class_vectors(elsewhere: Any) -> None:
    pytest.importorskip("faiss")

    def found() -> Any:
        vectors = draw(4, 32)
        of = [IMPLICIT["random"], draw(200, 32)]
        return [eq.PrototypeIndex(own, index="IVF2,Flat").search(vectors, k=2) for own in of]

    same(elsewhere(found), found())


@pytest.mark.parametrize("name", FUNCTIONS)
def test_functions(name: str, elsewhere: Any) -> None:
    same(elsewhere(FUNCTIONS[name]), FUNCTIONS[name]())


@pytest.mark.parametrize("kind", closed_form.KINDS)
def test_closed_forms(kind: str, elsewhere: Any) -> None:
    def fitted() -> Any:
        model = closed_form.ClosedForm(D, K, kind=kind, width=20).update(X, LABELS).update(X.flip(0), LABELS)
        return [model.solve(), model.solve().logits(X)]

    same(elsewhere(fitted), fitted())


ROWS, CODES = X.numpy(), LABELS.numpy()
PRIOR = [(k + 1) / (K * (K + 1) / 2) for k in range(K)]
WORK: dict[str, Callable[[], Any]] = {
    "compare_classifiers": lambda: theory.compare_classifiers([4, 2, 1], max_steps=50),
    "minority_collapse": lambda: theory.minority_collapse(num_classes=4, dim=4, ratios=(1, 10)),
    "gradient_parts": lambda: theory.gradient_parts(num_classes=4, dim=4),
    "convergence_study": lambda: theory.convergence_study(num_classes=4, dim=4, steps=20),
    "solve_layer_peeled": lambda: theory.solve_layer_peeled([4, 2, 1], 3, max_steps=50),
    "common_optimum": lambda: theory.common_optimum(num_classes=4, dim=3, max_steps=50),
    "ETFClassifier": lambda: eq.ETFClassifier(epochs=2, random_state=0).fit(ROWS, LABELS.numpy()).predict_proba(ROWS),
    "ClosedFormClassifier": lambda: eq.ClosedFormClassifier(target_prior=PRIOR).fit(ROWS, CODES).predict_proba(ROWS),
    "PriorCorrectedClassifier": lambda: eq.PriorCorrectedClassifier(GaussianNB()).fit(ROWS, CODES).predict_proba(ROWS),
}  # fmt: skip


@pytest.mark.parametrize("name", WORK)
def test_whole_pieces_of_work(name: str, elsewhere: Any) -> None:
    same(elsewhere(WORK[name]), WORK[name]())


@pytest.mark.parametrize("kind", ["vectors", "images"])
def test_a_run_from_data_to_predictions(kind: str, elsewhere: Any, tmp_path: Path) -> None:
    x = X.numpy() if kind == "vectors" else np.random.default_rng(0).integers(0, 255, (B, 3, 8, 8), np.uint8)
    np.savez(tmp_path / "data.npz", x=np.concatenate([x] * 6), y=np.tile(LABELS.numpy(), 6))

    def work(folder: Path) -> Any:
        config = TrainConfig(data=str(tmp_path / "data.npz"), epochs=1, accelerator="cpu", threads=1)
        results = train(config, folder)
        classifier = Classifier.load(folder)
        batches = read_inputs([tmp_path / "data.npz"], classifier.info)
        export_model(classifier, folder / "model.pt2")
        return [
            {key: value for key, value in results["test"].items() if key != "seconds"},
            [tuple(prediction) for prediction in predict_files(classifier, batches)],
            evaluate(classifier)["scores"],
            measure_run(folder).measures,
        ]

    same(elsewhere(lambda: work(tmp_path / "there")), work(tmp_path / "here"))
