# ledger: transfers between 10,000 wallets, between 10, and all against one system account; a trip's payment of four entries;
# batches of 1,000; against the same transfer in plpgsql the usual way and unguarded (the two accounts locked in order, two
# updates, three inserts) and pgbench's simple-update, all with synchronous_commit off. Bytes of a transfer, reading a
# balance, reconciling a day of BENCH_ENTRIES entries.

: "${BENCH_ENTRIES:=1000000}" "${BENCH_LEDGER_CLIENTS:=1 16 64}"
LEDGER_RUN=0

# Wallets 1 to 10000 with money, and the peer's tables with the indexes that such tables have.
prepare_ledger() {
    sql >/dev/null <<'SQL'
SET client_min_messages = warning;
INSERT INTO hail.users (id, phone, name, role)
SELECT bench.id(3, n), '+4' || (1000000000 + n), 'Payer ' || n, 'customer' FROM generate_series(1, 10000) n;
INSERT INTO hail.accounts (id, kind, owner_id, currency, is_system, floor)
SELECT bench.id(3, n), 'CUSTOMER_WALLET', bench.id(3, n), 'EUR', false, 0 FROM generate_series(1, 10000) n;
INSERT INTO hail.accounts (id, kind, currency, is_system)
VALUES (bench.id(4, 1), 'GATEWAY_CLEARING', 'EUR', true), (bench.id(4, 2), 'PLATFORM_REVENUE', 'EUR', true), (bench.id(4, 3), 'PROMOTIONS', 'EUR', true);
SELECT count(hail.post_transaction('deposit', ARRAY[ROW(bench.id(4, 1), 'debit', 1000000000)::hail.entry_input,
                                                    ROW(bench.id(3, n), 'credit', 1000000000)::hail.entry_input], 'bench deposit ' || n))
FROM generate_series(1, 10000) n;
CREATE TABLE bench.accounts (id uuid PRIMARY KEY, kind text NOT NULL, currency text NOT NULL, balance bigint NOT NULL);
INSERT INTO bench.accounts SELECT id, kind, currency, 1000000000 FROM hail.accounts WHERE id IN (SELECT bench.id(3, n) FROM generate_series(1, 10000) n)
UNION ALL SELECT bench.id(4, n), 'SYSTEM', 'EUR', 1000000000000000 FROM generate_series(1, 3) n;
CREATE TABLE bench.transactions (id uuid PRIMARY KEY, kind text NOT NULL, idempotency_key text NOT NULL UNIQUE, metadata jsonb,
                                 created_at timestamptz NOT NULL DEFAULT now());
CREATE TABLE bench.entries (id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY, transaction_id uuid NOT NULL, account_id uuid NOT NULL,
                            amount bigint NOT NULL, direction text NOT NULL, balance_after bigint NOT NULL, created_at timestamptz NOT NULL DEFAULT now());
CREATE INDEX ON bench.entries (account_id);
CREATE FUNCTION bench.transfer(payer uuid, payee uuid, amount bigint, key text) RETURNS uuid LANGUAGE plpgsql AS $$
DECLARE
    t uuid := hail.uuid7(); payer_balance bigint; payee_balance bigint;
BEGIN
    PERFORM a.balance FROM bench.accounts a WHERE a.id IN (payer, payee) ORDER BY a.id FOR UPDATE;
    INSERT INTO bench.transactions (id, kind, idempotency_key) VALUES (t, 'transfer', key);
    UPDATE bench.accounts a SET balance = a.balance - amount WHERE a.id = payer RETURNING a.balance INTO payer_balance;
    UPDATE bench.accounts a SET balance = a.balance + amount WHERE a.id = payee RETURNING a.balance INTO payee_balance;
    INSERT INTO bench.entries (transaction_id, account_id, amount, direction, balance_after) VALUES (t, payer, amount, 'debit', payer_balance);
    INSERT INTO bench.entries (transaction_id, account_id, amount, direction, balance_after) VALUES (t, payee, amount, 'credit', payee_balance);
    RETURN t;
END $$;
VACUUM ANALYZE;
SQL
}

# ledger_script NAME WALLETS HOT CALL: a script of pgbench; :a and :b are two of so many wallets, or :b a system account
ledger_script() {
    { printf '\\set n :n + 1\n\\set x random(1, %s)\n\\set a 300000000000 + :x\n' "$2"
      [ "$3" = hot ] && printf '\\set b 400000000001\n' || printf '\\set b 300000000000 + (:x + random(0, %s)) %% %s + 1\n' "$(($2 - 2))" "$2"
      printf '%s\n' "$4"; } >"$BENCH_TMP/$1.sql"
}

