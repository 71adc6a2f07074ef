"""Tests of check_includes.py and check_sources.py: each rule lets the good through and catches the bad."""

from __future__ import annotations

import pathlib
import sys
import tempfile
import unittest

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parent))

import check_includes  # noqa: E402
import check_sources  # noqa: E402

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
        self.check_one("DEPS has cloud", {"link/CMakeLists.txt": "mesclun_module(NAME link DEPS base cloud TEST_DEPS cloud)"})
        self.check_one("link may not include cloud", {"link/b.cc": '#include "cloud/a.h"\n'})
        self.check_one("src/new: has no row", {"new/a.cc": "\n"})
        self.check_one("src/main.cc: longer", {"main.cc": "\n" * 200})
        self.check_one("no row above it", {"README.md": README.replace("| base |", "| base cloud |")})


class Sources(unittest.TestCase):
    def test_clean_code_passes(self) -> None:
        code = """
        // std::chrono::steady_clock::now() in a comment, rand() too
        auto a = clock.now(); co_await clock.sleep_for(1s); x.time(); int64_t time(int); operand(1); my_rand(2);
        log("time(nullptr) sleep(1)"); auto s = R"(getrandom detached)"; char c = '"'; Scope scope; when.time(0);
        """
        self.assertEqual(check_sources.check_cpp("src/cloud/a.cc", code), [])

    def test_each_ban_is_found_on_its_line(self) -> None:
        for code in ("std::chrono::system_clock::now()", "steady_clock :: now()", "clock_gettime(CLOCK_REALTIME, &t)",
                     "std::time(nullptr)", "time( 0 )", "gettimeofday(&t, nullptr)", "timer.expires_after(1s)",
                     "std::random_device d;", "rand()", "std::rand()", "srand (1)", "getrandom(p, 1, 0)",
                     "RAND_bytes(p, 1)", "boost::uuids::random_generator g;", "std::this_thread::sleep_for(1s)",
                     "usleep(1)", "sleep(1)", "::nanosleep(&t, 0)", "co_spawn(ex, f(), asio::detached)"):
            problems = check_sources.check_cpp("src/cloud/a.cc", f'"text" /* two\nlines */\n{code};\n')
            self.assertEqual(len(problems), 1, code)
            self.assertTrue(problems[0].startswith("src/cloud/a.cc:3: "), problems)

    def test_allowed_files_may_do_only_what_they_are_allowed(self) -> None:
        self.assertEqual(check_sources.check_cpp("src/base/real_clock.cc", "steady_clock::now()"), [])
        self.assertEqual(len(check_sources.check_cpp("src/base/real_clock.cc", "rand()")), 1)

    def test_machine_paths_are_found(self) -> None:
        for text in ("cd /root/x", '"/home/me/y"', "at /work/z"):
            self.assertEqual(len(check_sources.check_paths("docs/a.md", text)), 1, text)
        for text in ("~/.config/mesclun", "/organizations/home/", "build/work/x", "https://a.b/work/x", "$HOME/work/"):
            self.assertEqual(check_sources.check_paths("docs/a.md", text), [], text)


if __name__ == "__main__":
    unittest.main()
