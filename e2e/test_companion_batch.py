"""Batches: who shares one, how answers find their callers, and what happens when one goes wrong."""

from __future__ import annotations

import pathlib
import sys
import time
from collections.abc import Callable
from typing import Any

import pytest

from companion import Call, Companion, expect_refusal
from groups import APPS
from http_call import Reply
from ports import free_address
from waiting import wait_for

Make = Callable[..., Companion]


def batching(**changes: Any) -> dict[str, Any]:
    """Batches of 4 that form as slowly as the test is allowed to take, so that only their size can be the reason."""
    return {"batch": {"paths": ["/predict"], "size_max": 4, "wait_max": "20s", **changes}}


def all_replies(calls: list[Call]) -> list[Reply]:
    return [call.reply() for call in calls]


def send_in_order(one: Companion, bodies: list[dict[str, Any]]) -> list[Call]:
    """All of them accepted, in this order. None may be answered before all are sent."""
    calls = []
    for number, body in enumerate(bodies, start=1):
        calls.append(one.start_call("POST", "/predict", body))
        if number < len(bodies):
            one.wait_for_accepted(number)
    return calls


# ---- who shares a batch ----


def test_a_full_batch_goes_at_once_and_each_caller_gets_its_own_answer(companion: Make) -> None:
    one = companion(config=batching())
    replies = all_replies([one.start_predict(n) for n in range(4)])
    assert sorted(reply.json["result"] for reply in replies) == [0, 1, 4, 9]
    for n, reply in enumerate(replies):
        assert reply.json == {"result": n * n, "batch": 4}
    (batch,) = one.seen()["batches"]
    assert batch["paths"] == ["/predict"] * 4 and len(set(batch["ids"])) == 4
    assert batch["headers"]["x-batch-size"] == "4"
    assert 0 < int(batch["headers"]["x-request-timeout-ms"]) <= 100_000


def test_a_batch_that_does_not_fill_goes_after_the_wait(companion: Make) -> None:
    one = companion(config=batching(wait_max="400ms"))
    begun = time.monotonic()
    replies = all_replies([one.start_predict(n) for n in (5, 6)])
    assert [reply.json["result"] for reply in replies] == [25, 36]
    assert time.monotonic() - begun >= 0.4
    assert sum(len(batch) for batch in one.batches()) == 2


def test_requests_fill_batches_while_the_application_works(companion: Make) -> None:
    one = companion(config=batching(wait_max="10ms"))
    first = one.hold(0)
    others = [one.start_predict(n) for n in range(1, 7)]
    one.wait_for_accepted(7)
    one.open_gate()
    assert all(reply.status == 200 for reply in all_replies([first, *others]))
    assert [len(batch) for batch in one.batches()] == [1, 4, 2]


def test_only_equal_keys_share_a_batch(companion: Make) -> None:
    one = companion(config=batching(key="json /model", wait_max="500ms"))
    bodies = [{"data": n, "model": model} for n, model in enumerate(["a", "b", "a", "b", "a", None])]
    assert all(reply.status == 200 for reply in all_replies([one.start_call("POST", "/predict", b) for b in bodies]))
    assert sorted(sorted(batch) for batch in one.batches()) == [[0, 2, 4], [1, 3], [5]]


def test_the_key_may_be_a_header(companion: Make) -> None:
    one = companion(config=batching(key="header X-Model", size_max=2))
    calls = [one.start_predict(n, {"X-Model": model}) for n, model in enumerate(["a", "b", "a", "b"])]
    assert all(reply.status == 200 for reply in all_replies(calls))
    assert sorted(sorted(batch) for batch in one.batches()) == [[0, 2], [1, 3]]


def test_costs_bound_a_batch(companion: Make) -> None:
    one = companion(config=batching(cost="json /tokens", cost_max=10, wait_max="500ms", size_max=8))
    calls = send_in_order(one, [{"data": n, "tokens": 4} for n in range(3)])
    assert all(reply.json["batch"] <= 2 for reply in all_replies(calls))
    assert one.predict(9, tokens=50).json == {"result": 81, "batch": 1}, "too dear for company, not for life"
    assert [len(batch) for batch in one.batches()] == [2, 1, 1]
    assert sum(len(batch) for batch in one.batches()) == 4


