/* SPDX-License-Identifier: Apache-2.0
 *
 * tercetd_dev.h
 */
#include "tercetd_dev.h"

#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <tercet/barrier.h>
#include <tercet/participant.h>

#define SEATS 3
#define WAIT_MS 10000

/* A service with seats. All of it dies with the process, as the coordinator's store in memory does.
 */
struct service {
    const char *name;
    pthread_mutex_t lock;
    int free, reserved, taken;
    struct tercet_barrier *barrier;
    struct tercet_participant *participant;
};

struct dev {
    struct service services[2];
};

/* -- Hooks ------------------------------------------------------------------------------------- */

static int on_try(const struct tercet_call *call, void *ctx)
{
    struct service *service = ctx;
    pthread_mutex_lock(&service->lock);
    const bool has_seat = service->free > 0;
    service->free -= has_seat;
    service->reserved += has_seat;
    pthread_mutex_unlock(&service->lock);
    return has_seat ? 0 : tercet_refuse(call, "%s: no seat left", service->name);
}

static int on_confirm(const struct tercet_call *call, void *ctx)
{
    struct service *service = ctx;
    (void)call;
    pthread_mutex_lock(&service->lock);
    service->reserved--;
    service->taken++;
    pthread_mutex_unlock(&service->lock);
    return 0;
}

static int on_cancel(const struct tercet_call *call, void *ctx)
{
    struct service *service = ctx;
    (void)call;
    pthread_mutex_lock(&service->lock);
    service->reserved--;
    service->free++;
    pthread_mutex_unlock(&service->lock);
    return 0;
}

/* -- Starting and stopping --------------------------------------------------------------------- */

static int open_service(struct service *service, const char *address, char *text)
{
    const struct tercet_action book = {
        .name = "book", .on_try = on_try, .on_confirm = on_confirm, .on_cancel = on_cancel};
    struct tercet_participant_options options = {.size = sizeof(options), .ctx = service};
    pthread_mutex_init(&service->lock, NULL);
    service->free = SEATS;
    int rc = tercet_barrier_memory_open(&service->barrier, NULL);
    options.barrier = service->barrier;
    if (rc == 0)
        rc = tercet_participant_open(&service->participant, address, service->name, &book, 1,
                                     &options, text);
    return rc == 0 ? tercet_participant_wait(service->participant, WAIT_MS, text) : rc;
}

static void print_what_to_try(const char *address, const char *console)
{
    const char *option = strcmp(address, "127.0.0.1:7420") == 0 ? "" : " --coordinator ";
    const char *named = option[0] != '\0' ? address : "";
    printf(
        "\nA coordinator, its store in memory, and two services, flight and hotel, with %d seats "
        "each.\nIn another terminal:\n\n",
        SEATS);
    printf("  tercetctl%s%s run flight/book hotel/book   # %d times; then there is no seat left\n"
           "  tercetctl%s%s ls --resolved                # how they ended, and why\n"
           "  tercetctl%s%s top                          # all of it, live\n\n",
           option, named, SEATS, option, named, option, named);
    printf("And what hangs, seats or not; run prints its GID first:\n\n"
           "  tercetctl%s%s pause hotel\n"
           "  tercetctl%s%s run hotel/book &             # waits, at most 10 s\n"
           "  tercetctl%s%s why GID                      # the reason, and what helps\n"
           "  tercetctl%s%s resume hotel                 # now it goes on\n\n",
           option, named, option, named, option, named, option, named);
    if (console != NULL)
        printf("In a browser: %s\n\n", console);
    puts("Ctrl-C ends it, and all of it is gone.");
    fflush(stdout);
}

struct dev *dev_start(const char *address, const char *console)
{
    char text[TERCET_TEXT_MAX] = "";
    struct dev *dev = calloc(1, sizeof(*dev));
    if (dev == NULL)
        return NULL;
    dev->services[0].name = "flight";
    dev->services[1].name = "hotel";
    for (size_t i = 0; i < 2; i++) {
        if (open_service(&dev->services[i], address, text) == 0)
            continue;
        fprintf(stderr, "tercetd: the service %s does not start: %s\n", dev->services[i].name,
                text);
        dev_stop(dev);
        return NULL;
    }
    print_what_to_try(address, console);
    return dev;
}

void dev_stop(struct dev *dev)
{
    if (dev == NULL)
        return;
    for (size_t i = 0; i < 2; i++) {
        if (dev->services[i].participant != NULL)
            tercet_participant_close(dev->services[i].participant);
        if (dev->services[i].barrier != NULL)
            tercet_barrier_close(dev->services[i].barrier);
    }
    free(dev);
}
