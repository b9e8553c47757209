/* UUID v7; see uuid7.h. The wall clock, never the test clock: ids must not repeat or go back. */
#include "postgres.h"

#include <sys/time.h>
#include <time.h>

#include "fmgr.h"
#include "miscadmin.h"

#include "base/uuid7.h"

#define RANDOM_BYTES 8 /* of an id */

/* From the system's strong source, so much at a time: asking it costs more than all the rest of an id. */
static void take_random(unsigned char *out)
{
    static unsigned char pool[64 * RANDOM_BYTES];
    static int used = sizeof(pool);
    static pid_t owner = 0; /* a forked process must not hand out its parent's bytes again */

    if (used == sizeof(pool) || owner != MyProcPid) {
        if (!pg_strong_random(pool, sizeof(pool)))
            ereport(ERROR, errcode(ERRCODE_INTERNAL_ERROR), errmsg("could not get random bytes"));
        owner = MyProcPid;
        used = 0;
    }
    memcpy(out, pool + used, RANDOM_BYTES);
    used += RANDOM_BYTES;
}

void hail_uuid7(pg_uuid_t *out)
{
    static uint64 last_ns = 0;
    struct timespec ts;
    uint64 ns, ms, sub_ms;

    clock_gettime(CLOCK_REALTIME, &ts);
    ns = (uint64)ts.tv_sec * 1000000000 + (uint64)ts.tv_nsec;
    if (ns < last_ns + 250)
        ns = last_ns + 250; /* one step of the 12-bit fraction: 1 ms / 4096 = 244 ns */
    last_ns = ns;
    ms = ns / 1000000;
    sub_ms = (ns % 1000000) * 4096 / 1000000;

    take_random(out->data + 8);
    for (int i = 0; i < 6; i++)
        out->data[i] = (unsigned char)(ms >> (40 - 8 * i));
    out->data[6] = (unsigned char)(0x70 | (sub_ms >> 8));
    out->data[7] = (unsigned char)sub_ms;
    out->data[8] = (out->data[8] & 0x3f) | 0x80;
}

PG_FUNCTION_INFO_V1(hail_uuid7_sql);

Datum hail_uuid7_sql(PG_FUNCTION_ARGS)
{
    pg_uuid_t *id = palloc(sizeof(pg_uuid_t));

    hail_uuid7(id);
    PG_RETURN_UUID_P(id);
}
