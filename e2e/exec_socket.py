"""The WebSocket of a command beside an instance, by a client that nobody here wrote."""

from __future__ import annotations

import json
import urllib.parse
from typing import Any

from websockets.exceptions import ConnectionClosed, InvalidStatus
from websockets.sync.client import ClientConnection, connect

from http_call import Api


def exec_path(api: Api, group: str, instance: str) -> str:
    return f"{api.extra}/containers/{group}/instances/{instance}/exec"


def refusal(api: Api, path: str, *command: str, **arguments: Any) -> tuple[int, str]:
    """Status and `type` of the problem that a WebSocket is refused with."""
    try:
        open_exec(api, path, *command, **arguments).close()
    except InvalidStatus as refused:
        body = json.loads(refused.response.body)
        return refused.response.status_code, body["type"]
    return 101, ""


def open_exec(api: Api, path: str, *command: str, key: str | None = None, origin: str | None = None,
              **query: str) -> "ExecSocket":
    words = [("command", word) for word in command] + list(query.items())
    key = api.key if key is None else key
    return ExecSocket(connect(
        f"ws://{api.address}{path}?{urllib.parse.urlencode(words)}", origin=origin, compression=None,
        additional_headers={"Salad-Api-Key": key} if key else {}, open_timeout=20, close_timeout=5,
        ping_interval=None, proxy=None, legacy=True))


class ExecSocket:
    def __init__(self, connection: ClientConnection) -> None:
        self.connection = connection
        self.out = b""
        self.err = b""
        self.last: dict[str, Any] = {}  # the last word

    def say(self, **control: Any) -> None:
        self.connection.send(json.dumps(control))

    def write(self, data: bytes) -> None:
        self.connection.send(b"\0" + data)

    def hear(self, text: bytes = b"", seconds: float = 30) -> "ExecSocket":
        """Until `text` is among the output, or the last word was said."""
        while not self.last and (not text or text not in self.out):
            message = self.connection.recv(timeout=seconds)
            if isinstance(message, str):
                self.last = json.loads(message)
            elif message[0] == 1:
                self.out += message[1:]
            else:
                assert message[0] == 2, message[:1]
                self.err += message[1:]
        return self

    def close_code(self, seconds: float = 30) -> int:
        try:
            while True:
                self.connection.recv(timeout=seconds)
        except ConnectionClosed as closed:
            return closed.rcvd.code if closed.rcvd else 1006

    def close(self) -> None:
        self.connection.close()
