/* Kept copies of tables; see kept.h. */
#include "postgres.h"

#include "access/xact.h"
#include "catalog/namespace.h"
#include "commands/trigger.h"
#include "fmgr.h"
#include "storage/proc.h"
#include "utils/inval.h"
#include "utils/lsyscache.h"
#include "utils/memutils.h"
#include "utils/rel.h"

#include "base/kept.h"
#include "base/owner.h"

static HailKept *all = NULL;

static void table_changed(Datum arg, Oid relation)
{
    for (HailKept *kept = all; kept != NULL; kept = kept->next)
        for (int i = 0; i < HAIL_KEPT_TABLES && kept->tables[i] != NULL; i++)
            if (relation == InvalidOid || relation == kept->oids[i])
                kept->current = false;
}

static void prepare_to_load(HailKept *kept)
{
    Oid schema = get_namespace_oid("hail", false);

    if (all == NULL)
        CacheRegisterRelcacheCallback(table_changed, (Datum)0);
    if (!kept->registered) {
        kept->next = all;
        all = kept;
        kept->registered = true;
    }
    for (int i = 0; i < HAIL_KEPT_TABLES && kept->tables[i] != NULL; i++)
        kept->oids[i] = get_relname_relid(kept->tables[i], schema);
}

/* An error undoes the role. */
static void *load_as_owner(HailKept *kept, MemoryContext context)
{
    HailOwner saved = hail_owner_begin();
    MemoryContext before = MemoryContextSwitchTo(context);
    void *copy = kept->load();

    MemoryContextSwitchTo(before);
    hail_owner_end(saved);
    return copy;
}

/* Whoever got the old copy in this transaction may still look at it. */
static void replace(HailKept *kept, void *copy, MemoryContext context)
{
    MemoryContextSetParent(context, TopMemoryContext);
    if (kept->memory != NULL)
        MemoryContextSetParent(kept->memory, TopTransactionContext);
    kept->memory = context;
    kept->copy = copy;
}

void *hail_kept(HailKept *kept)
{
    MemoryContext context;
    void *copy;

    if (unlikely(!IsTransactionState()))
        elog(ERROR, "kept tables are asked for outside of a transaction");
    AcceptInvalidationMessages();
    if (likely(kept->current &&
               (kept->only_in == InvalidLocalTransactionId || kept->only_in == MyProc->lxid)))
        return kept->copy;
    prepare_to_load(kept);
    kept->current = true; /* a change that comes in while we read takes it back */
    kept->only_in = IsolationUsesXactSnapshot() ? MyProc->lxid : InvalidLocalTransactionId;
    context = AllocSetContextCreate(CurrentMemoryContext, "hail kept tables", ALLOCSET_DEFAULT_SIZES);
    MemoryContextSetIdentifier(context, kept->name);
    PG_TRY();
    {
        copy = load_as_owner(kept, context);
    }
    PG_CATCH();
    {
        kept->current = false;
        PG_RE_THROW();
    }
    PG_END_TRY();
    replace(kept, copy, context);
    return copy;
}

PG_FUNCTION_INFO_V1(hail_kept_changed);

/* Trigger: every backend reads its copies of the table anew. */
Datum hail_kept_changed(PG_FUNCTION_ARGS)
{
    if (!CALLED_AS_TRIGGER(fcinfo))
        elog(ERROR, "hail_kept_changed is a trigger");
    CacheInvalidateRelcache(((TriggerData *)fcinfo->context)->tg_relation);
    return PointerGetDatum(NULL);
}
