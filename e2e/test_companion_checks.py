"""Checks of the node at the start, warm-up, watching its speed, and leaving it: with a metadata service of any mood."""

from __future__ import annotations

import json
import os
import pathlib
import socket
import threading
import time
from collections.abc import Callable, Iterator
from typing import Any

import pytest

from companion import Companion
from fake_services import FakeMetadata, FakeStore
from waiting import wait_for

Make = Callable[..., Companion]
NODE = {"SALAD_MACHINE_ID": "m-1"}
MBIT = 1_000_000 / 8


@pytest.fixture
def on_node(companion: Make, metadata: FakeMetadata) -> Make:
    """On the platform, with initial checks. Does not wait until it is ready."""
    def make(*options: str, checks: dict[str, Any] | None = None, env: dict[str, str] | None = None,
             wait: bool = False, **config: Any) -> Companion:
        return companion(*options, wait=wait, env={**NODE, **(env or {})}, config={
            "checks": {"bytes": "1MB", **(checks or {})}, "metadata": {"uri": metadata.uri}, **config})
    return make


def reason_for_leaving(metadata: FakeMetadata, before: int = 0) -> str:
    """Of the next reallocation. The platform would end the instance now; nobody does so here for about 10 s."""
    return wait_for(lambda: metadata.reallocations()[before:], "to ask for another node", 20, 0.05)[0]


def slow_download(store: FakeStore, **more: Any) -> dict[str, Any]:
    """4 Mbps where 50 are required."""
    store.rate = 4 * MBIT
    return {"download": {"url": f"{store.uri}/file", "mbps_min": 50}, "bytes": "200KB", **more}


# ---- transfers ----


def test_a_good_node_serves_and_is_measured_once(on_node: Make, store: FakeStore, metadata: FakeMetadata,
                                                tmp_path: pathlib.Path) -> None:
    result = tmp_path / "result.json"
    checks = {"download": {"url": f"{store.uri}/file", "mbps_min": 1},
              "upload": {"url": f"{store.uri}/up", "mbps_min": 1}, "result_file": str(result)}
    first = on_node(checks=checks, wait=True)
    assert first.predict(3).json["result"] == 9
    assert sorted(store.methods()) == ["GET", "PUT"]
    assert json.loads(result.read_text())
    first.kill()
    on_node(checks=checks, wait=True)
    assert len(store.received) == 2, "the second start on this node does not measure again"
    on_node(checks=checks, wait=True, env={"SALAD_MACHINE_ID": "m-2"})
    assert len(store.received) == 4, "another node does"
    assert not metadata.reallocations()


def test_a_slow_node_is_left_with_the_numbers_in_the_reason(on_node: Make, store: FakeStore,
                                                           metadata: FakeMetadata) -> None:
    one = on_node(checks=slow_download(store, attempts=2))
    reason = reason_for_leaving(metadata)
    assert "download" in reason and "50" in reason and "Mbps" in reason
    assert len(store.received) == 2, "once more before it counts"
    assert "fake model listens" not in one.log_text(), "the application was not even started"


def test_a_slow_upload_is_found_too(on_node: Make, store: FakeStore, metadata: FakeMetadata) -> None:
    store.rate = 4 * MBIT
    on_node(checks={"upload": {"url": f"{store.uri}/up", "mbps_min": 100, "method": "POST"}, "bytes": "400KB"})
    assert "upload" in reason_for_leaving(metadata)
    assert store.methods() == ["POST"]


def test_on_miss_exit_asks_nobody(on_node: Make, store: FakeStore, metadata: FakeMetadata) -> None:
    assert on_node(checks=slow_download(store, on_miss="exit")).wait() == 1
    assert not metadata.received


@pytest.mark.parametrize("why", ["on_miss", "nodes_left"])
def test_a_miss_may_be_a_warning_only(on_node: Make, store: FakeStore, metadata: FakeMetadata, why: str) -> None:
    more = {"on_miss": "report"} if why == "on_miss" else {}
    one = on_node(checks=slow_download(store, **more), env={"MESCLUN_NODES_LEFT": "1"} if not more else {}, wait=True)
    assert "Mbps" in one.log_text()
    assert one.predict(2).status == 200 and not metadata.reallocations()


