#!/usr/bin/env python3
"""Deliberate bugs, each of which the simulator must find: what its checkers are worth.

    tools/mutations.py                  all of them
    tools/mutations.py --list           their names
    tools/mutations.py NAME...          some
    tools/mutations.py --seeds 20       fewer seeds each

The sources are copied to build/mutations/source, with every bug in them, each behind a switch that the environment
variable MESCLUN_MUTATION turns on; so one build (build/mutations/build, optimised, incremental) serves all. Without a
bug the sweep must pass; with each it must end with a violation. Prints a table: bug, seed that caught it, violation.
Exits with 1 if one survives, with 2 if a text that a bug replaces is gone from the sources or is there more than once:
then the bug is to be written anew.
"""

from __future__ import annotations

import argparse
import dataclasses
import json
import os
import pathlib
import re
import subprocess
import sys

ROOT = pathlib.Path(__file__).resolve().parent.parent
WORK = ROOT / "build" / "mutations"

# Worse rates than any that should be met, on a fleet that is soon through a day's worth of trouble.
FLEET = ("--nodes 10 --hours 3 --heal-hours 1.5 --churn 60 --session-resets 0.005 --store-failures 0.02 "
         "--cloud-restarts 3")

HEADER = """#pragma once
#include <cstdlib>
#include <string_view>
inline bool mesclun_mutated(std::string_view name) {
  static const char* const chosen = std::getenv("MESCLUN_MUTATION");
  return chosen != nullptr && name == chosen;
}
"""


@dataclasses.dataclass(frozen=True)
class Edit:
    """`find` stands in the file once; where the bug is on, `MUTATED` in `replace` is true."""

    file: str
    find: str
    replace: str


@dataclasses.dataclass(frozen=True)
class Mutation:
    name: str
    what: str
    edits: tuple[Edit, ...]
    fleet: str = FLEET


def bug(name: str, what: str, *edits: tuple[str, str, str], fleet: str = FLEET) -> Mutation:
    return Mutation(name, what, tuple(Edit("src/" + file, find, replace) for file, find, replace in edits), fleet)


