"""Whatever a client can get wrong: each has its status, its code word, and names the field."""
import base64
import json
import uuid

from harness import DROPOFF, PICKUP, check, equal, test


def refused(answer, status, code, *fields):
    equal(answer.status, status, answer)
    equal(answer.error["code"], code, answer)
    if fields:
        equal(sorted(answer.fields), sorted(fields), answer)
    return answer


@test("coordinates out of range, missing or no numbers are named")
def _(w):
    with w.driver(online=False) as d:
        report = lambda **body: d.post("location/update", body)
        refused(report(lat=91, lng=31), 400, "invalid_value", "lat")
        refused(report(lat=30, lng=-180.5), 400, "invalid_value", "lng")
        refused(report(), 400, "invalid_value", "lat", "lng")
        refused(report(lat="30", lng=None), 400, "invalid_value", "lat", "lng")
        refused(report(lat=True, lng=[1]), 400, "invalid_value", "lat", "lng")
        refused(report(lat=30, lng=31, heading=361, speed=-1), 400, "invalid_value", "heading", "speed")
        refused(report(lat=30, lng=31, timestamp="yesterday"), 400, "invalid_value", "timestamp")
        refused(report(lat=30, lng=31, timestamp="2030-13-45T99:00:00Z"), 400, "invalid_value")


@test("NaN and infinity are no numbers, in body and query")
def _(w):
    for text in ("NaN", "Infinity", "-Infinity", "1e999"):
        answer = w.admin.call("POST", "location/update", raw='{"lat":%s,"lng":31}' % text, Content_Type="application/json")
        refused(answer, 400, "invalid_json")
        refused(w.admin.get(f"location/nearby?lat={text}&lng=31"), 400, "invalid_value", "lat")
    for text in ("0x10", "+30", " 30", "030", "30.", ".5", "1_0", ""):
        refused(w.admin.get(f"location/nearby?lat={text.replace('+', '%2B').replace(' ', '%20')}&lng=31"), 400,
                "invalid_value", "lat")


@test("unknown fields are refused by name, at every level")
def _(w):
    c = w.person("customer")
    refused(c.post("location/update", dict(PICKUP, altitude=3)), 400, "invalid_value", "altitude")
    body = {"pickup": dict(PICKUP, floor=2), "dropoff": DROPOFF, "serviceClass": "economy", "tip": 1}
    refused(c.post("pricing/quote", body), 400, "invalid_value", "pickup.floor", "tip")
    refused(c.get("location/nearby?lat=30&lng=31&colour=red"), 400, "invalid_value", "colour")
    refused(c.get("location/nearby?lat=30&lng=31&lat=30"), 400, "invalid_value", "lat")
    refused(c.get("wallet?x"), 400, "invalid_value", "x")


@test("each wrong field of a request is named at once")
def _(w):
    body = {"pickup": {"lat": 100}, "dropoff": 5, "serviceClass": ""}
    refused(w.person("customer").post("pricing/quote", body), 400, "invalid_value", "pickup.lat", "pickup.lng",
            "dropoff", "dropoff.lat", "dropoff.lng", "serviceClass")


@test("items of an array are named by their place")
def _(w):
    with w.driver(online=False) as d:
        at = "2030-01-02T09:59:00Z"
        good = dict(PICKUP, timestamp=at)
        bad = [good, {"lat": 99, "lng": 1, "timestamp": at}, dict(good, x=1), {"lat": 1, "lng": 2}, 7]
        refused(d.post("location/batch-update", {"locations": bad}), 400, "invalid_value", "locations[1].lat",
                "locations[2].x", "locations[3].timestamp", "locations[4]", "locations[4].lat", "locations[4].lng",
                "locations[4].timestamp")
        refused(d.post("location/batch-update", {"locations": []}), 400, "invalid_value", "locations")
        refused(d.post("location/batch-update", {"locations": [good] * 501}), 400, "invalid_value", "locations")
        refused(d.post("location/batch-update", {"locations": {}}), 400, "invalid_value", "locations")


