#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
# go.sh PROGRAM SOURCE TERCETD CACHE: the sample's participant in Go, built with Debian's packages alone, passes tercet-conformance.
set -euo pipefail
program=$1 source=$2 tercetd=$3 cache=$4
skip() { echo "skipped: $*"; exit 77; }
packages=/usr/share/gocode
go=$(command -v /usr/bin/go || command -v go) || skip "Go is missing: apt-get install golang-go"
for needed in google.golang.org/grpc github.com/golang/protobuf github.com/mattn/go-sqlite3; do
  [ -d "$packages/src/$needed" ] || skip "$needed is missing: apt-get install golang-google-grpc-dev golang-goprotobuf-dev golang-github-mattn-go-sqlite3-dev"
done
command -v protoc >/dev/null && command -v protoc-gen-go >/dev/null || skip "protoc is missing: apt-get install protobuf-compiler golang-goprotobuf-dev"
command -v sqlite3 >/dev/null || skip "sqlite3 is missing"
dir=$(mktemp -d)
trap 'rm -rf "$dir"' EXIT
mkdir -p "$dir/src/tercet/v1" "$dir/src/participant"
protoc -I "$source/framework/proto/tercet/v1" --go_out=plugins=grpc,paths=source_relative:"$dir/src/tercet/v1" tercet.proto 2>"$dir/log" ||
  skip "this protoc-gen-go makes no gRPC by itself"
cp "$source"/samples/participants/go/*.go "$dir/src/participant"
(cd "$dir/src/participant" && GO111MODULE=off GOFLAGS='' GOPATH=$dir:$packages GOCACHE=$cache "$go" build -o "$dir/participant" .)
echo "ok it builds"

"$program" --payload '{"amount": 3}' --refused-payload '{"amount": 9999999}' \
  --probe "sqlite3 -cmd '.timeout 10000' '$dir/new.db' 'SELECT free, reserved, sold FROM stock'" \
  -- "$dir/participant" '{coordinator}' "$dir/new.db" >"$dir/out" 2>&1 || { cat "$dir/out"; exit 1; }
grep -qE ' 0 failed; 1 left out' "$dir/out" || { cat "$dir/out"; echo "FAIL: not all was tried"; exit 1; } # it does not attach
echo "ok the participant in Go"

for python in python3 /usr/bin/python3; do
  "$python" -c 'import google.protobuf, grpc' 2>/dev/null || continue
  protoc -I "$source/framework/proto/tercet/v1" --python_out="$dir" tercet.proto
  PYTHONPATH=$dir "$python" "$source/tests/conformance/real.py" "$tercetd" "$dir" "$dir/participant"
  exit
done
echo "left out: at a real coordinator, for want of python3-grpcio"
