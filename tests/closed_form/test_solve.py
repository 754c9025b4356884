"""The solvers against iterated and refitted solutions, and the theorem about simplex vertices."""

import numpy as np
import pytest
import torch
from scipy.optimize import minimize
from sklearn.covariance import OAS
from sklearn.discriminant_analysis import LinearDiscriminantAnalysis
from sklearn.linear_model import Ridge

from equiangular import simplex_etf
from equiangular.closed_form import ClassStatistics, KeptSamples
from equiangular.closed_form.features import RandomFeatures
from equiangular.closed_form.kernel import KernelFit, cosines_of, inverse_diagonal, joined
from equiangular.closed_form.solution import solve_linear, squared_error
from equiangular.closed_form.solve import (
    GaussianSolver,
    MeansSolver,
    RidgeSolver,
    left_out_samples,
    oracle_approximating_shrinkage,
)

K, D = 4, 6
SOLVERS = (MeansSolver, RidgeSolver, GaussianSolver)


def samples(balanced: bool = False, n: int = 40, seed: int = 0):
    generator = torch.Generator().manual_seed(seed)
    y = torch.arange(n) % K
    if not balanced:
        y[: n // 3] = 0
    means = torch.randn(K, D, generator=generator, dtype=torch.float64)
    return means[y] + torch.randn(n, D, generator=generator, dtype=torch.float64) + 2, y


def test_ridge_onto_simplex_vertices_is_what_an_optimiser_finds() -> None:
    """On equally frequent classes the objective is the plain one: mean ||B^T x + b - m_y||^2 + lambda ||B||^2."""
    x, y = samples(balanced=True)
    m = simplex_etf(K, K - 1, dtype=torch.float64).numpy()
    value, shape = 0.3, (D, K - 1)

    def objective(flat: np.ndarray):
        B, b = flat[: D * (K - 1)].reshape(shape), flat[D * (K - 1) :]
        residual = x.numpy() @ B + b - m[y]
        gradient = x.numpy().T @ residual * 2 / len(y) + 2 * value * B
        return (residual**2).sum() / len(y) + value * (B**2).sum(), np.append(gradient, 2 * residual.mean(0))

    found = minimize(
        objective, np.zeros((D + 1) * (K - 1)), jac=True, method="L-BFGS-B", options={"ftol": 1e-15, "gtol": 1e-10}
    )
    B, b = found.x[: D * (K - 1)].reshape(shape), found.x[D * (K - 1) :]
    weight, bias = RidgeSolver(ClassStatistics.empty(K, D).update(x, y)).solution(value)
    np.testing.assert_allclose(x @ weight.T + bias, (x.numpy() @ B + b) @ m.T, atol=1e-6)


def test_ridge_onto_simplex_vertices_is_ridge_onto_one_hot_in_other_coordinates() -> None:
    x, y = samples(balanced=True)
    value = 0.3
    onehot = Ridge(alpha=value * len(y)).fit(x.numpy(), np.eye(K)[y]).predict(x.numpy())
    weight, bias = RidgeSolver(ClassStatistics.empty(K, D).update(x, y)).solution(value)
    np.testing.assert_allclose(x @ weight.T + bias, (K * onehot - 1) / (K - 1), atol=1e-12)


def test_the_square_is_twice_dot_regression_and_the_distance_from_the_line() -> None:
    generator = torch.Generator().manual_seed(0)
    m, h = simplex_etf(K, K - 1, dtype=torch.float64), torch.randn(9, K - 1, generator=generator, dtype=torch.float64)
    y = torch.arange(9) % K
    dot = (h * m[y]).sum(1, keepdim=True)
    expected = (dot[:, 0] - 1).square() + (h - dot * m[y]).square().sum(1)
    torch.testing.assert_close((h - m[y]).square().sum(1), expected)
    share = torch.full((9,), 1 / 9, dtype=torch.float64)
    assert squared_error(h @ m.T, y, share) == pytest.approx(float(expected.mean()) - 1)


def test_on_unequal_classes_ridge_is_that_of_the_pooled_covariance() -> None:
    """Each class resampled to the pooled covariance and the same weight: then the weighted ridge is the solver's."""
    x, y = samples()
    found = ClassStatistics.empty(K, D).update(x, y)
    factor = torch.linalg.cholesky(found.scatter / len(y))
    signs = torch.cat([torch.eye(D), -torch.eye(D)]).double() * D**0.5  # mean 0, covariance 1
    points = torch.cat([m + signs @ factor.T for m in found.mean])
    labels = np.repeat(np.arange(K), 2 * D)
    onehot = Ridge(alpha=0.2 * len(labels)).fit(points.numpy(), np.eye(K)[labels]).predict(x.numpy())
    weight, bias = RidgeSolver(found).solution(0.2)
    np.testing.assert_allclose(x @ weight.T + bias, (K * onehot - 1) / (K - 1), atol=1e-10)


def test_gaussians_are_scikit_learns_discriminant_at_the_same_shrinkage() -> None:
    x, y = samples()
    found = ClassStatistics.empty(K, D).update(x, y)
    solver = GaussianSolver(found)
    covariance = 0.7 * found.scatter / (len(y) - K)
    covariance += 0.3 * (found.scatter.trace() / (len(y) - K) / D) * torch.eye(D, dtype=torch.float64)

    class Given:
        def fit(self, X):
            self.covariance_ = covariance.numpy()
            return self

    rival = LinearDiscriminantAnalysis(solver="lsqr", priors=np.full(K, 1 / K), covariance_estimator=Given())
    expected = rival.fit(x.numpy(), y.numpy()).decision_function(x.numpy())
    pooled = found.scatter / (len(y) - K)
    # The squares of noisy means: a sample a class makes them too large by the trace.
    shifted = found.mean - found.mean.mean(0)
    squares = (shifted * torch.linalg.solve(covariance, shifted.T).T).sum(1)
    noise = torch.linalg.solve(covariance, pooled).trace() / found.count
    spread = float((found.count * (squares - noise)).sum().clamp(min=0) / found.count.sum())
    kept = spread / (spread + noise)  # of a mean, where it is one of a normal distribution of that scatter
    expected += ((squares - kept * (kept * squares + noise)) / 2).numpy()
    weight, bias = solver.solution(0.3)
    logits = (x @ weight.T + bias).numpy()
    np.testing.assert_allclose(
        logits - logits.mean(1, keepdims=True), expected - expected.mean(1, keepdims=True), atol=1e-9
    )


def test_the_square_of_a_noisy_mean_is_corrected() -> None:
    """On average it is that of the true means, whatever the number of samples of a class."""
    generator = torch.Generator().manual_seed(0)
    sizes = torch.tensor([2, 60]).repeat(30)
    y = torch.arange(60).repeat_interleave(sizes)
    errors, raw = [], []
    for _ in range(100):
        means = torch.randn(60, D, generator=generator, dtype=torch.float64)
        noise = torch.randn(len(y), D, generator=generator, dtype=torch.float64)
        solver = GaussianSolver(ClassStatistics.empty(60, D).update(means[y] + noise, y))
        weight, bias = solver.solution(1e-6)
        true = (means - means.mean(0)).square().sum(1)
        errors.append((-2 * (bias + weight @ solver.centre) - true).view(30, 2).mean(0))
        raw.append(((weight * solver.shifted).sum(1) - true).view(30, 2).mean(0))
    errors = torch.stack(errors)
    assert (errors.mean(0).abs() < 4 * errors.std(0) / 10 + 0.1).all()
    assert torch.stack(raw).mean(0)[0] > D / 2 * 0.8  # what it would be without the correction


def test_a_single_short_sample_does_not_win_everything() -> None:
    """One class is noisier than the others, and one sample of another is near the common mean."""
    generator = torch.Generator().manual_seed(0)
    means = 3 * torch.randn(5, 40, generator=generator, dtype=torch.float64)
    y = torch.tensor([0] * 60 + [1] * 60 + [2] * 60 + [3] * 60 + [4])
    spread = torch.tensor([4.0, 2.0, 2.0, 2.0, 0.1])[y, None]
    x = means[y] + spread * torch.randn(len(y), 40, generator=generator, dtype=torch.float64)
    x[-1] = means[:4].mean(0) + 0.1
    weight, bias = GaussianSolver(ClassStatistics.empty(5, 40).update(x, y)).solution(0.5)
    assert ((x @ weight.T + bias).argmax(1) == y).double().mean() > 0.9


def test_shrinkage_is_scikit_learns_on_pooled_deviations_but_for_two_terms() -> None:
    x, y = samples(n=400)
    x = x * torch.arange(1, D + 1)
    deviation = x - ClassStatistics.empty(K, D).update(x, y).mean[y]
    spectrum, n = torch.linalg.eigvalsh(deviation.T @ deviation / len(y)), len(y)
    square, trace = float(spectrum.square().sum()), float(spectrum.sum())
    # scikit-learn leaves out the terms of order 1 / d, and says so.
    theirs = (square + trace**2) / ((n + 1) * (square - trace**2 / D))
    assert OAS(assume_centered=True).fit(deviation.numpy()).shrinkage_ == pytest.approx(theirs)
    ours = oracle_approximating_shrinkage(spectrum, n)
    assert ours == pytest.approx(theirs, rel=2 / D)
    assert ours == pytest.approx((theirs * (n + 1) - 2 / D * square / (square - trace**2 / D)) / (n + 1 - 2 / D))


def copied(given: str):
    """Samples once, with weights, or some of them several times and in any order; and their weights."""
    x, y = samples()
    generator = torch.Generator().manual_seed(1)
    w = torch.ones(len(y), dtype=torch.float64)
    if given == "weights":
        w = torch.rand(len(y), generator=generator, dtype=torch.float64) * 3 + 0.3
    if given == "copies":
        order = torch.arange(len(y)).repeat_interleave(torch.arange(len(y)) % 3 + 1)
        order = order[torch.randperm(len(order), generator=generator)]
        x, y, w = x[order], y[order], w[0].expand(len(order))
    return x, y, w


@pytest.mark.parametrize("given", ["once", "weights", "copies"])
@pytest.mark.parametrize(("kind", "mapped"), [*((kind, None) for kind in SOLVERS), (RidgeSolver, RandomFeatures(D, 9))])
def test_left_out_logits_are_those_of_a_refit_without_the_row_and_its_copies(kind, mapped, given: str) -> None:
    x, y, w = copied(given)

    def statistics(keep):
        return ClassStatistics.empty(K, D, transform=mapped).update(x[keep], y[keep], w[keep])

    found = statistics(slice(None))
    solver, left = kind(found), left_out_samples(found, found.count, 1000)
    assert len(left) == 40
    assert float(left.weights.sum()) == pytest.approx(float(w.sum()))
    logits = list(solver.left_out(left, solver.values))
    for i in range(0, len(left), 3):
        row = left.rows[i : i + 1]
        other = statistics((found.mapped(x) - row).abs().amax(1) > 1e-12)
        before, after = float(found.count.sum()), float(other.count.sum())
        assert before - after == pytest.approx(float(left.weights[i]))
        if kind is RidgeSolver:  # the divisor stays
            other.scatter *= after / before
        if kind is GaussianSolver:
            other.scatter *= (after - K) / (before - K)
        refit = kind(other)
        if kind is GaussianSolver:
            refit.average = solver.average  # what is shrunk to stays too
            refit.excess, refit.scatter_of_means = solver.excess, solver.scatter_of_means
            refit.centre = solver.centre
            refit.coded = refit.shifted @ refit.basis
        for value, all_logits in zip(solver.values.tolist(), logits, strict=True):
            weight, bias = refit.solution(value)
            expected = (row @ weight.T + bias)[0]
            torch.testing.assert_close(
                all_logits[i] - all_logits[i].mean(), expected - expected.mean(), rtol=1e-8, atol=1e-10
            )


def test_a_class_of_copies_of_one_row_is_not_left_out() -> None:
    x, y, _ = copied("once")
    x[y == 3] = x[y == 3][:1]
    found = ClassStatistics.empty(K, D).update(x, y)
    assert left_out_samples(found, found.count, 1000).labels.unique().tolist() == [0, 1, 2]
    prior = torch.tensor([0.0, 0.0, 0.0, 1.0])  # something else is known of it
    assert left_out_samples(found, found.count + prior, 1000).labels.unique().tolist() == [0, 1, 2, 3]


@pytest.mark.parametrize("n", [24, 40, 200])
def test_the_shrinkage_is_that_of_least_left_out_loss_of_all_values(n: int) -> None:
    """The search looks at half of the values, and at the classes alone that left-out samples have."""
    x, y = samples(n=n)
    found = ClassStatistics.empty(K + 1, D).update(x, y).update(torch.zeros(1, D), torch.tensor([K]))
    solver, left = GaussianSolver(found), left_out_samples(found, found.count, 256)
    assert left.labels.unique().tolist() == [0, 1, 2, 3]  # the last class has one sample
    losses = {}
    for value, logits in zip(solver.values.tolist(), solver.left_out(left, solver.values), strict=True):
        z, mass = logits[:, :K], torch.bincount(left.labels).double()
        size = found.count.log()[:K]

        def objective(point, z=z, mass=mass, size=size):
            scores = np.exp(point[0]) * z - point[1] * size + mass.log()
            ce = torch.nn.functional.cross_entropy(scores, left.labels, reduction="sum")
            return float(ce) + (point[0] ** 2 + point[1] ** 2) / 2 / 0.5**2

        t, strength = minimize(objective, [0.0, 0.0], method="Nelder-Mead", options={"xatol": 1e-6}).x
        losses[value] = objective([t, strength]) - (t**2 + strength**2) / 2 / 0.5**2
    chosen = solve_linear("gaussian", found, torch.nn.Identity()).chosen["regularization"]
    assert losses[chosen] == pytest.approx(min(losses.values()), rel=1e-6)
    assert len({round(loss, 6) for loss in losses.values()}) > 6


@pytest.mark.parametrize(("b", "a", "value"), [(1.0, 0.5, 0.1), (8.0, 0.0, 1.0), (2.0, 1.0, 1e-3)])
def test_a_kernel_is_solved_and_left_out_as_the_normal_equations_say(b: float, a: float, value: float) -> None:
    x, y = samples(n=24)
    again = slice(3, 9)  # these rows occur twice
    kept = KeptSamples.empty(K, D).update(x, y, torch.arange(1, 25) / 8.0).update(x[again], y[again])
    n, m = len(kept.labels), simplex_etf(K, K - 1, dtype=torch.float64)
    unit = kept.rows / kept.rows.norm(dim=1, keepdim=True)
    gram = torch.exp(b * (unit @ unit.T - 1))
    omega = kept.weights * kept.count[kept.labels] ** -a
    omega *= kept.weights.sum() / omega.sum()
    fit = KernelFit.prepare(cosines_of(kept), kept, n, b, a)

    # f = K c with (W K + lambda I) c = W M
    system = omega[:, None] * gram + value * torch.eye(n)
    f = gram @ torch.linalg.solve(system, omega[:, None] * m[kept.labels])
    dual, left_out = fit.solve(value)
    torch.testing.assert_close(gram @ dual, f @ m.T, rtol=1e-7, atol=1e-9)
    (by_path,) = fit.path((value,))
    torch.testing.assert_close(by_path, left_out, rtol=1e-6, atol=1e-8)
    for i in range(0, n, 5):
        less = omega.clone()
        less[i] = 0.0
        system = less[:, None] * gram + value * torch.eye(n)
        f = gram @ torch.linalg.solve(system, less[:, None] * m[kept.labels])
        torch.testing.assert_close(left_out[i], f[i] @ m.T, rtol=1e-6, atol=1e-8)


@pytest.mark.parametrize("n", [1, 255, 256, 600])
def test_the_diagonal_of_an_inverse_is_found_in_blocks(n: int) -> None:
    matrix = torch.randn(n, n, generator=torch.Generator().manual_seed(0), dtype=torch.float64)
    matrix = matrix @ matrix.T + torch.eye(n)
    torch.testing.assert_close(inverse_diagonal(torch.linalg.cholesky(matrix)), matrix.inverse().diagonal())


def test_prior_samples_of_a_kernel_are_not_left_out() -> None:
    x, y = samples(n=12)
    kept = KeptSamples.empty(K, D).update(x, y)
    both = joined(kept, KeptSamples.empty(K, D).update(torch.eye(K, D), torch.arange(K)), 2.0)
    assert len(KernelFit.prepare(cosines_of(both), both, 12, 1.0, 0.5).path((0.1,))[0]) == 12
    torch.testing.assert_close(both.count, kept.count + 2)
