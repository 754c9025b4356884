"""Another class prior for any scikit-learn classifier, given or estimated. Needs the extra ``[sklearn]``."""

from __future__ import annotations

import warnings
from typing import Any

import numpy as np
import torch
from torch import Tensor

from equiangular._defaults import usual_defaults
from equiangular._extras import require
from equiangular._validate import check_choice, check_int
from equiangular.integrations._adapted import AdaptedPrior
from equiangular.integrations._class_priors import model_prior, prior_vector
from equiangular.integrations._labels import plain
from equiangular.integrations._rejection import Rejection
from equiangular.posthoc import Calibration, estimate_prior, prior_corrected_logits
from equiangular.posthoc.rejection import check_rate

require("sklearn", extra="sklearn", purpose="PriorCorrectedClassifier")

from sklearn import get_config  # noqa: E402 - after what says how to install it
from sklearn.base import BaseEstimator, ClassifierMixin, MetaEstimatorMixin, clone, is_regressor  # noqa: E402
from sklearn.frozen import FrozenEstimator  # noqa: E402
from sklearn.utils import _safe_indexing, assert_all_finite, get_tags, indexable  # noqa: E402
from sklearn.utils.metadata_routing import MetadataRouter, MethodMapping, process_routing  # noqa: E402
from sklearn.utils.multiclass import check_classification_targets  # noqa: E402
from sklearn.utils.validation import (  # noqa: E402
    _check_method_params,
    _check_sample_weight,
    check_is_fitted,
    column_or_1d,
)  # fmt: skip

from equiangular.integrations._held_out import (  # noqa: E402
    class_scores,
    cross_fitted,
    fit_biases,
    fit_strength,
    plain_harm,
    with_weights,
)  # fmt: skip

FOLDS = 5
# Below so many samples a class, known labels would leave a total variation of up to 0.4 sqrt(K / N) = 0.2 themselves.
_SAMPLES, _ERROR = 4, 0.2


