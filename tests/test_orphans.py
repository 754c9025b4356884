import os
import signal
import subprocess
import sys
import time

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


def test_a_child_ends_soon_after_its_killed_parent() -> None:
    with subprocess.Popen([sys.executable, "-c", PARENT, CHILD], stdout=subprocess.PIPE, text=True) as parent:
        assert parent.stdout is not None
        child = int(parent.stdout.readline())
        time.sleep(1.2)
        assert not is_gone(child)
        os.kill(parent.pid, signal.SIGKILL)
    until = time.monotonic() + 10
    while not _ended(child) and time.monotonic() < until:
        time.sleep(0.05)
    assert _ended(child)


def _ended(process: int) -> bool:
    """Gone, or waiting for whoever has adopted it to ask how it ended."""
    if is_gone(process):
        return True
    done = subprocess.run(["ps", "-o", "stat=", "-p", str(process)], capture_output=True, text=True)
    return done.stdout.strip().startswith("Z") or not done.stdout.strip()
