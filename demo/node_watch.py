"""What the companions find out about their nodes, read from the log of the group while it runs."""

from __future__ import annotations

import dataclasses
import json
from typing import Any

from children import JsonLines


@dataclasses.dataclass
class Found:
    """An instance as its companion sees it."""

    node_class: str = ""  # slow, normal, fast; empty: not judged yet
    rate: float = 0  # pictures per second of busy time, in the last window
    queue_max: int = 0


class NodeWatch:
    """Follows `mesclun logs -f -o json`."""

    def __init__(self, logs: JsonLines, queue_start: int) -> None:
        self._logs = logs
        self._queue_start = queue_start
        self._read = 0
        self.instances: dict[str, Found] = {}

    def news(self) -> list[tuple[str, Found]]:
        """Instances whose class or queue has changed since the last call."""
        changed: dict[str, Found] = {}
        for _, line in self._logs.lines(self._read):
            self._read += 1
            instance_id, entry = line.get("instance_id"), _companion_entry(line.get("text", ""))
            if not instance_id or entry is None:
                continue
            found = self.instances.setdefault(instance_id, Found(queue_max=self._queue_start))
            before = (found.node_class, found.queue_max)
            _apply(entry, found)
            if before != (found.node_class, found.queue_max):
                changed[instance_id] = found
        return list(changed.items())

    def stop(self) -> None:
        self._logs.interrupt()
        self._logs.wait(5)


def _companion_entry(text: str) -> dict[str, Any] | None:
    """The application's own lines are plain text."""
    try:
        entry = json.loads(text)
    except ValueError:
        return None
    return entry if isinstance(entry, dict) and entry.get("area") == "monitor" else None


def _apply(entry: dict[str, Any], found: Found) -> None:
    if "queue_max" in entry:
        found.queue_max = entry["queue_max"]
    if entry.get("class", "unknown") != "unknown" and not entry.get("not_judged"):
        found.node_class, found.rate = entry["class"], entry["rate"]
