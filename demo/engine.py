"""Docker Engine as the demo uses it: over its socket, without a client program."""

from __future__ import annotations

import http.client
import json
import pathlib
import socket
import urllib.parse
from collections.abc import Iterator
from typing import Any

SOCKET = pathlib.Path("/var/run/docker.sock")
ANSWER_SECONDS_MAX = 120


class EngineError(Exception):
    """It does not answer, or refuses, in its own words."""


class _Connection(http.client.HTTPConnection):
    def connect(self) -> None:
        self.sock = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        self.sock.settimeout(self.timeout)
        self.sock.connect(str(SOCKET))


def _call(method: str, path: str, body: Iterator[bytes] | None = None, **query: str) -> tuple[int, bytes]:
    connection = _Connection("engine", timeout=ANSWER_SECONDS_MAX)
    try:
        headers = {"Content-Type": "application/x-tar"} if body else {}
        connection.request(method, f"/v1.41{path}?{urllib.parse.urlencode(query)}", body, headers)
        answer = connection.getresponse()
        return answer.status, answer.read()
    except (OSError, http.client.HTTPException) as error:
        raise EngineError(f"no answer at {SOCKET} ({error})") from None
    finally:
        connection.close()


def call(method: str, path: str, body: Iterator[bytes] | None = None, **query: str) -> Any:
    """Its answer as JSON; None where there is no such thing."""
    status, text = _call(method, path, body, **query)
    if status == 404:
        return None
    if status >= 400:
        raise EngineError(f"{method} {path}: {text.decode(errors='replace').strip()}")
    return json.loads(text) if text.strip() else {}


def check() -> None:
    """EngineError: there is none."""
    _, text = _call("GET", "/_ping")
    if text.strip() != b"OK":
        raise EngineError(f"what answers at {SOCKET} is no container engine")


def has_image(name: str) -> bool:
    return call("GET", f"/images/{name}/json") is not None


def import_image(repository: str, tag: str, archive: Iterator[bytes], change: str) -> None:
    """Makes an image of a tar archive; the engine answers with lines, one of which may tell what went wrong."""
    status, text = _call("POST", "/images/create", archive, fromSrc="-", repo=repository, tag=tag, changes=change)
    if status >= 400 or b'"error"' in text:
        raise EngineError(f"the image cannot be made: {text.decode(errors='replace').strip()}")


def remove_other_images(repository: str, tag: str) -> None:
    """What earlier demos made and this one does not use."""
    for image in call("GET", "/images/json", filters=json.dumps({"reference": [repository]})) or []:
        for name in image.get("RepoTags") or []:
            if name != f"{repository}:{tag}":
                _call("DELETE", f"/images/{name}")


def remove_containers(folder: pathlib.Path) -> None:
    """Those of the Docker runtime with that data folder, whose agent is gone."""
    label = json.dumps({"label": [f"mesclun.folder={folder}"]})
    for container in call("GET", "/containers/json", all="1", filters=label) or []:
        _call("DELETE", f"/containers/{container['Id']}", force="1", v="1")