@test("a body that is not JSON is refused")
def _(w):
    for raw in ("{", "lat=1", '{"lat":1,}', "{'lat':1}", "\xff\xfe", '{"lat":1} x', '{"lat":1,"lat":2,"lng":3}',
                '{"a":"\\u0000"}', "[1]", "3", "null", "[" * 100000, '{"a":' * 5000):
        answer = w.admin.call("POST", "location/update", raw=raw.encode("latin-1"), Content_Type="application/json")
        refused(answer, 400, "invalid_json")


@test("duplicate keys are refused")
def _(w):
    answer = w.admin.call("POST", "location/update", raw='{"lat":1,"lng":2,"lat":3}', Content_Type="application/json")
    check("duplicate" in refused(answer, 400, "invalid_json").error["details"][0]["message"])


@test("an empty body names what is missing")
def _(w):
    refused(w.admin.call("POST", "location/update"), 400, "invalid_value", "lat", "lng")


@test("other content types are refused")
def _(w):
    for kind in ("text/plain", "application/x-www-form-urlencoded", "multipart/form-data; boundary=x",
                 "application/jsonp", None):
        refused(w.admin.call("POST", "location/update", raw='{"lat":1,"lng":2}', Content_Type=kind), 415,
                "unsupported_media_type")
    answer = w.admin.call("POST", "pricing/quote", raw="{}", Content_Type="application/json; charset=utf-8")
    refused(answer, 400, "invalid_value")


@test("a body just below the limit is read")
def _(w):
    raw = '{"lat":1,"lng":2,"x":"' + "y" * (1024 * 1024 - 30) + '"}'
    refused(w.admin.call("POST", "location/update", raw=raw, Content_Type="application/json"), 400, "invalid_value", "x")


@test("an unknown path is 404, a known one with another method 405 with Allow")
def _(w):
    for path in ("/", "/api", "/api/v1", "/api/v1/", "/api/v2/wallet", "/api/v1/wallet/", "/api/v1//wallet",
                 "/api/v1/%77allet", "/api/../metrics", "/api/v1/trips/", "/etc/passwd", "/index.html"):
        refused(w.admin.get(path), 404, "not_found")
    answer = refused(w.admin.call("DELETE", "wallet"), 405, "method_not_allowed")
    equal(answer.headers["Allow"], "GET, HEAD, OPTIONS")
    refused(w.admin.get("trips/request"), 405, "method_not_allowed")
    answer = refused(w.admin.get("trips/" + str(uuid.uuid4()) + "/status"), 405, "method_not_allowed")
    equal(answer.headers["Allow"], "POST, OPTIONS")


@test("no token, or none that could be one, is 401 with WWW-Authenticate")
def _(w):
    for header in (None, "", "Bearer", "Bearer ", "Basic YTpi", "Token x", w.admin.token, "Bearer a b"):
        answer = w.call("GET", "wallet", Authorization=header)
        refused(answer, 401, "unauthenticated")
        equal(answer.headers["WWW-Authenticate"], "Bearer")


def forge(token, header=None, payload=None, signature=None):
    parts = token.split(".")
    encode = lambda o: base64.urlsafe_b64encode(json.dumps(o).encode()).decode().rstrip("=")
    decode = lambda s: json.loads(base64.urlsafe_b64decode(s + "=" * (-len(s) % 4)))
    if header:
        parts[0] = encode({**decode(parts[0]), **header})
    if payload:
        parts[1] = encode({**decode(parts[1]), **payload})
    if signature is not None:
        parts[2] = signature
    return ".".join(parts)


@test("forged and broken tokens are 401")
def _(w):
    c = w.person("customer")
    admin = w.admin.token.split(".")
    forged = [forge(c.token, payload={"role": "admin"}), forge(c.token, payload={"sub": w.admin.id}),
              forge(c.token, header={"alg": "none"}), forge(c.token, header={"alg": "none"}, signature=""),
              forge(c.token, header={"alg": "HS512"}), forge(c.token, header={"crit": ["x"]}),
              forge(c.token, signature=admin[2]), c.token[:-2], c.token + "x", c.token.replace(".", ""), "a.b.c",
              "..", "x" * 4000, "x" * 9000, "'; DROP TABLE hail.users; --".replace(" ", "")]
    for token in forged:
        answer = w.call("GET", "auth/profile", token=token)
        refused(answer, 401, "unauthenticated")
        check("Bearer" in answer.headers["WWW-Authenticate"])
    equal(c.get("auth/profile").data["id"], c.id)


