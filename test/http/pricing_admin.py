"""Those who make prices: price lists, time rules, event areas, surge, experiments; and who may not."""
import uuid

from harness import DROPOFF, PICKUP, check, equal, test
from pricing import TRIP, refused

HALVES = [{"name": "control", "isControl": True, "shareBp": 5000, "priceMultiplier": 1},
          {"name": "dear", "isControl": False, "shareBp": 5000, "priceMultiplier": 1.1}]


def delete(person, path):
    return person.call("DELETE", path)


@test("an experiment is drafted, started, read and stopped; its name is its key")
def _(w):
    made = w.admin.post("pricing/experiments", {"name": "ten-more", "variants": HALVES, "region": "cairo", "serviceClass": "van"})
    equal((made.status, made.data["state"], made.data["variants"]), (201, "draft", 2), made)
    refused(w.admin.post("pricing/experiments", {"name": "ten-more", "variants": HALVES}), 409, "already_exists", "name")
    refused(w.admin.get("pricing/experiments/ten-more/outcomes"), 409, "wrong_state")
    equal(w.admin.post("pricing/experiments/ten-more/start").data["state"], "running")
    refused(w.admin.post("pricing/experiments/ten-more/start"), 409, "wrong_state")
    analyst = w.person("analyst")
    rows = analyst.get("pricing/experiments?state=running").data["variants"]
    equal([(r["variant"], r["isControl"], r["shareBp"], r["priceMultiplier"]) for r in rows],
          [("control", True, 5000, 1.0), ("dear", False, 5000, 1.1)])
    w.psql("SELECT hail.advance_clock('1 second')")
    equal(w.customer().post("pricing/quote", dict(TRIP, serviceClass="van")).status, 201)
    split = analyst.get("pricing/experiments/ten-more/split")
    equal((split.status, [v["variant"] for v in split.data["variants"]]), (200, ["control", "dear"]), split)
    outcomes = analyst.get("pricing/experiments/ten-more/outcomes")
    equal(outcomes.status, 200, outcomes)
    refused(delete(w.admin, "pricing/experiments/ten-more"), 409, "wrong_state")
    equal(w.admin.post("pricing/experiments/ten-more/stop").data["state"], "stopped")
    equal(w.admin.post("pricing/experiments", {"name": "draft", "variants": HALVES}).status, 201)
    equal(delete(w.admin, "pricing/experiments/draft").data, {"name": "draft"})
    refused(delete(w.admin, "pricing/experiments/draft"), 404, "not_found")


@test("experiments with wrong names, shares or variants are refused by field and make nothing")
def _(w):
    def post(name="bad", variants=HALVES, **more):
        return w.admin.post("pricing/experiments", {"name": name, "variants": variants, **more})

    count = w.psql("SELECT count(*) FROM hail.experiments")
    with_ = lambda **change: [HALVES[0], dict(HALVES[1], **change)]
    for answer, *fields in ((post(name="Ten More"), "name"), (post(name=""), "name"), (post(name="x" * 64), "name"),
                            (post(variants=HALVES[:1]), "variants"), (post(variants={}), "variants"),
                            (post(variants=with_(name="a,b\"}")), "name"), (post(variants=with_(name="control")), "name"),
                            (post(variants=with_(shareBp=0)), "variants[1].shareBp"), (post(variants=with_(shareBp=5001)), "shareBp"),
                            (post(variants=with_(shareBp="1")), "variants[1].shareBp"), (post(variants=with_(isControl=True)), "priceMultiplier"),
                            (post(variants=with_(isControl=True, priceMultiplier=1)), "isControl"),
                            (post(variants=with_(priceMultiplier=2.1)), "variants[1].priceMultiplier"),
                            (post(variants=with_(priceMultiplier=1.001)), "priceMultiplier"), (post(variants=with_(x=1)), "variants[1].x"),
                            (post(variants=[HALVES[0], {}]), "variants[1].name", "variants[1].isControl", "variants[1].shareBp",
                             "variants[1].priceMultiplier"), (post(salt="1"), "salt"), (post(price=1), "price")):
        refused(answer, 400, "invalid_value", *fields)
    refused(post(region="nowhere"), 404, "not_found", "region")
    refused(post(serviceClass="yacht"), 400, "unknown_class", "serviceClass")
    refused(w.admin.get("pricing/experiments?state=flying"), 400, "invalid_value", "state")
    refused(w.admin.post("pricing/experiments/none/start"), 404, "not_found")
    refused(w.admin.get("pricing/experiments/none/outcomes?fromTime=yesterday"), 400, "invalid_value", "fromTime")
    equal(w.psql("SELECT count(*) FROM hail.experiments"), count)

