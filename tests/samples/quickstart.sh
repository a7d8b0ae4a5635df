#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
# The quickstart, as its README tells it: three seats, three bookings, and the fourth is refused in both services.
set -eu
. "$(dirname "$0")/lib.sh"

start_coordinator
start flight "$QUICKSTART/quickstart-participant" flight "$coordinator" "$dir/flight.db"
start hotel "$QUICKSTART/quickstart-participant" hotel "$coordinator" "$dir/hotel.db"
await_ready flight
await_ready hotel
"$SQL" "$dir/hotel.db" "UPDATE seats SET free = 5"
for booking in 1 2 3; do
    expect_status 0 "$QUICKSTART/quickstart-initiator" "$coordinator"
done
expect_status 1 "$QUICKSTART/quickstart-initiator" "$coordinator"
grep -q "flight: no seat left" "$dir/last.out" || fail "no reason"
expect_status 2 "$QUICKSTART/quickstart-initiator"
expect_status 2 "$QUICKSTART/quickstart-initiator" "unix:$dir/nobody"
grep -q "no coordinator at unix:$dir/nobody: .*UNAVAILABLE" "$dir/last.out" || fail "an unreachable coordinator is not said"
expect_status 2 "$QUICKSTART/quickstart-participant"

# The confirms and the cancel go on after the answers.
tenths=0
until [ "$("$SQL" "$dir/flight.db" "SELECT * FROM seats")$("$SQL" "$dir/hotel.db" "SELECT * FROM seats")" = "0|0|32|0|3" ]; do
    tenths=$((tenths + 1))
    [ $tenths -lt 300 ] || fail "flight: $("$SQL" "$dir/flight.db" "SELECT * FROM seats") hotel: $("$SQL" "$dir/hotel.db" "SELECT * FROM seats")"
    sleep 0.1
done
stop coordinator
