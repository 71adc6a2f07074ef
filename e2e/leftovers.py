"""What instances take of a machine beside their processes' memory, so that a test can say that nothing of it was left."""

from __future__ import annotations

import os
import pathlib
import socket
from collections.abc import Callable

import processes
from cloud import Cloud
from waiting import wait_for


def _mounts() -> list[list[str]]:
    return [line.split() for line in pathlib.Path("/proc/self/mountinfo").read_text().splitlines()]


def _control_groups() -> set[str]:
    return {str(group) for words in _mounts() if words[words.index("-") + 1].startswith("cgroup")
            for group in pathlib.Path(words[4]).glob("mesclun/*/")}


def _networks() -> set[str]:
    """Namespaces that a process is in."""
    found = set()
    for entry in pathlib.Path("/proc").iterdir():
        try:
            found.add(os.readlink(entry / "ns" / "net"))
        except OSError:  # no process, or one that has ended
            pass
    return found


def holdings() -> set[str]:
    """Of the whole machine."""
    return {*(words[4] for words in _mounts()), *_control_groups(), *_networks(),
            *(name for _, name in socket.if_nameindex())}


def files_of_runs(cloud: Cloud, number: int) -> set[str]:
    patterns = ("allocations/*", "*/runs/*", "*/files/*", "*/trash/*")
    return {str(path) for pattern in patterns for path in cloud.node_folder(number).glob(pattern)}


class Leftovers:
    """Compares a machine with what it was when this was made. Others may use it meanwhile: their control groups have
    other names, all else of theirs is waited for."""

    def __init__(self, cloud: Cloud, number: int) -> None:
        self._cloud = cloud
        self._number = number
        self._before = holdings()
        self._instances: set[str] = set()

    def notice(self, *instances: str) -> None:
        """Control groups have their names."""
        self._instances.update(instances)

    def _is_ours(self, thing: str) -> bool:
        group = thing.partition("/mesclun/")[2]
        return not group or group in self._instances or group.startswith("probe-")

    @staticmethod
    def _wait_for_end_of(look: Callable[[], set[str]], seconds: float) -> None:
        left: set[str] = set()

        def is_none_left() -> bool:
            nonlocal left
            left = look()
            return not left
        try:
            wait_for(is_none_left, "nothing left", seconds)
        except AssertionError:
            raise AssertionError(f"left on the machine: {sorted(left)}") from None

    def wait_until_none(self, seconds: float = 60) -> None:
        """Of what is there now; the agent may have lately been told that nothing is wanted."""
        cloud, number = self._cloud, self._number
        machine_id = cloud.machine_ids()[number]
        self._wait_for_end_of(lambda: files_of_runs(cloud, number), seconds)
        suspects = {thing for thing in holdings() - self._before if self._is_ours(thing)}
        self._wait_for_end_of(lambda: suspects & holdings(), seconds)
        agent = cloud.agent_pid(number)
        runs = processes.find(lambda process: process.environment.get("SALAD_MACHINE_ID") == machine_id
                              or (process.pid != agent and processes.of_folder(cloud.node_folder(number))(process)))
        assert not runs, f"still running: {runs}"