FARE = {"region": "cairo", "serviceClass": "premium", "base": 2500, "perKm": 800, "perMinute": 100, "minimum": 4000, "commissionBp": 2000}


def later(w, after):
    return w.psql(f"SELECT to_char((hail.clock() + interval '{after}') AT TIME ZONE 'UTC', 'YYYY-MM-DD\"T\"HH24:MI:SS\"Z\"')")


def in_force(w, service_class="premium"):
    fares = w.admin.get("pricing/fares/in-force?region=cairo").data["fares"]
    return next((f for f in fares if f["serviceClass"] == service_class), None)


@test("a price list is planned, read, withdrawn; a new version counts at once, for quotes too")
def _(w):
    before = in_force(w)
    planned = w.admin.post("pricing/fares", dict(FARE, base=9900, effectiveFrom=later(w, "1 day"), waitingPerMinute=50, waitingMax=1000))
    equal((planned.status, planned.data["status"], planned.data["base"], planned.data["rounding"]), (201, "planned", 9900, 50), planned)
    equal(in_force(w)["id"], before["id"])
    equal(w.admin.get(f"pricing/fares/in-force?at={later(w, '2 days')}&region=cairo").status, 200)
    path = f"pricing/fares/{planned.data['id']}"
    equal(w.person("analyst").get(path).data, planned.data)
    equal([delete(w.admin, path).data["status"] for _ in range(2)], ["withdrawn"] * 2)
    equal(in_force(w), before)
    w.psql("SELECT hail.advance_clock('1 second')")
    changed = w.admin.post("pricing/fares", dict(FARE, minimum=50000))
    equal((changed.status, changed.data["status"]), (201, "in_force"), changed)
    equal(w.quote(w.customer(), "premium")["total"], 50000)
    refused(delete(w.admin, f"pricing/fares/{changed.data['id']}"), 409, "wrong_state")
    statuses = {f["status"] for f in w.admin.get("pricing/fares?serviceClass=premium&region=cairo").data["fares"]}
    equal(statuses, {"past", "in_force", "withdrawn"})
    w.psql("SELECT hail.advance_clock('1 second')")
    ended = w.admin.post("pricing/fares/end", {"region": "cairo", "serviceClass": "premium"})
    equal((ended.status, ended.data["status"]), (200, "past"), ended)
    refused(w.customer().post("pricing/quote", dict(TRIP, serviceClass="premium")), 400, "unknown_class", "serviceClass")
    refused(w.admin.post("pricing/fares/end", {"region": "cairo", "serviceClass": "premium"}), 404, "not_found", "at")
    equal(w.admin.post("pricing/fares", FARE).status, 201)
    equal(w.quote(w.customer(), "premium")["currency"], "EGP")


@test("the same price list sent twice changes no price; one cannot begin in the past")
def _(w):
    at = later(w, "3 days")
    first, again = (w.admin.post("pricing/fares", dict(FARE, effectiveFrom=at)) for _ in range(2))
    equal((first.status, again.status), (201, 201), again)
    planned = w.admin.get("pricing/fares?status=planned&region=cairo").data["fares"]
    equal([f["id"] for f in planned], [again.data["id"]])
    refused(w.admin.post("pricing/fares", dict(FARE, effectiveFrom="2020-01-01T00:00:00Z")), 400, "invalid_value", "effectiveFrom")
    equal(delete(w.admin, f"pricing/fares/{again.data['id']}").status, 200)


@test("price lists with wrong values are refused by field, all at once, and make nothing")
def _(w):
    count = w.psql("SELECT count(*) FROM hail.fares")
    bad = dict(FARE, base=-1, perKm=1.5, perMinute="1", minimum=None, commissionBp=10001, bookingFee=2 * 10**9, rounding=0,
               effectiveFrom="today", stopFee=[], waitingFreeS=-1, waitingMax=True)
    refused(w.admin.post("pricing/fares", bad), 400, "invalid_value", *set(bad) - {"region", "serviceClass"})
    refused(w.admin.post("pricing/fares", {}), 400, "invalid_value", *FARE)
    for change, field in (({"waitingPerMinute": 5}, "waitingMax"), ({"waitingMax": 20, "waitingPerMinute": 5}, "waitingMax"),
                          ({"price": 1}, "price")):
        refused(w.admin.post("pricing/fares", dict(FARE, **change)), 400, "invalid_value", field)
    refused(w.admin.post("pricing/fares", dict(FARE, region="nowhere")), 404, "not_found", "region")
    refused(w.admin.post("pricing/fares", dict(FARE, serviceClass="yacht")), 400, "unknown_class", "serviceClass")
    for path, field in (("?status=old", "status"), ("?class=x", "class"), ("/in-force?at=now", "at"), ("/1", "id"), ("?region=x", "region")):
        refused(w.admin.get("pricing/fares" + path), 400, "invalid_value", field)
    refused(w.admin.get("pricing/fares?region=nowhere"), 404, "not_found", "region")
    for answer in (w.admin.get(f"pricing/fares/{uuid.uuid4()}"), delete(w.admin, f"pricing/fares/{uuid.uuid4()}")):
        refused(answer, 404, "not_found")
    equal(w.psql("SELECT count(*) FROM hail.fares"), count)


