/*
 * Recording rounds; see record.h.
 *
 * The row goes past SQL: a round pays for a tuple, an index entry and their WAL, and for no planner or
 * executor run. The partition of a day is found by its name, which hail.make_day_partition gives it.
 */
#include "postgres.h"

#include "access/table.h"
#include "access/tableam.h"
#include "access/xact.h"
#include "catalog/namespace.h"
#include "catalog/pg_type.h"
#include "executor/executor.h"
#include "nodes/makefuncs.h"
#include "utils/array.h"
#include "utils/builtins.h"
#include "utils/datetime.h"
#include "utils/lsyscache.h"
#include "utils/rel.h"
#include "utils/timestamp.h"

#include "dispatch/counters.h"
#include "dispatch/record.h"

#define TABLE "match_rounds"

/* Columns of hail.match_rounds, in order. */
enum {
    COL_TRIP,
    COL_ROUND,
    COL_SEARCH_ROUND,
    COL_POLICY,
    COL_STRATEGY,
    COL_CREATED_AT,
    COL_RADIUS,
    COL_WANTED,
    COL_OFFERS,
    COL_FAVOURITES_FIRST,
    COL_DISTANCE_ONLY,
    COL_FOUND,
    COL_GATES,
    COL_CANDIDATES,
    COL_PASSED,
    COLUMNS
};

/* An open partition that takes rows of this moment: the day's, or the default one. */
static Relation open_partition(TimestampTz at)
{
    struct pg_tm tm;
    fsec_t fsec;
    Oid schema = get_namespace_oid("hail", false);
    char name[NAMEDATALEN];

    if (timestamp2tm(at, NULL, &tm, &fsec, NULL, NULL) != 0)
        elog(ERROR, "time of a round is out of range");
    snprintf(name, sizeof(name), TABLE "_%04d%02d%02d", tm.tm_year, tm.tm_mon, tm.tm_mday);
    for (;;) {
        Oid oid = get_relname_relid(name, schema);
        bool day = OidIsValid(oid);
        Relation relation =
            try_table_open(day ? oid : get_relname_relid(TABLE "_default", schema), RowExclusiveLock);

        /* Whoever makes a day's partition locks the default one: with our lock on it, look again. */
        if (relation != NULL && relation->rd_rel->relispartition &&
            (day || !OidIsValid(get_relname_relid(name, schema))))
            return relation;
        if (relation == NULL && !day)
            elog(ERROR, "hail." TABLE " has no default partition");
        if (relation != NULL)
            table_close(relation, NoLock);
        if (day) /* dropped or detached just now */
            snprintf(name, sizeof(name), TABLE "_none");
    }
}

static Datum bytes_datum(uint8 **data, Size size)
{
    bytea *value = palloc(VARHDRSZ + size);

    SET_VARSIZE(value, VARHDRSZ + size);
    *data = (uint8 *)VARDATA(value);
    return PointerGetDatum(value);
}

static Datum pack_candidates(const MatchField *field)
{
    int count = Min(field->count, RECORD_MAX_CANDIDATES);
    uint8 *bytes;
    Datum value = bytes_datum(&bytes, (Size)FACTS_PACKED * count);

    for (int i = 0; i < count; i++)
        facts_pack(&field->candidates[i].facts, bytes + i * FACTS_PACKED);
    return value;
}

/* The gate of someone the index passed over. */
static MatchGate gate_of_passed(const MatchTrip *trip, const RoundRecord *record, int i)
{
    static const uint8 gates[LIVE_PASSES] = {
        [LIVE_PASS_STALE] = GATE_STALE,       [LIVE_PASS_BUSY] = GATE_BUSY,
        [LIVE_PASS_COOLDOWN] = GATE_COOLDOWN, [LIVE_PASS_CLASS] = GATE_CLASS,
        [LIVE_PASS_OFFERS] = GATE_OFFERS,     [LIVE_PASS_AREA] = GATE_AREA,
    };
    const LivePassed *passed = &record->field->passed;

    if (passed->drivers[i].why != LIVE_PASS_EXCLUDED)
        return gates[passed->drivers[i].why];
    return match_exclusion(trip, &passed->drivers[i].driver_id, record->round_in_search);
}

