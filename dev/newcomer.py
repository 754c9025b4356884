"""The first ten minutes of a newcomer, typed and timed: README, demo, page, own photographs, page, own CSV, prediction.

    python dev/newcomer.py runs/newcomer              # with the environment at hand
    python dev/newcomer.py runs/newcomer --install    # and the environment of the README first, as `make demo` has it

Typing is counted as 200 characters a minute. Given again, what is there stays. Processor time is told beside the wait,
which other work on the machine makes longer. Pages are opened in headless Chromium, where there is one.
"""

from __future__ import annotations

import argparse
import csv
import io
import json
import os
import resource
import shlex
import shutil
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

ROOT = Path(__file__).parents[1]
TYPED = 60 / 200  # seconds for each character
BROWSERS = ("chromium", "chromium-browser", "google-chrome")
# Forms of a photograph: ending, mode, options of Pillow.
FORMS: tuple[tuple[str, str, dict[str, Any]], ...] = (
    ("jpg", "RGB", {"quality": 90}),
    ("jpeg", "RGB", {"progressive": True}),
    ("jpg", "L", {}),
    ("jpg", "CMYK", {}),
    ("png", "RGB", {}),
    ("png", "RGBA", {}),
    ("png", "P", {}),
    ("png", "LA", {}),
    ("png", "1", {}),
    ("webp", "RGB", {}),
    ("tiff", "RGB", {"compression": "tiff_lzw"}),
    ("bmp", "RGB", {}),
)


def write_photographs(folder: Path, number: int = 60) -> None:
    """Pieces of the two photographs of scikit-learn, a folder each, in twelve forms; and one file that is broken."""
    import numpy as np
    from PIL import Image
    from sklearn.datasets import load_sample_images

    rng = np.random.default_rng(0)
    for name, whole in zip(("palace", "flower"), load_sample_images().images, strict=True):
        (folder / name).mkdir(parents=True)
        for place in range(number):
            ending, mode, options = FORMS[place % len(FORMS)]
            y, x = rng.integers(0, whole.shape[0] - 96), rng.integers(0, whole.shape[1] - 96)
            piece = Image.fromarray(whole[y : y + 96, x : x + 96]).convert(mode)
            piece.save(folder / name / f"{place:02}.{ending}", **options)
    held = io.BytesIO()
    Image.fromarray(whole).save(held, "jpeg")
    (folder / "flower" / "broken.jpg").write_bytes(held.getvalue()[:3000])


def write_table(folder: Path) -> None:
    """A CSV with the class in a column, and rows without it."""
    from sklearn.datasets import load_wine

    wine = load_wine()
    kinds = ["barolo", "grignolino", "barbera"]
    rows = [[*x, kinds[y]] for x, y in zip(wine.data.tolist(), wine.target.tolist(), strict=True)]
    for name, head, body in (
        ("wine.csv", [*wine.feature_names, "kind"], rows),
        ("new.csv", wine.feature_names, [row[:-1] for row in rows[::30]]),
    ):
        with (folder / name).open("w", newline="", encoding="utf-8") as file:
            csv.writer(file).writerows([head, *body])


def steps(install: bool) -> Iterator[tuple[str, str, int]]:
    """What is done, what is typed or opened, and the exit code."""
    if install:
        yield "install, as in the README", "python3 -m venv .venv", 0
        yield (
            "install, as in the README",
            f".venv/bin/pip install -q -c {ROOT}/constraints.txt -e '{ROOT}[train,plot,data]'",
            0,
        )
    yield "the demo", "equiangular compare digits --output runs/demo", 0
    yield "its page", "open runs/demo/report.html", 0
    yield "own photographs, one broken", "equiangular train photos -o runs/photos", 0
    yield "scores by class", "equiangular evaluate runs/photos", 0
    yield "its page", "open runs/photos/evaluation/report.html", 0
    yield "own CSV", "equiangular train wine.csv --label kind -o runs/wine", 0
    yield "its page", "open runs/wine/report.html", 0
    yield "prediction", "equiangular predict runs/wine new.csv -o predictions.csv", 0


def processor_time() -> float:
    """Seconds of the processor that children have used which have ended."""
    used = resource.getrusage(resource.RUSAGE_CHILDREN)
    return used.ru_utime + used.ru_stime


def opened(page: Path) -> float:
    """Seconds until a page is ready in a browser; 0 where there is none."""
    found = next(filter(None, map(shutil.which, BROWSERS)), None)
    if found is None:
        return 0.0
    from playwright.sync_api import sync_playwright

    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=found, args=["--no-sandbox"])
        begun, shown = time.monotonic(), browser.new_page()
        shown.goto(page.resolve().as_uri())
        shown.wait_for_function("window.ready", timeout=120_000)
        took = time.monotonic() - begun
        browser.close()
    return took


def main() -> None:
    """Go the whole way and print the table of times."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("folder", type=Path, help="a new folder")
    parser.add_argument("--install", action="store_true", help="make the environment of the README first")
    options = parser.parse_args()
    folder = options.folder.resolve()
    folder.mkdir(parents=True, exist_ok=True)
    if not (folder / "photos").exists():
        write_photographs(folder / "photos")
        write_table(folder)
    python = folder / ".venv" / "bin" / "python" if options.install else Path(sys.executable)
    paths = os.pathsep.join(filter(None, [str(ROOT / "src"), os.environ.get("PYTHONPATH")]))
    rows = []
    for what, line, code in steps(options.install):
        words, begun, used = shlex.split(line), time.monotonic(), processor_time()
        if words[0] == "open":
            waited = opened(folder / words[1])
        else:
            words = [str(python), "-m", *words] if words[0] == "equiangular" else words
            done = subprocess.run(
                words, cwd=folder, capture_output=True, text=True, env={**os.environ, "PYTHONPATH": paths}
            )
            (folder / f"{len(rows):02}.txt").write_text(f"$ {line}\n{done.stdout}{done.stderr}", encoding="utf-8")
            if done.returncode != code:
                sys.exit(f"{line} ended with {done.returncode}\n{done.stdout}{done.stderr}")
            waited = time.monotonic() - begun
        row = {"what": what, "line": line, "typing": TYPED * len(line), "waiting": waited}
        rows.append({**row, "processor": processor_time() - used})
        shown = " | ".join(f"{rows[-1][key]:.0f}" for key in ("typing", "waiting", "processor"))
        print(f"| {what} | `{line}` | {shown} |", flush=True)
    total = sum(row["typing"] + row["waiting"] for row in rows)
    predicted = (folder / "predictions.csv").read_text(encoding="utf-8").splitlines()
    print(f"{total / 60:.1f} minutes; {len(predicted) - 1} rows predicted, the first {predicted[1]}")
    (folder / "times.json").write_text(json.dumps({"steps": rows, "seconds": total}, indent=1), encoding="utf-8")


if __name__ == "__main__":
    main()
