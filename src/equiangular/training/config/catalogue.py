"""What can be named, as plain texts without torch: methods with what they are, backbones, bundled data.

:mod:`equiangular.training.methods` builds the methods; the labels and sources here are theirs.
"""

from __future__ import annotations

import os
from pathlib import Path
from typing import NamedTuple

from equiangular._checks import ROOT_VARIABLE, check_choice, path_exists, unknown_data
from equiangular._renamed import warn_renamed


class Entry(NamedTuple):
    """One method, as a list shows it.

    ``vectors`` is the head's kind for ten classes; with more classes than dimensions the recommended one needs a map.
    """

    label: str
    vectors: str
    source: str


_OURS, _CB, _LAS = "this project, docs/answer.md", "Cui et al. 2019", "Zhong et al. 2021 (MiSLAS)"
_RBL, _FRAME, _LA = "Peifeng et al. 2023 (RBL)", "Jiang et al. 2024", "Menon et al. 2021; Ren et al. 2020"
_NAMES = "this project, docs/embeddings.md"
_RELEASED = "the code released with Yang et al. 2022"
# The first part of a name.
_HEADS = {
    "recommended": ("recommended head", "fixed"),
    "linear": ("learnable linear", "learned"),
    "cosine": ("learnable cosine", "learned"),
    "random": ("frozen random", "fixed"),
    "etf": ("ETF", "fixed"),
    "rotated-etf": ("rotated ETF", "mapped"),
    "frame": ("spread frame", "fixed"),
    "means": ("class means", "fixed"),
    "named": ("class names, fixed", "mapped"),
    "named-learned": ("class names, learned on", "learned"),
}
# The second part.
_LOSSES = {
    "ce": "CE",
    "focal": "focal loss",
    "cb-ce": "class-balanced CE",
    "cb-focal": "class-balanced focal loss",
    "las": "label-aware smoothing",
    "la": "logit adjustment",
    "vs": "vector scaling",
    "ldam": "LDAM",
    "ldam-drw": "LDAM, deferred re-weighting",
    "arb": "ARB loss",
    "dr": "DR",
    "dr-batch": "DR (balanced in the batch)",
}
_SOURCES = {
    (head, loss): source
    for head, loss, source in (
        ("recommended", "la", f"{_OURS}; Yang et al. 2022; Menon et al. 2021"),
        ("linear", "ce", "the classical baseline"),
        ("etf", "ce", "Yang et al. 2022, section 4"),
        ("cosine", "ce", "Wang et al. 2017 (NormFace)"),
        ("linear", "focal", "Lin et al. 2017, softmax form"),
        ("linear", "cb-ce", _CB),
        ("linear", "cb-focal", f"{_CB}, softmax form"),
        ("linear", "las", _LAS),
        *((head, "la", _LA) for head in ("linear", "cosine", "random", "etf")),
        *((head, "vs", "Kini et al. 2021") for head in ("linear", "recommended")),
        *(("cosine", loss, "Cao et al. 2019") for loss in ("ldam", "ldam-drw")),
        *((head, "arb", "Xie et al. 2023") for head in ("linear", "etf")),
        ("etf", "dr", "Yang et al. 2022"),
        ("etf", "dr-batch", _RELEASED),
        ("rotated-etf", "ce", _RBL),
        ("rotated-etf", "la", f"{_RBL}; Menon et al. 2021"),
        ("frame", "ce", _FRAME),
        ("frame", "la", f"{_FRAME}; Menon et al. 2021"),
        ("frame", "dr", f"{_FRAME}; Yang et al. 2022"),
        ("means", "ce", _OURS),
        ("means", "la", f"{_OURS}; Menon et al. 2021"),
        *((head, "la", _NAMES) for head in ("named", "named-learned")),
    )
}
# Name -> head and loss. The recommended method is the recommended head with the recommended loss.
TRAINED = {f"{head}-{loss}".replace("recommended-la", "recommended"): (head, loss) for head, loss in _SOURCES}
# Logit adjustment has taken the prior out already.
CORRECTED = ("linear-ce", "etf-ce", "etf-dr", "etf-dr-batch", "frame-ce", "frame-dr")
_STAGED = {
    "linear-crt": ("CE, classifier retrained (cRT)", "Kang et al. 2020"),
    "linear-crt-las": ("CE, classifier retrained with label-aware smoothing", _LAS),
    "linear-tau-norm": ("CE, tau-normalised", "Kang et al. 2020"),
    "linear-wb": ("weight balancing", "Alshammari et al. 2022"),
}
_COMPUTED = {
    "class-means": ("nearest class mean", "Mensink et al. 2013"),
    "gaussian": ("Gaussians of one covariance", "Fisher 1936; Ledoit and Wolf 2004"),
    "ridge": ("ridge onto a simplex", "Yang et al. 2022, solved exactly"),
    "random-features": ("ridge on random features", "McDonnell et al. 2023 (RanPAC)"),
    "kernel": ("kernel ridge onto a simplex", "Yang et al. 2022, in the space of a kernel"),
}
_LOGISTIC = {
    "logistic": ("logistic regression", "Cox 1958"),
    "logistic-balanced": ("logistic regression, classes weighted", "King and Zeng 2001"),
}


