/*
 * The guards of the ledger.
 *
 * The ledger itself writes transactions, entries and balances past SQL (store.h) and holds by statements
 * inside ledger_execute(). For everybody else there are row triggers, ENABLE ALWAYS (session_replication_role
 * does not silence them), on the four tables:
 *
 * Before the row: whoever writes is refused, the tables' owner included, but for ledger_execute(). What is
 * there is never updated (but balances and holds, by the ledger), never deleted, never truncated.
 *
 * After the row: the row as it really was stored is noted in backend memory.
 *
 * Before commit: the notes, those of rows written past SQL among them, are added up: each new transaction has
 * entries, its debits equal its credits in each currency; each wallet's posted moved by its entries, its held
 * by its holds. If not, the transaction fails. This is a check of our own code, and of what a superuser
 * restores. What a table's owner hangs onto the tables (rules, triggers) does not reach the rows that the
 * ledger writes past SQL.
 *
 * The check runs in the pre-commit callback and not in constraint triggers: nothing can run after it, SET
 * CONSTRAINTS does not reach it, and it costs no query. Notes carry the subtransaction that made them; those
 * of an aborted one are dropped.
 *
 * A restore (pg_dump) writes rows as a superuser, with COPY, table by table, each in a transaction of its
 * own: a superuser's INSERT is accepted, but its transactions must balance too. Restored rows get the xid of
 * the restore, because the old cluster's xids mean nothing here, and system accounts start again with nothing
 * folded.
 */
#include "postgres.h"

#include "access/htup_details.h"
#include "access/xact.h"
#include "commands/trigger.h"
#include "executor/spi.h"
#include "miscadmin.h"
#include "utils/builtins.h"
#include "utils/datum.h"
#include "utils/memutils.h"
#include "utils/rel.h"
#include "utils/uuid.h"
#include "utils/xid8.h"

#include "base/error.h"
#include "ledger/guards.h"
#include "ledger/store.h"

typedef enum NoteKind {
    NOTE_TRANSACTION, /* a transaction row was made: entries must follow */
    NOTE_ENTRY,       /* signed amount of an entry of transaction `id` in `currency` */
    NOTE_POSTED,      /* wallet `id`: signed amount of an entry, less what posted moved by */
    NOTE_HELD         /* account `id`: amount of a hold opened, less what held moved by */
} NoteKind;

typedef struct Note {
    pg_uuid_t id;
    NoteKind kind;
    char currency[4];
    SubTransactionId subtransaction;
    int64 delta;
} Note;

#define NOTES_KEPT 1024 /* capacity kept from one transaction to the next */

static bool writing = false; /* inside ledger_execute() */
static Note *notes = NULL;   /* in the order they were made */
static Size note_count = 0;
static Size note_capacity = 0;

uint64 ledger_execute(HailStatement *statement, Datum *args, const char *nulls)
{
    bool outer = writing;
    volatile uint64 rows = 0;

    writing = true;
    PG_TRY();
    {
        rows = hail_execute(statement, args, nulls, false, 0);
    }
    PG_FINALLY();
    {
        writing = outer;
    }
    PG_END_TRY();
    return rows;
}

static void pg_attribute_noreturn() protected(const char *message, const char *table)
{
    ereport(
        ERROR, hail_error(HAIL_LEDGER_PROTECTED), errmsg(message, table),
        errhint(
            "Post a transaction instead: hail.post_transaction(), hail.reverse_transaction(), hail.hold()."));
}

/* A superuser who has not become somebody else: pg_restore, and nobody below. */
static bool may_restore(void)
{
    return superuser() && superuser_arg(GetSessionUserId());
}

/* ---- notes ---- */

static void out_of_range(void)
{
    ereport(ERROR, errcode(ERRCODE_NUMERIC_VALUE_OUT_OF_RANGE), errmsg("ledger amount out of range"));
}

