"""What happened: numbers, table and verdict of the demo, computed from the recorded requests only."""

from __future__ import annotations

import dataclasses
import difflib
import math

from load import Attempt, Request

# All 300 pictures of seed 1 are read exactly. With a word that Tesseract takes for another ("many", "Many") 2 of 300 were
# not, with similarity 0.993: the kind of error that is still no failure.
EXACT_SHARE_MIN = 0.99
SIMILARITY_MIN = 0.95
# The gateway promises under a second; a demo on a busy machine gets some slack before it calls that a failure.
DEAD_TRAFFIC_SECONDS_MAX = 5.0


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


@dataclasses.dataclass
class NodeRow:
    node: Node | None
    machine_id: str
    served: int = 0
    seconds: float = 0.0

    @property
    def mean_seconds(self) -> float:
        return self.seconds / self.served if self.served else 0.0


@dataclasses.dataclass
class Summary:
    requests: int = 0
    answered: int = 0
    retried: int = 0  # requests that needed more than one attempt
    attempts: int = 0
    failed: list[Request] = dataclasses.field(default_factory=list)
    wrong: list[tuple[Request, float]] = dataclasses.field(default_factory=list)  # with the similarity
    exact: int = 0
    seconds: float = 0.0
    p50: float = 0.0
    p99: float = 0.0
    rows: list[NodeRow] = dataclasses.field(default_factory=list)
    # Seconds after the kill.
    dead_last_attempt: float | None = None
    dead_answers: int = 0
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


def replacement_answers(requests: list[Request], kill: Kill) -> list[Attempt]:
    """Answers of instances that did not exist when the node was killed, first one first."""
    answers = [r.answer for r in requests if r.answer and r.answer.instance_id not in kill.known_instances]
    return sorted((a for a in answers if a.end > kill.time), key=lambda a: a.end)


def attempts_at_dead_node(requests: list[Request], kill: Kill) -> list[Attempt]:
    """Attempts that began after the kill and were, or may have been, sent to the dead node.

    An attempt without an answer, or with the gateway's own 502 or 504, does not tell where it went, so all of them are
    counted: the time that the table shows is an upper bound.
    """
    def may_have_been_there(attempt: Attempt) -> bool:
        if attempt.machine_id:
            return attempt.machine_id == kill.node.machine_id
        return attempt.status in (0, 502, 504, 524)

    return [a for r in requests for a in r.attempts if a.start > kill.time and may_have_been_there(a)]


def summarise(requests: list[Request], nodes: list[Node], kill: Kill | None) -> Summary:
    result = Summary(requests=len(requests))
    if not requests:
        return result
    rows = {node.machine_id: NodeRow(node, node.machine_id) for node in nodes}
    for request in requests:
        result.attempts += len(request.attempts)
        result.retried += len(request.attempts) > 1
        answer = request.answer
        if answer is None:
            result.failed.append(request)
            continue
        result.answered += 1
        row = rows.setdefault(answer.machine_id, NodeRow(None, answer.machine_id))
        row.served += 1
        row.seconds += answer.seconds
        alike = similarity(answer.text, request.picture.text)
        if normalise(answer.text) == normalise(request.picture.text):
            result.exact += 1
        else:
            result.wrong.append((request, alike))
    attempted = [r for r in requests if r.attempts]
    latencies = [r.latency for r in attempted if r.answer]
    result.p50, result.p99 = percentile(latencies, 0.50), percentile(latencies, 0.99)
    if attempted:
        result.seconds = max(r.attempts[-1].end for r in attempted) - min(r.attempts[0].start for r in attempted)
    result.rows = list(rows.values())
    if kill is not None:
        late = attempts_at_dead_node(requests, kill)
        result.dead_last_attempt = max((a.start - kill.time for a in late), default=0.0)
        result.dead_answers = sum(bool(a.machine_id) for a in late)
        new = replacement_answers(requests, kill)
        if new:
            result.replacement_first = new[0].end - kill.time
            names = {node.machine_id: f"{node.name} ({node.country})" for node in nodes}
            result.replacement_node = names.get(new[0].machine_id, new[0].machine_id)
    return result


def verdict(summary: Summary, kill: Kill | None) -> list[str]:
    """Everything that makes the run a failure; empty when it passed."""
    reasons = []
    if summary.failed or summary.answered != summary.requests or not summary.requests:
        reasons.append(f"{summary.requests - summary.answered} of {summary.requests} requests were lost")
        for request in summary.failed[:3]:
            last = request.attempts[-1] if request.attempts else None
            reasons.append(f"  request {request.number}: {len(request.attempts)} attempts, the last "
                           f"{f'{last.status} {last.problem}' if last else 'never sent'}")
    if summary.answered and summary.exact < EXACT_SHARE_MIN * summary.answered:
        reasons.append(f"only {summary.exact} of {summary.answered} texts were read exactly")
    for request, alike in summary.wrong:
        if alike < SIMILARITY_MIN:
            reasons.append(f"the text of picture {request.picture.path.name} came back wrong (similarity {alike:.2f})")
    if kill is None:
        reasons.append("no node was killed: the load ended before")
        return reasons
    if summary.dead_answers:
        reasons.append(f"the dead node answered {summary.dead_answers} requests sent after its end")
    if summary.dead_last_attempt is not None and summary.dead_last_attempt > DEAD_TRAFFIC_SECONDS_MAX:
        reasons.append(f"the dead node still got requests {summary.dead_last_attempt:.1f} s after its end")
    if summary.replacement_first is None:
        reasons.append("no replacement served a request")
    return reasons


def table(summary: Summary, kill: Kill | None) -> str:
    lines = ["", "node       country  cpu share  served  share   mean s/picture"]
    for row in sorted(summary.rows, key=lambda r: -r.served):
        name = row.node.name if row.node else row.machine_id[:8]
        country = row.node.country if row.node else "?"
        cpu = f"{row.node.cpu_share} %" if row.node else "?"
        mark = "  killed" if kill and row.machine_id == kill.node.machine_id else ""
        mean = f"{row.mean_seconds:.2f}" if row.served else "-"
        share = f"{100 * row.served / max(1, summary.answered):.1f} %"
        lines.append(f"{name:<10} {country:<8} {cpu:>8}  {row.served:>6}  {share:>6}  {mean:>14}{mark}")
    lines += [
        "",
        f"requests                              {summary.requests}",
        f"retried                               {summary.retried} ({summary.attempts} attempts in all)",
        f"failed                                {summary.requests - summary.answered}",
        f"texts exactly right                   {summary.exact} of {summary.answered}",
        f"latency p50 / p99                     {summary.p50:.2f} s / {summary.p99:.2f} s",
        f"throughput                            {summary.answered / max(summary.seconds, 1e-9):.1f} pictures/s",
    ]
    if kill is not None:
        first = (f"{summary.replacement_first:.1f} s, on {summary.replacement_node}"
                 if summary.replacement_first is not None else "never")
        lines += [
            f"dead node got no more traffic after   {summary.dead_last_attempt or 0:.2f} s",
            f"replacement served first after        {first}",
        ]
    return "\n".join(lines)
