"""Creating container groups by raw HTTP: what is refused, with which problem, and what is accepted (api.md §4, §12)."""

from __future__ import annotations

import copy
from typing import Any

import pytest

from cloud import Cloud, unique_name
from groups import idle_spec
from http_call import Api, Connection, expect_problem

PROBE_NUMBERS = {"initial_delay_seconds": 0, "period_seconds": 10, "timeout_seconds": 5, "success_threshold": 1,
                 "failure_threshold": 3}
TCP = {"tcp": {"port": 80}}


def changed(spec: dict[str, Any], pointer: str, value: Any) -> dict[str, Any]:
    """A copy of the spec with one member replaced; ... removes it."""
    spec = copy.deepcopy(spec)
    at = spec
    *parents, last = pointer.strip("/").split("/")
    for name in parents:
        at = at.setdefault(name, {})
    if value is ...:
        del at[last]
    else:
        at[last] = value
    return spec


def probe(**changes: Any) -> dict[str, Any]:
    return {**PROBE_NUMBERS, **TCP, **changes}


@pytest.mark.parametrize("body", [b"{", b"", b"not json", b'{"name": "x",}', b"\xff\xfe", b'{"a": "\\ud800"}',
                                  b'{"a":' * 40 + b"1" + b"}" * 40, b"{} {}"], ids=repr)
def test_malformed_json_is_refused(api: Api, body: bytes) -> None:
    before = len(api.get("/containers").json["items"])
    reply = api.call("POST", "/containers", body, {"Content-Type": "application/json"})
    expect_problem(reply, 400, "invalid_request")
    assert len(api.get("/containers").json["items"]) == before


@pytest.mark.parametrize("document", [[], "x", 3, None, True], ids=repr)
def test_other_documents_than_objects_are_refused(api: Api, document: Any) -> None:
    import json
    reply = api.call("POST", "/containers", json.dumps(document).encode(), {"Content-Type": "application/json"})
    expect_problem(reply, 400, "invalid_request")


@pytest.mark.parametrize("pointer", ["/name", "/replicas", "/container", "/container/image", "/container/resources",
                                     "/container/resources/cpu", "/container/resources/memory"])
def test_required_members_are_named(api: Api, pointer: str) -> None:
    spec = idle_spec()
    detail = expect_problem(api.post("/containers", changed(spec, pointer, ...)), 400, "invalid_request")
    assert pointer in detail and "required" in detail
    assert api.get(f"/containers/{spec['name']}").status == 404


