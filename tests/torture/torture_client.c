/* SPDX-License-Identifier: Apache-2.0
 *
 * torture_client: buys in the shop of samples/, in every form, and logs what it asks and is told
 * (history.h). A few watchers ask for transactions of the last moments meanwhile, straight at
 * tercetd. From "ready" until SIGTERM.
 */
#include "draw.h"
#include "history.h"

#include <fcntl.h>
#include <options.h>
#include <pthread.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "catalogue/catalogue.h"
#include "order.pb-c.h"
#include "payment.pb-c.h"
#include "stock.pb-c.h"

#define BUYERS_MAX 64
#define RECENT 256 /* transactions that the watchers choose from */
#define ASKS_MAX 20
#define ASK_PAUSE_MS 100
#define WATCH_PAUSE_MS 3
#define TIMEOUT_MS 20000
#define DEADLINE_MS 2000
#define ITEMS (CATALOGUE_ITEMS + 1) /* the last one is not in the catalogue: refused */

static struct {
    const char *coordinator, *direct, *log_path;
    int64_t seed, buyers, watchers, pause_ms;
    int log;
    struct tercet_client *client, *watching;
    pthread_mutex_t lock; /* over `recent` and `recent_count` */
    struct tercet_gid recent[RECENT];
    uint64_t recent_count;
} settings = {.seed = 1, .buyers = 12, .watchers = 1, .lock = PTHREAD_MUTEX_INITIALIZER};

static volatile sig_atomic_t is_stopping;

static void on_stop(int signal)
{
    (void)signal;
    is_stopping = 1;
}

static void pause_for(int64_t ms)
{
    const struct timespec time = {.tv_sec = ms / 1000, .tv_nsec = ms % 1000 * 1000000};
    nanosleep(&time, NULL);
}

/* -- One order --------------------------------------------------------------------------------- */

struct order {
    struct tercet_gid gid;
    Shop__Reserve reserve;
    Shop__Hold hold;
    Shop__Place place;
    struct tercet_begin_options begin;
};

static void make_order(struct order *order, uint64_t *state)
{
    uint32_t item = 1 + (uint32_t)draw(state, ITEMS),
             customer = 1 + (uint32_t)draw(state, CATALOGUE_CUSTOMERS);
    uint32_t quantity = 1 + (uint32_t)draw(state, 5);
    memset(order, 0, sizeof(*order));
    tercet_gid_make(&order->gid);
    shop__reserve__init(&order->reserve);
    shop__hold__init(&order->hold);
    shop__place__init(&order->place);
    order->reserve.item = order->place.item = item;
    order->reserve.quantity = order->place.quantity = quantity;
    order->hold.customer = order->place.customer = customer;
    order->reserve.total_cents = order->hold.amount_cents = order->place.total_cents =
        catalogue_price_cents(item) * quantity;
    order->begin = (struct tercet_begin_options){
        .size = sizeof(order->begin), .gid = order->gid.text, .deadline_ms = DEADLINE_MS};
    pthread_mutex_lock(&settings.lock);
    settings.recent[settings.recent_count++ % RECENT] = order->gid;
    pthread_mutex_unlock(&settings.lock);
}

/* What is not known is waited for, as long as somebody is there to ask. */
static void ask(const char *gid)
{
    struct tercet_result result = {.code = TERCET_UNKNOWN};
    for (int i = 0; i < ASKS_MAX && !is_stopping; i++) {
        int64_t asked_us = history_asks(settings.log, gid, "get");
        result = (struct tercet_result){.code = TERCET_UNKNOWN};
        int code = tercet_await(settings.client, gid, TERCET_WAIT_DECIDED, 0, &result);
        history_told(settings.log, gid, "get", code, result.state, asked_us);
        if (code != TERCET_UNKNOWN)
            return;
    }
}

/* Who is turned away does not come back at once. */
static void calm_down(int code)
{
    if (code == TERCET_EXHAUSTED || code == TERCET_UNAVAILABLE)
        pause_for(ASK_PAUSE_MS);
}

static void run(struct order *order)
{
    const struct tercet_branch branches[] = {
        {.action = "stock/reserve", .request = &order->reserve.base},
        {.action = "payment/hold", .request = &order->hold.base},
        {.action = "order/place", .request = &order->place.base},
    };
    struct tercet_result result = {.code = TERCET_UNKNOWN};
    int64_t asked_us = history_asks(settings.log, order->gid.text, "run");
    int code = tercet_run(settings.client, branches, 3, &order->begin, &result);
    history_told(settings.log, order->gid.text, "run", code, result.state, asked_us);
    if (code == TERCET_UNKNOWN)
        ask(order->gid.text);
    calm_down(code);
}

static int try(struct tercet_transaction *transaction, const struct order *order,
               const char *action, const ProtobufCMessage *request)
{
    const struct tercet_branch branch = {.action = action, .request = request};
    struct tercet_tried tried = {.code = TERCET_UNKNOWN};
    int64_t asked_us = history_asks(settings.log, order->gid.text, "try");
    int code = tercet_try(transaction, &branch, &tried);
    history_told(settings.log, order->gid.text, "try", code, 0, asked_us);
    tercet_tried_clear(&tried);
    calm_down(code);
    return code;
}

