"""Machines, agents and the control plane that die: what must survive, and what must be replaced."""

from __future__ import annotations

import http.client
import os
import signal
import threading
import time
from collections.abc import Callable
from typing import Any

import pytest

import processes
from cloud import Cloud, RolesCloud
from groups import App, echo_spec, idle_spec, serving_instances
from http_call import Api
from waiting import wait_for

# A node is lost after this; short, so that tests are, and long enough for a loaded machine.
GRACE = ["--node-grace", "6s"]


@pytest.fixture
def up(new_cloud: Callable[..., Cloud]) -> Cloud:
    """`mesclun up` of one's own."""
    cloud = new_cloud(nodes=3, arguments=GRACE)
    cloud.start()
    cloud.wait_for_nodes()
    return cloud


@pytest.fixture
def roles(new_cloud: Callable[..., RolesCloud]) -> RolesCloud:
    """Control plane, gateway and agents as processes of their own."""
    cloud = new_cloud(roles=True, nodes=2, arguments=GRACE)
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


def test_a_lost_machine_is_replaced_and_nothing_else_moves(up: Cloud) -> None:
    cloud, app = up, make_app(up, replicas=2)
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


def test_a_killed_agent_adopts_what_runs(roles: RolesCloud) -> None:
    cloud, app = roles, make_app(roles)
    before = runs(app, 1)
    instance = app.api.instances(app.name)[0]
    number = cloud.node_of(instance["machine_id"])
    cloud.kill(f"agent {number}")
    cloud.start_agent(number)
    wait_for(lambda: runs(app, 1) == before, "the same process behind the gateway", 30)
    assert [i["id"] for i in app.api.instances(app.name)] == [instance["id"]]
    app.call("POST", "/log?text=after+the+adoption")
    wait_for(lambda: "after the adoption" in app.api.log_texts(app.name), "its logs come on", 20)
    # And it is still under control.
    app.api.post(f"/containers/{app.name}/stop")
    wait_for(lambda: not app.api.instances(app.name), "the instance to end", 40)


def test_a_job_that_succeeded_does_not_run_again_when_the_agent_is_killed_over_it(
        new_cloud: Callable[..., RolesCloud]) -> None:
    cloud = new_cloud(roles=True, nodes=1, arguments=GRACE)
    cloud.start()
    cloud.wait_for_nodes()
    api = cloud.api()
    runs_folder = cloud.node_folder(1) / "process" / "runs"
    for attempt in range(3):
        ran = cloud.folder / f"ran-{attempt}"
        spec = idle_spec(autostart_policy=True, restart_policy="on_failure")
        spec["container"]["command"] = ["/bin/sh", "-c", f"echo ran >> {ran}; sleep 1"]
        api.create(spec)
        wait_for(lambda: ran.exists() and os.listdir(runs_folder), "the job to run", 30, 0.02)
        # The agent has just made the driver forget the run, and stores what that means.
        wait_for(lambda: not os.listdir(runs_folder), "the run to be removed", 30, 0)
        cloud.kill("agent 1")
        cloud.start_agent(1)
        wait_for(lambda: api.get(f"/containers/{spec['name']}").json["current_state"]["status"] == "succeeded",
                 "the group to have succeeded", 30)
        assert ran.read_text() == "ran\n"
        events = [event["event_name"] for event in api.events(spec["name"])]
        assert events.count("Instance Exited:0 (Exited Successfully)") == 1, events
        assert "Instance Interrupted (Node Offline)" not in events


class Writer:
    """Creates groups as fast as it can, and remembers which of them were answered with 201."""

    def __init__(self, api: Api) -> None:
        self.answered: list[str] = []
        self._api = api
        self._thread = threading.Thread(target=self._create_until_killed)
        self._thread.start()
        wait_for(lambda: len(self.answered) > 5, "some groups", 30, 0.01)

    def _create_until_killed(self) -> None:
        for _ in range(90):  # a project has at most a hundred
            spec = idle_spec(replicas=0)
            try:
                if self._api.post("/containers", spec).status != 201:
                    return
            except (OSError, http.client.HTTPException):
                return
            self.answered.append(spec["name"])

    def lost(self) -> set[str]:
        self._thread.join(60)
        return set(self.answered) - {group["name"] for group in self._api.get("/containers").json["items"]}


