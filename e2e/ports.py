"""Ports for servers that a test starts. The system's own choice (port 0) would not do: it is given back before the server
takes it, so that a second call, or any connection that something opens meanwhile, can get the same one."""

from __future__ import annotations

import itertools
import os
import socket

# Below those that the system gives to connections (32768 and above), and each only once in this process. Runs beside each
# other begin at different places.
_FIRST, _COUNT = 10_000, 20_000
_candidates = itertools.count(os.getpid() * 131)


def _is_free(port: int) -> bool:
    """For IPv6 and IPv4."""
    with socket.socket(socket.AF_INET6) as probe:
        probe.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, 0)
        try:
            probe.bind(("::", port))
        except OSError:
            return False
        return True


def free_port() -> int:
    for candidate in itertools.islice(_candidates, _COUNT):
        port = _FIRST + candidate % _COUNT
        if _is_free(port):
            return port
    raise AssertionError(f"no port from {_FIRST} to {_FIRST + _COUNT - 1} is free")


def free_address() -> str:
    return f"127.0.0.1:{free_port()}"
