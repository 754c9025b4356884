"""``equiangular frame`` for every construction; errors are in test_cli.py."""

import re
from pathlib import Path

import numpy as np
import pytest

from equiangular.cli import main
from equiangular.cli.frame import CONSTRUCTIONS
from equiangular.frames import levenshtein_bound, load_frame


@pytest.fixture(autouse=True)
def own_cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("EQUIANGULAR_CACHE", str(tmp_path / "cache"))


def run(*arguments: str) -> int:
    with pytest.raises(SystemExit) as stop:
        main(["frame", *arguments])
    return int(stop.value.code or 0)


# What is asked for, the construction's name in the report, the largest cosine (None: whatever an optimisation gives).
CASES = [
    (("9", "8"), "simplex ETF", -1 / 8),
    (("12", "8"), "orthoplex", 0.0),
    (("24", "4"), "24-cell", 1 / 2),
    (("20", "4"), "optimised spherical code", None),
    (("20", "4", "--objective", "softmax"), "optimised spherical code", None),
    (("6", "8", "--construction", "orthoplex"), "orthoplex", 0.0),
    (("6", "8", "--construction", "spread"), "simplex ETF", -1 / 5),
    (("6", "8", "--construction", "nonnegative"), "non-negative orthogonal frame", 0.0),
    (("8", "8", "--construction", "hadamard"), "Hadamard rows", 0.0),
    (("80", "8", "--construction", "quadratic"), "quadratic-form code", 1 / 2),
    (("12", "3", "--construction", "optimised", "--restarts", "1"), "optimised spherical code", 5**-0.5),
]


@pytest.mark.parametrize(("arguments", "name", "cosine"), CASES, ids=lambda v: str(v)[:40])
def test_construction(
    capsys: pytest.CaptureFixture, tmp_path: Path, arguments: tuple[str, ...], name: str, cosine: float | None
) -> None:
    path = tmp_path / "frame.npy"
    assert run(*arguments, "-o", str(path), "--dtype", "float64", "--restarts", "1") == 0
    out = capsys.readouterr().out
    weight = load_frame(path).numpy()
    k, d = int(arguments[0]), int(arguments[1])
    assert weight.shape == (k, d)
    gram = weight @ weight.T
    assert np.abs(gram.diagonal() - 1).max() < 1e-12
    largest = (gram - 3 * np.eye(k)).max()
    if cosine is not None:
        assert largest == pytest.approx(cosine, abs=1e-6)
    assert largest >= levenshtein_bound(k, d) - 1e-9
    assert name in out
    assert float(re.search(r"largest cosine +(\S+)", out).group(1)) == pytest.approx(largest, abs=1e-6)
    assert "Levenshtein bound" in out
    assert ("distance to hull" in out) == ("softmax" in arguments)
    assert name in Path(f"{path}.json").read_text(encoding="utf-8")


def test_every_construction_is_covered() -> None:
    asked = [arguments for arguments, _, _ in CASES if "--construction" in arguments]
    named = {arguments[arguments.index("--construction") + 1] for arguments in asked}
    assert named | {"auto", "simplex"} == set(CONSTRUCTIONS)


def test_the_target_is_checked_before_the_work(capsys: pytest.CaptureFixture, tmp_path: Path) -> None:
    path = tmp_path / "frame.npy"
    path.write_bytes(b"kept")
    assert run("300", "20", "-o", str(path)) == 2
    assert "exists" in capsys.readouterr().err
    assert path.read_bytes() == b"kept"
    assert not (tmp_path / "cache").exists()


def test_a_construction_by_the_name_of_the_last_release(tmp_path: Path) -> None:
    with pytest.warns(DeprecationWarning, match="--construction best is written spread now"):
        assert run("6", "8", "-o", str(tmp_path / "old.npy"), "--construction", "best") == 0
    assert run("6", "8", "-o", str(tmp_path / "new.npy"), "--construction", "spread") == 0
    assert (tmp_path / "old.npy").read_bytes() == (tmp_path / "new.npy").read_bytes()
