# matching: how fast an assignment is solved, and batched matching against greedy in a model of a peak hour
# (matching.c). MATCHING_ALL=1 prints the variants that were tried, too.

bench_matching() {
    local name value unit peer peer_value
    "$BENCH_BUILD/matching" "${HAIL_DATA:-../shared/data}" "$BENCH_SEED" "$BENCH_TMP/matching" ${MATCHING_ALL:+all} || return 1
    while IFS='|' read -r name value unit peer peer_value; do
        row "$name" "$value" "$unit" "$peer" "$peer_value"
    done < <(tr '\t' '|' <"$BENCH_TMP/matching")
}
