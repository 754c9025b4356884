"""Numbers at the ends of their range, in every precision, and under changes that must not matter; against float64."""

from __future__ import annotations

import random
from collections.abc import Callable, Iterator
from typing import Any

import torch
from torch import Tensor

from equiangular import losses, posthoc
from equiangular.closed_form import ClosedForm
from equiangular.heads import make_head
from equiangular.measures import expected_calibration_error, per_class_accuracy
from equiangular.measures.collapse import ClassMoments, collapse_measures
from trial.record import Record

Loss = Callable[[Tensor, Tensor, Tensor], Tensor]  # logits (N, K), labels (N,), counts (K,) -> (N,) losses
SCALES = (1e-42, 1e-30, 1e-6, 1e-3, 1.0, 30.0, 1e4, 1e18)
KINDS = (torch.float16, torch.bfloat16, torch.float32)
LOSSES: dict[str, Loss] = {
    "cross-entropy": lambda z, y, n: losses.soft_target_cross_entropy(z, y, reduction="none"),
    "logit adjustment": lambda z, y, n: losses.logit_adjusted_cross_entropy(z, y, n, reduction="none"),
    "vector scaling": lambda z, y, n: losses.vector_scaling_loss(z, y, n, reduction="none"),
    "focal": lambda z, y, n: losses.focal_loss(z, y, reduction="none"),
    "label-aware": lambda z, y, n: losses.label_aware_smoothing_loss(z, y, n, reduction="none"),
    "ARB": lambda z, y, n: losses.arb_loss(z, y, n, reduction="none"),
    "class-balanced": lambda z, y, n: losses.class_balanced_loss(z, y, n, reduction="none"),
}
HEADS = ("etf", "linear", "cosine", "random", "rotated-etf")


