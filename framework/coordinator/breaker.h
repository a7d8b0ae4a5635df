/* SPDX-License-Identifier: Apache-2.0
 *
 * A circuit breaker (Nygard, Release It!), one per service: a service that does not answer gets one
 * probe at a time, at growing intervals, instead of a call for every transaction. It reads no
 * clock: time is an argument. A zeroed one is closed.
 */
#ifndef TERCET_BREAKER_H
#define TERCET_BREAKER_H

#include <stdbool.h>
#include <stdint.h>

#define BREAKER_FAILURES 5        /* failures in a row that open it */
#define BREAKER_PAUSE_MS 100      /* before the first probe; doubles with each that fails, */
#define BREAKER_PAUSE_MAX_MS 5000 /* up to this */

struct breaker {
    uint32_t failures; /* in a row */
    bool is_open;
    bool is_probing;   /* a probe is under way */
    uint32_t pause_ms; /* between the last failure and the next probe */
    int64_t probe_ms;  /* when the next probe may be sent */
};

/* Whether a call may be sent now. */
bool breaker_lets_through(const struct breaker *breaker, int64_t now_ms);

/* A call was sent; when the breaker is open it is the probe. */
void breaker_note_sent(struct breaker *breaker);

/* The probe's connection broke: nobody will answer it, and another may be sent. */
void breaker_lose_probe(struct breaker *breaker);

/* A call failed. Whether that opened the breaker. */
bool breaker_fail(struct breaker *breaker, int64_t now_ms);

/* The service has answered. Whether the breaker was open before. */
bool breaker_close(struct breaker *breaker);

#endif