@test("lists of prices have a tag: 304 until something changes")
def _(w):
    for path in ("pricing/fares?region=cairo", "pricing/fares/in-force", "pricing/currencies", "pricing/time-rules", "pricing/event-areas"):
        first = w.admin.get(path)
        equal((first.status, first.headers["Cache-Control"]), (200, "private, no-cache"), path)
        equal(w.admin.get(path, If_None_Match=first.headers["ETag"]).status, 304, path)
    tag = w.admin.get("pricing/time-rules").headers["ETag"]
    rule = w.admin.post("pricing/time-rules", {"region": "cairo", "name": "tag", "fromTime": "03:00", "toTime": "04:00", "multiplier": 1})
    equal(w.admin.get("pricing/time-rules", If_None_Match=tag).status, 200)
    equal(delete(w.admin, f"pricing/time-rules/{rule.data['id']}").status, 200)
    currency = {c["code"]: c for c in w.customer().get("pricing/currencies").data["currencies"]}["JPY"]
    equal((currency["minorDigits"], currency["defaultRounding"]), (0, 10))


@test("a time rule multiplies prices until it is removed")
def _(w):
    c = w.customer()
    before = w.quote(c, "van")
    made = w.admin.post("pricing/time-rules", {"region": "cairo", "name": "all day", "fromTime": "00:00", "toTime": "24:00",
                                               "multiplier": 4.25, "weekdays": [7, 1, 2, 3, 4, 5, 6]})
    equal((made.status, made.data["weekdays"], made.data["multiplier"]), (201, [1, 2, 3, 4, 5, 6, 7], 4.25), made)
    rules = w.admin.get("pricing/time-rules?region=cairo").data["rules"]
    equal([(r["name"], r["applies"], r["timezone"]) for r in rules if r["id"] == made.data["id"]], [("all day", True, "Africa/Cairo")])
    quote = w.quote(c, "van")
    equal(quote["timeMultiplier"], 4.25)
    check(quote["total"] > before["total"], quote)
    path = f"pricing/time-rules/{made.data['id']}"
    equal([delete(w.admin, path).status for _ in range(2)], [200, 404])
    equal(w.quote(c, "van")["timeMultiplier"], before["timeMultiplier"])


@test("time rules with wrong values are refused by field")
def _(w):
    good = {"region": "cairo", "name": "x", "fromTime": "07:00", "toTime": "09:00:30", "multiplier": 1.2}
    count = w.psql("SELECT count(*) FROM hail.fare_time_rules")
    for change in ({"name": ""}, {"name": 5}, {"fromTime": "24:00"}, {"fromTime": "7:00"}, {"fromTime": "25:00"}, {"fromTime": "now()"},
                   {"toTime": "07:00"}, {"toTime": "09:60"}, {"toTime": "allballs"}, {"toTime": 9}, {"multiplier": 0.4}, {"multiplier": 5.1},
                   {"multiplier": 1.234}, {"weekdays": []}, {"weekdays": [0]}, {"weekdays": ["1"]}, {"weekdays": [1] * 8},
                   {"weekdays": {}}, {"region": "x"}, {"surge": 2}):
        refused(w.admin.post("pricing/time-rules", dict(good, **change)), 400, "invalid_value", *change)
    refused(w.admin.post("pricing/time-rules", {}), 400, "invalid_value", *good)
    refused(w.admin.post("pricing/time-rules", dict(good, region="nowhere")), 404, "not_found", "region")
    equal(w.psql("SELECT count(*) FROM hail.fare_time_rules"), count)


