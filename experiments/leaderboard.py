"""Make LEADERBOARD.md from the kept results: every data set, its protocol and its best methods.

    python -m experiments leaderboard                        # make it again
    python -m experiments leaderboard --check                # say whether it is up to date
    python -m experiments leaderboard --add runs/letter ...  # first keep these, one file for each imbalance factor

Nothing but the files decides what is written, so that a test can hold it against what is committed.
"""

from __future__ import annotations

import sys
from collections.abc import Iterator, Sequence
from pathlib import Path

from equiangular._files import read_json, write_json, write_text
from equiangular.records import Comparison, from_json
from experiments.common import HERE, cell_text, command_parser
from experiments.report.across import Grid
from experiments.studies.across import contrasts
from experiments.studies.cells import Cell
from experiments.studies.compact import compact, read_studies
from experiments.studies.data_sets import cut_name, data_sets

TOP = 12
COLUMNS = (("accuracy", "accuracy"), ("few", "few-shot"), ("ece", "ECE"))
ROLES = {  # of the cells that a contrast names
    ("bare", "fixed"): "best fixed, by validation",
    ("validation", "fixed"): "best fixed or mapped, by validation",
    ("validation", "learnable"): "best learnable, by validation",
    ("test", "learnable"): "best learnable, by test",
    ("linear", "learnable"): "learnable linear + CE",
    ("recipe", "fixed"): "the recipe",
}
HEAD = f"""# Leaderboard

Made by `python -m experiments leaderboard` from `experiments/results`; not edited by hand.

Balanced test accuracy of the last epoch in %, mean ± 95 % CI over n paired runs (Student's t), each with a training
seed and a subset of its own. Every method of a table had the same backbone, data and epochs. In a study every cell was
tuned alike, on validation data of the training pool; the test part took no part in it. For every data set: the {TOP}
best rows, and those that the last column names wherever they rank. The first row is the best of many on the test part,
so it flatters; *by validation* is what one would have chosen. Few-shot: classes of fewer than 20 training samples.
Seconds: one training on one CPU thread beside others, an order of magnitude.

**To join it:**

- **Protocol.** The line under a heading: data, cut, backbone, epochs, batches, augmentation. Everything of a method is
  tuned by the study's own tuning, on validation data of the training pool. Test scores are those of the last epoch; at
  least 3 paired runs, each with a training seed and a subset of its own. A method that has seen more data than the
  others, or was chosen on the test part, does not belong here.
- **Command.** A new head, loss or correction is a level of `experiments/studies/cells.py`, with its meaning in
  the same file; its cells go into a study of `registry.py`. `python -m experiments reproduce STUDY -o runs/NAME` trains
  what is missing; `--imbalance` and `--seeds` name one cut. A killed study goes on.
- **Record.** `python -m experiments leaderboard --add runs/NAME` keeps a file in `experiments/results/studies` and
  makes this page again. The file has every run's scores, what was tuned, commit, command and versions. Send record,
  code and page as one change; `make test` compares page and record.
"""


def main(arguments: Sequence[str] | None = None) -> None:
    parser = command_parser("leaderboard", __doc__)
    parser.add_argument("--check", action="store_true", help="write nothing; exit 1 if the file is out of date")
    parser.add_argument("--add", type=Path, nargs="+", default=[], metavar="RESULTS", help="results of studies to keep")
    parser.add_argument("--folder", type=Path, default=HERE, help="the folder with results/ and LEADERBOARD.md")
    options = parser.parse_args(arguments)
    for results in map(compact, read_studies(options.add) if options.add else []):
        for part in results["parts"]:
            name = f"{results['study']['name']}_imbalance{part['imbalance']:g}.json"
            write_json(options.folder / "results" / "studies" / name, {**results, "parts": [part]})
    text, path = leaderboard(options.folder / "results"), options.folder / "LEADERBOARD.md"
    if not options.check:
        write_text(path, text)
    elif not path.exists() or path.read_text(encoding="utf-8") != text:
        sys.exit(f"{path.name} is not what the results say; run: python -m experiments leaderboard")


