"""Child processes that print JSON lines, read while they run."""

from __future__ import annotations

import ctypes
import json
import pathlib
import signal
import subprocess
import threading
import time
from typing import Any, NamedTuple

_PR_SET_PDEATHSIG = 1


class Line(NamedTuple):
    arrived: float  # time.monotonic()
    value: dict[str, Any]


def die_with_parent() -> None:
    ctypes.CDLL(None).prctl(_PR_SET_PDEATHSIG, signal.SIGTERM)


class JsonLines:
    """Runs a command; standard error goes to a log file. Lines that are no JSON objects are left out."""

    def __init__(self, command: list[str], log: pathlib.Path, env: dict[str, str] | None = None) -> None:
        self.log = log
        self._lines: list[Line] = []
        with log.open("w") as errors:
            self._process = subprocess.Popen(
                command, stdout=subprocess.PIPE, stderr=errors, stdin=subprocess.DEVNULL, text=True, env=env,
                # Ctrl-C is for this script, which then ends the child in order.
                start_new_session=True, preexec_fn=die_with_parent)
        self._reader = threading.Thread(target=self._read, daemon=True)
        self._reader.start()

    def _read(self) -> None:
        assert self._process.stdout
        for text in self._process.stdout:
            try:
                value = json.loads(text)
            except ValueError:
                continue
            if isinstance(value, dict):
                self._lines.append(Line(time.monotonic(), value))

    def lines(self, first: int = 0) -> list[Line]:
        """Those that have come so far, from number `first` on."""
        return self._lines[first:]

    def running(self) -> bool:
        return self._process.poll() is None

    def interrupt(self) -> None:
        if self.running():
            self._process.send_signal(signal.SIGINT)

    def wait(self, seconds: float) -> int:
        """The exit status, after all lines were read. A child that takes longer is killed."""
        try:
            self._process.wait(seconds)
        except subprocess.TimeoutExpired:
            self._process.kill()
        self._reader.join(5)
        return self._process.wait()
