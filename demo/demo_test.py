"""Tests of the demo's parts, without a cloud. Run: python3 -m pytest demo"""

from __future__ import annotations

import http.server
import json
import os
import pathlib
import signal
import subprocess
import sys
import tempfile
import threading
import time
import unittest

HERE = pathlib.Path(__file__).resolve().parent
sys.path.insert(0, str(HERE))

import images  # noqa: E402
import load  # noqa: E402
import processes  # noqa: E402
import report  # noqa: E402

PICTURE = images.Picture(0, "one two", pathlib.Path("00000.png"))


def attempt(start: float, end: float, status: int = 200, machine: str = "m1", instance: str = "i1",
            text: str = "one two") -> load.Attempt:
    if status != 200:
        return load.Attempt(start, end, status)
    return load.Attempt(start, end, status, machine_id=machine, instance_id=instance, seconds=0.5, text=text)


def requests_of(*attempt_lists: list[load.Attempt]) -> list[load.Request]:
    return [load.Request(number, PICTURE, attempts) for number, attempts in enumerate(attempt_lists)]


NODE = report.Node("rocket", "m1", "us", 80)
OTHER = report.Node("cress", "m2", "de", 60)
KILL = report.Kill(10.0, NODE, {"i1", "i2"})


class Images(unittest.TestCase):
    def test_same_seed_gives_the_same_texts(self) -> None:
        self.assertEqual([images.make_text(3, n) for n in range(50)], [images.make_text(3, n) for n in range(50)])
        self.assertNotEqual(images.make_text(3, 0), images.make_text(4, 0))

    def test_texts_differ_and_have_their_size(self) -> None:
        texts = [images.make_text(1, n)[0] for n in range(300)]
        self.assertEqual(len(set(texts)), 300)
        for text in texts:
            lines = text.split("\n")
            self.assertIn(len(lines), range(images.LINES_MIN, images.LINES_MAX + 1))
            self.assertLessEqual(max(map(len, lines)), images.LINE_CHARACTERS)


class Report(unittest.TestCase):
    def test_percentile_is_the_nearest_rank(self) -> None:
        self.assertEqual(report.percentile([3.0, 1.0, 2.0, 4.0], 0.5), 2.0)
        self.assertEqual(report.percentile([float(n) for n in range(1, 101)], 0.99), 99.0)
        self.assertEqual(report.percentile([], 0.5), 0.0)

    def test_good_run_passes(self) -> None:
        requests = requests_of([attempt(1, 2)], [attempt(9, 10.2, 502), attempt(10.4, 11, machine="m2", instance="i2")],
                               [attempt(30, 31, machine="m3", instance="i3")])
        summary = report.summarise(requests, [NODE, OTHER], KILL)
        self.assertEqual(report.verdict(summary, KILL), [])
        self.assertEqual((summary.requests, summary.answered, summary.retried, summary.attempts), (3, 3, 1, 4))
        self.assertEqual(summary.dead_last_attempt, 0.0)
        self.assertEqual(summary.replacement_first, 21.0)
        self.assertIn("rocket", report.table(summary, KILL))

    def test_lost_request_fails(self) -> None:
        for lost in ([attempt(1, 2, 500)], [attempt(1, 2, 404)], []):
            summary = report.summarise(requests_of(lost, [attempt(30, 31, machine="m3", instance="i3")]), [NODE], KILL)
            self.assertIn("1 of 2 requests were lost", report.verdict(summary, KILL))

    def test_wrong_text_fails(self) -> None:
        good = [[attempt(30, 31, machine="m3", instance="i3")]] * 200
        one = report.summarise(requests_of(*good, [attempt(1, 2, text="one  two\n")]), [NODE], KILL)
        self.assertEqual(report.verdict(one, KILL), [])
        bad = report.summarise(requests_of(*good, [attempt(1, 2, text="something else")]), [NODE], KILL)
        self.assertTrue(any("came back wrong" in reason for reason in report.verdict(bad, KILL)))

    def test_many_small_errors_fail(self) -> None:
        picture = images.Picture(0, "a" * 99 + "b", pathlib.Path("0.png"))
        answers = [load.Request(n, picture, [attempt(30, 31, machine="m3", instance="i3", text="a" * 99 + "c")])
                   for n in range(3)]
        summary = report.summarise(answers, [NODE], KILL)
        self.assertEqual(report.verdict(summary, KILL), ["only 0 of 3 texts were read exactly"])

    def test_traffic_to_the_dead_node_fails(self) -> None:
        new = [attempt(30, 31, machine="m3", instance="i3")]
        answered = report.summarise(requests_of(new, [attempt(10.1, 11)]), [NODE], KILL)
        self.assertIn("the dead node answered 1 requests sent after its end", report.verdict(answered, KILL))
        late = report.summarise(requests_of(new, [attempt(16, 17, 502), *new]), [NODE], KILL)
        self.assertEqual(late.dead_last_attempt, 6.0)
        self.assertIn("the dead node still got requests 6.0 s after its end", report.verdict(late, KILL))
        # The application's own "busy" says nothing about the dead node.
        busy = report.summarise(requests_of(new, [attempt(16, 17, 503), *new]), [NODE], KILL)
        self.assertEqual(report.verdict(busy, KILL), [])

    def test_missing_replacement_or_kill_fails(self) -> None:
        requests = requests_of([attempt(11, 12, machine="m2", instance="i2")])
        self.assertEqual(report.verdict(report.summarise(requests, [NODE], KILL), KILL),
                         ["no replacement served a request"])
        self.assertEqual(report.verdict(report.summarise(requests, [NODE], None), None),
                         ["no node was killed: the load ended before"])


