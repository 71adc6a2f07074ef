"""One function that takes a batch, served over HTTP as mesclun-app asks for it. Copy this file beside your application.

    import mesclun_batch

    model = load_model()                             # before serve(): nothing listens until the model is there

    def handle(items):                               # a list of 1 to batch.size_max items
        answers = model.run([item.body["data"] for item in items])
        return [{"result": answer} for answer in answers]      # one result for each item, in the same order

    mesclun_batch.serve(handle, "127.0.0.1:8001")    # application.address of mesclun-app

`handle` runs in a thread of its own, one batch at a time (`threads` for more), so that GET /health is answered while it
works. `item.body` is the caller's JSON, or bytes for other media types (batch.format: multipart); `item.path`,
`item.media_type` and `item.id` tell the rest.

A result is anything that JSON can say, or bytes, or Answer(body, status, headers, media_type), or an exception, which
fails this item alone: ItemError(422, "too long") as said, any other with 500. If `handle` raises, the batch fails as a
whole, and mesclun-app tries each item once alone.

A POST to another path than the batch target is a batch of one, and is answered plainly: the application works without
mesclun-app too. Needs Python 3.8 and nothing else.
"""

from __future__ import annotations

import concurrent.futures
import http.client
import http.server
import json
import os
import re
import signal
import socket
import socketserver
import stat
import sys
import threading
import traceback
from typing import Any, Callable, List, NamedTuple, Tuple, Union

__all__ = ["Answer", "Item", "ItemError", "Server", "serve"]

JSON = "application/json"


class Item(NamedTuple):
    id: str
    path: str  # as the caller asked; empty where the batch does not tell
    media_type: str  # of the body
    body: Any


class Answer:
    """A result with a status, headers or a media type of its own."""

    def __init__(self, body: Any = None, status: int = 200, headers: dict[str, str] | None = None,
                 media_type: str = "") -> None:
        self.body = body
        self.status = status
        self.headers = headers or {}
        self.media_type = media_type


class ItemError(Exception):
    """Fails one item with this status; its caller gets {"error": message}."""

    def __init__(self, status: int, message: str, headers: dict[str, str] | None = None) -> None:
        super().__init__(message)
        self.status = status
        self.headers = headers or {}


Handle = Callable[[List[Item]], List[Any]]


def serve(handle: Handle, address: str = "127.0.0.1:8001", **options: Any) -> None:
    """Serves until SIGTERM or SIGINT, finishes what is in flight, and returns. Options: those of Server."""
    server = Server(handle, address, **options)
    if threading.current_thread() is threading.main_thread():
        for number in (signal.SIGTERM, signal.SIGINT):
            # From another thread, because shutdown() waits for the loop that the signal interrupts.
            signal.signal(number, lambda *_: threading.Thread(target=server.shutdown, daemon=True).start())
    try:
        server.serve_forever(poll_interval=0.1)
    finally:
        server.finish()


