/* SPDX-License-Identifier: Apache-2.0
 *
 * Tells systemd how far tercetd is (sd_notify(3)), where it was started with Type=notify.
 */
#ifndef TERCETD_NOTIFY_H
#define TERCETD_NOTIFY_H

/* "READY=1", "RELOADING=1", "STOPPING=1". Does nothing without NOTIFY_SOCKET. */
void notify(const char *state);

#endif
