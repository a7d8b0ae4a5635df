#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
# Every entry of scripts/build-matrix gets its turn, whether it is drawn from each hour, each day or each week.
set -euo pipefail
matrix=$1/scripts/build-matrix

entries=$("$matrix" --list | sort)
for pause in 3600 86400 604800; do
  drawn=$(for run in $(seq $(wc -w <<<"$entries")); do "$matrix" --turn 2 $((1700000000 + run * pause)); done | sort -u)
  [ "$drawn" = "$entries" ] || { echo "with a run each $pause s only these come up:" $drawn; exit 1; }
done
