"""Images, commands, output and probes that no machine can make anything of: each has a state and an event with its reason,
the agent lives on, and so does what runs beside it."""

from __future__ import annotations

import os
import pathlib
from collections.abc import Callable, Iterator
from typing import Any

import pytest

from cloud import Cloud, unique_name
from engine import BUSYBOX, Engine, Registry
from groups import App, serving_instances
from raw_image import put_image
from waiting import wait_for

IMAGE = "e2e-busybox:1"
START_FAILURE = "Instance Exited:-1 (Start Failure)"
SERVE = "mkdir -p /www/cgi-bin; printf '#!/bin/sh\\nsleep 1000\\n' >/www/cgi-bin/hang; chmod +x /www/cgi-bin/hang; " \
        "exec httpd -f -p 8080 -h /www"


def spec_of(image: str, command: list[str], **changes: Any) -> dict[str, Any]:
    return {"name": unique_name("bad"), "autostart_policy": True, "restart_policy": "always", "replicas": 1,
            "container": {"image": image, "command": command, "resources": {"cpu": 1, "memory": 1024}},
            "networking": {"protocol": "http", "port": 8080, "auth": False}, **changes}


def started(engine: Engine, folder: pathlib.Path) -> Cloud:
    engine.registry = Registry(engine.folder / "registry")
    cloud = Cloud(folder, nodes=1, arguments=["--runtime", "docker", "--engine", f"unix:{engine.socket}", "--no-egress",
                                              "--node", "cpu=32,memory=32GiB"])
    # What a sanitizer keeps of freed memory is not the agent's.
    cloud.settings = {"ASAN_OPTIONS": ":".join(filter(None, (os.environ.get("ASAN_OPTIONS"), "quarantine_size_mb=1")))}
    cloud.start()
    cloud.wait_for_nodes()
    return cloud


@pytest.fixture(scope="module")
def engine(running_engine: Callable[..., Any]) -> Iterator[Engine]:
    with running_engine() as engine:
        yield engine


@pytest.fixture(scope="module")
def world(engine: Engine, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Cloud]:
    """With an instance that nobody may disturb, and an agent that must not die."""
    cloud = started(engine, tmp_path_factory.mktemp("bad"))
    good = App(cloud, cloud.api(), spec_of(IMAGE, ["sleep", "1000000"]))
    before = wait_for(lambda: serving_instances(good.api, good.name), "a good instance", 60)
    agent = cloud.agent_pid(1)
    yield cloud
    after = serving_instances(good.api, good.name)
    assert [one["id"] for one in after] == [one["id"] for one in before]
    assert good.api.event_names(good.name).count("Instance Starting") == 1
    assert cloud.agent_pid(1) == agent
    assert cloud.stop() == 0


@pytest.fixture
def bad(world: Cloud) -> Iterator[Callable[..., App]]:
    made: list[App] = []

    def make(image: str, *command: str, **changes: Any) -> App:
        made.append(App(world, world.api(), spec_of(image, list(command), **changes)))
        return made[-1]

    yield make
    for app in made:
        app.delete()


def pushed(engine: Engine, architecture: str = "", **files: bytes) -> str:
    assert engine.registry
    native = {"x86_64": "amd64", "aarch64": "arm64"}[os.uname().machine]
    return put_image(engine.registry.address, unique_name("bad"),
                     {"bin/busybox": pathlib.Path(BUSYBOX).read_bytes(), **files}, architecture or native)


def told(app: App, event: str, *words: str) -> None:
    def look() -> bool:
        return any(found["event_name"] == event and all(word in found["detail"] for word in words)
                   for found in app.api.events(app.name))
    wait_for(look, f"{event} with {words}", 60)


def never_ran(app: App) -> bool:
    return "Instance Running" not in app.api.event_names(app.name)


def test_a_name_that_is_none(bad: Callable[..., App]) -> None:
    app = bad("Not/An/Image", "true")
    told(app, START_FAILURE, "cannot pull the image", "Not/An/Image")
    assert never_ran(app)


def test_an_image_for_other_machines(engine: Engine, bad: Callable[..., App]) -> None:
    other = "arm64" if os.uname().machine == "x86_64" else "amd64"
    image = pushed(engine, other)
    for _ in range(2):  # the second time the engine has it
        app = bad(image, "/bin/busybox", "sleep", "600")
        told(app, START_FAILURE, "cannot run the image", f"it is for {other}")
        assert never_ran(app)


