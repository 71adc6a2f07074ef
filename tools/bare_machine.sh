#!/usr/bin/env bash
# What a newcomer meets: `make demo` and `make test` on a Debian 12 that has nothing but `make git ca-certificates`.
# By hand before a release, as root, from a clean clone: HEAD is what is tested. Takes about an hour on two cores.
#
#   tools/bare_machine.sh [--keep | --again FOLDER] [TARGET ...]      targets of the Makefile; else: demo test
#
#   --keep           leave the folder of the bare machine (else it is removed, also after Ctrl-C)
#   --again FOLDER   the same commands in a folder that was kept, with today's HEAD over what was built there
#
# The machine is a folder made by debootstrap, entered by chroot in mount, process and host name namespaces of its own,
# with /proc, /dev and /sys as in a container without control groups. Only the network is this machine's, and what it
# takes to reach the archives: apt's sources, proxies, own certificates, settings of pip and npm. No cache is passed in.
# Output is left in build/bare_machine/TARGET.log.
set -euo pipefail
cd "$(dirname "$0")/.."

suite=bookworm
keep=
again=
targets=()
while (($# > 0)); do
  case $1 in
    --keep) keep=yes ;;
    --again) again=${2:?--again needs the folder} keep=yes && shift ;;
    -*) sed -n '2,/^set/{/^#/s/^# \{0,1\}//p}' "$0" >&2 && exit 2 ;;
    *) targets+=("$1") ;;
  esac
  shift
