#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
# manual.sh SOURCE TERCETD TERCETCTL: docs/configuration.md and the manual pages have what the programs say, all of it.
set -euo pipefail
source=$1 tercetd=$2 tercetctl=$3
dir=$(mktemp -d)
trap 'rm -rf "$dir"' EXIT
fail() { echo "$*"; exit 1; }

"$source/scripts/manual" configuration "$tercetd" "$source/docs/configuration.md" --check

# Each option of the file is in the reference and in the page, with its default.
"$source/scripts/manual" man "$tercetd" 8 1.2.3 >"$dir/tercetd.8"
sed 's/\\-/-/g' "$dir/tercetd.8" >"$dir/plain"
count=0
while read -r option default; do
  grep -q "^| \`$option\` |.*$default" "$source/docs/configuration.md" || fail "docs/configuration.md lacks $option, or its default $default"
  grep -q "^.B --$option" "$dir/plain" || fail "tercetd(8) lacks --$option"
  count=$((count + 1))
done < <("$tercetd" --config none --print-config | sed -nE "s/^(# )?([a-z-]+): *('?([^ ']*)'? +# default|#.*)$/\2 \4/p")
[ "$count" -gt 25 ] || fail "only $count options were found"

"$source/scripts/manual" man "$tercetctl" 1 1.2.3 >"$dir/tercetctl.1"
sed 's/\\-/-/g' "$dir/tercetctl.1" >"$dir/plain"
for command in $("$tercetctl" --help | sed -n 's/^  \([a-z][a-z-]*\) .*/\1/p'); do
  grep -qE "^.SS $command( |\$)" "$dir/plain" || fail "tercetctl(1) lacks $command"
done
grep -q '^.B --older-than DURATION' "$dir/plain" || fail "tercetctl(1) lacks the options of commands"

# Pages that man can show, without a complaint but for style.
for header in "$source"/framework/include/tercet/*.h "$source"/rpc/include/crpc/crpc.h; do
  "$source/scripts/manual" header "$header" 1.2.3 "$dir/man3"
done
grep -q tercet_run "$dir/man3/tercet-client.3" || fail "tercet-client(3) lacks tercet_run"
[ "$(cat "$dir/man3/tercet_run.3")" = ".so man3/tercet-client.3" ] || fail "tercet_run(3) is no link"
if command -v man >/dev/null; then
  for page in "$dir"/*.[18] "$dir"/man3/tercet-client.3 "$dir"/man3/crpc.3; do
    said=$(MANROFFSEQ='' MANWIDTH=80 man --warnings -E UTF-8 -l -Tutf8 -Z "$page" 2>&1 >/dev/null | grep -v "can't break line" || true)
    [ -z "$said" ] || fail "$page: $said"
  done
fi
echo "$count options, $(find "$dir/man3" -type f | wc -l) pages of the C API"
