"""Strategies, bids, deliveries, porter jobs and what administrators may ask and do, through HTTP."""
import base64
import contextlib
import hashlib
import hmac
import json
import uuid

from harness import DROPOFF, PICKUP, check, equal, eventually, exchange, test


def refused(answer, status, code, *fields):
    equal(answer.status, status, answer)
    equal(answer.error["code"], code, answer)
    if fields:
        equal(sorted(answer.fields), sorted(fields), answer)
    return answer


def made(answer, status=201):
    equal(answer.status, status, answer)
    return answer.data


def ask(w, customer, key=None, **body):
    quote = w.quote(customer)
    return customer.post("trips/request", dict({"quoteId": quote["id"], "paymentMethod": "cash"}, **body),
                         Idempotency_Key=key or uuid.uuid4().hex)


@test("drivers bid, the customer chooses under a key, the others learn that they lost")
def _(w):
    c = w.customer()
    with w.driver() as cheap, w.driver() as dear:
        trip = made(ask(w, c, strategy="broadcast_bid"))
        path = f"trips/{trip['id']}"
        refused(cheap.post(f"{path}/bids", {"amount": 1}), 409, "bid_out_of_bounds", "amount")
        refused(cheap.post(f"{path}/bids", {"amount": 0, "tip": 1}), 400, "invalid_value", "amount", "tip")
        refused(c.post(f"{path}/bids", {"amount": trip["price"]}), 403, "forbidden")
        low = made(cheap.post(f"{path}/bids", {"amount": trip["price"] - 500, "note": "two minutes away"}))
        high = made(dear.post(f"{path}/bids", {"amount": trip["price"], "pickupEtaS": 120}))
        equal(made(cheap.post(f"{path}/bids", {"amount": trip["price"] - 500, "note": "two minutes away"}))["id"], low["id"])
        bids = c.get(f"{path}/bids").data["bids"]
        equal([(b["bidId"], b["driverId"], b["amount"]) for b in bids],
              [(low["id"], cheap.id, trip["price"] - 500), (high["id"], dear.id, trip["price"])])
        refused(dear.get(f"{path}/bids"), 403, "forbidden")
        refused(w.customer().get(f"{path}/bids"), 404, "not_found")
        choose = f"{path}/bids/{low['id']}/choose"
        refused(c.post(choose), 400, "idempotency_key_required", "Idempotency-Key")
        refused(w.customer().post(choose, Idempotency_Key="k"), 404, "not_found")
        refused(c.post(f"{path}/bids/{uuid.uuid4()}/choose", Idempotency_Key="choose-0"), 404, "not_found")
        chosen = c.post(choose, Idempotency_Key="choose-1")
        equal((chosen.status, chosen.data["driverId"], chosen.data["price"]), (200, cheap.id, trip["price"] - 500), chosen)
        equal(chosen.headers["Idempotency-Replayed"], None)
        again = c.post(choose, Idempotency_Key='"choose-1"')
        equal((again.status, again.data["id"], again.headers["Idempotency-Replayed"]), (200, trip["id"], "true"), again)
        refused(c.post(f"{path}/bids/{high['id']}/choose", Idempotency_Key="choose-1"), 422, "idempotency_mismatch",
                "Idempotency-Key")
        refused(c.post(f"{path}/bids/{high['id']}/choose", Idempotency_Key="choose-2"), 409, "trip_taken")
        equal(c.post(f"{path}/status", {"status": "cancelled"}).status, 200)
        equal(made(c.post(choose, Idempotency_Key="choose-1"), 200)["state"], "cancelled", "a replay tells how it stands")


