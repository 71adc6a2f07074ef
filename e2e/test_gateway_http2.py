"""HTTP/2 at the gateway: over TLS by ALPN, and without by prior knowledge; the rules of HTTP/1.1 behind it."""

from __future__ import annotations

import concurrent.futures
import hashlib
import json
import os
import pathlib
import re
import shutil
import subprocess
from typing import Any

import pytest

from cloud import Cloud
from edge import Edge
from groups import App

MIB = 1024 * 1024
H2SPEC = "github.com/summerwind/h2spec/cmd/h2spec@latest"
# Every other case passes.
H2SPEC_EXCEPTIONS = {
    # On a port that HTTP/1.1 has too this is a request of HTTP/1.1, answered 400 before the connection ends.
    "Sends invalid connection preface",
    # nghttp2 passes it over: it looks like the trailers of a stream that was broken off a moment ago.
    "Sends stream identifier that is numerically smaller than previous"}


def curl(edge: Edge, path: str, *more: str, seconds: float = 120) -> subprocess.CompletedProcess[bytes]:
    return subprocess.run(
        ["curl", "-sS", "--http2", "--cacert", str(edge.authority.file),
         "--resolve", f"{edge.app.dns}:{edge.port}:127.0.0.1", *more, f"https://{edge.app.dns}:{edge.port}{path}"],
        capture_output=True, timeout=seconds)


def test_alpn_chooses(edge: Edge) -> None:
    for offered, chosen in ((["h2", "http/1.1"], "h2"), (["http/1.1"], "http/1.1"), (["http/1.1", "h2"], "h2"),
                            ([], None)):
        with edge.connect(edge.app.dns, *offered) as client:
            assert client.selected_alpn_protocol() == chosen


def test_a_request_is_that_of_http1(edge: Edge) -> None:
    done = curl(edge, "/?a=b", "-w", "\n%{http_version} %{http_code}", "-b", "c=d", "-H", "X-Own: 1")
    body, _, said = done.stdout.rpartition(b"\n")
    assert said == b"2 200", done
    seen: dict[str, Any] = json.loads(body)
    assert (seen["method"], seen["path"]) == ("GET", "/?a=b")
    headers = seen["headers"]
    assert headers["host"] == f"{edge.app.dns}:{edge.port}" and headers["cookie"] == "c=d" and headers["x-own"] == "1"
    assert headers["x-forwarded-proto"] == "https" and headers["x-forwarded-for"] == "127.0.0.1"


def test_refusals_are_those_of_http1(edge: Edge) -> None:
    done = curl(edge, "/", "-H", "Host: nobody.apps.example", "-w", "\n%{http_version} %{http_code}")
    assert done.stdout.endswith(b"\n2 404") and json.loads(done.stdout.rpartition(b"\n")[0])["status"] == 404


def test_large_bodies_pass_both_ways(edge: Edge, tmp_path: pathlib.Path) -> None:
    body = os.urandom(MIB) * 100
    (tmp_path / "body").write_bytes(body)
    expected = {"bytes": len(body), "sha256": hashlib.sha256(body).hexdigest()}
    for more in ([], ["-H", "Expect: 100-continue"], ["-H", "Content-Length:"]):
        assert json.loads(curl(edge, "/digest", "-X", "POST", "-T", str(tmp_path / "body"), *more).stdout) == expected
    done = curl(edge, f"/bytes?n={100 * MIB}", "-o", str(tmp_path / "answer"))
    assert done.returncode == 0 and (tmp_path / "answer").stat().st_size == 100 * MIB


def test_streams_share_one_connection(edge: Edge) -> None:
    done = subprocess.run(
        ["h2load", "-n", "3000", "-c", "3", "-m", "50", f"--connect-to=127.0.0.1:{edge.port}",
         f"https://{edge.app.dns}:{edge.port}/echo"], capture_output=True, text=True, timeout=120)
    assert re.search(r"3000 succeeded, 0 failed, 0 errored", done.stdout), done.stdout


def test_pieces_of_a_stream_arrive_when_they_are_sent(edge: Edge) -> None:
    gate = f"h2-{os.getpid()}"
    with subprocess.Popen(
            ["curl", "-sSN", "--http2", "--cacert", str(edge.authority.file),
             "--resolve", f"{edge.app.dns}:{edge.port}:127.0.0.1",
             f"https://{edge.app.dns}:{edge.port}/stream?n=3&gate={gate}"], stdout=subprocess.PIPE) as client:
        assert client.stdout
        for number in range(3):
            edge.call("POST", f"/go?gate={gate}")
            assert client.stdout.readline() == b"piece %d\n" % number
        assert client.wait(60) == 0


@pytest.mark.parametrize("clients", [1, 8])
def test_without_tls_by_prior_knowledge(app: App, clients: int) -> None:
    def one(number: int) -> bytes:
        return subprocess.run(
            ["curl", "-sS", "--http2-prior-knowledge", "-H", f"Host: {app.dns}", "-d", str(number), "-w",
             " %{http_version}", f"http://{app.cloud.gateway_address}/echo"], capture_output=True, timeout=60).stdout
    with concurrent.futures.ThreadPoolExecutor(clients) as pool:
        assert list(pool.map(one, range(2 * clients))) == [b"%d 2" % number for number in range(2 * clients)]


def test_h2spec(cloud: Cloud, tmp_path: pathlib.Path) -> None:
    if shutil.which("go") is None:
        pytest.skip("h2spec is built by Go, which is not here")
    made = subprocess.run(["go", "install", H2SPEC], capture_output=True, text=True, timeout=300,
                          env={**os.environ, "GOPATH": str(tmp_path), "GOBIN": str(tmp_path / "bin"),
                               "GOCACHE": str(tmp_path / "cache"), "GOFLAGS": "-modcacherw"})
    if made.returncode != 0:
        pytest.skip(f"h2spec cannot be installed: {made.stderr.strip()[-200:]}")
    host, _, port = cloud.gateway_address.rpartition(":")
    said = subprocess.run([str(tmp_path / "bin" / "h2spec"), "-h", host, "-p", port, "--timeout", "5"],
                          capture_output=True, text=True, timeout=300)
    failures = set(re.findall(r"× \d+: (.*)", said.stdout.rpartition("Failures:")[2]))
    assert re.search(r"\d{3} tests, \d+ passed, 0 skipped", said.stdout), said.stdout[-500:]
    assert failures <= H2SPEC_EXCEPTIONS, said.stdout.rpartition("Failures:")[2]
