#!/usr/bin/env python3
"""Turn the rows of a benchmark run (tab-separated) into bench.json."""
import json
import os
import platform
import sys

rows = []
for line in open(sys.argv[1], encoding="utf-8"):
    group, name, value, unit, peer, peer_value, *latencies = line.rstrip("\n").split("\t")
    row = {"group": group, "name": name, "value": float(value), "unit": unit, "peer": peer or None}
    row["peer_value"] = float(peer_value) if peer_value else None
    row["ratio"] = round(row["value"] / row["peer_value"], 3) if row["peer_value"] else None
    for key, latency in zip(("p50_us", "p95_us", "p99_us", "peer_p99_us"), latencies):
        if latency:
            row[key] = float(latency)
    rows.append(row)
result = {
    "seed": int(os.environ["BENCH_SEED"]),
    "clients": int(os.environ["BENCH_CLIENTS"]),
    "seconds": float(os.environ["BENCH_SECONDS"]),
    "drivers": int(os.environ["BENCH_DRIVERS"]),
    "cores": os.cpu_count(),
    "machine": platform.machine(),
    "rows": rows,
}
with open(sys.argv[2], "w", encoding="utf-8") as out:
    json.dump(result, out, indent=1)
    out.write("\n")
print(f"{len(rows)} rows in {sys.argv[2]}")
