"""What happened: numbers, table and verdict of the demo, computed from the recorded requests only."""

from __future__ import annotations

import dataclasses
import difflib
import math

from core_speed import BATCH, CoreSpeed
from load import Request
from node_watch import Found

# All 300 pictures of seed 1 are read exactly. With a word that Tesseract takes for another ("many", "Many") 2 of 300 were
# not, with similarity 0.993: the kind of error that is still no failure.
EXACT_SHARE_MIN = 0.99
SIMILARITY_MIN = 0.95
# The gateway promises under a second; a demo on a busy machine gets some slack before it calls that a failure.
DEAD_TRAFFIC_SECONDS_MAX = 5.0
# The load writes its lines up to 0.2 s late, and a busy machine adds to that: so near to the kill nobody can tell.
LINE_LATE_SECONDS_MAX = 0.5


@dataclasses.dataclass
class Node:
    name: str
    machine_id: str
    country: str
    cpu_share: int  # per cent of a core


@dataclasses.dataclass
class Kill:
    time: float
    node: Node
    known_instances: set[str]  # all that existed before
    tunnel_down: float | None = None  # seconds later, when the gateway noticed


@dataclasses.dataclass
class NodeRow:
    node: Node | None
    machine_id: str
    served: int = 0
    busy_seconds: float = 0.0
    batches: float = 0.0
    found: Found = dataclasses.field(default_factory=Found)

    @property
    def batch_mean(self) -> float:
        return self.served / self.batches if self.batches else 0.0

    @property
    def rate(self) -> float:
        """Pictures per second of busy time."""
        return self.served / self.busy_seconds if self.busy_seconds else 0.0


@dataclasses.dataclass
class Summary:
    requests: int = 0  # without those cut short
    answered: int = 0
    retried: int = 0  # requests that needed more than one attempt
    attempts: int = 0
    cut_short: int = 0
    unreported: int = 0  # requests that were begun and have no line
    failed: list[Request] = dataclasses.field(default_factory=list)
    wrong: list[tuple[Request, float]] = dataclasses.field(default_factory=list)  # with the similarity
    exact: int = 0
    seconds: float = 0.0
    p50: float = 0.0
    p99: float = 0.0
    rows: list[NodeRow] = dataclasses.field(default_factory=list)
    # Seconds after the kill.
    dead_last_answer: float = 0.0
    dead_answers: int = 0  # to requests that began after it
    replacement_first: float | None = None
    replacement_node: str = ""


def normalise(text: str) -> str:
    return " ".join(text.split())


def similarity(got: str, want: str) -> float:
    return difflib.SequenceMatcher(None, normalise(got), normalise(want), autojunk=False).ratio()


def percentile(values: list[float], share: float) -> float:
    """Nearest rank: the smallest value that at least `share` of all do not exceed."""
    if not values:
        return 0.0
    return sorted(values)[max(0, math.ceil(share * len(values)) - 1)]


def replacement_answers(requests: list[Request], kill: Kill) -> list[Request]:
    """Answers of instances that did not exist when the node was killed, first one first."""
    new = [r for r in requests if r.answered and r.instance_id not in kill.known_instances and r.end > kill.time]
    return sorted(new, key=lambda request: request.end)


def summarise(requests: list[Request], nodes: list[Node], kill: Kill | None, found: dict[str, Found]) -> Summary:
    """`found` is by instance."""
    result = Summary(cut_short=sum(request.cut_short for request in requests))
    # The load begins them in order, so a gap is a request that it forgot.
    result.unreported = max((r.number + 1 for r in requests), default=0) - len({r.number for r in requests})
    requests = [request for request in requests if not request.cut_short]
    result.requests = len(requests)
    if not requests:
        return result
    rows = {node.machine_id: NodeRow(node, node.machine_id) for node in nodes}
    for request in requests:
        result.attempts += request.attempts
        result.retried += request.attempts > 1
        if not request.answered:
            result.failed.append(request)
            continue
        result.answered += 1
        row = rows.setdefault(request.machine_id, NodeRow(None, request.machine_id))
        row.served += 1
        row.busy_seconds += request.busy_seconds
        row.batches += 1 / request.batch
        row.found = found.get(request.instance_id, row.found)
        alike = similarity(request.text, request.picture.text)
        if normalise(request.text) == normalise(request.picture.text):
            result.exact += 1
        else:
            result.wrong.append((request, alike))
    latencies = [request.latency for request in requests if request.answered]
    result.p50, result.p99 = percentile(latencies, 0.50), percentile(latencies, 0.99)
    result.seconds = max(request.end for request in requests) - min(request.start for request in requests)
    result.rows = list(rows.values())
    if kill is not None:
        of_dead = [r for r in requests if r.machine_id == kill.node.machine_id]
        result.dead_last_answer = max((r.end - kill.time for r in of_dead if r.end > kill.time), default=0.0)
        result.dead_answers = sum(r.start > kill.time + LINE_LATE_SECONDS_MAX for r in of_dead)
        new = replacement_answers(requests, kill)
        if new:
            result.replacement_first = new[0].end - kill.time
            names = {node.machine_id: f"{node.name} ({node.country})" for node in nodes}
            result.replacement_node = names.get(new[0].machine_id, new[0].machine_id)
    return result


