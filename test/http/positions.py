"""Positions in batches, nearby, along a trip and at a past time."""
from harness import PICKUP, check, equal, test
from merge import later, timestamp


@test("a batch names each point that was refused and why; the newest moves the driver, whatever the order")
def _(w):
    later(w)
    with w.driver() as d:
        at = lambda ago, north=0.0, **more: dict(lat=PICKUP["lat"] + north, lng=PICKUP["lng"], timestamp=timestamp(w, ago), **more)
        later(w)
        points = [at("30 s", 0.001), at("10 s", 0.003), at("20 s", 0.002), at("2 days"), at("5 s", 10.0), at("10 s", 0.003),
                  at("0 s", 0.004)]
        answer = d.post("location/batch-update", {"locations": points})
        equal(answer.data, {"accepted": 5, "rejected": [{"index": 3, "verdict": "invalid", "field": "timestamp"},
                                                        {"index": 4, "verdict": "impossible", "field": None}]}, answer)
        equal(w.psql(f"SELECT lat FROM hail.live_drivers WHERE driver_id = '{d.id}'"), str(PICKUP["lat"] + 0.004))
        equal(d.post("location/batch-update", {"locations": [at("0 s", 0.004)] * 500}).data["accepted"], 500)


@test("drivers nearby: at most 100, with the age of each position")
def _(w):
    c = w.customer()
    path = f"location/nearby?lat={PICKUP['lat']}&lng={PICKUP['lng']}"
    with w.driver() as d:
        w.psql("SELECT hail.advance_clock('7.3 seconds')")
        found, = [f for f in c.get(path).data["drivers"] if f["driverId"] == d.id]
        equal(found["ageS"], 7.3)
        check({"lat", "lng", "distanceM", "serviceClass", "rating", "heading"} <= set(found), found)
    equal(c.get(path + "&limit=100").status, 200)
    for limit in ("0", "101", "-1", "1e1"):
        answer = c.get(path + "&limit=" + limit)
        equal((answer.status, answer.fields), (400, ["limit"]), answer)


@test("a trip's track is GeoJSON for those of the trip, and nothing for others")
def _(w):
    later(w)
    customer, stranger = w.customer(), w.customer()
    with w.driver() as d:
        trip = w.matched_trip(customer, d)
        equal(d.post(f"trips/{trip['id']}/status", {"status": "arrived"}).status, 200)
        equal(d.post(f"trips/{trip['id']}/status", {"status": "started", "pickupCode": trip["pickupCode"]}).status, 200)
        for step in range(4):
            w.psql("SELECT hail.advance_clock('10 seconds')")
            equal(d.post("location/update", dict(PICKUP, lat=PICKUP["lat"] + 0.001 * step)).data["applied"], True)
        w.psql("SELECT count(*) FROM hail.keep()")
        for who in (customer, d, w.admin):
            answer = who.get(f"trips/{trip['id']}/track")
            equal((answer.status, answer.data["type"], answer.data["geometry"]["type"]), (200, "Feature", "LineString"), answer)
            check([PICKUP["lng"], PICKUP["lat"] + 0.003] in answer.data["geometry"]["coordinates"], answer)
        bare = customer.get(f"trips/{trip['id']}/track", Accept="application/geo+json")
        equal((bare.headers["Content-Type"], bare.json["type"]), ("application/geo+json", "Feature"))
        equal(stranger.get(f"trips/{trip['id']}/track").status, 404)
        equal(customer.get("trips/1/track").status, 400)


@test("where a driver was at a time: for itself and administrators")
def _(w):
    later(w)
    with w.driver() as d, w.driver() as other:
        later(w)
        equal(d.post("location/update", PICKUP).data["applied"], True)
        seen = timestamp(w)
        w.psql("SELECT count(*) FROM hail.keep()")
        w.psql("SELECT hail.advance_clock('2 minutes')")
        path = f"drivers/{d.id}/position"
        for who in (d, w.admin):
            for query in ("", f"?at={seen}".replace("+", "%2B")):
                data = who.get(path + query).data
                equal((data["lat"], data["lng"]), (PICKUP["lat"], PICKUP["lng"]))
        equal(d.get(path + "?at=2001-01-01T00:00:00Z").status, 404)
        answer = d.get(path + "?at=yesterday")
        equal((answer.status, answer.fields), (400, ["at"]), answer)
        equal(other.get(path).status, 403)
        equal(w.customer().get(path).status, 403)
