"""Container groups that tests create, and what they wait for."""

from __future__ import annotations

import pathlib
import sys
from typing import Any

from cloud import Cloud, unique_name
from http_call import Api, Connection, Reply
from waiting import wait_for

APPS = pathlib.Path(__file__).resolve().parent / "apps"
PORT = 8080


def idle_spec(**changes: Any) -> dict[str, Any]:
    """A group that is never started: for everything that is about the API alone."""
    return {"name": unique_name(), "autostart_policy": False, "restart_policy": "always", "replicas": 1,
            "container": {"image": "e2e/idle:1", "resources": {"cpu": 1, "memory": 1024}}, **changes}


def echo_spec(**changes: Any) -> dict[str, Any]:
    """The echo application (apps/echo.py) behind the gateway, ready as soon as it listens."""
    return {
        "name": unique_name("echo"), "autostart_policy": True, "restart_policy": "always", "replicas": 1,
        "container": {"image": "e2e/echo:1", "command": [sys.executable, str(APPS / "echo.py")],
                      "environment_variables": {"PORT": str(PORT)},
                      "resources": {"cpu": 1, "memory": 1024}},
        "networking": {"protocol": "http", "port": PORT, "auth": False},
        "readiness_probe": {"http": {"path": "/ready", "port": PORT, "scheme": "http", "headers": []},
                            "initial_delay_seconds": 0, "period_seconds": 1, "timeout_seconds": 5,
                            "success_threshold": 1, "failure_threshold": 1},
        **changes}


def serving_instances(api: Api, name: str) -> list[dict[str, Any]]:
    return [instance for instance in api.instances(name)
            if instance["state"] == "running" and instance.get("ready", True)]


def wait_until_serving(api: Api, name: str, replicas: int = 1, seconds: float = 60) -> list[dict[str, Any]]:
    def look() -> list[dict[str, Any]] | None:
        found = serving_instances(api, name)
        return found if len(found) >= replicas else None
    return wait_for(look, f"{replicas} replicas of {name} running and ready", seconds)


def wait_until_gone(api: Api, name: str, seconds: float = 60) -> None:
    wait_for(lambda: api.get(f"/containers/{name}").status == 404, f"{name} deleted", seconds)


class App:
    """A running group and how to talk to its instances through the gateway."""

    def __init__(self, cloud: Cloud, api: Api, spec: dict[str, Any]) -> None:
        self.cloud = cloud
        self.api = api
        self.spec = spec
        self.name = spec["name"]
        self.dns = api.create(spec)["networking"]["dns"]

    def call(self, method: str, path: str, body: Any = None, headers: dict[str, str] | None = None,
             timeout: float = 60) -> Reply:
        with Connection(self.cloud.gateway_address, timeout) as connection:
            return connection.call(method, path, body=body, headers={"Host": self.dns, **(headers or {})})

    def wait_until_serving(self, seconds: float = 60) -> list[dict[str, Any]]:
        found = wait_until_serving(self.api, self.name, self.spec["replicas"], seconds)
        # The gateway learns of it a moment after the API does.
        wait_for(lambda: self.call("GET", "/").status == 200, f"{self.name} behind the gateway", 15)
        return found

    def delete(self) -> None:
        self.api.delete(f"/containers/{self.name}")
        wait_until_gone(self.api, self.name)
