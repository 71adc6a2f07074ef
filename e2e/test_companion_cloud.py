"""mesclun-app inside instances of a real cloud: nodes that are not good enough are left, busy ones are not."""

from __future__ import annotations

import json
import pathlib
import sys
import threading
from collections.abc import Callable, Iterator
from typing import Any

import pytest

from cloud import Cloud, unique_name
from companion import BINARY, merged
from groups import APPS, PORT, App, serving_instances
from http_call import Api
from waiting import wait_for

APPLICATION = "127.0.0.1:8001"
MOVED = "Instance Reallocated by User"


class Group:
    """A group of one replica: mesclun-app, and apps/fake_model.py behind it, slow on the machines that `slow` names."""

    def __init__(self, cloud: Cloud, api: Api, folder: pathlib.Path, options: list[str], config: dict[str, Any],
                 machines: list[str]) -> None:
        self.slow = folder / "slow-machines"
        self.slow.write_text(" ".join(machines))
        settings = folder / "mesclun-app.yaml"
        settings.write_text(json.dumps(merged({
            "application": {"address": APPLICATION, "failed_grace": "300ms", "stop_grace": "300ms"},
            "front": {"listen": f":{PORT}"},
            # The file system of these instances is the machine's own, so one file would be all instances'.
            "checks": {"nodes_left_min": 0, "attempts": 1, "result_file": ""}}, config)))
        probe = {"initial_delay_seconds": 0, "period_seconds": 1, "timeout_seconds": 5, "success_threshold": 1}
        self.app = App(cloud, api, {
            "name": unique_name("companion"), "autostart_policy": True, "restart_policy": "always", "replicas": 1,
            "container": {"image": "e2e/companion:1", "resources": {"cpu": 1, "memory": 1024}, "command": [
                str(BINARY), "--config", str(settings), "--", sys.executable, str(APPS / "fake_model.py"), APPLICATION,
                "--slow-machine", str(self.slow), *options]},
            "networking": {"protocol": "http", "port": PORT, "auth": False},
            "startup_probe": {"http": self._http("started"), **probe, "failure_threshold": 20},
            "readiness_probe": {"http": self._http("ready"), **probe, "failure_threshold": 1},
            "liveness_probe": {"http": self._http("health"), **probe, "failure_threshold": 20}})
        self.api = api
        self.name = self.app.name

    @staticmethod
    def _http(name: str) -> dict[str, Any]:
        return {"path": f"/mesclun-app/{name}", "port": PORT, "scheme": "http", "headers": []}

    def moves(self) -> list[dict[str, Any]]:
        return [event for event in self.api.events(self.name) if event["event_name"] == MOVED]

    def wait_for_move(self) -> dict[str, Any]:
        return wait_for(self.moves, f"{self.name} to leave its node", 60)[0]

    def wait_until_serving(self, besides: str = "") -> dict[str, Any]:
        def look() -> list[dict[str, Any]]:
            return [one for one in serving_instances(self.api, self.name) if one["id"] != besides]
        found = wait_for(look, f"{self.name} serves", 60)[0]
        wait_for(lambda: self.predict(2) == 4, "answers through the gateway", 30)
        return found

    def predict(self, n: int) -> Any:
        reply = self.app.call("POST", "/predict", {"data": n})
        return reply.json["result"] if reply.status == 200 else reply


@pytest.fixture
def new_group(cloud: Cloud, api: Api, tmp_path: pathlib.Path) -> Iterator[Callable[..., Group]]:
    made: list[Group] = []

    def make(*options: str, config: dict[str, Any] | None = None, machines: list[str] | None = None) -> Group:
        made.append(Group(cloud, api, tmp_path, list(options), config or {}, machines or []))
        return made[-1]
    yield make
    for group in made:
        group.app.delete()


def test_a_node_that_fails_its_check_is_left_with_the_reason(cloud: Cloud, new_group: Callable[..., Group]) -> None:
    """Every node would be too slow, until the first one has been left; from then on only that one is."""
    group = new_group("--slow-seconds", "0.4", machines=list(cloud.machine_ids().values()), config={
        "checks": {"warmup": {"requests": 3, "path": "/predict", "body": '{"data": 2}', "time_max": "200ms"}}})
    event = group.wait_for_move()
    group.slow.write_text(event["machine_id"])
    found = group.wait_until_serving()
    assert found["machine_id"] != event["machine_id"]
    assert "warm" in event["detail"].lower() and "0.2" in event["detail"], event
    shown = cloud.cli("events", group.name).out
    assert MOVED in shown and event["detail"] in shown


def test_a_node_that_slows_down_is_left_after_one_window(new_group: Callable[..., Group]) -> None:
    group = new_group("--audio-seconds", "2", "--batch-seconds", "0.02", "--slow-seconds", "0.5", config={
        "monitor": {"work": "header X-Audio-Seconds", "window": "3s", "samples_min": 3, "load_min": 0.2}})
    first = group.wait_until_serving()
    going = True

    def load() -> None:
        while going:
            group.predict(3)

    lines = [threading.Thread(target=load) for _ in range(2)]
    for line in lines:
        line.start()
    try:
        group.slow.write_text(first["machine_id"])
        event = group.wait_for_move()
    finally:
        going = False
        for line in lines:
            line.join(90)
    assert event["machine_id"] == first["machine_id"] and "20" in event["detail"], event
    assert group.wait_until_serving(first["id"])["machine_id"] != first["machine_id"]
    assert len(group.moves()) == 1


def test_an_application_that_is_blocked_by_work_is_busy_and_keeps_its_instance(new_group: Callable[..., Group]) -> None:
    """One thread, 3 s of work: its own check goes unanswered much longer than would make an idle one failed."""
    group = new_group("--single-threaded", "--batch-seconds", "3", config={
        "application": {"check": {"path": "/health", "interval": "200ms", "timeout": "200ms", "failures": 2}},
        "front": {"queue_max": 1, "ready_while_busy": False}})
    before = wait_for(lambda: serving_instances(group.api, group.name), "it serves", 60)[0]
    wait_for(lambda: group.app.call("GET", "/mesclun-app/health").status == 200, "it is behind the gateway", 30)
    assert group.predict(4) == 16
    assert [one["id"] for one in group.api.instances(group.name)] == [before["id"]]
    names = group.api.event_names(group.name)
    assert "Instance Not Ready (Readiness Probe Failure)" in names, "busy was told"
    assert MOVED not in names and "Instance Interrupted (Liveness Probe Failure)" not in names
    wait_for(lambda: serving_instances(group.api, group.name), "it is ready again", 30)


def test_an_application_that_stops_answering_has_failed_and_is_moved(cloud: Cloud,
                                                                    new_group: Callable[..., Group]) -> None:
    group = new_group(config={"application": {
        "check": {"path": "/health", "interval": "200ms", "timeout": "500ms", "failures": 2}}})
    before = group.wait_until_serving()
    assert group.app.call("POST", "/stop-self").status == 200
    event = group.wait_for_move()
    assert event["machine_id"] == before["machine_id"] and "health check" in event["detail"], event
    after = group.wait_until_serving(before["id"])
    assert after["machine_id"] != before["machine_id"]
    assert "health check" in cloud.cli("events", group.name).out
