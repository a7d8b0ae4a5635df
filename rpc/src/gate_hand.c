/* SPDX-License-Identifier: Apache-2.0
 *
 * Handing connections to gRPC, which may take a while: it reads at once what is there, on the
 * thread that hands over, and goes on as long as more comes. So this is not done by the thread that
 * accepts and watches, and when all who do it are held up there is one more of them.
 */
#include "gate.h"

#include <sys/socket.h>
#include <unistd.h>

static void take(struct gate *gate, const struct handover *handover)
{
    struct connection *connection = handover->connection;
    adopter_take(handover->listener->adopter, handover->listener->fd, handover->fd);
    pthread_mutex_lock(&gate->hand.lock);
    connection->is_in_hand = false;
    pthread_mutex_unlock(&gate->hand.lock);
    connection_unref(connection);
}

static void *hand_run(void *arg)
{
    struct gate *gate = arg;
    struct gate_hand *hand = &gate->hand;

    pthread_mutex_lock(&hand->lock);
    for (;;) {
        hand->idle_count++;
        while (hand->count == 0 && !hand->is_over)
            pthread_cond_wait(&hand->changed, &hand->lock);
        hand->idle_count--;
        if (hand->count == 0)
            break;
        struct handover handover = hand->queue[hand->first];
        hand->first = (hand->first + 1) % HANDOVERS_MAX;
        hand->count--;
        pthread_mutex_unlock(&hand->lock);
        take(gate, &handover);
        pthread_mutex_lock(&hand->lock);
    }
    pthread_mutex_unlock(&hand->lock);
    return NULL;
}

/* One more, if nobody is free; lock held. */
static void add_thread(struct gate *gate)
{
    struct gate_hand *hand = &gate->hand;
    if (hand->idle_count >= hand->count || hand->thread_count == HAND_THREADS_MAX)
        return;
    if (pthread_create(&hand->threads[hand->thread_count], NULL, hand_run, gate) != 0)
        return;
    pthread_setname_np(hand->threads[hand->thread_count], "crpc-hand");
    hand->thread_count++;
}

bool gate_hand_start(struct gate *gate)
{
    struct gate_hand *hand = &gate->hand;
    if (pthread_create(&hand->threads[0], NULL, hand_run, gate) != 0)
        return false;
    pthread_setname_np(hand->threads[0], "crpc-hand");
    hand->thread_count = 1;
    return true;
}

bool gate_hand_is_full(struct gate *gate)
{
    pthread_mutex_lock(&gate->hand.lock);
    bool is_full = gate->hand.count == HANDOVERS_MAX;
    pthread_mutex_unlock(&gate->hand.lock);
    return is_full;
}

void gate_hand_over(struct gate *gate, const struct gate_listener *listener,
                    struct connection *connection, int fd)
{
    struct gate_hand *hand = &gate->hand;

    atomic_fetch_add(&connection->refs, 1);
    pthread_mutex_lock(&hand->lock);
    connection->is_in_hand = true;
    hand->queue[(hand->first + hand->count) % HANDOVERS_MAX] =
        (struct handover){listener, connection, fd};
    hand->count++;
    add_thread(gate);
    pthread_cond_signal(&hand->changed);
    pthread_mutex_unlock(&hand->lock);
}

/* The gate's thread has ended: the connections stay as they are. Who still holds up a thread sends
 * without a pause; it is cut, or the end would wait for it. */
void gate_hand_stop(struct gate *gate)
{
    struct gate_hand *hand = &gate->hand;

    pthread_mutex_lock(&hand->lock);
    hand->is_over = true;
    while (hand->count > 0) {
        const struct handover *handover = &hand->queue[hand->first];
        close(handover->fd);
        handover->connection->is_in_hand = false;
        connection_unref(handover->connection);
        hand->first = (hand->first + 1) % HANDOVERS_MAX;
        hand->count--;
    }
    for (size_t i = 0; i < CONNECTION_BUCKETS; i++)
        for (struct connection *connection = gate->buckets[i]; connection != NULL;
             connection = connection->next)
            if (connection->is_in_hand)
                shutdown(connection->fd, SHUT_RDWR);
    pthread_cond_broadcast(&hand->changed);
    pthread_mutex_unlock(&hand->lock);
    for (unsigned i = 0; i < hand->thread_count; i++)
        pthread_join(hand->threads[i], NULL);
    hand->thread_count = 0;
}
