"""What mesclun-app talks to besides its application: a metadata service and storage, as good or bad as a test wants."""

from __future__ import annotations

import dataclasses
import http.server
import json
import threading
import time
from typing import Any


@dataclasses.dataclass
class Received:
    method: str
    path: str
    headers: dict[str, str]  # names in lower case
    body: bytes

    @property
    def json(self) -> Any:
        return json.loads(self.body)


class Service:
    """An HTTP server in a thread; keeps what it got."""

    def __init__(self) -> None:
        self.received: list[Received] = []
        service = self

        class Handler(http.server.BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def log_message(self, *_: object) -> None:
                pass

            def any_method(self) -> None:
                service.handle(self)

            do_GET = do_POST = do_PUT = do_DELETE = do_HEAD = any_method

        class Server(http.server.ThreadingHTTPServer):
            daemon_threads = True

            def handle_error(self, *_: object) -> None:
                pass  # callers that give up are part of the tests

        self._server = Server(("127.0.0.1", 0), Handler)
        self.address = f"127.0.0.1:{self._server.server_address[1]}"
        self.uri = f"http://{self.address}"
        threading.Thread(target=self._server.serve_forever, args=(0.05,), daemon=True).start()

    def stop(self) -> None:
        self._server.shutdown()
        self._server.server_close()

    def handle(self, request: http.server.BaseHTTPRequestHandler) -> None:
        raise NotImplementedError

    def take(self, request: http.server.BaseHTTPRequestHandler, body: bytes) -> Received:
        entry = Received(request.command, request.path, {k.lower(): v for k, v in request.headers.items()}, body)
        self.received.append(entry)
        return entry

    @staticmethod
    def answer(request: http.server.BaseHTTPRequestHandler, status: int, body: bytes = b"") -> None:
        request.send_response(status)
        if status != 204:
            request.send_header("Content-Length", str(len(body)))
        request.end_headers()
        request.wfile.write(body)


class FakeMetadata(Service):
    """The metadata service of an instance. `behaviour`: good, hang, or a status."""

    def __init__(self, behaviour: str | int = "good") -> None:
        super().__init__()
        self.behaviour = behaviour

    def handle(self, request: http.server.BaseHTTPRequestHandler) -> None:
        body = request.rfile.read(int(request.headers.get("Content-Length", 0)))
        entry = self.take(request, body)
        if self.behaviour == "hang":
            time.sleep(60)
        elif self.behaviour != "good":
            self.answer(request, int(self.behaviour))
        elif entry.headers.get("metadata") != "true":
            self.answer(request, 403)
        elif entry.path == "/v1/status":
            self.answer(request, 200, b'{"ready":true,"started":true}')
        else:
            self.answer(request, 204)

    def reallocations(self) -> list[str]:
        """The reasons given."""
        return [one.json.get("reason", "") for one in self.received if one.path == "/v1/reallocate"]


class FakeStore(Service):
    """GET gives bytes, PUT and POST take them and keep them by path. `rate`: bytes a second; `status`: only that."""

    def __init__(self) -> None:
        super().__init__()
        self.rate = 0.0
        self.status = 0
        self.objects: dict[str, bytes] = {}

    def _pause(self, piece: bytes) -> None:
        if self.rate:
            time.sleep(len(piece) / self.rate)

    def handle(self, request: http.server.BaseHTTPRequestHandler) -> None:
        path = request.path.partition("?")[0]
        content = bytearray()
        left = int(request.headers.get("Content-Length", 0))
        while left > 0:
            piece = request.rfile.read(min(left, 1 << 16))
            if not piece:
                return
            self._pause(piece)
            content += piece
            left -= len(piece)
        self.take(request, bytes(content[:1000]))
        if self.status:
            self.answer(request, self.status)
        elif request.command in ("PUT", "POST"):
            self.objects[path] = bytes(content)
            self.answer(request, 200)
        elif request.command == "DELETE":
            self.objects.pop(path, None)
            self.answer(request, 204)
        else:
            self._send(request, self.objects.get(path, b"x" * (4 << 20)))

    def _send(self, request: http.server.BaseHTTPRequestHandler, body: bytes) -> None:
        request.send_response(200)
        request.send_header("Content-Length", str(len(body)))
        request.end_headers()
        for at in range(0, len(body), 1 << 16):
            piece = body[at:at + (1 << 16)]
            self._pause(piece)
            request.wfile.write(piece)

    def methods(self) -> list[str]:
        return [one.method for one in self.received]
