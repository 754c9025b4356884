"""Where a result comes from, in words."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any


def made(provenance: Mapping[str, Any]) -> list[tuple[str, str]]:
    """Command, versions, hardware, commit and time, as far as they are known.

    Example:
        >>> made({"command": "equiangular compare", "time_utc": "now"})
        [('command', 'equiangular compare'), ('commit, time', 'installed package, now')]
    """
    facts = [("command", str(provenance.get("command", "")))]
    if versions := provenance.get("versions"):
        facts.append(("versions", ", ".join(f"{key} {value}" for key, value in versions.items())))
    if hardware := provenance.get("hardware"):
        threads = hardware.get("threads")
        cores = f"{hardware.get('cores')} cores, {threads} thread{'s' * (threads != 1)}"
        facts.append(("hardware", f"{hardware.get('processor')}, {cores}"))
    if time := provenance.get("time_utc"):
        facts.append(("commit, time", f"{provenance.get('commit') or 'installed package'}, {time}"))
    return [(term, text) for term, text in facts if text]