@pytest.mark.parametrize("trouble", ["refused", 404, 500, "silent", "unknown host"])
def test_what_cannot_be_measured_is_not_bad(on_node: Make, store: FakeStore, metadata: FakeMetadata,
                                           trouble: str | int) -> None:
    uri = {"refused": "http://127.0.0.1:1", "unknown host": "http://no-such-host.invalid"}.get(str(trouble), store.uri)
    if isinstance(trouble, int):
        store.status = trouble
    with socket.socket() as silent:
        if trouble == "silent":  # accepts, and says nothing
            silent.bind(("127.0.0.1", 0))
            silent.listen()
            uri = f"http://127.0.0.1:{silent.getsockname()[1]}"
        one = on_node(wait=True, checks={
            "download": {"url": f"{uri}/file", "mbps_min": 50}, "upload": {"url": f"{uri}/up", "mbps_min": 50},
            "timeout": "500ms", "bytes": "100KB"})
    assert "unknown" in one.log_text()
    assert one.predict(2).status == 200 and not metadata.reallocations()


def test_without_the_platform_there_are_no_checks(companion: Make, store: FakeStore) -> None:
    checks = {"download": {"url": f"{store.uri}/file"}}
    companion(config={"checks": checks})
    assert not store.received
    companion(config={"checks": {**checks, "run_locally": True}})
    assert len(store.received) == 1


def test_a_bucket_is_written_read_and_left_clean(on_node: Make, store: FakeStore, metadata: FakeMetadata) -> None:
    bucket = {"endpoint": store.uri, "bucket": "b", "region": "auto", "access_key_id": "id", "secret_access_key": "key",
              "upload_mbps_min": 1, "download_mbps_min": 1}
    on_node(checks={"bucket": bucket}, wait=True)
    assert store.methods() == ["PUT", "GET", "DELETE"] and not store.objects
    for one in store.received:
        assert one.path.startswith("/b/mesclun-app-checks/")
        assert one.headers["authorization"].startswith("AWS4-HMAC-SHA256 Credential=id/")
    assert not metadata.reallocations()


# ---- the rest of the node ----


@pytest.mark.parametrize(("check", "word"), [
    ({"memory_min": "4000GiB"}, "memory"), ({"disk_min": "60000GiB"}, "disk")], ids=lambda value: str(value))
def test_a_small_node_is_left(on_node: Make, metadata: FakeMetadata, check: dict[str, Any], word: str) -> None:
    on_node(checks=check)
    assert word in reason_for_leaving(metadata)


def test_latency_is_measured_by_connecting(on_node: Make, metadata: FakeMetadata) -> None:
    with socket.create_server(("127.0.0.1", 0)) as near:
        address = f"127.0.0.1:{near.getsockname()[1]}"
        # Nobody is as near as 100 nanoseconds.
        on_node(checks={"latency": [{"address": address, "ms_max": 0.0001}], "latency_samples": 3})
        assert address in reason_for_leaving(metadata)
        on_node(checks={"latency": [{"address": address, "ms_max": 5000}, {"address": "127.0.0.1:1", "ms_max": 1}],
                        "latency_samples": 2}, wait=True)
    assert len(metadata.reallocations()) == 1


def write_nvidia_smi(folder: pathlib.Path, total: int, used: int, temperature: int) -> dict[str, str]:
    """A program of that name, first in PATH, that answers queries by their fields and prints the usual head."""
    folder.mkdir()
    program = folder / "nvidia-smi"
    program.write_text(f"""#!/usr/bin/env python3
import sys
values = {{"name": "Fake GPU", "memory.total": "{total}", "memory.used": "{used}", "memory.free": "{total - used}",
          "temperature.gpu": "{temperature}", "driver_version": "570.1", "index": "0", "utilization.gpu": "5",
          "utilization.memory": "5", "power.draw": "50", "uuid": "GPU-1"}}
query = [word.split("=", 1)[1] for word in sys.argv if word.startswith("--query-gpu=")]
if query:
    print(", ".join(values.get(field, "[N/A]") for field in query[0].split(",")))
else:
    print("| NVIDIA-SMI 570.1    Driver Version: 570.1    CUDA Version: 12.8 |")
""")
    program.chmod(0o755)
    return {"PATH": f"{folder}:{os.environ['PATH']}"}


