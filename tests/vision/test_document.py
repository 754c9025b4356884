"""The snippets of documents that need timm, torchvision or PEFT, or that warn, run too."""

import re
from pathlib import Path

import pytest

DOCS = Path(__file__).parents[2] / "docs"


@pytest.mark.slow
@pytest.mark.filterwarnings("ignore")  # timm's, and the ONNX exporter's
@pytest.mark.parametrize(("name", "number"), [("integrations.md", 4), ("guides/your_code.md", 1)])
def test_snippets_run(name: str, number: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    text = (DOCS / name).read_text(encoding="utf-8")
    snippets = re.findall(r"^```python extras\n(.*?)^```", text, flags=re.DOTALL | re.MULTILINE)
    assert len(snippets) == number
    namespace: dict = {}
    for code in snippets:
        exec(compile(code, name, "exec"), namespace)  # the document's own code is what is tested
    assert (tmp_path / "network.onnx").exists() == (name == "integrations.md")
