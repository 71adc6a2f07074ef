"""The public edge over TLS: certificates by name and their reload, strangers, and what goes through."""

from __future__ import annotations

import base64
import contextlib
import hashlib
import os
import signal
import socket
import ssl
import subprocess
import threading

import pytest
import websockets.sync.client

from certificates import serial_number
from edge import Edge
from waiting import wait_for

MIB = 1024 * 1024


def test_requests_say_that_they_came_over_https(edge: Edge) -> None:
    seen = edge.call("GET", "/").json["headers"]
    assert seen["x-forwarded-proto"] == "https" and seen["forwarded"].endswith("proto=https")


def test_ipv6(edge: Edge) -> None:
    assert edge.call("GET", "/", host="::1").json["headers"]["x-forwarded-for"] == "::1"


@pytest.mark.parametrize("version", [ssl.TLSVersion.TLSv1_2, ssl.TLSVersion.TLSv1_3])
def test_sessions_are_taken_up_again(edge: Edge, version: ssl.TLSVersion) -> None:
    context = edge.authority.context()
    context.minimum_version = context.maximum_version = version
    with edge.connect(edge.app.dns, session=context) as first:
        first.sendall(f"GET / HTTP/1.1\r\nHost: {edge.app.dns}\r\nConnection: close\r\n\r\n".encode())
        while first.recv(65536):
            pass
        ticket = first.session
    raw = socket.create_connection(("127.0.0.1", edge.port), timeout=60)
    with context.wrap_socket(raw, server_hostname=edge.app.dns, session=ticket) as second:
        assert second.session_reused


@pytest.mark.filterwarnings("ignore::DeprecationWarning")
def test_older_protocols_are_refused(edge: Edge) -> None:
    context = edge.authority.context()
    context.set_ciphers("DEFAULT:@SECLEVEL=0")
    context.minimum_version = context.maximum_version = ssl.TLSVersion.TLSv1_1
    with pytest.raises(ssl.SSLError):
        edge.connect(edge.app.dns, session=context)


def test_the_name_chooses_the_certificate(edge: Edge) -> None:
    for name, serial in ((edge.app.dns, edge.zone_serial), ("other.apps.example", edge.zone_serial),
                         ("own.example", edge.own_serial), ("OWN.example", edge.own_serial)):
        with edge.connect(name) as shown:
            assert serial_number(shown) == serial, name
    with pytest.raises(ssl.SSLCertVerificationError):
        edge.connect("more.own.example")


def test_curl(edge: Edge) -> None:
    said = subprocess.run(
        ["curl", "-sS", "--cacert", str(edge.authority.file), "--resolve", f"{edge.app.dns}:{edge.port}:127.0.0.1",
         f"https://{edge.app.dns}:{edge.port}/echo", "-d", "hello"], capture_output=True, text=True, timeout=60)
    assert (said.returncode, said.stdout) == (0, "hello"), said


def test_without_tls_clients_are_sent_there(edge: Edge) -> None:
    app = edge.app
    reply = app.call("POST", "/echo?a=b", body=b"hello")
    assert (reply.status, reply.headers["location"]) == (308, f"https://{app.dns}:{edge.port}/echo?a=b")
    assert app.call("GET", "/healthz").body == b"ok\n"
    assert edge.call("GET", "/healthz").body == b"ok\n"
    said = subprocess.run(
        ["curl", "-sSL", "--cacert", str(edge.authority.file), "--resolve", f"{app.dns}:{edge.port}:127.0.0.1",
         "--resolve", f"{app.dns}:{app.cloud.gateway_address.rpartition(':')[2]}:127.0.0.1",
         f"http://{app.dns}:{app.cloud.gateway_address.rpartition(':')[2]}/echo", "-d", "hello"],
        capture_output=True, text=True, timeout=60)
    assert (said.returncode, said.stdout) == (0, "hello"), said


def test_large_bodies_pass_both_ways(edge: Edge) -> None:
    body = os.urandom(MIB) * 100
    expected = {"bytes": len(body), "sha256": hashlib.sha256(body).hexdigest()}
    assert edge.call("POST", "/digest", body=body).json == expected
    assert edge.call("POST", "/digest", body=(body[i:i + MIB] for i in range(0, len(body), MIB))).json == expected
    assert len(edge.call("GET", f"/bytes?n={100 * MIB}").body) == 100 * MIB


def test_pieces_of_a_stream_arrive_when_they_are_sent(edge: Edge) -> None:
    gate = f"tls-{base64.b16encode(os.urandom(4)).decode()}"
    with contextlib.closing(edge.connection()) as stream:
        stream.request("GET", f"/stream?n=3&gate={gate}", headers={"Host": edge.app.dns})
        answer = None
        for number in range(3):
            edge.call("POST", f"/go?gate={gate}")
            answer = answer or stream.getresponse()
            assert answer.readline() == b"piece %d\n" % number
        assert answer is not None and answer.read() == b""


