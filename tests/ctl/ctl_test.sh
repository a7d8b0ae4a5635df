#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
#
# One case of tercetctl's tests, against a real tercetd on a free port: ctl_test.sh TERCETD TERCETCTL CTL_PEER CASE
# Every wait ends after WAIT_S seconds. Exit status 77 means skipped.
set -u
tercetd=$1 tercetctl=$2 peer=$3 case=$4
WAIT_S=30
dir=$(mktemp -d)
started=()
unset TERCET_TOKEN TERCET_COORDINATOR TERCET_TOKEN_FILE TERCET_PROFILE XDG_CONFIG_HOME http_proxy https_proxy
export HOME=$dir

finish() {
    local pid
    for pid in "${started[@]}"; do kill "$pid" 2>/dev/null; done
    for pid in "${started[@]}"; do wait "$pid" 2>/dev/null; done
    rm -rf "$dir"
}
trap finish EXIT

fail() {
    echo "FAILED in $case: $*" >&2
    echo "-- last output:" >&2
    cat "$dir/out" "$dir/err" >&2
    [ -f "$dir/tercetd.log" ] && cat "$dir/tercetd.log" >&2
    exit 1
}

# start_coordinator [OPTION...]: sets $address, also for tercetctl.
start_coordinator() {
    local line
    exec {ready}< <(exec "$tercetd" --data "$dir/data" --listen 127.0.0.1:0 "$@" 2>"$dir/tercetd.log")
    started+=($!)
    coordinator=$!
    read -r -t $WAIT_S -u "$ready" _ address || fail "tercetd did not start"
    export TERCET_COORDINATOR=$address
}

# start_participant SERVICE/NAME TRY CONFIRM CANCEL: its lines come from descriptor $calls.
start_participant() {
    exec {calls}< <(exec "$peer" serve "$address" "$@" 2>>"$dir/peer.log")
    started+=($!)
    participant=$!
    await_line attached
}

await_line() {
    local line
    while read -r -t $WAIT_S -u "$calls" line; do
        [ "$line" = "$1" ] && return
    done
    fail "the participant never saw: $1"
}

begin() { "$peer" "$@" 2>"$dir/err" || fail "ctl_peer $*"; }

# ctl STATUS ARGUMENT...: runs tercetctl, which must exit with STATUS.
ctl() {
    local wanted=$1 status
    shift
    timeout $WAIT_S "$tercetctl" "$@" >"$dir/out" 2>"$dir/err"
    status=$?
    [ $status = "$wanted" ] || fail "tercetctl $* exits with $status instead of $wanted"
    [ "$status" = 0 ] || [ -s "$dir/err" ] || fail "tercetctl $* says nothing about its failure"
    [ "$(wc -L <"$dir/out")" -le 100 ] || [[ " $* " =~ json|yaml|export|completion|wide|" --resolved " ]] || fail "tercetctl $* prints more than 100 columns"
}

out() { grep -qE -- "$1" "$dir/out" || fail "standard output has no /$1/"; }
no_err() { grep -qE -- "$1" "$dir/err" && fail "standard error has /$1/"; true; }
no_out() { grep -qE -- "$1" "$dir/out" && fail "standard output has /$1/"; true; }
err() { grep -qE -- "$1" "$dir/err" || fail "standard error has no /$1/"; }

# eventually PATTERN ARGUMENT...: asks until the output has it.
eventually() {
    local pattern=$1 end=$((SECONDS + WAIT_S))
    shift
    while ctl 0 "$@"; do
        grep -qE -- "$pattern" "$dir/out" && return
        [ $SECONDS -lt $end ] || fail "tercetctl $* never showed /$pattern/"
    done
}

# json EXPRESSION: it must be true of the object j that was printed.
json() {
    command -v python3 >/dev/null || { echo "skipped: python3 is not there to read JSON"; exit 77; }
    python3 -c 'import json, sys; j = json.load(open(sys.argv[1])); sys.exit(not eval(sys.argv[2]))' "$dir/out" "$1" ||
        fail "not true of the JSON: $1"
}

