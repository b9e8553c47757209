/* Templates of entries; see template.h. */
#include "postgres.h"

#include "executor/spi.h"
#include "fmgr.h"
#include "utils/builtins.h"
#include "utils/fmgrprotos.h"
#include "utils/jsonb.h"
#include "utils/numeric.h"

#include "base/error.h"
#include "base/kept.h"
#include "base/statement.h"
#include "ledger/template.h"

typedef enum LegOwner { OWNER_SYSTEM, OWNER_CUSTOMER, OWNER_DRIVER, OWNER_WALLET } LegOwner;

typedef struct Leg {
    char *kind; /* NULL for OWNER_WALLET: whatever kind it is of */
    LegOwner owner;
    bool credit;
    char *amount;
} Leg;

typedef struct Template {
    char *name;
    int count;
    Leg legs[TEMPLATE_MAX_LEGS];
} Template;

typedef struct Templates {
    int count;
    Template *all;
} Templates;

static HailStatement read_templates = {
    "SELECT t.template, t.account_kind, t.owner, t.direction = 'credit', t.amount"
    " FROM hail.entry_templates t ORDER BY t.template, t.leg",
    0,
    {0}};

static char *text_result(uint64 row, int col)
{
    bool isnull;
    Datum value = hail_result(row, col, &isnull);

    return isnull ? NULL : TextDatumGetCString(value);
}

static LegOwner owner_by_name(const char *name)
{
    if (name == NULL)
        return OWNER_SYSTEM;
    if (strcmp(name, "customer") == 0)
        return OWNER_CUSTOMER;
    return strcmp(name, "driver") == 0 ? OWNER_DRIVER : OWNER_WALLET;
}

static void *load(void)
{
    uint64 rows = hail_execute(&read_templates, NULL, NULL, false, 0);
    Templates *copy = palloc0(sizeof(Templates));
    Template *t = NULL;
    bool isnull;

    copy->all = palloc0(sizeof(Template) * Max(rows, 1));
    for (uint64 i = 0; i < rows; i++) {
        char *name = text_result(i, 1);

        if (t == NULL || strcmp(t->name, name) != 0) {
            t = &copy->all[copy->count++];
            t->name = name;
        }
        if (t->count == TEMPLATE_MAX_LEGS)
            elog(ERROR, "template \"%s\" has more than %d legs", name, TEMPLATE_MAX_LEGS);
        t->legs[t->count++] = (Leg){text_result(i, 2), owner_by_name(text_result(i, 3)),
                                    DatumGetBool(hail_result(i, 4, &isnull)), text_result(i, 5)};
    }
    return copy;
}

static HailKept kept = {"entry templates", load, {"entry_templates"}};

static const Template *find_template(const char *name)
{
    const Templates *templates = hail_kept(&kept);

    for (int i = 0; i < templates->count; i++)
        if (strcmp(templates->all[i].name, name) == 0)
            return &templates->all[i];
    ereport(ERROR, hail_error(HAIL_INVALID_VALUE), errmsg("there is no template of entries \"%s\"", name),
            hail_field("template"), errhint("See hail.entry_templates."));
}

void template_amount(TemplateInput *input, const char *name, int64 amount)
{
    if (input->amount_count == TEMPLATE_MAX_AMOUNTS)
        ereport(ERROR, hail_error(HAIL_INVALID_VALUE), errmsg("too many amounts"), hail_field("amounts"));
    input->amounts[input->amount_count++] = (TemplateAmount){name, amount};
}

static int64 amount_of(const TemplateInput *input, const char *name)
{
    for (int i = 0; i < input->amount_count; i++)
        if (strcmp(input->amounts[i].name, name) == 0)
            return input->amounts[i].amount;
    return 0;
}

static bool has_amount(const Template *template, const char *name)
{
    for (int i = 0; i < template->count; i++)
        if (strcmp(template->legs[i].amount, name) == 0)
            return true;
    return false;
}