@test("trips can be asked for later, and with each strategy; what does not fit is named")
def _(w):
    c = w.customer()
    at = w.psql("SELECT to_json(hail.clock() + interval '2 hours')#>>'{}'")
    later = made(ask(w, c, key="later", strategy="scheduled", scheduledFor=at))
    equal((later["state"], later["strategy"]), ("scheduled", "scheduled"))
    equal(c.get(f"trips/{later['id']}/matching-status").data["status"], "scheduled")
    equal(c.post(f"trips/{later['id']}/cancel-search").data["state"], "cancelled")
    for strategy in ("sequential", "batched", "first_accept"):
        trip = made(ask(w, c, strategy=strategy))
        equal(trip["strategy"], strategy)
        equal(c.post(f"trips/{trip['id']}/cancel-search").status, 200)
    trip = made(ask(w, c, favouritesFirst=True))
    equal(trip["favouritesFirst"], True)
    equal(c.post(f"trips/{trip['id']}/cancel-search").status, 200)
    refused(ask(w, c, favouritesFirst="yes"), 400, "invalid_value", "favouritesFirst")
    refused(ask(w, c, strategy="loudest"), 400, "invalid_value", "strategy")
    refused(ask(w, c, strategy="scheduled"), 400, "invalid_value", "scheduledFor")
    refused(ask(w, c, scheduledFor=at), 400, "invalid_value", "scheduledFor")
    refused(ask(w, c, strategy="scheduled", scheduledFor="2001-01-01T00:00:00Z"), 400, "invalid_value", "scheduledFor")
    refused(ask(w, c, strategy="scheduled", scheduledFor="tomorrow"), 400, "invalid_value", "scheduledFor")


STOPS = [dict(PICKUP, contactName="Shop"), dict(DROPOFF, contactName="Rana", contactPhone="+201112223334", address="5 Nile St"),
         {"lat": 30.12, "lng": 31.32, "proof": "photo"}]


def job(w, customer, path, key=None, service_class="motorcycle", **more):
    quote = made(customer.post("pricing/job-quote", {"stops": STOPS, "serviceClass": service_class}))
    return customer.post(path, dict({"quoteId": quote["id"], "stops": STOPS, "paymentMethod": "cash"}, **more),
                         Idempotency_Key=key or uuid.uuid4().hex)


@test("a delivery over three stops: code, photo, and its key")
def _(w):
    c = w.customer()
    with w.driver(classes="motorcycle") as d, w.driver(online=False) as stranger:
        body = {"stops": STOPS, "paymentMethod": "cash", "package": "a cake", "weightKg": 2.5}
        body["quoteId"] = made(c.post("pricing/job-quote", {"stops": STOPS, "serviceClass": "motorcycle"}))["id"]
        refused(c.post("deliveries/request", body), 400, "idempotency_key_required", "Idempotency-Key")
        asked = c.post("deliveries/request", body, Idempotency_Key="cake")
        trip = made(asked)
        equal((trip["service"], asked.headers["Idempotency-Replayed"]), ("delivery", None))
        again = c.post("deliveries/request", body, Idempotency_Key='"cake"')
        equal((again.status, again.data["id"], again.headers["Idempotency-Replayed"]), (201, trip["id"], "true"), again)
        refused(c.post("deliveries/request", dict(body, package="two cakes"), Idempotency_Key="cake"), 422,
                "idempotency_mismatch")
        path = f"trips/{trip['id']}"
        equal(d.post(f"{path}/driver-response", {"response": "accept"}).status, 200)
        stops = c.get(f"{path}/stops").data["stops"]
        equal([(s["seq"], s["kind"], s["proof"], s["state"]) for s in stops],
              [(1, "pickup", "none", "waiting"), (2, "dropoff", "code", "waiting"), (3, "dropoff", "photo", "waiting")])
        equal({s["code"] for s in d.get(f"{path}/stops").data["stops"]}, {None})
        refused(stranger.get(f"{path}/stops"), 404, "not_found")
        refused(d.post(f"{path}/stops/2/arrive"), 409, "wrong_state")
        equal(d.post(f"{path}/stops/1/arrive").status, 200)
        code = made(c.post(f"{path}/pickup-code/renew"), 200)["code"]
        equal(d.post(f"{path}/stops/1/finish", {"proofCode": code}).data["state"], "done")
        equal(d.post(f"{path}/stops/2/arrive").data["state"], "arrived")
        wrong = "%04d" % ((int(stops[1]["code"]) + 1) % 10000)
        check(d.post(f"{path}/stops/2/finish", {"proofCode": wrong}).status == 409)
        refused(d.post(f"{path}/stops/2/finish", {"proofCode": "12345"}), 400, "invalid_value", "proofCode")
        equal(d.post(f"{path}/stops/2/finish", {"proofCode": stops[1]["code"], "recipientName": "Rana"}).data["state"], "done")
        equal(d.post(f"{path}/stops/3/arrive").status, 200)
        refused(d.post(f"{path}/stops/3/fail"), 400, "invalid_value", "reason")
        equal(d.post(f"{path}/stops/3/fail", {"reason": "nobody there"}).data["state"], "failed")
        stops = c.get(f"{path}/stops").data["stops"]
        equal([s["kind"] for s in stops], ["pickup", "dropoff", "dropoff", "return"])
        equal(d.post(f"{path}/stops/4/arrive").data["state"], "arrived")
        equal(d.post(f"{path}/stops/4/finish", {"proofCode": stops[3]["code"]}).data["state"], "done")
        equal(d.post(f"{path}/status", {"status": "completed"}).data["state"], "completed")


