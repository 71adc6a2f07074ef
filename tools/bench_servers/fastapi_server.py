"""The published pattern on FastAPI and uvicorn. Argument: HOST:PORT."""

from __future__ import annotations

import asyncio
import sys
from typing import Any

import fastapi
import pydantic
import uvicorn
from fake_model import WAIT_SECONDS_MAX, BatchThread

app = fastapi.FastAPI()
batches = BatchThread()


class Body(pydantic.BaseModel):
    data: int


@app.post("/predict")
async def predict(body: Body) -> Any:
    loop = asyncio.get_running_loop()
    answer: asyncio.Future[int] = loop.create_future()

    def finish(result: int) -> None:
        loop.call_soon_threadsafe(lambda: answer.done() or answer.set_result(result))

    if not batches.submit(body.data, finish):
        raise fastapi.HTTPException(429, "busy")
    try:
        return {"result": await asyncio.wait_for(answer, WAIT_SECONDS_MAX)}
    except TimeoutError:
        raise fastapi.HTTPException(500, "late") from None


@app.get("/health")
async def health() -> Any:
    return {"status": "busy" if batches.is_busy() else "ready"}


if __name__ == "__main__":
    host, port = sys.argv[1].rsplit(":", 1)
    uvicorn.run(app, host=host, port=int(port), log_level="error")
