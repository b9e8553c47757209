"""Prices over HTTP: estimates, quotes, surge; what clients send of prices counts for nothing."""
import contextlib
import uuid

from harness import DROPOFF, PICKUP, check, equal, test

TRIP = {"pickup": PICKUP, "dropoff": DROPOFF}
MONEY = {"price": 1, "total": 1.5, "amount": "1", "fare": None, "surge": [1], "surgeMultiplier": {"a": 1}, "multiplier": 0,
         "currency": "USD", "discount": True, "commission": -1, "estimatedPrice": 1e300, "totalPrice": ""}


def refused(answer, status, code, *fields):
    equal(answer.status, status, answer)
    equal(answer.error["code"], code, answer)
    if fields:
        equal(sorted(answer.fields), sorted(fields), answer)
    return answer


@contextlib.contextmanager
def surge(w, multiplier, place=PICKUP):
    """The hexagon around a place has this surge for as long as the block lasts."""
    where = f"""region_id = (SELECT id FROM hail.regions WHERE code = 'cairo')
        AND cell = (SELECT (hail.hexagon_at({place['lat']}, {place['lng']}, r.hexagon_size_m)).cell FROM hail.regions r
                    WHERE r.code = 'cairo')"""
    w.psql(f"""DELETE FROM hail.surge_cells WHERE {where};
        INSERT INTO hail.surge_cells (region_id, cell, demand, supply, multiplier, updated_at)
        SELECT r.id, (hail.hexagon_at({place['lat']}, {place['lng']}, r.hexagon_size_m)).cell, 40, 10, {multiplier}, hail.clock()
        FROM hail.regions r WHERE r.code = 'cairo'""")
    try:
        yield
    finally:
        w.psql(f"DELETE FROM hail.surge_cells WHERE {where}")


def can_requote(w):
    return w.psql("SELECT to_regprocedure('hail.requote(uuid)') IS NOT NULL") == "t"


def add_up(price):
    return sum(price[p] for p in ("baseAmount", "distanceAmount", "timeAmount", "multiplierAmount", "minimumAmount",
                                  "bookingFee", "roundingAmount"))


@test("prices that clients send are ignored, whatever they are, and meta.ignored names them")
def _(w):
    c = w.customer()
    plain = c.post("pricing/quote", dict(TRIP, serviceClass="economy"))
    check("ignored" not in plain.json["meta"], plain)
    told = c.post("pricing/quote", dict(TRIP, serviceClass="economy", **MONEY))
    equal(told.status, 201, told)
    equal(told.json["meta"]["ignored"], list(MONEY))
    equal(*({k: v for k, v in quote.data.items() if k not in ("id", "setId")} for quote in (told, plain)))
    equal(c.post("pricing/estimate", dict(TRIP, total=1)).json["meta"]["ignored"], ["total"])
    trip = c.post("trips/request", {"price": 1, "quoteId": told.data["id"], "paymentMethod": "cash"}, Idempotency_Key="i1")
    equal((trip.status, trip.data["price"], trip.json["meta"]["ignored"]), (201, plain.data["total"], ["price"]), trip)
    equal(c.post(f"trips/{trip.data['id']}/cancel-search").status, 200)


@test("other unknown fields stay errors, and what was ignored is told with them")
def _(w):
    c = w.customer()
    answer = refused(c.post("pricing/quote", dict(TRIP, serviceClass="economy", price=1, prize=2)), 400, "invalid_value", "prize")
    equal(answer.json["meta"]["ignored"], ["price"])
    refused(c.post("pricing/quote", {"pickup": dict(PICKUP, price=1), "dropoff": DROPOFF, "serviceClass": "economy"}), 400,
            "invalid_value", "pickup.price")
    refused(c.post("auth/profile", {"price": 1}), 405, "method_not_allowed")
    problem = c.post("pricing/quote", dict(TRIP, serviceClass="yacht", price=1), Accept="application/problem+json")
    equal((problem.json["code"], problem.json["ignored"]), ("unknown_class", ["price"]))