def leaderboard(folder: Path) -> str:
    """The whole text from the results in a folder."""
    sections = [comparison_section(from_json(Comparison, read_json(path))) for path in sorted(folder.glob("*.json"))]
    files = sorted(folder.glob("studies/*.json"))
    studies = read_studies(files) if files else []
    kept = {(one["study"], one["imbalance"]) for one in data_sets(studies)[0]} if studies else set()
    found = [(results, part) for results in studies for part in results["parts"]]
    for results, part in sorted(found, key=lambda f: (f[0]["study"]["data"], f[1]["imbalance"])):
        if (results["study"]["name"], part["imbalance"]) in kept:
            sections.append(study_section(results, part))
    return "\n".join([HEAD, *sections])


def study_section(results: dict, part: dict) -> str:
    study, trained = results["study"], part["trained"]
    roles: dict[str, list[str]] = {}
    for row in contrasts([{**results, "parts": [part]}]):
        for side in ("fixed", "learnable"):
            roles.setdefault(row[side], []).append(ROLES.get((row["contrast"], side), ""))
    notes = {name: "; ".join(dict.fromkeys(filter(None, found))) for name, found in roles.items()}
    rows = [row for row in ranked(part["table"], notes) if int(row[0]) <= TOP or row[-1]]
    protocol = [f"study `{study['name']}`, {len(part['table'])} cells"]
    protocol += [f"{trained['samples']} training samples in {trained['classes']} classes"] if trained else []
    protocol += backbone_of(trained["backbone"] if trained else study["backbone"], study) + budget_of(study["budget"])
    epochs = study["tuning_epochs"] or study["budget"]["epochs"]
    where = f" at imbalance {study['tuned_at']:g}" if study["tuned_at"] else ""
    protocol.append(f"{study['tuning_seeds']} x {epochs} epochs for each candidate of the tuning{where}")
    return section(cut_name(study["data"], part["imbalance"]), protocol, rows, results["provenance"])


def comparison_section(results: Comparison) -> str:
    config, answer = results.config, results.answer
    notes = {"linear-ce": "learnable linear + CE"}
    if answer is not None and answer.fixed and answer.learned:
        notes |= {answer.fixed: "fixed, by validation", answer.learned: "learned, by validation"}
    protocol = ["`equiangular compare`", *backbone_of(results.backbone, config), *budget_of(config)]
    name = cut_name(results.data.name, config["imbalance"]) + ": the comparison of docs/digits.md"
    table = {
        row.method: {"label": row.label, "kind": row.kind, "n": row.n, **{k: vars(m) for k, m in row.measures.items()}}
        for row in results.rows
    }
    return section(name, protocol, list(ranked(table, notes)), results.provenance)


def ranked(table: dict, notes: dict[str, str]) -> Iterator[tuple[str, ...]]:
    """The rows of a table with a result, the best first."""
    finished = {name: row for name, row in table.items() if row["balanced_accuracy"]["mean"] is not None}
    order = sorted(finished, key=lambda name: (-finished[name]["balanced_accuracy"]["mean"], name))
    for place, name in enumerate(order, 1):
        row = finished[name]
        scores = (cell_text(row[key], key) for key in ("balanced_accuracy", *(key for key, _ in COLUMNS)))
        seconds = row.get("seconds", {}).get("mean")
        facts = (str(row["n"]), "-" if seconds is None else f"{seconds:.1f}")
        kind = row.get("kind") or Cell.parse(name).kind
        yield (str(place), row["label"], kind, *scores, *facts, notes.get(name, ""))


def section(name: str, protocol: list[str], rows: list[tuple[str, ...]], provenance: dict) -> str:
    headings = ("#", "method", "classifier", "balanced", *(h for _, h in COLUMNS), "n", "s / training", "")
    origin = f"Commit {provenance['commit'] or 'unknown'}, `{provenance['command']}`, {provenance['time_utc'][:10]}."
    return f"## {name}\n\n{', '.join(protocol)}. {origin}\n\n{Grid(name, headings, rows, text=3).markdown()}\n"


def backbone_of(name: str, options: dict) -> list[str]:
    width = "" if options["width"] == 1 else f" of width {options['width']:g}"
    return [f"backbone {name}{width}", *([f"images of {options['size']} pixels"] if options["size"] else [])]


def budget_of(budget: dict) -> list[str]:
    augment = [] if budget["augment"] == "none" else [f"augmented by {budget['augment']}"]
    return [f"{budget['epochs']} epochs of batches of {budget['batch_size']}", *augment]
