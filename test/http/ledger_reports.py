"""Reports of days, the hash chain, statements of gateways, and earnings in parts."""
import uuid

from bad_input import refused
from harness import check, equal, test
from wallet import table

HEADER = "reference,type,amount,fee,currency,time\r\n"


def key():
    return uuid.uuid4().hex


def made(answer, status=201):
    equal(answer.status, status, answer)
    return answer.data


def upload(person, text, path="admin/gateways/files/statements", **headers):
    return person.call("POST", path, raw=text, **dict({"Content_Type": "text/csv"}, **headers))


@test("a gateway's statement is loaded once, malformed lines apart; differences are shown and decided once")
def _(w):
    made(w.admin.post("admin/gateways", {"name": "files", "dialect": "standard_webhooks", "currencies": ["EGP"], "priority": 900}))
    text = HEADER + "F-1,payment,10.00,0.25,EGP,2030-01-01T10:00:00Z\r\nF-2,payment,ten,0,EGP,2030-01-01T10:00:00Z\r\n" \
                    "F-3,fee,1.50,0,EGP,2030-01-01T11:00:00Z\r\n\"F-4,payment,1,0,EGP,2030-01-01T11:00:00Z\r\n"
    first = upload(w.admin, text, path="admin/gateways/files/statements?name=january.csv")
    row = made(first)
    equal((row["loaded"], row["duplicates"], row["faults"], first.headers["Idempotency-Replayed"]), (2, 0, 2, None), row)
    again = upload(w.admin, text)
    equal((made(again)["id"], again.headers["Idempotency-Replayed"]), (row["id"], "true"))
    path = f"admin/gateway-statements/{row['id']}"
    equal([f["line"] for f in made(w.admin.get(path + "/faults"), 200)["faults"]], [3, 5])
    equal(len(table(w.admin.get(path + "/faults?format=csv"))), 2)
    findings = made(w.admin.get(path + "/match"), 200)["findings"]
    equal([(f["finding"], f["type"], f["reference"], f["atGateway"], f["inLedger"]) for f in findings],
          [("not_in_ledger", "payment", "F-1", 1000, None), ("to_be_posted", "fee", "F-3", 150, None)])
    equal([(f["finding"], f["decision"]) for f in table(w.admin.get(path + "/match?matched=true&format=csv"))],
          [("not_in_ledger", ""), ("to_be_posted", "")])
    equal([(t["type"], t["difference"]) for t in made(w.admin.get(path + "/totals"), 200)["totals"]], [("fee", -150), ("payment", 975)])
    fee = {"finding": "to_be_posted", "type": "fee", "reference": "F-3", "currency": "EGP", "note": "monthly fee", "adjustment": -150}
    decide = lambda k, who=w.admin, **change: who.post(path + "/decide", dict(fee, **change), Idempotency_Key=k)
    refused(w.admin.post(path + "/decide", fee), 400, "idempotency_key_required")
    refused(decide(key(), finding="matched"), 400, "invalid_value", "finding")
    refused(decide(key(), adjustment=-1.5), 400, "invalid_value", "adjustment")
    refused(decide(key(), reference="F-9"), 404, "not_found")
    k = key()
    done = made(decide(k), 200)
    check(done["transactionId"], done)
    same = decide(k)
    equal((made(same, 200), same.headers["Idempotency-Replayed"]), (done, "true"))
    refused(decide(k, adjustment=-149), 422, "idempotency_mismatch")
    refused(decide(key(), adjustment=-149), 409, "already_exists")
    made(decide(key(), finding="not_in_ledger", type="payment", reference="F-1", note="another shop's", adjustment=0), 200)
    equal([s["name"] for s in made(w.admin.get("admin/gateways/files/statements"), 200)["statements"]], ["january.csv"])
    refused(upload(w.admin, "a,b\r\n1,2\r\n"), 400, "invalid_value")
    refused(upload(w.admin, ""), 400, "invalid_value", "csv")
    refused(upload(w.admin, text, Content_Type="application/json"), 415, "unsupported_media_type")
    refused(upload(w.admin, text, path="admin/gateways/none/statements"), 404, "not_found", "gateway")
    refused(w.admin.get(f"admin/gateway-statements/{uuid.uuid4()}/match"), 404, "not_found")
    for person in (w.customer(), w.person("analyst")):
        refused(upload(person, text), 403, "forbidden")
        refused(person.get(path + "/match"), 403, "forbidden")
        refused(decide(key(), who=person), 403, "forbidden")