case_usage() {
    export TERCET_COORDINATOR=127.0.0.1:1
    ctl 2; err 'a command is needed'
    ctl 2 dance; err 'no command "dance"'
    ctl 2 participant; err 'did you mean "participants"'
    ctl 0 help; out '^usage: tercetctl .options. COMMAND'; cp "$dir/out" "$dir/help"
    ctl 0 --help; cmp "$dir/out" "$dir/help" || fail "help is not --help"
    ctl 0 help run; out '^usage: tercetctl .options. run '; ctl 2 help run ls; ctl 2 help dance
    ctl 2 export --watch; err 'usage: tercetctl export'
    ctl 2 ls --statee trying; err 'did you mean --state'
    ctl 2 show; err 'usage: tercetctl show GID'
    ctl 2 show a b
    ctl 2 ls extra
    ctl 2 show a --parked; err 'usage: tercetctl show'
    ctl 2 ls --reason x
    ctl 2 ls --state done; err 'trying, confirming'
    ctl 2 ls --state trying --state confirmed; err 'one after the other'
    ctl 2 ls --resolved --state trying
    ctl 2 ls --limit many
    ctl 2 ls --limit 10000000000
    ctl 2 ls --limit -1
    ctl 2 ls --unknown
    ctl 2 ls -o xml; err 'json or yaml'
    ctl 2 ls --timeout 10
    ctl 2 ls --timeout 0s
    ctl 2 ls --coordinator ''
    ctl 2 ls --tls-cert x; err '--tls-cert needs --tls-key'
    ctl 2 ls --tls-ca "$dir/none"; err 'No such file'
    ctl 2 ls --token-file "$dir/none"; err 'No such file'
    printf 'two words\n' >"$dir/token"; printf '\n' >"$dir/empty"
    ctl 2 ls --token-file "$dir/empty"; err 'one word'
    ctl 2 show 'a b'; err 'not a gid'
    ctl 2 settle g 1; err '--reason'
    ctl 2 settle g 1 --reason ''
    ctl 2 settle g 0 --reason x; err 'not a branch'
    ctl 2 settle g 1025 --reason x
    ctl 2 retry g 1x
    ctl 2 retry g ''
    ctl 2 cancel g; err '--reason'
    ctl 2 show "$(printf 'a\033[31mb')"; err 'a\\x1b\[31mb'
    ctl 0 --help; out '^usage: tercetctl \[options\] COMMAND'; out '^  settle  '
    ctl 0 --help ls; out '--parked'; no_out '--reason'; out 'usage: tercetctl \[options\] ls'
    ctl 0 settle --help; out 'settle GID BRANCH --reason TEXT'
    ctl 2 --help dance
    ctl 0 --version; out '^tercetctl [0-9]'
    "$tercetctl" --help >/dev/full 2>"$dir/err" && fail "a full disk goes unnoticed"
    err 'No space left'
}

case_unreachable() {
    ctl 1 --coordinator "unix:$dir/nobody" ls
    err "unix:$dir/nobody cannot be reached"; err 'is tercetd running there'
    ctl 1 --timeout 3s --coordinator 127.0.0.77 ls; err '127\.0\.0\.77:7420'
    ctl 1 --timeout 3s --coordinator dns:///[::1] ls; err 'dns:///\[::1\]:7420'
    ctl 1 --coordinator "unix:$dir/nobody" watch g; err 'cannot be reached'
    ctl 1 --coordinator "unix:$dir/nobody" -o json ls
    [ -s "$dir/out" ] && fail "half an object was printed"
    start_coordinator
    kill -STOP "$coordinator"
    ctl 1 --timeout 200ms stats
    kill -CONT "$coordinator"
    err 'no answer from .* within 200ms'; err 'may have been done or not'
    ctl 0 stats
}

case_empty() {
    start_coordinator
    ctl 0 ls; out '^no unresolved transactions$'
    ctl 0 ls --parked; out '^no unresolved transactions match$'
    ctl 0 ls --resolved; out '^no resolved transactions$'
    ctl 0 participants; out '^no participants are known'
    ctl 0 ls -o json; json 'j == {"transactions": [], "next_page_token": ""}'
    ctl 0 participants -o json; json 'j == {"participants": []}'
    ctl 1 show no-such; err 'no transaction with this gid is known \(NOT_FOUND\)'; err 'tercetctl ls --resolved'
    ctl 1 watch no-such; err 'NOT_FOUND'
    ctl 1 retry no-such; err 'NOT_FOUND'
    ctl 1 settle no-such 1 --reason x; err 'NOT_FOUND'
    ctl 1 confirm no-such; err 'NOT_FOUND'
    ctl 1 cancel no-such --reason x; err 'NOT_FOUND'
    ctl 1 pause nobody; err 'no such service is known'
}

