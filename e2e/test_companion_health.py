"""Health as mesclun-app tells it, over HTTP and gRPC: true while the application is deaf, hangs, fails or stops."""

from __future__ import annotations

import os
import signal
import time
from collections.abc import Callable
from typing import Any

import grpc
import pytest
from grpc_health.v1 import health_pb2, health_pb2_grpc
from prometheus_client.parser import text_string_to_metric_families

import processes
from companion import Companion, expect_refusal
from fake_services import FakeMetadata
from groups import APPS
from ports import free_port
from waiting import wait_for

Make = Callable[..., Companion]


def test_health_is_answered_while_the_application_is_blocked(companion: Make) -> None:
    """An application of one thread, deaf for 2 s at a time: nothing is wrong with it."""
    one = companion("--single-threaded", "--batch-seconds", "2", config={
        "application": {"check": {"path": "/health", "interval": "200ms", "timeout": "200ms", "failures": 2}}})
    call = one.start_predict(5)
    wait_for(lambda: one.health()["in_flight"] == 1, "the application at work", 10, 0.02)
    while call.is_alive():
        begun = time.monotonic()
        state = one.health()["state"]
        assert time.monotonic() - begun < 1, "long before the application answers"
        assert state == "ready"
        time.sleep(0.2)
    assert call.reply().json["result"] == 25
    assert one.state() == "ready"


def test_an_application_that_does_not_answer_its_check_has_failed_and_may_recover(companion: Make) -> None:
    one = companion(config={"application": {
        "on_failed": "report", "check": {"path": "/health", "interval": "200ms", "timeout": "300ms", "failures": 2}}})
    one.ask_app("POST", "/stop-self")
    health = one.wait_for_state("failed")
    assert health["reason"]
    assert one.call("GET", "/mesclun-app/health").status == 503
    expect_refusal(one.predict(1), 503, "not_ready")
    for process in processes.find(lambda p: one.app in p.arguments and str(APPS / "fake_model.py") == p.arguments[1]):
        os.kill(process.pid, signal.SIGCONT)
    one.wait_for_state("ready")
    assert one.predict(2).json["result"] == 4


def test_a_hanging_request_is_a_failure_although_connecting_works(companion: Make) -> None:
    one = companion(config={"application": {"hang_after": "600ms", "on_failed": "report"}})
    held = one.hold(1)
    health = one.wait_for_state("failed")
    assert "request" in health["reason"]
    one.open_gate()
    held.join(20)
    one.wait_for_state("ready")


def test_too_many_errors_are_a_failure(companion: Make) -> None:
    one = companion("--answer", "500", config={"application": {
        "on_failed": "report", "error_requests_min": 5, "error_window": "30s", "error_rate_max": 0.5}})
    for number in (1, 2, 3, 4, 4, 4, 4):
        assert one.predict(number).status == 500
    assert one.state() == "ready", "too few to judge: one input that fails over and over tells of itself"
    one.predict(5)
    health = one.wait_for_state("failed")
    assert "5" in health["reason"]


def test_a_hung_application_fails_under_load(companion: Make) -> None:
    """Although each request ends at its own deadline, long before application.hang_after."""
    one = companion(config={"application": {"hang_after": "1500ms", "on_failed": "report"},
                            "front": {"timeout": "400ms", "queue_max": 2}})
    calls = [one.start_predict(number, gate="never") for number in range(20)]
    while one.state() != "failed":
        calls.append(one.start_predict(len(calls), gate="never"))
        time.sleep(0.1)
        assert len(calls) < 300
    assert {call.reply().status for call in calls} <= {429, 503, 504}


def test_with_few_nodes_left_a_failed_application_starts_again_in_place(
        companion: Make, metadata: FakeMetadata) -> None:
    one = companion("--answer", "500", env={"SALAD_MACHINE_ID": "m-1", "MESCLUN_NODES_LEFT": "0"}, config={
        "application": {"error_requests_min": 3}, "metadata": {"uri": metadata.uri}})
    for number in range(3):
        one.predict(number)
    assert one.wait() == 1
    assert not metadata.reallocations()


@pytest.mark.parametrize(("how", "code"), [("garbage", "application_bad_answer"), ("break", "application_unreachable")])
def test_an_answer_that_is_none_is_502(companion: Make, how: str, code: str) -> None:
    one = companion("--answer", how, config={"application": {"on_failed": "report"}})
    expect_refusal(one.predict(1), 502, code)
    one.ask_app("POST", "/answer?with=good")
    assert one.predict(2).json["result"] == 4


