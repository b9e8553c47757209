"""What trips cost and pay: payments, payments that failed, promotions, what a driver gets."""
import uuid

from bad_input import refused
from harness import check, equal, test


def key():
    return uuid.uuid4().hex


def made(answer, status=200):
    equal(answer.status, status, answer)
    return answer.data


def drive(driver, trip):
    for status in ({"status": "arrived"}, {"status": "started", "pickupCode": trip["pickupCode"]}, {"status": "completed"}):
        made(driver.post(f"trips/{trip['id']}/status", status))


@test("a trip's payment is told to its customer, its driver and administrators, each their part")
def _(w):
    c = w.customer(funds=100000)
    with w.driver() as d:
        trip = w.matched_trip(c, d, method="wallet")
        path = f"payments/{trip['id']}"
        before = made(d.post("earnings/calculate", {"tripId": trip["id"]}))
        equal((before["final"], before["fare"], before["net"]), (False, trip["price"], trip["price"] - before["commission"]))
        refused(c.get(path), 404, "not_found")
        drive(d, trip)
        paid = made(c.get(path))
        equal((paid["state"], paid["method"], paid["due"], paid["paid"], paid["refunded"]), ("paid", "wallet", trip["price"], trip["price"], 0))
        check("commission" not in paid and "intentId" not in paid, paid)
        share = made(d.get(path))
        equal(share["commission"], before["commission"])
        equal(made(w.admin.get(path))["customerId"], c.id)
        after = made(d.post("earnings/calculate", {"tripId": trip["id"]}))
        wallet = w.wallet(d)["DRIVER_WALLET"]["posted"]
        equal((after["final"], after["toWallet"], after["inCash"], after["net"]), (True, wallet, 0, wallet))
        equal(after["net"], before["net"])
        lines = d.get(f"earnings/driver/{d.id}/transactions?limit=1")
        equal([(l["tripId"], l["amount"]) for l in made(lines)["transactions"]], [(trip["id"], wallet)])
        check(d.get(f"earnings/driver/{d.id}/transactions?format=csv").raw.startswith(b"at,category,kind,tripId,"))
        for stranger in (w.customer(), w.person("driver")):
            refused(stranger.get(path), 404, "not_found")
        refused(w.person("driver").post("earnings/calculate", {"tripId": trip["id"]}), 404, "not_found")
        refused(c.post("earnings/calculate", {"tripId": trip["id"]}), 403, "forbidden")
        refused(c.post(f"{path}/retry", {"paymentMethod": "wallet"}, Idempotency_Key=key()), 409, "wrong_state")
        refused(c.post(f"{path}/retry", {"paymentMethod": "gold"}, Idempotency_Key=key()), 400, "invalid_value", "paymentMethod")
        refused(c.post(f"{path}/retry", {"paymentMethod": "wallet"}), 400, "idempotency_key_required")


@test("tolls, tips and refunds go by integers under keys, each once")
def _(w):
    c, k = w.customer(funds=1000000), key()
    with w.driver() as d:
        trip = w.matched_trip(c, d, method="wallet")
        path, amount = f"trips/{trip['id']}", trip["price"] // 20
        post = lambda who, what, body, k=None: who.post(f"{path}/{what}", body, Idempotency_Key=k or key())
        made(d.post(f"{path}/status", {"status": "arrived"}))
        refused(post(d, "tolls", {"amount": amount, "reason": "bridge"}), 409, "wrong_state")
        made(d.post(f"{path}/status", {"status": "started", "pickupCode": trip["pickupCode"]}))
        toll = post(d, "tolls", {"amount": amount, "reason": "bridge"}, k)
        equal((made(toll, 201)["tolls"], toll.headers["Idempotency-Replayed"]), (amount, None))
        again = post(d, "tolls", {"amount": amount, "reason": "bridge"}, k)
        equal((made(again, 201)["tolls"], again.headers["Idempotency-Replayed"]), (amount, "true"))
        refused(post(d, "tolls", {"amount": amount + 1, "reason": "bridge"}, k), 422, "idempotency_mismatch")
        refused(post(d, "tolls", {"amount": 10 ** 12, "reason": "bridge"}), 409, "limit_exceeded", "amount")
        refused(post(c, "tolls", {"amount": amount, "reason": "bridge"}), 403, "forbidden")
        refused(post(c, "tip", {"amount": amount}), 409, "wrong_state")
        made(d.post(f"{path}/status", {"status": "completed"}))
        for body in ({"amount": 1.5}, {"amount": "5"}, {"amount": 0}, {"amount": -5}, {"amount": 2 ** 53}, {}):
            refused(post(c, "tip", body), 400, "invalid_value", "amount")
        before = w.wallet(d)["DRIVER_WALLET"]["posted"]
        tip = post(c, "tip", {"amount": amount}, k)
        equal((made(tip, 201)["tip"], w.wallet(d)["DRIVER_WALLET"]["posted"]), (amount, before + amount))
        equal((post(c, "tip", {"amount": amount}, k).headers["Idempotency-Replayed"], w.wallet(d)["DRIVER_WALLET"]["posted"]),
              ("true", before + amount))
        refused(post(w.customer(), "tip", {"amount": amount}), 404, "not_found")
        refund = lambda body, k=None, who=w.admin: who.post(f"payments/{trip['id']}/refund", dict({"reason": "late"}, **body), Idempotency_Key=k or key())
        refused(refund({"amount": amount}, who=c), 403, "forbidden")
        refused(refund({"amount": 10 ** 12}), 409, "limit_exceeded", "amount")
        refused(refund({"amount": 1, "borneBy": "nobody"}), 400, "invalid_value", "borneBy")
        part = refund({"amount": 100}, k)
        equal((made(part)["refunded"], part.data["state"], refund({"amount": 100}, k).headers["Idempotency-Replayed"]), (100, "partly_refunded", "true"))
        whole = made(refund({}))
        equal((whole["state"], whole["refunded"]), ("refunded", trip["price"] + amount))
        equal(w.wallet(c)["CUSTOMER_WALLET"]["posted"], 1000000 - amount, "the tip stays")
        got = made(d.post("earnings/calculate", {"tripId": trip["id"]}))
        equal((got["net"], got["final"]), (w.wallet(d)["DRIVER_WALLET"]["posted"], True))


