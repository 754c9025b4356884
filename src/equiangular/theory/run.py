"""Everything the theory says, computed in one go: JSON in, nothing drawn."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import partial
from typing import Any

from equiangular._provenance import provenance
from equiangular.theory.convergence import convergence_study
from equiangular.theory.layer_peeled import common_optimum
from equiangular.theory.minority import RATIOS, compare_classifiers, minority_collapse
from equiangular.theory.pull_push import gradient_parts
from equiangular.theory.tetrahedron import BALANCED, IMBALANCED, watch_collapse

# What is computed, in order: key of the result and description of the step.
PARTS = (
    ("minority", "minority collapse over imbalance ratios"),
    ("optimum", "the common optimum of CE and DR"),
    ("gradients", "pull and push of the gradient"),
    ("convergence", "convergence of DR, dot and CE"),
    ("tetrahedron", "four classes in three dimensions"),
)


def compute_theory(
    *,
    seed: int = 0,
    quick: bool = False,
    class_counts: Sequence[float] | None = None,
    dim: int | None = None,
    progress: Callable[[str], None] | None = None,
) -> dict[str, Any]:
    """Compute all parts.

    Args:
        seed: seed of starting points and frames.
        quick: fewer ratios, steps and learning rates: seconds instead of half a minute.
        class_counts: (K,) class sizes of one's own, to solve the layer-peeled model for as well.
        dim: d for them, K-1 by default.
        progress: called with a description before each part.

    Returns:
        A JSON-plain dictionary with the keys of ``PARTS``, ``own`` (with ``class_counts``) and ``provenance``.

    Example:
        >>> sorted(compute_theory(quick=True))
        ['convergence', 'gradients', 'minority', 'optimum', 'provenance', 'tetrahedron']
    """
    tasks: dict[str, Callable[[], Any]] = {
        "minority": lambda: minority_collapse(
            RATIOS[::3] if quick else RATIOS, seed=seed, max_steps=2_000 if quick else 30_000
        ),
        "optimum": lambda: common_optimum(seed=seed, max_steps=13_000 if quick else 20_000),
        "gradients": lambda: gradient_parts(seed=seed),
        "convergence": lambda: convergence_study(
            seed=seed, steps=200 if quick else 2000, learning_rates=(0.5,) if quick else (0.1, 0.5, 1.0)
        ),
        "tetrahedron": lambda: {
            f"{head}, {name}": watch_collapse(
                counts, learnable=head == "learned", seed=seed, steps=3_000 if quick else 12_000
            )
            for name, counts in (("balanced", BALANCED), ("imbalance 300", IMBALANCED))
            for head in ("learned", "fixed")
        },
    }
    parts = dict(PARTS)
    if class_counts is not None:
        solve = partial(compare_classifiers, class_counts, dim, seed=seed, max_steps=2_000 if quick else 20_000)
        tasks["own"] = lambda: {"class_counts": list(class_counts), "rows": solve()}
        parts = {"own": "the class sizes given", **parts}
    elif dim is not None:
        raise ValueError(f"dim is the dimension for class sizes of one's own, and there are none; got dim={dim}.")
    results: dict[str, Any] = {}
    for key, description in parts.items():
        if progress is not None:
            progress(description)
        results[key] = tasks[key]()
    return {**results, "provenance": provenance()}