static void add_to(int64 *sum, int64 delta)
{
    if (__builtin_add_overflow(*sum, delta, sum))
        out_of_range();
}

static void grow_notes(void)
{
    note_capacity = note_capacity == 0 ? 64 : note_capacity * 2;
    if (notes == NULL)
        notes = MemoryContextAlloc(TopMemoryContext, note_capacity * sizeof(Note));
    else
        notes = repalloc_huge(notes, note_capacity * sizeof(Note));
}

/* Keep a note; joined with the one before when that is about the same thing. */
static Note *keep_note(NoteKind kind, const pg_uuid_t *id, const char *currency, int64 delta)
{
    SubTransactionId now = GetCurrentSubTransactionId();
    Note *last = note_count > 0 ? &notes[note_count - 1] : NULL;

    if (last != NULL && last->kind == kind && last->subtransaction == now &&
        memcmp(&last->id, id, sizeof(pg_uuid_t)) == 0 && strcmp(last->currency, currency) == 0) {
        add_to(&last->delta, delta);
        return last;
    }
    if (note_count == note_capacity)
        grow_notes();
    last = &notes[note_count++];
    memset(last, 0, sizeof(Note));
    last->id = *id;
    last->kind = kind;
    strlcpy(last->currency, currency, sizeof(last->currency));
    last->subtransaction = now;
    last->delta = delta;
    return last;
}

void ledger_note_transaction(const pg_uuid_t *id)
{
    keep_note(NOTE_TRANSACTION, id, "", 0);
}

void ledger_forget_transaction(const pg_uuid_t *id)
{
    for (Size i = note_count; i > 0; i--)
        if (notes[i - 1].kind == NOTE_TRANSACTION && memcmp(&notes[i - 1].id, id, sizeof(*id)) == 0) {
            memmove(&notes[i - 1], &notes[i], (note_count - i) * sizeof(Note));
            note_count--;
            return;
        }
}

void ledger_note_entry(const pg_uuid_t *transaction_id, const char *currency, int64 amount)
{
    keep_note(NOTE_ENTRY, transaction_id, currency, amount);
}

/* A sum of nothing says nothing more at commit. */
static void keep_sum(NoteKind kind, const pg_uuid_t *id, int64 delta)
{
    if (delta != 0 && keep_note(kind, id, "", delta)->delta == 0)
        note_count--;
}

void ledger_note_posted(const pg_uuid_t *account_id, int64 amount)
{
    keep_sum(NOTE_POSTED, account_id, amount);
}

void ledger_note_account(const pg_uuid_t *account_id, int64 posted_moved, int64 held_moved)
{
    keep_sum(NOTE_POSTED, account_id, -posted_moved);
    keep_sum(NOTE_HELD, account_id, -held_moved);
}

static void forget_notes(void)
{
    note_count = 0;
    writing = false;
    if (note_capacity > NOTES_KEPT) {
        pfree(notes);
        notes = NULL;
        note_capacity = 0;
    }
}

/* Entries sort with their transaction, which comes first. */
static int compare_notes(const void *a, const void *b)
{
    const Note *x = a, *y = b;
    NoteKind xs = Max(x->kind, NOTE_ENTRY), ys = Max(y->kind, NOTE_ENTRY);
    int order;

    if (xs != ys)
        return xs < ys ? -1 : 1;
    order = memcmp(&x->id, &y->id, sizeof(pg_uuid_t));
    if (order == 0)
        order = (int)x->kind - (int)y->kind;
    return order != 0 ? order : strcmp(x->currency, y->currency);
}

static bool same_sum(const Note *a, const Note *b)
{
    return a->kind == b->kind && memcmp(&a->id, &b->id, sizeof(pg_uuid_t)) == 0 &&
           strcmp(a->currency, b->currency) == 0;
}

static char *id_text(const Note *note)
{
    return DatumGetCString(DirectFunctionCall1(uuid_out, UUIDPGetDatum(&note->id)));
}

