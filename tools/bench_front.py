"""mesclun-app's front beside other ways to put a batching server before a model: the same fake model behind each.

The model sleeps for a fixed time per batch of 8, as if a GPU worked, so its capacity is known, and what differs is the
server. Peers: the published single-process pattern on Flask and on FastAPI, LitServe, BentoML; from PyPI, in a virtual
environment of their own, and left out with a line that says so where that does not install. Each has the settings that
served it best here.

* closed loop (wrk): throughput, latency, batch fill, CPU per request of all processes of the server, and how long a
  health query takes meanwhile. Ours is two processes, the companion and the application; what the companion alone uses
  is a row of its own.
* open loop at twice the capacity, with a deadline: the answers in time, as a share of the capacity. Callers leave at
  their deadline, as real ones do.
"""

from __future__ import annotations

import asyncio
import contextlib
import dataclasses
import http.client
import json
import os
import pathlib
import signal
import statistics
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Iterator
from typing import Any

from bench_gateway import TICKS, free_port

ROOT = pathlib.Path(__file__).resolve().parent.parent
SERVERS = ROOT / "tools/bench_servers"
VENV = ROOT / "build/bench-venv"
PYTHON = VENV / "bin/python"

BATCH = 8  # as in bench_servers/fake_model.py
QUEUE_MAX = 64
CONNECTIONS = 32  # four batches' worth: the model never waits for the callers
SLOW_BATCH_SECONDS, FAST_BATCH_SECONDS = 0.02, 0.002
WARM_SECONDS, CLOSED_SECONDS, ROUNDS = 1, 3, 3
OPEN_SECONDS, OPEN_DEADLINE_SECONDS = 5, 1.0
HEALTH_PERIOD_SECONDS = 0.02

OURS, OURS_ALONE = "mesclun-app + app", "mesclun-app alone"

WRK_SCRIPT = """
wrk.method = "POST"
wrk.body = '%s'
wrk.headers["Content-Type"] = "application/json"
done = function(summary, latency)
  print("RESULT " .. summary.requests .. " " .. summary.duration .. " " .. summary.errors.status .. " " ..
        latency:percentile(50) .. " " .. latency:percentile(99))
end
"""


@dataclasses.dataclass(frozen=True)
class Peer:
    name: str
    packages: tuple[str, ...]
    command: tuple[str, ...]  # {address} and {port} are filled in
    health: str = "/health"
    body: str = '{"data": 7}'


PEERS = (
    Peer("Flask pattern", ("flask==3.1.3",), (str(PYTHON), "flask_server.py", "{address}")),
    Peer("FastAPI pattern", ("fastapi==0.165.0", "uvicorn[standard]==0.54.0"),
         (str(PYTHON), "fastapi_server.py", "{address}")),
    Peer("LitServe", ("litserve==0.2.19",), (str(PYTHON), "litserve_server.py", "{address}")),
    Peer("BentoML", ("bentoml==1.4.40",), (str(VENV / "bin/bentoml"), "serve", "bentoml_server:Bench", "--host",
                                           "127.0.0.1", "--port", "{port}"), "/livez", '{"data": [7]}'),
)


def install(peer: Peer) -> bool:
    """False, and a line that says so, if pip cannot. Uses no network when it is there already."""
    stamp = VENV / f"{peer.name}.stamp"
    if stamp.exists() and stamp.read_text() == " ".join(peer.packages):
        return True
    if not PYTHON.exists():
        subprocess.run([sys.executable, "-m", "venv", str(VENV)], check=True)
    print(f"installing {' '.join(peer.packages)} into build/bench-venv", flush=True)
    done = subprocess.run([str(PYTHON), "-m", "pip", "install", "--quiet", "--disable-pip-version-check",
                           "--only-binary", ":all:", *peer.packages], capture_output=True, text=True, check=False)
    if done.returncode != 0:
        print(f"{peer.name} is not compared: pip cannot install it\n{done.stderr[-500:]}", flush=True)
        return False
    stamp.write_text(" ".join(peer.packages))
    return True


# ---- processes ----


def parents() -> dict[int, int]:
    found = {}
    for entry in pathlib.Path("/proc").iterdir():
        if entry.name.isdigit():
            with contextlib.suppress(OSError):
                found[int(entry.name)] = int((entry / "stat").read_text().rsplit(")", 1)[1].split()[1])
    return found