@test("a porter job, and what is wrong with stops, named by their place")
def _(w):
    c = w.customer()
    porter = w.psql("SELECT code FROM hail.service_classes WHERE service = 'porter' ORDER BY id LIMIT 1")
    trip = made(job(w, c, "porter-jobs/request", service_class=porter, weightKg=300, volumeL=900, floors=3, helpers=2))
    equal((trip["service"], trip["weightKg"]), ("porter", 300))
    equal(c.post(f"trips/{trip['id']}/cancel-search").status, 200)
    quote = lambda stops: c.post("pricing/job-quote", {"stops": stops, "serviceClass": "motorcycle"})
    refused(quote(STOPS[:1]), 400, "invalid_value", "stops")
    refused(quote([PICKUP] * 21), 400, "invalid_value", "stops")
    refused(quote([PICKUP, 7]), 400, "invalid_value", "stops")
    refused(quote(PICKUP), 400, "invalid_value", "stops")
    refused(quote([PICKUP, {"lat": 30.1}]), 400, "invalid_value", "stops[1].lng")
    refused(quote([PICKUP, dict(DROPOFF, contactPhone="123")]), 400, "invalid_value", "stops[1].contactPhone")
    refused(quote([PICKUP, dict(DROPOFF, floorPlan=1)]), 400, "invalid_value", "stops[1].floorPlan")
    refused(quote([PICKUP, {"lat": "x", "lng": 31}]), 400, "invalid_value", "stops[1].lat")
    refused(job(w, c, "porter-jobs/request", service_class="motorcycle"), 400, "invalid_value")
    refused(job(w, c, "porter-jobs/request", service_class=porter, helpers=51, weightKg=-1), 400, "invalid_value", "helpers",
            "weightKg")


@test("administrators see how a trip was matched, replay a round, and give it to a driver by hand")
def _(w):
    c = w.customer()
    with w.driver() as d, w.driver() as other:
        trip = made(ask(w, c))["id"]
        path = f"admin/trips/{trip}"
        equal({r["driverId"] for r in w.admin.get(f"{path}/rank").data["drivers"]}, {d.id, other.id})
        equal(len(w.admin.get(f"{path}/rank?limit=1").data["drivers"]), 1)
        rounds = w.admin.get(f"{path}/rounds").data["rounds"]
        equal([(r["round"], r["offers"], r["strategy"]) for r in rounds], [(1, 2, "first_accept")])
        seen = w.admin.get(f"{path}/rounds/1").data["drivers"]
        equal({r["driverId"] for r in seen}, {d.id, other.id})
        replayed = w.admin.post(f"{path}/replay-round", {"round": 1, "changes": {"offersPerRound": 1}})
        equal([r["chosen"] for r in made(replayed, 200)["drivers"]], [True, False], replayed)
        refused(w.admin.post(f"{path}/replay-round", {"round": 1, "changes": {"noSuchThing": 1}}), 400, "invalid_value")
        refused(w.admin.post(f"{path}/replay-round", {"round": 1, "changes": [1]}), 400, "invalid_value", "changes")
        refused(w.admin.post(f"{path}/replay-round", {"round": 99}), 404, "not_found")
        for person in (c, d):
            for call in (lambda: person.get(f"{path}/rank"), lambda: person.get(f"{path}/rounds"),
                         lambda: person.get(f"{path}/rounds/1"), lambda: person.post(f"{path}/replay-round", {"round": 1}),
                         lambda: person.post(f"{path}/assign", {"driverId": d.id})):
                refused(call(), 403, "forbidden")
        given = w.admin.post(f"{path}/assign", {"driverId": other.id})
        equal((given.status, given.data["driverId"], given.data["state"]), (200, other.id, "matched"), given)
        equal(w.admin.post(f"{path}/assign", {"driverId": other.id}).status, 200)
        refused(w.admin.post(f"{path}/assign", {"driverId": d.id}), 409, "trip_taken")
        refused(d.post(f"trips/{trip}/driver-response", {"response": "accept"}), 409, "trip_taken")
        equal(c.post(f"trips/{trip}/status", {"status": "cancelled"}).status, 200)
        refused(w.admin.post(f"{path}/assign", {"driverId": d.id}), 409, "wrong_state")


