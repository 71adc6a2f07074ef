"""`make demo`: an OCR service behind the companion on a cloud of unequal machines, one of which dies under load.

What it shows and how to read the table: docs/demo.md. Exit status 0 if every picture was read right, no request was
lost and the cloud replaced the dead node; 1 otherwise.
"""

from __future__ import annotations

import argparse
import contextlib
import fcntl
import http.client
import os
import pathlib
import shutil
import signal
import string
import sys
import time
from collections.abc import Iterator
from typing import Any

import core_speed
import engine
import images
import ocr_image
import report
from cloud import Cloud, CloudError
from core_speed import CoreSpeed
from load import Load, Request
from node_watch import NodeWatch

HERE = pathlib.Path(__file__).resolve().parent
ROOT = HERE.parent
GROUP = "ocr"

# Six machines of one name each, no two alike. Together they ask for more than two cores, any four of them for
# little more: that is where the different speeds come from, not from a crowded test machine.
NODES: list[dict[str, Any]] = [
    {"name": "rocket", "country": "us", "cpu-share": 80},
    {"name": "cress", "country": "de", "cpu-share": 60},
    {"name": "sorrel", "country": "jp", "cpu-share": 45},
    {"name": "chicory", "country": "br", "cpu-share": 35},
    {"name": "endive", "country": "ke", "cpu-share": 25},
    {"name": "lettuce", "country": "fr", "cpu-share": 20},
]

# What is slow and what is fast, in cores of this machine: two nodes each, and two between.
SLOW_BELOW_CORES, FAST_ABOVE_CORES = 0.3, 0.5
QUEUE_START = 10
# Fewer than fit into the queues to begin with; the client finds out how many it may send.
CONCURRENCY_FIRST, CONCURRENCY_MAX = 8, 20  # per replica

READY_SECONDS_MAX = 60
KILL_AFTER = 0.4  # of the requests
# After the kill: the grace before a silent node is replaced (20 s), the start of a slow one, its first picture, reserve.
REPLACED_SECONDS_MAX = 75
# So many answers of the replacement end the load, when the asked number of requests has been sent.
REPLACEMENT_ANSWERS = 5


class Progress:
    """A bar on a terminal, a line at each tenth elsewhere."""

    def __init__(self, total: int) -> None:
        self._total = total
        self._terminal = sys.stdout.isatty()
        self._tenth = 0

    def show(self, done: int, text: str) -> None:
        share = min(1.0, done / self._total)
        if self._terminal:
            bar = ("#" * int(30 * share)).ljust(30, ".")
            print(f"\r\033[K[{bar}] {done}/{self._total}  {text}", end="", flush=True)
        elif int(10 * share) > self._tenth:
            self._tenth = int(10 * share)
            print(f"{100 * share:3.0f} %  {done}/{self._total}  {text}", flush=True)

    def say(self, text: str) -> None:
        print(f"\r\033[K{text}" if self._terminal else text, flush=True)

    def close(self) -> None:
        if self._terminal:
            print(flush=True)


def parse_arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--mesclun", type=pathlib.Path, default=ROOT / "build/release/bin/mesclun")
    parser.add_argument("--mesclun-app", type=pathlib.Path, default=ROOT / "build/release/bin/mesclun-app")
    parser.add_argument("--folder", type=pathlib.Path, default=ROOT / "build/demo", help="pictures, data, logs")
    parser.add_argument("--pictures", type=int, default=300, help="different pictures (default %(default)s)")
    parser.add_argument("--requests", type=int, default=600,
                        help="at least so many, more until the replacement serves (default %(default)s)")
    parser.add_argument("--replicas", type=int, default=4, help="instances of the group (default %(default)s)")
    parser.add_argument("--seed", type=int, default=1, help="of the texts (default %(default)s)")
    parser.add_argument("--runtime", choices=("auto", "docker", "process"), default="auto",
                        help="how instances run (default: containers where Docker Engine answers and this is root)")
    parser.add_argument("--keep", action="store_true", help="leave the cloud running until Ctrl-C")
    options = parser.parse_args()
    if not 3 <= options.replicas < len(NODES):
        parser.error(f"--replicas must be 3 to {len(NODES) - 1}: one node more, to replace the dead one")
    if options.requests < 10 or options.pictures < 1:
        parser.error("--requests must be at least 10, --pictures 1")
    return options


