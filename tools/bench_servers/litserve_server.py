"""LitServe with its own batching. Argument: HOST:PORT."""

from __future__ import annotations

import sys
from typing import Any

import litserve
from fake_model import BATCH, WAIT_SECONDS_MAX, WINDOW_SECONDS, Model


class Api(litserve.LitAPI):
    def setup(self, device: str) -> None:
        self.model = Model()

    # An annotation of `request` would be taken for the form of the body.
    def decode_request(self, request, **_: Any) -> int:  # type: ignore[no-untyped-def]
        return int(request["data"])

    def batch(self, inputs: list[int]) -> list[int]:
        return inputs

    def predict(self, x: list[int], **_: Any) -> list[int]:
        return self.model.run(x)

    def unbatch(self, output: list[int]) -> list[int]:
        return output

    def encode_response(self, output: int, **_: Any) -> dict[str, int]:
        return {"result": output}


if __name__ == "__main__":
    server = litserve.LitServer(
        Api(max_batch_size=BATCH, batch_timeout=WINDOW_SECONDS, api_path="/predict"), accelerator="cpu", devices=1,
        workers_per_device=1, timeout=WAIT_SECONDS_MAX, fast_queue=True)
    host, port = sys.argv[1].rsplit(":", 1)
    server.run(host=host, port=int(port), num_api_servers=1, generate_client_file=False, log_level="error")
