#!/usr/bin/env bash
# run.sh start: database and haild on localhost, with a small region to play in; prints URLs and a token per role.
# run.sh stop: end them, and those that demo.sh left running. Their data go with them.
set -uo pipefail
cd "$(dirname "$0")/.."
. scripts/stack.sh
dir=$(stack_folder run)

# A region in the open Atlantic (as test/replay/sample), one person of each role, money in the customer's wallet.
make_people() {
    psql -qXAt -d hail -v ON_ERROR_STOP=1 >/dev/null <<'SQL'
SELECT hail.create_region('gridport', 'Gridport', 'EUR', 'UTC', public.ST_MakeEnvelope(-40.15, 29.90, -39.85, 30.10, 4326));
SELECT hail.load_sample_fares('gridport');
SELECT hail.register_user('+888100000001', 'Ada Admin', 'admin');
SELECT hail.register_user('+888100000002', 'Carl Customer', 'customer');
SELECT hail.register_user('+888100000003', 'Dora Driver', 'driver');
SELECT hail.register_user('+888100000004', 'Pia Partner', 'partner');
SELECT hail.register_user('+888100000005', 'Ann Analyst', 'analyst');
SELECT hail.register_driver(id, 'gridport', ARRAY['economy']) FROM hail.users WHERE role = 'driver';
SELECT hail.approve_driver(id), hail.add_vehicle(id, 'GP-1', 'Sedan', 'blue', 2022, 4) FROM hail.users WHERE role = 'driver';
SELECT hail.post_transaction('DEPOSIT', ARRAY[ROW(g.id, 'debit', 50000), ROW(w.id, 'credit', 50000)]::hail.entry_input[], 'first-funds')
FROM hail.users u, LATERAL hail.open_account('GATEWAY_CLEARING', NULL, 'EUR') AS g,
     LATERAL hail.open_account('CUSTOMER_WALLET', u.id, 'EUR') AS w WHERE u.role = 'customer';
SQL
}

# A file to source: URL, and for each role its token and its user's id.
write_tokens() {
    (umask 077
     { echo "URL=$URL/api/v1"
       psql -qXAt -d hail -c "SELECT format(E'%s=%s\n%s_ID=%s', upper(role), hail.issue_token(id, '1 day'), upper(role), id)
           FROM hail.users WHERE phone LIKE '+8881000000%' ORDER BY phone"
     } >"$dir/tokens")
}

show() {
    write_tokens
    echo
    echo "API       $URL/api/v1   (documents: $URL/openapi.json, metrics: $URL/metrics)"
    echo "Region    Gridport, around 30 N 40 W, with one person of each role. Their tokens, valid for a day:"
    echo
    cat "$dir/tokens"
    echo
    echo "Use them  . $dir/tokens"
    echo "          curl -H \"Authorization: Bearer \$CUSTOMER\" \$URL/wallet"
    echo "psql      psql -h $dir -p $PGPORT -U postgres hail"
    echo "Logs      $dir/log, $dir/haild.log"
    echo "Stop      make stop"
}

case ${1:-} in
start)
    if stack_running "$dir"; then
        echo "Already running."
        stack_use "$dir"
    else
        stack_down "$dir"
        echo "Starting database and haild in $dir ..."
        if ! { stack_up "$dir" && make_people; }; then
            stack_down "$dir"
            exit 1
        fi
    fi
    show
    ;;
stop)
    for name in run demo; do
        [ -d "$(stack_folder $name)" ] || continue
        stack_down "$(stack_folder $name)" && echo "Stopped what make $name had started."
    done
    ;;
*)
    sed -n '2,3p' "$0" >&2
    exit 2
    ;;
esac
