"""Instances as containers: a real engine, a real registry, images made here."""

from __future__ import annotations

import hashlib
import json
import os
import pathlib
import random
import signal
import subprocess
from collections.abc import Callable, Iterator
from typing import Any

import pytest

import processes
from cloud import BINARY, Cloud, unique_name
from engine import Engine, Registry
from exec_socket import exec_path, open_exec
from fake_services import FakeStore
from groups import App, echo_spec, serving_instances
from sdk_walk import LANGUAGES, sdk_container, sdk_files, walk_through_all_calls
from waiting import wait_for

SITE = ("mkdir -p /www; date > /www/index.html; date >> /www/starts; echo up as $SALAD_INSTANCE_ID; "
        "wget -q -O /www/status --header 'Metadata: true' http://169.254.169.254/v1/status; "
        "grep -E 'CapEff|NoNewPrivs|Seccomp:|SigIgn' /proc/self/status > /www/rights; "
        "exec httpd -f -p 8080 -h /www")


@pytest.fixture(scope="module")
def engine(running_engine: Callable[..., Any]) -> Iterator[Engine]:
    with running_engine() as engine:
        yield engine
        left = engine.run("ps", "-a").stdout
        assert len(left.splitlines()) == 1, f"the agents left containers behind:\n{left}"


@pytest.fixture(scope="module")
def machine_store() -> Iterator[FakeStore]:
    """On the loopback of the machine that all nodes are on; instances may reach it."""
    service = FakeStore()
    yield service
    service.stop()


@pytest.fixture(scope="module")
def docker_cloud(engine: Engine, machine_store: FakeStore,
                 tmp_path_factory: pytest.TempPathFactory) -> Iterator[Cloud]:
    cloud = Cloud(tmp_path_factory.mktemp("docker"), nodes=2, arguments=[
        "--runtime", "docker", "--engine", f"unix:{engine.socket}", "--no-egress", "--agent-restarts",
        "--service", machine_store.address])
    cloud.settings = {"MESCLUN_AGENT_DISK_PERIOD": "200ms"}
    cloud.start()
    cloud.wait_for_nodes()
    yield cloud
    cloud.stop()


def site_spec(command: str = SITE, image: str = "e2e-busybox:1", **changes: Any) -> dict[str, Any]:
    return {
        "name": unique_name("site"), "autostart_policy": True, "restart_policy": "always", "replicas": 1,
        "container": {"image": image, "command": ["sh", "-c", command], "resources": {"cpu": 1, "memory": 1024}},
        "networking": {"protocol": "http", "port": 8080, "auth": False},
        "readiness_probe": {"exec": {"command": ["test", "-e", "/www/status"]},
                            "initial_delay_seconds": 0, "period_seconds": 1, "timeout_seconds": 5,
                            "success_threshold": 1, "failure_threshold": 1},
        **changes}


@pytest.fixture
def site(docker_cloud: Cloud) -> Iterator[App]:
    app = App(docker_cloud, docker_cloud.api(), site_spec())
    app.wait_until_serving()
    yield app
    app.delete()


def starts(app: App) -> int:
    reply = app.call("GET", "/starts")
    return len(reply.body.splitlines()) if reply.status == 200 else 0


def test_a_container_serves_knows_itself_and_has_few_rights(site: App) -> None:
    instance = site.api.instances(site.name)[0]
    assert starts(site) == 1
    assert json.loads(site.call("GET", "/status").body)["started"] in (True, False)
    rights = dict(line.split(":\t") for line in site.call("GET", "/rights").body.decode().splitlines())
    assert rights["NoNewPrivs"] == "1" and rights["Seccomp"] == "2"
    assert int(rights["SigIgn"], 16) == 0, "it ignores signals that it never asked to"
    # Neither raw sockets (13), nor devices (27), nor the machine's administration (21).
    assert int(rights["CapEff"], 16) & (1 << 13 | 1 << 27 | 1 << 21) == 0
    wait_for(lambda: f"up as {instance['id']}" in site.api.log_texts(site.name), "its lines", 20)


def next_instance(site: App, before: str, what: str) -> dict[str, Any]:
    def look() -> list[dict[str, Any]]:
        return [one for one in serving_instances(site.api, site.name) if one["id"] != before]
    return wait_for(look, f"the instance after {what}", 60)[0]


