"""A cloud of one machine or three forgives: mistakes are corrected, failures are tried again, nobody waits two days."""

from __future__ import annotations

import json
import time
from collections.abc import Callable
from typing import Any

import pytest

from cloud import Cloud, CommandResult
from groups import App, echo_spec, wait_until_serving
from waiting import wait_for

EXITED = "Instance Exited:1 (Error)"


@pytest.fixture
def one(new_cloud: Callable[..., Cloud]) -> Cloud:
    cloud = new_cloud(nodes=1)
    cloud.start()
    return cloud


def test_one_bad_exit_is_tried_again_on_the_only_node(one: Cloud) -> None:
    api, spec = one.api(), echo_spec()
    fails_once = f"test -e {one.folder}/tried || {{ touch {one.folder}/tried; exit 1; }}; exec \"$@\""
    spec["container"]["command"] = ["sh", "-c", fails_once, "sh", *spec["container"]["command"]]
    name = api.create(spec)["name"]
    wait_for(lambda: EXITED in [event["event_name"] for event in api.events(name)], "the bad exit", 20)
    wait_until_serving(api, name, seconds=40)


def test_a_corrected_command_runs_at_once_everywhere(new_cloud: Callable[..., Cloud]) -> None:
    cloud = new_cloud(nodes=3)
    cloud.start()
    api, good = cloud.api(), echo_spec()
    spec = echo_spec()
    spec["container"]["command"] = ["no-such-program"]
    name = api.create(spec)["name"]
    listed = wait_for(lambda: cloud.cli("group", "exclusions", name, "-o", "json").json["items"], "an exclusion", 20)
    assert listed[0]["by_failure"] and "no-such-program" in listed[0]["reason"]
    wait_for(lambda: len(cloud.cli("group", "exclusions", name, "-o", "json").json["items"]) == 3, "all three", 30)
    assert "excluded" in api.group(name)["current_state"]["description"]
    api.call("PATCH", f"/containers/{name}", {"container": {"command": good["container"]["command"]}})
    wait_until_serving(api, name, seconds=20)
    assert "kept away from no machine" in cloud.cli("group", "exclusions", name).err


def test_exclusions_are_cleared_by_hand(one: Cloud) -> None:
    app = App(one, one.api(), echo_spec())
    [instance] = app.wait_until_serving()
    one.cli("instance", "reallocate", app.name, instance["id"])
    wait_for(lambda: "excluded" in app.api.group(app.name)["current_state"].get("description", ""), "to wait", 20)
    shown = one.cli("group", "exclusions", app.name)
    assert "node-1" in shown.out and "reallocated by a user" in shown.out
    cleared = one.cli("group", "exclusions", app.name, instance["machine_id"], "--clear")
    assert cleared.status == 0, cleared
    app.wait_until_serving(20)
    assert one.cli("group", "exclusions", app.name, instance["machine_id"], "--clear").status == 1


def test_an_orderly_restart_of_all_costs_no_wait(one: Cloud) -> None:
    app = App(one, one.api(), echo_spec())
    app.wait_until_serving()
    assert one.stop() == 0
    one.start()
    start = time.monotonic()
    app.wait_until_serving(30)
    assert one.cli("group", "exclusions", app.name, "-o", "json").json["items"] == [], time.monotonic() - start


def test_a_group_without_a_command_says_what_is_missing(one: Cloud) -> None:
    api, spec = one.api(), echo_spec()
    del spec["container"]["command"]
    name = api.create(spec)["name"]
    why = wait_for(lambda: api.group(name)["current_state"].get("description"), "a reason", 20)
    assert "set container.command" in why
    assert one.cli("group", "exclusions", name, "-o", "json").json["items"] == []


def create_and_wait(cloud: Cloud, spec: dict[str, Any], *flags: str) -> CommandResult:
    path = cloud.folder / f"{spec['name']}.json"
    path.write_text(json.dumps(spec))
    return cloud.cli("group", "create", "-f", str(path), "--wait", *flags)


def test_nobody_waits_for_what_cannot_come(one: Cloud) -> None:
    elsewhere = create_and_wait(one, echo_spec(country_codes=["jp"]))
    assert elsewhere.status == 1 and "waiting changes nothing" in elsewhere.err, elsewhere
    assert "in other countries" in elsewhere.err, elsewhere
    too_many = create_and_wait(one, echo_spec(replicas=2))
    assert too_many.status == 1 and "one replica without a node" in too_many.err, too_many
    no_command = echo_spec()
    del no_command["container"]["command"]
    nothing = create_and_wait(one, no_command)
    assert nothing.status == 1 and "set container.command" in nothing.err, nothing


def test_a_busy_machine_is_waited_for(one: Cloud) -> None:
    cores = one.nodes()[0]["cpu"]
    first = echo_spec()
    first["container"]["resources"]["cpu"] = cores
    assert create_and_wait(one, first).status == 0
    second = echo_spec()
    second["container"]["resources"]["cpu"] = cores
    # Longer than the cloud's no to what cannot come is looked at.
    waited = create_and_wait(one, second, "--timeout", "8s")
    assert waited.status == 1 and "is not there after 8s" in waited.err, waited


def test_readiness_restarts_and_machines_are_shown(one: Cloud) -> None:
    app = App(one, one.api(), echo_spec())
    app.wait_until_serving()
    assert ["READY", "RESTARTS"] == one.cli("group", "list").out.split()[3:5]
    row = one.cli("group", "list").out.splitlines()[1].split()
    assert row[0] == app.name and row[3:5] == ["1/1", "0"], row
    assert "node-1" in one.cli("instance", "list", app.name).out
    app.call("POST", "/exit?code=0")
    wait_for(lambda: one.cli("group", "list").out.splitlines()[1].split()[3:5] == ["1/1", "1"], "a restart", 30)
    one.kill_node(1)
    wait_for(lambda: app.api.instances(app.name)[0]["ready"] is False, "a silent machine's not to be ready", 30)
    assert "node-1 (silent)" in one.cli("instance", "list", app.name).out
