"""A real cloud for tests: `mesclun up` as a child process over a folder of its own, and the command line on top."""

from __future__ import annotations

import dataclasses
import itertools
import json
import os
import pathlib
import queue
import shutil
import signal
import subprocess
import threading
import time
from typing import Any

import processes
from http_call import Api
from ports import free_address
from waiting import wait_for

REPOSITORY = pathlib.Path(__file__).resolve().parent.parent
BINARY = pathlib.Path(os.environ.get("MESCLUN_BIN", REPOSITORY / "build/dev/bin/mesclun")).resolve()
START_SECONDS_MAX = 60
STOP_SECONDS_MAX = 40

_numbers = itertools.count(1)


@dataclasses.dataclass
class CommandResult:
    status: int
    out: str
    err: str

    @property
    def json(self) -> Any:
        assert self.status == 0, self
        return json.loads(self.out)


def address_in(url: str) -> str:
    """HOST:PORT of an address as ready lines print it."""
    return url.removeprefix("http://").split("/")[0]


class Cloud:
    """Owns `mesclun up` and everything below it, until stop()."""

    def __init__(self, folder: pathlib.Path, nodes: int = 3, arguments: list[str] | None = None) -> None:
        self.folder = folder.resolve()
        self.data = self.folder / "data"
        self.log = self.folder / "up.log"
        self.context = self.folder / "context.json"
        self.node_count = nodes
        self.arguments = arguments or []
        self.api_address = "127.0.0.1:0"
        self.gateway_address = "127.0.0.1:0"
        # Never printed, and the same after a restart, because agents dial it.
        self.nodes_address = free_address()
        self.organization = self.project = self.api_key = ""
        self.settings: dict[str, str] = {}  # more of its environment
        self._up: subprocess.Popen[str] | None = None

    # ---- life of the cloud ----

    def command(self) -> list[str]:
        return [str(BINARY), "up", "--nodes", str(self.node_count), "--data", str(self.data),
                "--api", self.api_address, "--gateway", self.gateway_address,
                # A killed node is a machine that vanished, unless a test wants the agents back.
                "--nodes-listen", self.nodes_address, "--no-agent-restarts", *self.arguments]

    def environment(self) -> dict[str, str]:
        # Nothing of the surroundings may leak in: a context of its own, no MESCLUN_* settings.
        kept = {name: value for name, value in os.environ.items() if not name.startswith("MESCLUN_")}
        # Whatever engine runs on this machine: applications are its programs, unless a test says otherwise.
        runtime = {"MESCLUN_UP_RUNTIME": "process", "MESCLUN_AGENT_RUNTIME": "process"}
        return {**kept, **runtime, "MESCLUN_CONTEXT": str(self.context), **self.settings}

    def start(self) -> None:
        self.folder.mkdir(parents=True, exist_ok=True)
        self._up = self.spawn(self.command())
        ready = self.ready_line(self._up)
        # A restart takes the same addresses, so that SDKs and agents find it again.
        self.api_address = address_in(ready["api"])
        self.gateway_address = address_in(ready["gateway"])
        self.organization, self.project, self.api_key = ready["organization"], ready["project"], ready["api_key"]

    def spawn(self, command: list[str]) -> subprocess.Popen[str]:
        with self.log.open("a") as log:
            return subprocess.Popen(command, stdout=subprocess.PIPE, stderr=log, text=True, stdin=subprocess.DEVNULL,
                                    env=self.environment(), start_new_session=True)

    def ready_line(self, process: subprocess.Popen[str]) -> dict[str, str]:
        lines: queue.Queue[str | None] = queue.Queue()

        def pump() -> None:
            # Read to the end: a full pipe would stop the process.
            for line in process.stdout or ():
                lines.put(line)
            lines.put(None)

        threading.Thread(target=pump, daemon=True).start()
        end = time.monotonic() + START_SECONDS_MAX
        while True:
            try:
                line = lines.get(timeout=max(0.0, end - time.monotonic()))
            except queue.Empty:
                raise AssertionError(f"no ready line within {START_SECONDS_MAX} s\n{self.log_tail()}") from None
            assert line is not None, f"ended with {process.wait()}: {process.args}\n{self.log_tail()}"
            if line.startswith("ready "):
                return dict(word.split("=", 1) for word in line.split()[1:])

    def log_tail(self, lines: int = 30) -> str:
        text = self.log.read_text(errors="replace").splitlines() if self.log.exists() else []
        return "\n".join(text[-lines:])

    def stop(self) -> int | None:
        """Ends it in order and returns its exit status; whatever it left behind is killed and is a failure."""
        if self._up is None:
            return None
        if self._up.poll() is None:
            self._up.send_signal(signal.SIGINT)
        try:
            status = self._up.wait(STOP_SECONDS_MAX)
        except subprocess.TimeoutExpired:
            self.kill_everything()
            raise AssertionError(f"mesclun up did not end within {STOP_SECONDS_MAX} s\n{self.log_tail()}") from None
        self._up = None
        left = processes.find(processes.of_folder(self.folder))
        self.kill_everything()
        assert not left, f"left behind: {left}"
        return status

    def kill_everything(self) -> None:
        first = [self._up.pid] if self._up else []
        machines = set(self.machine_ids().values())
        in_folder = processes.of_folder(self.folder)
        processes.kill_all(first, lambda process: in_folder(process)
                           or process.environment.get("SALAD_MACHINE_ID") in machines)
        if self._up:
            self._up.wait()
            self._up = None

    def kill_up(self) -> None:
        """SIGKILL to `mesclun up` itself: API, placement and gateway. Its agents end with it."""
        assert self._up
        self._up.kill()
        self._up.wait()
        self._up = None

    @property
    def process(self) -> subprocess.Popen[str]:
        assert self._up
        return self._up

    # ---- machines ----

    def node_folder(self, number: int) -> pathlib.Path:
        return self.data / "nodes" / str(number)

    def machine_ids(self) -> dict[int, str]:
        """Node number to machine id, of the nodes that have one."""
        found = {}
        for number in range(1, self.node_count + 1):
            path = self.node_folder(number) / "machine_id"
            if path.exists():
                found[number] = path.read_text().strip()
        return found

    def node_of(self, machine_id: str) -> int:
        return next(number for number, found in self.machine_ids().items() if found == machine_id)

    def agent_pid(self, number: int) -> int:
        path = self.node_folder(number) / "agent.pid"
        # Empty for a moment while another agent writes it.
        return int(wait_for(path.read_text, "the agent's process id", 10))

    def kill_node(self, number: int) -> None:
        """Takes the power from a machine: its agent first, so that nobody reports that the rest ended."""
        machine_id = self.machine_ids()[number]
        in_folder = processes.of_folder(self.node_folder(number))
        processes.kill_all([self.agent_pid(number)], lambda process: in_folder(process)
                           or process.environment.get("SALAD_MACHINE_ID") == machine_id)

    def nodes(self) -> list[dict[str, Any]]:
        return self.operator().get("/api/operator/nodes").json["items"]

    def wait_for_nodes(self, seconds: float = 30) -> None:
        def online() -> bool:
            states = [node["state"] for node in self.nodes()]
            return states.count("online") >= self.node_count
        wait_for(online, f"{self.node_count} nodes online", seconds)

    # ---- callers ----

    def context_values(self) -> dict[str, str]:
        """The current context of the context file; a file may also hold one context's values themselves."""
        written = json.loads(self.context.read_text())
        return written["contexts"][written["current"]] if "contexts" in written else written

    def operator(self) -> Api:
        key = self.context_values()["operator_key"]
        return Api(self.api_address, key, self.organization, self.project)

    def new_key(self, *organizations: str) -> str:
        """A key of its own for a test, so that the rate limit of one test is not another's."""
        reply = self.operator().post("/api/operator/keys", {
            "user": f"tester-{next(_numbers)}", "organizations": list(organizations or (self.organization,))})
        assert reply.status == 201, reply
        return reply.json["key"]

    def api(self) -> Api:
        return Api(self.api_address, self.new_key(), self.organization, self.project)

    def cli(self, *arguments: str, input: str | None = None, seconds: float = 90,
            environment: dict[str, str] | None = None) -> CommandResult:
        done = subprocess.run([str(BINARY), *arguments], capture_output=True, text=True, timeout=seconds, input=input,
                              stdin=None if input is not None else subprocess.DEVNULL,
                              env={**self.environment(), **(environment or {})})
        return CommandResult(done.returncode, done.stdout, done.stderr)

    def remove(self) -> None:
        shutil.rmtree(self.folder, ignore_errors=True)


