#!/bin/bash
# Starts Muster with company deploy/w1 from an empty state; prints the process to account.
. "$BENCH/lib.sh"
repo=$(cd "$(dirname "$0")/../.." && pwd)
export W1_WEBHOOK=w1-secret MUSTER_DATABASE_URL=$PGDSN MUSTER_INGRESS_ADDR=127.0.0.1:8080 MUSTER_LOG_LEVEL=${MUSTER_LOG_LEVEL:-warn}
export OTEL_TRACES_SAMPLER_ARG=${OTEL_TRACES_SAMPLER_ARG:-0.01} GOGC=${GOGC:-400} GOMEMLIMIT=${GOMEMLIMIT:-768MiB}
rm -rf "$W/muster-data"
sql "drop schema public cascade; create schema public" 2>/dev/null
start muster "$repo/bin/muster" up --config "$repo/deploy/w1" --data "$W/muster-data"
for _ in $(seq 300); do [ -f "$W/muster-data/addresses.json" ] && break; sleep 0.1; done
[ -f "$W/muster-data/addresses.json" ] || { cat "$W/logs/muster.log" >&2; exit 1; }
echo "muster=$(cat "$W/muster.pid")"
