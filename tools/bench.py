#!/usr/bin/env python3
"""`make bench`: runs the benchmark programs (build/release/bin/*_bench) and the comparisons with others.

Prints a table and writes JSON lines to build/bench.jsonl:
{"bench", "case", "subject", "peer", "metric", "value", "unit", "ratio"}; ratio is subject : peer of the same run.
"""

from __future__ import annotations

import argparse
import json
import pathlib
import subprocess
import sys
from typing import Any

import bench_agent
import bench_balance
import bench_front
import bench_gateway
import bench_idle
import bench_logs
import bench_start

ROOT = pathlib.Path(__file__).resolve().parent.parent
Row = dict[str, Any]


def row(bench: str, case: str, subject: str, metric: str, value: float, unit: str,
        peer: str | None = None, ratio: float | None = None) -> Row:
    return {"bench": bench, "case": case, "subject": subject, "peer": peer, "metric": metric,
            "value": round(value, 3), "unit": unit, "ratio": None if ratio is None else round(ratio, 3)}


def run_program(program: pathlib.Path, pattern: str) -> list[Row]:
    """Google Benchmark's own repetitions and statistics; we keep the median of CPU time, or of what a program times
    itself."""
    command = [str(program), "--benchmark_format=json", "--benchmark_repetitions=3",
               "--benchmark_report_aggregates_only=true", *([f"--benchmark_filter={pattern}"] if pattern else [])]
    done = subprocess.run(command, capture_output=True, text=True)
    if done.returncode != 0:
        raise RuntimeError(f"{program.name} failed:\n{done.stderr}")
    if not done.stdout.strip():  # the filter left nothing
        return []
    results = json.loads(done.stdout)["benchmarks"]
    rows = []
    for result in (r for r in results if r.get("aggregate_name") == "median"):
        metric = "real_time" if result["run_name"].endswith("/manual_time") else "cpu_time"
        name = result["run_name"].split("/")[0] if metric == "real_time" else result["run_name"]
        rows.append(row(program.name, name, "mesclun", metric, result[metric], result["time_unit"]))
    return rows


def show(rows: list[Row]) -> None:
    for r in rows:
        against = f"{r['ratio']:>8.2f} x {r['peer']}" if r["ratio"] is not None else ""
        print(f"{r['bench']:<16} {r['case']:<40} {r['subject']:<18} {r['metric']:<16}"
              f"{r['value']:>12.2f} {r['unit']:<8}{against}",
              flush=True)


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("pattern", nargs="?", default="", help="only benchmarks with this in their names")
    options = parser.parse_args()
    rows: list[Row] = []
    for program in sorted((ROOT / "build/release/bin").glob("*_bench")):
        found = run_program(program, options.pattern)
        show(found)
        rows += found
    if options.pattern in "agent":
        found = bench_agent.agent_rows(ROOT / "build/release/bin/mesclun")
        show(found)
        rows += found
    if options.pattern in "balance":
        found = bench_balance.balance_rows(ROOT / "build/release/bin/mesclun")
        show(found)
        rows += found
    if options.pattern in "gateway":
        found = bench_gateway.gateway_rows(ROOT / "build/release/bin/mesclun")
        show(found)
        rows += found
    if options.pattern in "idle":
        found = bench_idle.idle_rows(ROOT / "build/release/bin/mesclun")
        show(found)
        rows += found
    if options.pattern in "logs":
        found = bench_logs.log_rows(ROOT / "build/release/bin/mesclun")
        show(found)
        rows += found
    if options.pattern in "start":
        found = bench_start.start_rows(ROOT / "build/release/bin/mesclun")
        show(found)
        rows += found
    if options.pattern in "front":
        found = bench_front.front_rows(ROOT / "build/release/bin/mesclun-app")
        show(found)
        rows += found
    if not rows:
        print("no benchmark has such a name", file=sys.stderr)
        return 1
    (ROOT / "build/bench.jsonl").write_text("".join(json.dumps(r) + "\n" for r in rows))
    return 0


if __name__ == "__main__":
    sys.exit(main())
