"""The command line: one file for each command; this one only calls it and turns errors into messages."""

from __future__ import annotations

import errno
import os
import re
import signal
import sys
import threading
from collections.abc import Sequence
from importlib import import_module
from types import FrameType
from typing import Any


_GO_ON = ("compare", "embed", "train", "resume")  # what an interrupted command has done is taken over by the next
_GENERAL = ("--verbose",)


def main(
    arguments: Sequence[str] | None = None, *, commands: str = "equiangular.cli.app", program: str = "equiangular"
) -> None:
    """Run the command line and exit: 0 done, 1 a defect of ours, 2 something the user can mend, 130 or 143 interrupted.

    ``predict`` exits with 3 where it is done but for inputs that could not be read.

    No traceback reaches the user; with ``EQUIANGULAR_DEBUG=1`` in the environment it does.

    Args:
        arguments: those of the process by default.
        commands: module whose ``app`` holds the commands.
        program: what messages call the program.
    """
    try:
        import typer
        from typer.main import get_command
    except ImportError as error:
        _fail(program, 2, f"the command line needs {error.name!r}. Install it with: pip install 'equiangular[train]'")
    usage_error = typer.BadParameter.__mro__[2]  # ClickException, of click itself or of the copy that typer carries
    app = None
    arguments = _general_first(sys.argv[1:] if arguments is None else arguments)
    called = next((word for word in arguments if word not in _GENERAL), "")
    ended = _EndedLikeInterrupted()
    try:
        ended.listen()
        app = get_command(import_module(commands).app)
        code = app.main(args=arguments, prog_name=program, standalone_mode=False)
    except typer.Exit as error:
        code = error.exit_code
    except usage_error as error:
        error.show()
        sys.exit(error.exit_code)
    except (typer.Abort, KeyboardInterrupt):
        code = 130
    except (ValueError, OSError, ImportError) as error:
        _reraise_if_debugging()
        full = isinstance(error, OSError) and error.errno in (errno.ENOSPC, errno.EDQUOT)
        hint = ". Make room and give the same command again; what is finished is kept." if full else ""
        _fail(program, 2, f"{_as_options(str(error), app, called)}{hint}")
    except Exception as error:
        _reraise_if_debugging()
        if isinstance(error, MemoryError) or re.search("allocate memory|out of memory", str(error)):
            first_line = str(error).partition("\n")[0]
            said = f" ({first_line})" if first_line else ""
            _fail(program, 2, f"not enough memory{said}. Take smaller batches, images, data or frames.")
        if "DataLoader worker" in str(error):  # wherever the command is, torch raises this in it
            first_line = str(error).partition("\n")[0].strip().rstrip(".")
            why = "A system that runs out of memory does so; take fewer of them (--workers)."
            _fail(program, 2, f"a process that decodes inputs was ended from outside ({first_line}). {why}")
        if re.search("(closed|reset) by peer", str(error)):  # what gloo says of a process that is gone
            first_line = str(error).partition("\n")[0]
            why = "What is written is whole; the same command goes on."
            _fail(program, 2, f"another process of this command was ended from outside ({first_line}). {why}")
        what = f"internal error, {type(error).__name__}: {error}"
        _fail(program, 1, f"{what}. Run it again with EQUIANGULAR_DEBUG=1 in the environment for a full report.")
    finally:
        ended.stop_listening()
    if code == 130:  # typer's for Ctrl-C, which SIGTERM is made into
        message = "interrupted. What is written is whole; the same command begins again."
        if called in _GO_ON or program != "equiangular":  # experiments go on too
            message = "interrupted. What is finished is kept; the same command goes on from there."
        _fail(program, 128 + ended.signal, message)
    sys.exit(code if isinstance(code, int) else 0)


def _general_first(arguments: Sequence[str]) -> list[str]:
    """The arguments with ``--verbose``, which concerns all commands, in front of the command, wherever it was."""
    words = arguments[: arguments.index("--")] if "--" in arguments else arguments
    rest = [word for place, word in enumerate(arguments) if place >= len(words) or word not in _GENERAL]
    return [*(word for word in words if word in _GENERAL), *rest]


class _EndedLikeInterrupted:
    """SIGTERM, which would end a process without a word, ends a command as Ctrl-C does.

    Attributes:
        signal: number of the signal that ended it.
    """

    def __init__(self) -> None:
        self.signal = int(signal.SIGINT)
        self._before: Any = None

    def listen(self) -> None:
        if threading.current_thread() is threading.main_thread():
            self._process = os.getpid()
            self._before = signal.signal(signal.SIGTERM, self._end)

    def stop_listening(self) -> None:
        if self._before is not None:
            signal.signal(signal.SIGTERM, self._before)

    def _end(self, number: int, frame: FrameType | None) -> None:
        if os.getpid() != self._process:  # a process of a loader, forked with this handler: it goes as it would
            signal.signal(number, signal.SIG_DFL)
            os.kill(os.getpid(), number)
        self.signal = number
        raise KeyboardInterrupt


def _as_options(message: str, app: Any, called: str) -> str:
    """The message in the words of the command that was called."""
    from equiangular.cli._fields import as_options

    command = getattr(app, "commands", {}).get(called, app)
    return as_options(
        message, {p.name: max(p.opts, key=len) for p in getattr(command, "params", ()) if "-" in p.opts[0]}
    )


def _reraise_if_debugging() -> None:
    if os.environ.get("EQUIANGULAR_DEBUG"):
        raise


def _fail(program: str, code: int, message: str) -> None:
    sys.stdout.flush()
    print(f"{program}: {message}", file=sys.stderr)
    sys.exit(code)