@contextlib.contextmanager
def only_one(folder: pathlib.Path) -> Iterator[None]:
    with (folder / "lock").open("w") as lock:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            raise CloudError(f"another demo is running in {folder}") from None
        yield


def choose_runtime(options: argparse.Namespace) -> dict[str, str]:
    """How instances run (`runtime`), and where the parts of the application are for them."""
    why = ocr_image.why_no_containers(options.runtime)
    if why and options.runtime == "docker":
        raise CloudError(f"--runtime docker: {why}")
    if why:
        print(f"instances are processes of this machine: {why}", flush=True)
        return {"runtime": "process", "image": f"{ocr_image.REPOSITORY}:1", "python": sys.executable,
                "mesclun_app": str(options.mesclun_app.resolve()), "server": str(HERE / "ocr_server.py")}
    print(f"instances are containers: Docker Engine answers at {engine.SOCKET}", flush=True)
    progress = Progress(100)
    image = ocr_image.make_image(options.mesclun_app.resolve(), progress.say,
                                 lambda share: progress.show(int(100 * share), "per cent of the image"))
    progress.close()
    return {"runtime": "docker", "image": image, "python": str(ocr_image.PYTHON),
            "mesclun_app": ocr_image.COMPANION, "server": ocr_image.SERVER}


def write_group_file(options: argparse.Namespace, core: CoreSpeed, parts: dict[str, str]) -> pathlib.Path:
    template = string.Template((HERE / "ocr.yaml").read_text().replace(
        "fills in what begins with a dollar sign", "filled in the paths and the limits of the speed"))
    file: pathlib.Path = options.folder / "ocr.yaml"
    file.write_text(template.substitute(
        parts, slow_below=round(SLOW_BELOW_CORES * core.in_batches, 2),
        fast_above=round(FAST_ABOVE_CORES * core.in_batches, 2), queue_start=QUEUE_START, replicas=options.replicas))
    return file


def wait_until_ready(cloud: Cloud, replicas: int) -> list[dict[str, Any]]:
    end = time.monotonic() + READY_SECONDS_MAX
    while True:
        cloud.check_alive()
        instances = cloud.instances(GROUP)
        if sum(bool(instance.get("ready")) for instance in instances) >= replicas:
            return instances
        if time.monotonic() > end:
            states = ", ".join(f"{i['state']}{' ready' if i.get('ready') else ''}" for i in instances) or "none"
            raise CloudError(f"not {replicas} ready instances after {READY_SECONDS_MAX} s but: {states}\n"
                             f"{cloud.log_tail()}")
        time.sleep(1)


def wait_for_route(cloud: Cloud, host: str, picture: images.Picture) -> None:
    """The gateway learns of instances a moment after the API shows them."""
    end = time.monotonic() + READY_SECONDS_MAX
    while True:
        connection = http.client.HTTPConnection(cloud.gateway_address(), timeout=30)
        try:
            connection.request("POST", "/ocr", picture.read(), {"Host": host, "Content-Type": "image/png"})
            answer = connection.getresponse()
            if answer.status == 200:
                return
            said = f"{answer.status} {answer.read(200).decode(errors='replace')}"
        except (OSError, http.client.HTTPException) as error:
            said = repr(error)
        finally:
            connection.close()
        if time.monotonic() > end:
            raise CloudError(f"the gateway does not serve {host}: {said}\n{cloud.log_tail()}")
        time.sleep(0.2)


