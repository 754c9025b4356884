from __future__ import annotations

import pytest
from tests.command_line import run

from equiangular.training.methods import METHODS


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
