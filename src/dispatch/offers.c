/*
 * Offers of a round; see offers.h.
 *
 * A round never waits for another one. Two rounds that want the same driver would meet in the unique index
 * offers_pending_slots and wait for each other's transactions, in opposite order perhaps: a deadlock. So a
 * round first takes the driver's offer lock, a transaction-level advisory lock, by trying: a driver whose
 * lock another round holds is passed over, the next best takes its place. Whoever holds the lock reads which
 * slots are free and takes the lowest; the unique index stays the law (ON CONFLICT DO NOTHING passes over
 * whom it refuses). Driver rows are not locked.
 */
#include "postgres.h"

#include <math.h>

#include "catalog/pg_type.h"
#include "common/hashfn.h"
#include "lib/stringinfo.h"
#include "storage/lock.h"
#include "utils/array.h"
#include "utils/builtins.h"
#include "utils/fmgrprotos.h"
#include "utils/timestamp.h"

#include "base/statement.h"
#include "base/uuid7.h"
#include "dispatch/offers.h"
#include "events/events.h"
#include "pricing/eta.h"

/* Slots that drivers hold. */
static HailStatement held_slots = {
    "SELECT o.driver_id, o.slot::int4 FROM hail.offers o WHERE o.driver_id = ANY ($1) AND o.status = "
    "'pending'",
    1,
    {UUIDARRAYOID},
    HAIL_BY_KEY};

static HailStatement insert_offers = {
    "INSERT INTO hail.offers (id, trip_id, driver_id, round, slot, score, pickup_distance_m, pickup_eta_s,"
    " created_at, expires_at)"
    " SELECT c.id, $1, c.driver_id, $2, c.slot, c.score, c.distance, c.eta, $3, $4"
    " FROM ROWS FROM (unnest($5), unnest($6), unnest($7), unnest($8), unnest($9), unnest($10))"
    "   AS c(id, driver_id, slot, score, distance, eta)"
    " ON CONFLICT (driver_id, slot) WHERE status = 'pending' DO NOTHING RETURNING id",
    10,
    {UUIDOID, INT4OID, TIMESTAMPTZOID, TIMESTAMPTZOID, UUIDARRAYOID, UUIDARRAYOID, INT2ARRAYOID,
     FLOAT4ARRAYOID, INT4ARRAYOID, INT4ARRAYOID},
    HAIL_BY_KEY};

static HailStatement advance_trip = {"UPDATE hail.trips SET round = $2, next_round_at = $3, event_version = "
                                     "$4, pooled_at = NULL WHERE id = $1",
                                     4,
                                     {UUIDOID, INT4OID, TIMESTAMPTZOID, INT4OID},
                                     HAIL_BY_KEY};

bool offers_try_lock(const pg_uuid_t *driver_id)
{
    uint64 key = hash_bytes_extended(driver_id->data, UUID_LEN, 0x6861696c);

    return DatumGetBool(DirectFunctionCall1(pg_try_advisory_xact_lock_int8, Int64GetDatum((int64)key)));
}

static Datum uuid_array(Datum *ids, int count)
{
    return PointerGetDatum(construct_array(ids, count, UUIDOID, UUID_LEN, false, TYPALIGN_CHAR));
}

static OfferDraft draft_for(const MatchTrip *trip, const MatchCandidate *candidate)
{
    const LiveHit *hit = &candidate->hit;
    EtaGuess way =
        eta_pickup(trip->region_id, hit->lat, hit->lng, trip->pickup_lat, trip->pickup_lng, trip->now);
    OfferDraft draft = {.driver_id = hit->driver_id,
                        .slot = 1,
                        .score = (float)candidate->verdict.score.total,
                        .pickup_distance_m = (int)rint(hit->distance_m),
                        .pickup_eta_s = way.duration_s};

    hail_uuid7(&draft.id);
    return draft;
}

/*
 * Give each of the drafts, whose drivers' locks are held, its driver's lowest free slot; those without one
 * are dropped. Returns how many are left.
 */
static int find_slots(OfferDraft *drafts, int count, int slots)
{
    Datum *drivers = palloc(sizeof(Datum) * count);
    uint32 *held = palloc0(sizeof(uint32) * count);
    uint64 rows;
    int left = 0;

    for (int i = 0; i < count; i++)
        drivers[i] = UUIDPGetDatum(&drafts[i].driver_id);
    rows = hail_execute(&held_slots, (Datum[]){uuid_array(drivers, count)}, NULL, false, 0);
    for (uint64 r = 0; r < rows; r++) {
        bool isnull;
        pg_uuid_t *driver = DatumGetUUIDP(hail_result(r, 1, &isnull));
        int slot = DatumGetInt32(hail_result(r, 2, &isnull));

        for (int i = 0; i < count; i++)
            if (memcmp(driver, &drafts[i].driver_id, UUID_LEN) == 0)
                held[i] |= 1u << slot;
    }
    for (int i = 0; i < count; i++) {
        int slot = 1;

        while (slot <= slots && (held[i] & (1u << slot)) != 0)
            slot++;
        if (slot > slots)
            continue;
        drafts[left] = drafts[i];
        drafts[left++].slot = slot;
    }
    return left;
}