static void decide(struct tercet_transaction *transaction, const struct order *order,
                   bool is_wanted)
{
    const char *op = is_wanted ? "confirm" : "cancel";
    struct tercet_result result = {.code = TERCET_UNKNOWN};
    int code;
    do {
        int64_t asked_us = history_asks(settings.log, order->gid.text, op);
        code = is_wanted ? tercet_confirm(transaction, TERCET_WAIT_DECIDED, &result)
                         : tercet_cancel(transaction, TERCET_WAIT_DECIDED,
                                         "the buyer thinks better of it", &result);
        history_told(settings.log, order->gid.text, op, code, result.state, asked_us);
        if (code == TERCET_NOT_READY)
            /* back from a crash, it asks for the tries again; or the deadline ends it */
            pause_for(ASK_PAUSE_MS);
    } while (code == TERCET_NOT_READY);
    if (code == TERCET_UNKNOWN)
        ask(order->gid.text);
}

/* Some think better of it after any of the tries. (Before the first there is nothing that tercetd
 * would know of.) */
static void step(struct order *order, uint64_t *state)
{
    struct tercet_transaction *transaction = NULL;
    uint64_t tries = 1 + draw(state, 3);
    bool is_wanted = draw(state, 4) != 0;
    if (is_wanted)
        tries = 3;
    if (tercet_begin(&transaction, settings.client, &order->begin) != 0)
        return;
    int code = try(transaction, order, "stock/reserve", &order->reserve.base);
    if (code == 0 && tries > 1)
        code = try(transaction, order, "payment/hold", &order->hold.base);
    if (code == 0 && tries > 2)
        code = try(transaction, order, "order/place", &order->place.base);
    decide(transaction, order, code == 0 && is_wanted);
    tercet_transaction_free(transaction);
}

static void *buy(void *ctx)
{
    uint64_t state = (uint64_t)settings.seed << 16 ^ (uint64_t)(uintptr_t)ctx;
    struct order order;
    while (!is_stopping) {
        make_order(&order, &state);
        if (draw(&state, 2) == 0)
            run(&order);
        else
            step(&order, &state);
        pause_for(settings.pause_ms);
    }
    return NULL;
}

/* -- Watching ---------------------------------------------------------------------------------- */

static bool pick_recent(struct tercet_gid *gid, uint64_t *state)
{
    pthread_mutex_lock(&settings.lock);
    uint64_t count = settings.recent_count < RECENT ? settings.recent_count : RECENT;
    if (count > 0)
        *gid = settings.recent[draw(state, count)];
    pthread_mutex_unlock(&settings.lock);
    return count > 0;
}

static void *watch(void *ctx)
{
    uint64_t state = (uint64_t)settings.seed << 16 ^ 0x8000 ^ (uint64_t)(uintptr_t)ctx;
    struct tercet_gid gid;
    while (!is_stopping) {
        struct tercet_result result = {.code = TERCET_UNKNOWN};
        if (pick_recent(&gid, &state)) {
            int64_t asked_us = history_now_us();
            int code = tercet_get(settings.watching, gid.text, &result);
            history_told(settings.log, gid.text, "get", code, result.state, asked_us);
        }
        pause_for(WATCH_PAUSE_MS);
    }
    return NULL;
}

/* -- The program ------------------------------------------------------------------------------- */

static void parse(int argc, char **argv)
{
    const struct option_entry table[] = {
        {"coordinator", OPTION_TEXT, &settings.coordinator,
         "where to buy: tercetd, or a proxy of it"},
        {"direct", OPTION_TEXT, &settings.direct, "where to watch: tercetd"},
        {"log", OPTION_TEXT, &settings.log_path, "what is asked and told is appended to this file"},
        {"seed", OPTION_NUMBER, &settings.seed, "of the orders (default 1)"},
        {"buyers", OPTION_NUMBER, &settings.buyers, "orders at once (default 12)"},
        {"watchers", OPTION_NUMBER, &settings.watchers, "(default 1)"},
        {"pause", OPTION_DURATION, &settings.pause_ms, "after each order (default none)"},
    };
    struct options options = {.program = "torture_client",
                              .summary = "Buys, watches, and logs both.\n"};
    options_add(&options, table, sizeof(table) / sizeof(table[0]));
    options_parse(&options, argc, argv);
    if (settings.coordinator == NULL || settings.direct == NULL || settings.log_path == NULL)
        options_fail(&options, "coordinator", "and --direct and --log are needed");
    if (settings.buyers + settings.watchers > BUYERS_MAX)
        options_fail(&options, "buyers", "64 with the watchers");
}

static void open_client(struct tercet_client **out, const char *address)
{
    const struct tercet_client_options options = {.size = sizeof(options),
                                                  .timeout_ms = TIMEOUT_MS};
    char text[TERCET_TEXT_MAX];
    if (tercet_client_open(out, address, &options, text) == 0)
        return;
    fprintf(stderr, "torture_client: %s: %s\n", address, text);
    exit(1);
}

int main(int argc, char **argv)
{
    const struct sigaction stop = {.sa_handler = on_stop, .sa_flags = SA_RESTART};
    pthread_t threads[BUYERS_MAX];
    size_t count = 0;
    parse(argc, argv);
    sigaction(SIGTERM, &stop, NULL);
    signal(SIGPIPE, SIG_IGN);
    settings.log = open(settings.log_path, O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC, 0600);
    if (settings.log < 0) {
        perror(settings.log_path);
        return 1;
    }
    open_client(&settings.client, settings.coordinator);
    open_client(&settings.watching, settings.direct);
    puts("ready");
    fflush(stdout);
    for (int64_t i = 0; i < settings.buyers + settings.watchers; i++)
        if (pthread_create(&threads[count], NULL, i < settings.buyers ? buy : watch,
                           (void *)(uintptr_t)i) == 0)
            count++;
    while (count > 0)
        pthread_join(threads[--count], NULL);
    tercet_client_close(settings.client);
    tercet_client_close(settings.watching);
    close(settings.log);
    return 0;
}