class Server(socketserver.ThreadingMixIn, http.server.HTTPServer):
    """Listens from construction on. `address`: HOST:PORT, :PORT for IPv6 and IPv4, or unix:PATH."""

    daemon_threads = True
    request_queue_size = 128

    def __init__(self, handle: Handle, address: str, *, target: str = "/batch", health_path: str = "/health",
                 threads: int = 1, waiting_max: int = 100, body_bytes_max: int = 1 << 30,
                 finish_seconds: float = 10) -> None:
        self.handle = handle
        self.target = target
        self.health_path = health_path
        self.body_bytes_max = body_bytes_max
        self._finish_seconds = finish_seconds
        self._pool = concurrent.futures.ThreadPoolExecutor(threads, thread_name_prefix="batch")
        self._places = threading.BoundedSemaphore(threads + waiting_max)
        self._in_flight = 0
        self._changed = threading.Condition()
        self._unix_path = address[5:] if address.startswith("unix:") else ""
        bind: str | tuple[str, int] = self._unix_path
        if self._unix_path:
            self.address_family = socket.AF_UNIX
            if os.path.exists(self._unix_path) and stat.S_ISSOCK(os.stat(self._unix_path).st_mode):
                os.unlink(self._unix_path)  # left behind by a run that was killed
        else:
            host, _, port = address.rpartition(":")
            host = host.strip("[]") or ("::" if socket.has_dualstack_ipv6() else "0.0.0.0")
            self.address_family = socket.AF_INET6 if ":" in host else socket.AF_INET
            bind = (host, int(port))
        super().__init__(bind, _Handler)  # type: ignore[arg-type]

    def server_bind(self) -> None:
        if self.address_family == socket.AF_INET6:
            self.socket.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, 0)
        # Not HTTPServer's, which asks the name service who we are.
        socketserver.TCPServer.server_bind(self)

    def handle_error(self, request: Any, client_address: Any) -> None:
        if not isinstance(sys.exc_info()[1], OSError):  # a caller that went away is nothing to report
            traceback.print_exc()

    def count(self, change: int) -> None:
        with self._changed:
            self._in_flight += change
            self._changed.notify_all()

    def finish(self) -> None:
        """After shutdown(): accepts no more, and waits for what is in flight, for a bounded time."""
        self.socket.close()
        if self._unix_path:
            try:
                os.unlink(self._unix_path)
            except FileNotFoundError:
                pass
        with self._changed:
            self._changed.wait_for(lambda: self._in_flight == 0, self._finish_seconds)
        self._pool.shutdown(wait=False)

    def run(self, items: list[Item]) -> list[Any]:
        """The results of `handle` in its own thread; raises what it raises, and _Full."""
        if not self._places.acquire(blocking=False):
            raise _Full
        try:
            results = list(self._pool.submit(self.handle, items).result())
        finally:
            self._places.release()
        if len(results) != len(items):
            raise ValueError(f"handle() gave {len(results)} results for {len(items)} items")
        return results


class _Full(Exception):
    pass


class _BadRequest(Exception):
    pass


class _TooLarge(Exception):
    pass


# An item of a batch as it came: its id, and either itself or why it cannot be one.
_Parsed = Tuple[str, Union[Item, ItemError]]


class _Result(NamedTuple):
    """A result as bytes."""

    status: int
    headers: dict[str, str]
    media_type: str
    content: bytes
    is_json: bool


# dumps() with arguments makes a new one each time.
_encoder = json.JSONEncoder(allow_nan=False, separators=(",", ":"))


def _to_json(value: Any) -> bytes:
    return _encoder.encode(value).encode()


def _encode(result: Any) -> _Result:
    """Never raises: a result that cannot be sent fails its own item only."""
    if isinstance(result, ItemError):
        return _Result(result.status, result.headers, JSON, _to_json({"error": str(result)}), True)
    if isinstance(result, BaseException):
        return _Result(500, {}, JSON, _to_json({"error": f"{type(result).__name__}: {result}"}), True)
    answer = result if isinstance(result, Answer) else Answer(result)
    headers = {str(name): str(value) for name, value in answer.headers.items()}
    if isinstance(answer.body, (bytes, bytearray, memoryview)):
        media_type = answer.media_type or "application/octet-stream"
        return _Result(answer.status, headers, media_type, bytes(answer.body), False)
    try:
        return _Result(answer.status, headers, answer.media_type or JSON, _to_json(answer.body), True)
    except (TypeError, ValueError) as error:  # a tensor, a NaN
        return _encode(ItemError(500, f"the result is not JSON: {error}"))


# ---- the batch: requests ----


def _parse_json_batch(content: bytes) -> list[_Parsed]:
    try:
        items = json.loads(content)["items"]
        return [(str(one["id"]), Item(str(one["id"]), one.get("path", ""), JSON, one.get("body"))) for one in items]
    except (ValueError, KeyError, TypeError, AttributeError) as error:
        raise _BadRequest(f"not a batch: {type(error).__name__}: {error}") from None


