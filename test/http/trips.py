"""Whole trips through HTTP, both ways of paying, and what may go wrong on the way."""
import uuid

from harness import DROPOFF, PICKUP, check, equal, test


def refused(answer, status, code):
    equal(answer.status, status, answer)
    equal(answer.error["code"], code, answer)


def drive(w, customer, driver, trip):
    """Arrive, start with the customer's code, complete."""
    path = f"trips/{trip['id']}/status"
    equal(driver.post(path, {"status": "arrived"}).data["state"], "arrived")
    refused(driver.post(path, {"status": "started", "pickupCode": "%04d" % ((int(trip["pickupCode"]) + 1) % 10000)}), 409,
            "wrong_pickup_code")
    equal(driver.post(path, {"status": "started", "pickupCode": trip["pickupCode"]}).data["state"], "started")
    done = driver.post(path, {"status": "completed"}, Idempotency_Key=uuid.uuid4().hex)
    equal((done.status, done.data["state"]), (200, "completed"), done)
    equal(customer.get(f"trips/{trip['id']}").data["state"], "completed")


@test("estimates for several classes at once")
def _(w):
    c = w.customer()
    body = {"pickup": PICKUP, "dropoff": DROPOFF}
    estimates = c.post("pricing/estimate", dict(body, serviceClasses=["economy", "comfort"])).data["estimates"]
    equal(sorted(e["serviceClass"] for e in estimates), ["comfort", "economy"])
    check(all(e["total"] > 0 for e in estimates), estimates)
    check(len(c.post("pricing/estimate", body).data["estimates"]) >= 4)


@test("a quote explains its price and adds up")
def _(w):
    quote = w.quote(w.customer())
    parts = ("baseAmount", "distanceAmount", "timeAmount", "multiplierAmount", "minimumAmount", "bookingFee",
             "roundingAmount")
    equal(sum(quote[p] for p in parts), quote["total"])
    equal((quote["currency"], quote["serviceClass"]), ("EGP", "economy"))


@test("the surge map is GeoJSON, in the envelope or bare")
def _(w):
    c = w.customer()
    path = "pricing/surge-map?lat=30.05&lng=31.24&radius=2000"
    equal(c.get(path).data["type"], "FeatureCollection")
    bare = c.get(path, Accept="application/geo+json")
    equal(bare.headers["Content-Type"], "application/geo+json")
    equal(bare.json["type"], "FeatureCollection")


@test("a position report answers with state, pending offers and whether it was applied")
def _(w):
    with w.driver() as d:
        report = d.post("location/update", dict(PICKUP, heading=90, speed=12.5, accuracy=5, timestamp=w.psql("SELECT to_json(hail.clock())#>>'{}'")))
        equal(report.data, {"state": "available", "pendingOffers": 0, "applied": True}, report)
        batch = [dict(PICKUP, timestamp=w.psql(f"SELECT to_json(hail.clock() - interval '{s} s')#>>'{{}}'")) for s in (3, 2, 1)]
        accepted = d.post("location/batch-update", {"locations": batch})
        equal(accepted.status, 200, accepted)


@test("customers find available drivers nearby, nearest first")
def _(w):
    c = w.customer()
    path = f"location/nearby?lat={PICKUP['lat']}&lng={PICKUP['lng']}"
    with w.driver() as near, w.driver(online=False) as far, w.driver(online=False):
        far.call("PUT", "driver/online-status", {"online": True, "lat": PICKUP["lat"] + 0.01, "lng": PICKUP["lng"]})
        found = c.get(path).data["drivers"]
        equal([d["driverId"] for d in found], [near.id, far.id])
        check(found[0]["distanceM"] < 1 and 1000 < found[1]["distanceM"] < 1200, found)
        equal(len(c.get(path + "&limit=1").data["drivers"]), 1)
        equal(len(c.get(path + "&radius=500").data["drivers"]), 1)
        equal(len(c.get(path + "&class=premium").data["drivers"]), 0)
    equal(c.get(path).data["drivers"], [])


@test("a trip paid by wallet, from quote to earnings")
def _(w):
    c = w.customer(funds=1000000)
    with w.driver() as d:
        quote = w.quote(c)
        asked = w.request_trip(c, quote, method="wallet")
        equal(asked.status, 201, asked)
        trip = asked.data
        equal((trip["state"], trip["price"]), ("searching", quote["total"]))
        equal(c.get(f"trips/{trip['id']}/matching-status").data["status"], "offers_pending")
        equal(d.post("location/update", PICKUP).data["pendingOffers"], 1)
        offers = d.get("driver/offers").data["offers"]
        equal([o["tripId"] for o in offers], [trip["id"]])
        check("pickupCode" not in offers[0])
        accepted = d.post(f"trips/{trip['id']}/driver-response", {"response": "accept"})
        equal(accepted.data["alreadyAccepted"], False, accepted)
        equal(accepted.data["trip"]["driverId"], d.id)
        check(not accepted.data["trip"]["pickupCode"], "drivers never see the code")
        again = d.post(f"trips/{trip['id']}/driver-response", {"response": "accept"})
        equal((again.status, again.data["alreadyAccepted"]), (200, True), again)
        seen = c.get(f"trips/{trip['id']}").data
        equal((seen["state"], seen["driverId"]), ("matched", d.id))
        equal(w.wallet(c)["CUSTOMER_WALLET"]["held"], quote["total"])
        equal(d.post("location/update", PICKUP).data["state"], "busy")
        drive(w, c, d, seen)
        wallet = w.wallet(c)["CUSTOMER_WALLET"]
        equal((wallet["posted"], wallet["held"]), (1000000 - quote["total"], 0))
        earned = d.get(f"earnings/driver/{d.id}").data["earnings"]
        equal((earned[0]["trips"], earned[0]["gross"]), (1, quote["total"]), earned)
        equal(w.wallet(d)["DRIVER_WALLET"]["posted"], earned[0]["net"])
        equal(earned[0]["gross"], earned[0]["net"] + earned[0]["commission"])
    equal(w.psql("SELECT count(*) FROM hail.reconcile(hail.clock()::date)"), "0")


