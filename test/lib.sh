# Shared by the suites (sourced from the project's root).
: "${PG_CONFIG:=pg_config}"
export PG_CONFIG

# test_cluster [SETTING...]: a private cluster with an empty database "hail"; gone when the script ends.
test_cluster() {
    CLUSTER=$(mktemp -d "${TMPDIR:-/tmp}/pg_hail_test.XXXXXX")
    export CLUSTER
    trap 'scripts/cluster.sh remove "$CLUSTER"' EXIT
    local settings
    settings=$(mktemp)
    printf '%s\n' "$@" >"$settings"
    scripts/cluster.sh start "$CLUSTER" test/test.conf "$settings" || exit 1
    rm -f "$settings"
    eval "$(scripts/cluster.sh env "$CLUSTER")"
    psql -qX -d postgres -c 'CREATE DATABASE hail' || exit 1
}

# Turn the output of pg_regress into lines "ok - name", "not ok - name".
report_pg_regress() {
    sed -nE 's/^(test )? *([a-z0-9_]+) +\.\.\. ok.*/ok - \2/p; s/^(test )? *([a-z0-9_]+) +\.\.\. FAILED.*/not ok - \2/p' "$1"
    grep -qE '\.\.\. (ok|FAILED)' "$1" || cat "$1"
}
