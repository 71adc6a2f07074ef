"""Load balancing over uneven machines: p50 and p99 of each algorithm, of HAProxy's leastconn, and of one ideal queue.

Seven instances that do one thing at a time, one of which is four times and two twice as fast as the others. The length
of a request is as uneven as in image generation: log-normal, squared coefficient of variation 2. Requests come by
chance, at 70 % of what the instances can do together, the same ones at the same times to each subject. The ideal queue
is computed from these: the fastest free instance takes the oldest request. Work is sleep, so the machine's own speed
hardly counts.
"""

from __future__ import annotations

import asyncio
import heapq
import json
import math
import pathlib
import random
import sys
import tempfile
import time
from typing import Any

from bench_gateway import Cloud, Processes, free_port, start_haproxy, wait_for_http

SERVER = pathlib.Path(__file__).resolve().parent / "bench_servers" / "one_at_a_time.py"
MEANS = [0.05, 0.1, 0.1, 0.2, 0.2, 0.2, 0.2]  # seconds, of each instance
LOAD = 0.7
SECONDS = 60
WARM = 1 / 3  # of the requests; what they teach the gateway is part of the rest
SEED = 11

Request = tuple[float, float]  # when, and how long on an instance of mean 1


def make_requests() -> list[Request]:
    chance = random.Random(SEED)
    sigma = math.sqrt(math.log(3))
    rate = LOAD * sum(1 / mean for mean in MEANS)
    requests, at = [], 0.0
    while at < SECONDS:
        at += chance.expovariate(rate)
        requests.append((at, math.exp(chance.gauss(-sigma * sigma / 2, sigma))))
    return requests


def ideal(requests: list[Request]) -> list[float]:
    """Seconds from each request to its answer, with one queue."""
    free = sorted(MEANS)
    busy: list[tuple[float, float]] = []  # (until, mean)
    times, now = [], 0.0
    for at, work in requests:
        now = max(now, at)
        while busy and (busy[0][0] <= now or not free):
            until, mean = heapq.heappop(busy)
            now = max(now, until)
            free.append(mean)
        free.sort()
        mean = free.pop(0)
        heapq.heappush(busy, (now + work * mean, mean))
        times.append(now + work * mean - at)
    return times


async def call(port: int, host: str, work: float) -> None:
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    try:
        writer.write(f"GET / HTTP/1.1\r\nHost: {host}\r\nX-Work: {work:.6f}\r\nConnection: close\r\n\r\n".encode())
        answer = await reader.read(64)
        if b" 200 " not in answer:
            raise RuntimeError(f"port {port} answered {answer!r}")
    finally:
        writer.close()


async def measure(port: int, host: str, requests: list[Request]) -> list[float]:
    began = time.monotonic()

    async def one(at: float, work: float) -> float:
        await asyncio.sleep(max(0.0, began + at - time.monotonic()))
        before = time.monotonic()
        await call(port, host, work)
        return time.monotonic() - before

    return list(await asyncio.gather(*(one(at, work) for at, work in requests)))


def quantiles(times: list[float]) -> tuple[float, float]:
    kept = sorted(times[int(len(times) * WARM):])
    return kept[len(kept) // 2], kept[len(kept) * 99 // 100]


def start_peer(run: Processes, folder: pathlib.Path) -> int:
    front = free_port()
    servers = "  balance leastconn\n"
    for number, mean in enumerate(MEANS):
        port = free_port()
        run.start(f"server-{number}", [sys.executable, str(SERVER), str(port), str(mean)])
        wait_for_http(port, "localhost")
        servers += f"  server s{number} 127.0.0.1:{port}\n"
    start_haproxy(run, folder, front, servers)
    wait_for_http(front, "localhost")
    return front


def start_group(cloud: Cloud, folder: pathlib.Path) -> str:
    for number in range(len(MEANS)):
        cloud.start_agent(f"node-{number}", ["--memory", "2GiB", "--cpu", "1"])
    end = time.monotonic() + 30
    while len(nodes := cloud.cli("node", "list")["items"]) < len(MEANS):
        if time.monotonic() > end:
            raise RuntimeError(f"only {len(nodes)} of {len(MEANS)} nodes came")
        time.sleep(0.2)
    speeds = folder / "speeds.json"
    by_name = sorted(nodes, key=lambda node: node["hostname"])
    speeds.write_text(json.dumps({node["machine_id"]: mean for node, mean in zip(by_name, MEANS, strict=True)}))
    return cloud.create_group({
        "name": "balance", "replicas": len(MEANS), "autostart_policy": True, "restart_policy": "always",
        "container": {"image": "python", "resources": {"cpu": 1, "memory": 2048},
                      "command": [sys.executable, str(SERVER), "8080", str(speeds)]},
        "readiness_probe": {"tcp": {"port": 8080}, "initial_delay_seconds": 0, "period_seconds": 1, "timeout_seconds": 1,
                            "success_threshold": 1, "failure_threshold": 3},
        "networking": {"protocol": "http", "port": 8080, "auth": False}})


def set_algorithm(cloud: Cloud, algorithm: str) -> None:
    cloud.patch("/containers/balance", {"networking": {"load_balancer": algorithm}})
    time.sleep(1)  # for the gateway to hear of it


def balance_rows(mesclun: pathlib.Path) -> list[dict[str, Any]]:
    requests = make_requests()
    results = {"ideal queue": quantiles(ideal(requests))}
    with tempfile.TemporaryDirectory(prefix="mesclun-bench-") as name:
        folder = pathlib.Path(name)
        run = Processes(folder)
        try:
            haproxy = start_peer(run, folder)
            results["haproxy leastconn"] = quantiles(asyncio.run(measure(haproxy, "localhost", requests)))
            cloud = Cloud(run, folder, mesclun)
            host = start_group(cloud, folder)
            for algorithm in ("adaptive", "least_number_of_connections", "round_robin"):
                set_algorithm(cloud, algorithm)
                results[algorithm] = quantiles(asyncio.run(measure(cloud.front, host, requests)))
        finally:
            run.stop()
    case = f"7 instances 4:2:1, load {LOAD}, heavy tail"
    return [{"bench": "balance", "case": case, "subject": subject, "peer": "ideal queue", "metric": metric,
             "value": round(1e3 * results[subject][index], 1), "unit": "ms",
             "ratio": round(results[subject][index] / results["ideal queue"][index], 3)}
            for subject in results for index, metric in enumerate(("p50", "p99"))]