MUTATIONS: tuple[Mutation, ...] = (
    bug("exclusion-forgotten", "an exclusion is not stored, so a restart forgets it",
        ("cloud/exclusion_table.cc", "  marks_.exclusions.push_back(exclusion);",
         "  if (!MUTATED) marks_.exclusions.push_back(exclusion);")),
    bug("reallocate-without-exclusion", "a reallocation by a user does not exclude the machine",
        ("cloud/fleet_groups.cc",
         '  exclude(fleet, *allocation, fleet.settings.exclusion, false, "reallocated by a user", now);',
         '  if (!MUTATED) {\n'
         '    exclude(fleet, *allocation, fleet.settings.exclusion, false, "reallocated by a user", now);\n'
         '  }')),
    bug("grace-halved", "a machine counts as lost after half of the grace",
        ("cloud/node_table.cc", "heard_.front()->live.last_heard + grace_;",
         "heard_.front()->live.last_heard + (MUTATED ? grace_ / 2 : grace_);"),
        ("cloud/node_table.cc", "if (node->live.last_heard + grace_ > now",
         "if (node->live.last_heard + (MUTATED ? grace_ / 2 : grace_) > now")),
    bug("grace-zero", "a machine counts as lost as soon as its session ends",
        ("cloud/fleet_nodes.cc", "    node.live.session = 0;\n    node.live.reported = false;\n"
         "    node.last_heard_time = to_unix_nanos(now.wall);\n",
         "    node.live.session = 0;\n    node.live.reported = false;\n"
         "    if (MUTATED) node.live.last_heard -= 1min;\n"
         "    node.last_heard_time = to_unix_nanos(now.wall);\n")),
    bug("late-return-kept-twice", "a copy that returns late runs on beside its replacement",
        ("cloud/fleet_nodes.cc",
         "    fleet.allocations.erase(returned.id);  // the node stops what it is no longer told to run\n",
         "    if (MUTATED) return;\n"
         "    fleet.allocations.erase(returned.id);  // the node stops what it is no longer told to run\n")),
    bug("wrong-copy-kept", "a copy that returns late is kept though its replacement serves",
        ("cloud/fleet_nodes.cc", "|| current->serves() || current->done()) {",
         "|| (!MUTATED && current->serves()) || current->done()) {"),
        ("cloud/fleet_nodes.cc", "    forget_lost(fleet, allocation.slot);\n",
         "    if (!MUTATED) forget_lost(fleet, allocation.slot);\n")),
    bug("answer-before-commit", "a command is answered before its commit",
        ("cloud/fleet_loop.cc", "  const Result<> stored = co_await commit(changes);",
         "  if (MUTATED) {\n"
         "    for (const auto& pending : taken) {\n"
         "      pending->answered = true;\n"
         "      pending->changed.notify_all();\n"
         "    }\n"
         "    co_await asio::post(arrived_.executor(), asio::use_awaitable);\n"
         "  }\n"
         "  const Result<> stored = co_await commit(changes);")),
    bug("quota-not-given-back", "a deleted group's replicas count against the quota for ever",
        ("cloud/group_table.cc", "  used->second += more;", "  if (!MUTATED || more > 0) used->second += more;")),
    bug("freed-room-not-seen", "what a replica leaves free is not offered anew",
        ("cloud/allocation_table.cc",
         "    marks_.offers.insert(gone.node_id);\n    drop(by_node_, gone.node_id, gone.id);",
         "    if (!MUTATED) marks_.offers.insert(gone.node_id);\n    drop(by_node_, gone.node_id, gone.id);")),
    bug("end-of-exclusion-not-seen", "a group that waits does not hear of an exclusion's end",
        ("cloud/exclusion_table.cc",
         "    by_group_.erase({group_id, node_id});\n    marks_.offers.insert(node_id);",
         "    by_group_.erase({group_id, node_id});\n    if (!MUTATED) marks_.offers.insert(node_id);")),
    bug("rule-country", "countries are no rule",
        ("cloud/offer_book.cc", "      if (!countries.empty() && ",
         "      if (!MUTATED && !countries.empty() && "),
        ("cloud/placement_planner.cc", "  return request.country_codes.empty() ||\n",
         "  return MUTATED || request.country_codes.empty() ||\n")),
    bug("rule-gpu-class", "any GPU is of the wanted class",
        ("cloud/placement_planner.cc", "  return std::ranges::find(classes, class_id) != classes.end();",
         "  return MUTATED || std::ranges::find(classes, class_id) != classes.end();"),
        ("cloud/offer_book.cc", "    if (std::ranges::find(wanted, classes[i]) != wanted.end()) {",
         "    if ((MUTATED && !wanted.empty()) || std::ranges::find(wanted, classes[i]) != wanted.end()) {")),
    bug("rule-gpu-number", "a GPU is had by several at once",
        ("cloud/fleet_placement.cc", "      card.holder = id;\n      if (!fleet.marks.placed",
         "      if (MUTATED) continue;\n      card.holder = id;\n      if (!fleet.marks.placed")),
    bug("rule-cores", "cores are no rule",
        ("cloud/placement_planner.cc", "  return share.cpu <= limit.cpu && ",
         "  return (MUTATED || share.cpu <= limit.cpu) && ")),
    bug("rule-memory", "memory is no rule",
        ("cloud/placement_planner.cc", " share.memory_mb <= limit.memory_mb &&",
         " (MUTATED || share.memory_mb <= limit.memory_mb) &&")),
    bug("rule-storage", "storage is no rule",
        ("cloud/placement_planner.cc", "         share.storage_mb <= limit.storage_mb;",
         "         (MUTATED || share.storage_mb <= limit.storage_mb);")),
    bug("rule-priority", "priorities are no rule",
        ("cloud/fleet_placement.cc",
         "    queue_.insert({.priority = api::effective_priority(fleet_.groups.at(group_id).spec),",
         "    queue_.insert({.priority = MUTATED ? api::Priority::Batch\n"
         "                                       : api::effective_priority(fleet_.groups.at(group_id).spec),")),
    bug("rule-exclusion", "exclusions are no rule",
        ("cloud/exclusion_table.cc", "  return found != by_group_.end() && found->second.until > now;",
         "  return !MUTATED && found != by_group_.end() && found->second.until > now;")),
    bug("rule-one-per-machine", "a machine may have several instances of a group",
        ("cloud/placement_planner.cc", "  if (offer.groups.contains(request.group_id)) return Fit::Taken;",
         "  if (!MUTATED && offer.groups.contains(request.group_id)) return Fit::Taken;")),
    bug("event-lost", "one event of a report is taken as had and not kept",
        ("cloud/fleet_nodes.cc", "    acknowledged = told.sequence;\n",
         "    acknowledged = told.sequence;\n    if (MUTATED && told.sequence % 5 == 0) continue;\n")),
    bug("event-doubled", "an event that is said again is kept again",
        ("cloud/fleet_nodes.cc", "    if (told.sequence <= acknowledged) continue;\n",
         "    if (!MUTATED && told.sequence <= acknowledged) continue;\n")),
    bug("unready-route", "gateways are told that what does not serve is ready",
        ("cloud/fleet_views.cc", ".ready = allocation.serves(),", ".ready = MUTATED || allocation.serves(),")),
    bug("deletion-cost-ignored", "scaling down does not look at deletion costs",
        ("cloud/fleet_reconcile.cc", "running ? a->deletion_cost() : 0,",
         "running && !MUTATED ? a->deletion_cost() : 0,")),
    bug("stall-is-silence", "the time in which the cloud stood still counts as silence of the machines",
        ("cloud/listening_clock.h", "    const bool stalled = gap > 2 * period_;",
         "    const bool stalled = !MUTATED && gap > 2 * period_;")),
    bug("sought-by-other-needs", "what waits with an older version is sought a machine by the needs of the newest",
        ("cloud/fleet_update.cc", "    if (step.sought_otherwise || (", "    if ((!MUTATED && step.sought_otherwise) || (")),
    bug("succeeded-job-again", "a replica that succeeded is made anew",
        ("cloud/fleet_nodes.cc", "  return allocation.counts() &&\n",
         "  return !MUTATED && allocation.counts() &&\n")),
)


