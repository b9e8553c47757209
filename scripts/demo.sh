#!/usr/bin/env bash
# The demo: real trips replayed against simulated drivers through HTTP, every invariant checked at the end.
#
#   SCENARIO=nyc|sf|sample   what is replayed (nyc when its data are there, else sample)
#   TRIPS= DRIVERS= SPEED= SEED=   how many, how fast at most (clock seconds per second), which random numbers
#   HAIL_DATA=DIR            folder of the public data files (../shared/data)
#   REPORT=FILE              the report as JSON too
#   ONCE=1                   stop everything afterwards; else it stays up until `make stop`
set -uo pipefail
cd "$(dirname "$0")/.."
. scripts/stack.sh
dir=$(stack_folder demo)
data=${HAIL_DATA:-../shared/data}
scenario=${SCENARIO:-nyc}

if [ "$scenario" != sample ] && ! ls "$data"/*taxi_requests*.csv.gz >/dev/null 2>&1; then
    echo "No public data in $data (set HAIL_DATA): replaying the project's own sample."
    scenario=sample
fi
case $scenario in
nyc) trips=5500 drivers=1500 speed=18 longest=8000 ;; # 99 % of the trips are shorter
sf) trips=1087 drivers=490 speed=20 longest=10000 ;;
sample) trips=600 drivers=150 speed=20 longest=40000 data=test/replay/sample ;;
*) echo "SCENARIO is nyc, sf or sample" >&2; exit 2 ;;
esac

stack_down "$dir"
echo "Starting database and haild in $dir ..."
trap 'echo; echo "Interrupted: stopping."; stack_down "$dir"; exit 130' INT TERM
# At demo speed 30 clock seconds are less than two real ones: give phones twice that before they count as lost.
stack_up "$dir" "hail.presence_ttl = 60" || { stack_down "$dir"; exit 1; }

test/replay/replay --scenario "$scenario" --data "$data" --trips "${TRIPS:-$trips}" --drivers "${DRIVERS:-$drivers}" \
    --speed "${SPEED:-$speed}" --longest "$longest" --idle-interval 20 --trip-interval 8 --seed "${SEED:-1}" \
    --url "$URL/api/v1" ${REPORT:+--report "$REPORT"} \
    --db "host=$dir port=$PGPORT user=postgres dbname=hail"
status=$?
if [ "${ONCE:-0}" = 1 ]; then
    stack_down "$dir"
    exit $status
fi
# from here on the clock runs as fast as the world's
psql -qXAt -d hail -c "SELECT hail.set_clock(hail.clock(), 1)" >/dev/null
cat <<END

Still running, for you to look around (the clock goes on from where the replay ended):
API       $URL/api/v1   (documents: $URL/openapi.json, metrics: $URL/metrics)
psql      psql -h $dir -p $PGPORT -U postgres hail
Logs      $dir/log, $dir/haild.log
Stop      make stop
END
exit $status