case_metadata() {
    start_coordinator
    begin begin "$address" plain 1
    begin begin "$address" a 2 customer anna
    begin begin "$address" b 1 customer ben
    ctl 0 ls --metadata customer=anna; out '^a-1 '; out '^a-2 '; no_out '^b-1 '; no_out '^plain-1 '
    ctl 0 ls --metadata customer; out '^a-1 '; out '^b-1 '; no_out '^plain-1 '
    ctl 0 ls --metadata customer=anna --metadata order; out 'no unresolved transactions match'
    ctl 0 show b-1; out '^  metadata  customer=ben$'
    ctl 0 show plain-1; no_out 'metadata'
    ctl 0 show b-1 -o json
    json 'j["metadata"] == [{"key": "customer", "value": "ben"}]'
    ctl 0 cancel a-1 --reason over; out '^  metadata  customer=anna$'
    eventually '^a-1 ' ls --resolved --metadata customer=anna; no_out '^a-2 '
    ctl 0 ls --resolved --metadata customer=ben; out 'no resolved transactions match'
    ctl 2 ls --metadata =x; err 'a key is wanted'
    ctl 2 show a-1 --metadata x
}

case_unresolved() {
    local long
    long=$(printf 'g%.0s' {1..62})
    start_coordinator
    begin begin "$address" "$long" 1
    begin begin "$address" order 2
    begin enlist "$address" order-2 shop/reserve
    ctl 0 ls; out '^GID +STATE +AGE +DONE +NOTE$'; out "^$long-1 +TRYING +[0-9.ms]+ +0/0"; out '^order-2 +TRYING +[0-9.ms]+ +0/1'
    ctl 0 ls --state trying; out '^order-1 '
    ctl 0 ls --state confirming --state cancelling; out 'no unresolved transactions match'
    ctl 0 ls --service shop; out '^order-2 '; no_out '^order-1 '
    ctl 0 ls --limit 2; no_out '^order-2 '; out '^2 shown; there may be more'
    ctl 0 ls -o json
    json '[t["gid"][-7:] for t in j["transactions"]] == ["ggggg-1", "order-1", "order-2"]'
    json 'j["transactions"][2]["branches"][0]["try_state"] == "TRY_OWN" and j["transactions"][2]["state"] == "TRYING"'
    ctl 0 show order-2
    out '^transaction order-2$'; out '^  state     TRYING: not decided yet$'; out '^  created   20[0-9-]{8} [0-9:]{8}\.[0-9]{3}Z  [0-9.ms]+ ago$'
    out '^  deadline  .* from now$'; out '^  decided   not yet: '; out '^1 +own +- +0 +- +shop/reserve$'
    ctl 0 show order-1; out '^no branches$'
}

case_decide() {
    start_coordinator
    begin begin "$address" order 3
    begin enlist "$address" order-1 shop/reserve
    ctl 0 -o json cancel order-1 --reason 'customer left'
    json 'j["state"] == "CANCELLING" and j["cause"] == "OPERATOR" and j["reason"] == "customer left" and j["decided_ms"] > j["created_ms"] - 1 > 1700000000000'
    ctl 0 cancel order-1 --reason again; out 'the decision is durable: CANCELLING'; out 'reason +customer left$'
    ctl 1 confirm order-1; err 'decided already.*FAILED_PRECONDITION'; err 'tercetctl show order-1'
    ctl 0 confirm order-2 --reason 'asked for by phone'; out '^the decision is durable: CONFIRMED$'; out 'asked by an operator'
    grep -q 'order-2 (asked for by phone): done' "$dir/tercetd.log" || fail "the reason of a confirm is not in the log"
    ctl 0 confirm order-2
    ctl 1 cancel order-2 --reason late; err 'decided already'
    ctl 0 show order-2; out '^  resolved  20.* after the decision$'
    ctl 0 ls --resolved; out '^GID +STATE +AGE +TOOK +NOTE$'; out '^order-2 +CONFIRMED .* asked by an operator$'; no_out '^order-1'
    ctl 0 ls --state confirmed; out '^order-2 '
    ctl 0 ls --state cancelled; out '^no resolved transactions match$'
    ctl 0 cancel order-3 --reason "$(printf 'x%.0s' {1..300})"; out '^  x{50,}$'; no_out 'x{257}'
    ctl 0 retry order-2; out 'nothing to ask again: the transaction is CONFIRMED'
    ctl 0 settle order-2 1 --reason x; out 'nothing to settle: the transaction is CONFIRMED'
    ctl 1 settle order-1 9 --reason x; err 'no branch with this number'
    ctl 1 settle order-1 1 --reason x; err 'only a parked branch'
}

