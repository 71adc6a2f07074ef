"""How fast one core of this machine reads pictures, singly and in batches: what is fast, and what batching saves."""

from __future__ import annotations

import concurrent.futures
import contextlib
import dataclasses
import os
import pathlib
import resource
from collections.abc import Iterator

import images
import ocr_server

BATCH = 4
CORES_MAX = 4


@dataclasses.dataclass
class CoreSpeed:
    """Pictures per second of one core."""

    singly: float
    in_batches: float


@contextlib.contextmanager
def _working_folder(folder: pathlib.Path) -> Iterator[None]:
    before = pathlib.Path.cwd()
    os.chdir(folder)
    try:
        yield
    finally:
        os.chdir(before)


def _cpu_seconds(batches: list[list[bytes]], cores: int) -> float:
    """Of all batches, with so many at a time."""
    # Not the time on the clock: what else the machine does must not count.
    before = resource.getrusage(resource.RUSAGE_CHILDREN)
    with concurrent.futures.ThreadPoolExecutor(cores) as pool:
        for _ in pool.map(ocr_server.recognise, batches):
            pass
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    return after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime


def measure(pictures: list[images.Picture], folder: pathlib.Path) -> CoreSpeed:
    """With several cores at work, as in the demo: two that are threads of one core slow each other down."""
    cores = min(os.cpu_count() or 1, CORES_MAX)
    sample = [picture.read() for picture in pictures[:BATCH]] * cores
    with _working_folder(folder):
        _cpu_seconds([sample[:1]], 1)  # brings the model from the disk
        singly = _cpu_seconds([[picture] for picture in sample], cores)
        in_batches = _cpu_seconds([sample[at:at + BATCH] for at in range(0, len(sample), BATCH)], cores)
    return CoreSpeed(len(sample) / singly, len(sample) / in_batches)
