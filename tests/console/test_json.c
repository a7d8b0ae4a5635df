/* SPDX-License-Identifier: Apache-2.0
 *
 * Messages as JSON, and requests of JSON.
 */
#include <criterion/criterion.h>
#include <json.h>
#include <string.h>
#include <tercet/v1/tercet.pb-c.h>

static const char *take(struct json_request *out, const ProtobufCMessageDescriptor *type,
                        const char *text, cJSON **json)
{
    *json = cJSON_Parse(text);
    cr_assert_not_null(*json, "%s", text);
    return json_take(out, type, *json);
}

Test(json, a_request_is_what_it_says)
{
    struct json_request request;
    cJSON *json;
    cr_assert_null(take(&request, &tercet__v1__list_request__descriptor,
                        "{\"states\": [\"TRYING\", \"CANCELLING\"], \"parked\": true, \"service\": "
                        "\"stock\", \"page_size\": 7, \"metadata\": [{\"key\": \"a\", \"value\": "
                        "\"b\"}]}",
                        &json));
    const Tercet__V1__ListRequest *list = (const Tercet__V1__ListRequest *)request.message;
    cr_assert_eq(list->n_states, 2);
    cr_assert_eq(list->states[1], TERCET__V1__STATE__CANCELLING);
    cr_assert(list->parked);
    cr_assert_str_eq(list->service, "stock");
    cr_assert_eq(list->page_size, 7);
    cr_assert_eq(list->n_metadata, 1);
    cr_assert_str_eq(list->metadata[0]->value, "b");
    json_clear(&request);
    cJSON_Delete(json);
}

Test(json, nonsense_is_refused)
{
    static const char *const wrong[] = {
        "{\"page_size\": -1}",
        "{\"page_size\": 4294967296}",
        "{\"page_size\": 1.5}",
        "{\"page_size\": \"1\"}",
        "{\"parked\": 1}",
        "{\"states\": [0]}",
        "{\"states\": \"TRYING\"}",
        "{\"metadata\": [[]]}",
        "{\"service\": null}",
        "{\"nothing\": 1}",
        "{\"parked\": true, \"parked\": true}",
        "{\"states\": [], \"service\": \"a\", \"states\": []}",
        "{\"metadata\": [{\"key\": \"a\", \"value\": \"\", \"key\": \"b\"}]}",
    };
    for (size_t i = 0; i < sizeof(wrong) / sizeof(wrong[0]); i++) {
        struct json_request request;
        cJSON *json;
        cr_assert_not_null(take(&request, &tercet__v1__list_request__descriptor, wrong[i], &json),
                           "%s", wrong[i]);
        json_clear(&request);
        cJSON_Delete(json);
    }
}

Test(json, a_message_is_told_whole)
{
    Tercet__V1__Transaction transaction = TERCET__V1__TRANSACTION__INIT;
    Tercet__V1__BranchStatus branch = TERCET__V1__BRANCH_STATUS__INIT, *branches[] = {&branch};
    uint8_t reply[] = {0, 1, 255, 4};
    transaction.gid = (char *)"a\"<b>";
    transaction.state = TERCET__V1__STATE__CONFIRMING;
    transaction.number = UINT64_MAX;
    transaction.created_ms = 1000000000000000;
    transaction.deadline_ms = -5;
    transaction.branches = branches;
    transaction.n_branches = 1;
    branch.reply = (ProtobufCBinaryData){.data = reply, .len = sizeof(reply)};
    cJSON *made = json_of_message(&transaction.base, NULL);
    char *text = cJSON_PrintUnformatted(made);
    cJSON *json = cJSON_Parse(text);
    cr_assert_not_null(strstr(text, "\"created_ms\":1000000000000000,"),
                       "a number is not printed as 1e+15: %s", text);
    const cJSON *of_branch = cJSON_GetArrayItem(cJSON_GetObjectItem(json, "branches"), 0);
    cr_assert_str_eq(cJSON_GetObjectItem(json, "gid")->valuestring, "a\"<b>");
    cr_assert_str_eq(cJSON_GetObjectItem(json, "state")->valuestring, "CONFIRMING");
    cr_assert_str_eq(cJSON_GetObjectItem(json, "number")->valuestring, "18446744073709551615");
    cr_assert_eq(cJSON_GetObjectItem(json, "deadline_ms")->valuedouble, -5);
    cr_assert_str_eq(cJSON_GetObjectItem(of_branch, "reply")->valuestring, "AAH/BA==");
    cr_assert(cJSON_IsNull(cJSON_GetObjectItem(of_branch, "obstacle")));
    cJSON_Delete(json);
    cJSON_Delete(made);
    cJSON_free(text);
}
