#!/usr/bin/env python3
"""Make sample/requests.csv and sample/vehicles.csv: an hour in Gridport, an invented city of straight streets.

Streets lie every 120 m around 30 N 40 W (in the open Atlantic: nobody lives there). Requests start near three
centres and go mostly to another; vehicles stand anywhere. Seed fixed: the same files each time.
"""
import csv
import math
import os
import random

SEED = 20240229
TRIPS, VEHICLES = 600, 150
LAT, LNG = 30.0, -40.0
BLOCK_M = 120
RADIUS_M = 3500
CENTRES = [(0, 0, 5), (-1800, 1500, 3), (2100, -900, 2)]  # metres east, metres north, weight
START = "2024-03-01"


def on_street(east, north):
    """The nearest point on a street, a little off its middle as GPS is, as lat, lng."""
    if random.random() < 0.5:
        east = round(east / BLOCK_M) * BLOCK_M + random.gauss(0, 4)
    else:
        north = round(north / BLOCK_M) * BLOCK_M + random.gauss(0, 4)
    return (LAT + north / 111195.0, LNG + east / (111195.0 * math.cos(math.radians(LAT))))


def place():
    if random.random() < 0.3:
        return (random.uniform(-RADIUS_M, RADIUS_M), random.uniform(-RADIUS_M, RADIUS_M))
    east, north, _ = random.choices(CENTRES, weights=[c[2] for c in CENTRES])[0]
    return (random.gauss(east, 500), random.gauss(north, 500))


def trip():
    while True:
        a, b = place(), place()
        if 400 <= math.dist(a, b) <= 4000:
            return on_street(*a) + on_street(*b)


def clock(second):
    return f"{START} 08:{second // 60:02d}:{second % 60:02d}"


def main():
    random.seed(SEED)
    folder = os.path.join(os.path.dirname(os.path.abspath(__file__)), "sample")
    os.makedirs(folder, exist_ok=True)
    seconds = sorted(random.randrange(3600) for _ in range(TRIPS))
    with open(os.path.join(folder, "requests.csv"), "w", newline="") as f:
        w = csv.writer(f, lineterminator="\n")
        w.writerow(["request_ts_local", "pickup_lat", "pickup_lng", "dropoff_lat", "dropoff_lng", "passengers"])
        for s in seconds:
            w.writerow([clock(s)] + [f"{x:.6f}" for x in trip()] + [random.choices([1, 2, 3, 4], [70, 18, 7, 5])[0]])
    with open(os.path.join(folder, "vehicles.csv"), "w", newline="") as f:
        w = csv.writer(f, lineterminator="\n")
        w.writerow(["available_ts_local", "vehicle_id", "lat", "lng"])
        for i in range(VEHICLES):
            w.writerow([f"{START} 07:{random.randrange(30, 60):02d}:{random.randrange(60):02d}", i + 1] +
                       [f"{x:.6f}" for x in on_street(*place())])


if __name__ == "__main__":
    main()
