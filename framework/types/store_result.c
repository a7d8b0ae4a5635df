/* SPDX-License-Identifier: Apache-2.0
 *
 * The texts of the store's results (tercet/sys/store.h): in a file of its own, because it is
 * public, and programs of ours link both the library and the store.
 */
#include <tercet/sys/store.h>

const char *tercet_store_strerror(int result)
{
    switch (result) {
    case 0:
        return "done";
#define STORE_RESULT_TEXT(name, value, text)                                                       \
    case name:                                                                                     \
        return text;
        TERCET_STORE_RESULT_MAP(STORE_RESULT_TEXT)
#undef STORE_RESULT_TEXT
    default:
        return "not a result of the store";
    }
}