def kill_agent_of(cloud: Cloud, instance: dict[str, Any]) -> None:
    """Returns once another one is there."""
    number = cloud.node_of(instance["machine_id"])
    killed = cloud.agent_pid(number)
    os.kill(killed, signal.SIGKILL)
    wait_for(lambda: cloud.agent_pid(number) != killed, "another agent", 20)


def test_a_restart_keeps_files_and_a_new_container_does_not(site: App) -> None:
    for verb, expected in (("restart", 2), ("recreate", 1)):
        before = site.api.instances(site.name)[0]["id"]
        assert site.api.post(f"/containers/{site.name}/instances/{before}/{verb}").status == 202

        next_instance(site, before, verb)
        wait_for(lambda: starts(site) == expected, f"{expected} starts", 20)


def test_the_command_of_the_image_runs_where_the_group_has_none(docker_cloud: Cloud) -> None:
    spec = site_spec()
    del spec["container"]["command"], spec["readiness_probe"], spec["networking"]
    api = docker_cloud.api()
    api.create(spec)
    wait_for(lambda: "the command of the image" in api.log_texts(spec["name"]), "its line", 30)
    api.delete(f"/containers/{spec['name']}")


def test_a_container_survives_its_killed_agent(docker_cloud: Cloud, site: App) -> None:
    before = site.api.instances(site.name)[0]
    kill_agent_of(docker_cloud, before)
    wait_for(lambda: serving_instances(site.api, site.name), "the adopted instance", 60)
    wait_for(lambda: starts(site) == 1, "the same container", 30)
    assert site.api.instances(site.name)[0]["id"] == before["id"]


def test_a_service_of_the_machine_is_reached_at_its_own_address(docker_cloud: Cloud, machine_store: FakeStore,
                                                                site: App) -> None:
    machine_store.objects["/greeting"] = b"hello from the machine"

    def fetch(address: str, path: str) -> str:
        done = docker_cloud.cli("exec", site.name, "--", "wget", "-q", "-O", "-", f"http://{address}{path}")
        return done.out if done.status == 0 else f"status {done.status}"

    def is_reached() -> bool:
        return fetch(machine_store.address, "/greeting") == "hello from the machine"
    assert is_reached()
    assert len(fetch(machine_store.address, "/large")) == 4 << 20
    # What was not named is not there.
    other = FakeStore()
    assert fetch(other.address, "/greeting") == "status 1" and not other.received
    other.stop()

    instance = site.api.instances(site.name)[0]
    assert site.api.post(f"/containers/{site.name}/instances/{instance['id']}/restart").status == 202
    instance = next_instance(site, instance["id"], "restart")
    wait_for(is_reached, "the service after a restart in the same container", 20)
    kill_agent_of(docker_cloud, instance)
    wait_for(is_reached, "the service by way of the next agent", 60)
    assert site.api.instances(site.name)[0]["id"] == instance["id"]


def test_the_port_of_a_group_is_its_own_whatever_service_the_machine_has(docker_cloud: Cloud,
                                                                         machine_store: FakeStore) -> None:
    port = int(machine_store.address.rsplit(":", 1)[1])
    spec = site_spec(f"mkdir -p /www; echo mine > /www/index.html; exec httpd -f -p {port} -h /www")
    spec["networking"]["port"] = port
    del spec["readiness_probe"]
    app = App(docker_cloud, docker_cloud.api(), spec)
    app.wait_until_serving()
    assert app.call("GET", "/").body == b"mine\n"
    app.delete()


@pytest.mark.parametrize("language", LANGUAGES)
def test_the_official_metadata_sdks_from_inside(engine: Engine, docker_cloud: Cloud, language: str) -> None:
    image = f"e2e-sdk-{language}:1"
    engine.import_files(sdk_files(language), image)
    container = {**sdk_container(language), "image": image}
    app = App(docker_cloud, docker_cloud.api(), echo_spec(container=container))
    app.wait_until_serving()
    walk_through_all_calls(app)
    app.delete()


