"""The official JavaScript SDK: js_sdk.cjs in Node.js, which must get through all its steps."""

from __future__ import annotations

import json
import os
import pathlib
import shutil
import subprocess

import pytest

from cloud import REPOSITORY, Cloud
from groups import echo_spec
from http_call import Api

SCRIPT = pathlib.Path(__file__).resolve().parent / "js_sdk.cjs"
MODULES = REPOSITORY / "build/node/node_modules"


@pytest.mark.skipif(not shutil.which("node"), reason="Node.js is not installed")
@pytest.mark.skipif(not MODULES.exists(), reason="tools/e2e_env.sh has not installed the SDK into build/node")
def test_every_operation_with_response_validation(cloud: Cloud, api: Api) -> None:
    parameters = {"apiKey": api.key, "baseUrl": f"http://{cloud.api_address}/api/public",
                  "organization": cloud.organization, "project": cloud.project, "spec": echo_spec()}
    done = subprocess.run(["node", str(SCRIPT), json.dumps(parameters)], capture_output=True, text=True, timeout=280,
                          env={**os.environ, "NODE_PATH": str(MODULES)})
    assert done.returncode == 0, done.stdout + done.stderr
    assert "ok delete" in done.stdout
