"""Open-set scores against their formulas written another way, and detection measures against counting."""

import numpy as np
import pytest
import torch
from scipy.linalg import orth
from scipy.special import logsumexp, softmax
from sklearn.decomposition import PCA

from equiangular import CosineHead, ETFHead, LinearHead, ood_score, simplex_etf
from equiangular.measures import open_set_measures, principal_subspace
from equiangular.measures.open_set import SCORES

K, D = 5, 12


def randn(*shape: int, seed: int = 0) -> torch.Tensor:
    return torch.randn(*shape, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)


def reference(method: str, h: np.ndarray, w: np.ndarray, logits: np.ndarray) -> np.ndarray:
    if method == "neco":
        basis = orth(w.T)
        return -np.sqrt(np.einsum("bi,ij,bj->b", h, basis @ basis.T, h) / np.einsum("bi,bi->b", h, h))
    if method == "vertex":
        return np.array([min(np.linalg.norm(row - vertex) for vertex in w) for row in h])
    if method == "max_cosine":
        return -np.array([max(row @ v / np.linalg.norm(row) / np.linalg.norm(v) for v in w) for row in h])
    return 1 - softmax(logits, 1).max(1) if method == "msp" else -logsumexp(logits, 1)


@pytest.mark.parametrize("method", SCORES)
def test_of_class_vectors(method: str) -> None:
    h, w = randn(20, D), 2 * randn(K, D, seed=1)
    expected = reference(method, h.numpy(), w.numpy(), h.numpy() @ w.numpy().T)
    torch.testing.assert_close(ood_score(h, w, method), torch.from_numpy(expected))


@pytest.mark.parametrize("method", SCORES)
@pytest.mark.parametrize("kind", [ETFHead, CosineHead, LinearHead])
def test_of_a_head(method: str, kind: type) -> None:
    head = kind(D, K, dtype=torch.float64, scale=3.0)
    h = head(randn(20, D), pre_logits=True)
    w = head.class_vectors().detach().numpy()
    expected = reference(method, h.detach().numpy(), w, head.logits_from_features(h).detach().numpy())
    score = ood_score(h, head, method)
    torch.testing.assert_close(score, torch.from_numpy(expected))
    assert not score.requires_grad


def test_at_collapse_known_features_score_as_the_theory_says() -> None:
    head = ETFHead(D, K, dtype=torch.float64)
    h = head.weight
    outside = torch.linalg.qr(torch.cat([h.T, randn(D, 3)], 1))[0][:, K : K + 2].T  # orthogonal to the ETF
    for method, known, unknown in [("neco", -1, 0), ("vertex", 0, 2**0.5), ("max_cosine", -1, 0)]:
        torch.testing.assert_close(ood_score(h, head, method), torch.full((K,), float(known), dtype=torch.float64),
                                   atol=1e-7, rtol=0)  # fmt: skip
        torch.testing.assert_close(ood_score(outside, head, method), torch.full((2,), float(unknown)).double())
    assert float(ood_score(h, head, "msp").max()) == pytest.approx(0.001, abs=1e-6)  # the automatic scale reaches .999
    assert float(ood_score(outside, head, "msp")[0]) == pytest.approx(1 - 1 / K)
    assert float(ood_score(h, head, "energy").max()) < float(ood_score(outside, head, "energy").min())


def test_on_unit_features_vertex_and_cosine_rank_alike() -> None:
    head = ETFHead(D, K, dtype=torch.float64)
    h = head(randn(50, D), pre_logits=True)
    assert torch.equal(ood_score(h, head, "vertex").argsort(), ood_score(h, head, "max_cosine").argsort())


@pytest.mark.parametrize("method", ["neco", "max_cosine"])
def test_scale_does_not_matter_to_angles(method: str) -> None:
    h, w = randn(20, D), randn(K, D, seed=1)
    torch.testing.assert_close(ood_score(7 * h, w, method), ood_score(h, w, method))


def test_zero_features_are_no_evidence_for_any_class() -> None:
    w = simplex_etf(K, D, dtype=torch.float64)
    zero = torch.zeros(1, D, dtype=torch.float64)
    assert [float(ood_score(zero, w, m)) for m in ("neco", "max_cosine", "vertex")] == [0, 0, pytest.approx(1)]


@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16, torch.float32])
@pytest.mark.parametrize("method", SCORES)
def test_low_precision_is_scored_in_float32(dtype: torch.dtype, method: str) -> None:
    h, w = randn(20, D).to(dtype), randn(K, D, seed=1).to(dtype)
    score = ood_score(h, w, method)
    assert score.dtype == torch.float32
    torch.testing.assert_close(score, ood_score(h.double(), w.double(), method).float(), atol=1e-4, rtol=1e-4)


