"""What happens to instances that end, fail or are too many, with the events that say why (lifecycle.md)."""

from __future__ import annotations

import sys
from collections.abc import Callable
from typing import Any

import pytest

from cloud import Cloud, unique_name
from groups import App, echo_spec, idle_spec, serving_instances, wait_until_gone, wait_until_serving
from http_call import Api, expect_problem
from waiting import wait_for


def command_spec(*command: str, **changes: Any) -> dict[str, Any]:
    spec = idle_spec(autostart_policy=True, **changes)
    spec["container"]["command"] = list(command)
    return spec


def new_instance(api: Api, name: str, old: dict[str, Any]) -> dict[str, Any]:
    def look() -> dict[str, Any] | None:
        return next((i for i in serving_instances(api, name) if i["id"] != old["id"]), None)
    return wait_for(look, f"a new instance of {name}", 60)


def test_a_good_start_tells_its_story(new_app: Callable[..., App]) -> None:
    app = new_app()
    names = app.api.event_names(app.name)
    story = ["Container Group Started", "Instance Allocated", "Instance Creating", "Instance Starting",
             "Instance Running", "Instance Ready (Readiness Probe Passed)"]
    assert [name for name in names if name in story] == story
    group = app.api.group(app.name)
    assert group["current_state"]["status"] == "running"
    assert group["current_state"]["instance_status_counts"]["running_count"] == 1
    assert group["pending_change"] is False


def test_a_clean_exit_restarts_on_the_same_machine(new_app: Callable[..., App]) -> None:
    app = new_app()
    before = app.api.instances(app.name)[0]
    app.call("POST", "/exit?code=0")
    after = new_instance(app.api, app.name, before)
    assert after["machine_id"] == before["machine_id"]
    assert "Instance Exited:0 (Exited Successfully)" in app.api.event_names(app.name)


def test_a_failure_moves_to_another_machine(new_app: Callable[..., App]) -> None:
    app = new_app()
    before = app.api.instances(app.name)[0]
    app.call("POST", "/exit?code=7")
    after = new_instance(app.api, app.name, before)
    assert after["machine_id"] != before["machine_id"]
    assert "Instance Exited:7 (Error)" in app.api.event_names(app.name)


def test_a_failed_liveness_probe_moves_to_another_machine(new_app: Callable[..., App]) -> None:
    app = new_app(liveness_probe={"http": {"path": "/healthy", "port": 8080, "scheme": "http", "headers": []},
                                  "initial_delay_seconds": 0, "period_seconds": 1, "timeout_seconds": 5,
                                  "success_threshold": 1, "failure_threshold": 2})
    before = app.api.instances(app.name)[0]
    app.call("POST", "/healthy?on=0")
    assert new_instance(app.api, app.name, before)["machine_id"] != before["machine_id"]
    assert "Instance Interrupted (Liveness Probe Failure)" in app.api.event_names(app.name)


@pytest.mark.parametrize("policy, code, status, event", [
    ("never", 0, "succeeded", "Instance Exited:0 (Exited Successfully)"),
    ("never", 3, "failed", "Instance Exited:3 (Error)"),
    ("on_failure", 0, "succeeded", "Instance Exited:0 (Exited Successfully)")])
def test_groups_end_with_their_replicas(api: Api, policy: str, code: int, status: str, event: str) -> None:
    name = api.create(command_spec(sys.executable, "-c", f"print('working'); raise SystemExit({code})",
                                   restart_policy=policy, replicas=2))["name"]
    wait_for(lambda: api.group(name)["current_state"]["status"] == status, f"{name} {status}", 60)
    assert api.event_names(name).count(event) == 2
    # Lines travel apart from states, and are kept after the run has ended.
    wait_for(lambda: api.log_texts(name).count("working") == 2, "the output of both replicas")
    api.delete(f"/containers/{name}")
    wait_until_gone(api, name)


def test_programs_that_do_not_exist_are_told(api: Api) -> None:
    name = api.create(command_spec("/no/such/program", restart_policy="never"))["name"]
    wait_for(lambda: api.group(name)["current_state"]["status"] == "failed", f"{name} failed", 60)
    event = next(e for e in api.events(name) if e["event_name"] == "Instance Exited:-1 (Start Failure)")
    assert "/no/such/program" in event["detail"]
    api.delete(f"/containers/{name}")