@test("an event multiplies prices inside its circle or boundary, and is GeoJSON")
def _(w):
    c = w.customer()
    where = {"region": "cairo", "name": "match", "multiplier": 2, "toTime": later(w, "2 hours")}
    made = w.admin.post("pricing/event-areas", dict(where, **PICKUP, radiusM=500), Accept="application/geo+json")
    equal((made.status, made.headers["Content-Type"]), (201, "application/geo+json"), made)
    event = made.json
    equal((event["type"], event["geometry"]["type"], event["properties"]["status"]), ("Feature", "Polygon", "active"))
    check(all(abs(lng - PICKUP["lng"]) < 0.01 and abs(lat - PICKUP["lat"]) < 0.01 for lng, lat in event["geometry"]["coordinates"][0]))
    equal(w.quote(c)["eventMultiplier"], 2.0)
    listed = w.person("analyst").get("pricing/event-areas?region=cairo&status=active", Accept="application/geo+json")
    equal([f["id"] for f in listed.json["features"]], [event["id"]])
    w.psql("SELECT hail.advance_clock('1 second')")
    ended = w.admin.post(f"pricing/event-areas/{event['id']}/end")
    equal((ended.status, ended.data["properties"]["status"]), (200, "past"), ended)
    equal(w.quote(c)["eventMultiplier"], 1.0)
    square = {"type": "Polygon", "coordinates": [[[31.2, 30.0], [31.3, 30.0], [31.3, 30.1], [31.2, 30.1], [31.2, 30.0]]]}
    planned = w.admin.post("pricing/event-areas", dict(where, boundary=square, fromTime=later(w, "1 hour")))
    equal((planned.status, planned.data["properties"]["status"], planned.data["geometry"]), (201, "planned", square), planned)
    equal(w.admin.post(f"pricing/event-areas/{planned.data['id']}/end").data["properties"]["status"], "withdrawn")
    equal(w.admin.get("pricing/event-areas?status=active").data["features"], [])


@test("event areas with wrong values are refused by field")
def _(w):
    good = dict(PICKUP, region="cairo", name="x", multiplier=1.5, toTime=later(w, "1 hour"), radiusM=500)
    bare = {k: v for k, v in good.items() if k not in ("lat", "lng", "radiusM")}
    square = lambda lng, lat: {"type": "Polygon", "coordinates": [[[lng, lat], [lng + 1, lat], [lng + 1, lat + 1], [lng, lat]]]}
    count = w.psql("SELECT count(*) FROM hail.event_areas")
    for body, field in ((dict(good, multiplier=9), "multiplier"), (dict(good, radiusM=5), "radiusM"), (dict(good, lat=86), "lat"),
                        (dict(good, toTime=later(w, "-1 hour")), "toTime"), (dict(good, toTime=later(w, "400 days")), "toTime"),
                        (dict(good, fromTime="soon"), "fromTime"), (bare, "boundary"), (dict(bare, lat=30), "lng"),
                        (dict(good, boundary=square(31, 30)), "boundary"), (dict(bare, boundary=square(5, 50)), "boundary"),
                        (dict(bare, boundary={"type": "Point", "coordinates": [31, 30]}), "boundary"), (dict(bare, boundary=7), "boundary"),
                        (dict(bare, boundary={"type": "Polygon", "coordinates": [[[31, 30], [31.1, 30.1], [31.1, 30], [31, 30.1], [31, 30]]]}),
                         "boundary")):
        refused(w.admin.post("pricing/event-areas", body), 400, "invalid_value", field)
    refused(w.admin.post(f"pricing/event-areas/{uuid.uuid4()}/end"), 404, "not_found")
    equal(w.psql("SELECT count(*) FROM hail.event_areas"), count)


@test("each pricing endpoint answers its roles, and 403 to others, 401 to nobody")
def _(w):
    people = {role: w.person(role) for role in ("customer", "driver", "partner", "analyst")}
    people["admin"] = w.admin
    document = w.call("GET", "/openapi.json").json
    seen = 0
    for path, methods in document["paths"].items():
        if "/pricing/" not in path:
            continue
        for method, operation in methods.items():
            seen += 1
            url = path.replace("{id}", str(uuid.uuid4())).replace("{name}", "none").replace("{region}", "nowhere")
            query = "&".join(f"{p['name']}={SAMPLE[p['name']]}" for p in operation["parameters"] if p["in"] == "query" and p["required"])
            body = sample(operation["requestBody"]["content"]["application/json"]["schema"]) if "requestBody" in operation else None
            equal(w.call(method.upper(), f"{url}?{query}", body).status, 401, method, path)
            for role, person in people.items():
                answer = person.call(method.upper(), f"{url}?{query}", body)
                allowed = role in operation["x-roles"].split()
                # administrators may do what users do, but have no quotes of their own
                check((answer.status != 403) == allowed or role == "admin", role, method, path, answer)
                check(answer.status < 500, role, method, path, answer)
    check(seen >= 20, seen)


