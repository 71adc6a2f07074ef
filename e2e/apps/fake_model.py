"""A model server for the tests of mesclun-app: takes a fixed time per batch, answers n by n * n, and fails as told.

    POST any path   {"data": n}                     200 {"result": n * n, "batch": 1}
    POST /batch     as mesclun-app sends batches, JSON or multipart
    POST /stream?n=&gate=   server-sent events, each as soon as the gate is opened (or all at once)
    POST /hold      answers never, and notes when the caller goes away
    GET /health     200; never while --single-threaded work is done
    GET /seen       what has come so far: {"requests": [...], "batches": [...], "gone": n}
    POST /go?gate=, /answer?with=, /seconds?batch=, /stop-self, /exit?code=, /kill?signal=    for the test itself

An item may say more: "gate" (wait until the test opens it), "status" (answer with it), "seconds" (work longer).
Standard library only. The model is one lock: one batch or request at a time, unless --parallel.
"""

from __future__ import annotations

import argparse
import http.server
import json
import os
import re
import select
import signal
import socket
import socketserver
import sys
import threading
import time
import urllib.parse
from typing import Any

from gates import Gates

started = time.monotonic()
options: argparse.Namespace
model = threading.Lock()


def parse_options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("listen", help="HOST:PORT or unix:PATH")
    parser.add_argument("--batch-seconds", type=float, default=0, help="of one batch, or one request alone")
    parser.add_argument("--single-threaded", action="store_true", help="answers nothing else while it works")
    parser.add_argument("--parallel", action="store_true", help="works on any number at a time")
    parser.add_argument("--start-seconds", type=float, default=0, help="until it listens")
    parser.add_argument("--never-listen", action="store_true")
    parser.add_argument("--exit-at-once", type=int, metavar="CODE")
    parser.add_argument("--die-after", type=int, metavar="K", help="exits with 17 when work K + 1 comes")
    parser.add_argument("--answer", default="good", help="good, garbage, fewer, break, nothing or a status")
    parser.add_argument("--poison", type=int, help="any batch with this number in it fails as a whole")
    parser.add_argument("--slow-after", type=float, help="seconds from the start until work takes --slow-seconds")
    parser.add_argument("--slow-machine", default="", help="a file that names the machine on which it is slow")
    parser.add_argument("--slow-seconds", type=float, default=1)
    parser.add_argument("--audio-seconds", type=float, help="work in an item, told in X-Audio-Seconds")
    return parser.parse_args()