class FakeGateway(http.server.ThreadingHTTPServer):
    """Answers by a script of status codes, then with the picture's text."""

    daemon_threads = True

    def __init__(self, script: list[int]) -> None:
        self.script, self.lock, self.hosts = script, threading.Lock(), set[str]()
        super().__init__(("127.0.0.1", 0), FakeHandler)


class FakeHandler(http.server.BaseHTTPRequestHandler):
    server: FakeGateway
    protocol_version = "HTTP/1.1"

    def do_POST(self) -> None:
        body = self.rfile.read(int(self.headers["Content-Length"]))
        with self.server.lock:
            self.server.hosts.add(self.headers["Host"])
            status = self.server.script.pop(0) if self.server.script else 200
        if status == 0:
            self.close_connection = True
            self.connection.close()
            return
        answer = {"text": body.decode(), "machine_id": "m1", "instance_id": "i1", "seconds": 0.1}
        content = json.dumps(answer if status == 200 else {}).encode()
        self.send_response(status)
        self.send_header("Content-Length", str(len(content)))
        self.end_headers()
        self.wfile.write(content)

    def log_message(self, *_: object) -> None:
        pass


class LoadClient(unittest.TestCase):
    def run_load(self, script: list[int], requests: int) -> tuple[load.Load, FakeGateway]:
        gateway = FakeGateway(script)
        threading.Thread(target=gateway.serve_forever, args=(0.02,), daemon=True).start()
        self.addCleanup(gateway.server_close)
        self.addCleanup(gateway.shutdown)
        folder = tempfile.TemporaryDirectory()
        self.addCleanup(folder.cleanup)
        pictures = []
        for number in range(4):
            path = pathlib.Path(folder.name) / f"{number}.png"
            path.write_text(f"text {number}")
            pictures.append(images.Picture(number, f"text {number}", path))
        sent = load.Load(f"127.0.0.1:{gateway.server_port}", "ocr.localhost", pictures, 3)
        sent.start(lambda started: started >= requests)
        while sent.running():
            time.sleep(0.01)
        return sent, gateway

    def test_every_request_is_answered_once_with_its_own_text(self) -> None:
        sent, gateway = self.run_load([], 50)
        self.assertEqual(gateway.hosts, {"ocr.localhost"})
        self.assertEqual([r.number for r in sent.all_requests()], list(range(50)))
        self.assertTrue(all(r.answer and r.answer.text == r.picture.text for r in sent.all_requests()))

    def test_errors_of_the_way_are_retried(self) -> None:
        sent, _ = self.run_load([502, 0, 503, 429, 0, 500], 10)
        self.assertTrue(all(r.answer for r in sent.all_requests()))
        self.assertEqual(sum(len(r.attempts) for r in sent.all_requests()), 16)

    def test_refusal_is_not_retried(self) -> None:
        sent, _ = self.run_load([404], 5)
        failed = [r for r in sent.all_requests() if not r.answer]
        self.assertEqual([len(r.attempts) for r in failed], [1])

    def test_retries_are_bounded(self) -> None:
        load.BACKOFF_SECONDS_FIRST, before = 0.001, load.BACKOFF_SECONDS_FIRST
        load.BACKOFF_SECONDS_MAX, before_max = 0.002, load.BACKOFF_SECONDS_MAX
        try:
            sent, _ = self.run_load([502] * 3 * load.ATTEMPTS_MAX, 3)
        finally:
            load.BACKOFF_SECONDS_FIRST, load.BACKOFF_SECONDS_MAX = before, before_max
        self.assertEqual([len(r.attempts) for r in sent.all_requests()], [load.ATTEMPTS_MAX] * 3)


