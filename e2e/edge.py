"""The public edge over TLS, with an application behind it."""

from __future__ import annotations

import contextlib
import http.client
import pathlib
import socket
import ssl

from certificates import Authority
from cloud import RolesCloud
from groups import App, echo_spec
from http_call import Reply
from ports import free_address
from waiting import wait_for


class Edge:
    """A cloud whose gateway speaks TLS: one certificate for the zone, one for a name of its own."""

    def __init__(self, folder: pathlib.Path) -> None:
        self.authority = Authority(folder / "certificates")
        self.zone = (folder / "certificates" / "zone.pem", folder / "certificates" / "zone.key")
        self.own = (folder / "certificates" / "own.pem", folder / "certificates" / "own.key")
        self.cloud = RolesCloud(folder / "cloud", nodes=1, arguments=["--zone", "apps.example"])
        self.zone_serial = self.own_serial = 0
        self.app: App

    def start(self) -> None:
        self.zone_serial = self.authority.write(*self.zone, "*.apps.example")
        self.own_serial = self.authority.write(*self.own, "own.example")
        self.cloud.gateway_arguments += [
            "--tls", f"[::]:{free_address().rpartition(':')[2]}",
            "--certificate", str(self.zone[0]), "--private-key", str(self.zone[1]),
            "--certificate", str(self.own[0]), "--private-key", str(self.own[1]),
            "--handshakes-max", "20", "--handshake-timeout", "3s", "--health-path", "/healthz"]
        self.cloud.start()
        self.cloud.wait_for_nodes()
        self.app = App(self.cloud, self.cloud.api(), echo_spec())
        wait_for(lambda: self.call("GET", "/").status == 200, "the application over TLS", 60)

    @property
    def port(self) -> int:
        return int(self.cloud.tls_address.rpartition(":")[2])

    def connect(self, name: str, *protocols: str, host: str = "127.0.0.1",
                session: ssl.SSLContext | None = None) -> ssl.SSLSocket:
        raw = socket.create_connection((host, self.port), timeout=60)
        try:
            return (session or self.authority.context(*protocols)).wrap_socket(raw, server_hostname=name)
        except BaseException:
            raw.close()
            raise

    def connection(self, **options: str) -> http.client.HTTPConnection:
        """HTTP/1.1 to the application."""
        made = http.client.HTTPConnection(self.app.dns, self.port, timeout=60)
        made.sock = self.connect(self.app.dns, **options)
        return made

    def call(self, method: str, path: str, body: object = None, **options: str) -> Reply:
        with contextlib.closing(self.connection(**options)) as one:
            one.request(method, path, body=body, headers={"Host": self.app.dns}, encode_chunked=True)
            answer = one.getresponse()
            return Reply(answer.status, {name.lower(): value for name, value in answer.getheaders()}, answer.read())
