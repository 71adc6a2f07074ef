"""An application behind the gateway: what is passed on, what streams, and what the gateway answers itself."""

from __future__ import annotations

import base64
import collections
import concurrent.futures
import hashlib
import http.client
import os
import socket
import struct
from collections.abc import Callable
from typing import Any

import pytest

from cloud import Cloud, unique_name
from groups import App, echo_spec, wait_until_gone, wait_until_serving
from http_call import Connection, Reply
from waiting import wait_for

MIB = 1024 * 1024


def networking(**changes: Any) -> dict[str, Any]:
    return {"protocol": "http", "port": 8080, "auth": False, **changes}


def expect_refusal(reply: Reply, status: int) -> None:
    """An answer of the gateway itself, which clients can tell from the application's."""
    assert reply.status == status, reply
    assert reply.headers.get("x-gateway-error"), reply.headers
    assert reply.media_type.startswith("application/problem+json") and reply.json["status"] == status


@pytest.mark.parametrize("method", ["GET", "POST", "PUT", "PATCH", "DELETE", "OPTIONS"])
def test_method_path_and_query_arrive_unchanged(app: App, method: str) -> None:
    reply = app.call(method, "/?a=b%20c&empty=&a=d", body=b"x" if method in ("POST", "PUT", "PATCH") else None)
    assert reply.status == 200
    assert (reply.json["method"], reply.json["path"]) == (method, "/?a=b%20c&empty=&a=d")


def test_head_has_no_body(app: App) -> None:
    reply = app.call("HEAD", "/")
    assert reply.status == 200 and reply.body == b"" and int(reply.headers["content-length"]) > 0


def test_headers_are_completed_and_cleaned(app: App) -> None:
    seen = app.call("GET", "/", headers={
        "Salad-Api-Key": "secret", "X-Custom": "kept", "Connection": "keep-alive, X-Hop", "X-Hop": "1",
        "X-Forwarded-For": "192.0.2.1"}).json["headers"]
    assert "salad-api-key" not in seen, "the key is not the application's business"
    assert "x-hop" not in seen, "named by Connection, so for one hop only"
    assert seen["x-custom"] == "kept"
    assert seen["x-forwarded-for"].split(",")[-1].strip() in ("127.0.0.1", "::1")
    assert seen["x-forwarded-proto"] == "http"
    assert app.dns in (seen.get("x-forwarded-host", ""), seen["host"].split(":")[0])


@pytest.mark.parametrize("status", [200, 201, 400, 404, 418, 429, 500, 503])
def test_status_codes_of_the_application_pass(app: App, status: int) -> None:
    reply = app.call("POST", f"/echo?status={status}", body=b"text", headers={"Content-Type": "text/x-own"})
    assert (reply.status, reply.body, reply.media_type) == (status, b"text", "text/x-own")
    assert "x-gateway-error" not in reply.headers


def test_large_bodies_pass_both_ways(app: App) -> None:
    body = os.urandom(MIB) * 24
    expected = {"bytes": len(body), "sha256": hashlib.sha256(body).hexdigest()}
    assert app.call("POST", "/digest", body=body).json == expected
    pieces = (body[i:i + 100_000] for i in range(0, len(body), 100_000))
    assert app.call("POST", "/digest", body=pieces).json == expected, "in chunks, without a length"
    assert len(app.call("GET", f"/bytes?n={24 * MIB}").body) == 24 * MIB
    assert app.call("GET", "/stream?n=3&times=1000").body == \
        b"".join(b"piece %d\n" % i * 1000 for i in range(3))


def test_bodies_beyond_a_gibibyte_are_refused_unsent(app: App) -> None:
    reply = app.call("POST", "/digest", body=b"", headers={"Content-Length": str(2**30 + 1)})
    expect_refusal(reply, 413)


def test_expect_continue(app: App) -> None:
    host, port = app.cloud.gateway_address.rsplit(":", 1)
    with socket.create_connection((host, int(port)), timeout=30) as raw:
        raw.sendall(f"POST /digest HTTP/1.1\r\nHost: {app.dns}\r\nContent-Length: 5\r\n"
                    "Expect: 100-continue\r\nConnection: close\r\n\r\n".encode())
        assert raw.recv(1000).startswith(b"HTTP/1.1 100")
        raw.sendall(b"hello")
        answer = b"".join(iter(lambda: raw.recv(65536), b""))
    assert b"HTTP/1.1 200" in answer and hashlib.sha256(b"hello").hexdigest().encode() in answer


def test_pieces_of_a_stream_arrive_when_they_are_sent(app: App) -> None:
    host, port = app.cloud.gateway_address.rsplit(":", 1)
    gate = unique_name("gate")
    stream = http.client.HTTPConnection(host, int(port), timeout=30)
    stream.request("GET", f"/stream?n=3&gate={gate}", headers={"Host": app.dns})
    # The head is there although nothing of the body is.
    response = None
    for number in range(3):
        app.call("POST", f"/go?gate={gate}")
        response = response or stream.getresponse()
        assert response.readline() == b"piece %d\n" % number
    assert response is not None and response.read() == b""
    stream.close()


