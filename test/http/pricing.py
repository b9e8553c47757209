"""Prices over HTTP: estimates, quotes, surge; what clients send of prices counts for nothing."""
import concurrent.futures
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
        INSERT INTO hail.surge_cells (region_id, cell, requests, supply, multiplier, updated_at)
        SELECT r.id, (hail.hexagon_at({place['lat']}, {place['lng']}, r.hexagon_size_m)).cell, 40, 10, {multiplier}, hail.clock()
        FROM hail.regions r WHERE r.code = 'cairo'""")
    try:
        yield
    finally:
        w.psql(f"DELETE FROM hail.surge_cells WHERE {where}")


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
    c = w.customer()
    quote = w.quote(c)
    with surge(w, 1.8):
        answer = refused(w.request_trip(c, quote), 409, "quote_changed")
        new = answer.error["details"]["quote"]
        equal((answer.fields, answer.error["details"]["errors"][0]["message"]), (["quoteId"], answer.error["message"]))
        again = [w.request_trip(c, quote, key=f"again-{n}").error["details"]["quote"] for n in range(3)]
        equal([q["id"] for q in again], [new["id"]] * 3, "repeating does not store more quotes")
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


@test("an estimate gives every class its price, range, times and parts, and promises nothing")
def _(w):
    c = w.customer()
    count = w.psql("SELECT count(*) FROM hail.quotes")
    with w.driver():
        answer = c.post("pricing/estimate", TRIP)
    equal(answer.status, 200, answer)
    estimates = {e["serviceClass"]: e for e in answer.data["estimates"]}
    check({"economy", "comfort", "xl", "van"} <= set(estimates), estimates)
    for e in estimates.values():
        equal(add_up(e), e["total"])
        check(e["priceRange"]["low"] <= e["total"] <= e["priceRange"]["high"], e)
        check(e["durationLowS"] <= e["durationS"] <= e["durationHighS"] and e["distanceM"] > 8000, e)
        check(e["etaSource"] in ("road", "learnt", "hour", "region", "default") and e["currency"] == "EGP", e)
        check({"surge", "waitingFreeS", "waitingPerMinute", "waitingMax", "cancellationFee", "region"} <= set(e), e)
    check(estimates["economy"]["pickupEtaS"] is not None and estimates["van"]["pickupEtaS"] is None, estimates)
    equal(w.psql("SELECT count(*) FROM hail.quotes"), count)
    some = c.post("pricing/estimate", dict(TRIP, serviceClasses=["van", "economy"]))
    equal(sorted(e["serviceClass"] for e in some.data["estimates"]), ["economy", "van"])
    shown = w.admin.post("pricing/estimate", TRIP).data["estimates"][0]
    equal(shown["commissionBp"], 1500)


@test("quotes of several classes share a moment and a set; each books on its own")
def _(w):
    c = w.customer()
    answer = c.post("pricing/quotes", dict(TRIP, serviceClasses=["economy", "comfort", "xl"], price=5))
    equal((answer.status, answer.json["meta"]["ignored"]), (201, ["price"]), answer)
    quotes = answer.data["quotes"]
    equal([q["serviceClass"] for q in quotes], ["economy", "comfort", "xl"])
    equal({(q["setId"], q["createdAt"]) for q in quotes}, {(quotes[0]["id"], quotes[0]["createdAt"])})
    for q in quotes:
        read = c.get(f"pricing/quotes/{q['id']}")
        equal((read.status, read.data), (200, q))
        equal(add_up(q), q["total"])
    trip = w.request_trip(c, quotes[2])
    equal((trip.status, trip.data["serviceClass"], trip.data["price"]), (201, "xl", quotes[2]["total"]), trip)
    equal(c.post(f"trips/{trip.data['id']}/cancel-search").status, 200)
    shown = w.admin.get(f"pricing/quotes/{quotes[0]['id']}").data
    equal((shown["commissionBp"], shown["perKm"]), (1500, 350))


@test("estimates and quotes with wrong values are refused by field and promise nothing")
def _(w):
    c = w.customer()
    count = w.psql("SELECT count(*) FROM hail.quotes")
    near = {"lat": PICKUP["lat"], "lng": PICKUP["lng"] + 0.0001}
    for path in ("pricing/estimate", "pricing/quotes", "pricing/quote"):
        single = path == "pricing/quote"
        body = lambda **change: dict(TRIP, **({"serviceClass": "economy"} if single else {}), **change)
        post = lambda b: c.post(path, b)
        for change, *fields in (({"pickup": {"lat": 91, "lng": "x"}}, "pickup.lat", "pickup.lng"), ({"dropoff": {}}, "dropoff.lat", "dropoff.lng"),
                                ({"dropoff": None}, "dropoff.lat", "dropoff.lng"), ({"dropoff": [1, 2]}, "dropoff", "dropoff.lat", "dropoff.lng"),
                                ({"stops": []}, "stops"), ({"customerId": c.id}, "customerId")):
            refused(post(dict(body(), **change)), 400, "invalid_value", *fields)
        for places in ({"dropoff": PICKUP}, {"dropoff": near}, {"dropoff": {"lat": -33, "lng": 151}}):
            refused(post(dict(body(), **places)), 400, "invalid_value", "dropoff.lat")
        refused(post(dict(body(), pickup={"lat": 10, "lng": 10}, dropoff={"lat": 10.1, "lng": 10})), 400, "outside_service_area", "pickup.lat")
        classes = ("yacht", "", "x" * 33, 5) if single else (["yacht"], [], ["economy", "economy"], [5], ["x" * 201], ["economy"] * 17, "economy")
        for wrong in classes:
            answer = post(dict(body(), **{"serviceClass" if single else "serviceClasses": wrong}))
            check(answer.status == 400 and answer.error["code"] in ("invalid_value", "unknown_class"), wrong, answer)
            equal(answer.fields, ["serviceClass" if single else "serviceClasses"], wrong)
    equal(w.psql("SELECT count(*) FROM hail.quotes"), count)


@test("a quote is its customer's alone: another's, a made-up and a broken id are told apart only by form")
def _(w):
    owner, other = w.customer(), w.customer()
    quote = w.quote(owner)
    ids = quote["id"], str(uuid.uuid4()), quote["id"][:-1] + ("0" if quote["id"][-1] != "0" else "1")
    with w.driver(online=False) as driver:
        for id in ids:
            answers = [refused(other.get(f"pricing/quotes/{id}"), 404, "not_found"), refused(w.request_trip(other, {"id": id}), 404, "not_found")]
            equal(len({a.error["message"] for a in answers}), 1)
            refused(driver.get(f"pricing/quotes/{id}"), 403, "forbidden")
    for id in (quote["id"][:-1], quote["id"] + "0", "1", "%27", quote["id"].replace("-", "")):
        refused(owner.get(f"pricing/quotes/{id}"), 400, "invalid_value", "id")
        refused(w.request_trip(owner, {"id": id}), 400, "invalid_value", "quoteId")
    refused(w.call("GET", f"pricing/quotes/{quote['id']}"), 401, "unauthenticated")
    equal(w.request_trip(owner, quote).status, 201)


@test("a booking may name its places and class: they must be the quote's")
def _(w):
    c = w.customer()
    quote = w.quote(c)
    book = lambda key, **more: c.post("trips/request", dict(more, quoteId=quote["id"], paymentMethod="cash"), Idempotency_Key=key)
    moved = lambda place, lat: {"lat": place["lat"] + lat, "lng": place["lng"]}
    for wrong, field in (({"pickup": moved(PICKUP, 0.001)}, "pickup.lat"), ({"dropoff": moved(DROPOFF, -0.001)}, "dropoff.lat"),
                         ({"serviceClass": "comfort"}, "serviceClass")):
        refused(book("m0", **wrong), 409, "quote_mismatch", field)
    for wrong, *fields in (({"pickup": {"lat": 100, "lng": 0}}, "pickup.lat"), ({"pickup": {"lat": 1, "x": 1}}, "pickup.x"),
                           ({"serviceClass": 1, "dropoff": 2}, "serviceClass", "dropoff")):
        refused(book("m1", **wrong), 400, "invalid_value", *fields)
    check(book("m2", pickup={"lat": PICKUP["lat"]}).status == 400)
    equal(w.psql(f"SELECT count(*) FROM hail.trips WHERE customer_id = '{c.id}'"), "0")
    trip = book("m3", pickup=moved(PICKUP, 0.0005), dropoff=DROPOFF, serviceClass="economy")
    equal((trip.status, trip.data["pickupLat"]), (201, PICKUP["lat"]), trip)
    equal(c.post(f"trips/{trip.data['id']}/cancel-search").status, 200)


@test("an expired quote is refused, and stays so")
def _(w):
    c = w.customer()
    quote = w.quote(c)
    w.psql("SELECT hail.set_clock((SELECT expires_at FROM hail.quotes WHERE id = '%s'))" % quote["id"])
    for _ in range(2):
        refused(w.request_trip(c, quote), 409, "quote_expired")
    equal(c.get(f"pricing/quotes/{quote['id']}").data["total"], quote["total"])


@test("of many requests at once with one quote, one makes a trip")
def _(w):
    c = w.customer()
    quote = w.quote(c)
    with concurrent.futures.ThreadPoolExecutor(8) as pool:
        answers = list(pool.map(lambda n: w.request_trip(c, quote, key=f"race-{n}"), range(5)))
    equal(sorted(a.status for a in answers), [201] + [409] * 4, *answers)
    equal({a.error["code"] for a in answers if a.status == 409} - {"quote_used", "active_trip_exists"}, set())
    equal(w.psql(f"SELECT count(*) FROM hail.trips WHERE customer_id = '{c.id}'"), "1")


@test("surge at a point: a multiplier and no more")
def _(w):
    c, path = w.customer(), f"pricing/surge?lat={PICKUP['lat']}&lng={PICKUP['lng']}"
    equal(c.get(path).data, {"multiplier": 1.0})
    with surge(w, 1.5):
        equal(c.get(path).data, {"multiplier": 1.5})
        equal(c.get("pricing/surge?lat=0&lng=0").data, {"multiplier": 1.0})
    refused(c.get("pricing/surge?lat=91&lng=x"), 400, "invalid_value", "lat", "lng")
    refused(c.get("pricing/surge?lat=30"), 400, "invalid_value", "lng")


@test("the surge map has a tag: 304 until a multiplier changes")
def _(w):
    c, path = w.customer(), f"pricing/surge-map?lat={PICKUP['lat']}&lng={PICKUP['lng']}"
    with surge(w, 1.3):
        tag = c.get(path).headers["ETag"]
        equal([c.get(path, If_None_Match=tag, Accept=kind).status for kind in ("*/*", "application/geo+json")], [304, 304])
    with surge(w, 1.5):
        equal(c.get(path, If_None_Match=tag).status, 200)
    for query, field in (("lat=30&lng=31&radius=99", "radius"), ("lat=30&lng=31&radius=50001", "radius"), ("lat=30&lng=181", "lng"),
                         ("lat=NaN&lng=31", "lat"), ("lat=30&lng=31&cells=1", "cells")):
        refused(c.get("pricing/surge-map?" + query), 400, "invalid_value", field)


@test("an ETA has an interval and says what it rests on; how many trips that is only operators learn")
def _(w):
    path = f"pricing/eta?fromLat={PICKUP['lat']}&fromLng={PICKUP['lng']}&toLat={DROPOFF['lat']}&toLng={DROPOFF['lng']}"
    for person in (w.customer(), w.person("driver"), w.person("partner"), w.person("analyst"), w.admin):
        answer = person.get(path)
        equal(answer.status, 200, answer)
        eta = answer.data
        check(eta["lowS"] <= eta["durationS"] <= eta["highS"] and 9000 < eta["distanceM"] < 20000, eta)
        equal((eta["source"] in ("road", "learnt", "hour", "region", "default"), "support" in eta),
              (True, person.role in ("analyst", "admin")), eta)
    c = w.customer()
    equal(c.get(path + "&at=2030-01-05T22:00:00Z&kind=pickup").status, 200)
    for query, *fields in (("fromLat=1", "fromLng", "toLat", "toLng"), (path[12:] + "&at=soon", "at"), (path[12:] + "&kind=walk", "kind"),
                           (path[12:].replace("toLat=30", "toLat=300"), "toLat"), (path[12:] + "&region=cairo", "region")):
        refused(c.get("pricing/eta?" + query), 400, "invalid_value", *fields)
    refused(c.get("pricing/eta?fromLat=0&fromLng=0&toLat=0&toLng=1"), 400, "outside_service_area")


def state(w, customer, trip):
    return w.psql(f"""SELECT price, dropoff_lat, dropoff_lng, distance_m, event_version FROM hail.trips WHERE id = '{trip}'"""), w.wallet(customer)


@test("a trip ends somewhere else at the price that was told; the wallet's hold goes with it")
def _(w):
    c = w.customer(funds=60000)
    further = {"lat": 30.12, "lng": 31.33}
    with w.driver() as d:
        trip = w.matched_trip(c, d, method="wallet")
        path = f"trips/{trip['id']}/destination"
        before = state(w, c, trip["id"])
        told = c.post(path + "/quote", dict(further, price=1))
        equal((told.status, told.json["meta"]["ignored"]), (200, ["price"]), told)
        check(told.data["price"] > trip["price"], told)
        equal((told.data["dropoffLat"], told.data["dropoffLng"]), tuple(further.values()))
        equal(state(w, c, trip["id"]), before, "a price told changes nothing")
        less = refused(c.post(path, dict(further, expectedPrice=trip["price"])), 409, "quote_changed")
        equal(less.error["details"]["quote"], told.data)
        equal(state(w, c, trip["id"]), before, "nor does a price not agreed on")
        for _ in range(2):
            changed = c.post(path, dict(further, expectedPrice=told.data["price"]))
            equal((changed.status, changed.data["price"], changed.data["dropoffLat"]), (200, told.data["price"], further["lat"]), changed)
        equal(w.wallet(c)["CUSTOMER_WALLET"]["held"], told.data["price"])
        # Prices surge with the tests before this one: what is left on the wallet goes, whatever they are.
        w.psql(f"""SELECT hail.post_transaction('WITHDRAWAL', ARRAY[ROW(w.id, 'debit', w.posted - w.held),
            ROW(g.id, 'credit', w.posted - w.held)]::hail.entry_input[], 'empty {c.id}')
            FROM hail.accounts g, hail.accounts w WHERE g.kind = 'GATEWAY_CLEARING' AND w.owner_id = '{c.id}'""")
        far = c.post(path + "/quote", {"lat": 30.21, "lng": 31.3}).data
        equal(refused(c.post(path, {"lat": 30.21, "lng": 31.3, "expectedPrice": far["price"]}), 409, "insufficient_balance").status, 409)
        equal(w.wallet(c)["CUSTOMER_WALLET"]["held"], told.data["price"])
        refused(c.post(path + "/quote", {"lat": 30.9, "lng": 31.3}), 400, "invalid_value", "lat")
        equal(c.post(f"trips/{trip['id']}/status", {"status": "cancelled"}).status, 200)
        refused(c.post(path + "/quote", further), 409, "wrong_state")


@test("another's destination is 404; wrong places and prices are named and change nothing")
def _(w):
    c = w.customer()
    with w.driver() as d:
        trip = w.matched_trip(c, d)
        before = state(w, c, trip["id"])
        path = f"trips/{trip['id']}/destination"
        for who, status, code in ((w.customer(), 404, "not_found"), (d, 403, "forbidden"), (w.person("analyst"), 403, "forbidden")):
            refused(who.post(path + "/quote", DROPOFF), status, code)
            refused(who.post(path, dict(DROPOFF, expectedPrice=10**6)), status, code)
            refused(who.post(f"trips/{trip['id']}/waive-waiting", {"reason": "x"}), 403, "forbidden")
        for body, *fields in (({}, "lat", "lng"), ({"lat": 91, "lng": "x"}, "lat", "lng"), (dict(DROPOFF, x=1), "x")):
            refused(c.post(path + "/quote", body), 400, "invalid_value", *fields)
        for price in (None, -1, 1.5, "9", 10**16):
            refused(c.post(path, dict(DROPOFF, expectedPrice=price)), 400, "invalid_value", "expectedPrice")
        refused(c.post(path, dict(PICKUP, expectedPrice=10**6)), 400, "invalid_value")
        refused(w.admin.post(f"trips/{trip['id']}/waive-waiting", {}), 400, "invalid_value", "reason")
        refused(w.admin.post(f"trips/{trip['id']}/waive-waiting", {"reason": "early"}), 409, "wrong_state")
        refused(w.admin.post(f"trips/{uuid.uuid4()}/waive-waiting", {"reason": "none"}), 404, "not_found")
        equal(state(w, c, trip["id"]), before)
        equal(c.post(f"trips/{trip['id']}/status", {"status": "cancelled"}).status, 200)


@test("waiting is charged as the quote says, and waived by an administrator with a reason")
def _(w):
    c = w.customer()
    w.psql("SELECT hail.set_fare('cairo', 'comfort', 1500, 500, 75, 2500, 1800, waiting_free_s => 60, waiting_per_minute => 100, waiting_max => 500)")
    with w.driver("comfort") as d:
        quote = w.quote(c, "comfort")
        equal((quote["waitingFreeS"], quote["waitingPerMinute"], quote["waitingMax"]), (60, 100, 500))
        trip = w.request_trip(c, quote).data["id"]
        equal(d.post(f"trips/{trip}/driver-response", {"response": "accept"}).status, 200)
        equal(d.post(f"trips/{trip}/status", {"status": "arrived"}).status, 200)
        w.psql("SELECT hail.advance_clock('170 seconds')")
        code = c.get(f"trips/{trip}").data["pickupCode"]
        started = d.post(f"trips/{trip}/status", {"status": "started", "pickupCode": code})
        equal((started.status, started.data["waitingAmount"], started.data["price"]), (200, 200, quote["total"] + 200), started)
        equal(c.get(f"trips/{trip}").data["waitingAmount"], 200)
        waived = w.admin.post(f"trips/{trip}/waive-waiting", {"reason": "the driver was at the wrong gate"})
        equal((waived.status, waived.data["waitingAmount"], waived.data["price"]), (200, 0, quote["total"]), waived)
        equal(d.post(f"trips/{trip}/status", {"status": "completed"}).data["price"], quote["total"])