class PriorCorrectedClassifier(Rejection, MetaEstimatorMixin, ClassifierMixin, BaseEstimator):  # type: ignore[misc]
    """Any classifier or pipeline, its predictions moved from the class prior it was trained under to another.

    z'_c = scale z_c - strength (log pi_c - log rho_c), with z the log of ``predict_proba``, or ``decision_function``
    where there is no such method, pi the prior that z stands for and rho the target prior. Nothing is retrained.

    pi is seen in ``fit``: the class shares of y, times sample weights and the classifier's ``class_weight``, or its
    own ``priors``. ``train_prior`` says it where ``fit`` cannot see it.

    Calibration takes scores of samples that the scoring model has not seen: of folds, or of all of X where
    ``estimator`` is a ``FrozenEstimator``, whose X is held-out data then. It declines, with a warning, and predictions
    stay the estimator's, where those scores give it nothing to stand on: fewer samples than classes, samples of fewer
    than half of the classes, no sample classified wrong, or a correction that lowers the accuracy under the target
    prior on them beyond chance.

    Without calibration ``predict_proba`` is taken for posteriors. Those of AdaBoost are almost flat, and Bayes' rule
    would give everything to the rarest class. So it declines where the accuracy under the target prior falls beyond
    chance on the samples of ``fit`` and, as a model may know these by heart, on those of five folds too.

    Args:
        estimator: an unfitted classifier, pipeline or search; a fitted one as ``FrozenEstimator(model)``.
        target_prior: rho: ``"uniform"``, ``"train"`` (the class shares of y), a mapping of label to weight, (K,)
            weights in the order of ``classes_``, or ``"estimate"``: that of the unlabelled data that :meth:`adapt` is
            given before predictions are made. Then z is calibrated by scale and class biases, and no strength.
        train_prior: pi, where it is not what ``fit`` sees, of the same kinds; for a frozen estimator trained on other
            class shares than those of the held-out data.
        calibrate: ``"cv"`` or True fits scale and strength on five folds, an int on so many, False takes scale and
            strength 1 whatever comes of it, which is Bayes' rule and right for calibrated probabilities. ``"auto"``
            calibrates without ``predict_proba`` and for ``"estimate"``; else it is Bayes' rule where that does no harm.
        reject: a share in (0, 1), or None: ``predict`` gives ``reject_label`` where the largest probability is so low
            that at most this share of samples distributed as X in ``fit`` is rejected, see
            :func:`equiangular.posthoc.rejection_threshold`. The promise holds for a frozen estimator and its held-out
            data, if nothing is calibrated on them beside it. With folds it is an approximation: the final model has
            seen more data than those of the folds.
        reject_label: by default -1 for numbers and ``"unknown"`` for strings.

    Attributes:
        classes_: (K,) labels.
        estimator_: the fitted estimator.
        class_count_: (K,) samples of each class in y, weighted.
        model_prior_: (K,) weights: pi.
        target_prior_: (K,) weights: rho; for ``"estimate"`` from :meth:`adapt` on.
        calibration_: scale and strength.
        bias_: (K,) class biases, zeros but for ``"estimate"``.
        declined_: why nothing is corrected, or None.
        prior_estimate_: of :meth:`adapt`, None before it: ``prior`` and ``standard_error``, (K,) float64 arrays,
            ``expected_error``, ``log_likelihood``, ``iterations`` and ``converged``, see
            :class:`equiangular.posthoc.PriorEstimate`.
        rejection_threshold_: a sample is rejected where 1 - its largest probability is above it; if ``reject`` is set.

    Example:
        >>> from sklearn.datasets import load_iris
        >>> from sklearn.linear_model import LogisticRegression
        >>> X, y = load_iris(return_X_y=True)
        >>> X, y = X[45:], y[45:]  # 5, 50 and 50 flowers
        >>> model = PriorCorrectedClassifier(LogisticRegression(), target_prior="uniform").fit(X, y)
        >>> model.predict_proba(X).shape, model.model_prior_
        ((105, 3), array([ 5., 50., 50.]))

    Sources: Menon et al., ICLR 2021, section 4.1; Saerens, Latinne and Decaestecker, Neural Computation 2002;
    Alexandari, Kundaje and Shrikumar, ICML 2020.
    """

    def __init__(
        self,
        estimator: Any,
        target_prior: Any = "uniform",
        *,
        train_prior: Any | None = None,
        calibrate: bool | int | str = "auto",
        reject: float | None = None,
        reject_label: Any | None = None,
    ) -> None:
        self.estimator, self.target_prior, self.train_prior = estimator, target_prior, train_prior
        self.calibrate, self.reject, self.reject_label = calibrate, reject, reject_label

    @usual_defaults()
    def fit(self, X: Any, y: Any, sample_weight: Any | None = None, **params: Any) -> PriorCorrectedClassifier:
        """Fit the estimator and the calibration; returns ``self``.

        Args:
            X: N samples, whatever the estimator takes: an array, a sparse matrix, a data frame, a list of texts.
            y: (N,) labels of any kind.
            sample_weight: (N,) weights of at least 0, passed on to the estimator. Calibration counts samples.
            params: passed on to the estimator's ``fit``, by metadata routing where that is enabled.

        Raises:
            ValueError: a parameter out of its range, an estimator that is no classifier, labels that are no classes,
                or a prior that does not fit.
        """
        if hasattr(self.estimator, "__sklearn_tags__") and is_regressor(self.estimator):
            raise ValueError(_no_classifier(self.estimator))
        X, y, weight, routed = self._check_data(X, y, sample_weight, params)
        self.estimator_ = clone(self.estimator).fit(X, y, **routed)
        if not hasattr(self.estimator_, "classes_"):
            raise ValueError(_no_classifier(self.estimator))
        self.classes_ = np.asarray(self.estimator_.classes_)
        for name in ("n_features_in_", "feature_names_in_"):
            if hasattr(self.estimator_, name):
                setattr(self, name, getattr(self.estimator_, name))
        codes = self._codes(y)
        self.class_count_ = np.bincount(codes, weights=weight, minlength=len(self.classes_))
        self.model_prior_ = self._model_prior()
        self.calibration_, self.bias_ = Calibration(1.0, 1.0), np.zeros(len(self.classes_))
        self.declined_: str | None = None
        self.prior_estimate_: AdaptedPrior | None = None
        estimates = isinstance(self.target_prior, str) and self.target_prior == "estimate"
        if not estimates:
            self.target_prior_ = prior_vector(self.target_prior, self.classes_, self.class_count_, "target_prior")
        elif hasattr(self, "target_prior_"):
            del self.target_prior_  # of an earlier fit
        folds = self._folds(estimates)
        if folds or self.reject is not None:
            held = self._unseen(X, y, codes, routed, folds or FOLDS)
            z, labels = held
        else:
            held = None
        reason, cure = "", ""
        if not folds and not estimates and self.calibrate is not False:
            reason = self._harm_as_it_is(X, y, codes, routed, held)
            if reason:
                self.calibration_ = Calibration(1.0, 0.0)
                cure = (
                    f" What {type(self.estimator_).__name__} gives as probabilities are no posteriors: take "
                    "calibrate='cv', which fits their scale (calibrate=False takes Bayes' rule all the same)."
                )
        elif folds and estimates:
            self.calibration_, self.bias_, reason = fit_biases(z, labels, self.model_prior_, self.class_count_)
            if not reason:  # pi is the mean posterior of the held-out samples then, as Alexandari et al. take it
                own = self.calibration_.scale * z + torch.from_numpy(self.bias_)
                self.model_prior_ = own.softmax(1).mean(0).numpy()
        elif folds:
            logs = hasattr(self.estimator_, "predict_proba")
            priors = self.model_prior_, self.target_prior_
            self.calibration_, reason = fit_strength(z, labels, *priors, self.class_count_, logs=logs)
        if reason:
            self.declined_ = reason
            warnings.warn(f"{reason}. The predictions are the estimator's own.{cure}", UserWarning, stacklevel=2)
        if held is None:
            return self
        if estimates and self.reject is not None:
            self._held_out = z  # the threshold moves with the prior
        target = self.model_prior_ if estimates else self.target_prior_
        self._set_rejection(self._corrected(z, target).softmax(1).numpy())
        return self

    def adapt(self, X: Any) -> PriorCorrectedClassifier:
        """Estimate the class prior of unlabelled samples X by EM and predict for it from now on. Returns self.

        A call of its own, so that no prediction depends on the samples it is made together with. Where the calibration
        declined there are no posteriors to estimate from, and nothing changes. A warning says where the estimate is
        worth little: of fewer than four samples a class, or with shares expected to be off by more than 0.2 in total
        by sampling, see :attr:`equiangular.posthoc.PriorEstimate.expected_error`.

        No warning does not mean that the estimate is right. Neither number knows of posteriors that are wrong for
        the new shares: after a strong shift logistic regression was off by 0.28 where 0.03 was expected of sampling.
        Only labels of some of X tell.

        Raises:
            ValueError: ``target_prior`` is not ``"estimate"``.
        """
        check_is_fitted(self)
        if not isinstance(self.target_prior, str) or self.target_prior != "estimate":
            raise ValueError(f"adapt is for target_prior='estimate', this one has {self.target_prior!r}.")
        if self.declined_:
            warnings.warn(f"{self.declined_}. No prior was estimated.", UserWarning, stacklevel=2)
            self.target_prior_ = self.model_prior_
            return self
        own = self._corrected(class_scores(self.estimator_, X), self.model_prior_)
        found = estimate_prior(own, self.model_prior_)
        if len(own) < _SAMPLES * own.shape[1] or found.expected_error > _ERROR:
            off = f"{found.expected_error:.2g}" if found.expected_error < 1 else "any amount"
            warnings.warn(
                f"the class prior was estimated from {len(own)} samples for {own.shape[1]} classes, and its shares are "
                f"expected to be off by {off} in total by sampling alone, by more if the posteriors are wrong "
                f"(prior_estimate_.standard_error has each). Give adapt more samples, at least {_SAMPLES} a class, or "
                "take target_prior='uniform' or a prior that you know.",
                UserWarning,
                stacklevel=2,
            )
        if not found.converged:
            warnings.warn(f"EM has not converged in {found.iterations} steps.", UserWarning, stacklevel=2)
        self.prior_estimate_ = AdaptedPrior.of(found)
        self.target_prior_ = found.prior.clamp_min(torch.finfo(found.prior.dtype).tiny).numpy()
        if self.reject is not None:
            self._set_rejection(self._corrected(self._held_out, self.target_prior_).softmax(1).numpy())
        return self

    def decision_function(self, X: Any) -> np.ndarray:
        """Corrected log posteriors (N, K), up to a constant in each row; for two classes their difference (N,)."""
        z = self._log_posteriors(X)
        return (z[:, 1] - z[:, 0] if len(self.classes_) == 2 else z).numpy()

    def predict_proba(self, X: Any) -> np.ndarray:
        """Class probabilities (N, K) under the target prior, in the order of ``classes_``."""
        return self._log_posteriors(X).softmax(1).numpy()

    def predict(self, X: Any) -> np.ndarray:
        """The likeliest class of every sample under the target prior, (N,); ``reject_label`` for none of them."""
        z = self._log_posteriors(X)
        return self._with_rejected(self.classes_[z.argmax(1).numpy()], z.softmax(1).numpy())

    def get_metadata_routing(self) -> Any:
        """Where the metadata of ``fit`` go: to the estimator's ``fit``."""
        mapping = MethodMapping().add(caller="fit", callee="fit")
        router = MetadataRouter(owner=self).add_self_request(self)
        return router.add(estimator=self.estimator, method_mapping=mapping)

    def __sklearn_tags__(self) -> Any:
        tags = super().__sklearn_tags__()
        inner = get_tags(self.estimator)
        tags.input_tags, tags.array_api_support = inner.input_tags, False
        if inner.classifier_tags is not None:
            tags.classifier_tags.multi_class = inner.classifier_tags.multi_class
        return tags

    # What fit is made of.

    def _check_data(self, X: Any, y: Any, sample_weight: Any, params: dict[str, Any]) -> tuple[Any, ...]:
        """X, y, weights (N,) and what the estimator's ``fit`` is given; samples of weight 0 are left out."""
        if y is None:
            raise ValueError("PriorCorrectedClassifier requires y to be passed, but the target y is None.")
        if self.reject is not None:
            check_rate(self.reject, "reject")
        y = column_or_1d(y, warn=True)
        assert_all_finite(y, input_name="y")
        check_classification_targets(y)
        X, y = indexable(X, y)
        if sample_weight is None:
            return X, y, np.ones(len(y)), self._routed(None, params)
        weight = _check_sample_weight(sample_weight, X, dtype=np.float64)
        if weight.min() < 0:
            raise ValueError(f"sample_weight must not be negative, got {weight.min()}.")
        if weight.min() == 0:
            kept = np.flatnonzero(weight)
            params = _check_method_params(X, params, indices=kept)
            X, y, weight = _safe_indexing(X, kept), y[kept], weight[kept]
        return X, y, weight, self._routed(weight, params)

    def _routed(self, weight: np.ndarray | None, params: dict[str, Any]) -> dict[str, Any]:
        """The arguments of the estimator's ``fit``."""
        given = {} if weight is None else {"sample_weight": weight}
        if get_config()["enable_metadata_routing"]:
            return dict(process_routing(self, "fit", **given, **params).estimator.fit)
        if weight is None or isinstance(self.estimator, FrozenEstimator):
            return params
        return with_weights(self.estimator, weight, params)

    def _codes(self, y: np.ndarray) -> np.ndarray:
        """The index of each label in ``classes_``."""
        codes = np.searchsorted(self.classes_, y).clip(max=len(self.classes_) - 1)
        if (strange := self.classes_[codes] != y).any():
            raise ValueError(
                f"y has the label {plain(y[strange].tolist()[0])!r}, which is none of the {len(self.classes_)} classes "
                "that the estimator was trained on."
            )
        return codes

    def _model_prior(self) -> np.ndarray:
        if self.train_prior is not None:
            return prior_vector(self.train_prior, self.classes_, self.class_count_, "train_prior")
        prior = model_prior(self.estimator_, self.classes_, self.class_count_)
        if (empty := self.classes_[prior <= 0]).size:
            raise ValueError(
                f"y has no sample of class {plain(empty.tolist()[0])!r} ({empty.size} such classes), so the prior that "
                "the estimator was trained under is not seen. Say it: train_prior={label: training samples, ...}."
            )
        return prior

    def _unseen(
        self, X: Any, y: np.ndarray, codes: np.ndarray, routed: dict[str, Any], folds: int
    ) -> tuple[Tensor, Tensor]:
        """Scores and class indices of samples that the scoring model has not seen."""
        if isinstance(self.estimator, FrozenEstimator):
            return class_scores(self.estimator_, X), torch.from_numpy(codes)
        return cross_fitted(self.estimator, X, y, codes, routed, folds)

    def _harm_as_it_is(
        self, X: Any, y: np.ndarray, codes: np.ndarray, routed: dict[str, Any], held: tuple[Tensor, Tensor] | None
    ) -> str:
        """Why Bayes' rule on the probabilities as they are is left out, or an empty text.

        The samples of ``fit`` cost no fit. A forest has them all right, and loses on them what it gains on others: so
        where they speak against it those of folds decide. Where these cannot be fitted nothing is shown.
        """
        priors = self.model_prior_, self.target_prior_
        if np.allclose(priors[0] / priors[0].sum(), priors[1] / priors[1].sum()):
            return ""
        if not plain_harm(class_scores(self.estimator_, X), torch.from_numpy(codes), *priors):
            return ""
        try:
            return plain_harm(*(held or self._unseen(X, y, codes, routed, FOLDS)), *priors)
        except ValueError:  # an inner cross-validation that a fold has too few samples for
            return ""

    def _folds(self, estimates: bool) -> int:
        """In how many folds to calibrate, 0 for no calibration."""
        blind = not hasattr(self.estimator_, "predict_proba")
        if self.calibrate is True or (isinstance(self.calibrate, str) and self.calibrate == "cv"):
            return FOLDS
        if isinstance(self.calibrate, str):
            check_choice(self.calibrate, ("auto", "cv"), "calibrate")
            return FOLDS if blind or estimates else 0
        if self.calibrate is not False:
            return check_int(self.calibrate, "calibrate", minimum=2, hint="It is a number of folds, a bool or 'cv'.")
        if blind:
            raise ValueError(
                f"{type(self.estimator_).__name__} has no predict_proba, and the values of its decision_function are "
                "no log posteriors before they are calibrated. Take calibrate='cv'."
            )
        return 0

    # What predictions are made of.

    @usual_defaults()
    def _log_posteriors(self, X: Any) -> Tensor:
        check_is_fitted(self)
        if not hasattr(self, "target_prior_"):
            raise ValueError(
                "target_prior='estimate' predicts for the prior of data that it has not been given yet. "
                "Call adapt(X) with unlabelled samples first."
            )
        return self._corrected(class_scores(self.estimator_, X), self.target_prior_)

    def _corrected(self, z: Tensor, target: np.ndarray) -> Tensor:
        scale, strength = self.calibration_
        moved = prior_corrected_logits(z, self.model_prior_, target_prior=target, scale=scale, strength=strength)
        return moved + torch.from_numpy(self.bias_)


def _no_classifier(estimator: Any) -> str:
    return (
        f"PriorCorrectedClassifier takes a classifier, got {type(estimator).__name__}, which has no classes whose "
        "prior could be corrected. Of a linear regressor there is a classifier: RidgeClassifier, LogisticRegression."
    )
