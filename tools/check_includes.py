#!/usr/bin/env python3
"""Holds src/ to the folder table of src/README.md. Prints every breach as file:line: what; exit status 1 if any.

* A quoted include is written from src/ ("base/task.h") and names a file that exists.
* A folder includes itself and what its row allows; tests also what TEST_DEPS of its CMakeLists.txt names.
* DEPS of a folder's mesclun_module() are its row, no more and no less.
* Headers begin with #pragma once, after comments. main.cc has fewer than 200 lines.
"""

from __future__ import annotations

import pathlib
import re
import sys

MAIN_LINES_MAX = 199
ROW = re.compile(r"^\| `([a-z]+)` \|.*\| ([a-z ]+) \|$")
INCLUDE = re.compile(r'^\s*#\s*include\s*(["<])([^">]+)[">]')
MODULE = re.compile(r"mesclun_module\(NAME\s+([a-z]+)(.*?)\)", re.DOTALL)
KEYWORDS = "SOURCES|DEPS|LIBS|TESTS|TEST_DEPS|BENCHES|FUZZ"


def folder_table(readme: str) -> dict[str, set[str]]:
    rows = (ROW.match(line) for line in readme.splitlines())
    return {row[1]: set(row[2].split()) - {"nothing"} for row in rows if row}


def check_table(table: dict[str, set[str]]) -> list[str]:
    if not table:
        return ["src/README.md: no folder table found"]
    problems = []
    seen: set[str] = set()
    for folder, allowed in table.items():
        for other in sorted(allowed - seen):
            problems.append(f"src/README.md: {folder} may include {other}, which has no row above it")
        seen.add(folder)
    return problems


def module_list(cmake: str, keyword: str) -> set[str]:
    """The words after a keyword of mesclun_module()."""
    words: set[str] = set()
    for module in MODULE.finditer(re.sub(r"#.*", "", cmake)):
        for found in re.finditer(rf"\b{keyword}\b(.*?)(?=\b(?:{KEYWORDS})\b|$)", module[2], re.DOTALL):
            words |= set(found[1].split())
    return words


def check_file(src: pathlib.Path, path: pathlib.Path, folder: str | None, allowed: set[str],
               table: dict[str, set[str]]) -> list[str]:
    problems = []
    lines = path.read_text(encoding="utf-8").splitlines()
    name = path.relative_to(src.parent)
    for number, line in enumerate(lines, start=1):
        include = INCLUDE.match(line)
        if not include:
            continue
        target = include[2]
        other = target.split("/")[0]
        if include[1] == "<":
            if other in table and (src / target).exists():
                problems.append(f"{name}:{number}: write \"{target}\" with quotes, it is ours")
        elif not (src / target).is_file():
            problems.append(f"{name}:{number}: \"{target}\" is no file below src/")
        elif folder is not None and other != folder and other not in allowed:
            problems.append(f"{name}:{number}: {folder} may not include {other} (src/README.md)")
    if path.suffix == ".h":
        code = (line.strip() for line in lines)
        first = next((line for line in code if line and not line.startswith("//")), "")
        if first != "#pragma once":
            problems.append(f"{name}:1: a header begins with #pragma once")
    return problems


def check(src: pathlib.Path) -> list[str]:
    table = folder_table((src / "README.md").read_text(encoding="utf-8"))
    problems = check_table(table)
    for path in sorted(p for p in src.rglob("*") if p.suffix in (".h", ".cc")):
        parts = path.relative_to(src).parts
        if len(parts) == 1:
            problems += check_file(src, path, None, set(), table)
            continue
        folder = parts[0]
        if folder not in table:
            problems.append(f"src/{folder}: has no row in src/README.md")
            table[folder] = set()
        allowed = table[folder]
        cmake = src / folder / "CMakeLists.txt"
        if path.stem.endswith("_test") and cmake.exists():
            allowed = allowed | module_list(cmake.read_text(encoding="utf-8"), "TEST_DEPS")
        problems += check_file(src, path, folder, allowed, table)
    for folder, allowed in table.items():
        cmake = src / folder / "CMakeLists.txt"
        if cmake.exists():
            linked = module_list(cmake.read_text(encoding="utf-8"), "DEPS")
            for other in sorted(linked - allowed):
                problems.append(f"src/{folder}/CMakeLists.txt: DEPS has {other}, which src/README.md does not allow")
            for other in sorted(allowed - linked):
                problems.append(f"src/{folder}/CMakeLists.txt: DEPS lacks {other}, which src/README.md allows")
    main = src / "main.cc"
    if main.exists() and len(main.read_text(encoding="utf-8").splitlines()) > MAIN_LINES_MAX:
        problems.append(f"src/main.cc: longer than {MAIN_LINES_MAX} lines; it is only a table of subcommands")
    return problems


def main() -> int:
    problems = check(pathlib.Path(__file__).resolve().parent.parent / "src")
    print("\n".join(problems), end="\n" if problems else "")
    return 1 if problems else 0


if __name__ == "__main__":
    sys.exit(main())
