"""The application of the HTTP corpus, as plain as can be: it reads requests byte by byte and answers what it is told to.

/answer/NAME     the answer of that case, as it is in http_corpus.json; then it closes, if the case says so
anything else    200, with method, target and body in its own body

Usage: corpus_app.py PORT. Standard library only.
"""

from __future__ import annotations

import json
import os
import pathlib
import socket
import sys
import threading
from typing import BinaryIO

CORPUS = json.loads((pathlib.Path(__file__).resolve().parent.parent / "http_corpus.json").read_text())
ANSWERS = {case["name"]: case for case in CORPUS["answers"]}


def read_body(stream: BinaryIO, headers: dict[str, str]) -> bytes:
    if headers.get("transfer-encoding", "").lower() == "chunked":
        body = b""
        while size := int(stream.readline(), 16):
            body += stream.read(size)
            stream.readline()
        while stream.readline().strip():
            pass
        return body
    return stream.read(int(headers.get("content-length", 0)))


def serve(connection: socket.socket) -> None:
    stream = connection.makefile("rb")
    while line := stream.readline():
        method, target, _ = line.decode().split(" ", 2)
        headers = {}
        while header := stream.readline().strip():
            name, _, value = header.decode("latin-1").partition(":")
            headers[name.lower()] = value.strip()
        body = read_body(stream, headers)
        if target.startswith("/answer/"):
            case = ANSWERS[target.removeprefix("/answer/")]
            connection.sendall(case["answer"].encode("latin-1"))
            if case.get("closes"):
                break
            continue
        said = f"{method} {target} {body.decode('latin-1')}".strip().encode("latin-1")
        head = f"HTTP/1.1 200 OK\r\nContent-Length: {len(said)}\r\n\r\n".encode()
        connection.sendall(head + (b"" if method == "HEAD" else said))
    connection.shutdown(socket.SHUT_RDWR)
    connection.close()


def serve_quietly(connection: socket.socket) -> None:
    try:
        serve(connection)
    except (OSError, ValueError):
        connection.close()


def main() -> None:
    with socket.socket(socket.AF_INET6) as listener:
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        listener.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, 0)
        listener.bind(("::", int(sys.argv[1] if len(sys.argv) > 1 else os.environ["PORT"])))
        listener.listen(64)
        while True:
            connection, _ = listener.accept()
            threading.Thread(target=serve_quietly, args=(connection,), daemon=True).start()


if __name__ == "__main__":
    main()
