"""What the servers of bench_front.py have in common: a fake model, and the batch thread of the published pattern.

`POST /predict {"data": n}` answers {"result": n * n}. The model takes $BENCH_BATCH_SECONDS for up to BATCH items,
asleep as if a GPU worked, and counts batches and items in the file $BENCH_COUNTER.
"""

from __future__ import annotations

import mmap
import os
import queue
import struct
import threading
import time
from collections.abc import Callable

BATCH = 8
QUEUE_MAX = 64
WINDOW_SECONDS = 0.01
WAIT_SECONDS_MAX = 1.0  # also the deadline of the open loop
COUNTS = struct.Struct("=QQ")


class Model:
    """Made in the process that works."""

    def __init__(self) -> None:
        self._seconds = float(os.environ["BENCH_BATCH_SECONDS"])
        with open(os.environ["BENCH_COUNTER"], "r+b") as file:
            self._counts = mmap.mmap(file.fileno(), COUNTS.size)
        self._batches, self._items = COUNTS.unpack(self._counts[:])

    def run(self, numbers: list[int]) -> list[int]:
        assert len(numbers) <= BATCH
        time.sleep(self._seconds)
        self._batches += 1
        self._items += len(numbers)
        self._counts[:] = COUNTS.pack(self._batches, self._items)
        return [number * number for number in numbers]


class BatchThread:
    """The published single-process pattern: a bounded queue, and one thread that works beside the web server."""

    def __init__(self) -> None:
        self._waiting: queue.Queue[tuple[int, Callable[[int], None]]] = queue.Queue(QUEUE_MAX)
        threading.Thread(target=self._work, daemon=True).start()

    def submit(self, number: int, done: Callable[[int], None]) -> bool:
        """False: the queue is full. Otherwise `done` is called with the result, from the batch thread."""
        try:
            self._waiting.put_nowait((number, done))
        except queue.Full:
            return False
        return True

    def is_busy(self) -> bool:
        return self._waiting.full()

    def _work(self) -> None:
        model = Model()
        while True:
            batch = [self._waiting.get()]
            end = time.monotonic() + WINDOW_SECONDS
            while len(batch) < BATCH:
                try:
                    batch.append(self._waiting.get(timeout=max(0.0, end - time.monotonic())))
                except queue.Empty:
                    break
            for (_, done), result in zip(batch, model.run([number for number, _ in batch]), strict=True):
                done(result)
