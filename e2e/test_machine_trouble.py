"""Machines that cannot run anything new for a while: their disk is full."""

from __future__ import annotations

import os
import pathlib
import subprocess
from collections.abc import Callable, Iterator
from typing import Any

import pytest

from cloud import RolesCloud
from groups import App, echo_spec, serving_instances
from waiting import wait_for

needs_root = pytest.mark.skipif(os.geteuid() != 0, reason="mounting needs root")


@pytest.fixture
def small_disk() -> Iterator[Callable[[pathlib.Path], None]]:
    """Mounts a file system of 64 MiB at a folder."""
    mounted: list[pathlib.Path] = []

    def mount(folder: pathlib.Path) -> None:
        subprocess.run(["mount", "-t", "tmpfs", "-o", "size=64m,mode=700", "tmpfs", str(folder)], check=True)
        mounted.append(folder)

    yield mount
    for folder in mounted:
        subprocess.run(["umount", "-l", str(folder)], check=True)


@needs_root
def test_a_machine_with_a_full_disk_takes_nothing_until_there_is_room(
        new_cloud: Callable[..., RolesCloud], small_disk: Callable[[pathlib.Path], None]) -> None:
    cloud = new_cloud(roles=True, nodes=2)
    folder = cloud.node_folder(1)
    cloud.data.mkdir(parents=True, mode=0o700)
    folder.mkdir(parents=True, mode=0o700)
    small_disk(folder)
    cloud.start()
    cloud.wait_for_nodes()
    full = cloud.machine_ids()[1]

    def trouble() -> list[str]:
        node = next(node for node in cloud.nodes() if node["machine_id"] == full)
        return [warning for warning in node["warnings"] if "takes nothing new" in warning]

    ballast = folder / "ballast"
    ballast.write_bytes(bytes(50 * 1024 * 1024))
    assert "is full" in wait_for(trouble, "the agent to see it", 60)[0]
    app = App(cloud, cloud.api(), echo_spec(replicas=2))

    def served() -> list[dict[str, Any]]:
        return serving_instances(app.api, app.name)
    found = wait_for(served, "the replica that has a place", 60)
    assert [instance["machine_id"] for instance in found] == [cloud.machine_ids()[2]]
    ballast.unlink()
    wait_for(lambda: len(served()) == 2, "the other one, without any exclusion to wait for", 60)
    assert not trouble()
    app.delete()
