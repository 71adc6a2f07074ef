"""http_call.Connection over a unix socket."""

from __future__ import annotations

import http.client
import socket

from http_call import Connection


class _UnixHttp(http.client.HTTPConnection):
    def __init__(self, path: str, timeout: float) -> None:
        super().__init__("localhost", timeout=timeout)
        self._path = path

    def connect(self) -> None:
        self.sock = socket.socket(socket.AF_UNIX)
        self.sock.settimeout(self.timeout)
        self.sock.connect(self._path)


class UnixConnection(Connection):
    """One kept connection to unix:PATH."""

    def __init__(self, address: str, timeout: float = 60) -> None:
        self._http = _UnixHttp(address[len("unix:"):], timeout)
