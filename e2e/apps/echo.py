"""The application of the end-to-end tests: echoes, streams, breaks and asks the metadata service, as a test says.

Standard library only, except that /sdk uses the official Python IMDS SDK when it is installed. Listens on $PORT, IPv6
and IPv4, as the contract asks of applications.
"""

from __future__ import annotations

import base64
import hashlib
import http.client
import http.server
import json
import os
import resource
import signal
import socket
import struct
import sys
import threading
import time
import urllib.parse

from gates import Gates

METADATA = os.environ.get("SALAD_METADATA_URI", "http://169.254.169.254")
WEBSOCKET_MAGIC = b"258EAFA5-E914-47DA-95CA-C5AB0DC85B11"
# New with every process, unlike a process id in a namespace of its own.
RUN = os.urandom(8).hex()
state = {"ready": True, "healthy": True}


def metadata_call(method: str, path: str, body: bytes | None, headers: dict[str, str]) -> tuple[int, dict, bytes]:
    parts = urllib.parse.urlsplit(METADATA)
    connection = http.client.HTTPConnection(parts.hostname or "", parts.port or 80, timeout=10)
    connection.request(method, path, body=body, headers=headers)
    response = connection.getresponse()
    return response.status, {name.lower(): value for name, value in response.getheaders()}, response.read()


def sdk_call(what: str, argument: str) -> object:
    from salad_cloud_imds_sdk import SaladCloudImdsSdk
    from salad_cloud_imds_sdk.models import DeletionCost, Metadata, ReallocatePrototype

    metadata = SaladCloudImdsSdk(base_url=METADATA, timeout=10_000).metadata
    header = Metadata.TRUE
    if what == "status":
        found = metadata.get_status(header)
        return {"ready": found.ready, "started": found.started}
    if what == "token":
        return {"jwt": metadata.get_token(header).jwt}
    if what == "deletion-cost":
        if argument:
            metadata.replace_deletion_cost(DeletionCost(deletion_cost=int(argument)), header)
        return {"deletion_cost": metadata.get_deletion_cost(header).deletion_cost}
    if what == "reallocate":
        metadata.reallocate(ReallocatePrototype(reason=argument), header)
    elif what == "recreate":
        metadata.recreate(header)
    elif what == "restart":
        metadata.restart(header)
    return None