@test("a trip paid in cash: the driver's wallet pays the commission")
def _(w):
    c = w.customer()
    with w.driver() as d:
        trip = w.matched_trip(c, d)
        drive(w, c, d, trip)
        earned = d.get(f"earnings/driver/{d.id}").data["earnings"][0]
        equal(w.wallet(d)["DRIVER_WALLET"]["posted"], -earned["commission"])
        check(earned["commission"] > 0)


@test("completing three times pays once")
def _(w):
    c = w.customer(funds=1000000)
    with w.driver() as d:
        trip = w.matched_trip(c, d, method="wallet")
        drive(w, c, d, trip)
        key = uuid.uuid4().hex
        for _ in range(2):
            answer = d.post(f"trips/{trip['id']}/status", {"status": "completed"}, Idempotency_Key=key)
            check(answer.status in (200, 409), answer)
        equal(w.wallet(c)["CUSTOMER_WALLET"]["posted"], 1000000 - trip["price"])


@test("a wallet that can't pay is refused before a driver is asked")
def _(w):
    refused(w.request_trip(w.customer(funds=100), method="wallet"), 409, "insufficient_balance")


@test("only one driver gets the trip; the other learns that it is taken")
def _(w):
    c = w.customer()
    with w.driver() as one, w.driver() as two:
        trip = w.request_trip(c).data["id"]
        equal(one.post(f"trips/{trip}/driver-response", {"response": "accept"}).status, 200)
        refused(two.post(f"trips/{trip}/driver-response", {"response": "accept"}), 409, "trip_taken")
        equal(two.get("driver/offers").data["offers"], [])
        equal(one.post(f"trips/{trip}/status", {"status": "cancelled", "reason": "flat tyre"}).data["state"], "searching")
        equal(c.post(f"trips/{trip}/cancel-search").data["state"], "cancelled")


@test("a declined offer is gone, and the driver is not asked again")
def _(w):
    c = w.customer()
    with w.driver() as d:
        trip = w.request_trip(c).data["id"]
        declined = d.post(f"trips/{trip}/driver-response", {"response": "decline", "reason": "too far"})
        equal((declined.status, declined.data["status"]), (200, "declined"), declined)
        equal(d.get("driver/offers").data["offers"], [])
        check(d.post(f"trips/{trip}/driver-response", {"response": "accept"}).status in (404, 409))
        equal(c.post(f"trips/{trip}/cancel-search").status, 200)


@test("the customer cancels, and can ask again")
def _(w):
    c = w.customer()
    trip = w.request_trip(c).data["id"]
    refused(w.request_trip(c), 409, "active_trip_exists")
    answer = c.post(f"trips/{trip}/status", {"status": "cancelled", "reason": "changed my mind"})
    equal((answer.data["state"], answer.data["cancelReason"]), ("cancelled", "changed my mind"))
    refused(c.post(f"trips/{trip}/status", {"status": "cancelled"}), 409, "wrong_state")
    again = w.request_trip(c)
    equal(again.status, 201)
    equal(c.post(f"trips/{again.data['id']}/cancel-search").status, 200)


@test("steps out of order are refused as wrong_state")
def _(w):
    c = w.customer()
    with w.driver() as d:
        trip = w.matched_trip(c, d)
        path = f"trips/{trip['id']}/status"
        refused(d.post(path, {"status": "completed"}), 409, "wrong_state")
        refused(d.post(path, {"status": "started", "pickupCode": trip["pickupCode"]}), 409, "wrong_state")
        equal(d.post(path, {"status": "arrived"}).status, 200)
        refused(d.post(path, {"status": "arrived"}), 409, "wrong_state")
        drive_on = d.post(path, {"status": "started", "pickupCode": trip["pickupCode"]})
        equal(drive_on.data["state"], "started")
        refused(c.post(path, {"status": "cancelled"}), 409, "wrong_state")
        equal(d.post(path, {"status": "completed"}).data["state"], "completed")


@test("going offline takes the driver out of the map at once")
def _(w):
    c = w.customer()
    path = f"location/nearby?lat={PICKUP['lat']}&lng={PICKUP['lng']}"
    with w.driver() as d:
        equal(len(c.get(path).data["drivers"]), 1)
        equal(d.call("PUT", "driver/online-status", {"online": False}).data["online"], False)
        equal(c.get(path).data["drivers"], [])


@test("events carry the request's id")
def _(w):
    c = w.customer()
    quote = w.quote(c)
    answer = c.post("trips/request", {"quoteId": quote["id"], "paymentMethod": "cash"}, Idempotency_Key="e1",
                    Request_Id="trace-me")
    equal(w.psql(f"SELECT DISTINCT request_id FROM hail.events WHERE aggregate_id = '{answer.data['id']}'"), "trace-me")
    equal(c.post(f"trips/{answer.data['id']}/cancel-search").status, 200)
