"""Every Python snippet runs: of a document in order, in one namespace; of the README each when pasted alone."""

import re
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
DOCUMENTS = [ROOT / "README.md", *sorted((ROOT / "docs").glob("**/*.md"))]


def snippets(path: Path) -> list[str]:
    return re.findall(r"^```python\n(.*?)^```", path.read_text(encoding="utf-8"), flags=re.DOTALL | re.MULTILINE)


@pytest.mark.parametrize("path", [p for p in DOCUMENTS if snippets(p)], ids=lambda p: str(p.relative_to(ROOT)))
def test_snippets_run(path: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    namespace: dict = {}
    for code in snippets(path):
        namespace = {} if path.name == "README.md" else namespace
        exec(compile(code, str(path), "exec"), namespace)  # the documents' own code is what is tested


def test_the_readme_is_short_and_begins_with_a_command() -> None:
    lines = (ROOT / "README.md").read_text(encoding="utf-8").splitlines()
    assert snippets(ROOT / "README.md")
    assert len(lines) < 120
    assert any(line.startswith("    equiangular ") for line in lines[:10])
    prose = [line for line in lines if not line.startswith("|")]
    assert max(map(len, prose)) <= 120
    assert max(len(cell.strip()) for line in lines if line.startswith("|") for cell in line.split("|")) <= 200


@pytest.mark.parametrize("path", DOCUMENTS, ids=lambda p: str(p.relative_to(ROOT)))
def test_links_to_files_exist(path: Path) -> None:
    prose = re.sub(r"^```.*?^```", "", path.read_text(encoding="utf-8"), flags=re.DOTALL | re.MULTILINE)
    targets = re.findall(r"\]\((?!https?:|#)([^)#]+)", prose)
    missing = [t for t in targets if not (path.parent / t).exists()]
    assert not missing