def test_the_gpu_is_asked_by_nvidia_smi(on_node: Make, metadata: FakeMetadata, tmp_path: pathlib.Path) -> None:
    env = write_nvidia_smi(tmp_path / "bin", 8192, 1000, 55)
    on_node(env=env, wait=True, checks={"gpu": {"vram_total_min": "8GiB", "vram_free_min": "6GiB", "cuda_min": "12.8",
                                                "temperature_max": 80}})
    assert not metadata.reallocations()
    for number, (gpu, word) in enumerate((({"vram_free_min": "7500MiB"}, "memory"), ({"cuda_min": "12.9"}, "12.8"),
                                          ({"temperature_max": 50}, "55"))):
        on_node(env=env, checks={"gpu": gpu})
        assert word in reason_for_leaving(metadata, number)
    on_node(env={"PATH": "/nowhere"}, wait=True, checks={"gpu": {"vram_free_min": "8GiB"}})
    assert len(metadata.reallocations()) == 3, "without nvidia-smi nothing is known"


# ---- warm-up ----


def warmup(**more: Any) -> dict[str, Any]:
    return {"warmup": {"requests": 3, "path": "/predict", "body": '{"data": 2}', **more}}


def test_warm_up_comes_before_started(on_node: Make) -> None:
    one = on_node(checks=warmup(body='{"data": 2, "gate": "warm"}'))
    one.wait_for_state("starting")
    wait_for(lambda: len(one.seen_data()) == 1 if is_open(one.app) else False, "the first request", 20, 0.05)
    asked = one.start_call("GET", "/mesclun-app/started")
    assert one.predict(1).status == 503, "nobody is served yet"
    assert asked.is_alive(), "the answer waits for the start"
    one.open_gate("warm")
    assert asked.reply().status == 200
    one.wait_for_state("ready")
    assert one.seen_data() == [2, 2, 2]


def is_open(address: str) -> bool:
    host, port = address.rsplit(":", 1)
    try:
        socket.create_connection((host, int(port)), 2).close()
    except OSError:
        return False
    return True


def test_a_slow_warm_up_leaves_the_node(on_node: Make, metadata: FakeMetadata) -> None:
    on_node("--batch-seconds", "0.3", checks=warmup(time_max="50ms"))
    assert "warm" in reason_for_leaving(metadata).lower()


def test_a_fast_warm_up_stays(on_node: Make, metadata: FakeMetadata) -> None:
    on_node(checks=warmup(time_max="5s"), wait=True)
    assert not metadata.reallocations()


# ---- the metadata service ----


def test_a_failed_application_leaves_whatever_the_metadata_service_says(companion: Make) -> None:
    """The application stops; the companion asks for another node, and exits with 1 whether that is heard or not."""
    moods: dict[str, FakeMetadata] = {mood: FakeMetadata(mood) for mood in ("good", "403", "500", "hang")}
    uris = {**{mood: service.uri for mood, service in moods.items()}, "nobody": "http://127.0.0.1:1"}
    companions = {mood: companion(env=NODE, config={
        "metadata": {"uri": uri, "timeout": "300ms"},
        "application": {"stop_grace": "200ms",
                        "check": {"path": "/health", "interval": "100ms", "timeout": "300ms", "failures": 2}}})
        for mood, uri in uris.items()}
    for one in companions.values():
        one.ask_app("POST", "/stop-self")
    assert "health check" in reason_for_leaving(moods["good"])
    companions["good"].terminate()  # as the platform does then
    assert {mood: one.wait(60) for mood, one in companions.items()} == dict.fromkeys(companions, 1)
    assert len(moods["good"].reallocations()) == 1
    for mood in ("403", "500", "hang"):
        assert moods[mood].reallocations(), "it was asked"
    for service in moods.values():
        service.stop()


