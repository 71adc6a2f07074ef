"""BentoML with its own adaptive batching, for `bentoml serve bentoml_server:Bench`. Bodies are {"data": [n]} there."""

from __future__ import annotations

import bentoml
from fake_model import BATCH, QUEUE_MAX, WAIT_SECONDS_MAX, Model


@bentoml.service(workers=1, traffic={"timeout": WAIT_SECONDS_MAX, "max_concurrency": QUEUE_MAX},
                 logging={"access": {"enabled": False}})
class Bench:
    def __init__(self) -> None:
        self.model = Model()

    @bentoml.api(batchable=True, batch_dim=0, max_batch_size=BATCH, max_latency_ms=int(WAIT_SECONDS_MAX * 1000))
    def predict(self, data: list[int]) -> list[int]:
        return self.model.run(data)
