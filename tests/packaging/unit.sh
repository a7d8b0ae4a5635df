#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
# unit.sh UNIT SYSUSERS TERCETD: systemd understands the unit and finds it confined, and its command starts tercetd.
set -euo pipefail
unit=$1 sysusers=$2 tercetd=$3
command -v systemd-analyze >/dev/null || { echo "skipped: there is no systemd-analyze"; exit 77; }
dir=$(mktemp -d)
trap 'rm -rf "$dir"' EXIT

# The program of this build, in place of the one that will be installed.
sed -E "s|^ExecStart=[^ ]*|ExecStart=$tercetd|" "$unit" >"$dir/tercetd.service"
said=$(systemd-analyze verify --man=no "$dir/tercetd.service" 2>&1 | grep tercetd.service || true)
[ -z "$said" ] || { echo "$said"; exit 1; }
systemd-analyze security --offline=true --threshold=20 --no-pager "$dir/tercetd.service" >"$dir/security" 2>&1 ||
  { tail -n 3 "$dir/security"; echo "the unit is less confined than it was"; exit 1; }
tail -n 1 "$dir/security"

# A large store takes its time to be read: until READY=1, nothing but tercetd itself ends a start.
grep -qx 'TimeoutStartSec=infinity' "$unit" || { echo "the unit ends a start that takes long"; exit 1; }
# What the configuration file suggests can be done in the unit's file system.
backups=$(sed -n 's/^#backup-dir: //p' "$(dirname "$sysusers")/tercetd.yaml")
[ -n "$backups" ] && grep -qxE "ReadWritePaths=(.* )?-$backups" "$unit" || { echo "the unit cannot write to $backups, which tercetd.yaml suggests"; exit 1; }

mkdir -p "$dir/root/etc"
systemd-sysusers --root="$dir/root" "$sysusers" >/dev/null 2>&1
grep -q '^tercet:.*:/var/lib/tercet:' "$dir/root/etc/passwd"

# The command as systemd would start it; port 0 by the options that an operator sets.
command=$(sed -n 's/^ExecStart=//p' "$dir/tercetd.service")
export STATE_DIRECTORY=$dir/state TERCETD_OPTIONS="--listen 127.0.0.1:0"
mkfifo "$dir/out"
# shellcheck disable=SC2086
(eval exec "$command") >"$dir/out" 2>"$dir/log" &
pid=$!
read -r line <"$dir/out" || { cat "$dir/log"; exit 1; }
case $line in ready\ *) ;; *) echo "tercetd says: $line"; exit 1 ;; esac
eval "$(sed -n 's/^ExecReload=//p' "$dir/tercetd.service" | sed "s/\$MAINPID/$pid/")"
kill -TERM "$pid"
wait "$pid"
echo "ok the unit starts, reloads and stops tercetd"
