"""Tests of the checks beside this file: each rule lets the good through and catches the bad."""

from __future__ import annotations

import pathlib
import sys
import tempfile
import unittest

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parent))

import check_includes  # noqa: E402
import check_packages  # noqa: E402
import check_sources  # noqa: E402
import shell_commands  # noqa: E402

README = """
| folder | what lives there | may include |
|---|---|---|
| `base` | tools | nothing |
| `link` | words | base |
| `cloud` | control | base link |
"""

GOOD = {
    "README.md": README,
    "main.cc": '#include "cloud/a.h"\n',
    "base/a.h": "// What it is.\n\n#pragma once\n",
    "base/a.cc": '#include "base/a.h"\n\n#include <vector>\n',
    "link/a.h": '#pragma once\n#include "base/a.h"\n',
    "link/a_test.cc": '#include "cloud/a.h"\n',
    "link/CMakeLists.txt": "mesclun_module(NAME link\n  SOURCES a.cc\n  DEPS base\n  TEST_DEPS cloud)\n",
    "cloud/a.h": '#pragma once\n#include "link/a.h"\n',
}


class Includes(unittest.TestCase):
    def problems(self, **changed: str) -> list[str]:
        with tempfile.TemporaryDirectory() as name:
            src = pathlib.Path(name) / "src"
            for file, text in {**GOOD, **{k.replace("__", "/"): v for k, v in changed.items()}}.items():
                path = src / file
                path.parent.mkdir(parents=True, exist_ok=True)
                path.write_text(text)
            return check_includes.check(src)

    def check_one(self, expected: str, files: dict[str, str]) -> None:
        problems = self.problems(**files)
        self.assertEqual(len(problems), 1, problems)
        self.assertIn(expected, problems[0])

    def test_good_tree_passes(self) -> None:
        self.assertEqual(self.problems(), [])

    def test_breaches_are_found(self) -> None:
        self.check_one("base/b.cc:2: base may not include link",
                       {"base/b.cc": '\n#include "link/a.h"\n'})
        self.check_one("is no file below src/", {"base/b.cc": '#include "a.h"\n'})
        self.check_one("with quotes", {"base/b.cc": "#include <base/a.h>\n"})
        self.check_one("begins with #pragma once", {"base/b.h": "#include <vector>\n#pragma once\n"})
        self.check_one("DEPS lacks base", {"link/CMakeLists.txt": "mesclun_module(NAME link TEST_DEPS base cloud)"})
        self.check_one("DEPS has cloud",
                       {"link/CMakeLists.txt": "mesclun_module(NAME link DEPS base cloud TEST_DEPS cloud)"})
        self.check_one("link may not include cloud", {"link/b.cc": '#include "cloud/a.h"\n'})
        self.check_one("src/new: has no row", {"new/a.cc": "\n"})
        self.check_one("src/main.cc: longer", {"main.cc": "\n" * 200})
        self.check_one("no row above it", {
            "README.md": README.replace("| base |", "| base cloud |"),
            "link/CMakeLists.txt": "mesclun_module(NAME link DEPS base cloud)"})


class Sources(unittest.TestCase):
    def test_clean_code_passes(self) -> None:
        code = """
        // std::chrono::steady_clock::now() in a comment, rand() too
        auto a = clock.now(); co_await clock.sleep_for(1s); x.time(); int64_t time(int); operand(1); my_rand(2);
        log("time(nullptr) sleep(1)"); auto s = R"(getrandom detached)"; char c = '"'; Scope scope; when.time(0);
        std::ignore = f(); while (true) g(); for (; i < n;) h();
        """
        self.assertEqual(check_sources.check_cpp("src/cloud/a.cc", code), [])

    def test_each_ban_is_found_on_its_line(self) -> None:
        for code in ("std::chrono::system_clock::now()", "steady_clock :: now()", "clock_gettime(CLOCK_REALTIME, &t)",
                     "std::time(nullptr)", "time( 0 )", "gettimeofday(&t, nullptr)", "timer.expires_after(1s)",
                     "std::random_device d;", "rand()", "std::rand()", "srand (1)", "getrandom(p, 1, 0)",
                     "RAND_bytes(p, 1)", "boost::uuids::random_generator g;", "std::this_thread::sleep_for(1s)",
                     "usleep(1)", "sleep(1)", "::nanosleep(&t, 0)", "co_spawn(ex, f(), asio::detached)", "(void)f();",
                     "static_cast<void>(f());", "for (;;) {", "while (1) {"):
            problems = check_sources.check_cpp("src/cloud/a.cc", f'"text" /* two\nlines */\n{code};\n')
            self.assertEqual(len(problems), 1, code)
            self.assertTrue(problems[0].startswith("src/cloud/a.cc:3: "), problems)

    def test_allowed_files_may_do_only_what_they_are_allowed(self) -> None:
        self.assertEqual(check_sources.check_cpp("src/base/real_clock.cc", "steady_clock::now()"), [])
        self.assertEqual(len(check_sources.check_cpp("src/base/real_clock.cc", "rand()")), 1)

    def test_documents_name_files_that_exist(self) -> None:
        sources = {"link/tunnel.h", "runtime/process/driver.cc", "main.cc"}
        for text in ("`link/tunnel.h`", "src/link/tunnel.h:12", "(runtime/process/driver.cc)", "docs/link/old.h",
                     "std/vector.h", "link/tunnel"):
            self.assertEqual(check_sources.check_named_files("a.md", text, sources), [], text)
        self.assertEqual(check_sources.check_named_files("a.md", "one\n`link/old.h` and src/runtime/driver.h", sources),
                         ["a.md:2: names link/old.h, which does not exist",
                          "a.md:2: names src/runtime/driver.h, which does not exist"])
        self.assertEqual(check_sources.check_named_files("src/README.md", "`link/tunnel` `link/old` `link/`", sources),
                         ["src/README.md:1: names `link/old`, which does not exist"])

    def test_machine_paths_are_found(self) -> None:
        for text in ("cd /root/x", '"/home/me/y"', "at /work/z"):
            self.assertEqual(len(check_sources.check_paths("docs/a.md", text)), 1, text)
        for text in ("~/.config/mesclun", "/organizations/home/", "build/work/x", "https://a.b/work/x", "$HOME/work/"):
            self.assertEqual(check_sources.check_paths("docs/a.md", text), [], text)


