# How well the length of a track is measured: tables, no rates. Without the public data files there is nothing to do.

bench_tracks() {
    local data=${HAIL_DATA:-../shared/data}
    if [ -f "$data/manhattan_edges.csv.gz" ]; then
        "$BENCH_BUILD/tracks" "$data" "$BENCH_SEED"
    else
        echo "no public data in $data (set HAIL_DATA): skipped"
    fi
}
