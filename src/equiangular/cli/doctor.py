"""``equiangular doctor``: is everything here that is needed, and does it work on this machine?"""

from __future__ import annotations

from typing import Any

import typer

from equiangular.cli._fields import Quiet
from equiangular.cli._screen import Json, Screen


def doctor(quiet: Quiet = False, as_json: Json = False) -> None:
    """Versions, devices, what each extra lacks with its pip line, and a self-test of some seconds on each device.

    Exits with 1 where a test fails.
    """
    from rich.console import Console
    from rich.table import Table

    from equiangular.cli._checkup import devices, extras, self_test, versions

    screen = Screen(as_json, width=120)
    found: dict[str, Any] = {"versions": versions(), "devices": devices(), "extras": extras(), "tests": []}
    for name, text in found["versions"].items():
        screen.print(f"{name:<14}{text}")
    for name, text in found["devices"].items():
        screen.print(f"{'device':<14}{name} ({text})")
    complete = [name for name, one in found["extras"].items() if not one["missing"]]
    table = Table("extra", "lacks", "to install it")
    for name, one in found["extras"].items():
        if one["missing"]:
            table.add_row(name, ", ".join(one["missing"]), f"pip install 'equiangular\\[{name}]'")
    if complete:
        screen.print(f"extras        {', '.join(complete)}: complete")
    if table.rows:
        screen.print(table)
    if not found["extras"]:
        screen.print("extras        not known: the library runs from a checkout that is not installed")
    with Console(stderr=True, quiet=quiet).status("testing"):
        for device in found["devices"]:
            found["tests"] += [{"device": device, **test} for test in self_test(device)]
    for test in found["tests"]:
        state = "ok" if test["right"] else "WRONG"
        screen.print(f"{state:<7}{test['device']:<7}{test['name']}: {test['found']} ({test['seconds']:.1f} s)")
    screen.document(found)
    if not all(test["right"] for test in found["tests"]):
        raise typer.Exit(1)
