/* SPDX-License-Identifier: Apache-2.0
 *
 * types.h: the names and texts, straight from its lists.
 */
#include <tercet/types.h>

const char *tercet_strerror(int error)
{
    switch (error) {
    case 0:
        return "done";
#define ERROR_TEXT(name, value, text)                                                              \
    case value:                                                                                    \
        return text;
        TERCET_ERROR_MAP(ERROR_TEXT)
#undef ERROR_TEXT
    default:
        return "an unknown result code";
    }
}

const char *tercet_error_name(int error)
{
    switch (error) {
    case 0:
        return "TERCET_OK";
#define ERROR_NAME(name, value, text)                                                              \
    case value:                                                                                    \
        return #name;
        TERCET_ERROR_MAP(ERROR_NAME)
#undef ERROR_NAME
    default:
        return "TERCET_?";
    }
}

const char *tercet_kind_name(int kind)
{
    switch (kind) {
    case TERCET_TRY:
        return "try";
    case TERCET_CONFIRM:
        return "confirm";
    case TERCET_CANCEL:
        return "cancel";
    default:
        return "?";
    }
}

const char *tercet_state_name(int state)
{
    switch (state) {
#define STATE_NAME(name, value, text)                                                              \
    case value:                                                                                    \
        return text;
        TERCET_STATE_MAP(STATE_NAME)
#undef STATE_NAME
    default:
        return "?";
    }
}

const char *tercet_cause_text(int cause)
{
    switch (cause) {
#define CAUSE_TEXT(name, value, text)                                                              \
    case value:                                                                                    \
        return text;
        TERCET_CAUSE_MAP(CAUSE_TEXT)
#undef CAUSE_TEXT
    default:
        return "?";
    }
}