static void refuse_sum(const Note *note, int64 sum)
{
    if (note->kind == NOTE_ENTRY)
        ereport(ERROR, hail_error(HAIL_UNBALANCED),
                errmsg("debits and credits of ledger transaction %s differ by " INT64_FORMAT, id_text(note),
                       sum));
    ereport(ERROR, hail_error(HAIL_LEDGER_PROTECTED),
            errmsg("%s balance of account %s moved by " INT64_FORMAT " more or less than its %s",
                   note->kind == NOTE_POSTED ? "posted" : "held", id_text(note), sum,
                   note->kind == NOTE_POSTED ? "entries" : "holds"));
}

static void check_notes(void)
{
    Size i = 0;

    if (note_count > 1)
        qsort(notes, note_count, sizeof(Note), compare_notes);
    while (i < note_count) {
        const Note *first = &notes[i];
        int64 sum = 0;

        for (; i < note_count && same_sum(first, &notes[i]); i++)
            add_to(&sum, notes[i].delta);
        if (first->kind == NOTE_TRANSACTION) {
            if (i == note_count || notes[i].kind != NOTE_ENTRY ||
                memcmp(&notes[i].id, &first->id, sizeof(pg_uuid_t)) != 0)
                ereport(ERROR, hail_error(HAIL_UNBALANCED),
                        errmsg("ledger transaction %s has no entries", id_text(first)));
        } else if (sum != 0)
            refuse_sum(first, sum);
    }
}

static void at_transaction_end(XactEvent event, void *arg)
{
    switch (event) {
    case XACT_EVENT_PRE_COMMIT:
    case XACT_EVENT_PRE_PREPARE:
        check_notes();
        break;
    case XACT_EVENT_COMMIT:
    case XACT_EVENT_PREPARE:
    case XACT_EVENT_ABORT:
        forget_notes();
        break;
    default:
        break;
    }
}

/* Subtransactions are numbered as they start: what an aborted one and its children noted is the tail. */
static void at_subtransaction_end(SubXactEvent event, SubTransactionId id, SubTransactionId parent, void *arg)
{
    if (event == SUBXACT_EVENT_ABORT_SUB)
        while (note_count > 0 && notes[note_count - 1].subtransaction >= id)
            note_count--;
}

void ledger_init(void)
{
    RegisterXactCallback(at_transaction_end, NULL);
    RegisterSubXactCallback(at_subtransaction_end, NULL);
    store_init();
}

/* ---- rows ---- */

typedef struct Row {
    HeapTuple tuple;
    TupleDesc desc;
} Row;

static Datum column(Row row, const char *name, bool *isnull)
{
    Datum value = SPI_getbinval(row.tuple, row.desc, SPI_fnumber(row.desc, name), isnull);

    if (SPI_result == SPI_ERROR_NOATTRIBUTE)
        elog(ERROR, "ledger table has no column \"%s\"", name);
    return value;
}

static int64 column_int64(Row row, const char *name)
{
    bool isnull;
    Datum value = column(row, name, &isnull);

    return isnull ? 0 : DatumGetInt64(value);
}

static pg_uuid_t column_uuid(Row row, const char *name)
{
    bool isnull;
    Datum value = column(row, name, &isnull);

    if (isnull)
        ereport(ERROR, errcode(ERRCODE_NOT_NULL_VIOLATION), errmsg("%s must not be null", name));
    return *DatumGetUUIDP(value);
}

static char *column_text(Row row, const char *name)
{
    bool isnull;
    Datum value = column(row, name, &isnull);

    return isnull ? "" : TextDatumGetCString(value);
}

static TriggerData *trigger_data(FunctionCallInfo fcinfo)
{
    if (!CALLED_AS_TRIGGER(fcinfo))
        elog(ERROR, "a ledger guard is called by its trigger only");
    return (TriggerData *)fcinfo->context;
}