case_participants() {
    start_coordinator
    start_participant shop/reserve REFUSAL DONE DONE
    ctl 0 participants
    out '^SERVICE +INSTANCES +CALLS +WAITING +STATE$'; out '^shop +1 +0/7 +0 +ok$'; out 'actions: reserve'; out 'instance peer:1 \(ipv4:127.0.0.1:[0-9]+\): 0 of 7 calls'
    ctl 0 participants -o json
    json 'j["participants"][0]["service"] == "shop" and j["participants"][0]["instances"][0]["window"] == 7 and j["participants"][0]["breaker_open"] is False'
    begin run "$address" refused shop/reserve
    eventually '^refused +CANCELLED' ls --resolved
    out 'a participant refused'; out 'red \\x1b\[31m 中 alarm'
    ctl 0 show refused; out '^1 +refused +done '
    ctl 0 -o json ls --resolved
    json 'j["transactions"][0]["reason"] == "red \x1b[31m 中 alarm"'
    grep -q $'\x1b' "$dir/out" && fail "a raw escape in JSON"
    kill "$participant"
    eventually '^shop +0 +0 +0 +nobody attached$|no participants are known' participants
}

# A confirm that breaks its promise parks; a person asks again.
case_retry() {
    start_coordinator
    start_participant shop/reserve DONE BROKEN,BROKEN,DONE DONE
    begin run "$address" sad shop/reserve
    eventually '^sad +CONFIRMING .* PARKED: branch 1 shop/reserve' ls --parked
    out 'red \\x1b\[31m 中'
    ctl 0 show sad; out '^  PARKED    a branch needs a person'; out 'BROKEN PROMISE'; out 'tercetctl retry sad 1'; out 'last error: red \\x1b\[31m 中 alarm$'
    ctl 0 -o json show sad; json 'j["parked"] and j["branches"][0]["broken"] and j["branches"][0]["end_state"] == "END_WAITING" and 0 < j["branches"][0]["next_attempt_ms"] <= 300000'
    ctl 0 stats; out '^parked branches +1 '
    grep -q 'parked: transaction sad branch 1 (shop/reserve).*red ?\[31m 中 alarm' "$dir/tercetd.log" || fail "the log has not the alarm, or raw"
    ctl 1 retry sad 2; err 'no branch with this number'
    ctl 0 retry sad; out 'every branch that waited'
    await_line '2 sad 1'
    await_line '2 sad 1'
    eventually '^1 +done +waiting +2 ' show sad
    ctl 0 retry sad 1; out 'branch 1 is being asked again'
    eventually '^sad +CONFIRMED ' ls --resolved
    ctl 0 ls --parked; out '^no unresolved transactions match$'
}

case_settle() {
    start_coordinator
    start_participant shop/reserve DONE BROKEN DONE
    begin run "$address" sad shop/reserve
    eventually '^sad ' ls --parked
    ctl 2 settle sad 1
    ctl 0 ls --parked; out '^sad '
    ctl 0 settle sad 1 --reason 'put right in the shop'; out '^branch 1 is settled$'; out 'settled by a person: put right in the shop'
    ctl 0 -o json show sad; json 'j["state"] == "CONFIRMED" and j["branches"][0]["settled"] and j["branches"][0]["reason"] == "put right in the shop" and not j["parked"]'
    ctl 0 ls; out '^no unresolved transactions$'
    ctl 0 settle sad 1 --reason again; out 'branch 1 is settled'; out 'put right in the shop'
}

# A branch that hangs is settled without waiting for its parking.
case_settle_now() {
    start_coordinator
    begin begin "$address" hangs 1
    begin enlist "$address" hangs-1 nobody/do
    ctl 1 settle hangs-1 1 --reason x --now; err 'not decided yet'
    ctl 0 cancel hangs-1 --reason 'customer left'
    ctl 1 settle hangs-1 1 --reason x; err 'settle --now'
    ctl 2 settle hangs-1 1 --now; err 'say why'
    ctl 0 settle hangs-1 1 --reason 'there is no such shop' --now; out '^branch 1 is settled$'
    ctl 0 show hangs-1; out 'state +CANCELLED'; out 'settled by a person: there is no such shop'
    grep -q 'settled by an operator, not parked: transaction hangs-1 branch 1 (nobody/do), CANCELLING, after 0 failures: there is no such shop' "$dir/tercetd.log" || fail "no line in the log"
}

