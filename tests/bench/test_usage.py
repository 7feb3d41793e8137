"""The bench's yardstick: the CPU time and memory of a process with all it started."""

from __future__ import annotations

import os
import subprocess
import sys

import pytest

from bench.usage import used

linux = pytest.mark.skipif(sys.platform != "linux", reason="read from Linux' /proc")
BUSY = "import time\nwhile time.process_time() < 0.25: pass\n"  # Linux counts in ticks of 10 ms
# A parent that does nothing, of a child that is busy, holds 64 MiB, and waits for us.
FAMILY = f"""
import subprocess, sys
child = {BUSY + "held = b'x' * 2**26; print('ready', flush=True); input()"!r}
subprocess.run([sys.executable, "-c", child])
"""


@linux
def test_what_a_process_started_counts_as_its_own() -> None:
    """A child's CPU time and memory are its parent's, while it lives."""
    with subprocess.Popen(
        [sys.executable, "-c", FAMILY], stdin=subprocess.PIPE, stdout=subprocess.PIPE
    ) as parent:
        assert parent.stdout is not None
        parent.stdout.readline()
        found = used([parent.pid])
    assert found.cpu_s >= 0.2
    assert found.memory >= 2**26


@linux
def test_a_child_that_ended_still_counts() -> None:
    """A server that starts a process a request does not get its work for nothing."""
    before = used([os.getpid()])
    subprocess.run([sys.executable, "-c", BUSY], check=True)
    assert used([os.getpid()]).cpu_s - before.cpu_s >= 0.2


@linux
def test_a_process_that_is_gone_has_used_nothing() -> None:
    """A server that ended in the middle is no error of the yardstick."""
    with subprocess.Popen([sys.executable, "-c", ""]) as gone:
        gone.wait()
    assert used([gone.pid]) == used([])
