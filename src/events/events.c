/* The event store's one insert; see events.h. */
#include "postgres.h"

#include "catalog/pg_type.h"
#include "fmgr.h"
#include "utils/builtins.h"
#include "utils/fmgrprotos.h"
#include "utils/timestamp.h"

#include "base/clock.h"
#include "base/guc.h"
#include "base/statement.h"
#include "events/events.h"
#include "identity/session.h"

static HailStatement insert_event = {
    "INSERT INTO hail.events (aggregate_type, aggregate_id, version, type, payload, actor, subject, "
    "request_id,"
    " occurred_at) VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9)",
    9,
    {TEXTOID, UUIDOID, INT4OID, TEXTOID, JSONBOID, TEXTOID, UUIDOID, TEXTOID, TIMESTAMPTZOID},
    HAIL_BY_KEY};

static HailStatement insert_two = {
    "INSERT INTO hail.events (aggregate_type, aggregate_id, version, type, payload, actor, subject, "
    "request_id, occurred_at) VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9),"
    " ($1, $2, $10, $11, $12, $6, $7, $8, $9)",
    12,
    {TEXTOID, UUIDOID, INT4OID, TEXTOID, JSONBOID, TEXTOID, UUIDOID, TEXTOID, TIMESTAMPTZOID, INT4OID,
     TEXTOID, JSONBOID},
    HAIL_BY_KEY};

/* Workers are superusers without a subject: what they do is done by "system", as is what nobody asked for. */
static void write_rows(Datum aggregate_type, Datum aggregate_id, Datum version, Datum type, Datum payload,
                       const EventDraft *second)
{
    HailActor actor = hail_actor();
    const char *role = actor.has_subject ? hail_role_name(actor.role) : "system";
    const char *request_id = hail_request_id();
    Datum args[12] = {aggregate_type,
                      aggregate_id,
                      version,
                      type,
                      payload,
                      CStringGetTextDatum(role),
                      UUIDPGetDatum(&actor.subject),
                      request_id ? CStringGetTextDatum(request_id) : (Datum)0,
                      TimestampTzGetDatum(hail_now())};
    char nulls[] = "            ";

    if (!actor.has_subject)
        nulls[6] = 'n';
    if (request_id == NULL)
        nulls[7] = 'n';
    if (second != NULL) {
        args[9] = Int32GetDatum(second->version);
        args[10] = CStringGetTextDatum(second->type);
        args[11] = DirectFunctionCall1(jsonb_in, CStringGetDatum(second->payload));
    }
    hail_execute(second != NULL ? &insert_two : &insert_event, args, nulls, false, 0);
}

void event_write_two(const char *aggregate_type, const pg_uuid_t *aggregate_id, const EventDraft events[2])
{
    write_rows(CStringGetTextDatum(aggregate_type), UUIDPGetDatum(aggregate_id),
               Int32GetDatum(events[0].version), CStringGetTextDatum(events[0].type),
               DirectFunctionCall1(jsonb_in, CStringGetDatum(events[0].payload)), &events[1]);
}

void event_write(const char *aggregate_type, const pg_uuid_t *aggregate_id, int version, const char *type,
                 const char *payload)
{
    write_rows(CStringGetTextDatum(aggregate_type), UUIDPGetDatum(aggregate_id), Int32GetDatum(version),
               CStringGetTextDatum(type), DirectFunctionCall1(jsonb_in, CStringGetDatum(payload)), NULL);
}

PG_FUNCTION_INFO_V1(hail_write_event);

/* hail.write_event(aggregate_type, aggregate_id, version, type, payload) */
Datum hail_write_event(PG_FUNCTION_ARGS)
{
    SPI_connect();
    write_rows(PG_GETARG_DATUM(0), PG_GETARG_DATUM(1), PG_GETARG_DATUM(2), PG_GETARG_DATUM(3),
               PG_GETARG_DATUM(4), NULL);
    SPI_finish();
    PG_RETURN_VOID();
}
