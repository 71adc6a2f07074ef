"""The metadata service as applications see it from inside an instance (imds.md)."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import jwt
import pytest

from cloud import Cloud
from groups import App, echo_spec
from sdk_walk import LANGUAGES, new_run, sdk_container, verified_claims, walk_through_all_calls
from waiting import wait_for

MARK = {"X-Send-Metadata": "true"}


def ask(app: App, method: str, path: str, body: bytes | None = None, **headers: str) -> dict[str, Any]:
    """Sends the request from inside the instance; headers named send_x go to the metadata service."""
    sent = {f"X-Send-{name.replace('_', '-')}": value for name, value in headers.items()} or MARK
    reply = app.call(method, f"/metadata{path}", body=body, headers=sent)
    assert reply.status == 200, reply
    return reply.json


def json_of(answer: dict[str, Any]) -> Any:
    import json
    return json.loads(answer["body"])


def test_status(shared_app: App) -> None:
    answer = ask(shared_app, "GET", "/v1/status")
    assert answer["status"] == 200 and answer["headers"]["content-type"].startswith("application/json")
    assert json_of(answer) == {"ready": True, "started": True}


@pytest.mark.parametrize("headers", [
    {"Other": "1"}, {"Metadata": "false"}, {"Metadata": ""},
    {"Metadata": "true", "X_Forwarded_For": "1.2.3.4"}, {"Metadata": "true", "X_Forwarded_Host": "x"},
    {"Metadata": "true", "X_Forwarded_Proto": "http"}, {"Metadata": "true", "X_Forwarded_For": ""}], ids=str)
def test_requests_that_may_come_from_elsewhere_are_refused(shared_app: App, headers: dict[str, str]) -> None:
    for path in ("/v1/status", "/v1/token", "/v1/nothing"):
        answer = ask(shared_app, "GET", path, **headers)
        assert answer["status"] == 403, answer
        assert answer["headers"]["content-type"].startswith("application/problem+json")
        problem = json_of(answer)
        assert problem["status"] == 403 and problem["code"]
        assert all(value for value in problem.values() if isinstance(value, str)), "never an empty string"


def test_the_header_is_found_in_any_case(shared_app: App) -> None:
    assert ask(shared_app, "GET", "/v1/status", METADATA="true")["status"] == 200


def test_unknown_paths_and_methods(shared_app: App) -> None:
    assert ask(shared_app, "GET", "/v1/nothing")["status"] == 404
    assert ask(shared_app, "DELETE", "/v1/status")["status"] == 405
    assert ask(shared_app, "GET", "/v1/reallocate")["status"] == 405


def test_token_is_signed_by_a_published_key(cloud: Cloud, shared_app: App) -> None:
    token = json_of(ask(shared_app, "GET", "/v1/token"))["jwt"]
    assert len(token) <= 1000
    claims = verified_claims(shared_app, token)
    header = jwt.get_unverified_header(token)
    group = shared_app.api.group(shared_app.name)
    assert header["typ"] == "JWT" and header["kid"].startswith("salad-workload-")
    assert claims["sub"] == claims["salad_machine_id"]
    assert claims["sub"] in [instance["machine_id"] for instance in shared_app.api.instances(shared_app.name)]
    assert claims["salad_workload_id"] == group["id"] and claims["salad_workload_name"] == group["name"]
    assert claims["salad_organization_name"] == cloud.organization
    assert claims["exp"] - claims["iat"] == 300 and claims["nbf"] <= claims["iat"] and claims["jti"]
    head, body, signature = token.split(".")
    with pytest.raises(jwt.InvalidSignatureError):
        verified_claims(shared_app, f"{head}.{body[:-2]}AA.{signature}")


def test_deletion_cost(shared_app: App) -> None:
    # Two replicas take turns: speak to one, by the way of its REST counterpart.
    app = App(shared_app.cloud, shared_app.api, echo_spec())
    try:
        instance = app.wait_until_serving()[0]
        path = f"/containers/{app.name}/instances/{instance['id']}"
        assert json_of(ask(app, "GET", "/v1/deletion-cost")) == {"deletion_cost": 0}
        # The full range is kept, and shown clamped to what the SDKs accept.
        for cost, shown in ((500, 500), (999_999_999, 100_000), (-2_147_483_648, 0)):
            assert ask(app, "PUT", "/v1/deletion-cost", b'{"deletion_cost": %d}' % cost)["status"] == 204
            assert json_of(ask(app, "GET", "/v1/deletion-cost")) == {"deletion_cost": cost}
            wait_for(lambda: app.api.get(path).json["deletion_cost"] == shown, f"{shown} in the REST API", 15)
        for body in (b"", b"{}", b'{"deletion_cost": "1"}', b'{"deletion_cost": 2147483648}', b"{"):
            assert ask(app, "PUT", "/v1/deletion-cost", body)["status"] == 400, body
        assert app.api.patch(path, {"deletion_cost": 42}).status == 200
        wait_for(lambda: json_of(ask(app, "GET", "/v1/deletion-cost")) == {"deletion_cost": 42},
                 "the last writer wins", 15)
    finally:
        app.delete()


def test_environment(cloud: Cloud, new_app: Callable[..., App]) -> None:
    spec = echo_spec()
    spec["container"]["environment_variables"] |= {"OWN": "välue", "SALAD_MACHINE_ID": "forged"}
    app = new_app(container=spec["container"])
    found = app.call("GET", "/env").json
    group, instance = app.api.group(app.name), app.api.instances(app.name)[0]
    assert found["OWN"] == "välue"
    expected = {"SALAD_ORGANIZATION_NAME": cloud.organization, "SALAD_PROJECT_NAME": cloud.project,
                "SALAD_CONTAINER_GROUP_NAME": app.name, "SALAD_CONTAINER_GROUP_ID": group["id"],
                "SALAD_INSTANCE_ID": instance["id"], "SALAD_MACHINE_ID": instance["machine_id"],
                "HOSTNAME": instance["id"]}
    assert {name: found.get(name) for name in expected} == expected
    assert found["SALAD_ORGANIZATION_ID"] and found["SALAD_PROJECT_ID"]
    assert found.pop("MESCLUN_NODES_LEFT").isdigit()
    leaked = [name for name in found if name.startswith("MESCLUN_")]
    assert not leaked, "nothing of the machine reaches the application"


@pytest.mark.parametrize("language", LANGUAGES)
def test_the_official_sdks_from_inside(new_app: Callable[..., App], language: str) -> None:
    walk_through_all_calls(new_app(container=sdk_container(language)))


def test_reasons_are_checked_but_not_their_case(new_app: Callable[..., App]) -> None:
    app = new_app()
    before = app.api.instances(app.name)[0]
    for body in (b"", b"{}", b'{"reason": ""}', b'{"reason": 1}', b'{"reason": "%s"}' % (b"x" * 1001), b"{"):
        assert ask(app, "POST", "/v1/reallocate", body)["status"] == 400, body
    assert app.api.instances(app.name)[0]["id"] == before["id"]
    assert ask(app, "POST", "/v1/reallocate", b'{"Reason": "published applications write it so"}')["status"] == 204
    assert new_run(app, before, "reallocate")["machine_id"] != before["machine_id"]