ledger_scripts() {
    local id="('00000000-0000-7000-8000-' || :" key="(:run || '-' || :client_id || '-' || :n)" wallets kind
    for kind in "spread 10000" "ten 10" "hot 10000"; do
        wallets=${kind#* } kind=${kind% *}
        ledger_script "$kind" "$wallets" "$kind" "SELECT (hail.post_transaction('transfer', ARRAY[ROW(${id}a)::uuid, 'debit', 1), ROW(${id}b)::uuid, 'credit', 1)]::hail.entry_input[], $key)).id;"
        ledger_script "peer_$kind" "$wallets" "$kind" "SELECT bench.transfer(${id}a)::uuid, ${id}b)::uuid, 1, $key);"
    done
    ledger_script trip 10000 spread "SELECT (hail.post_transaction('trip', ARRAY[ROW(${id}a)::uuid, 'debit', 100), ROW(${id}b)::uuid, 'credit', 90),
        ROW('00000000-0000-7000-8000-400000000002', 'credit', 15), ROW('00000000-0000-7000-8000-400000000003', 'debit', 5)]::hail.entry_input[], $key)).id;"
}

# a batch of 1,000 transfers among all wallets, its arrays made by the same statement
batch_script() {
    cat >"$BENCH_TMP/batch.sql" <<'SQL'
\set n :n + 1
SELECT count(*) FROM (SELECT array_agg(:run || '-' || :client_id || '-' || :n || '-' || i) AS keys FROM generate_series(1, 1000) i) k,
    (SELECT array_agg((e + 1) / 2) AS items, array_agg(('00000000-0000-7000-8000-' || (300000000001 + (e * 7919::bigint + :n * 104729::bigint) % 10000))::uuid) AS accounts,
            array_agg(CASE e % 2 WHEN 1 THEN -1 ELSE 1 END::bigint) AS amounts FROM generate_series(1, 2000) e) l,
    hail.post_transactions(k.keys, '{transfer}', l.items, l.accounts, l.amounts);
SQL
}

# ledger_rate SCRIPT CLIENTS: transactions a second
ledger_rate() {
    LEDGER_RUN=$((LEDGER_RUN + 1))
    PGOPTIONS='-c synchronous_commit=off' pgbench_rate "$BENCH_TMP/$1.sql" -c "$2" -j "$(($2 < BENCH_THREADS ? $2 : BENCH_THREADS))" -D n=0 -D run="$(date +%s%N)"
}

# simple_update CLIENTS
simple_update() {
    PGOPTIONS='-c synchronous_commit=off' "$PGBENCH" -n -M prepared -b simple-update -c "$1" -j "$(($1 < BENCH_THREADS ? $1 : BENCH_THREADS))" \
        -T "$BENCH_SECONDS" --random-seed="$BENCH_SEED" hail 2>/dev/null | sed -nE 's/^tps = ([0-9.]+).*/\1/p'
}

transfer_rows() {
    local clients ours peer spread
    for clients in $BENCH_LEDGER_CLIENTS; do
        peer=$(ledger_rate peer_spread "$clients") && ours=$(ledger_rate spread "$clients") || return 1
        spread=$ours
        row "transfer among 10,000 wallets, $clients client(s)" "$ours" per_s 'plpgsql, unguarded' "$peer"
        row "transfer among 10,000 wallets, $clients client(s)" "$ours" per_s 'pgbench simple-update' "$(simple_update "$clients")"
        peer=$(ledger_rate peer_ten "$clients") && ours=$(ledger_rate ten "$clients") || return 1
        row "transfer among 10 wallets, $clients client(s)" "$ours" per_s 'plpgsql, unguarded' "$peer"
        peer=$(ledger_rate peer_hot "$clients") && ours=$(ledger_rate hot "$clients") || return 1
        row "against one system account, $clients client(s)" "$ours" per_s 'plpgsql, unguarded' "$peer"
        row "against one system account, $clients client(s)" "$ours" per_s 'among 10,000 wallets' "$spread"
        ours=$(ledger_rate trip "$clients") || return 1
        row "trip payment of four entries, $clients client(s)" "$ours" per_s
    done
}

# What a transfer leaves behind: bytes of WAL (full pages left out: a checkpoint is long ago or just now) and of tables.
transfer_bytes() {
    local name=$1 tables=$2 call=$3 before
    before=$(sql -Atc "SELECT pg_current_wal_insert_lsn() - '0/0', sum(pg_total_relation_size(t::regclass)) FROM unnest('$tables'::text[]) t" -F ' ')
    sql -c 'SET synchronous_commit = off' -c "DO \$\$ BEGIN FOR i IN 1..20000 LOOP $call COMMIT; END LOOP; END \$\$" >/dev/null || return 1
    awk -v before="$before" -v after="$(sql -Atc "SELECT pg_current_wal_insert_lsn() - '0/0', sum(pg_total_relation_size(t::regclass)) FROM unnest('$tables'::text[]) t" -F ' ')" \
        'BEGIN { split(before, b, " "); split(after, a, " "); print (a[1] - b[1]) / 20000, (a[2] - b[2]) / 20000 }'
}

