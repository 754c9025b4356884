"""The snippets of docs/integrations.md that need timm, torchvision or PEFT, or that warn, run too."""

import re
from pathlib import Path

import pytest

DOCUMENT = Path(__file__).parents[2] / "docs" / "integrations.md"


@pytest.mark.slow
@pytest.mark.filterwarnings("ignore")  # timm's, and the ONNX exporter's
def test_snippets_run(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    text = DOCUMENT.read_text(encoding="utf-8")
    snippets = re.findall(r"^```python extras\n(.*?)^```", text, flags=re.DOTALL | re.MULTILINE)
    assert len(snippets) == 4
    namespace: dict = {}
    for code in snippets:
        exec(compile(code, str(DOCUMENT), "exec"), namespace)  # the document's own code is what is tested
    assert (tmp_path / "network.onnx").exists()
