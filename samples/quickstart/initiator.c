/* SPDX-License-Identifier: Apache-2.0
 *
 * Books a flight and a hotel, both or neither.
 */
#include <stdio.h>
#include <tercet/tercet.h>

int main(int argc, char **argv)
{
    const struct tercet_branch trip[] = {{.action = "flight/book"}, {.action = "hotel/book"}};
    struct tercet_client *client;
    struct tercet_result result;
    char text[TERCET_TEXT_MAX];

    if (argc != 2) {
        fprintf(stderr, "usage: %s COORDINATOR\n", argv[0]);
        return 2;
    }
    if (tercet_client_open(&client, argv[1], NULL, text) != 0) {
        fprintf(stderr, "%s\n", text);
        return 2;
    }
    if (tercet_client_wait(client, 2000, text) != 0) {
        fprintf(stderr, "no coordinator at %s: %s\n", argv[1], text);
        tercet_client_close(client);
        return 2;
    }
    int rc = tercet_run(client, trip, 2, NULL, &result);
    if (rc == 0)
        printf("%s: flight and hotel are booked\n", result.gid.text);
    else
        printf("%s: %s\n", result.gid.text, result.text);
    tercet_client_close(client);
    return rc == 0 ? 0 : 1;
}
