/* SPDX-License-Identifier: Apache-2.0
 *
 * The methods of Coordinator: what a request does to a transaction, and who is told what when.
 * plan.c checks and prepares; here nothing can be malformed any more.
 */
#ifndef TERCET_REQUEST_H
#define TERCET_REQUEST_H

#include "caller.h"
#include "find.h"

struct coordinator;

/* One request on its way. */
struct request {
    struct coordinator *c;
    struct caller *caller;
    uint64_t id;        /* in its session */
    struct found found; /* of the gid that it names, a view; of one that is to be made: nothing */
};

/* Answers the request with this message of the method's, or with an error. */
void request_answer(struct request *r, const ProtobufCMessage *message);
void request_refuse(struct request *r, int error, const char *text);

/* Each takes its own request's message, and what was found. */
void request_begin(struct request *r, const ProtobufCMessage *message);
void request_enlist(struct request *r, const ProtobufCMessage *message);
void request_try(struct request *r, const ProtobufCMessage *message);
void request_confirm(struct request *r, const ProtobufCMessage *message);
void request_cancel(struct request *r, const ProtobufCMessage *message);
void request_run(struct request *r, const ProtobufCMessage *message);
void request_get(struct request *r, const ProtobufCMessage *message);
void request_await(struct request *r, const ProtobufCMessage *message);
void request_watch(struct request *r, const ProtobufCMessage *message);

/* Tries the confirms again that waited and are ready. Whether there were any. */
bool request_confirm_ready(struct coordinator *c);

#endif
