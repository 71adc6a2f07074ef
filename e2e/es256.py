"""Verifying the identity tokens of instances with the standard library: ECDSA over P-256 (FIPS 186-4, section 6.4)."""

from __future__ import annotations

import base64
import hashlib
import json
from typing import Any

P = 0xFFFFFFFF00000001000000000000000000000000FFFFFFFFFFFFFFFFFFFFFFFF
N = 0xFFFFFFFF00000000FFFFFFFFFFFFFFFFBCE6FAADA7179E84F3B9CAC2FC632551
A = P - 3
B = 0x5AC635D8AA3A93E7B3EBBD55769886BC651D06B0CC53B0F63BCE3C3E27D2604B
G = (0x6B17D1F2E12C4247F8BCE6E563A440F277037D812DEB33A0F4A13945D898C296,
     0x4FE342E2FE1A7F9B8EE7EB4A7C0F9E162BCE33576B315ECECBB6406837BF51F5)

Point = tuple[int, int] | None  # None is infinity


def _add(p: Point, q: Point) -> Point:
    if p is None or q is None:
        return p or q
    if p[0] == q[0] and (p[1] + q[1]) % P == 0:
        return None
    if p == q:
        slope = (3 * p[0] * p[0] + A) * pow(2 * p[1], -1, P)
    else:
        slope = (q[1] - p[1]) * pow(q[0] - p[0], -1, P)
    x = (slope * slope - p[0] - q[0]) % P
    return x, (slope * (p[0] - x) - p[1]) % P


def _multiply(k: int, point: Point) -> Point:
    result: Point = None
    while k:
        if k & 1:
            result = _add(result, point)
        point = _add(point, point)
        k >>= 1
    return result


def _decode(text: str) -> bytes:
    return base64.urlsafe_b64decode(text + "=" * (-len(text) % 4))


def verify(token: str, keys: dict[str, Any]) -> tuple[dict[str, Any], dict[str, Any]]:
    """Header and claims of a token that one of the keys of a JWKS document signed; fails otherwise."""
    head, body, signature = token.split(".")
    header = json.loads(_decode(head))
    assert header["alg"] == "ES256", header
    key = next(key for key in keys["keys"] if key["kid"] == header["kid"])
    assert (key["kty"], key["crv"]) == ("EC", "P-256"), key
    public = (int.from_bytes(_decode(key["x"]), "big"), int.from_bytes(_decode(key["y"]), "big"))
    assert (public[1] ** 2 - public[0] ** 3 - A * public[0] - B) % P == 0, "the key is not on the curve"
    raw = _decode(signature)
    assert len(raw) == 64, "the signature must be r and s of 32 bytes each"
    r, s = int.from_bytes(raw[:32], "big"), int.from_bytes(raw[32:], "big")
    assert 0 < r < N and 0 < s < N
    digest = int.from_bytes(hashlib.sha256(f"{head}.{body}".encode()).digest(), "big")
    w = pow(s, -1, N)
    point = _add(_multiply(digest * w % N, G), _multiply(r * w % N, public))
    assert point is not None and point[0] % N == r, "the signature is wrong"
    return header, json.loads(_decode(body))
