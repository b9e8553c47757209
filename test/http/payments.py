"""Money comes in by gateways: payments begun by users, told of by signed webhooks in two dialects, refunded by administrators."""
import base64
import hashlib
import hmac
import json
import threading
import time
import urllib.parse
import uuid

from bad_input import refused
from harness import check, equal, exchange, test
from wallet import table


def key():
    return uuid.uuid4().hex


def made(answer, status=201):
    equal(answer.status, status, answer)
    return answer.data


class Gateway:
    """A gateway of ours: signs what it tells."""

    def __init__(self, w, dialect, **more):
        self.w, self.dialect, self.name = w, dialect, f"g-{uuid.uuid4().hex[:8]}"
        row = made(w.admin.post("admin/gateways", dict({"name": self.name, "dialect": dialect, "currencies": ["EGP"]}, **more)))
        self.row, self.secret = row, row["secret"]

    def now(self):
        return int(float(self.w.psql("SELECT extract(epoch FROM hail.clock())")))

    def tell(self, body, at=None, id=None, secret=None, path=None, change=None, headers=None, **sent):
        """POST an event; `change` alters the body after it was signed."""
        at, id, secret = at or self.now(), id or "evt-" + key(), secret or self.secret
        if self.dialect == "standard_webhooks":
            raw = json.dumps(body)
            mac = hmac.new(base64.b64decode(secret.removeprefix("whsec_")), f"{id}.{at}.{raw}".encode(), hashlib.sha256)
            signed = {"webhook-id": id, "webhook-timestamp": str(at), "webhook-signature": "v1," + base64.b64encode(mac.digest()).decode()}
        else:
            data = body["data"]
            query = "&".join(f"{k}={urllib.parse.quote(str(data[k]), safe='-._~')}" for k in sorted(data["signatureKeys"]))
            signed = {"x-kashier-signature": hmac.new(secret.encode(), query.encode(), hashlib.sha256).hexdigest()}
            raw = json.dumps(body)
        signed.update(headers or {})
        sent = {"Content-Type": "application/json", **signed, **sent}
        return self.w.call("POST", f"/api/v1/payments/webhook{'/' + self.name if path is None else path}", raw=change(raw) if change else raw, **sent)

    def succeeded(self, intent, **change):
        at = change.pop("at", None) or self.now()
        if self.dialect == "standard_webhooks":
            data = dict({"intentId": intent["id"], "amount": intent["amount"], "currency": intent["currency"],
                         "reference": "ref-" + intent["id"]}, **change)
            return {"type": "payment.succeeded", "data": data}
        data = dict({"status": "SUCCESS", "merchantOrderId": intent["id"], "amount": f"{intent['amount'] / 100:.2f}",
                     "currency": intent["currency"], "transactionId": "TX-" + intent["id"], "creationDate": time.strftime(
                         "%Y-%m-%dT%H:%M:%SZ", time.gmtime(at))}, **change)
        return {"event": "pay", "data": dict(data, signatureKeys=sorted(data))}


def deposit(person, via, amount=5000, k=None, **change):
    return person.post("payments/initiate", dict({"amount": amount, "currency": "EGP", "gateway": via.name}, **change), Idempotency_Key=k or key())


def balance(w, person):
    return sum(a["posted"] for a in person.get("wallet").data["accounts"])


@test("a deposit: begun under a key, nothing is there before the gateway says so, and then once, in both dialects")
def _(w):
    for dialect in ("standard_webhooks", "sorted_query"):
        c, g = w.person("customer"), Gateway(w, dialect)
        k = key()
        first = deposit(c, g, k=k)
        intent = made(first)
        equal((intent["state"], intent["amount"], intent["purpose"], first.headers["Idempotency-Replayed"]), ("created", 5000, "deposit", None))
        again = deposit(c, g, k=k)
        equal((again.status, again.data["id"], again.headers["Idempotency-Replayed"]), (201, intent["id"], "true"))
        refused(deposit(c, g, 5001, k=k), 422, "idempotency_mismatch")
        equal(balance(w, c), 0)
        event = g.succeeded(intent)
        told = g.tell(event, id="once-" + intent["id"])
        equal((told.status, told.data["outcome"], told.headers["Idempotency-Replayed"]), (200, "applied", None), told)
        equal(balance(w, c), 5000)
        repeat = g.tell(event, id="once-" + intent["id"], path=f"?gateway={g.name}")
        equal((repeat.status, repeat.data["outcome"], repeat.headers["Idempotency-Replayed"]), (200, "applied", "true"), repeat)
        equal(balance(w, c), 5000)
        stands = made(c.post("payments/verify", {"paymentId": intent["id"]}), 200)
        equal((stands["state"], c.get(f"payments/intents/{intent['id']}").data["state"]), ("succeeded",) * 2)
        equal([p["id"] for p in c.get("payments?purpose=deposit&state=succeeded").data["payments"]], [intent["id"]])
        equal([(r["id"], r["amount"]) for r in table(c.get("payments?format=csv"))], [(intent["id"], "5000")])


