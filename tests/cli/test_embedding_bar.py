"""The progress of an embedding where there is no terminal: a line now and then, with the time left."""

import pytest

from equiangular.cli import _embedding
from equiangular.cli._embedding import EmbeddingBar


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> list[float]:
    now = [100.0]
    monkeypatch.setattr(_embedding.time, "monotonic", lambda: now[0])
    return now


def test_a_line_every_quarter_of_a_minute(capsys: pytest.CaptureFixture, clock: list[float]) -> None:
    with EmbeddingBar(quiet=False) as bar:
        for done in range(1000, 5001, 100):  # the first thousand were in the cache; 10 a second after that
            bar(done, 5000)
            clock[0] += 10
    lines = capsys.readouterr().err.splitlines()
    assert lines[0] == "embedding 1,200 of 5,000, 10/s, 00:06:20 left"
    assert len(lines) == 20
    assert lines[-1] == "embedding 5,000 of 5,000, 10/s, 00:00:00 left"


def test_quiet_is_quiet(capsys: pytest.CaptureFixture, clock: list[float]) -> None:
    with EmbeddingBar(quiet=True) as bar:
        for done in range(5):
            bar(done, 5)
            clock[0] += 100
    assert capsys.readouterr() == ("", "")