def test_memory_beyond_the_limit_ends_the_instance(cloud: Cloud, api: Api) -> None:
    if not all(node.get("runtime") for node in cloud.nodes()) or any(
            "memory" in warning for node in cloud.nodes() for warning in node["warnings"]):
        pytest.skip("this machine cannot limit memory")
    eat = "data = bytearray(3 << 30)\nfor i in range(0, len(data), 4096): data[i] = 1\nprint('ate it all')"
    name = api.create(command_spec(sys.executable, "-c", eat, restart_policy="never"))["name"]
    wait_for(lambda: api.group(name)["current_state"]["status"] in ("failed", "succeeded"), f"{name} ended", 90)
    assert "Instance Exited:137 (Likely Out of System Memory)" in api.event_names(name)
    api.delete(f"/containers/{name}")


def test_scaling_in_takes_the_cheapest(new_app: Callable[..., App]) -> None:
    app = new_app(replicas=3)
    costs = {}
    for number, instance in enumerate(app.api.instances(app.name)):
        costs[instance["id"]] = cost = (number + 1) * 10 % 30  # 10, 20, 0: not in order of age
        path = f"/containers/{app.name}/instances/{instance['id']}"
        assert app.api.patch(path, {"deletion_cost": cost}).status == 200
    app.api.patch(f"/containers/{app.name}", {"replicas": 1})
    left = wait_for(lambda: len(found := app.api.instances(app.name)) == 1 and found, "one instance", 60)
    assert costs[left[0]["id"]] == 20


def test_a_new_version_replaces_every_instance(new_app: Callable[..., App]) -> None:
    app = new_app(replicas=2)
    before = {instance["id"] for instance in app.api.instances(app.name)}
    reply = app.api.patch(f"/containers/{app.name}", {"container": {"environment_variables": {"V": "2"}}})
    assert reply.json["version"] == 2 and reply.json["pending_change"] is True
    wait_for(lambda: not app.api.group(app.name)["pending_change"], "the change applied everywhere", 60)
    found = wait_until_serving(app.api, app.name, 2)
    assert before.isdisjoint(i["id"] for i in found) and {i["version"] for i in found} == {2}
    wait_for(lambda: app.call("GET", "/env").json["V"] == "2", "the new version behind the gateway", 15)


def test_stop_ends_everything_and_start_begins_anew(new_app: Callable[..., App]) -> None:
    app = new_app()
    path = f"/containers/{app.name}"
    before = app.api.instances(app.name)[0]
    assert app.api.post(f"{path}/stop").status == 202
    assert app.api.group(app.name)["current_state"]["status"] == "stopped"
    wait_for(lambda: not app.api.instances(app.name), "no instance left", 60)
    assert app.api.post(f"{path}/start").status == 202
    assert new_instance(app.api, app.name, before)["id"] != before["id"]
    assert app.api.group(app.name)["networking"]["dns"] == app.dns


def test_what_fits_nowhere_waits_and_says_so(api: Api) -> None:
    spec = idle_spec(autostart_policy=True)
    spec["container"]["resources"] = {"cpu": 1000, "memory": 1024}
    name = api.create(spec)["name"]
    found = wait_for(lambda: api.instances(name), "an instance that waits", 30)
    assert found[0]["state"] == "allocating"
    assert api.group(name)["current_state"]["status"] == "deploying"
    assert api.group(name)["current_state"]["instance_status_counts"]["allocating_count"] == 1
    api.delete(f"/containers/{name}")


def test_instances_answer_to_their_machine_id_too(new_app: Callable[..., App]) -> None:
    app = new_app()
    instance = app.api.instances(app.name)[0]
    path = f"/containers/{app.name}/instances/{instance['machine_id']}"
    assert app.api.get(path).json["id"] == instance["id"]


