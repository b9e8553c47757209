/* SQL entry points of the dispatch module that are C: rounds, ranking, waking, the offers trigger. */
#include "postgres.h"

#include <math.h>

#include "commands/trigger.h"
#include "executor/spi.h"
#include "fmgr.h"
#include "funcapi.h"
#include "utils/builtins.h"
#include "utils/datum.h"
#include "utils/rel.h"

#include "base/clock.h"
#include "base/error.h"
#include "dispatch/accept.h"
#include "dispatch/dispatch.h"
#include "dispatch/matching.h"
#include "identity/session.h"
#include "live/live.h"
#include "pricing/eta.h"
#include "worker/worker.h"

PG_FUNCTION_INFO_V1(hail_match_trip);
PG_FUNCTION_INFO_V1(hail_rank_drivers);
PG_FUNCTION_INFO_V1(hail_wake_dispatcher);
PG_FUNCTION_INFO_V1(hail_offers_changed);
PG_FUNCTION_INFO_V1(hail_accept_for);
PG_FUNCTION_INFO_V1(hail_radius_index);

/* Values past the last whole 10,000 are redrawn. */
char *make_pickup_code(void)
{
    uint32 random;

    do {
        if (!pg_strong_random(&random, sizeof(random)))
            ereport(ERROR, errcode(ERRCODE_INTERNAL_ERROR), errmsg("could not generate random values"));
    } while (random >= PG_UINT32_MAX - PG_UINT32_MAX % 10000);
    return psprintf("%04u", random % 10000);
}

/* hail.match_trip(trip_id): one round; the caller has locked the trip and knows that it is searching. */
Datum hail_match_trip(PG_FUNCTION_ARGS)
{
    int made;

    SPI_connect();
    made = match_round(PG_GETARG_UUID_P(0), hail_now());
    SPI_finish();
    PG_RETURN_INT32(made);
}

/* hail.accept_for(trip_id, driver_id, actor, price): hail.trips; the caller has authorised. */
Datum hail_accept_for(PG_FUNCTION_ARGS)
{
    MemoryContext caller = CurrentMemoryContext;
    AcceptRequest request = {.trip_id = *PG_GETARG_UUID_P(0),
                             .driver_id = *PG_GETARG_UUID_P(1),
                             .actor = text_to_cstring(PG_GETARG_TEXT_PP(2)),
                             .price = PG_GETARG_INT64(3)};
    bool already;
    Datum trip;

    SPI_connect();
    trip = dispatch_accept(&request, &already);
    MemoryContextSwitchTo(caller);
    trip = datumCopy(trip, false, -1);
    SPI_finish();
    PG_RETURN_DATUM(trip);
}

/* hail.radius_index(strategy, round, rounds_per_radius, sequential_offers, radii): index from 0 */
Datum hail_radius_index(PG_FUNCTION_ARGS)
{
    StrategyTerms terms = {.kind = strategy_by_name(text_to_cstring(PG_GETARG_TEXT_PP(0))),
                           .rounds_per_radius = PG_GETARG_INT32(2),
                           .sequential_offers = PG_GETARG_INT32(3),
                           .radius_count = PG_GETARG_INT32(4)};

    if (terms.kind == STRATEGY_COUNT || terms.rounds_per_radius < 1 || terms.radius_count < 1)
        elog(ERROR, "no such strategy or policy");
    PG_RETURN_INT32(strategy_round(&terms, Max(PG_GETARG_INT32(1), 1)).radius_index);
}

/* hail.wake_dispatcher() */
Datum hail_wake_dispatcher(PG_FUNCTION_ARGS)
{
    worker_wake_dispatcher_at_commit();
    PG_RETURN_VOID();
}

