"""The gateway beside HAProxy and nginx: CPU per small keep-alive request, each in front of the same kind of nginx.

CPU time of the proxy's own processes, user and system, divided by the requests that wrk counted. Requests per second
depend on what else runs on the machine; CPU per request hardly does. Ours does more: the gateway finds the group by
host name, chooses an instance, and reaches it through the node's tunnel. The agent at the other end is shown as a
subject of its own, since the peers have no such part.
"""

from __future__ import annotations

import contextlib
import json
import os
import pathlib
import re
import resource
import shutil
import socket
import subprocess
import tempfile
import time
import urllib.request
from collections.abc import Iterator
from typing import Any

CONNECTIONS = 32
WARM_SECONDS, SECONDS = 2, 6
ROUNDS = 3  # of all subjects in turn; the median counts
FILES = resource.getrlimit(resource.RLIMIT_NOFILE)[1]  # the hard limit bounds how many connections a proxy takes
TICKS = os.sysconf("SC_CLK_TCK")
PATH = os.environ.get("PATH", os.defpath) + ":/usr/sbin:/sbin"


def free_port() -> int:
    with socket.socket() as s:
        s.bind(("127.0.0.1", 0))
        return int(s.getsockname()[1])


def wait_for_http(port: int, host: str, seconds: float = 30) -> None:
    end = time.monotonic() + seconds
    while True:
        with contextlib.suppress(OSError), socket.create_connection(("127.0.0.1", port), 2) as s:
            s.sendall(f"GET / HTTP/1.1\r\nHost: {host}\r\nConnection: close\r\n\r\n".encode())
            if b" 200 " in s.recv(64):
                return
        if time.monotonic() > end:
            raise RuntimeError(f"nothing answers at port {port}")
        time.sleep(0.05)


def children_of(pid: int) -> list[int]:
    with contextlib.suppress(OSError):
        text = pathlib.Path(f"/proc/{pid}/task/{pid}/children").read_text()
        return [int(word) for word in text.split()]
    return []


def cpu_seconds(pids: list[int]) -> float:
    total = 0
    for pid in pids:
        fields = pathlib.Path(f"/proc/{pid}/stat").read_text().rsplit(")", 1)[1].split()
        total += int(fields[11]) + int(fields[12])
    return total / TICKS


def nginx_conf(folder: pathlib.Path, body: str) -> pathlib.Path:
    file = folder / "nginx.conf"
    temp = "".join(f"  {kind}_temp_path {folder}/{kind};\n" for kind in ("client_body", "proxy", "fastcgi", "uwsgi", "scgi"))
    file.write_text(f"daemon off;\nworker_processes 1;\npid {folder}/pid;\nerror_log stderr;\n"
                    f"worker_rlimit_nofile {FILES};\nevents {{ worker_connections {FILES}; }}\n"
                    "http {\n  access_log off;\n  keepalive_requests 100000000;\n"
                    f"{temp}{body}}}\n")
    return file


def answer_conf(folder: pathlib.Path, port: int) -> pathlib.Path:
    """An upstream that answers every request with two bytes."""
    return nginx_conf(folder, f"  server {{ listen 127.0.0.1:{port}; listen [::1]:{port};\n"
                              "    location / { return 200 'ok'; } }\n")


class Processes:
    """What was started here, with its output in files of the folder; ended in reverse order."""

    def __init__(self, folder: pathlib.Path) -> None:
        self.folder = folder
        self.started: list[subprocess.Popen[bytes]] = []

    def start(self, name: str, command: list[str], environment: dict[str, str] | None = None) -> int:
        with (self.folder / f"{name}.log").open("wb") as log:
            process = subprocess.Popen(command, stdout=log, stderr=log, stdin=subprocess.DEVNULL,
                                       env={**os.environ, "PATH": PATH, **(environment or {})})
        self.started.append(process)
        return process.pid

    def stop(self) -> None:
        for process in reversed(self.started):
            process.terminate()
            try:
                process.wait(30)
            except subprocess.TimeoutExpired:
                process.kill()
                process.wait()


def subfolder(folder: pathlib.Path, name: str) -> pathlib.Path:
    path = folder / name
    path.mkdir()
    return path


