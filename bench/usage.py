"""What processes have used, with all they started: CPU time and memory (Linux, from /proc)."""

from __future__ import annotations

import os
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path

TICKS = os.sysconf("SC_CLK_TCK")
PROC = Path("/proc")


@dataclass(frozen=True, slots=True)
class Usage:
    """CPU seconds so far, of children that ended too; bytes of memory that no file backs."""

    cpu_s: float
    memory: int


def used(roots: Iterable[int]) -> Usage:
    """The sum over these processes and everything below them."""
    cpu_s, memory = 0.0, 0
    for pid in _trees(roots):
        try:
            stat = _fields(pid)
            status = (PROC / str(pid) / "status").read_text()
        except OSError:  # it ended meanwhile
            continue
        cpu_s += sum(int(each) for each in stat[11:15]) / TICKS
        memory += _anonymous(status)
    return Usage(cpu_s, memory)


def _anonymous(status: str) -> int:
    """RssAnon: pages of a mapped database are the file's, not the program's."""
    for line in status.splitlines():
        if line.startswith("RssAnon:"):
            return int(line.split()[1]) * 1024
    return 0


def _fields(pid: int) -> list[str]:
    """`/proc/PID/stat` from its third field on: a name may hold spaces, and ends with a bracket."""
    return (PROC / str(pid) / "stat").read_text().rpartition(")")[2].split()


def _trees(roots: Iterable[int]) -> Iterator[int]:
    children: dict[int, list[int]] = {}
    for folder in PROC.iterdir():
        if folder.name.isdigit():
            try:
                children.setdefault(int(_fields(int(folder.name))[1]), []).append(int(folder.name))
            except OSError:
                continue
    todo, seen = list(roots), set[int]()
    while todo:
        pid = todo.pop()
        if pid not in seen:
            seen.add(pid)
            yield pid
            todo += children.get(pid, [])
