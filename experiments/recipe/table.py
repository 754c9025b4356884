"""Make RECIPE.md: what every change to the recipe did on validation data, for the fixed head and its rival.

python -m experiments recipe-table            # make it again
python -m experiments recipe-table --check    # say whether it is up to date
"""

from __future__ import annotations

import math
import sys
from collections.abc import Sequence
from typing import Any

from equiangular._files import read_json
from equiangular.measures import paired_comparison
from experiments.common import HERE, RECIPE, command_parser
from experiments.report.across import Grid

HEADS = ("etf", "learnable")
TEXT = """# The search for the recipe, second round

Made by `python -m experiments recipe-table` from `experiments/results/recipe`; not edited by hand.

Every change is one change to the recipe of the first round: an ETF on free features after BatchNorm, behind a learned
linear map where d < 4K, logit-adjusted cross-entropy, scale 1. Its rival is a learned linear classifier after BatchNorm
with the same loss, scale and budget; where a change makes sense for it, it has the same change. Balanced accuracy in
points on *validation* data of the training pool, minus that of the unchanged recipe (or the unchanged rival), fixed /
learned, mean over paired runs; bold where the 95 % CI (Student's t) does not contain 0. The test part took no part in
it. Without a slash: a change for fixed heads alone; with nothing before it: for learned ones. Empty: not run there.
"Map" is the learned linear map, "neurons shared out" the grouped basis of the ETF, UniMix, balanced mixup and vector
scaling are those of `docs/data.md` and `losses`.

"""


def difference(found: dict[str, list[float]], head: str, name: str) -> str:
    """Mean difference from the base of this head, bold where it is beyond its interval; empty if not run."""
    scores = found.get(f"{head}: {name}", [])
    base = found[f"{head}: recipe"][: len(scores)]
    if len(scores) < 2:
        return ""
    if scores == base:
        return "0"
    test = paired_comparison(scores, base)
    text = f"{test.mean_difference:+.1f}".replace("-", "−")
    return f"**{text}**" if test.ci_low > 0 or test.ci_high < 0 else text


def both(fixed: str, learned: str) -> str:
    """What a cell shows of the two; a slash before what is learned."""
    return f"{fixed} / {learned}".strip() if learned else fixed


def table(results: dict[str, dict[str, Any]]) -> Grid:
    """A row for every change, a column for every data set."""
    scores = {case: result["scores"] for case, result in results.items()}
    names = dict.fromkeys(key.split(": ", 1)[1] for found in scores.values() for key in found)
    rows = []
    for name in names:
        if name == "recipe":
            continue
        cells = [both(*(difference(found, head, name) for head in HEADS)) for found in scores.values()]
        if any(cells):
            rows.append((name, *cells))
    base = [
        " / ".join(f"{sum(values) / len(values):.1f}" for head in HEADS if (values := found[f"{head}: recipe"]))
        for found in scores.values()
    ]
    runs = [str(max(map(len, found.values()))) for found in scores.values()]
    first = [("recipe / rival, %", *base), ("runs", *runs)]
    return Grid("", ("change", *scores), [*first, *sorted(rows, key=_mean, reverse=True)])


def _mean(row: tuple[str, ...]) -> float:
    """Mean of the differences of the fixed head, for the order of the rows; without one last."""
    firsts = [cell.split("/")[0].strip("* ").replace("−", "-") for cell in row[1:] if cell and cell[0] != "/"]
    return sum(map(float, firsts)) / len(firsts) if firsts else -math.inf


def document() -> str:
    """The whole file."""
    paths = sorted(RECIPE.glob("*-second.json"))
    return TEXT + table({path.stem.removesuffix("-second"): read_json(path) for path in paths}).markdown() + "\n"


def main(arguments: Sequence[str] | None = None) -> None:
    parser = command_parser("recipe-table", __doc__)
    parser.add_argument("--check", action="store_true", help="write nothing")
    check, path, text = parser.parse_args(arguments).check, HERE / "RECIPE.md", document()
    if not check:
        path.write_text(text, encoding="utf-8")
    elif path.read_text(encoding="utf-8") != text:
        sys.exit(f"{path.name} is not what the results say; run: python -m experiments recipe-table")
