# choose: the drivers of a trip found, gated, scored and ordered, in the server: the time of hail.rank_drivers(trip, 10), the
# trip read included, on one connection; then what recording such a round costs.

: "${BENCH_CHOICES:=2000}"

# After trips were requested: medians over searching trips of the benchmark, in microseconds.
choose_rows() {
    local times
    times=$(sql -At -F ' ' -v count="$BENCH_CHOICES" <<'SQL'
SET client_min_messages = warning;
CREATE TEMP TABLE took (us float8);
CREATE TEMP TABLE asked AS
SELECT row_number() OVER () AS n, id FROM hail.trips WHERE state = 'searching' ORDER BY id LIMIT 500;
SELECT set_config('bench.choices', :'count', false) \gset
DO $$
DECLARE
    began timestamptz; trip uuid; trips bigint := (SELECT count(*) FROM asked);
BEGIN
    FOR i IN 1..current_setting('bench.choices')::integer LOOP
        SELECT a.id INTO trip FROM asked a WHERE a.n = 1 + i % trips;
        began := clock_timestamp();
        PERFORM FROM hail.rank_drivers(trip, 10);
        INSERT INTO took VALUES (extract(epoch FROM clock_timestamp() - began) * 1e6);
    END LOOP;
END
$$;
SELECT percentile_cont(0.5) WITHIN GROUP (ORDER BY us), percentile_cont(0.99) WITHIN GROUP (ORDER BY us) FROM took;
SQL
) || return 1
    row '10 of the drivers within 5 km chosen, median' "${times% *}" us 'target' 300
    row '10 of the drivers within 5 km chosen, 99 %' "${times#* }" us
    row 'bytes a recorded round' "$(sql -Atc 'SELECT avg(pg_column_size(r.*)) FROM (SELECT * FROM hail.match_rounds LIMIT 1000) r')" bytes
}

bench_choose() {
    . test/bench/dispatch.sh
    bench_drivers || return 1
    BENCH_TRIPS=800 prepare_trips 1 || return 1
    keep_placing || return 1
    trip_scripts
    BENCH_TRIPS=800 pgbench_done "$BENCH_TMP/request.sql" 800 >/dev/null || return 1
    choose_rows
}