static void check_amounts(const Template *template, const TemplateInput *input)
{
    for (int i = 0; i < input->amount_count; i++) {
        const TemplateAmount *given = &input->amounts[i];

        if (!has_amount(template, given->name))
            ereport(ERROR, hail_error(HAIL_INVALID_VALUE),
                    errmsg("template \"%s\" has no amount \"%s\"", template->name, given->name),
                    hail_field("amounts"));
        if (given->amount < 0 || given->amount > POSTING_MAX_AMOUNT)
            ereport(ERROR, hail_error(HAIL_INVALID_VALUE),
                    errmsg("%s must be between 0 and 2^53", given->name), hail_field("amounts"));
    }
}

static pg_uuid_t wallet_of(const Leg *leg, const pg_uuid_t *owner, const char *who, const char *currency)
{
    if (owner == NULL)
        ereport(ERROR, hail_error(HAIL_WRONG_STATE), errmsg("there is no %s to post to", who),
                hail_field("template"));
    return ledger_account(leg->kind, owner, currency);
}

static pg_uuid_t account_of(const Leg *leg, const TemplateInput *input)
{
    switch (leg->owner) {
    case OWNER_CUSTOMER:
        return wallet_of(leg, input->customer, "customer", input->currency);
    case OWNER_DRIVER:
        return wallet_of(leg, input->driver, "driver", input->currency);
    case OWNER_WALLET:
        if (input->wallet == NULL)
            ereport(ERROR, hail_error(HAIL_INVALID_VALUE), errmsg("wallet_id must be given"),
                    hail_field("wallet_id"));
        return *input->wallet;
    default:
        return ledger_account(leg->kind, NULL, input->currency);
    }
}

/* A leg of the template before that goes to the same account; -1: none. Its account is looked up once. */
static int same_account(const Template *template, int leg, const int *places)
{
    const Leg *it = &template->legs[leg];

    for (int i = 0; i < leg; i++) {
        const Leg *other = &template->legs[i];

        if (places[i] >= 0 && other->owner == it->owner &&
            (it->owner == OWNER_WALLET || strcmp(other->kind, it->kind) == 0))
            return places[i];
    }
    return -1;
}

static int place_of_id(const TemplateLegs *out, const pg_uuid_t *id)
{
    for (int i = 0; i < out->count; i++)
        if (memcmp(&out->ids[i], id, sizeof(pg_uuid_t)) == 0)
            return i;
    return -1;
}

/* Sums (credits less debits) become legs; accounts that end up with nothing are left out. */
static void keep_legs(TemplateLegs *out, const int64 *sums)
{
    int *roles[] = {&out->customer, &out->driver, &out->wallet};
    int kept_legs = 0;

    for (int i = 0; i < out->count; i++) {
        int at = sums[i] == 0 ? -1 : kept_legs++;

        for (int r = 0; r < (int)lengthof(roles); r++)
            if (*roles[r] == i)
                *roles[r] = at;
        if (at < 0)
            continue;
        out->ids[at] = out->ids[i];
        out->legs[at] = (PostingLeg){.account = at, .credit = sums[i] > 0, .amount = Abs(sums[i])};
    }
    out->count = kept_legs;
}

TemplateLegs template_legs(const TemplateInput *input)
{
    const Template *template = find_template(input->name);
    TemplateLegs out = {.customer = -1, .driver = -1, .wallet = -1};
    int64 sums[TEMPLATE_MAX_LEGS] = {0}; /* 16 times 2^53 is far from an overflow */
    int places[TEMPLATE_MAX_LEGS];

    check_amounts(template, input);
    for (int i = 0; i < template->count; i++) {
        const Leg *leg = &template->legs[i];
        int64 amount = amount_of(input, leg->amount);

        places[i] = -1;
        if (amount == 0)
            continue;
        places[i] = same_account(template, i, places);
        if (places[i] < 0) {
            pg_uuid_t id = account_of(leg, input);

            places[i] = place_of_id(&out, &id);
            if (places[i] < 0) {
                out.ids[out.count] = id;
                places[i] = out.count++;
            }
        }
        sums[places[i]] += leg->credit ? amount : -amount;
        if (leg->owner == OWNER_CUSTOMER)
            out.customer = places[i];
        else if (leg->owner == OWNER_DRIVER)
            out.driver = places[i];
        else if (leg->owner == OWNER_WALLET)
            out.wallet = places[i];
    }
    keep_legs(&out, sums);
    return out;
}