OfferDrafts offers_choose(const MatchTrip *trip, const MatchCandidate *candidates, int count, int wanted,
                          const OfferTerms *terms)
{
    OfferDrafts drafts = {palloc(sizeof(OfferDraft) * Max(wanted, 1)), 0};
    int next = 0;

    while (next < count && drafts.count < wanted) {
        int first = drafts.count, last = first;

        for (; next < count && last < wanted; next++)
            if (offers_try_lock(&candidates[next].hit.driver_id))
                drafts.offers[last++] = draft_for(trip, &candidates[next]);
        if (last > first)
            drafts.count += find_slots(drafts.offers + first, last - first, terms->slots);
    }
    return drafts;
}

/* Keep, of the drafts, those whose ids the last statement returned. */
static void keep_written(OfferDrafts *drafts, uint64 rows)
{
    int left = 0;

    for (int i = 0; i < drafts->count; i++)
        for (uint64 r = 0; r < rows; r++) {
            bool isnull;

            if (memcmp(DatumGetUUIDP(hail_result(r, 1, &isnull)), &drafts->offers[i].id, UUID_LEN) == 0) {
                drafts->offers[left++] = drafts->offers[i];
                break;
            }
        }
    drafts->count = left;
}

int offers_write(const MatchTrip *trip, const OfferTerms *terms, OfferDrafts *drafts)
{
    int n = drafts->count;
    Datum *columns[6];
    uint64 rows;

    if (n == 0)
        return 0;
    for (int c = 0; c < (int)lengthof(columns); c++)
        columns[c] = palloc(sizeof(Datum) * n);
    for (int i = 0; i < n; i++) {
        OfferDraft *draft = &drafts->offers[i];

        columns[0][i] = UUIDPGetDatum(&draft->id);
        columns[1][i] = UUIDPGetDatum(&draft->driver_id);
        columns[2][i] = Int16GetDatum((int16)draft->slot);
        columns[3][i] = Float4GetDatum(draft->score);
        columns[4][i] = Int32GetDatum(draft->pickup_distance_m);
        columns[5][i] = Int32GetDatum(draft->pickup_eta_s);
    }
    rows = hail_execute(
        &insert_offers,
        (Datum[]){UUIDPGetDatum(&trip->id), Int32GetDatum(terms->round), TimestampTzGetDatum(terms->now),
                  TimestampTzGetDatum(terms->expires_at), uuid_array(columns[0], n),
                  uuid_array(columns[1], n),
                  PointerGetDatum(construct_array(columns[2], n, INT2OID, 2, true, TYPALIGN_SHORT)),
                  PointerGetDatum(construct_array(columns[3], n, FLOAT4OID, 4, true, TYPALIGN_INT)),
                  PointerGetDatum(construct_array(columns[4], n, INT4OID, 4, true, TYPALIGN_INT)),
                  PointerGetDatum(construct_array(columns[5], n, INT4OID, 4, true, TYPALIGN_INT))},
        NULL, false, 0);
    if (rows < (uint64)n)
        keep_written(drafts, rows);
    return drafts->count;
}

char *offers_payload(const OfferTerms *terms, const OfferDrafts *drafts)
{
    StringInfoData payload;

    initStringInfo(&payload);
    appendStringInfo(&payload, "{\"state\":\"searching\",\"round\":%d,\"radius_m\":%.0f,\"offers\":[",
                     terms->round, terms->radius_m);
    for (int i = 0; i < drafts->count; i++) {
        const OfferDraft *draft = &drafts->offers[i];

        appendStringInfo(
            &payload,
            "%s{\"offer_id\":\"%s\",\"driver_id\":\"%s\",\"pickup_distance_m\":%d,\"pickup_eta_s\":%"
            "d}",
            i > 0 ? "," : "", DatumGetCString(DirectFunctionCall1(uuid_out, UUIDPGetDatum(&draft->id))),
            DatumGetCString(DirectFunctionCall1(uuid_out, UUIDPGetDatum(&draft->driver_id))),
            draft->pickup_distance_m, draft->pickup_eta_s);
    }
    appendStringInfoString(&payload, "]}");
    return payload.data;
}

void offers_advance_trip(const pg_uuid_t *trip_id, int round, TimestampTz next_at, int version)
{
    hail_execute(&advance_trip,
                 (Datum[]){UUIDPGetDatum(trip_id), Int32GetDatum(round), TimestampTzGetDatum(next_at),
                           Int32GetDatum(version)},
                 NULL, false, 0);
}

int offers_send(MatchTrip *trip, const MatchCandidate *candidates, int count, int wanted,
                const OfferTerms *terms)
{
    OfferDrafts drafts = offers_choose(trip, candidates, count, wanted, terms);
    int made = offers_write(trip, terms, &drafts);

    trip->round = terms->round;
    trip->event_version += made > 0;
    offers_advance_trip(&trip->id, trip->round, made > 0 ? terms->expires_at : terms->retry_at,
                        trip->event_version);
    if (made > 0)
        event_write("trip", &trip->id, trip->event_version, "OfferCreated", offers_payload(terms, &drafts));
    return made;
}
