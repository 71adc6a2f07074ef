"""Clients that are generated from older descriptions, by their calls: the Go client of the virtual kubelet, which refuses
members that it does not know and those that are missing at every level, and the SDKs of October 2024, Go and Java.

Their requests are written anew here. Every operation of groups, instances and the organization is called, and every
answer is read as strictly as they read it.
"""

from __future__ import annotations

import dataclasses
import uuid
from typing import Any

import pytest

from cloud import Cloud, unique_name
from groups import echo_spec, wait_until_gone
from http_call import Api, Reply
from waiting import wait_for

GO = "OpenAPI-Generator/1.0.0/go"
JAVA = "OpenAPI-Generator/0.9.0-alpha.1/java"

PROBE = {"initial_delay_seconds": int, "period_seconds": int, "timeout_seconds": int, "success_threshold": int,
         "failure_threshold": int}
COUNTS = {"allocating_count": int, "creating_count": int, "running_count": int, "stopping_count": int}
STATE = {"status": str, "start_time": str, "finish_time": str, "instance_status_counts": COUNTS}


@dataclasses.dataclass(frozen=True)
class Shape:
    required: dict[str, Any]
    optional: dict[str, Any] = dataclasses.field(default_factory=dict)


HTTP_PROBE = Shape(PROBE, {"http": Shape({"path": str, "port": int, "scheme": str}, {"headers": list}),
                           "tcp": Shape({"port": int}), "exec": Shape({"command": list}),
                           "grpc": Shape({"service": str, "port": int})})
GROUP = Shape(
    {"id": uuid.UUID, "name": str, "display_name": str, "organization_name": str, "project_name": str,
     "container": Shape(
         {"image": str, "command": list,
          "resources": Shape({"cpu": int, "memory": int, "gpu_classes": list}, {"storage_amount": int})},
         {"environment_variables": dict, "image_caching": bool, "hash": str, "size": int}),
     "autostart_policy": bool, "restart_policy": str, "replicas": int, "country_codes": list,
     "priority": (str, type(None)), "pending_change": bool, "version": int, "create_time": str, "update_time": str,
     "current_state": Shape(STATE, {"description": (str, type(None))})},
    {"networking": Shape({"auth": bool, "port": int, "protocol": str, "load_balancer": str, "dns": str},
                         {"single_connection_limit": bool, "client_request_timeout": int,
                          "server_response_timeout": int}),
     "liveness_probe": HTTP_PROBE, "readiness_probe": HTTP_PROBE, "startup_probe": HTTP_PROBE})
INSTANCE = Shape({"id": uuid.UUID, "machine_id": uuid.UUID, "state": str, "update_time": str, "version": int},
                 {"ready": bool, "started": bool, "deletion_cost": int})
GPU_CLASS = Shape({"id": uuid.UUID, "name": str, "prices": [Shape({"priority": (str, type(None)), "price": str})]},
                  {"is_high_demand": bool})
QUOTAS = Shape({"create_time": str, "update_time": str, "container_groups_quotas": Shape(
    {"container_replicas_quota": int, "container_replicas_used": int},
    {"max_container_group_reallocations_per_minute": int, "max_container_group_recreates_per_minute": int,
     "max_container_group_restarts_per_minute": int})})
# What the SDKs of October 2024 require beyond that, which they find beside it: they ignore what they do not know.
OLDER_INSTANCE = {"instance_id"}
OLDER_QUOTAS = {"max_created_container_groups", "container_instance_quota"}
ERROR = Shape({"detail": str, "failed_at": str, "instance_id": str, "machine_id": str, "allocated_at": str,
               "version": int}, {"started_at": (str, type(None))})


def check(value: Any, shape: Any, at: str, strict: bool = True) -> None:
    if isinstance(shape, Shape):
        check(value, dict, at)
        missing = shape.required.keys() - value.keys()
        assert not missing, f"{at}: {missing} missing"
        unknown = value.keys() - shape.required.keys() - shape.optional.keys()
        assert not (strict and unknown), f"{at}: {unknown} unknown"
        for name, member in {**shape.required, **shape.optional}.items():
            if name in value and not (name in shape.optional and value[name] is None):
                check(value[name], member, f"{at}/{name}", strict)
    elif isinstance(shape, dict):
        check(value, Shape(shape), at, strict)
    elif isinstance(shape, list):
        check(value, list, at)
        for index, item in enumerate(value):
            check(item, shape[0], f"{at}/{index}", strict)
    elif shape is uuid.UUID:
        uuid.UUID(value)
    else:
        right = isinstance(value, shape) and not (shape is int and isinstance(value, bool))
        assert right, f"{at}: {value!r} is no {shape}"


