"""Certificates of an authority of our own, in PEM files."""

from __future__ import annotations

import datetime
import pathlib
import ssl

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec


def _named(name: str) -> x509.Name:
    return x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, name)])


class Authority:
    """Signs for a day. Clients that trust it: context()."""

    def __init__(self, folder: pathlib.Path) -> None:
        folder.mkdir(parents=True, exist_ok=True)
        self.file = folder / "authority.pem"
        self._key = ec.generate_private_key(ec.SECP256R1())
        self._name = _named("test authority")
        made = self._builder(self._name, self._key).add_extension(x509.BasicConstraints(True, None), True)
        self.file.write_bytes(made.sign(self._key, hashes.SHA256()).public_bytes(serialization.Encoding.PEM))

    def _builder(self, name: x509.Name, key: ec.EllipticCurvePrivateKey) -> x509.CertificateBuilder:
        now = datetime.datetime.now(datetime.timezone.utc)
        return (x509.CertificateBuilder().subject_name(name).issuer_name(self._name).public_key(key.public_key())
                .serial_number(x509.random_serial_number()).not_valid_before(now - datetime.timedelta(hours=1))
                .not_valid_after(now + datetime.timedelta(days=1)))

    def write(self, certificate: pathlib.Path, key: pathlib.Path, *names: str) -> int:
        """Replaces both files, each in one step, and returns the serial number."""
        secret = ec.generate_private_key(ec.SECP256R1())
        made = self._builder(_named(names[0]), secret).add_extension(
            x509.SubjectAlternativeName([x509.DNSName(name) for name in names]), False).sign(self._key, hashes.SHA256())
        for path, text in ((certificate, made.public_bytes(serialization.Encoding.PEM)),
                           (key, secret.private_bytes(serialization.Encoding.PEM,
                                                      serialization.PrivateFormat.PKCS8,
                                                      serialization.NoEncryption()))):
            draft = path.with_suffix(".new")
            draft.write_bytes(text)
            draft.rename(path)
        return made.serial_number

    def context(self, *protocols: str) -> ssl.SSLContext:
        trusting = ssl.create_default_context(cafile=str(self.file))
        if protocols:
            trusting.set_alpn_protocols(list(protocols))
        return trusting


def serial_number(shown: ssl.SSLSocket) -> int:
    found = shown.getpeercert()
    assert found
    return int(found["serialNumber"], 16)
