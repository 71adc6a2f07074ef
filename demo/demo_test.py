"""Tests of the demo's parts, without a cloud. Run: python3 -m pytest demo"""

from __future__ import annotations

import http.client
import io
import json
import os
import pathlib
import signal
import socket
import subprocess
import sys
import tarfile
import tempfile
import time
import unittest
from typing import Any

HERE = pathlib.Path(__file__).resolve().parent
sys.path.insert(0, str(HERE))

import core_speed  # noqa: E402
import images  # noqa: E402
import load  # noqa: E402
import ocr_image  # noqa: E402
import ocr_server  # noqa: E402
import processes  # noqa: E402
import report  # noqa: E402
from children import JsonLines  # noqa: E402
from mesclun_batch import Item  # noqa: E402 (ocr_server knows where it is)
from node_watch import Found, NodeWatch  # noqa: E402

PICTURE = images.Picture(0, "one two", pathlib.Path("00000.png"))


def answer(start: float, end: float, machine: str = "m1", instance: str = "i1", text: str = "one two",
           attempts: int = 1, batch: int = 2) -> load.Request:
    return load.Request(0, PICTURE, start, end, attempts, 200, machine_id=machine, instance_id=instance, text=text,
                        seconds=0.5 * batch, batch=batch)


def failure(start: float, end: float, status: int = 502, cut_short: bool = False) -> load.Request:
    return load.Request(0, PICTURE, start, end, 3, status, f"the server answered {status}", cut_short)


def numbered(*requests: load.Request) -> list[load.Request]:
    for number, request in enumerate(requests):
        request.number = number
    return list(requests)


def write_script(folder: pathlib.Path, text: str) -> list[str]:
    script = folder / "child.py"
    script.write_text(text)
    return [sys.executable, str(script)]


NODE = report.Node("rocket", "m1", "us", 80)
OTHER = report.Node("cress", "m2", "de", 60)
KILL = report.Kill(10.0, NODE, {"i1", "i2"}, tunnel_down=0.05)
FOUND = {"i1": Found("fast", 5.1, 16), "i2": Found("slow", 1.2, 4)}
CORE = core_speed.CoreSpeed(3.0, 6.0)


def replacement() -> load.Request:
    return answer(30, 31, machine="m3", instance="i3")


