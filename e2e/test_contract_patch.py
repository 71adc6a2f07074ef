"""Merge patches of groups and their rules, and changes of state that make no sense (api.md §5.2, §6)."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest

from groups import idle_spec, wait_until_gone
from http_call import Api, expect_problem

PROBE = {"initial_delay_seconds": 1, "period_seconds": 10, "timeout_seconds": 5, "success_threshold": 1,
         "failure_threshold": 3, "exec": {"command": ["true"]}}


def full_spec() -> dict[str, Any]:
    return idle_spec(
        display_name="Before", replicas=2, country_codes=["de"],
        container={"image": "e2e/idle:1", "command": ["run"], "environment_variables": {"A": "1", "B": "2"},
                   "resources": {"cpu": 1, "memory": 1024, "gpu_classes": [], "shm_size": 128}},
        networking={"protocol": "http", "port": 80, "auth": False}, liveness_probe=PROBE)


@pytest.fixture
def group(api: Api) -> Iterator[dict[str, Any]]:
    made = api.create(full_spec())
    yield made
    api.delete(f"/containers/{made['name']}")


def at(document: Any, pointer: str) -> Any:
    for name in pointer.strip("/").split("/"):
        document = document.get(name, ...) if isinstance(document, dict) else ...
    return document


# patch, where to look, what is there afterwards (... for nothing), and whether the version grows.
RULES = [
    ({}, "/display_name", "Before", False),
    ({"display_name": "After"}, "/display_name", "After", False),
    ({"replicas": 3}, "/replicas", 3, False),
    ({"replicas": 0}, "/replicas", 0, False),
    ({"replicas": None}, "/replicas", 2, False),
    ({"scaling-actions": [{"schedule": "0 6 * * *", "replicas": 4}]}, "/scaling-actions",
     [{"schedule": "0 6 * * *", "replicas": 4}], False),
    ({"country_codes": ["fr", "it"]}, "/country_codes", ["fr", "it"], True),
    ({"country_codes": None}, "/country_codes", [], True),
    ({"container": {"image": "e2e/idle:2"}}, "/container/image", "e2e/idle:2", True),
    ({"container": {"command": ["a", "b"]}}, "/container/command", ["a", "b"], True),
    ({"container": {"command": None}}, "/container/command", [], True),
    ({"container": {"environment_variables": {"B": None, "C": "3"}}}, "/container/environment_variables",
     {"A": "1", "C": "3"}, True),
    ({"container": {"image_caching": True}}, "/container/image_caching", True, True),
    ({"container": {"priority": "low"}}, "/container/image", "e2e/idle:1", True),
    ({"container": {"resources": {"cpu": 2}}}, "/container/resources/cpu", 2, True),
    ({"container": {"resources": {"memory": 2048}}}, "/container/resources/memory", 2048, True),
    ({"container": {"resources": {"shm_size": 256}}}, "/container/resources/shm_size", 256, True),
    ({"container": {"resources": {"gpu_classes": ["RTX 3060 (12 GB)"]}}}, "/container/resources/gpu_classes",
     ["f51baccc-dc95-40fb-a5d1-6d0ee0db31d2"], True),
    ({"container": {"resources": None}}, "/container/resources/cpu", 1, False),
    ({"container": None}, "/container/image", "e2e/idle:1", False),
    ({"networking": {"port": 8080}}, "/networking/port", 8080, True),
    ({"networking": {"port": None}}, "/networking/port", 80, False),
    ({"liveness_probe": {"period_seconds": 20}}, "/liveness_probe/period_seconds", 20, True),
    ({"liveness_probe": None}, "/liveness_probe", (None, ...), True),
    ({"liveness_probe": {**PROBE, "exec": None, "tcp": {"port": 80}}}, "/liveness_probe/tcp/port", 80, True),
    ({"startup_probe": PROBE}, "/startup_probe/exec/command", ["true"], True),
    ({"unknown_member": 1, "container": {"unknown": 1}}, "/replicas", 2, False),
    # Immutable members may be repeated.
    ({"autostart_policy": False, "restart_policy": "always"}, "/restart_policy", "always", False),
    ({"networking": {"auth": False, "protocol": "http"}}, "/networking/port", 80, False),
    # The original refuses these.
    ({"networking": {"auth": True}}, "/networking/auth", True, False),
    ({"networking": {"auth": None}}, "/networking/auth", False, False),
    ({"networking": {"load_balancer": "adaptive"}}, "/networking/load_balancer", "adaptive", False),
    ({"networking": {"single_connection_limit": True}}, "/networking/single_connection_limit", True, False),
    ({"networking": {"server_response_timeout": 50}}, "/networking/server_response_timeout", 50, False),
    ({"networking": {"client_request_timeout": None}}, "/networking/client_request_timeout", 100000, False),
]


@pytest.mark.parametrize("patch, pointer, expected, new_version", RULES, ids=[str(rule[0]) for rule in RULES])
def test_merge_patch_rules(api: Api, group: dict[str, Any], patch: dict[str, Any], pointer: str, expected: Any,
                           new_version: bool) -> None:
    reply = api.patch(f"/containers/{group['name']}", patch)
    assert reply.status == 200, reply
    changed = reply.json
    found = at(changed, pointer)
    assert found in expected if isinstance(expected, tuple) else found == expected
    assert changed["version"] == group["version"] + (1 if new_version else 0)
    # What was not named is as before.
    for member in ("container", "networking", "liveness_probe", "country_codes", "replicas", "display_name"):
        if member not in patch:
            assert changed.get(member) == group.get(member), member
    assert api.group(group["name"]) == changed


def test_display_name_goes_back_to_the_name(api: Api, group: dict[str, Any]) -> None:
    assert api.patch(f"/containers/{group['name']}", {"display_name": None}).json["display_name"] == group["name"]


@pytest.mark.parametrize("patch", [
    {"name": "other"}, {"autostart_policy": True}, {"restart_policy": "never"}, {"networking": None},
    {"networking": {"protocol": "tcp"}}, {"networking": {"load_balancer": "magic"}},
    {"networking": {"client_request_timeout": 0}},
    {"queue_connection": {"queue_name": "jobs", "port": 80, "path": "/"}},
    {"replicas": -1}, {"replicas": "2"}, {"replicas": 501}, {"container": {"image": ""}}, {"container": {"image": 1}},
    {"container": {"resources": {"cpu": 0}}}, {"container": {"environment_variables": {"A": [1]}}},
    {"country_codes": ["xx"]}, {"liveness_probe": {"tcp": {"port": 0}}}, {"networking": {"port": 0}},
    {"replicas": 3, "container": {"command": "run"}},
], ids=str)
def test_refused_patches_change_nothing(api: Api, group: dict[str, Any], patch: dict[str, Any]) -> None:
    expect_problem(api.patch(f"/containers/{group['name']}", patch), 400, "invalid_request")
    assert api.group(group["name"]) == group


@pytest.mark.parametrize("body", [b"[]", b"null", b"3", b'"x"', b"{", b'{"replicas": }'], ids=repr)
def test_patches_that_are_no_objects_are_refused(api: Api, group: dict[str, Any], body: bytes) -> None:
    reply = api.call("PATCH", f"/containers/{group['name']}", body)
    expect_problem(reply, 400, "invalid_request")
    assert api.group(group["name"]) == group


def test_a_group_without_a_gateway_never_gets_one(api: Api, idle_group: dict[str, Any]) -> None:
    patch = {"networking": {"protocol": "http", "port": 80, "auth": False}}
    expect_problem(api.patch(f"/containers/{idle_group['name']}", patch), 400, "invalid_request")
    assert "networking" not in api.group(idle_group["name"])


def test_starting_and_stopping_twice_has_no_effect(api: Api) -> None:
    # No replicas: nothing runs, so only the states are at stake.
    name = api.create(idle_spec(replicas=0))["name"]
    path = f"/containers/{name}"
    for action, states in (("stop", ("stopped",)), ("start", ("deploying", "running")),
                           ("start", ("deploying", "running")), ("stop", ("stopped",)), ("stop", ("stopped",))):
        assert api.post(f"{path}/{action}").status == 202
        assert api.group(name)["current_state"]["status"] in states
    names = api.event_names(name)
    assert names.count("Container Group Started") == 1 and names.count("Container Group Stopped") == 1
    api.delete(path)


def test_a_deleted_group_can_do_nothing_more(api: Api) -> None:
    name = api.create(idle_spec())["name"]
    path = f"/containers/{name}"
    assert api.delete(path).status == 202
    wait_until_gone(api, name)
    expect_problem(api.patch(path, {"replicas": 2}), 404, "not_found")
    expect_problem(api.post(f"{path}/start"), 404, "not_found")
    expect_problem(api.delete(path), 404, "not_found")
    assert name not in [group["name"] for group in api.get("/containers").json["items"]]


def test_changes_leave_events(api: Api, group: dict[str, Any]) -> None:
    path = f"/containers/{group['name']}"
    api.patch(path, {"replicas": 3})
    api.patch(path, {"networking": {"load_balancer": "adaptive"}})
    api.patch(path, {"container": {"image": "e2e/idle:2"}})
    names = api.event_names(group["name"])
    assert "Container Group Desired Replica Count Updated from 2 to 3" in names
    assert "Container Group Gateway Settings Updated" in names
    assert "Container Group Updated (Version 2)" in names
    logs = api.get(f"{path}/system-logs").json["items"]
    assert [entry["event_name"] for entry in logs] == names[::-1], "newest first"


@pytest.mark.parametrize("query", ["limit=0", "limit=x", "limit=1001", "after=-1", "after=x", "wait=31", "wait=-1"])
def test_pages_of_events_have_bounds(api: Api, group: dict[str, Any], query: str) -> None:
    expect_problem(api.get(f"{api.extra}/containers/{group['name']}/events?{query}"), 400, "invalid_request")


def test_events_come_in_pages(api: Api, group: dict[str, Any]) -> None:
    path = f"/containers/{group['name']}"
    for replicas in (3, 4, 5):
        api.patch(path, {"replicas": replicas})
    events = api.events(group["name"])
    url = f"{api.extra}/containers/{group['name']}/events"
    assert api.get(f"{url}?limit=2").json["items"] == events[-2:], "the newest, oldest first"
    assert api.get(f"{url}?after={events[0]['sequence']}&limit=1").json["items"] == events[1:2]
    assert api.get(f"{url}?after={events[-1]['sequence']}").json["items"] == []
