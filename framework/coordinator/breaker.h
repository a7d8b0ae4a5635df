/* SPDX-License-Identifier: Apache-2.0
 *
 * A circuit breaker (Nygard, Release It!): a service that does not answer gets one probe at a time,
 * further and further apart, and not one call a transaction. One a service. No clock of its own;
 * all zero is a closed one.
 */
#ifndef TERCET_BREAKER_H
#define TERCET_BREAKER_H

#include <stdbool.h>
#include <stdint.h>

#define BREAKER_FAILURES 5        /* in a row open it, */
#define BREAKER_PAUSE_MS 100      /* and the first probe goes after this, */
#define BREAKER_PAUSE_MAX_MS 5000 /* doubling up to this */

struct breaker {
    uint32_t failures; /* in a row */
    bool is_open;
    bool is_probing;   /* the probe is under way */
    uint32_t pause_ms; /* before the next probe */
    int64_t probe_ms;  /* when it may go */
};

/* Whether a call may be sent now. */
bool breaker_lets_through(const struct breaker *breaker, int64_t now_ms);

/* A call was sent: the probe, when the breaker is open. */
void breaker_note_sent(struct breaker *breaker);

/* The probe has gone with its connection: nobody will answer it. */
void breaker_lose_probe(struct breaker *breaker);

/* A call got no answer. Whether this is what opened it. */
bool breaker_fail(struct breaker *breaker, int64_t now_ms);

/* The service has shown that it is there. Whether the breaker was open. */
bool breaker_close(struct breaker *breaker);

#endif
