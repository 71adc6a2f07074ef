"""The application of the demo: reads text in pictures with Tesseract. Only the standard library and `tesseract`.

    ocr_server.py [ADDRESS]      unix:PATH or HOST:PORT; without one 127.0.0.1:8001

    POST /ocr     body: a PNG    200 {"text", "machine_id", "instance_id", "seconds", "batch"}
    POST /batch   several such requests in one, as mesclun-app sends them
    GET  /health

All pictures of a batch are read by one tesseract process: its start and its model, which take about as long as reading
a picture, are paid once. `seconds` is the time of the whole batch, `batch` the number of pictures in it. A picture that
cannot be read fails alone. Queue, back-pressure, batches and an orderly end are not here: mesclun-app stands in front.
"""

from __future__ import annotations

import os
import pathlib
import shutil
import subprocess
import sys
import tempfile
import time
from typing import Any

HERE = pathlib.Path(__file__).resolve().parent
# An application elsewhere has a copy of this file beside it.
sys.path.insert(0, str(HERE.parent / "helpers" / "python"))

from mesclun_batch import Item, ItemError, serve  # noqa: E402

READ_SECONDS_MAX = 60
PNG_SIGNATURE = b"\x89PNG\r\n\x1a\n"
# Tesseract writes it between two pages.
PAGE_SEPARATOR = "\f"


class Unreadable(Exception):
    """At least one picture is none that Tesseract can open; in its own words."""


def recognise(pictures: list[bytes]) -> list[str]:
    """The texts of all pictures, in their order. RuntimeError if Tesseract itself was ended by a signal."""
    # In the working folder, which goes away with the instance, however that ends.
    with tempfile.TemporaryDirectory(prefix="pictures-", dir=".") as folder:
        paths = [pathlib.Path(folder, f"{number}.png") for number in range(len(pictures))]
        for path, picture in zip(paths, pictures):
            path.write_bytes(picture)
        pages = pathlib.Path(folder, "pages.txt")
        pages.write_text("".join(f"{path}\n" for path in paths))
        done = subprocess.run(
            # One block of black text on white: no search for columns, no second try with inverted colours.
            ["tesseract", str(pages), "stdout", "-l", "eng", "--psm", "6", "--dpi", "150",
             "-c", "tessedit_do_invert=0"],
            stdin=subprocess.DEVNULL, capture_output=True, timeout=READ_SECONDS_MAX,
            # Its threads fight each other over less than one core: ten times slower with them.
            env={**os.environ, "OMP_THREAD_LIMIT": "1"})
    if done.returncode < 0:
        raise RuntimeError(f"tesseract ended by signal {-done.returncode}")
    texts = done.stdout.decode().split(PAGE_SEPARATOR)
    if done.returncode != 0 or len(texts) != len(pictures):
        raise Unreadable(done.stderr.decode(errors="replace").strip() or f"tesseract exited {done.returncode}")
    return texts


def read_all(pictures: list[bytes]) -> list[str | ItemError]:
    """Tesseract stops at the first picture that it cannot open; then each is read alone."""
    try:
        return [*recognise(pictures)]
    except Unreadable as error:
        if len(pictures) == 1:
            return [ItemError(422, str(error))]
    return [result for picture in pictures for result in read_all([picture])]


def handle(items: list[Item]) -> list[Any]:
    start = time.monotonic()
    results = [refusal_of(item) for item in items]
    places = [place for place, refusal in enumerate(results) if refusal is None]
    texts = read_all([items[place].body for place in places]) if places else []
    told = {
        "machine_id": os.environ.get("SALAD_MACHINE_ID", ""),
        "instance_id": os.environ.get("SALAD_INSTANCE_ID", ""),
        "seconds": round(time.monotonic() - start, 4),
        "batch": len(places),
    }
    answers: list[Any] = list(results)
    for place, text in zip(places, texts):
        answers[place] = text if isinstance(text, ItemError) else {"text": text, **told}
    return answers


def refusal_of(item: Item) -> ItemError | None:
    if item.path != "/ocr":
        return ItemError(404, "only POST /ocr is here")
    if not isinstance(item.body, bytes) or not item.body.startswith(PNG_SIGNATURE):
        return ItemError(415, "the body is not a PNG")
    return None


def main() -> int:
    if shutil.which("tesseract") is None:
        print("tesseract is not installed (package tesseract-ocr)", file=sys.stderr)
        return 1
    address = sys.argv[1] if len(sys.argv) > 1 else "127.0.0.1:8001"
    print(f"reading pictures at {address}, machine {os.environ.get('SALAD_MACHINE_ID') or '(none)'}", flush=True)
    serve(handle, address)
    return 0


if __name__ == "__main__":
    sys.exit(main())
