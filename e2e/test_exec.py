"""`mesclun exec` and its WebSocket: exact bytes, terminals, signals, ends of every kind, and who may."""

from __future__ import annotations

import contextlib
import hashlib
import os
import pathlib
import random
import signal
import socket
import subprocess
import time
from collections.abc import Callable, Iterator

import pytest

import processes
from cloud import BINARY, Cloud, unique_name
from exec_socket import ExecSocket, exec_path, open_exec, refusal
from groups import App, echo_spec, idle_spec
from http_call import Api, expect_problem
from terminal import Terminal
from waiting import wait_for

MUCH = 20 * 1024 * 1024


@pytest.fixture
def instance(app: App) -> str:
    return app.api.instances(app.name)[0]["id"]


def run(cloud: Cloud, *words: str, input: bytes | None = None, seconds: float = 90,
        ) -> subprocess.CompletedProcess[bytes]:
    return subprocess.run([str(BINARY), "exec", *words], input=input, capture_output=True, timeout=seconds,
                          stdin=subprocess.DEVNULL if input is None else None, env=cloud.environment())


def marked(mark: str) -> list[int]:
    """Processes whose arguments say so, but for those that only ask for it."""
    return [p.pid for p in processes.find(lambda p: mark in " ".join(p.arguments) and "exec" not in p.arguments)]


# ---- the command line ----

def test_output_errors_and_status_are_the_command_s(cloud: Cloud, app: App, instance: str) -> None:
    done = run(cloud, app.name, "--", "sh", "-c", "echo out; echo err >&2; echo $SALAD_INSTANCE_ID; exit 7")
    assert (done.returncode, done.stderr) == (7, b"err\n")
    assert done.stdout.decode().split() == ["out", instance]
    assert run(cloud, instance[:8], "--", "true").returncode == 0
    missing = run(cloud, app.name, "--", "/no/such")
    assert missing.returncode == 127 and b"/no/such" in missing.stderr
    assert run(cloud, app.name, "--", "sh", "-c", "kill -9 $$").returncode == 137


def test_what_is_wrong_is_told_with_its_own_status(cloud: Cloud, app: App) -> None:
    unknown = run(cloud, "nobody", "--", "true")
    assert unknown.returncode == 255 and b"mesclun stats --once" in unknown.stderr
    assert run(cloud, app.name).returncode == 2
    assert run(cloud, "-it", app.name, "--", "sh", input=b"").returncode == 2
    assert b"Exit status" in run(cloud, "--help").stdout


def test_bytes_are_exact_both_ways(cloud: Cloud, app: App) -> None:
    data = random.Random(1).randbytes(MUCH)
    # Also what the command itself has heard.
    there = f"/tmp/{unique_name('sum')}"
    back = run(cloud, "-i", app.name, "--", "sh", "-c", f"tee {there} && sha256sum < {there} >&2; rm {there}",
               input=data)
    assert back.returncode == 0 and back.stderr.decode().split()[0] == hashlib.sha256(data).hexdigest()
    assert hashlib.sha256(back.stdout).digest() == hashlib.sha256(data).digest()


def test_a_folder_is_copied(cloud: Cloud, app: App, tmp_path: pathlib.Path) -> None:
    (tmp_path / "from").mkdir()
    (tmp_path / "from" / "note").write_text("héllo")
    packed = subprocess.run(["tar", "c", "-C", str(tmp_path / "from"), "."], capture_output=True, check=True).stdout
    there = f"/tmp/{unique_name('copied')}"
    done = run(cloud, "-i", app.name, "--", "sh", "-c", f"mkdir {there} && tar x -C {there} && cat {there}/note",
               input=packed)
    assert (done.returncode, done.stdout.decode()) == (0, "héllo"), done.stderr
    run(cloud, app.name, "--", "rm", "-r", there)


def test_a_reader_that_pauses_loses_nothing(cloud: Cloud, app: App) -> None:
    process = subprocess.Popen([str(BINARY), "exec", app.name, "--", "sh", "-c", "seq 1 900000; echo done >&2"],
                               stdout=subprocess.PIPE, stderr=subprocess.PIPE, env=cloud.environment())
    assert process.stdout and process.stderr
    # Nobody reads: so much fits in between, and the command waits.
    first = process.stdout.read(10)
    with pytest.raises(subprocess.TimeoutExpired):
        process.wait(2)
    lines = (first + process.stdout.read()).splitlines()
    assert lines == [str(i).encode() for i in range(1, 900_001)]
    assert process.wait(30) == 0 and process.stderr.read() == b"done\n"


def test_ctrl_c_reaches_a_command_without_a_terminal(cloud: Cloud, app: App) -> None:
    process = subprocess.Popen(
        [str(BINARY), "exec", app.name, "--", "sh", "-c", "trap 'exit 42' INT; echo up; while :; do sleep 0.05; done"],
        stdout=subprocess.PIPE, env=cloud.environment())
    assert process.stdout and process.stdout.readline() == b"up\n"
    process.send_signal(signal.SIGINT)
    assert process.wait(20) == 42


