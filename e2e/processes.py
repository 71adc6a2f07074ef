"""Processes that are not our children, by what /proc tells about them."""

from __future__ import annotations

import dataclasses
import os
import pathlib
import signal
import time
from collections.abc import Callable


@dataclasses.dataclass(frozen=True)
class Process:
    pid: int
    arguments: tuple[str, ...]
    environment: dict[str, str] = dataclasses.field(compare=False)


def _read(pid: int, name: str) -> list[str]:
    try:
        text = pathlib.Path(f"/proc/{pid}/{name}").read_bytes().decode(errors="replace")
    except OSError:  # ended meanwhile, or not ours to look at
        return []
    return text.split("\0")[:-1]


def look_at(pid: int) -> Process | None:
    """None for a process that has ended, a zombie included."""
    arguments = _read(pid, "cmdline")
    if not arguments:
        return None
    environment = dict(entry.split("=", 1) for entry in _read(pid, "environ") if "=" in entry)
    return Process(pid, tuple(arguments), environment)


def is_alive(pid: int) -> bool:
    return look_at(pid) is not None


def find(matches: Callable[[Process], bool]) -> list[Process]:
    pids = (int(entry.name) for entry in pathlib.Path("/proc").iterdir() if entry.name.isdigit())
    seen = (look_at(pid) for pid in pids if pid != os.getpid())
    return [process for process in seen if process and matches(process)]


def of_folder(folder: pathlib.Path) -> Callable[[Process], bool]:
    prefix = str(folder)
    return lambda process: any(word == prefix or f"{prefix}/" in word for word in process.arguments)


def kill_all(first: list[int], matches: Callable[[Process], bool], seconds: float = 10) -> None:
    """SIGKILL to `first` in this order, then to whatever matches until nothing does."""
    end = time.monotonic() + seconds
    victims = first + [process.pid for process in find(matches)]
    while victims:
        for pid in victims:
            try:
                os.kill(pid, signal.SIGKILL)
            except ProcessLookupError:
                pass
        time.sleep(0.02)
        victims = [process.pid for process in find(matches)]
        assert not victims or time.monotonic() < end, f"cannot kill {victims}"
