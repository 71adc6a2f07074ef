"""An application on helpers/python/mesclun_batch.py that does what its items say; helper_app.cjs is its twin.

Argument: the address to listen at. An item is JSON {"data": n}, answered by {"result": n * n, "batch": size of its
batch}, or {"do": ...}, or bytes, which are answered by their reverse.
"""

from __future__ import annotations

import pathlib
import sys
import time
from typing import Any

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parents[2] / "helpers/python"))

import mesclun_batch  # noqa: E402
from mesclun_batch import Answer, Item, ItemError  # noqa: E402


def one(item: Item, batch: int) -> Any:
    if isinstance(item.body, bytes):
        return item.body[::-1]
    what = item.body.get("do")
    if what == "refuse":
        return ItemError(422, "too long")
    if what == "break":
        return ValueError("broken")
    if what == "headers":
        return Answer({"path": item.path}, 201, {"X-Tokens": "12"})
    if what == "bytes":
        return Answer(b"\x00\r\n\xff", media_type="image/png")
    if what == "no json":
        return {"tensor": object()}
    return {"result": item.body["data"] ** 2, "batch": batch}


def handle(items: list[Item]) -> list[Any]:
    bodies = [item.body for item in items if isinstance(item.body, dict)]
    time.sleep(sum(body.get("seconds", 0) for body in bodies))
    if any(body.get("do") == "raise" for body in bodies):
        raise RuntimeError("all of it")
    if any(body.get("do") == "raise item" for body in bodies):
        raise ItemError(418, "this one")
    results = [one(item, len(items)) for item in items]
    return results[1:] if any(body.get("do") == "forget" for body in bodies) else results


if __name__ == "__main__":
    mesclun_batch.serve(handle, sys.argv[1], waiting_max=2, body_bytes_max=1 << 20)
