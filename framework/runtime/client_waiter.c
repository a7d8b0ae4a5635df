/* SPDX-License-Identifier: Apache-2.0
 *
 * client.h: blocking calls; one thread waits for what a callback says on another.
 */
#include "client.h"

#include <assert.h>
#include <check.h>
#include <stdlib.h>
#include <string.h>

static _Thread_local unsigned callback_depth;

void client_callback_begin(void)
{
    callback_depth++;
}

void client_callback_end(void)
{
    assert(callback_depth > 0);
    callback_depth--;
}

void client_assert_may_block(void)
{
    assert(callback_depth == 0 && "a callback of a client must not block");
}

void client_waiter_init(struct client_waiter *waiter, struct tercet_result *result,
                        struct tercet_tried *tried)
{
    *waiter = (struct client_waiter){.result = result, .tried = tried};
    pthread_mutex_init(&waiter->lock, NULL);
    pthread_cond_init(&waiter->changed, NULL);
}

static void wake_waiter(struct client_waiter *waiter, int code)
{
    pthread_mutex_lock(&waiter->lock);
    waiter->code = code;
    waiter->is_done = true;
    pthread_cond_signal(&waiter->changed);
    pthread_mutex_unlock(&waiter->lock);
}

void client_on_waited_result(const struct tercet_result *result, void *ctx)
{
    struct client_waiter *waiter = ctx;
    if (waiter->result != NULL)
        *waiter->result = *result;
    wake_waiter(waiter, result->code);
}

void client_on_waited_tried(const struct tercet_tried *tried, void *ctx)
{
    struct client_waiter *waiter = ctx;
    int code = tried->code;
    if (waiter->tried != NULL) {
        void *copy = tried->reply.size > 0 ? malloc(tried->reply.size) : NULL;
        *waiter->tried = *tried;
        waiter->tried->reply =
            (struct tercet_bytes){.data = copy, .size = copy != NULL ? tried->reply.size : 0};
        if (copy != NULL)
            memcpy(copy, tried->reply.data, tried->reply.size);
        else if (tried->reply.size > 0)
            waiter->tried->code = code = TERCET_NOMEM;
    }
    wake_waiter(waiter, code);
}

static void fill_tries(struct client_waiter *waiter, const struct client_answer *answer)
{
    for (size_t i = 0; i < waiter->try_count; i++)
        waiter->tries[i] = client_answer_tried(answer, (uint32_t)i + 1);
}

void client_on_waited_plan(const struct client_answer *answer, void *ctx)
{
    fill_tries(ctx, answer);
    client_on_waited_result(&answer->result, ctx);
}

static void fill_failure(struct client_waiter *waiter, const struct tercet_gid *gid,
                         const struct refusal *no)
{
    struct client_answer answer = {.result = {.code = no->code, .gid = *gid}};
    copy_text(answer.result.text, no->text);
    fill_tries(waiter, &answer);
    if (waiter->result != NULL)
        *waiter->result = answer.result;
    if (waiter->tried != NULL) {
        *waiter->tried = (struct tercet_tried){.code = no->code};
        copy_text(waiter->tried->text, no->text);
    }
    waiter->code = no->code;
}

int client_waiter_end(struct client_waiter *waiter, int rc, const struct tercet_gid *gid,
                      const struct refusal *no)
{
    if (rc != 0) {
        fill_failure(waiter, gid, no);
    } else {
        pthread_mutex_lock(&waiter->lock);
        while (!waiter->is_done)
            pthread_cond_wait(&waiter->changed, &waiter->lock);
        pthread_mutex_unlock(&waiter->lock);
    }
    pthread_cond_destroy(&waiter->changed);
    pthread_mutex_destroy(&waiter->lock);
    return waiter->code;
}
