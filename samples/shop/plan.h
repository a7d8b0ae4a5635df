/* SPDX-License-Identifier: Apache-2.0
 *
 * From what a customer wants to the branches of one transaction. Whoever buys (the gateway,
 * shopctl) makes the plan so.
 */
#ifndef SHOP_PLAN_H
#define SHOP_PLAN_H

#include <tercet/tercet.h>

#include "cart.pb-c.h"
#include "catalogue.pb-c.h"
#include "order.pb-c.h"
#include "payment.pb-c.h"
#include "stock.pb-c.h"

#define PLAN_LINES_MAX 10 /* different items of one order */
#define PLAN_PARTS_MAX 40 /* a line from several warehouses is several parts */
#define PLAN_BRANCHES_MAX (PLAN_PARTS_MAX + 4)

#define PLAN_DEADLINE_MS 120000 /* for all tries: longer than it takes to start a service again */

struct wanted {
    uint32_t item, quantity;
    int64_t unit_cents; /* by the catalogue */
};

/* A plan is large and points into itself: it is made where it stays. */
struct plan {
    struct tercet_branch branches[PLAN_BRANCHES_MAX];
    size_t branch_count;
    int64_t total_cents;
    Shop__Reserve reserves[PLAN_PARTS_MAX];
    Shop__Line lines[PLAN_PARTS_MAX], *line_list[PLAN_PARTS_MAX];
    size_t part_count;
    Shop__Quoted quoted[PLAN_LINES_MAX], *quoted_list[PLAN_LINES_MAX];
    Shop__Quote quote;
    Shop__Hold hold;
    Shop__Place place;
    Shop__Checkout checkout;
};

/* Takes each line from one warehouse where one has enough, else from several. What nobody has is
 * asked of the first: it refuses, unless it has more by then. `cart_version` 0: not from a cart. */
void plan_order(struct plan *plan, uint32_t customer, const struct wanted *wanted,
                size_t wanted_count, const Shop__Shelves *shelves, int64_t cart_version);

/* The way back of a paid order. */
void plan_return(struct plan *plan, const Shop__OrderEntry *order, Shop__TakeBack *backs,
                 Shop__Refund *refund, Shop__GiveBack *give_back);

#endif
