"""The cloud of the demo: `mesclun up` as a child process, the command line on top of it, and a way to lose a node."""

from __future__ import annotations

import contextlib
import datetime
import json
import os
import pathlib
import queue
import shutil
import signal
import socket
import subprocess
import threading
import time
import uuid
from typing import Any

import engine
import processes
from children import JsonLines, die_with_parent
from report import Node

START_SECONDS_MAX = 60
STOP_SECONDS_MAX = 30


class CloudError(Exception):
    """Something the demo cannot go on without; the text says what and where to look."""


def _is_free(port: int) -> bool:
    with socket.socket() as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind(("127.0.0.1", port))
        except OSError:
            return False
        return True


class Cloud:
    """Owns the `mesclun up` process and everything below it, until stop()."""

    def __init__(self, mesclun: pathlib.Path, folder: pathlib.Path, runtime: str) -> None:
        self.mesclun = mesclun
        self.runtime = runtime
        self.data = (folder / "cloud").resolve()
        self.log = (folder / "up.log").resolve()
        self.context = (folder / "context.json").resolve()
        self.api = self.gateway = self.api_key = ""
        self.warnings: list[str] = []  # what this machine denies the nodes, known after nodes()
        self._up: subprocess.Popen[str] | None = None
        # In the environment of `up` and so of all its children: how stop() finds any that were left over.
        self._mark = f"demo-{uuid.uuid4()}"
        self._machines: set[str] = set()
        self._killed: dict[str, float] = {}  # by machine: time of day
        self._specs: list[dict[str, Any]] = []

    def start(self, specs: list[dict[str, Any]]) -> None:
        self._specs = specs
        self._remove_containers()
        shutil.rmtree(self.data, ignore_errors=True)
        self.data.mkdir(parents=True, mode=0o700)
        command = [str(self.mesclun), "up", "--nodes", str(len(specs)), "--data", str(self.data),
                   "--runtime", self.runtime, "--no-agent-restarts"]  # a killed machine stays away
        for flag, port in (("--api", 8800), ("--gateway", 8801), ("--nodes-listen", 8802)):
            command += [flag, f"127.0.0.1:{port if _is_free(port) else 0}"]
        for spec in specs:
            command += ["--node", ",".join(f"{key}={value}" for key, value in spec.items())]
        with self.log.open("w") as log:
            self._up = subprocess.Popen(
                command, stdout=subprocess.PIPE, stderr=log, stdin=subprocess.DEVNULL, text=True,
                env={**os.environ, "MESCLUN_CONTEXT": str(self.context), "MESCLUN_DEMO_MARK": self._mark},
                # Ctrl-C is for this script, which then stops the cloud in order.
                start_new_session=True, preexec_fn=die_with_parent)
        self._wait_until_ready()

    def _wait_until_ready(self) -> None:
        lines: queue.Queue[str | None] = queue.Queue()

        def pump() -> None:
            assert self._up and self._up.stdout
            with self.log.open("a") as log:
                for line in self._up.stdout:
                    log.write(line)
                    log.flush()
                    lines.put(line)
            lines.put(None)

        threading.Thread(target=pump, daemon=True).start()
        end = time.monotonic() + START_SECONDS_MAX
        while True:
            try:
                line = lines.get(timeout=max(0.0, end - time.monotonic()))
            except queue.Empty:
                raise CloudError(f"mesclun up was not ready after {START_SECONDS_MAX} s\n{self.log_tail()}") from None
            if line is None:
                raise CloudError(f"mesclun up ended at once\n{self.log_tail()}")
            if line.startswith("ready "):
                said = dict(word.split("=", 1) for word in line.split() if "=" in word)
                self.api, self.gateway, self.api_key = said["api"], said["gateway"], said["api_key"]
                return

    def log_tail(self, lines: int = 15) -> str:
        text = self.log.read_text(errors="replace").splitlines()[-lines:] if self.log.exists() else []
        return "\n".join([f"the end of {self.log}:", *("  " + line for line in text)])

    def gateway_address(self) -> str:
        return self.gateway.removeprefix("http://").rstrip("/")

    def check_alive(self) -> None:
        if self._up is None or self._up.poll() is not None:
            status = self._up.returncode if self._up else None
            raise CloudError(f"mesclun up ended (status {status})\n{self.log_tail()}")

    def cli(self, *arguments: str, seconds: float = 60) -> str:
        """Runs a command of `mesclun` against this cloud; its standard output."""
        try:
            done = subprocess.run(
                [str(self.mesclun), *arguments], capture_output=True, text=True, timeout=seconds,
                stdin=subprocess.DEVNULL, env={**os.environ, "MESCLUN_CONTEXT": str(self.context)})
        except subprocess.TimeoutExpired:
            raise CloudError(f"mesclun {' '.join(arguments)} took over {seconds:.0f} s\n{self.log_tail()}") from None
        if done.returncode != 0:
            raise CloudError(f"mesclun {' '.join(arguments)} failed ({done.returncode}): {done.stderr.strip()}\n"
                             f"{self.log_tail()}")
        return done.stdout

    def cli_json(self, *arguments: str) -> Any:
        return json.loads(self.cli(*arguments, "-o", "json"))

    def follow_logs(self, group: str, log: pathlib.Path) -> JsonLines:
        """What the instances of the group print, from the newest lines on."""
        command = [str(self.mesclun), "logs", group, "--follow", "--tail", "1000", "--output", "json"]
        return JsonLines(command, log, {**os.environ, "MESCLUN_CONTEXT": str(self.context)})

    def instances(self, group: str) -> list[dict[str, Any]]:
        instances: list[dict[str, Any]] = self.cli_json("instance", "list", group)["instances"]
        return instances

    def nodes(self) -> list[Node]:
        """The nodes in the order of their specs, as the cloud knows them."""
        listed = {item["hostname"]: item for item in self.cli_json("node", "list")["items"]}
        self.warnings = sorted({warning for item in listed.values() for warning in item["warnings"]})
        found = []
        for spec in self._specs:
            item = listed.get(spec["name"])
            if item is None:
                raise CloudError(f"node {spec['name']} is not in `mesclun node list`\n{self.log_tail()}")
            found.append(Node(item["hostname"], item["machine_id"], item["country"], int(item["cpu_share_percent"])))
        self._machines = {node.machine_id for node in found}
        return found

    def kill_node(self, node: Node) -> tuple[int, float]:
        """Takes the power from a node: SIGKILL to its agent and everything it runs.

        Returns the number of processes and the time at which the agent, through which all traffic goes, was gone.
        """
        number = next(i for i, spec in enumerate(self._specs, start=1) if spec["name"] == node.name)
        folder = self.data / "nodes" / str(number)
        agent = int((folder / "agent.pid").read_text())

        def of_node(pid: int) -> bool:
            return (processes.belongs_to_folder(pid, folder)
                    or processes.environment_of(pid).get("SALAD_MACHINE_ID") == node.machine_id)

        # The agent first: nobody is left to report that the others ended.
        count, moment = processes.kill_all([agent], of_node)
        self._killed[node.machine_id] = time.time() - (time.monotonic() - moment)
        return count, moment

    def tunnel_down_after(self, node: Node) -> float | None:
        """Seconds from the end of a killed node until the gateway noticed that its tunnel was gone."""
        for line in self.log.read_text(errors="replace").splitlines():
            if "gateway: tunnel down" in line and f"machine={node.machine_id}" in line:
                noticed = datetime.datetime.fromisoformat(line.split()[0].replace("Z", "+00:00")).timestamp()
                seconds = noticed - self._killed[node.machine_id]
                # Our own clock was read a moment after the kill.
                if seconds > -1:
                    return max(0.0, seconds)
        return None

    def stop(self) -> None:
        """Ends everything, in order if `up` still can, by force where it did not."""
        if self._up is None:
            return
        if self._up.poll() is None:
            self._up.send_signal(signal.SIGTERM)
            try:
                self._up.wait(STOP_SECONDS_MAX)
            except subprocess.TimeoutExpired:
                print(f"mesclun up did not end in {STOP_SECONDS_MAX} s and was killed\n{self.log_tail()}")
                self._up.kill()
                self._up.wait()
        left = processes.find(self._is_ours)
        if left:
            print(f"mesclun up left {len(left)} processes behind; killed them")
            processes.kill_all(sorted(left), self._is_ours)
        self._remove_control_groups()
        self._remove_containers()
        self._up = None

    def _remove_containers(self) -> None:
        """Likewise, and those of a demo that was killed itself."""
        if self.runtime != "docker":
            return
        with contextlib.suppress(engine.EngineError):
            for number in range(1, len(self._specs) + 1):
                engine.remove_containers(self.data / "nodes" / str(number) / "docker")

    def _remove_control_groups(self) -> None:
        """Those of the killed node: its agent, who would have removed them, is gone."""
        for run in self.data.glob("nodes/*/process/runs/*"):
            for group in pathlib.Path("/sys/fs/cgroup").glob(f"**/mesclun/{run.name}"):
                with contextlib.suppress(OSError):
                    group.rmdir()

    def _is_ours(self, pid: int) -> bool:
        environment = processes.environment_of(pid)
        return (environment.get("MESCLUN_DEMO_MARK") == self._mark or processes.belongs_to_folder(pid, self.data)
                or environment.get("SALAD_MACHINE_ID") in self._machines)
