"""What the agent takes from the machine that it lends, with containers of a Docker Engine of the benchmark's own:

resident memory and CPU without instances and with ten, CPU of one probe, and the time from a group's creation to its
running container, beside `docker run` of the same image in the same run. Needs root and dockerd.
"""

from __future__ import annotations

import datetime
import os
import pathlib
import statistics
import sys
import tempfile
import time
from typing import TYPE_CHECKING, Any

from bench_idle import resident

ROOT = pathlib.Path(__file__).resolve().parent.parent
sys.path.insert(0, str(ROOT / "e2e"))

if TYPE_CHECKING:
    from cloud import RolesCloud
    from engine import Engine

IMAGE = "e2e-busybox:1"
COMMAND = ["sleep", "1000000"]
INSTANCES = 10
ROUNDS = 7
WATCH_SECONDS = 30
MIB = 2**20
# What each says of the group's containers; all pass.
PROBES: dict[str, dict[str, Any]] = {
    "exec": {"exec": {"command": ["true"]}},
    "tcp": {"tcp": {"port": 8080}},
    "http": {"http": {"path": "/", "port": 8080, "scheme": "http"}},
}


def cpu_seconds(pid: int) -> float:
    """Of the process's threads, without its children: what they do is the instances'."""
    threads = pathlib.Path(f"/proc/{pid}/task").glob("*/schedstat")
    return sum(int(thread.read_text().split()[0]) for thread in threads) / 1e9


def cpu_while_watched(pid: int) -> float:
    """Seconds of CPU in a second."""
    before, begin = cpu_seconds(pid), time.monotonic()
    time.sleep(WATCH_SECONDS)
    return (cpu_seconds(pid) - before) / (time.monotonic() - begin)


def spec(name: str, command: list[str], replicas: int = 1, **changes: Any) -> dict[str, Any]:
    return {"name": name, "autostart_policy": True, "restart_policy": "always", "replicas": replicas,
            "container": {"image": IMAGE, "command": command, "resources": {"cpu": 1, "memory": 1024}}, **changes}


def seconds_to_running(api: Any, name: str) -> float:
    """By the group's own events: from its allocation to its running, on one machine's clock."""
    times = {event["event_name"]: datetime.datetime.fromisoformat(event["time"].replace("Z", "+00:00"))
             for event in api.events(name)}
    return (times["Instance Running"] - times["Instance Allocated"]).total_seconds()


def start_once(cloud: RolesCloud, api: Any, number: int) -> float:
    from groups import wait_until_gone, wait_until_serving
    name = f"start-{number}"
    api.create(spec(name, COMMAND))
    wait_until_serving(api, name)
    taken = seconds_to_running(api, name)
    api.delete(f"/containers/{name}")
    wait_until_gone(api, name)
    return taken


def docker_once(engine: Engine) -> float:
    begin = time.monotonic()
    container = engine.run("run", "-d", "--network", "none", IMAGE, *COMMAND).stdout.strip()
    taken = time.monotonic() - begin
    engine.run("rm", "-f", container)
    return taken


def with_instances(api: Any, agent: int, name: str, probe: dict[str, Any] | None) -> tuple[float, float]:
    """MiB, and seconds of CPU in a second, while ten instances of ten groups run."""
    from groups import wait_until_gone, wait_until_serving
    names = [f"{name}-{number}" for number in range(INSTANCES)]
    serve = ["sh", "-c", "mkdir -p /www; echo here > /www/index.html; exec httpd -f -p 8080 -h /www"]
    changes: dict[str, Any] = {}
    if probe is not None:
        changes["liveness_probe"] = {**probe, "initial_delay_seconds": 0, "period_seconds": 1, "timeout_seconds": 5,
                                     "success_threshold": 1, "failure_threshold": 20}
    for one in names:
        api.create(spec(one, serve if probe is not None else COMMAND, **changes))
    for one in names:
        wait_until_serving(api, one)
    time.sleep(2)
    taken = cpu_while_watched(agent)
    memory = resident([agent]) / MIB
    for one in names:
        api.delete(f"/containers/{one}")
    for one in names:
        wait_until_gone(api, one)
    return memory, taken


def agent_rows(binary: pathlib.Path) -> list[dict[str, Any]]:
    os.environ["MESCLUN_BIN"] = str(binary)
    from cloud import RolesCloud
    from engine import Engine, EngineRefused, missing
    if missing():
        print(f"agent: left out, not here: {missing()}", file=sys.stderr)
        return []
    try:
        engine = Engine()
    except EngineRefused as refused:
        print(f"agent: left out, this machine runs no engine: {refused}", file=sys.stderr)
        return []
    with tempfile.TemporaryDirectory() as folder:
        cloud = RolesCloud(pathlib.Path(folder) / "cloud", nodes=1)
        cloud.agent_arguments = ["--runtime", "docker", "--engine", f"unix:{engine.socket}", "--no-egress",
                                 "--cpu", "32"]
        cloud.agent_memory = "64GiB"
        try:
            cloud.start()
            cloud.wait_for_nodes()
            return measure(cloud, engine)
        except AssertionError:
            print(cloud.log_tail(), file=sys.stderr)
            raise
        finally:
            cloud.kill_everything()  # what its containers are ends with their engine
            engine.stop()


def row(case: str, metric: str, value: float, unit: str, peer: str | None = None,
        ratio: float | None = None) -> dict[str, Any]:
    return {"bench": "agent", "case": case, "subject": "mesclun agent", "peer": peer, "metric": metric,
            "value": round(value, 3), "unit": unit, "ratio": None if ratio is None else round(ratio, 3)}


def measure(cloud: RolesCloud, engine: Engine) -> list[dict[str, Any]]:
    api = cloud.api()
    agent = cloud.role("agent 1").pid
    time.sleep(2)
    idle = cpu_while_watched(agent)
    rows = [row("no instance", "resident_memory", resident([agent]) / MIB, "MiB"),
            row("no instance", "cpu_per_hour", idle * 3600, "s")]

    started, peers = [], []
    for number in range(ROUNDS):  # in turns, so that what disturbs one disturbs the other
        started.append(start_once(cloud, api, number))
        peers.append(docker_once(engine))
    ours, theirs = statistics.median(started), statistics.median(peers)
    rows.append(row("image present", "allocated_to_running", ours * 1000, "ms", "docker run", ours / theirs))
    rows.append(row("image present", "more_than_docker_run", (ours - theirs) * 1000, "ms"))

    memory, quiet = with_instances(api, agent, "rest", None)
    rows.append(row(f"{INSTANCES} instances", "resident_memory", memory, "MiB"))
    rows.append(row(f"{INSTANCES} instances", "cpu_per_hour", quiet * 3600, "s"))
    for kind, probe in PROBES.items():
        _, busy = with_instances(api, agent, kind, probe)
        rows.append(row(f"{kind} probe", "cpu_per_probe", (busy - quiet) / INSTANCES * 1000, "ms"))
    return rows