@test("the report of a day and the hash chain are for administrators and analysts")
def _(w):
    day = w.psql("SELECT (hail.clock() AT TIME ZONE 'UTC')::date")
    for person in (w.admin, w.person("analyst")):
        lines = made(person.get(f"admin/ledger/daily-report?day={day}"), 200)["lines"]
        check(lines and set(lines[0]) == {"currency", "section", "item", "number", "amount"}, lines[:1])
        equal(len(table(person.get(f"admin/ledger/daily-report?day={day}&format=csv"))), len(lines))
        equal(made(person.get("admin/ledger/chain"), 200)["broken"], [])
        account = w.psql("SELECT id FROM hail.accounts ORDER BY id LIMIT 1")
        equal(made(person.get(f"admin/ledger/accounts/{account}/chain"), 200)["broken"], [])
    refused(w.admin.get("admin/ledger/daily-report"), 400, "invalid_value", "day")
    refused(w.admin.get(f"admin/ledger/accounts/{uuid.uuid4()}/chain"), 404, "not_found")
    for path in (f"admin/ledger/daily-report?day={day}", "admin/ledger/chain", f"admin/ledger/accounts/{account}/chain"):
        refused(w.customer().get(path), 403, "forbidden")


@test("earnings by day and by trip add up to the whole; what a price would earn is told by class")
def _(w):
    c = w.customer(funds=100000)
    with w.driver() as d:
        trip = w.matched_trip(c, d, method="wallet")
        for status in ({"status": "arrived"}, {"status": "started", "pickupCode": trip["pickupCode"]}, {"status": "completed"}):
            equal(d.post(f"trips/{trip['id']}/status", status).status, 200)
        path = f"earnings/driver/{d.id}"
        whole = made(d.get(path), 200)["earnings"][0]
        by_trip = made(d.get(path + "/parts?per=trip"), 200)["parts"]
        equal(by_trip, [dict(whole, part=trip["id"])])
        by_day = made(d.get(path + "/parts"), 200)["parts"]
        equal([(p["gross"], len(p["part"])) for p in by_day], [(whole["gross"], 10)])
        equal([p["part"] for p in table(d.get(path + "/parts?format=csv"))], [by_day[0]["part"]])
        refused(d.get(path + "/parts?per=week"), 400, "invalid_value", "per")
        of = made(d.get(path + "/of-price?price=10000"), 200)["classes"]
        check(of and all(o["gross"] == 10000 and o["commission"] + o["net"] == 10000 and o["serviceClass"] for o in of), of)
        for bad in ("1.5", "-1", "1e3", ""):
            refused(d.get(path + f"/of-price?price={bad}"), 400, "invalid_value", "price")
        refused(d.get(path + "/of-price?price=1&serviceClass=spaceship"), 400, "unknown_class")
        with w.driver() as other:
            for word in ("parts", "of-price?price=1"):
                refused(other.get(f"{path}/{word}"), 403, "forbidden")
        refused(c.get(path + "/parts"), 403, "forbidden")


@test("payers do not see what the gateway takes; a key of another use of the trip is no repeat")
def _(w):
    c = w.customer()
    paid = made(c.post("payments/initiate", {"amount": 900, "currency": "EGP", "gateway": "files"}, Idempotency_Key=key()))
    settled = made(w.admin.post(f"payments/intents/{paid['id']}/settle", {"reason": "by bank", "fee": 7}, Idempotency_Key=key()), 200)
    equal(settled["fee"], 7)
    for seen in (c.get(f"payments/intents/{paid['id']}").data, c.get("payments").data["payments"][0],
                 c.post("payments/verify", {"paymentId": paid["id"]}).data):
        equal((seen["state"], set(seen) & {"fee", "settledBy"}), ("succeeded", set()), seen)
    with w.driver() as d:
        c = w.customer(funds=100000)
        trip = w.matched_trip(c, d, method="wallet")
        for status in ({"status": "arrived"}, {"status": "started", "pickupCode": trip["pickupCode"]}):
            equal(d.post(f"trips/{trip['id']}/status", status).status, 200)
        made(d.post(f"trips/{trip['id']}/tolls", {"amount": 10, "reason": "bridge"}, Idempotency_Key="one-key"))
        equal(d.post(f"trips/{trip['id']}/status", {"status": "completed"}).status, 200)
        tip = lambda: c.post(f"trips/{trip['id']}/tip", {"amount": 10}, Idempotency_Key="one-key")
        equal([(a.status, a.headers["Idempotency-Replayed"]) for a in (tip(), tip())], [(201, None), (201, "true")])
