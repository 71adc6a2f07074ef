"""The command line against a real cloud: what it prints, what `-o json` gives, and its exit status."""

from __future__ import annotations

import json
import os
import pathlib
import select
import signal
import subprocess
import urllib.parse
from typing import Any

import pytest

from cloud import BINARY, Cloud, unique_name
from groups import App, echo_spec, idle_spec
from http_call import Connection
from waiting import wait_for


def yaml_of(spec: dict[str, Any]) -> str:
    """As a person would write it: block style, comments, no quotes where none are needed."""
    container = spec["container"]
    return f"""# made by a test
name: {spec['name']}
autostart_policy: true
restart_policy: always
replicas: {spec['replicas']}
country_codes: []
container:
  image: {container['image']}
  command: {json.dumps(container['command'])}
  environment_variables:
    PORT: "8080"
  resources:
    cpu: 1
    memory: 1024  # MB
networking: {{protocol: http, port: 8080, auth: false}}
readiness_probe:
  http: {{path: /ready, port: 8080, scheme: http}}
  period_seconds: 1
"""


def test_a_group_from_creation_to_deletion(cloud: Cloud, tmp_path: pathlib.Path) -> None:
    spec = echo_spec(replicas=2)
    name = spec["name"]
    file = tmp_path / "echo.yaml"
    file.write_text(yaml_of(spec))

    created = cloud.cli("group", "create", "-f", str(file), "--wait", "--timeout", "80s")
    assert created.status == 0, created
    assert "2 of 2 running, 2 ready" in created.err
    address = next(line.split()[1] for line in created.out.splitlines() if line.startswith("ADDRESS"))
    parts = urllib.parse.urlsplit(address)
    assert parts.port == int(cloud.gateway_address.rsplit(":", 1)[1])
    with Connection(cloud.gateway_address) as connection:
        assert connection.call("GET", "/", headers={"Host": parts.netloc}).status == 200

    listed = cloud.cli("group", "list")
    assert listed.status == 0 and any(line.split()[:3] == [name, "running", "2/2"] for line in listed.out.splitlines())
    assert cloud.cli("group", "get", name, "-o", "json").json == cloud.api().group(name)

    scaled = cloud.cli("group", "update", name, "--replicas", "1", "--set",
                       "container.environment_variables.EXTRA=1", "--wait", "-o", "json")
    assert scaled.json["replicas"] == 1 and scaled.json["version"] == 2
    assert scaled.json["container"]["environment_variables"]["EXTRA"] == "1"

    assert cloud.cli("group", "stop", name, "--wait").status == 0
    assert cloud.cli("group", "get", name, "-o", "json").json["current_state"]["status"] == "stopped"
    assert cloud.cli("group", "start", name, "--wait").status == 0
    deleted = cloud.cli("group", "delete", name, "--wait", "-o", "json")
    assert deleted.json == {"accepted": "delete", "container_group": name}
    assert cloud.cli("group", "get", name).status == 1


def test_json_on_standard_input(cloud: Cloud) -> None:
    spec = idle_spec()
    created = cloud.cli("group", "create", "-f", "-", "--wait", "-o", "json", input=json.dumps(spec))
    assert created.json["name"] == spec["name"] and created.json["current_state"]["status"] == "stopped"
    assert cloud.cli("group", "delete", spec["name"], "--wait").status == 0


def test_instances(cloud: Cloud, app: App) -> None:
    instance = cloud.cli("instance", "list", app.name, "-o", "json").json["instances"][0]
    table = cloud.cli("instance", "list", app.name)
    assert instance["id"] in table.out and instance["machine_id"] in table.out
    short = instance["id"][:13]
    assert cloud.cli("instance", "get", app.name, short, "-o", "json").json["id"] == instance["id"]
    changed = cloud.cli("instance", "set-deletion-cost", app.name, short, "50", "-o", "json")
    assert changed.json["deletion_cost"] == 50
    for action in ("restart", "recreate", "reallocate"):
        before = app.wait_until_serving()[0]
        done = cloud.cli("instance", action, app.name, before["id"], "-o", "json")
        assert done.json == {"accepted": action, "container_group": app.name, "instance_id": before["id"]}
        after = wait_for(lambda: next((i for i in app.api.instances(app.name) if i["id"] != before["id"]
                                       and i["state"] == "running" and i["ready"]), None), action, 60)
        assert (after["machine_id"] == before["machine_id"]) is (action != "reallocate")
    missing = cloud.cli("instance", "get", app.name, before["id"])
    assert missing.status == 1 and "no instance" in missing.err