def tree(root: int) -> list[int]:
    """The process and all below it."""
    parent_of = parents()
    out = [root]
    for pid in out:
        out += [child for child, parent in parent_of.items() if parent == pid]
    return out


def cpu_seconds(pids: list[int]) -> float:
    total = 0
    for pid in pids:
        with contextlib.suppress(OSError):
            fields = pathlib.Path(f"/proc/{pid}/stat").read_text().rsplit(")", 1)[1].split()
            total += int(fields[11]) + int(fields[12])
    return total / TICKS


class Server:
    """One of the servers, running."""

    def __init__(self, name: str, port: int, health: str, body: str, process: subprocess.Popen[bytes],
                 counter: pathlib.Path, log: pathlib.Path) -> None:
        self.name, self.port, self.health, self.body = name, port, health, body
        self.process, self._counter, self._log = process, counter, log
        self._wait()

    def _wait(self) -> None:
        end = time.monotonic() + 60
        while not self._answers():
            if self.process.poll() is not None or time.monotonic() > end:
                raise RuntimeError(f"{self.name} does not serve:\n{self._log.read_text()[-2000:]}")
            time.sleep(0.1)

    def _answers(self) -> bool:
        with contextlib.suppress(OSError, http.client.HTTPException), contextlib.closing(
                http.client.HTTPConnection("127.0.0.1", self.port, timeout=5)) as connection:
            connection.request("POST", "/predict", self.body, {"Content-Type": "application/json"})
            reply = connection.getresponse()
            return b"49" in reply.read() and reply.status == 200
        return False

    def counts(self) -> tuple[int, int]:
        """Batches and items that the model has worked on."""
        data = self._counter.read_bytes()
        return int.from_bytes(data[:8], sys.byteorder), int.from_bytes(data[8:], sys.byteorder)

    def stop(self) -> None:
        for number in (signal.SIGTERM, signal.SIGKILL):
            with contextlib.suppress(ProcessLookupError):
                os.killpg(self.process.pid, number)
            with contextlib.suppress(subprocess.TimeoutExpired):
                self.process.wait(5)
        self.process.wait()


@contextlib.contextmanager
def running(name: str, command: list[str], port: int, health: str, body: str, batch_seconds: float,
            folder: pathlib.Path) -> Iterator[Server]:
    counter, log = folder / "counter", folder / f"{name}.log"
    counter.write_bytes(bytes(16))
    environment = {**os.environ, "BENCH_BATCH_SECONDS": str(batch_seconds), "BENCH_COUNTER": str(counter),
                   "BENTOML_DO_NOT_TRACK": "True", "BENTOML_HOME": str(folder / "bentoml")}
    with log.open("ab") as out:
        process = subprocess.Popen(command, cwd=SERVERS, env=environment, stdin=subprocess.DEVNULL, stdout=out,
                                   stderr=out, start_new_session=True)
    server = None
    try:
        server = Server(name, port, health, body, process, counter, log)
        yield server
    finally:
        if server:
            server.stop()
        else:
            os.killpg(process.pid, signal.SIGKILL)
            process.wait()


def start_peer(peer: Peer, batch_seconds: float, folder: pathlib.Path) -> contextlib.AbstractContextManager[Server]:
    port = free_port()
    command = [word.format(address=f"127.0.0.1:{port}", port=port) for word in peer.command]
    return running(peer.name, command, port, peer.health, peer.body, batch_seconds, folder)


def start_ours(companion: pathlib.Path, batch_seconds: float,
               folder: pathlib.Path) -> contextlib.AbstractContextManager[Server]:
    port, address = free_port(), f"unix:{folder}/app.sock"
    config = folder / "mesclun-app.yaml"
    config.write_text(json.dumps({
        "application": {"address": address, "check": {"path": "/health"}},
        # Two: the next batch is there already when the model has finished one.
        "front": {"listen": f"127.0.0.1:{port}", "queue_max": QUEUE_MAX, "concurrency": 2},
        "batch": {"paths": ["/predict"], "size_max": BATCH, "wait_max": "10ms"}, "log": {"level": "warning"}}))
    return running(OURS, [str(companion), "--config", str(config), "--", sys.executable, "helper_server.py", address],
                   port, "/health", '{"data": 7}', batch_seconds, folder)


# ---- closed loop ----


