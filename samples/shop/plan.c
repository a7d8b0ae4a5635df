/* SPDX-License-Identifier: Apache-2.0
 *
 * plan.h.
 */
#include "plan.h"

#include <assert.h>

#define CALL_MS 5000 /* then a service that says nothing is called again */

static void add_branch(struct plan *plan, const char *action, const ProtobufCMessage *request)
{
    assert(plan->branch_count < PLAN_BRANCHES_MAX);
    plan->branches[plan->branch_count++] =
        (struct tercet_branch){.action = action,
                               .request = request,
                               .try_timeout_ms = PLAN_DEADLINE_MS,
                               .call_timeout_ms = CALL_MS};
}

static void add_part(struct plan *plan, const struct wanted *wanted, uint32_t quantity,
                     uint32_t warehouse)
{
    if (plan->part_count == PLAN_PARTS_MAX)
        return; /* what is missing makes the order's sums wrong, and order/place refuses */
    Shop__Reserve *reserve = &plan->reserves[plan->part_count];
    Shop__Line *line = &plan->lines[plan->part_count];
    shop__reserve__init(reserve);
    shop__line__init(line);
    reserve->item = line->item = wanted->item;
    reserve->quantity = line->quantity = quantity;
    reserve->warehouse = line->warehouse = warehouse;
    line->cents = quantity * wanted->unit_cents;
    plan->line_list[plan->part_count++] = line;
    add_branch(plan, "stock/reserve", &reserve->base);
}

/* A shelf that has all of it, or else the fullest that is not in use yet; NULL: none has any. */
static const Shop__Shelf *choose_shelf(const Shop__Shelves *shelves, uint32_t item,
                                       uint32_t quantity, uint32_t used)
{
    const Shop__Shelf *best = NULL;
    for (size_t i = 0; i < shelves->n_shelves; i++) {
        const Shop__Shelf *shelf = shelves->shelves[i];
        if (shelf->item != item || (used >> shelf->warehouse & 1) != 0 || shelf->available <= 0)
            continue;
        if (shelf->available >= quantity)
            return shelf;
        if (best == NULL || shelf->available > best->available)
            best = shelf;
    }
    return best;
}

static void reserve_line(struct plan *plan, const struct wanted *wanted,
                         const Shop__Shelves *shelves)
{
    uint32_t left = wanted->quantity, used = 0;
    while (left > 0) {
        const Shop__Shelf *shelf = choose_shelf(shelves, wanted->item, left, used);
        uint32_t part =
            shelf != NULL && shelf->available < left ? (uint32_t)shelf->available : left;
        add_part(plan, wanted, part, shelf != NULL ? shelf->warehouse : 1);
        used |= shelf != NULL ? 1u << shelf->warehouse : 0;
        left -= part;
    }
}

static void quote_prices(struct plan *plan, const struct wanted *wanted, size_t count)
{
    shop__quote__init(&plan->quote);
    for (size_t i = 0; i < count; i++) {
        shop__quoted__init(&plan->quoted[i]);
        plan->quoted[i].item = wanted[i].item;
        plan->quoted[i].unit_cents = wanted[i].unit_cents;
        plan->quoted_list[i] = &plan->quoted[i];
        plan->total_cents += wanted[i].quantity * wanted[i].unit_cents;
        plan->place.quantity += wanted[i].quantity;
    }
    plan->quote.n_lines = count;
    plan->quote.lines = plan->quoted_list;
    add_branch(plan, "catalogue/quote", &plan->quote.base);
}

void plan_order(struct plan *plan, uint32_t customer, const struct wanted *wanted,
                size_t wanted_count, const Shop__Shelves *shelves, int64_t cart_version)
{
    assert(wanted_count <= PLAN_LINES_MAX);
    plan->branch_count = plan->part_count = 0;
    plan->total_cents = 0;
    shop__place__init(&plan->place);
    shop__hold__init(&plan->hold);
    shop__checkout__init(&plan->checkout);
    plan->checkout.customer = plan->hold.customer = plan->place.customer = customer;
    plan->checkout.version = cart_version;
    if (cart_version != 0)
        add_branch(plan, "cart/checkout", &plan->checkout.base);
    quote_prices(plan, wanted, wanted_count);
    for (size_t i = 0; i < wanted_count; i++)
        reserve_line(plan, &wanted[i], shelves);
    plan->hold.amount_cents = plan->place.total_cents = plan->total_cents;
    plan->place.lines = plan->line_list;
    plan->place.n_lines = plan->part_count;
    add_branch(plan, "payment/hold", &plan->hold.base);
    add_branch(plan, "order/place", &plan->place.base);
}

void plan_return(struct plan *plan, const Shop__OrderEntry *order, Shop__TakeBack *backs,
                 Shop__Refund *refund, Shop__GiveBack *give_back)
{
    plan->branch_count = 0;
    plan->total_cents = order->total_cents;
    shop__refund__init(refund);
    shop__give_back__init(give_back);
    give_back->gid = order->gid;
    refund->customer = give_back->customer = order->customer;
    refund->amount_cents = give_back->total_cents = order->total_cents;
    add_branch(plan, "order/give-back", &give_back->base);
    for (size_t i = 0; i < order->n_lines && i < PLAN_PARTS_MAX; i++) {
        shop__take_back__init(&backs[i]);
        backs[i].item = order->lines[i]->item;
        backs[i].quantity = order->lines[i]->quantity;
        backs[i].warehouse = order->lines[i]->warehouse;
        add_branch(plan, "stock/take-back", &backs[i].base);
    }
    add_branch(plan, "payment/refund", &refund->base);
}
