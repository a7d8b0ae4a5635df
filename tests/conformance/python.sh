#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
# python.sh PROGRAM SOURCE TERCETD: the sample's participant in Python passes the vectors and tercet-conformance; wrong ones are found.
set -euo pipefail
program=$1 source=$2 tercetd=$3
skip() { echo "skipped: $*"; exit 77; }
for python in python3 /usr/bin/python3 ""; do
  [ -n "$python" ] || skip "Python has no gRPC: apt-get install python3-grpcio"
  "$python" -c 'import google.protobuf, grpc' 2>/dev/null && break
done
command -v protoc >/dev/null || skip "protoc is missing: apt-get install protobuf-compiler"
command -v sqlite3 >/dev/null || skip "sqlite3 is missing"
dir=$(mktemp -d)
trap 'rm -rf "$dir"' EXIT
sample=$source/samples/participants/python
protoc -I "$source/framework/proto/tercet/v1" --python_out="$dir" tercet.proto
export PYTHONPATH=$dir:$sample PYTHONDONTWRITEBYTECODE=1

mkdir "$dir/vectors"
"$python" "$source/tests/conformance/vectors.py" "$source/framework/conformance/barrier-vectors.jsonl" "$dir/vectors"

# try_it NAME ARGUMENT...
try_it() {
  local name=$1 probe="sqlite3 -cmd '.timeout 10000' '$dir/$1.db' 'SELECT free, reserved, sold FROM stock'"
  shift
  "$program" --payload '{"amount": 3}' --refused-payload '{"amount": 9999999}' --probe "$probe" "$@"
}

try_it right -- "$python" "$sample/participant.py" '{coordinator}' "$dir/right.db" >"$dir/out" 2>&1 || { cat "$dir/out"; exit 1; }
grep -qE ' 0 failed; 0 left out' "$dir/out" || { cat "$dir/out"; echo "FAIL: not all was tried"; exit 1; }
echo "ok the participant in Python"
"$python" "$source/tests/conformance/real.py" "$tercetd" "$dir" "$python" "$sample/participant.py"

try_it narrow --only branches-at-once,same-branch-at-once,stream-lost,killed-at-work,answers \
  -- "$python" "$source/tests/conformance/wrong.py" narrow '{coordinator}' "$dir/narrow.db" >"$dir/out" 2>&1 ||
  { cat "$dir/out"; echo "FAIL: the window is not kept"; exit 1; }
echo "ok a small window"

# finds FAULT CASE...: each of the cases fails
finds() {
  local fault=$1 came=0 case
  shift
  try_it "$fault" --only "$(IFS=,; echo "$*")" \
    -- "$python" "$source/tests/conformance/wrong.py" "$fault" '{coordinator}' "$dir/$fault.db" >"$dir/out" 2>&1 || came=$?
  for case in "$@"; do
    [ "$came" = 1 ] && grep -qE "^FAIL +$case " "$dir/out" || { cat "$dir/out"; echo "FAIL $fault: status $came, or $case holds"; exit 1; }
    section=$(awk -v name="$case" -v fault="$fault" '$1 == name && $2 == fault { print $4 }' "$source/tests/conformance/faults.txt")
    grep -A 4 -E "^FAIL +$case " "$dir/out" | grep -qF "see docs/protocol.md, $section" ||
      { cat "$dir/out"; echo "FAIL $fault: $case does not name section $section"; exit 1; }
  done
  echo "ok $fault"
}

# Cases of one fault are played together.
while read -r fault cases; do
  finds "$fault" $cases
done < <(awk '$3 == "python" { cases[$2] = cases[$2] " " $1 } END { for (fault in cases) print fault cases[fault] }' \
  "$source/tests/conformance/faults.txt" | sort)
