/* SPDX-License-Identifier: Apache-2.0
 *
 * Buckets never overlap, whatever width an earlier run had; and the list of network file systems.
 */
#include "bucket.h"

#include <linux/magic.h>

#include "fixture.h"
#include "lmdb_store.h"

static void expect_span(struct buckets *buckets, int64_t time_ms, int64_t start_ms, int64_t end_ms)
{
    struct bucket span = buckets_span(buckets, time_ms);
    cr_assert_eq(span.start_ms, start_ms);
    cr_assert_eq(span.end_ms, end_ms);
    cr_assert_eq(buckets_insert(buckets, &span), 0);
    cr_assert_eq(buckets_find(buckets, time_ms)->start_ms, start_ms);
}

Test(bucket, spans_of_another_width_are_fitted_in)
{
    struct buckets buckets;
    buckets_init(&buckets, 1000);
    expect_span(&buckets, 1500, 1000, 2000);
    expect_span(&buckets, 4000, 4000, 5000);
    buckets.width_ms = 3000;
    expect_span(&buckets, 2500, 2000, 3000);
    expect_span(&buckets, 3999, 3000, 4000);
    expect_span(&buckets, 999, 0, 1000);
    expect_span(&buckets, 5999, 5000, 6000);
    expect_span(&buckets, 8999, 6000, 9000);
    cr_assert_eq(buckets.count, 7);
    buckets_clear(&buckets);
}

Test(bucket, an_overlapping_span_is_refused)
{
    struct buckets buckets;
    struct bucket bad[] = {{.start_ms = 1999, .end_ms = 2500},
                           {.start_ms = 500, .end_ms = 1001},
                           {.start_ms = 1000, .end_ms = 2000},
                           {.start_ms = 5000, .end_ms = 5000}};
    buckets_init(&buckets, 1000);
    expect_span(&buckets, 1500, 1000, 2000);
    for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++)
        cr_assert_eq(buckets_insert(&buckets, &bad[i]), TERCET_STORE_CORRUPT);
    buckets_clear(&buckets);
}

Test(bucket, the_default_width_is_a_day)
{
    struct buckets buckets;
    buckets_init(&buckets, 0);
    cr_assert_eq(buckets_span(&buckets, 86400000).end_ms, 2 * INT64_C(86400000));
    buckets_init(&buckets, INT64_MAX);
    struct bucket span = buckets_span(&buckets, INT64_MAX);
    cr_assert_gt(span.end_ms, span.start_ms);
}

Test(bucket, every_result_has_a_text)
{
    for (int result = TERCET_STORE_INVALID; result <= TERCET_STORE_NOT_FOUND; result++)
        cr_assert_str_neq(tercet_store_strerror(result), tercet_store_strerror(1));
    cr_assert_str_eq(tercet_store_strerror(0), "done");
}

Test(lmdb_open, network_file_systems_are_known)
{
    const uint64_t remote[] = {
        NFS_SUPER_MAGIC,  SMB_SUPER_MAGIC,  CIFS_SUPER_MAGIC,
        SMB2_SUPER_MAGIC, V9FS_MAGIC,       CEPH_SUPER_MAGIC,
        AFS_SUPER_MAGIC,  CODA_SUPER_MAGIC, (uint64_t)(int32_t)CIFS_SUPER_MAGIC};
    const uint64_t local[] = {EXT4_SUPER_MAGIC, XFS_SUPER_MAGIC, BTRFS_SUPER_MAGIC, TMPFS_MAGIC,
                              OVERLAYFS_SUPER_MAGIC};
    for (size_t i = 0; i < sizeof(remote) / sizeof(remote[0]); i++)
        cr_assert(lmdb_store_is_network(remote[i]), "%zu", i);
    for (size_t i = 0; i < sizeof(local) / sizeof(local[0]); i++)
        cr_assert_not(lmdb_store_is_network(local[i]), "%zu", i);
}