static HeapTuple with_column(Row row, const char *name, Datum value)
{
    int attribute = SPI_fnumber(row.desc, name);
    bool isnull = false;

    return heap_modify_tuple_by_cols(row.tuple, row.desc, 1, &attribute, &value, &isnull);
}

PG_FUNCTION_INFO_V1(hail_ledger_guard_append);
PG_FUNCTION_INFO_V1(hail_ledger_guard_account);
PG_FUNCTION_INFO_V1(hail_ledger_guard_hold);
PG_FUNCTION_INFO_V1(hail_ledger_note_transaction);
PG_FUNCTION_INFO_V1(hail_ledger_note_entry);
PG_FUNCTION_INFO_V1(hail_ledger_note_account);
PG_FUNCTION_INFO_V1(hail_ledger_note_hold);

/* Before a row of ledger_transactions or ledger_entries: append-only, and only by us. */
Datum hail_ledger_guard_append(PG_FUNCTION_ARGS)
{
    TriggerData *data = trigger_data(fcinfo);
    Row row = {data->tg_trigtuple, RelationGetDescr(data->tg_relation)};

    if (!TRIGGER_FIRED_BY_INSERT(data->tg_event))
    protected("rows of %s are never changed or removed", RelationGetRelationName(data->tg_relation));
    if (writing)
        return PointerGetDatum(row.tuple);
    if (!may_restore())
    protected("rows of %s are written by the ledger only", RelationGetRelationName(data->tg_relation));
    return PointerGetDatum(with_column(row, "xid", FullTransactionIdGetDatum(GetTopFullTransactionId())));
}

/* A floor may be raised, never lowered or taken away: wallets would go below the old one. */
static bool floor_stays(bool null_before, Datum before, bool null_after, Datum after)
{
    return null_before || (!null_after && DatumGetInt64(after) >= DatumGetInt64(before));
}

/* Everything but floor (upwards) and closed_at of an account stays, unless we write. */
static void refuse_account_change(Row before, Row after)
{
    for (int i = 0; i < after.desc->natts; i++) {
        Form_pg_attribute att = TupleDescAttr(after.desc, i);
        bool null_before, null_after;
        Datum b = heap_getattr(before.tuple, i + 1, before.desc, &null_before);
        Datum a = heap_getattr(after.tuple, i + 1, after.desc, &null_after);

        if (att->attisdropped || strcmp(NameStr(att->attname), "closed_at") == 0)
            continue;
        if (strcmp(NameStr(att->attname), "floor") == 0 && floor_stays(null_before, b, null_after, a))
            continue;
        if (null_before != null_after || (!null_after && !datum_image_eq(b, a, att->attbyval, att->attlen)))
        protected("column %s of an account is written by the ledger only", NameStr(att->attname));
    }
}

static HeapTuple guard_account_insert(Row row)
{
    bool isnull;

    if (column_int64(row, "posted") == 0 && column_int64(row, "held") == 0 &&
        column_int64(row, "folded_xid") == 0)
        return row.tuple;
    if (!may_restore())
    protected("accounts are opened with nothing %s", "on them");
    if (DatumGetBool(column(row, "is_system", &isnull)) && !isnull) {
        row.tuple = with_column(row, "posted", Int64GetDatum(0));
        row.tuple = with_column(row, "folded_xid", FullTransactionIdGetDatum(FullTransactionIdFromU64(0)));
    }
    return row.tuple;
}

Datum hail_ledger_guard_account(PG_FUNCTION_ARGS)
{
    TriggerData *data = trigger_data(fcinfo);
    TupleDesc desc = RelationGetDescr(data->tg_relation);
    Row before = {data->tg_trigtuple, desc}, after = {data->tg_newtuple, desc};

    if (TRIGGER_FIRED_BY_INSERT(data->tg_event))
        return PointerGetDatum(guard_account_insert(before));
    if (!TRIGGER_FIRED_BY_UPDATE(data->tg_event))
    protected("rows of %s are never removed", RelationGetRelationName(data->tg_relation));
    if (!writing)
        refuse_account_change(before, after);
    return PointerGetDatum(after.tuple);
}