@pytest.mark.parametrize("pointer, value", [
    ("/name", "A"), ("/name", "a"), ("/name", "Upper"), ("/name", "1st"), ("/name", "ends-"), ("/name", "under_score"),
    ("/name", "a" * 64), ("/name", ""), ("/name", 7), ("/name", "a/b"), ("/name", "ä" * 5),
    ("/display_name", "x"), ("/display_name", "no_underscore"), ("/display_name", "x" * 64),
    ("/replicas", -1), ("/replicas", 501), ("/replicas", "3"), ("/replicas", 1.5), ("/replicas", None),
    ("/replicas", 10**30), ("/replicas", True),
    ("/autostart_policy", "yes"), ("/restart_policy", "sometimes"), ("/restart_policy", 1),
    ("/country_codes", ["xx"]), ("/country_codes", "de"), ("/country_codes", [1]), ("/country_codes", ["germany"]),
    ("/container", "image"), ("/container/image", ""), ("/container/image", "x" * 2049), ("/container/image", {}),
    ("/container/command", "run"), ("/container/command", [""]), ("/container/command", ["x"] * 101),
    ("/container/command", ["x" * 32_769]), ("/container/command", [1]),
    ("/container/environment_variables", ["A=b"]), ("/container/environment_variables", {"A": [1]}),
    ("/container/priority", "urgent"), ("/container/image_caching", "no"),
    ("/container/resources/cpu", 0), ("/container/resources/cpu", 1025), ("/container/resources/cpu", 1.5),
    ("/container/resources/memory", 1023), ("/container/resources/memory", 1073741825),
    ("/container/resources/storage_amount", 1073741823), ("/container/resources/storage_amount", 2**60),
    ("/container/resources/shm_size", 63), ("/container/resources/gpu_classes", ["no such class"]),
    ("/container/resources/gpu_classes", ["00000000-0000-4000-8000-000000000000"]),
    ("/networking", {"protocol": "http", "port": 0, "auth": False}),
    ("/networking", {"protocol": "http", "port": 65536, "auth": False}),
    ("/networking", {"protocol": "tcp", "port": 80, "auth": False}),
    ("/networking", {"protocol": "http", "port": 80}), ("/networking", {"protocol": "http", "auth": False}),
    ("/networking", {"port": 80, "auth": False}),
    ("/networking", {"protocol": "http", "port": 80, "auth": False, "load_balancer": "random"}),
    ("/networking", {"protocol": "http", "port": 80, "auth": False, "client_request_timeout": 0}),
    ("/networking", {"protocol": "http", "port": 80, "auth": False, "server_response_timeout": 100001}),
    ("/liveness_probe", PROBE_NUMBERS), ("/liveness_probe", {**probe(), "exec": {"command": ["true"]}}),
    ("/liveness_probe", probe(tcp={"port": 0})), ("/liveness_probe", probe(tcp={"port": 65536})),
    ("/startup_probe", probe(period_seconds=0)), ("/startup_probe", probe(period_seconds=121)),
    ("/startup_probe", probe(timeout_seconds=61)), ("/startup_probe", probe(initial_delay_seconds=1201)),
    ("/startup_probe", probe(success_threshold=11)), ("/startup_probe", probe(failure_threshold=1001)),
    ("/readiness_probe", {**PROBE_NUMBERS, "exec": {"command": []}}),
    ("/readiness_probe", {**PROBE_NUMBERS, "http": {"path": "", "port": 80, "scheme": "http", "headers": []}}),
    ("/readiness_probe", {**PROBE_NUMBERS, "http": {"path": "/", "port": 80, "scheme": "ftp", "headers": []}}),
    ("/scaling-actions", [{"schedule": "every day", "replicas": 1}]),
    ("/scaling-actions", [{"schedule": "0 0 * * *", "replicas": 501}]),
])
def test_wrong_values_are_refused_and_named(api: Api, pointer: str, value: Any) -> None:
    spec = idle_spec()
    detail = expect_problem(api.post("/containers", changed(spec, pointer, value)), 400, "invalid_request")
    assert pointer in detail, detail
    if pointer != "/name":
        assert api.get(f"/containers/{spec['name']}").status == 404


def test_every_mistake_is_reported_at_once(api: Api) -> None:
    spec = changed(changed(idle_spec(), "/replicas", "3"), "/container/image", 1)
    detail = expect_problem(api.post("/containers", spec), 400, "invalid_request")
    assert "/replicas" in detail and "/container/image" in detail


def test_created_group_has_every_promised_member(api: Api) -> None:
    spec = idle_spec(display_name="A name, v1.0", country_codes=["de", "fr"], replicas=3)
    spec["container"] |= {"command": ["run", "--fast"], "environment_variables": {"A": "b"}, "priority": "high"}
    spec["networking"] = {"protocol": "http", "port": 80, "auth": True}
    reply = api.post("/containers", spec)
    assert reply.status == 201, reply
    assert reply.media_type.split(";")[0] == "application/json"
    assert reply.headers["location"] == \
        f"/organizations/{api.organization}/projects/{api.project}/containers/{spec['name']}"
    group = reply.json
    assert group["name"] == spec["name"] and group["display_name"] == "A name, v1.0"
    assert (group["organization_name"], group["project_name"]) == (api.organization, api.project)
    assert group["container"]["command"] == ["run", "--fast"]
    assert group["container"]["resources"]["gpu_classes"] == []
    assert "priority" not in group["container"] and "registry_authentication" not in group["container"]
    assert group["priority"] in ("high", "medium", "low", "batch", None)
    assert group["networking"] == {"auth": True, "port": 80, "protocol": "http", "load_balancer": "round_robin",
                                   "single_connection_limit": False, "client_request_timeout": 100000,
                                   "server_response_timeout": 100000, "dns": group["networking"]["dns"]}
    assert group["country_codes"] == ["de", "fr"]
    assert group["scaling-actions"] == [] and group["scheduled-scaling-enabled"] is False
    assert group["version"] == 1 and group["pending_change"] is False
    state = group["current_state"]
    assert state["status"] in ("pending", "stopped")
    assert state["instance_status_counts"] == {"allocating_count": 0, "creating_count": 0, "running_count": 0,
                                               "stopping_count": 0}
    assert state["start_time"] and state["finish_time"]
    for absent in ("queue_connection", "queue_autoscaler", "readme"):
        assert absent not in group, "what is not set is left out, not null"
    assert api.group(spec["name"])["id"] == group["id"]
    assert spec["name"] in [item["name"] for item in api.get("/containers").json["items"]]


