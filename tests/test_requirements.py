"""The lock of requirements/ and the page of licences are of what pyproject.toml asks for: `make lock`."""

import re
import sys
from pathlib import Path

import pytest

if sys.version_info < (3, 11):
    pytest.skip("tomllib", allow_module_level=True)
import tomllib

packaging = pytest.importorskip("packaging.requirements")

ROOT = Path(__file__).parents[1]
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text("utf-8"))["project"]
ENTRY = re.compile(r"^([A-Za-z0-9._-]+)==([^\s;\\]+)((?:.*\\\n)*.*)$", re.MULTILINE)


def locked(name: str) -> dict[str, dict[str, str]]:
    """Package → version → the rest of its entry; some have one version for each of several Pythons."""
    have: dict[str, dict[str, str]] = {}
    for package, version, rest in ENTRY.findall((ROOT / "requirements" / f"{name}.txt").read_text("utf-8")):
        have.setdefault(package, {})[version] = rest
    return have


def asked_for(*extras: str) -> list[packaging.Requirement]:
    """What the project and its extras ask for, its own extras followed."""
    rows = [*PROJECT["dependencies"], *(row for extra in extras for row in PROJECT["optional-dependencies"][extra])]
    needs = [packaging.Requirement(row) for row in rows]
    own = [need for need in needs if need.name == "equiangular"]
    return [n for n in needs if n not in own] + [n for need in own for n in asked_for(*need.extras)]


@pytest.mark.parametrize(("name", "extras"), [("demo", ("train", "plot")), ("test", ("dev",))])
@pytest.mark.parametrize("build", ["torch", "torch-cpu"])
def test_the_lock_has_all_that_is_asked_for_within_its_range(name: str, extras: tuple[str, ...], build: str) -> None:
    have = locked(name) | locked(build)
    for need in [*asked_for(*extras), packaging.Requirement("hatchling"), packaging.Requirement("editables")]:
        versions = have[need.name.lower().replace("_", "-")]
        assert all(need.specifier.contains(version) for version in versions), need
    constraint = packaging.Requirement((ROOT / "constraints.txt").read_text("utf-8").strip())
    assert all(constraint.specifier.contains(version) for version in have["torch"])


def test_every_entry_has_hashes_and_both_commands_get_the_same_versions() -> None:
    demo, test = locked("demo"), locked("test")
    assert {name: [*test[name]] for name in demo} == {name: [*versions] for name, versions in demo.items()}
    for name in ("demo", "test", "torch", "torch-cpu", "vision"):
        rests = [rest for versions in locked(name).values() for rest in versions.values()]
        text = (ROOT / "requirements" / f"{name}.txt").read_text("utf-8")
        assert len(rests) == len(re.findall(r"^[A-Za-z0-9]", text, re.MULTILINE))
        assert all(re.search(r"--hash=sha256:[0-9a-f]{64}\b", rest) for rest in rests)


def test_the_page_of_licences_lists_every_package_and_a_licence_of_each() -> None:
    page = (ROOT / "docs" / "licences.md").read_text("utf-8")
    rows = dict(re.findall(r"^\| ([\w.-]+) \| [^|]+ \| ([^|]+) \|", page, re.MULTILINE))
    elsewhere = re.search(r"^Not installed where this was written.*: (.*)\.$", page, re.MULTILINE)[1].split(", ")
    assert {*rows, *elsewhere} - {"package", "none"} == {"torch", *locked("demo"), *locked("test")}
    assert all(licence.strip() for licence in rows.values())