static char *uuid_text(const pg_uuid_t *id)
{
    return DatumGetCString(DirectFunctionCall1(uuid_out, UUIDPGetDatum(id)));
}

static void append_id(StringInfo out, const char *name, const pg_uuid_t *id)
{
    if (id != NULL)
        appendStringInfo(out, ", \"%s\": \"%s\"", name, uuid_text(id));
}

/* Names of templates and amounts are those of the table, currencies are codes: nothing to escape. */
static char *request_json(const TemplateInput *input, const pg_uuid_t *hold)
{
    StringInfoData out;

    initStringInfo(&out);
    appendStringInfo(&out, "{\"currency\": \"%s\"", input->currency);
    for (int i = 0; i < input->amount_count; i++)
        if (input->amounts[i].amount != 0)
            appendStringInfo(&out, ", \"%s\": " INT64_FORMAT, input->amounts[i].name,
                             input->amounts[i].amount);
    append_id(&out, "customer_id", input->customer);
    append_id(&out, "driver_id", input->driver);
    append_id(&out, "wallet_id", input->wallet);
    append_id(&out, "hold_id", hold);
    appendStringInfo(&out, ", \"template\": \"%s\"}", input->name);
    return out.data;
}

LedgerDraft template_draft(const TemplateInput *input, const TemplateDraft *draft)
{
    return (LedgerDraft){.kind = input->name,
                         .principal = "system",
                         .key = draft->key,
                         .request = request_json(input, draft->hold),
                         .reference_type = draft->reference_type,
                         .reference_id = draft->reference_id,
                         .metadata = draft->metadata};
}

void template_write(const pg_uuid_t *transaction_id, TemplateLegs *legs, PostingAccount *accounts,
                    const LedgerHold *hold)
{
    Posting posting = {.accounts = accounts,
                       .account_count = legs->count,
                       .legs = legs->legs,
                       .leg_count = legs->count,
                       .hold_account = -1};

    if (hold != NULL) {
        int payer = place_of_id(legs, &hold->account_id);

        if (payer < 0 || legs->legs[payer].credit)
            ereport(ERROR, hail_error(HAIL_INVALID_VALUE), errmsg("the hold is not of a wallet that pays"),
                    hail_field("hold_id"));
        posting.hold_account = payer;
        posting.hold_amount = hold->amount;
        ledger_close_hold(hold, "captured", Min(legs->legs[payer].amount, hold->amount));
    }
    ledger_write(transaction_id, &posting);
}

static void check_wallet(const TemplateInput *input, const TemplateLegs *legs, const PostingAccount *accounts)
{
    if (input->wallet == NULL || legs->wallet < 0)
        return;
    if (accounts[legs->wallet].is_system)
        ereport(ERROR, hail_error(HAIL_INVALID_VALUE), errmsg("this account is not a wallet"),
                hail_field("wallet_id"));
    if (strcmp(accounts[legs->wallet].currency, input->currency) != 0)
        ereport(ERROR, hail_error(HAIL_CURRENCY_MISMATCH),
                errmsg("the wallet is in %s, not in %s", accounts[legs->wallet].currency, input->currency),
                hail_field("currency"));
}

static bool lock_open_hold(const pg_uuid_t *id, LedgerHold *hold)
{
    if (id == NULL)
        return false;
    if (!ledger_lock_hold(id, hold))
        ereport(ERROR, hail_error(HAIL_NOT_FOUND), errmsg("hold does not exist"), hail_field("hold_id"));
    if (!hold->open)
        ereport(ERROR, hail_error(HAIL_HOLD_RESOLVED),
                errmsg("hold has been captured, released or has expired"), hail_field("hold_id"));
    return true;
}

