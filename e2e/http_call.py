"""One HTTP exchange, as it is on the wire: nothing is followed, retried, decoded or hidden."""

from __future__ import annotations

import dataclasses
import http.client
import json
import urllib.parse
from typing import Any


@dataclasses.dataclass
class Reply:
    status: int
    headers: dict[str, str]  # names in lower case
    body: bytes

    @property
    def json(self) -> Any:
        return json.loads(self.body)

    @property
    def media_type(self) -> str:
        return self.headers.get("content-type", "")


class Connection:
    """One kept connection to HOST:PORT."""

    def __init__(self, address: str, timeout: float = 60) -> None:
        host, port = address.removeprefix("http://").split("/")[0].rsplit(":", 1)
        self._http = http.client.HTTPConnection(host, int(port), timeout=timeout)

    def call(self, method: str, path: str, *, body: Any = None, headers: dict[str, str] | None = None) -> Reply:
        """`body` is sent as it is if it is bytes, an iterator of bytes goes in chunks, anything else as JSON."""
        sent = dict(headers or {})
        chunked = hasattr(body, "__next__")
        if body is not None and not isinstance(body, bytes) and not chunked:
            body = json.dumps(body).encode()
            sent.setdefault("Content-Type", "application/json")
        if method in ("POST", "PUT", "PATCH") and body is None:
            sent.setdefault("Content-Length", "0")
        self._http.request(method, path, body=body, headers=sent, encode_chunked=chunked)
        response = self._http.getresponse()
        names = {name.lower(): value for name, value in response.getheaders()}
        return Reply(response.status, names, response.read())

    def close(self) -> None:
        self._http.close()

    def __enter__(self) -> Connection:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()


class Api:
    """The cloud's HTTP API with one key, in one project."""

    def __init__(self, address: str, key: str | None, organization: str, project: str) -> None:
        parts = urllib.parse.urlsplit(address if "//" in address else f"http://{address}")
        self.address = parts.netloc
        self.key = key
        self.organization = organization
        self.project = project
        self.prefix = f"/api/public/organizations/{organization}/projects/{project}"
        self.extra = f"/api/mesclun/organizations/{organization}/projects/{project}"

    def call(self, method: str, path: str, body: Any = None, headers: dict[str, str] | None = None) -> Reply:
        """A path that begins with /api is taken as it is; others are below the project."""
        sent = dict(headers or {})
        if self.key is not None:
            sent.setdefault("Salad-Api-Key", self.key)
        if method == "PATCH":
            sent.setdefault("Content-Type", "application/merge-patch+json")
        with Connection(self.address) as connection:
            return connection.call(method, path if path.startswith("/api") else self.prefix + path,
                                   body=body, headers=sent)

    def get(self, path: str) -> Reply:
        return self.call("GET", path)

    def post(self, path: str, body: Any = None) -> Reply:
        return self.call("POST", path, body)

    def patch(self, path: str, body: Any) -> Reply:
        return self.call("PATCH", path, body)

    def delete(self, path: str) -> Reply:
        return self.call("DELETE", path)

    # What tests do all the time.

    def create(self, spec: dict[str, Any]) -> dict[str, Any]:
        reply = self.post("/containers", spec)
        assert reply.status == 201, reply
        return reply.json

    def group(self, name: str) -> dict[str, Any]:
        reply = self.get(f"/containers/{name}")
        assert reply.status == 200, reply
        return reply.json

    def instances(self, name: str) -> list[dict[str, Any]]:
        reply = self.get(f"/containers/{name}/instances")
        assert reply.status == 200, reply
        return reply.json["instances"]

    def events(self, name: str) -> list[dict[str, Any]]:
        reply = self.get(f"{self.extra}/containers/{name}/events?limit=1000")
        assert reply.status == 200, reply
        return reply.json["items"]

    def event_names(self, name: str) -> list[str]:
        return [event["event_name"] for event in self.events(name)]

    def log_texts(self, name: str, instance_id: str = "") -> list[str]:
        only = f"&instance_id={instance_id}" if instance_id else ""
        reply = self.get(f"{self.extra}/containers/{name}/logs?limit=1000{only}")
        assert reply.status == 200, reply
        return [line["text"] for line in reply.json["items"]]


def expect_problem(reply: Reply, status: int, type_: str) -> str:
    """The reply is a problem object by the letter of the contract (api.md §2); returns its detail."""
    assert reply.status == status, reply
    # With a charset on plain JSON the official JavaScript SDK loses the error.
    assert reply.media_type.split(";")[0] == "application/problem+json" or reply.media_type == "application/json"
    problem = reply.json
    assert problem["type"] == type_, problem
    assert problem["status"] == status, problem
    for member, length_max in (("type", 2048), ("title", 2000), ("detail", 2000), ("instance", 2048)):
        if member in problem:
            assert isinstance(problem[member], str) and 1 <= len(problem[member]) <= length_max, problem
    return problem.get("detail", "")
