"""Machines, agents and the control plane that die: what must survive, and what must be replaced."""

from __future__ import annotations

import os
import signal
import subprocess
import threading
from collections.abc import Callable
from typing import Any

import pytest

import processes
from cloud import Cloud
from groups import App, echo_spec, idle_spec, serving_instances
from http_call import Api
from waiting import wait_for

# A node is lost after this; short, so that tests are, and long enough for a loaded machine.
GRACE = ["--node-grace", "6s"]


@pytest.fixture
def cloud_to_break(new_cloud: Callable[..., Cloud]) -> Cloud:
    cloud = new_cloud(nodes=3, arguments=GRACE)
    cloud.start()
    cloud.wait_for_nodes()
    return cloud


def make_app(cloud: Cloud, **changes: Any) -> App:
    app = App(cloud, cloud.api(), echo_spec(**changes))
    app.wait_until_serving()
    return app


def runs(app: App, replicas: int) -> dict[str, str]:
    """Instance id to the mark of its process, of all replicas, asked through the gateway."""
    found: dict[str, str] = {}

    def look() -> bool:
        reply = app.call("GET", "/")
        if reply.status == 200:
            found[reply.json["instance_id"]] = reply.json["run"]
        return len(found) == replicas
    wait_for(look, f"all {replicas} replicas behind the gateway", 20, 0.05)
    return found


def test_a_lost_machine_is_replaced_and_nothing_else_moves(cloud_to_break: Cloud) -> None:
    cloud, app = cloud_to_break, make_app(cloud_to_break, replicas=2)
    before = runs(app, 2)
    victim, survivor = app.api.instances(app.name)
    cloud.kill_node(cloud.node_of(victim["machine_id"]))

    # At once, long before the replacement: the broken tunnel alone takes it out of rotation.
    wait_for(lambda: app.call("GET", "/").status == 200, "the survivor serves", 5, 0.05)

    def replaced() -> list[dict[str, Any]] | None:
        found = serving_instances(app.api, app.name)
        ids = {instance["id"] for instance in found}
        return found if len(found) == 2 and victim["id"] not in ids else None
    found = wait_for(replaced, "a replacement", 60)
    assert survivor["id"] in [instance["id"] for instance in found]
    assert victim["machine_id"] not in [instance["machine_id"] for instance in found]
    assert runs(app, 2)[survivor["id"]] == before[survivor["id"]], "the survivor was not restarted"
    event = next(e for e in app.api.events(app.name) if e["event_name"] == "Instance Interrupted (Node Offline)")
    assert event["instance_id"] == victim["id"] and event["machine_id"] == victim["machine_id"]
    states = {node["machine_id"]: node["state"] for node in cloud.nodes()}
    assert states[victim["machine_id"]] != "online"


def restart_agent(cloud: Cloud, number: int) -> subprocess.Popen[bytes] | None:
    """SIGKILL to the agent alone. Starts it again with its own words, unless the cloud does that itself."""
    old = cloud.agent_pid(number)
    seen = processes.look_at(old)
    assert seen
    os.kill(old, signal.SIGKILL)
    wait_for(lambda: not processes.is_alive(old), "the agent to be gone", 10, 0.05)
    try:
        wait_for(lambda: (pid := cloud.agent_pid(number)) != old and processes.is_alive(pid), "", 3, 0.1)
        return None
    except AssertionError:
        return subprocess.Popen([seen.arguments[0], *seen.arguments[1:]], env=seen.environment,
                                stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)