def _split_multipart(content: bytes, boundary: bytes) -> list[tuple[dict[str, str], bytes]]:
    """Headers (names in lower case) and bytes of each part. The line break before a delimiter belongs to it."""
    delimiter = b"\r\n--" + boundary
    at = 0 if content.startswith(delimiter[2:]) else content.find(delimiter) + 2
    if at == 1:
        raise _BadRequest("the boundary is not in the body")
    parts: list[tuple[dict[str, str], bytes]] = []
    while True:
        at += len(delimiter) - 2
        if content[at:at + 2] == b"--":
            return parts
        head_end = content.find(b"\r\n\r\n", at)
        end = content.find(delimiter, head_end + 4)
        if head_end < 0 or end < 0:
            raise _BadRequest("a part does not end")
        headers = {}
        for line in content[at:head_end].decode("latin-1").split("\r\n"):
            name, _, value = line.partition(":")
            headers[name.strip().lower()] = value.strip()
        parts.append((headers, content[head_end + 4:end]))
        at = end + 2


_BOUNDARY = re.compile(r'boundary=(?:"([^"]+)"|([^\s;,]+))', re.IGNORECASE)
_NAME = re.compile(r'(?:^|;)\s*name=(?:"((?:\\.|[^"\\])*)"|([^\s;]+))', re.IGNORECASE)


def _media_type(value: str) -> str:
    return value.partition(";")[0].strip().lower()


def _decode_item(id_: str, path: str, media_type: str, content: bytes) -> _Parsed:
    body: Any = content
    if _media_type(media_type) == JSON:
        try:
            body = json.loads(content) if content else None
        except ValueError as error:
            return id_, ItemError(400, f"the body is not JSON: {error}")
    return id_, Item(id_, path, media_type, body)


def _parse_multipart_batch(content_type: str, content: bytes) -> list[_Parsed]:
    boundary = _BOUNDARY.search(content_type)
    if not boundary:
        raise _BadRequest("multipart without a boundary")
    parsed = []
    for headers, body in _split_multipart(content, (boundary[1] or boundary[2]).encode("latin-1")):
        name = _NAME.search(headers.get("content-disposition", ""))
        if not name:
            raise _BadRequest("a part has no name")
        id_ = re.sub(r"\\(.)", r"\1", name[1]) if name[1] is not None else name[2]
        parsed.append(_decode_item(id_, headers.get("x-path", ""), headers.get("content-type", ""), body))
    return parsed


# ---- the batch: answers ----


def _json_answer(ids: list[str], results: list[_Result]) -> tuple[str, bytes]:
    entries = []
    for id_, result in zip(ids, results):
        if not result.is_json:
            result = _encode(ItemError(500, "bytes can be answered with batch.format: multipart only"))
        head = {"id": id_, "status": result.status, **({"headers": result.headers} if result.headers else {})}
        entries.append(_to_json(head)[:-1] + b',"body":' + result.content + b"}")
    return JSON, b'{"items":[' + b",".join(entries) + b"]}"


def _multipart_answer(ids: list[str], results: list[_Result]) -> tuple[str, bytes]:
    boundary = "mesclun-" + os.urandom(16).hex()
    pieces = []
    for id_, result in zip(ids, results):
        quoted = id_.replace("\\", "\\\\").replace('"', '\\"')
        head = [f"--{boundary}", f'Content-Disposition: form-data; name="{quoted}"',
                f"Content-Type: {result.media_type}", f"X-Status: {result.status}",
                *(f"{name}: {value}" for name, value in result.headers.items())]
        pieces += ["\r\n".join(head).encode("latin-1"), b"\r\n\r\n", result.content, b"\r\n"]
    return f"multipart/form-data; boundary={boundary}", b"".join(pieces) + f"--{boundary}--\r\n".encode()


