"""The smallest FastAPI application, for the time that a start takes. Run by uvicorn."""

from __future__ import annotations

import fastapi

app = fastapi.FastAPI()


@app.get("/")
def hello() -> dict[str, str]:
    return {"hello": "world"}
