"""mesclun-app for tests: the real program beside a real application, without a cloud."""

from __future__ import annotations

import json
import os
import pathlib
import signal
import socket
import subprocess
import sys
import threading
from collections.abc import Callable
from typing import Any

from cloud import REPOSITORY
from groups import APPS
from http_call import Connection, Reply
from ports import free_address, free_port
from unix_call import UnixConnection
from waiting import wait_for

BINARY = pathlib.Path(os.environ.get("MESCLUN_APP_BIN", REPOSITORY / "build/dev/bin/mesclun-app")).resolve()
START_SECONDS_MAX = 30


def environment(extra: dict[str, str] | None = None) -> dict[str, str]:
    """Nothing of the surroundings may leak in."""
    kept = {name: value for name, value in os.environ.items() if not name.startswith(("MESCLUN_", "SALAD_"))}
    return {**kept, **(extra or {})}


def run(*arguments: str, env: dict[str, str] | None = None, cwd: pathlib.Path | None = None, seconds: float = 60,
        wrapper: tuple[str, ...] = (), **options: Any) -> subprocess.CompletedProcess[str]:
    """One run to its end."""
    assert BINARY.exists(), f"{BINARY} is not built; set MESCLUN_APP_BIN"
    options.setdefault("stdin", subprocess.DEVNULL)
    options.setdefault("stdout", subprocess.PIPE)
    options.setdefault("stderr", subprocess.PIPE)
    return subprocess.run([*wrapper, str(BINARY), *arguments], text=True, timeout=seconds, cwd=cwd,
                          env=environment(env), check=False, **options)


def merged(base: dict[str, Any], changes: dict[str, Any]) -> dict[str, Any]:
    """A merge patch: objects merge, None removes."""
    out = dict(base)
    for name, value in changes.items():
        both = isinstance(value, dict) and isinstance(out.get(name), dict)
        out[name] = merged(out[name], value) if both else value
    return {name: value for name, value in out.items() if value is not None}


def expect_refusal(reply: Reply, status: int, code: str) -> None:
    assert reply.status == status, reply
    assert reply.headers["x-mesclun-app"] == code
    assert reply.media_type == "application/json"
    error = reply.json["error"]
    assert error["code"] == code and error["message"]
    if status in (429, 503):
        assert int(reply.headers["retry-after"]) >= 1


class Call(threading.Thread):
    """A request that is under way."""

    def __init__(self, make: Callable[[], Reply]) -> None:
        super().__init__(daemon=True)
        self._make = make
        self._reply: Reply | Exception | None = None
        self.start()

    def run(self) -> None:
        try:
            self._reply = self._make()
        except Exception as error:  # said again by reply()
            self._reply = error

    def reply(self, seconds: float = 30) -> Reply:
        self.join(seconds)
        if isinstance(self._reply, Exception):
            raise self._reply
        assert self._reply is not None, f"no answer within {seconds} s"
        return self._reply


