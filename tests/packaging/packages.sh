#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
# packages.sh DIRECTORY [OLDER]: the Debian packages in DIRECTORY are as Debian wants them, start a tercetd, build a participant, are
# upgraded (OLDER: packages of an earlier version; else the same ones), and go without a trace but for what is the user's.
# All of it in a directory of its own; nothing is installed on this machine. Needs fakeroot, unless it is root.
set -euo pipefail
packages=$(cd "$1" && pwd)
older=$(cd "${2:-$1}" && pwd)
[ "$(id -u)" -eq 0 ] || exec fakeroot "$0" "$@"
dir=$(mktemp -d)
pid=
trap 'test -z "$pid" || kill -KILL "$pid" 2>/dev/null || true; rm -rf "$dir"' EXIT
fail() { echo "$*"; exit 1; }
shopt -s nullglob

# -- As Debian wants them.
names=$(for deb in "$packages"/*.deb; do dpkg-deb -f "$deb" Package; done | sort)
for name in libcrpc1 libcrpc-dev libtercet1 libtercet-dev libtercet-barrier-sqlite1 libtercet-barrier-sqlite-dev tercet; do
  grep -qx "$name" <<<"$names" || fail "there is no package $name"
done
if command -v lintian >/dev/null; then
  lintian --fail-on error --allow-root --no-tag-display-limit "$packages"/*.deb >"$dir/lintian" 2>&1 ||
    { grep ^E: "$dir/lintian"; fail "lintian finds errors"; }
else
  echo "not checked: lintian is not there"
fi
for deb in "$packages"/*.deb; do
  name=$(dpkg-deb -f "$deb" Package)
  dpkg-deb -c "$deb" >"$dir/contents"
  grep -vE '^[-dl][rwx-]{9} root/root ' "$dir/contents" && fail "$name: the files above are not root's"
  grep -E '^-.{4}w|^-.{7}w' "$dir/contents" && fail "$name: the files above can be written by others"
  grep -q "usr/share/doc/$name/copyright" "$dir/contents" || fail "$name has no copyright"
done
# No file is in two packages.
twice=$(for deb in "$packages"/*.deb; do dpkg-deb --fsys-tarfile "$deb" | tar t | grep -v '/$'; done | sort | uniq -d)
[ -z "$twice" ] || fail "in two packages: $twice"
# A package that links a library of ours depends on the package that has it, of the same version.
dpkg-deb -f "$packages"/tercet_*.deb Depends | grep -qE 'libcrpc1 \(= ' || fail "tercet does not depend on libcrpc1"
dpkg-deb -f "$packages"/libtercet-dev_*.deb Depends | grep -q 'libtercet1 (= ' || fail "libtercet-dev does not depend on libtercet1"

# -- Into a root of its own, by dpkg itself. Debian's other packages are this machine's.
root=$dir/root
mkdir -p "$root/var/lib/dpkg/info" "$root/var/lib/dpkg/updates" "$root/etc"
: >"$root/var/lib/dpkg/status"
in_root() { dpkg --root="$root" --force-depends --force-script-chrootless --no-triggers --log=/dev/null "$@"; }
install_all() { # the files of the packages, as dpkg lays them down
  local debs=("$1"/*.deb)
  in_root --force-confold --install "${debs[@]}" >"$dir/log" 2>&1 || { cat "$dir/log"; fail "dpkg cannot install the packages"; }
}
install_all "$older"
grep -q '^tercet:' "$root/etc/passwd" || fail "there is no user tercet"
[ "$(stat -c %a "$root/etc/tercet")" = 750 ] || fail "others can look into /etc/tercet"
echo '# mine' >>"$root/etc/tercet/tercetd.yaml" # what the operator wrote

bin=$root/usr/bin
libdir=$(dirname "$(find "$root/usr/lib" -name 'libcrpc.so.1' | head -n 1)")
export LD_LIBRARY_PATH=$libdir
start() {
  mkfifo "$dir/ready"
  "$bin/tercetd" --config "$root/etc/tercet/tercetd.yaml" --data "$dir/store" --listen 127.0.0.1:0 >"$dir/ready" 2>"$dir/log" &
  pid=$!
  read -r _ address <"$dir/ready" || { cat "$dir/log"; fail "tercetd does not start"; }
  rm "$dir/ready"
  export TERCET_COORDINATOR=$address
}
stop() { kill -TERM "$pid"; wait "$pid" || fail "tercetd ends with $?"; pid=; }
ctl() { HOME=$dir "$bin/tercetctl" "$@"; }

start
[ "$(ctl health)" = SERVING ] || fail "tercetd does not serve"
gid=$({ ctl run --timeout 300ms nobody/serves 2>&1 || true; } | sed -n 's/.*tercetctl show //p')
ctl show "$gid" | grep -q nobody/serves || fail "there is no transaction $gid"

# -- A participant and an initiator, built of the development packages.
export PKG_CONFIG_PATH=$libdir/pkgconfig
source=$(cd "$(dirname "$0")/../.." && pwd)
if pkg-config --exists libprotobuf-c sqlite3; then
  for program in participant initiator; do
    # shellcheck disable=SC2046
    gcc "$source/samples/quickstart/$program.c" -o "$dir/$program" -Wl,--no-as-needed $(pkg-config --cflags --libs tercet tercet-barrier-sqlite sqlite3) ||
      fail "the $program of the quick start does not build"
  done
fi
zcat "$root/usr/share/man/man8/tercetd.8.gz" | grep -q 'SH OPTIONS' || fail "there is no tercetd(8)"
[ -e "$root/usr/share/man/man3/tercet_run.3.gz" ] || fail "there is no tercet_run(3)"

# -- Upgraded while it runs: what runs goes on, and the new one finds everything.
install_all "$packages"
ctl show "$gid" >/dev/null || fail "tercetd has not survived its upgrade"
stop
start
ctl show "$gid" | grep -q nobody/serves || fail "$gid is gone with the upgrade"
grep -q '^# mine$' "$root/etc/tercet/tercetd.yaml" || fail "the operator's configuration is gone with the upgrade"
stop

# -- Removed: all but the configuration; purged: that, too; never the store.
# shellcheck disable=SC2086
in_root --remove $names >"$dir/log" 2>&1 || { cat "$dir/log"; fail "dpkg cannot remove the packages"; }
left=$(find "$root/usr" "$root/lib" -type f 2>/dev/null || true)
[ -z "$left" ] || fail "left behind: $left"
[ -e "$root/etc/tercet/tercetd.yaml" ] || fail "the configuration is gone before a purge"
[ -e "$dir/store/data.mdb" ] || fail "the store is gone"
mkdir -p "$root/var/lib/tercet"
: >"$root/var/lib/tercet/data.mdb"
# shellcheck disable=SC2086
in_root --purge $names >"$dir/log" 2>&1 || { cat "$dir/log"; fail "dpkg cannot purge the packages"; }
[ ! -e "$root/etc/tercet/tercetd.yaml" ] || fail "the configuration is there after a purge"
[ -e "$root/var/lib/tercet/data.mdb" ] || fail "a purge deletes the store"
grep -q 'the store in /var/lib/tercet is kept' "$dir/log" || fail "a purge does not say that the store is kept"
echo "ok $(wc -w <<<"$names") packages"
