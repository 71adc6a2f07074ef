#!/usr/bin/env python3
"""Looks for what our sources must not do. Prints every breach as file:line: what; exit status 1 if any.

* Time and randomness come from an injected Clock and Random, or the simulator would not be deterministic.
  Only the files in ALLOWED, each with its reason, read the real ones.
* asio::detached loses errors and lifetimes: spawn through a Scope.
* CLI11 is seen by one source: its header costs seconds.
* A thing is written one way: `std::ignore = f();` for an outcome that changes nothing, `while (true)` for a loop
  without an end.
* No path of somebody's machine stands in any file of the repository.
* A source file that a document names ("link/tunnel.h", in src/README.md also "`link/tunnel`") exists.
"""

from __future__ import annotations

import fnmatch
import pathlib
import re
import subprocess
import sys

# What, and what to use instead. Searched in C++ without its comments and strings.
BANNED = {
    "time": (re.compile(
        r"\b(?:system_clock|steady_clock|high_resolution_clock|utc_clock|clock_type)\s*::\s*now\b"
        r"|\bclock_gettime\b|\bgettimeofday\b|\btimespec_get\b|(?<![\w.>])time\s*\(\s*(?:nullptr|NULL|0|&)"
        r"|\bexpires_(?:after|from_now)\b|\bsystem_timer\b"),
        "reads real time: take a Clock&"),
    "sleep": (re.compile(
        r"\bthis_thread\s*::\s*sleep_(?:for|until)\b|\bu?sleep\s*\(|\bnanosleep\b"),
        "blocks the thread in real time: co_await clock.sleep_for()"),
    "random": (re.compile(
        r"\brandom_device\b|(?<![\w.>])s?rand\s*\(|\bgetrandom\b|\bgetentropy\b|\barc4random\w*"
        r"|\bRAND_(?:priv_)?bytes\b|\brandom_generator\b"),
        "reads real randomness: take a Random&"),
    "CLI11": (re.compile(r"#\s*include\s*<CLI/"), "costs seconds in each source: include base/command_line.h"),
    "detached": (re.compile(r"\bdetached\b"), "loses errors and lifetimes: spawn through a Scope"),
    "discard": (re.compile(r"\(void\)\s*(?=[\w(*])|\bstatic_cast<void>"), "write std::ignore = ..."),
    "endless": (re.compile(r"\bfor\s*\(\s*;\s*;\s*\)|\bwhile\s*\(\s*1\s*\)"), "write while (true)"),
}

# (pattern of files, kinds, why).
ALLOWED = [
    ("src/base/command_line.cc", {"CLI11"}, "is the one source that sees it"),
    ("src/base/real_clock.cc", {"time"}, "is the real clock"),
    ("src/base/real_random.cc", {"random"}, "is the real randomness"),
    ("src/base/deadline_wheel.*", {"time"}, "cuts slow peers off on real sockets only; simulated ones have no wheel"),
    ("src/client/fake_api.cc", {"sleep"}, "a test's own thread waits for a command that runs in real time"),
    ("src/client/context.cc", {"sleep"}, "commands without a loop wait, at most 5 s, for another's change of a small file"),
    ("src/runtime/docker/starter_main.cc", {"sleep"}, "is a program of its own, in a container, without a loop"),
    ("src/base/test_loop.h", {"time"}, "bounds a hanging test on a real loop"),
]

MACHINE_PATH = re.compile(r"(?<![\w.~$}-])/(?:root|home/\w+|Users/\w+|work)/")
TEXT_FILES = {".cc", ".h", ".cmake", ".txt", ".json", ".md", ".py", ".sh", ".js", ".mjs", ".ts", ".yaml", ".yml", ""}
# These two spell the paths out in order to look for them.
NOT_FOR_PATHS = {"tools/check_sources.py", "tools/checks_test.py"}

# "link/tunnel.h" and "src/link/tunnel.cc", not "demo/link/tunnel.h".
NAMED_FILE = re.compile(r"(?<![\w/.-])(?:src/)?(?P<file>(?P<folder>\w+)/[\w/]+\.(?:h|cc))\b")

# A header and its source together, as src/README.md names them: "`link/tunnel`".
NAMED_PAIR = re.compile(r"`(?P<file>(?P<folder>\w+)/[\w/]*\w)`")

TOKEN = re.compile(
    r'//[^\n]*|/\*.*?\*/|R"([^()\\ ]{0,16})\(.*?\)\1"|"(?:\\.|[^"\\\n])*"|\'(?:\\.|[^\'\\\n])+\'', re.DOTALL)


def code_only(text: str) -> str:
    """C++ with comments and literals blanked out, line numbers kept."""
    return TOKEN.sub(lambda found: re.sub(r"[^\n]", " ", found[0]), text)


def check_cpp(name: str, text: str) -> list[str]:
    problems = []
    code = code_only(text)
    for kind, (pattern, advice) in BANNED.items():
        if any(fnmatch.fnmatch(name, files) and kind in kinds for files, kinds, _ in ALLOWED):
            continue
        for found in pattern.finditer(code):
            number = code.count("\n", 0, found.start()) + 1
            problems.append(f"{name}:{number}: '{' '.join(found[0].split())}' {advice}")
    return problems


def check_paths(name: str, text: str) -> list[str]:
    if name in NOT_FOR_PATHS:
        return []
    return [f"{name}:{number}: a path of one machine: {found[0]}"
            for number, line in enumerate(text.splitlines(), start=1) if (found := MACHINE_PATH.search(line))]


def check_named_files(name: str, text: str, sources: set[str]) -> list[str]:
    """`sources` are the files of src/, written from there, as documents name them."""
    folders = {source.split("/")[0] for source in sources if "/" in source}
    if name == "src/README.md":
        sources = sources | {source.rpartition(".")[0] for source in sources}
    patterns = [NAMED_FILE, NAMED_PAIR] if name == "src/README.md" else [NAMED_FILE]
    return [f"{name}:{number}: names {found[0]}, which does not exist"
            for number, line in enumerate(text.splitlines(), start=1)
            for pattern in patterns
            for found in pattern.finditer(line)
            if found["folder"] in folders and found["file"] not in sources]


def check(root: pathlib.Path, names: list[str]) -> list[str]:
    problems = []
    sources = {name.removeprefix("src/") for name in names if name.startswith("src/")}
    for name in names:
        path = root / name
        if path.suffix not in TEXT_FILES or not path.is_file():
            continue
        try:
            text = path.read_text(encoding="utf-8")
        except UnicodeDecodeError:
            continue
        problems += check_paths(name, text)
        if path.suffix == ".md":
            problems += check_named_files(name, text, sources)
        if name.startswith("src/") and path.suffix in (".cc", ".h"):
            problems += check_cpp(name, text)
    for files, _, _ in ALLOWED:
        if not fnmatch.filter(names, files):
            problems.append(f"tools/check_sources.py: ALLOWED names {files}, which does not exist")
    return problems


def main() -> int:
    root = pathlib.Path(__file__).resolve().parent.parent
    # Tracked files and new ones, not what .gitignore leaves out.
    listed = subprocess.run(["git", "ls-files", "-z", "--cached", "--others", "--exclude-standard"], cwd=root,
                            capture_output=True, text=True, check=True).stdout
    problems = check(root, sorted(filter(None, listed.split("\0"))))
    print("\n".join(problems), end="\n" if problems else "")
    return 1 if problems else 0


if __name__ == "__main__":
    sys.exit(main())