class Client:
    """Calls as a generated client makes them: its name, JSON both ways, the answer read by its shape."""

    def __init__(self, cloud: Cloud, agent: str, strict: bool) -> None:
        self.api: Api = cloud.api()
        self.strict = strict
        self.headers = {"User-Agent": agent, "Accept": "application/json, application/problem+json"}

    def call(self, method: str, path: str, body: Any = None, status: int = 200, shape: Any = None,
             media_type: str = "application/json") -> Any:
        headers = {**self.headers, **({"Content-Type": media_type} if body is not None else {})}
        reply: Reply = self.api.call(method, path, body, headers)
        assert reply.status == status, (method, path, reply)
        if shape is None:
            return None
        check(reply.json, shape, f"{method} {path}", self.strict)
        return reply.json

    def patch(self, path: str, body: Any, shape: Any) -> Any:
        return self.call("PATCH", path, body, 200, shape, "application/merge-patch+json")


@pytest.mark.parametrize(("agent", "strict"), [(GO, True), (JAVA, False)], ids=["go", "java"])
def test_every_operation_is_answered_as_a_generated_client_reads_it(cloud: Cloud, agent: str, strict: bool) -> None:
    client = Client(cloud, agent, strict)
    organization = f"/api/public/organizations/{cloud.organization}"
    # As the virtual kubelet sends it: no country, and empty lists where nothing is meant.
    spec = echo_spec(name=unique_name("strict"), country_codes=[], replicas=2)
    spec["container"]["resources"]["gpu_classes"] = []
    group = f"/containers/{spec['name']}"

    made = client.call("POST", "/containers", spec, 201, GROUP)
    assert made["country_codes"] == [] and made["networking"]["dns"]
    client.call("GET", "/containers", shape={"items": [GROUP]})
    client.call("GET", group, shape=GROUP)
    client.call("POST", f"{group}/start", status=202)

    def both() -> list[dict[str, Any]]:
        found = client.call("GET", f"{group}/instances", shape={"instances": [INSTANCE]})["instances"]
        return found if len(found) == 2 and all(one["state"] == "running" and one["ready"] for one in found) else []
    instances = wait_for(both, "two instances", 60)
    one = client.call("GET", f"{group}/instances/{instances[0]['id']}", shape=INSTANCE)
    by_machine = client.call("GET", f"{group}/instances/{one['machine_id']}", shape=INSTANCE)
    assert by_machine["id"] == one["id"]
    changed = client.call("PATCH", f"{group}/instances/{one['id']}", {"deletion_cost": 7}, 200, INSTANCE)
    assert changed["deletion_cost"] == 7
    for action in ("restart", "recreate", "reallocate"):
        running = wait_for(both, f"both before {action}", 60)
        client.call("POST", f"{group}/instances/{running[0]['id']}/{action}", status=202)
    logs = client.call("GET", f"{group}/system-logs", shape={"items": list})
    assert logs["items"]

    patched = client.patch(group, {"display_name": "Another", "replicas": 1,
                                   "container": {"environment_variables": {"MORE": "1"}}}, GROUP)
    assert (patched["display_name"], patched["replicas"], patched["version"]) == ("Another", 1, 2)
    client.call("POST", f"{group}/stop", status=202)
    assert client.call("GET", group, shape=GROUP)["current_state"]["status"] == "stopped"

    quotas = client.call("GET", f"{organization}/quotas", shape=QUOTAS)["container_groups_quotas"]
    classes = client.call("GET", f"{organization}/gpu-classes", shape={"items": [GPU_CLASS]})["items"]
    assert [price["priority"] for price in classes[0]["prices"]] == ["high", "medium", "low", "batch"]
    assert strict == OLDER_QUOTAS.isdisjoint(quotas) == OLDER_INSTANCE.isdisjoint(one)
    client.call("GET", f"{group}/errors", shape={"items": [ERROR]})
    client.call("GET", f"{group}-nobody", status=404)
    client.call("DELETE", group, status=202)
    wait_until_gone(client.api, spec["name"])