def start_haproxy(run: Processes, folder: pathlib.Path, port: int, servers: str) -> int:
    """Its pid. `servers`: lines of the section that listens."""
    conf = subfolder(folder, "haproxy") / "haproxy.cfg"
    conf.write_text(f"global\n  nbthread 1\n  no strict-limits\n  maxconn {FILES - 4_000}\ndefaults\n  mode http\n"
                    "  timeout connect 5s\n  timeout client 90s\n  timeout server 90s\n  http-reuse always\n"
                    f"listen all\n  bind 127.0.0.1:{port}\n{servers}")
    return run.start("haproxy", [shutil.which("haproxy", path=PATH) or "haproxy", "-db", "-f", str(conf)])


def start_peers(run: Processes, folder: pathlib.Path) -> dict[str, tuple[int, str, list[int]]]:
    """Name to (port, host, pids)."""
    upstream, haproxy, nginx = free_port(), free_port(), free_port()
    nginx_program = shutil.which("nginx", path=PATH) or "nginx"
    run.start("upstream", [nginx_program, "-p", str(folder), "-c",
                           str(answer_conf(subfolder(folder, "upstream"), upstream))])
    haproxy_pid = start_haproxy(run, folder, haproxy, f"  server one 127.0.0.1:{upstream}\n")
    nginx_pid = run.start("nginx", [nginx_program, "-p", str(folder), "-c", str(nginx_conf(
        subfolder(folder, "nginx"),
        f"  upstream one {{ server 127.0.0.1:{upstream}; keepalive {2 * CONNECTIONS}; keepalive_requests 100000000; }}\n"
        f"  server {{ listen 127.0.0.1:{nginx};\n    location / {{ proxy_pass http://one; proxy_http_version 1.1;\n"
        "      proxy_set_header Connection ''; } }\n"))])
    for port in (upstream, haproxy, nginx):
        wait_for_http(port, "localhost")
    return {"haproxy": (haproxy, "localhost", [haproxy_pid]),
            "nginx": (nginx, "localhost", [nginx_pid, *children_of(nginx_pid)])}


class Cloud:
    """Cloud, gateway and agents as processes of their own, so that each one's CPU time is known."""

    def __init__(self, run: Processes, folder: pathlib.Path, mesclun: pathlib.Path) -> None:
        self.run, self.folder, self.program = run, folder, str(mesclun)
        self.api, self.nodes, self.front, tunnels = free_port(), free_port(), free_port(), free_port()
        self.data = folder / "cloud-data"
        run.start("cloud", [self.program, "cloud", "--data", str(self.data), "--api", f"127.0.0.1:{self.api}",
                            "--nodes-listen", f"127.0.0.1:{self.nodes}"])
        end = time.monotonic() + 30
        while not (self.data / "operator.key").exists() or "ready" not in (folder / "cloud.log").read_text():
            if time.monotonic() > end:
                raise RuntimeError((folder / "cloud.log").read_text())
            time.sleep(0.05)
        self.gateway = run.start("gateway", [
            self.program, "gateway", "--cloud", f"127.0.0.1:{self.nodes}", "--listen", f"127.0.0.1:{self.front}",
            "--tunnels", f"127.0.0.1:{tunnels}", "--gateway-token-file", str(self.data / "gateway.token")])
        self.environment = {"MESCLUN_API": f"127.0.0.1:{self.api}", "MESCLUN_ORGANIZATION": "bench",
                            "MESCLUN_PROJECT": "bench", "MESCLUN_CONTEXT": str(folder / "context.json"),
                            "MESCLUN_OPERATOR_KEY": (self.data / "operator.key").read_text().strip()}
        self.cli("org", "create", "bench")
        self.cli("project", "create", "bench")
        self.environment["MESCLUN_API_KEY"] = self.cli(
            "key", "create", "--user", "bench", "--organization", "bench")["key"]

    def start_agent(self, name: str, arguments: list[str] | None = None) -> int:
        return self.run.start(name, [self.program, "agent", "--cloud", f"127.0.0.1:{self.nodes}", "--name", name,
                                     "--data", str(self.folder / name), "--join-token-file",
                                     str(self.data / "join.token"), *(arguments or [])])

    def cli(self, *arguments: str) -> Any:
        done = subprocess.run([self.program, *arguments, "-o", "json"], capture_output=True, text=True, timeout=90,
                              env={**os.environ, **self.environment})
        if done.returncode != 0:
            raise RuntimeError(f"mesclun {' '.join(arguments)}: {done.stderr}")
        return json.loads(done.stdout) if done.stdout.strip() else None

    def create_group(self, spec: dict[str, Any]) -> str:
        """Its host name, once all replicas serve."""
        file = self.folder / "group.json"
        file.write_text(json.dumps(spec))
        self.cli("group", "create", "-f", str(file), "--wait")
        host = str(self.cli("group", "get", spec["name"])["networking"]["dns"])
        wait_for_http(self.front, host)
        return host

    def patch(self, path: str, document: dict[str, Any]) -> None:
        """Of the project: "/containers/NAME"."""
        request = urllib.request.Request(
            f"http://127.0.0.1:{self.api}/api/public/organizations/bench/projects/bench{path}", method="PATCH",
            data=json.dumps(document).encode(), headers={"Salad-Api-Key": self.environment["MESCLUN_API_KEY"],
                                                         "Content-Type": "application/merge-patch+json"})
        with urllib.request.urlopen(request, timeout=30):
            pass