@test("administrators read how work was shared, how matching went, and the signs of a driver")
def _(w):
    c = w.customer()
    at = w.psql("SELECT to_json(hail.clock() - interval '1 hour')#>>'{}'").replace("+", "%2B")
    to = w.psql("SELECT to_json(hail.clock() + interval '1 hour')#>>'{}'").replace("+", "%2B")
    span = f"region=cairo&fromTime={at}&toTime={to}"
    with w.driver() as d:
        trip = made(ask(w, c))["id"]
        figures = made(w.admin.get(f"admin/dispatch/figures?{span}"), 200)["figures"]
        check(len(figures) == 1 and figures[0]["trips"] > 0 and figures[0]["offered"] > 0, figures)
        fairness = made(w.admin.get(f"admin/dispatch/fairness?{span}"), 200)["fairness"]
        check(len(fairness) == 1 and fairness[0]["drivers"] > 0, fairness)
        equal(made(w.admin.get(f"admin/drivers/{d.id}/signals?{span}"), 200)["signals"], [])
        for path in ("admin/dispatch/figures", "admin/dispatch/fairness", f"admin/drivers/{d.id}/signals"):
            refused(w.admin.get(path), 400, "invalid_value", "fromTime", "toTime")
            refused(w.admin.get(f"{path}?fromTime={to}&toTime={at}"), 400, "invalid_value", "toTime")
            refused(w.admin.get(f"{path}?{span.replace('cairo', 'atlantis')}"), 404, "not_found", "region")
            for person in (c, d):
                refused(person.get(f"{path}?{span}"), 403, "forbidden")
        equal(c.post(f"trips/{trip}/cancel-search").status, 200)
    equal(made(w.admin.get("admin/dispatch/figures?fromTime=2001-01-01T00:00:00Z&toTime=2001-01-02T00:00:00Z"), 200)["figures"], [])


@test("dispatch policies are read and changed as versions")
def _(w):
    before = w.admin.get("admin/dispatch-policies").data["policies"]
    refused(w.admin.call("PUT", "admin/dispatch-policies", {"changes": {"offersPerRound": 0}}), 400, "invalid_value",
            "offersPerRound")
    refused(w.admin.call("PUT", "admin/dispatch-policies", {"changes": {"luck": 1}}), 400, "invalid_value", "luck")
    refused(w.admin.call("PUT", "admin/dispatch-policies", {"region": "atlantis", "changes": {}}), 404, "not_found", "region")
    refused(w.admin.call("PUT", "admin/dispatch-policies", {"region": "cairo"}), 400, "invalid_value", "changes")
    refused(w.customer().call("PUT", "admin/dispatch-policies", {"changes": {"offersPerRound": 4}}), 403, "forbidden")
    refused(w.customer().get("admin/dispatch-policies"), 403, "forbidden")
    changed = w.admin.call("PUT", "admin/dispatch-policies", {"region": "cairo", "service": "porter",
                                                             "changes": {"offersPerRound": 4, "weightIdle": 0.05}})
    equal((changed.status, changed.data["offersPerRound"]), (200, 4), changed)
    after = w.admin.get("admin/dispatch-policies").data["policies"]
    equal(len(after), len(before) + 1)
    equal((after[-1]["region"], after[-1]["changes"]), ("cairo", {"weightIdle": 0.05, "offersPerRound": 4}))


def partner(w, code):
    """A partner with its token, its webhook secret and money in its wallet."""
    p = w.customer_like("partner", 10000000)
    p.code, p.secret = code, w.psql(f"SELECT webhook_secret FROM hail.create_partner('{p.id}', '{code}')")
    return p


def webhook(w, p, order, id="msg_1", at=None, sign=None, raw=None, **headers):
    raw = json.dumps(order) if raw is None else raw
    at = at or w.psql("SELECT extract(epoch FROM hail.clock())::bigint")
    key = base64.b64decode(p.secret.removeprefix("whsec_"))
    mac = base64.b64encode(hmac.new(key, f"{id}.{at}.{sign or raw}".encode(), hashlib.sha256).digest()).decode()
    headers = dict({"webhook-id": id, "webhook-timestamp": at, "webhook-signature": "v1," + mac,
                    "Content-Type": "application/json"}, **headers)
    return w.call("POST", f"webhooks/orders?partner={p.code}", raw=raw, **headers)


