"""The front of mesclun-app: queue, refusals, deadlines, priorities, streaming, and what passes through it."""

from __future__ import annotations

import http.client
import socket
import threading
import time
from collections.abc import Callable, Iterator

import pytest

from companion import Call, Companion, expect_refusal
from http_call import Connection, Reply
from waiting import wait_for

Make = Callable[..., Companion]
SMALL = {"front": {"queue_max": 3}}


@pytest.fixture(scope="module")
def calm(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Companion]:
    """One that tests share which leave it as they found it."""
    one = Companion(tmp_path_factory.mktemp("calm"), {
        "front": {"body_max": "10KiB", "direct_paths": ["/docs"], "concurrency": 4}}, ["--parallel"], {}, None, "")
    one.start()
    try:
        one.wait_for_state("ready")
        yield one
    finally:
        one.kill()


# ---- the published burst (practice.md §6) ----


def test_the_published_burst(companion: Make) -> None:
    """9 inferences at once and 4 health queries, the k-th after k seconds; 2 s a batch of 4, 3 s for each request."""
    one = companion("--batch-seconds", "2", config={
        "front": {"queue_max": 8, "timeout": "3s", "timeout_status": 500, "health_path": "/health_check"},
        "batch": {"paths": ["/predict"], "size_max": 4, "wait_max": "1s"}})
    go = threading.Barrier(9 + 4 + 1)
    begun: list[float] = []

    def ask(k: int) -> Reply:
        go.wait(30)
        time.sleep(max(0.0, begun[0] + k - time.monotonic()))
        return one.call("GET", "/health_check")

    def infer(n: int) -> Reply:
        with Connection(one.front, 30) as connection:
            connection.call("GET", "/health_check")  # connected before the start
            go.wait(30)
            # The timers have started; that much later, the query after 2 s surely comes before the first batch ends.
            time.sleep(max(0.0, begun[0] + 0.2 - time.monotonic()))
            return connection.call("POST", "/predict", body={"data": n})

    queries = [Call(lambda k=k: ask(k)) for k in range(1, 5)]
    inferences = {n: Call(lambda n=n: infer(n)) for n in range(1, 10)}
    wait_for(lambda: go.n_waiting == 13, "everybody at the start", 20, 0.01)
    begun.append(time.monotonic())
    go.wait(30)

    replies = {n: call.reply() for n, call in inferences.items()}
    statuses = sorted(reply.status for reply in replies.values())
    assert statuses == [200] * 4 + [429] + [500] * 4, statuses
    for n, reply in replies.items():
        if reply.status == 200:
            assert reply.json["result"] == n * n
    health = [query.reply().json["status"] for query in queries]
    assert health == ["busy", "busy", "ready", "ready"], health


# ---- the queue ----


def test_a_full_queue_refuses_at_once_and_is_busy(companion: Make) -> None:
    one = companion(config=SMALL)
    assert one.call("GET", "/mesclun-app/ready").status == 200
    held = [one.hold(1)]
    for n in (2, 3):
        held.append(one.start_predict(n))
        one.wait_for_accepted(n)
    expect_refusal(one.predict(4), 429, "queue_full")  # while the application still has the first one
    assert one.health()["state"] == "busy"
    assert (one.call("GET", "/mesclun-app/health").status, one.call("GET", "/mesclun-app/ready").status) == (200, 200)
    one.open_gate()
    assert [call.reply().json["result"] for call in held] == [1, 4, 9]
    assert one.health()["state"] == "ready"
    assert one.predict(5).json["result"] == 25
    assert one.seen_data() == [1, 2, 3, 5], "in order, and the refused one never came"


def test_one_request_at_a_time_is_with_the_application(companion: Make) -> None:
    one = companion("--parallel", config={"front": {"concurrency": 2}})
    held = [one.start_predict(n, gate="gate") for n in range(5)]
    one.wait_for_accepted(5)
    wait_for(lambda: one.health()["in_flight"] == 2, "two at work", 10, 0.05)
    assert one.health()["queued"] == 3 and len(one.seen_data()) == 2
    one.open_gate()
    assert sorted(call.reply().json["result"] for call in held) == [0, 1, 4, 9, 16]


def test_statuses_of_refusals_are_settings(companion: Make) -> None:
    one = companion(config={"front": {"queue_max": 1, "refused_status": 400, "timeout_status": 408}})
    held = one.hold(1)
    expect_refusal(one.predict(2), 400, "queue_full")
    one.open_gate()
    held.reply()
    expect_refusal(one.predict(3, {"X-Request-Timeout-Ms": "300"}, gate="never"), 408, "deadline")


# ---- deadlines ----


def test_a_caller_sets_a_deadline_and_the_application_hears_what_is_left(calm: Companion) -> None:
    headers = calm.predict(3, {"X-Request-Timeout-Ms": "5000"}).json["headers"]
    assert 0 < int(headers["x-request-timeout-ms"]) <= 5000
    assert 5000 < int(calm.predict(3).json["headers"]["x-request-timeout-ms"]) <= 100_000, "the default"
    headers = calm.predict(3, {"X-Request-Timeout-Ms": "999999999"}).json["headers"]
    assert int(headers["x-request-timeout-ms"]) <= 100_000, "and the most"