class Seen:
    """What came, in order."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._all: dict[str, Any] = {"requests": [], "batches": [], "gone": 0}

    def add(self, kind: str, entry: dict[str, Any]) -> int:
        """How many pieces of work have come, this one included."""
        with self._lock:
            self._all[kind].append({"at": time.monotonic() - started, **entry})
            return len(self._all["requests"]) + len(self._all["batches"])

    def gone(self) -> None:
        with self._lock:
            self._all["gone"] += 1

    def to_json(self) -> bytes:
        with self._lock:
            return json.dumps(self._all).encode()


gates, seen = Gates(), Seen()


def is_slow_here() -> bool:
    if options.slow_after is not None and time.monotonic() - started >= options.slow_after:
        return True
    try:
        with open(options.slow_machine) as file:
            return os.environ.get("SALAD_MACHINE_ID", "-") in file.read()
    except FileNotFoundError:
        return False


def work(bodies: list[Any]) -> None:
    """As long as these items take together."""
    said = [body for body in bodies if isinstance(body, dict)]
    for body in said:
        if "gate" in body:
            gates.wait_until(body["gate"], 0)
    time.sleep((options.slow_seconds if is_slow_here() else options.batch_seconds)
               + sum(body.get("seconds", 0) for body in said))


def result_of(body: Any, batch: int) -> Any:
    if isinstance(body, bytes):
        return body[::-1]
    if not isinstance(body, dict) or not isinstance(body.get("data"), (int, float)):
        return {"got": body, "batch": batch}
    return {"result": body["data"] ** 2, "batch": batch}


def parse_parts(content_type: str, content: bytes) -> list[dict[str, Any]]:
    """A part as an item of the JSON form; enough of multipart for what one well-behaved sender writes."""
    boundary = re.search(r'boundary="?([^";]+)', content_type)[1].encode()  # type: ignore[index]
    items = []
    for part in content.split(b"--" + boundary)[1:-1]:
        head, _, body = part[2:].partition(b"\r\n\r\n")
        headers = dict(line.lower().split(": ", 1) for line in head.decode().split("\r\n") if line)
        name = re.search(r'name="?([^";]+)', headers["content-disposition"])[1]  # type: ignore[index]
        items.append({"id": name, "path": headers.get("x-path", ""), "body": body[:-2],
                      "media_type": headers["content-type"]})
    return items


class Handler(http.server.BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"

    def log_message(self, *_: object) -> None:
        pass

    def answer(self, body: bytes | object, status: int = 200, headers: dict[str, str] | None = None) -> None:
        content = body if isinstance(body, bytes) else json.dumps(body).encode()
        lines = {"Content-Type": "application/json", "Content-Length": str(len(content)), **(headers or {}),
                 **({"Connection": "close"} if self.close_connection else {})}
        head = "".join(f"{name}: {value}\r\n" for name, value in lines.items())
        self.wfile.write(f"HTTP/1.1 {status} As Said\r\n{head}\r\n".encode() + content)

    def read_body(self) -> bytes:
        if self.headers.get("Transfer-Encoding", "").lower() != "chunked":
            return self.rfile.read(int(self.headers.get("Content-Length", 0)))
        body = bytearray()
        while size := int(self.rfile.readline().split(b";")[0], 16):
            body += self.rfile.read(size)
            self.rfile.readline()
        self.rfile.readline()
        return bytes(body)

    def do_GET(self) -> None:
        path = urllib.parse.urlsplit(self.path).path
        if path == "/health":
            self.answer({"status": "ready"})
        elif path == "/seen":
            self.answer(seen.to_json())
        elif path == "/env":
            self.answer(dict(os.environ))
        else:
            self.answer({"method": self.command, "path": self.path,
                         "headers": {name.lower(): value for name, value in self.headers.items()}})

    def do_POST(self) -> None:
        parts = urllib.parse.urlsplit(self.path)
        query = {name: values[0] for name, values in urllib.parse.parse_qs(parts.query).items()}
        content = self.read_body()
        handler = getattr(self, "do_" + parts.path.strip("/").replace("-", "_"), None)
        if handler:
            handler(query, content)
        else:
            self.do_one(content)

    do_PUT = do_POST

    # ---- work ----

    def misbehaves(self, how: str) -> bool:
        """Answers something else than the truth, if so told."""
        if how == "garbage":
            self.wfile.write(b"not at all HTTP\r\n\r\n")
            self.close_connection = True
        elif how == "break":
            self.close_connection = True
        elif how == "nothing":
            time.sleep(60)
        elif how.isdigit():
            self.answer({"error": "as told"}, int(how))
        return how not in ("good", "fewer")

    def take(self, bodies: list[Any], kind: str, entry: dict[str, Any]) -> bool:
        """False if it was answered here already."""
        if seen.add(kind, entry) > (options.die_after or 1 << 30):
            os._exit(17)
        if options.parallel:
            work(bodies)
        else:
            with model:
                work(bodies)
        return not self.misbehaves(options.answer)

    def do_one(self, content: bytes) -> None:
        media_type = self.headers.get("Content-Type", "")
        try:
            body = json.loads(content) if "json" in media_type else content
        except ValueError:
            return self.answer({"error": "not JSON"}, 400)
        headers = {name.lower(): value for name, value in self.headers.items()}
        data = body.get("data") if isinstance(body, dict) else None
        if not self.take([body], "requests", {"path": self.path, "headers": headers, "data": data}):
            return None
        said = body if isinstance(body, dict) else {}
        result = result_of(body, 1)
        # The headers that came, so that a test sees what the application saw.
        self.answer(result if isinstance(result, bytes) else {**result, "headers": headers},
                    said.get("status", 200), self.work_header())
        return None

    def work_header(self) -> dict[str, str]:
        return {} if options.audio_seconds is None else {"X-Audio-Seconds": str(options.audio_seconds)}

    def do_batch(self, query: dict[str, str], content: bytes) -> None:
        media_type = self.headers.get("Content-Type", "")
        multipart = media_type.startswith("multipart/")
        items = parse_parts(media_type, content) if multipart else json.loads(content)["items"]
        bodies = [item["body"] for item in items]
        entry = {"ids": [item["id"] for item in items], "paths": [item["path"] for item in items],
                 "data": [body.get("data") if isinstance(body, dict) else None for body in bodies],
                 "media_types": [item.get("media_type") for item in items],
                 "headers": {name.lower(): value for name, value in self.headers.items()}}
        if not self.take(bodies, "batches", entry):
            return
        if options.poison is not None and options.poison in entry["data"]:
            self.answer({"error": "poisoned"}, 500)
            return
        if multipart:
            self.answer_parts(items)
            return
        answers = [{"id": item["id"], "body": result_of(item["body"], len(items)), "headers": self.work_header(),
                    **({"status": item["body"]["status"]} if "status" in (item["body"] or {}) else {})}
                   for item in items]
        if options.answer == "fewer" and len(answers) > 1:
            answers = answers[:-1]
        self.answer({"items": answers})

    def answer_parts(self, items: list[dict[str, Any]]) -> None:
        pieces = [f'--B\r\nContent-Disposition: form-data; name="{item["id"]}"\r\nX-Status: 200\r\n'
                  f"Content-Type: {item['media_type']}\r\n\r\n".encode() + item["body"][::-1] + b"\r\n"
                  for item in reversed(items)]
        self.answer(b"".join(pieces) + b"--B--\r\n", headers={"Content-Type": "multipart/form-data; boundary=B"})

    def do_stream(self, query: dict[str, str], content: bytes) -> None:
        seen.add("requests", {"path": self.path})
        self.wfile.write(b"HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\nTransfer-Encoding: chunked\r\n\r\n")
        for number in range(int(query["n"])):
            if "gate" in query:
                gates.wait_until(query["gate"], number)
            piece = b"data: piece %d\n\n" % number
            self.wfile.write(b"%x\r\n%s\r\n" % (len(piece), piece))
        self.wfile.write(b"0\r\n\r\n")

    def do_hold(self, query: dict[str, str], content: bytes) -> None:
        seen.add("requests", {"path": self.path})
        select.select([self.connection], [], [], 60)
        if self.connection.recv(1) == b"":
            seen.gone()
        self.close_connection = True

    # ---- what a test asks of it directly ----

    def do_go(self, query: dict[str, str], content: bytes) -> None:
        gates.open(query["gate"])
        self.answer({})

    def do_answer(self, query: dict[str, str], content: bytes) -> None:
        options.answer = query["with"]
        self.answer({})

    def do_seconds(self, query: dict[str, str], content: bytes) -> None:
        options.batch_seconds = float(query["batch"])
        self.answer({})

    def do_stop_self(self, query: dict[str, str], content: bytes) -> None:
        self.answer({})
        os.kill(os.getpid(), signal.SIGSTOP)

    def do_exit(self, query: dict[str, str], content: bytes) -> None:
        self.answer({})
        os._exit(int(query["code"]))

    def do_kill(self, query: dict[str, str], content: bytes) -> None:
        self.answer({})
        os.kill(os.getpid(), int(query["signal"]))


class Server(socketserver.ThreadingMixIn, http.server.HTTPServer):
    daemon_threads = True
    request_queue_size = 128

    def __init__(self, address: str) -> None:
        path = address[5:] if address.startswith("unix:") else ""
        host, _, port = address.rpartition(":")
        if path:
            self.address_family = socket.AF_UNIX
        super().__init__(path or (host, int(port)), Handler)  # type: ignore[arg-type]

    def server_bind(self) -> None:
        socketserver.TCPServer.server_bind(self)

    def process_request(self, request: Any, client_address: Any) -> None:
        if options.single_threaded:
            # One connection after the other, as the plainest servers do it.
            http.server.HTTPServer.process_request(self, request, client_address)
        else:
            super().process_request(request, client_address)

    def handle_error(self, request: object, client_address: object) -> None:
        if not isinstance(sys.exc_info()[1], OSError):
            super().handle_error(request, client_address)


def main() -> None:
    global options
    options = parse_options()
    signal.signal(signal.SIGTERM, lambda *_: os._exit(0))
    if options.exit_at_once is not None:
        print("leaving at once", flush=True)
        sys.exit(options.exit_at_once)
    while options.never_listen:
        time.sleep(1)
    time.sleep(options.start_seconds)
    if options.single_threaded:
        # Kept connections would keep it from ever serving another one.
        Handler.protocol_version = "HTTP/1.0"
    server = Server(options.listen)
    print("fake model listens", flush=True)
    server.serve_forever(poll_interval=0.05)


if __name__ == "__main__":
    main()