def test_started_is_told_apart_from_ready(companion: Make) -> None:
    one = companion("--start-seconds", "0.7", wait=False)
    health = one.wait_for_state("starting")
    assert health["reason"]
    assert one.call("GET", "/mesclun-app/health").status == 503
    assert one.call("GET", "/mesclun-app/started").status == 200, "once it has"
    one.wait_for_state("ready")


def test_stopping_answers_what_is_in_flight(companion: Make) -> None:
    one = companion(config={"application": {"drain": "20s"}})
    held = one.hold(6)
    one.terminate()
    wait_for(lambda: one.state() in ("stopping", ""), "to stop", 10, 0.02)
    one.open_gate()
    assert held.reply().json["result"] == 36
    assert one.wait() == 0, "the application's own status"


def test_the_drain_has_an_end(companion: Make) -> None:
    one = companion(config={"application": {"drain": "500ms"}})
    held = one.hold(6)
    one.terminate()
    assert one.wait() == 0
    held.join(20)


# ---- gRPC health ----


def grpc_stub(channel: grpc.Channel) -> health_pb2_grpc.HealthStub:
    return health_pb2_grpc.HealthStub(channel)


def test_the_official_grpc_client_checks_health(companion: Make) -> None:
    one = companion(config={"front": {"queue_max": 1, "ready_while_busy": False}})
    serving, not_serving = health_pb2.HealthCheckResponse.SERVING, health_pb2.HealthCheckResponse.NOT_SERVING
    for host in ("127.0.0.1", "[::1]"):
        with grpc.insecure_channel(f"{host}:{one.port}") as channel:
            stub = grpc_stub(channel)

            def status(service: str, stub: health_pb2_grpc.HealthStub = stub) -> int:
                return stub.Check(health_pb2.HealthCheckRequest(service=service), timeout=10).status

            assert [status(service) for service in ("", "live", "ready")] == [serving] * 3
            with pytest.raises(grpc.RpcError) as error:
                status("other")
            assert error.value.code() == grpc.StatusCode.NOT_FOUND
            held = one.hold(1, gate=host)
            assert [status(service) for service in ("", "live", "ready")] == [serving, serving, not_serving]
            one.open_gate(host)
            held.reply()


def test_the_official_grpc_client_watches_health(companion: Make) -> None:
    one = companion(config={"front": {"queue_max": 1, "ready_while_busy": False}})
    serving, not_serving = health_pb2.HealthCheckResponse.SERVING, health_pb2.HealthCheckResponse.NOT_SERVING
    with grpc.insecure_channel(f"127.0.0.1:{one.port}") as channel:
        changes = grpc_stub(channel).Watch(health_pb2.HealthCheckRequest(service="ready"), timeout=30)
        assert next(changes).status == serving
        held = one.hold(1)
        assert next(changes).status == not_serving
        one.open_gate()
        assert next(changes).status == serving
        held.reply()
        changes.cancel()
    assert one.predict(2).status == 200


# ---- metrics ----


def families(text: str) -> dict[str, Any]:
    return {family.name: family for family in text_string_to_metric_families(text)}


def test_metrics_are_what_prometheus_reads(companion: Make) -> None:
    port = free_port()
    one = companion(config={"front": {"queue_max": 1}, "metrics": {"listen": f"127.0.0.1:{port}"}})
    held = one.hold(1)
    assert one.predict(2).status == 429
    one.open_gate()
    held.reply()
    reply = one.call("GET", "/mesclun-app/metrics")
    assert reply.status == 200 and reply.media_type.startswith("text/plain")
    found = families(reply.body.decode())
    assert found and all(name.startswith("mesclun_app_") for name in found)
    for family in found.values():
        assert family.documentation and family.type != "unknown", family.name
    samples = [sample for family in found.values() for sample in family.samples]
    assert any(sample.value == 1 and "queue_full" in sample.labels.values() for sample in samples), samples
    alone = one.call("GET", "/mesclun-app/metrics", address=f"127.0.0.1:{port}")
    assert set(families(alone.body.decode())) == set(found)
    assert one.call("GET", "/mesclun-app/health", address=f"127.0.0.1:{port}").status == 200