class TheImage(unittest.TestCase):
    def test_holds_what_the_application_needs_to_run(self) -> None:
        files = ocr_image.contents(HERE / "run.py")
        for name in (ocr_image.COMPANION, ocr_image.SERVER, "/app/mesclun_batch.py", str(ocr_image.PYTHON)):
            self.assertIn(name, files)
        for part in ("libc.so", "ld-linux", "libtesseract", "eng.traineddata", "/encodings/__init__.py"):
            self.assertTrue(any(part in name for name in files), part)
        self.assertFalse(any("site-packages" in name or "dist-packages" in name for name in files))

    def test_is_called_after_its_content_and_packed_whole(self) -> None:
        with tempfile.TemporaryDirectory() as folder:
            one = pathlib.Path(folder, "one")
            one.write_bytes(b"1" * 700_000)
            files = {"/a/one": one, "/b": HERE / "run.py"}
            tag = ocr_image.digest(files)
            packed = io.BytesIO()
            shares: list[float] = []
            ocr_image.write_archive(files, packed, shares.append)
            self.assertEqual(shares[-1], 1.0)
            packed.seek(0)
            with tarfile.open(fileobj=packed) as archive:
                self.assertEqual(archive.getnames(), ["tmp", "a/one", "b"])
                self.assertEqual(archive.getmember("tmp").mode, 0o1777)
            self.assertEqual(ocr_image.digest(files), tag)
            one.write_bytes(b"2" * 700_000)
            self.assertNotEqual(ocr_image.digest(files), tag)


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
    def judge(self, *requests: load.Request, kill: report.Kill | None = KILL) -> list[str]:
        return report.verdict(report.summarise(numbered(answer(0, 1), *requests), [NODE, OTHER], kill, FOUND), kill)

    def test_percentile_is_the_nearest_rank(self) -> None:
        self.assertEqual(report.percentile([3.0, 1.0, 2.0, 4.0], 0.5), 2.0)
        self.assertEqual(report.percentile([float(n) for n in range(1, 101)], 0.99), 99.0)
        self.assertEqual(report.percentile([], 0.5), 0.0)

    def test_good_run_passes(self) -> None:
        requests = numbered(answer(1, 2, batch=4), answer(9, 11, machine="m2", instance="i2", attempts=2),
                            answer(1, 2), answer(9, 10.2), replacement(), failure(31, 36, 0, cut_short=True))
        summary = report.summarise(requests, [NODE, OTHER], KILL, FOUND)
        self.assertEqual(report.verdict(summary, KILL), [])
        self.assertEqual((summary.requests, summary.answered, summary.retried, summary.attempts, summary.cut_short),
                         (5, 5, 1, 6, 1))
        self.assertAlmostEqual(summary.dead_last_answer, 0.2)
        self.assertEqual(summary.replacement_first, 21.0)
        table = report.table(summary, KILL, CORE)
        self.assertIn("rocket     us           80 %       3  60.0 %    2.4             2.00  fast       16  killed\n",
                      table)
        self.assertLessEqual(max(map(len, table.split("\n"))), 100)

    def test_lost_request_fails(self) -> None:
        for lost in (failure(1, 2, 500), failure(1, 2, 404), failure(1, 2, 0)):
            self.assertIn("1 of 3 requests were lost", self.judge(lost, replacement()))

    def test_request_without_a_line_fails(self) -> None:
        requests = numbered(answer(0, 1), answer(1, 2), replacement())
        del requests[1]
        summary = report.summarise(requests, [NODE], KILL, FOUND)
        self.assertEqual(report.verdict(summary, KILL), ["1 of 3 requests were lost"])

    def test_wrong_text_fails(self) -> None:
        good = [answer(30, 31, machine="m3", instance="i3") for _ in range(200)]
        self.assertEqual(self.judge(*good, answer(1, 2, text="one  two\n")), [])
        wrong = self.judge(*good, answer(1, 2, text="something"))
        self.assertTrue(any("came back wrong" in reason for reason in wrong))

    def test_many_small_errors_fail(self) -> None:
        picture = images.Picture(0, "a" * 99 + "b", pathlib.Path("0.png"))
        answers = numbered(*(answer(30, 31, instance="i3", machine="m3", text="a" * 99 + "c") for _ in range(3)))
        for request in answers:
            request.picture = picture
        summary = report.summarise(answers, [NODE], KILL, {"i3": FOUND["i1"]})
        self.assertEqual(report.verdict(summary, KILL), ["only 0 of 3 texts were read exactly"])

    def test_traffic_to_the_dead_node_fails(self) -> None:
        self.assertEqual(self.judge(replacement(), answer(10.6, 11)),
                         ["the dead node answered 1 requests sent after its end"])
        self.assertEqual(self.judge(replacement(), answer(9, 16)),
                         ["the dead node still had traffic 6.0 s after its end"])
        late = report.Kill(10.0, NODE, {"i1", "i2"}, tunnel_down=7.0)
        self.assertEqual(self.judge(replacement(), kill=late), ["the dead node still had traffic 7.0 s after its end"])
        unnoticed = report.Kill(10.0, NODE, {"i1", "i2"})
        self.assertEqual(self.judge(replacement(), kill=unnoticed),
                         ["the gateway did not notice that the node was dead"])

    def test_missing_replacement_or_kill_fails(self) -> None:
        self.assertEqual(self.judge(answer(11, 12, machine="m2", instance="i2")), ["no replacement served a request"])
        self.assertEqual(self.judge(kill=None), ["no node was killed: the load ended before"])

    def test_run_without_batches_or_judgement_fails(self) -> None:
        requests = numbered(answer(0, 1, batch=1), answer(30, 31, machine="m3", instance="i3", batch=1))
        summary = report.summarise(requests, [NODE], KILL, {})
        self.assertEqual(report.verdict(summary, KILL),
                         ["no pictures were read in batches", "no companion judged its node"])


