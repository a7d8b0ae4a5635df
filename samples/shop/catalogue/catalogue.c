/* SPDX-License-Identifier: Apache-2.0
 *
 * shop-catalogue: action catalogue/quote. A try refuses when a price is not what the buyer saw, and
 * there is nothing to confirm or to cancel: a check that belongs to the decision.
 */
#include "catalogue.h"

#include <ctype.h>
#include <money.h>
#include <service.h>
#include <stdio.h>
#include <string.h>

#include "catalogue.pb-c.h"

#define WORDS_MAX 500 /* bytes of a review */
#define PRICE_CENTS_MAX 10000000

static const char tables[] =
    "CREATE TABLE IF NOT EXISTS product (item BIGINT PRIMARY KEY, name VARCHAR(80) NOT NULL,"
    " about VARCHAR(300) NOT NULL, unit_cents BIGINT NOT NULL CHECK (unit_cents > 0));"
    "CREATE TABLE IF NOT EXISTS review (item BIGINT NOT NULL, author VARCHAR(64) NOT NULL,"
    " stars BIGINT NOT NULL, words VARCHAR(600) NOT NULL, PRIMARY KEY (item, author))";

static const struct {
    const char *name, *about;
} wares[CATALOGUE_ITEMS + 1] = {
    {"Teapot", "Pours without a drip. Holds four cups."},
    {"Mug", "Stoneware, with a handle for a whole hand."},
    {"Lamp", "Warm light, and a switch that one finds in the dark."},
    {"Plant", "Wants water on Sundays, and says so."},
    {"Clock", "Ticks softly, and is right more than twice a day."},
    {"Kite", "Flies from a light breeze on."},
    {"Umbrella", "Opens at once. Closes when asked to."},
    {"Backpack", "Twenty litres, and a pocket for keys."},
    {"Bicycle bell", "Rings clearly and in a friendly way."},
    {"Chess set", "Thirty-two pieces of beech and walnut."},
    {"Candle", "Beeswax. Burns for eight hours."},
    {"Notebook", "Lies flat. Two hundred pages, dotted."},
    {"Scarf", "Soft wool, long enough to share."},
    {"Basket", "Willow, woven by hand."},
    {"Vase", "For one branch or for many."},
    {"Radio", "All stations, and an off that is off."},
    {"Globe", "The world, not too small."},
    {"Puzzle", "A thousand parts. All of them are in the box."},
    {"Cushion", "Filled with spelt, covered with linen."},
    {"Telescope", "Shows the rings of Saturn on a clear night."},
    {"Golden ticket", "The flash sale: a hundred of them, and then no more."},
};

static int seed(const struct db *db)
{
    int is_empty = db_is_empty(db, "product");
    for (uint32_t item = 1; is_empty > 0 && item <= CATALOGUE_FLASH; item++)
        if (db_change(db, "INSERT INTO product VALUES (?1, ?2, ?3, ?4)", db_int(item),
                      db_text(wares[item - 1].name), db_text(wares[item - 1].about),
                      db_int(catalogue_price_cents(item))) != 1)
            return -1;
    return is_empty < 0 ? -1 : 0;
}

static int quote_try(const struct tercet_call *call, void *ctx)
{
    const Shop__Quote *quote = (const Shop__Quote *)call->request;
    int64_t cents;
    (void)ctx;
    for (size_t i = 0; i < quote->n_lines; i++) {
        const Shop__Quoted *line = quote->lines[i];
        int found = service_read(call, &cents, 1, "SELECT unit_cents FROM product WHERE item = ?1",
                                 db_int(line->item));
        if (found < 0)
            return service_failed(call);
        if (found == 0)
            return tercet_refuse(call, "there is no item %u", line->item);
        if (cents != line->unit_cents)
            return tercet_refuse(call, "item %u costs " MONEY " now, not " MONEY, line->item,
                                 MONEY_OF(cents), MONEY_OF(line->unit_cents));
    }
    return 0;
}

/* -- Questions --------------------------------------------------------------------------------- */

static int add_product(const struct db_row *row, void *ctx)
{
    Shop__Products *products = ctx;
    if (row->is_head)
        return 0;
    Shop__Product *product =
        query_add(&products->n_products, &products->products, &shop__product__descriptor);
    product->item = (uint32_t)row->values[0].number;
    product->name = strdup(row->values[1].text);
    product->about = strdup(row->values[2].text);
    product->unit_cents = row->values[3].number;
    product->review_count = (uint32_t)query_number(&row->values[4]);
    product->star_sum = (uint32_t)query_number(&row->values[5]);
    return 0;
}

