# geofence: what it costs to know who is inside what. All drivers report a new place, then one tick looks at them; the same
# places against the same areas in PostGIS; and the region at a place, whose boundary has 2,000 corners.

# 50 ragged areas of 20 to 2,000 corners and 300 m to 3 km across, over the drivers' city. None touches itself.
geofence_areas() {
    sql >/dev/null <<'SQL'
CREATE FUNCTION bench.star(lng float8, lat float8, radius float8, corners integer) RETURNS geometry LANGUAGE sql VOLATILE AS $$
    SELECT ST_SetSRID(ST_MakePolygon(ST_AddPoint(l, ST_StartPoint(l))), 4326)
    FROM (SELECT ST_MakeLine(ST_MakePoint(lng + r * cos(a), lat + r * sin(a)) ORDER BY a) AS l
          FROM (SELECT 2 * pi() * i / corners AS a, radius * (0.5 + 0.5 * random()) AS r FROM generate_series(1, corners) i) c) o $$;
SELECT hail.create_geofence(CASE WHEN n <= 5 THEN 'airport' WHEN n <= 10 THEN 'restricted' ELSE 'area' END, 'area ' || n,
    bench.star(-8.73 + 0.24 * random(), 41.03 + 0.24 * random(), 0.002 + 0.0005 * n, (20 * 100 ^ ((n - 1) / 49.0))::integer))
FROM generate_series(1, 50) n;
UPDATE hail.regions SET boundary = bench.star(-8.61, 41.15, 0.9, 2000) WHERE code = 'bench';
ANALYZE hail.geofences;
SQL
}

# geofence_step DEGREES: every driver reports a place that far off at most; prints the microseconds a driver that the tick
# takes, and its events. The tick before makes the process know areas and members; the lock keeps the keeper from it.
geofence_step() {
    sql -At -v by="$1" <<'SQL'
BEGIN;
SELECT hail.lock_geofences() \g /dev/null
SELECT hail.geofence_tick() \g /dev/null
UPDATE bench.points SET lat = lat + :by * (random() - 0.5), lng = lng + :by * (random() - 0.5);
SELECT sum(hail.report_locations(ids, lats, lngs))
FROM (SELECT array_agg(id) AS ids, array_agg(lat) AS lats, array_agg(lng) AS lngs FROM bench.points GROUP BY n / 1000) b \g /dev/null
SELECT clock_timestamp() AS t0 \gset
SELECT hail.geofence_tick() AS events \gset
SELECT round((extract(epoch FROM clock_timestamp() - :'t0') * 1e6 / (SELECT count(*) FROM bench.points))::numeric, 3) || ' ' || :events;
COMMIT;
SQL
}

# per_call EXPRESSION: microseconds for it at a random place (p.lat, p.lng), less those of the places alone
per_call() {
    sql -At <<SQL
CREATE TEMP TABLE places AS SELECT 41.03 + 0.24 * random() AS lat, -8.73 + 0.24 * random() AS lng FROM generate_series(1, 20000);
SELECT count($1) FROM places p \g /dev/null
SELECT clock_timestamp() AS t0 \gset
SELECT count($1) FROM places p \g /dev/null
SELECT clock_timestamp() AS t1 \gset
SELECT count(p.lat + p.lng) FROM places p \g /dev/null
SELECT round((extract(epoch FROM (:'t1'::timestamptz - :'t0'::timestamptz) - (clock_timestamp() - :'t1'::timestamptz)) * 1e6 / 20000)::numeric, 3);
SQL
}

bench_geofence() {
    local standing moving events postgis
    bench_drivers || return 1
    geofence_areas || return 1
    for _ in $(seq 30); do # everybody comes in, 5,000 events a tick
        [ "$(sql -Atc 'SELECT hail.geofence_tick()')" = 0 ] && [ "$(geofence_step 0 | cut -d' ' -f2)" = 0 ] && break
    done
    read -r standing _ < <(for _ in 1 2 3; do geofence_step 0; done | sort -n | sed -n 2p)
    read -r moving events < <(geofence_step 0.0002)
    postgis=$(sql -At <<'SQL'
SELECT clock_timestamp() AS t0 \gset
SELECT count(g.id) FROM bench.points p LEFT JOIN hail.geofences g ON ST_Covers(g.boundary, ST_SetSRID(ST_MakePoint(p.lng, p.lat), 4326)) \g /dev/null
SELECT round((extract(epoch FROM clock_timestamp() - :'t0') * 1e6 / (SELECT count(*) FROM bench.points))::numeric, 3);
SQL
)
    row 'look at a driver, 50 areas, nobody crossing' "$standing" us 'PostGIS ST_Covers, no events' "$postgis"
    row "the same, moving 10 m, $events events" "$moving" us 'PostGIS ST_Covers, no events' "$postgis"
    row 'areas at a place, one call' "$(per_call '(SELECT count(*) FROM hail.geofences_at(p.lat, p.lng))')" us
    row 'region at a place, 2,000 corners' "$(per_call '(hail.region_at(p.lat, p.lng)).id')" us 'PostGIS ST_Covers' \
        "$(per_call '(SELECT r.id FROM hail.regions r WHERE ST_Covers(r.boundary, ST_SetSRID(ST_MakePoint(p.lng, p.lat), 4326)) ORDER BY ST_Area(r.boundary), r.id LIMIT 1)')"
}