def test_a_killed_control_plane_loses_nothing_and_no_application_notices(roles: RolesCloud) -> None:
    cloud, app = roles, make_app(roles, replicas=2)
    before = runs(app, 2)
    writer = Writer(cloud.api())
    cloud.kill("cloud")
    assert runs(app, 2) == before, "the gateway goes on without it"

    cloud.start_control_plane()
    assert not writer.lost(), "answered with 201, and lost"
    cloud.wait_for_nodes(60)
    assert runs(app, 2) == before
    assert {i["id"] for i in serving_instances(app.api, app.name)} == set(before)
    assert "Instance Interrupted (Node Offline)" not in app.api.event_names(app.name)
    # And it is in control again.
    app.api.patch(f"/containers/{app.name}", {"replicas": 1})
    wait_for(lambda: len(app.api.instances(app.name)) == 1, "one instance", 40)


def test_a_killed_gateway_comes_back_with_its_routes(roles: RolesCloud) -> None:
    cloud, app = roles, make_app(roles)
    before = runs(app, 1)
    cloud.kill("gateway")
    cloud.start_gateway()

    def serves() -> bool:
        reply = app.call("GET", "/")
        return reply.status == 200
    wait_for(serves, "the application behind the new gateway", 30)
    assert runs(app, 1) == before


def test_a_killed_up_loses_nothing_that_it_answered(up: Cloud) -> None:
    app = make_app(up)
    before = runs(app, 1)
    writer = Writer(up.api())
    up.kill_up()
    up.start()
    assert not writer.lost(), "answered with 201, and lost"
    wait_for(lambda: runs(app, 1) == before, "the same process behind the new gateway", 30)


def test_an_agent_of_up_that_died_is_started_again(new_cloud: Callable[..., Cloud]) -> None:
    cloud = new_cloud(nodes=1, arguments=["--agent-restarts"])
    cloud.start()
    app = make_app(cloud)
    before, killed = runs(app, 1), cloud.agent_pid(1)
    os.kill(killed, signal.SIGKILL)
    wait_for(lambda: cloud.agent_pid(1) != killed, "another agent", 20)
    wait_for(lambda: runs(app, 1) == before, "the same process", 30)
    assert cloud.stop() == 0


def test_stopping_ends_everything_and_starting_brings_it_back(up: Cloud) -> None:
    cloud, app = up, make_app(up)
    key, machines = cloud.api_key, cloud.machine_ids()
    assert cloud.stop() == 0, "and it left no process behind"
    cloud.start()
    assert cloud.api_key == key and cloud.machine_ids() == machines
    app.wait_until_serving()


def test_a_machine_that_comes_back_keeps_what_still_runs(up: Cloud) -> None:
    """The agent is stopped for longer than the grace and goes on: one copy stays, the other one ends."""
    cloud, app = up, make_app(up)
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


# A stall of the cloud's process: suspended for longer than the grace. Whatever the agents said meanwhile lies in the
# sockets, and is read before anybody counts as lost.
def test_a_cloud_that_stood_still_loses_nobody(roles: RolesCloud) -> None:
    app = make_app(roles)
    before = runs(app, 1)
    cloud = roles.role("cloud")
    os.kill(cloud.pid, signal.SIGSTOP)
    try:
        time.sleep(10)
    finally:
        os.kill(cloud.pid, signal.SIGCONT)
    for _ in range(16):  # longer than the grace
        time.sleep(0.5)
        assert "Instance Interrupted (Node Offline)" not in [event["event_name"] for event in app.api.events(app.name)]
    assert runs(app, 1) == before


def test_two_gpus_of_a_machine_are_had_by_two_instances(new_cloud: Callable[..., Cloud]) -> None:
    """Each is told its own; a third one waits."""
    card = "RTX 4090 (24 GB)"
    cloud = new_cloud(nodes=1, arguments=[*GRACE, "--node", f"cpu=4,memory=8GiB,gpu-class={card},gpu-class={card}"])
    cloud.start()
    cloud.wait_for_nodes()
    api = cloud.api()
    names = []
    for _ in range(3):
        spec = echo_spec()
        spec["container"]["resources"]["gpu_classes"] = [card]
        names.append(api.create(spec)["name"])

    def devices() -> dict[str, str]:
        return {p.environment["SALAD_CONTAINER_GROUP_NAME"]: p.environment["NVIDIA_VISIBLE_DEVICES"]
                for p in processes.find(lambda p: p.environment.get("SALAD_CONTAINER_GROUP_NAME") in names)}
    told = wait_for(lambda: devices() if len(devices()) == 2 else None, "two instances on two GPUs", 60)
    assert sorted(told.values()) == ["0", "1"]
    waiting = next(name for name in names if name not in told)
    reason = api.get(f"/containers/{waiting}").json["current_state"]["description"]
    assert "without a free GPU of these classes" in reason