def test_websocket(edge: Edge) -> None:
    with websockets.sync.client.connect(
            f"wss://{edge.app.dns}:{edge.port}/websocket", ssl=edge.authority.context(),
            sock=socket.create_connection(("127.0.0.1", edge.port), timeout=60)) as client:
        for message in (b"hello", os.urandom(60_000)):
            client.send(message)
            assert client.recv(timeout=60) == message


def test_strangers_keep_nobody_out(edge: Edge) -> None:
    """They say nothing, one byte a second, or anything but TLS."""
    stop = threading.Event()
    cut_off = []

    def drip() -> None:
        with socket.create_connection(("127.0.0.1", edge.port), timeout=60) as stranger:
            hello = b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03" + bytes(500)
            with contextlib.suppress(OSError):
                for byte in hello:
                    stranger.sendall(bytes([byte]))
                    if stop.wait(1):
                        return
            cut_off.append(True)

    dripping = [threading.Thread(target=drip) for _ in range(10)]
    for thread in dripping:
        thread.start()
    silent = [socket.create_connection(("127.0.0.1", edge.port), timeout=60) for _ in range(100)]
    for garbage in (b"GET / HTTP/1.1\r\nHost: x\r\n\r\n", b"\x00" * 1000, os.urandom(5000), b"\x16\x03\x01\xff\xff"):
        with socket.create_connection(("127.0.0.1", edge.port), timeout=60) as stranger:
            with contextlib.suppress(OSError):
                stranger.sendall(garbage)
        assert edge.call("GET", "/").status == 200, garbage[:10]
    for stranger in silent:
        with contextlib.suppress(ConnectionResetError):
            assert stranger.recv(100) == b""
        stranger.close()
    wait_for(lambda: len(cut_off) == len(dripping), "those who drip cut off", 60)
    stop.set()
    for thread in dripping:
        thread.join()


def test_new_certificates_are_taken_up_under_load(edge: Edge) -> None:
    """Kept and new connections meanwhile: not one request fails; broken files are told and change nothing."""
    stop = threading.Event()
    failures: list[str] = []
    answered = [0, 0]

    def load(place: int) -> None:
        kept = edge.connection() if place == 0 else None
        while not stop.is_set():
            try:
                if kept is None:
                    assert edge.call("GET", "/").status == 200
                else:
                    kept.request("GET", "/", headers={"Host": edge.app.dns})
                    answer = kept.getresponse()
                    assert answer.read() and answer.status == 200
                answered[place] += 1
            except Exception as problem:
                failures.append(repr(problem))

    def shown() -> int:
        with edge.connect(edge.app.dns) as one:
            return serial_number(one)

    threads = [threading.Thread(target=load, args=(place,)) for place in (0, 1)]
    for thread in threads:
        thread.start()
    try:
        for _ in range(2):
            edge.zone_serial = edge.authority.write(*edge.zone, "*.apps.example")
            wait_for(lambda: shown() == edge.zone_serial, "the new certificate", 30)
        # Broken: the log names the file.
        before = len(edge.cloud.log.read_text())
        edge.zone[1].write_text("no key\n")
        wait_for(lambda: "cannot be used" in edge.cloud.log.read_text()[before:], "an error in the log", 30)
        assert str(edge.zone[1]) in edge.cloud.log.read_text()[before:]
        assert shown() == edge.zone_serial
        # At SIGHUP at once, as servers do.
        edge.zone_serial = edge.authority.write(*edge.zone, "*.apps.example")
        edge.cloud.role("gateway").send_signal(signal.SIGHUP)
        wait_for(lambda: shown() == edge.zone_serial, "the new certificate", 30)
    finally:
        stop.set()
        for thread in threads:
            thread.join()
    assert not failures
    assert min(answered) > 10


@pytest.mark.parametrize("arguments, words", [
    (["--tls", "127.0.0.1:0"], "--certificate"),
    (["--certificate", "x.pem"], "--tls"),
    (["--tls", "127.0.0.1:0", "--certificate", "a", "--certificate", "b", "--private-key", "c"], "in the same order"),
    (["--tls", "127.0.0.1:0", "--certificate", "/no/such.pem"], "/no/such.pem"),
])
def test_wrong_flags_say_what_is_missing(edge: Edge, arguments: list[str], words: str) -> None:
    said = edge.cloud.cli("gateway", "--listen", "127.0.0.1:0", "--tunnels", "127.0.0.1:0", *arguments)
    assert said.status in (1, 2) and words in said.err, said
