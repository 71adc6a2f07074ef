"""The helper modules for applications that take batches (helpers/), spoken to as mesclun-app does."""

from __future__ import annotations

import contextlib
import email.parser
import json
import pathlib
import signal
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from typing import Any

import pytest

from groups import APPS
from http_call import Connection, Reply
from ports import free_address
from unix_call import UnixConnection
from waiting import wait_for

COMMANDS = {"python": [sys.executable, str(APPS / "helper_app.py")], "node": ["node", str(APPS / "helper_app.cjs")]}


@contextlib.contextmanager
def running(language: str, listen: str) -> Iterator[subprocess.Popen[bytes]]:
    address = f"127.0.0.1{listen}" if listen.startswith(":") else listen
    process = subprocess.Popen([*COMMANDS[language], listen], stdin=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    try:
        wait_for(lambda: listens(address) or process.poll() is not None, f"{language} at {address}", 20, 0.05)
        assert process.poll() is None
        yield process
    finally:
        process.kill()
        process.wait()


def listens(address: str) -> bool:
    try:
        connect(address, "GET", "/health")
    except OSError:
        return False
    return True


def connect(address: str, *arguments: Any, **options: Any) -> Reply:
    kind = UnixConnection if address.startswith("unix:") else Connection
    with kind(address, 20) as connection:
        return connection.call(*arguments, **options)


@pytest.fixture(scope="module", params=COMMANDS)
def app(request: pytest.FixtureRequest) -> Iterator[str]:
    address = free_address()
    with running(request.param, address):
        yield address


def batch(address: str, *bodies: Any) -> Reply:
    items = [{"id": f"{100 + i}", "path": "/predict", "body": body} for i, body in enumerate(bodies)]
    return connect(address, "POST", "/batch", body={"items": items}, headers={"X-Batch-Size": str(len(bodies))})


def items_of(reply: Reply) -> list[dict[str, Any]]:
    assert reply.status == 200, reply
    assert reply.media_type == "application/json"
    found = reply.json["items"]
    assert [item["id"] for item in found] == [str(100 + i) for i in range(len(found))]
    return found


def multipart(address: str, *parts: tuple[str, bytes], boundary: str = "B0UNDARY") -> Reply:
    """Parts of (media type, content), named 100, 101 and so on."""
    pieces = [f'--{boundary}\r\nContent-Disposition: form-data; name="{100 + i}"; filename="x"\r\n'
              f"Content-Type: {media_type}\r\n\r\n".encode() + content + b"\r\n"
              for i, (media_type, content) in enumerate(parts)]
    body = b"".join(pieces) + f"--{boundary}--\r\n".encode()
    return connect(address, "POST", "/batch", body=body,
                   headers={"Content-Type": f'multipart/form-data; boundary="{boundary}"'})


def parts_of(reply: Reply) -> dict[str, tuple[str, str, bytes]]:
    """Name to (status, media type, content), read by Python's own parser of such messages."""
    assert reply.status == 200 and reply.media_type.startswith("multipart/form-data"), reply
    head = f"Content-Type: {reply.media_type}\r\n\r\n".encode()
    message = email.parser.BytesParser().parsebytes(head + reply.body)
    return {part.get_param("name", header="content-disposition"):
            (part["X-Status"], part.get_content_type(), part.get_payload(decode=True))
            for part in message.get_payload()}


def test_each_item_gets_its_result(app: str) -> None:
    items = items_of(batch(app, {"data": 2}, {"data": 3}, {"data": 4}))
    assert [item["body"] for item in items] == [{"result": n * n, "batch": 3} for n in (2, 3, 4)]
    assert all(item.get("status", 200) == 200 for item in items)


def test_an_item_fails_alone_with_its_own_status(app: str) -> None:
    found = items_of(batch(app, {"data": 2}, {"do": "refuse"}, {"do": "break"}, {"do": "headers"}, {"do": "no json"},
                           {"do": "bytes"}, {"data": 3}))
    assert [item.get("status", 200) for item in found] == [200, 422, 500, 201, 500, 500, 200]
    assert found[1]["body"] == {"error": "too long"}
    assert "broken" in found[2]["body"]["error"]
    assert found[3]["headers"] == {"X-Tokens": "12"} and found[3]["body"] == {"path": "/predict"}
    assert "JSON" in found[4]["body"]["error"]
    assert "multipart" in found[5]["body"]["error"]


def test_a_raised_error_fails_the_batch_as_a_whole(app: str) -> None:
    for what in ("raise", "raise item", "forget"):
        reply = batch(app, {"data": 2}, {"data": 3, "do": what})
        assert reply.status == 500 and reply.json["error"], what
    assert [item["status"] for item in items_of(batch(app, {"do": "raise item"}))] == [418], "alone it is known whose"
    assert batch(app, {"do": "raise"}).status == 500


def test_what_is_no_batch_is_refused(app: str) -> None:
    for body in (b"", b"{", b"[]", b'{"items": 3}', b'{"items": [{"body": 1}]}', b'{"items": [3]}'):
        assert connect(app, "POST", "/batch", body=body).status == 400, body
    for media_type in ("multipart/form-data", "multipart/form-data; boundary=x"):
        assert connect(app, "POST", "/batch", body=b"--y--", headers={"Content-Type": media_type}).status == 400
    cut = b'--x\r\nContent-Disposition: form-data; name="1"\r\n\r\nhalf'
    assert connect(app, "POST", "/batch", body=cut,
                   headers={"Content-Type": "multipart/form-data; boundary=x"}).status == 400
    assert items_of(batch(app)) == []


def test_a_body_over_the_bound_is_refused_before_it_is_sent(app: str) -> None:
    host, port = app.split(":")
    with socket.create_connection((host, int(port)), 20) as connection:
        connection.sendall(b"POST /batch HTTP/1.1\r\nHost: x\r\nContent-Length: %d\r\n\r\n" % ((1 << 20) + 1))
        assert connection.recv(100).startswith(b"HTTP/1.1 413")


def test_bodies_of_any_type_come_in_parts(app: str) -> None:
    odd = b"\r\n--B0UNDAR\r\n\r\n\x00\xff--"
    answer = parts_of(multipart(
        app, ("image/png", odd), ("application/json", b'{"data": 5}'), ("text/plain", b""),
        ("application/json", b"{broken"), ("application/json; charset=utf-8", b'{"do": "bytes"}')))
    assert answer["100"] == ("200", "application/octet-stream", odd[::-1])
    # The batch that handle() saw is without the broken one.
    assert answer["101"][:2] == ("200", "application/json")
    assert json.loads(answer["101"][2]) == {"result": 25, "batch": 4}
    assert answer["102"][2] == b""
    assert answer["103"][0] == "400"
    assert answer["104"] == ("200", "image/png", b"\x00\r\n\xff")


def test_parts_without_bytes_in_the_answer_are_answered_as_json(app: str) -> None:
    found = items_of(multipart(app, ("application/json", b'{"data": 3}'), ("application/json", b'{"do": "refuse"}')))
    assert [(item["status"], item["body"].get("result")) for item in found] == [(200, 9), (422, None)]


def test_a_request_without_a_batch_is_answered_plainly(app: str) -> None:
    reply = connect(app, "POST", "/predict?x=1", body={"data": 7})
    assert (reply.status, reply.json) == (200, {"result": 49, "batch": 1})
    reply = connect(app, "POST", "/predict?x=1", body={"do": "headers"})
    assert (reply.status, reply.json, reply.headers["x-tokens"]) == (201, {"path": "/predict?x=1"}, "12")
    assert connect(app, "POST", "/predict", body={"do": "refuse"}).status == 422
    assert connect(app, "POST", "/predict", body={"do": "raise item"}).status == 418
    assert connect(app, "POST", "/predict", body={"do": "raise"}).status == 500
    assert connect(app, "POST", "/predict", body=b"{broken").status == 400
    reply = connect(app, "POST", "/picture", body=b"abc", headers={"Content-Type": "image/png"})
    assert (reply.body, reply.media_type) == (b"cba", "application/octet-stream")
    assert connect(app, "POST", "/predict", body=iter([b'{"da', b'ta": 3}'])).json["result"] == 9, "in chunks"
    assert connect(app, "GET", "/predict").status == 404


def test_health_is_answered_while_a_batch_is_worked_on(app: str) -> None:
    done: list[Reply] = []
    worker = threading.Thread(target=lambda: done.append(batch(app, {"data": 1, "seconds": 0.8})))
    worker.start()
    time.sleep(0.1)
    for _ in range(3):
        assert connect(app, "GET", "/health").json == {"status": "ready"}
    assert not done, "answered before the work was done"
    worker.join(20)
    assert items_of(done[0])


def test_a_bounded_number_waits(app: str) -> None:
    replies: list[int] = []
    callers = [threading.Thread(target=lambda: replies.append(batch(app, {"data": 1, "seconds": 0.4}).status))
               for _ in range(6)]
    for caller in callers:
        caller.start()
    for caller in callers:
        caller.join(20)
    assert sorted(replies) == [200, 200, 200, 503, 503, 503], "one at work, two wait"


@pytest.mark.parametrize("language", COMMANDS)
def test_a_unix_socket_is_taken_over_from_a_dead_run(language: str, tmp_path: pathlib.Path) -> None:
    address = f"unix:{tmp_path}/app.sock"
    with running(language, address):
        assert items_of(batch(address, {"data": 2}))[0]["body"]["result"] == 4
    assert (tmp_path / "app.sock").is_socket(), "it was killed"
    with running(language, address) as process:
        assert connect(address, "GET", "/health").status == 200
        process.terminate()
        assert process.wait(20) == 0


@pytest.mark.parametrize("language", COMMANDS)
def test_sigterm_lets_it_finish(language: str) -> None:
    address = free_address()
    with running(language, address) as process:
        done: list[Reply] = []
        worker = threading.Thread(target=lambda: done.append(batch(address, {"data": 6, "seconds": 0.6})))
        worker.start()
        time.sleep(0.3)
        process.send_signal(signal.SIGTERM)
        worker.join(20)
        assert items_of(done[0])[0]["body"]["result"] == 36
        assert process.wait(20) == 0


@pytest.mark.parametrize("language", COMMANDS)
def test_it_listens_on_ipv6_and_ipv4(language: str) -> None:
    port = free_address().rsplit(":", 1)[1]
    with running(language, f":{port}"):
        for host in ("127.0.0.1", "::1"):
            with socket.create_connection((host, int(port)), 5) as connection:
                connection.sendall(b"GET /health HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n")
                assert connection.recv(100).startswith(b"HTTP/1.1 200"), host


def test_they_say_what_they_need() -> None:
    import ast
    source = pathlib.Path(__file__).parent.parent / "helpers/python/mesclun_batch.py"
    ast.parse(source.read_text(), feature_version=(3, 8))