bool template_post(const TemplateInput *input, const TemplateDraft *draft, pg_uuid_t *transaction_id)
{
    TemplateLegs legs = template_legs(input);
    LedgerDraft claimed;
    LedgerClaim claim;

    if (legs.count == 0)
        return false;
    claimed = template_draft(input, draft);
    claim = ledger_claim(&claimed);
    *transaction_id = claim.id;
    if (!claim.repeated) {
        PostingAccount *accounts = ledger_lock_accounts(legs.ids, legs.count);
        LedgerHold hold;
        bool held;

        check_wallet(input, &legs, accounts);
        held = lock_open_hold(draft->hold, &hold);
        template_write(&claim.id, &legs, accounts, held ? &hold : NULL);
    }
    return true;
}

/* ---- hail.post_template ---- */

static void pg_attribute_noreturn() refuse_amounts(void)
{
    ereport(ERROR, hail_error(HAIL_INVALID_VALUE),
            errmsg("amounts must be an object of names and whole numbers of minor units"),
            hail_field("amounts"));
}

static int64 whole_number(const JsonbValue *value)
{
    char *text, *end;
    int64 number;

    if (value->type != jbvNumeric)
        refuse_amounts();
    text = DatumGetCString(DirectFunctionCall1(numeric_out, NumericGetDatum(value->val.numeric)));
    errno = 0;
    number = strtoll(text, &end, 10);
    if (errno != 0 || end == text || *end != '\0')
        refuse_amounts();
    return number;
}

static void read_amounts(Jsonb *amounts, TemplateInput *input)
{
    JsonbIterator *it = JsonbIteratorInit(&amounts->root);
    JsonbIteratorToken token;
    JsonbValue key, value;

    if (!JB_ROOT_IS_OBJECT(amounts))
        refuse_amounts();
    (void)JsonbIteratorNext(&it, &key, false);
    while ((token = JsonbIteratorNext(&it, &key, true)) == WJB_KEY) {
        (void)JsonbIteratorNext(&it, &value, true);
        template_amount(input, pnstrdup(key.val.string.val, key.val.string.len), whole_number(&value));
    }
}

static char *text_argument(FunctionCallInfo fcinfo, int arg, const char *name)
{
    if (PG_ARGISNULL(arg) && name != NULL)
        ereport(ERROR, hail_error(HAIL_INVALID_VALUE), errmsg("%s must be given", name), hail_field(name));
    return PG_ARGISNULL(arg) ? NULL : text_to_cstring(PG_GETARG_TEXT_PP(arg));
}

static pg_uuid_t *uuid_argument(FunctionCallInfo fcinfo, int arg)
{
    return PG_ARGISNULL(arg) ? NULL : PG_GETARG_UUID_P(arg);
}

PG_FUNCTION_INFO_V1(hail_post_template);

/* hail.post_template(template, idempotency_key, currency, amounts, customer_id, driver_id, wallet_id,
 * hold_id, reference_type, reference_id, metadata) */
Datum hail_post_template(PG_FUNCTION_ARGS)
{
    TemplateInput input = {.name = text_argument(fcinfo, 0, "template"),
                           .currency = text_argument(fcinfo, 2, "currency"),
                           .customer = uuid_argument(fcinfo, 4),
                           .driver = uuid_argument(fcinfo, 5),
                           .wallet = uuid_argument(fcinfo, 6)};
    TemplateDraft draft = {.key = text_argument(fcinfo, 1, "idempotency_key"),
                           .hold = uuid_argument(fcinfo, 7),
                           .reference_type = text_argument(fcinfo, 8, NULL),
                           .reference_id = uuid_argument(fcinfo, 9)};
    pg_uuid_t *id = palloc(sizeof(pg_uuid_t));
    bool posted;

    if (PG_ARGISNULL(3))
        refuse_amounts();
    read_amounts(PG_GETARG_JSONB_P(3), &input);
    if (!PG_ARGISNULL(10))
        draft.metadata = DatumGetCString(DirectFunctionCall1(jsonb_out, PG_GETARG_DATUM(10)));
    SPI_connect();
    posted = template_post(&input, &draft, id);
    SPI_finish();
    if (!posted)
        PG_RETURN_NULL();
    PG_RETURN_UUID_P(id);
}
