"""How large the scale of a cosine classifier has to be for its probabilities to mean something."""

from __future__ import annotations

import math

from equiangular._validate import check_num_classes

# The probability that the default scale makes reachable.
DEFAULT_PROBABILITY = 0.999


def scale_for_probability(probability: float, num_classes: int) -> float:
    """The scale at which a feature lying on its simplex ETF vertex gets a given class probability.

    There the logits are s for the class and -s/(K-1) for the others, a gap of s K/(K-1), so that
    p = 1 / (1 + (K-1) exp(-s K/(K-1))) and

        s = (K-1)/K log( (K-1) p / (1-p) ).

    No feature can reach more. At s = 1 that is p = 0.25, 0.027 and 0.003 for K = 10, 100 and 1000: cross-entropy
    cannot fall, and confidence and calibration error mean nothing. Heads that normalise take p = 0.999 by default:
    s = 8.2, 11.4 and 13.8.

    Args:
        probability: p, strictly between 1/K and 1.
        num_classes: K.

    Raises:
        ValueError: ``probability`` is not between 1/K, which scale 0 gives, and 1, which no scale gives.

    Example:
        >>> round(scale_for_probability(0.999, 10), 2)
        8.19
    """
    num_classes = check_num_classes(num_classes)
    if not isinstance(probability, (int, float)) or not 1 / num_classes < probability < 1:
        raise ValueError(
            f"probability must lie strictly between 1/K = {1 / num_classes:.4g} (scale 0) and 1 (infinite scale), "
            f"got {probability!r}."
        )
    odds = (num_classes - 1) * probability / (1 - probability)
    return (num_classes - 1) / num_classes * math.log(odds)