# Many at once: shown first, done when their number is given, each told.
case_bulk() {
    local i
    start_coordinator
    start_participant shop/reserve DONE BROKEN DONE
    for i in 1 2 3; do
        begin run "$address" sad-$i shop/reserve
        eventually "^sad-$i " ls --parked
    done
    ctl 2 retry sad-1 --parked; err '--all'
    ctl 2 retry --all sad-1
    ctl 2 settle --all --parked; err 'say why'
    ctl 2 settle --all --reason x --limit 0; err 'from 1 to 10000'
    ctl 2 settle --all --reason x --state confirmed; err 'what is over'
    ctl 0 retry --all; out '^GID +STATE +AGE +BRANCH +ACTION +NOTE$'; out '^sad-2 +CONFIRMING .* 1 +shop/reserve +PARKED: '
    out '^3 would be asked again, and nothing was done: --yes-count 3 does it$'
    ctl 0 retry --all --yes-count 3; out '^sad-1 branch 1: done, CONFIRMING$'; out '^3 done, 0 refused, 0 not asked$'
    ctl 0 settle --all --reason x --older-than 1h; out '^nothing matches$'; no_out GID
    ctl 0 settle --all --reason x --service other; out '^nothing matches$'
    ctl 0 settle --all --reason x --service shop --action shop/other; out '^nothing matches$'
    ctl 0 settle --all --reason x --limit 2; out 'these are the first 2'; out '^2 would be settled'
    ctl 1 settle --all --reason x --yes-count 2; err 'there are 3 of them now, and not 2'
    ctl 0 ls --parked; out '^sad-1 '; out '^sad-2 '; out '^sad-3 '
    ctl 0 -o json settle --all --reason x
    json 'j["count"] == 3 and j["dry_run"] and j["done"] == 0 and j["items"][0]["gid"] == "sad-1" and "done" not in j["items"][0]'
    ctl 0 -o json settle --all --reason 'by hand' --service shop --action shop/reserve --yes-count 3
    json 'j["count"] == 3 and not j["dry_run"] and j["done"] == 3 and j["refused"] == 0 and all(i["done"] for i in j["items"])'
    ctl 0 ls; out '^no unresolved transactions$'
    ctl 0 show sad-3; out 'settled by a person: by hand'
    begin begin "$address" order 3
    ctl 0 cancel --all --reason 'closed' --service shop; out '^nothing matches$'
    ctl 0 cancel --all --reason 'closed'; out '^order-1 +TRYING +[0-9.ms]+ +all '; out '^3 would be cancelled'
    ctl 0 cancel --all --reason 'closed' --yes-count 3; out '^order-3: done, CANCELLED$'
    ctl 0 show order-1; out 'reason +closed'
}

# The number is typed; what was decided meanwhile is refused by itself.
case_bulk_typed() {
    start_coordinator
    begin begin "$address" order 3
    python3 - "$tercetctl" >"$dir/out" 2>"$dir/err" <<'PYTHON' || fail "the dialogue"
import os, pty, subprocess, sys
def dialogue(answer, meanwhile=()):
    pid, fd = pty.fork()
    if pid == 0:
        os.execv(sys.argv[1], [sys.argv[1], "cancel", "--all", "--reason", "closed"])
    said = b""
    while b"leave them: " not in said:
        said += os.read(fd, 4096)
    if meanwhile:
        subprocess.run([sys.argv[1], *meanwhile], check=True, stdout=subprocess.DEVNULL)
    os.write(fd, answer)
    try:
        while chunk := os.read(fd, 4096):
            said += chunk
    except OSError:
        pass
    return os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]), said.decode()
status, said = dialogue(b"no\n")
assert status == 0 and "nothing was done" in said, (status, said)
status, said = dialogue(b"4\n")
assert status == 1 and "there are 3 of them now, and not 4" in said, (status, said)
status, said = dialogue(b"3\n", ["confirm", "order-2"])
assert status == 3 and "order-2: REFUSED: " in said and "2 done, 1 refused, 0 not asked" in said, (status, said)
PYTHON
    ctl 0 ls --state cancelled; out '^order-1 '; out '^order-3 '; no_out '^order-2 '
}

