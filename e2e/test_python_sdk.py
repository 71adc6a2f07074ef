"""The official Python SDK, unmodified but for the base address: every operation of the first release."""

from __future__ import annotations

from typing import Any

import pytest
from salad_cloud_sdk import SaladCloudSdk
from salad_cloud_sdk.models import (
    ContainerConfiguration, ContainerGroupCreationRequest, ContainerGroupInstancePatch, ContainerGroupPatch,
    ContainerGroupReadinessProbe, ContainerNetworkingProtocol, ContainerRestartPolicy, CpuAvailabilityPrototype,
    CreateContainerGroupNetworking, CreateContainerResourceRequirements, GpuAvailabilityPrototype, ProblemDetails,
    UpdateContainer)

from cloud import Cloud, unique_name
from groups import echo_spec, serving_instances, wait_until_gone
from http_call import Api
from waiting import wait_for


@pytest.fixture
def sdk(cloud: Cloud, api: Api) -> SaladCloudSdk:
    return SaladCloudSdk(api_key=api.key, base_url=f"http://{cloud.api_address}/api/public", timeout=60000)


def request_of(spec: dict[str, Any]) -> ContainerGroupCreationRequest:
    container, probe = spec["container"], spec["readiness_probe"]
    return ContainerGroupCreationRequest(
        name=spec["name"], display_name="From the SDK", replicas=spec["replicas"],
        autostart_policy=spec["autostart_policy"], restart_policy=ContainerRestartPolicy.ALWAYS,
        container=ContainerConfiguration(
            image=container["image"], command=container["command"],
            environment_variables=container["environment_variables"],
            resources=CreateContainerResourceRequirements(cpu=1, memory=1024)),
        networking=CreateContainerGroupNetworking(auth=False, port=spec["networking"]["port"],
                                                  protocol=ContainerNetworkingProtocol.HTTP),
        readiness_probe=ContainerGroupReadinessProbe(
            http={"path": "/ready", "port": probe["http"]["port"], "scheme": "http",
                  "headers": [{"name": "X-Probe", "value": "1"}]},
            initial_delay_seconds=0, period_seconds=1, timeout_seconds=5, success_threshold=1, failure_threshold=1))


def problem_of(error: pytest.ExceptionInfo[ProblemDetails]) -> dict[str, Any]:
    return error.value.response.body


def test_groups_and_instances_from_creation_to_deletion(cloud: Cloud, api: Api, sdk: SaladCloudSdk) -> None:
    groups, where = sdk.container_groups, (cloud.organization, cloud.project)
    spec = echo_spec(autostart_policy=False)
    name = spec["name"]

    created = groups.create_container_group(request_of(spec), *where)
    assert (created.name, created.display_name, created.replicas) == (name, "From the SDK", 1)
    assert created.networking.dns
    assert name in [group.name for group in groups.list_container_groups(*where).items]
    assert groups.get_container_group(*where, name).id_ == created.id_

    groups.start_container_group(*where, name)
    wait_for(lambda: groups.get_container_group(*where, name).current_state.status == "running",
             f"{name} running", 60, 0.5)
    wait_for(lambda: serving_instances(api, name), f"{name} ready", 60)

    instance = groups.list_container_group_instances(*where, name).instances[0]
    found = groups.get_container_group_instance(*where, name, instance.id_)
    assert (found.state, found.ready, found.started) == ("running", True, True)
    patched = groups.update_container_group_instance(ContainerGroupInstancePatch(deletion_cost=77), *where, name,
                                                     instance.id_)
    assert patched.deletion_cost == 77

    patch = ContainerGroupPatch(display_name="Changed", replicas=2)
    changed = groups.update_container_group(patch, *where, name)
    assert (changed.display_name, changed.replicas, changed.version) == ("Changed", 2, 1)
    wait_for(lambda: len(serving_instances(api, name)) == 2, f"two of {name}", 60)
    changed = groups.update_container_group(
        ContainerGroupPatch(replicas=1, container=UpdateContainer(environment_variables={"MORE": "1"})), *where, name)
    assert changed.version == 2 and changed.container.environment_variables["MORE"] == "1"
    wait_for(lambda: [i["version"] for i in serving_instances(api, name)] == [2], f"{name} in version 2", 60)

    logs = sdk.system_logs.get_system_logs(*where, name)
    assert "Container Group Started" in [entry.event_name for entry in logs.items]

    groups.stop_container_group(*where, name)
    assert groups.get_container_group(*where, name).current_state.status == "stopped"
    groups.delete_container_group(*where, name)
    wait_until_gone(api, name)


@pytest.mark.parametrize("action", ["restart", "recreate", "reallocate"])
def test_instance_actions_give_a_new_run(cloud: Cloud, api: Api, sdk: SaladCloudSdk, new_app: Any, action: str) -> None:
    app = new_app()
    before = serving_instances(api, app.name)[0]
    call = getattr(sdk.container_groups, f"{action}_container_group_instance")
    call(cloud.organization, cloud.project, app.name, before["id"])

    def moved() -> dict[str, Any] | None:
        found = [i for i in serving_instances(api, app.name) if i["id"] != before["id"]]
        return found[0] if found else None
    after = wait_for(moved, f"a new instance after {action}", 60)
    if action == "reallocate":
        assert after["machine_id"] != before["machine_id"]
    else:
        assert after["machine_id"] == before["machine_id"]
    assert api.get(f"/containers/{app.name}/instances/{before['id']}").status == 404, "the old id is gone"


def test_availability(cloud: Cloud, sdk: SaladCloudSdk) -> None:
    cpu = sdk.organizations.get_cpu_availability(CpuAvailabilityPrototype(cpu=1, memory=1024), cloud.organization)
    assert cpu.available_cpu_batch >= 0
    wanted = GpuAvailabilityPrototype(gpu_classes=["ed563892-aacd-40f5-80b7-90c9be6c759b"])
    assert sdk.organizations.get_gpu_availability(wanted, cloud.organization).available_gpu_high == 0


def test_quotas_and_gpu_classes(cloud: Cloud, sdk: SaladCloudSdk) -> None:
    quotas = sdk.quotas.get_quotas(cloud.organization).container_groups_quotas
    assert quotas.container_replicas_quota >= quotas.container_replicas_used
    classes = sdk.organization_data.list_gpu_classes(cloud.organization).items
    assert "RTX 4090 (24 GB)" in [gpu.name for gpu in classes]
    assert all(len(gpu.prices) == 4 for gpu in classes)


def test_problems_arrive_as_typed_errors(cloud: Cloud, api: Api, sdk: SaladCloudSdk) -> None:
    where = (cloud.organization, cloud.project)
    with pytest.raises(ProblemDetails) as missing:
        sdk.container_groups.get_container_group(*where, unique_name("missing"))
    assert missing.value.status == 404 and problem_of(missing)["type"] == "not_found"

    spec = echo_spec(autostart_policy=False)
    sdk.container_groups.create_container_group(request_of(spec), *where)
    with pytest.raises(ProblemDetails) as taken:
        sdk.container_groups.create_container_group(request_of(spec), *where)
    assert taken.value.status == 400 and problem_of(taken)["type"] == "name_conflict"
    api.delete(f"/containers/{spec['name']}")
