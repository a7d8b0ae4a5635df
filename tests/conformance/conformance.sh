#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
# conformance.sh PROGRAM PARTICIPANT: tercet-conformance finds nothing in a participant that is right, whichever way it is
# called, and in each that is wrong the case that is about it.
set -euo pipefail
program=$1 participant=$2
command -v sqlite3 >/dev/null || { echo "skipped: sqlite3 is missing"; exit 77; }
dir=$(mktemp -d)
trap '[ ! -e "$dir/pid" ] || kill -9 "$(cat "$dir/pid")" 2>/dev/null || true; rm -rf "$dir"' EXIT

# judge NAME WANTED-STATUS WANTED-TEXT COMMAND...
judge() {
  local name=$1 status=$2 text=$3 came=0
  shift 3
  "$@" >"$dir/out" 2>&1 || came=$?
  if [ "$came" != "$status" ] || ! grep -qE -- "$text" "$dir/out"; then
    echo "FAIL $name: exit status $came where $status is right, or no line \"$text\":"
    cat "$dir/out"
    exit 1
  fi
  echo "ok $name"
}

probe() {
  echo "sqlite3 -cmd '.timeout 10000' '$dir/$1.db' 'SELECT sum(kind = 1), sum(kind = 2), sum(kind = 3) FROM ledger'"
}

# -- Right -------------------------------------------------------------------------------------------------------------------

judge "a participant that attaches" 0 '^4[0-9] cases: .* 0 failed; 0 left out\. Effects were judged' \
  "$program" --refused-payload refuse --probe "$(probe attach)" -- "$participant" '{coordinator}' "$dir/attach.db" attach

some=try-repeated,cancel-refused,same-branch-at-once,short-timeout,unknown-kind,below-mark,rows-kept,answers
judge "a participant that registers" 0 '^10 cases: .* 0 failed' \
  "$program" --only "$some" --refused-payload refuse --probe "$(probe listen)" -- "$participant" '{coordinator}' "$dir/listen.db" 127.0.0.1:0

cat >"$dir/restart" <<SH
if [ -e '$dir/pid' ]; then
  old=\$(cat '$dir/pid')
  kill -9 "\$old"
  while [ -e "/proc/\$old" ] && ! grep -q ') Z' "/proc/\$old/stat"; do :; done # its socket is free then
fi
'$participant' unix:$dir/nobody '$dir/target.db' unix:$dir/socket 2>'$dir/log' &
echo \$! >'$dir/pid'
SH
sh "$dir/restart"
judge "a participant at a target, killed by a command" 0 '^10 cases: .* 0 failed' \
  "$program" --only "$some" --call-token conformance-token --target "unix:$dir/socket" --action ledger/do --refused-payload refuse --probe "$(probe target)" \
  --restart-command "sh '$dir/restart'"

judge "without a probe" 0 'Effects were not seen' \
  "$program" --only late-try -- "$participant" '{coordinator}' "$dir/blind.db" attach

# -- Wrong -------------------------------------------------------------------------------------------------------------------

# finds FAULT CASE SECTION
finds() {
  judge "$1" 1 "^FAIL +$2 " \
    "$program" --only "$2" --refused-payload refuse --probe "$(probe "$1.$2")" \
    -- "$participant" '{coordinator}' "$dir/$1.$2.db" attach "$1"
  grep -qE "see docs/protocol.md, $3\$" "$dir/out" || { cat "$dir/out"; echo "FAIL $1: not section $3"; exit 1; }
}

finds no-barrier try-repeated 3.6
finds cancel-undoes cancel-refused 3.4
finds cancel-undoes empty-cancel 3.4
finds empty-cancel-forgotten late-try 3.5
finds late-try-taken late-try 3.5
finds late-try-taken try-after-cancel 3.5
finds confirm-untried-done confirm-untried 3.7
finds cancel-takes-back cancel-confirmed 3
finds confirm-repeats confirm-repeated 3
finds confirm-repeats cancel-repeated 3
finds confirm-repeats confirm-cancelled 3
finds reply-lost try-repeated 3.6
finds refusal-keeps-work refused-try 2
finds key-lower-case gid-case 3
finds key-cut gid-long 3
finds key-without-branch branches-apart 3
finds mark-not-kept mark-never-falls 4.1
finds mark-not-kept below-mark 4.2
finds mark-in-memory mark-kept 4.1
finds tried-collected tried-below-mark 4.3
finds source-ignored source-mark 4.5
finds source-ignored source-numbers 4.5
finds source-in-memory source-kept 4.5

judge "a late try is found without a probe, too" 1 '^FAIL +late-try ' \
  "$program" --only late-try -- "$participant" '{coordinator}' "$dir/late.db" attach late-try-taken

# -- Nobody to try -----------------------------------------------------------------------------------------------------------

judge "a participant that ends" 2 'no participant has attached .*: it ended with status 1' \
  "$program" -- "$participant" '{coordinator}' "$dir/x.db" attach no-such-fault
judge "a command that is not there" 2 'No such file' "$program" -- "$dir/nothing"
judge "a case that is not there" 2 'there is no such case' "$program" --only nothing
judge "a participant that does not know us" 1 '^FAIL +try-confirm' \
  "$program" --timeout 1s --target "unix:$dir/socket" --action ledger/do
judge "a target that nobody listens at" 2 'nobody answers at unix:' \
  "$program" --timeout 200ms --start-timeout 200ms --target "unix:$dir/nothing" --action ledger/do
judge "a target without an action" 2 'needs --action' "$program" --target 127.0.0.1:1
judge "a probe that fails" 2 'the probe ended with status 3' \
  "$program" --probe 'exit 3' -- "$participant" '{coordinator}' "$dir/y.db" attach
judge "a probe that sees nothing" 1 'shows no change by a try' \
  "$program" --probe 'echo 1' -- "$participant" '{coordinator}' "$dir/z.db" attach
# Whoever stops reading ends the participant, too: it holds the pipe `left` open as long as it runs.
mkfifo "$dir/left"
"$program" -- sh -c "exec 9>'$dir/left' && exec \"\$@\"" sh "$participant" '{coordinator}' "$dir/pipe.db" attach 2>/dev/null |
  head -n 2 >/dev/null &
timeout 60 cat "$dir/left" || { echo "FAIL: a reader who leaves: the participant goes on"; exit 1; }
echo "ok a reader who leaves"
judge "help" 0 'Exit status: 0 all held' "$program" --help
