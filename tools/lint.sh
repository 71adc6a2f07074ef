#!/usr/bin/env bash
# Format and source checks over everything, then clang-tidy (about 10 s a file) over the files named, or over those
# that differ from main.
set -euo pipefail
cd "$(dirname "$0")/.."

git ls-files '*.cc' '*.h' | xargs -r clang-format-19 --dry-run -Werror
tools/check_includes.py
tools/check_sources.py

if (($# > 0)); then
  files=("$@")
else
  base=$(git merge-base HEAD main 2>/dev/null || git rev-parse HEAD)
  readarray -t files < <(git diff --name-only --diff-filter=d "$base" -- '*.cc')
fi
((${#files[@]} > 0)) || exit 0
[[ -f build/lint/build.ninja ]] || cmake --preset lint >/dev/null
# The precompiled header must exist before clang-tidy can read the compile commands.
cmake --build --preset lint --target mesclun_base >/dev/null
printf '%s\n' "${files[@]}" | xargs -P 2 -n 1 clang-tidy-19 --quiet -p build/lint
