/* SPDX-License-Identifier: Apache-2.0 */
#include <stdio.h>
#include <tercet/tercet.h>

int main(int argc, char **argv)
{
    const struct tercet_branch trip[] = {{.action = "flight/book"}, {.action = "hotel/book"}};
    struct tercet_client *client;
    struct tercet_result result;
    char text[TERCET_TEXT_MAX];
    if (argc != 2 || tercet_client_open(&client, argv[1], NULL, text) != 0)
        return fprintf(stderr, "usage: %s COORDINATOR\n%s\n", argv[0], argc == 2 ? text : ""), 2;
    int rc = tercet_run(client, trip, 2, NULL, &result);
    printf("%s: %s\n", result.gid.text, rc == 0 ? "flight and hotel are booked" : result.text);
    tercet_client_close(client);
    return rc == 0 ? 0 : 1;
}
