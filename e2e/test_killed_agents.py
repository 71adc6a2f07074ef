"""Agents that are killed at every moment of an instance's life: the next one sees to it that nothing of it is left."""

from __future__ import annotations

import contextlib
import os
import pathlib
import time
from collections.abc import Callable, Iterator
from typing import Any

import pytest

import processes
from cloud import RolesCloud
from groups import idle_spec, serving_instances, wait_until_gone, wait_until_serving
from http_call import Api
from leftovers import Leftovers
from waiting import wait_for

# Slow to end, with a daemon that nobody waits for.
COMMAND = ["/bin/sh", "-c", "trap 'echo ending; sleep 1; exit 0' TERM; setsid sleep 1000 & while :; do sleep 0.1; done"]


class Machine:
    """The one node of a cloud, whose agent dies and comes back."""

    def __init__(self, cloud: RolesCloud, kind: str) -> None:
        self.cloud = cloud
        self.api: Api = cloud.api()
        self.runs = cloud.node_folder(1) / kind / "runs"
        self.left = Leftovers(cloud, 1)
        self.groups: list[str] = []

    def create(self, **changes: Any) -> str:
        spec = idle_spec(autostart_policy=True, **changes)
        spec["container"].update(image="e2e-busybox:1", command=COMMAND)
        self.groups.append(self.api.create(spec)["name"])
        return self.groups[-1]

    def run_of_another(self, known: set[str]) -> pathlib.Path:
        """As soon as the driver has begun to make one."""
        def look() -> list[str]:
            return [name for name in os.listdir(self.runs) if name not in known]
        return self.runs / wait_for(look, "another run", 30, 0)[0]

    def known_runs(self) -> set[str]:
        found = set(os.listdir(self.runs))
        self.left.notice(*found)
        return found

    def kill_agent(self) -> None:
        self.known_runs()
        self.cloud.kill("agent 1")

    def start_agent(self) -> None:
        self.cloud.start_agent(1)
        self.cloud.wait_for_nodes(60)

    def end_of(self, name: str) -> None:
        """Of the application and of whatever watches over it, by SIGKILL."""
        runs = [processes.of_folder(self.runs / one["id"]) for one in self.api.instances(name)]
        processes.kill_all([], lambda process: process.environment.get("SALAD_CONTAINER_GROUP_NAME") == name
                           or any(belongs(process) for belongs in runs))

    def delete(self, name: str) -> None:
        self.known_runs()
        for event in self.api.events(name):
            self.left.notice(event.get("instance_id") or "")
        self.api.delete(f"/containers/{name}")
        self.groups.remove(name)

    def check(self) -> None:
        names = list(self.groups)
        for name in names:
            self.delete(name)
        for name in names:
            wait_until_gone(self.api, name)
        self.left.wait_until_none()


def need_walls(cloud: RolesCloud) -> None:
    if lacks := [warning for node in cloud.nodes() for warning in node["warnings"]]:
        pytest.skip(f"this machine has no walls: {lacks}")


@pytest.fixture(params=["process", "docker"])
def machine(request: pytest.FixtureRequest, new_cloud: Callable[..., RolesCloud],
            running_engine: Callable[..., Any]) -> Iterator[Machine]:
    if os.geteuid() != 0:
        pytest.skip("control groups and networks need root")
    cloud = new_cloud(roles=True, nodes=1)
    cloud.agent_arguments = ["--cpu", "64", "--runtime", request.param]
    cloud.agent_memory = "64GiB"
    with running_engine() if request.param == "docker" else contextlib.nullcontext() as engine:
        if engine:
            cloud.agent_arguments += ["--engine", f"unix:{engine.socket}"]
        before = engine.objects() if engine else set()
        cloud.start()
        cloud.wait_for_nodes()
        need_walls(cloud)
        try:
            made = Machine(cloud, request.param)
            yield made
            made.check()
            assert not engine or engine.objects() == before
        finally:
            cloud.kill_everything()


def test_killed_while_an_instance_is_made(machine: Machine) -> None:
    for moment in (0, 0.005, 0.01, 0.02, 0.04, 0.08, 0.16, 0.32):
        known = machine.known_runs()
        name = machine.create()
        machine.run_of_another(known)
        time.sleep(moment)
        machine.kill_agent()
        machine.start_agent()
        wait_until_serving(machine.api, name)
        if moment > 0.1:
            machine.delete(name)


def test_killed_while_instances_run(machine: Machine) -> None:
    names = [machine.create() for _ in range(3)]
    for name in names:
        wait_until_serving(machine.api, name)
    adopted = {name: serving_instances(machine.api, name) for name in names}
    machine.kill_agent()
    # Meanwhile one ends, and one is wanted no more.
    machine.end_of(names[1])
    machine.delete(names[2])
    machine.start_agent()
    wait_for(lambda: [one["id"] for one in serving_instances(machine.api, names[0])]
             == [one["id"] for one in adopted[names[0]]], "what runs on", 30)
    wait_for(lambda: any(one not in adopted[names[1]] for one in serving_instances(machine.api, names[1]))
             or "Instance Exited:137 (Likely Out of System Memory)" in machine.api.event_names(names[1]),
             "the news of what ended", 30)


def test_killed_while_instances_end(machine: Machine) -> None:
    for moment in (0, 0.01, 0.3, 0.9, 1.0, 1.1, 1.3):
        name = machine.create()
        wait_until_serving(machine.api, name)
        machine.delete(name)
        time.sleep(moment)
        machine.kill_agent()
        machine.start_agent()
        wait_until_gone(machine.api, name)
    # And as soon as the driver has forgotten a run, whose files may still be there.
    name = machine.create()
    wait_until_serving(machine.api, name)
    machine.delete(name)
    wait_for(lambda: not os.listdir(machine.runs), "the run to be forgotten", 30, 0)
    machine.kill_agent()
    machine.start_agent()
    wait_until_gone(machine.api, name)