def with_prior(entry: Entry) -> Entry:
    """The same method followed by the prior correction."""
    label, vectors, source = entry
    return Entry(f"{label} + prior correction", vectors, f"{source}; Menon et al. 2021, section 4.1")


def with_names(entry: Entry) -> Entry:
    """The same classifier with the vectors of the class names among its samples."""
    return Entry(f"{entry.label}, with names", entry.vectors, f"{entry.source}; names: docs/embeddings.md")


def _entries() -> dict[str, Entry]:
    found = {}
    for name, (head, loss) in TRAINED.items():
        label, vectors = _HEADS[head]
        found[name] = Entry(f"{label} + {_LOSSES[loss]}", vectors, _SOURCES[head, loss])
    found |= {f"{name}-pc": with_prior(found[name]) for name in CORRECTED}
    found |= {name: Entry(f"learnable linear + {label}", "learned", s) for name, (label, s) in _STAGED.items()}
    computed = {name: Entry(label, "computed", source) for name, (label, source) in _COMPUTED.items()}
    found |= computed | {f"{name}-names": with_names(entry) for name, entry in computed.items()}
    plain, balanced = (Entry(label, "learned", source) for label, source in _LOGISTIC.values())
    found |= {"logistic": plain, "logistic-names": with_names(plain), "logistic-balanced": balanced}
    return found | {"logistic-pc": with_prior(plain), "logistic-pc-names": with_names(with_prior(plain))}


ENTRIES = _entries()
# Names of the last release. "best" means the best validation epoch and nothing else.
RENAMED = {"best": "recommended", "best-vs": "recommended-vs"}
BUNDLED_DATA = {
    "digits": "1,797 handwritten digits of 8 x 8 pixels, in scikit-learn",
    "wine": "178 wines of 3 cultivars, 13 numbers each, in scikit-learn",
    "breast_cancer": "569 tumours of 2 kinds, 30 numbers each, in scikit-learn",
    "iris": "150 flowers of 3 species, 4 numbers each, in scikit-learn",
}
BACKBONES = {
    "identity": "the inputs as they are",
    "digits": "three convolutions, for small grey images",
    "mlp": "fully connected layers, for tables and vectors",
    **{f"resnet{depth}": f"the CIFAR ResNet of {depth} layers (He et al. 2016)" for depth in (8, 20, 32, 44, 56)},
}


def method_name(name: str) -> str:
    """The present name of a method.

    Raises:
        ValueError: no such method; the closest name is suggested.

    Example:
        >>> method_name("etf-dr")
        'etf-dr'
    """
    if name in RENAMED:
        warn_renamed(f"the method {name!r}", repr(RENAMED[name]))
        name = RENAMED[name]
    return check_choice(name, ENTRIES, "method")


def refuse_unknown_data(name: str, root: str | Path | None = None) -> None:
    """Raise if there can be no data of that name, before torch is imported.

    What may be data is left to :func:`equiangular.data.load_dataset`, and so is the message where there is a folder of
    named data sets, whose names it gives.

    Raises:
        ValueError: neither a name nor a path that exists; the closest name is suggested.
    """
    folder = root if root is not None else os.environ.get(ROOT_VARIABLE) or None
    places = [Path(name).expanduser(), *([] if folder is None else [Path(folder).expanduser() / name])]
    if ":" in name or name in BUNDLED_DATA or (name and any(map(path_exists, places))):
        return
    if folder is not None:
        from equiangular.data import load_dataset

        load_dataset(name, root=root)
    raise ValueError(unknown_data(name, tuple(BUNDLED_DATA), rooted=False))