class Run:
    """One load run with the loss of a node in its middle."""

    def __init__(self, cloud: Cloud, nodes: list[report.Node], watch: NodeWatch, load: Load, requests: int) -> None:
        self.cloud, self.nodes, self.watch, self.load = cloud, nodes, watch, load
        self.kill: report.Kill | None = None
        self._requests = requests
        self._progress = Progress(requests)
        self._new_answers = 0

    def go(self) -> list[Request]:
        """All requests, when enough were answered."""
        start = time.monotonic()
        finished: list[Request] = []
        while not self._enough(len(finished)):
            self.cloud.check_alive()
            finished = self.load.finished()
            if not self.load.running():
                raise CloudError(f"mesclun load ended by itself\n{self.load.log_tail()}")
            self._tell_classes()
            if self.kill is None and len(finished) >= KILL_AFTER * self._requests:
                self._kill_busiest(finished)
            if self.kill is not None:
                self._watch_replacement(finished)
            retried = sum(request.attempts > 1 for request in finished)
            rate = len(finished) / max(time.monotonic() - start, 0.1)
            self._progress.show(len(finished), f"{rate:.1f}/s, {retried} retried")
            time.sleep(0.1)
        requests = self.load.stop()
        self._tell_classes()
        self._progress.close()
        if self.kill is not None:
            self.kill.tunnel_down = self.cloud.tunnel_down_after(self.kill.node)
        return requests

    def _enough(self, finished: int) -> bool:
        # The load goes on until the replacement has shown that it serves, or had time enough to.
        if finished < self._requests or self.kill is None:
            return False
        return (self._new_answers >= REPLACEMENT_ANSWERS
                or time.monotonic() - self.kill.time > REPLACED_SECONDS_MAX)

    def _name_of(self, machine_id: str) -> str:
        return next((node.name for node in self.nodes if node.machine_id == machine_id), machine_id[:8])

    def _tell_classes(self) -> None:
        for instance_id, found in self.watch.news():
            machine_id = next((i["machine_id"] for i in self.cloud.instances(GROUP) if i["id"] == instance_id), None)
            if machine_id and found.node_class:
                self._progress.say(f"companion on {self._name_of(machine_id)}: {found.node_class}, {found.rate:.1f} "
                                   f"pictures per busy second, queue {found.queue_max}")

    def _kill_busiest(self, finished: list[Request]) -> None:
        served = {node.machine_id: sum(request.machine_id == node.machine_id for request in finished)
                  for node in self.nodes}
        instances = self.cloud.instances(GROUP)
        # A full instance is not ready for a moment, but is at work.
        at_work = {i["machine_id"] for i in instances if i["state"] == "running"}
        victim = max((n for n in self.nodes if n.machine_id in at_work), key=lambda n: served[n.machine_id])
        known = {i["id"] for i in instances} | {request.instance_id for request in finished}
        count, when = self.cloud.kill_node(victim)
        self.kill = report.Kill(when, victim, known)
        self._progress.say(f"killed node {victim.name} ({victim.country}) with {count} processes: it had served "
                           f"{served[victim.machine_id]} of {len(finished)}")

    def _watch_replacement(self, finished: list[Request]) -> None:
        assert self.kill is not None
        new = report.replacement_answers(finished, self.kill)
        if new and self._new_answers == 0:
            self._progress.say(f"replacement on node {self._name_of(new[0].machine_id)} served its first request")
        self._new_answers = len(new)


def keep(cloud: Cloud, host: str, picture: images.Picture) -> None:
    print(f"""
The cloud goes on until Ctrl-C. In another terminal:

  export MESCLUN_CONTEXT={cloud.context}
  {cloud.mesclun} node list
  {cloud.mesclun} instance list {GROUP}
  {cloud.mesclun} events {GROUP}
  {cloud.mesclun} logs {GROUP}
  curl -H 'Host: {host}' --data-binary @{picture.path.resolve()} http://{cloud.gateway_address()}/ocr
""", flush=True)
    while True:
        cloud.check_alive()
        time.sleep(1)


