"""The lock with hashes of what `make demo` and `make test` install, and the page of all licences.

    python dev/lock.py lock       # needs uv; writes requirements/*.txt from pyproject.toml and constraints.txt
    python dev/lock.py licences   # writes docs/licences.md from what the environment has of requirements/test.txt

The hashes are those of every file of a release on PyPI. PyTorch has two files of its own: torch-cpu.txt is a CPU build
for Linux, torch.txt is PyPI's, which for Linux brings NVIDIA's libraries.
"""

from __future__ import annotations

import re
import subprocess
import sys
from importlib import metadata
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
FOLDER = ROOT / "requirements"
OF = {"demo": ["train", "plot"], "test": ["dev"]}
BUILD = "hatchling>=1.24\neditables>=0.5"  # build the package itself
VISION = ["timm", "peft", "torchvision==0.28.*"]
# CPU builds, whose files are not on PyPI: Linux x86-64, Python 3.11.
CPU = {"torch==2.13.0+cpu": "6746dbcbeb526eb61330b76b41ff1b4eb848951103a892eeb080dfa2b264667b"}
CPU_VISION = {"torchvision==0.28.0": "7e80f543b22503d9415e126db5f0ff3917036925e38560ee6b9ae38c571a4002"}
TORCH = re.compile(r"(torch|nvidia[\w-]*|cuda[\w-]*|triton)==")  # what differs between builds
HEAD = "# Made by dev/lock.py from pyproject.toml: see there.\n"
OSI = {  # what metadata say in their own words, by the licence's SPDX name
    "mit": "MIT", "mit license": "MIT", "bsd license": "BSD", "apache software license": "Apache-2.0",
    "apache license 2.0": "Apache-2.0", "apache 2.0": "Apache-2.0", "apache": "Apache-2.0",
    "apache 2.0 license": "Apache-2.0", "apache license, version 2.0": "Apache-2.0", "bsd": "BSD",
    "mozilla public license 2.0 (mpl 2.0)": "MPL-2.0", "python software foundation license": "PSF-2.0",
    "unknown": "not stated",
    "isc license (iscl)": "ISC", "3-clause bsd license": "BSD-3-Clause", "bsd 3-clause": "BSD-3-Clause",
}  # fmt: skip


def blocks(text: str) -> dict[str, str]:
    """A lock's entries: package's name and version → its lines."""
    entries = re.findall(r"^[^\s#](?:.*\\\n)*.*\n", text, re.MULTILINE)
    return {re.split(r"[ ;\\]", entry)[0]: entry for entry in entries}


def compiled(*options: str, needs: str = "") -> dict[str, str]:
    """What uv resolves, with hashes; `needs` are requirements beside pyproject's."""
    command = [
        "uv", "pip", "compile", "-q", "--universal", "--python-version", "3.11", "--generate-hashes", "--no-annotate",
        "--no-header", "-c", "constraints.txt", *options, "-",
    ]  # fmt: skip
    return blocks(subprocess.run(command, cwd=ROOT, input=needs, text=True, check=True, stdout=subprocess.PIPE).stdout)


def write(name: str, entries: dict[str, str]) -> None:
    """A lock."""
    (FOLDER / f"{name}.txt").write_text(HEAD + "".join(entries.values()), encoding="utf-8")


def lock() -> None:
    """Write the locks of both commands, the tests' one first: the demo's versions are taken from it."""
    FOLDER.mkdir(exist_ok=True)
    builds: dict[str, str] = {}
    every: list[str] = []
    for name in ("test", "demo"):
        same = ["-c", str(FOLDER / "test.txt")] if every else []
        extras = [option for extra in OF[name] for option in ("--extra", extra)]
        every = list(found := compiled("pyproject.toml", *extras, *same, needs=BUILD))
        builds |= {package: entry for package, entry in found.items() if TORCH.match(package)}
        write(name, {package: entry for package, entry in found.items() if not TORCH.match(package)})
    write("torch", builds)
    write("torch-cpu", {package: f"{package} --hash=sha256:{digest}\n" for package, digest in CPU.items()})
    vision = compiled("--no-deps", needs="\n".join(VISION))
    for package, digest in CPU_VISION.items():
        vision[package] = vision[package].rstrip("\n") + f" \\\n    --hash=sha256:{digest}\n"
    write("vision", vision)


def licence(name: str) -> tuple[str, str]:
    """Version and licence of an installed package, as its metadata state them."""
    about = metadata.metadata(name)
    classifiers = [c.rpartition(" :: ")[2] for c in about.get_all("Classifier") or [] if c.startswith("License ::")]
    said = about.get("License-Expression") or "; ".join(c for c in classifiers if c != "OSI Approved")
    said = said or (about.get("License") or "not stated").strip().splitlines()[0]
    return about["Version"], OSI.get(said.lower(), said)


def licences() -> str:
    """The page of licences: what is locked for the demo, and for the tests beside it."""
    locked = {name: list(blocks((FOLDER / f"{name}.txt").read_text(encoding="utf-8"))) for name in ("demo", "test")}
    locked["demo"].append("torch")
    names = {place: {entry.partition("==")[0] for entry in entries} for place, entries in locked.items()}
    rows, absent = [], []
    for name in sorted(names["demo"] | names["test"]):
        try:
            version, terms = licence(name)
        except metadata.PackageNotFoundError:
            absent.append(name)
            continue
        rows.append(f"| {name} | {version} | {terms} | {'demo' if name in names['demo'] else 'tests'} |")
    return "\n".join([
        "# Licences of what is installed", "",
        "Every package that `make demo` and `make test` install (`requirements/`), with its licence as its own",
        "metadata state it. `make lock` writes this page. None of it is part of this package, which is Apache-2.0.", "",
        "| package | version | licence | for |", "|---|---|---|---|", *rows, "",
        f"Not installed where this was written, for another system or Python: {', '.join(absent) or 'none'}.",
        "PyPI's PyTorch for Linux brings NVIDIA's CUDA libraries too (`requirements/torch.txt`), under NVIDIA's own",
        "terms; a CPU build does not.", "",
    ])  # fmt: skip


if __name__ == "__main__":
    if sys.argv[1:] == ["lock"]:
        lock()
    elif sys.argv[1:] == ["licences"]:
        (ROOT / "docs" / "licences.md").write_text(licences(), encoding="utf-8")
    else:
        sys.exit(__doc__)