@test("the surge map is bare GeoJSON when Accept asks for that, in the envelope else")
def _(w):
    c, path = w.customer(), f"pricing/surge-map?lat={PICKUP['lat']}&lng={PICKUP['lng']}"
    with surge(w, 1.8):
        wrapped = c.get(path)
        equal((wrapped.status, wrapped.headers["Content-Type"]), (200, "application/json"))
        equal(wrapped.data["type"], "FeatureCollection")
        equal([f["properties"]["multiplier"] for f in wrapped.data["features"]], [1.8])
        ring = wrapped.data["features"][0]["geometry"]["coordinates"][0]
        equal((len(ring), ring[0]), (7, ring[-1]))
        check(all(abs(lng - PICKUP["lng"]) < 0.1 and abs(lat - PICKUP["lat"]) < 0.1 for lng, lat in ring), ring)
        for accept, bare in (("application/geo+json", True), ("application/json;q=0.5, application/geo+json", True),
                             ("*/*", False), ("application/json, application/geo+json;q=0.5", False),
                             ("application/geo+json;q=0", False)):
            answer = c.get(path, Accept=accept)
            equal(answer.headers["Content-Type"], "application/geo+json" if bare else "application/json", accept)
            equal(answer.json if bare else answer.data, wrapped.data, accept)
            check("Accept" in answer.headers["Vary"], answer.headers["Vary"])
        wrong = c.get(path + "&radius=1", Accept="application/geo+json")
        equal((wrong.status, wrong.headers["Content-Type"], wrong.fields), (400, "application/json", ["radius"]))
    equal(c.get(path, Accept="application/geo+json").json, {"type": "FeatureCollection", "features": []})


@test("surge that has risen too far gives quote_changed with a new quote, which books at once")
def _(w):
    if not can_requote(w):
        return
    c = w.customer()
    quote = w.quote(c)
    with surge(w, 1.8):
        answer = refused(w.request_trip(c, quote), 409, "quote_changed")
        new = answer.error["details"]["quote"]
        check(new["id"] != quote["id"] and new["total"] > quote["total"], new)
        equal((new["replaces"], new["surge"], new["serviceClass"]), (quote["id"], 1.8, quote["serviceClass"]))
        equal([new[p] for p in ("pickupLat", "pickupLng", "dropoffLat", "dropoffLng")], [*PICKUP.values(), *DROPOFF.values()])
        equal(add_up(new), new["total"])
        problem = c.post("trips/request", {"quoteId": quote["id"], "paymentMethod": "cash"}, Idempotency_Key="q1",
                         Accept="application/problem+json")
        equal((problem.status, problem.json["code"], problem.json["quote"]["replaces"]), (409, "quote_changed", quote["id"]))
        trip = w.request_trip(c, new)
        equal((trip.status, trip.data["price"], trip.data["surge"]), (201, new["total"], 1.8), trip)
        equal(c.post(f"trips/{trip.data['id']}/cancel-search").status, 200)


@test("without a new quote, quote_changed stands alone")
def _(w):
    if not can_requote(w):
        return
    c = w.customer()
    quote = w.quote(c)
    with surge(w, 1.8):
        w.psql("REVOKE EXECUTE ON FUNCTION hail.requote(uuid) FROM hail_customer")
        try:
            refused(w.request_trip(c, quote), 409, "quote_changed", "quoteId")
        finally:
            w.psql("GRANT EXECUTE ON FUNCTION hail.requote(uuid) TO hail_customer")


@test("a quote shows its customer every amount, and administrators also what made it")
def _(w):
    c = w.customer()
    quote = w.quote(c)
    equal(add_up(quote), quote["total"])
    check({"surge", "timeMultiplier", "eventMultiplier", "expiresAt", "distanceM", "durationS"} <= set(quote), quote)
    check(not {"commissionBp", "fareId", "variantId"} & set(quote), quote)