# What a person did and what needs a person is there after a crash.
case_restart() {
    start_coordinator
    start_participant shop/reserve DONE BROKEN DONE
    begin run "$address" sad shop/reserve shop/reserve
    eventually 'PARKED: remove .* retry sad 1' show sad
    eventually 'PARKED: remove .* retry sad 2' show sad
    ctl 0 settle sad 1 --reason 'put right by hand'
    ctl 0 pause shop
    kill -9 "$coordinator"; wait "$coordinator" 2>/dev/null
    kill "$participant"
    start_coordinator
    ctl 0 ls --parked; out '^sad +CONFIRMING +[0-9.ms]+ +1/2 +PARKED: branch 2 '
    ctl 0 show sad; out 'settled by a person: put right by hand'; out 'retry sad 2'; no_out 'retry sad 1'
    ctl 0 participants; out '^shop .* PAUSED, nobody attached( for [0-9a-z.]+)?$'
    ctl 0 settle sad 2 --reason 'and this one'
    ctl 0 show sad; out 'state +CONFIRMED'; out 'put right by hand$'; out 'and this one$'
}

case_pause() {
    start_coordinator
    start_participant shop/reserve DONE DONE DONE
    ctl 1 pause nosuch; err 'no such service'; no_err 'transaction'
    ctl 0 pause shop; out '^shop is paused: .* tercetctl resume shop$'
    ctl 0 participants; out '^shop .* PAUSED \(attached\)$'
    begin run "$address" held shop/reserve
    eventually '^shop +1 +0/7 +1 ' participants
    ctl 0 ls; out '^held +TRYING'
    ctl 0 resume shop -o json; json 'j == {"service": "shop", "paused": False}'
    await_line '2 held 1'
    eventually '^held +CONFIRMED ' ls --resolved
    ctl 0 participants; no_out PAUSED
}

case_unregister() {
    local operator=0123456789abcdef-operator reader=0123456789abcdef-reader participant=0123456789abcdef-participant
    printf 'operator %s\nreader %s\nparticipant %s\n' "$operator" "$reader" "$participant" >"$dir/access"
    start_coordinator --access "$dir/access"
    TERCET_TOKEN=$participant ctl 0 register shop 127.0.0.1:1 reserve
    TERCET_TOKEN=$operator ctl 0 unregister shop 127.0.0.1:1; out '^shop is not called at 127.0.0.1:1 any more$'
    TERCET_TOKEN=$reader ctl 1 unregister shop; err 'PERMISSION_DENIED'
    TERCET_TOKEN=$operator ctl 0 audit -o json; json '[(e["action"], e["service"]) for e in j["entries"]] == [("unregister", "shop")]' # the participant is none
    TERCET_TOKEN=$operator ctl 0 unregister shop; out '^shop has no registered target any more; instances that are attached'
    TERCET_TOKEN=$operator ctl 0 unregister shop -o json; json 'j["service"] == "shop"'
}

case_check() {
    start_coordinator
    start_participant shop/reserve DONE DONE DONE
    begin run "$address" checked shop/reserve
    eventually '^checked +CONFIRMED ' ls --resolved
    ctl 0 check; out '^0 unresolved .* 1 resolved, .*: all whole$'
    ctl 0 check -o json; json 'j["damages_total"] in (0, "0") and j["damages"] == []'
    "$tercetd" --data "$dir/data" --check all >"$dir/out" 2>"$dir/err" || fail "--check beside one that runs"
    out '^read: 0 unresolved, 0 branches, 1 resolved, 0 others$'; out '^done: all whole$'
    "$tercetd" --data "$dir/data" --check much >"$dir/out" 2>"$dir/err" && fail "--check much"
    out '^cannot check: all, unresolved, '
    "$tercetd" --data "$dir/none" --check all >"$dir/out" 2>"$dir/err" && fail "--check of nothing"
    out '^cannot check: cannot read .*/none/data.mdb: No such file'
    [ ! -e "$dir/none" ] || fail "--check has made a directory"
}

case_backup() {
    mkdir "$dir/backups"
    start_coordinator
    ctl 1 backup first; err 'backup-dir'; no_err 'GID'
    kill "$coordinator"; wait "$coordinator" 2>/dev/null
    start_coordinator --backup-dir "$dir/backups"
    start_participant shop/reserve DONE DONE DONE
    begin run "$address" before shop/reserve
    eventually '^before +CONFIRMED ' ls --resolved
    ctl 0 backup first; out '/backups/first$'; out '^[0-9]+ bytes; '; out '1 resolved, .*: all whole$'
    ctl 1 backup first; err 'is there already: choose another name'
    [ ! -e "$dir/backups/first.part" ] || fail "a copy that came to nothing is left"
    ctl 1 backup ../out; err 'name is 1 to 64'
    begin run "$address" after shop/reserve
    eventually '^after +CONFIRMED ' ls --resolved
    kill "$coordinator"; wait "$coordinator" 2>/dev/null
    mv "$dir/data" "$dir/lost" # and restored as docs/operations.md says
    mkdir "$dir/data"; cp "$dir/backups/first/data.mdb" "$dir/data/"
    start_coordinator
    ctl 0 ls --resolved; out '^before +CONFIRMED '; no_out '^after '
    ctl 0 check; out 'all whole'
}

