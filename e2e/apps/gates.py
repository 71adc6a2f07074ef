"""What the applications of the tests wait at."""

from __future__ import annotations

import threading


class Gates:
    """Named counters that one request waits for and another one moves on."""

    def __init__(self) -> None:
        self._changed = threading.Condition()
        self._opened: dict[str, int] = {}
        self._waiting: dict[str, int] = {}

    def open(self, name: str) -> None:
        with self._changed:
            self._opened[name] = self._opened.get(name, 0) + 1
            self._changed.notify_all()

    def wait_until(self, name: str, number: int) -> None:
        with self._changed:
            self._waiting[name] = self._waiting.get(name, 0) + 1
            self._changed.wait_for(lambda: self._opened.get(name, 0) > number, timeout=60)
            self._waiting[name] -= 1

    def waiting(self, name: str) -> int:
        with self._changed:
            return self._waiting.get(name, 0)