def test_who_leaves_takes_the_command_along(cloud: Cloud, app: App) -> None:
    for end in (signal.SIGTERM, signal.SIGKILL):
        mark = unique_name("left")
        process = subprocess.Popen(
            [str(BINARY), "exec", app.name, "--", "sh", "-c",
             f"(setsid sh -c 'trap \"\" HUP TERM; while :; do sleep 0.1; done; : {mark}' &); echo up; sleep 600; : {mark}"],
            stdout=subprocess.PIPE, env=cloud.environment())
        assert process.stdout and process.stdout.readline() == b"up\n"
        assert marked(mark)
        process.send_signal(end)
        assert process.wait(20) == (143 if end == signal.SIGTERM else -9)
        wait_for(lambda: not marked(mark), f"the end of what {mark} started", 30)


@pytest.fixture
def terminal(cloud: Cloud, tmp_path: pathlib.Path) -> Iterator[Terminal]:
    environment = {**cloud.environment(), "PATH": f"{BINARY.parent}:{os.environ['PATH']}", "TERM": "xterm"}
    window = Terminal(tmp_path, "exec", environment)
    yield window
    window.close()


def test_a_shell_in_a_terminal(app: App, terminal: Terminal) -> None:
    before = terminal.run("stty -a")
    terminal.clear()
    terminal.type(f"mesclun exec -it {app.name} -- sh; echo status $?")
    wait_for(lambda: terminal.screen()[-1].strip() in ("#", "$") and len(terminal.screen()) > 1, "the shell", 30)
    terminal.type("stty size; tty; echo $TERM")
    wait_for(lambda: "100 240" in terminal.screen() and "/dev/pts" in "".join(terminal.screen()), "its size", 20)
    terminal.resize(130, 50)
    terminal.type("until test \"$(stty size)\" = '50 130'; do sleep 0.1; done; stty size")
    wait_for(lambda: "50 130" in terminal.screen(), "the new size", 20)
    terminal.type("cat")
    terminal.type("heard")
    wait_for(lambda: terminal.screen()[-2:] == ["heard", "heard"], "cat's answer", 20)
    terminal.press("C-c")
    wait_for(lambda: terminal.screen()[-1].strip() in ("#", "$"), "the shell again", 20)
    terminal.resize(240, 100)
    terminal.type("exit 9")
    wait_for(lambda: "status 9" in terminal.screen(), "its status", 20)
    terminal.wait_for_prompt()
    assert terminal.run("stty -a") == before


def test_a_terminal_is_put_right_when_we_are_told_to_end(app: App, terminal: Terminal) -> None:
    before = terminal.run("stty -a")
    terminal.clear()
    terminal.type(f"mesclun exec -it {app.name} -- sh -c 'echo c''onnected; cat'; echo status $?")

    def ours() -> list[processes.Process]:
        return processes.find(lambda p: p.arguments[1:3] == ("exec", "-it") and app.name in p.arguments)
    wait_for(lambda: "connected" in terminal.screen(), "the command", 20)
    terminal.type("over there")
    wait_for(lambda: terminal.screen().count("over there") == 2, "cat's answer", 20)
    os.kill(ours()[0].pid, signal.SIGTERM)
    wait_for(lambda: "status 143" in terminal.screen(), "the end", 20)
    terminal.wait_for_prompt()
    assert terminal.run("stty -a") == before


# ---- the WebSocket ----

def test_a_terminal_over_a_websocket_by_a_ticket(app: App, instance: str) -> None:
    path = exec_path(app.api, app.name, instance)
    reply = app.api.post(path, {"origin": "https://portal.example"})
    assert reply.status == 201 and reply.json["expires_in_seconds"] == 30
    ticket = reply.json["ticket"]
    # The pages of others may not show it, and who tries has used it up.
    assert refusal(app.api, path, "sh", key="", ticket=ticket, origin="https://evil.example")[0] == 403
    assert refusal(app.api, path, "sh", key="", ticket=ticket, origin="https://portal.example")[0] == 401

    ticket = app.api.post(path, {"origin": "https://portal.example"}).json["ticket"]
    shell = open_exec(app.api, path, "sh", key="", ticket=ticket, origin="https://portal.example", tty="true",
                      rows="33", columns="77", term="vt100")
    shell.write(b"stty size; echo $TERM; trap 'echo caught' USR1; echo re''ady\n")
    assert b"33 77\r\nvt100\r\n" in shell.hear(b"ready\r\n").out
    shell.say(resize={"rows": 44, "columns": 88})
    shell.write(b"stty size\n")
    shell.hear(b"44 88\r\n")
    shell.say(signal="USR1")
    # A shell looks at its traps between two lines, and the signal comes by another way than these.
    for _ in range(60):
        shell.write(b"\n")
        with contextlib.suppress(TimeoutError):
            shell.hear(b"caught\r\n", 0.5)
            break
    assert b"caught\r\n" in shell.out
    shell.write(b"exit 5\n")
    assert shell.hear().last == {"exit": {"code": 5}}
    assert shell.close_code() == 1000
    assert refusal(app.api, path, "sh", key="", ticket=ticket)[0] == 401


