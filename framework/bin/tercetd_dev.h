/* SPDX-License-Identifier: Apache-2.0
 *
 * tercetd dev: two services to try things out with, in the coordinator's own process.
 */
#ifndef TERCETD_DEV_H
#define TERCETD_DEV_H

struct dev;

/* Attaches the services to the coordinator at `address` and prints what to try, and the URL
 * of the console (NULL: there is none). NULL: it has said on standard error why not. */
struct dev *dev_start(const char *address, const char *console);

/* Lets calls under way end, and frees. */
void dev_stop(struct dev *dev);

#endif
