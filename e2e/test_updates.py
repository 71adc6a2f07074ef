"""New versions come to a group some instances at a time, and its users notice nothing."""

from __future__ import annotations

import collections
import threading
from collections.abc import Callable

import pytest

from cloud import Cloud
from groups import App, echo_spec
from http_call import Connection
from waiting import wait_for

HELD = "Container Group Update Held (Version 2)"


class Callers:
    """Several clients that call an application without a pause, each over one connection."""

    def __init__(self, app: App, count: int = 4) -> None:
        self._app = app
        self._end = threading.Event()
        self._lock = threading.Lock()
        self.answers: collections.Counter[str] = collections.Counter()  # by status, or what broke
        self._threads = [threading.Thread(target=self._call, args=(number,), daemon=True) for number in range(count)]

    def __enter__(self) -> Callers:
        for thread in self._threads:
            thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._end.set()
        for thread in self._threads:
            thread.join(60)

    def _call(self, number: int) -> None:
        headers = {"Host": self._app.dns}
        method, body = ("GET", None) if number % 2 else ("POST", b"text")
        with Connection(self._app.cloud.gateway_address) as connection:
            while not self._end.is_set():
                try:
                    outcome = str(connection.call(method, "/", body=body, headers=headers).status)
                except OSError as error:
                    outcome = f"{method} {type(error).__name__}"
                with self._lock:
                    self.answers[outcome if outcome == "200" else f"{method} {outcome}"] += 1


@pytest.fixture
def app(new_cloud: Callable[..., Cloud]) -> App:
    cloud = new_cloud(nodes=4)
    cloud.start()
    spec = echo_spec(replicas=3)
    # What it has at SIGTERM it answers; a POST that a dying program breaks off cannot be sent elsewhere.
    spec["container"]["environment_variables"]["FINISH"] = "1"
    three = App(cloud, cloud.api(), spec)
    three.wait_until_serving()
    return three


def versions(app: App) -> list[int]:
    return sorted(instance["version"] for instance in app.api.instances(app.name))


def update_is_over(app: App) -> bool:
    return app.api.group(app.name)["pending_change"] is False


def test_no_request_fails_while_a_new_version_comes(app: App) -> None:
    with Callers(app) as callers:
        wait_for(lambda: callers.answers["200"] > 100, "requests", 30)
        reply = app.api.patch(f"/containers/{app.name}", {"container": {"environment_variables": {"V": "2"}}})
        assert reply.json["version"] == 2 and reply.json["pending_change"] is True
        wait_for(lambda: update_is_over(app), "the update", 60)
        before = callers.answers["200"]
        wait_for(lambda: callers.answers["200"] > before + 100, "more requests", 30)
    assert versions(app) == [2, 2, 2]
    assert set(callers.answers) == {"200"}, callers.answers
    names = app.api.event_names(app.name)
    assert names.count("Container Group Update Completed (Version 2)") == 1
    # Each was ready before the next began.
    order = [name for name in names[names.index("Container Group Updated (Version 2)"):]
             if name in ("Instance Creating", "Instance Ready (Readiness Probe Passed)")]
    assert order == ["Instance Creating", "Instance Ready (Readiness Probe Passed)"] * 3


def test_a_bad_version_stops_after_the_first_and_a_rollback_restores(app: App) -> None:
    survivors = {instance["id"] for instance in app.api.instances(app.name)}
    with Callers(app) as callers:
        app.api.patch(f"/containers/{app.name}", {"container": {"command": ["sh", "-c", "echo bad; exit 3"]}})
        wait_for(lambda: HELD in app.api.event_names(app.name), "the update to be held", 30)
        why = app.api.group(app.name)["current_state"]["description"]
        assert "serves on 0 of 3" in why and "exited with 3" in why, why
        wait_for(lambda: app.api.event_names(app.name).count("Instance Exited:3 (Error)") >= 2, "another try", 60)
        assert versions(app).count(1) == 2, "the others are as they were"
        done = app.cloud.cli("group", "rollback", app.name, "--wait")
        assert done.status == 0 and "version 3, as version 1 was" in done.err, done
        assert versions(app) == [3, 3, 3]
    assert len(survivors & {instance["id"] for instance in app.api.instances(app.name)}) == 2, "not restarted"
    history = app.cloud.cli("group", "history", app.name, "-o", "json").json["items"]
    assert [(row["version"], row["changes"]) for row in history] == [
        (3, "as version 1"), (2, "container.command"), (1, "")]
    again = app.cloud.cli("group", "rollback", app.name, "--to", "1")
    assert again.status == 1 and "the same as version 3" in again.err, again
    missing = app.cloud.cli("group", "rollback", app.name, "--to", "7")
    assert missing.status == 1 and "kept are 2, 1" in missing.err, missing
    assert set(callers.answers) == {"200"}, callers.answers


def test_a_group_says_how_many_go_at_once(app: App) -> None:
    assert app.cloud.cli("group", "update", app.name, "--at-once", "4.5").status == 1
    said = app.cloud.cli("group", "update", app.name, "--at-once", "100%", "--set",
                         "container.environment_variables.V=2", "--wait")
    assert said.status == 0 and "100% of its instances" in said.err, said
    names = app.api.event_names(app.name)
    order = [name for name in names[names.index("Container Group Updated (Version 2)"):]
             if name in ("Instance Creating", "Instance Ready (Readiness Probe Passed)")]
    assert order[:3] == ["Instance Creating"] * 3, "together"
