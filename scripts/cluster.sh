#!/usr/bin/env bash
# Private PostgreSQL clusters: made in a temporary folder, reached over a socket there, owned by a user other
# than root, never in the way of a cluster that is already running.
#
#   cluster.sh start DIR [CONF...]   init (when new) and start; CONF files are appended to postgresql.conf;
#                                    HAIL_POSTGRES is a program to start instead of postgres
#   cluster.sh stop DIR [MODE]       stop (fast)
#   cluster.sh copy DIR STANDBY      make a streaming standby of a running cluster; `start` starts it
#   cluster.sh promote DIR           make a standby a primary
#   cluster.sh crash DIR             kill -9 the postmaster, wait until its children are gone
#   cluster.sh remove DIR            stop and delete
#   cluster.sh env DIR               print PGHOST, PGPORT, PGUSER to eval
set -euo pipefail
here=$(cd "$(dirname "$0")" && pwd)
bin=$("${PG_CONFIG:-pg_config}" --bindir)
[ -x "$bin/initdb" ] || bin=/usr/lib/postgresql/15/bin

# The server's user: the caller, or `postgres` when the caller is root.
as_server() {
    if [ "$(id -u)" = 0 ]; then (cd / && runuser -u postgres -- env LC_ALL=C.UTF-8 "$@"); else LC_ALL=C.UTF-8 "$@"; fi
}

start() {
    local dir=$1; shift
    if [ ! -d "$dir/data" ]; then
        mkdir -p "$dir"
        [ "$(id -u)" = 0 ] && chown postgres: "$dir"
        chmod 700 "$dir"
        as_server "$bin/initdb" -D "$dir/data" -U postgres -A trust -E UTF8 --locale=C.UTF-8 --no-sync >"$dir.initdb.log" 2>&1 ||
            { cat "$dir.initdb.log" >&2; return 1; }
        rm -f "$dir.initdb.log"
        { echo "listen_addresses = ''"
          echo "unix_socket_directories = '$dir'"
          echo "port = ${HAIL_PORT:-54329}"
          cat "$@" /dev/null; } | as_server tee -a "$dir/data/postgresql.conf" >/dev/null
    fi
    as_server "$bin/pg_ctl" ${HAIL_POSTGRES:+-p "$HAIL_POSTGRES"} -D "$dir/data" -l "$dir/log" -w -t 120 start >/dev/null ||
        { tail -30 "$dir/log" >&2; return 1; }
}

crash() {
    local dir=$1 pid children
    pid=$(head -1 "$dir/data/postmaster.pid")
    children=$(pgrep -P "$pid" || true)
    kill -9 "$pid"
    for child in $children; do
        while kill -0 "$child" 2>/dev/null; do sleep 0.05; done
    done
    as_server rm -f "$dir/data/postmaster.pid" "$dir"/.s.PGSQL.*
}

copy() {
    local dir=$1 standby=$2
    mkdir -p "$standby"
    [ "$(id -u)" = 0 ] && chown postgres: "$standby"
    chmod 700 "$standby"
    as_server "$bin/pg_basebackup" -h "$dir" -p "${HAIL_PORT:-54329}" -U postgres -D "$standby/data" -R -X stream -c fast --no-sync
    echo "unix_socket_directories = '$standby'" | as_server tee -a "$standby/data/postgresql.conf" >/dev/null
}

command=${1:?command}; dir=${2:?directory}; shift 2
case $command in
start) start "$dir" "$@" ;;
stop) as_server "$bin/pg_ctl" -D "$dir/data" -w -t 120 -m "${1:-fast}" stop >/dev/null ;;
copy) copy "$dir" "$1" ;;
promote) as_server "$bin/pg_ctl" -D "$dir/data" -w -t 120 promote >/dev/null ;;
crash) crash "$dir" ;;
remove) as_server "$bin/pg_ctl" -D "$dir/data" -w -m immediate stop >/dev/null 2>&1 || true; rm -rf "$dir" ;;
env) echo "export PGHOST='$dir' PGPORT='${HAIL_PORT:-54329}' PGUSER=postgres" ;;
*) sed -n '2,14p' "$here/cluster.sh" >&2; exit 2 ;;
esac
