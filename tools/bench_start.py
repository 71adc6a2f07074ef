"""From `group create` to the first answer: a FastAPI application in a new group of a cloud on this machine.

What of it is the application's own start is measured too, without a cloud: the rest is ours. The median of a few.
"""

from __future__ import annotations

import contextlib
import http.client
import json
import os
import pathlib
import signal
import statistics
import subprocess
import tempfile
import time
from collections.abc import Iterator
from typing import Any

from bench_front import PEERS, PYTHON, SERVERS, install
from bench_gateway import free_port

ROUNDS = 3
WAIT_SECONDS = 60
FASTAPI = next(peer for peer in PEERS if peer.name == "FastAPI pattern")


def uvicorn(host: str, port: int) -> list[str]:
    return [str(PYTHON), "-m", "uvicorn", "--app-dir", str(SERVERS), "hello_fastapi:app", "--host", host,
            "--port", str(port)]


def until_answered(port: int, path: str) -> float:
    """Seconds from now to the first 200."""
    begin = time.monotonic()
    while time.monotonic() - begin < WAIT_SECONDS:
        with contextlib.suppress(OSError, http.client.HTTPException):
            connection = http.client.HTTPConnection("127.0.0.1", port, timeout=WAIT_SECONDS)
            connection.request("GET", path)
            if connection.getresponse().status == 200:
                return time.monotonic() - begin
        time.sleep(0.01)
    raise RuntimeError(f"no answer of {path} at port {port}")


def alone() -> float:
    port = free_port()
    begin = time.monotonic()
    process = subprocess.Popen(uvicorn("127.0.0.1", port), stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    try:
        until_answered(port, "/")
        return time.monotonic() - begin
    finally:
        process.kill()
        process.wait()


def group(name: str) -> dict[str, Any]:
    return {"name": name, "autostart_policy": True, "restart_policy": "always", "replicas": 1,
            "container": {"image": "bench/hello:1", "command": uvicorn("::", 8000),
                          "resources": {"cpu": 1, "memory": 1024}},
            "networking": {"protocol": "http", "port": 8000, "auth": False},
            "readiness_probe": {"http": {"path": "/", "port": 8000, "scheme": "http"}}}


@contextlib.contextmanager
def cloud(binary: pathlib.Path, folder: pathlib.Path) -> Iterator[tuple[int, dict[str, str]]]:
    """The gateway's port, and what commands need in their environment."""
    ports = {flag: free_port() for flag in ("--api", "--gateway", "--nodes-listen")}
    environment = {**os.environ, "MESCLUN_CONTEXT": str(folder / "context.json")}
    words = [word for flag, port in ports.items() for word in (flag, f"127.0.0.1:{port}")]
    up = subprocess.Popen([str(binary), "up", "--data", str(folder / "data"), *words], env=environment, text=True,
                          stdout=subprocess.PIPE, stderr=subprocess.DEVNULL)
    try:
        if not (up.stdout and up.stdout.readline().startswith("ready ")):
            raise RuntimeError("mesclun up did not begin")
        yield ports["--gateway"], environment
    finally:
        up.send_signal(signal.SIGINT)
        up.wait(60)


def first_answer(binary: pathlib.Path, folder: pathlib.Path, gateway: int, environment: dict[str, str],
                 spec: dict[str, Any]) -> float:
    file = folder / "group.json"
    file.write_text(json.dumps(spec))
    begin = time.monotonic()
    subprocess.run([str(binary), "group", "create", "-f", str(file)], check=True, env=environment,
                   stdout=subprocess.DEVNULL)
    until_answered(gateway, f"/@{spec['name']}/")
    taken = time.monotonic() - begin
    subprocess.run([str(binary), "group", "delete", spec["name"], "--wait"], check=True, env=environment,
                   capture_output=True)
    return taken


def start_rows(binary: pathlib.Path) -> list[dict[str, Any]]:
    if not install(FASTAPI):
        return []
    own = statistics.median(alone() for _ in range(ROUNDS))
    with tempfile.TemporaryDirectory() as folder, cloud(binary, pathlib.Path(folder)) as (gateway, environment):
        taken = statistics.median(first_answer(binary, pathlib.Path(folder), gateway, environment, group(f"hello-{number}"))
                                  for number in range(ROUNDS))
    return [{"bench": "start", "case": "FastAPI, from group create", "subject": "mesclun", "peer": "uvicorn alone",
             "metric": "first_answer", "value": round(taken, 3), "unit": "s", "ratio": round(taken / own, 3)}]
