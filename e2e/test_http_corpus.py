"""http_corpus.json against all that speaks HTTP to strangers: gateway, mesclun-app, and the API."""

from __future__ import annotations

import json
import pathlib
import sys
from collections.abc import Iterator
from typing import Any

import pytest

from cloud import Cloud
from companion import Companion
from groups import APPS, PORT, App, echo_spec
from http_corpus import CORPUS, answer_outcome, request_outcome
from ports import free_address
from waiting import wait_for

APP = [sys.executable, str(APPS / "corpus_app.py"), str(PORT)]


def expect_outcomes(front: str, address: str, host: str) -> None:
    found: list[dict[str, Any]] = []
    for kind, outcome in (("requests", request_outcome), ("answers", answer_outcome)):
        for case in CORPUS[kind]:
            if case.get(front) is None:
                continue
            came = outcome(address, host, case)
            if came != case[front].replace("{host}", host):
                found.append({"case": case["name"], "came": came[:300], "wanted": case[front][:300]})
    assert not found, json.dumps(found, indent=1)


@pytest.fixture
def app(cloud: Cloud) -> Iterator[App]:
    spec = echo_spec()
    spec["container"]["command"] = APP
    del spec["readiness_probe"]
    one = App(cloud, cloud.api(), spec)
    try:
        wait_for(lambda: one.call("GET", "/").status == 200, "the application behind the gateway", 60)
        yield one
    finally:
        one.delete()


def test_the_corpus_is_large_and_names_its_reasons() -> None:
    cases = CORPUS["requests"] + CORPUS["answers"]
    assert len(cases) >= 120
    for kind in ("requests", "answers"):
        assert len({case["name"] for case in CORPUS[kind]}) == len(CORPUS[kind])
    for case in cases:
        assert case["why"], case
        assert "haproxy" not in case or case["haproxy_why"], case
        assert case["companion"] == case["gateway"] or case.get("companion_why") or "mesclun-app" in case["why"], case


def test_the_gateway(app: App) -> None:
    expect_outcomes("gateway", app.cloud.gateway_address, app.dns)


def test_the_companion(tmp_path: pathlib.Path) -> None:
    address = free_address()
    port = address.rpartition(":")[2]
    one = Companion(tmp_path, {"front": {"timeout": "20s"}}, [], {}, [*APP[:-1], port], address)
    one.start()
    try:
        one.wait_for_state("ready")
        expect_outcomes("companion", one.front, one.front)
    finally:
        one.kill()


def test_the_api(cloud: Cloud) -> None:
    expect_outcomes("api", cloud.api_address, cloud.api_address)