def test_what_fills_its_disk_moves(docker_cloud: Cloud) -> None:
    spec = site_spec("fallocate -l 1200M /file; sleep 600")
    del spec["readiness_probe"], spec["networking"]
    spec["container"]["resources"]["storage_amount"] = 1 << 30
    api = docker_cloud.api()
    api.create(spec)
    full = "Instance Interrupted (Requested Disk Space Exceeded)"
    wait_for(lambda: api.event_names(spec["name"]).count(full) >= 2, "two ends for the disk", 60)
    events = api.events(spec["name"])
    ended = [event for event in events if event["event_name"] == full]
    assert all("its disk is 1.07 GB" in str(event) for event in ended), ended
    assert len({event["machine_id"] for event in ended}) == 2, ended
    api.delete(f"/containers/{spec['name']}")


def test_what_containers_use_is_shown(docker_cloud: Cloud, site: App) -> None:
    def shown() -> bool:
        items = docker_cloud.cli("stats", site.name, "-o", "json").json["items"]
        return any(item["memory_bytes"] and item["cpu_cores"] is not None for item in items)
    wait_for(shown, "what the instance uses", 30)


def test_an_image_is_pulled_or_said_to_be_missing(engine: Engine, docker_cloud: Cloud,
                                                  tmp_path: pathlib.Path) -> None:
    engine.registry = engine.registry or Registry(engine.folder / "registry")
    name = f"{engine.registry.address}/team/app:1"
    engine.run("tag", "e2e-busybox:1", name)
    wait_for(lambda: engine.run("push", name, check=False).returncode == 0, "the registry", 30)
    engine.run("rmi", name)
    app = App(docker_cloud, docker_cloud.api(), site_spec(image=name))
    app.wait_until_serving()
    wait_for(lambda: "Instance Running" in app.api.event_names(app.name), "its events", 20)
    events = app.api.event_names(app.name)
    assert events.index("Instance Downloading") < events.index("Instance Creating")
    app.delete()

    absent = f"{engine.registry.address}/team/none:1"
    app = App(docker_cloud, docker_cloud.api(), site_spec(image=absent))

    def told() -> bool:
        return any("cannot pull the image" in str(event) and absent in str(event)
                   for event in app.api.events(app.name))
    wait_for(told, "the reason", 60)
    app.delete()


def test_instances_come_back_after_a_restart_of_the_engine(engine: Engine, site: App) -> None:
    engine.restart()
    wait_for(lambda: serving_instances(site.api, site.name), "an instance that serves", 90)
    wait_for(lambda: starts(site) > 0, "its answer", 30)


def test_commands_run_beside_a_container_and_end_with_its_agent(docker_cloud: Cloud, site: App) -> None:
    def run(*words: str, data: bytes = b"") -> subprocess.CompletedProcess[bytes]:
        return subprocess.run([str(BINARY), "exec", "-i", site.name, "--", *words], input=data, capture_output=True,
                              timeout=90, env=docker_cloud.environment())
    instance = site.api.instances(site.name)[0]
    asked = run("sh", "-c", "echo $SALAD_INSTANCE_ID; cat /www/rights >/dev/null && echo aside >&2; exit 3")
    assert (asked.returncode, asked.stdout.decode().strip(), asked.stderr) == (3, instance["id"], b"aside\n")
    assert run("/no/such").returncode == 127
    data = random.Random(2).randbytes(20 * 1024 * 1024)
    assert hashlib.sha256(run("cat", data=data).stdout).digest() == hashlib.sha256(data).digest()

    path = exec_path(site.api, site.name, instance["id"])
    shell = open_exec(site.api, path, "sh", tty="true", rows="33", columns="77")
    shell.write(b"stty size; tty; id -u; echo re''ady\n")
    assert b"33 77\r\n/dev/pts/" in shell.hear(b"ready\r\n").out
    shell.write(b"\x04")
    assert shell.hear().last["exit"]["code"] == 0

    mark = unique_name("orphan")
    lasting = open_exec(site.api, path, "sh", "-c",
                        f"(setsid sh -c 'while :; do sleep 0.1; done; : {mark}' &); echo up; sleep 600; : {mark}")
    lasting.hear(b"up\n")

    def left() -> list[processes.Process]:
        return processes.find(lambda p: mark in " ".join(p.arguments))
    assert left()
    number = docker_cloud.node_of(instance["machine_id"])
    killed = docker_cloud.agent_pid(number)
    os.kill(killed, signal.SIGKILL)
    assert lasting.hear().last["error"]["type"] == "unavailable"
    wait_for(lambda: not left(), "the end of what it ran", 30)
    wait_for(lambda: run("true").returncode == 0, "a command by the next agent", 60)
    assert starts(site) == 1
