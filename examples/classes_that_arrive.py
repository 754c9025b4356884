"""Classes that arrive later, come from elsewhere and go again: a classifier that is sums, so nothing is retrained.

The features are those of handwritten digits as they are. In your work they come from an encoder.

    python examples/classes_that_arrive.py
"""

import numpy as np
from sklearn.datasets import load_digits
from sklearn.model_selection import train_test_split

import equiangular as eq


def main() -> None:
    """Begin with six digits, add two, merge two of another site, forget some samples."""
    x, y = load_digits(return_X_y=True)
    x, test_x, y, test_y = train_test_split(x / 16, y, test_size=500, stratify=y, random_state=0)

    def told(what: str) -> None:
        known = np.isin(test_y, model.classes_)
        print(f"{what}: {len(model.classes_)} classes, {model.score(test_x[known], test_y[known]):.1%} right")

    first = y < 6
    model = eq.ClosedFormClassifier("ridge").fit(x[first], y[first])
    told("digits 0 to 5")

    later = np.flatnonzero((y == 6) | (y == 7))
    model.partial_fit(x[later], y[later])
    told("6 and 7 arrive")

    elsewhere = y >= 8
    other_site = eq.ClosedFormClassifier("ridge").fit(x[elsewhere], y[elsewhere])
    model.merge(other_site)
    told("8 and 9 come from another site")

    at_once = eq.ClosedFormClassifier("ridge").fit(x, y)
    difference = np.abs(model.decision_function(test_x) - at_once.decision_function(test_x)).max()
    print(f"against one fit on all samples, logits differ by {difference:.0e}")

    withdrawn = np.flatnonzero(y == 3)[:20]
    model.remove(x[withdrawn], y[withdrawn])
    told("20 samples of 3 are withdrawn")


if __name__ == "__main__":
    main()
