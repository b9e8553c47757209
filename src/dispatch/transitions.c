/* The transition table, its copy in the backend, and the trigger that holds every writer to it. */
#include "postgres.h"

#include "commands/trigger.h"
#include "executor/spi.h"
#include "fmgr.h"
#include "utils/builtins.h"
#include "utils/datum.h"

#include "base/error.h"
#include "base/kept.h"
#include "base/statement.h"
#include "dispatch/transitions.h"

typedef struct Transition {
    char *from_state, *action, *actor, *to_state;
} Transition;

typedef struct Transitions {
    int count;
    Transition all[FLEXIBLE_ARRAY_MEMBER];
} Transitions;

static HailStatement read_table = {
    "SELECT x.from_state, x.action, x.actor, x.to_state FROM hail.trip_transitions x", 0, {0}};

static char *text_column(uint64 row, int col)
{
    bool isnull;

    return TextDatumGetCString(hail_result(row, col, &isnull));
}

static void *load(void)
{
    int count = (int)hail_execute(&read_table, NULL, NULL, false, 0);
    Transitions *copy = palloc(offsetof(Transitions, all) + sizeof(Transition) * count);

    copy->count = count;
    for (int i = 0; i < count; i++)
        copy->all[i] =
            (Transition){text_column(i, 1), text_column(i, 2), text_column(i, 3), text_column(i, 4)};
    return copy;
}

static HailKept kept = {"transitions", load, {"trip_transitions"}};

/* The first row that fits; action and actor NULL: any. */
static const Transition *find(const char *from_state, const char *action, const char *actor,
                              const char *to_state)
{
    const Transitions *transitions = hail_kept(&kept);

    for (int i = 0; i < transitions->count; i++) {
        const Transition *t = &transitions->all[i];

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

/* hail.next_state(from_state, action, actor) */
Datum hail_next_state(PG_FUNCTION_ARGS)
{
    const char *from_state = text_to_cstring(PG_GETARG_TEXT_PP(0));
    const char *action = text_to_cstring(PG_GETARG_TEXT_PP(1));
    const char *actor = text_to_cstring(PG_GETARG_TEXT_PP(2));

    PG_RETURN_TEXT_P(cstring_to_text(transition_next(from_state, action, actor)));
}

/* Trigger before update of a trip: when its state changes there must be such a move, whoever writes. */
Datum hail_guard_trip_state(PG_FUNCTION_ARGS)
{
    TriggerData *trigger = (TriggerData *)fcinfo->context;
    TupleDesc desc;
    Datum old_state, new_state;
    char *before, *after;
    bool old_null, new_null;
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
    if (after == NULL || find(before, NULL, NULL, after) == NULL)
        ereport(ERROR, hail_error(HAIL_WRONG_STATE),
                errmsg("a trip cannot go from %s to %s", before, after ? after : "null"), hail_field("state"),
                errhint("hail.trip_transitions lists the moves there are."));
    return PointerGetDatum(trigger->tg_newtuple);
}