@test("forged, altered, stale, unsigned and oversized webhooks are refused, and nothing is posted")
def _(w):
    for dialect in ("standard_webhooks", "sorted_query"):
        c, g = w.person("customer"), Gateway(w, dialect)
        intent = made(deposit(c, g))
        good = g.succeeded(intent)
        other = Gateway(w, dialect)
        header = "webhook-signature" if dialect == "standard_webhooks" else "x-kashier-signature"
        old = g.now() - 3600
        for answer in (g.tell(good, secret=other.secret), g.tell(good, change=lambda raw: raw.replace("5000", "9000").replace("50.00", "90.00")),
                       g.tell(good, at=old) if dialect == "standard_webhooks" else g.tell(g.succeeded(intent, at=old)),
                       g.tell(good, headers={header: None}), g.tell(good, headers={header: ""}), g.tell(good, headers={header: "x" * 1000}),
                       g.tell(good, path="/" + other.name), g.tell(good, path="/nobody")):
            refused(answer, 401, "invalid_signature")
            check("Bearer" in (answer.headers["WWW-Authenticate"] or "Bearer"))
        refused(g.tell(good, path=""), 400, "invalid_value", "gateway")
        refused(g.tell(good, **{"Content-Type": "text/plain"}), 415, "unsupported_media_type")
        check(g.tell({"type": "x", "data": {"signatureKeys": []}}, change=lambda raw: raw[:-3]).status in (400, 401))
        equal(g.tell(good, change=lambda raw: raw[:-1] + ',"z":"\0"}').status, 400)
        check(" 413 " in exchange(w.port, f"POST /api/v1/payments/webhook/{g.name} HTTP/1.1\r\nHost: x\r\nContent-Type: application/json\r\n"
                                          "Content-Length: 1048577\r\n\r\n").split("\r\n")[0])
        equal((balance(w, c), c.get(f"payments/intents/{intent['id']}").data["state"]), (0, "created"))
        less = {"amount": 4000} if dialect == "standard_webhooks" else {"amount": "40.00", "transactionId": "TX-less-" + intent["id"]}
        equal(g.tell(g.succeeded(intent, **less)).data["outcome"], "refused")
        equal(g.tell(g.succeeded(dict(intent, id=str(uuid.uuid4())))).data["outcome"], "unmatched")
        equal(balance(w, c), 0)
        events = w.admin.get(f"admin/gateway-events?gateway={g.name}&unresolved=true").data["events"]
        equal(sorted(e["outcome"] for e in events), ["refused", "unmatched"])
        solved = w.admin.post("admin/gateway-events/resolve", {"gateway": g.name, "eventId": events[0]["eventId"], "note": "called them"})
        equal(made(solved, 200)["resolution"], "called them")
        equal(g.tell(good).data["outcome"], "applied")
        equal(balance(w, c), 5000)


@test("eight deliveries of one event at once pay once")
def _(w):
    c, g = w.person("customer"), Gateway(w, "standard_webhooks")
    event, answers = g.succeeded(made(deposit(c, g))), []
    threads = [threading.Thread(target=lambda: answers.append(g.tell(event, id="all-at-once-" + c.id))) for _ in range(8)]
    [t.start() for t in threads], [t.join() for t in threads]
    equal({a.status for a in answers} - {503}, {200}, *answers)
    equal(len([a for a in answers if a.status == 200 and a.headers["Idempotency-Replayed"] is None]), 1)
    equal(balance(w, c), 5000)


