"""What instances say: the query of the contract, how much of a flood is kept, and sinks."""

from __future__ import annotations

import datetime
import http.server
import json
import re
import sys
import threading
from collections.abc import Callable, Iterator
from typing import Any

import pytest
from salad_cloud_sdk import SaladCloudSdk
from salad_cloud_sdk.models import LogEntryQuery

from cloud import Cloud, unique_name
from groups import APPS, idle_spec, wait_until_gone
from http_call import Api, expect_problem
from waiting import wait_for


def talker(**changes: Any) -> dict[str, Any]:
    spec = idle_spec(autostart_policy=True, name=unique_name("talker"))
    spec["container"]["command"] = [sys.executable, str(APPS / "talker.py")]
    spec["container"].update(changes)
    return spec


@pytest.fixture
def new_group(api: Api) -> Iterator[Callable[[dict[str, Any]], str]]:
    made: list[str] = []

    def make(spec: dict[str, Any]) -> str:
        api.create(spec)
        made.append(spec["name"])
        return spec["name"]
    yield make
    for name in made:
        api.delete(f"/containers/{name}")
        wait_until_gone(api, name)


def time_text(before: float = 0) -> str:
    return (datetime.datetime.now(datetime.timezone.utc) - datetime.timedelta(seconds=before)).isoformat()


def every_line(api: Api, name: str) -> list[str]:
    texts: list[str] = []
    after = 0
    while True:
        page = api.get(f"{api.extra}/containers/{name}/logs?limit=1000&after={after}").json
        if not page["items"]:
            return texts
        texts += [item["text"] for item in page["items"]]
        after = page["looked_to"]


def test_the_official_sdk_finds_lines_and_events(cloud: Cloud, api: Api, new_group: Callable[..., str]) -> None:
    name = new_group(talker())
    sdk = SaladCloudSdk(api_key=api.key, base_url=f"http://{cloud.api_address}/api/public")

    def find(query: str) -> list[Any]:
        asked = LogEntryQuery(start_time=time_text(600), end_time=time_text(), page_size=100,
                              query=f"resource.labels.container_group_name = {name} and ({query})")
        return sdk.logs.query_log_entries(asked, cloud.organization).items
    broken = wait_for(lambda: find("severity >= warning and json_log.http.status = 503"), "the JSON line", 60)[0]
    assert broken.json_log["msg"] == "it broke" and "severity" not in broken.json_log
    assert broken.severity == "error" and broken.resource.type_ == "container"
    labels = broken.resource.labels
    assert labels["container_group_version"] == "1" and labels["machine_id"] and labels["instance_id"]
    assert [entry.text_log for entry in find("text_log startswith bad")] == ["bad \ufffd\ufffd bytes"]
    assert find('log contains~ "TO STDERR"')
    events = [entry.text_log for entry in find("resource.type = instance_controller")]
    assert "Instance Running" in events and "Instance Starting" in events
    assert find("resource.type=deployment_controller and text_log = \"Container Group Started\"")


def test_a_wrong_query_is_told_where(api: Api) -> None:
    body = {"start_time": time_text(60), "end_time": time_text(), "query": "severity above 3"}
    reply = api.post(f"/api/public/organizations/{api.organization}/log-entries", body)
    assert "character 10: expected an operator" in expect_problem(reply, 400, "invalid_request")


def test_of_a_flood_every_line_is_kept_or_counted(api: Api, new_group: Callable[..., str]) -> None:
    megabytes = 100
    name = new_group(talker(environment_variables={"FLOOD_MB": str(megabytes)}))
    end = f"{api.extra}/containers/{name}/logs?query=text_log%20startswith%20flooded"
    wait_for(lambda: api.get(end).json["items"], "the end of the flood", 90)
    texts = every_line(api, name)
    counts = [int(found.group(1)) for text in texts if (found := re.match(r"mesclun: (\d+) lines are missing", text))]
    missing, kept = sum(counts), len(texts) - len(counts)
    # Four lines before, the flood, the endless line in pieces of 10,000 bytes, and the last one.
    assert kept + missing == 4 + megabytes * 1000 + 200 + 1
    assert kept > 1000


class _Target(http.server.BaseHTTPRequestHandler):
    records: list[dict[str, Any]] = []
    headers_seen: list[str] = []

    def do_POST(self) -> None:
        body = self.rfile.read(int(self.headers["Content-Length"]))
        self.headers_seen.append(self.headers.get("X-Team", ""))
        self.records.extend(json.loads(line) for line in body.splitlines())
        self.send_response(204)
        self.end_headers()

    def log_message(self, *_: Any) -> None:
        pass


def test_a_sink_gets_the_lines_with_their_labels(new_cloud: Callable[..., Cloud]) -> None:
    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), _Target)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    cloud = new_cloud(nodes=1, arguments=["--log-sinks-private"])
    cloud.start()
    cloud.wait_for_nodes()
    api = cloud.api()
    spec = talker(logging={"http": {"host": "127.0.0.1", "port": server.server_address[1], "format": "json_lines",
                                    "compression": "none", "path": "/in", "headers": [{"name": "X-Team", "value": "a"}]}})
    assert api.create(spec)["container"]["logging"]["http"]["path"] == "/in"

    def told() -> dict[str, Any] | None:
        return next((record for record in _Target.records if record["log"] == "plain words"), None)
    record = wait_for(told, "a record at the sink", 60)
    assert record["container_group_name"] == spec["name"] and record["stream"] == "stdout" and record["machine_id"]
    assert set(_Target.headers_seen) == {"a"}
    server.shutdown()
