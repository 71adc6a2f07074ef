"""What SIGTERM ends: each role lets the requests that it has begun come to their end, and takes no new ones."""

from __future__ import annotations

import json
import signal
import socket
import subprocess
import threading
from collections.abc import Callable

import pytest

from cloud import Cloud, RolesCloud
from groups import App, echo_spec, idle_spec
from waiting import wait_for


class HalfSent:
    """A request that its server has begun to read: the first half of the body follows the server's 100."""

    def __init__(self, address: str, head: str, body: bytes) -> None:
        host, port = address.rsplit(":", 1)
        self._socket = socket.create_connection((host, int(port)), timeout=60)
        self._rest = body[len(body) // 2:]
        self._socket.sendall(f"{head}\r\nContent-Length: {len(body)}\r\nExpect: 100-continue\r\n\r\n".encode())
        interim = b""
        while not interim.endswith(b"\r\n\r\n"):
            interim += self._socket.recv(1)
        assert interim.startswith(b"HTTP/1.1 100 "), interim
        self._socket.sendall(body[:len(body) // 2])

    def finish(self) -> str:
        self._socket.sendall(self._rest)
        answer = b""
        while piece := self._socket.recv(65536):
            answer += piece
        self._socket.close()
        return answer.decode()


def takes_connections(address: str) -> bool:
    host, port = address.rsplit(":", 1)
    try:
        socket.create_connection((host, int(port)), timeout=5).close()
    except ConnectionRefusedError:
        return False
    return True


def end(process: subprocess.Popen[str], address: str) -> None:
    """Asks it to end, and waits until it has begun to."""
    process.send_signal(signal.SIGTERM)
    wait_for(lambda: not takes_connections(address), f"{address} takes no connections", 20)
    assert process.poll() is None, "it waits for what is under way"


def upload_to(app: App) -> HalfSent:
    return HalfSent(app.cloud.gateway_address, f"POST /digest HTTP/1.1\r\nHost: {app.dns}", b"x" * 100_000)


@pytest.fixture
def roles(new_cloud: Callable[..., Cloud]) -> RolesCloud:
    cloud = new_cloud(roles=True, nodes=1)
    assert isinstance(cloud, RolesCloud)
    cloud.start()
    cloud.wait_for_nodes()
    return cloud


def test_a_gateway_drains(roles: RolesCloud) -> None:
    app = App(roles, roles.api(), echo_spec())
    app.wait_until_serving()
    upload = upload_to(app)
    gateway = roles.role("gateway")
    end(gateway, roles.gateway_address)
    answer = upload.finish()
    assert answer.startswith("HTTP/1.1 200 ") and '"bytes": 100000' in answer
    assert "connection: close" in answer.lower()
    assert gateway.wait(20) == 0


def test_a_whole_cloud_drains(new_cloud: Callable[..., Cloud]) -> None:
    cloud = new_cloud(nodes=1)
    cloud.start()
    app = App(cloud, cloud.api(), echo_spec())
    app.wait_until_serving()
    upload = upload_to(app)
    end(cloud.process, cloud.gateway_address)
    answer = upload.finish()
    assert answer.startswith("HTTP/1.1 200 ") and '"bytes": 100000' in answer
    assert cloud.process.wait(40) == 0


def test_a_control_plane_answers_what_it_was_asked(roles: RolesCloud) -> None:
    api = roles.api()
    request = HalfSent(roles.api_address, f"POST {api.prefix}/containers HTTP/1.1\r\nHost: {roles.api_address}\r\n"
                       f"Salad-Api-Key: {api.key}\r\nContent-Type: application/json", json.dumps(idle_spec()).encode())
    cloud = roles.role("cloud")
    end(cloud, roles.api_address)
    assert request.finish().startswith("HTTP/1.1 201 ")
    assert cloud.wait(20) == 0


def test_an_agent_lets_applications_finish(roles: RolesCloud) -> None:
    """The application answers once it is told to end, and its tunnel is still there for the answer."""
    spec = echo_spec()
    spec["container"]["environment_variables"]["FINISH"] = "1"
    app = App(roles, roles.api(), spec)
    app.wait_until_serving()
    statuses: list[int] = []
    request = threading.Thread(target=lambda: statuses.append(app.call("GET", "/hang?gate=sigterm").status))
    request.start()
    wait_for(lambda: app.call("GET", "/waiting?gate=sigterm").json["waiting"] == 1, "the request is in the application", 20)
    agent = roles.role("agent 1")
    agent.send_signal(signal.SIGTERM)
    request.join()
    assert statuses == [200]
    assert agent.wait(20) == 0
