"""Pictures of known text: what the OCR service of the demo has to read.

The sentences are made from the word lists below, so the text is ours, every picture is different, and the same seed
gives the same pictures. ImageMagick draws them; they are kept in a folder between runs.
"""

from __future__ import annotations

import argparse
import concurrent.futures
import dataclasses
import json
import os
import pathlib
import random
import subprocess
import textwrap

LINE_CHARACTERS = 40
LINES_MIN, LINES_MAX = 3, 4
# Part of the cache's key: raise it when the same seed would give other pictures.
RECIPE = 2

FONTS = ("DejaVu-Sans", "DejaVu-Serif", "DejaVu-Sans-Mono")

_WHO = (
    "The baker", "A tired gardener", "The young captain", "Our neighbour", "The old teacher", "A careful painter",
    "The night nurse", "A patient farmer", "The station master", "My grandmother", "A quiet student", "The bridge keeper",
    "The travelling doctor", "A clever tailor", "The village poet", "The lighthouse keeper", "A friendly stranger",
    "The ferry pilot", "Every second child", "The retired engineer",
)
_DOES = (
    "carries", "counts", "repairs", "paints", "remembers", "collects", "describes", "hides", "delivers", "borrows",
    "measures", "watches", "gathers", "polishes", "discovers", "protects", "studies", "returns", "wraps", "photographs",
)
_HOW_MANY = ("three", "seven", "twelve", "sixteen", "several", "forty", "a few", "nearly all", "eleven", "ninety")
_WHAT = (
    "wooden boats", "green lanterns", "letters from abroad", "baskets of apples", "broken clocks", "silver buttons",
    "maps of the coast", "winter coats", "copper kettles", "old photographs", "bottles of ink", "garden chairs",
    "bundles of hay", "heavy suitcases", "jars of honey", "printed tickets", "blue umbrellas", "loaves of bread",
    "paper kites", "stones from the river",
)
_WHERE = (
    "beside the harbour", "under the bridge", "behind the school", "near the market", "across the valley",
    "in the empty theatre", "along the canal", "at the railway station", "on the upper floor", "outside the museum",
    "between the houses", "above the workshop", "by the northern gate", "in the morning fog", "close to the mill",
)
_WHEN = (
    "before breakfast", "after the storm", "every Tuesday", "in early spring", "until midnight", "since last October",
    "during the festival", "on rainy days", "at half past nine", "without a single word", "when the bells ring",
    "for the third time", "once a month", "while the others sleep", "as long as it is light",
)


@dataclasses.dataclass(frozen=True)
class Picture:
    number: int
    text: str
    path: pathlib.Path

    def read(self) -> bytes:
        return self.path.read_bytes()


def make_text(seed: int, number: int) -> tuple[str, str]:
    """The known text of a picture, wrapped into its lines, and the font it is drawn in."""
    # A text seed: the same on every Python version and machine, for each picture by itself.
    pick = random.Random(f"{RECIPE}/{seed}/{number}")
    lines_wanted = pick.randint(LINES_MIN, LINES_MAX)
    font = pick.choice(FONTS)
    sentences: list[str] = []
    while True:
        who, does, many, what, where, when = (
            pick.choice(words) for words in (_WHO, _DOES, _HOW_MANY, _WHAT, _WHERE, _WHEN))
        sentences.append(f"{who} {does} {many} {what} {where} {when}.")
        lines = textwrap.wrap(" ".join(sentences), LINE_CHARACTERS)
        if len(lines) >= lines_wanted:
            return "\n".join(lines[:lines_wanted]), font


def draw(text: str, font: str, path: pathlib.Path) -> None:
    """Draws one picture. The file appears whole or not at all."""
    unfinished = path.with_suffix(f".{os.getpid()}.tmp")
    command = [
        "convert", "-background", "white", "-fill", "black", "-font", font, "-pointsize", "28", "-bordercolor", "white",
        "-border", "24", f"label:{text}", "-colorspace", "Gray", "-depth", "8", "-strip", f"png:{unfinished}",
    ]
    done = subprocess.run(command, capture_output=True, text=True, timeout=60)
    if done.returncode != 0:
        unfinished.unlink(missing_ok=True)
        raise RuntimeError(f"convert could not draw a picture (package imagemagick): {done.stderr.strip()}")
    unfinished.replace(path)


def make_pictures(folder: pathlib.Path, count: int, seed: int) -> list[Picture]:
    """All pictures, drawing those that are not in the folder yet."""
    folder = folder / f"recipe-{RECIPE}-seed-{seed}"
    folder.mkdir(parents=True, exist_ok=True)
    texts = [make_text(seed, number) for number in range(count)]
    pictures = [Picture(number, text, folder / f"{number:05}.png") for number, (text, _) in enumerate(texts)]
    with concurrent.futures.ThreadPoolExecutor(os.cpu_count() or 1) as pool:
        missing = [p for p in pictures if not p.path.exists()]
        for _ in pool.map(lambda p: draw(p.text, texts[p.number][1], p.path), missing):
            pass
    return pictures


def main() -> None:
    parser = argparse.ArgumentParser(description="Draws the pictures of the demo and lists them as JSON lines.")
    parser.add_argument("--folder", type=pathlib.Path, default=pathlib.Path("build/demo/images"))
    parser.add_argument("--count", type=int, default=300)
    parser.add_argument("--seed", type=int, default=1)
    options = parser.parse_args()
    for picture in make_pictures(options.folder, options.count, options.seed):
        print(json.dumps({"file": str(picture.path), "text": picture.text}))


if __name__ == "__main__":
    main()
