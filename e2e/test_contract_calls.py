"""Who may call what, and what every answer looks like (api.md §1 to §3)."""

from __future__ import annotations

from typing import Any

import pytest

from cloud import Cloud, unique_name
from groups import idle_spec, wait_until_gone
from http_call import Api, Connection, expect_problem

NIL = "00000000-0000-0000-0000-000000000000"


@pytest.fixture(scope="module")
def stranger(cloud: Cloud) -> Api:
    """A user of another organization."""
    organization = unique_name("strangers")
    operator = cloud.operator()
    assert operator.post("/api/operator/organizations", {"name": organization}).status == 201
    assert operator.post(f"/api/operator/organizations/{organization}/projects", {"name": "default"}).status == 201
    return Api(cloud.api_address, cloud.new_key(organization), organization, "default")


def calls(group: str) -> list[tuple[str, str, Any]]:
    path = f"/containers/{group}"
    return [("GET", "/containers", None), ("POST", "/containers", idle_spec()), ("GET", path, None),
            ("PATCH", path, {"replicas": 2}), ("POST", f"{path}/start", None), ("POST", f"{path}/stop", None),
            ("GET", f"{path}/instances", None), ("GET", f"{path}/system-logs", None), ("DELETE", path, None)]


@pytest.mark.parametrize("key", [None, "", "unknown", "salad_cloud_user_" + "0" * 40], ids=repr)
def test_calls_without_a_known_key_are_refused(cloud: Cloud, api: Api, idle_group: dict[str, Any],
                                               key: str | None) -> None:
    nobody = Api(cloud.api_address, key, cloud.organization, cloud.project)
    for method, path, body in calls(idle_group["name"]):
        expect_problem(nobody.call(method, path, body), 401, "unauthorized")
    assert api.group(idle_group["name"]) == idle_group


def test_keys_of_other_organizations_are_refused(cloud: Cloud, api: Api, stranger: Api,
                                                 idle_group: dict[str, Any]) -> None:
    intruder = Api(cloud.api_address, stranger.key, cloud.organization, cloud.project)
    for method, path, body in calls(idle_group["name"]):
        expect_problem(intruder.call(method, path, body), 403, "forbidden")
    for kind in ("events", "logs"):
        expect_problem(intruder.get(f"{api.extra}/containers/{idle_group['name']}/{kind}"), 403, "forbidden")
    assert api.group(idle_group["name"]) == idle_group
    assert stranger.get("/containers").json == {"items": []}


def test_one_key_acts_in_every_organization_of_its_user(cloud: Cloud, stranger: Api) -> None:
    key = cloud.new_key(cloud.organization, stranger.organization)
    for organization, project in ((cloud.organization, cloud.project), (stranger.organization, stranger.project)):
        assert Api(cloud.api_address, key, organization, project).get("/containers").status == 200


def test_a_deleted_key_stops_working_at_once(cloud: Cloud) -> None:
    operator = cloud.operator()
    made = operator.post("/api/operator/keys", {"user": "short", "organizations": [cloud.organization]}).json
    api = Api(cloud.api_address, made["key"], cloud.organization, cloud.project)
    assert api.get("/containers").status == 200
    assert operator.delete(f"/api/operator/keys/{made['id']}").status == 204
    expect_problem(api.get("/containers"), 401, "unauthorized")
    assert made["key"] not in str(operator.get("/api/operator/keys").json)


def test_user_keys_are_no_operator_keys(cloud: Cloud, api: Api) -> None:
    for path in ("nodes", "organizations", "keys"):
        expect_problem(api.get(f"/api/operator/{path}"), 403, "forbidden")
    nobody = Api(cloud.api_address, None, "x", "y")
    expect_problem(nobody.get("/api/operator/nodes"), 401, "unauthorized")