class Drifted(Exception):
    """A text that a mutation replaces is not there once."""


def mutated_sources(mutations: tuple[Mutation, ...] = MUTATIONS) -> dict[str, str]:
    """The files that differ, by path, with every mutation in them."""
    texts: dict[str, str] = {}
    for mutation in mutations:
        for edit in mutation.edits:
            # In the source as it is: no mutation may stand in another's way.
            original = (ROOT / edit.file).read_text()
            count = original.count(edit.find)
            text = texts.get(edit.file, '#include "mutated.h"\n' + original)
            if count != 1 or text.count(edit.find) != 1:
                raise Drifted(f"{mutation.name}: {edit.file} has {count} times what is to be replaced:\n{edit.find}")
            switch = f'mesclun_mutated("{mutation.name}")'
            texts[edit.file] = text.replace(edit.find, edit.replace.replace("MUTATED", switch))
    return texts


def copy_sources(to: pathlib.Path) -> None:
    """Writes only what differs, so that the build stays incremental."""
    changed = mutated_sources()
    changed["src/mutated.h"] = HEADER
    command = ["git", "ls-files", "--cached", "--others", "--exclude-standard", "--",
               "CMakeLists.txt", "CMakePresets.json", "cmake", "src"]
    listed = subprocess.run(command, cwd=ROOT, check=True, capture_output=True, text=True).stdout.split("\n")
    wanted = {file for file in listed if file and (ROOT / file).is_file()} | changed.keys()
    for file in sorted(wanted):
        content = changed[file].encode() if file in changed else (ROOT / file).read_bytes()
        path = to / file
        if path.is_file() and path.read_bytes() == content:
            continue
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(content)
    for path in (to / "src").rglob("*"):
        if path.is_file() and str(path.relative_to(to)) not in wanted:
            path.unlink()


