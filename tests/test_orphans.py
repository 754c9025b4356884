import os
import signal
import subprocess
import sys
import time

import pytest

from equiangular._atomic import is_gone

PARENT = """
import subprocess, sys, time
child = subprocess.Popen([sys.executable, "-c", sys.argv[1]], stdout=subprocess.PIPE, text=True)
child.stdout.readline()
print(child.pid, flush=True)
time.sleep(60)
"""
CHILD = """
import sys, time
from equiangular._orphans import end_with_parent
end_with_parent()
print("ready", flush=True)
time.sleep(60)
"""
# Killed while the child is being imported, the parent is another one when the child asks for it.
LATE = """
import os, sys, time
parent = os.getppid()
print("ready", flush=True)
while os.getppid() == parent:
    time.sleep(0.05)
from equiangular.training.engine import fabric
os.environ.update({"LOCAL_RANK": "1", fabric._FIRST: str(parent)})
fabric._end_with_the_first()
time.sleep(60)
"""


@pytest.mark.parametrize("code", [CHILD, LATE], ids=["ready", "late"])
def test_a_child_ends_soon_after_its_killed_parent(code: str) -> None:
    with subprocess.Popen([sys.executable, "-c", PARENT, code], stdout=subprocess.PIPE, text=True) as parent:
        assert parent.stdout is not None
        child = int(parent.stdout.readline())
        time.sleep(1.2)
        assert not is_gone(child)
        os.kill(parent.pid, signal.SIGKILL)
    until = time.monotonic() + 30
    while not _ended(child) and time.monotonic() < until:
        time.sleep(0.05)
    assert _ended(child)


def _ended(process: int) -> bool:
    """Gone, or waiting for whoever has adopted it to ask how it ended."""
    if is_gone(process):
        return True
    done = subprocess.run(["ps", "-o", "stat=", "-p", str(process)], capture_output=True, text=True)
    return done.stdout.strip().startswith("Z") or not done.stdout.strip()
