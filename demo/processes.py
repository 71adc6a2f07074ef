"""Finding and ending processes that are not our children, by what /proc tells about them."""

from __future__ import annotations

import os
import pathlib
import signal
import time
from collections.abc import Callable


def _read(pid: int, name: str) -> bytes:
    try:
        return pathlib.Path(f"/proc/{pid}/{name}").read_bytes()
    except OSError:  # ended meanwhile, or not ours to look at
        return b""


def environment_of(pid: int) -> dict[str, str]:
    entries = _read(pid, "environ").decode(errors="replace").split("\0")
    return dict(entry.split("=", 1) for entry in entries if "=" in entry)


def arguments_of(pid: int) -> list[str]:
    return _read(pid, "cmdline").decode(errors="replace").split("\0")[:-1]


def find(matches: Callable[[int], bool]) -> set[int]:
    """All living processes but this one for which `matches` holds."""
    pids = (int(entry.name) for entry in pathlib.Path("/proc").iterdir() if entry.name.isdigit())
    # A zombie has no command line, so it cannot match: it has ended, and its parent will collect it.
    return {pid for pid in pids if pid != os.getpid() and arguments_of(pid) and matches(pid)}


def belongs_to_folder(pid: int, folder: pathlib.Path) -> bool:
    prefix = str(folder.resolve())
    return any(argument == prefix or f"{prefix}/" in argument for argument in arguments_of(pid))


def kill_all(first: list[int], matches: Callable[[int], bool], seconds: float = 5.0) -> tuple[int, float]:
    """SIGKILL to `first` in this order and at once to everything that matches, until nothing does.

    Returns how many were killed and the monotonic time at which the first one was.
    """
    killed: set[int] = set()
    first_time = 0.0
    end = time.monotonic() + seconds
    victims = first + sorted(find(matches) - set(first))
    while victims and time.monotonic() < end:
        for pid in victims:
            try:
                os.kill(pid, signal.SIGKILL)
                killed.add(pid)
                first_time = first_time or time.monotonic()
            except ProcessLookupError:
                pass
        time.sleep(0.02)
        victims = sorted(find(matches))
    return len(killed), first_time
