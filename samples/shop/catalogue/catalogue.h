/* SPDX-License-Identifier: Apache-2.0
 *
 * What buyers see before they order: items and their prices.
 */
#ifndef SHOP_CATALOGUE_H
#define SHOP_CATALOGUE_H

#include <stdint.h>

#define CATALOGUE_ITEMS 20     /* numbered from 1; what the programs take unless told otherwise */
#define CATALOGUE_FLASH 21     /* the item of the flash sale */
#define CATALOGUE_CUSTOMERS 50 /* also from 1 */
#define QUANTITY_MAX 100       /* of one item in one order */
#define ORDER_PIECES_MAX 1000  /* of all items in one order */

/* From 5.00 to 30.00. */
static inline int64_t catalogue_price_cents(uint32_t item)
{
    return 500 + (int64_t)(item * 7 % 11) * 250;
}

#endif