def test_urgent_items_go_in_the_next_batch(companion: Make) -> None:
    one = companion(config=batching(size_max=2, wait_max="10ms"))
    held = [one.hold(0)]
    for number, urgency in ((1, 5), (2, 5), (3, 5), (4, 0)):
        held.append(one.start_predict(number, {"Priority": f"u={urgency}"}))
        one.wait_for_accepted(number + 1)
    one.open_gate()
    assert all(reply.status == 200 for reply in all_replies(held))
    assert one.batches() == [[0], [4, 1], [2, 3]]


def test_who_left_is_not_in_the_batch(companion: Make) -> None:
    one = companion(config=batching(size_max=3))
    leave = one.leave_after_sending("/predict", {"data": 1})
    one.wait_for_accepted(1)
    leave()
    one.wait_for_accepted(0)
    assert all(reply.status == 200 for reply in all_replies([one.start_predict(n) for n in (2, 3, 4)]))
    assert sorted(one.batches()[0]) == [2, 3, 4]


def test_a_late_item_gets_its_refusal_and_the_others_their_answer(companion: Make) -> None:
    one = companion(config=batching(size_max=2))
    late = one.start_predict(1, {"X-Request-Timeout-Ms": "700"}, gate="gate")
    one.wait_for_accepted(1)
    patient = one.start_predict(2)
    expect_refusal(late.reply(), 504, "deadline")
    one.open_gate()
    assert patient.reply().json == {"result": 4, "batch": 2}


def test_other_paths_and_methods_are_not_batched(companion: Make) -> None:
    one = companion(config=batching())
    assert one.call("POST", "/predict/one", {"data": 3}).json["batch"] == 1
    assert one.call("GET", "/predict").json["method"] == "GET"
    assert one.batches() == []


def test_a_body_that_is_no_json_fails_alone_and_never_reaches_the_batch(companion: Make) -> None:
    one = companion(config=batching(size_max=2))
    good = one.start_predict(2)
    one.wait_for_accepted(1)
    for body in (b"{broken", b"", b'{"data": 1} x'):
        expect_refusal(one.call("POST", "/predict", body, {"Content-Type": "application/json"}), 400, "bad_request")
    other = one.start_predict(3)
    assert [good.reply().json["result"], other.reply().json["result"]] == [4, 9]


# ---- what goes wrong ----


def test_one_bad_item_fails_alone(companion: Make) -> None:
    one = companion(config=batching())
    calls = [one.start_predict(n, status=422 if n == 2 else 200) for n in range(4)]
    replies = all_replies(calls)
    assert [reply.status for reply in replies] == [200, 200, 422, 200]
    assert replies[2].json["result"] == 4, "its own body"
    assert len(one.batches()) == 1


def test_headers_of_an_item_go_to_its_caller(companion: Make) -> None:
    one = companion("--audio-seconds", "12", config=batching(size_max=2))
    for reply in all_replies([one.start_predict(n) for n in range(2)]):
        assert float(reply.headers["x-audio-seconds"]) == 12


def test_a_batch_that_fails_as_a_whole_is_tried_item_by_item(companion: Make) -> None:
    one = companion("--poison", "13", config=batching())
    replies = all_replies([one.start_predict(n) for n in (1, 2, 13, 3)])
    assert [reply.status for reply in replies] == [200, 200, 500, 200]
    assert replies[2].json == {"error": "poisoned"}, "what the application said to it alone"
    assert [reply.json.get("result") for reply in replies] == [1, 4, None, 9]
    assert sorted(len(batch) for batch in one.batches()) == [1, 1, 1, 1, 4]
    assert one.state() == "ready", "one poisoned item is no reason to move"


def test_without_retries_all_of_them_fail(companion: Make) -> None:
    one = companion("--poison", "13", config=batching(retry_singly=False))
    replies = all_replies([one.start_predict(n) for n in (1, 2, 13, 3)])
    assert len({reply.status for reply in replies}) == 1 and replies[0].status in (500, 502), replies
    assert len(one.batches()) == 1


def test_an_answer_that_leaves_an_item_out(companion: Make) -> None:
    one = companion("--answer", "fewer", config=batching())
    replies = all_replies([one.start_predict(n) for n in range(4)])
    assert [reply.json["result"] for reply in replies] == [0, 1, 4, 9], "it was tried once alone"
    assert sorted(len(batch) for batch in one.batches()) == [1, 4]


