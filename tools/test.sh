#!/usr/bin/env bash
# All tests, from the cheapest to the dearest; stops at the first that fails. Called by `make test` and .ci/run.
#
#   tools/test.sh           everything
#   tools/test.sh PATTERN   a part: ctest tests by name (-R), else GoogleTest cases by name, and pytest tests (-k)
set -euo pipefail
cd "$(dirname "$0")/.."
only=${1:-}

# Threads are used below the loops only: here ThreadSanitizer has something to find.
tsan_modules=(base store)

step() { printf '\n== %s (%d s so far)\n' "$1" "$SECONDS"; }

has_module() { grep -qs "add_subdirectory($1)" src/CMakeLists.txt; }

python_tests() {
  build/venv/bin/python -m pytest -q -p no:cacheprovider "$@"
}

mkdir -p build
step "environment of the Python and JavaScript tests"
tools/e2e_env.sh

if [[ -z $only ]]; then
  step "folder table, banned calls"
  tools/check_includes.py
  tools/check_sources.py
  python_tests tools
fi

step "build with ASan and UBSan"
tools/build.sh dev all

if [[ -n $only ]]; then
  step "tests that match '$only'"
  ran=0
  if [[ $(ctest --preset dev -N -R "$only" | tail -n 1) != "Total Tests: 0" ]]; then
    ctest --preset dev -j 2 -R "$only"
    ran=1
  else
    for program in build/dev/bin/*_test; do
      [[ $program == *_link_test ]] && continue
      if "$program" --gtest_list_tests --gtest_filter="*$only*" | grep -q '^  '; then
        "$program" --gtest_filter="*$only*"
        ran=1
      fi
    done
  fi
  # One run each: their helper modules share names.
  for folder in tools demo e2e; do
    status=0
    python_tests "$folder" -k "$only" || status=$?
    ((status == 5)) && continue # pytest found none
    ((status == 0)) || exit "$status"
    ran=1
  done
  ((ran == 1)) || {
    echo "no test matches '$only'" >&2
    exit 1
  }
  exit 0
fi

step "unit tests, simulator"
ctest --preset dev -j 2 --no-tests=error

# About 20 s on two idle cores. Rates as of the long sweeps in docs/simulator.md.
step "simulator: a short sweep"
build/dev/bin/mesclun sim --seeds 1..8 --nodes 10 --hours 2 --heal-hours 1.5 \
  --churn 60 --session-resets 0.005 --store-failures 0.02 --cloud-restarts 3

tsan_targets=()
for module in "${tsan_modules[@]}"; do
  has_module "$module" && tsan_targets+=("$module")
done
step "threads under TSan: ${tsan_targets[*]}"
tools/build.sh tsan "${tsan_targets[@]/%/_test}"
ctest --preset tsan -j 2 --no-tests=error -R "^($(IFS='|'; echo "${tsan_targets[*]}"))\$"

step "the companion as one static file"
tools/build.sh release mesclun-app

step "packages: nothing is used that tools/install.sh does not install"
tools/check_packages.py build/dev build/release

step "demo's parts"
python_tests demo

# These mostly wait, for probes and graces: three files at a time keep two cores busy.
step "end to end: real processes, official SDKs"
python_tests e2e -n 3 --dist loadfile
step "all passed"
