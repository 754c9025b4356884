from __future__ import annotations

import pytest

from equiangular.cli import main
from equiangular.training.methods import METHODS


def run(capsys: pytest.CaptureFixture, *arguments: str) -> tuple[int, str, str]:
    with pytest.raises(SystemExit) as stop:
        main(list(arguments))
    captured = capsys.readouterr()
    return int(stop.value.code or 0), captured.out, captured.err


@pytest.mark.parametrize(
    ("kind", "names"),
    [
        ("methods", list(METHODS)),
        ("recipes", ["recommended", "rival", "paper"]),
        ("data", ["digits", "hf:NAME"]),
        ("backbones", ["resnet32", "timm:NAME"]),
    ],
)
def test_every_name_is_listed(capsys, kind, names):
    code, out, _ = run(capsys, "list", kind)
    assert code == 0
    assert all(name in out for name in names)


def test_unknown_kind(capsys):
    code, _, error = run(capsys, "list", "method")
    assert code == 2
    assert "did you mean 'methods'" in error
