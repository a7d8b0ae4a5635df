#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
# samples/shop/run with its databases on a private server, and shopctl as its customers. usage: shop_on_server.sh postgres|mysql|sqlite
# BUILD SOURCE: it ends with 77 where there is no such server.
set -eu
. "$(dirname "$0")/lib.sh"
db=$1 build=$2 source=$3
shopctl=$build/samples/shop/shopctl

if [ "$db" != sqlite ]; then
    status=0
    "$source/scripts/with-$db" true || status=$?
    [ $status -ne 77 ] || exit 77
fi
folder=$(mktemp -d /tmp/tercet-shop-XXXXXX) # short: sockets lie in it
# The shop has to stop by itself, also after a failure: else its server and services stay.
tidy() {
    local status=$?
    if [ -n "${pid_run:-}" ] && kill -TERM "$pid_run" 2>/dev/null; then
        end "$pid_run" || true
    fi
    rm -rf "$folder"
    set +e
    (exit $status)
    clean_up
}
trap tidy EXIT
mkdir -p "$folder/other/data/precious"
expect_status 2 "$source/samples/shop/run" --folder "$folder/other" --fresh --port 0 --programs "$build"
grep -q "is not the shop's" "$dir/last.out" && [ -d "$folder/other/data/precious" ] || fail "a folder of somebody else is taken"
start run "$source/samples/shop/run" --folder "$folder" --db "$db" --port 0 --programs "$build"
for ((tenths = 0; ; tenths++)); do
    ! grep -q 'Ctrl-C stops it' "$dir/run.out" || break
    kill -0 "$pid_run" 2>/dev/null || fail "run ended: $(cat "$dir/run.out" "$dir/run.err")"
    [ $tenths -lt 1200 ] || fail "the shop does not open"
    sleep 0.1
done

ctl() { "$shopctl" "$@" --folder "$folder"; }

expect_status 0 ctl buy --customer 3 --item 7 --gid first
grep -q "order first: paid 17.50" "$dir/last.out" || fail "it was not bought"
expect_status 0 ctl buy --customer 3 --item 7 --gid first
expect_status 0 ctl buy --customer 4 --item 8 --quantity 60
expect_status 0 ctl orders --customer 4
[ "$(grep -o 'x item 8' "$dir/last.out" | wc -l)" -eq 2 ] || fail "60 pieces come from two warehouses of 40"
expect_status 1 ctl buy --customer 5 --item 8 --quantity 21
grep -q "sold out" "$dir/last.out" || fail "20 are left"
expect_status 1 ctl buy --customer 4 --item 1 --quantity 3
grep -q "no funds" "$dir/last.out" || fail "500.00 less 450.00 are not 67.50"
expect_status 1 ctl buy --customer 4 --item 99
expect_status 2 ctl steal
expect_status 0 ctl orders --customer 3
[ "$(grep -c PAID "$dir/last.out")" -eq 1 ] || fail "the same order twice is one order"
expect_status 0 ctl flash --buyers 300 --pieces 20
grep -q "300 buyers: 20 got a piece, 280 were told that it is sold out, 0 do not know" "$dir/last.out" || fail "exactly 20 are sold"
eval "$(sed -n 's/^ *the audit: *//p' "$dir/run.out")" | tee "$dir/audit.out"
grep -q "audit: holds" "$dir/audit.out" || fail "the audit"
stop run
! grep -hE "Sanitizer|Assertion" "$folder"/logs/*.log || fail "a program complains"
echo "$folder/" >"$dir/pattern"
! grep -alF -f "$dir/pattern" /proc/[0-9]*/cmdline 2>/dev/null || fail "something is left running"