@pytest.mark.parametrize("patch", [{"deletion_cost": -1}, {"deletion_cost": 100_001}, {"deletion_cost": "1"},
                                   {"deletion_cost": 1.5}, {"other": 1}, [], {"deletion_cost": 1, "other": 1}], ids=str)
def test_instance_patches_are_checked(shared_app: App, patch: Any) -> None:
    instance = shared_app.api.instances(shared_app.name)[0]
    path = f"/containers/{shared_app.name}/instances/{instance['id']}"
    expect_problem(shared_app.api.patch(path, patch), 400, "invalid_request")
    assert shared_app.api.get(path).json["deletion_cost"] == 0


def test_actions_of_a_minute_are_limited(cloud: Cloud) -> None:
    organization = unique_name("limits")
    operator = cloud.operator()
    operator.post("/api/operator/organizations", {"name": organization})
    operator.post(f"/api/operator/organizations/{organization}/projects", {"name": "default"})
    operator.patch(f"/api/operator/organizations/{organization}/quotas",
                   {"container_replicas_quota": 5, "max_container_group_restarts_per_minute": 1})
    api = Api(cloud.api_address, cloud.new_key(organization), organization, "default")
    app = App(cloud, api, echo_spec())
    try:
        instance = app.wait_until_serving()[0]
        assert api.post(f"/containers/{app.name}/instances/{instance['id']}/restart").status == 202
        again = new_instance(api, app.name, instance)
        reply = api.post(f"/containers/{app.name}/instances/{again['id']}/restart")
        expect_problem(reply, 429, "rate_limited")
        assert int(reply.headers["retry-after"]) >= 1
    finally:
        app.delete()


def test_logs_keep_streams_order_and_instances(new_app: Callable[..., App]) -> None:
    app = new_app()
    for number in range(5):
        app.call("POST", f"/log?text=line+{number}&stream={'stderr' if number % 2 else 'stdout'}")
    url = f"{app.api.extra}/containers/{app.name}/logs"

    def lines() -> list[dict[str, Any]] | None:
        found = [line for line in app.api.get(f"{url}?limit=1000").json["items"] if line["text"].startswith("line ")]
        return found if len(found) == 5 else None
    found = wait_for(lines, "five lines", 20)
    assert sorted(line["text"] for line in found) == [f"line {n}" for n in range(5)]
    assert {line["text"]: line["stream"] for line in found}["line 1"] == "stderr"
    instance = app.api.instances(app.name)[0]
    assert {line["instance_id"] for line in found} == {instance["id"]}
    assert [line["sequence"] for line in found] == sorted(line["sequence"] for line in found)
    assert app.api.get(f"{url}?instance_id={'0' * 8}-0000-4000-8000-{'0' * 12}").json["items"] == []
    # A long poll ends as soon as there is something.
    last = app.api.get(f"{url}?limit=1").json["items"][0]["sequence"]
    app.call("POST", "/log?text=later")
    assert [line["text"] for line in app.api.get(f"{url}?after={last}&wait=20").json["items"]] == ["later"]


GRPC_SERVER = """
import time
from concurrent import futures
import grpc
from grpc_health.v1 import health, health_pb2, health_pb2_grpc
servicer = health.HealthServicer()
server = grpc.server(futures.ThreadPoolExecutor())
health_pb2_grpc.add_HealthServicer_to_server(servicer, server)
server.add_insecure_port("[::]:9000")
server.start()
time.sleep(3)
servicer.set("model", health_pb2.HealthCheckResponse.SERVING)
time.sleep(600)
"""


def test_grpc_probes_ask_the_official_health_service(api: Api) -> None:
    spec = idle_spec(autostart_policy=True, readiness_probe={
        "grpc": {"port": 9000, "service": "model"}, "initial_delay_seconds": 0, "period_seconds": 1,
        "timeout_seconds": 5, "success_threshold": 1, "failure_threshold": 3})
    spec["container"]["command"] = [sys.executable, "-c", GRPC_SERVER]
    api.create(spec)
    wait_until_serving(api, spec["name"])
    events = [event["event_name"] for event in api.events(spec["name"])]
    assert "Instance Ready (Readiness Probe Passed)" in events
    api.delete(f"/containers/{spec['name']}")