@test("an expired token is 401 token_expired")
def _(w):
    c = w.person("customer")
    token = w.token(c.id, "5 minutes")
    w.psql("SELECT hail.advance_clock('10 minutes')")
    answer = w.call("GET", "auth/profile", token=token)
    refused(answer, 401, "token_expired")
    check("invalid_token" in answer.headers["WWW-Authenticate"])


@test("identity does not leak into the next request on the same database connection")
def _(w):
    equal(w.admin.get("auth/profile").status, 200)
    refused(w.call("GET", "auth/profile", token="a.b.c"), 401, "unauthenticated")
    equal(w.psql("""SELECT count(DISTINCT usename) FROM pg_stat_activity WHERE application_name = 'haild'"""), "1")


@test("the wrong role is 403")
def _(w):
    c = w.customer()
    with w.driver() as d:
        trip = str(uuid.uuid4())
        refused(c.post("location/update", PICKUP), 403, "forbidden")
        refused(c.call("PUT", "driver/online-status", {"online": True}), 403, "forbidden")
        refused(c.get("driver/offers"), 403, "forbidden")
        refused(c.post(f"trips/{trip}/driver-response", {"response": "accept"}), 403, "forbidden")
        refused(d.post("pricing/quote", {"pickup": PICKUP, "dropoff": DROPOFF, "serviceClass": "economy"}), 403, "forbidden")
        refused(d.get(f"earnings/driver/{w.admin.id}"), 403, "forbidden")


@test("unknown ids and other people's trips are 404 alike")
def _(w):
    owner, other = w.customer(), w.customer()
    trip = w.request_trip(owner).data["id"]
    with w.driver(online=False) as stranger:
        for person in (other, stranger):
            for id in (trip, str(uuid.uuid4())):
                refused(person.get(f"trips/{id}"), 404, "not_found")
                refused(person.get(f"trips/{id}/matching-status"), 404, "not_found")
                refused(person.post(f"trips/{id}/status", {"status": "cancelled"}), 404, "not_found")
        refused(stranger.post(f"trips/{trip}/status", {"status": "arrived"}), 404, "not_found")
        refused(stranger.post(f"trips/{trip}/driver-response", {"response": "accept"}), 404, "not_found")
    refused(other.post("trips/request", {"quoteId": str(uuid.uuid4()), "paymentMethod": "cash"}, Idempotency_Key="k"), 404,
            "not_found")
    refused(other.post("trips/request", {"quoteId": w.quote(owner)["id"], "paymentMethod": "cash"},
                       Idempotency_Key="k"), 404, "not_found")
    equal(owner.post(f"trips/{trip}/cancel-search").status, 200)


@test("ids that are no UUIDs are refused by name")
def _(w):
    for id in ("1", "x", "00000000-0000-0000-0000-00000000000g", str(uuid.uuid4()) + "0", "%27"):
        refused(w.admin.get(f"trips/{id}"), 400, "invalid_value", "id")


@test("places outside every region and unknown classes are named")
def _(w):
    c = w.customer()
    far = {"lat": 10, "lng": 10}
    answer = c.post("pricing/quote", {"pickup": far, "dropoff": dict(far, lat=10.1), "serviceClass": "economy"})
    refused(answer, 400, "outside_service_area")
    refused(c.post("pricing/quote", {"pickup": PICKUP, "dropoff": DROPOFF, "serviceClass": "yacht"}), 400,
            "unknown_class", "serviceClass")


@test("an expired quote and a used one are refused")
def _(w):
    c = w.customer()
    quote = w.quote(c)
    w.psql("SELECT hail.advance_clock('11 minutes')")
    refused(w.request_trip(c, quote), 409, "quote_expired")
    quote = w.quote(c)
    trip = w.request_trip(c, quote)
    equal(trip.status, 201, trip)
    refused(w.request_trip(c, quote), 409, "quote_used")
    equal(c.post(f"trips/{trip.data['id']}/cancel-search").status, 200)