@test("in cash the driver has the fare in hand and owes the commission")
def _(w):
    c = w.customer()
    with w.driver() as d:
        trip = w.matched_trip(c, d)
        drive(d, trip)
        got = made(d.post("earnings/calculate", {"tripId": trip["id"]}))
        equal((got["inCash"], got["toWallet"], got["net"]), (trip["price"], -got["commission"], trip["price"] - got["commission"]))


@test("a promotion pays a part of a trip; wrong, unknown and used up codes are refused")
def _(w):
    code = "TEN-" + uuid.uuid4().hex[:8].upper()
    promotion = {"code": code, "currency": "EGP", "percentBp": 1000, "perCustomer": 1, "budget": 10 ** 9, "validFrom": "2020-01-01T00:00:00Z"}
    row = made(w.admin.post("admin/promotions", promotion), 201)
    equal((row["code"], row["percentBp"], row["enabled"], row["uses"]), (code, 1000, True, 0))
    c = w.customer(funds=100000)
    with w.driver() as d:
        trip = w.matched_trip(c, d, method="wallet")
        path, held = f"trips/{trip['id']}/promotion", w.wallet(c)["CUSTOMER_WALLET"]["held"]
        refused(c.post(path, {"code": "NOT-THERE"}), 404, "not_found")
        for _ in range(2):
            off = made(c.post(path, {"code": code.lower()}))["promotionAmount"]
        check(0 < off <= trip["price"] // 10 + 1, off)
        equal(w.wallet(c)["CUSTOMER_WALLET"]["held"], held - off)
        refused(w.customer().post(path, {"code": code}), 404, "not_found")
        refused(d.post(path, {"code": code}), 403, "forbidden")
        equal(made(c.call("DELETE", path))["promotionAmount"], 0)
        equal(w.wallet(c)["CUSTOMER_WALLET"]["held"], held)
        made(c.post(path, {"code": code}))
        drive(d, trip)
        paid = made(c.get(f"payments/{trip['id']}"))
        equal((paid["promotion"], paid["paid"]), (off, trip["price"] - off))
        refused(c.call("DELETE", path), 409, "wrong_state")
    with w.driver() as d:
        again = w.matched_trip(c, d, method="wallet")
        refused(c.post(f"trips/{again['id']}/promotion", {"code": code}), 409, "limit_exceeded")
        made(c.post(f"trips/{again['id']}/status", {"status": "cancelled"}))
    listed = [p for p in made(w.person("analyst").get("admin/promotions?limit=100"))["promotions"] if p["code"] == code]
    equal((listed[0]["uses"], listed[0]["spent"]), (1, off))
    equal(made(w.admin.call("PUT", f"admin/promotions/{code}", {"enabled": False}))["enabled"], False)
    for change, field in (({"percentBp": 0}, "percentBp"), ({"percentBp": 10001}, "percentBp"), ({"currency": "XXX"}, "currency"),
                          ({"budget": 1.5}, "budget"), ({"code": "a b"}, "code"), ({"service": "boat"}, "service")):
        refused(w.admin.post("admin/promotions", dict(promotion, code="NEW-CODE", **{}) | change), 400, "invalid_value", field)
    refused(c.get("admin/promotions"), 403, "forbidden")
