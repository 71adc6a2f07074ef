"""An application without manners, for the tests of mesclun-app: GET and POST of

    /early            413 as soon as the head is there; reads nothing of the body, and keeps the connection
    /large?bytes=N    N bytes
    /dies             closes a connection that carried a request before; answers on a fresh one
    /slow?seconds=S   answers after S seconds
    /count            how many requests have come to /dies
    anything else     200 "ok"; its answer to HEAD has the length 1234

One thread for each connection. Standard library only.
"""

from __future__ import annotations

import re
import socket
import sys
import threading
import time

count = 0


def answer(status: str, body: bytes, length: int | None = None) -> bytes:
    return b"HTTP/1.1 %s\r\nContent-Length: %d\r\n\r\n%s" % (
        status.encode(), len(body) if length is None else length, body)


def serve(connection: socket.socket) -> None:
    global count
    stream = connection.makefile("rb")
    served = 0
    while line := stream.readline():
        method, target, _ = line.decode().split(" ", 2)
        length = 0
        while header := stream.readline().strip():
            if found := re.match(rb"content-length: *(\d+)", header, re.IGNORECASE):
                length = int(found[1])
        number = float(target.partition("=")[2] or 0)
        if target == "/early":
            connection.sendall(answer("413 Too Large", b"too large for me"))
            time.sleep(3600)
        stream.read(length)
        if target == "/dies":
            count += 1
            if served:
                break
        if target.startswith("/slow"):
            time.sleep(number)
        body = {"/large": b"x" * int(number), "/count": b"%d" % count}.get(target.partition("?")[0], b"ok")
        connection.sendall(answer("200 OK", b"", 1234) if method == "HEAD" else answer("200 OK", body))
        served += 1
    connection.shutdown(socket.SHUT_RDWR)
    connection.close()


def main() -> None:
    host, _, port = sys.argv[1].rpartition(":")
    with socket.create_server((host, int(port))) as listener:
        while True:
            connection, _ = listener.accept()
            threading.Thread(target=serve, args=(connection,), daemon=True).start()


if __name__ == "__main__":
    main()
