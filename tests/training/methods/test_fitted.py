"""Heads that are fitted in one call: what they minimise, what they keep, and the abilities that a table claims."""

import pytest
import torch
import torch.nn.functional as F

from equiangular.closed_form import ClosedFormHead
from equiangular.heads import LinearHead
from equiangular.training.methods import METHODS, Context, FittedMethod, get_method
from equiangular.training.methods.fitted import FITTED, fit_logistic, numbers_in
from equiangular.training.model.correction import logit_prior
from equiangular.training.run.fitting import check_class_vectors

CLOSED = [method for method in FITTED if method.kind is not None and not method.named]


def samples(counts: tuple[int, ...], dim: int = 5, seed: int = 0) -> tuple[torch.Tensor, torch.Tensor]:
    generator = torch.Generator().manual_seed(seed)
    labels = torch.repeat_interleave(torch.arange(len(counts)), torch.tensor(counts))
    return torch.randn(len(labels), dim, generator=generator) + 2 * torch.eye(len(counts), dim)[labels], labels


@pytest.mark.parametrize("balanced", [False, True])
@pytest.mark.parametrize("counts", [(30, 8), (40, 20, 6)])
def test_logistic_regression_is_at_the_optimum_it_states(counts: tuple[int, ...], balanced: bool) -> None:
    """Against the objective as written, minimised in float64."""
    x, y = samples(counts)
    head = LinearHead(5, len(counts))
    fit_logistic(head, x, y, strength=0.7, balanced=balanced)
    weight = len(y) / (len(counts) * torch.tensor(counts).double())[y] if balanced else torch.ones(len(y)).double()
    w, b = (p.detach().double().requires_grad_() for p in (head.weight, head.bias))

    mean = x.double().mean(0)
    size = (x - mean).square().mean().sqrt()

    def objective(w: torch.Tensor, b: torch.Tensor) -> torch.Tensor:
        losses = F.cross_entropy(x.double() @ w.T + b, y, reduction="none")
        # Two classes are one vector, their difference, to scikit-learn: |w_1 - w_0|^2 = 2 (|w_0|^2 + |w_1|^2).
        return 0.7 * (weight * losses).sum() + (w * size).square().sum() / 2 * (2 if len(counts) == 2 else 1)

    best = [torch.zeros_like(p, requires_grad=True) for p in (w, b)]
    optimizer = torch.optim.LBFGS(best, max_iter=500, tolerance_grad=1e-10, line_search_fn="strong_wolfe")

    def closure() -> torch.Tensor:
        optimizer.zero_grad()
        loss = objective(*best)
        loss.backward()
        return loss

    optimizer.step(closure)
    difference = w - w.mean(0)  # logits have one direction too many
    torch.testing.assert_close(difference, best[0] - best[0].mean(0), rtol=0.01, atol=0.01)
    assert objective(w, b) < objective(*best) * (1 + 1e-5)
    assert head.kind == "learned"


def test_logistic_regression_does_not_mind_where_the_origin_lies() -> None:
    x, y = samples((40, 20, 6))
    shifted = x.double() + torch.tensor([0, 3000.0, 0, 0, -50])
    heads = [LinearHead(5, 3, dtype=torch.float64) for _ in range(2)]
    for head, table in zip(heads, (x.double(), shifted), strict=True):
        fit_logistic(head, table, y)
    torch.testing.assert_close(heads[0](x.double()), heads[1](shifted), rtol=1e-5, atol=1e-5)


@pytest.mark.parametrize("method", CLOSED, ids=lambda m: m.name)
def test_closed_forms_have_the_abilities_that_the_table_claims(method: FittedMethod) -> None:
    x, y = samples((12, 9, 7))
    options = {"width": 50} if method.name == "random-features" else {}

    def fitted(x: torch.Tensor, y: torch.Tensor, classes: int = 3) -> ClosedFormHead:
        head = ClosedFormHead(5, classes, kind=method.kind, dtype=torch.float64, **options)
        return head.fit(x.double(), y) if classes else head.partial_fit(x.double(), y)

    whole, tests = fitted(x, y)(x.double()), x.double()
    first, second = slice(0, None, 2), slice(1, None, 2)
    assert {"merge", "new classes", "remove"} <= set(method.abilities)
    torch.testing.assert_close(fitted(x[first], y[first]).merge(fitted(x[second], y[second]))(tests), whole)
    old = y < 2
    grown = fitted(x[old], y[old], classes=0).partial_fit(x[~old].double(), y[~old])
    torch.testing.assert_close(grown(tests), whole)
    left = fitted(x, y).remove(x[first].double(), y[first])
    torch.testing.assert_close(left(tests), fitted(x[second], y[second])(tests))