/* "%words%" in lower case, with nothing in it that LIKE would take for a sign. */
static void make_pattern(char out[128], const char *words)
{
    size_t size = 0;
    out[size++] = '%';
    for (; *words != '\0' && size < 126; words++)
        out[size++] = strchr("%_\\", *words) != NULL ? ' ' : (char)tolower((unsigned char)*words);
    out[size++] = '%';
    out[size] = '\0';
}

static int answer_find(struct query *query)
{
    const Shop__Search *search = (const Shop__Search *)query->request;
    char pattern[128];
    make_pattern(pattern, search->words);
    int rows =
        db_each(&query->db, add_product, query->reply,
                "SELECT item, name, about, unit_cents,"
                " (SELECT count(*) FROM review AS r WHERE r.item = p.item) AS reviews,"
                " (SELECT coalesce(sum(stars), 0) FROM review AS r WHERE r.item = p.item) AS stars"
                " FROM product AS p WHERE (?1 = 0 OR item = ?1)"
                " AND (lower(name) LIKE ?2 OR lower(about) LIKE ?2) ORDER BY item",
                db_int(search->item), db_text(pattern));
    return rows < 0 ? -1 : 0;
}

static int add_review(const struct db_row *row, void *ctx)
{
    Shop__Reviews *reviews = ctx;
    if (row->is_head)
        return 0;
    Shop__Review *review =
        query_add(&reviews->n_reviews, &reviews->reviews, &shop__review__descriptor);
    review->item = (uint32_t)row->values[0].number;
    review->author = strdup(row->values[1].text);
    review->stars = (uint32_t)row->values[2].number;
    review->words = strdup(row->values[3].text);
    return 0;
}

static int fill_reviews(struct query *query, uint32_t item)
{
    int rows = db_each(&query->db, add_review, query->reply,
                       "SELECT item, author, stars, words FROM review WHERE item = ?1"
                       " ORDER BY author",
                       db_int(item));
    return rows < 0 ? -1 : 0;
}

static int answer_read(struct query *query)
{
    return fill_reviews(query, ((const Shop__Search *)query->request)->item);
}

/* One review an author: the last one counts. */
static int answer_write(struct query *query)
{
    const Shop__Review *review = (const Shop__Review *)query->request;
    int64_t cents;
    if (review->stars < 1 || review->stars > 5 || review->words[0] == '\0' ||
        strlen(review->words) > WORDS_MAX)
        return query_refuse(query, "a review has 1 to 5 stars, and 1 to %d bytes of text",
                            WORDS_MAX);
    int found = db_read(&query->db, &cents, 1, "SELECT unit_cents FROM product WHERE item = ?1",
                        db_int(review->item));
    if (found == 0)
        return query_refuse(query, "there is no item %u", review->item);
    if (found < 0 ||
        db_change(&query->db, "DELETE FROM review WHERE item = ?1 AND author = ?2",
                  db_int(review->item), db_text(review->author)) < 0 ||
        db_change(&query->db, "INSERT INTO review VALUES (?1, ?2, ?3, ?4)", db_int(review->item),
                  db_text(review->author), db_int(review->stars), db_text(review->words)) < 0)
        return -1;
    return fill_reviews(query, review->item);
}

static int answer_price(struct query *query)
{
    const Shop__Pricing *pricing = (const Shop__Pricing *)query->request;
    if (pricing->unit_cents < 1 || pricing->unit_cents > PRICE_CENTS_MAX)
        return query_refuse(query, "a price is 0.01 to " MONEY, MONEY_OF(PRICE_CENTS_MAX));
    int changed = db_change(&query->db, "UPDATE product SET unit_cents = ?2 WHERE item = ?1",
                            db_int(pricing->item), db_int(pricing->unit_cents));
    return changed < 0 ? -1 : 0;
}

int main(int argc, char **argv)
{
    const struct tercet_action actions[] = {
        {.name = "quote", .request = &shop__quote__descriptor, .on_try = quote_try},
    };
    const struct query_method queries[] = {{"Find", answer_find},
                                           {"Read", answer_read},
                                           {"Write", answer_write},
                                           {"Price", answer_price}};
    const struct service service = {.program = "shop-catalogue",
                                    .summary = "The shop's catalogue: serves catalogue/quote.\n",
                                    .name = "catalogue",
                                    .actions = actions,
                                    .action_count = 1,
                                    .tables = tables,
                                    .seed = seed,
                                    .asked = &shop__catalogue__descriptor,
                                    .queries = queries,
                                    .query_count = 4};
    return service_main(&service, argc, argv);
}
