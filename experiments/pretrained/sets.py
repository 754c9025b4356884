"""Data sets of the study: features of a frozen encoder, labels, and vectors of the class names where texts are read.

Texts: MiniLM, at unit norm. Images: EfficientNet-Lite0, centred. Of both the first 128 principal components (of texts
not centred, and names are projected alike), so that hundreds of heads can be tuned on one thread. Tables: columns
standardised, or brought to normal quantiles. One number scales all to unit mean square length. Mean, components and
quantiles come from the training pool, without its labels.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import cache, partial
from typing import Any, NamedTuple

import numpy as np

import equiangular as eq
from equiangular.data import load_dataset
from equiangular.encoders import embed, load_encoder
from equiangular.longtail.cut import draw_by_class
from experiments.questions.features import SETS as PARTS
from experiments.questions.features import some_of_each

COMPONENTS = 128
# Of the texts: how many of a class are tested on at most.
TESTED = {"banking77": 20, "clinc150_imbalanced": 15}
SENTENCES = {
    "banking77": "The customer asks the bank about {}.",
    "clinc150_imbalanced": "The user asks the assistant about {}.",
    "airports": "The airport is in {}.",
    "cars": "The car was made in {}.",
}
TEMPLATES = ("{}", "a question about {}", "this is about {}", "{}, please", "tell me about {}")
_STATES = (
    "AK=Alaska,AL=Alabama,AR=Arkansas,AZ=Arizona,CA=California,CO=Colorado,CT=Connecticut,DE=Delaware,FL=Florida,"
    "GA=Georgia,HI=Hawaii,IA=Iowa,ID=Idaho,IL=Illinois,IN=Indiana,KS=Kansas,KY=Kentucky,LA=Louisiana,"
    "MA=Massachusetts,MD=Maryland,ME=Maine,MI=Michigan,MN=Minnesota,MO=Missouri,MS=Mississippi,MT=Montana,"
    "NC=North Carolina,ND=North Dakota,NE=Nebraska,NH=New Hampshire,NJ=New Jersey,NM=New Mexico,NV=Nevada,"
    "NY=New York,OH=Ohio,OK=Oklahoma,OR=Oregon,PA=Pennsylvania,RI=Rhode Island,SC=South Carolina,SD=South Dakota,"
    "TN=Tennessee,TX=Texas,UT=Utah,VA=Virginia,VT=Vermont,WA=Washington,WI=Wisconsin,WV=West Virginia,WY=Wyoming"
)
STATES = dict(entry.split("=") for entry in _STATES.split(","))


class Part(NamedTuple):
    """Pool (N, d) float32 and labels (N,), test part sorted by label, vectors (K, d) of the names by variant.

    ``wide`` has pool and test part with all dimensions of the encoder.
    """

    x: np.ndarray
    y: np.ndarray
    test_x: np.ndarray
    test_y: np.ndarray
    names: dict[str, np.ndarray]
    wide: tuple[np.ndarray, np.ndarray]


class Source(NamedTuple):
    """Rows and labels of both parts, as a data set has them, and its class names."""

    x: np.ndarray
    y: np.ndarray
    test_x: np.ndarray
    test_y: np.ndarray
    classes: list[str]


def halves(x: np.ndarray, y: np.ndarray) -> tuple[np.ndarray, ...]:
    """Training and test half of each class, for a set that has no test part of its own; drawn with seed 0."""
    index = draw_by_class(y, np.bincount(y) // 2, 0)
    rest = np.setdiff1d(np.arange(len(y)), index)
    return x[index], y[index], x[rest], y[rest]


def of_dataset(data: Any) -> Source:
    """An embedded data set."""
    arrays = (data.train_x.numpy(), data.train_y.numpy(), data.test_x.numpy(), data.test_y.numpy())
    return Source(*arrays, list(data.class_names))


def texts(name: str) -> Source:
    """banking77 or clinc150, without the class of what is out of scope."""
    found = of_dataset(embed(load_dataset(name, raw=True)))
    kept = np.array([k for k, called in enumerate(found.classes) if called != "oos"])
    place = np.full(len(found.classes), -1)
    place[kept] = np.arange(len(kept))
    y, test_y = place[found.y], place[found.test_y]
    tested = np.flatnonzero(test_y >= 0)
    tested = tested[draw_by_class(test_y[tested], [TESTED[name]] * len(kept), 0)]
    classes = [found.classes[k] for k in kept]
    return Source(found.x[y >= 0], y[y >= 0], found.test_x[tested], test_y[tested], classes)


def embedded_texts(rows: list[str], labels: list[str]) -> Source:
    """Texts of a table and their labels, halved."""
    classes = sorted(set(labels))
    encoder = load_encoder("minilm")
    x = np.concatenate([encoder.encode(rows[i : i + 64]).numpy() for i in range(0, len(rows), 64)])
    return Source(*halves(x, np.array([classes.index(label) for label in labels])), classes)


def airports() -> Source:
    """Name and town of an airport of the USA -> its state, where there are 20 or more."""
    from vega_datasets import data

    table = data.airports()
    table = table[table.state.isin(list(STATES)) & table.city.notna() & table.name.notna()]
    table = table[table.groupby("state").state.transform("size") >= 20]
    rows = [f"{name}, {city}" for name, city in zip(table.name, table.city, strict=True)]
    return embedded_texts(rows, [STATES[state] for state in table.state])


def cars() -> Source:
    """Name of a model of 1970 to 1982 -> where it was made; of every name one car."""
    from vega_datasets import data

    table = data.cars().drop_duplicates("Name")
    return embedded_texts(list(table.Name), list(table.Origin))


def images(name: str, limits: tuple[int, int, int] | None = None) -> Source:
    """A part of an image set by EfficientNet-Lite0; ``limits`` as in :data:`experiments.questions.features.SETS`."""
    limits = limits or {**PARTS, "fashion_mnist": (100, 12, 60)}[name]
    assert limits is not None
    return of_dataset(embed(some_of_each(load_dataset(name, raw=True), *limits)))


def table(name: str) -> Source:
    """A table of numbers."""
    return of_dataset(load_dataset(name, raw=True))


def carried(loader: str) -> Source:
    """A table that comes with scikit-learn, halved."""
    from sklearn import datasets

    found = getattr(datasets, loader)()
    return Source(*halves(found.data, found.target), [str(name) for name in found.target_names])


def penguins() -> Source:
    """Palmer penguins by skrub's TableVectorizer; what is missing is the median."""
    from palmerpenguins import load_penguins
    from sklearn.impute import SimpleImputer
    from skrub import TableVectorizer

    frame = load_penguins()
    classes = sorted(set(frame.species))
    y = np.array([classes.index(name) for name in frame.species])
    index, y, rest, test_y = halves(np.arange(len(y)), y)
    columns = frame.drop(columns=["species", "year"])
    vectorizer, imputer = TableVectorizer(), SimpleImputer(strategy="median")
    x = imputer.fit_transform(vectorizer.fit_transform(columns.iloc[index]))
    test_x = imputer.transform(vectorizer.transform(columns.iloc[rest]))
    return Source(x, y, test_x, test_y, classes)


