"""Around a scikit-learn classifier: take the class prior of its training data out, or put another one in.

Handwritten digits are cut to a long tail, and a random forest and a logistic regression are trained on it. Both give
the rare digits up. Nothing is retrained to mend that. Then the prior of unlabelled data is estimated.

    python examples/prior_correction.py
"""

import numpy as np
from sklearn.datasets import load_digits
from sklearn.ensemble import RandomForestClassifier
from sklearn.linear_model import LogisticRegression
from sklearn.metrics import balanced_accuracy_score
from sklearn.model_selection import train_test_split

import equiangular as eq


def main() -> None:
    """Compare each classifier with itself, corrected."""
    x, y = load_digits(return_X_y=True)
    x, test_x, y, test_y = train_test_split(x / 16, y, test_size=700, stratify=y, random_state=0)
    kept = eq.long_tail_indices(y, 20, n_max=100, seed=0)
    x, y = x[kept], y[kept]
    print(f"samples of each class: {np.bincount(y).tolist()}")

    for classifier in (RandomForestClassifier(random_state=0), LogisticRegression(max_iter=2000)):
        plain = classifier.fit(x, y)
        corrected = eq.PriorCorrectedClassifier(classifier, "uniform").fit(x, y)
        before, after = (balanced_accuracy_score(test_y, model.predict(test_x)) for model in (plain, corrected))
        print(f"{type(classifier).__name__}: balanced accuracy {before:.1%}, with the prior taken out {after:.1%}")

    # Where it is used digits 5 to 9 are five times as frequent as 0 to 4. Nobody says so: it is found out.
    shares = np.r_[np.ones(5), 5 * np.ones(5)] / 30
    rng = np.random.default_rng(0)
    sizes = np.floor(60 * shares / shares.max()).astype(int)
    used = np.concatenate([rng.choice(np.flatnonzero(test_y == c), size=n, replace=False) for c, n in enumerate(sizes)])
    model = eq.PriorCorrectedClassifier(RandomForestClassifier(random_state=0), "estimate").fit(x, y)
    estimated = model.adapt(test_x[used]).prior_estimate_.prior
    trained = np.bincount(y) / len(y)
    true = np.bincount(test_y[used]) / len(used)
    print(f"prior of training, off by {np.abs(trained - true).sum() / 2:.0%} where the forest is used")
    print(f"estimated prior, off by {np.abs(estimated - true).sum() / 2:.0%}")


if __name__ == "__main__":
    main()