class HealthProbe:
    """Asks for health over and over from a thread; seconds of each answer."""

    def __init__(self, server: Server) -> None:
        self.seconds: list[float] = []
        self._server = server
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._run)

    def _run(self) -> None:
        connection = http.client.HTTPConnection("127.0.0.1", self._server.port, timeout=20)
        while not self._stop.wait(HEALTH_PERIOD_SECONDS):
            begun = time.monotonic()
            try:
                connection.request("GET", self._server.health)
                connection.getresponse().read()
            except (OSError, http.client.HTTPException):
                connection.close()
                continue
            self.seconds.append(time.monotonic() - begun)
        connection.close()

    def __enter__(self) -> HealthProbe:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._stop.set()
        self._thread.join()


def wrk(server: Server, seconds: int, script: pathlib.Path) -> tuple[int, float, float, float]:
    """Requests answered by 2xx, seconds, p50 and p99 in ms."""
    script.write_text(WRK_SCRIPT % server.body)
    out = subprocess.run(["wrk", "-t1", f"-c{CONNECTIONS}", f"-d{seconds}s", "--timeout", "10s", "-s", str(script),
                          f"http://127.0.0.1:{server.port}/predict"], capture_output=True, text=True, check=True).stdout
    line = next(line for line in out.splitlines() if line.startswith("RESULT "))
    requests, microseconds, errors, p50, p99 = (float(word) for word in line.split()[1:])
    return int(requests - errors), microseconds / 1e6, p50 / 1000, p99 / 1000


Values = dict[str, float]


def closed_loop(server: Server, folder: pathlib.Path, companion_pid: int | None) -> tuple[Values, Values]:
    """Medians over the rounds; and of the companion alone."""
    script = folder / "wrk.lua"
    wrk(server, WARM_SECONDS, script)
    rounds: list[Values] = []
    alone: list[Values] = []
    with HealthProbe(server) as probe:
        for _ in range(ROUNDS):
            pids = tree(server.process.pid)
            cpu, own = cpu_seconds(pids), cpu_seconds([companion_pid] if companion_pid else [])
            batches, items = server.counts()
            good, seconds, p50, p99 = wrk(server, CLOSED_SECONDS, script)
            batches_after, items_after = server.counts()
            rounds.append({"throughput": good / seconds, "p50": p50, "p99": p99,
                           "cpu_per_request": 1e6 * (cpu_seconds(pids) - cpu) / good,
                           "batch_fill": (items_after - items) / max(1, batches_after - batches) / BATCH})
            if companion_pid:
                alone.append({"cpu_per_request": 1e6 * (cpu_seconds([companion_pid]) - own) / good})
    health = sorted(probe.seconds)
    median = {name: statistics.median(one[name] for one in rounds) for name in rounds[0]}
    median["health_p99"] = 1000 * health[int(len(health) * 0.99)] if health else float("inf")
    return median, {name: statistics.median(one[name] for one in alone) for name in (alone[0] if alone else {})}


# ---- open loop ----


class OpenLoop:
    """Requests at a fixed rate whatever becomes of them; each caller leaves at its deadline."""

    def __init__(self, server: Server, rate: float) -> None:
        self._port = server.port
        self._rate = rate
        self._idle: list[tuple[asyncio.StreamReader, asyncio.StreamWriter]] = []
        body = server.body.encode()
        self._request = (b"POST /predict HTTP/1.1\r\nHost: bench\r\nContent-Type: application/json\r\n"
                         b"X-Request-Timeout-Ms: %d\r\nContent-Length: %d\r\n\r\n%s"
                         % (1000 * OPEN_DEADLINE_SECONDS, len(body), body))
        self.in_time = 0
        self.statuses: dict[str, int] = {}

    async def _exchange(self) -> bytes:
        """The status. The connection is kept unless it breaks or the caller leaves."""
        if self._idle:
            reader, writer = self._idle.pop()
        else:
            reader, writer = await asyncio.open_connection("127.0.0.1", self._port)
        keep = False
        try:
            writer.write(self._request)
            head = (await reader.readuntil(b"\r\n\r\n")).lower()
            length = head.split(b"content-length:", 1)
            if len(length) == 2:
                await reader.readexactly(int(length[1].split(b"\r\n", 1)[0]))
                keep = head.startswith(b"http/1.1") and b"connection: close" not in head
            else:
                await reader.read()
            return head[9:12]
        finally:
            if keep:
                self._idle.append((reader, writer))
            else:
                writer.close()

    async def _one(self) -> None:
        try:
            status = (await asyncio.wait_for(self._exchange(), OPEN_DEADLINE_SECONDS)).decode()
        except TimeoutError:
            status = "late"
        except (OSError, asyncio.IncompleteReadError, asyncio.LimitOverrunError):
            status = "broken"
        self.statuses[status] = self.statuses.get(status, 0) + 1

    async def _run(self) -> float:
        loop = asyncio.get_running_loop()
        tasks: set[asyncio.Task[None]] = set()
        begun = loop.time()
        sent = 0
        while (passed := loop.time() - begun) < OPEN_SECONDS:
            while sent < passed * self._rate:
                task = loop.create_task(self._one())
                tasks.add(task)
                task.add_done_callback(tasks.discard)
                sent += 1
            await asyncio.sleep(0.002)
        if tasks:
            await asyncio.wait(tasks)
        for _, writer in self._idle:
            writer.close()
        return loop.time() - begun

    def run(self) -> float:
        """Answers in time by the second."""
        asyncio.run(self._run())
        return self.statuses.get("200", 0) / OPEN_SECONDS