def test_streams_over_a_websocket(app: App, instance: str) -> None:
    path = exec_path(app.api, app.name, instance)
    both = open_exec(app.api, path, "sh", "-c", "cat; echo aside >&2")
    both.write(b"\x00\xff\x01")
    both.write(b"")
    both.write(b"more")
    both.say(eof=True)
    both.hear()
    assert (both.out, both.err, both.last) == (b"\x00\xff\x01more", b"aside\n", {"exit": {"code": 0}})
    missing = open_exec(app.api, path, "/no/such").hear()
    assert missing.last["exit"]["code"] == 127 and "/no/such" in missing.last["exit"]["detail"]


def test_paused_output_waits(app: App, instance: str) -> None:
    path = exec_path(app.api, app.name, instance)
    flood = open_exec(app.api, path, "sh", "-c", "echo up; sleep 0.2; head -c 5000000 /dev/zero")
    flood.hear(b"up\n")
    flood.say(pause=True)
    with pytest.raises(TimeoutError):
        flood.hear(seconds=2)
    # What was on its way; a window on either side, and what the network holds.
    assert len(flood.out) < 4_000_000
    flood.say(pause=False)
    flood.hear()
    assert len(flood.out) == 5_000_003 and flood.last == {"exit": {"code": 0}}


def test_wrong_words_end_a_command_with_the_reason(app: App, instance: str) -> None:
    path = exec_path(app.api, app.name, instance)
    for wrong in ("{", '{"resize": {"rows": 0, "columns": 80}}', '{"signal": "NO"}', b"\x07x"):
        one = open_exec(app.api, path, "sleep", "600")
        one.connection.send(wrong)
        last = one.hear().last
        assert last["error"]["type"] == "invalid_request", (wrong, last)
        assert one.close_code() == 1008
    long = open_exec(app.api, path, "cat")
    long.write(b"x" * 300_000)
    assert long.close_code() == 1009


def test_what_is_wrong_with_a_request_is_told_in_http(cloud: Cloud, app: App, instance: str) -> None:
    path = exec_path(app.api, app.name, instance)
    expect_problem(app.api.get(path + "?command=true"), 400, "invalid_request")
    assert refusal(app.api, path) == (400, "invalid_request")
    assert refusal(app.api, path, "true", rows="0") == (400, "invalid_request")
    assert refusal(app.api, path, "true", tty="maybe") == (400, "invalid_request")
    assert refusal(app.api, path, "true", key="", ticket="nonsense")[0] == 401
    assert refusal(app.api, path, "true", key="")[0] == 401
    assert refusal(app.api, path, "true", origin="https://evil.example")[0] == 403
    assert refusal(app.api, exec_path(app.api, app.name, instance[:-1] + "0"), "true")[0] in (101, 404)
    assert app.api.post(path, {"origin": "nowhere"}).status == 400
    assert app.api.call("PUT", path, {}).status == 405


def test_another_tenant_finds_nothing(cloud: Cloud, app: App, instance: str) -> None:
    operator = cloud.operator()
    other = unique_name("tenant")
    assert operator.post("/api/operator/organizations", {"name": other}).status == 201
    assert operator.post(f"/api/operator/organizations/{other}/projects", {"name": "default"}).status == 201
    theirs = Api(cloud.api_address, cloud.new_key(other), other, "default")
    for call in (lambda path: refusal(theirs, path, "true")[0], lambda path: theirs.post(path).status):
        assert call(exec_path(theirs, app.name, instance)) == 404
        # As every path of an organization that one is no member of.
        assert call(exec_path(app.api, app.name, instance)) == 403
    theirs.create(idle_spec(name=app.name))
    assert refusal(theirs, exec_path(theirs, app.name, instance), "true")[0] == 404


def test_too_many_commands_are_refused_and_places_come_back(app: App, instance: str) -> None:
    path = exec_path(app.api, app.name, instance)
    open_ones: list[ExecSocket] = []
    for _ in range(16):
        open_ones.append(open_exec(app.api, path, "sh", "-c", "echo up; sleep 600"))
    for one in open_ones:
        one.hear(b"up\n")
    assert refusal(app.api, path, "true") == (429, "rate_limited")
    for one in open_ones:
        one.close()
    wait_for(lambda: refusal(app.api, path, "true")[0] == 101, "a place", 20)