done
((${#targets[@]} > 0)) || targets=(demo test)

# --- inside the namespaces ------------------------------------------------------------------------------------------

# Lines "suite URI component" of Debian's own archive as apt knows it here.
archives() {
  apt-get indextargets --format '$(ORIGIN) $(RELEASE) $(REPO_URI) $(COMPONENT)' 'Identifier: Packages' |
    sed -n "s/^Debian \($suite\)/\1/p" | sort -u
}

report=()
failed=
timed() { # name, command
  local start=$SECONDS status=0
  printf '\n== bare machine: %s\n' "$1"
  "${@:2}" || status=$?
  report+=("$(printf '%-24s %-8s %5d s' "$1" "$( ((status == 0)) && echo ok || echo "exit $status")" $((SECONDS - start)))")
  ((status == 0)) || failed=yes
  return "$status"
}

bootstrap() {
  local mirror
  mirror=$(archives | awk -v suite=$suite '$1 == suite && $3 == "main" { print $2; exit }')
  [[ -n $mirror ]] || { echo "apt knows no archive of Debian $suite here; run apt-get update" >&2 && return 1; }
  debootstrap --variant=minbase "$suite" "$root" "$mirror" >"$logs/debootstrap.log" ||
    { tail -n 20 "$logs/debootstrap.log" >&2 && return 1; }
}

# As a container's: a few devices, no control groups.
mount_all() {
  mount --bind "$root" "$root"
  mount -t proc proc "$root/proc"
  mount -t sysfs -o ro sysfs "$root/sys"
  mount -t tmpfs -o mode=755 tmpfs "$root/dev"
  mkdir "$root/dev/pts" "$root/dev/shm"
  mount -t devpts -o newinstance,ptmxmode=0666,mode=620 devpts "$root/dev/pts"
  mount -t tmpfs -o mode=1777 tmpfs "$root/dev/shm"
  local name minor
  while read -r name minor; do
    mknod -m 666 "$root/dev/$name" c 1 "$minor"
  done <<<$'null 3\nzero 5\nfull 7\nrandom 8\nurandom 9'
  mknod -m 666 "$root/dev/tty" c 5 0
  ln -s pts/ptmx "$root/dev/ptmx"
  ln -s /proc/self/fd "$root/dev/fd"
  ln -s fd/0 "$root/dev/stdin"
  ln -s fd/1 "$root/dev/stdout"
  ln -s fd/2 "$root/dev/stderr"
  hostname bare
  printf '127.0.0.1 localhost bare\n::1 localhost\n' >"$root/etc/hosts"
}

pass_network() {
  cp -L /etc/resolv.conf "$root/etc/"
  archives | sed 's/^\(\S*\) \(\S*\) /deb \2 \1 /' >"$root/etc/apt/sources.list"
  apt-config dump Acquire | grep -E '^Acquire::(https?::|ftp::|Check-)' >"$root/etc/apt/apt.conf.d/00archives" || true
  local file
  for file in /etc/pip.conf ~/.pip/pip.conf ~/.config/pip/pip.conf /etc/npmrc /usr/etc/npmrc ~/.npmrc; do
    [[ -f $file ]] || continue
    local there=$root${file/#"$HOME"/"$home"}
    mkdir -p "$(dirname "$there")"
    cp "$file" "$there"
  done
  if compgen -G '/usr/local/share/ca-certificates/*.crt' >/dev/null; then
    mkdir -p "$root/usr/local/share/ca-certificates"
    cp /usr/local/share/ca-certificates/*.crt "$root/usr/local/share/ca-certificates/"
  fi
}

# Where archives are and whom to trust, never where something is kept.
network_environment() {
  env | grep -E '^(https?_proxy|HTTPS?_PROXY|no_proxy|NO_PROXY|PIP_[A-Z_]+|npm_config_[a-z_]+|NODE_EXTRA_CA_CERTS)=' |
    grep -v -E '^(PIP_FIND_LINKS|PIP_CACHE_DIR|npm_config_cache)=' || true
}

home=/root
inside() {
  local environment
  readarray -t environment < <(network_environment)
  chroot "$root" env -i HOME=$home LANG=C.UTF-8 TERM="${TERM:-dumb}" PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin \
    "${environment[@]}" bash -c "$1" </dev/null
}

clone_head() {
  local tree=$root$home/mesclun
  if [[ -d $tree/build ]]; then mv "$tree/build" "$root$home/build" || return; fi
  rm -rf "$tree" && git clone -q --depth 1 "file://$PWD" "$tree" || return
  if [[ -d $root$home/build ]]; then mv "$root$home/build" "$tree/build"; fi
}

make_target() {
  local status=0
  inside "cd ~/mesclun && make $1" 2>&1 | tee "$logs/$1.log" || status=$?
  return "$status"
}

run_inside() {
  if [[ -z $again ]]; then timed debootstrap bootstrap || return 1; fi
  mount_all
  if [[ -z $again ]]; then
    pass_network
    timed "make git ca-certificates" inside "apt-get -q update && apt-get -q -y \
      install --no-install-recommends make git ca-certificates && update-ca-certificates" >"$logs/packages.log" 2>&1 ||
      { tail -n 20 "$logs/packages.log" >&2 && return 1; }
  fi
  timed "copy of $commit" clone_head || return 1
  local target
  for target in "${targets[@]}"; do timed "make $target" make_target "$target" || true; done
}

if [[ -n ${MESCLUN_BARE_MACHINE:-} ]]; then
  root=$MESCLUN_BARE_MACHINE
  logs=$PWD/build/bare_machine
  commit=$(git rev-parse --short HEAD)
  run_inside || failed=yes
  printf '\n== bare machine: Debian %s, %d cores, %s\n' "$(cat "$root/etc/debian_version" 2>/dev/null)" "$(nproc)" "$(date -u '+%F %R')"
  printf '  %s\n' "${report[@]}"
  [[ -z $failed ]]
  exit
fi

# --- outside ----------------------------------------------------------------------------------------------------------

((EUID == 0)) || { echo "tools/bare_machine.sh needs root: it makes devices and mounts" >&2 && exit 1; }
[[ -z $(git status --porcelain) ]] || echo "warning: HEAD is what is tested; changes that are not committed are left out" >&2
tools/install.sh bare
mkdir -p build/bare_machine
root=${again:-$(mktemp -d "${TMPDIR:-/var/tmp}/mesclun-bare.XXXXXX")}
root=$(realpath "$root")
chmod 755 "$root"
child=
clean() {
  trap '' INT TERM
  # Killing unshare ends the first process in there and so all of them; their mounts go with the namespace.
  if [[ -n $child ]]; then kill -KILL "$child" 2>/dev/null && wait "$child" 2>/dev/null; fi || true
  if [[ -n $keep ]]; then
    echo "kept: $root; again: tools/bare_machine.sh --again $root"
  else
    # The last of them may still be writing.
    rm -rf --one-file-system "$root" || { sleep 2 && rm -rf --one-file-system "$root"; }
  fi
}
trap clean EXIT
trap 'exit 130' INT TERM
MESCLUN_BARE_MACHINE=$root unshare --mount --pid --uts --ipc --fork --kill-child=KILL --mount-proc \
  bash "$0" ${again:+--again "$root"} "${targets[@]}" </dev/null &
child=$!
status=0
wait "$child" || status=$?
child=
exit "$status"