class Companion:
    """mesclun-app with a front and apps/fake_model.py, or another command, behind it."""

    def __init__(self, folder: pathlib.Path, config: dict[str, Any], options: list[str], env: dict[str, str],
                 command: list[str] | None, app_address: str) -> None:
        self.folder = folder
        self.port = free_port()
        self.front = f"127.0.0.1:{self.port}"
        self.app = app_address or free_address()
        self.config = merged({
            "application": {"address": self.app, "start_timeout": "30s", "stop_grace": "5s", "drain": "1s",
                            "failed_grace": "300ms",
                            "check": {"interval": "200ms", "timeout": "2s"}},
            "front": {"listen": f"[::]:{self.port}"},
            "checks": {"result_file": str(folder / "checks.json"), "pause": "0s", "attempts": 1},
            # Nobody listens there.
            "metadata": {"uri": "http://127.0.0.1:1", "timeout": "1s"}}, config)
        self.command = command or [sys.executable, str(APPS / "fake_model.py"), self.app, *options]
        self.env = env
        self.log = folder / "companion.log"
        self.process: subprocess.Popen[bytes] | None = None

    def start(self) -> Companion:
        assert BINARY.exists(), f"{BINARY} is not built; set MESCLUN_APP_BIN"
        self.folder.mkdir(parents=True, exist_ok=True)
        file = self.folder / "mesclun-app.yaml"
        file.write_text(json.dumps(self.config, indent=1))  # JSON is YAML
        with self.log.open("ab") as log:
            self.process = subprocess.Popen([str(BINARY), "--config", str(file), "--", *self.command],
                                            stdin=subprocess.DEVNULL, stdout=log, stderr=log, cwd=self.folder,
                                            env=environment(self.env))
        return self

    def kill(self) -> None:
        if self.process and self.process.poll() is None:
            self.process.terminate()
            try:
                self.process.wait(20)
            except subprocess.TimeoutExpired:
                self.process.kill()
        if self.process:
            self.process.wait()

    def wait(self, seconds: float = 30) -> int:
        assert self.process
        try:
            return self.process.wait(seconds)
        except subprocess.TimeoutExpired:
            raise AssertionError(f"still runs after {seconds} s\n{self.log_text()}") from None

    def terminate(self) -> None:
        assert self.process
        self.process.send_signal(signal.SIGTERM)

    def is_running(self) -> bool:
        return self.process is not None and self.process.poll() is None

    def log_text(self) -> str:
        return self.log.read_text(errors="replace") if self.log.exists() else ""

    # ---- the front ----

    def call(self, method: str, path: str, body: Any = None, headers: dict[str, str] | None = None,
             seconds: float = 30, address: str = "") -> Reply:
        with Connection(address or self.front, seconds) as connection:
            return connection.call(method, path, body=body, headers=headers)

    def predict(self, data: Any, headers: dict[str, str] | None = None, **more: Any) -> Reply:
        return self.call("POST", "/predict", {"data": data, **more}, headers)

    def start_call(self, method: str, path: str, body: Any = None, headers: dict[str, str] | None = None) -> Call:
        return Call(lambda: self.call(method, path, body, headers))

    def start_predict(self, data: Any, headers: dict[str, str] | None = None, **more: Any) -> Call:
        return Call(lambda: self.predict(data, headers, **more))

    def leave_after_sending(self, path: str, body: dict[str, Any]) -> Callable[[], None]:
        """Sends a request; the result closes its connection."""
        content = json.dumps(body).encode()
        connection = socket.create_connection(("127.0.0.1", self.port), 20)
        connection.sendall(b"POST %s HTTP/1.1\r\nHost: x\r\nContent-Type: application/json\r\n"
                           b"Content-Length: %d\r\n\r\n%s" % (path.encode(), len(content), content))
        return connection.close

    def health(self) -> dict[str, Any]:
        return self.call("GET", "/mesclun-app/health").json

    def state(self) -> str:
        """Empty while it does not listen."""
        try:
            return self.health()["state"]
        except OSError:
            return ""

    def accepted(self) -> int:
        health = self.health()
        return health["queued"] + health["in_flight"]

    def wait_for_state(self, *states: str, seconds: float = START_SECONDS_MAX) -> dict[str, Any]:
        def look() -> bool:
            assert self.is_running(), f"ended with {self.process and self.process.returncode}\n{self.log_text()}"
            return self.state() in states
        wait_for(look, f"to be {' or '.join(states)}", seconds, 0.05)
        return self.health()

    def wait_for_accepted(self, number: int) -> None:
        wait_for(lambda: self.accepted() == number, f"{number} requests accepted", 15, 0.02)

    # ---- the application, asked directly ----

    def ask_app(self, method: str, path: str) -> Any:
        kind = UnixConnection if self.app.startswith("unix:") else Connection
        with kind(self.app, 30) as connection:
            return connection.call(method, path).json

    def seen(self) -> dict[str, Any]:
        return self.ask_app("GET", "/seen")

    def seen_data(self) -> list[Any]:
        return [request["data"] for request in self.seen()["requests"] if "data" in request]

    def batches(self) -> list[list[Any]]:
        return [batch["data"] for batch in self.seen()["batches"]]

    def open_gate(self, gate: str = "gate") -> None:
        self.ask_app("POST", f"/go?gate={gate}")

    def hold(self, data: Any = 1, gate: str = "gate", headers: dict[str, str] | None = None) -> Call:
        """A request that the application works on until open_gate()."""
        call = self.start_predict(data, headers, gate=gate)
        wait_for(lambda: self.health()["in_flight"] > 0, "the application to have a request", 15, 0.02)
        return call