def test_one_who_never_reads_holds_up_nobody(cloud: Cloud, app: App, instance: str) -> None:
    path = exec_path(app.api, app.name, instance)
    silent = open_exec(app.api, path, "cat", "/dev/zero")
    silent.hear(b"\0")
    begin = time.monotonic()
    quick = open_exec(app.api, path, "echo", "quick").hear()
    assert quick.out == b"quick\n" and time.monotonic() - begin < 10
    nodes = cloud.nodes()
    assert all(node["state"] == "online" for node in nodes), nodes
    silent.close()


def test_bytes_before_the_log_in_are_refused(cloud: Cloud, app: App, instance: str) -> None:
    host, port = cloud.api_address.rsplit(":", 1)
    path = exec_path(app.api, app.name, instance)
    upgrade = "Connection: Upgrade\r\nUpgrade: websocket\r\n"
    key = f"Salad-Api-Key: {app.api.key}\r\n"
    hostile = [
        (f"GET {path}?command=true HTTP/1.1\r\nHost: a\r\n{upgrade}\r\n" + "\x81\xff" * 1000, b"401"),
        # Let in, but no handshake: it is Beast's to refuse.
        (f"GET {path}?command=true HTTP/1.1\r\nHost: a\r\n{key}{upgrade}\r\n", b"400"),
        (f"GET {path}?command=true HTTP/1.1\r\nHost: a\r\n{key}{upgrade}Sec-WebSocket-Version: 9\r\n"
         "Sec-WebSocket-Key: AAAAAAAAAAAAAAAAAAAAAA==\r\n\r\n", b"426"),
        (f"GET {path}?command=%ff HTTP/1.1\r\nHost: a\r\n{key}{upgrade}\r\n", b"400"),
        (f"GET {path}?command=%zz HTTP/1.1\r\nHost: a\r\n{key}{upgrade}\r\n", b"400"),
    ]
    for text, status in hostile:
        with socket.create_connection((host, int(port)), timeout=20) as raw:
            raw.sendall(text.encode("latin-1"))
            head = raw.recv(4096)
            assert head.split(b" ")[1] == status, (text[:80], head)


def test_a_deleted_key_ends_its_commands(cloud: Cloud, app: App, instance: str) -> None:
    reply = cloud.operator().post("/api/operator/keys", {"user": "leaver", "organizations": [cloud.organization]})
    path = exec_path(app.api, app.name, instance)
    one = open_exec(app.api, path, "sh", "-c", "echo up; sleep 600", key=reply.json["key"])
    one.hear(b"up\n")
    assert cloud.operator().delete(f"/api/operator/keys/{reply.json['id']}").status == 204
    assert one.hear().last["error"]["type"] == "forbidden"


def test_a_stopped_instance_ends_its_commands(cloud: Cloud, new_app: Callable[..., App]) -> None:
    app = new_app()
    instance = app.api.instances(app.name)[0]["id"]
    path = exec_path(app.api, app.name, instance)
    one = open_exec(app.api, path, "sh", "-c", "echo up; sleep 600").hear(b"up\n")
    process = subprocess.Popen([str(BINARY), "exec", app.name, "--", "sh", "-c", "echo up; sleep 600"],
                               stdout=subprocess.PIPE, env=cloud.environment())
    assert process.stdout and process.stdout.readline() == b"up\n"
    app.api.post(f"/containers/{app.name}/stop")
    assert one.hear().last["exit"]["code"] == 137
    assert process.wait(30) == 137
    assert refusal(app.api, path, "true")[0] in (400, 404)


def test_a_killed_agent_takes_its_commands_along(new_cloud: Callable[..., Cloud]) -> None:
    cloud = new_cloud(nodes=1, arguments=["--agent-restarts"])
    cloud.start()
    cloud.wait_for_nodes()
    app = App(cloud, cloud.api(), echo_spec())
    app.wait_until_serving()
    instance = app.api.instances(app.name)[0]["id"]
    path = exec_path(app.api, app.name, instance)
    mark = unique_name("orphan")
    one = open_exec(app.api, path, "sh", "-c",
                    f"(setsid sh -c 'while :; do sleep 0.1; done; : {mark}' &); echo up; sleep 600; : {mark}")
    one.hear(b"up\n")
    assert marked(mark)
    os.kill(cloud.agent_pid(1), signal.SIGKILL)
    assert one.hear().last["error"]["type"] == "unavailable"
    wait_for(lambda: not marked(mark), "the end of what it ran", 20)
    # The application has noticed nothing, and the next agent runs commands beside it.
    wait_for(lambda: run(cloud, app.name, "--", "true").returncode == 0, "another command", 40)
    assert app.api.instances(app.name)[0]["id"] == instance
    cloud.stop()


