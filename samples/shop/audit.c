/* SPDX-License-Identifier: Apache-2.0
 *
 * shop-audit: proves from outside that money and stock are conserved, and that every order happened
 * in all three databases or in none.
 */
#include <audit.h>

static const struct audit_database databases[] = {{"stock", "order", {"item"}},
                                                  {"payment", "order", {"account"}},
                                                  {"order", "order", {"orders", "order_line"}}};

static const struct audit_check checks[] = {
    {"stock is conserved", false,
     "SELECT printf('item %d', item), printf('%d at first, now %d available + %d reserved + %d "
     "sold', initial,"
     " available, reserved, sold) FROM item"
     " WHERE initial <> available + reserved + sold OR min(available, reserved, sold, "
     "coming_back) < 0"},
    {"money is conserved", false,
     "SELECT printf('customer %d', customer), printf('%d cents at first, now %d available + %d "
     "held + %d paid',"
     " initial, available, held, paid) FROM account"
     " WHERE initial <> available + held + paid OR min(available, held, paid, coming_back) < 0"},
    {"the warehouse's book is its ledger's sum", false,
     "SELECT 'stock', printf('%d reserved and %d sold, by the ledger %d and %d', b.reserved, "
     "b.sold, l.open, l.done)"
     " FROM (SELECT total(reserved) AS reserved, total(sold) AS sold FROM item) AS b,"
     " (SELECT total((amount > 0) * CASE op WHEN 'try' THEN amount ELSE -amount END) AS open, "
     "total((op = "
     "'confirm') * amount) AS done"
     " FROM ledger WHERE service = 'stock') AS l WHERE b.reserved <> l.open OR b.sold <> l.done"},
    {"the cashier's book is its ledger's sum", false,
     "SELECT 'payment', printf('%d cents held and %d paid, by the ledger %d and %d', b.held, "
     "b.paid, l.open, l.done)"
     " FROM (SELECT total(held) AS held, total(paid) AS paid FROM account) AS b,"
     " (SELECT total((amount > 0) * CASE op WHEN 'try' THEN amount ELSE -amount END) AS open, "
     "total((op = "
     "'confirm') * amount) AS done"
     " FROM ledger WHERE service = 'payment') AS l WHERE b.held <> l.open OR b.paid <> l.done"},
    {"an order's state is its ledger's", false,
     "SELECT o.gid, printf('the order is %s, by the ledger %s', o.state, coalesce(l.state, 'not "
     "there'))"
     " FROM (SELECT gid, CASE WHEN state LIKE 'RETURN%' THEN 'PAID' ELSE state END AS state FROM "
     "orders) AS o LEFT JOIN (SELECT gid, CASE WHEN sum(op = 'confirm') > 0 THEN 'PAID'"
     " WHEN sum(op = 'cancel') > 0 THEN 'CANCELLED' ELSE 'PENDING' END AS state FROM ledger"
     " WHERE service = 'order' GROUP BY gid) AS l ON l.gid = o.gid WHERE o.state IS NOT l.state "
     "UNION ALL "
     "SELECT gid, 'the ledger has it, there is no such order' FROM ledger"
     " WHERE service = 'order' AND amount > 0 AND gid NOT IN (SELECT gid FROM orders)"},
    {"what was given back is what the ledger says", true,
     "SELECT 'order', printf('%d cents of orders given back, by the ledger %d', o.cents, l.cents)"
     " FROM (SELECT total(total_cents) AS cents FROM orders WHERE state = 'RETURNED') AS o,"
     " (SELECT -total(amount) AS cents FROM ledger WHERE service = 'order' AND amount < 0"
     " AND op = 'confirm') AS l WHERE o.cents <> l.cents"},
    {"an order's lines are the order", false,
     "SELECT o.gid, printf('%d pieces for %d cents, its lines: %d for %d', o.quantity, "
     "o.total_cents, sum(l.quantity), sum(l.cents)) FROM orders AS o JOIN order_line AS l ON "
     "l.gid = o.gid GROUP BY o.gid HAVING o.quantity <> sum(l.quantity) OR o.total_cents <> "
     "sum(l.cents)"},
    {"nothing is reserved, held or pending", true,
     "SELECT printf('item %d', item), printf('%d reserved', reserved) FROM item WHERE reserved <> "
     "0 "
     "UNION ALL "
     "SELECT printf('customer %d', customer), printf('%d cents held', held) FROM account WHERE "
     "held <> 0 "
     "UNION ALL "
     "SELECT printf('item %d', item), printf('%d coming back', coming_back) FROM item WHERE "
     "coming_back <> 0 "
     "UNION ALL "
     "SELECT printf('customer %d', customer), printf('%d cents coming back', coming_back) FROM "
     "account WHERE coming_back <> 0 "
     "UNION ALL "
     "SELECT gid, 'the order is pending' FROM orders WHERE state IN ('PENDING', 'RETURNING')"},
    {"what was sold is what was ordered and paid", true,
     "SELECT printf('item %d', i.item), printf('%d sold by warehouse %d, %d in paid orders', "
     "i.sold, i.warehouse, total(o.quantity)) FROM item AS i LEFT JOIN"
     " (SELECT item, 1 AS warehouse, quantity FROM orders WHERE state = 'PAID' AND item <> 0"
     " UNION ALL SELECT l.item, l.warehouse, l.quantity FROM order_line AS l JOIN orders AS o"
     " ON o.gid = l.gid AND o.state = 'PAID') AS o"
     " ON o.item = i.item AND o.warehouse = i.warehouse"
     " GROUP BY i.item, i.warehouse HAVING i.sold <> total(o.quantity)"},
    {"what was paid is what was ordered", true,
     "SELECT printf('customer %d', a.customer),"
     " printf('%d cents paid, %d in paid orders', a.paid, total(o.total_cents))"
     " FROM account AS a LEFT JOIN orders AS o ON o.customer = a.customer AND o.state = 'PAID'"
     " GROUP BY a.customer HAVING a.paid <> total(o.total_cents)"},
};

int main(int argc, char **argv)
{
    const struct audit audit = {
        .program = "shop-audit",
        .summary =
            "Opens the shop's three databases read-only and proves that nothing was lost, gained "
            "or\n"
            "done by half. Exit status: 0 when all holds, 1 when not, 2 when it could not look.\n",
        .databases = databases,
        .database_count = sizeof(databases) / sizeof(databases[0]),
        .checks = checks,
        .check_count = sizeof(checks) / sizeof(checks[0]),
    };
    return audit_main(&audit, argc, argv);
}