ORDER = {"orderId": "A-17", "serviceClass": "motorcycle", "stops": STOPS, "package": "shoes", "weightKg": 1}


@test("a shop's signed webhook makes a delivery, once; forged, old and replayed ones are told apart")
def _(w):
    p = partner(w, "shop-one")
    first = webhook(w, p, ORDER)
    equal((first.status, first.data["service"], first.data["partnerOrder"]), (200, "delivery", "A-17"), first)
    equal(first.headers["Idempotency-Replayed"], None)
    again = webhook(w, p, ORDER, id="msg_2")
    equal((again.status, again.data["id"], again.headers["Idempotency-Replayed"]), (200, first.data["id"], "true"), again)
    refused(webhook(w, p, dict(ORDER, package="boots"), id="msg_3"), 422, "idempotency_mismatch")
    refused(webhook(w, p, ORDER, sign=json.dumps(dict(ORDER, package="boots"))), 401, "invalid_signature")
    refused(webhook(w, p, ORDER, at="1000000000"), 401, "invalid_signature")
    for header in ("webhook-id", "webhook-timestamp", "webhook-signature"):
        refused(webhook(w, p, ORDER, **{header: None}), 401, "invalid_signature")
        refused(webhook(w, p, ORDER, **{header: "x"}), 401, "invalid_signature")
    p.code = "nobody"
    refused(webhook(w, p, ORDER), 401, "invalid_signature")
    p.code = "shop-one"
    refused(webhook(w, p, ORDER, raw=""), 400, "invalid_value", "body")
    refused(webhook(w, p, ORDER, raw="{"), 400, "invalid_value")
    refused(webhook(w, p, ORDER, raw="{}"), 400, "invalid_value")
    refused(webhook(w, p, dict(ORDER, orderId="B", stops=[PICKUP])), 400, "invalid_value", "stops")
    refused(webhook(w, p, ORDER, raw='{"a":"\u0000"}'), 400, "invalid_json")
    refused(webhook(w, p, ORDER, **{"Content-Type": "text/plain"}), 415, "unsupported_media_type")
    check(" 413 " in exchange(w.port, "POST /api/v1/webhooks/orders?partner=shop-one HTTP/1.1\r\nHost: x\r\n"
                              "Content-Type: application/json\r\nContent-Length: 1048577\r\n\r\n").split("\r\n")[0])
    equal(webhook(w, p, ORDER, Authorization="Basic eDp5").status, 200)
    equal(w.psql(f"SELECT count(*) FROM hail.trips WHERE partner_id = '{p.id}'"), "1")


@test("a partner orders with its token; the order's id is the key")
def _(w):
    p = partner(w, "shop-two")
    first = p.post("partner/orders", ORDER)
    equal((first.status, first.headers["Idempotency-Replayed"]), (200, None), first)
    check("commissionBp" not in first.data and "policyId" not in first.data, first)
    again = p.post("partner/orders", ORDER)
    equal((again.data["id"], again.headers["Idempotency-Replayed"]), (first.data["id"], "true"), again)
    refused(p.post("partner/orders", dict(ORDER, weightKg=2)), 422, "idempotency_mismatch")
    refused(p.post("partner/orders", {k: v for k, v in ORDER.items() if k != "orderId"}), 400, "invalid_value", "orderId")
    equal(p.get("partner/orders/A-17").data["id"], first.data["id"])
    refused(p.get("partner/orders/A-18"), 404, "not_found")
    for order, path in (("A 17", "A%2017"), ("#1001", "%231001"), ("a+b/c?d", "a+b%2Fc%3fd"), ("\u00e9", "%C3%A9")):
        placed = p.post("partner/orders", dict(ORDER, orderId=order)).data["id"]
        equal(made(p.get("partner/orders/" + path), 200)["id"], placed)
    for path in ("A%2", "A%", "A%zz17", "A%0017"):
        refused(p.get("partner/orders/" + path), 400, "invalid_value", "orderId")
    refused(p.get("partner/orders/%E9"), 400, "invalid_value")
    refused(w.customer().post("partner/orders", ORDER), 403, "forbidden")
    equal(len(p.get(f"trips/{first.data['id']}/stops").data["stops"]), 3)