/* Driver, distance (float4), gate: PASSED_PACKED bytes each, little endian. Counts them by gate. */
static Datum pack_passed(const MatchTrip *trip, const RoundRecord *record, int *gates)
{
    const LivePassed *passed = &record->field->passed;
    uint8 *bytes;
    Datum value = bytes_datum(&bytes, (Size)PASSED_PACKED * passed->noted);
    int noted[LIVE_PASSES] = {0};

    for (int i = 0; i < passed->noted; i++) {
        MatchGate gate = gate_of_passed(trip, record, i);

        passed_pack(passed->drivers[i].driver_id.data, passed->drivers[i].distance_m, gate,
                    bytes + i * PASSED_PACKED);
        gates[gate]++;
        noted[passed->drivers[i].why]++;
    }
    /* those that there was no room to note */
    gates[GATE_STALE] += passed->count[LIVE_PASS_STALE] - noted[LIVE_PASS_STALE];
    gates[GATE_BUSY] += passed->count[LIVE_PASS_BUSY] - noted[LIVE_PASS_BUSY];
    gates[GATE_COOLDOWN] += passed->count[LIVE_PASS_COOLDOWN] - noted[LIVE_PASS_COOLDOWN];
    gates[GATE_CLASS] += passed->count[LIVE_PASS_CLASS] - noted[LIVE_PASS_CLASS];
    gates[GATE_OFFERS] += passed->count[LIVE_PASS_OFFERS] - noted[LIVE_PASS_OFFERS];
    gates[GATE_AREA] += passed->count[LIVE_PASS_AREA] - noted[LIVE_PASS_AREA];
    gates[GATE_ASKED] += passed->count[LIVE_PASS_EXCLUDED] - noted[LIVE_PASS_EXCLUDED];
    return value;
}

static Datum gates_datum(const int *gates)
{
    Datum counts[GATE_COUNT - 1];

    for (int gate = 1; gate < GATE_COUNT; gate++)
        counts[gate - 1] = Int32GetDatum(gates[gate]);
    return PointerGetDatum(construct_array(counts, GATE_COUNT - 1, INT4OID, 4, true, TYPALIGN_INT));
}

static void insert_row(Relation partition, Datum *values)
{
    EState *estate = CreateExecutorState();
    ResultRelInfo *target = makeNode(ResultRelInfo);
    TupleTableSlot *slot = MakeSingleTupleTableSlot(RelationGetDescr(partition), &TTSOpsVirtual);

    if (RelationGetDescr(partition)->natts != COLUMNS)
        elog(ERROR, "hail." TABLE " is not as it was made");
    InitResultRelInfo(target, partition, 0, NULL, 0);
    ExecOpenIndices(target, false);
    memcpy(slot->tts_values, values, sizeof(Datum) * COLUMNS);
    memset(slot->tts_isnull, 0, sizeof(bool) * COLUMNS);
    ExecStoreVirtualTuple(slot);
    table_tuple_insert(partition, slot, GetCurrentCommandId(true), 0, NULL);
    if (target->ri_NumIndices > 0)
        (void)ExecInsertIndexTuples(target, slot, estate, false, false, NULL, NIL);
    ExecCloseIndices(target);
    ExecDropSingleTupleTableSlot(slot);
    FreeExecutorState(estate);
}

void record_round(const MatchTrip *trip, const RoundRecord *record)
{
    const MatchField *field = record->field;
    int gates[GATE_COUNT] = {0};
    Datum values[COLUMNS] = {
        [COL_TRIP] = UUIDPGetDatum(&trip->id),
        [COL_ROUND] = Int32GetDatum(record->round),
        [COL_SEARCH_ROUND] = Int32GetDatum(record->round_in_search),
        [COL_POLICY] = Int16GetDatum((int16)trip->policy_id),
        [COL_STRATEGY] = CStringGetTextDatum(strategy_name(trip->strategy.kind)),
        [COL_CREATED_AT] = TimestampTzGetDatum(record->at),
        [COL_RADIUS] = Float8GetDatum(field->radius_m),
        [COL_WANTED] = Int32GetDatum(record->wanted),
        [COL_OFFERS] = Int32GetDatum(record->offers),
        [COL_FAVOURITES_FIRST] = BoolGetDatum(trip->rules.favourites_first),
        [COL_DISTANCE_ONLY] = BoolGetDatum(trip->rules.distance_only),
        [COL_FOUND] = Int32GetDatum(field->count),
    };
    Relation partition = open_partition(record->at);

    for (int i = 0; i < field->count; i++)
        gates[field->candidates[i].verdict.gate]++;
    values[COL_CANDIDATES] = pack_candidates(field);
    values[COL_PASSED] = pack_passed(trip, record, gates);
    values[COL_GATES] = gates_datum(gates);
    insert_row(partition, values);
    table_close(partition, NoLock);
    dispatch_count(COUNT_ROUNDS, 1);
    dispatch_count(COUNT_ROUNDS_EMPTY, record->offers == 0);
    dispatch_count(COUNT_CANDIDATES, field->count);
    dispatch_count(COUNT_OFFERS, record->offers);
    for (int gate = 1; gate < GATE_COUNT; gate++)
        dispatch_count(COUNT_GATED + gate, gates[gate]);
}