# ---- all of it ----

UNITS = {"throughput": "req/s", "p50": "ms", "p99": "ms", "cpu_per_request": "us", "batch_fill": "share",
         "health_p99": "ms", "goodput": "share"}


def measure(start: Any, ours: bool, folder: pathlib.Path) -> dict[tuple[str, str], Values]:
    """(case, "" or OURS_ALONE) to values of one server."""
    capacity = BATCH / SLOW_BATCH_SECONDS
    slow, fast = (f"{seconds * 1000:.0f} ms a batch of {BATCH}" for seconds in (SLOW_BATCH_SECONDS, FAST_BATCH_SECONDS))
    out: dict[tuple[str, str], Values] = {}
    for case, seconds in ((slow, SLOW_BATCH_SECONDS), (fast, FAST_BATCH_SECONDS)):
        with start(seconds) as server:
            pid = server.process.pid if ours else None
            out[case, ""], alone = closed_loop(server, folder, pid)
            if alone:
                out[case, OURS_ALONE] = alone
            if case == slow:
                out[f"{slow}, twice the load", ""] = {
                    "goodput": OpenLoop(server, 2 * capacity).run() / capacity}
    return out


def rows_of(results: dict[str, dict[tuple[str, str], Values]]) -> list[dict[str, Any]]:
    """`results` by server. A row of ours for each peer, with the ratio, and a row for each value of a peer."""
    rows = []

    def add(case: str, subject: str, metric: str, value: float, peer: str | None = None,
            ratio: float | None = None) -> None:
        rows.append({"bench": "front", "case": case, "subject": subject, "peer": peer, "metric": metric,
                     "value": round(value, 3), "unit": UNITS[metric],
                     "ratio": None if ratio is None else round(ratio, 3)})

    peers = [name for name in results if name != OURS]
    for (case, part), values in results.get(OURS, {}).items():
        for metric, value in values.items():
            for peer in peers or [None]:
                other = results[peer][case, ""][metric] if peer else 0.0
                add(case, part or OURS, metric, value, peer, value / other if other else None)
    for peer in peers:
        for (case, _), values in results[peer].items():
            for metric, value in values.items():
                add(case, peer, metric, value)
    return rows


def front_rows(companion: pathlib.Path, only: str = "") -> list[dict[str, Any]]:
    results: dict[str, dict[tuple[str, str], Values]] = {}
    with tempfile.TemporaryDirectory(prefix="mesclun-bench-") as name:
        folder = pathlib.Path(name)
        if companion.exists():
            results[OURS] = measure(lambda seconds: start_ours(companion, seconds, folder), True, folder)
        else:
            print(f"{companion} is not built: only the peers are measured", flush=True)
        for peer in PEERS:
            if only.lower() not in peer.name.lower() or not install(peer):
                continue
            try:
                results[peer.name] = measure(
                    lambda seconds, peer=peer: start_peer(peer, seconds, folder), False, folder)
            except (RuntimeError, subprocess.CalledProcessError) as error:
                print(f"{peer.name} is not compared: {error}", flush=True)
    return rows_of(results)