@test("a partner looks at the trip of its order and cancels it; another partner's does not exist")
def _(w):
    p, other = partner(w, "shop-three"), partner(w, "shop-four")
    for n, cancel in enumerate((("status", {"status": "cancelled", "reason": "sold out"}), ("cancel-search", {}))):
        trip = p.post("partner/orders", dict(ORDER, orderId=f"C-{n}")).data["id"]
        equal(made(p.get(f"trips/{trip}"), 200)["state"], "searching")
        equal(p.get(f"trips/{trip}/matching-status").status, 200)
        for call in (lambda: other.get(f"trips/{trip}"), lambda: other.post(f"trips/{trip}/{cancel[0]}", cancel[1])):
            refused(call(), 404, "not_found")
        over = made(p.post(f"trips/{trip}/{cancel[0]}", cancel[1]), 200)
        equal((over["state"], over["cancelledBy"]), ("cancelled", "customer"))
        refused(p.post(f"trips/{trip}/cancel-search"), 409, "wrong_state")
    both = p.get("trips").data["trips"]
    equal([t["partnerOrder"] for t in both], ["C-1", "C-0"])
    page = p.get("trips?limit=1&state=cancelled").data
    equal((page["hasMore"], [t["partnerOrder"] for t in page["trips"]]), (True, ["C-1"]))
    equal([t["partnerOrder"] for t in p.get(f"trips?limit=1&state=cancelled&cursor={page['nextCursor']}").data["trips"]],
          ["C-0"])
    equal(other.get("trips").data["trips"], [])
    refused(p.get("driver/trips"), 403, "forbidden")
    refused(p.get(f"admin/trips?customerId={other.id}"), 403, "forbidden")
    refused(p.post("partner/orders", dict(ORDER, orderId="C-9", strategy="broadcast_bid")), 400, "invalid_value", "strategy")


@test("why not: drivers hear it of themselves, administrators of anybody")
def _(w):
    c = w.customer()
    with w.driver() as d, w.driver() as other:
        trip = made(ask(w, c))["id"]
        equal(d.post(f"trips/{trip}/driver-response", {"response": "decline"}).status, 200)
        told = w.admin.get(f"admin/trips/{trip}/why-not/{d.id}")
        check(made(told, 200)["rounds"][0]["outcome"] == "offered", told)
        equal(d.get(f"driver/trips/{trip}/why-not").status, 200)
        refused(w.admin.get(f"admin/trips/{trip}/why-not/{uuid.uuid4()}"), 404, "not_found")
        refused(d.get(f"admin/trips/{trip}/why-not/{other.id}"), 403, "forbidden")
        refused(c.get(f"admin/trips/{trip}/why-not/{d.id}"), 403, "forbidden")
        refused(d.post(f"trips/{trip}/confirm"), 404, "not_found")
        refused(c.post(f"trips/{trip}/confirm"), 403, "forbidden")
        equal(c.post(f"trips/{trip}/cancel-search").status, 200)


@test("what a trip shows depends on who looks")
def _(w):
    c = w.customer(funds=1000000)
    with w.driver() as d:
        trip = w.matched_trip(c, d, method="wallet")["id"]
        shown = {role: {k for k, v in person.get(f"trips/{trip}").data.items() if v not in (None, [])}
                 for role, person in (("customer", c), ("driver", d), ("admin", w.admin))}
        check({"pickupCode", "price", "driverId", "quoteId"} <= shown["customer"], shown)
        equal(shown["customer"] & {"commissionBp", "policyId", "holdId", "excludedDrivers", "nextRoundAt"}, set())
        check({"commissionBp", "price", "customerId"} <= shown["driver"], shown)
        equal(shown["driver"] & {"pickupCode", "policyId", "holdId", "excludedDrivers", "idempotencyKey", "quoteId"}, set())
        check({"commissionBp", "policyId", "holdId", "pickupCode"} <= shown["admin"], shown)
        equal(c.post(f"trips/{trip}/status", {"status": "cancelled"}).status, 200)


