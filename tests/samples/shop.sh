#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
# The shop in earnest: orders in both forms, while the coordinator is killed and comes back; and the audit, which also has to notice
# what is planted. usage: shop.sh SEED
set -eu
. "$(dirname "$0")/lib.sh"
seed=${1:-1}

start_shop() {
    start stock "$SHOP/shop-stock" --coordinator "$coordinator" --data "$dir/stock.db" --stock 150
    start payment "$SHOP/shop-payment" --coordinator "$coordinator" --data "$dir/payment.db" --funds 90000
    start order "$SHOP/shop-order" --coordinator "$coordinator" --data "$dir/order.db"
    await_ready stock
    await_ready payment
    await_ready order
}

traffic() {
    "$SHOP/shop-traffic" --coordinator "$coordinator" --log "$dir/log" "$@"
}

audit() {
    "$SHOP/shop-audit" --stock "$dir/stock.db" --payment "$dir/payment.db" --order "$dir/order.db" --log "$dir/log" "$@"
}

# disturbed_traffic OPTION...: 400 orders in the background.
disturbed_traffic() {
    rm -f "$dir/traffic.out"
    start traffic "$SHOP/shop-traffic" --coordinator "$coordinator" --log "$dir/log" --orders 400 --print "$@"
    await_line traffic "^order" 20
    audit >"$dir/audit.out" || fail "in the middle: $(cat "$dir/audit.out")"
}

for program in stock payment order traffic audit; do
    expect_status 0 "$SHOP/shop-$program" --help >"$dir/help"
    expect_status 2 "$SHOP/shop-$program" --nonsense >"$dir/help"
done

start_coordinator
start_shop
traffic --seed "$seed" --orders 100 --run --print
traffic --seed $((seed + 1)) --orders 100 --step-by-step
audit --at-rest --wait 60

# The coordinator dies in the middle of everything, and comes back within the buyers' patience.
disturbed_traffic --seed $((seed + 2)) --timeout 60
kill_hard coordinator
start_coordinator "$coordinator"
await_end traffic 120
tail -n 1 "$dir/traffic.out"
! grep -q UNKNOWN "$dir/traffic.out" || fail "a patient buyer does not know"
audit --at-rest --wait 60

# And once more, longer than they are patient: what is unknown is told so, asked for again, and known in the end.
disturbed_traffic --seed $((seed + 3)) --timeout 200ms --deadline 3s
kill_hard coordinator
await_line traffic "UNKNOWN, asking again" 5
start_coordinator "$coordinator"
await_end traffic 120
grep "after all" "$dir/traffic.out" | head -n 3
tail -n 1 "$dir/traffic.out"
audit --at-rest --wait 60

stop stock
stop payment
stop order
stop coordinator
grep -q confirmed "$dir/log" || fail "nothing was confirmed"
grep -q cancelled "$dir/log" || fail "nothing was cancelled"

confirmed=$(awk '$2 == "confirmed" { print $1; exit }' "$dir/log")
planted "a confirm gone" payment "DELETE FROM effect WHERE gid = '$confirmed' AND op = 'confirm'" "$confirmed: confirmed, but not in payment"
planted "a try gone" stock "DELETE FROM effect WHERE gid = '$confirmed' AND op = 'try'" "$confirmed: stock: confirm of branch .* without a try"
planted "a confirm twice" payment "INSERT INTO effect SELECT * FROM effect WHERE gid = '$confirmed' AND op = 'confirm'" "$confirmed: payment: confirm applied 2 times"
planted "a try once more" stock "INSERT INTO effect SELECT * FROM effect WHERE gid = '$confirmed' AND op = 'try'" "$confirmed: stock: try applied 2 times"
planted "a cancel beside confirms" order "UPDATE effect SET op = 'cancel' WHERE gid = '$confirmed' AND op = 'confirm'" "$confirmed: confirmed in .*, cancelled in order"
planted "a try after its cancel" order "UPDATE effect SET op = 'cancel' WHERE gid = '$confirmed' AND op = 'confirm'; UPDATE effect SET rowid = 1000000 WHERE gid = '$confirmed' AND op = 'try'" "$confirmed: order: try of branch .* after its cancel"
planted "a cent found" payment "UPDATE account SET available = available + 1 WHERE customer = 7" "customer 7: .* cents at first"
planted "a piece lost" stock "UPDATE item SET sold = sold - 1 WHERE item = (SELECT min(item) FROM item WHERE sold > 0)" "item .* at first"
planted "a piece stays reserved" stock "UPDATE item SET sold = sold - 1, reserved = reserved + 1 WHERE item = (SELECT min(item) FROM item WHERE sold > 0)" "item .* 1 reserved"
planted "an order not paid" order "UPDATE orders SET state = 'PENDING' WHERE gid = '$confirmed'" "$confirmed: the order is pending"
planted "another price" order "UPDATE orders SET total_cents = total_cents + 1 WHERE gid = '$confirmed'" "in paid orders"
planted "an order gone" order "DELETE FROM orders WHERE gid = '$confirmed'" "$confirmed: the ledger has it, there is no such order"
sed -i "s/^$confirmed confirmed/$confirmed cancelled/" "$dir/log"
planted "another outcome told" order "" "$confirmed: told cancelled; .* applied a confirm"
sed -i "s/^$confirmed cancelled/$confirmed confirmed/" "$dir/log"
echo "NEVER-WAS confirmed" >>"$dir/log"
planted "an outcome invented" order "" "NEVER-WAS: told confirmed; no database has it"
sed -i '$d' "$dir/log"
audit --at-rest
