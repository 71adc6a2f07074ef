"""What guards private images: passwords, a realm that gives tokens, and AWS's own API, as fakes beside a real registry."""

from __future__ import annotations

import base64
import datetime
import http.server
import json
import pathlib
import time
import urllib.parse

import bcrypt
import jwt
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec

from fake_services import Service


def passwords(folder: pathlib.Path, **users: str) -> str:
    """The part of a registry's configuration that lets these users in."""
    folder.mkdir(parents=True, exist_ok=True)
    path = folder / "htpasswd"
    path.write_text("".join(f"{user}:{bcrypt.hashpw(password.encode(), bcrypt.gensalt(4)).decode()}\n"
                            for user, password in users.items()))
    return f"auth:\n  htpasswd:\n    realm: e2e\n    path: {path}\n"


class TokenRealm(Service):
    """Gives tokens for a scope to one user, as auth.docker.io does; keeps what it was asked."""

    service = "e2e registry"

    def __init__(self, folder: pathlib.Path, user: str, password: str) -> None:
        super().__init__()
        self.login = "Basic " + base64.b64encode(f"{user}:{password}".encode()).decode()
        self.key = ec.generate_private_key(ec.SECP256R1())
        name = x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, "e2e realm")])
        now = datetime.datetime.now(datetime.UTC)
        self.certificate = (x509.CertificateBuilder().subject_name(name).issuer_name(name)
                            .public_key(self.key.public_key()).serial_number(x509.random_serial_number())
                            .not_valid_before(now - datetime.timedelta(hours=1))
                            .not_valid_after(now + datetime.timedelta(hours=1))
                            .sign(self.key, hashes.SHA256()))
        folder.mkdir(parents=True, exist_ok=True)
        self.bundle = folder / "realm.pem"
        self.bundle.write_bytes(self.certificate.public_bytes(serialization.Encoding.PEM))

    def configuration(self) -> str:
        return (f"auth:\n  token:\n    realm: {self.uri}/token\n    service: {self.service}\n"
                f"    issuer: e2e\n    rootcertbundle: {self.bundle}\n")

    def scopes(self) -> list[str]:
        return [scope for one in self.received
                for scope in urllib.parse.parse_qs(urllib.parse.urlparse(one.path).query).get("scope", [])]

    def token(self, scopes: list[str]) -> str:
        access = [{"type": kind, "name": name, "actions": actions.split(",")}
                  for kind, name, actions in (scope.split(":", 2) for scope in scopes)]
        now = int(time.time())
        der = base64.b64encode(self.certificate.public_bytes(serialization.Encoding.DER)).decode()
        return jwt.encode({"iss": "e2e", "sub": "robot", "aud": self.service, "exp": now + 300, "nbf": now - 10,
                           "iat": now, "jti": str(now), "access": access},
                          self.key, algorithm="ES256", headers={"x5c": [der]})

    def handle(self, request: http.server.BaseHTTPRequestHandler) -> None:
        entry = self.take(request, b"")
        if entry.headers.get("authorization") != self.login:
            self.answer(request, 401, b'{"details": "wrong user or password"}')
            return
        query = urllib.parse.parse_qs(urllib.parse.urlparse(request.path).query)
        self.answer(request, 200, json.dumps({"token": self.token(query.get("scope", [])),
                                              "expires_in": 300}).encode())


class FakeEcr(Service):
    """AWS's GetAuthorizationToken: the registry's password, for whoever signs as `key_id`."""

    def __init__(self, key_id: str, password: str) -> None:
        super().__init__()
        self.key_id = key_id
        self.password = password

    def handle(self, request: http.server.BaseHTTPRequestHandler) -> None:
        entry = self.take(request, request.rfile.read(int(request.headers.get("Content-Length", 0))))
        signed = entry.headers.get("authorization", "")
        good = (signed.startswith(f"AWS4-HMAC-SHA256 Credential={self.key_id}/") and "/ecr/aws4_request" in signed
                and entry.headers.get("x-amz-target", "").endswith(".GetAuthorizationToken"))
        if not good:
            self.answer(request, 400, b'{"__type": "UnrecognizedClientException", "message": "bad key"}')
            return
        token = base64.b64encode(f"AWS:{self.password}".encode()).decode()
        self.answer(request, 200, json.dumps({"authorizationData": [
            {"authorizationToken": token, "expiresAt": time.time() + 43_200}]}).encode())
