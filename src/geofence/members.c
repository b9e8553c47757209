/* The copy of who is inside; see members.h. */
#include "postgres.h"

#include "catalog/pg_type.h"
#include "utils/builtins.h"
#include "utils/memutils.h"
#include "utils/timestamp.h"

#include "base/statement.h"
#include "base/uuid7.h"
#include "geofence/members.h"

static HailStatement read_token = {"SELECT members FROM hail.geofence_state", 0};
static HailStatement write_token = {"UPDATE hail.geofence_state SET members = $1", 1, {UUIDOID}};

static HailStatement read_members = {
    "SELECT i.driver_id, i.geofence_id, i.outside_since, i.queued_at FROM hail.geofence_drivers i", 0};

static HailStatement read_absences = {"SELECT a.driver_id, a.region_id, a.outside_since, a.left_at IS NOT "
                                      "NULL FROM hail.area_absences a",
                                      0};

static MemoryContext context = NULL;
static HTAB *members = NULL;
static pg_uuid_t token; /* valid with `members` */

Member *members_find(const pg_uuid_t *driver_id)
{
    return hash_search(members, driver_id, HASH_FIND, NULL);
}

Member *members_add(const pg_uuid_t *driver_id)
{
    bool found;
    Member *member = hash_search(members, driver_id, HASH_ENTER, &found);

    if (!found) {
        member->first = NULL;
        member->absent_region = 0;
        member->absent_since = 0;
        member->left = false;
    }
    return member;
}

Membership *member_of(const Member *member, int32 geofence_id)
{
    for (Membership *m = member->first; m != NULL; m = m->next)
        if (m->geofence_id == geofence_id)
            return m;
    return NULL;
}

Membership *member_add(Member *member, int32 geofence_id)
{
    Membership *m = member_of(member, geofence_id);

    if (m == NULL) {
        m = MemoryContextAllocZero(context, sizeof(Membership));
        m->geofence_id = geofence_id;
        m->next = member->first;
        member->first = m;
    }
    return m;
}

void member_remove(Member *member, int32 geofence_id)
{
    for (Membership **link = &member->first; *link != NULL; link = &(*link)->next) {
        Membership *m = *link;

        if (m->geofence_id != geofence_id)
            continue;
        *link = m->next;
        pfree(m);
        return;
    }
}

void members_forget(Member *member)
{
    if (member->first == NULL && member->absent_since == 0)
        hash_search(members, &member->driver_id, HASH_REMOVE, NULL);
}

void members_scan(HASH_SEQ_STATUS *scan)
{
    hash_seq_init(scan, members);
}

static void start_over(void)
{
    HASHCTL control = {.keysize = sizeof(pg_uuid_t), .entrysize = sizeof(Member)};

    members = NULL;
    if (context != NULL)
        MemoryContextReset(context);
    else
        context = AllocSetContextCreate(TopMemoryContext, "hail geofence members", ALLOCSET_DEFAULT_SIZES);
    control.hcxt = context;
    members = hash_create("hail geofence members", 1024, &control, HASH_ELEM | HASH_BLOBS | HASH_CONTEXT);
}

static TimestampTz time_column(uint64 row, int col)
{
    bool isnull;
    Datum value = hail_result(row, col, &isnull);

    return isnull ? 0 : DatumGetTimestampTz(value);
}

static void read_rows(void)
{
    bool isnull;
    uint64 rows = hail_execute(&read_members, NULL, NULL, false, 0);

    for (uint64 i = 0; i < rows; i++) {
        Member *member = members_add(DatumGetUUIDP(hail_result(i, 1, &isnull)));
        Membership *m = member_add(member, DatumGetInt32(hail_result(i, 2, &isnull)));

        m->outside_since = time_column(i, 3);
        m->queued_at = time_column(i, 4);
    }
    SPI_freetuptable(SPI_tuptable);
    rows = hail_execute(&read_absences, NULL, NULL, false, 0);
    for (uint64 i = 0; i < rows; i++) {
        Member *member = members_add(DatumGetUUIDP(hail_result(i, 1, &isnull)));

        member->absent_region = DatumGetInt16(hail_result(i, 2, &isnull));
        member->absent_since = time_column(i, 3);
        member->left = DatumGetBool(hail_result(i, 4, &isnull));
    }
    SPI_freetuptable(SPI_tuptable);
}

bool members_refresh(void)
{
    bool isnull;
    pg_uuid_t there;

    if (hail_execute(&read_token, NULL, NULL, false, 1) != 1)
        elog(ERROR, "hail.geofence_state has no row");
    there = *DatumGetUUIDP(hail_result(0, 1, &isnull));
    if (members != NULL && memcmp(&there, &token, sizeof(token)) == 0)
        return false;
    memset(&token, 0, sizeof(token)); /* nobody's, should what follows fail */
    start_over();
    read_rows();
    token = there;
    return true;
}

void members_write_token(void)
{
    hail_uuid7(&token);
    hail_execute(&write_token, (Datum[]){UUIDPGetDatum(&token)}, NULL, false, 0);
}
