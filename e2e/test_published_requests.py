"""What users of SaladCloud have already: the group files that are published for it, and the calls of older SDKs.

The files are written anew here, from what they ask for: resources, GPU class, probes, port.
"""

from __future__ import annotations

from typing import Any

import pytest

from cloud import Cloud, unique_name
from groups import idle_spec, wait_until_serving, echo_spec
from http_call import Api, expect_problem
from waiting import wait_for

GB = 1 << 30
RTX_3090, RTX_4080, RTX_4090 = ("a5db5c50-cbcb-4596-ae80-6a0c8090d80f", "0d062939-7c01-4aae-a2b1-30e315124e51",
                                "ed563892-aacd-40f5-80b7-90c9be6c759b")
RTX_5090, RTX_3060_TI, RTX_4060_TI = ("851399fb-7329-4195-a042-d6514b28cf33", "cb6c1931-89b6-4f76-976f-54047320ccc6",
                                      "2b73eef8-be49-4667-8fc0-5c0cb127cfe0")
NEEDS_QUEUES = "queue_connection"


def probe(path: str, port: int, delay: int, period: int, timeout: int, success: int, failure: int) -> dict[str, Any]:
    return {"http": {"path": path, "port": port, "scheme": "http", "headers": []}, "initial_delay_seconds": delay,
            "period_seconds": period, "timeout_seconds": timeout, "success_threshold": success,
            "failure_threshold": failure}


def images(memory: int, gpu: str, failures: int, delay: int = 6, period: int = 2, **more: Any) -> dict[str, Any]:
    """A service that makes images or videos."""
    return {"memory": memory, "gpu": gpu, "port": 3000, "startup": ("/health", delay, period, 10, 1, failures),
            "readiness": ("/ready", 0, 1, 1, 1, 3), **more}


def text(gpu: str, **more: Any) -> dict[str, Any]:
    """A service that writes text."""
    return {"memory": 30720, "gpu": gpu, "port": 3000, "startup": ("/health", 0, 3, 10, 1, 50),
            "environment": {"HOSTNAME": "::", "PORT": "3000"}, **more}


PUBLISHED: dict[str, dict[str, Any]] = {
    "animatediff": images(24576, RTX_4090, 100),
    "cogvideox-2b": images(38912, RTX_4090, 100),
    "cosmos-7b": images(24576, RTX_4090, 200),
    "dreamshaper8": images(12288, RTX_3060_TI, 100, delay=5, period=1, storage=1 * GB),
    "flux1-dev-training": {"memory": 30720, "gpu": RTX_5090, "storage": 50 * GB,
                           "environment": {"AWS_ACCESS_KEY_ID": "id", "STEPS": 2000}},
    "flux1-dev-fp8": images(30720, RTX_4090, 120, delay=10, storage=1 * GB),
    "flux1-dev-lora": images(30720, RTX_5090, 120, delay=10, storage=10 * GB),
    "flux1-schnell": images(30720, RTX_4090, 100, delay=10, storage=1 * GB),
    "hunyuanvideo": images(38912, RTX_4090, 100),
    "ltx-video-2b": images(38912, RTX_4090, 100),
    "mochi-video": images(38912, RTX_4090, 100),
    "ollama": {"cpu": 8, "memory": 8192, "gpu": RTX_3090, "port": 11434, "priority": None,
               "startup": ("/", 60, 3, 10, 1, 10), "readiness": ("/", 0, 10, 10, 1, 10)},
    "sd3.5-large": images(38912, RTX_4090, 100, delay=10, storage=1 * GB),
    "sd3.5-medium": images(38912, RTX_4090, 100, delay=10, storage=1 * GB),
    "sdxl-refiner": images(30720, RTX_4090, 100, delay=5, storage=1 * GB),
    "worker-flux": {"memory": 30720, "gpu": RTX_4090, "countries": [], "startup": ("/startup", 90, 5, 5, 1, 6),
                    "liveness": ("/liveness", 90, 8, 30, 1, 6), "unknown": {"storage": 50 * GB}},
    "worker-sd": {"memory": 30720, "gpu": RTX_4090, "countries": [], "startup": ("/startup", 90, 5, 5, 1, 6),
                  "liveness": ("/liveness", 90, 8, 30, 1, 6), "unknown": {"storage": 50 * GB}},
    "llama-3.1-8b": text(RTX_3090), "llama-3.2-11b": text(RTX_3090), "lyra-12b": text(RTX_5090, storage=5 * GB),
    "mistral-7b": text(RTX_3090, priority=None), "qwen2.5-3b": text(RTX_4080), "qwen2.5-7b": text(RTX_3090),
    "qwen3-8b": text(RTX_3090),
    "wan2.1-720p": images(30720, RTX_4090, 100, delay=10,
                          queue={"path": "/prompt", "port": 3000, "queue_name": "wan"}),
    "yolov8": {"cpu": 8, "memory": 16384, "gpu": RTX_4060_TI, "port": 80, "storage": 10 * GB,
               "startup": ("/health", 15, 3, 10, 2, 20), "readiness": ("/health", 0, 2, 2, 1, 3)},
    "cpu-worker": {"memory": 2048, "gpu": None, "command": ["bash", "-c", "true # " + "x" * 3000]},
}