@test("deposits with wrong amounts, currencies or gateways are refused by field and begin nothing")
def _(w):
    c, g = w.person("customer"), Gateway(w, "standard_webhooks")
    for amount in (0, -1, 1.5, "100", None, True, 2 ** 53):
        refused(deposit(c, g, amount), 400, "invalid_value", "amount")
    for raw in ("1e3", "1E3", "100.0", str(2 ** 63), "1" + "0" * 40):
        refused(c.call("POST", "payments/initiate", raw='{"amount":%s,"currency":"EGP"}' % raw, Content_Type="application/json",
                       Idempotency_Key=key()), 400, "invalid_value", "amount")
    refused(deposit(c, g, currency="XXX"), 400, "invalid_value", "currency")
    refused(deposit(c, g, currency="EUR"), 409, "currency_mismatch")
    refused(deposit(c, g, gateway="nobody"), 404, "not_found")
    refused(c.post("payments/initiate", {"amount": 1, "currency": "EGP"}), 400, "idempotency_key_required")
    refused(deposit(c, g, userId=w.admin.id), 404, "not_found")
    equal(made(w.admin.call("PUT", f"admin/gateways/{g.name}", {"enabled": False}), 200)["enabled"], False)
    refused(deposit(c, g), 404, "not_found")
    equal(c.get("payments").data["payments"], [])


@test("another's payment is not there")
def _(w):
    c, other, g = w.person("customer"), w.person("customer"), Gateway(w, "standard_webhooks")
    id = made(deposit(c, g))["id"]
    refused(other.get(f"payments/intents/{id}"), 404, "not_found")
    refused(other.get(f"payments/intents/{id}/refunds"), 404, "not_found")
    refused(other.post("payments/verify", {"paymentId": id}), 404, "not_found")
    refused(other.get(f"payments?userId={c.id}"), 404, "not_found")
    equal(other.get("payments").data["payments"], [])
    for person in (c, other):
        refused(person.post("payments/refund", {"paymentId": id, "amount": 1, "reason": "x"}, Idempotency_Key=key()), 403, "forbidden")
        refused(person.post(f"payments/intents/{id}/settle", {"reason": "x"}, Idempotency_Key=key()), 403, "forbidden")


@test("an administrator refunds and settles by hand; the gateway has the last word")
def _(w):
    c, g = w.person("customer"), Gateway(w, "standard_webhooks")
    intent = made(deposit(c, g))
    equal(g.tell(g.succeeded(intent)).data["outcome"], "applied")
    k, body = key(), {"paymentId": intent["id"], "amount": 2000, "reason": "by mistake"}
    refund = w.admin.post("payments/refund", body, Idempotency_Key=k)
    equal((made(refund)["state"], balance(w, c), w.wallet(c)["CUSTOMER_WALLET"]["held"]), ("requested", 5000, 2000))
    again = w.admin.post("payments/refund", body, Idempotency_Key=k)
    equal((again.data["id"], again.headers["Idempotency-Replayed"]), (refund.data["id"], "true"))
    refused(w.admin.post("payments/refund", dict(body, amount=2001), Idempotency_Key=k), 422, "idempotency_mismatch")
    refused(w.admin.post("payments/refund", dict(body, amount=3001), Idempotency_Key=key()), 409, "limit_exceeded")
    refused(w.admin.post("payments/refund", dict(body, amount=1.5), Idempotency_Key=key()), 400, "invalid_value", "amount")
    told = g.tell({"type": "refund.succeeded", "data": {"refundId": refund.data["id"], "amount": 2000, "currency": "EGP", "reference": "rf-" + intent["id"]}})
    equal((told.data["outcome"], balance(w, c)), ("applied", 3000), told)
    equal([(r["amount"], r["state"]) for r in c.get(f"payments/intents/{intent['id']}/refunds").data["refunds"]], [(2000, "succeeded")])
    by_hand = made(deposit(c, g, 700))
    settle = lambda k, **more: w.admin.post(f"payments/intents/{by_hand['id']}/settle", dict({"reason": "seen on the account"}, **more), Idempotency_Key=k)
    refused(settle(key(), fee=-1), 400, "invalid_value", "fee")
    k = key()
    equal((made(settle(k), 200)["state"], balance(w, c)), ("succeeded", 3700))
    equal((settle(k).headers["Idempotency-Replayed"], balance(w, c)), ("true", 3700))
    open_refund = made(w.admin.post("payments/refund", {"paymentId": by_hand["id"], "amount": 300, "reason": "asked"}, Idempotency_Key=key()))
    answer = lambda k, succeeded, who=w.admin: who.post(f"payments/refunds/{open_refund['id']}/settle", {"succeeded": succeeded, "reason": "by telephone"},
                                                      Idempotency_Key=k)
    refused(answer(key(), True, c), 403, "forbidden")
    refused(answer(key(), "yes"), 400, "invalid_value", "succeeded")
    k = key()
    equal((made(answer(k, True), 200)["state"], balance(w, c), w.wallet(c)["CUSTOMER_WALLET"]["held"]), ("succeeded", 3400, 0))
    equal((answer(k, True).headers["Idempotency-Replayed"], made(answer(key(), True), 200)["state"]), ("true", "succeeded"))
    refused(answer(key(), False), 409, "wrong_state")