@contextlib.contextmanager
def limits(w, **settings):
    """Rate limits for as long as the block lasts, known to haild too."""
    set = lambda: w.psql("SELECT pg_reload_conf()") and eventually(lambda: made(w.admin.get("auth/profile"), 200))
    for name, value in settings.items():
        w.psql(f"ALTER SYSTEM SET hail.{name}_rate = {value}")
    set()
    try:
        yield
    finally:
        for name in settings:
            w.psql(f"ALTER SYSTEM RESET hail.{name}_rate")
        set()


@test("trip requests, looks at trips and answers to offers have limits a minute; 429 says which and how long")
def _(w):
    with limits(w, trip_request=2, trip_status=3, driver_response=1), w.driver() as d:
        c = w.customer()

        def limited(answer, name, quota):
            refused(answer, 429, "rate_limited")
            wait = int(answer.headers["Retry-After"])
            check(1 <= wait <= 60, wait)
            equal(answer.headers["RateLimit"], f'"{name}";r=0;t={wait}')
            equal(answer.headers["RateLimit-Policy"], f'"{name}";q={quota};w=60')

        trip = eventually(lambda: made(ask(w, c)))["id"]
        refused(ask(w, c), 409, "active_trip_exists")
        limited(ask(w, c), "trip_request", 2)
        equal([c.get(f"trips/{trip}").status, c.get(f"trips/{trip}/matching-status").status, c.get(f"trips/{trip}").status],
              [200] * 3)
        limited(c.get(f"trips/{trip}"), "trip_status", 3)
        limited(c.get(f"trips/{trip}/matching-status"), "trip_status", 3)
        equal([w.admin.get(f"trips/{trip}").status for _ in range(5)], [200] * 5, "administrators are not counted")
        equal(w.customer().get(f"trips/{trip}").status, 404, "everybody has a quota of its own")
        equal(d.post(f"trips/{trip}/driver-response", {"response": "decline"}).status, 200)
        limited(d.post(f"trips/{trip}/driver-response", {"response": "accept"}), "driver_response", 1)
        limited(d.post(f"trips/{trip}/bids", {"amount": 1000}), "driver_response", 1)
        w.psql("SELECT hail.advance_clock('1 minute')")
        equal(c.get(f"trips/{trip}").status, 200)
        equal(c.post(f"trips/{trip}/cancel-search").status, 200)


@test("a partner's orders have a limit a minute, by token and by webhook together")
def _(w):
    with limits(w, partner_order=2):
        p = partner(w, "shop-limit")
        order = p.post("partner/orders", dict(ORDER, orderId="L-1"))
        equal(order.status, 200, order)
        equal(webhook(w, p, dict(ORDER, orderId="L-2")).status, 200)
        for answer in (p.post("partner/orders", dict(ORDER, orderId="L-3")), webhook(w, p, dict(ORDER, orderId="L-3"))):
            refused(answer, 429, "rate_limited")
            wait = int(answer.headers["Retry-After"])
            check(1 <= wait <= 60, wait)
            equal(answer.headers["RateLimit"], f'"partner_order";r=0;t={wait}')
            equal(answer.headers["RateLimit-Policy"], '"partner_order";q=2;w=60')
        equal(w.psql(f"SELECT count(*) FROM hail.trips WHERE partner_id = '{p.id}'"), "2")


@test("quotes and estimates have limits a minute, each of its own")
def _(w):
    with limits(w, quote=2, estimate=3):
        c = w.customer()
        trip = {"pickup": PICKUP, "dropoff": DROPOFF}
        equal([c.post("pricing/quote", dict(trip, serviceClass="economy")).status, c.post("pricing/quotes", trip).status], [201] * 2)
        stored = w.psql(f"SELECT count(*) FROM hail.quotes WHERE customer_id = '{c.id}'")
        for path, body in (("pricing/quote", dict(trip, serviceClass="economy")), ("pricing/quotes", trip)):
            answer = refused(c.post(path, body), 429, "rate_limited")
            equal(answer.headers["RateLimit-Policy"], '"quote";q=2;w=60')
        equal(w.psql(f"SELECT count(*) FROM hail.quotes WHERE customer_id = '{c.id}'"), stored)
        equal([c.post("pricing/estimate", trip).status for _ in range(3)], [200] * 3)
        equal(refused(c.post("pricing/estimate", trip), 429, "rate_limited").headers["RateLimit-Policy"], '"estimate";q=3;w=60')
        refused(c.post(f"trips/{c.id}/destination/quote", DROPOFF), 429, "rate_limited")
        equal(w.person("analyst").post("pricing/estimate", trip).status, 200)