/* Columns: id, score, distance, eta, the six first terms, gate, then what was added. */
static void put_ranked(ReturnSetInfo *result, const MatchTrip *trip, const MatchCandidate *candidate)
{
    const LiveHit *hit = &candidate->hit;
    const Verdict *verdict = &candidate->verdict;
    Datum values[4 + SCORE_TERMS + 1 + 3];
    bool nulls[lengthof(values)] = {false};
    int n = 0;

    values[n++] = UUIDPGetDatum(&hit->driver_id);
    values[n++] = Float8GetDatum(verdict->score.total);
    values[n++] = Float8GetDatum(hit->distance_m);
    values[n++] = Int32GetDatum(
        eta_pickup(trip->region_id, hit->lat, hit->lng, trip->pickup_lat, trip->pickup_lng, trip->now)
            .duration_s);
    for (int i = 0; i < SCORE_IDLE; i++)
        values[n++] = Float8GetDatum(verdict->score.term[i]);
    nulls[n] = verdict->gate == GATE_NONE;
    values[n++] = CStringGetTextDatum(match_gate_names[verdict->gate]);
    values[n++] = Float8GetDatum(verdict->score.term[SCORE_IDLE]);
    values[n++] = Float8GetDatum(verdict->score.term[SCORE_RECENT]);
    values[n++] = BoolGetDatum(candidate->facts.flags & FACT_FAVOURITE);
    values[n++] = BoolGetDatum((candidate->facts.flags & FACT_HIGHER_TIER) == 0);
    nulls[n] = candidate->facts.queue_place == 0;
    values[n++] = Int32GetDatum(candidate->facts.queue_place);
    tuplestore_putvalues(result->setResult, result->setDesc, values, nulls);
}

/* hail.rank_drivers(trip_id, max_results) */
Datum hail_rank_drivers(PG_FUNCTION_ARGS)
{
    ReturnSetInfo *result = (ReturnSetInfo *)fcinfo->resultinfo;
    int max_results = PG_GETARG_INT32(1);
    MatchTrip trip;
    MatchField field;

    hail_require_admin();
    if (max_results < 1 || max_results > 1000)
        ereport(ERROR, hail_error(HAIL_INVALID_VALUE), errmsg("max_results must be from 1 to 1000"),
                hail_field("max_results"));
    InitMaterializedSRF(fcinfo, 0);
    SPI_connect();
    if (!match_load(PG_GETARG_UUID_P(0), &trip))
        ereport(ERROR, hail_error(HAIL_NOT_FOUND), errmsg("there is no such trip"), hail_field("trip_id"));
    trip.candidates = Max(trip.candidates, max_results);
    match_candidates(&trip, Max(trip.round - trip.rounds_before, 1), true, &field);
    for (int i = 0; i < Min(field.count, max_results); i++)
        put_ranked(result, &trip, &field.candidates[i]);
    SPI_finish();
    return (Datum)0;
}

static bool is_pending(HeapTuple tuple, TupleDesc desc)
{
    char *status = SPI_getvalue(tuple, desc, SPI_fnumber(desc, "status"));

    return strcmp(status, "pending") == 0;
}

/* Trigger of hail.offers: the one place that tells the live index how many pending offers a driver has. */
Datum hail_offers_changed(PG_FUNCTION_ARGS)
{
    TriggerData *trigger = (TriggerData *)fcinfo->context;
    TupleDesc desc;
    HeapTuple before = NULL, after = NULL;
    int delta = 0;

    if (!CALLED_AS_TRIGGER(fcinfo))
        elog(ERROR, "hail_offers_changed is a trigger");
    desc = RelationGetDescr(trigger->tg_relation);
    if (!TRIGGER_FIRED_BY_INSERT(trigger->tg_event))
        before = trigger->tg_trigtuple;
    if (!TRIGGER_FIRED_BY_DELETE(trigger->tg_event))
        after = before ? trigger->tg_newtuple : trigger->tg_trigtuple;
    delta = (after && is_pending(after, desc)) - (before && is_pending(before, desc));
    if (delta != 0) {
        bool isnull;
        Datum driver = SPI_getbinval(after ? after : before, desc, SPI_fnumber(desc, "driver_id"), &isnull);

        live_queue_offers(DatumGetUUIDP(driver), delta);
    }
    return PointerGetDatum(after ? after : before);
}
