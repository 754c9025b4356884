"""Two-pass float64 references in plain NumPy, written from the definitions: d x d pseudo-inverse, K x K matrices."""

from __future__ import annotations

import numpy as np
from scipy.linalg import eigh


def two_pass(features: np.ndarray, labels: np.ndarray, weight: np.ndarray | None = None, kind: str = "class") -> dict:
    """Every measure by its definition, slowly."""
    h = features.astype(np.float64)
    classes = np.unique(labels)
    k, n = len(classes), len(h)
    mu = np.stack([h[labels == c].mean(0) for c in classes])
    centre = mu.mean(0) if kind == "class" else h.mean(0)
    deviations = h - mu[np.searchsorted(classes, labels)]
    within = deviations.T @ deviations / n
    m = mu - centre
    between = m.T @ m / k
    variance = np.array([(deviations[labels == c] ** 2).sum(1).mean() for c in classes])
    off = ~np.eye(k, dtype=bool)
    norms = np.linalg.norm(m, axis=1)
    unit = m / norms[:, None]
    cosines = (unit @ unit.T)[off]
    pairs = [(i, j) for i in range(k) for j in range(k) if i != j]
    distances = np.array([np.linalg.norm(unit[i] - unit[j]) for i, j in pairs])
    gram = m @ m.T
    target = (np.eye(k) - 1 / k) / np.sqrt(k - 1)
    values = np.linalg.svd(m, compute_uv=False)
    share = values[values > 0] / values.sum()
    result = {
        "nc1": np.trace(within @ np.linalg.pinv(between, rcond=1e-10, hermitian=True)) / k,
        "nc1_quotient": np.trace(within) / np.trace(between),
        "cdnv": np.mean([(variance[i] + variance[j]) / (2 * ((mu[i] - mu[j]) ** 2).sum()) for i, j in pairs]),
        "vci": vci(within, between, min(k - 1, h.shape[1])),
        "nc2_equinorm": norms.std() / norms.mean(),
        "nc2_std": cosines.std(),
        "nc2_equiangular": np.abs(cosines + 1 / (k - 1)).mean(),
        "nc2_etf": np.linalg.norm(gram / np.linalg.norm(gram) - target),
        "gnc2": np.log(distances).var(),
        "max_cosine": cosines.max(),
        "mean_cosine": cosines.mean(),
        "effective_rank": np.exp(-(share * np.log(share)).sum()),
        "classes_seen": k,
    }
    if weight is not None:
        w = weight.astype(np.float64)[classes]
        product = w @ m.T
        rows = w / np.linalg.norm(w, axis=1, keepdims=True)
        result |= {
            "nc3": np.linalg.norm(w / np.linalg.norm(w) - m / np.linalg.norm(m)) ** 2,
            "nc3_trace": 1 - np.trace(product) / (np.linalg.norm(w) * np.linalg.norm(m)),
            "nc3_gram": np.linalg.norm(product / np.linalg.norm(product) - target),
            "unc3": (rows * unit).sum(1).var(),
            "weight_mean_cosine": (rows @ rows.T)[off].mean(),
        }
    return result


def vci(within: np.ndarray, between: np.ndarray, rank: int) -> float:
    """1 - tr(S_T^+ S_B)/r through the generalised eigenvalues of S_B to S_W, which near collapse keeps its digits.

    For an invertible S_W; the definition itself is 1 less a number that rounds to 1.
    """
    values = eigh(between, within, eigvals_only=True)[::-1][:rank]
    return float(np.mean(1 / (1 + values)))