SAMPLE = {"region": "cairo", "lat": 30.05, "lng": 31.24, "fromLat": 30.05, "fromLng": 31.24, "toLat": 30.1, "toLng": 31.3,
          "fromTime": "2030-01-01T00:00:00Z", "toTime": "2030-01-02T00:00:00Z"}


def sample(schema):
    """A body with what the schema asks for, of the right types: valid as far as haild can tell."""
    if "const" in schema:
        return schema["const"]
    if "enum" in schema:
        return schema["enum"][0]
    kind = schema.get("type")
    if kind == "object":
        return {name: sample(schema["properties"][name]) for name in schema.get("required", [])}
    if kind == "array":
        return [sample(schema["items"]) for _ in range(schema.get("minItems", 1))]
    if kind in ("number", "integer"):
        return max(schema.get("minimum", 1), min(schema.get("maximum", 1), 1))
    if kind == "boolean":
        return True
    return {"uuid": str(uuid.uuid4()), "date-time": "2030-01-01T00:00:00Z", "date": "2030-01-01"}.get(schema.get("format"), "x" * schema.get("minLength", 5))


def follow(person, path):
    """All pages of changes from a path on, along their Link headers."""
    rows = []
    while path:
        answer = person.get(path)
        equal(answer.status, 200, answer)
        rows += answer.data["changes"]
        link = answer.headers["Link"]
        equal(link is not None, answer.data["hasMore"], answer)
        path = link and link[link.index("<") + 1:link.index(">")]
    return rows


@test("the surge of a region is capped, frozen and switched by an administrator, each time on record")
def _(w):
    analyst, path = w.person("analyst"), "pricing/surge/cairo"
    before = analyst.get(path)
    equal((before.status, before.data["mode"], before.data["cap"], before.data["changedBy"]), (200, "on", 3.0, None), before)
    raised = w.admin.call("PUT", path, {"cap": 4.5, "reason": "new year's eve"})
    equal((raised.status, raised.data["cap"], raised.data["reason"]), (200, 4.5, "new year's eve"), raised)
    equal(analyst.get(path).data, raised.data)
    equal(w.admin.call("PUT", path, {"mode": "frozen", "quoteWeight": 0}).data["mode"], "frozen")
    equal(w.admin.call("PUT", path, {"mode": "on", "cap": 3, "quoteWeight": 0.2}).data["cap"], 3.0)
    log = follow(analyst, "pricing/surge/changes?region=cairo&limit=2")
    equal([(r["mode"], r["cap"], r["quoteWeight"]) for r in log], [("on", 3.0, 0.2), ("frozen", 4.5, 0.0), ("on", 4.5, 0.2)])
    equal({r["changedBy"] for r in log}, {w.admin.id})
    equal(follow(analyst, "pricing/surge/changes?limit=3"), log)


@test("surge settings out of bounds are refused by field and change nothing")
def _(w):
    path = "pricing/surge/cairo"
    before = w.admin.get(path).data
    for body, *fields in (({}, "mode"), ({"mode": "up"}, "mode"), ({"cap": 0.9}, "cap"), ({"cap": 10.1}, "cap"), ({"cap": 2.001}, "cap"),
                          ({"cap": 5}, "reason"), ({"quoteWeight": 2, "neighbourWeight": -1}, "quoteWeight", "neighbourWeight"),
                          ({"cap": "3", "reason": ""}, "cap", "reason"), ({"multiplier": 2}, "multiplier")):
        refused(w.admin.call("PUT", path, body), 400, "invalid_value", *fields)
    refused(w.admin.call("PUT", "pricing/surge/nowhere", {"mode": "off"}), 404, "not_found", "region")
    refused(w.admin.get("pricing/surge/nowhere"), 404, "not_found", "region")
    equal(w.admin.get(path).data, before)
    for person in (w.customer(), w.person("driver"), w.person("analyst")):
        refused(person.call("PUT", path, {"mode": "off"}), 403, "forbidden")
    equal(w.admin.get(path).data, before)


