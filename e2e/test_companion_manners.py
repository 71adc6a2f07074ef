"""mesclun-app between callers and an application that keep to the letter of HTTP, or not even to that."""

from __future__ import annotations

import contextlib
import http.client
import socket
import sys
import time
from collections.abc import Callable, Iterator

import pytest

from companion import Companion
from groups import APPS
from http_call import Connection
from ports import free_address
from waiting import wait_for

Make = Callable[..., Companion]


@pytest.fixture(scope="module")
def blunt(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Companion]:
    address = free_address()
    one = Companion(tmp_path_factory.mktemp("blunt"), {"front": {"timeout": "20s"}}, [], {},
                    [sys.executable, str(APPS / "blunt.py"), address], address)
    one.start()
    try:
        one.wait_for_state("ready")
        yield one
    finally:
        one.kill()


def raw(one: Companion, request: bytes, *, half_close: bool = False) -> bytes:
    """All that comes until the end of the connection."""
    with socket.create_connection(("127.0.0.1", one.port), 20) as connection:
        connection.sendall(request)
        if half_close:
            connection.shutdown(socket.SHUT_WR)
        told = b""
        while piece := connection.recv(65536):
            told += piece
        return told


def test_an_upgrade_that_no_application_can_take_is_ignored(blunt: Companion) -> None:
    """Every stock Java client offers h2c, with a body too."""
    h2c = {"Connection": "Upgrade, HTTP2-Settings", "Upgrade": "h2c", "HTTP2-Settings": "AAMAAABkAAQAAP__"}
    assert blunt.call("GET", "/", headers=h2c).body == b"ok"
    assert blunt.call("POST", "/", b"a body", h2c).body == b"ok"


def test_an_early_answer_reaches_who_still_uploads(blunt: Companion) -> None:
    """And costs neither the deadline nor the connection: the application never reads the body."""
    began = time.monotonic()
    reply = blunt.call("POST", "/early", b"x" * 20_000_000)
    assert reply.status == 413 and reply.body == b"too large for me"
    assert "x-mesclun-app" not in reply.headers
    assert time.monotonic() - began < 20, "not by the deadline"


def test_an_answer_to_head_has_the_applications_length(blunt: Companion) -> None:
    assert blunt.call("HEAD", "/").headers["content-length"] == "1234"


def test_what_may_have_been_done_is_not_done_again(blunt: Companion) -> None:
    def died() -> int:
        return int(blunt.call("GET", "/count").body)

    assert blunt.call("POST", "/", b"").status == 200  # leaves a kept connection behind
    before = died()
    assert blunt.call("POST", "/dies", b"once").status == 502
    assert died() == before + 1
    assert blunt.call("GET", "/dies").status == 200, "what does no harm is asked again"
    assert died() == before + 3


def test_what_nobody_has_read_is_sent_again(companion: Make) -> None:
    address = free_address()
    one = companion(command=[sys.executable, str(APPS / "hasty.py"), address], app=address)
    with Connection(one.front) as connection:
        before = connection.call("GET", "/").json
        for _ in range(100):
            assert connection.call("POST", "/", body=b"x").status == 200
            time.sleep(0.004)
        assert connection.call("GET", "/").json == before + 100, "each exactly once"


def test_a_slow_reader_holds_no_slot(blunt: Companion) -> None:
    """One slot, and a caller who reads nothing of a large answer."""
    with socket.create_connection(("127.0.0.1", blunt.port), 20) as slow:
        slow.sendall(b"GET /large?bytes=30000000 HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n")
        wait_for(lambda: blunt.call("GET", "/").body == b"ok", "another caller's answer", 15)
        blunt.wait_for_accepted(0)
        told = b""
        while piece := slow.recv(1 << 20):
            told += piece
        assert told.endswith(b"\r\n\r\n" + b"x" * 30_000_000)


def test_a_caller_that_sends_no_more_still_gets_its_answer(blunt: Companion) -> None:
    told = raw(blunt, b"GET /slow?seconds=0.5 HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n", half_close=True)
    interim, _, final = told.rpartition(b"HTTP/1.1 200 OK")
    assert final.endswith(b"\r\n\r\nok")
    assert interim.replace(b"HTTP/1.1 100 Continue\r\n\r\n", b"") == b""


def test_a_websocket_waits_for_its_turn_and_then_counts_no_more(companion: Make) -> None:
    address = free_address()
    one = companion(app=address,
                    command=["env", f"PORT={address.rsplit(':', 1)[1]}", sys.executable, str(APPS / "echo.py")])
    held = one.start_call("POST", "/hang?gate=open")
    one.wait_for_accepted(1)
    with socket.create_connection(("127.0.0.1", one.port), 20) as connection:
        connection.sendall(b"GET /websocket HTTP/1.1\r\nHost: x\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
                           b"Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\nSec-WebSocket-Version: 13\r\n\r\n")
        one.wait_for_accepted(2)
        one.ask_app("POST", "/go?gate=open")
        assert held.reply().status == 200
        stream = connection.makefile("rb")
        assert stream.readline().startswith(b"HTTP/1.1 101")
        while stream.readline().strip():
            pass
        assert one.accepted() == 0
        connection.sendall(b"\x81\x83\x00\x00\x00\x00abc")  # a text frame, masked by zeros
        assert stream.read(5) == b"\x81\x03abc"


