#!/usr/bin/env bash
# Installs what a set of tasks needs on Debian 12, from Debian's own archive, and only what is missing:
#
#   tools/install.sh build|demo|test|bench|format|lint|fuzz|bare ...
#
# Runs apt-get as root or through sudo. Uses no network when nothing is missing.
set -euo pipefail

# One word per need: a Debian package, or package=command where another source of the command will do as well.
declare -A sets=(
  [build]="clang-19 lld-19 libclang-rt-19-dev llvm-19 ccache ninja-build=ninja cmake=cmake
           libboost1.81-dev libspdlog-dev libfmt-dev libcli11-dev libyaml-cpp-dev libssl-dev libsqlite3-dev libnghttp2-dev
           libhowardhinnant-date-dev
           libgtest-dev libgmock-dev libbenchmark-dev"
  [demo]="python3=python3 tesseract-ocr tesseract-ocr-eng imagemagick fonts-dejavu-core curl=curl
          nftables=nft"
  [test]="git=git python3=python3 python3-venv python3-pip nodejs=node npm=npm iproute2=ip nftables=nft
          tmux=tmux docker.io=dockerd docker-registry busybox-static nghttp2-client=h2load golang-go=go"
  [bench]="python3=python3 wrk=wrk haproxy nginx-light=nginx
          docker.io=dockerd busybox-static"
  [format]="clang-format-19"
  [lint]="clang-tidy-19"
  [fuzz]="libfuzzer-19-dev"
  [bare]="debootstrap=debootstrap"
)

usage() {
  echo "usage: tools/install.sh SET ...   sets: ${!sets[*]}" >&2
  exit 2
}

installed() {  # package or package=command
  local package=${1%%=*} command=${1#*=}
  if [[ $1 == *=* ]] && PATH="$PATH:/usr/sbin:/sbin" command -v "$command" >/dev/null; then return 0; fi
  [[ $(dpkg-query -W -f '${db:Status-Status}' "$package" 2>/dev/null) == installed ]]
}

(($# > 0)) || usage
missing=()
for set in "$@"; do
  [[ -n ${sets[$set]:-} ]] || usage
  for need in ${sets[$set]}; do
    installed "$need" || missing+=("${need%%=*}")
  done
done
((${#missing[@]} > 0)) || exit 0
readarray -t missing < <(printf '%s\n' "${missing[@]}" | sort -u)

if ! command -v apt-get >/dev/null; then
  echo "These packages of Debian 12 are missing, and there is no apt-get here to install them: ${missing[*]}" >&2
  exit 1
fi
as_root=()
if ((EUID != 0)); then
  command -v sudo >/dev/null || {
    echo "Missing: ${missing[*]}. Install them as root: apt-get install --no-install-recommends ${missing[*]}" >&2
    exit 1
  }
  as_root=(sudo)
fi

echo "installing, which may take some minutes: ${missing[*]}"
log=$(mktemp)
trap 'rm -f "$log"' EXIT
apt() {
  "${as_root[@]}" env DEBIAN_FRONTEND=noninteractive apt-get -q -o Dpkg::Use-Pty=0 "$@" >>"$log" 2>&1
}
# The list of packages may be absent (a bare image) or old: then the first try fails and one update helps.
if ! apt install -y --no-install-recommends "${missing[@]}"; then
  if ! { apt update && apt install -y --no-install-recommends "${missing[@]}"; }; then
    tail -n 20 "$log" >&2
    echo "apt-get could not install: ${missing[*]}" >&2
    exit 1
  fi
fi
