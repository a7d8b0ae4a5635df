#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
# symbols.sh DIRECTORY [--write] LIBRARY...: no library has lost a function that packaging/symbols says it has: programs that were linked
# with it would not start any more: that is a new soname. New functions are fine, and added to the list with --write.
set -euo pipefail
directory=$1
shift
write=
[ "$1" = --write ] && { write=1; shift; }
wrong=0

symbols_of() {
  case $1 in *.a) nm -g --defined-only "$1" ;; *) nm -gD --defined-only "$1" ;; esac 2>/dev/null |
    awk 'NF == 3 && $2 ~ /[TDBR]/ { print $3 }' | grep -E '^(tercet|crpc)_' | sort -u
}

for library in "$@"; do
  name=$(basename "$library")
  list=$directory/${name%%.*}
  now=$(symbols_of "$library")
  [ -n "$now" ] || { echo "$name has no functions at all"; exit 1; }
  [ -z "$write" ] || { printf '%s\n' "$now" >"$list"; continue; }
  [ -e "$list" ] || { echo "there is no $list: tests/packaging/symbols.sh $directory --write $library"; wrong=1; continue; }
  lost=$(comm -23 "$list" <(printf '%s\n' "$now"))
  [ -z "$lost" ] || { echo "$name has lost: $lost"; wrong=1; }
  new=$(comm -13 "$list" <(printf '%s\n' "$now"))
  [ -z "$new" ] || echo "$name has these besides; --write puts them into $list:" $new
done
[ "$wrong" -ne 0 ] || echo "$# libraries have what they had"
exit "$wrong"
