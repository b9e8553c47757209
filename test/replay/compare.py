#!/usr/bin/env python3
"""One table of the reports (DIR/NAME.json) that test/replay/compare has made: compare.py DIR NAME..."""
import json
import os
import sys

ROWS = [
    ("trips served", "served", "%", 1), ("pickup distance, mean", "pickupMean", "m", 0),
    ("pickup distance, 90 %", "pickupP90", "m", 0), ("wait for the driver, mean", "waitMean", "s", 0),
    ("drivers at work", "atWork", "%", 1), ("drivers with a passenger", "occupied", "%", 1),
    ("Gini of earnings", "gini", "", 3), ("offers made", "offers", "", 0), ("offers declined", "declined", "", 0),
    ("offers left to expire", "expired", "", 0), ("trips given back", "givenBack", "", 0),
    ("trips cancelled", "cancelled", "", 0), ("no driver found", "noDrivers", "", 0),
]

directory, names = sys.argv[1], sys.argv[2:]
reports = {}
for name in names:
    path = os.path.join(directory, name + ".json")
    if not os.path.exists(path):
        sys.exit(f"compare: {name} made no report")
    with open(path, encoding="utf-8") as file:
        reports[name] = json.load(file)
first = reports[names[0]]
print(f"\n{first['scenario']}: {first['trips']} trips, {first['drivers']} drivers, seed {first['seed']}")
print(" " * 28 + "".join(f"{name:>16}" for name in names))
for words, key, unit, digits in ROWS:
    print(f"{words:<28}" + "".join(f"{reports[n]['fleet'][key]:>13.{digits}f} {unit:<2}" for n in names))
