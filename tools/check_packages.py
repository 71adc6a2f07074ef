#!/usr/bin/env python3
"""Holds what the build and the scripts use to the package list of tools/install.sh: a bare Debian 12 must have it all.

    tools/check_packages.py BUILD_FOLDER ...      after building; without arguments: build/dev

* Every system header in the compiler's dependency files, every library and program on the command lines of the build,
  and every library that mesclun and mesclun-app load, is of a package of the set `build` or of its dependencies.
* Every program that a script, a test or the code runs is in the sets that SETS names for that file. Found are commands
  of shell scripts and of the Makefile, and literals in Python, C++, JavaScript and YAML where a command begins.
* Dependencies are those of this machine's packages, recommended ones excepted, as tools/install.sh asks for none. A
  program that is not installed is a breach only where the sets of its file are, or it may be of a package of theirs.

Prints every breach as file: what it uses, which package that is, which set lacks it; exit status 1 if any.
"""

from __future__ import annotations

import ast
import collections
import fnmatch
import os
import pathlib
import re
import shutil
import subprocess
import sys
from collections.abc import Iterable, Iterator

import shell_commands

ROOT = pathlib.Path(__file__).resolve().parent.parent

# Which sets a machine has on which the file is used; the first row that fits. What comes with the system (BASE) is
# there always.
SETS = [
    ("tools/install.sh", ""),
    ("tools/build.sh", "build"),
    ("tools/bench*", "build bench"),
    ("tools/lint.sh", "build format lint"),
    ("tools/bare_machine.sh", "bare"),
    (".ci/run", "build demo test format"),
    ("Makefile", "build demo test bench format lint"),
    ("src/*_bench.cc", "build bench"),
    ("src/*_test.*", "build demo test"),
    ("src/*_test_kit.h", "build demo test"),
    ("demo/*_test.py", "build demo test"),
    ("tools/*", "build demo test"),
    ("e2e/*", "build demo test"),
    ("demo/*", "build demo"),
    ("src/*", "build demo"),
]
# Said to be there before tools/install.sh runs (README.md), beside what Debian calls required.
BASE = ["make", "git", "ca-certificates", "apt"]
# Programs that no set brings, on purpose.
OPTIONAL = {
    "nvidia-smi": "comes with the driver of the GPU; without it there is none",
    "sudo": "only where one is not root; without it tools/install.sh says what to do",
}
# Only shows what this check must find.
EXAMPLES = "tools/checks_test.py"
# Where Debian puts programs. A same-named one elsewhere in PATH says nothing about a bare machine.
FOLDERS = ["/usr/bin", "/usr/sbin", "/bin", "/sbin"]


# --- the list, and what it brings -------------------------------------------------------------------------------------

class InstallList:
    """The sets of tools/install.sh: packages, and the commands that stand for some of them."""

    def __init__(self, text: str) -> None:
        table = re.search(r"^declare -A sets=\((.*?)^\)", text, re.DOTALL | re.MULTILINE)
        rows = re.findall(r'\[(\w+)\]="([^"]*)"', table[1]) if table else []
        self.packages = {name: [need.split("=")[0] for need in needs.split()] for name, needs in rows}
        self.commands = {name: {need.split("=")[1]: need.split("=")[0] for need in needs.split() if "=" in need}
                         for name, needs in rows}


class Packages:
    """What is installed here, from the text of dpkg's status file."""

    def __init__(self, status: str) -> None:
        self._needs: dict[str, list[list[str]]] = {}  # package: alternatives of each dependency
        self._providers: dict[str, list[str]] = collections.defaultdict(list)
        self.required: list[str] = []
        for paragraph in status.split("\n\n"):
            fields = dict(re.findall(r"^([\w-]+): (.*)$", paragraph, re.MULTILINE))
            if not fields.get("Status", "").endswith(" installed"):
                continue
            name = fields["Package"]
            depends = ", ".join(filter(None, (fields.get("Pre-Depends"), fields.get("Depends"))))
            self._needs.setdefault(name, []).extend(
                [self._name(word) for word in need.split("|")] for need in depends.split(",") if need.strip())
            for provided in filter(None, fields.get("Provides", "").split(",")):
                self._providers[self._name(provided)].append(name)
            if fields.get("Essential") == "yes" or fields.get("Priority") == "required":
                self.required.append(name)

    @staticmethod
    def _name(word: str) -> str:
        return re.split(r"[\s:(]", word.strip(), maxsplit=1)[0]

    def has(self, name: str) -> bool:
        return name in self._needs

    def closure(self, names: Iterable[str]) -> set[str]:
        """The packages and all that they depend on; of alternatives the first that is here."""
        found: set[str] = set()
        todo = list(names)
        while todo:
            name = todo.pop()
            if name in found:
                continue
            found.add(name)
            for alternatives in self._needs.get(name, []):
                here = [word for word in alternatives if word in self._needs or word in self._providers]
                for word in here[:1] or alternatives[:1]:
                    todo += [word] if word in self._needs else self._providers.get(word, [word])
        return found