def test_logs_and_events(cloud: Cloud, app: App) -> None:
    app.wait_until_serving()
    app.call("POST", "/log?text=hello+from+inside")
    wait_for(lambda: "hello from inside" in cloud.cli("logs", app.name).out, "the line in the logs", 20)
    document = cloud.cli("logs", app.name, "--tail", "1000", "-o", "json").json
    line = next(item for item in document["items"] if item["text"] == "hello from inside")
    only = cloud.cli("logs", app.name, "--instance", line["instance_id"][:13])
    assert only.status == 0 and "hello from inside" in only.out
    events = cloud.cli("events", app.name)
    assert events.status == 0 and "Instance Running" in events.out
    assert cloud.cli("events", app.name, "-o", "json").json["items"] == app.api.events(app.name)[-100:]


def test_a_group_is_loaded_by_its_name(cloud: Cloud, app: App) -> None:
    done = cloud.cli("load", app.name, "-n", "20", "-c", "2")
    assert done.status == 0 and "ok             20 (100.0 %)" in done.out, done
    assert cloud.cli("load", app.name + "x", "-n", "1").status == 1


def test_stats_tell_what_instances_use(cloud: Cloud, app: App) -> None:
    app.wait_until_serving()

    def look() -> dict[str, Any] | None:
        app.call("GET", "/")
        items = cloud.cli("stats", app.name, "-o", "json").json["items"]
        told = [item for item in items if item["cpu_cores"] is not None and item["requests_per_second"]]
        return told[0] if told else None
    known = wait_for(look, "CPU and requests of the instance", 30, 0.1)
    assert 0 < known["memory_bytes"] < known["memory_limit_bytes"] and known["restarts"] == 0
    table = cloud.cli("stats", app.name)
    assert table.out.splitlines()[0].split()[:3] == ["GROUP", "INSTANCE", "MACHINE"]
    assert known["instance_id"][:8] in table.out and known["hostname"] in table.out