@test("a trip request needs an Idempotency-Key")
def _(w):
    c = w.customer()
    body = {"quoteId": w.quote(c)["id"], "paymentMethod": "cash"}
    refused(c.post("trips/request", body), 400, "idempotency_key_required")
    refused(c.post("trips/request", body, Idempotency_Key='""'), 400, "invalid_value", "Idempotency-Key")
    for key in ("x" * 201, '"' + "x" * 201 + '"', '"', '"open', 'shut"', 'a b', 'a"b', '"a"b', '"a\\b"', "k\u00e9y"):
        refused(c.post("trips/request", body, Idempotency_Key=key), 400, "invalid_value", "Idempotency-Key")
    for key in ("x" * 200, '"' + "y" * 200 + '"'):
        trip = c.post("trips/request", body, Idempotency_Key=key)
        equal(trip.status, 201, trip)
        equal(c.post(f"trips/{trip.data['id']}/cancel-search").status, 200)
        body["quoteId"] = w.quote(c)["id"]


@test("the same key gives the same trip, bare or quoted; with another body it is 422")
def _(w):
    c = w.customer()
    quote = w.quote(c)
    first = w.request_trip(c, quote, key="key-1")
    equal((first.status, first.headers["Idempotency-Replayed"]), (201, None), first)
    again = w.request_trip(c, quote, key='"key-1"')
    equal((again.status, again.data["id"], again.headers["Idempotency-Replayed"]), (201, first.data["id"], "true"), again)
    refused(w.request_trip(c, quote, method="wallet", key="key-1"), 422, "idempotency_mismatch")
    refused(w.request_trip(c, w.quote(c), key="key-1"), 422, "idempotency_mismatch")
    equal(w.psql(f"SELECT count(*) FROM hail.trips WHERE customer_id = '{c.id}'"), "1")
    equal(c.post(f"trips/{first.data['id']}/cancel-search", {"reason": "test"}).status, 200)


@test("a value that chooses the call must be one of those known")
def _(w):
    trip = str(uuid.uuid4())
    with w.driver(online=False) as d:
        answer = refused(d.post(f"trips/{trip}/status", {"status": "flying"}), 400, "invalid_value", "status")
        check("arrived, started, completed, cancelled" in answer.error["details"][0]["message"], answer)
        refused(d.post(f"trips/{trip}/status", {}), 400, "invalid_value", "status")
        refused(d.post(f"trips/{trip}/driver-response", {"response": 1}), 400, "invalid_value", "response")
        refused(d.post(f"trips/{trip}/status", {"status": "started"}), 400, "invalid_value", "pickupCode")
        refused(d.post(f"trips/{trip}/status", {"status": "arrived", "pickupCode": "1234"}), 400, "invalid_value", "pickupCode")


@test("SQL and markup in values stay values")
def _(w):
    c = w.person("customer")
    refused(c.get("location/nearby?lat=30&lng=31&class=%27%3B--"), 400, "unknown_class")
    refused(c.get("location/nearby?lat=30&lng=31&class=%ff"), 400, "invalid_value")
    refused(c.get("location/nearby?lat=30&lng=31&class=%00"), 400, "invalid_value")
    refused(c.get("location/nearby?lat=30&lng=31&class=%zz"), 400, "invalid_value")


@test("internals never show in messages")
def _(w):
    w.psql("""CREATE FUNCTION public.broken() RETURNS trigger LANGUAGE plpgsql AS
        $$ BEGIN RAISE EXCEPTION 'secret detail of table x'; END $$;
        CREATE TRIGGER broken BEFORE INSERT ON hail.quotes FOR EACH ROW EXECUTE FUNCTION public.broken();""")
    try:
        answer = w.customer().post("pricing/quote", {"pickup": PICKUP, "dropoff": DROPOFF, "serviceClass": "economy"})
    finally:
        w.psql("DROP TRIGGER broken ON hail.quotes; DROP FUNCTION public.broken()")
    refused(answer, 500, "internal_error")
    check("secret" not in str(answer), answer)
    check("secret detail of table x" in w.haild.logged())