# Name -> kind, and what loads it. What has a comma is the set before it: encoded in another way, or more of it.
SETS: dict[str, tuple[str, Callable[[], Source]]] = {
    "banking77": ("text", partial(texts, "banking77")),
    "clinc150": ("text", partial(texts, "clinc150_imbalanced")),
    "airports": ("text", airports),
    "cars": ("text", cars),
    "CIFAR-10": ("image", partial(images, "cifar10_lt50")),
    "CIFAR-10, more": ("image", partial(images, "cifar10_lt50", (5, 12, 60))),
    "CIFAR-100": ("image", partial(images, "cifar100_lt50")),
    "Fashion-MNIST": ("image", partial(images, "fashion_mnist")),
    "plankton": ("image", partial(images, "plankton")),
    "letter": ("table", partial(table, "letter")),
    "letter, quantiles": ("quantile", partial(table, "letter")),
    "wine quality": ("table", partial(table, "wine_quality_white")),
    "wine quality, quantiles": ("quantile", partial(table, "wine_quality_white")),
    "digits": ("table", partial(carried, "load_digits")),
    "breast cancer": ("table", partial(carried, "load_breast_cancer")),
    "wine": ("table", partial(carried, "load_wine")),
    "penguins": ("table", penguins),
}
VARIANTS = ("names", "names: shuffled", "names: nonsense", "names: one word", "names: a sentence", "names: 5 templates")


def name_vectors(name: str, classes: list[str]) -> dict[str, np.ndarray]:
    """Vectors of the class names by variant: (K, d) float32."""
    encoder = load_encoder("minilm")
    generator = np.random.default_rng(0)
    syllables = [a + b for a in "bdfgklmnprstvz" for b in "aeiou"]
    nonsense = ["".join(generator.choice(syllables, 4)) for _ in classes]
    word = [max(called.replace("_", " ").split(), key=len) for called in classes]
    wanted: dict[str, tuple[list[str], tuple[str, ...]]] = {
        "names": (classes, ("{}",)),
        "names: nonsense": (nonsense, ("{}",)),
        "names: one word": (word, ("{}",)),
        "names: a sentence": (classes, (SENTENCES[name],)),
        "names: 5 templates": (classes, TEMPLATES),
    }
    found = {
        variant: eq.class_text_vectors(called, encoder.encode, templates=templates).numpy()
        for variant, (called, templates) in wanted.items()
    }
    found["names: shuffled"] = found["names"][generator.permutation(len(classes))]
    return found


@cache
def load(name: str) -> Part:
    """A set of :data:`SETS`, encoded."""
    kind, loader = SETS[name]
    source = loader()
    x, test_x = np.asarray(source.x, "f8"), np.asarray(source.test_x, "f8")
    order = np.argsort(source.test_y, kind="stable")
    names = name_vectors({"clinc150": "clinc150_imbalanced"}.get(name, name), source.classes) if kind == "text" else {}
    wide = (x.astype("f4"), test_x[order].astype("f4"))
    if kind in ("image", "text"):
        mean = x.mean(0) if kind == "image" else np.zeros(x.shape[1])
        components = np.linalg.eigh((x - mean).T @ (x - mean))[1][:, : -COMPONENTS - 1 : -1]
        x, test_x = (x - mean) @ components, (test_x - mean) @ components
        names = {variant: (rows @ components).astype("f4") for variant, rows in names.items()}
        wide = tuple((rows - mean).astype("f4") / np.sqrt(((wide[0] - mean) ** 2).sum(1).mean()) for rows in wide)
    elif kind == "table":
        mean, deviation = x.mean(0), x.std(0)
        x, test_x = ((rows - mean) / np.where(deviation > 0, deviation, 1) for rows in (x, test_x))
    elif kind == "quantile":
        from sklearn.preprocessing import QuantileTransformer

        transformer = QuantileTransformer(n_quantiles=200, output_distribution="normal", random_state=0).fit(x)
        x, test_x = transformer.transform(x), transformer.transform(test_x)
    size = np.sqrt((x**2).sum(1).mean())
    return Part(
        (x / size).astype("f4"), source.y, (test_x[order] / size).astype("f4"), source.test_y[order], names, wide
    )