class Processes(unittest.TestCase):
    def test_kills_what_matches_and_nothing_else(self) -> None:
        with tempfile.TemporaryDirectory() as name:
            folder = pathlib.Path(name)
            command = [sys.executable, "-c", "import time; time.sleep(60)"]
            by_argument = subprocess.Popen([*command, str(folder / "runs")])
            by_variable = subprocess.Popen(command, env={**os.environ, "SALAD_MACHINE_ID": name})
            other = subprocess.Popen([*command, name + "0"])

            def matches(pid: int) -> bool:
                return (processes.belongs_to_folder(pid, folder)
                        or processes.environment_of(pid).get("SALAD_MACHINE_ID") == name)

            try:
                while processes.find(matches) != {by_argument.pid, by_variable.pid}:
                    time.sleep(0.01)
                count, when = processes.kill_all([by_variable.pid], matches)
                self.assertEqual(count, 2)
                self.assertLessEqual(when, time.monotonic())
                self.assertEqual({by_argument.wait(), by_variable.wait()}, {-signal.SIGKILL})
                self.assertIsNone(other.poll())
            finally:
                for process in (by_argument, by_variable, other):
                    process.kill()
                    process.wait()


class OcrServer(unittest.TestCase):
    """The application with the real Tesseract, driven by the load client without a gateway in between."""

    def setUp(self) -> None:
        self.folder = tempfile.TemporaryDirectory()
        self.addCleanup(self.folder.cleanup)
        self.server = subprocess.Popen(
            [sys.executable, str(HERE / "ocr_server.py")], stdout=subprocess.PIPE, text=True,
            env={**os.environ, "PORT": "0", "SALAD_MACHINE_ID": "m1", "SALAD_INSTANCE_ID": "i1"})
        self.addCleanup(self.stop)
        assert self.server.stdout
        self.port = int(self.server.stdout.readline().split("port ")[1].split(",")[0])

    def stop(self) -> None:
        self.server.kill()
        self.server.wait()
        assert self.server.stdout
        self.server.stdout.close()

    def test_reads_pictures_exactly_over_both_families(self) -> None:
        pictures = images.make_pictures(pathlib.Path(self.folder.name), 4, seed=7)
        for address in (f"127.0.0.1:{self.port}", f"[::1]:{self.port}"):
            sent = load.Load(address, "ocr", pictures, 2)
            sent.start(lambda started: started >= len(pictures))
            while sent.running():
                time.sleep(0.02)
            summary = report.summarise(sent.all_requests(), [NODE], None)
            self.assertEqual((summary.answered, summary.exact, summary.rows[0].served), (4, 4, 4))

    def test_says_why_it_refuses(self) -> None:
        client = load.Client(f"127.0.0.1:{self.port}", "ocr")
        self.addCleanup(client.close)
        self.assertEqual(client.post("/ocr", b"hello")[0].status, 415)
        broken = client.post("/ocr", b"\x89PNG\r\n\x1a\n and then nothing")[0]
        self.assertEqual((broken.status, "png" in broken.problem.lower()), (422, True))
        self.assertEqual(client.post("/other", b"")[0].status, 404)

    def test_full_desk_answers_at_once_and_nothing_accepted_is_lost_at_the_end(self) -> None:
        picture = images.make_pictures(pathlib.Path(self.folder.name), 1, seed=7)[0].read()
        statuses: list[int] = []

        def send() -> None:
            client = load.Client(f"127.0.0.1:{self.port}", "ocr")
            statuses.append(client.post("/ocr", picture)[0].status)
            client.close()

        threads = [threading.Thread(target=send) for _ in range(12)]
        for thread in threads:
            thread.start()
        while 503 not in statuses:  # one is read, four wait: at least one of the others is turned away
            time.sleep(0.005)
        self.server.terminate()
        for thread in threads:
            thread.join()
        self.assertEqual(self.server.wait(), 0)
        self.assertGreaterEqual(statuses.count(200), 1)
        self.assertEqual(set(statuses), {200, 503})


if __name__ == "__main__":
    unittest.main()