case_log_level() {
    start_coordinator --log-level warning,store=error
    ctl 0 log-level; out '^transactions +warning$'; out '^store +error$'
    start_participant shop/reserve DONE DONE DONE
    grep -q attached "$dir/tercetd.log" && fail "an info line was logged"
    ctl 1 log-level loud; err 'error, warning, info or debug'
    ctl 1 log-level disk=info; err 'transactions, participants, store or connections'
    ctl 0 log-level participants=info; out '^participants +info$'; out '^transactions +warning$'
    kill "$participant"
    local end=$((SECONDS + WAIT_S))
    until grep -q 'shop: instance .* is gone' "$dir/tercetd.log"; do
        [ $SECONDS -lt $end ] || fail "what was asked for is not logged"
    done
    ctl 0 log-level debug -o json; json '[p["level"] for p in j["levels"]] == ["debug"] * 4'
    kill "$coordinator"; wait "$coordinator" 2>/dev/null
    start_coordinator --log-level store=debug
    ctl 0 log-level; out '^store +debug$'; out '^transactions +info$'; out '^participants +info$'; out '^connections +info$'
}

case_targets() {
    start_coordinator
    ctl 0 register shop 127.0.0.1:1 reserve; out '^shop is called at 127.0.0.1:1, too'
    ctl 0 register shop localhost:2 reserve -o json; json 'j["target"] == "localhost:2"'
    ctl 0 participants; out 'called at 127.0.0.1:1: 0 calls'; out 'called at localhost:2: 0 calls'
    ctl 0 participants -o json; json '[t["target"] for t in j["participants"][0]["targets"]] == ["127.0.0.1:1", "localhost:2"]'
    ctl 1 register shop http://localhost:2; err 'host:port, dns:///host:port or unix:/path'
    ctl 0 unregister shop 127.0.0.1:1; out 'shop is not called at 127.0.0.1:1 any more'
    ctl 0 participants; no_out '127.0.0.1:1'; out 'localhost:2'
    ctl 0 unregister shop; out '^shop has no registered target any more'
    ctl 0 participants; out 'no participants are known'
    # One that is not allowed any more takes no other with it.
    for target in 127.0.0.1:1 localhost:2 localhost:3; do ctl 0 register shop "$target" reserve; done
    kill "$coordinator"; wait "$coordinator" 2>/dev/null
    start_coordinator --allow-target 'localhost:*'
    ctl 0 participants; no_out '127.0.0.1:1'; out 'localhost:2'; out 'localhost:3'
}

case_stats() {
    start_coordinator
    begin begin "$address" order 3
    ctl 0 cancel order-1 --reason x
    ctl 0 stats
    out '^accepting +yes$'; out '^trying +2$'; out '^begun +3 since start$'; out '^cancelled +1 since start$'; out '^store used +[0-9.]+ .iB of 64.0 GiB'; out '^started +20.* ago$'; out '^source +[0-9a-f]{16} '
    ctl 0 -o json stats
    json 'j["trying"] == 2 and j["accepting"] is True and j["store_bytes_max"] == 64 << 30 and j["started_ms"] > 1700000000000 and j["version"] and j["source"] != 0'
}

case_watch() {
    local watcher
    start_coordinator
    begin begin "$address" order 1
    begin enlist "$address" order-1 shop/reserve
    exec {changes}< <(exec timeout $WAIT_S "$tercetctl" watch order-1 2>"$dir/err")
    watcher=$!
    started+=("$watcher")
    read -r -t $WAIT_S -u "$changes" line && [[ $line == *' TRYING      0 of 1 branches done' ]] || fail "first: $line"
    ctl 0 cancel order-1 --reason 'changed my mind'
    read -r -t $WAIT_S -u "$changes" line && [[ $line == *' CANCELLING  0 of 1 branches done, asked by an operator: changed my mind' ]] || fail "second: $line"
    start_participant shop/reserve DONE DONE DONE
    read -r -t $WAIT_S -u "$changes" line && [[ $line == *' CANCELLED   1 of 1 '* ]] || fail "third: $line"
    read -r -t $WAIT_S -u "$changes" line && fail "a fourth: $line"
    wait "$watcher" || fail "watch exits with $?"
    ctl 0 watch -o json order-1; json 'j["state"] == "CANCELLED"'
    [ "$(wc -l <"$dir/out")" = 1 ] || fail "an object a line"
    begin begin "$address" open 1
    ctl 1 watch --timeout 300ms open-1; out ' TRYING '; err 'within 300ms'
}

