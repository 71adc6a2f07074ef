"""The published pattern on Flask, with Flask's own threaded server. Argument: HOST:PORT."""

from __future__ import annotations

import logging
import sys
import threading
from typing import Any

import flask
from fake_model import WAIT_SECONDS_MAX, BatchThread

app = flask.Flask("bench")
batches = BatchThread()


@app.post("/predict")
def predict() -> Any:
    done = threading.Event()
    answer: list[int] = []

    def finish(result: int) -> None:
        answer.append(result)
        done.set()

    if not batches.submit(flask.request.get_json()["data"], finish):
        return {"error": "busy"}, 429
    return {"result": answer[0]} if done.wait(WAIT_SECONDS_MAX) else ({"error": "late"}, 500)


@app.get("/health")
def health() -> Any:
    return {"status": "busy" if batches.is_busy() else "ready"}


if __name__ == "__main__":
    logging.getLogger("werkzeug").setLevel(logging.ERROR)
    host, port = sys.argv[1].rsplit(":", 1)
    app.run(host, int(port), threaded=True)
