"""Areas as GeoJSON, restricted pickups, airport queues."""
from harness import DROPOFF, PICKUP, check, equal, test


def square(lat, lng, half=0.002):
    west, east, south, north = (round(x, 6) for x in (lng - half, lng + half, lat - half, lat + half))
    return {"type": "Polygon",
            "coordinates": [[[west, south], [east, south], [east, north], [west, north], [west, south]]]}


@test("an area is made, changed, listed and done away with as GeoJSON")
def _(w):
    made = w.admin.post("geofences", {"kind": "area", "name": "Garden", "boundary": square(30.2, 31.5), "region": "cairo",
                                      "leaveMarginM": 50, "leaveAfterS": 90})
    equal(made.status, 201, made)
    equal(made.data["geometry"], square(30.2, 31.5))
    equal(made.data["properties"], {"kind": "area", "name": "Garden", "active": True, "region": "cairo",
                                    "leaveMarginM": 50, "leaveAfterS": 90, "queueOffers": 1})
    path = f"geofences/{made.data['id']}"
    changed = w.admin.call("PUT", path, {"name": "Park", "active": False})
    equal((changed.status, changed.data["properties"]["name"], changed.data["geometry"]), (200, "Park", square(30.2, 31.5)))
    listed = w.admin.get("geofences?kind=area")
    equal([f["id"] for f in listed.data["features"]], [made.data["id"]])
    equal(w.customer().get("geofences?kind=area").data["features"], [])
    equal(w.admin.call("DELETE", path).status, 200)
    equal(w.admin.call("DELETE", path).status, 404)


@test("bad areas are refused by field; only administrators make them")
def _(w):
    def post(who=w.admin, **change):
        return who.post("geofences", {"kind": "area", "name": "x", "boundary": square(30.2, 31.5), **change})

    cross = {"type": "Polygon", "coordinates": [[[31, 30], [31.1, 30.1], [31.1, 30], [31, 30.1], [31, 30]]]}
    for change in ({"boundary": "POLYGON EMPTY"}, {"boundary": {"type": "Polygon"}}, {"boundary": {"type": "Point", "coordinates": [1, 2]}},
                   {"boundary": {"type": "Polygon", "coordinates": [[["a", 1]]]}}, {"boundary": cross}, {"boundary": {}}):
        answer = post(**change)
        equal((answer.status, list(answer.fields)), (400, ["boundary"]), change, answer)
    equal(list(post(kind="lake").fields), ["kind"])
    equal(post(region="nowhere").status, 404)
    equal(post(w.customer()).status, 403)
    with w.driver() as d:
        equal(d.call("DELETE", "geofences/1").status, 403)


@test("a restricted pickup or dropoff is refused with its own word")
def _(w):
    fence = w.admin.post("geofences", {"kind": "restricted", "name": "Base", "boundary": square(**PICKUP)}).data["id"]
    try:
        for body in ({"pickup": PICKUP, "dropoff": DROPOFF}, {"pickup": DROPOFF, "dropoff": PICKUP}):
            answer = w.customer().post("pricing/quote", dict(body, serviceClass="economy"))
            equal((answer.status, answer.error["code"]), (400, "restricted_area"), answer)
    finally:
        equal(w.admin.call("DELETE", f"geofences/{fence}").status, 200)
    equal(w.customer().post("pricing/quote", {"pickup": PICKUP, "dropoff": DROPOFF, "serviceClass": "economy"}).status, 201)


@test("a driver sees its own place in an airport's queue, administrators the whole")
def _(w):
    fence = w.admin.post("geofences", {"kind": "airport", "name": "Field", "boundary": square(**PICKUP)}).data["id"]
    try:
        with w.driver() as first:
            w.psql("SELECT hail.geofence_tick()")
            with w.driver() as second:
                w.psql("SELECT hail.geofence_tick()")
                queue = w.admin.get(f"geofences/{fence}/queue").data["queue"]
                equal([q["driverId"] for q in queue if q["driverId"] in (first.id, second.id)], [first.id, second.id])
                own = second.get("driver/queue").data["queues"]
                equal([(q["geofenceId"], q["name"]) for q in own], [(fence, "Field")])
                check(own[0]["position"] > first.get("driver/queue").data["queues"][0]["position"], own)
                equal(second.get(f"geofences/{fence}/queue").status, 403)
        equal(w.admin.get("geofences/999999/queue").status, 404)
    finally:
        w.admin.call("DELETE", f"geofences/{fence}")
