/*
 * The backup driver of a scheduled trip: second to accept it, not busy for it, asked first and alone when the
 * trip loses its driver (src/dispatch/STRATEGIES.md).
 */
#include "postgres.h"

#include "executor/spi.h"
#include "fmgr.h"

#include "base/clock.h"
#include "dispatch/matching.h"
#include "dispatch/offers.h"

PG_FUNCTION_INFO_V1(hail_offer_backup);

/* hail.offer_backup(trip_id, driver_id): offers made, 0 or 1; the caller has locked the searching trip. */
Datum hail_offer_backup(PG_FUNCTION_ARGS)
{
    pg_uuid_t *driver_id = PG_GETARG_UUID_P(1);
    OfferTerms terms = {.now = hail_now()};
    MatchCandidate candidate = {0};
    pg_uuid_t *excluded;
    LiveSearch search;
    MatchTrip trip;
    int made = 0;

    SPI_connect();
    if (!match_load(PG_GETARG_UUID_P(0), &trip))
        elog(ERROR, "trip to be matched is gone");
    search = (LiveSearch){.lat = trip.pickup_lat,
                          .lng = trip.pickup_lng,
                          .class_id = trip.class_id,
                          .max_pending_offers = trip.max_pending_offers,
                          .area_mask = LIVE_ANY_AREA};
    /* Asked before it was, to become the backup; but it may have declined or been blocked since. */
    search.excluded = excluded = palloc(sizeof(pg_uuid_t) * (trip.exclusion_count + 1));
    for (int i = 0; i < trip.exclusion_count; i++)
        if (trip.exclusions[i].gate != GATE_ASKED || trip.exclusions[i].round == ROUND_PENDING)
            excluded[search.excluded_count++] = trip.exclusions[i].driver_id;
    terms.round = trip.round + 1;
    terms.expires_at = Min(terms.now + trip.strategy.offer_ttl_us, trip.search_until);
    terms.slots = trip.max_pending_offers;
    terms.radius_m = trip.radius_m[0];
    if (live_find(&search, driver_id, &candidate.hit)) {
        terms.retry_at = terms.now;
        made = offers_send(&trip, &candidate, 1, 1, &terms);
    }
    SPI_finish();
    PG_RETURN_INT32(made);
}