class Children(unittest.TestCase):
    def setUp(self) -> None:
        folder = tempfile.TemporaryDirectory()
        self.addCleanup(folder.cleanup)
        self.folder = pathlib.Path(folder.name)

    def run_child(self, text: str) -> JsonLines:
        child = JsonLines(write_script(self.folder, text), self.folder / "child.log")
        self.addCleanup(child.wait, 0)
        return child

    def test_lines_come_while_it_runs_and_an_interrupt_ends_it(self) -> None:
        child = self.run_child("import time\nprint('{\"a\": 1}\\nnone\\n[2]\\n{\"a\": 3}', flush=True)\ntime.sleep(60)")
        while len(child.lines()) < 2:
            time.sleep(0.01)
        self.assertEqual([line.value for line in child.lines()], [{"a": 1}, {"a": 3}])
        self.assertEqual([line.value for line in child.lines(1)], [{"a": 3}])
        child.interrupt()
        self.assertNotEqual(child.wait(10), 0)
        self.assertFalse(child.running())

    def test_watch_learns_class_and_queue_from_the_log(self) -> None:
        texts = ["reading pictures",
                 json.dumps({"area": "monitor", "class": "unknown", "rate": 0, "not_judged": "few"}),
                 json.dumps({"area": "monitor", "class": "fast", "rate": 5.5, "not_judged": ""}),
                 json.dumps({"area": "monitor", "message": "the queue gets another length", "queue_max": 16}),
                 json.dumps({"area": "summary", "queue_max": 3})]
        lines = [json.dumps({"instance_id": "i1", "text": text}) for text in texts]
        child = self.run_child(f"print({chr(10).join(lines)!r}, flush=True)")
        child.wait(10)
        watch = NodeWatch(child, 8)
        self.assertEqual(watch.news(), [("i1", Found("fast", 5.5, 16))])
        self.assertEqual(watch.news(), [])


