"""Ours: the helper module, for mesclun-app to stand before. Argument: where it listens."""

from __future__ import annotations

import pathlib
import sys
from typing import Any

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parents[2] / "helpers/python"))

import mesclun_batch  # noqa: E402
from fake_model import Model  # noqa: E402

if __name__ == "__main__":
    model = Model()

    def handle(items: list[mesclun_batch.Item]) -> list[Any]:
        return [{"result": result} for result in model.run([item.body["data"] for item in items])]

    mesclun_batch.serve(handle, sys.argv[1])