def test_what_does_not_exist_is_not_found(cloud: Cloud, api: Api, idle_group: dict[str, Any]) -> None:
    missing = f"/containers/{unique_name('missing')}"
    for method, path, body in [("GET", missing, None), ("PATCH", missing, {"replicas": 1}), ("DELETE", missing, None),
                               ("POST", f"{missing}/start", None), ("POST", f"{missing}/stop", None),
                               ("GET", f"{missing}/instances", None), ("GET", f"{missing}/system-logs", None)]:
        expect_problem(api.call(method, path, body), 404, "not_found")
    instance = f"/containers/{idle_group['name']}/instances/{NIL}"
    expect_problem(api.get(instance), 404, "not_found")
    expect_problem(api.patch(instance, {"deletion_cost": 1}), 404, "not_found")
    for action in ("reallocate", "recreate", "restart"):
        expect_problem(api.post(f"{instance}/{action}"), 404, "not_found")
    no_project = Api(cloud.api_address, api.key, cloud.organization, unique_name("nowhere"))
    expect_problem(no_project.get("/containers"), 404, "not_found")
    no_organization = Api(cloud.api_address, api.key, unique_name("nobody"), cloud.project)
    expect_problem(no_organization.get("/containers"), 404, "not_found")
    for path in ("/api/public", "/api/public/", "/api/public/nothing", "/api/public/organizations", "/api/nothing"):
        assert api.get(path).status == 404, path
    for path in ("/containers/a%2Fb", "/containers/..%2f..", "/containers/%00", "/containers/%zz"):
        assert api.get(path).status in (400, 404), path


def test_wrong_methods_change_nothing(api: Api, idle_group: dict[str, Any]) -> None:
    path = f"/containers/{idle_group['name']}"
    for method, target in (("PUT", path), ("POST", path), ("DELETE", "/containers"), ("GET", f"{path}/start"),
                           ("DELETE", f"{path}/instances")):
        reply = api.call(method, target)
        assert reply.status == 405, reply
        assert reply.json["status"] == 405 and reply.headers["allow"]
    assert api.group(idle_group["name"]) == idle_group


def test_answers_have_the_media_types_that_sdks_compare(api: Api, idle_group: dict[str, Any]) -> None:
    path = f"/containers/{idle_group['name']}"
    assert api.get(path).media_type.split(";")[0] == "application/json"
    for accept, expected in (("application/json", "application/json"), ("*/*", "application/merge-patch+json"),
                             ("application/merge-patch+json", "application/merge-patch+json")):
        reply = api.call("PATCH", path, {"replicas": 1}, {"Accept": accept})
        assert reply.status == 200 and reply.media_type.split(";")[0] == expected, (accept, reply)
        assert reply.json["name"] == idle_group["name"], "a patch answers with the whole object"


@pytest.mark.parametrize("body, headers", [
    (None, {}), (b"", {}), (b"{}", {"Content-Type": "application/json"}), (b"  ", {}),
    (b"{}", {"Content-Type": "application/json; charset=utf-8"})], ids=repr)
def test_actions_take_an_empty_body_or_an_empty_object(api: Api, idle_group: dict[str, Any], body: bytes | None,
                                                       headers: dict[str, str]) -> None:
    path = f"/containers/{idle_group['name']}"
    reply = api.call("POST", f"{path}/stop", body, headers)
    assert (reply.status, reply.body) == (202, b"")


def test_delete_takes_an_empty_object_too(api: Api) -> None:
    name = api.create(idle_spec())["name"]
    reply = api.call("DELETE", f"/containers/{name}", b"{}", {"Content-Type": "application/json"})
    assert (reply.status, reply.body) == (202, b"")
    wait_until_gone(api, name)


def test_chunked_requests_and_kept_connections(api: Api) -> None:
    import json
    spec = idle_spec()
    headers = {"Salad-Api-Key": api.key or "", "Content-Type": "application/json"}
    pieces = [json.dumps(spec)[i:i + 7].encode() for i in range(0, len(json.dumps(spec)), 7)]
    with Connection(api.address) as connection:
        reply = connection.call("POST", api.prefix + "/containers", body=iter(pieces), headers=headers)
        assert reply.status == 201, reply
        for _ in range(3):
            assert connection.call("GET", f"{api.prefix}/containers/{spec['name']}", headers=headers).status == 200


def test_malformed_http_ends_with_400(api: Api) -> None:
    import socket
    host, port = api.address.rsplit(":", 1)
    with socket.create_connection((host, int(port)), timeout=30) as raw:
        raw.sendall(b"GET / HTTP/1.1\r\nHost: x\r\nContent-Length: 3\r\nTransfer-Encoding: chunked\r\n\r\n")
        assert raw.recv(1000).startswith(b"HTTP/1.1 400 ")