class Owners:
    """Which package a file is of, by `dpkg -S`."""

    def __init__(self, paths: Iterable[str]) -> None:
        self._owner: dict[str, str] = {}
        asked = sorted({name for path in paths for name in self.names(path)})
        if asked:
            # Status 1 is usual: most files have one of their names only in the lists.
            said = subprocess.run(["dpkg", "-S", *asked], capture_output=True, text=True).stdout
            self._owner = self.parse(said)

    @staticmethod
    def names(path: str) -> list[str]:
        """All names under which a package may list it: as said, where links lead, with and without /usr."""
        real = [os.path.normpath(path), os.path.realpath(path)]
        return real + [name.removeprefix("/usr") if name.startswith("/usr/") else "/usr" + name for name in real]

    @staticmethod
    def parse(said: str) -> dict[str, str]:
        owner = {}
        for line in said.splitlines():
            packages, _, path = line.partition(": ")
            # "diversion by dash from: /bin/sh" names who moved another's file, not an owner.
            if not packages.startswith("diversion by "):
                owner[path] = packages.split(",")[0].split(":")[0]
        return owner

    def of(self, path: str) -> str | None:
        return next((self._owner[name] for name in self.names(path) if name in self._owner), None)


# --- what the build uses ----------------------------------------------------------------------------------------------

def source_of(output: str) -> str:
    """Of an object file: the source that became it."""
    found = re.fullmatch(r"(.*/)CMakeFiles/[^/]+\.dir/(.*)\.o", output)
    return found[1] + found[2] if found else output


def headers(deps: str) -> dict[str, str]:
    """System headers in the answer of `ninja -t deps`, each with the first that needs it."""
    first: dict[str, str] = {}
    output = ""
    for line in deps.splitlines():
        if line.startswith("    /"):
            first.setdefault(line.strip(), source_of(output))
        elif line:
            output = line.split(":")[0]
    return first


def command_files(commands: str, library_folders: list[str]) -> dict[str, str]:
    """Programs and libraries on the command lines of `ninja -t commands`, each with what is made by it."""
    first: dict[str, str] = {}
    for line in commands.splitlines():
        words = line.split()
        made = words[words.index("-o") + 1] if "-o" in words[:-1] else "the build"
        for word in words:
            if word.startswith("-l"):
                name = word[2:]
                names = [name[1:]] if name.startswith(":") else [f"lib{name}.so", f"lib{name}.a"]
                tries = [f"{folder}/{file}" for folder in library_folders for file in names]
                word = next((path for path in tries if os.path.exists(path)), word)
            elif not word.startswith("/") or not os.path.isfile(word):
                continue
            first.setdefault(word, source_of(made))
    return first


def link_inputs(commands: str, folder: pathlib.Path) -> dict[str, str]:
    """What the compiler adds to the command line that links mesclun: linker, run-time libraries, start files."""
    found = re.search(r"(/\S+ [^\n]* -o bin/mesclun [^\n]*?)(?: &&|$)", commands, re.MULTILINE)
    if not found:
        return {}
    line = found[1].rsplit("&& ", 1)[-1]
    said = subprocess.run(f"{line} '-###'", shell=True, cwd=folder, capture_output=True, text=True).stderr
    return {path: "bin/mesclun" for path in re.findall(r'"(/[^"]+)"', said) if os.path.isfile(path)}


def loaded_libraries(program: pathlib.Path) -> list[str]:
    said = subprocess.run(["ldd", str(program)], capture_output=True, text=True).stdout
    return re.findall(r"(/\S+) \(0x", said)