def dead_traffic_seconds(summary: Summary, kill: Kill) -> float:
    """How long after the kill the gateway may have sent to the dead node, or passed on what it had said."""
    return max(summary.dead_last_answer, kill.tunnel_down or 0.0)


def verdict(summary: Summary, kill: Kill | None) -> list[str]:
    """Everything that makes the run a failure; empty when it passed."""
    reasons = []
    lost = len(summary.failed) + summary.unreported
    if lost or not summary.requests:
        reasons.append(f"{lost} of {summary.requests + summary.unreported} requests were lost")
        for request in summary.failed[:3]:
            reasons.append(f"  request {request.number}: {request.attempts} attempts, the last "
                           f"{request.status or 'without an answer'}: {request.problem}")
    if summary.answered and summary.exact < EXACT_SHARE_MIN * summary.answered:
        reasons.append(f"only {summary.exact} of {summary.answered} texts were read exactly")
    for request, alike in summary.wrong:
        if alike < SIMILARITY_MIN:
            reasons.append(f"the text of picture {request.picture.path.name} came back wrong (similarity {alike:.2f})")
    if not any(row.batch_mean > 1 for row in summary.rows):
        reasons.append("no pictures were read in batches")
    if not any(row.found.node_class for row in summary.rows):
        reasons.append("no companion judged its node")
    if kill is None:
        reasons.append("no node was killed: the load ended before")
        return reasons
    if summary.dead_answers:
        reasons.append(f"the dead node answered {summary.dead_answers} requests sent after its end")
    if kill.tunnel_down is None:
        reasons.append("the gateway did not notice that the node was dead")
    if (late := dead_traffic_seconds(summary, kill)) > DEAD_TRAFFIC_SECONDS_MAX:
        reasons.append(f"the dead node still had traffic {late:.1f} s after its end")
    if summary.replacement_first is None:
        reasons.append("no replacement served a request")
    return reasons


def _node_line(row: NodeRow, summary: Summary, kill: Kill | None) -> str:
    name = row.node.name if row.node else row.machine_id[:8]
    country = row.node.country if row.node else "?"
    cpu = f"{row.node.cpu_share} %" if row.node else "?"
    share = f"{100 * row.served / max(1, summary.answered):.1f} %"
    batch, rate = (f"{row.batch_mean:.1f}", f"{row.rate:.2f}") if row.served else ("-", "-")
    queue = str(row.found.queue_max or "-")
    mark = "  killed" if kill and row.machine_id == kill.node.machine_id else ""
    return (f"{name:<10} {country:<8} {cpu:>8}  {row.served:>6}  {share:>6}  {batch:>5}  {rate:>15}  "
            f"{row.found.node_class or '-':<6}  {queue:>5}{mark}")


def table(summary: Summary, kill: Kill | None, core: CoreSpeed) -> str:
    lines = ["", "node       country  cpu share  served   share  batch  pictures/busy s  class   queue"]
    lines += [_node_line(row, summary, kill) for row in sorted(summary.rows, key=lambda r: -r.served)]
    lines += [
        "",
        f"requests                              {summary.requests}, and {summary.cut_short} cut short at the end",
        f"retried                               {summary.retried} ({summary.attempts} attempts in all)",
        f"failed                                {len(summary.failed) + summary.unreported}",
        f"texts exactly right                   {summary.exact} of {summary.answered}",
        f"latency p50 / p99                     {summary.p50:.2f} s / {summary.p99:.2f} s",
        f"throughput                            {summary.answered / max(summary.seconds, 1e-9):.1f} pictures/s",
        f"what batches save                     a core reads {core.singly:.1f} pictures/s one by one, "
        f"{core.in_batches:.1f} in batches of {BATCH}",
    ]
    if kill is not None:
        first = (f"{summary.replacement_first:.1f} s, on {summary.replacement_node}"
                 if summary.replacement_first is not None else "never")
        lines += [
            f"dead node had no more traffic after   {dead_traffic_seconds(summary, kill):.2f} s",
            f"replacement served first after        {first}",
        ]
    return "\n".join(lines)
