"""An application that does one thing at a time: a request with `X-Work: F` takes F times what the machine takes.

    one_at_a_time.py PORT SECONDS        as fast as that
    one_at_a_time.py PORT FILE           as fast as FILE says for this machine: {"MACHINE ID": SECONDS, ...}
"""

from __future__ import annotations

import asyncio
import json
import os
import pathlib
import sys


def seconds_of(argument: str) -> float:
    file = pathlib.Path(argument)
    return float(json.loads(file.read_text())[os.environ["SALAD_MACHINE_ID"]] if file.exists() else argument)


async def main() -> None:
    port, seconds = int(sys.argv[1]), seconds_of(sys.argv[2])
    turn = asyncio.Lock()

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            while True:
                head = (await reader.readuntil(b"\r\n\r\n")).decode("latin-1")
                work = next((float(line.split(":", 1)[1]) for line in head.split("\r\n") if line.lower().startswith("x-work:")), 0.0)
                async with turn:
                    await asyncio.sleep(work * seconds)
                writer.write(b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok")
                await writer.drain()
        except (asyncio.IncompleteReadError, ConnectionError):
            pass
        finally:
            writer.close()

    server = await asyncio.start_server(serve, None, port)
    await server.serve_forever()


asyncio.run(main())
