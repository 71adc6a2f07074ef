"""Waiting for a condition instead of sleeping: bounded, and with a reason when it fails."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import TypeVar

T = TypeVar("T")


def wait_for(look: Callable[[], T], what: str, seconds: float = 30, pause: float = 0.3) -> T:
    """Looks until the result is true, and returns it. What the last look gave is part of the failure."""
    end = time.monotonic() + seconds
    while True:
        result = look()
        if result:
            return result
        if time.monotonic() > end:
            raise AssertionError(f"{what}: not within {seconds} s; the last look gave {result!r}")
        time.sleep(pause)
