"""`mesclun up` where it cannot work: it says why and what to do, and ends with 1 (2 for wrong usage)."""

from __future__ import annotations

import json
import os
import pathlib
import re
import socket
import subprocess
from collections.abc import Callable

import pytest

from cloud import BINARY, Cloud
from groups import App, echo_spec


def refused(cloud: Cloud, *arguments: str) -> str:
    """What it said on standard error before it ended with 1."""
    done = subprocess.run([*cloud.command(), *arguments], capture_output=True, text=True, timeout=60,
                          stdin=subprocess.DEVNULL, env=cloud.environment())
    assert done.returncode == 1, done
    assert "ready " not in done.stdout
    return done.stderr


@pytest.mark.parametrize("flag", ["--api", "--gateway"])
def test_ports_that_are_taken(new_cloud: Callable[..., Cloud], flag: str) -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        address = f"127.0.0.1:{taken.getsockname()[1]}"
        cloud = new_cloud(nodes=1)
        if flag == "--api":
            cloud.api_address = address
        else:
            cloud.gateway_address = address
        said = refused(cloud)
    assert address in said


def test_one_data_folder_is_for_one_cloud(new_cloud: Callable[..., Cloud]) -> None:
    cloud = new_cloud(nodes=1)
    cloud.start()
    second = new_cloud(nodes=1)
    second.data = cloud.data
    assert str(cloud.data) in refused(second)
    assert cloud.api().get("/containers").status == 200, "the first one is unharmed"


def test_folders_that_cannot_be_written(new_cloud: Callable[..., Cloud], tmp_path: pathlib.Path) -> None:
    file = tmp_path / "file"
    file.write_text("not a folder")
    for folder in (file, file / "below", pathlib.Path("/proc/mesclun")):
        cloud = new_cloud(nodes=1)
        cloud.data = folder
        said = refused(cloud)
        assert str(folder) in said and "--data" in said


def test_a_data_folder_that_others_can_enter_is_refused_and_left_alone(new_cloud: Callable[..., Cloud]) -> None:
    cloud = new_cloud(nodes=1)
    cloud.data.mkdir(parents=True)
    cloud.data.chmod(0o755)
    assert f"chmod 700 {cloud.data}" in refused(cloud)
    assert cloud.data.stat().st_mode & 0o777 == 0o755 and not list(cloud.data.iterdir())


def test_everything_in_a_data_folder_is_for_its_owner_only(new_cloud: Callable[..., Cloud]) -> None:
    cloud = new_cloud(nodes=1)
    cloud.start()
    cloud.wait_for_nodes()
    cloud.stop()
    # As earlier versions made them.
    for name in ("cloud.db", "logs.db", "operator.key"):
        (cloud.data / name).chmod(0o644)
    cloud.start()
    cloud.wait_for_nodes()
    paths = [cloud.data, *cloud.data.rglob("*")]
    assert cloud.data / "cloud.db-wal" in paths
    open_to_others = [str(path) for path in paths if path.lstat().st_mode & 0o077 and not path.is_symlink()]
    assert not open_to_others


def test_a_deep_data_folder_is_as_good_as_any(new_cloud: Callable[..., Cloud]) -> None:
    cloud = new_cloud(nodes=1)
    cloud.data = cloud.folder / ("d" * 120)
    cloud.start()
    cloud.wait_for_nodes()
    status = cloud.cli("agent", "status", "--data", str(cloud.node_folder(1)), "--json")
    assert status.status == 0 and status.json["cloud"] == "connected", status


@pytest.mark.parametrize("arguments", [["--nodes", "many"], ["--nodes", "-1"], ["--api", "nonsense"], ["--nonsense"],
                                       ["--runtime", "magic"], ["--node", "country=xx"],
                                       ["--node", "memory=much"], ["--node", "memory=1"],
                                       ["--node", "gpu-class="]], ids=str)