INSTALL = """
declare -A sets=(
  [build]="clang-19 ninja-build=ninja libboost1.81-dev
           libhowardhinnant-date-dev"
  [demo]="tesseract-ocr nftables=nft"
  [test]="python3=python3 iproute2=ip"
)
"""

STATUS = """
Package: clang-19
Status: install ok installed
Depends: libstdc++-12-dev (>= 12), c-compiler | gcc, libc6-dev:any

Package: libstdc++-12-dev
Status: install ok installed
Pre-Depends: libc6-dev
Recommends: libhowardhinnant-date-dev

Package: libc6-dev
Status: install ok installed

Package: tcc
Status: install ok installed
Provides: c-compiler (= 1)

Package: libboost1.81-dev
Status: install ok installed

Package: libhowardhinnant-date-dev
Status: install ok installed

Package: coreutils
Essential: yes
Status: install ok installed

Package: gone
Status: deinstall ok config-files
Provides: c-compiler
"""

OWNED = {"/usr/include/date/date.h": "libhowardhinnant-date-dev", "/usr/include/date/tz.h": "libhowardhinnant-date-dev",
         "/usr/include/boost/asio.hpp": "libboost1.81-dev", "/usr/include/stdio.h": "libc6-dev",
         "/usr/bin/tesseract": "tesseract-ocr", "/bin/cat": "coreutils"}
DEPS = """src/base/CMakeFiles/mesclun_base.dir/clock.cc.o: #deps 3, deps mtime 1 (VALID)
    /usr/include/stdio.h
    /usr/include/date/date.h
    ../src/base/clock.h

src/base/CMakeFiles/mesclun_base.dir/task.cc.o: #deps 2, deps mtime 1 (VALID)
    /usr/include/boost/asio.hpp
    /usr/include/date/tz.h
"""


class FakeOwners(check_packages.Owners):
    def __init__(self) -> None:
        super().__init__([])
        self._owner = OWNED