class LoadLines(unittest.TestCase):
    def line(self, **more: Any) -> dict[str, Any]:
        body = {"text": "one two", "machine_id": "m1", "instance_id": "i1", "seconds": 1.2, "batch": 4}
        return {"index": 301, "status": 200, "attempts": 2, "latency_ms": 500.0, "error": None,
                "body": json.dumps(body), **more}

    def test_line_tells_picture_node_and_times(self) -> None:
        pictures = [images.Picture(number, str(number), pathlib.Path()) for number in range(300)]
        request = load.request_of(self.line(), 10.0, pictures)
        self.assertEqual((request.number, request.picture.number, request.start, request.end), (301, 1, 9.5, 10.0))
        self.assertEqual((request.answered, request.machine_id, request.instance_id), (True, "m1", "i1"))
        self.assertAlmostEqual(request.busy_seconds, 0.3)

    def test_failure_and_an_answer_of_somebody_else_are_no_answers(self) -> None:
        for line in (self.line(status=0, error="no answer in time", body=""), self.line(body="<html>"),
                     self.line(body="{}"), self.line(body="[]")):
            self.assertFalse(load.request_of(line, 10.0, [PICTURE]).answered)

    def test_what_the_end_cuts_short_is_not_lost(self) -> None:
        with tempfile.TemporaryDirectory() as name:
            folder = pathlib.Path(name)
            lost, cut = self.line(index=0, status=500, error="bad"), self.line(index=1, status=0, error="given up")
            # Stands for mesclun: python3 with a script, as its first argument is "load".
            program = folder / "mesclun"
            program.write_text(f"#!{sys.executable}\nimport signal, sys, time\n"
                               f"def end(*_):\n  print({json.dumps(cut)!r}, flush=True)\n  sys.exit(130)\n"
                               f"signal.signal(signal.SIGINT, end)\nprint({json.dumps(lost)!r}, flush=True)\n"
                               "while True: time.sleep(1)\n")
            program.chmod(0o755)
            sent = load.Load(program, "127.0.0.1:1", "ocr.localhost", [PICTURE], 2, 4, folder / "load.log")
            while not sent.finished():
                time.sleep(0.01)
            self.assertTrue(sent.running())
            self.assertEqual([(r.answered, r.cut_short) for r in sent.stop()], [(False, False), (False, True)])
            self.assertEqual(len(sent.stop()), 2)
            self.assertFalse(sent.running())


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
    """The application with the real Tesseract, as mesclun-app calls it and without it."""

    def setUp(self) -> None:
        folder = tempfile.TemporaryDirectory()
        self.addCleanup(folder.cleanup)
        self.folder = pathlib.Path(folder.name)
        before = pathlib.Path.cwd()
        os.chdir(self.folder)
        self.addCleanup(os.chdir, before)

    def items(self, *bodies: bytes) -> list[Any]:
        return [Item(str(number), "/ocr", "image/png", body) for number, body in enumerate(bodies)]

    def test_reads_a_batch_in_order_with_one_process(self) -> None:
        pictures = images.make_pictures(self.folder, 4, seed=7)
        answers = ocr_server.handle(self.items(*(picture.read() for picture in pictures)))
        for answer_, picture in zip(answers, pictures):
            self.assertEqual(report.normalise(answer_["text"]), report.normalise(picture.text))
            self.assertEqual((answer_["batch"], answer_["seconds"]), (4, answers[0]["seconds"]))
        self.assertEqual(list(self.folder.glob("pictures-*")), [])

    def test_what_cannot_be_read_fails_alone(self) -> None:
        picture = images.make_pictures(self.folder, 1, seed=7)[0]
        broken = picture.read()[:500]
        answers = ocr_server.handle(self.items(picture.read(), b"hello", broken, picture.read()))
        self.assertEqual([getattr(answer_, "status", 200) for answer_ in answers], [200, 415, 422, 200])
        self.assertIn("png", str(answers[2]).lower())
        self.assertEqual(report.normalise(answers[3]["text"]), report.normalise(picture.text))
        self.assertEqual(answers[0]["batch"], 3)

    def test_other_paths_are_refused_and_nothing_to_read_is_no_reading(self) -> None:
        other = Item("1", "/other", "image/png", b"")
        self.assertEqual([one.status for one in ocr_server.handle([other])], [404])

    def test_batches_save_the_start_of_the_process(self) -> None:
        speed = core_speed.measure(images.make_pictures(self.folder, 4, seed=7), self.folder)
        self.assertGreater(speed.in_batches, 1.2 * speed.singly)

    def test_serves_by_itself_and_ends_in_order(self) -> None:
        picture = images.make_pictures(self.folder, 1, seed=7)[0]
        command = [sys.executable, str(HERE / "ocr_server.py"), "unix:ocr.sock"]
        server = subprocess.Popen(command, stdout=subprocess.PIPE)
        try:
            connection = UnixConnection(str(self.folder / "ocr.sock"))
            connection.request("POST", "/ocr", picture.read(), {"Content-Type": "image/png"})
            response = connection.getresponse()
            self.assertEqual(response.status, 200)
            self.assertEqual(report.normalise(json.load(response)["text"]), report.normalise(picture.text))
            server.terminate()
            self.assertEqual(server.wait(10), 0)
        finally:
            server.kill()
            server.communicate()


class UnixConnection(http.client.HTTPConnection):
    """Waits until somebody listens there."""

    def __init__(self, path: str) -> None:
        super().__init__("localhost")
        self._path = path

    def connect(self) -> None:
        end = time.monotonic() + 10
        while True:
            self.sock = socket.socket(socket.AF_UNIX)
            try:
                return self.sock.connect(self._path)
            except OSError:
                self.sock.close()
                if time.monotonic() > end:
                    raise
                time.sleep(0.02)


if __name__ == "__main__":
    unittest.main()