Datum hail_ledger_guard_hold(PG_FUNCTION_ARGS)
{
    TriggerData *data = trigger_data(fcinfo);
    bool insert = TRIGGER_FIRED_BY_INSERT(data->tg_event), update = TRIGGER_FIRED_BY_UPDATE(data->tg_event);

    if (!insert && !update)
    protected("rows of %s are never removed", RelationGetRelationName(data->tg_relation));
    if (!writing && !(insert && may_restore()))
    protected("rows of %s are written by the ledger only", RelationGetRelationName(data->tg_relation));
    return PointerGetDatum(insert ? data->tg_trigtuple : data->tg_newtuple);
}

Datum hail_ledger_note_transaction(PG_FUNCTION_ARGS)
{
    TriggerData *data = trigger_data(fcinfo);
    Row row = {data->tg_trigtuple, RelationGetDescr(data->tg_relation)};
    pg_uuid_t id = column_uuid(row, "id");

    if (writing)
        keep_note(NOTE_TRANSACTION, &id, "", 0);
    return PointerGetDatum(NULL);
}

Datum hail_ledger_note_entry(PG_FUNCTION_ARGS)
{
    TriggerData *data = trigger_data(fcinfo);
    Row row = {data->tg_trigtuple, RelationGetDescr(data->tg_relation)};
    pg_uuid_t transaction = column_uuid(row, "transaction_id"), account = column_uuid(row, "account_id");
    int64 amount = column_int64(row, "amount");
    int64 delta = column_text(row, "direction")[0] == 'c' ? amount : -amount;
    bool system_account;
    Note *note = keep_note(NOTE_ENTRY, &transaction, column_text(row, "currency"), delta);

    (void)column(row, "balance_after", &system_account);
    if (writing && !system_account)
        keep_note(NOTE_POSTED, &account, "", delta);
    else if (!writing && note->delta == 0)
        note_count--; /* a restored transaction that balances: millions of them may follow */
    return PointerGetDatum(NULL);
}

Datum hail_ledger_note_account(PG_FUNCTION_ARGS)
{
    TriggerData *data = trigger_data(fcinfo);
    TupleDesc desc = RelationGetDescr(data->tg_relation);
    Row before = {data->tg_trigtuple, desc}, after = {data->tg_newtuple, desc};
    pg_uuid_t id = column_uuid(after, "id");
    int64 posted = column_int64(after, "posted"), held = column_int64(after, "held");
    bool isnull;

    if (DatumGetBool(column(after, "is_system", &isnull)))
        return PointerGetDatum(NULL); /* folding; its sum comes from the entries in the same statement */
    add_to(&posted, -column_int64(before, "posted"));
    add_to(&held, -column_int64(before, "held"));
    ledger_note_account(&id, posted, held);
    return PointerGetDatum(NULL);
}

static int64 open_amount(Row row)
{
    return strcmp(column_text(row, "status"), "held") == 0 ? column_int64(row, "amount") : 0;
}

Datum hail_ledger_note_hold(PG_FUNCTION_ARGS)
{
    TriggerData *data = trigger_data(fcinfo);
    TupleDesc desc = RelationGetDescr(data->tg_relation);
    bool insert = TRIGGER_FIRED_BY_INSERT(data->tg_event);
    Row before = {data->tg_trigtuple, desc}, after = {insert ? data->tg_trigtuple : data->tg_newtuple, desc};
    int64 delta = open_amount(after) - (insert ? 0 : open_amount(before));
    pg_uuid_t account = column_uuid(after, "account_id");

    if (writing && delta != 0)
        keep_note(NOTE_HELD, &account, "", delta);
    return PointerGetDatum(NULL);
}
