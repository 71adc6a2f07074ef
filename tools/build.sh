#!/usr/bin/env bash
# tools/build.sh PRESET TARGET...   configures if need be, then builds; quiet unless something is built or fails.
set -euo pipefail
cd "$(dirname "$0")/.."
preset=$1
shift
mkdir -p build
if [[ ! -f build/$preset/build.ninja ]]; then
  cmake --preset "$preset" >build/configure.log 2>&1 || {
    cat build/configure.log >&2
    exit 1
  }
fi
cmake --build --preset "$preset" --target "$@"
