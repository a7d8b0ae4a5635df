/* SPDX-License-Identifier: Apache-2.0
 *
 * The flash sale: many buyers want one piece each of the same thing at the same moment.
 */
#ifndef SHOP_FLASH_H
#define SHOP_FLASH_H

#include <crpc/crpc.h>
#include <tercet/tercet.h>

#define FLASH_BUYERS_MAX 5000
#define FLASH_FIRST_CUSTOMER 100000 /* buyers' numbers begin here */

struct flash {
    uint32_t buyers, pieces;              /* asked for */
    uint32_t confirmed, refused, unknown; /* how it went */
    int64_t elapsed_ms;                   /* from the first order to the last answer */
    char text[TERCET_TEXT_MAX];           /* why it did not begin */
};

/* Opens wallets, fills the shelf, and sells. Blocks, some seconds at most. 0, or -1 with the text.
 */
int flash_run(struct flash *flash, struct tercet_client *client, struct crpc_channel *stock,
              struct crpc_channel *payment);

#endif