def test_a_command_that_the_image_does_not_have(bad: Callable[..., App]) -> None:
    app = bad(IMAGE, "/usr/bin/no-such-program", restart_policy="never")
    told(app, START_FAILURE, "/usr/bin/no-such-program", "No such file")
    wait_for(lambda: app.api.group(app.name)["current_state"]["status"] == "failed", "the group's failure", 30)
    assert never_ran(app)


def test_an_exit_at_once_moves_after_five_restarts(bad: Callable[..., App]) -> None:
    app = bad(IMAGE, "true")
    exited = "Instance Exited:0 (Exited Successfully)"
    told(app, exited, "5 restarts within 10 min, so it moves")
    details = [event["detail"] for event in app.api.events(app.name) if event["event_name"] == exited][:6]
    assert [detail.rpartition("again here in ")[2] for detail in details[:5]] == ["0 s", "1 s", "2 s", "4 s", "8 s"]
    assert app.api.event_names(app.name).count("Instance Starting") >= 6


def test_output_that_is_no_text(bad: Callable[..., App]) -> None:
    script = r"printf 'bad \377\000 bytes\n'; head -c 50000 /dev/urandom; printf '\nafter it\n'; sleep 1000"
    app = bad(IMAGE, "sh", "-c", script)
    wait_for(lambda: "after it" in app.api.log_texts(app.name), "the line after it", 60)
    assert "bad \ufffd\ufffd bytes" in app.api.log_texts(app.name)
    assert serving_instances(app.api, app.name)


def resident_mib(pid: int, what: str) -> float:
    status = pathlib.Path(f"/proc/{pid}/status").read_text()
    line = next(line for line in status.splitlines() if line.startswith(what))
    return int(line.split()[1]) / 1024


def test_a_flood_of_output_costs_the_agent_no_memory(world: Cloud, bad: Callable[..., App]) -> None:
    agent = world.agent_pid(1)
    before = resident_mib(agent, "VmRSS:")
    script = f"yes {'x' * 999} | head -c 104857600; echo; echo flooded; sleep 1000"
    app = bad(IMAGE, "sh", "-c", script)
    end = f"{app.api.extra}/containers/{app.name}/logs?query=text_log%20startswith%20flooded"
    wait_for(lambda: app.api.get(end).json["items"], "the end of the flood", 120)
    peak = resident_mib(agent, "VmHWM:")
    print(f"resident memory of the agent: {before:.0f} MiB before the flood, {peak:.0f} MiB at its peak")
    # What waits to be sent, and what the session and the engine's connection hold; the flood has 100.
    assert peak - before < 64
    assert serving_instances(app.api, app.name)


@pytest.mark.parametrize("probe", [{"http": {"path": "/cgi-bin/hang", "port": 8080, "scheme": "http"}},
                                   {"exec": {"command": ["sleep", "1000"]}}], ids=["http", "exec"])
def test_a_probe_whose_target_hangs(bad: Callable[..., App], probe: dict[str, Any]) -> None:
    app = bad(IMAGE, "sh", "-c", SERVE, liveness_probe={
        **probe, "initial_delay_seconds": 0, "period_seconds": 1, "timeout_seconds": 1, "success_threshold": 1,
        "failure_threshold": 2})
    told(app, "Instance Interrupted (Liveness Probe Failure)", "no answer within 1 s")


def test_an_image_that_is_larger_than_the_disk(running_engine: Callable[..., Any], tmp_path: pathlib.Path) -> None:
    with running_engine(disk="64m") as engine:
        cloud = started(engine, tmp_path / "cloud")
        try:
            image = pushed(engine, ballast=os.urandom(80 << 20))
            app = App(cloud, cloud.api(), spec_of(image, ["/bin/busybox", "sleep", "600"]))
            told(app, "Instance Reallocated by Platform", "this machine could not run it", "no space left")
            assert never_ran(app)
            warnings = wait_for(lambda: cloud.nodes()[0]["warnings"], "the machine's warning", 30)
            assert any("no space left" in warning for warning in warnings), warnings
            app.delete()
            # No group is kept away from it, and with the cause the trouble is over.
            good = App(cloud, cloud.api(), spec_of(IMAGE, ["sleep", "600"]))
            wait_for(lambda: serving_instances(good.api, good.name), "a good instance", 90)
            good.delete()
            assert cloud.stop() == 0
        finally:
            cloud.kill_everything()
