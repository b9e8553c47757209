"""Drivers take their money out: asked for, held, decided, paid; each step under a key, each once."""
import threading
import uuid

from bad_input import refused
from harness import check, equal, test
from wallet import table

BANK = {"type": "bank_account", "account": "EG38 0019 0005 0000 0000 2631 8000 2", "holder": "D. Driver", "bank": "Test Bank"}


def key():
    return uuid.uuid4().hex


def made(answer, status=201):
    equal(answer.status, status, answer)
    return answer.data


def earn(w, driver, amount):
    w.psql(f"""SELECT hail.post_transaction('adjustment', ARRAY[ROW(g.id, 'debit', {amount}), ROW(d.id, 'credit', {amount})]::hail.entry_input[],
        '{key()}') FROM hail.accounts g, hail.accounts d WHERE g.kind = 'GATEWAY_CLEARING' AND g.currency = 'EGP'
        AND d.owner_id = '{driver.id}' AND d.currency = 'EGP'""")


def ask(driver, amount=1000, k=None, **change):
    return driver.post("earnings/withdraw", dict({"amount": amount, "currency": "EGP", "destination": BANK}, **change), Idempotency_Key=k or key())


def decide(person, id, word, k=None, **body):
    return person.post(f"withdrawals/{id}/{word}", body, Idempotency_Key=k or key())


def money(w, driver):
    wallet = w.wallet(driver)["DRIVER_WALLET"]
    return wallet["posted"], wallet["held"], wallet["available"]


@test("a driver withdraws: held at once, approved by an administrator, settled; a repeat is told as one")
def _(w):
    with w.driver(online=False) as d:
        earn(w, d, 5000)
        first = ask(d, 2000, k="out-1-" + d.id)
        row = made(first)
        equal((row["state"], row["amount"], row["currency"], row["destination"]), ("requested", 2000, "EGP", "bank_account ****0002"))
        equal(first.headers["Idempotency-Replayed"], None)
        equal(set(row) & {"idempotencyKey", "requestedBy", "decidedBy", "eventVersion"}, set())
        equal(money(w, d), (5000, 2000, 3000))
        again = ask(d, 2000, k="out-1-" + d.id)
        equal((again.status, again.data["id"], again.headers["Idempotency-Replayed"]), (201, row["id"], "true"))
        refused(ask(d, 2001, k="out-1-" + d.id), 422, "idempotency_mismatch")
        approved = decide(w.admin, row["id"], "approve", k="yes-" + row["id"])
        equal((made(approved, 200)["state"], approved.headers["Idempotency-Replayed"]), ("approved", None))
        equal(money(w, d), (3000, 0, 3000))
        settled = decide(w.admin, row["id"], "settle", payoutReference="PAY-" + row["id"])
        equal(made(settled, 200)["state"], "settled")
        late = decide(w.admin, row["id"], "approve", k="yes-" + row["id"])
        equal((late.status, late.data["state"], late.headers["Idempotency-Replayed"]), (200, "settled", "true"), "a repeat tells how it stands")
        refused(decide(w.admin, row["id"], "reject", k="yes-" + row["id"], reason="no"), 422, "idempotency_mismatch")
        refused(decide(w.admin, row["id"], "reject", reason="no"), 409, "wrong_state")
        equal(d.get(f"withdrawals/{row['id']}").data["state"], "settled")


@test("rejected, cancelled, failed and returned withdrawals give the money back")
def _(w):
    with w.driver(online=False) as d:
        earn(w, d, 5000)
        no = made(ask(d, 1000))["id"]
        equal(made(decide(w.admin, no, "reject", reason="=HYPERLINK(1)"), 200)["reason"], "=HYPERLINK(1)")
        off = made(ask(d, 1000))["id"]
        equal(made(decide(d, off, "cancel"), 200)["state"], "cancelled")
        bad = made(ask(d, 1000))["id"]
        refused(decide(w.admin, bad, "settle", payoutReference="x"), 409, "wrong_state")
        made(decide(w.admin, bad, "approve"), 200)
        refused(decide(d, bad, "cancel"), 409, "wrong_state")
        equal(made(decide(w.admin, bad, "fail", reason="account closed"), 200)["state"], "failed")
        back = made(ask(d, 1000))["id"]
        made(decide(w.admin, back, "approve"), 200), made(decide(w.admin, back, "settle", payoutReference="R-" + back), 200)
        equal(made(decide(w.admin, back, "return", reason="bounced"), 200)["state"], "returned")
        equal(money(w, d), (5000, 0, 5000))
        listed = d.get("withdrawals?state=rejected,failed&limit=1")
        equal(([x["id"] for x in listed.data["withdrawals"]], listed.data["hasMore"]), ([bad], True))
        rows = {r["id"]: r for r in table(d.get("withdrawals", Accept="text/csv"))}
        equal({i: r["state"] for i, r in rows.items()}, {no: "rejected", off: "cancelled", bad: "failed", back: "returned"})
        equal(rows[no]["reason"], "'=HYPERLINK(1)")
        equal(len(made(w.admin.get(f"withdrawals?userId={d.id}&limit=100"), 200)["withdrawals"]), 4)
        refused(d.get("withdrawals?state=lost"), 400, "invalid_value", "state")