def published_spec(wanted: dict[str, Any]) -> dict[str, Any]:
    resources: dict[str, Any] = {"cpu": wanted.get("cpu", 4), "memory": wanted["memory"], **wanted.get("unknown", {})}
    if wanted["gpu"]:
        resources["gpu_classes"] = [wanted["gpu"]]
    if "storage" in wanted:
        resources["storage_amount"] = wanted["storage"]
    spec: dict[str, Any] = {
        "name": unique_name("published"), "display_name": "Published", "replicas": 3, "autostart_policy": False,
        "restart_policy": "always",
        "container": {"image": "example/model:1", "command": wanted.get("command", []), "resources": resources,
                      "environment_variables": wanted.get("environment", {}),
                      "priority": wanted.get("priority", "high")}}
    if "countries" in wanted:
        spec["country_codes"] = wanted["countries"]
    port = wanted.get("port")
    if port:
        spec["networking"] = {"protocol": "http", "port": port, "auth": False,
                              "load_balancer": "least_number_of_connections", "single_connection_limit": False,
                              "client_request_timeout": 100000, "server_response_timeout": 100000}
    for kind in ("startup", "readiness", "liveness"):
        if kind in wanted:
            path, *numbers = wanted[kind]
            spec[f"{kind}_probe"] = probe(path, port or 8000, *numbers)
    if "queue" in wanted:
        spec["queue_connection"] = wanted["queue"]
    return spec


@pytest.mark.parametrize("name", PUBLISHED)
def test_published_group_files_are_accepted(api: Api, name: str) -> None:
    spec = published_spec(PUBLISHED[name])
    reply = api.post("/containers", spec)
    if NEEDS_QUEUES in spec:
        assert "/queue_connection" in expect_problem(reply, 400, "invalid_request")  # until there are job queues
        return
    assert reply.status == 201, reply.json
    shown = reply.json
    assert shown["container"]["resources"].get("gpu_classes", []) == spec["container"]["resources"].get("gpu_classes", [])
    for kind in ("startup_probe", "readiness_probe", "liveness_probe"):
        if kind in spec:
            assert shown[kind]["failure_threshold"] == spec[kind]["failure_threshold"]
    assert all(isinstance(value, str) for value in shown["container"]["environment_variables"].values())
    api.delete(f"/containers/{spec['name']}")


def test_every_published_gpu_class_is_listed(cloud: Cloud, api: Api) -> None:
    items = api.get(f"/api/public/organizations/{cloud.organization}/gpu-classes").json["items"]
    assert len(items) == 37
    by_id = {item["id"]: item["name"] for item in items}
    assert by_id[RTX_5090] == "RTX 5090 (32 GB)" and by_id[RTX_3060_TI] == "RTX 3060 Ti (8 GB)"
    assert all([price["priority"] for price in item["prices"]] == ["high", "medium", "low", "batch"] for item in items)


def test_gpu_classes_are_added_and_removed_by_the_operator(cloud: Cloud, api: Api) -> None:
    operator = cloud.operator()
    made = operator.post("/api/operator/gpu-classes", {"name": "RTX 6000 Ada (48 GB)", "price": "0.9"})
    assert made.status == 201, made.json
    expect_problem(operator.post("/api/operator/gpu-classes", {"name": "rtx 6000 ada"}), 400, "name_conflict")
    expect_problem(operator.post("/api/operator/gpu-classes", {"name": "Ünknown"}), 400, "invalid_request")
    expect_problem(operator.post("/api/operator/gpu-classes", {"name": "X1", "price": "cheap"}), 400, "invalid_request")
    spec = idle_spec()
    spec["container"]["resources"]["gpu_classes"] = ["rtx6000ada"]
    group = api.create(spec)
    assert group["container"]["resources"]["gpu_classes"] == [made.json["id"]]
    path = f"/api/operator/gpu-classes/{made.json['id']}"
    refusal = operator.call("DELETE", path)
    assert refusal.status == 400 and spec["name"] in refusal.json["detail"]
    api.delete(f"/containers/{spec['name']}")
    wait_for(lambda: operator.call("DELETE", path).status == 204, "the class removed", 20)
    expect_problem(api.post("/containers", {**spec, "name": unique_name()}), 400, "invalid_request")
    assert operator.call("DELETE", f"/api/operator/gpu-classes/{RTX_5090}").status == 400


def test_sdks_of_2024_find_the_members_that_they_require(cloud: Cloud, api: Api) -> None:
    quotas = api.get(f"/api/public/organizations/{cloud.organization}/quotas").json["container_groups_quotas"]
    assert quotas["max_created_container_groups"] == quotas["container_replicas_quota"]
    assert quotas["container_instance_quota"] == quotas["container_replicas_quota"]
    strict = api.call("GET", f"/api/public/organizations/{cloud.organization}/quotas",
                      headers={"User-Agent": "OpenAPI-Generator/1.0.0/go"}).json["container_groups_quotas"]
    assert "container_instance_quota" not in strict
    group = api.create(echo_spec())
    [instance] = wait_until_serving(api, group["name"])
    assert instance["instance_id"] == instance["id"]
    one = api.get(f"/containers/{group['name']}/instances/{instance['id']}").json
    assert one["instance_id"] == instance["id"]
    assert api.get(f"/containers/{group['name']}/errors").json == {"items": []}
    api.delete(f"/containers/{group['name']}")


def test_what_failed_is_listed_for_sdks_of_2024(api: Api) -> None:
    spec = echo_spec()
    spec["container"]["command"] = ["sh", "-c", "exit 3"]
    del spec["networking"], spec["readiness_probe"]
    name = api.create(spec)["name"]
    errors = wait_for(lambda: api.get(f"/containers/{name}/errors").json["items"], "an error", 30)
    assert errors[0]["detail"].startswith("Instance Exited:3 (Error)")
    assert errors[0]["allocated_at"] <= errors[0]["started_at"] <= errors[0]["failed_at"]
    assert errors[0]["instance_id"] and errors[0]["machine_id"] and errors[0]["version"] == 1
    api.delete(f"/containers/{name}")