def test_the_241st_request_of_a_minute_is_refused_until_later(cloud: Cloud) -> None:
    api = cloud.api()
    headers = {"Salad-Api-Key": api.key or ""}
    with Connection(api.address) as connection:
        # What refills while we ask is at most four a second.
        for number in range(2000):
            reply = connection.call("GET", api.prefix + "/containers", headers=headers)
            if reply.status != 200:
                break
        assert number >= 240
        expect_problem(reply, 429, "rate_limited")
        assert int(reply.headers["retry-after"]) >= 1
        spec = idle_spec()
        expect_problem(connection.call("POST", api.prefix + "/containers", body=spec, headers=headers),
                       429, "rate_limited")
    other = cloud.api()
    assert other.get(f"/containers/{spec['name']}").status == 404, "a refused call has no effect"


def test_quotas(cloud: Cloud) -> None:
    operator = cloud.operator()
    organization = unique_name("quota")
    operator.post("/api/operator/organizations", {"name": organization})
    operator.post(f"/api/operator/organizations/{organization}/projects", {"name": "default"})
    quotas = f"/api/operator/organizations/{organization}/quotas"
    assert operator.patch(quotas, {"container_replicas_quota": 3}).status == 200
    api = Api(cloud.api_address, cloud.new_key(organization), organization, "default")

    def numbers() -> dict[str, int]:
        return api.get(f"/api/public/organizations/{organization}/quotas").json["container_groups_quotas"]

    assert (numbers()["container_replicas_quota"], numbers()["container_replicas_used"]) == (3, 0)
    name = api.create(idle_spec(replicas=2))["name"]
    assert numbers()["container_replicas_used"] == 2, "stopped groups count"
    expect_problem(api.post("/containers", idle_spec(replicas=2)), 403, "quota_exceeded")
    expect_problem(api.patch(f"/containers/{name}", {"replicas": 4}), 403, "quota_exceeded")
    assert api.group(name)["replicas"] == 2
    assert api.patch(f"/containers/{name}", {"replicas": 3}).status == 200
    api.delete(f"/containers/{name}")
    wait_until_gone(api, name)
    assert numbers()["container_replicas_used"] == 0
    expect_problem(operator.patch(quotas, {"container_replicas_quota": -1}), 400, "invalid_request")


def test_gpu_classes_have_ids_names_and_ordered_prices(cloud: Cloud, api: Api) -> None:
    items = api.get(f"/api/public/organizations/{cloud.organization}/gpu-classes").json["items"]
    by_name = {item["name"]: item for item in items}
    assert by_name["RTX 4090 (24 GB)"]["id"] == "ed563892-aacd-40f5-80b7-90c9be6c759b"
    for item in items:
        assert [price["priority"] for price in item["prices"]] == ["high", "medium", "low", "batch"]
        assert all(float(price["price"]) >= 0 for price in item["prices"])


def test_availability_counts_machines_that_would_take_it(cloud: Cloud, api: Api) -> None:
    base = f"/api/public/organizations/{cloud.organization}/availability"
    found = api.post(f"{base}/sce-cpu-availability", {"cpu": 1, "memory": 1024, "country_codes": None})
    assert found.status == 200 and 0 <= found.json["available_cpu_batch"] <= cloud.node_count
    assert found.json["on_call_cpu"] == 0
    huge = api.post(f"{base}/sce-cpu-availability", {"cpu": 1024}).json
    assert huge["available_cpu_batch"] == 0
    gpus = api.post(f"{base}/sce-gpu-availability", {"gpu_classes": ["ed563892-aacd-40f5-80b7-90c9be6c759b"]})
    assert gpus.status == 200 and set(gpus.json.values()) == {0}, "no node has one"
    expect_problem(api.post(f"{base}/sce-gpu-availability", {"cpu": 1}), 400, "invalid_request")
    expect_problem(api.post(f"{base}/sce-cpu-availability", {"cpu": 0}), 400, "invalid_request")
    assert api.get(f"{base}/sce-cpu-availability").status == 405
    expect_problem(api.post(f"{base}/other", {}), 404, "not_found")


def test_operator_names_are_checked(cloud: Cloud) -> None:
    operator = cloud.operator()
    expect_problem(operator.post("/api/operator/organizations", {"name": "Bad Name"}), 400, "invalid_request")
    expect_problem(operator.post("/api/operator/organizations", {"name": cloud.organization}), 400, "name_conflict")
    expect_problem(operator.post("/api/operator/keys", {"user": "x", "organizations": ["nobody-here"]}), 400,
                   "invalid_request")
    expect_problem(operator.get("/api/operator/organizations/nobody-here"), 404, "not_found")