def start_ours(run: Processes, folder: pathlib.Path, mesclun: pathlib.Path) -> dict[str, tuple[int, str, list[int]]]:
    """Name to (port, host, pids)."""
    cloud = Cloud(run, folder, mesclun)
    agent = cloud.start_agent("node")
    conf = answer_conf(subfolder(folder, "application"), 8080)
    host = cloud.create_group({
        "name": "bench", "replicas": 1, "autostart_policy": True, "restart_policy": "always",
        "container": {"image": "nginx", "resources": {"cpu": 1, "memory": 1024},
                      "command": [shutil.which("nginx", path=PATH) or "nginx", "-p", str(folder), "-c", str(conf)]},
        "networking": {"protocol": "http", "port": 8080, "auth": False}})
    return {"mesclun gateway": (cloud.front, host, [cloud.gateway]), "mesclun agent": (cloud.front, host, [agent])}


def load(port: int, host: str, seconds: int) -> int:
    """The number of requests answered by 200."""
    out = subprocess.run(["wrk", "-t1", f"-c{CONNECTIONS}", f"-d{seconds}s", "-H", f"Host: {host}",
                          f"http://127.0.0.1:{port}/"], capture_output=True, text=True, check=True).stdout
    if "Non-2xx" in out or "Socket errors" in out:
        raise RuntimeError(f"wrk met errors at {host}:{port}:\n{out}")
    return int(re.search(r"(\d+) requests in", out)[1])  # type: ignore[index]


def measure(subjects: dict[str, tuple[int, str, list[int]]]) -> dict[str, list[float]]:
    """Microseconds of CPU per request, by subject, one value a round. Subjects on one port share a load."""
    results: dict[str, list[float]] = {name: [] for name in subjects}
    fronts = {(port, host): [n for n, s in subjects.items() if s[0] == port] for port, host, _ in subjects.values()}
    for port, host in fronts:
        load(port, host, WARM_SECONDS)
    for _ in range(ROUNDS):
        for (port, host), names in fronts.items():
            before = {name: cpu_seconds(subjects[name][2]) for name in names}
            requests = load(port, host, SECONDS)
            for name in names:
                results[name].append(1e6 * (cpu_seconds(subjects[name][2]) - before[name]) / requests)
    return results


@contextlib.contextmanager
def everything(mesclun: pathlib.Path) -> Iterator[dict[str, tuple[int, str, list[int]]]]:
    with tempfile.TemporaryDirectory(prefix="mesclun-bench-") as name:
        folder = pathlib.Path(name)
        run = Processes(folder)
        try:
            yield {**start_peers(run, folder), **start_ours(run, folder, mesclun)}
        finally:
            run.stop()


def gateway_rows(mesclun: pathlib.Path) -> list[dict[str, Any]]:
    with everything(mesclun) as subjects:
        results = {name: sorted(values)[len(values) // 2] for name, values in measure(subjects).items()}
    case = f"small keep-alive request, {CONNECTIONS} connections"
    rows = []
    for subject, peer in (("mesclun gateway", "haproxy"), ("mesclun gateway", "nginx"),
                          ("mesclun agent", None), ("haproxy", None), ("nginx", None)):
        rows.append({"bench": "gateway", "case": case, "subject": subject, "peer": peer, "metric": "cpu_per_request",
                     "value": round(results[subject], 2), "unit": "us",
                     "ratio": round(results[subject] / results[peer], 3) if peer else None})
    return rows