def test_wrong_usage_ends_with_2(tmp_path: pathlib.Path, arguments: list[str]) -> None:
    done = subprocess.run([str(BINARY), "up", "--data", str(tmp_path / "data"), *arguments], capture_output=True,
                          text=True, timeout=60, stdin=subprocess.DEVNULL)
    assert done.returncode == 2 and "--help" in done.stderr and arguments[-1].split("=")[-1] in done.stderr
    assert not (tmp_path / "data").exists()


def test_a_gpu_class_that_nobody_knows_ends_at_once_and_one_that_was_added_does_not(
        new_cloud: Callable[..., Cloud]) -> None:
    cloud = new_cloud(nodes=1)
    wrong = subprocess.run([*cloud.command(), "--node", "gpu-class=rtx4091"], capture_output=True, text=True,
                           timeout=60, stdin=subprocess.DEVNULL, env=cloud.environment())
    assert wrong.returncode == 2, wrong
    assert "gpu-class=rtx4091" in wrong.stderr and "did you mean rtx4090" in wrong.stderr
    cloud.start()
    added = cloud.cli("gpu-class", "add", "RTX 9999 (96 GB)")
    assert added.status == 0, added
    assert cloud.stop() == 0
    cloud.arguments = ["--node", "gpu-class=rtx9999"]
    cloud.start()
    cloud.wait_for_nodes()
    assert "RTX 9999 (96 GB) (pretended)" in cloud.cli("node", "list").out


def test_ready_line_and_context_agree(new_cloud: Callable[..., Cloud]) -> None:
    cloud = new_cloud(nodes=2)
    cloud.start()
    written = cloud.context_values()
    assert cloud.api_address in written["api"] and cloud.gateway_address in written["gateway"]
    assert (written["organization"], written["project"]) == (cloud.organization, cloud.project)
    assert written["api_key"] == cloud.api_key and written["operator_key"]
    cloud.wait_for_nodes()
    assert len(cloud.nodes()) == 2
    assert cloud.stop() == 0


@pytest.mark.parametrize("role", ["up", "cloud", "gateway", "agent"])
def test_settings_of_a_role_have_its_name_in_the_environment(role: str) -> None:
    """What a server listens on is never taken for what a command calls, and the other way round."""
    help_text = subprocess.run([str(BINARY), role, "--help"], capture_output=True, text=True, timeout=60).stdout
    variables = re.findall(r"Env:(MESCLUN_[A-Z_]+)", help_text)
    assert variables and {name for name in variables if not name.startswith(f"MESCLUN_{role.upper()}_")} == {
        "MESCLUN_LOG_LEVEL", "MESCLUN_LOG_FORMAT"}


def test_a_setting_of_the_environment_counts(tmp_path: pathlib.Path) -> None:
    done = subprocess.run([str(BINARY), "cloud", "--data", str(tmp_path / "data")], capture_output=True, text=True,
                          timeout=60, env={**os.environ, "MESCLUN_CLOUD_NODE_GRACE": "1ms"})
    assert done.returncode == 2 and "1ms is not between 2s and 10m" in done.stderr


def test_files_are_for_connections(new_cloud: Callable[..., Cloud]) -> None:
    """The soft limit is raised for us and put back for applications; a low hard one is said."""
    cloud = new_cloud(nodes=1)
    command = cloud.command
    cloud.command = lambda: ["prlimit", "--nofile=256:2048", *command()]  # type: ignore[method-assign]
    cloud.start()
    limits = pathlib.Path(f"/proc/{cloud.process.pid}/limits").read_text()
    assert "Max open files            2048                 2048" in limits
    assert "the limit of open files is low" in cloud.log.read_text()
    app = App(cloud, cloud.api(), echo_spec())
    app.wait_until_serving()
    assert app.call("GET", "/limit").json == {"files": [256, 2048]}
    held = [socket.create_connection(tuple(cloud.gateway_address.rsplit(":", 1)), timeout=10) for _ in range(700)]
    assert cloud.api().get("/containers").status == 200, "there is room for the API"
    for one in held:
        one.close()