def test_an_answer_that_leaves_an_item_out_without_retries(companion: Make) -> None:
    one = companion("--answer", "fewer", config=batching(retry_singly=False))
    replies = all_replies([one.start_predict(n) for n in range(4)])
    missing = [reply for reply in replies if reply.status != 200]
    assert len(missing) == 1
    expect_refusal(missing[0], 502, "missing_item")


@pytest.mark.parametrize("how", ["garbage", "break", "503"])
def test_an_answer_that_is_none_fails_all(companion: Make, how: str) -> None:
    one = companion("--answer", how, config={**batching(size_max=2), "application": {"on_failed": "report"}})
    replies = all_replies([one.start_predict(n) for n in range(2)])
    for reply in replies:
        assert reply.status in ((503, 502) if how == "503" else (502,)), reply
    assert sorted(len(batch) for batch in one.batches())[-1] == 2
    one.ask_app("POST", "/answer?with=good")
    assert all(reply.status == 200 for reply in all_replies([one.start_predict(n) for n in range(2)]))


# ---- other forms ----


def test_bodies_of_any_type_go_as_multipart(companion: Make) -> None:
    one = companion(config=batching(format="multipart", size_max=3))
    bodies = {"image/png": bytes(range(256)), "text/plain": b"\r\n--mesclun\r\n\r\n",
              "application/json": b'{"a": "\xc3\xa4"}'}
    calls = {name: one.start_call("POST", "/predict", body, {"Content-Type": name}) for name, body in bodies.items()}
    for name, call in calls.items():
        reply = call.reply()
        assert reply.status == 200 and reply.body == bodies[name][::-1], name
        assert reply.media_type == name
    assert sorted(one.seen()["batches"][0]["media_types"]) == sorted(bodies)


def test_the_application_may_listen_at_a_unix_socket(companion: Make, tmp_path: pathlib.Path) -> None:
    one = companion(app=f"unix:{tmp_path}/app.sock", config=batching(size_max=2))
    assert [reply.json["result"] for reply in all_replies([one.start_predict(n) for n in (2, 3)])] == [4, 9]
    assert one.call("POST", "/other", {"data": 4}).json["result"] == 16


HELPERS = {"python": [sys.executable, str(APPS / "helper_app.py")], "node": ["node", str(APPS / "helper_app.cjs")]}


@pytest.mark.parametrize("language", HELPERS)
def test_helper_modules_behind_it(companion: Make, tmp_path: pathlib.Path, language: str) -> None:
    address = f"unix:{tmp_path}/helper.sock"
    one = companion(app=address, command=[*HELPERS[language], address],
                    config={"application": {"check": {"path": "/health"}}, **batching(size_max=5, wait_max="5s")})
    bodies = [{"data": 2}, {"do": "refuse"}, {"do": "headers"}, {"do": "break"}, {"data": 3}]
    replies = all_replies([one.start_call("POST", "/predict", body) for body in bodies])
    assert [reply.status for reply in replies] == [200, 422, 201, 500, 200]
    assert replies[0].json == {"result": 4, "batch": 5}
    assert replies[1].json == {"error": "too long"}
    assert replies[2].headers["x-tokens"] == "12" and replies[2].json == {"path": "/predict"}
    # One that takes all with it: each is tried alone.
    bodies = [{"data": 2}, {"do": "raise"}, {"do": "raise item"}, {"data": 3}, {"data": 4}]
    replies = all_replies([one.start_call("POST", "/predict", body) for body in bodies])
    assert [reply.status for reply in replies] == [200, 500, 418, 200, 200]


@pytest.mark.parametrize("language", HELPERS)
def test_helper_modules_take_multipart(companion: Make, language: str) -> None:
    address = free_address()
    one = companion(app=address, command=[*HELPERS[language], address], config=batching(format="multipart", size_max=2))
    calls = [one.start_call("POST", "/predict", body, {"Content-Type": "image/png"}) for body in (b"\x00\r\n", b"abc")]
    assert [reply.body for reply in all_replies(calls)] == [b"\n\r\x00", b"cba"]
    one.terminate()
    wait_for(lambda: not one.is_running(), "to end", 20)
    assert one.wait() == 0
