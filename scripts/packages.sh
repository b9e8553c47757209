#!/usr/bin/env bash
# Install what is missing of the Debian packages that building, running and testing need; says what it does.
#   packages.sh build|run|test|bench   (each includes the ones before it; roads: run, and what road networks need)
set -euo pipefail
build="gcc make libc6-dev postgresql-server-dev-15 libpq-dev libssl-dev libcivetweb-dev libjansson-dev libcurl4-openssl-dev zlib1g-dev"
run="postgresql-15 postgresql-15-postgis-3 curl procps"
roads="postgresql-15-pgrouting"
test="python3 clang-format git valgrind"
bench="redis-server redis-tools libhiredis-dev"
case ${1:-run} in
build) want=$build ;;
run) want="$build $run" ;;
roads) want="$build $run $roads" ;;
test) want="$build $run $roads $test" ;;
bench) want="$build $run $roads $test $bench" ;;
*) echo "usage: packages.sh build|run|roads|test|bench" >&2; exit 2 ;;
esac
missing=""
for package in $want; do
    dpkg-query -W -f '${Status}' "$package" 2>/dev/null | grep -q 'ok installed' || missing="$missing $package"
done
[ -n "$missing" ] || exit 0
echo "Installing missing Debian packages:$missing"
sudo=""
if [ "$(id -u)" != 0 ]; then
    command -v sudo >/dev/null || { echo "Not root and no sudo: install them yourself and call again." >&2; exit 1; }
    sudo=sudo
fi
# A cluster that Debian would make and start for a new server package is not wanted.
if ! [ -e /etc/postgresql-common/createcluster.conf ] && [[ "$missing" == *postgresql-15* ]]; then
    $sudo mkdir -p /etc/postgresql-common
    echo "create_main_cluster = false" | $sudo tee /etc/postgresql-common/createcluster.conf >/dev/null
fi
$sudo apt-get update -qq
# Debian starts redis-server on installation; ours is started and stopped by the benchmark on a port of its own.
$sudo env DEBIAN_FRONTEND=noninteractive RUNLEVEL=1 apt-get install -y -qq --no-install-recommends $missing >/dev/null
