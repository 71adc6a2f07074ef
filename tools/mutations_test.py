"""The deliberate bugs of mutations.py still fit the sources; nothing is built here."""

from __future__ import annotations

import pathlib
import sys
import unittest

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parent))

import mutations  # noqa: E402


class Mutations(unittest.TestCase):
    def test_each_text_is_there_once(self) -> None:
        changed = mutations.mutated_sources()
        for mutation in mutations.MUTATIONS:
            for edit in mutation.edits:
                self.assertIn(f'mesclun_mutated("{mutation.name}")', changed[edit.file])

    def test_each_bug_is_behind_its_switch(self) -> None:
        names = [mutation.name for mutation in mutations.MUTATIONS]
        self.assertEqual(len(names), len(set(names)))
        for mutation in mutations.MUTATIONS:
            for edit in mutation.edits:
                self.assertIn("MUTATED", edit.replace, mutation.name)
                self.assertNotIn("MUTATED", edit.find, mutation.name)

    def test_a_text_that_is_gone_or_doubled_is_named(self) -> None:
        for find in ("no such text", "return"):
            edit = mutations.Edit("src/cloud/fleet_groups.cc", find, "MUTATED")
            with self.assertRaisesRegex(mutations.Drifted, "stale: src/cloud/fleet_groups.cc"):
                mutations.mutated_sources((mutations.Mutation("stale", "", (edit,)),))


if __name__ == "__main__":
    unittest.main()