def build_uses(folder: pathlib.Path) -> dict[str, str]:
    """Files outside of the tree that a build folder uses, each with a user of it."""
    def ninja(*arguments: str) -> str:
        return subprocess.run(["ninja", "-C", str(folder), "-t", *arguments], capture_output=True, text=True,
                              check=True).stdout

    libraries = [str(path) for pattern in ("usr/lib/*-linux-gnu", "usr/lib", "usr/lib/gcc/*-linux-gnu/*")
                 for path in pathlib.Path("/").glob(pattern)]
    commands = ninja("commands")
    cache = (folder / "CMakeCache.txt").read_text(encoding="utf-8")
    used = headers(ninja("deps")) | command_files(commands, libraries) | link_inputs(commands, folder)
    tools = re.findall(r"^CMAKE_(?:COMMAND|MAKE_PROGRAM):\w+=(.*)$", cache, re.MULTILINE)
    used |= {path: "CMakeCache.txt" for path in tools}
    for name in ("mesclun", "mesclun-app"):
        used |= {library: f"{folder.name}/bin/{name}" for library in loaded_libraries(folder / "bin" / name)}
    inside = (str(ROOT) + "/", str(folder.resolve()) + "/")
    return {path: user for path, user in used.items() if not os.path.normpath(path).startswith(inside)}


# --- what programs run ------------------------------------------------------------------------------------------------

# Where a command begins in C++, JavaScript, YAML. Tests of JSON in strings included.
LITERALS = [re.compile(pattern) for pattern in (
    r'"(/(?:usr/)?s?bin/[\w.+-]+)"',
    r'\b(?:system|popen|execl?p?|execvp|spawn(?:Sync)?|execFile(?:Sync)?)\s*\(\s*["\']([\w./+-]+)',
    r'\b(?:spec|exec|launch)\s*\((?:[^(){}"]*,\s*)?\{\s*"([\w./+-]+)"',
    r'\bvector<std::string>\s+\w+\s*[{(]+\s*"([\w./+-]+)"',
    r'\bcommand"?\s*(?:=|:)\s*[\[{]\s*"([\w./+-]+)"',
)]
RUNNERS = {"os.execv", "os.execvp", "os.system", "shutil.which", "subprocess.Popen", "subprocess.call",
           "subprocess.check_call", "subprocess.check_output", "subprocess.run"}


def python_programs(text: str) -> Iterator[tuple[str, bool]]:
    """(word, certain): first words of lists, which may be commands, and what is handed to a runner, which is one."""
    for node in ast.walk(ast.parse(text)):
        certain = False
        if isinstance(node, ast.Call) and node.args:
            certain = ast.unparse(node.func) in RUNNERS
            node = node.args[0]
        if isinstance(node, (ast.List, ast.Tuple)):
            node = node.elts[0] if node.elts else node
        elif not certain:
            continue
        if isinstance(node, ast.Constant) and isinstance(node.value, str) and node.value:
            yield node.value.split()[0] if node.value.split() else "", certain


def programs(name: str, text: str) -> set[tuple[str, bool]]:
    """(word, certain) for each program that a file of the repository may run."""
    if name.endswith(".py"):
        found = set(python_programs(text))
    elif name == "Makefile":
        found = {(word, True) for word in shell_commands.of_makefile(text)}
    elif name.endswith(".sh") or text.startswith(("#!/usr/bin/env bash", "#!/bin/sh")):
        found = {(word, True) for word in shell_commands.of_script(text)}
    elif name.endswith((".cc", ".h", ".js", ".cjs", ".mjs", ".yaml")):
        found = {(hit[1], False) for pattern in LITERALS for hit in pattern.finditer(text)}
    else:
        found = set()
    return {(word, certain) for word, certain in found
            if re.fullmatch(r"/?[\w.+-]+(/[\w.+-]+)*", word) and (certain or (word, True) not in found)}


def program_file(word: str) -> str | None:
    """Where Debian's packages have it; only a name or a path to one of their folders is meant to be theirs."""
    if "/" in word and os.path.dirname(word) not in FOLDERS:
        return None
    tries = (f"{folder}/{os.path.basename(word)}" for folder in FOLDERS)
    return next((path for path in tries if os.path.exists(path)), None)


