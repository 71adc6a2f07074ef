"""A Docker Engine and a registry of the tests' own, with images made of one static program."""

from __future__ import annotations

import base64
import json
import os
import pathlib
import shutil
import subprocess
import tempfile

import local_image
from ports import free_address
from waiting import wait_for

DOCKERD = "/usr/sbin/dockerd"
BUSYBOX = "/bin/busybox"
APPLETS = ("sh", "sleep", "true", "test", "cat", "wget", "httpd", "date", "mkdir", "id", "grep", "nc", "dd",
           "fallocate", "stty", "setsid", "tty", "head", "yes", "printf", "chmod")


def missing() -> list[str]:
    """What this machine lacks for an engine of the tests' own."""
    lacks = [program for program in (DOCKERD, BUSYBOX) if not os.access(program, os.X_OK)]
    return lacks if os.geteuid() == 0 else [*lacks, "root"]


class EngineRefused(Exception):
    """dockerd ended by itself: a machine without control groups, or one that lets nobody mount."""


class Engine:
    """Owns dockerd and its folders, which have short names: sockets lie below."""

    def __init__(self, disk: str = "") -> None:
        """`disk`: its size, such as "64m"; the machine's own if empty."""
        self.folder = pathlib.Path(tempfile.mkdtemp(prefix="mesclun-engine-"))
        self.disk = self.folder / "data" if disk else None
        if self.disk is not None:
            self.disk.mkdir()
            subprocess.run(["mount", "-t", "tmpfs", "-o", f"size={disk}", "tmpfs", str(self.disk)], check=True)
        self.socket = self.folder / "socket"
        self.log = (self.folder / "log").open("w")
        self.registry: Registry | None = None
        self.process = self.spawn()
        try:
            wait_for(self.answers, "the engine", 60)
            self.make_image("e2e-busybox:1")
        except BaseException:
            self.stop()
            raise

    def spawn(self) -> subprocess.Popen[bytes]:
        return subprocess.Popen(
            [DOCKERD, f"--data-root={self.folder}/data", f"--exec-root={self.folder}/exec",
             f"--pidfile={self.folder}/pid", f"--host=unix://{self.socket}",
             "--bridge=none", "--iptables=false", "--ip6tables=false"],
            stdout=self.log, stderr=subprocess.STDOUT)

    def restart(self) -> None:
        """As a machine does on an upgrade; its containers end with it, or go on, as it likes."""
        self.process.terminate()
        self.process.wait(60)
        self.process = self.spawn()
        wait_for(self.answers, "the engine again", 60)

    def answers(self) -> bool:
        if self.process.poll() is not None:
            raise EngineRefused((self.folder / "log").read_text()[-500:])
        return self.run("info", check=False).returncode == 0

    def run(self, *words: str, check: bool = True) -> subprocess.CompletedProcess[str]:
        return subprocess.run(["/usr/bin/docker", "-H", f"unix://{self.socket}", *words], check=check,
                              capture_output=True, text=True, timeout=120)

    def push(self, image: str, name: str, user: str = "", password: str = "") -> None:
        """Under another name, to a registry that may come up only now; the engine then has it no more."""
        config = self.folder / "client"
        config.mkdir(exist_ok=True)
        registry = name.split("/")[0]
        login = base64.b64encode(f"{user}:{password}".encode()).decode()
        (config / "config.json").write_text(json.dumps({"auths": {registry: {"auth": login}} if user else {}}))
        self.run("tag", image, name)
        wait_for(lambda: self.run("--config", str(config), "push", name, check=False).returncode == 0,
                 f"the registry to take {name}", 30)
        self.run("rmi", name)
        shutil.rmtree(config)

    def make_image(self, name: str) -> None:
        root = self.folder / "root"
        shutil.rmtree(root, ignore_errors=True)
        (root / "bin").mkdir(parents=True)
        (root / "tmp").mkdir()
        shutil.copy(BUSYBOX, root / "bin" / "busybox")
        for applet in APPLETS:
            (root / "bin" / applet).symlink_to("busybox")
        packed = self.folder / "image.tar"
        subprocess.run(["tar", "-C", str(root), "-cf", str(packed), "."], check=True)
        self.run("import", "--change", 'CMD ["sh", "-c", "echo the command of the image; sleep 600"]',
                 str(packed), name)

    def import_files(self, files: local_image.Files, name: str) -> None:
        packed = self.folder / "image.tar"
        with packed.open("wb") as out:
            local_image.write_archive(files, out)
        self.run("import", str(packed), name)
        packed.unlink()

    def containers(self) -> list[str]:
        return self.run("ps", "-aq").stdout.split()

    def objects(self) -> set[str]:
        """Ids of its containers, networks and volumes."""
        return {name for words in (("ps", "-aq"), ("network", "ls", "-q"), ("volume", "ls", "-q"))
                for name in self.run(*words).stdout.split()}

    def stop(self) -> None:
        if self.registry is not None:
            self.registry.stop()
        self.process.terminate()
        self.process.wait(30)
        self.log.close()
        if self.disk is not None:
            subprocess.run(["umount", "-l", str(self.disk)], check=True)
        shutil.rmtree(self.folder, ignore_errors=True)


class Registry:
    """Images on this machine's loopback, which engines trust without TLS."""

    def __init__(self, folder: pathlib.Path, auth: str = "") -> None:
        """`auth`: a part of its configuration; without one it serves everybody."""
        self.address = free_address()
        folder.mkdir(parents=True, exist_ok=True)
        config = folder / "config.yml"
        config.write_text(f"version: 0.1\nstorage:\n  filesystem:\n    rootdirectory: {folder}/images\n"
                          f"http:\n  addr: {self.address}\n{auth}")
        self.process = subprocess.Popen(["docker-registry", "serve", str(config)],
                                        stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)

    def stop(self) -> None:
        self.process.kill()
        self.process.wait()