def test_the_principal_subspace_of_standardised_features_is_pca() -> None:
    h = randn(200, D) @ randn(D, D, seed=1) + 3
    h = (h - h.mean(0)) / h.std(0)
    pca = PCA(4, svd_solver="full").fit(h.numpy())
    basis = principal_subspace(h, 4)
    expected = torch.from_numpy(pca.components_.T @ pca.components_)
    torch.testing.assert_close(basis @ basis.T, expected)
    test = randn(10, D, seed=2)
    share = np.linalg.norm(pca.transform(test.numpy()), axis=1) / np.linalg.norm(test.numpy(), axis=1)
    score = ood_score(test, randn(K, D), "neco", subspace=basis)
    torch.testing.assert_close(score, torch.from_numpy(-share))


def test_no_other_subspace_keeps_more() -> None:
    h = randn(50, D) + 1
    best = float((h @ principal_subspace(h, 3)).square().sum())
    for seed in range(30):
        assert float((h @ torch.linalg.qr(randn(D, 3, seed=seed))[0]).square().sum()) < best


def test_detection_measures_against_counting() -> None:
    known, unknown = randn(60), randn(40, seed=1) + 1
    known[:5] = unknown[:5] = 0.25  # ties count half
    wins = sum(float(u > k) + 0.5 * float(u == k) for u in unknown for k in known)
    result = open_set_measures(known, unknown)
    assert result.auroc == pytest.approx(wins / 2400)
    threshold = sorted(known.tolist())[56]  # 57 of 60 known samples pass: the first share of at least 95 %
    assert result.fpr95 == pytest.approx(float((unknown <= threshold).double().mean()))
    assert (result.num_known, result.num_unknown) == (60, 40)


@pytest.mark.parametrize(("shift", "auroc", "fpr95"), [(100, 1, 0), (-100, 0, 1), (None, 0.5, 1)])
def test_perfect_reversed_and_constant_scores(shift: float | None, auroc: float, fpr95: float) -> None:
    known = randn(30) if shift is not None else torch.zeros(30)
    result = open_set_measures(known, known + shift if shift is not None else torch.zeros(20))
    assert (result.auroc, result.fpr95) == (auroc, fpr95)


@pytest.mark.parametrize(
    ("features", "target", "options", "message"),
    [
        (torch.ones(0, D), torch.eye(K, D), {}, "features is empty"),
        (torch.ones(3, D - 1), torch.eye(K, D), {}, "features must have width 12"),
        (torch.full((3, D), float("nan")), torch.eye(K, D), {}, "features has NaN"),
        (torch.ones(3, D), torch.eye(D), {}, r"span all 12 dimensions .* subspace=principal_subspace"),
        (torch.ones(3, K - 1), ETFHead(K - 1, K), {}, "span all 4 dimensions"),
        (torch.ones(3, D), torch.eye(K, D), {"method": "nec"}, "did you mean 'neco'"),
        (torch.ones(3, D), torch.eye(K, D), {"method": "msp", "subspace": torch.eye(D, 2)}, "for method='neco' only"),
        (
            torch.ones(3, D),
            torch.eye(K, D),
            {"subspace": torch.eye(D - 1, 2)},
            rf"subspace must have shape \(d, r\) with d={D}, got \({D - 1}, 2\)",
        ),
        (torch.ones(3, D), torch.eye(K, D), {"subspace": 2 * torch.eye(D, 2)}, "orthonormal columns"),
        (torch.ones(3, D), ETFHead(D, 0), {}, "num_classes=0 has no classes"),
        (torch.ones(3, D), "etf", {}, "weight must be a torch.Tensor"),
    ],
)
def test_bad_input(features: torch.Tensor, target: object, options: dict, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        ood_score(features, target, **options)


@pytest.mark.parametrize(
    ("features", "rank", "message"),
    [
        (torch.ones(3, D), D, "rank must be below the width d=12"),
        (torch.ones(3, D), 0, "rank must be an integer >= 1"),
        (torch.ones(0, D), 2, "features is empty"),
    ],
)
def test_a_bad_subspace(features: torch.Tensor, rank: int, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        principal_subspace(features, rank)


@pytest.mark.parametrize(
    ("known", "unknown", "message"),
    [
        (torch.ones(0), torch.ones(3), "known must hold one finite score"),
        (torch.ones(3), torch.ones(3, 2), r"unknown must hold .* got shape \(3, 2\)"),
        (torch.ones(3), torch.tensor([0.0, float("nan")]), "with NaN or infinity"),
    ],
)
def test_bad_scores(known: torch.Tensor, unknown: torch.Tensor, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        open_set_measures(known, unknown)