# --- the check --------------------------------------------------------------------------------------------------------

class Check:
    def __init__(self, wanted: InstallList, packages: Packages) -> None:
        self._list = wanted
        self._packages = packages
        self._base = packages.closure([*packages.required, *BASE])
        self._there: dict[str, set[str]] = {}

    def there(self, sets: str) -> set[str]:
        if sets not in self._there:
            names = [package for name in sets.split() for package in self._list.packages[name]]
            self._there[sets] = self._base | self._packages.closure(names)
        return self._there[sets]

    def installed(self, one: str) -> bool:
        commands = {package: command for command, package in self._list.commands[one].items()}
        return all(self._packages.has(package) or (package in commands and shutil.which(commands[package]))
                   for package in self._list.packages[one])

    def lacks(self, sets: str) -> str:
        return (f"which sets {sets} of tools/install.sh lack" if " " in sets else
                f"which set {sets or '(none)'} of tools/install.sh lacks")

    def build(self, used: dict[str, str], owners: Owners) -> list[str]:
        """Files of the build; one line a package."""
        missing: dict[str, list[str]] = collections.defaultdict(list)
        for path in sorted(used):
            owner = owners.of(path)
            if os.path.basename(path) in self._list.commands["build"] or (owner and owner in self.there("build")):
                continue
            missing[owner or ""].append(path)
        problems = []
        for owner, paths in sorted(missing.items()):
            of = f"of package {owner}" if owner else "of no package"
            more = f" and {len(paths) - 1} more" if len(paths) > 1 else ""
            problems.append(f"{used[paths[0]]}: uses {paths[0]}{more} {of}, {self.lacks('build')}")
        return problems

    def program(self, file: str, word: str, certain: bool, owners: Owners) -> list[str]:
        sets = next((sets for pattern, sets in SETS if fnmatch.fnmatch(file, pattern)), None)
        name = os.path.basename(word)
        if sets is None or name in OPTIONAL:
            return []
        if any(name in self._list.commands[one] for one in sets.split()):
            return []
        path = program_file(word)
        brought = next((package for commands in self._list.commands.values() for package in commands.values()
                        if commands.get(name) == package), None)
        owner = (owners.of(path) if path else None) or brought
        if owner in self.there(sets):
            return []
        if owner:
            return [f"{file}: runs {word} of package {owner}, {self.lacks(sets)}"]
        # Perhaps a list of other words than a command's, unless it is certainly one.
        is_lost = certain and not path and "/" not in word and all(self.installed(one) for one in sets.split())
        return [f"{file}: runs {word}, which no set names and which is not installed"] if is_lost else []


def check(wanted: InstallList, packages: Packages, used: dict[str, str], files: dict[str, str]) -> list[str]:
    """`files`: those of the repository with their text."""
    words = sorted({(name, *found) for name, text in files.items() if name != EXAMPLES
                    for found in programs(name, text)})
    owners = Owners([*used, *filter(None, (program_file(word) for _, word, _ in words))])
    whole = Check(wanted, packages)
    problems = whole.build(used, owners)
    for name, word, certain in words:
        problems += whole.program(name, word, certain, owners)
    return list(dict.fromkeys(problems))


def tracked_files() -> dict[str, str]:
    listed = subprocess.run(["git", "ls-files", "-z"], cwd=ROOT, capture_output=True, text=True, check=True).stdout
    files = {}
    for name in filter(None, listed.split("\0")):
        if (ROOT / name).is_file():
            files[name] = (ROOT / name).read_text(encoding="utf-8", errors="replace")
    return files


def main() -> int:
    status = pathlib.Path("/var/lib/dpkg/status")
    if not status.exists():
        print("not a Debian: which packages the build uses was not checked")
        return 0
    used: dict[str, str] = {}
    for folder in sys.argv[1:] or ["build/dev"]:
        used |= build_uses(ROOT / folder)
    problems = check(InstallList((ROOT / "tools/install.sh").read_text(encoding="utf-8")),
                     Packages(status.read_text(encoding="utf-8")), used, tracked_files())
    print("\n".join(problems), end="\n" if problems else "")
    return 1 if problems else 0


if __name__ == "__main__":
    sys.exit(main())
