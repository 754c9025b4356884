"""Tables and figures of the single questions, from their records alone, as docs/ shows them."""

from __future__ import annotations

from collections.abc import Callable
from importlib import import_module
from pathlib import Path

from equiangular._files import read_json
from equiangular.measures import mean_ci
from equiangular.report.figure import save_figure
from experiments.common import QUESTIONS, mean_text
from experiments.report import records
from experiments.report.records import pm, rows_of


def _signed(mean: float, low: float, high: float) -> str:
    return f"{mean:+.1f} [{low:+.1f}, {high:+.1f}]".replace("-", "−")


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
            else tuple(pm(e) for e in (*other["all"][:: len(other["all"]) - 1], other["average"]))
        )
        rows.append((entry["label"], pm(entry["all"][-1]), pm(entry["average"]), *told))
    heads = ("digits, last", "digits, average", "CIFAR-100, base", "CIFAR-100, last", "CIFAR-100, average")
    return rows_of(("method", *heads), rows)


def alignment() -> str:
    """Frames that move, by loss."""
    table = read_json(QUESTIONS / "alignment.json")["table"]
    rows = []
    for variant in table["CE"]:
        told = []
        for loss in ("CE", "DR", "logit-adjusted CE"):
            entry = table[loss][variant]["balanced_accuracy"]
            more = f" ({_signed(entry['difference'], *entry['difference_ci95'])})" if "difference" in entry else ""
            told.append(pm(entry) + more)
        rows.append((variant, *told, f"{table['CE'][variant]['alignment']['mean']:.2f}"))
    return rows_of(("the frame", "CE", "DR", "logit-adjusted CE", "alignment"), rows)


def open_set() -> str:
    """AUROC of every head and score."""
    scores = ("neco", "neco (principal)", "vertex", "max_cosine", "msp", "energy")
    rows: list[tuple[str, ...]] = []
    for pair, table in read_json(QUESTIONS / "open_set.json")["table"].items():
        rows.append((f"**{pair.replace(' | ', ' against ')}**", *[""] * (len(scores) + 1)))
        rows += [
            (name, f"{row['accuracy']['mean']:.1f}", *(pm(row[score]["auroc"]) for score in scores))
            for name, row in table.items()
        ]
    return rows_of(("head, loss", "accuracy", *scores), rows)


def small_dim() -> str:
    """Heads of fewer dimensions than an ETF needs, one table a data set."""
    parts = []
    for found in read_json(QUESTIONS / "small_dim.json")["summary"].values():
        rows = []
        for name, row in found["heads"].items():
            told = ("", "")
            if "difference" in row:
                told = (_signed(row["difference"], row["ci_low"], row["ci_high"]), f"{row['p_holm']:.2g}")
            rows.append((name, f"{row['scale']:g}", pm(row), *told))
        heads = ("head", "scale", "balanced accuracy, %", "against `spread_frame` (max_cosine)", "p (Holm)")
        parts.append(rows_of(heads, rows))
    return "\n\n".join(parts)


def prior() -> str:
    """What correcting the prior gains, and how well it is estimated."""
    results = read_json(QUESTIONS / "prior.json")
    gains = []
    for row in results["gain"]["rows"]:
        told = [f"{row['gain'][way][0]:+.1f} ± {row['gain'][way][1]:.1f}" if way in row["gain"] else ""
                for way in ("Bayes' rule", "calibrated", "balanced weights")]  # fmt: skip
        before = f"{mean_ci(row['scores']['as it is'])[0]:.1f}"
        gains.append((row["classifier"], str(row["imbalance"]), before, *told))
    heads = ("classifier", "imbalance", "as it is, %", "Bayes' rule", "calibrated", '`class_weight="balanced"`')
    ways = ("training prior", "counted", "EM", "EM, bias-corrected", "covered")
    far = [
        (row["classifier"], str(row["imbalance"]), *(mean_text(row["distances"][way]) for way in ways))
        for row in results["estimate"]["rows"]
    ]
    shown = ("training prior", "predictions counted", "EM", "EM, bias-corrected", "within")
    return rows_of(heads, gains) + "\n\n" + rows_of(("classifier", "test at", *shown), far)


def rejected() -> str:
    """Shares rejected of known and unknown samples."""
    results = read_json(QUESTIONS / "prior.json")
    called = {
        "etf-ce": "network, ETF + CE (`max_cosine`)", "linear-ce": "network, linear + CE (probability)",
        "banking77": "banking77, TF-IDF",
    }  # fmt: skip
    rows = [
        (called.get(row["data"], row["data"]), row.get("classifier") or called[row["method"]],
         row.get("threshold", "held out"), *(mean_text(row["rejected"][part]) for part in ("known", "unknown")))
        for row in (*results["reject"]["rows"], *results["network"]["rows"])
    ]  # fmt: skip
    return rows_of(("data", "classifier", "threshold from", "known", "unknown"), rows)