def build(jobs: int) -> pathlib.Path:
    source, binary = WORK / "source", WORK / "build"
    copy_sources(source)
    if not (binary / "build.ninja").is_file():
        subprocess.run(["cmake", "--preset", "release", "-S", str(source), "-B", str(binary)], cwd=source, check=True,
                       stdout=subprocess.DEVNULL)
    subprocess.run(["cmake", "--build", str(binary), "--target", "mesclun", "-j", str(jobs)], check=True)
    return binary / "bin" / "mesclun"


def sweep(program: pathlib.Path, fleet: str, seeds: int, jobs: int, mutation: str = "") -> dict:
    command = [str(program), "sim", "--seeds", f"1..{seeds}", *fleet.split(), "--jobs", str(jobs), "-o", "json"]
    environment = {**os.environ, "MESCLUN_MUTATION": mutation}
    ran = subprocess.run(command, env=environment, capture_output=True, text=True, check=False)
    try:
        return json.loads(ran.stdout)
    except ValueError:
        sys.exit(f"mutations: {' '.join(command)}\nended with {ran.returncode}: {ran.stderr.strip()[-2000:]}")


def row(mutation: Mutation, seed: str, violation: str) -> str:
    without_time = re.sub(r"^\S+Z?: ", "", violation)
    short = re.sub(r"\b([0-9a-f]{8})-[0-9a-f]{4}-[0-9a-f-]{22}\b", r"\1…", without_time)
    return f"| {mutation.what} | {seed} | {short} |"


def main() -> int:
    cores = len(os.sched_getaffinity(0))
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("names", nargs="*", metavar="NAME", help="bugs to try; all without")
    parser.add_argument("--list", action="store_true", help="print the bugs and end")
    parser.add_argument("--seeds", type=int, default=100, help="seeds each, at most (100)")
    parser.add_argument("--jobs", type=int, default=cores, help=f"processes at once ({cores})")
    options = parser.parse_args()
    if options.list:
        for mutation in MUTATIONS:
            print(f"{mutation.name:30} {mutation.what}")
        return 0
    known = {mutation.name: mutation for mutation in MUTATIONS}
    unknown = [name for name in options.names if name not in known]
    if unknown:
        parser.error(f"no such bug: {', '.join(unknown)}; see --list")
    chosen = [known[name] for name in options.names] or list(MUTATIONS)
    try:
        program = build(options.jobs)
    except Drifted as error:
        print(f"mutations: {error}", file=sys.stderr)
        return 2

    for fleet in sorted({mutation.fleet for mutation in chosen}):
        good = sweep(program, fleet, options.seeds, options.jobs)
        if "failed_seed" in good:
            print(f"without a bug seed {good['failed_seed']} fails too, so nothing is shown:", file=sys.stderr)
            for violation in good["violations"][:5]:
                print(f"  {violation}", file=sys.stderr)
            print(f"  {good['replay']}", file=sys.stderr)
            return 1
    print("| bug | found by seed | as |\n|---|---|---|")
    survivors = 0
    for mutation in chosen:
        swept = sweep(program, mutation.fleet, options.seeds, options.jobs, mutation.name)
        if "failed_seed" in swept:
            print(row(mutation, str(swept["failed_seed"]), swept["violations"][0]), flush=True)
        else:
            survivors += 1
            print(row(mutation, "none", f"`{mutation.name}` survived {options.seeds} seeds"), flush=True)
    if survivors:
        print(f"{survivors} of {len(chosen)} survived", file=sys.stderr)
    return 1 if survivors else 0


if __name__ == "__main__":
    sys.exit(main())
