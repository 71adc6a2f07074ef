"""What idle keep-alive connections cost: resident memory of the gateway beside HAProxy and nginx.

Each connection sends one request and rests. Memory is that of the proxy's own processes; what the kernel holds for a
socket is the same for all and not counted.
"""

from __future__ import annotations

import contextlib
import pathlib
import resource
import socket
import time
from collections.abc import Iterator
from typing import Any

from bench_gateway import FILES, everything

COUNTS = tuple(count for count in (5_000, 15_000) if count + 4_500 <= FILES)
AT_ONCE = 200
REST_SECONDS = 25  # a proxy may put idle connections away little by little
PAGE = resource.getpagesize()


def resident(pids: list[int]) -> int:
    return sum(int(pathlib.Path(f"/proc/{pid}/statm").read_text().split()[1]) * PAGE for pid in pids)


def answer_of(client: socket.socket) -> bytes:
    text = b""
    while b"\r\n\r\n" not in text:
        piece = client.recv(4096)
        if not piece:
            raise RuntimeError(f"a connection ended after {text!r}")
        text += piece
    return text


@contextlib.contextmanager
def resting(port: int, host: str, count: int) -> Iterator[list[socket.socket]]:
    """Open connections that have had one answer each."""
    request = f"GET / HTTP/1.1\r\nHost: {host}\r\n\r\n".encode()
    with contextlib.ExitStack() as open_ones:
        clients: list[socket.socket] = []
        while len(clients) < count:
            some = [open_ones.enter_context(socket.create_connection(("127.0.0.1", port), 10))
                    for _ in range(min(AT_ONCE, count - len(clients)))]
            for client in some:
                client.sendall(request)
            for client in some:
                if b" 200 " not in answer_of(client).split(b"\r\n")[0]:
                    raise RuntimeError("a request was not answered by 200")
            clients += some
        yield clients


def measure(port: int, host: str, pids: list[int], count: int) -> dict[str, float]:
    """KiB of memory for each connection: while all rest, after one more request on each, and after they have left."""
    def more() -> float:
        return (resident(pids) - before) / count / 1024

    before = resident(pids)
    with resting(port, host, count) as clients:
        time.sleep(REST_SECONDS)
        found = {"rest": more()}
        for client in clients:
            client.sendall(f"GET / HTTP/1.1\r\nHost: {host}\r\n\r\n".encode())
        for client in clients:
            answer_of(client)
        found["awake"] = more()
        time.sleep(REST_SECONDS)
        found["rest_again"] = more()
    time.sleep(3)
    found["left"] = more()
    return found


def idle_rows(mesclun: pathlib.Path) -> list[dict[str, Any]]:
    soft = resource.getrlimit(resource.RLIMIT_NOFILE)[0]
    rows: list[dict[str, Any]] = []
    results: dict[tuple[str, int], dict[str, float]] = {}
    resource.setrlimit(resource.RLIMIT_NOFILE, (FILES, FILES))
    try:
        for count in COUNTS:
            with everything(mesclun) as subjects:
                # nginx takes no 10,000 that rest: it closes them.
                for name in ("mesclun gateway", "haproxy", *(["nginx"] if count == COUNTS[0] else [])):
                    port, host, pids = subjects[name]
                    results[name, count] = measure(port, host, pids, count)
    finally:
        resource.setrlimit(resource.RLIMIT_NOFILE, (soft, FILES))
    for (name, count), found in results.items():
        peer = "haproxy" if name == "mesclun gateway" else None
        for metric, value in found.items():
            theirs = results["haproxy", count][metric]
            rows.append({"bench": "idle", "case": f"{count} idle connections", "subject": name, "peer": peer,
                         "metric": metric, "value": round(value, 2), "unit": "KiB",
                         "ratio": round(value / theirs, 2) if peer and theirs else None})
    return rows
