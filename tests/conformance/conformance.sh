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

# -- TLS and tokens ----------------------------------------------------------------------------------------------------------

certificates() {
  openssl req -x509 -newkey ec -pkeyopt ec_paramgen_curve:P-256 -nodes -days 2 -subj /CN=tercet-test-ca \
    -keyout "$dir/ca.key" -out "$dir/ca.pem"
  for name in coordinator participant; do
    openssl req -newkey ec -pkeyopt ec_paramgen_curve:P-256 -nodes -subj "/CN=$name" -keyout "$dir/$name.key" -out "$dir/$name.csr"
    openssl x509 -req -in "$dir/$name.csr" -CA "$dir/ca.pem" -CAkey "$dir/ca.key" -CAcreateserial -days 2 -out "$dir/$name.pem" \
      -extfile <(echo "subjectAltName=DNS:$name,DNS:localhost,IP:127.0.0.1")
  done
}

if command -v openssl >/dev/null && certificates 2>/dev/null; then
  mutual=(--tls-cert "$dir/coordinator.pem" --tls-key "$dir/coordinator.key" --tls-ca "$dir/ca.pem")
  calls=(--call-tls-ca "$dir/ca.pem" --call-tls-cert "$dir/coordinator.pem" --call-tls-key "$dir/coordinator.key")
  client=(env "TLS_CA=$dir/ca.pem" "TLS_CERT=$dir/participant.pem" "TLS_KEY=$dir/participant.key")
  judge "mutual TLS and a token, attached" 0 '^5 cases: .* 0 failed' \
    "$program" "${mutual[@]}" --token secret --only hello,try-repeated,rows-kept \
    -- "${client[@]}" TERCET_TOKEN=secret "$participant" '{coordinator}' "$dir/tls.db" attach
  judge "mutual TLS both ways, registered" 0 '^5 cases: .* 0 failed' \
    "$program" "${mutual[@]}" "${calls[@]}" --token secret --only hello,try-repeated,rows-kept \
    -- "${client[@]}" TERCET_TOKEN=secret "$participant" '{coordinator}' "$dir/tls2.db" localhost:0
  judge "a token that is another" 2 'calls without the token of --token were refused' \
    "$program" "${mutual[@]}" --token secret --start-timeout 2s \
    -- "${client[@]}" TERCET_TOKEN=wrong "$participant" '{coordinator}' "$dir/tls3.db" attach
  judge "no certificate" 2 'it has not come within' \
    "$program" "${mutual[@]}" --start-timeout 2s -- env "TLS_CA=$dir/ca.pem" "$participant" '{coordinator}' "$dir/tls4.db" attach
  judge "a certificate without its key" 2 'needs --tls-key' "$program" --tls-cert "$dir/coordinator.pem"
  judge "a file that is none" 2 'No such file' "$program" --tls-cert "$dir/x" --tls-key "$dir/x"
else
  echo "left out: openssl is not there to make certificates"
fi

# -- Wrong -------------------------------------------------------------------------------------------------------------------

# finds FAULT CASE SECTION
finds() {
  judge "$1" 1 "^FAIL +$2 " \
    "$program" --only "$2" --refused-payload refuse --probe "$(probe "$1.$2")" \
    -- "$participant" '{coordinator}' "$dir/$1.$2.db" attach "$1"
  grep -qE "see docs/protocol.md, $3\$" "$dir/out" || { cat "$dir/out"; echo "FAIL $1: not section $3"; exit 1; }
}

faults=$(dirname "$0")/faults.txt
while read -r case fault by section; do
  [ "$by" != c ] || finds "$fault" "$case" "$section"
done < <(grep -v '^#' "$faults")

for case in $("$program" --list | awk '{ print $1 }'); do
  grep -qE "^$case +[^ ]+ +(c|python) " "$faults" || { echo "FAIL: no faulty participant is there for $case: see $faults"; exit 1; }
done
echo "ok every case has a participant that it finds"

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
