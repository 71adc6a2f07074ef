"""The load of the demo: `mesclun load` as a child process, and what its JSON lines say about each picture."""

from __future__ import annotations

import dataclasses
import json
import pathlib
import time
from typing import Any

import images
from children import JsonLines

SECONDS_MAX = 600  # an end, if the demo forgets to make one
REQUEST_SECONDS_MAX = 90
ATTEMPTS_MAX = 40
RETRIES_PER_REQUEST = 2
# mesclun load waits 5 s for what is under way.
STOP_SECONDS_MAX = 15


@dataclasses.dataclass
class Request:
    number: int
    picture: images.Picture
    start: float  # of the first attempt; time.monotonic(), as all times here
    end: float
    attempts: int = 1
    status: int = 0  # of the last attempt; 0: no answer
    problem: str = ""  # why it failed in the end
    cut_short: bool = False  # had no answer yet when the load was stopped
    machine_id: str = ""
    instance_id: str = ""
    text: str = ""
    seconds: float = 0  # of the batch, as measured by the application
    batch: int = 1  # pictures in it

    @property
    def answered(self) -> bool:
        return not self.problem

    @property
    def latency(self) -> float:
        return self.end - self.start

    @property
    def busy_seconds(self) -> float:
        """This picture's share of its batch."""
        return self.seconds / self.batch


def request_of(line: dict[str, Any], arrived: float, pictures: list[images.Picture]) -> Request:
    """mesclun load writes no times of day: a request ended when its line came, which is up to 0.2 s late."""
    request = Request(
        line["index"], pictures[line["index"] % len(pictures)], start=arrived - line["latency_ms"] / 1000, end=arrived,
        attempts=line["attempts"], status=line["status"], problem=line["error"] or "")
    if request.problem:
        return request
    try:
        answer = json.loads(line["body"])
        request.text, request.seconds, request.batch = answer["text"], answer["seconds"], answer["batch"]
        request.machine_id, request.instance_id = answer["machine_id"], answer["instance_id"]
    except (ValueError, KeyError, TypeError) as error:
        request.problem = f"not the service's answer: {error!r}"
    return request


class Load:
    """Sends the pictures in turn, over again when all were sent, as many at once as the service takes, until stop()."""

    def __init__(self, mesclun: pathlib.Path, gateway: str, host: str, pictures: list[images.Picture],
                 concurrency: int, concurrency_max: int, log: pathlib.Path) -> None:
        self._pictures = pictures
        self._requests: list[Request] = []
        self._stopped_at: float | None = None
        bodies = [f"--body-file={picture.path}" for picture in pictures]
        self._child = JsonLines([
            str(mesclun), "load", f"http://{gateway}/ocr", "--host", host, "--content-type", "image/png", *bodies,
            "--duration", f"{SECONDS_MAX}s", "--timeout", f"{REQUEST_SECONDS_MAX}s",
            "--concurrency", str(concurrency), "--concurrency-max", str(concurrency_max),
            "--attempts", str(ATTEMPTS_MAX), "--retry-budget", str(RETRIES_PER_REQUEST),
            "--keep-bodies", "--output", "json",
            # A picture may be read twice.
            "--retry-unsafe"], log)

    def running(self) -> bool:
        return self._child.running()

    def finished(self) -> list[Request]:
        """In the order in which they ended."""
        for arrived, line in self._child.lines(len(self._requests)):
            request = request_of(line, arrived, self._pictures)
            # Whoever stops the load gives up what has no answer yet; nobody lost it.
            request.cut_short = self._stopped_at is not None and not request.answered and arrived > self._stopped_at
            self._requests.append(request)
        return self._requests

    def stop(self) -> list[Request]:
        """Sends nothing more, waits for what is under way, and returns all requests."""
        self.finished()
        self._stopped_at = time.monotonic()
        self._child.interrupt()
        self._child.wait(STOP_SECONDS_MAX)
        return self.finished()

    def log_tail(self, lines: int = 12) -> str:
        text = self._child.log.read_text(errors="replace").splitlines()[-lines:]
        return "\n".join([f"the end of {self._child.log}:", *("  " + line for line in text)])
