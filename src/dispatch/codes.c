/*
 * Codes that a customer shows and a driver types: four digits, so that the tries must be few.
 *
 * A wrong code is an error, and an error rolls back whatever it wrote; a count in the trip's row would stay 0
 * for ever. So the wrong tries are counted here, in shared memory, which no error undoes: a table of fixed
 * size, keyed by trip, stop and the code itself. A renewed code begins at 0 by itself, and one whose renewal
 * is rolled back still has the tries that were made of it. The trip's row lock makes the tries of one trip
 * follow each other.
 *
 * A trip lies in the one set its hash names. When a set is full, the entry with the fewest wrong tries makes
 * room, the oldest of them first: whoever wants the count of a trip forgotten must make as many wrong tries
 * of many others. A crash empties the table, which allows hail.code_tries more. Not preloaded: the same
 * table, counted by each connection for itself.
 */
#include "postgres.h"

#include "common/hashfn.h"
#include "fmgr.h"
#include "miscadmin.h"
#include "storage/lwlock.h"
#include "utils/builtins.h"
#include "utils/memutils.h"

#include "base/error.h"
#include "base/guc.h"
#include "base/shmem.h"
#include "dispatch/codes.h"
#include "dispatch/dispatch.h"

#define SETS     1024
#define SET_ROOM 8

typedef struct CodeEntry {
    pg_uuid_t trip_id;
    uint32 code; /* its hash */
    int16 seq;
    uint16 wrong; /* 0: free */
    uint64 used;  /* number of the table's addition that was the entry's last */
} CodeEntry;

typedef struct CodeTable {
    uint64 additions;
    CodeEntry sets[SETS][SET_ROOM];
} CodeTable;

static CodeTable *table = NULL;
static LWLock *lock = NULL; /* NULL: the table is this backend's own */

static Size codes_size(void)
{
    return sizeof(CodeTable);
}

static int codes_lock_count(void)
{
    return 1;
}

static void codes_startup(void *memory, LWLockPadded *locks, bool found)
{
    table = memory;
    lock = &locks[0].lock;
    if (!found)
        memset(table, 0, sizeof(CodeTable));
}

static const HailShmemModule codes_shmem = {"hail_codes", codes_size, codes_lock_count, codes_startup};

void code_tries_init(void)
{
    if (process_shared_preload_libraries_in_progress)
        hail_shmem_register(&codes_shmem);
}

static bool same_key(const CodeEntry *entry, const CodeEntry *key)
{
    return entry->wrong > 0 && entry->code == key->code && entry->seq == key->seq &&
           memcmp(&entry->trip_id, &key->trip_id, UUID_LEN) == 0;
}

/* The entry of this key, or the one that makes room for it. */
static CodeEntry *find_entry(CodeEntry *set, const CodeEntry *key)
{
    CodeEntry *victim = &set[0];

    for (int i = 0; i < SET_ROOM; i++) {
        CodeEntry *entry = &set[i];

        if (same_key(entry, key))
            return entry;
        if (entry->wrong < victim->wrong || (entry->wrong == victim->wrong && entry->used < victim->used))
            victim = entry;
    }
    return victim;
}

int code_tries(const pg_uuid_t *trip_id, int seq, const char *code, bool add)
{
    CodeEntry key = {.trip_id = *trip_id,
                     .seq = (int16)seq,
                     .code = hash_bytes((const unsigned char *)code, strlen(code))};
    CodeEntry *entry;
    int wrong;

    if (table == NULL)
        table = MemoryContextAllocZero(TopMemoryContext, sizeof(CodeTable));
    if (lock != NULL)
        LWLockAcquire(lock, LW_EXCLUSIVE);
    entry = find_entry(table->sets[hash_bytes(trip_id->data, UUID_LEN) % SETS], &key);
    wrong = same_key(entry, &key) ? entry->wrong : 0;
    if (add) {
        wrong = Min(wrong + 1, PG_UINT16_MAX);
        key.wrong = (uint16)wrong;
        key.used = ++table->additions;
        *entry = key;
    }
    if (lock != NULL)
        LWLockRelease(lock);
    return wrong;
}

PG_FUNCTION_INFO_V1(hail_check_code);
PG_FUNCTION_INFO_V1(hail_code_tries);
PG_FUNCTION_INFO_V1(hail_make_code);

static void refuse_blocked(const char *field)
{
    ereport(ERROR, hail_error(HAIL_CODE_BLOCKED), errmsg("too many wrong codes were tried"),
            hail_field(field), errhint("The customer renews the code with hail.renew_pickup_code()."));
}

/* hail.check_code(trip_id, seq, code, given, field, hint): the trip's row is locked by this transaction. */
Datum hail_check_code(PG_FUNCTION_ARGS)
{
    pg_uuid_t *trip_id;
    int seq, wrong;
    char *code, *field;

    if (PG_ARGISNULL(0) || PG_ARGISNULL(1) || PG_ARGISNULL(4) || PG_ARGISNULL(5))
        elog(ERROR, "a code is checked for a trip or stop, with a field and a hint");
    trip_id = PG_GETARG_UUID_P(0);
    seq = PG_GETARG_INT32(1);
    field = text_to_cstring(PG_GETARG_TEXT_PP(4));
    if (PG_ARGISNULL(2))
        ereport(ERROR, hail_error(HAIL_WRONG_STATE), errmsg("there is no code yet"), hail_field(field));
    code = text_to_cstring(PG_GETARG_TEXT_PP(2));
    if (code_tries(trip_id, seq, code, false) >= hail_code_tries_max)
        refuse_blocked(field);
    if (!PG_ARGISNULL(3) && strcmp(code, text_to_cstring(PG_GETARG_TEXT_PP(3))) == 0)
        PG_RETURN_VOID();
    if (PG_ARGISNULL(3)) /* asked without a code: nothing was guessed */
        ereport(ERROR, hail_error(HAIL_WRONG_PICKUP_CODE), errmsg("a code is needed"), hail_field(field),
                errhint("%s", text_to_cstring(PG_GETARG_TEXT_PP(5))));
    wrong = code_tries(trip_id, seq, code, true);
    ereport(ERROR, hail_error(HAIL_WRONG_PICKUP_CODE), errmsg("the code is not right"),
            errdetail("tries_left=%d", Max(hail_code_tries_max - wrong, 0)), hail_field(field),
            errhint("%s", text_to_cstring(PG_GETARG_TEXT_PP(5))));
    PG_RETURN_VOID();
}

/* hail.code_tries(trip_id, seq, code) */
Datum hail_code_tries(PG_FUNCTION_ARGS)
{
    PG_RETURN_INT32(
        code_tries(PG_GETARG_UUID_P(0), PG_GETARG_INT32(1), text_to_cstring(PG_GETARG_TEXT_PP(2)), false));
}

/* hail.make_code() */
Datum hail_make_code(PG_FUNCTION_ARGS)
{
    PG_RETURN_TEXT_P(cstring_to_text(make_pickup_code()));
}
