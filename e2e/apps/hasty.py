"""An application that closes a connection 4 ms after an answer, perhaps under the very next request.

GET      the number of POST requests that it has read
Usage: hasty.py HOST:PORT. Standard library only.
"""

from __future__ import annotations

import socket
import sys
import threading

IDLE_SECONDS = 0.004
posts = 0


def serve(connection: socket.socket) -> None:
    global posts
    stream = connection.makefile("rb")
    with connection, stream:
        while line := stream.readline():
            length = 0
            while header := stream.readline().strip():
                name, _, value = header.partition(b":")
                if name.lower() == b"content-length":
                    length = int(value)
            stream.read(length)
            posts += line.startswith(b"POST ")
            body = b"%d" % posts
            connection.sendall(b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n%s" % (len(body), body))
            connection.settimeout(IDLE_SECONDS)


def serve_quietly(connection: socket.socket) -> None:
    try:
        serve(connection)
    except OSError:
        connection.close()


def main() -> None:
    host, port = sys.argv[1].rsplit(":", 1)
    with socket.create_server((host, int(port)), backlog=64) as listener:
        while True:
            connection, _ = listener.accept()
            threading.Thread(target=serve_quietly, args=(connection,), daemon=True).start()


if __name__ == "__main__":
    main()