def numbers(record: Record, *, cases: int = 10_000) -> None:
    """Run the part: ``cases`` cases over losses, heads, measures, corrections and closed forms."""
    checks = dict(_checks())
    each = -(-cases // len(checks))
    for name, check in checks.items():
        for number in range(each):
            record.case(f"numbers, {name}", str(number), _checked, check, number)


def _checked(check: Callable[[random.Random, torch.Generator], str], number: int) -> str:
    return check(random.Random(number), torch.Generator().manual_seed(number)) or "good"


def _checks() -> Iterator[tuple[str, Callable[[random.Random, torch.Generator], str]]]:
    for name, loss in LOSSES.items():
        yield f"precision of {name}", lambda c, g, loss=loss: _precision(loss, c, g)
        yield f"metamorphic, {name}", lambda c, g, loss=loss: _same_loss(loss, c, g)
        yield f"NaN and inf in {name}", lambda c, g, loss=loss: _not_finite(loss, c, g)
    yield "precision of dot regression", _dot_regression
    for kind in HEADS:
        yield f"head {kind}", lambda c, g, kind=kind: _head(kind, c, g)
    yield "measures of collapse", _collapse
    yield "accuracy and calibration", _scores
    yield "prior correction", _correction
    yield "tau-normalisation", _tau
    for kind in ("class-means", "gaussian", "ridge"):
        yield f"closed form, {kind}", lambda c, g, kind=kind: _closed_form(kind, c, g)


def _case(chance: random.Random, generator: torch.Generator) -> tuple[Tensor, Tensor, Tensor]:
    n, k = chance.choice((1, 2, 7, 33)), chance.choice((2, 3, 10))
    logits = torch.randn(n, k, generator=generator, dtype=torch.float64)
    labels = torch.randint(k, (n,), generator=generator)
    return logits, labels, torch.randint(1, 1000, (k,), generator=generator)


def _near(found: Tensor, exact: Tensor, eps: float, size: float) -> bool:
    """Whether values are as near as a few roundings of numbers of a size leave them."""
    return bool(((found.double() - exact).abs() <= 64 * eps * (exact.abs() + size)).all())


def _precision(loss: Loss, chance: random.Random, generator: torch.Generator) -> str:
    """Of logits of any size in any precision: finite, and as near to float64 as roundings allow; so the gradient."""
    logits, labels, counts = _case(chance, generator)
    kind, scale = chance.choice(KINDS), chance.choice(SCALES)
    given = (logits * min(scale, torch.finfo(kind).max / 8)).to(kind)
    exact = loss(given.double(), labels, counts)
    given.requires_grad_()
    found = loss(given, labels, counts)
    (gradient,) = torch.autograd.grad(found.float().sum(), given)
    if not torch.isfinite(exact).all() or exact.abs().max() > torch.finfo(found.dtype).max / 2:
        return ""
    size = float(given.detach().double().abs().max())
    if not torch.isfinite(found).all():
        return f"{kind}, scale {scale}: {found.tolist()[:3]} where float64 has {exact.tolist()[:3]}"
    if not torch.isfinite(gradient).all():
        return f"{kind}, scale {scale}: its gradient is not finite"
    near = _near(found, exact, torch.finfo(kind).eps, 1 + size)
    return "" if near else f"{kind}, scale {scale}: {found.tolist()} is not {exact.tolist()}"


def _same_loss(loss: Loss, chance: random.Random, generator: torch.Generator) -> str:
    """Classes and samples in another order, and a batch twice, have the same losses."""
    logits, labels, counts = _case(chance, generator)
    logits = logits * chance.choice((1e-3, 1.0, 30.0))
    expected = loss(logits, labels, counts)
    classes = torch.randperm(logits.shape[1], generator=generator)
    rows = torch.randperm(len(logits), generator=generator)
    place = torch.argsort(classes)
    other = {
        "classes in another order": loss(logits[:, classes], place[labels], counts[classes]),
        "a batch twice": loss(torch.cat([logits, logits]), torch.cat([labels, labels]), counts)[: len(labels)],
        "samples in another order": loss(logits[rows], labels[rows], counts)[torch.argsort(rows)],
        "in pieces": torch.cat([loss(z[None], y[None], counts) for z, y in zip(logits, labels, strict=True)]),
    }
    return next((f"{n}: another loss" for n, v in other.items() if not torch.allclose(v, expected, 1e-10, 1e-12)), "")


def _not_finite(loss: Loss, chance: random.Random, generator: torch.Generator) -> str:
    """A NaN, or an infinite logit of the label, is told or stays visible in the loss of its own sample alone."""
    logits, labels, counts = _case(chance, generator)
    row = chance.randrange(len(logits))
    logits[row, labels[row]] = chance.choice((float("nan"), float("-inf")))
    try:
        found = loss(logits, labels, counts)
    except ValueError:
        return ""
    if bool(torch.isfinite(found[row])):
        return f"a loss of {float(found[row])} for a logit of {float(logits[row, labels[row]])}"
    others = torch.cat([found[:row], found[row + 1 :]])
    return "" if torch.isfinite(others).all() else "it is in the losses of other samples"


def _dot_regression(chance: random.Random, generator: torch.Generator) -> str:
    n, k, d = chance.choice((1, 5, 20)), chance.choice((2, 5)), chance.choice((5, 16))
    kind, scale = chance.choice(KINDS), chance.choice(SCALES)
    features = torch.randn(n, d, generator=generator, dtype=torch.float64)
    weight = torch.nn.functional.normalize(torch.randn(k, d, generator=generator, dtype=torch.float64), dim=1)
    labels = torch.randint(k, (n,), generator=generator)
    given, vectors = (features / features.norm(dim=1, keepdim=True)).to(kind), weight.to(kind)
    exact = losses.dot_regression_loss(given.double(), labels, vectors.double(), reduction="none")
    found = losses.dot_regression_loss(given, labels, vectors, reduction="none")
    if not _near(found, exact, torch.finfo(kind).eps, 1.0):
        return f"{kind}: {found.tolist()[:3]} is not {exact.tolist()[:3]}"
    turn = torch.linalg.qr(torch.randn(d, d, generator=generator, dtype=torch.float64))[0]
    large = features * min(scale, 1e6)
    one = losses.dot_regression_loss(large, labels, weight, reduction="none")
    two = losses.dot_regression_loss(large @ turn, labels, weight @ turn, reduction="none")
    size = 1 + float(large.norm(dim=1).max()) ** 2
    return "" if torch.allclose(one, two, 1e-9, 1e-10 * size) else "turned, it has another loss"


def _head(kind: str, chance: random.Random, generator: torch.Generator) -> str:
    k, d = chance.choice((2, 5, 9)), chance.choice((9, 16))
    head = make_head(kind, d, k).eval()
    dtype, scale = chance.choice(KINDS), chance.choice(SCALES)
    features = torch.randn(chance.choice((1, 6)), d, generator=generator, dtype=torch.float64)
    given = (features * min(scale, torch.finfo(dtype).max / 64)).to(dtype)
    with torch.no_grad():
        exact = make_head(kind, d, k).eval().double()
        exact.load_state_dict({name: v.to(dtype).double() if v.is_floating_point() else v
                               for name, v in head.state_dict().items()})  # fmt: skip
        expected, found = exact(given.double()), head.to(dtype)(given)
        if not torch.isfinite(expected).all() or expected.abs().max() > torch.finfo(dtype).max / 2:
            return ""
        if not torch.isfinite(found).all():
            return f"{dtype}, scale {scale}: not finite"
        tiny = float(given.double().abs().max()) < torch.finfo(dtype).tiny * 1e4  # a direction has few digits there
        usual = exact(torch.randn(64, d, generator=generator, dtype=torch.float64))
        size = max(float(expected.abs().max()), float(usual.abs().max()))  # a small logit is a difference of large ones
        length = float(given.double().norm(dim=1).max()) if kind == "linear" else 0.0
        if not tiny and not _near(found, expected, torch.finfo(dtype).eps, max(size, length)):
            return f"{dtype}, scale {scale}: {found.tolist()[0][:3]} is not {expected.tolist()[0][:3]}"
        twice = exact(torch.cat([given, given]).double())
        same = torch.allclose(twice[len(given) :], expected, 1e-10, 1e-12 * size)
    return "" if same else "a batch twice has other logits"


def _moments(features: Tensor, labels: Tensor, k: int, parts: int) -> ClassMoments:
    moments = ClassMoments.empty(k, features.shape[1])
    for x, y in zip(features.chunk(parts), labels.chunk(parts), strict=True):
        moments.update(x, y)
    return moments


def _collapse(chance: random.Random, generator: torch.Generator) -> str:
    """Measures of turned, permuted, doubled and parted features are those of the features."""
    n, k, d = chance.choice((30, 90)), chance.choice((3, 4)), chance.choice((4, 8))
    labels = torch.arange(n) % k
    spread = chance.choice((1e-4, 1e-2, 1.0, 10.0))
    means = torch.randn(k, d, generator=generator, dtype=torch.float64)
    features = means[labels] + spread * torch.randn(n, d, generator=generator, dtype=torch.float64)
    weight = torch.randn(k, d, generator=generator, dtype=torch.float64)

    def measured(x: Tensor, y: Tensor, w: Tensor, parts: int = 1) -> dict[str, Tensor]:
        return collapse_measures(_moments(x, y, k, parts), weight=w)

    expected = measured(features, labels, weight)
    turn = torch.linalg.qr(torch.randn(d, d, generator=generator, dtype=torch.float64))[0]
    rows, classes = torch.randperm(n, generator=generator), torch.randperm(k, generator=generator)
    other = {
        "turned": measured(features @ turn, labels, weight @ turn),
        "in another order": measured(features[rows], labels[rows], weight),
        "classes in another order": measured(features, torch.argsort(classes)[labels], weight[classes]),
        "twice": measured(torch.cat([features] * 2), torch.cat([labels] * 2), weight),
        "in parts": measured(features, labels, weight, parts=3),
    }
    for name, values in other.items():
        for key in (key for key, value in values.items() if value.ndim == 0):
            one, two = values[key].double(), expected[key].double()
            if not torch.allclose(one, two, 1e-6, 1e-9, equal_nan=True):
                return f"{name}: {key} is {float(one)}, not {float(two)}"
    return ""


def _scores(chance: random.Random, generator: torch.Generator) -> str:
    n, k = chance.choice((1, 20, 100)), chance.choice((2, 7))
    probabilities = torch.softmax(chance.choice((0.01, 1.0, 50.0)) * torch.randn(n, k, generator=generator), dim=1)
    labels = torch.randint(k, (n,), generator=generator)
    predicted = probabilities.argmax(1)
    classes, rows = torch.randperm(k, generator=generator), torch.randperm(n, generator=generator)
    place = torch.argsort(classes)
    one, two = (per_class_accuracy(p, y, k) for p, y in ((predicted, labels), (place[predicted], place[labels])))
    if not torch.equal(torch.nan_to_num(one[classes], -1), torch.nan_to_num(two, -1)):
        return "classes in another order: another accuracy"
    right = predicted == labels
    error = expected_calibration_error(probabilities, right)
    for name, p, r in (("another order", probabilities[rows], right[rows]),
                       ("twice", torch.cat([probabilities] * 2), torch.cat([right] * 2))):  # fmt: skip
        if not torch.allclose(expected_calibration_error(p, r), error, 1e-5, 1e-6):
            return f"{name}: another calibration error"
    bins = (probabilities.max(1).values.double() * 15).ceil().clamp(1, 15).long() - 1
    exact = sum(
        abs(float(probabilities.max(1).values[bins == b].double().sum() - right[bins == b].sum())) for b in range(15)
    ) / n  # fmt: skip
    return "" if abs(float(error) - exact) < 1e-5 else f"calibration error {float(error)}, by hand {exact}"


def _correction(chance: random.Random, generator: torch.Generator) -> str:
    logits, _, counts = _case(chance, generator)
    kind, scale = chance.choice(KINDS), chance.choice((1e-3, 1.0, 30.0, 1e3))
    given = (logits * scale).to(kind)
    exact = torch.softmax(posthoc.prior_corrected_logits(given.double(), counts), dim=1)
    found = torch.softmax(posthoc.prior_corrected_logits(given, counts).double(), dim=1)
    size = 1 + float(given.double().abs().max())
    if not _near(found, exact, torch.finfo(kind).eps, size):
        return f"{kind}, scale {scale}: {found.tolist()[0]} is not {exact.tolist()[0]}"
    same = posthoc.prior_corrected_logits(logits, counts, target_prior=counts / counts.sum())
    if not torch.allclose(torch.softmax(same, 1), torch.softmax(logits, 1), 1e-5, 1e-7):
        return "to the prior of the training it changes something"
    shifted = posthoc.prior_corrected_logits(logits + 7.0, counts)
    unshifted = posthoc.prior_corrected_logits(logits, counts)
    return "" if torch.allclose(torch.softmax(shifted, 1), torch.softmax(unshifted, 1), 1e-9) else "a shift changes it"


def _tau(chance: random.Random, generator: torch.Generator) -> str:
    kind, scale = chance.choice(KINDS), chance.choice((1e-3, 1.0, 100.0))
    weight = (scale * torch.randn(4, 6, generator=generator, dtype=torch.float64)).to(kind)
    tau = chance.choice((0.0, 0.3, 1.0))
    exact, found = (posthoc.tau_normalized_weight(w, tau) for w in (weight.double(), weight))
    by_hand = weight.double() / weight.double().norm(dim=1, keepdim=True) ** tau
    if not torch.allclose(exact, by_hand, 1e-12):
        return "it is not w / |w|^tau"
    near = _near(found, exact, torch.finfo(kind).eps, 0.0)
    return "" if near else f"{kind}: {found[0].tolist()} is not {exact[0].tolist()}"


def _closed_form(kind: Any, chance: random.Random, generator: torch.Generator) -> str:
    """Samples in parts, in another order, turned, or with classes renamed: the same decisions and logits."""
    n, k, d = chance.choice((24, 60)), 3, chance.choice((3, 5))
    labels = torch.arange(n) % k
    means = 3 * torch.randn(k, d, generator=generator, dtype=torch.float64)
    features = means[labels] + torch.randn(n, d, generator=generator, dtype=torch.float64)
    fresh = torch.randn(10, d, generator=generator, dtype=torch.float64)

    def logits(x: Tensor, y: Tensor, of: Tensor, parts: int = 1) -> Tensor:
        model = ClosedForm(d, k, kind=kind, regularization=0.1)
        for a, b in zip(x.chunk(parts), y.chunk(parts), strict=True):
            model.update(a, b)
        return model.solve().logits(of)

    expected = logits(features, labels, fresh)
    rows, classes = torch.randperm(n, generator=generator), torch.randperm(k, generator=generator)
    turn = torch.linalg.qr(torch.randn(d, d, generator=generator, dtype=torch.float64))[0]
    other = {
        "in parts": logits(features, labels, fresh, parts=4),
        "in another order": logits(features[rows], labels[rows], fresh),
        "turned": logits(features @ turn, labels, fresh @ turn),
        "classes in another order": logits(features, torch.argsort(classes)[labels], fresh)[:, torch.argsort(classes)],
    }
    size = float(expected.abs().max())
    for name, found in other.items():
        one, two = torch.softmax(found, 1), torch.softmax(expected, 1)
        if not torch.allclose(one, two, 1e-4, 1e-5 * (1 + size)):
            return f"{name}: {found[0].tolist()} is not {expected[0].tolist()}"
    return ""