def test_documented_shortcuts_are_accepted(api: Api) -> None:
    spec = idle_spec(country_codes=["DE", "No"], unknown_member={"a": 1})
    del spec["autostart_policy"], spec["restart_policy"]
    spec["container"] |= {"command": None, "unknown": 1}
    spec["container"]["resources"] |= {"gpu_classes": [" rtx 4090 (24 gb) "]}
    group = api.create(spec)
    assert group["autostart_policy"] is False and group["restart_policy"] == "always"
    assert group["country_codes"] == ["de", "no"]
    assert group["container"]["command"] == []
    assert group["container"]["resources"]["gpu_classes"] == ["ed563892-aacd-40f5-80b7-90c9be6c759b"]
    assert group["display_name"] == spec["name"]
    assert "unknown_member" not in group and "networking" not in group
    assert api.create(idle_spec(country_codes=[]))["country_codes"] == []


def test_probes_are_completed(api: Api) -> None:
    group = api.create(idle_spec(
        liveness_probe={"exec": {"command": ["true"]}}, startup_probe=TCP,
        networking={"protocol": "http", "port": 80, "auth": False},
        readiness_probe={"http": {"path": "/", "port": 80, "scheme": "http", "headers": []}}))
    liveness, readiness, startup = group["liveness_probe"], group["readiness_probe"], group["startup_probe"]
    numbers = ("initial_delay_seconds", "period_seconds", "timeout_seconds", "success_threshold", "failure_threshold")
    assert [liveness[name] for name in numbers] == [0, 10, 30, 1, 3]
    assert [readiness[name] for name in numbers] == [0, 1, 1, 1, 3]
    assert [startup[name] for name in numbers] == [0, 3, 10, 2, 15]
    # The JavaScript SDK refuses an empty list in an answer.
    assert len(readiness["http"]["headers"]) == 1


def test_a_name_is_taken_for_ever(api: Api) -> None:
    spec = idle_spec()
    api.create(spec)
    expect_problem(api.post("/containers", {**spec, "replicas": 2}), 400, "name_conflict")
    assert api.group(spec["name"])["replicas"] == 1
    assert api.delete(f"/containers/{spec['name']}").status == 202
    expect_problem(api.post("/containers", spec), 400, "name_conflict")


def test_names_are_per_project(cloud: Cloud, api: Api) -> None:
    project = unique_name("project")
    assert cloud.operator().post(f"/api/operator/organizations/{cloud.organization}/projects",
                                 {"name": project}).status == 201
    other = Api(cloud.api_address, api.key, cloud.organization, project)
    spec = idle_spec()
    assert api.create(spec)["id"] != other.create(spec)["id"]


def test_old_go_client_sees_no_newer_members(api: Api, idle_group: dict[str, Any]) -> None:
    path = f"/containers/{idle_group['name']}"
    reply = api.call("GET", path, headers={"User-Agent": "OpenAPI-Generator/1.0.0/go"})
    assert reply.status == 200
    for member in ("scaling-actions", "scheduled-scaling-enabled", "readme"):
        assert member not in reply.json
    assert "shm_size" not in reply.json["container"]["resources"]
    assert "scaling-actions" in api.group(idle_group["name"])


def test_large_but_allowed_bodies_pass(api: Api) -> None:
    spec = idle_spec()
    spec["container"]["environment_variables"] = {f"VARIABLE_{i}": "x" * 1000 for i in range(200)}
    assert len(api.create(spec)["container"]["environment_variables"]) == 200


def test_oversized_bodies_are_refused_before_they_are_sent(api: Api) -> None:
    with Connection(api.address) as connection:
        reply = connection.call("POST", api.prefix + "/containers", body=b"", headers={
            "Salad-Api-Key": api.key or "", "Content-Type": "application/json",
            "Content-Length": str(1 << 30)})
    expect_problem(reply, 413, "too_large")


def test_what_a_group_may_weigh_is_bounded(api: Api) -> None:
    """A body has 1 MiB at most, but changes add up."""
    def some(start: int) -> dict[str, Any]:
        return {"container": {"environment_variables": {f"V{start + i}": "x" * 32_000 for i in range(30)}}}

    name = api.create(idle_spec())["name"]
    for start in (0, 30):
        assert api.call("PATCH", f"/containers/{name}", some(start)).status == 200
    detail = expect_problem(api.call("PATCH", f"/containers/{name}", some(60)), 400, "invalid_request")
    assert "/container" in detail and "of at most 2097152" in detail
    assert len(api.group(name)["container"]["environment_variables"]) == 60