def test_the_platform_says_where_the_metadata_service_is(companion: Make, metadata: FakeMetadata) -> None:
    companion(env={**NODE, "SALAD_METADATA_URI": metadata.uri}, wait=False,
              config={"checks": {"memory_min": "4000GiB"}, "metadata": {"uri": None}})
    assert "memory" in reason_for_leaving(metadata)


# ---- watching the speed ----


def watched(**more: Any) -> dict[str, Any]:
    return {"work": "header X-Audio-Seconds", "window": "1s", "samples_min": 3, "load_min": 0.2, "gpu_interval": "1h",
            **more}


class Load:
    """Keeps the front busy, one request after the other in each of two lines, until it is told to stop."""

    def __init__(self, one: Companion) -> None:
        self._one = one
        self._going = True
        self._lines = [threading.Thread(target=self._line, daemon=True) for _ in range(2)]
        for line in self._lines:
            line.start()

    def _line(self) -> None:
        while self._going:
            try:
                self._one.predict(1)
            except OSError:
                return

    def stop(self) -> None:
        self._going = False
        for line in self._lines:
            line.join(20)


@pytest.fixture
def load() -> Iterator[Callable[[Companion], Load]]:
    made: list[Load] = []

    def make(one: Companion) -> Load:
        made.append(Load(one))
        return made[-1]
    yield make
    for one in made:
        one.stop()


def test_a_node_that_becomes_slow_is_left_after_a_window(on_node: Make, metadata: FakeMetadata,
                                                        load: Callable[[Companion], Load]) -> None:
    """2 s of audio in 20 ms are 100 times real time; in 500 ms they are 4."""
    one = on_node("--audio-seconds", "2", "--batch-seconds", "0.02", monitor=watched(), wait=True)
    load(one)
    wait_for(lambda: one.health().get("node_class"), "a first judgement", 20, 0.1)
    assert not metadata.reallocations()
    one.ask_app("POST", "/seconds?batch=0.5")
    assert "20" in reason_for_leaving(metadata), "what is required"


def test_the_queue_follows_the_speed(on_node: Make, metadata: FakeMetadata, load: Callable[[Companion], Load]) -> None:
    one = on_node("--audio-seconds", "10", "--batch-seconds", "0.02", wait=True,
                  monitor=watched(queue={"start": 5, "slow": 3, "normal": 7, "fast": 9}, on_bad="report"))
    assert one.health()["queue_max"] == 5
    load(one)
    wait_for(lambda: one.health()["queue_max"] == 9, "fast", 20, 0.1)
    assert one.health().get("node_class") == "fast"
    one.ask_app("POST", "/seconds?batch=0.28")  # 36 times
    wait_for(lambda: one.health()["queue_max"] == 3, "slow", 20, 0.1)
    one.ask_app("POST", "/seconds?batch=0.7")  # 14 times
    wait_for(lambda: one.health().get("node_class") == "bad", "bad", 20, 0.1)
    assert one.is_running() and not metadata.reallocations(), "reported only"


def test_idle_time_does_not_make_a_node_slow(on_node: Make, metadata: FakeMetadata) -> None:
    """100 times real time while it works, which is a fifth of the time; and slow, but with one of four slots used."""
    for options, front in ((["--audio-seconds", "2", "--batch-seconds", "0.02"], {}),
                           (["--audio-seconds", "1", "--batch-seconds", "0.1"], {"concurrency": 4})):
        one = on_node(*options, wait=True, front=front, monitor=watched(load_min=0.5, samples_min=2))
        for _ in range(8):
            assert one.predict(1).status == 200
            time.sleep(0.1)
        assert one.is_running() and not metadata.reallocations(), one.log_text()
