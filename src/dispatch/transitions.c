/* The transition table, its copy in the backend, and the trigger that holds every writer to it. */
#include "postgres.h"

#include "commands/trigger.h"
#include "executor/spi.h"
#include "fmgr.h"
#include "utils/builtins.h"
#include "utils/datum.h"
#include "utils/inval.h"
#include "utils/memutils.h"
#include "utils/rel.h"

#include "base/error.h"
#include "base/statement.h"
#include "dispatch/transitions.h"

#define MAX_TRANSITIONS 64
#define NAME_BYTES      32

typedef struct Transition {
    char from_state[NAME_BYTES], action[NAME_BYTES], actor[NAME_BYTES], to_state[NAME_BYTES];
} Transition;

static Transition transitions[MAX_TRANSITIONS];
static int transition_count = 0;
static Oid table_oid = InvalidOid; /* InvalidOid: the copy must be read anew */

static HailStatement read_table = {
    "SELECT x.tableoid, x.from_state, x.action, x.actor, x.to_state FROM hail.trip_transitions x", 0, {0}};

static void table_changed(Datum arg, Oid relation)
{
    if (relation == InvalidOid || relation == table_oid)
        table_oid = InvalidOid;
}

static void copy_column(uint64 row, int col, char *into)
{
    bool isnull;
    char *value = TextDatumGetCString(hail_result(row, col, &isnull));

    if (strlcpy(into, value, NAME_BYTES) >= NAME_BYTES)
        elog(ERROR, "name \"%s\" in hail.trip_transitions is too long", value);
}

static void load_transitions(void)
{
    static bool registered = false;
    bool isnull;
    uint64 rows;

    if (!registered) {
        CacheRegisterRelcacheCallback(table_changed, (Datum)0);
        registered = true;
    }
    rows = hail_execute(&read_table, NULL, NULL, false, 0);
    if (rows > MAX_TRANSITIONS)
        elog(ERROR, "hail.trip_transitions has more than %d rows", MAX_TRANSITIONS);
    for (uint64 i = 0; i < rows; i++) {
        copy_column(i, 2, transitions[i].from_state);
        copy_column(i, 3, transitions[i].action);
        copy_column(i, 4, transitions[i].actor);
        copy_column(i, 5, transitions[i].to_state);
    }
    transition_count = (int)rows;
    if (rows > 0)
        table_oid = DatumGetObjectId(hail_result(0, 1, &isnull));
}

/* The first row that fits; action and actor NULL: any. */
static const Transition *find(const char *from_state, const char *action, const char *actor,
                              const char *to_state)
{
    if (!OidIsValid(table_oid))
        load_transitions();
    for (int i = 0; i < transition_count; i++) {
        const Transition *t = &transitions[i];

        if (strcmp(t->from_state, from_state) == 0 && (action == NULL || strcmp(t->action, action) == 0) &&
            (actor == NULL || strcmp(t->actor, actor) == 0) &&
            (to_state == NULL || strcmp(t->to_state, to_state) == 0))
            return t;
    }
    return NULL;
}

const char *transition_next(const char *from_state, const char *action, const char *actor)
{
    const Transition *found = find(from_state, action, actor, NULL);

    if (found == NULL)
        ereport(ERROR, hail_error(HAIL_WRONG_STATE),
                errmsg("a trip that is %s does not take %s by %s", from_state, action, actor),
                hail_field("trip_id"),
                errhint("Read the trip again; hail.trip_transitions lists what is possible."));
    return found->to_state;
}

PG_FUNCTION_INFO_V1(hail_next_state);
PG_FUNCTION_INFO_V1(hail_guard_trip_state);
PG_FUNCTION_INFO_V1(hail_transitions_changed);

/* hail.next_state(from_state, action, actor) */
Datum hail_next_state(PG_FUNCTION_ARGS)
{
    const char *from_state = text_to_cstring(PG_GETARG_TEXT_PP(0));
    const char *action = text_to_cstring(PG_GETARG_TEXT_PP(1));
    const char *actor = text_to_cstring(PG_GETARG_TEXT_PP(2));
    const char *to_state;

    SPI_connect();
    to_state = transition_next(from_state, action, actor);
    SPI_finish();
    PG_RETURN_TEXT_P(cstring_to_text(to_state));
}

/* Trigger before update of a trip: when its state changes there must be such a move, whoever writes. */
Datum hail_guard_trip_state(PG_FUNCTION_ARGS)
{
    TriggerData *trigger = (TriggerData *)fcinfo->context;
    TupleDesc desc;
    Datum old_state, new_state;
    char *before, *after;
    bool old_null, new_null, possible;
    int column;

    if (!CALLED_AS_TRIGGER(fcinfo))
        elog(ERROR, "hail_guard_trip_state is a trigger");
    desc = RelationGetDescr(trigger->tg_relation);
    column = SPI_fnumber(desc, "state");
    old_state = SPI_getbinval(trigger->tg_trigtuple, desc, column, &old_null);
    new_state = SPI_getbinval(trigger->tg_newtuple, desc, column, &new_null);
    if (!new_null && datum_image_eq(old_state, new_state, false, -1))
        return PointerGetDatum(trigger->tg_newtuple);
    before = TextDatumGetCString(old_state);
    after = new_null ? NULL : TextDatumGetCString(new_state);
    SPI_connect();
    possible = after != NULL && find(before, NULL, NULL, after) != NULL;
    SPI_finish();
    if (!possible)
        ereport(ERROR, hail_error(HAIL_WRONG_STATE),
                errmsg("a trip cannot go from %s to %s", before, after ? after : "null"), hail_field("state"),
                errhint("hail.trip_transitions lists the moves there are."));
    return PointerGetDatum(trigger->tg_newtuple);
}

/* Trigger of hail.trip_transitions: every backend reads it anew. */
Datum hail_transitions_changed(PG_FUNCTION_ARGS)
{
    TriggerData *trigger = (TriggerData *)fcinfo->context;

    if (!CALLED_AS_TRIGGER(fcinfo))
        elog(ERROR, "hail_transitions_changed is a trigger");
    CacheInvalidateRelcache(trigger->tg_relation);
    return PointerGetDatum(NULL);
}