@pytest.mark.parametrize("value", ["soon", "-1", "1.5s", ""])
def test_a_deadline_that_is_no_number_is_refused(calm: Companion, value: str) -> None:
    expect_refusal(calm.predict(3, {"X-Request-Timeout-Ms": value}), 400, "bad_deadline")


def test_a_deadline_passes_with_the_application_and_in_the_queue(companion: Make) -> None:
    one = companion()
    first = one.start_predict(1, {"X-Request-Timeout-Ms": "1000"}, gate="gate")
    wait_for(lambda: one.health()["in_flight"] == 1, "the first one with the application", 10, 0.02)
    expect_refusal(one.predict(2, {"X-Request-Timeout-Ms": "200"}), 504, "deadline")  # behind the first
    expect_refusal(first.reply(), 504, "deadline")
    one.open_gate()
    assert one.predict(3).json["result"] == 9
    assert one.seen_data() == [1, 3], "what was late in the queue never reached the application"


def test_who_would_come_too_late_is_refused_at_once(companion: Make) -> None:
    one = companion("--batch-seconds", "0.4")
    one.predict(0)  # from here on it knows how long one takes
    waiting = [one.start_predict(n) for n in range(1, 4)]
    one.wait_for_accepted(3)
    expect_refusal(one.predict(4, {"X-Request-Timeout-Ms": "300"}), 429, "would_miss_deadline")
    assert sum(call.is_alive() for call in waiting) >= 1, "said before the work ahead was done"
    assert [call.reply().status for call in waiting] == [200] * 3


# ---- priorities ----


def urgent(value: int) -> dict[str, str]:
    return {"Priority": f"u={value}"}


def test_urgent_requests_go_first(companion: Make) -> None:
    one = companion(config={"front": {"trust_priority": True}})
    held = [one.hold(1)]
    for number, headers in ((2, urgent(7)), (3, {}), (4, {"Priority": "u=1, i"}), (5, urgent(3)), (6, urgent(0))):
        held.append(one.start_predict(number, headers))
        one.wait_for_accepted(number)
    one.open_gate()
    assert [call.reply().status for call in held] == [200] * 6
    assert one.seen_data() == [1, 6, 4, 3, 5, 2], "by class, and by arrival within one"


@pytest.mark.parametrize("better", [{}, urgent(0)], ids=["default", "u=0"])
def test_a_full_queue_gives_the_place_of_the_youngest_of_the_worst(companion: Make, better: dict[str, str]) -> None:
    one = companion(config={"front": {"queue_max": 4, "trust_priority": True}})
    held = one.hold(1)
    waiting = {}
    for accepted, (number, headers) in enumerate(((2, urgent(5)), (3, urgent(6)), (4, urgent(6))), start=2):
        waiting[number] = one.start_predict(number, headers)
        one.wait_for_accepted(accepted)
    best = one.start_predict(5, better)
    expect_refusal(waiting[4].reply(), 429, "displaced")
    assert one.predict(6, urgent(6)).status == 429, "no better than those who wait"
    one.open_gate()
    assert [call.reply().status for call in (held, best, waiting[2], waiting[3])] == [200] * 4
    assert one.seen_data() == [1, 5, 2, 3]


def test_a_caller_who_is_not_trusted_goes_before_nobody(companion: Make) -> None:
    one = companion(config={"front": {"queue_max": 4}})
    held = [one.hold(1)]
    for accepted, (number, headers) in enumerate(((2, {}), (3, urgent(0)), (4, urgent(5))), start=2):
        held.append(one.start_predict(number, headers))
        one.wait_for_accepted(accepted)
    held.append(one.start_predict(5, urgent(0)))
    expect_refusal(held.pop(3).reply(), 429, "displaced")  # by its own wish it came last
    assert one.predict(6, urgent(0)).status == 429
    one.open_gate()
    assert [call.reply().status for call in held] == [200] * 4
    assert one.seen_data() == [1, 2, 3, 5]


def test_a_priority_that_cannot_be_read_is_the_default(calm: Companion) -> None:
    for value in ("u=9", "u=x", "???", "i", "u=-1"):
        assert calm.predict(2, {"Priority": value}).status == 200, value


# ---- callers that leave ----


def test_a_caller_that_leaves_gives_up_its_place(companion: Make) -> None:
    one = companion(config={"front": {"queue_max": 2}})
    held = one.hold(1)
    leave = one.leave_after_sending("/predict", {"data": 2})
    one.wait_for_accepted(2)
    leave()
    one.wait_for_accepted(1)
    third = one.start_predict(3)
    one.wait_for_accepted(2)
    one.open_gate()
    assert held.reply().status == 200 and third.reply().json["result"] == 9
    assert one.seen_data() == [1, 3]


def test_the_application_notices_that_its_caller_left(companion: Make) -> None:
    one = companion()
    leave = one.leave_after_sending("/hold", {})
    wait_for(lambda: one.seen()["requests"], "the request with the application", 10, 0.05)
    assert one.seen()["gone"] == 0
    leave()
    wait_for(lambda: one.seen()["gone"] == 1, "the application's connection to close", 10, 0.05)
    assert one.predict(3).json["result"] == 9


