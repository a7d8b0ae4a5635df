/* SPDX-License-Identifier: Apache-2.0
 *
 * Which addresses nobody on another machine can mean.
 */
#include "reach.h"

#include <criterion/criterion.h>

Test(reach, local)
{
    static const char *const addresses[] = {"unix:/run/tercet.sock",
                                            "unix:tercet.sock",
                                            "localhost:7420",
                                            "127.0.0.1:7420",
                                            "127.1.2.3:0",
                                            "127.0.0.1",
                                            "[::1]:7420",
                                            "ipv4:127.0.0.1:7420",
                                            "ipv6:[::1]:7420",
                                            "dns:localhost:7420",
                                            "dns:///localhost:7420",
                                            "dns:///127.0.0.1:7420"};
    for (size_t i = 0; i < sizeof(addresses) / sizeof(addresses[0]); i++)
        cr_expect(reach_is_local(addresses[i]), "%s", addresses[i]);
}

Test(reach, not_local)
{
    static const char *const addresses[] = {"",
                                            "0.0.0.0:7420",
                                            "[::]:7420",
                                            "192.0.2.1:7420",
                                            "127.example.org:7420",
                                            "127.0.0.1.example.org:1",
                                            "localhost.example.org:1",
                                            "dns:///example.org:1",
                                            "dns:///127.a:1",
                                            "[::1",
                                            "[::1].example:1"};
    for (size_t i = 0; i < sizeof(addresses) / sizeof(addresses[0]); i++)
        cr_expect_not(reach_is_local(addresses[i]), "%s", addresses[i]);
}

Test(reach, host)
{
    cr_expect_str_eq(reach_host("dns:///example.org:1"), "example.org:1");
    cr_expect_str_eq(reach_host("dns:example.org:1"), "example.org:1");
    cr_expect_str_eq(reach_host("ipv6:[::1]:1"), "[::1]:1");
    cr_expect_str_eq(reach_host("example.org:1"), "example.org:1");
}