class _Handler(http.server.BaseHTTPRequestHandler):
    server: Server
    protocol_version = "HTTP/1.1"

    def setup(self) -> None:
        super().setup()
        if self.server.address_family != socket.AF_UNIX:
            self.connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, True)

    def log_message(self, *_: Any) -> None:
        pass

    def do_GET(self) -> None:
        if self.path.partition("?")[0] == self.server.health_path:
            self._send(200, JSON, b'{"status":"ready"}')
        else:
            self._fail(404, "no such path")

    do_HEAD = do_GET

    def do_POST(self) -> None:
        self.server.count(+1)
        try:
            self._answer(self._read_body())
        except _BadRequest as error:
            self._fail(400, str(error))
        except _TooLarge:
            self.close_connection = True  # the rest of it is still on its way
            self._fail(413, f"more than {self.server.body_bytes_max} bytes")
        except _Full:
            self._fail(503, "too many requests wait", {"Retry-After": "1"})
        except OSError:
            raise
        except Exception as error:  # handle()'s own
            traceback.print_exception(type(error), error, error.__traceback__)
            self._fail(500, f"{type(error).__name__}: {error}")
        finally:
            self.server.count(-1)

    do_PUT = do_POST

    def _answer(self, content: bytes) -> None:
        media_type = self.headers.get("Content-Type", JSON)
        if self.path.partition("?")[0] != self.server.target:
            (result,) = self._results([_decode_item("", self.path, media_type, content)])
            self._send(result.status, result.media_type, result.content, result.headers)
            return
        multipart = _media_type(media_type) == "multipart/form-data"
        parsed = _parse_multipart_batch(media_type, content) if multipart else _parse_json_batch(content)
        results = self._results(parsed)
        ids = [id_ for id_, _ in parsed]
        in_parts = multipart and not all(result.is_json for result in results)
        self._send(200, *(_multipart_answer if in_parts else _json_answer)(ids, results))

    def _results(self, parsed: list[_Parsed]) -> list[_Result]:
        """Of all items in order; those that came broken do not reach handle()."""
        good = [item for _, item in parsed if isinstance(item, Item)]
        found: list[Any] = []
        try:
            found = self.server.run(good) if good else []
        except ItemError as error:
            if len(good) > 1:
                raise  # nobody can tell whose it is; alone it will be known
            found = [error]
        except OSError as error:  # not to be taken for a broken connection of ours
            raise RuntimeError(f"{type(error).__name__}: {error}") from error
        results = iter(found)
        return [_encode(next(results) if isinstance(item, Item) else item) for _, item in parsed]

    # ---- HTTP ----

    def _read_body(self) -> bytes:
        try:
            if self.headers.get("Transfer-Encoding", "").lower() == "chunked":
                return self._read_chunks()
            return self._read(int(self.headers.get("Content-Length", 0)), self.server.body_bytes_max)
        except ValueError as error:
            self.close_connection = True  # nobody knows where the next request begins
            raise _BadRequest(str(error)) from None

    def _read(self, size: int, bytes_max: int) -> bytes:
        if size < 0:
            raise ValueError(f"a body of {size} bytes")
        if size > bytes_max:
            raise _TooLarge
        content = self.rfile.read(size)
        if len(content) < size:
            raise ConnectionError("the caller went away")
        return content

    def _read_chunks(self) -> bytes:
        content = bytearray()
        while True:
            size = int(self.rfile.readline(1024).partition(b";")[0], 16)
            if size == 0:
                break
            content += self._read(size, self.server.body_bytes_max - len(content))
            self.rfile.readline(1024)
        while self.rfile.readline(8192).strip():  # trailers
            pass
        return bytes(content)

    def _fail(self, status: int, message: str, headers: dict[str, str] | None = None) -> None:
        self._send(status, JSON, _to_json({"error": message}), headers)

    def _send(self, status: int, media_type: str, content: bytes, headers: dict[str, str] | None = None) -> None:
        lines = [f"HTTP/1.1 {status} {http.client.responses.get(status, 'Unknown')}", f"Content-Type: {media_type}",
                 f"Content-Length: {len(content)}", *(f"{name}: {value}" for name, value in (headers or {}).items())]
        if self.close_connection:
            lines.append("Connection: close")
        head = ("\r\n".join(lines) + "\r\n\r\n").encode("latin-1")
        # In one piece: one packet, one system call.
        self.wfile.write(head if self.command == "HEAD" else head + content)