class RolesCloud(Cloud):
    """The same cloud as separate processes, as a fleet runs them, so that each can die alone."""

    def __init__(self, folder: pathlib.Path, nodes: int = 3, arguments: list[str] | None = None) -> None:
        super().__init__(folder, nodes, arguments)
        self._running: dict[str, subprocess.Popen[str]] = {}
        self.gateway_arguments = ["--tunnels", "127.0.0.1:0"]
        self.agents_dial = self.nodes_address  # those that start from now on
        self.agent_memory = "4GiB"
        self.agent_arguments: list[str] = []
        self.tls_address = ""

    def start(self) -> None:
        self.folder.mkdir(parents=True, exist_ok=True)
        self.start_control_plane()
        self._make_user()
        self.start_gateway()
        for number in range(1, self.node_count + 1):
            self.start_agent(number)

    def start_gateway(self) -> None:
        ready = self._start("gateway", [
            "gateway", "--listen", self.gateway_address, "--cloud", self.nodes_address,
            "--gateway-token-file", str(self.data / "gateway.token"), *self.gateway_arguments])
        self.gateway_address = address_in(ready["gateway"])
        self.tls_address = ready.get("tls", "")

    def _start(self, name: str, words: list[str]) -> dict[str, str]:
        self._running[name] = self.spawn([str(BINARY), *words])
        return self.ready_line(self._running[name])

    def start_control_plane(self) -> None:
        ready = self._start("cloud", ["cloud", "--data", str(self.data), "--api", self.api_address,
                                      "--nodes-listen", self.nodes_address, *self.arguments])
        self.api_address = address_in(ready["api"])

    def _make_user(self) -> None:
        self.organization, self.project = "local", "default"
        operator_key = (self.data / "operator.key").read_text().strip()
        self.context.write_text(json.dumps({"api": self.api_address, "operator_key": operator_key}))
        operator = self.operator()
        operator.post("/api/operator/organizations", {"name": self.organization})
        operator.post(f"/api/operator/organizations/{self.organization}/projects", {"name": self.project})
        self.api_key = self.new_key()
        self.context.write_text(json.dumps({
            "api": self.api_address, "operator_key": operator_key, "api_key": self.api_key,
            "organization": self.organization, "project": self.project}))

    def start_agent(self, number: int) -> None:
        folder = self.node_folder(number)
        folder.mkdir(parents=True, exist_ok=True, mode=0o700)
        agent = self.spawn([
            str(BINARY), "agent", "--cloud", self.agents_dial, "--join-token-file", str(self.data / "join.token"),
            "--data", str(folder), "--name", f"node-{number}", "--memory", self.agent_memory, "--stop-grace", "5s",
            *self.agent_arguments])
        (folder / "agent.pid").write_text(str(agent.pid))
        self._running[f"agent {number}"] = agent

    def role(self, name: str) -> subprocess.Popen[str]:
        """Cloud, gateway, or agent N."""
        return self._running[name]

    def kill(self, name: str) -> None:
        """SIGKILL to one process: cloud, gateway, or agent N."""
        process = self._running.pop(name)
        process.kill()
        process.wait()

    def kill_everything(self) -> None:
        super().kill_everything()
        for process in self._running.values():
            process.wait()
        self._running.clear()


def unique_name(prefix: str = "e2e") -> str:
    """Names are never used twice, not even after a deletion."""
    return f"{prefix}-{os.getpid() % 100_000}-{next(_numbers)}"