@test("a gateway's secrets are told once, rotated and ended; nobody else hears of gateways")
def _(w):
    c, g = w.person("customer"), Gateway(w, "standard_webhooks")
    check(g.secret not in w.admin.get("admin/gateways").raw.decode())
    mine = [x for x in w.admin.get("admin/gateways").data["gateways"] if x["name"] == g.name][0]
    check("secret" not in mine, mine)
    old, g.secret = g.secret, made(w.admin.post(f"admin/gateways/{g.name}/secrets", {"keepS": 600}))["secret"]
    equal(g.tell(g.succeeded(made(deposit(c, g)))).data["outcome"], "applied")
    equal(g.tell(g.succeeded(made(deposit(c, g))), secret=old).data["outcome"], "applied")
    secrets = w.admin.get(f"admin/gateways/{g.name}/secrets").data["secrets"]
    equal((len(secrets), g.secret in json.dumps(secrets)), (2, False))
    ending = [s for s in secrets if s["expiresAt"]][0]
    equal(w.admin.call("DELETE", f"admin/gateways/{g.name}/secrets/{ending['secretId']}").status, 200)
    refused(g.tell(g.succeeded(made(deposit(c, g))), secret=old), 401, "invalid_signature")
    for body, field in (({"name": "X Y"}, "name"), ({"dialect": "smoke"}, "dialect"), ({"currencies": []}, "currencies"),
                        ({"currencies": ["XXX"]}, "currencies"), ({"toleranceS": 0}, "toleranceS"), ({"mapping": {"nothing": 1}}, "mapping")):
        refused(w.admin.post("admin/gateways", dict({"name": "g-bad", "dialect": "sorted_query", "currencies": ["EGP"]}, **body)), 400,
                "invalid_value", field)
    refused(w.admin.post("admin/gateways", {"name": g.name, "dialect": "sorted_query", "currencies": ["EGP"]}), 409, "already_exists")
    refused(c.get("admin/gateways"), 403, "forbidden")
    check(old not in w.haild.logged() and g.secret not in w.haild.logged())


@test("limits of deposits are set by administrators, and hold")
def _(w):
    c, g = w.person("customer"), Gateway(w, "standard_webhooks")
    path, limits = "admin/deposit-limits/EGP", {"minimum": 100, "maximum": 5000, "dailyMaximum": 6000}
    try:
        made(w.admin.call("PUT", path, limits), 200)
        equal([x for x in c.get("payments/deposit-limits").data["limits"] if x["currency"] == "EGP"], [dict(limits, currency="EGP")])
        refused(deposit(c, g, 99), 409, "limit_exceeded")
        refused(deposit(c, g, 5001), 409, "limit_exceeded")
        made(deposit(c, g, 5000))
        refused(deposit(c, g, 1001), 409, "limit_exceeded")
        refused(w.admin.call("PUT", path, dict(limits, maximum=1.5)), 400, "invalid_value", "maximum")
        refused(c.call("PUT", path, limits), 403, "forbidden")
    finally:
        made(w.admin.call("PUT", path, {"minimum": 1, "maximum": 2 ** 53 - 1, "dailyMaximum": 2 ** 53 - 1}), 200)
