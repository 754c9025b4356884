"""The tables of docs/embeddings.md are what the records say."""

from pathlib import Path
from types import ModuleType

import pytest

from equiangular._files import read_json
from experiments.questions import features, named

DOCUMENT = Path(__file__).parents[2] / "docs" / "embeddings.md"


@pytest.mark.parametrize("question", [features, named], ids=["features", "named"])
def test_tables(question: ModuleType) -> None:
    lines = set(DOCUMENT.read_text(encoding="utf-8").splitlines())
    missing = [line for line in question.table(read_json(question.OUTPUT)).splitlines() if line not in lines]
    assert not missing, "paste the table that the question prints into docs/embeddings.md, and read what rests on it"