# ---- what passes through ----


def test_requests_and_answers_pass_as_they_are(calm: Companion) -> None:
    reply = calm.call("GET", "/some/path?x=1&y=%20", headers={"X-Own": "a b", "Authorization": "Bearer t"})
    assert reply.status == 200 and reply.json["path"] == "/some/path?x=1&y=%20"
    assert reply.json["headers"]["x-own"] == "a b" and reply.json["headers"]["authorization"] == "Bearer t"
    reply = calm.predict(3, status=418)
    assert reply.status == 418 and reply.json["result"] == 9 and "x-mesclun-app" not in reply.headers
    binary = bytes(range(256)) * 8
    reply = calm.call("PUT", "/bytes", binary, {"Content-Type": "image/png"})
    assert reply.body == binary[::-1]
    assert calm.call("POST", "/chunks", iter([b"ab", b"c"]), {"Content-Type": "text/plain"}).body == b"cba"
    with Connection(calm.front) as kept:
        assert [kept.call("POST", "/predict", body={"data": n}).json["result"] for n in range(20)] == [
            n * n for n in range(20)]


def test_a_body_over_the_bound_is_refused(calm: Companion) -> None:
    host, big = ("127.0.0.1", calm.port), 10 * 1024 + 1
    with socket.create_connection(host, 20) as connection:
        connection.sendall(b"POST /predict HTTP/1.1\r\nHost: x\r\nContent-Length: %d\r\n\r\n" % big)
        head = connection.recv(4096)
        assert head.startswith(b"HTTP/1.1 413") and b"body_too_large" in head, head
    with socket.create_connection(host, 20) as connection:
        connection.sendall(b"POST /predict HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n%x\r\n" % big)
        connection.sendall(b"x" * big)
        assert connection.recv(4096).startswith(b"HTTP/1.1 413")
    assert calm.call("POST", "/fits", b"x" * (big - 1), {"Content-Type": "text/plain"}).status == 200


@pytest.mark.parametrize("request_bytes", [
    b"nonsense\r\n\r\n", b"GET / HTTP/9.9\r\n\r\n", b"POST / HTTP/1.1\r\nHost: x\r\nContent-Length: x\r\n\r\n",
    b"POST / HTTP/1.1\r\nHost: x\r\nContent-Length: 3\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
    b"GET / HTTP/1.1\r\nHost: x\r\nX: " + b"y" * 200_000 + b"\r\n\r\n"], ids=lambda value: repr(value[:30]))
def test_requests_that_are_no_http_are_refused(calm: Companion, request_bytes: bytes) -> None:
    with socket.create_connection(("127.0.0.1", calm.port), 20) as connection:
        try:
            connection.sendall(request_bytes)
            answer = connection.recv(4096)
        except ConnectionError:
            answer = b""  # it may close before it has read all of this
        assert answer == b"" or answer.startswith((b"HTTP/1.1 4", b"HTTP/1.1 5")), answer
    assert calm.predict(2).status == 200


def test_direct_paths_do_not_wait(companion: Make) -> None:
    one = companion("--parallel", config={"front": {"queue_max": 1, "direct_paths": ["/docs"]}})
    held = one.hold(1)
    assert one.predict(2).status == 429
    assert one.call("GET", "/docs/index.html").json["path"] == "/docs/index.html"
    one.open_gate()
    assert held.reply().status == 200


def test_it_listens_on_ipv6_and_ipv4(calm: Companion) -> None:
    for host in ("127.0.0.1", "::1"):
        reply = calm.call("POST", "/predict", {"data": 3}, address=f"{host}:{calm.port}")
        assert reply.json["result"] == 9, host


# ---- streaming ----


def test_a_stream_arrives_piece_by_piece(calm: Companion) -> None:
    """Each piece is sent only after the one before has been read at this end."""
    connection = http.client.HTTPConnection("127.0.0.1", calm.port, timeout=20)
    connection.request("POST", "/stream?n=4&gate=pieces", body=b"{}")
    calm.open_gate("pieces")
    answer = connection.getresponse()
    assert answer.status == 200 and answer.getheader("content-type") == "text/event-stream"
    for number in range(4):
        assert answer.readline() == b"data: piece %d\n" % number
        assert answer.readline() == b"\n"
        calm.open_gate("pieces")
    assert answer.read() == b""
    connection.close()


def test_a_stream_that_falls_silent_is_cut(companion: Make) -> None:
    one = companion("--parallel", config={"front": {"idle_timeout": "700ms"}})
    connection = http.client.HTTPConnection("127.0.0.1", one.port, timeout=20)
    connection.request("POST", "/stream?n=2&gate=silent", body=b"{}")
    one.open_gate("silent")
    answer = connection.getresponse()
    assert answer.readline() == b"data: piece 0\n"
    with pytest.raises((http.client.IncompleteRead, ConnectionError)):
        answer.read()
    connection.close()
    one.wait_for_accepted(0)
