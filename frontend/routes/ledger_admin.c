/* Endpoints of the books for those who keep them: accounts, transactions, checks. */
#include "routes/params.h"
#include "routes/routes.h"

#define ACCOUNT_KIND                                                                                         \
    .name = "kind", .type = TYPE_STRING, .min = 1, .max = 50, .about = "such as CUSTOMER_WALLET"

#define DAY                                                                                                  \
    {                                                                                                        \
        .name = "day", .source = IN_QUERY, .type = TYPE_DATE, .required = true, .about = "UTC"               \
    }

/* The transaction that `call` made or found: with its entries, and was it there before. */
#define POSTED(call)                                                                                         \
    "SELECT row_to_json(v), t.repeated AS replayed FROM " call                                               \
    " t, LATERAL hail.get_ledger_transaction(t.id) v"

#define LIST(name, columns)                                                                                  \
    .shape = RESULT_LIST, .list_name = name, .csv = columns, .roles = "admin analyst", .read_only = true,    \
    .timeout = TIMEOUT_REPORT

const Route ledger_admin_routes[] = {
    {.method = "GET",
     .path = API "/admin/ledger/accounts",
     .summary = "Accounts with their exact balances, in the order they were opened",
     .sql = PAGE_OF("hail.list_accounts($1, $2, $3, $4, $5)"),
     .params = {{ACCOUNT_KIND, .source = IN_QUERY},
                {.name = "ownerId", .source = IN_QUERY, .type = TYPE_UUID},
                {CURRENCY, .source = IN_QUERY},
                PAGE_LIMIT,
                PAGE_CURSOR},
     LIST("accounts", "id|kind|owner_id|currency|is_system|floor|posted|held|available|opened_at|closed_at"),
     .paged = true},
    {.method = "POST",
     .path = API "/admin/ledger/accounts",
     .summary = "Open an account, or find the one there is",
     .sql = "SELECT json_build_object('id', t.id, 'kind', t.kind, 'owner_id', t.owner_id, 'currency', "
            "t.currency, "
            "'floor', t.floor, 'created_at', t.created_at) FROM hail.open_account($1, $2, $3) t",
     .params = {{ACCOUNT_KIND, .required = true},
                {.name = "ownerId", .type = TYPE_UUID, .about = "of a wallet; system accounts have none"},
                {CURRENCY, .required = true}},
     .roles = "admin",
     .repeatable = true},
    {.method = "GET",
     .path = API "/admin/ledger/accounts/:id",
     .summary = "The exact balance of an account, now or as it was",
     .sql = "SELECT json_build_object('id', $1::uuid, 'posted', b.posted, 'held', b.held, 'available', "
            "b.available, "
            "'as_of', $2::timestamptz, 'posted_as_of', CASE WHEN $2 IS NOT NULL THEN hail.balance_as_of($1, "
            "$2) END) "
            "FROM hail.balance($1) b",
     .params = {UUID_PATH("id", "account"),
                {.name = "at",
                 .source = IN_QUERY,
                 .type = TYPE_TIMESTAMP,
                 .about = "postedAsOf is what was recorded before it"}},
     .roles = "admin analyst",
     .read_only = true},
    {.method = "GET",
     .path = API "/admin/ledger/accounts/:id/statement",
     .summary = "A statement of an account, oldest first, with the balance after each line",
     .sql = STATEMENT,
     .params = {UUID_PATH("id", "account"), STATEMENT_SPAN},
     .shape = RESULT_LIST,
     .list_name = "lines",
     .csv = STATEMENT_COLUMNS,
     .roles = "admin",
     .read_only = true,
     .paged = true,
     .timeout = TIMEOUT_REPORT},
    {.method = "GET",
     .path = API "/admin/ledger/accounts/:id/statement/totals",
     .summary = "Its opening and closing balance, what was credited and debited between",
     .sql = "SELECT row_to_json(t) FROM hail.statement_totals(NULL, $1, $2, $3) t",
     .params = {UUID_PATH("id", "account"), FROM, TO},
     .shape = RESULT_LIST,
     .list_name = "accounts",
     .csv = TOTALS_COLUMNS,
     .roles = "admin",
     .read_only = true,
     .timeout = TIMEOUT_REPORT},
    {.method = "GET",
     .path = API "/admin/ledger/transactions",
     .summary = "Transactions with their entries, newest first",
     .sql = PAGE_OF("hail.list_ledger_transactions($1, $2, $3, $4, $5, $6, $7)"),
     .params = {{.name = "accountId", .source = IN_QUERY, .type = TYPE_UUID},
                {.name = "kind", .source = IN_QUERY, .type = TYPE_STRING, .min = 1, .max = 100},
                {.name = "referenceId",
                 .source = IN_QUERY,
                 .type = TYPE_UUID,
                 .about = "what it was for: a trip, say"},
                FROM,
                TO,
                PAGE_LIMIT,
                PAGE_CURSOR},
     LIST("transactions",
          "id|kind|created_at|effective_at|principal|reference_type|reference_id|reverses|entries|metadata"),
     .paged = true},
    {.method = "POST",
     .path = API "/admin/ledger/transactions",
     .summary = "Post a transaction: debits equal credits in each currency, no wallet goes below its floor",
     .sql = POSTED(
         "hail.post_transaction($2, ARRAY(SELECT ROW(e.account, e.direction, e.amount)::hail.entry_input "
         "FROM unnest($3::uuid[], $4::text[], $5::bigint[]) WITH ORDINALITY AS e (account, direction, "
         "amount, n) ORDER BY e.n), $1, $6, $7, $8)"),
     .params =
         {KEY,
          {.name = "kind", .type = TYPE_STRING, .required = true, .min = 1, .max = 100},
          {.name = "entries", .type = TYPE_OBJECTS, .required = true, .min = 2, .max = 256},
          {.name = "entries[].accountId", .type = TYPE_UUID, .required = true},
          {.name = "entries[].direction", .type = TYPE_ENUM, .required = true, .values = "debit|credit"},
          {.name = "entries[].amount", .type = TYPE_MONEY, .required = true, .about = "minor units"},
          {.name = "referenceType", .type = TYPE_STRING, .min = 1, .max = 50},
          {.name = "referenceId", .type = TYPE_UUID},
          {.name = "metadata", .type = TYPE_OBJECT}},
     .status = 201,
     .roles = "admin",
     .repeatable = true,
     .keyed = true},
    {.method = "GET",
     .path = API "/admin/ledger/transactions/:id",
     .summary = "A transaction with its entries, and the one that reversed it",
     .sql = "SELECT row_to_json(t) FROM hail.get_ledger_transaction($1) t",
     .params = {UUID_PATH("id", "transaction")},
     .roles = "admin analyst",
     .read_only = true},
    {.method = "POST",
     .path = API "/admin/ledger/transactions/:id/reverse",
     .summary = "Post the opposite of a transaction, once",
     .sql = POSTED("hail.reverse_transaction($1, $2, $3)"),
     .params = {UUID_PATH("id", "transaction"), KEY, {.name = "metadata", .type = TYPE_OBJECT}},
     .status = 201,
     .roles = "admin",
     .repeatable = true,
     .keyed = true},
    {.method = "GET",
     .path = API "/admin/ledger/reconcile",
     .summary = "What differs in the books of a day (UTC); nothing: all is well",
     .sql = "SELECT row_to_json(t) FROM hail.reconcile($1) t",
     .params = {DAY},
     LIST("findings", "check_name|subject|expected|actual")},
    {.method = "GET",
     .path = API "/admin/ledger/reconcile-all",
     .summary = "The same of all time, entry by entry: reads the whole ledger",
     .sql = "SELECT row_to_json(t) FROM hail.reconcile_all() t",
     LIST("findings", "check_name|subject|expected|actual")},
    {.method = "GET",
     .path = API "/admin/ledger/trial-balance",
     .summary = "Opening, debits, credits and closing of a day (UTC) by currency and kind of account",
     .sql = "SELECT row_to_json(t) FROM hail.trial_balance($1) t",
     .params = {DAY},
     LIST("balances", "currency|kind|opening|debits|credits|closing")},
    {.method = "GET",
     .path = API "/admin/ledger/closes",
     .summary = "Closed days, the newest first",
     .sql = "SELECT row_to_json(t) FROM hail.ledger_closes t WHERE t.day BETWEEN coalesce($1::date, "
            "'-infinity') AND "
            "coalesce($2::date, 'infinity') ORDER BY t.day DESC LIMIT $3",
     .params = {{.name = "from", .source = IN_QUERY, .type = TYPE_DATE, .about = "included"},
                {.name = "to", .source = IN_QUERY, .type = TYPE_DATE, .about = "included"},
                PAGE_LIMIT},
     LIST("closes", "day|transactions|entries|accounts|closed_at|closed_by")},
    {.method = "POST",
     .path = API "/admin/ledger/closes",
     .summary = "Close a day that is over; a closed one is answered with its close",
     .sql = "SELECT row_to_json(t) FROM hail.close_day($1) t",
     .params = {{.name = "day", .type = TYPE_DATE, .required = true, .about = "UTC"}},
     .roles = "admin",
     .repeatable = true,
     .timeout = TIMEOUT_REPORT},
    {.method = "GET",
     .path = API "/admin/ledger/templates",
     .summary = "What each kind of transaction debits and credits, leg by leg",
     .sql = "SELECT row_to_json(t) FROM hail.entry_templates t ORDER BY t.template, t.leg",
     LIST("templates", "template|leg|account_kind|owner|direction|amount|description")},
    {0},
};
