#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
# comma.sh PROGRAM [ARGUMENT...]: runs it in a locale that writes 1,5 for one and a half. None needs to be installed: one is made.
set -uo pipefail
dir=$(mktemp -d); trap 'rm -rf "$dir"' EXIT
cat >"$dir/source" <<'END'
LC_NUMERIC
decimal_point ","
thousands_sep "."
grouping 3;3
END LC_NUMERIC
END
localedef -c -i "$dir/source" -f ANSI_X3.4-1968 "$dir/comma" >"$dir/said" 2>&1 # 1: there are warnings, for what it does not say
[ -e "$dir/comma/LC_NUMERIC" ] || { cat "$dir/said"; echo "skipped: no locale can be made"; exit 77; }
LOCPATH=$dir TERCET_TEST_LOCALE=comma "$@"
