#!/usr/bin/env bash
# Makes build/venv (pytest, the official Python SDK) and build/node (the official JavaScript SDK) as e2e/ asks for.
# Does nothing, and uses no network, while e2e/requirements.txt and e2e/package-lock.json are those of the last time.
set -euo pipefail
cd "$(dirname "$0")/.."

fresh() { # stamp file, files it stands for
  [[ -f $1 ]] && [[ $(cat "$1") == "$(cat "${@:2}" | sha256sum)" ]]
}

if ! fresh build/venv/stamp e2e/requirements.txt; then
  echo "installing Python packages for e2e/ into build/venv"
  rm -rf build/venv
  python3 -m venv build/venv
  build/venv/bin/pip install --quiet --disable-pip-version-check -r e2e/requirements.txt
  cat e2e/requirements.txt | sha256sum >build/venv/stamp
fi

lock=(e2e/package.json e2e/package-lock.json)
if [[ -f ${lock[0]} ]] && ! fresh build/node/stamp "${lock[@]}"; then
  echo "installing JavaScript packages for e2e/ into build/node"
  rm -rf build/node
  mkdir -p build/node
  cp "${lock[@]}" build/node/
  npm ci --prefix build/node --silent --no-audit --no-fund
  cat "${lock[@]}" | sha256sum >build/node/stamp
fi
