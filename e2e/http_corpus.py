"""Plays http_corpus.json to a server: what came of each case, in words.

A case of `requests` is sent as it is, and behind it one more request, GET /end. The outcome names each answer: its status,
and what the application saw of the request; "end" is the answer to the last one. A refusal that is the last word is the
end of the connection. A case of `answers` is what an application answers to GET /answer/NAME, and the outcome is what the
client gets: status and body, "cut" for an answer that breaks off, and "end" if its connection goes on.

    build/venv/bin/python e2e/http_corpus.py HOST:PORT [NAME]     all outcomes, or one, of another server before corpus_app
"""

from __future__ import annotations

import json
import pathlib
import socket
import sys
from typing import Any, BinaryIO

CORPUS = json.loads((pathlib.Path(__file__).resolve().parent / "http_corpus.json").read_text())
END = "GET /end HTTP/1.1\r\nHost: {host}\r\nConnection: close\r\n\r\n"


class Cut(Exception):
    """The answer broke off."""


def read_exactly(stream: BinaryIO, size: int) -> bytes:
    data = stream.read(size)
    if len(data) < size:
        raise Cut
    return data


def read_body(stream: BinaryIO, headers: dict[str, str]) -> bytes:
    if headers.get("transfer-encoding", "").lower() == "chunked":
        body = b""
        while True:
            line = stream.readline()
            if not line.endswith(b"\r\n"):
                raise Cut
            if (size := int(line.split(b";")[0], 16)) == 0:
                break
            body += read_exactly(stream, size)
            read_exactly(stream, 2)
        while (line := stream.readline()) != b"\r\n":
            if not line:
                raise Cut
        return body
    if "content-length" in headers:
        return read_exactly(stream, int(headers["content-length"]))
    return stream.read()


def read_answer(stream: BinaryIO, to_head: bool) -> str | None:
    """None at the end of the connection."""
    line = stream.readline()
    if not line:
        return None
    status = int(line.split()[1])
    headers: dict[str, str] = {}
    while header := stream.readline().strip():
        name, _, value = header.decode("latin-1").partition(":")
        headers[name.lower()] = value.strip()
    bare = to_head or status in (204, 304) or status // 100 == 1
    body = b"" if bare else read_body(stream, headers)
    said = body.decode("latin-1") if status == 200 else ""
    return "end" if said == "GET /end" else f"{status} {said}".strip()


def play(address: str, text: str, to_head: bool = False) -> str:
    """The answers to what is sent, with a comma between them."""
    host, _, port = address.rpartition(":")
    outcomes: list[str] = []
    with socket.create_connection((host.strip("[]"), int(port)), timeout=20) as connection:
        stream = connection.makefile("rb")
        try:
            connection.sendall(text.encode("latin-1"))
            while (answer := read_answer(stream, to_head and not outcomes)) is not None:
                outcomes.append(answer)
        except (Cut, ConnectionError):
            outcomes.append("cut")
        except TimeoutError:
            outcomes.append("silence")
    return ", ".join(outcomes)


def fill(text: str, host: str) -> str:
    """{host} is the server's name, {x*N} N letters."""
    out = text.replace("{host}", host)
    while (start := out.find("{", 0)) >= 0 and (found := out[start + 1:out.find("}", start)]).count("*") == 1:
        what, _, times = found.partition("*")
        out = out.replace("{" + found + "}", what * int(times), 1)
    return out


def request_outcome(address: str, host: str, case: dict[str, Any]) -> str:
    to_head = case["send"].startswith("HEAD")
    return play(address, fill(case["send"], host) + END.replace("{host}", host), to_head)


def answer_outcome(address: str, host: str, case: dict[str, Any]) -> str:
    method, version = case.get("method", "GET"), case.get("version", "1.1")
    first = f"{method} /answer/{case['name']} HTTP/{version}\r\nHost: {host}\r\n\r\n"
    return play(address, first + ("" if version == "1.0" else END.replace("{host}", host)), method == "HEAD")


def main() -> None:
    address, only = sys.argv[1], sys.argv[2:]
    for kind, outcome in (("requests", request_outcome), ("answers", answer_outcome)):
        for case in CORPUS[kind]:
            if not only or case["name"] in only:
                print(json.dumps([case["name"], outcome(address, address, case)]), flush=True)


if __name__ == "__main__":
    main()
