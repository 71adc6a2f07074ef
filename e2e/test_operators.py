"""What an operator does to machines: put them out, let them in, make their tokens anew."""

from __future__ import annotations

import contextlib
import http.server
import threading
from collections.abc import Callable, Iterator
from typing import Any

from cloud import RolesCloud
from groups import App, echo_spec, serving_instances
from waiting import wait_for


def state_of(cloud: RolesCloud, machine_id: str) -> str | None:
    return next((node["state"] for node in cloud.nodes() if node["machine_id"] == machine_id), None)


def test_a_banned_machine_loses_its_instances_and_comes_back_unbanned(new_cloud: Callable[..., RolesCloud]) -> None:
    cloud = new_cloud(roles=True, nodes=2)
    cloud.start()
    cloud.wait_for_nodes()
    app = App(cloud, cloud.api(), echo_spec())
    app.wait_until_serving()
    victim = app.api.instances(app.name)[0]["machine_id"]
    said = cloud.cli("node", "ban", victim[:13])
    assert said.status == 0 and victim in said.out

    def moved() -> list[dict[str, Any]]:
        return [found for found in serving_instances(app.api, app.name) if found["machine_id"] != victim]
    wait_for(moved, "the instance on the other machine", 30)
    assert state_of(cloud, victim) == "banned"
    # A cloud that starts anew knows it still.
    cloud.kill("cloud")
    cloud.start_control_plane()
    wait_for(lambda: [node["state"] for node in cloud.nodes()].count("online") == 1, "the other one", 40)
    assert state_of(cloud, victim) == "banned"
    assert cloud.cli("node", "unban", victim).status == 0
    wait_for(lambda: state_of(cloud, victim) == "online", "the agent's next try", 60)
    app.delete()


def test_a_machine_tells_how_far_places_are(new_cloud: Callable[..., RolesCloud]) -> None:
    class Storage(http.server.BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            content = bytes(1_000_000)
            self.send_response(200)
            self.send_header("Content-Length", str(len(content)))
            self.end_headers()
            self.wfile.write(content)

        def log_message(self, *words: object) -> None:
            """Says nothing."""

    storage = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Storage)
    threading.Thread(target=storage.serve_forever, daemon=True).start()
    cloud = new_cloud(roles=True, nodes=1)
    cloud.agent_arguments = ["--measure", f"models=http://127.0.0.1:{storage.server_port}/", "--usage-period", "500ms",
                             "--measure", "nowhere=http://127.0.0.1:1/"]
    cloud.start()
    cloud.wait_for_nodes()
    host = cloud.nodes()[0]["hostname"]

    def measured() -> list[dict[str, Any]]:
        found = cloud.cli("node", "get", host, "-o", "json").json["measurements"]
        return found if len(found) == 2 else []
    models, nowhere = wait_for(measured, "both measurements", 30)
    assert models["latency_ms"] > 0 and models["mbit_per_s"] > 0, models
    assert nowhere.get("latency_ms") is None and "1" in nowhere["problem"], nowhere
    said = cloud.cli("node", "get", host).out
    assert "to models" in said and "throughput unknown" in said, said
    storage.shutdown()


def test_tokens_are_rotated_and_read_from_their_files(new_cloud: Callable[..., RolesCloud]) -> None:
    cloud = new_cloud(roles=True, nodes=1)
    cloud.start()
    cloud.wait_for_nodes()
    app = App(cloud, cloud.api(), echo_spec())
    app.wait_until_serving()
    for name in ("join", "gateway"):
        before = (cloud.data / f"{name}.token").read_text()
        rotated = cloud.cli("token", "rotate", name)
        assert rotated.status == 0, rotated
        assert rotated.out == (cloud.data / f"{name}.token").read_text() != before
    gateways = cloud.cli("gateway", "list", "-o", "json").json["items"]
    assert len(gateways) == 1
    wait_for(lambda: cloud.cli("gateway", "list", "-o", "json").json["items"][0]["state"] == "online",
             "the gateway with the new token", 20)
    assert app.call("GET", "/").status == 200
    # The machine is known; forgotten, it shows the new token, which its agent reads again.
    machine_id = cloud.machine_ids()[1]
    assert cloud.cli("node", "forget", machine_id).status == 0
    wait_for(lambda: state_of(cloud, machine_id) == "online", "the machine let in as a new one", 60)
    app.delete()


def test_a_drained_machine_is_left_without_a_gap(new_cloud: Callable[..., RolesCloud]) -> None:
    cloud = new_cloud(roles=True, nodes=2)
    cloud.start()
    cloud.wait_for_nodes()
    app = App(cloud, cloud.api(), echo_spec())
    app.wait_until_serving()
    drained = app.api.instances(app.name)[0]["machine_id"]
    with steady_calls(app) as answers:
        said = cloud.cli("node", "drain", drained, "--wait", "--timeout", "60s")
        assert said.status == 0, said
        assert "Nothing runs there" in said.err
    assert set(answers) == {200}
    assert [found["machine_id"] != drained for found in app.api.instances(app.name)] == [True]
    assert "drained" in cloud.cli("events", app.name).out
    assert cloud.cli("group", "exclusions", app.name, "-o", "json").json["items"] == []
    # A cloud that starts anew knows it still.
    cloud.kill("cloud")
    cloud.start_control_plane()
    cloud.wait_for_nodes(40)
    assert "online, drained" in cloud.cli("node", "list").out
    assert cloud.cli("node", "drain", drained, "--undo").status == 0
    assert "drained" not in cloud.cli("node", "list").out
    app.delete()


@contextlib.contextmanager
def steady_calls(app: App) -> Iterator[list[int]]:
    """Calls one after the other meanwhile; the list has the status of each."""
    answers: list[int] = []
    ending = threading.Event()

    def call() -> None:
        while not ending.is_set():
            answers.append(app.call("GET", "/").status)
            ending.wait(0.02)
    caller = threading.Thread(target=call)
    caller.start()
    try:
        yield answers
    finally:
        ending.set()
        caller.join()
