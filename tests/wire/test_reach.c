/* SPDX-License-Identifier: Apache-2.0
 *
 * Which addresses nobody on another machine can mean.
 */
#include "reach.h"

#include <criterion/criterion.h>
#include <string.h>

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

Test(reach, here)
{
    static const char *const here[] = {"unix:/run/a.sock",
                                       "0.0.0.0:1",
                                       "dns:///0.0.0.0:1",
                                       "[::]:1",
                                       "ipv6:[::1]:2",
                                       "ipv6:%5B::1%5D:2",
                                       "[::ffff:127.0.0.1]:1",
                                       "ipv4:127.0.0.1:5",
                                       "LOCALHOST:9001",
                                       "localhost.:9001",
                                       "0:9001",
                                       "2130706433:9001",
                                       "0x7f000001:9001",
                                       "127.1",
                                       "[0:0:0:0:0:0:0:1]:9001",
                                       "ipv6:[0::1]:9001",
                                       "dns://192.0.2.9/localhost:9001",
                                       "::1",
                                       "[::127.0.0.1]:1",
                                       "ipv6:%5B::ffff:127.0.0.1%5D:2",
                                       "unix-abstract:a",
                                       "%5b::1%5d:2",
                                       "[::]",
                                       "dns://127.0.0.1"};
    static const char *const elsewhere[] = {"192.0.2.1:1",
                                            "dns:///payment:9000",
                                            "[2001:db8::1]:1",
                                            "ipv4:10.0.0.1:5",
                                            "dns://127.0.0.1/payment:1",
                                            "localhost.example.org:1",
                                            "[::ffff:192.0.2.1]:1",
                                            "3232235777:1",
                                            ""};
    for (size_t i = 0; i < sizeof(here) / sizeof(here[0]); i++)
        cr_expect(reach_is_here(here[i]), "%s", here[i]);
    for (size_t i = 0; i < sizeof(elsewhere) / sizeof(elsewhere[0]); i++)
        cr_expect_not(reach_is_here(elsewhere[i]), "%s", elsewhere[i]);
}

static bool are_one(const char *a, const char *b)
{
    uint8_t of_a[16], of_b[16];
    cr_assert(reach_origin(of_a, a), "%s", a);
    cr_assert(reach_origin(of_b, b), "%s", b);
    return memcmp(of_a, of_b, sizeof(of_a)) == 0;
}

Test(reach, origin)
{
    uint8_t unread[16];
    cr_expect(are_one("ipv4:192.0.2.1:5", "ipv4:192.0.2.1:6"));
    cr_expect_not(are_one("ipv4:192.0.2.1:5", "ipv4:192.0.2.2:5"));
    cr_expect(are_one("ipv4:192.0.2.1:5", "ipv6:%5B::ffff:192.0.2.1%5D:6"));
    cr_expect_not(are_one("ipv6:[::ffff:192.0.2.1]:6", "ipv6:[::ffff:192.0.2.2]:6"));
    cr_expect(are_one("ipv6:%5B2001:db8:0:1::1%5D:5", "ipv6:[2001:db8:0:1:ffff::2]:6"));
    cr_expect_not(are_one("ipv6:[2001:db8:0:1::1]:5", "ipv6:[2001:db8:0:2::1]:5"));
    cr_expect_not(reach_origin(unread, "unix:/run/a.sock"));
    cr_expect_not(reach_origin(unread, ""));
}
