"""The application of the demo: reads text in pictures with Tesseract. Only the standard library and `tesseract`.

    POST /ocr      body: a PNG   200 {"text", "machine_id", "instance_id", "seconds"}
    GET  /health                 200 at once, also while a picture is being read; 503 while shutting down

One picture is read at a time, a few may wait. A request beyond that gets 503 with Retry-After at once, which costs the
caller less than a long wait: a gateway or another instance may have room. It listens on IPv6 and IPv4 (`::`), because
a gateway reaches containers over IPv6.
"""

from __future__ import annotations

import http.server
import json
import os
import shutil
import signal
import socket
import subprocess
import sys
import threading
import time
from typing import Any

BODY_BYTES_MAX = 8 << 20
READ_SECONDS_MAX = 60
DRAIN_SECONDS_MAX = 25  # the cloud kills 30 s after SIGTERM
PNG_SIGNATURE = b"\x89PNG\r\n\x1a\n"


class Busy(Exception):
    """All places are taken."""


class Unreadable(Exception):
    """Not a picture that Tesseract can open."""


class Desk:
    """Lets `readers` callers in at a time and `waiting` more wait for it, in any order."""

    def __init__(self, readers: int, waiting: int) -> None:
        self._places = threading.BoundedSemaphore(readers + waiting)
        self._readers = threading.BoundedSemaphore(readers)

    def __enter__(self) -> None:
        if not self._places.acquire(blocking=False):
            raise Busy
        self._readers.acquire()

    def __exit__(self, *_: object) -> None:
        self._readers.release()
        self._places.release()


def recognise(picture: bytes) -> str:
    """Raises Unreadable with Tesseract's own words, RuntimeError if Tesseract itself was ended by a signal."""
    done = subprocess.run(
        # One block of black text on white: no search for columns, no second try with inverted colours.
        ["tesseract", "stdin", "stdout", "-l", "eng", "--psm", "6", "--dpi", "150", "-c", "tessedit_do_invert=0"],
        input=picture, capture_output=True, timeout=READ_SECONDS_MAX,
        # Its threads fight each other over less than one core: ten times slower with them.
        env={**os.environ, "OMP_THREAD_LIMIT": "1"})
    if done.returncode < 0:
        raise RuntimeError(f"tesseract ended by signal {-done.returncode}")
    if done.returncode != 0:
        raise Unreadable(done.stderr.decode(errors="replace").strip() or f"tesseract exited {done.returncode}")
    return done.stdout.decode()


class OcrServer(http.server.ThreadingHTTPServer):
    daemon_threads = True
    request_queue_size = 128

    def __init__(self, port: int, waiting: int) -> None:
        self.address_family = socket.AF_INET6 if socket.has_dualstack_ipv6() else socket.AF_INET
        self.desk = Desk(1, waiting)
        self.machine_id = os.environ.get("SALAD_MACHINE_ID", "")
        self.instance_id = os.environ.get("SALAD_INSTANCE_ID", "")
        self.closing = False
        self.in_flight = 0
        self.lock = threading.Lock()
        super().__init__(("::" if self.address_family == socket.AF_INET6 else "0.0.0.0", port), Handler)

    def server_bind(self) -> None:
        if self.address_family == socket.AF_INET6:
            self.socket.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, 0)
        super().server_bind()

    def handle_error(self, request: Any, client_address: Any) -> None:
        if not isinstance(sys.exc_info()[1], (ConnectionError, TimeoutError)):  # a caller who left is no news
            super().handle_error(request, client_address)

    def drain(self) -> None:
        """Ends serve_forever() once what was accepted is answered."""
        self.closing = True
        end = time.monotonic() + DRAIN_SECONDS_MAX
        while self.in_flight > 0 and time.monotonic() < end:
            time.sleep(0.05)
        self.shutdown()


class Handler(http.server.BaseHTTPRequestHandler):
    server: OcrServer
    protocol_version = "HTTP/1.1"
    timeout = 300  # of an idle or stuck connection
    # A header and a body in two small packets would wait for each other's acknowledgement.
    disable_nagle_algorithm = True

    def do_GET(self) -> None:
        if self.path != "/health":
            self.answer(404, {"error": "only GET /health and POST /ocr are here"})
        elif self.server.closing:
            self.answer(503, {"status": "closing"})
        else:
            self.answer(200, {"status": "ok", "machine_id": self.server.machine_id})

    def do_POST(self) -> None:
        with self.server.lock:
            self.server.in_flight += 1
        try:
            self.answer_picture()
        finally:
            with self.server.lock:
                self.server.in_flight -= 1

    def answer_picture(self) -> None:
        length = self.headers.get("Content-Length", "")
        if self.path != "/ocr" or not length.isascii() or not length.isdigit() or int(length) > BODY_BYTES_MAX:
            self.close_connection = True  # the body stays unread
            if self.path != "/ocr":
                self.answer(404, {"error": "only GET /health and POST /ocr are here"})
            elif not length.isdigit():
                self.answer(411, {"error": "Content-Length is required"})
            else:
                self.answer(413, {"error": f"a picture has at most {BODY_BYTES_MAX} bytes"})
            return
        picture = self.rfile.read(int(length))
        if len(picture) != int(length):
            self.close_connection = True  # the caller left
            return
        if not picture.startswith(PNG_SIGNATURE):
            self.answer(415, {"error": "the body is not a PNG"})
            return
        try:
            with self.server.desk:
                start = time.monotonic()
                text = recognise(picture)
                seconds = time.monotonic() - start
        except Busy:
            self.answer(503, {"error": "busy, try again"}, {"Retry-After": "1"})
        except Unreadable as error:
            self.answer(422, {"error": str(error)})
        except (RuntimeError, subprocess.TimeoutExpired) as error:
            self.answer(500, {"error": str(error)})
        else:
            self.answer(200, {"text": text, "machine_id": self.server.machine_id,
                              "instance_id": self.server.instance_id, "seconds": round(seconds, 4)})
            print(f"read {len(picture)} bytes in {seconds:.2f} s", flush=True)

    def answer(self, status: int, document: dict[str, object], headers: dict[str, str] | None = None) -> None:
        body = json.dumps(document).encode()
        self.send_response(status)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(body)))
        for name, value in (headers or {}).items():
            self.send_header(name, value)
        if self.close_connection:
            self.send_header("Connection", "close")
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *_: object) -> None:
        pass  # probes would fill the log


def main() -> int:
    if shutil.which("tesseract") is None:
        print("tesseract is not installed (package tesseract-ocr)", file=sys.stderr)
        return 1
    port = int(os.environ.get("PORT", "8080"))
    server = OcrServer(port, waiting=int(os.environ.get("OCR_WAITING_MAX", "4")))
    signal.signal(signal.SIGTERM, lambda *_: threading.Thread(target=server.drain, daemon=True).start())
    print(f"reading pictures on port {server.server_port}, machine {server.machine_id or '(none)'}", flush=True)
    try:
        server.serve_forever(poll_interval=0.2)
    except KeyboardInterrupt:
        pass
    return 0


if __name__ == "__main__":
    sys.exit(main())
