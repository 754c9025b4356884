"""The command line as a test calls it."""

import pytest

from equiangular.cli import main


def run(capsys: pytest.CaptureFixture, *arguments: object) -> tuple[int, str, str]:
    """Exit code, output and error output of a command, which never shows a traceback."""
    with pytest.raises(SystemExit) as stop:
        main([str(a) for a in arguments])
    captured = capsys.readouterr()
    assert "Traceback" not in captured.out + captured.err
    return int(stop.value.code or 0), captured.out, captured.err