@pytest.mark.parametrize("method", CLOSED, ids=lambda m: m.name)
def test_one_pass_is_claimed_where_memory_does_not_grow(method: FittedMethod) -> None:
    """With more samples than the sketch for leave-one-out takes, twice as many are not kept twice."""
    x, y = samples((1500, 1500, 1500))
    head = method.build_head(5, 3, seed=0) if method.kind != "random-features" else None
    if head is None:
        head = ClosedFormHead(5, 3, kind="random-features", width=20)
    seen = head.closed_form.seen
    few = numbers_in(seen.update(x[::2], y[::2]))
    many = numbers_in(seen.update(x[1::2], y[1::2]))
    assert ("one pass" in method.abilities) == (many < 1.1 * few)
    assert method.kind != "kernel" or many == x.numel() + 3 * len(y)  # with label, weight and hash


def test_the_head_is_fitted_in_place_and_says_what_it_keeps() -> None:
    x, y = samples((12, 9, 7))
    for name in ("ridge", "logistic", "logistic-pc", "logistic-balanced"):
        method = get_method(name)
        head = method.build_head(5, 3, seed=0)
        kept = method.fit(head, x, y)
        assert head.kind == ("computed" if name == "ridge" else "learned")
        assert (head(x).argmax(1) == y).float().mean() > 0.7
        assert kept == (numbers_in(head.closed_form.seen) if name == "ridge" else x.numel() + len(y))
    of_logistic = ["logistic", "logistic-names", "logistic-balanced", "logistic-pc", "logistic-pc-names"]
    assert [name for name in METHODS if "logistic" in name] == of_logistic


def test_options_and_criteria_that_they_do_not_have() -> None:
    from dataclasses import replace

    for name in ("ridge", "logistic"):
        wrong = replace(get_method(name), head_options={"norm": "batch"})
        with pytest.raises(ValueError, match=rf"'{name}' has no option 'norm' of the head; it has (reg|str)"):
            wrong.build_head(5, 3, seed=0)
    method = get_method("ridge")
    with pytest.raises(ValueError, match="fitted in one call"):
        method.criterion(torch.zeros(1, 5), torch.tensor([0]), method.build_head(5, 3, seed=0), Context(torch.ones(3)))


def test_names_are_one_more_sample_of_each_class() -> None:
    """Of logistic regression: so its logits stand for counts that are one higher, which the correction takes out."""
    x, y = torch.randn(30, 4, generator=torch.Generator().manual_seed(0)), torch.arange(30) % 3
    names = torch.eye(3, 4)
    method = get_method("logistic-names")
    head = method.build_head(4, 3, seed=0)
    assert method.fit(head, x, y, names) == 33 * 4 + 33
    expected = LinearHead(4, 3)
    fit_logistic(expected, torch.cat([x, names]), torch.tensor([*y.tolist(), 0, 1, 2]))
    assert torch.equal(head.weight, expected.weight)
    corrected = get_method("logistic-pc-names")
    assert (corrected.training_name, corrected.corrected, corrected.named) == ("logistic-names", True, True)
    assert logit_prior(corrected, [9, 1]).tolist() == [10, 2]
    assert logit_prior(get_method("logistic-pc"), [9, 1]).tolist() == [9, 1]


@pytest.mark.parametrize(("name", "kind"), [("named-la", "mapped"), ("named-learned-la", "learned")])
def test_heads_that_start_at_the_names(name: str, kind: str) -> None:
    names = torch.tensor([[2.0, 0.0], [0.0, 3.0]])
    method = get_method(name)
    head = method.build_head(2, 2, seed=0, class_means=names)
    assert (head.kind, method.named, method.balances) == (kind, True, True)
    assert torch.allclose(head.class_vectors(), torch.eye(2))
    assert head(torch.tensor([[0.1, 1.0]])).argmax() == 1  # before any training
    assert method.build_head(2, 2, seed=0).class_vectors().isfinite().all()  # what is there until weights are loaded


def test_names_need_features_as_they_are() -> None:
    with pytest.raises(ValueError, match="nothing stands between them; got backbone='mlp'"):
        check_class_vectors(get_method("named-la"), torch.eye(2), "mlp")
    with pytest.raises(ValueError, match="Without them there is 'cosine-la'"):
        check_class_vectors(get_method("named-la"), None)
    with pytest.raises(ValueError, match="Without them there is 'logistic-pc'"):
        check_class_vectors(get_method("logistic-pc-names"), None)
    check_class_vectors(get_method("etf-la"), None, "mlp")