class Handler(http.server.BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    # Answers would otherwise wait for the acknowledgement of their own head.
    disable_nagle_algorithm = True

    def log_message(self, *_: object) -> None:
        pass  # standard output is for what tests ask to be logged

    # ---- requests and answers ----

    def read_body(self) -> bytes:
        if self.headers.get("Transfer-Encoding", "").lower() != "chunked":
            return self.rfile.read(int(self.headers.get("Content-Length", 0)))
        body = bytearray()
        while size := int(self.rfile.readline().split(b";")[0], 16):
            body += self.rfile.read(size)
            self.rfile.readline()
        while self.rfile.readline().strip():
            pass
        return bytes(body)

    def answer(self, body: bytes | object, status: int = 200, media_type: str = "application/json") -> None:
        if not isinstance(body, bytes):
            body = json.dumps(body).encode()
        self.send_response(status)
        self.send_header("Content-Type", media_type)
        self.send_header("Content-Length", str(len(body)))
        self.send_header("X-Instance", os.environ.get("SALAD_INSTANCE_ID", ""))
        self.end_headers()
        if self.command != "HEAD":
            self.wfile.write(body)

    def start_chunks(self) -> None:
        self.send_response(200)
        self.send_header("Content-Type", "application/octet-stream")
        self.send_header("Transfer-Encoding", "chunked")
        self.end_headers()

    def write_chunk(self, data: bytes) -> None:
        self.wfile.write(b"%x\r\n%s\r\n" % (len(data), data))
        self.wfile.flush()

    def handle_any(self) -> None:
        parts = urllib.parse.urlsplit(self.path)
        query = {name: values[0] for name, values in urllib.parse.parse_qs(parts.query).items()}
        first, _, rest = parts.path.strip("/").partition("/")
        handler = getattr(self, f"do_{first or 'root'}", None)
        if handler is None:
            self.read_body()
            self.answer({"error": "no such path"}, 404)
        else:
            handler(query, rest)

    do_GET = do_POST = do_PUT = do_PATCH = do_DELETE = do_HEAD = do_OPTIONS = handle_any

    # ---- what it can do, by first segment of the path ----

    def do_root(self, query: dict[str, str], rest: str) -> None:
        self.read_body()
        self.answer({"instance_id": os.environ.get("SALAD_INSTANCE_ID"), "run": RUN,
                     "machine_id": os.environ.get("SALAD_MACHINE_ID"), "hostname": socket.gethostname(),
                     "method": self.command, "path": self.path,
                     "headers": {name.lower(): value for name, value in self.headers.items()}})

    def do_echo(self, query: dict[str, str], rest: str) -> None:
        body = self.read_body()
        self.answer(body, int(query.get("status", 200)),
                    self.headers.get("Content-Type", "application/octet-stream"))

    def do_digest(self, query: dict[str, str], rest: str) -> None:
        body = self.read_body()
        self.answer({"bytes": len(body), "sha256": hashlib.sha256(body).hexdigest()})

    def do_bytes(self, query: dict[str, str], rest: str) -> None:
        self.answer(b"x" * int(query["n"]), media_type="application/octet-stream")

    def do_stream(self, query: dict[str, str], rest: str) -> None:
        """`n` pieces in chunks, each as soon as the test has asked for it on the path /go, or all at once."""
        self.start_chunks()
        for number in range(int(query["n"])):
            if "gate" in query:
                gates.wait_until(query["gate"], number)
            self.write_chunk(b"piece %d\n" % number * int(query.get("times", 1)))
        self.wfile.write(b"0\r\n\r\n")

    def do_go(self, query: dict[str, str], rest: str) -> None:
        self.read_body()
        gates.open(query["gate"])
        self.answer({})

    def do_hang(self, query: dict[str, str], rest: str) -> None:
        """No answer until the test opens the gate, or for a minute."""
        gates.wait_until(query.get("gate", "hang"), 0)
        self.answer({})

    def do_limit(self, query: dict[str, str], rest: str) -> None:
        self.answer({"files": resource.getrlimit(resource.RLIMIT_NOFILE)})

    def do_waiting(self, query: dict[str, str], rest: str) -> None:
        self.answer({"waiting": gates.waiting(query["gate"])})

    def do_drop(self, query: dict[str, str], rest: str) -> None:
        """The connection breaks: before the answer, or in its middle."""
        if "middle" in query:
            self.start_chunks()
            self.write_chunk(b"half")
        # A reset, not an orderly end.
        self.connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        self.connection.close()
        self.close_connection = True

    def do_env(self, query: dict[str, str], rest: str) -> None:
        self.answer(dict(os.environ))

    def do_ready(self, query: dict[str, str], rest: str) -> None:
        self.toggle("ready", query)

    def do_healthy(self, query: dict[str, str], rest: str) -> None:
        self.toggle("healthy", query)

    def toggle(self, name: str, query: dict[str, str]) -> None:
        self.read_body()
        if self.command == "POST":
            state[name] = query["on"] == "1"
            self.answer({})
        else:
            self.answer({name: state[name]}, 200 if state[name] else 503)

    def do_log(self, query: dict[str, str], rest: str) -> None:
        self.read_body()
        print(query["text"], file=sys.stderr if query.get("stream") == "stderr" else sys.stdout, flush=True)
        self.answer({})

    def do_file(self, query: dict[str, str], rest: str) -> None:
        """Writes a file beside the application, or reads it: 404 if it is not there."""
        if self.command == "PUT":
            with open(rest, "wb") as file:
                file.write(self.read_body())
            self.answer({})
        elif os.path.exists(rest):
            with open(rest, "rb") as file:
                self.answer(file.read(), media_type="text/plain")
        else:
            self.answer({}, 404)

    def do_exit(self, query: dict[str, str], rest: str) -> None:
        self.read_body()
        self.answer({})
        self.wfile.flush()
        os._exit(int(query["code"]))

    def do_metadata(self, query: dict[str, str], rest: str) -> None:
        """The same request to the metadata service, with the headers named in x-send-NAME."""
        headers = {name[7:]: value for name, value in self.headers.items() if name.lower().startswith("x-send-")}
        body = self.read_body() or None
        status, answered, content = metadata_call(self.command, f"/{rest}", body, headers)
        self.answer({"status": status, "headers": answered, "body": content.decode(errors="replace")})

    def do_sdk(self, query: dict[str, str], rest: str) -> None:
        self.read_body()
        self.answer(sdk_call(rest, query.get("argument", "")))

    # ---- WebSocket: handshake and echo of whole frames ----

    def do_websocket(self, query: dict[str, str], rest: str) -> None:
        key = self.headers["Sec-WebSocket-Key"].encode()
        self.send_response(101)
        self.send_header("Upgrade", "websocket")
        self.send_header("Connection", "Upgrade")
        accept = base64.b64encode(hashlib.sha1(key + WEBSOCKET_MAGIC).digest()).decode()
        self.send_header("Sec-WebSocket-Accept", accept)
        self.end_headers()
        self.close_connection = True
        while True:
            head = self.rfile.read(2)
            if len(head) < 2:
                return
            length = head[1] & 0x7F
            if length == 126:
                length = struct.unpack(">H", self.rfile.read(2))[0]
            elif length == 127:
                length = struct.unpack(">Q", self.rfile.read(8))[0]
            mask = self.rfile.read(4)
            data = self.rfile.read(length)
            data = bytes(byte ^ mask[i % 4] for i, byte in enumerate(data))
            size = bytes([len(data)]) if len(data) < 126 else b"\x7e" + struct.pack(">H", len(data))
            self.wfile.write(head[:1] + size + data)
            if head[0] & 0x0F == 8:  # close
                return


gates = Gates()


def finish() -> None:
    """Answers what waits for the signal, and ends when it has."""
    def end() -> None:
        gates.open("sigterm")
        while gates.waiting("sigterm"):
            time.sleep(0.01)
        time.sleep(0.5)
        os._exit(0)

    threading.Thread(target=end).start()



class Server(http.server.ThreadingHTTPServer):
    address_family = socket.AF_INET6
    daemon_threads = True
    request_queue_size = 128

    def server_bind(self) -> None:
        self.socket.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, 0)
        super().server_bind()

    def handle_error(self, request: object, client_address: object) -> None:
        # A client that went away is nothing to report.
        if not isinstance(sys.exc_info()[1], OSError):
            super().handle_error(request, client_address)


def main() -> None:
    signal.signal(signal.SIGTERM, lambda *_: finish() if os.environ.get("FINISH") else os._exit(0))
    if code := os.environ.get("EXIT_AT_START"):
        print("leaving at once", flush=True)
        sys.exit(int(code))
    print(f"echo started {os.environ.get('SALAD_INSTANCE_ID', '')}", flush=True)
    Server(("::", int(os.environ.get("PORT", "8080"))), Handler).serve_forever()


if __name__ == "__main__":
    main()
