/* SPDX-License-Identifier: Apache-2.0
 *
 * Payments at a bank that takes its time: the hooks begin them, and tell later how they ended.
 * The bank is a folder with a file for each payment; its name is the key by which the bank knows
 * that it was asked before.
 */
#include <fcntl.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <tercet/tercet.h>
#include <unistd.h>

/* -- The bank ---------------------------------------------------------------------------------- */

static unsigned bank_seconds = 1; /* that the bank takes for an answer */

/* A hold of what was given back is turned down; whoever asks again is told the same. */
static int bank_ask(const char *bank, const char *key, enum tercet_kind kind)
{
    static pthread_mutex_t one_at_a_time = PTHREAD_MUTEX_INITIALIZER;
    static const char words[] = {'?', 'h', 'c', 'g'}; /* held, captured, given back */
    char path[512], was = '?';
    sleep(bank_seconds);
    snprintf(path, sizeof(path), "%s/%s", bank, key);
    pthread_mutex_lock(&one_at_a_time);
    int file = open(path, O_RDWR | O_CREAT, 0600);
    bool is_known = file >= 0 && read(file, &was, 1) == 1;
    bool is_late = kind == TERCET_TRY && is_known && was != words[TERCET_TRY];
    bool is_kept = file >= 0 && (is_late || pwrite(file, &words[kind], 1, 0) == 1);
    pthread_mutex_unlock(&one_at_a_time);
    if (file >= 0)
        close(file);
    if (!is_kept)
        return TERCET_AGAIN;
    return is_late ? TERCET_REFUSED : 0;
}

/* -- The hooks --------------------------------------------------------------------------------- */

struct payment {
    struct tercet_participant *participant;
    struct tercet_deferred deferred;
    const char *bank;
    enum tercet_kind kind;
    char key[TERCET_GID_MAX + 12];
};

/* In a thread of its own, as an answer from a network would come. */
static void *pay(void *ctx)
{
    struct payment *payment = ctx;
    const struct tercet_bytes receipt = {payment->key, strlen(payment->key)};
    int code = bank_ask(payment->bank, payment->key, payment->kind);
    tercet_finish(payment->participant, payment->deferred, code, receipt,
                  code == 0 ? NULL : "the bank said no");
    free(payment);
    return NULL;
}

/* All three hooks: the call says which. */
static int begin(const struct tercet_call *call, void *bank)
{
    pthread_t thread;
    struct payment *payment = calloc(1, sizeof(*payment));
    if (payment == NULL)
        return TERCET_NOMEM;
    payment->participant = call->participant;
    payment->bank = bank;
    payment->kind = call->kind;
    snprintf(payment->key, sizeof(payment->key), "%s.%u", call->gid, call->branch.number);
    int rc = tercet_defer(call, &payment->deferred);
    if (rc == TERCET_DEFERRED && pthread_create(&thread, NULL, pay, payment) != 0)
        rc = tercet_again(call, "no thread can be started"); /* which takes the deferral back */
    if (rc == TERCET_DEFERRED)
        pthread_detach(thread);
    else
        free(payment);
    return rc;
}

static int fail(const char *text)
{
    fprintf(stderr, "%s\n", text);
    return 1;
}

int main(int argc, char **argv)
{
    const struct tercet_action hold = {.name = "hold",
                                       .on_try = begin,
                                       .on_confirm = begin,
                                       .on_cancel = begin,
                                       .is_deferred = true,
                                       .call_timeout_ms = 60000};
    struct tercet_participant_options options = {.size = sizeof(options)};
    struct tercet_participant *participant;
    char text[TERCET_TEXT_MAX];

    if (argc != 4 && argc != 5)
        return fail("usage: outside-payment COORDINATOR FILE BANK [SECONDS]   (BANK: a folder)");
    options.ctx = argv[3];
    if (argc == 5)
        bank_seconds = (unsigned)strtoul(argv[4], NULL, 10);
    if (tercet_barrier_sqlite_open(&options.barrier, argv[2], NULL, text) != 0)
        return fail(text);
    if (tercet_participant_open(&participant, argv[1], "payment", &hold, 1, &options, text) != 0)
        return fail(text);
    if (tercet_participant_wait(participant, 10000, text) != 0)
        return fail(text);
    fprintf(stderr, "ready\n");
    pause();
    return 0;
}