def test_following_logs_until_ctrl_c(cloud: Cloud, app: App) -> None:
    app.wait_until_serving()
    follower = subprocess.Popen([str(BINARY), "logs", app.name, "-f", "--tail", "0"], env=cloud.environment(),
                                stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
    assert follower.stdout
    text = unique_name("line")
    app.call("POST", f"/log?text={text}")
    # It may have begun after this line; then it sees one of the next.
    seen = []

    def speak_until_heard() -> bool:
        app.call("POST", f"/log?text={text}")
        if select.select([follower.stdout], [], [], 1)[0]:
            seen.append(follower.stdout.readline())
        return any(text in line for line in seen)
    wait_for(speak_until_heard, "the line while following", 30)
    follower.send_signal(signal.SIGINT)
    out, err = follower.communicate(timeout=30)
    assert follower.returncode == 130 and err == ""


def test_nodes(cloud: Cloud, app: App) -> None:
    app.wait_until_serving()
    items = cloud.cli("node", "list", "-o", "json").json["items"]
    assert len(items) == cloud.node_count and {item["state"] for item in items} == {"online"}
    assert sorted(item["machine_id"] for item in items) == sorted(cloud.machine_ids().values())
    table = cloud.cli("node", "list")
    assert table.status == 0 and app.name in table.out
    for item in items:
        assert item["machine_id"] in table.out


def test_operators_commands(cloud: Cloud) -> None:
    name = unique_name("org")
    assert cloud.cli("org", "create", name, "--display-name", "A Name", "-o", "json").json["name"] == name
    assert cloud.cli("org", "get", name, "-o", "json").json["display_name"] == "A Name"
    assert name in cloud.cli("org", "list").out
    assert cloud.cli("org", "quota", name, "--replicas", "7").status == 0
    assert "of 7" in cloud.cli("org", "quota", name).out
    assert cloud.cli("project", "create", "work", "--organization", name).status == 0
    listed = cloud.cli("project", "list", "--organization", name, "-o", "json").json
    assert [item["name"] for item in listed["items"]] == ["work"]
    made = cloud.cli("key", "create", "--user", "mia", "--organization", name, "-o", "json").json
    here = ("--organization", name, "--project", "work", "--api-key", made["key"])
    assert cloud.cli("group", "list", *here, "-o", "json").json == {"items": []}
    assert made["id"] in cloud.cli("key", "list").out
    assert cloud.cli("key", "delete", made["id"]).status == 0
    refused = cloud.cli("group", "list", *here)
    assert refused.status == 1 and "--api-key" in refused.err and made["key"] not in refused.err


def test_mistakes_are_explained(cloud: Cloud, app: App, tmp_path: pathlib.Path) -> None:
    near = cloud.cli("group", "get", app.name[:-1])
    assert near.status == 1 and f"Did you mean {app.name}" in near.err

    file = tmp_path / "bad.yaml"
    file.write_text("name: bad-group\nreplicas: 900\ncontainer:\n  image: x\n  resources: {cpu: 1, memory: 1}\n")
    bad = cloud.cli("group", "create", "-f", str(file))
    assert bad.status == 1 and f"{file}:2: /replicas" in bad.err and f"{file}:5: /container/resources/memory" in bad.err

    broken = cloud.cli("group", "create", "-f", "-", input="name: [")
    assert broken.status == 1 and "malformed YAML" in broken.err

    taken = cloud.cli("group", "create", "-f", "-", input=json.dumps(idle_spec(name=app.name)))
    assert taken.status == 1 and "never used twice" in taken.err

    for arguments in (["group"], ["group", "nonsense"], ["group", "get"], ["instance", "list"], ["logs"],
                      ["group", "update", app.name], ["nonsense"], ["group", "list", "-o", "xml"]):
        assert cloud.cli(*arguments).status == 2, arguments


def test_without_a_cloud(cloud: Cloud, tmp_path: pathlib.Path) -> None:
    away = cloud.cli("group", "list", "--api", "127.0.0.1:1")
    assert away.status == 1 and "mesclun up" in away.err and "127.0.0.1:1" in away.err
    nothing = cloud.cli("group", "list", environment={"MESCLUN_CONTEXT": str(tmp_path / "none.json")})
    assert nothing.status == 1 and "mesclun up" in nothing.err and str(tmp_path / "none.json") in nothing.err


def test_help_everywhere(cloud: Cloud) -> None:
    overview = cloud.cli("--help")
    assert overview.status == 0
    for command in ("group", "instance", "logs", "events", "node", "org", "project", "key"):
        assert command in overview.out
        shown = cloud.cli(command, "--help")
        assert shown.status == 0 and "Examples:" in shown.out


def test_a_rate_limit_is_waited_out(cloud: Cloud) -> None:
    api = cloud.api()
    headers = {"Salad-Api-Key": api.key or ""}
    with Connection(api.address) as connection:
        while connection.call("GET", api.prefix + "/containers", headers=headers).status == 200:
            pass
        limited = cloud.cli("group", "list", "-o", "json", "--api-key", api.key or "")
    assert limited.status == 0 and limited.json["items"] is not None


def test_the_context_file_is_private(cloud: Cloud) -> None:
    assert cloud.context.stat().st_mode & 0o777 == 0o600
    written = cloud.context_values()
    assert written["organization"] == cloud.organization and written["api_key"] == cloud.api_key


def complete(*words: str) -> list[str]:
    """What bash offers after these words, the last of which is unfinished."""
    script = f"""PATH={BINARY.parent}:$PATH; source <(mesclun completion bash)
    COMP_WORDS=("$@"); COMP_CWORD=$(($# - 1)); _mesclun_complete; printf '%s\\n' "${{COMPREPLY[@]}}" """
    done = subprocess.run(["bash", "-c", script, "bash", "mesclun", *words], capture_output=True, text=True,
                          timeout=60, check=True)
    return done.stdout.split()


def test_bash_completes_commands_verbs_and_flags() -> None:
    assert complete("gro") == ["group"]
    assert set(complete("group", "re")) == {"restart"}
    assert {"--replicas", "--set"} <= set(complete("group", "update", "echo", "--"))
    assert complete("group", "update", "--ti") == ["--timeout"]


def test_a_group_in_one_line(cloud: Cloud) -> None:
    name = unique_name("run")
    done = cloud.cli("run", "--name", name, "--restart", "never", "example/true:1", "--", "true")
    assert done.status == 0 and "succeeded" in done.out, done
    cloud.cli("group", "delete", name)


@pytest.mark.parametrize("words", [("--help",), ("--version",), ("group", "--help"), ("load", "--help"),
                                   ("group", "list", "-o", "json"), ("node", "list"),
                                   ("companion", "settings"), ("companion", "check-config", "/dev/null")],
                         ids=" ".join)
def test_output_that_cannot_be_written_is_an_error(cloud: Cloud, words: tuple[str, ...]) -> None:
    """Of every command; a pipe that its reader closed is none."""
    command = [str(BINARY), *words]
    if words[0] == "companion":
        command = [str(BINARY.with_name("mesclun-app")), *words[1:]]
    env = cloud.environment()
    with open("/dev/full", "wb") as full:
        done = subprocess.run(command, stdout=full, stderr=subprocess.PIPE, env=env, timeout=60, check=False)
    assert done.returncode == 1 and b"cannot write standard output: " in done.stderr, done
    reader, writer = os.pipe()
    os.close(reader)
    done = subprocess.run(command, stdout=writer, stderr=subprocess.PIPE, env=env, timeout=60, check=False,
                          restore_signals=False)  # Python ignores SIGPIPE, and so does its child then
    os.close(writer)
    assert (done.returncode, done.stderr) == (0, b""), done