def test_one_connection_carries_many_requests(app: App) -> None:
    with Connection(app.cloud.gateway_address) as connection:
        for number in range(20):
            reply = connection.call("POST", "/echo", body=b"%d" % number, headers={"Host": app.dns})
            assert reply.body == b"%d" % number


def test_websocket(app: App) -> None:
    host, port = app.cloud.gateway_address.rsplit(":", 1)
    key = base64.b64encode(os.urandom(16)).decode()
    with socket.create_connection((host, int(port)), timeout=30) as raw:
        raw.sendall(f"GET /websocket HTTP/1.1\r\nHost: {app.dns}\r\nUpgrade: websocket\r\n"
                    f"Connection: Upgrade\r\nSec-WebSocket-Key: {key}\r\nSec-WebSocket-Version: 13\r\n\r\n".encode())
        stream = raw.makefile("rb")
        head = b"".join(iter(stream.readline, b"\r\n")).decode()
        assert head.startswith("HTTP/1.1 101 "), head
        accept = base64.b64encode(hashlib.sha1(
            key.encode() + b"258EAFA5-E914-47DA-95CA-C5AB0DC85B11").digest()).decode()
        assert accept in head
        for text in (b"hello", b"x" * 120, os.urandom(30_000)):
            mask = os.urandom(4)
            masked = bytes(byte ^ mask[i % 4] for i, byte in enumerate(text))
            size = bytes([0x80 | len(text)]) if len(text) < 126 else b"\xfe" + struct.pack(">H", len(text))
            raw.sendall(b"\x82" + size + mask + masked)
            first, length = stream.read(2)
            if length == 126:
                length = struct.unpack(">H", stream.read(2))[0]
            assert (first, stream.read(length)) == (0x82, text)
        raw.sendall(b"\x88\x80" + b"\0" * 4)
        assert stream.read(2) == b"\x88\x00"
        assert stream.read() == b"", "the end of the application is the client's end"


def test_requests_go_around(shared_app: App) -> None:
    served = collections.Counter(shared_app.call("GET", "/").json["instance_id"] for _ in range(20))
    assert sorted(served.values()) == [10, 10]


def test_many_clients_at_once(shared_app: App) -> None:
    with concurrent.futures.ThreadPoolExecutor(16) as pool:
        replies = list(pool.map(lambda n: shared_app.call("POST", "/echo", body=b"%d" % n), range(200)))
    assert [reply.body for reply in replies] == [b"%d" % n for n in range(200)]


def test_unknown_hosts_are_not_found(cloud: Cloud, app: App) -> None:
    for host in ("nobody.localhost", "example.com", f"{app.dns}.evil.example"):
        with Connection(cloud.gateway_address) as connection:
            expect_refusal(connection.call("GET", "/", headers={"Host": host}), 404)


def test_people_get_a_page(cloud: Cloud) -> None:
    with Connection(cloud.gateway_address) as connection:
        reply = connection.call("GET", "/", headers={"Host": "nobody.localhost", "Accept": "text/html"})
    assert reply.status == 404 and reply.media_type.startswith("text/html") and b"404" in reply.body


def test_connections_that_the_application_breaks(app: App) -> None:
    expect_refusal(app.call("GET", "/drop"), 502)
    # Half an answer must not look like a whole one.
    with pytest.raises((http.client.IncompleteRead, ConnectionError)):
        app.call("GET", "/drop?middle=1")
    assert app.call("GET", "/").status == 200


def test_a_port_where_nobody_listens_is_refused(cloud: Cloud) -> None:
    """Without probes an instance takes traffic as soon as it runs, whatever it listens on."""
    app = App(cloud, cloud.api(), echo_spec(networking=networking(port=8099), readiness_probe=None))
    try:
        wait_until_serving(app.api, app.name)
        reply = wait_for(lambda: (found := app.call("GET", "/")).status == 502 and found, "a route to the instance", 15)
        expect_refusal(reply, 502)
        assert reply.headers["x-gateway-error"] == "refused"
    finally:
        app.delete()


def test_slow_answers_end_with_524(new_app: Callable[..., App]) -> None:
    app = new_app(networking=networking(server_response_timeout=1000))
    expect_refusal(app.call("GET", "/hang"), 524)
    assert app.call("GET", "/").status == 200


def test_single_connection_limit_queues_and_times_out(new_app: Callable[..., App]) -> None:
    app = new_app(networking=networking(single_connection_limit=True, client_request_timeout=1500))
    gate = unique_name("gate")
    host, port = app.cloud.gateway_address.rsplit(":", 1)
    holder = http.client.HTTPConnection(host, int(port), timeout=60)
    holder.request("GET", f"/stream?n=2&gate={gate}", headers={"Host": app.dns})
    held = holder.getresponse()
    expect_refusal(app.call("GET", "/"), 504)
    # The client that held the instance leaves; its place is free again.
    held.close()
    holder.close()
    wait_for(lambda: app.call("GET", "/").status == 200, "the instance to be free", 15)


