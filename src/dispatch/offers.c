/*
 * Offers of a round; see offers.h.
 *
 * A round never waits for another one. Two rounds that want the same driver would meet in the unique index
 * offers_pending_slots and wait for each other's transactions, in opposite order perhaps: a deadlock. So a
 * round first takes the driver's offer lock, a transaction-level advisory lock, by trying: a driver whose
 * lock another round holds is passed over, the next best takes its place. Slots are then free for the taking;
 * the unique index stays the law (ON CONFLICT DO NOTHING passes over whom it refuses).
 *
 * Driver rows are not locked: inserting an offer takes FOR KEY SHARE on them (foreign key), which nobody's
 * FOR NO KEY UPDATE conflicts with.
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
#include "dispatch/offers.h"
#include "events/events.h"
#include "pricing/eta.h"

/* Offers of one round to some drivers, best first: each in its lowest free slot; none free: passed over. */
static HailStatement insert_offers = {
    "INSERT INTO hail.offers (trip_id, driver_id, round, slot, score, pickup_distance_m, pickup_eta_s, "
    "created_at,"
    " expires_at)"
    " SELECT $1, c.driver_id, $2, s.slot, c.score, c.distance, c.eta, $3, $4"
    " FROM ROWS FROM (unnest($5), unnest($6), unnest($7), unnest($8))"
    "   WITH ORDINALITY AS c(driver_id, score, distance, eta, n)"
    " CROSS JOIN LATERAL (SELECT g.slot FROM generate_series(1, $9) AS g(slot)"
    "   WHERE NOT EXISTS (SELECT FROM hail.offers p WHERE p.driver_id = c.driver_id"
    "     AND p.slot = g.slot AND p.status = 'pending')"
    "   ORDER BY g.slot LIMIT 1) s"
    " ORDER BY c.n"
    " ON CONFLICT (driver_id, slot) WHERE status = 'pending' DO NOTHING"
    " RETURNING id, driver_id, pickup_distance_m, pickup_eta_s",
    9,
    {UUIDOID, INT4OID, TIMESTAMPTZOID, TIMESTAMPTZOID, UUIDARRAYOID, FLOAT4ARRAYOID, INT4ARRAYOID,
     INT4ARRAYOID, INT4OID}};

static HailStatement advance_trip = {"UPDATE hail.trips SET round = $2, next_round_at = $3, event_version = "
                                     "$4, pooled_at = NULL WHERE id = $1",
                                     4,
                                     {UUIDOID, INT4OID, TIMESTAMPTZOID, INT4OID}};

bool offers_try_lock(const pg_uuid_t *driver_id)
{
    uint64 key = hash_bytes_extended(driver_id->data, UUID_LEN, 0x6861696c);

    return DatumGetBool(DirectFunctionCall1(pg_try_advisory_xact_lock_int8, Int64GetDatum((int64)key)));
}

typedef struct Sending {
    const MatchTrip *trip;
    const OfferTerms *terms;
    StringInfoData offers; /* JSON of the offers made */
    int made;
} Sending;

static void note_offers(Sending *sending, uint64 rows)
{
    for (uint64 i = 0; i < rows; i++) {
        bool isnull;
        char *id = DatumGetCString(DirectFunctionCall1(uuid_out, hail_result(i, 1, &isnull)));
        char *driver = DatumGetCString(DirectFunctionCall1(uuid_out, hail_result(i, 2, &isnull)));

        appendStringInfo(
            &sending->offers,
            "%s{\"offer_id\":\"%s\",\"driver_id\":\"%s\",\"pickup_distance_m\":%d,\"pickup_eta_s\":%d}",
            sending->made++ > 0 ? "," : "", id, driver, DatumGetInt32(hail_result(i, 3, &isnull)),
            DatumGetInt32(hail_result(i, 4, &isnull)));
    }
}

/* Offer the trip to the first `wanted` of the candidates who can be had; returns how many candidates were
 * used up. */
static int send_offers(Sending *sending, const MatchCandidate *candidates, int count, int wanted)
{
    const MatchTrip *trip = sending->trip;
    const OfferTerms *terms = sending->terms;
    Datum *drivers = palloc(sizeof(Datum) * 4 * wanted);
    Datum *scores = drivers + wanted, *distances = scores + wanted, *etas = distances + wanted;
    int taken = 0, next = 0;

    for (; next < count && taken < wanted; next++) {
        const LiveHit *hit = &candidates[next].hit;

        if (!offers_try_lock(&hit->driver_id))
            continue;
        drivers[taken] = UUIDPGetDatum(&hit->driver_id);
        scores[taken] = Float4GetDatum((float4)candidates[next].verdict.score.total);
        distances[taken] = Int32GetDatum((int32)rint(hit->distance_m));
        etas[taken] =
            Int32GetDatum((int32)rint(eta_seconds(hit->distance_m, trip->distance_factor, trip->speed_kmh)));
        taken++;
    }
    if (taken > 0) {
        Datum args[9] = {
            UUIDPGetDatum(&trip->id),
            Int32GetDatum(terms->round),
            TimestampTzGetDatum(terms->now),
            TimestampTzGetDatum(terms->expires_at),
            PointerGetDatum(construct_array(drivers, taken, UUIDOID, UUID_LEN, false, TYPALIGN_CHAR)),
            PointerGetDatum(construct_array(scores, taken, FLOAT4OID, 4, true, TYPALIGN_INT)),
            PointerGetDatum(construct_array(distances, taken, INT4OID, 4, true, TYPALIGN_INT)),
            PointerGetDatum(construct_array(etas, taken, INT4OID, 4, true, TYPALIGN_INT)),
            Int32GetDatum(terms->slots)};

        note_offers(sending, hail_execute(&insert_offers, args, NULL, false, 0));
    }
    return next;
}

static void write_offers_event(const Sending *sending)
{
    StringInfoData payload;

    initStringInfo(&payload);
    appendStringInfo(&payload, "{\"state\":\"searching\",\"round\":%d,\"radius_m\":%.0f,\"offers\":[%s]}",
                     sending->terms->round, sending->terms->radius_m, sending->offers.data);
    event_write("trip", &sending->trip->id, sending->trip->event_version, "OfferCreated", payload.data);
}

int offers_send(MatchTrip *trip, const MatchCandidate *candidates, int count, int wanted,
                const OfferTerms *terms)
{
    Sending sending = {.trip = trip, .terms = terms};
    int used = 0;

    initStringInfo(&sending.offers);
    while (used < count && sending.made < wanted)
        used += send_offers(&sending, candidates + used, count - used, wanted - sending.made);
    trip->round = terms->round;
    trip->event_version += sending.made > 0;
    hail_execute(&advance_trip,
                 (Datum[]){UUIDPGetDatum(&trip->id), Int32GetDatum(trip->round),
                           TimestampTzGetDatum(sending.made > 0 ? terms->expires_at : terms->retry_at),
                           Int32GetDatum(trip->event_version)},
                 NULL, false, 0);
    if (sending.made > 0)
        write_offers_event(&sending);
    return sending.made;
}