batch_rows() {
    local peer batch
    batch_script
    peer=$(ledger_rate peer_spread 1) && batch=$(ledger_rate batch 1) || return 1
    row 'transfer in batches of 1,000, 1 client' "$(awk "BEGIN { print 1000 * $batch }")" per_s 'plpgsql, unguarded' "$peer"
}

bytes_rows() {
    local ours peer wallet="bench.id(3, 1 + (i * 7919) % 10000)" other="bench.id(3, 1 + (i * 7919 + 17) % 10000)"
    sql -c 'CHECKPOINT' -c 'ALTER SYSTEM SET full_page_writes = off' -c 'SELECT pg_reload_conf()' >/dev/null
    ours=$(transfer_bytes ours '{hail.ledger_transactions,hail.ledger_entries,hail.accounts}' \
        "PERFORM hail.post_transaction('transfer', ARRAY[ROW($wallet, 'debit', 1), ROW($other, 'credit', 1)]::hail.entry_input[], 'bytes ' || i);") || return 1
    peer=$(transfer_bytes peer '{bench.transactions,bench.entries,bench.accounts}' "PERFORM bench.transfer($wallet, $other, 1, 'bytes ' || i);") || return 1
    sql -c 'ALTER SYSTEM RESET full_page_writes' -c 'SELECT pg_reload_conf()' >/dev/null
    row 'WAL of a transfer' "${ours% *}" bytes 'plpgsql, unguarded' "${peer% *}"
    row 'tables and indexes of a transfer' "${ours#* }" bytes 'plpgsql, unguarded' "${peer#* }"
}

# median_us CALL: microseconds of a call among 2,000, in the server, with the clock's and the loop's own
median_us() {
    sql -At <<SQL
CREATE FUNCTION pg_temp.measure() RETURNS float8 LANGUAGE plpgsql AS \$\$
DECLARE
    began timestamptz;
    took float8[];
BEGIN
    FOR i IN 1..2000 LOOP
        began := clock_timestamp();
        PERFORM $1;
        took[i] := extract(epoch FROM clock_timestamp() - began) * 1e6;
    END LOOP;
    RETURN (SELECT percentile_cont(0.5) WITHIN GROUP (ORDER BY us) FROM unnest(took) us);
END \$\$;
SELECT pg_temp.measure();
SQL
}

# The same less what a function costs that does nothing.
balance_us() {
    awk -v call="$(median_us "hail.balance($1)")" -v nothing="$(median_us "bench.nothing($1)")" 'BEGIN { print call - nothing }'
}

balance_rows() {
    sql -c 'CREATE FUNCTION bench.nothing(id uuid, OUT posted bigint, OUT held bigint, OUT available bigint) LANGUAGE plpgsql STABLE
            AS $$ BEGIN posted := 0; held := 0; available := 0; END $$' >/dev/null
    row 'balance of a wallet, median' "$(balance_us 'bench.id(3, 1 + i % 10000)')" us 'target' 50
    row 'balance of a busy system account, median' "$(balance_us 'bench.id(4, 1)')" us 'target' 50
}

# Today's entries are filled up to BENCH_ENTRIES by batches of 1,000 transfers; then the day is reconciled.
reconcile_rows() {
    local entries began
    entries=$(sql -Atc 'SELECT count(*) FROM hail.ledger_entries')
    [ "$entries" -ge "$BENCH_ENTRIES" ] || PGOPTIONS='-c synchronous_commit=off' "$PGBENCH" -n -M prepared -c 1 -t $(((BENCH_ENTRIES - entries + 1999) / 2000)) \
        -f "$BENCH_TMP/batch.sql" -D n=0 -D run="$(date +%s%N)" hail >/dev/null 2>&1 || return 1
    sql -c 'VACUUM ANALYZE hail.ledger_transactions, hail.ledger_entries, hail.accounts'
    entries=$(sql -Atc "SELECT count(*) FROM hail.ledger_entries WHERE created_at >= date_trunc('day', hail.clock(), 'UTC')")
    began=$(date +%s%N)
    check_books || return 1
    row "reconcile of a day of $entries entries" "$(awk "BEGIN { print ($(date +%s%N) - $began) / 1e9 }")" s 'target' 10
}

# What must hold afterwards: a benchmark of books that do not add up is worth nothing.
check_books() {
    sql -Atc "SELECT CASE WHEN count(*) = 0 THEN 'the books reconcile' ELSE 'WARNING: ' || min(check_name || ' ' || subject) || ' and others: ' || count(*) END
              FROM hail.reconcile((hail.clock() AT TIME ZONE 'UTC')::date)"
}

bench_ledger() {
    "$PGBENCH" -i -q -s 20 hail >/dev/null 2>&1 || return 1
    prepare_ledger || return 1
    ledger_scripts
    transfer_rows || return 1
    batch_rows || return 1
    bytes_rows || return 1
    balance_rows || return 1
    reconcile_rows
}