def test_what_companion_and_application_refuse_reaches_who_still_uploads(companion: Make) -> None:
    one = companion(config={"front": {"body_max": "10MB", "queue_max": 1}})
    for _ in range(3):
        assert one.call("POST", "/predict", b"x" * 70_000_000, {"Content-Type": "text/plain"}).status == 413
    held = one.hold(1)
    for _ in range(3):
        assert one.call("POST", "/predict", b"x" * 9_000_000, {"Content-Type": "text/plain"}).status == 429
    one.open_gate()
    assert held.reply().status == 200


def test_health_has_room_of_its_own(companion: Make) -> None:
    one = companion(config={"front": {"connections_max": 2}})
    # Silent ones would make room.
    held = [socket.create_connection(("127.0.0.1", one.port), 20) for _ in range(10)]
    try:
        for connection in held:
            connection.sendall(b"GET / HT")
        assert one.state() == "ready"
        assert b"connections_full" in raw(one, b"GET / HTTP/1.1\r\nHost: x\r\n\r\n")
    finally:
        for connection in held:
            connection.close()
    wait_for(lambda: one.call("GET", "/").status == 200, "room again", 15)


def test_who_rests_between_requests_shuts_nobody_out(companion: Make) -> None:
    one = companion(config={"front": {"connections_max": 2}})
    with Connection(f"127.0.0.1:{one.port}") as first, Connection(f"127.0.0.1:{one.port}") as second:
        # A connection rests from a second after its last answer.
        for caller in (first, second, one):
            wait_for(lambda caller=caller: caller.call("GET", "/").status == 200, "room for another one", 15)


def read_slowly(one: Companion, path: str, seconds: float) -> int:
    """How many bytes of the answer's body come: 200 KB a second for so long, then as fast as they do."""
    connection = http.client.HTTPConnection("127.0.0.1", one.port, timeout=20)
    connection.sock = socket.socket()
    connection.sock.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 8192)
    connection.sock.settimeout(20)
    connection.sock.connect(("127.0.0.1", one.port))
    connection.request("GET", path)
    answer = connection.getresponse()
    assert answer.status == 200
    got, end = 0, time.monotonic() + seconds
    with contextlib.closing(connection), contextlib.suppress(http.client.IncompleteRead, ConnectionError):
        while piece := answer.read(4096):
            got += len(piece)
            if time.monotonic() < end:
                time.sleep(0.02)
    return got


@pytest.mark.parametrize(("rate_min", "is_cut"), [("10MiB", True), ("1KiB", False)])
def test_who_reads_more_slowly_than_the_setting_is_cut(companion: Make, rate_min: str, is_cut: bool) -> None:
    address, size = free_address(), 20_000_000
    one = companion(command=[sys.executable, str(APPS / "blunt.py"), address], app=address,
                    config={"front": {"idle_timeout": "500ms", "rate_min": rate_min}})
    got = read_slowly(one, f"/large?bytes={size}", 30 if is_cut else 3)
    assert (got < size) == is_cut, got
    one.wait_for_accepted(0)
    assert one.call("GET", "/").body == b"ok"


def test_a_large_health_page_is_healthy(companion: Make) -> None:
    address = free_address()
    one = companion(command=[sys.executable, str(APPS / "blunt.py"), address], app=address,
                    config={"application": {"check": {"path": "/large?bytes=3000000", "interval": "100ms"}}})
    time.sleep(1)
    assert one.state() == "ready"


def test_service_links_of_kubernetes_are_ignored(companion: Make) -> None:
    one = companion(env={"MESCLUN_APP_PORT": "tcp://10.0.0.1:80", "MESCLUN_APP_SERVICE_HOST": "10.0.0.1"})
    assert "MESCLUN_APP_PORT" in one.log_text()


POST = b"POST / HTTP/1.1\r\nHost: x\r\n"


@pytest.mark.parametrize("request_bytes", [
    POST + b"Transfer-Encoding: identity\r\n\r\nGET /evil HTTP/1.1\r\nHost: x\r\n\r\n",
    POST + b"Transfer-Encoding: xchunked\r\n\r\n0\r\n\r\n", POST + b"Transfer-Encoding:\r\n\r\n0\r\n\r\n",
    POST + b'Transfer-Encoding: "chunked"\r\n\r\n0\r\n\r\n',
    POST + b"Transfer-Encoding: chunked, identity\r\n\r\n0\r\n\r\n",
    POST + b"Content-Length: 2, 2\r\n\r\nab",
    b"GET / HTTP/1.1\r\nHost: x\r\nConnection: " + b"," * 60_000 + b"a\r\n\r\n",
    b"GET / HTTP/1.1\r\nHost: x\r\nConnection: Upgrade\r\nUpgrade: websocket\r\nTransfer-Encoding: chunked\r\n\r\n",
], ids=lambda value: repr(value[16:50]))
def test_what_two_could_read_differently_is_refused_and_ends_the_connection(
        blunt: Companion, request_bytes: bytes) -> None:
    told = raw(blunt, request_bytes)
    assert told.startswith(b"HTTP/1.1 400 ") and told.count(b"HTTP/1.1") == 1, told
