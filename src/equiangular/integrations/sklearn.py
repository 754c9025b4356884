"""A scikit-learn classifier on a fixed simplex ETF. Needs the extra ``[sklearn]``."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import nn

from equiangular._defaults import usual_defaults
from equiangular._extras import require
from equiangular._validate import check_choice, check_int, check_positive
from equiangular.frames import load_frame
from equiangular.heads import NamedHead, unit_normalize
from equiangular.heads.functional import Projection
from equiangular.integrations._arrays import read_only_tensor
from equiangular.integrations._class_priors import prior_vector
from equiangular.integrations._class_vectors import class_vector_rows
from equiangular.integrations._labels import plain
from equiangular.integrations._table_network import LOSSES, TableNetwork, etf_network, train, weighted_moments
from equiangular.integrations._tables import validated
from equiangular.longtail.cut import holdout_indices
from equiangular.posthoc import Calibration, calibrate_prior_correction, prior_corrected_logits

_base = require("sklearn.base", extra="sklearn", purpose="ETFClassifier")
_multiclass = require("sklearn.utils.multiclass", extra="sklearn", purpose="ETFClassifier")
_validation = require("sklearn.utils.validation", extra="sklearn", purpose="ETFClassifier")
_utils = require("sklearn.utils", extra="sklearn", purpose="ETFClassifier")

FLOATS = (np.float64, np.float32)


class ETFClassifier(_base.ClassifierMixin, _base.BaseEstimator):
    """Features or tables to classes through a network whose classifier is a fixed simplex ETF.

    Columns are standardised; then come hidden layers with ReLU, a linear map to features h (K,), and logits
    s cos(h, m_k) with the fixed m_k of a simplex ETF and the s at which probability 0.999 can be reached. Without
    hidden layers only the linear map is learned. The frame takes K^2 numbers.

    ``head="recommended"`` is :func:`equiangular.recommended_head` instead, on features that BatchNorm has centred:
    logits <BatchNorm(h), m_k>; take it with ``loss="la"`` where classes differ in size. Weights of samples then count
    in the loss, not in BatchNorm's statistics. ``prototypes`` or ``class_means`` say what the fixed vectors are.

    With ``class_vectors`` the columns are features of an encoder and the classifier is a
    :class:`equiangular.NamedHead`: features are led to the given vectors by a residual map, no column is standardised,
    and classes without samples are predicted too. Take ``loss="la"`` for labels out of balance.

    Args:
        hidden_layer_sizes: sizes of the hidden layers; ``()`` for none. By default ``(64,)``, and none with
            ``class_vectors``, which lie where the columns lie.
        loss: ``"ce"`` (cross-entropy), ``"la"`` (logit-adjusted cross-entropy, whose predictions hold under equally
            frequent classes) or ``"dr"`` (dot-regression, whose probabilities are scores and want calibration).
        target_prior: class frequencies to predict for: ``"uniform"``, ``"train"``, a mapping of label to weight, or
            (K,) positive weights in the order of ``classes_``. The logits are corrected from the training prior to this
            one by Bayes' rule, with scale and strength calibrated on the held-out part where ``early_stopping`` makes
            one. None corrects nothing.
        normalize: whether h is scaled to unit norm. If not, the logits are <h, m_k>, as free as those of a linear
            layer, which may help where classes overlap. ``"dr"`` needs True.
        head: ``"etf"``, or ``"recommended"``, which does not normalise and takes ``"ce"`` or ``"la"``.
        prototypes: the fixed vectors themselves: (K, d) of unit norm in the order of ``classes_``, such as
            :func:`equiangular.spread_frame` makes, or a file of them, see :func:`equiangular.frames.load_frame`.
        class_means: the fixed vectors have the cosines of these, see :func:`equiangular.class_mean_frame`: (K, p) in
            the order of ``classes_``, or ``"train"``, the mean of each class over the standardised columns.
        class_vectors: a mapping from label to vector (d,), or vectors (P, d) to be averaged: embeddings of the class
            names or descriptions by the encoder of X. Every class of y needs one.
        learn_vectors: whether they are where the class vectors start and are learned on, without a map then.
        class_weight: ``"balanced"``, a dictionary of class to weight, or None: multiplied into the sample weights.
        learning_rate: peak learning rate of AdamW; it falls to 0 over the epochs as a cosine. By default 0.01, and
            0.001 with ``class_vectors``.
        weight_decay: decoupled weight decay of AdamW.
        epochs: passes over the training data, at most.
        batch_size: samples per step.
        early_stopping: hold out part of every class and stop when its loss has not fallen for ``n_iter_no_change``
            epochs; the best weights are kept.
        validation_fraction: share of each class that is held out, in (0, 1).
        n_iter_no_change: epochs without improvement before stopping.
        device: where to train, such as ``"cuda"``; the fitted network is back on the CPU.
        random_state: an int for the same weights and order of samples in every call; None draws from NumPy's global
            generator and a ``RandomState`` from that one, as everywhere in scikit-learn.

    Attributes:
        classes_: (K,) labels seen in ``fit``.
        class_count_: (K,) sum of the sample weights of each class: what ``"la"`` takes out of the logits.
        model_prior_: (K,) class frequencies, up to a factor, under which the network's logits hold: those of the
            training data times the class weights; for ``"la"`` the class weights alone.
        network_: the fitted torch module; ``network_.head`` is the :class:`equiangular.ETFHead` or
            :class:`equiangular.NamedHead`.
        calibration_: scale and strength of the prior correction.
        loss_curve_: mean training loss of every epoch.
        validation_curve_: loss of the held-out part of every epoch; empty without ``early_stopping``.
        n_iter_: epochs run.
        n_features_in_: number of columns seen in ``fit``.
        feature_names_in_: their names, if they had names that are all strings.

    A sample of weight 2 counts as two samples: exactly so for up to ``batch_size`` samples, and in the expectation
    over the order of samples beyond. Samples of weight 0 are left out. float32 tables are computed in float32,
    everything else in float64.

    Example:
        >>> from sklearn.datasets import load_iris
        >>> X, y = load_iris(return_X_y=True)
        >>> model = ETFClassifier(random_state=0).fit(X, y)
        >>> model.score(X, y) > 0.9, model.predict_proba(X).shape
        (True, (150, 3))

    Sources: Yang et al., NeurIPS 2022 (fixed ETF, dot-regression); Menon et al., ICLR 2021 (logit adjustment).
    """

    def __init__(
        self,
        *,
        hidden_layer_sizes: Sequence[int] | None = None,
        loss: str = "ce",
        target_prior: Any | None = None,
        head: str = "etf",
        prototypes: Any | None = None,
        class_means: Any | None = None,
        class_vectors: Mapping[Any, Any] | None = None,
        learn_vectors: bool = False,
        class_weight: Any | None = None,
        normalize: bool = True,
        learning_rate: float | None = None,
        weight_decay: float = 1e-4,
        epochs: int = 100,
        batch_size: int = 64,
        early_stopping: bool = False,
        validation_fraction: float = 0.1,
        n_iter_no_change: int = 10,
        device: str = "cpu",
        random_state: Any | None = None,
    ) -> None:
        self.hidden_layer_sizes, self.loss, self.target_prior = hidden_layer_sizes, loss, target_prior
        self.head, self.prototypes, self.class_means = head, prototypes, class_means
        self.class_vectors, self.learn_vectors = class_vectors, learn_vectors
        self.class_weight, self.normalize, self.learning_rate = class_weight, normalize, learning_rate
        self.weight_decay, self.epochs, self.batch_size = weight_decay, epochs, batch_size
        self.early_stopping, self.validation_fraction = early_stopping, validation_fraction
        self.n_iter_no_change, self.device, self.random_state = n_iter_no_change, device, random_state

    @usual_defaults()
    def fit(self, X: Any, y: Any, sample_weight: Any | None = None) -> ETFClassifier:
        """Train on a table X (N, d) with labels y (N,) of any kind, and sample weights (N,) >= 0; returns ``self``.

        Raises:
            ValueError: a parameter out of its range, bad data, or fewer than two classes.
        """
        hidden, rate = self._check_parameters()
        X, y = validated(self, X, y, dtype=FLOATS, order="C")
        _multiclass.check_classification_targets(y)
        weight = _validation._check_sample_weight(sample_weight, X, dtype=np.float64, copy=True)
        if weight.min() < 0:
            raise ValueError(f"sample_weight must not be negative, got {weight.min()}.")
        total = weight * _utils.class_weight.compute_sample_weight(self.class_weight, y)
        X, y, weight, total = (a[total > 0] for a in (X, y, weight, total))
        self.classes_ = np.unique(y)
        if len(self.classes_) < 2:
            raise ValueError(
                f"ETFClassifier needs samples of at least 2 classes (with a weight above 0), got {len(self.classes_)} "
                "class. Check y, sample_weight and class_weight."
            )
        vectors = self._class_vectors(X.shape[1])
        codes, k = np.searchsorted(self.classes_, y), len(self.classes_)
        self.class_count_ = np.bincount(codes, weights=weight, minlength=k)
        empty = self.class_count_ == 0  # counts as one sample where the prior is corrected
        weighted = np.where(empty, 1, np.bincount(codes, weights=total, minlength=k))
        self.model_prior_ = weighted / np.where(empty, 1, self.class_count_) if self.loss == "la" else weighted
        prior = self._target_prior()
        seed = int(_utils.check_random_state(self.random_state).randint(np.iinfo(np.int32).max))
        held = np.zeros(len(codes), dtype=bool)
        if self.early_stopping:
            held[holdout_indices(codes, self.validation_fraction, seed=seed)] = True
        table = [read_only_tensor(a).to(self.device) for a in (X, codes, total.astype(X.dtype))]
        dtype = table[0].dtype
        if vectors is None:
            fixed = {"prototypes": self._prototypes(k), "class_means": self._class_means(X, codes, total)}
            own: dict[str, Any] = {"kind": self.head, "normalize": bool(self.normalize), **fixed}
            network = etf_network(X.shape[1], hidden, k, seed=seed, dtype=dtype, **own)
        else:
            learn = bool(self.learn_vectors)
            projection: Projection | None = None if learn else "residual"
            head = NamedHead(
                X.shape[1], k, class_vectors=vectors, learn_vectors=learn, projection=projection, dtype=dtype
            )
            network = TableNetwork(X.shape[1], nn.Identity(), head, by_column=False, dtype=dtype)
        network = network.to(self.device)
        criterion = partial(network.losses, loss=self.loss, class_counts=torch.from_numpy(self.class_count_))
        validation = tuple(column[held] for column in table) if held.any() else None
        options: dict[str, Any] = {"epochs": self.epochs, "batch_size": self.batch_size, "validation": validation}
        options |= {"learning_rate": rate, "weight_decay": float(self.weight_decay)}
        options |= {"patience": self.n_iter_no_change, "seed": seed}
        x, y, weight = (column[~held] for column in table)
        self.loss_curve_, self.validation_curve_ = train(network, x, y, weight, criterion, **options)
        self.n_iter_ = len(self.loss_curve_)
        self.network_ = network.cpu().eval()
        self.calibration_ = Calibration(1.0, 1.0)
        if prior is not None and len(np.unique(codes[held])) > 1:
            logits = self._raw_logits(X[held])
            labels = torch.from_numpy(codes[held])
            self.calibration_ = calibrate_prior_correction(logits, labels, self.model_prior_, target_prior=prior)
        return self

    def decision_function(self, X: Any) -> np.ndarray:
        """Corrected logits (N, K); for two classes their difference (N,), above 0 for ``classes_[1]``."""
        logits = self._logits(X)
        return (logits[:, 1] - logits[:, 0] if len(self.classes_) == 2 else logits).numpy()

    def predict_proba(self, X: Any) -> np.ndarray:
        """Class probabilities (N, K) in the order of ``classes_``: the softmax of the corrected logits."""
        return self._logits(X).softmax(1).numpy()

    def predict(self, X: Any) -> np.ndarray:
        """The likeliest class of every row, (N,)."""
        logits = self._logits(X)
        return self.classes_[logits.argmax(1).numpy()]

    @usual_defaults()
    def _logits(self, X: Any) -> torch.Tensor:
        _validation.check_is_fitted(self)
        logits = self._raw_logits(validated(self, X, dtype=FLOATS, order="C", reset=False))
        prior = self._target_prior()
        if prior is None:
            return logits
        scale, strength = self.calibration_
        return prior_corrected_logits(logits, self.model_prior_, target_prior=prior, scale=scale, strength=strength)

    @torch.no_grad()
    def _raw_logits(self, X: np.ndarray) -> torch.Tensor:
        dtype = self.network_.head.scale.dtype
        return self.network_(read_only_tensor(X).to(dtype))[1]

    def _target_prior(self) -> np.ndarray | None:
        """``target_prior`` as (K,) weights."""
        if self.target_prior is None:
            return None
        return prior_vector(self.target_prior, self.classes_, self.class_count_, "target_prior")

    def _class_vectors(self, width: int) -> torch.Tensor | None:
        """Class vectors (K, width) in the order of ``classes_``, to which classes without samples are added."""
        if self.class_vectors is None:
            return None
        rows, labels = class_vector_rows(self.class_vectors, width)
        missing = np.setdiff1d(self.classes_, labels)
        if len(missing):
            raise ValueError(
                f"class_vectors has no vector of the class {plain(missing.tolist()[0])!r} ({len(missing)} such "
                "classes). Give one for every class of y."
            )
        self.classes_ = np.union1d(self.classes_, labels)
        unit = unit_normalize(torch.from_numpy(rows))
        codes = torch.from_numpy(np.searchsorted(self.classes_, labels))
        return unit.new_zeros(len(self.classes_), width).index_add_(0, codes, unit)

    def _prototypes(self, k: int) -> torch.Tensor | None:
        """``prototypes`` as (K, d)."""
        if self.prototypes is None:
            return None
        given = self.prototypes
        rows = load_frame(given) if isinstance(given, (str, Path)) else torch.as_tensor(given)
        if rows.ndim != 2 or len(rows) != k:
            raise ValueError(f"prototypes must have a row for each of {k} classes, (K, d), got {tuple(rows.shape)}.")
        return rows

    def _class_means(self, X: np.ndarray, codes: np.ndarray, weight: np.ndarray) -> torch.Tensor | None:
        """``class_means`` as (K, p) float64; of the training data those of the standardised columns."""
        if self.class_means is None:
            return None
        k = len(self.classes_)
        if isinstance(self.class_means, str):
            check_choice(self.class_means, ("train",), "class_means")
            x, w, label = torch.from_numpy(X.astype(np.float64)), torch.from_numpy(weight), torch.from_numpy(codes)
            mean, std = weighted_moments(x, w)
            sums = x.new_zeros(k, x.shape[1]).index_add_(0, label, w[:, None] * (x - mean) / std)
            return sums / x.new_zeros(k).index_add_(0, label, w.to(x))[:, None]
        means = torch.as_tensor(self.class_means).double()
        if means.ndim != 2 or len(means) != k:
            raise ValueError(f"class_means must have a row for each of {k} classes, (K, p), got {tuple(means.shape)}.")
        return means

    def _check_parameters(self) -> tuple[list[int], float]:
        if check_choice(self.loss, LOSSES, "loss") == "dr" and not self.normalize:
            raise ValueError("loss='dr' regresses cosines onto 1, which needs normalize=True.")
        named = self.class_vectors is not None
        if check_choice(self.head, ("etf", "recommended"), "head") == "recommended" and self.loss == "dr":
            raise ValueError("loss='dr' regresses cosines onto 1; head='recommended' does not normalise. Take 'la'.")
        given = [name for name in ("class_vectors", "prototypes", "class_means") if getattr(self, name) is not None]
        if len(given) > 1 or (named and self.head != "etf"):
            raise ValueError(
                f"{' and '.join([*given, 'head'][:2])} both say what the class vectors are: leave one out."
            )
        if self.learn_vectors and (not named or self.loss == "dr"):
            raise ValueError(
                "learn_vectors=True learns class_vectors on, which must be given, by loss='ce' or 'la', not 'dr'."
            )
        if named and not self.normalize:
            raise ValueError("class_vectors are compared by cosines, which needs normalize=True.")
        rate = self.learning_rate
        if rate is None:
            rate = 0.001 if named else 0.01
        check_positive(rate, "learning_rate")
        if not 0 <= float(self.weight_decay) < np.inf:
            raise ValueError(f"weight_decay must be a finite number of at least 0, got {self.weight_decay!r}.")
        for name in ("epochs", "batch_size", "n_iter_no_change"):
            check_int(getattr(self, name), name, minimum=1)
        try:
            torch.empty(0, device=self.device)
        except (RuntimeError, AssertionError) as error:
            raise ValueError(f"device={self.device!r} cannot be used: {error}") from error
        sizes = self.hidden_layer_sizes
        if sizes is None:
            sizes = () if named else (64,)
        if isinstance(sizes, str) or not isinstance(sizes, Iterable):
            raise ValueError(
                f"hidden_layer_sizes must be a sequence of integers, got {self.hidden_layer_sizes!r}. One layer: (64,)."
            )
        hidden = [check_int(size, "a size in hidden_layer_sizes", minimum=1) for size in sizes]
        if hidden and named:
            raise ValueError(
                f"class_vectors lie where the columns lie, and hidden layers {hidden} lead away from there. "
                "Leave hidden_layer_sizes out, or put the encoder in front of X."
            )
        return hidden, float(rate)