case_watch_lost() {
    start_coordinator --grace 100ms
    begin begin "$address" order 1
    exec {changes}< <(timeout $WAIT_S "$tercetctl" watch order-1 2>"$dir/err"; echo "exit $?")
    started+=($!)
    read -r -t $WAIT_S -u "$changes" line && [[ $line == *' TRYING '* ]] || fail "first: $line"
    kill "$coordinator"
    read -r -t $WAIT_S -u "$changes" line && [ "$line" = 'exit 1' ] || fail "second: $line"
    err 'tercetctl: '
}

case_paging() {
    start_coordinator --quiet
    begin begin "$address" many 1203
    ctl 0 ls; [ "$(grep -c '^many-' "$dir/out")" = 100 ] || fail "not 100"
    out '^100 shown; there may be more: --limit 0 shows all$'
    ctl 0 ls --limit 1100; [ "$(grep -c '^many-' "$dir/out")" = 1100 ] || fail "not 1100"
    ctl 0 ls --limit 0; [ "$(grep '^many-' "$dir/out" | sort -u | wc -l)" = 1203 ] || fail "not 1203 different ones"
    no_out 'shown'; [ "$(grep -c '^GID' "$dir/out")" = 1 ] || fail "one head"
    ctl 0 ls --limit 1203; no_out 'shown'
    ctl 0 ls --limit 0 -o json
    json '[t["gid"] for t in j["transactions"]] == ["many-%d" % (i + 1) for i in range(1203)] and j["next_page_token"] == ""'
    ctl 0 ls --limit 7 -o json; json 'len(j["transactions"]) == 7 and j["next_page_token"] != ""'
}

case_token() {
    local admin=0123456789abcdef-admin other=0123456789abcdef-initiator
    printf 'admin %s\ninitiator %s\n' "$admin" "$other" >"$dir/access"
    printf '%s\n' "$admin" >"$dir/token"
    start_coordinator --access "$dir/access"
    ctl 1 ls; err 'UNAUTHENTICATED'; err 'TERCET_TOKEN'
    ctl 1 run shop/buy; err 'UNAUTHENTICATED'; err 'initiator'; no_err 'was to be'
    TERCET_TOKEN=wrong-0123456789abcdef ctl 1 ls; err 'UNAUTHENTICATED'
    TERCET_TOKEN=$other ctl 1 ls; err 'PERMISSION_DENIED'; err 'role admin'
    TERCET_TOKEN=$admin ctl 0 ls; out 'no unresolved'
    ctl 0 ls --token-file "$dir/token"
    TERCET_TOKEN=wrong-0123456789abcdef ctl 0 ls --token-file "$dir/token"
    TERCET_TOKEN=$other begin begin "$address" order 1
    ctl 0 --token-file "$dir/token" cancel order-1 --reason x
    ctl 0 --token-file "$dir/token" watch order-1; out ' CANCELLED '
}

case_tls() {
    command -v openssl >/dev/null || { echo "skipped: openssl is not there to make certificates"; exit 77; }
    openssl req -x509 -newkey ec -pkeyopt ec_paramgen_curve:P-256 -nodes -days 2 -subj /CN=tercet-test \
        -addext 'subjectAltName=DNS:localhost,IP:127.0.0.1' -keyout "$dir/key" -out "$dir/cert" 2>"$dir/err" || fail openssl
    start_coordinator --tls-cert "$dir/cert" --tls-key "$dir/key" --tls-ca "$dir/cert"
    ctl 0 --tls-ca "$dir/cert" --tls-cert "$dir/cert" --tls-key "$dir/key" ls; out 'no unresolved'
    ctl 1 --timeout 3s --tls-ca "$dir/cert" ls; err 'cannot be reached|no answer'
    ctl 1 --timeout 3s ls; err 'tls-ca|no answer'
    ctl 2 --tls-ca "$dir/key" ls; err 'certificates or keys cannot be used'
}

. "$(dirname "$0")/ctl_cases.sh"
[ "$(type -t "case_$case")" = function ] || { echo "no such case: $case" >&2; exit 2; }
: >"$dir/out"; : >"$dir/err"
"case_$case"
