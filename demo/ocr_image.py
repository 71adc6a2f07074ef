"""The image of the demo's application, made of this machine's own files: no network, no other image below it.

Tesseract with its model, Python with its standard library, mesclun-app, the server, and the shared libraries that they
name. The image is called after its content, so it is made again only when one of these changes.
"""

from __future__ import annotations

import hashlib
import io
import os
import pathlib
import queue
import shutil
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator

import engine

HERE = pathlib.Path(__file__).resolve().parent
sys.path.append(str(HERE.parent / "tools"))

from local_image import Files, files_below, standard_library, with_libraries, write_archive  # noqa: E402

REPOSITORY = "mesclun/demo-ocr"
PATH = "/usr/local/bin:/usr/bin:/bin"
# Where things are inside.
COMPANION, SERVER = "/usr/local/bin/mesclun-app", "/app/ocr_server.py"
PYTHON = pathlib.Path("/usr/bin/python3")


def model_folder() -> pathlib.Path:
    told = subprocess.run(["tesseract", "--list-langs"], capture_output=True, text=True)
    return pathlib.Path((told.stdout + told.stderr).split('"')[1])


def contents(mesclun_app: pathlib.Path) -> Files:
    tesseract = pathlib.Path(shutil.which("tesseract") or "/usr/bin/tesseract")
    files = {str(path): path for path in (PYTHON, tesseract)}
    for folder in (standard_library(PYTHON), model_folder()):
        files |= {str(path): path for path in files_below(folder)}
    files[COMPANION] = mesclun_app
    files[SERVER] = HERE / "ocr_server.py"
    for path in files_below(HERE.parent / "helpers" / "python"):
        if path.suffix == ".py":
            files[f"/app/{path.name}"] = path
    return with_libraries(files)


def digest(files: Files) -> str:
    whole = hashlib.sha256()
    for name, path in files.items():
        with path.open("rb") as file:
            whole.update(f"{name} {hashlib.file_digest(file, 'sha256').hexdigest()}\n".encode())
    return whole.hexdigest()[:16]


def why_no_containers(wanted: str) -> str:
    """Why the instances of the demo are not containers; empty: they are."""
    if wanted == "process":
        return "you asked for processes"
    if os.geteuid() != 0:
        return "containers need an agent that runs as root"
    try:
        engine.check()
    except engine.EngineError as error:
        return str(error)
    return ""


class _Pieces(io.RawIOBase):
    """What one thread writes another one reads, some pieces behind. None ends it."""

    def __init__(self) -> None:
        self.queue: queue.Queue[bytes | None] = queue.Queue(maxsize=8)
        self.closed_by_reader = False

    def writable(self) -> bool:
        return True

    def write(self, piece: bytes) -> int:  # type: ignore[override]
        while not self.closed_by_reader:
            try:
                self.queue.put(bytes(piece), timeout=1)
                return len(piece)
            except queue.Full:
                continue
        raise BrokenPipeError

    def __iter__(self) -> Iterator[bytes]:  # type: ignore[override]
        while (piece := self.queue.get()) is not None:
            yield piece


def make_image(mesclun_app: pathlib.Path, say: Callable[[str], None], show: Callable[[float], None]) -> str:
    """Its name. EngineError: the engine refuses."""
    files = contents(mesclun_app)
    tag = digest(files)
    name = f"{REPOSITORY}:{tag}"
    if engine.has_image(name):
        say(f"the image {name} is there from an earlier run")
        return name
    megabytes = sum(path.stat().st_size for path in files.values()) / 1e6
    say(f"making the image {name} of {len(files)} files of this machine, {megabytes:.0f} MB ...")
    pieces = _Pieces()

    def write() -> None:
        try:
            write_archive(files, pieces, show)
        except BrokenPipeError:
            return
        finally:
            if not pieces.closed_by_reader:
                pieces.queue.put(None)

    writer = threading.Thread(target=write, daemon=True)
    writer.start()
    try:
        engine.import_image(REPOSITORY, tag, iter(pieces), f"ENV PATH={PATH}")
    finally:
        pieces.closed_by_reader = True
    writer.join()
    engine.remove_other_images(REPOSITORY, tag)
    return name