def real_data() -> str:
    """One run of each method on every kind of data."""
    called = {
        "cifar10_lt50": "CIFAR-10-LT, factor 100, 16 × 16", "cifar100_lt50": "CIFAR-100-LT, factor 100, 16 × 16",
        "plankton": "Plankton (NDSB 2015), 24 × 24", "fashion_mnist": "Fashion-MNIST, 14 × 14, 3 epochs",
        "letter": "Letter, 16 features", "wine_quality_white": "White wine, 11 features",
        "clinc150_imbalanced": "CLINC150, texts", "banking77": "BANKING77, texts",
        "image folder": "a folder of PNG files (scikit-learn's digits)",
    }  # fmt: skip
    kept = read_json(QUESTIONS / "real_data.json")["rows"]
    rows = []
    for linear, fixed in zip(kept[::2], kept[1::2], strict=True):
        about = (called[linear["data"]], str(linear["classes"]), f"{linear['training_samples']:,}")
        told = [f"{row['accuracy']:.1f} / {row['balanced_accuracy']:.1f}" for row in (linear, fixed)]
        seconds = f"{linear['wall_seconds']:.0f}" if linear["wall_seconds"] >= 1 else "< 1"
        rows.append((*about, seconds, told[0], f"{told[1]} (`{fixed['method']}`)"))
    heads = ("data", "classes", "training samples", "seconds", "learnable linear + CE", "fixed + logit adjustment")
    return rows_of(heads, rows)


def collapse() -> str:
    """Collapse at the last epoch."""
    rows = []
    for study, measured in read_json(QUESTIONS / "collapse_curves.json")["studies"].items():
        for method, curve in measured["curves"].items():
            last = curve[-1]
            told = (f"{last[key]:.3f}" for key in ("nc1", "nc2_equiangular", "nc3", "nc4"))
            rows.append((f"{study.replace(', imbalance 50', '')}: {method} (epoch {last['epoch']})", *told))
    return rows_of(("training data, method", "NC1", "NC2", "NC3", "NC4"), rows)


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


def calibration() -> str:
    """ECE before and after calibration on few samples."""
    from experiments.questions import worth

    return worth.calibration_table(read_json(worth.OUTPUT)["calibration"])


# Record -> the document that shows its tables, and what makes them of it.
TABLES: dict[str, tuple[str, Callable[[], str]]] = {
    "alignment": ("incremental.md", alignment),
    "collapse_curves": ("collapse.md", collapse),
    "compare_banking77": ("compare.md", records.banking),
    "digits": ("digits.md", records.digits),
    "features": ("embeddings.md", _own("features")),
    "from_scratch": ("evidence.md", _own("from_scratch")),
    "huge_k": ("evidence.md", _own("huge_k")),
    "incremental": ("incremental.md", incremental),
    "named": ("embeddings.md", _own("named")),
    "open_set": ("open_set.md", open_set),
    "pretrained": ("pretrained.md", pretrained),
    "prior": ("integrations.md", prior),
    "prior_rejected": ("open_set.md", rejected),
    "real_data": ("training.md", real_data),
    "rivals": ("evidence.md", _own("rivals")),
    "small_dim": ("frames.md", small_dim),
    "studies_effects": ("evidence.md", records.effects),
    "studies_paper": ("evidence.md", records.paper),
    "studies_recipe": ("evidence.md", records.recipe),
    "studies_texts": ("evidence.md", records.texts),
    "studies_verdicts": ("evidence.md", records.verdicts),
    "time_to_accuracy": ("training.md", _own("time_to_accuracy")),
    "tables": ("integrations.md", _own("tables")),
    "transfer": ("transfer.md", transfer),
    "unlearned": ("evidence.md", _own("unlearned")),
    "worth_calibration": ("evaluation.md", calibration),
}


def draw(folder: Path) -> None:
    """The figures of the questions."""
    from experiments.pretrained.summary import read_records, summarise
    from experiments.pretrained.tables import FOLDER, contrasts_figure
    from experiments.questions import (
        collapse_curves,
        from_scratch,
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
    save_figure(from_scratch.draw(read_json(from_scratch.OUTPUT)), folder / "from_scratch.svg")
    collapse_curves.draw(
        read_json(QUESTIONS / "collapse_curves.json")["studies"], folder, folder / "collapse_curves.html"
    )
