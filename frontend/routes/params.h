/*
 * params.h
 *    Parameters that endpoints of several tables share.
 */
#ifndef HAILD_ROUTES_PARAMS_H
#define HAILD_ROUTES_PARAMS_H

#include "router.h"

#define TRIP_ID                                                                                              \
    {                                                                                                        \
        .name = "id", .source = IN_PATH, .type = TYPE_UUID, .required = true, .about = "trip"                \
    }
#define REASON                                                                                               \
    {                                                                                                        \
        .name = "reason", .type = TYPE_STRING, .min = 1, .max = 500                                          \
    }

/* The same key with the same body gives the same answer, marked as replayed. */
#define KEY                                                                                                  \
    {                                                                                                        \
        .name = "Idempotency-Key", .source = IN_HEADER, .type = TYPE_KEY, .required = true, .min = 1,        \
        .max = 200, .about = "bare or quoted; the same key with the same body gives the same answer"         \
    }
#define OPTIONAL_KEY                                                                                         \
    {                                                                                                        \
        .name = "Idempotency-Key", .source = IN_HEADER, .type = TYPE_KEY, .min = 1, .max = 200               \
    }
#define STRATEGY                                                                                             \
    {                                                                                                        \
        .name = "strategy", .type = TYPE_ENUM,                                                               \
        .values = "first_accept|sequential|broadcast_bid|scheduled|batched", .fallback = "first_accept"      \
    }
#define SCHEDULED_FOR                                                                                        \
    {                                                                                                        \
        .name = "scheduledFor", .type = TYPE_TIMESTAMP, .about = "with strategy scheduled, and only then"    \
    }
#define PAYMENT_METHOD                                                                                       \
    {                                                                                                        \
        .name = "paymentMethod", .type = TYPE_ENUM, .required = true, .values = "wallet|cash|card"           \
    }
#define QUOTE_ID                                                                                             \
    {                                                                                                        \
        .name = "quoteId", .type = TYPE_UUID, .required = true                                               \
    }

/* What clients send of their own idea of a price: prices are made here alone. */
#define PRICES                                                                                               \
    "price|total|amount|fare|surge|surgeMultiplier|multiplier|currency|discount|commission|estimatedPrice|"  \
    "totalPrice"

/* The price has risen too far since the quote: a new quote for the same trip, to be used at once. */
#define NEW_QUOTE                                                                                            \
    &(const Remedy)                                                                                          \
    {                                                                                                        \
        .error = HAIL_QUOTE_CHANGED, .sql = "SELECT row_to_json(q) FROM hail.requote($1) q",                 \
        .value_count = 1, .member = "quote"                                                                  \
    }

/* Money: amounts and currencies, pages of lists, spans of time. */
#define MONEY_AMOUNT                                                                                         \
    {                                                                                                        \
        .name = "amount", .type = TYPE_MONEY, .required = true, .about = "minor units"                       \
    }
#define CURRENCY .name = "currency", .type = TYPE_STRING, .min = 3, .max = 3, .about = "ISO 4217"

#define PAGE_LIMIT                                                                                           \
    {                                                                                                        \
        .name = "limit", .source = IN_QUERY, .type = TYPE_INTEGER, .min = 1, .max = 100, .fallback = "20",   \
        .about = "as text/csv up to 10000"                                                                   \
    }
#define PAGE_CURSOR                                                                                          \
    {                                                                                                        \
        .name = "cursor", .source = IN_QUERY, .type = TYPE_STRING, .min = 1, .max = 100,                     \
        .about = "nextCursor of the page before, with the same filters"                                      \
    }
#define FROM                                                                                                 \
    {                                                                                                        \
        .name = "from", .source = IN_QUERY, .type = TYPE_TIMESTAMP, .about = "included"                      \
    }
#define TO                                                                                                   \
    {                                                                                                        \
        .name = "to", .source = IN_QUERY, .type = TYPE_TIMESTAMP, .about = "not included"                    \
    }
#define UUID_PATH(called, of)                                                                                \
    {                                                                                                        \
        .name = called, .source = IN_PATH, .type = TYPE_UUID, .required = true, .about = of                  \
    }

/* Statements of the account $1; $2 to $5 are STATEMENT_SPAN. */
#define STATEMENT      PAGE_OF("hail.account_statement($1, $2, $3, $4, $5)")
#define STATEMENT_SPAN FROM, TO, PAGE_LIMIT, PAGE_CURSOR
#define STATEMENT_COLUMNS                                                                                    \
    "created_at|description|amount|balance|currency|reference_type|reference_id|kind|counterparties|"        \
    "effective_at|transaction_id|entry_id"
#define TOTALS_COLUMNS "account_id|kind|currency|opening_balance|entries|credited|debited|closing_balance"

/* For whom an administrator acts; others act for themselves. $n of ON_BEHALF is this parameter. */
#define USER_ID                                                                                              \
    {                                                                                                        \
        .name = "userId", .type = TYPE_UUID, .about = "for administrators: whose; else the caller"           \
    }
#define ON_BEHALF(n) "coalesce($" #n ", hail.current_subject())"

/*
 * A decision that is the same however often it is made, under a key ($2, a key parameter) for $1: a repeat
 * gets the row as it is now.
 */
#define DECIDED(what, row, decision)                                                                         \
    "WITH k AS MATERIALIZED (SELECT hail.claim_request_key($2, concat_ws(' ', " what ")) AS replayed) "      \
    "SELECT CASE WHEN k.replayed THEN " row " ELSE " decision " END, k.replayed FROM k"

/* Rows of a function that has next_cursor as its last column. */
#define PAGE_OF(call) "SELECT to_jsonb(t) - 'next_cursor', t.next_cursor FROM " call " t"

#endif
