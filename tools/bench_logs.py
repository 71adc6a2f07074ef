"""A search of the log over half a million lines: `POST .../log-entries`, beside a scan of the same lines by SQLite's own LIKE
and by grep. The median of a few; what is looked for stands in one of the oldest lines alone.
"""

from __future__ import annotations

import contextlib
import datetime
import os
import pathlib
import re
import resource
import sqlite3
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

from bench_agent import cpu_seconds

ROOT = pathlib.Path(__file__).resolve().parent.parent
sys.path.insert(0, str(ROOT / "e2e"))

if TYPE_CHECKING:
    from cloud import RolesCloud

LINES = 500_000
ROUNDS = 3
NEEDLE = "of-the-haystack"
SECONDS_BACK = 3600


def text_of(number: int) -> str:
    if number == LINES // 100:
        return f"worker {number % 16}: request {number} needle {NEEDLE}"
    return f"worker {number % 16}: request {number} answered with 200 in {number % 977} ms by model-{number % 7}"


def rfc3339(seconds: float) -> str:
    return datetime.datetime.fromtimestamp(seconds, datetime.UTC).isoformat()


def multiply(database: pathlib.Path) -> None:
    """Makes LINES of the one line that an instance has written, over most of an hour."""
    with contextlib.closing(sqlite3.connect(database)) as connection, connection:
        cursor = connection.execute("SELECT * FROM log_line WHERE resource_type = 'container' LIMIT 1")
        names = [column[0] for column in cursor.description]
        line = dict(zip(names, cursor.fetchone(), strict=True))
        first = connection.execute("SELECT MAX(sequence) + 1 FROM log_line").fetchone()[0]
        begin = line["time"] - (SECONDS_BACK - 600) * 10**9
        step = (SECONDS_BACK - 700) * 10**9 // LINES // 100 * 100
        rows = ({**line, "sequence": first + number, "time": begin + number * step, "text": text_of(number)}
                for number in range(LINES))
        connection.executemany(f"INSERT INTO log_line ({', '.join(names)}) VALUES "
                               f"({', '.join(':' + name for name in names)})", rows)
        connection.execute("UPDATE log_size SET lines = lines + ?", (LINES,))


def search(api: Any) -> None:
    """Over all lines, in as many calls as the cloud's limit of time makes of it."""
    end = rfc3339(time.time())
    found: list[str] = []
    while True:
        body = {"start_time": rfc3339(time.time() - SECONDS_BACK), "end_time": end, "page_size": 100,
                "query": f"resource.type = container and text_log contains {NEEDLE}"}
        reply = api.post(f"/api/public/organizations/{api.organization}/log-entries", body)
        if reply.status == 400 and (further := re.search(r"go on with end_time (\S+)", reply.json["detail"])):
            end = further.group(1)
            continue
        assert reply.status == 200, reply
        if not reply.json["items"]:
            break
        found += [item["text_log"] for item in reply.json["items"]]
        end = reply.json["page_min_time"]
    assert len(found) == 1 and NEEDLE in found[0], found


def like(database: pathlib.Path) -> None:
    with contextlib.closing(sqlite3.connect(f"file:{database}?mode=ro", uri=True)) as connection:
        found = connection.execute("SELECT text FROM log_line WHERE text LIKE ?", (f"%{NEEDLE}%",)).fetchall()
    assert len(found) == 1, found


def grep(file: pathlib.Path) -> None:
    found = subprocess.run(["grep", "-c", "-F", NEEDLE, str(file)], capture_output=True, text=True, check=True).stdout
    assert found.strip() == "1", found


def fill(cloud: RolesCloud) -> None:
    from groups import idle_spec
    from waiting import wait_for
    api = cloud.api()
    spec = idle_spec(autostart_policy=True)
    spec["container"]["command"] = ["/bin/sh", "-c", "echo one line; sleep 1000000"]
    name = api.create(spec)["name"]
    wait_for(lambda: "one line" in api.log_texts(name), "the line", 60)
    cloud.kill("cloud")
    multiply(cloud.data / "logs.db")
    cloud.start_control_plane()


def log_rows(binary: pathlib.Path) -> list[dict[str, Any]]:
    os.environ["MESCLUN_BIN"] = str(binary)
    from cloud import RolesCloud
    with tempfile.TemporaryDirectory() as folder:
        lines = pathlib.Path(folder) / "lines"
        lines.write_text("".join(f"{text_of(number)}\n" for number in range(LINES)))
        cloud = RolesCloud(pathlib.Path(folder) / "cloud", nodes=1,
                           arguments=["--organization-log-lines-max", str(2 * LINES)])
        try:
            cloud.start()
            cloud.wait_for_nodes()
            fill(cloud)
            return measure(cloud, lines)
        finally:
            cloud.kill_everything()


def measure(cloud: RolesCloud, lines: pathlib.Path) -> list[dict[str, Any]]:
    api = cloud.api()
    database = cloud.data / "logs.db"
    server = cloud.role("cloud").pid
    subjects: dict[str, tuple[Callable[[], None], Callable[[], float]]] = {
        "mesclun cloud": (lambda: search(api), lambda: cpu_seconds(server)),
        "SQLite LIKE": (lambda: like(database), time.process_time),
        "grep -F": (lambda: grep(lines), lambda: resource.getrusage(resource.RUSAGE_CHILDREN).ru_utime)}
    wall: dict[str, list[float]] = {name: [] for name in subjects}
    cpu: dict[str, list[float]] = {name: [] for name in subjects}
    for _ in range(ROUNDS):  # in turns, so that what disturbs one disturbs all
        for name, (call, used) in subjects.items():
            begin, before = time.monotonic(), used()
            call()
            wall[name].append(time.monotonic() - begin)
            cpu[name].append(used() - before)
    return [row(peer, metric, statistics.median(taken["mesclun cloud"]), statistics.median(taken[peer]))
            for metric, taken in (("search", wall), ("search_cpu", cpu)) for peer in list(subjects)[1:]]


def row(peer: str, metric: str, ours: float, theirs: float) -> dict[str, Any]:
    return {"bench": "logs", "case": f"{LINES} lines, one match", "subject": "mesclun cloud", "peer": peer,
            "metric": metric, "value": round(ours * 1000, 1), "unit": "ms",
            "ratio": round(ours / theirs, 2) if theirs else None}
