"""The official metadata SDKs, called from inside an instance: what calls them, and one walk through all calls."""

from __future__ import annotations

import importlib.util
import pathlib
import shutil
import sys
import sysconfig
from typing import Any

import jwt
import pytest

from cloud import REPOSITORY
from groups import APPS, PORT, App, echo_spec, serving_instances
from http_call import Connection
from local_image import Files, files_below, standard_library, with_libraries
from waiting import wait_for

NODE_MODULES = REPOSITORY / "build/node/node_modules"
JS_SDK = NODE_MODULES / "@saladtechnologies-oss/salad-cloud-imds-sdk"
LANGUAGES = ["python", "javascript"]


def sdk_container(language: str) -> dict[str, Any]:
    container = echo_spec()["container"]
    if language == "python":
        if importlib.util.find_spec("salad_cloud_imds_sdk") is None:
            pytest.skip("the Python IMDS SDK is not installed")
        return container
    node = shutil.which("node")
    if node is None or not JS_SDK.exists():
        pytest.skip("the JavaScript IMDS SDK is not installed")
    return {**container, "command": [node, str(APPS / "imds_sdk.cjs")],
            "environment_variables": {"PORT": str(PORT), "NODE_PATH": str(NODE_MODULES)}}


def sdk_files(language: str) -> Files:
    """What sdk_container() needs of this machine, each at its own place."""
    folders = [APPS]
    if language == "python":
        python = pathlib.Path(sys.executable)
        programs = [python, python.parent.parent / "pyvenv.cfg"]
        folders += [standard_library(python), pathlib.Path(sysconfig.get_paths()["purelib"])]
    else:
        programs = [pathlib.Path(sdk_container(language)["command"][0])]
        folders += [NODE_MODULES]
    below = [path for folder in folders for path in files_below(folder)]
    return with_libraries({str(path): path for path in [*programs, *below]})


def new_run(app: App, before: dict[str, Any], what: str) -> dict[str, Any]:
    def look() -> dict[str, Any] | None:
        found = [i for i in serving_instances(app.api, app.name) if i["id"] != before["id"]]
        return found[0] if found else None
    after = wait_for(look, f"a new run after {what}", 60)
    wait_for(lambda: app.call("GET", "/").status == 200, "the new run behind the gateway", 15)
    return after


def verified_claims(app: App, token: str) -> dict[str, Any]:
    """By a library that nobody here wrote, with the keys that the cloud publishes."""
    with Connection(app.cloud.api_address) as connection:
        keys = jwt.PyJWKSet.from_dict(connection.call("GET", "/.well-known/workload-jwks.json").json).keys
    key = next(key for key in keys if key.key_id == jwt.get_unverified_header(token)["kid"])
    claims = jwt.decode(token, key, algorithms=["ES256"], options={
        "require": ["exp", "iat", "nbf", "sub", "aud", "jti"], "verify_aud": False})
    assert claims["aud"] == claims["salad_organization_id"]
    return claims


def walk_through_all_calls(app: App) -> None:
    first = app.api.instances(app.name)[0]
    assert app.call("GET", "/sdk/status").json == {"ready": True, "started": True}
    claims = verified_claims(app, app.call("GET", "/sdk/token").json["jwt"])
    assert (claims["sub"], claims["salad_workload_name"]) == (first["machine_id"], app.name)
    assert app.call("GET", "/sdk/deletion-cost?argument=7").json == {"deletion_cost": 7}

    run = app.call("GET", "/").json["run"]
    app.call("PUT", "/file/kept.txt", body=b"files")
    assert app.call("POST", "/sdk/restart").status == 200
    second = new_run(app, first, "restart")
    assert second["machine_id"] == first["machine_id"]
    assert app.call("GET", "/").json["run"] != run
    assert app.call("GET", "/file/kept.txt").body == b"files", "a restart keeps files"
    assert second["deletion_cost"] == 0, "it belongs to the run"

    assert app.call("POST", "/sdk/recreate").status == 200
    third = new_run(app, second, "recreate")
    assert third["machine_id"] == first["machine_id"]
    assert app.call("GET", "/file/kept.txt").status == 404, "a fresh container has no files of the old one"

    assert app.call("POST", "/sdk/reallocate?argument=too+slow+here").status == 200
    fourth = new_run(app, third, "reallocate")
    assert fourth["machine_id"] != first["machine_id"]
    for name in ("Instance Restarted", "Instance Recreated", "Instance Reallocated by User"):
        wait_for(lambda name=name: name in app.api.event_names(app.name), f"the event '{name}'", 60)
    events = {event["event_name"]: event for event in app.api.events(app.name)}
    assert "too slow here" in events["Instance Reallocated by User"]["detail"]