@test("wrong withdrawals are refused by field and hold nothing")
def _(w):
    with w.driver(online=False) as d:
        earn(w, d, 5000)
        for amount in (0, -1, 1.5, "100", None, True, 2 ** 53):
            refused(ask(d, amount), 400, "invalid_value", "amount")
        refused(ask(d, 5001), 409, "insufficient_balance")
        refused(ask(d, currency="XXX"), 400, "invalid_value", "currency")
        refused(ask(d, currency="EURO"), 400, "invalid_value", "currency")
        refused(ask(d, destination=None), 400, "invalid_value", "destination.type", "destination.account", "destination.holder")
        refused(ask(d, destination=dict(BANK, type="cash")), 400, "invalid_value", "destination.type")
        refused(ask(d, destination=dict(BANK, account="12 34!56")), 400, "invalid_value", "destination.account")
        refused(ask(d, destination=dict(BANK, iban="x")), 400, "invalid_value", "destination.iban")
        refused(ask(d, fee=0), 400, "invalid_value", "fee")
        refused(d.post("earnings/withdraw", {"amount": 1, "currency": "EGP", "destination": BANK}), 400, "idempotency_key_required")
        equal(money(w, d), (5000, 0, 5000))
        equal(d.get("withdrawals").data["withdrawals"], [])


@test("another's withdrawal is not there; who asked does not approve; the full destination is told to administrators alone")
def _(w):
    with w.driver(online=False) as d, w.driver(online=False) as other:
        earn(w, d, 5000)
        id = made(ask(d))["id"]
        for person in (other,):
            refused(person.get(f"withdrawals/{id}"), 404, "not_found")
            refused(decide(person, id, "cancel"), 404, "not_found")
            refused(person.get(f"withdrawals?userId={d.id}"), 403, "forbidden")
        for word, body in (("approve", {}), ("reject", {"reason": "x"}), ("settle", {"payoutReference": "x"}), ("fail", {"reason": "x"})):
            refused(decide(d, id, word, **body), 403, "forbidden")
        refused(decide(w.admin, str(uuid.uuid4()), "approve"), 404, "not_found")
        refused(d.get(f"withdrawals/{id}/destination"), 403, "forbidden")
        equal(made(w.admin.get(f"withdrawals/{id}/destination"), 200), BANK)
        check("0000 2631" not in d.get(f"withdrawals/{id}").raw.decode() + w.admin.get(f"withdrawals/{id}").raw.decode())
        refused(w.customer().post("earnings/withdraw", {"amount": 1, "currency": "EGP", "destination": BANK}, Idempotency_Key=key()), 403, "forbidden")
        own = made(ask(w.admin, userId=d.id))["id"]
        refused(decide(w.admin, own, "approve"), 403, "forbidden")
        refused(ask(other, userId=d.id), 403, "forbidden")
        check(BANK["account"] not in w.haild.logged() and "8000 2" not in w.haild.logged())


@test("eight requests with one key at once hold once; of eight over the whole balance one goes through")
def _(w):
    with w.driver(online=False) as d:
        earn(w, d, 1000)

        def at_once(keys):
            answers = []
            threads = [threading.Thread(target=lambda k=k: answers.append(ask(d, 1000, k=k))) for k in keys]
            [t.start() for t in threads], [t.join() for t in threads]
            return answers

        answers = at_once([key()] * 8)
        done = [a for a in answers if a.status == 201]
        equal({(a.status, a.error["code"]) for a in answers if a.status != 201} - {(409, "in_flight")}, set())
        equal((len({a.data["id"] for a in done}), money(w, d)), (1, (1000, 1000, 0)))
        made(decide(d, done[0].data["id"], "cancel"), 200)
        answers = at_once([key() for _ in range(8)])
        equal(sorted((a.status, a.json.get("error", {}).get("code")) for a in answers),
              [(201, None)] + [(409, "insufficient_balance")] * 7)
        equal(money(w, d), (1000, 1000, 0))


@test("rules of withdrawals are set by administrators and read by those they hold for")
def _(w):
    path = "withdrawals/rules/EGP"
    rules = {"minimum": 500, "maximum": 2000, "dailyNumber": 2, "fee": 10, "reviewAbove": 600}
    try:
        set = made(w.admin.call("PUT", path, rules), 200)
        equal({k: set[k] for k in rules}, rules)
        with w.driver(online=False) as d:
            earn(w, d, 9000)
            told = [r for r in d.get("withdrawals/rules").data["rules"] if r["currency"] == "EGP"]
            equal(told[0]["fee"], 10)
            for amount in (499, 2001):
                refused(ask(d, amount), 409, "limit_exceeded")
            equal(made(ask(d, 600))["state"], "approved", "up to reviewAbove nobody is asked")
            equal(made(ask(d, 700))["state"], "requested")
            refused(ask(d, 600), 409, "limit_exceeded")
            refused(d.call("PUT", path, rules), 403, "forbidden")
        for name, value in (("minimum", 0), ("maximum", 1.5), ("fee", -1), ("dailyNumber", "2"), ("reviewAbove", 2 ** 53)):
            refused(w.admin.call("PUT", path, dict(rules, **{name: value})), 400, "invalid_value", name)
        refused(w.admin.call("PUT", "withdrawals/rules/XXX", rules), 400, "invalid_value", "currency")
    finally:
        w.admin.call("PUT", path, {})