@test("operators see why a surge is what it is and what it was, page by page")
def _(w):
    analyst, place = w.person("analyst"), f"lat={PICKUP['lat']}&lng={PICKUP['lng']}"
    why = analyst.get(f"pricing/surge/explain?{place}")
    equal((why.status, why.data["region"], why.data["multiplier"], why.data["mode"]), (200, "cairo", 1.0, "on"), why)
    check({"requests", "supply", "smoothedRatio", "target", "heldUntil", "explanation"} <= set(why.data), why)
    refused(analyst.get("pricing/surge/explain?lat=0&lng=0"), 400, "outside_service_area")
    for minute in range(5):
        w.psql(f"""INSERT INTO hail.surge_history (region_id, cell, at, hexagon_size_m, old_multiplier, new_multiplier, requests, lookers,
                supply, ratio, cause)
            SELECT r.id, (hail.hexagon_at({PICKUP['lat']} + d.moved, {PICKUP['lng']}, r.hexagon_size_m)).cell,
                '2030-01-01'::timestamptz + {minute} * interval '1 minute', r.hexagon_size_m, 1, 1.1, {minute}, 0, 1, 1.2, 'tick'
            FROM hail.regions r, (VALUES (0), (0.1), (0.2)) d (moved) WHERE r.code = 'cairo'""")
    span = "pricing/surge/history?region=cairo&fromTime=2030-01-01T00:00:00Z&toTime=2030-01-02T00:00:00Z"
    rows = follow(analyst, span + "&limit=2")
    equal([r["requests"] for r in rows], [4] * 3 + [3] * 3 + [2] * 3 + [1] * 3 + [0] * 3)
    equal(len({(r["cell"], r["at"]) for r in rows}), 15)
    equal(rows, follow(analyst, span + "&limit=100"))
    here = follow(analyst, f"{span}&{place}&limit=3")
    equal(([r["requests"] for r in here], len({r["cell"] for r in here})), ([4, 3, 2, 1, 0], 1))
    check(abs(here[0]["centre"]["lat"] - PICKUP["lat"]) < 0.02, here[0])
    cursor = analyst.get(span + "&limit=2").data["nextCursor"]
    for path, field in ((f"{span}&{place}&cursor={cursor}", "cursor"), (span + "&cursor=x", "cursor"), (span + "&limit=0", "limit"),
                        (span + "&lat=30", "lng"), (span + "&lng=31&lat=x", "lat"), (span.replace("2030-01-02", "2030-02-02"), "toTime"),
                        (span.replace("2030-01-02", "2029-02-02"), "toTime"), ("pricing/surge/history?region=cairo", None)):
        answer = refused(analyst.get(path), 400, "invalid_value")
        equal(answer.fields, [field] if field else ["fromTime", "toTime"], path)
    refused(analyst.get(span.replace("cairo", "nowhere")), 404, "not_found", "region")
    refused(analyst.get("pricing/surge/changes?cursor=" + "A" * 43), 400, "invalid_value", "cursor")


@test("analysts read what prices did: hexagons as GeoJSON, the rest as lists")
def _(w):
    analyst = w.person("analyst")
    now = later(w, "1 minute")
    span = f"region=cairo&fromTime={later(w, '-1 day')}&toTime={now}"
    for name in ("price-per-km", "surge"):
        answer = analyst.get(f"pricing/figures/{name}?{span}", Accept="application/geo+json")
        equal((answer.status, answer.json["type"]), (200, "FeatureCollection"), answer)
        check(all(f["properties"]["region"] == "cairo" for f in answer.json["features"]), answer)
    for name in ("acceptance-by-surge", "acceptance-by-price", "earnings", "eta-accuracy", "revenue"):
        answer = analyst.get(f"pricing/figures/{name}?{span}")
        equal((answer.status, type(answer.data["figures"])), (200, list), answer)
        refused(analyst.get(f"pricing/figures/{name}?region=cairo&fromTime=x"), 400, "invalid_value", "fromTime", "toTime")
        refused(analyst.get(f"pricing/figures/{name}?region=cairo&fromTime={now}&toTime={now}"), 400, "invalid_value")
        refused(analyst.get(f"pricing/figures/{name}?{span.replace('cairo', 'nowhere')}"), 404, "not_found")
        refused(w.customer().get(f"pricing/figures/{name}?{span}"), 403, "forbidden")
    quotes = analyst.get(f"pricing/figures/acceptance-by-surge?{span}").data["figures"]
    check(sum(q["quoteSets"] for q in quotes) > 0, quotes)
    refused(analyst.get(f"pricing/figures/acceptance-by-price?{span}&bands=0"), 400, "invalid_value", "bands")
