# A private database with pg_hail in it and a haild in front, in one folder (sourced from the project's root by
# run.sh, demo.sh and test suites). The server runs as scripts/cluster.sh says, haild as the caller.
: "${PG_CONFIG:=pg_config}"
export PG_CONFIG

# stack_haild_binary: the one built here, else the installed one.
stack_haild_binary() {
    if [ -x frontend/haild ]; then echo frontend/haild; else echo "$("$PG_CONFIG" --bindir)/haild"; fi
}

# stack_up DIR [SETTING...]: init, start, create the extension, start haild. Afterwards PGHOST, PGPORT and PGUSER
# lead psql to the database, and $URL is where haild answers.
stack_up() {
    local dir=$1 settings
    shift
    mkdir -m 700 "$dir" || return 1
    settings=$(mktemp)
    {
        echo "shared_preload_libraries = 'pg_hail'"
        echo "hail.database = 'hail'"
        echo "hail.jwt_secret = '$(head -c 48 /dev/urandom | base64 -w 0)'"
        echo "max_connections = 100"
        echo "shared_buffers = 256MB"
        echo "synchronous_commit = on"
        echo "jit = off"
        echo "max_wal_size = 2GB"
        echo "log_min_messages = warning"
        echo "log_line_prefix = '%m [%p] %b '"
        echo "timezone = 'UTC'"
        printf '%s\n' "$@"
    } >"$settings"
    scripts/cluster.sh start "$dir" "$settings" || { rm -f "$settings"; return 1; }
    rm -f "$settings"
    stack_use "$dir"
    psql -qX -d postgres -v ON_ERROR_STOP=1 -c 'CREATE DATABASE hail' &&
        PGOPTIONS='-c client_min_messages=warning' psql -qX -d hail -v ON_ERROR_STOP=1 -c 'CREATE EXTENSION pg_hail CASCADE' &&
        stack_start_haild "$dir"
}

# stack_use DIR: point the environment at a folder's database and haild.
stack_use() {
    eval "$(scripts/cluster.sh env "$1")"
    URL=$(cat "$1/haild.url" 2>/dev/null || true)
    export URL
}

# stack_start_haild DIR: on the first free port from 8080 up.
stack_start_haild() {
    local dir=$1 port pid
    for port in $(seq 8080 8279); do
        (exec 3<>"/dev/tcp/127.0.0.1/$port") 2>/dev/null && continue
        # on its own, so that an interrupt from the terminal reaches only the script; descriptor 9 may be a lock
        HAIL_DATABASE_URL="host=$dir port=$PGPORT dbname=hail user=hail_front" HAIL_LISTEN="127.0.0.1:$port" \
            setsid "$(stack_haild_binary)" >>"$dir/haild.log" 2>&1 </dev/null 9>&- &
        pid=$!
        for _ in $(seq 150); do
            kill -0 "$pid" 2>/dev/null || break
            if curl -sf -o /dev/null --noproxy '*' "http://127.0.0.1:$port/health/live" && kill -0 "$pid" 2>/dev/null; then
                echo "$pid" >"$dir/haild.pid"
                echo "http://127.0.0.1:$port" >"$dir/haild.url"
                URL=http://127.0.0.1:$port
                export URL
                disown "$pid" 2>/dev/null
                return 0
            fi
            sleep 0.1
        done
        kill "$pid" 2>/dev/null
    done
    echo "haild did not start; its log:" >&2
    tail -20 "$dir/haild.log" >&2
    return 1
}

stack_haild_running() {
    local pid
    pid=$(cat "$1/haild.pid" 2>/dev/null) && [ "$(cat "/proc/$pid/comm" 2>/dev/null)" = haild ]
}

# stack_running DIR: both parts are there.
stack_running() {
    local pid
    pid=$(head -1 "$1/data/postmaster.pid" 2>/dev/null) && kill -0 "$pid" 2>/dev/null && stack_haild_running "$1"
}

stack_stop_haild() {
    local pid
    stack_haild_running "$1" || return 0
    pid=$(cat "$1/haild.pid")
    kill "$pid" 2>/dev/null
    for _ in $(seq 400); do
        kill -0 "$pid" 2>/dev/null || break
        sleep 0.1
    done
    kill -9 "$pid" 2>/dev/null
    rm -f "$1/haild.pid" "$1/haild.url"
}

# stack_down DIR: stop both and delete the folder.
stack_down() {
    [ -d "$1" ] || return 0
    stack_stop_haild "$1"
    scripts/cluster.sh remove "$1"
}

# stack_folder NAME: the fixed folder of `make run` or `make demo`.
stack_folder() {
    echo "${TMPDIR:-/tmp}/pg_hail-$1-$(id -u)"
}
