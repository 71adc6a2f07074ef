"""A whole day in a terminal, as one story: what a person types, and what they see, compared with story.txt.

What differs from run to run (ids, times, ports, which machine) is replaced by a word first. After a change of what
commands print: MESCLUN_WRITE_STORY=1 writes the file anew; read the difference before you commit it.
"""

from __future__ import annotations

import difflib
import json
import os
import pathlib
import re
import sys
from collections.abc import Callable, Iterator

import pytest

from cloud import BINARY, Cloud
from groups import APPS, echo_spec, serving_instances
from ports import free_address
from terminal import Terminal
from waiting import wait_for

GOLDEN = pathlib.Path(__file__).resolve().parent / "story.txt"
UUID = r"[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}"

# In this order.
REPLACED = [
    (UUID, "ID"),
    (r"\b[0-9a-f]{8}\b", "ID"),
    (r"\d{4}-\d\d-\d\dT[0-9:.]+(Z|\+00:00)", "TIME"),
    (r"\bnode-\d\b", "NODE"),
    (r"\b\d+(\.\d+)? ?(ms|s|m)\b( ago)?", "DURATION"),
    (r"\b\d+(\.\d+)?/\d+\b", "USED"),
    (r"\b\d+\.\d\d?\b", "NUMBER"),
    (r", \d+ stopping", ""),  # it may have ended by then
    (r" {2,}", "  "),
]


def plain(line: str, places: dict[str, str]) -> str:
    for place, word in places.items():
        line = line.replace(place, word)
    for pattern, word in REPLACED:
        line = re.sub(pattern, word, line)
    return line.rstrip()


class Story:
    def __init__(self, places: dict[str, str]) -> None:
        self.places = places
        self.lines: list[str] = []

    def tell(self, typed: str, printed: list[str], by_id: bool = False) -> None:
        """`by_id`: rows come in the order of ids, so in none."""
        # What this machine lacks is not the story's.
        kept = [plain(line, self.places) for line in printed if line and not line.startswith("warning:")]
        if by_id:
            kept[1:] = sorted(kept[1:])
        self.lines += [f"$ {plain(typed, self.places)}", *kept, ""]


@pytest.fixture
def windows(tmp_path: pathlib.Path) -> Iterator[Callable[[str, dict[str, str]], Terminal]]:
    made: list[Terminal] = []

    def make(name: str, environment: dict[str, str]) -> Terminal:
        made.append(Terminal(tmp_path, name, environment))
        return made[-1]

    yield make
    for one in made:
        one.close()


