"""Images for container engines made of this machine's own files: no network, no other image below."""

from __future__ import annotations

import io
import os
import pathlib
import subprocess
import tarfile
from collections.abc import Callable, Iterator

# Of Python: tests, tools with windows, and what other packages brought.
LEFT_OUT = {"test", "idlelib", "tkinter", "turtledemo", "lib2to3", "ensurepip", "dist-packages", "site-packages",
            "__pycache__"}
PIECE = 256 * 1024

Files = dict[str, pathlib.Path]  # path in the image: file of this machine


def libraries_of(programs: list[pathlib.Path]) -> set[pathlib.Path]:
    """What the loader would take for them, itself included."""
    told = subprocess.run(["ldd", *map(str, programs)], capture_output=True, text=True).stdout
    # What ends with a colon is the program that the next lines are about.
    return {pathlib.Path(word) for word in told.split() if word.startswith("/") and not word.endswith(":")}


def files_below(folder: pathlib.Path) -> Iterator[pathlib.Path]:
    for where, folders, names in os.walk(folder):
        folders[:] = sorted(set(folders) - LEFT_OUT)
        yield from (pathlib.Path(where, name) for name in sorted(names))


def standard_library(python: pathlib.Path) -> pathlib.Path:
    """Of that Python, which need not be the one that runs this."""
    asked = subprocess.run([str(python), "-c", "import sysconfig; print(sysconfig.get_paths()['stdlib'])"],
                           capture_output=True, text=True, check=True)
    return pathlib.Path(asked.stdout.strip())


def _is_loaded(path: pathlib.Path) -> bool:
    with path.open("rb") as file:
        return file.read(4) == b"\x7fELF"


def with_libraries(files: Files) -> Files:
    """These and the shared libraries that the programs among them need, in order; what is no file is left out."""
    there = {name: path for name, path in files.items() if path.is_file()}
    loaded = [path for path in there.values() if _is_loaded(path)]
    there |= {str(path): path for path in libraries_of(loaded)}
    return {name: path.resolve() for name, path in sorted(there.items())}


def write_archive(files: Files, out: io.RawIOBase | io.BufferedIOBase,
                  show: Callable[[float], None] = lambda share: None) -> None:
    total = sum(path.stat().st_size for path in files.values())
    done = 0
    with tarfile.open(fileobj=out, mode="w|", bufsize=PIECE) as archive:
        temporary = tarfile.TarInfo("tmp")
        temporary.type, temporary.mode = tarfile.DIRTYPE, 0o1777
        archive.addfile(temporary)
        for name, path in files.items():
            entry = tarfile.TarInfo(name.lstrip("/"))
            entry.size, entry.mode = path.stat().st_size, 0o755 if os.access(path, os.X_OK) else 0o644
            with path.open("rb") as file:
                archive.addfile(entry, file)
            done += entry.size
            show(done / total)
