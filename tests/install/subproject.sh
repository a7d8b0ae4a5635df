#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
# subproject.sh SOURCE CC CXX: Tercet as a subfolder of another project.
set -euo pipefail
source=$1 cc=$2 cxx=$3
dir=$(mktemp -d)
trap 'rm -rf "$dir"' EXIT

cmake -S "$source/tests/install/subproject" -B "$dir/build" -G Ninja -DTERCET_SOURCE="$source" -DCMAKE_BUILD_TYPE=Release \
  -DCMAKE_C_COMPILER="$cc" -DCMAKE_CXX_COMPILER="$cxx" ${CCACHE_DIR:+-DCMAKE_C_COMPILER_LAUNCHER=ccache} >"$dir/log" 2>&1 ||
  { tail -n 30 "$dir/log"; exit 1; }
cmake --build "$dir/build" --target initiator participant >"$dir/log" 2>&1 || { tail -n 40 "$dir/log"; exit 1; }
usage=$("$dir/build/initiator" 2>&1 || true)
grep -q COORDINATOR <<<"$usage" || { echo "the initiator says: $usage"; exit 1; }
# The user's program links no store; what is installed is the user's only.
if ldd "$dir/build/initiator" | grep -E 'lmdb|sqlite'; then
  echo "an initiator needs the libraries above"
  exit 1
fi
cmake --install "$dir/build" --prefix "$dir/prefix" >/dev/null
[ "$(cd "$dir/prefix" && find . -type f)" = ./bin/initiator ] || { find "$dir/prefix" -type f; echo "more than the user's program is installed"; exit 1; }
echo "ok as a subfolder"