def test_instances_that_are_not_ready_get_no_requests(new_app: Callable[..., App]) -> None:
    app = new_app(replicas=2)
    out = app.call("POST", "/ready?on=0")
    gone = out.headers["x-instance"]
    wait_for(lambda: {app.call("GET", "/").json.get("instance_id") for _ in range(4)}.isdisjoint({gone}),
             "no more requests to the instance that is not ready", 20)
    states = {i["id"]: i["ready"] for i in app.api.instances(app.name)}
    assert states[gone] is False and sorted(states.values()) == [False, True]
    app.call("POST", "/ready?on=0")
    reply = wait_for(lambda: (found := app.call("GET", "/")).status == 503 and found, "nobody is ready", 20)
    expect_refusal(reply, 503)
    names = app.api.event_names(app.name)
    assert names.count("Instance Not Ready (Readiness Probe Failure)") == 2


def test_stopped_and_deleted_groups(cloud: Cloud, new_app: Callable[..., App]) -> None:
    app = new_app()
    assert app.api.post(f"/containers/{app.name}/stop").status == 202
    reply = wait_for(lambda: (found := app.call("GET", "/")).status == 503 and found, "the group to be stopped", 30)
    expect_refusal(reply, 503)
    app.api.delete(f"/containers/{app.name}")
    wait_until_gone(app.api, app.name)
    reply = wait_for(lambda: (found := app.call("GET", "/")).status in (404, 410) and found, "the route to be gone", 15)
    expect_refusal(reply, 410)


def test_a_deleted_group_is_forgotten_after_its_retention(new_cloud: Callable[..., Cloud]) -> None:
    cloud = new_cloud(nodes=1, arguments=["--deleted-retention", "3s"])
    cloud.start()
    cloud.wait_for_nodes()
    app = App(cloud, cloud.api(), echo_spec())
    app.wait_until_serving()
    spec = app.api.get(f"/containers/{app.name}").json
    app.api.delete(f"/containers/{app.name}")
    expect_refusal(wait_for(lambda: (found := app.call("GET", "/")).status == 410 and found, "410", 10), 410)
    again = {"name": app.name, "container": {"image": "i", "command": ["true"], "resources": spec["container"]["resources"]},
             "replicas": 0, "autostart_policy": False, "restart_policy": "always"}
    refused = app.api.post("/containers", again)
    assert refused.status == 400 and refused.json["type"] == "name_conflict"
    assert "can be used again from 20" in refused.json["detail"]
    expect_refusal(wait_for(lambda: (found := app.call("GET", "/")).status == 404 and found, "404", 20), 404)
    assert app.api.post("/containers", again).status == 201
    # Nothing of the first is left to be mistaken for the second's.
    assert app.api.event_names(app.name) == []


def test_a_key_is_asked_for_if_the_group_wants_one(cloud: Cloud, api: Any) -> None:
    app = App(cloud, api, echo_spec(networking=networking(auth=True)))
    try:
        key = {"Salad-Api-Key": api.key}
        wait_for(lambda: app.call("GET", "/", headers=key).status == 200, "the application behind a key", 60)
        assert "salad-api-key" not in app.call("GET", "/", headers=key).json["headers"]
        members = {"Salad-Api-Key": cloud.new_key()}
        # Gateways hear of a new key after it was answered.
        wait_for(lambda: app.call("GET", "/", headers=members).status == 200, "any member's key to pass", 10)
        organization = unique_name("other")
        cloud.operator().post("/api/operator/organizations", {"name": organization})
        foreign = cloud.new_key(organization)
        for headers in ({}, {"Salad-Api-Key": "wrong"}, {"Salad-Api-Key": foreign}):
            expect_refusal(app.call("GET", "/", headers=headers), 403)
    finally:
        app.delete()


def test_malformed_requests_end_with_400(cloud: Cloud, app: App) -> None:
    host, port = cloud.gateway_address.rsplit(":", 1)
    both_lengths = "Content-Length: 1\r\nTransfer-Encoding: chunked"
    for text in ("GET / HTTP/1.1\r\nHost: a\r\nHost: b\r\n\r\n", "GET / HTTP/1.1\r\n\r\n", "nonsense\r\n\r\n",
                 f"POST / HTTP/1.1\r\nHost: {app.dns}\r\n{both_lengths}\r\n\r\n"):
        with socket.create_connection((host, int(port)), timeout=30) as raw:
            raw.sendall(text.encode())
            assert raw.recv(1000).startswith(b"HTTP/1.1 400 "), text


def test_a_group_is_reached_by_path_too(new_app: Callable[..., App]) -> None:
    app = new_app()
    with Connection(app.cloud.gateway_address) as connection:
        for name in (app.name, app.dns):
            reply = connection.call("GET", f"/@{name}/?x=1")
            assert reply.status == 200 and reply.json["path"] == "/?x=1", reply
            assert reply.json["headers"]["x-forwarded-prefix"] == f"/@{name}"
            assert reply.json["headers"]["host"] == app.dns
        assert connection.call("GET", "/@no-such-group/").status == 404