class PackagesTest(unittest.TestCase):
    def check(self, install: str) -> check_packages.Check:
        return check_packages.Check(check_packages.InstallList(install), check_packages.Packages(STATUS))

    def test_every_header_of_a_set_that_is_whole_passes(self) -> None:
        used = check_packages.headers(DEPS)
        self.assertEqual(used["/usr/include/date/date.h"], "src/base/clock.cc")
        self.assertEqual(self.check(INSTALL).build(used, FakeOwners()), [])

    def test_the_list_without_the_date_header_is_found(self) -> None:
        before = INSTALL.replace("libhowardhinnant-date-dev", "")
        self.assertEqual(self.check(before).build(check_packages.headers(DEPS), FakeOwners()), [
            "src/base/clock.cc: uses /usr/include/date/date.h and 1 more of package libhowardhinnant-date-dev, "
            "which set build of tools/install.sh lacks"])

    def test_the_real_list_names_the_date_header(self) -> None:
        real = check_packages.InstallList((check_packages.ROOT / "tools/install.sh").read_text())
        self.assertIn("libhowardhinnant-date-dev", real.packages["build"])
        self.assertEqual(real.commands["build"]["ninja"], "ninja-build")

    def test_files_of_no_package_and_libraries_are_found(self) -> None:
        used = {"/opt/x/libx.so": "bin/mesclun", "/usr/local/bin/ninja": "CMakeCache.txt"}
        self.assertEqual(self.check(INSTALL).build(used, FakeOwners()), [
            "bin/mesclun: uses /opt/x/libx.so of no package, which set build of tools/install.sh lacks"])
        commands = ": && /bin/sh -fuse-ld=lld a.cc.o -o bin/x -lnone -l:sh /bin/none.a && :"
        self.assertEqual(check_packages.command_files(commands, ["/bin"]), {"/bin/sh": "bin/x", "-lnone": "bin/x"})

    def test_dependencies_are_followed_and_recommendations_are_not(self) -> None:
        packages = check_packages.Packages(STATUS)
        self.assertEqual(packages.closure(["clang-19"]), {"clang-19", "libstdc++-12-dev", "libc6-dev", "tcc"})
        self.assertEqual(packages.required, ["coreutils"])

    def test_owners_are_read_as_dpkg_says_them(self) -> None:
        said = ("diversion by dash from: /bin/sh\ndiversion by dash to: /bin/sh.distrib\ndash: /bin/sh\n"
                "libc6:amd64, libc6:i386: /usr/share/doc/libc6\nlibstdc++6:amd64: /usr/lib/libstdc++.so.6\n")
        self.assertEqual(check_packages.Owners.parse(said), {
            "/bin/sh": "dash", "/usr/share/doc/libc6": "libc6", "/usr/lib/libstdc++.so.6": "libstdc++6"})
        self.assertIn("/bin/cat", check_packages.Owners.names("/usr/bin/cat"))
        self.assertIn("/usr/include/c++/12/map", check_packages.Owners.names("/usr/bin/../include/c++/12/map"))

    def test_programs_are_held_to_the_sets_of_their_file(self) -> None:
        check = self.check(INSTALL)
        owners = FakeOwners()
        self.assertEqual(check.program("src/a.cc", "/usr/sbin/nft", False, owners), [])
        self.assertEqual(check.program("src/a_test.cc", "ip", False, owners), [])
        self.assertEqual(check.program("e2e/test_a.py", "nvidia-smi", True, owners), [])
        self.assertEqual(check.program("e2e/test_a.py", "cat", True, owners), [])
        self.assertEqual(check.program("e2e/test_a.py", "GET", False, owners), [])
        self.assertEqual(check.program("src/a.cc", "ip", False, owners),
                         ["src/a.cc: runs ip of package iproute2, which sets build demo of tools/install.sh lack"])
        self.assertEqual(check.program("tools/build.sh", "nft", True, owners),
                         ["tools/build.sh: runs nft of package nftables, which set build of tools/install.sh lacks"])
        self.assertEqual(check.program("tools/install.sh", "no-such-program", True, owners),
                         ["tools/install.sh: runs no-such-program, which no set names and which is not installed"])
        # Of a package of the set demo, perhaps, which is not installed here.
        self.assertEqual(check.program("demo/run.py", "no-such-program", True, owners), [])

    def test_programs_are_found_where_commands_begin(self) -> None:
        python = 'a = ["convert", x]\nsubprocess.run(["wrk", "-t1"])\nshutil.which("node")\nf("GET", [1])\n'
        self.assertEqual(check_packages.programs("demo/a.py", python),
                         {("convert", False), ("wrk", True), ("node", True)})
        cpp = """
            for (const char* p : {"/usr/sbin/nft"}) {} std::system("ip link"); t.spec({"python3", "-c"});
            driver.exec(id, {"/bin/sh", "-c"}); std::vector<std::string> query{"nvidia-smi", x};
            R"({"command": ["tesseract", "x"]})"; log("text", {{"name", x}});
        """
        self.assertEqual({word for word, _ in check_packages.programs("src/a.cc", cpp)},
                         {"/usr/sbin/nft", "ip", "python3", "/bin/sh", "nvidia-smi", "tesseract"})

    def test_commands_of_shell_scripts_are_found(self) -> None:
        script = r"""#!/usr/bin/env bash
            declare -A sets=([a]="apple pear")   # not a command: fig
            helper() { mount "$1" && umount /x; }
            case $1 in --keep | all) tar -x ;; *) gzip "$(stat -c %s a)" ;; esac
            if ! [[ $x == lime || -z ${y:-$(id -u)} ]]; then nice -n 5 env A=b ninja -C x; fi
            for name in one two; do git ls-files | xargs -r clang-format-19 -i >>"$log" 2>&1; done
            ((n > 0)) || echo "words; in quotes $((n + 1))" ; A=1 B=2 unshare --mount bash -c 'cat x'
            cat <<END
            plum
END
            readarray -t list < <(sort -u file); helper; "$tool" x; ./own.sh
        """
        self.assertEqual(shell_commands.of_script(script), {
            "mount", "umount", "tar", "gzip", "stat", "id", "nice", "env", "ninja", "git", "xargs", "clang-format-19",
            "unshare", "bash", "cat", "sort"})
        make = "SOURCES = git ls-files\nall: x\n\t@tools/x.sh\n\t@$(SOURCES) | xargs -r wc $$x\nB = $(shell grep -l x y)\n"
        self.assertEqual(shell_commands.of_makefile(make), {"git", "xargs", "wc", "grep"})


if __name__ == "__main__":
    unittest.main()