def test_a_killed_agent_adopts_what_runs(cloud_to_break: Cloud) -> None:
    cloud, app = cloud_to_break, make_app(cloud_to_break)
    before = runs(app, 1)
    instance = app.api.instances(app.name)[0]
    agent = restart_agent(cloud, cloud.node_of(instance["machine_id"]))
    try:
        wait_for(lambda: runs(app, 1) == before, "the same process behind the gateway", 30)
        assert [i["id"] for i in app.api.instances(app.name)] == [instance["id"]]
        app.call("POST", "/log?text=after+the+adoption")
        wait_for(lambda: "after the adoption" in app.api.log_texts(app.name), "its logs come on", 20)
        # And it is still under control.
        app.api.post(f"/containers/{app.name}/stop")
        wait_for(lambda: not app.api.instances(app.name), "the instance to end", 40)
    finally:
        if agent:
            agent.kill()
            agent.wait()


def test_a_killed_control_plane_loses_nothing(cloud_to_break: Cloud) -> None:
    """Every answered call is still true after SIGKILL and a new start, and no application notices."""
    cloud, app = cloud_to_break, make_app(cloud_to_break, replicas=2)
    before = runs(app, 2)
    answered: list[str] = []
    api = cloud.api()

    def create_until_killed() -> None:
        for _ in range(90):  # a project has at most a hundred
            spec = idle_spec(replicas=0)
            try:
                if api.post("/containers", spec).status != 201:
                    return
            except OSError:
                return
            answered.append(spec["name"])

    writer = threading.Thread(target=create_until_killed)
    writer.start()
    wait_for(lambda: len(answered) > 5, "some groups", 30, 0.01)
    cloud.kill_control_plane()
    writer.join(60)

    cloud.start()
    names = {group["name"] for group in api.get("/containers").json["items"]}
    assert set(answered) <= names, "answered with 201, and lost"
    cloud.wait_for_nodes(60)
    wait_for(lambda: runs(app, 2) == before, "the same processes behind the gateway", 40)
    assert {i["id"] for i in serving_instances(app.api, app.name)} == set(before)
    assert "Instance Interrupted (Node Offline)" not in app.api.event_names(app.name)


def test_stopping_ends_everything_and_starting_brings_it_back(cloud_to_break: Cloud) -> None:
    cloud, app = cloud_to_break, make_app(cloud_to_break)
    key, machines = cloud.api_key, cloud.machine_ids()
    assert cloud.stop() == 0, "and it left no process behind"
    cloud.start()
    assert cloud.api_key == key and cloud.machine_ids() == machines
    app.wait_until_serving()


def test_a_machine_that_comes_back_keeps_what_still_runs(cloud_to_break: Cloud) -> None:
    """The agent is stopped for longer than the grace and goes on: one copy stays, the other one ends."""
    cloud, app = cloud_to_break, make_app(cloud_to_break)
    instance = app.api.instances(app.name)[0]
    number = cloud.node_of(instance["machine_id"])
    os.kill(cloud.agent_pid(number), signal.SIGSTOP)
    try:
        def replaced() -> bool:
            return any(i["machine_id"] != instance["machine_id"] for i in serving_instances(app.api, app.name))
        wait_for(replaced, "a replacement for the silent machine", 60)
    finally:
        os.kill(cloud.agent_pid(number), signal.SIGCONT)

    def settled() -> bool:
        alive = processes.find(lambda p: p.environment.get("SALAD_CONTAINER_GROUP_NAME") == app.name)
        return len(app.api.instances(app.name)) == 1 and len(alive) == 1
    wait_for(settled, "exactly one copy", 60)
    wait_for(lambda: app.call("GET", "/").status == 200, "it serves", 20)


def test_the_api_answers_while_machines_are_gone(new_cloud: Callable[..., Cloud]) -> None:
    cloud = new_cloud(nodes=1, arguments=GRACE)
    cloud.start()
    cloud.wait_for_nodes()
    app = make_app(cloud)
    cloud.kill_node(1)

    def waits() -> bool:
        state = app.api.group(app.name)["current_state"]
        return state["status"] == "running" and state["instance_status_counts"]["allocating_count"] == 1
    wait_for(waits, "the replica to wait for a machine", 40)
    assert app.call("GET", "/").status == 503
    api: Api = cloud.api()
    assert api.create(idle_spec())["name"]
