/* SPDX-License-Identifier: Apache-2.0
 *
 * Messages as JSON and back, by their descriptors: a field that is added to the .proto needs no
 * line here. Names are those of the .proto, enums are their names, bytes base64; integers past 2^53
 * are strings.
 */
#ifndef TERCET_JSON_H
#define TERCET_JSON_H

#include <cjson/cJSON.h>
#include <protobuf-c/protobuf-c.h>

/* What is made of a text from outside; NULL without memory. */
typedef cJSON *json_text_fn(const char *text);

/* The caller's; NULL without memory. `of_text` NULL: texts are what they are. */
cJSON *json_of_message(const ProtobufCMessage *message, json_text_fn *of_text);

/* A request made of an object; its strings are views of the JSON. */
struct json_request {
    ProtobufCMessage *message;
    void *blocks[64]; /* what it is made of */
    size_t block_count;
};

/* NULL, or what is wrong with it (a text of the program's). To be cleared in any case. */
const char *json_take(struct json_request *out, const ProtobufCMessageDescriptor *type,
                      const cJSON *json);
void json_clear(struct json_request *request);

#endif