def test_the_whole_day_is_as_the_story_tells_it(
        new_cloud: Callable[..., Cloud], windows: Callable[[str, dict[str, str]], Terminal],
        tmp_path: pathlib.Path) -> None:
    cloud = new_cloud(nodes=3)
    cloud.folder.mkdir(parents=True)
    cloud.api_address, cloud.gateway_address = free_address(), free_address()
    environment = {"MESCLUN_UP_RUNTIME": "process", "MESCLUN_CONTEXT": str(cloud.context),
                   "PATH": f"{BINARY.parent}:{os.environ['PATH']}", "TERM": "screen", "HOME": str(tmp_path), "LANG": "C.UTF-8"}
    up, desk, side = (windows(name, environment) for name in ("up", "desk", "side"))
    spec = echo_spec(name="story", replicas=2)
    (tmp_path / "story.json").write_text(json.dumps(spec))
    port = cloud.gateway_address.rsplit(":", 1)[1]
    story = Story({cloud.api_address: "API", cloud.gateway_address: "GATEWAY", f"localhost:{port}": "localhost:PORT",
                   str(tmp_path): "FOLDER", str(APPS): "APPS", sys.executable: "PYTHON"})

    def do(line: str, by_id: bool = False) -> None:
        story.tell(line, desk.run(line.replace("FOLDER", str(tmp_path)), 90), by_id)

    def begin() -> None:
        up.clear()
        # Its log is not what a person looks for here.
        up.type(f"mesclun up --nodes 3 --data {cloud.data} --api {cloud.api_address} --gateway {cloud.gateway_address} "
                f"--nodes-listen {cloud.nodes_address} 2>>{cloud.log}")
        ready = wait_for(lambda: [line for line in up.screen() if line.startswith("ready ")], "the ready line", 60)
        story.tell("mesclun up --nodes 3", [re.sub(r"api_key=\S+", "api_key=KEY", line) for line in ready])

    begin()
    values = cloud.context_values()
    cloud.organization, cloud.project, cloud.api_key = values["organization"], values["project"], values["api_key"]
    cloud.wait_for_nodes()
    api = cloud.api()

    def settled(count: int) -> None:
        wait_for(lambda: len(serving_instances(api, "story")) == count == len(api.instances("story")),
                 f"{count} instances", 60)

    do("mesclun group list")
    do("mesclun group create -f FOLDER/story.json --wait")
    do("mesclun node list", by_id=True)
    do("mesclun group list")
    do("mesclun group get story")
    do("mesclun instance list story")
    do(f"curl -s -o FOLDER/answer -w '%{{http_code}}\\n' http://{cloud.gateway_address}/@story/")
    wait_for(lambda: all(item["cpu_cores"] is not None and item["in_flight"] is not None
                         for item in cloud.cli("stats", "story", "-o", "json").json["items"]), "usage told", 30)
    do("mesclun stats story --once")

    # The output of the application, while it comes.
    side.clear()
    side.type("mesclun logs story -f --tail 0")

    def spoken() -> bool:
        desk.run(f"curl -s -o {tmp_path}/answer -X POST http://{cloud.gateway_address}/@story/log?text=hello")
        return any("hello" in line for line in side.screen()[1:])
    wait_for(spoken, "a line of the application", 30)
    side.press("C-c")
    side.wait_for_prompt()
    story.tell("mesclun logs story -f --tail 0", [line for line in side.screen() if "hello" in line][:1])

    # A machine vanishes under load; nobody notices.
    side.clear()
    side.type("mesclun load story -n 600 --rate 100 -c 4; echo ended with $?")
    victim = api.instances("story")[0]["machine_id"]
    wait_for(lambda: cloud.cli("stats", "story", "-o", "json").json["items"][0]["requests_per_second"],
             "requests under way", 30, 0.1)
    cloud.kill_node(cloud.node_of(victim))
    side.wait_for_prompt(120)
    end = [line for line in side.screen()[1:-1] if line.startswith(("ok ", "ended with"))]
    assert any("600 (100.0 %)" in line for line in end), side.screen()
    story.tell("mesclun load story -n 600 --rate 100 -c 4    # and a machine is killed", end)
    cloud.wait_for_nodes(60)
    settled(2)

    do("mesclun group scale story 1 --wait")
    settled(1)
    do("mesclun group update story --set container.environment_variables.GREETING=hi --wait")
    here = next(node["hostname"] for node in cloud.nodes() if node["instances"])
    do(f"mesclun node drain {here} --wait")
    do(f"mesclun node drain {here} --undo")
    settled(1)
    do("mesclun group ls")
    do("mesclun group delete story --wait")
    do("mesclun group list")
    do("mesclun grup list 2>&1 | head -1")

    # Ctrl-C, and the next morning.
    up.press("C-c")
    up.wait_for_prompt(40)
    do("mesclun group list")
    begin()
    do("mesclun group list")
    up.press("C-c")
    up.wait_for_prompt(40)

    told = "\n".join(story.lines)
    if os.environ.get("MESCLUN_WRITE_STORY"):
        GOLDEN.write_text(told + "\n")
    golden = GOLDEN.read_text().rstrip("\n")
    difference = "\n".join(difflib.unified_diff(golden.splitlines(), told.splitlines(), "story.txt", "seen", lineterm=""))
    assert not difference, difference
