"""Tables and figures of the single questions, from their records alone, as docs/ shows them."""

from __future__ import annotations

from collections.abc import Callable
from importlib import import_module
from pathlib import Path
from typing import Any

from equiangular._files import read_json
from equiangular.report.figure import save_figure
from experiments.common import QUESTIONS


def _pm(entry: dict[str, Any]) -> str:
    return f"{entry['mean']:.1f} ± {entry['ci95']:.1f}"


def _signed(mean: float, low: float, high: float) -> str:
    return f"{mean:+.1f} [{low:+.1f}, {high:+.1f}]".replace("-", "−")


def _rows(heads: tuple[str, ...], rows: list[tuple[str, ...]]) -> str:
    lines = [f"| {' | '.join(row)} |".replace("  |", " |") for row in (heads, *rows)]
    return "\n".join([lines[0], f"|{'---|' * len(heads)}", *lines[1:]])


def incremental() -> str:
    """Both studies of arriving classes side by side."""
    digits, images = (
        read_json(QUESTIONS / f"incremental_{name}.json")["table"] for name in ("digits", "cifar100_lt50")
    )
    rows = []
    for method, entry in digits.items():
        other = images.get(method)
        told = (
            ("", "", "")
            if other is None
            else tuple(_pm(e) for e in (*other["all"][:: len(other["all"]) - 1], other["average"]))
        )
        rows.append((entry["label"], _pm(entry["all"][-1]), _pm(entry["average"]), *told))
    heads = ("digits, last", "digits, average", "CIFAR-100, base", "CIFAR-100, last", "CIFAR-100, average")
    return _rows(("method", *heads), rows)


def alignment() -> str:
    """Frames that move, by loss."""
    table = read_json(QUESTIONS / "alignment.json")["table"]
    rows = []
    for variant in table["CE"]:
        told = []
        for loss in ("CE", "DR", "logit-adjusted CE"):
            entry = table[loss][variant]["balanced_accuracy"]
            more = f" ({_signed(entry['difference'], *entry['difference_ci95'])})" if "difference" in entry else ""
            told.append(_pm(entry) + more)
        rows.append((variant, *told, f"{table['CE'][variant]['alignment']['mean']:.2f}"))
    return _rows(("the frame", "CE", "DR", "logit-adjusted CE", "alignment"), rows)


def open_set() -> str:
    """AUROC of every head and score."""
    scores = ("neco", "neco (principal)", "vertex", "max_cosine", "msp", "energy")
    rows: list[tuple[str, ...]] = []
    for pair, table in read_json(QUESTIONS / "open_set.json")["table"].items():
        rows.append((f"**{pair.replace(' | ', ' against ')}**", *[""] * (len(scores) + 1)))
        rows += [
            (name, f"{row['accuracy']['mean']:.1f}", *(_pm(row[score]["auroc"]) for score in scores))
            for name, row in table.items()
        ]
    return _rows(("head, loss", "accuracy", *scores), rows)


def small_dim() -> str:
    """Heads of fewer dimensions than an ETF needs, one table a data set."""
    parts = []
    for found in read_json(QUESTIONS / "small_dim.json")["summary"].values():
        rows = []
        for name, row in found["heads"].items():
            told = ("", "")
            if "difference" in row:
                told = (_signed(row["difference"], row["ci_low"], row["ci_high"]), f"{row['p_holm']:.2g}")
            rows.append((name, f"{row['scale']:g}", _pm(row), *told))
        heads = ("head", "scale", "balanced accuracy, %", "against `spread_frame` (max_cosine)", "p (Holm)")
        parts.append(_rows(heads, rows))
    return "\n\n".join(parts)


def transfer() -> str:
    """Every table of the transfer of features."""
    from experiments.questions.transfer_tables import markdown

    return markdown(read_json(QUESTIONS / "transfer.json")["table"])


def pretrained() -> str:
    """Every table of the study on pretrained features."""
    from experiments.pretrained.tables import all_tables

    return all_tables()


def _own(name: str) -> Callable[[], str]:
    """The table that a question makes of its own record."""

    def made() -> str:
        question = import_module(f"experiments.questions.{name}")
        results = read_json(question.OUTPUT)
        more = [question.relations(results)] if hasattr(question, "relations") else []
        return "\n\n".join([question.table(results), *more])

    return made


# Record -> the document that shows its tables, and what makes them of it.
TABLES: dict[str, tuple[str, Callable[[], str]]] = {
    "alignment": ("incremental.md", alignment),
    "features": ("embeddings.md", _own("features")),
    "huge_k": ("evidence.md", _own("huge_k")),
    "incremental": ("incremental.md", incremental),
    "named": ("embeddings.md", _own("named")),
    "open_set": ("open_set.md", open_set),
    "pretrained": ("pretrained.md", pretrained),
    "rivals": ("evidence.md", _own("rivals")),
    "small_dim": ("frames.md", small_dim),
    "time_to_accuracy": ("training.md", _own("time_to_accuracy")),
    "transfer": ("transfer.md", transfer),
    "unlearned": ("evidence.md", _own("unlearned")),
}


def draw(folder: Path) -> None:
    """The figures of the questions."""
    from experiments.pretrained.summary import read_records, summarise
    from experiments.pretrained.tables import FOLDER, contrasts_figure
    from experiments.questions import (
        collapse_curves,
        incremental,
        open_set,
        time_to_accuracy,
        transfer,
        transfer_tables,
    )

    for name, study in incremental.STUDIES.items():
        record = QUESTIONS / f"incremental_{name}.json"
        title = f"{name}: {study.base} + {study.sessions} x {study.ways} classes, {study.shots} shots"
        incremental.draw(read_json(record)["table"], title, folder / f"incremental_{name}.svg")
    open_set.draw(read_json(QUESTIONS / "open_set.json")["table"], folder / "open_set.svg")
    transfer_tables.draw(read_json(QUESTIONS / "transfer.json"), transfer.SOURCES, folder / "transfer.svg")
    found = summarise(read_records(FOLDER))
    save_figure(contrasts_figure(found), folder / "pretrained_contrasts.svg")
    runs = read_json(time_to_accuracy.OUTPUT)["runs"]
    save_figure(time_to_accuracy.draw(runs), folder / "time_to_accuracy.svg")
    collapse_curves.draw(
        read_json(QUESTIONS / "collapse_curves.json")["studies"], folder, folder / "collapse_curves.html"
    )
