"""The load client of the demo: sends pictures through a gateway, retries what may be retried, remembers everything."""

from __future__ import annotations

import dataclasses
import http.client
import json
import random
import threading
import time
from collections.abc import Callable

import images

ATTEMPTS_MAX = 12
ATTEMPT_SECONDS_MAX = 30
BACKOFF_SECONDS_FIRST, BACKOFF_SECONDS_MAX = 0.1, 2.0


@dataclasses.dataclass
class Attempt:
    start: float  # time.monotonic(), as all times here
    end: float
    status: int = 0  # 0: no answer
    problem: str = ""  # why it has no answer, or the gateway's or application's word for it
    machine_id: str = ""
    instance_id: str = ""
    seconds: float = 0  # as measured by the application
    text: str = ""

    @property
    def ok(self) -> bool:
        return self.status == 200

    @property
    def retryable(self) -> bool:
        return self.status == 0 or self.status == 429 or self.status >= 500


@dataclasses.dataclass
class Request:
    number: int
    picture: images.Picture
    attempts: list[Attempt] = dataclasses.field(default_factory=list)

    @property
    def answer(self) -> Attempt | None:
        return self.attempts[-1] if self.attempts and self.attempts[-1].ok else None

    @property
    def latency(self) -> float:
        return self.attempts[-1].end - self.attempts[0].start


class Client:
    """A keep-alive connection to the gateway. One thread uses it."""

    def __init__(self, gateway: str, host: str) -> None:
        self._gateway = gateway
        self._host = host
        self._connection: http.client.HTTPConnection | None = None

    def close(self) -> None:
        if self._connection is not None:
            self._connection.close()
            self._connection = None

    def post(self, path: str, body: bytes) -> tuple[Attempt, float]:
        """One attempt, and how long the answer asks to wait before the next (0: it does not say)."""
        attempt = Attempt(start=time.monotonic(), end=0)
        wait = 0.0
        try:
            if self._connection is None:
                self._connection = http.client.HTTPConnection(self._gateway, timeout=ATTEMPT_SECONDS_MAX)
            self._connection.request("POST", path, body, {"Host": self._host, "Content-Type": "image/png"})
            response = self._connection.getresponse()
            content = response.read()
            attempt.status = response.status
            wait = _seconds(response.getheader("Retry-After"))
            if attempt.ok:
                answer = json.loads(content)
                attempt.text, attempt.seconds = answer["text"], answer["seconds"]
                attempt.machine_id, attempt.instance_id = answer["machine_id"], answer["instance_id"]
            else:
                attempt.problem = response.getheader("X-Gateway-Error") or content.decode(errors="replace")[:200]
            if response.will_close:
                self.close()
        except (OSError, http.client.HTTPException) as error:
            attempt.status, attempt.problem = 0, f"{type(error).__name__}: {error}"
            self.close()
        except (ValueError, KeyError, TypeError) as error:
            # A 200 without the service's own answer in it: wrong, not lost.
            attempt.status, attempt.problem = 200, f"not the service's answer: {error!r}"
        attempt.end = time.monotonic()
        return attempt, wait


def _seconds(retry_after: str | None) -> float:
    try:
        return float(retry_after or 0)
    except ValueError:
        return 0.0


class Load:
    """Sends requests 0, 1, 2, ... from `concurrency` threads until `enough` says so or somebody calls stop().

    Pictures are used in turn, over again when there are more requests than pictures.
    """

    def __init__(self, gateway: str, host: str, pictures: list[images.Picture], concurrency: int) -> None:
        self.concurrency = concurrency
        self._gateway, self._host, self._pictures = gateway, host, pictures
        self._lock = threading.Lock()
        self._stopped = threading.Event()
        self._requests: list[Request] = []
        self._finished: list[Request] = []
        self._threads: list[threading.Thread] = []
        self._enough: Callable[[int], bool] = lambda started: False
        self._crash: BaseException | None = None

    def start(self, enough: Callable[[int], bool]) -> None:
        """`enough(requests started so far)` is asked before each one; true ends the load."""
        self._enough = enough
        self._threads = [threading.Thread(target=self._work, daemon=True) for _ in range(self.concurrency)]
        for thread in self._threads:
            thread.start()

    def stop(self) -> None:
        self._stopped.set()

    def running(self) -> bool:
        if self._crash is not None:
            raise self._crash
        return any(thread.is_alive() for thread in self._threads)

    def finished(self) -> list[Request]:
        with self._lock:
            return list(self._finished)

    def all_requests(self) -> list[Request]:
        with self._lock:
            return list(self._requests)

    def _next(self) -> Request | None:
        with self._lock:
            number = len(self._requests)
            if self._stopped.is_set() or self._enough(number):
                return None
            request = Request(number, self._pictures[number % len(self._pictures)])
            self._requests.append(request)
            return request

    def _work(self) -> None:
        client = Client(self._gateway, self._host)
        try:
            while (request := self._next()) is not None:
                self._send(client, request)
                with self._lock:
                    self._finished.append(request)
        except BaseException as error:  # shown by running(), not lost with the thread
            self._crash = error
        finally:
            client.close()

    def _send(self, client: Client, request: Request) -> None:
        body = request.picture.read()
        backoff = BACKOFF_SECONDS_FIRST
        for _ in range(ATTEMPTS_MAX):
            attempt, wait = client.post("/ocr", body)
            request.attempts.append(attempt)
            if attempt.ok or not attempt.retryable:
                return
            # Full jitter: callers who failed together do not come back together.
            pause = max(min(wait, BACKOFF_SECONDS_MAX), random.uniform(0, backoff))
            backoff = min(2 * backoff, BACKOFF_SECONDS_MAX)
            if self._stopped.wait(pause):
                return
