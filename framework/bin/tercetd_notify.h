/* SPDX-License-Identifier: Apache-2.0
 *
 * Tells systemd how far tercetd is (sd_notify(3)), where it was started with Type=notify.
 */
#ifndef TERCETD_NOTIFY_H
#define TERCETD_NOTIFY_H

#include <stdint.h>

/* "READY=1", "RELOADING=1", "STOPPING=1", "WATCHDOG=1". Does nothing without NOTIFY_SOCKET. */
void notify(const char *state);

/* After how long without a sign of life systemd's watchdog ends this process; 0: never. */
int64_t notify_watchdog_ms(void);

#endif
