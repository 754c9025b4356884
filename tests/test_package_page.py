"""The README on a package index: no link or picture that leads nowhere."""

import importlib.util
import re
from pathlib import Path
from types import ModuleType

import pytest

ROOT = Path(__file__).parents[1]
README = (ROOT / "README.md").read_text(encoding="utf-8")
RELATIVE = re.compile(r"\]\((?!https?:)")


@pytest.fixture(scope="module")
def build() -> ModuleType:
    pytest.importorskip("hatchling")
    spec = importlib.util.spec_from_file_location("hatch_build", ROOT / "hatch_build.py")
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


@pytest.mark.parametrize("site", [None, "https://example.org/equiangular/"])
def test_no_relative_link_is_left(build: ModuleType, site: str | None) -> None:
    assert RELATIVE.search(README)
    assert not RELATIVE.search(build.for_index(README, site))


def test_links_lead_to_pages_of_the_site(build: ModuleType) -> None:
    links = "See [the answer](docs/answer.md#short), [us](CONTRIBUTING.md) and [arXiv](https://arxiv.org).\n\n"
    text = links + "![a](docs/f.png)\n"
    there = build.for_index(text, "https://e.org/")
    assert "[the answer](https://e.org/answer.html#short), us and [arXiv](https://arxiv.org)" in there
    assert "![a](https://e.org/f.png)" in there
    assert build.for_index(text, None) == "See the answer, us and [arXiv](https://arxiv.org).\n\n"


def test_code_is_left_as_it_is(build: ModuleType) -> None:
    code = re.findall(r"^```python\n.*?^```", README, flags=re.DOTALL | re.MULTILINE)
    assert code
    assert all(block in build.for_index(README, None) for block in code)
