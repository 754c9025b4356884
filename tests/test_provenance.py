import sys

import pytest

from equiangular._provenance import provenance


@pytest.mark.parametrize(
    ("program", "shown"),
    [
        ("/venv/bin/equiangular", "equiangular list data"),
        ("/site-packages/equiangular/__main__.py", "python -m equiangular list data"),
    ],
)
def test_the_command_is_what_one_would_type(program: str, shown: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "argv", [program, "list", "data"])
    assert provenance()["command"] == shown