def create_group(cloud: Cloud, options: argparse.Namespace, core: CoreSpeed, parts: dict[str, str]) -> str:
    """Returns the name under which the gateway serves it."""
    print(f"creating the group {GROUP} with {options.replicas} replicas, each behind a companion ...", flush=True)
    cloud.cli("group", "create", "-f", str(write_group_file(options, core, parts)), "--wait", seconds=READY_SECONDS_MAX)
    wait_until_ready(cloud, options.replicas)
    host: str = cloud.cli_json("group", "get", GROUP)["networking"]["dns"]
    return host


def send(cloud: Cloud, options: argparse.Namespace, host: str, nodes: list[report.Node],
         pictures: list[images.Picture]) -> tuple[list[Request], report.Kill | None, NodeWatch]:
    concurrency, concurrency_max = CONCURRENCY_FIRST * options.replicas, CONCURRENCY_MAX * options.replicas
    print(f"sending {options.requests} requests to http://{cloud.gateway_address()} (Host: {host}), "
          f"{concurrency} at a time to begin with", flush=True)
    watch = NodeWatch(cloud.follow_logs(GROUP, options.folder / "logs.log"), QUEUE_START)
    load = Load(cloud.mesclun, cloud.gateway_address(), host, pictures, concurrency, concurrency_max,
                options.folder / "load.log")
    try:
        run = Run(cloud, nodes, watch, load, options.requests)
        return run.go(), run.kill, watch
    finally:
        load.stop()
        watch.stop()


def demo(options: argparse.Namespace) -> int:
    began = time.monotonic()
    print(f"drawing {options.pictures} pictures of known text ...", flush=True)
    pictures = images.make_pictures(options.folder / "images", options.pictures, options.seed)
    core = core_speed.measure(pictures, options.folder)
    print(f"a core of this machine reads {core.singly:.1f} pictures a second one by one, {core.in_batches:.1f} in "
          f"batches of {core_speed.BATCH}", flush=True)
    parts = choose_runtime(options)
    cloud = Cloud(options.mesclun.resolve(), options.folder, parts["runtime"])
    try:
        print(f"starting a cloud with {len(NODES)} nodes: "
              + ", ".join(f"{n['name']} ({n['country']}, {n['cpu-share']} %)" for n in NODES), flush=True)
        cloud.start(NODES)
        nodes = cloud.nodes()
        for warning in cloud.warnings:
            print(f"  note: {warning}")
        host = create_group(cloud, options, core, parts)
        wait_for_route(cloud, host, pictures[0])
        requests, kill, watch = send(cloud, options, host, nodes, pictures)
        summary = report.summarise(requests, nodes, kill, watch.instances)
        reasons = report.verdict(summary, kill)
        print(report.table(summary, kill, core))
        print(f"the whole demo took                   {time.monotonic() - began:.0f} s\n")
        print("FAILED:\n" + "\n".join(f"  {reason}" for reason in reasons) if reasons else
              "PASSED: every text was compared with what was drawn, and no request was lost.", flush=True)
        if options.keep:
            keep(cloud, host, pictures[0])
        return 1 if reasons else 0
    finally:
        # A second Ctrl-C must not leave half a cloud behind.
        signal.signal(signal.SIGINT, signal.SIG_IGN)
        cloud.stop()


def main() -> int:
    options = parse_arguments()
    signal.signal(signal.SIGTERM, signal.default_int_handler)
    for program, package in (("tesseract", "tesseract-ocr"), ("convert", "imagemagick")):
        if shutil.which(program) is None:
            print(f"{program} is missing: apt-get install {package}, or run `make demo`", file=sys.stderr)
            return 1
    for binary in (options.mesclun, options.mesclun_app):
        if not os.access(binary, os.X_OK):
            print(f"{binary} is missing: `make demo` builds it", file=sys.stderr)
            return 1
    options.folder.mkdir(parents=True, exist_ok=True)
    try:
        with only_one(options.folder):
            return demo(options)
    except (CloudError, engine.EngineError) as error:
        print(f"\n{error}", file=sys.stderr)
        return 1
    except KeyboardInterrupt:
        print("\nstopped", file=sys.stderr)
        return 130


if __name__ == "__main__":
    sys.exit(main())
