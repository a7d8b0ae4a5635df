#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
# The program of docs/outside.md: payments are held, captured and given back at the bank; one that was pending when the process
# was killed is given back by the next.
set -eu
. "$(dirname "$0")/lib.sh"

start_coordinator
mkdir "$dir/bank"
run() { "$CTL" --coordinator "$coordinator" "$@"; }
payment() { start payment "$OUTSIDE/outside-payment" "$coordinator" "$dir/payment.db" "$dir/bank" "$1"; await_ready payment; }

# await WANTED COMMAND...: until the command prints this.
await() {
    local wanted=$1 tenths=0
    shift
    until [ "$("$@" 2>/dev/null)" = "$wanted" ]; do
        tenths=$((tenths + 1))
        [ $tenths -lt 300 ] || fail "\"$*\" does not come to print \"$wanted\": $("$@" 2>&1)"
        sleep 0.1
    done
}

payment 0
run run payment/hold >"$dir/last.out" || fail "the payment is not confirmed: $(cat "$dir/last.out")"
paid=$(cut -d : -f 1 "$dir/last.out")
await c cat "$dir/bank/$paid.1"
await 0 "$SQL" "$dir/payment.db" "SELECT count(*) FROM tercet_barrier WHERE branch < 65536 AND state = 2" # it knows that it has ended
kill_hard payment

# The bank takes too long, and the process dies: what it had begun is given back by the next.
begun="SELECT count(*) FROM tercet_barrier WHERE branch > 65536 AND state = 2"
payment 3600
start pending "$CTL" --coordinator "$coordinator" run payment/hold
await 1 "$SQL" "$dir/payment.db" "$begun"
gid=$("$SQL" "$dir/payment.db" "SELECT gid FROM tercet_barrier WHERE branch > 65536 AND state = 2")
kill_hard payment
run cancel "$gid" --reason "the customer left" >"$dir/last.out" || fail "it is not cancelled: $(cat "$dir/last.out")"
payment 0
await g cat "$dir/bank/$gid.1"
await 0 "$SQL" "$dir/payment.db" "$begun"
[ "$(cat "$dir/bank/$paid.1")" = c ] || fail "the other payment was touched"
stop coordinator
