/*
 * Forward dispatch: drivers about to end a ride are offered the next one, when a round found nobody free
 * (src/dispatch/STRATEGIES.md). They are told by rows, not by the index, which knows no busy drivers.
 */
#include "postgres.h"

#include "catalog/pg_type.h"
#include "executor/spi.h"
#include "fmgr.h"

#include "base/clock.h"
#include "base/statement.h"
#include "dispatch/matching.h"
#include "dispatch/offers.h"

PG_FUNCTION_INFO_V1(hail_offer_forward);

/* Statements run under the function's search_path = pg_catalog, pg_temp. */

static HailStatement finishing_drivers = {
    "SELECT f.driver_id, f.metres, f.rating, f.acceptance, f.completion, f.vehicle_score, f.pending_offers,"
    " f.class_mask, f.area_mask FROM hail.finishing_drivers($1, $2, $3) f",
    3,
    {UUIDOID, FLOAT8OID, INT4OID}};

static HailStatement mark_forward = {
    "UPDATE hail.offers SET forward = true WHERE trip_id = $1 AND status = 'pending'", 1, {UUIDOID}};

static MatchGate excluded_by(const MatchTrip *trip, const pg_uuid_t *driver_id)
{
    for (int i = 0; i < trip->exclusion_count; i++) {
        const MatchExclusion *exclusion = &trip->exclusions[i];

        if (memcmp(&exclusion->driver_id, driver_id, UUID_LEN) == 0 &&
            (exclusion->gate != GATE_ASKED || exclusion->round > trip->rounds_before))
            return exclusion->gate;
    }
    return GATE_NONE;
}

static void read_candidate(const MatchTrip *trip, uint64 row, MatchCandidate *candidate)
{
    LiveHit *hit = &candidate->hit;
    bool isnull;

    memset(candidate, 0, sizeof(*candidate));
    hit->driver_id = *DatumGetUUIDP(hail_result(row, 1, &isnull));
    hit->distance_m = DatumGetFloat8(hail_result(row, 2, &isnull));
    hit->rating = DatumGetFloat4(hail_result(row, 3, &isnull));
    hit->acceptance = DatumGetFloat4(hail_result(row, 4, &isnull));
    hit->completion = DatumGetFloat4(hail_result(row, 5, &isnull));
    hit->vehicle_score = DatumGetFloat4(hail_result(row, 6, &isnull));
    hit->pending_offers = DatumGetInt32(hail_result(row, 7, &isnull));
    hit->class_mask = DatumGetInt64(hail_result(row, 8, &isnull));
    hit->area_mask = (uint64)DatumGetInt64(hail_result(row, 9, &isnull));
    candidate->facts.excluded = (uint8)excluded_by(trip, &hit->driver_id);
}

/*
 * hail.offer_forward(trip_id): offers made to drivers about to end a ride; the caller has locked the
 * searching trip, whose round has found nobody, and knows that the policy allows it.
 */
Datum hail_offer_forward(PG_FUNCTION_ARGS)
{
    OfferTerms terms = {.now = hail_now()};
    MatchField field = {0};
    MatchTrip trip;
    RoundPlan plan;
    int made = 0, round;

    SPI_connect();
    if (!match_load(PG_GETARG_UUID_P(0), &trip))
        elog(ERROR, "trip to be matched is gone");
    round = trip.round - trip.rounds_before;
    /* No round of this search yet (warming): the last one is an earlier search's. */
    if (round < 1 || trip.search_until - terms.now < OFFER_MIN_US) {
        SPI_finish();
        PG_RETURN_INT32(0);
    }
    plan = strategy_plan(&trip, round);
    field.radius_m = trip.radius_m[plan.radius_index];
    field.count = (int)hail_execute(
        &finishing_drivers,
        (Datum[]){UUIDPGetDatum(&trip.id), Float8GetDatum(field.radius_m), Int32GetDatum(trip.candidates)},
        NULL, false, 0);
    if (field.count > 0) {
        field.candidates = palloc(sizeof(MatchCandidate) * field.count);
        for (int i = 0; i < field.count; i++)
            read_candidate(&trip, i, &field.candidates[i]);
        match_decide(&trip, round, &field);
    }
    if (field.eligible > 0) {
        terms.round = trip.round;
        terms.expires_at = Min(terms.now + plan.ttl_us, trip.search_until);
        terms.retry_at = Min(terms.now + trip.retry_after_us, trip.search_until);
        terms.slots = 1; /* one such offer at a time */
        terms.radius_m = field.radius_m;
        made = offers_send(&trip, field.candidates, field.eligible, plan.offers, &terms);
    }
    if (made > 0)
        hail_execute(&mark_forward, (Datum[]){UUIDPGetDatum(&trip.id)}, NULL, false, 0);
    SPI_finish();
    PG_RETURN_INT32(made);
}
