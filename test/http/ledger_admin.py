"""The books as administrators and analysts see and keep them."""
import threading
import uuid

from bad_input import refused
from harness import check, equal, test
from pricing_admin import sample
from wallet import table


def made(answer, status=201):
    equal(answer.status, status, answer)
    return answer.data


def account(w, kind, owner=None, currency="XTA"):
    w.psql(f"INSERT INTO hail.currencies VALUES ('{currency}', 2, 1) ON CONFLICT DO NOTHING")
    return made(w.admin.post("admin/ledger/accounts", {k: v for k, v in (
        ("kind", kind), ("ownerId", owner and owner.id), ("currency", currency)) if v}), 200)["id"]


def legs(debit, credit, amount):
    return [{"accountId": debit, "direction": "debit", "amount": amount}, {"accountId": credit, "direction": "credit", "amount": amount}]


def post(w, entries, key=None, **body):
    return w.admin.post("admin/ledger/transactions", dict({"kind": "adjustment", "entries": entries}, **body),
                        Idempotency_Key=key or uuid.uuid4().hex)


@test("administrators post and reverse transactions under a key; the same again is told as replayed")
def _(w):
    c = w.person("customer")
    gateway, wallet = account(w, "GATEWAY_CLEARING"), account(w, "CUSTOMER_WALLET", c)
    equal(account(w, "CUSTOMER_WALLET", c), wallet, "opened once")
    entries, note = legs(gateway, wallet, 2 ** 53 - 1), {"metadata": {"why": "goodwill", "ticketNo": 7}}
    first = post(w, entries, key="books-1", **note)
    equal((first.status, first.headers["Idempotency-Replayed"]), (201, None), first)
    equal([(e["accountKind"], e["direction"], e["amount"], e["balanceAfter"]) for e in first.data["entries"]],
          [("GATEWAY_CLEARING", "debit", 2 ** 53 - 1, None), ("CUSTOMER_WALLET", "credit", 2 ** 53 - 1, 2 ** 53 - 1)])
    equal(first.data["metadata"], {"why": "goodwill", "ticketNo": 7})
    again = post(w, entries, key='"books-1"', **note)
    equal((again.status, again.data, again.headers["Idempotency-Replayed"]), (201, first.data, "true"), again)
    refused(post(w, legs(gateway, wallet, 6), key="books-1", **note), 422, "idempotency_mismatch")
    refused(w.admin.post("admin/ledger/transactions", {"kind": "x", "entries": entries}), 400, "idempotency_key_required")
    yesterday = w.psql("SELECT to_char((hail.clock() - interval '1 day') AT TIME ZONE 'UTC', 'YYYY-MM-DD\"T\"HH24:MI:SS\"Z\"')")
    dated = made(post(w, legs(wallet, gateway, 1), key="books-5", effectiveAt=yesterday))
    check(dated["effectiveAt"] < dated["createdAt"], dated)
    made(w.admin.post(f"admin/ledger/transactions/{dated['id']}/reverse", Idempotency_Key="books-6"))
    path = f"admin/ledger/transactions/{first.data['id']}"
    back = w.admin.post(f"{path}/reverse", {"metadata": {"why": "mistake"}}, Idempotency_Key="books-2")
    equal((back.status, back.data["reverses"]), (201, first.data["id"]), back)
    equal(w.admin.post(f"{path}/reverse", {"metadata": {"why": "mistake"}}, Idempotency_Key="books-2").headers["Idempotency-Replayed"], "true")
    refused(w.admin.post(f"{path}/reverse", Idempotency_Key="books-3"), 409, "already_exists")
    refused(w.admin.post(f"admin/ledger/transactions/{uuid.uuid4()}/reverse", Idempotency_Key="books-4"), 404, "not_found")
    equal(made(w.admin.get(path), 200)["reversedBy"], back.data["id"])
    equal(made(w.admin.get(f"admin/ledger/accounts/{wallet}"), 200), {
        "id": wallet, "posted": 0, "held": 0, "available": 0, "asOf": None, "postedAsOf": None})
    past = made(w.admin.get(f"admin/ledger/accounts/{wallet}?at=2020-01-01T00:00:00Z"), 200)
    equal((past["asOf"][:10], past["postedAsOf"]), ("2020-01-01", 0))
    refused(w.admin.get(f"admin/ledger/accounts/{uuid.uuid4()}"), 404, "not_found")


@test("what does not balance, is no amount, or takes what is not there is refused, and nothing changes")
def _(w):
    c = w.person("customer")
    gateway, wallet = account(w, "GATEWAY_CLEARING"), account(w, "CUSTOMER_WALLET", c)
    count = w.psql("SELECT count(*) FROM hail.ledger_transactions")
    good = legs(gateway, wallet, 5)
    for amount in (1.5, "5", 0, -5, 2 ** 53, True, None):
        entries = [good[0], dict(good[1], amount=amount)]
        refused(post(w, entries), 400, "invalid_value", "entries[1].amount")
    refused(w.admin.call("POST", "admin/ledger/transactions", raw='{"kind":"x","entries":[{"amount":1},{"amount":1%s}]}' % ("0" * 30),
                         Content_Type="application/json", Idempotency_Key="k"), 400, "invalid_value", "entries[1].amount")
    refused(post(w, [good[0], dict(good[1], amount=6)]), 409, "unbalanced_transaction")
    refused(post(w, legs(wallet, gateway, 5)), 409, "insufficient_balance")
    refused(post(w, [good[0]]), 400, "invalid_value", "entries")
    refused(post(w, [good[0], dict(good[1], direction="up")]), 400, "invalid_value", "entries[1].direction")
    refused(post(w, [good[0], dict(good[1], note="x")]), 400, "invalid_value", "entries[1].note")
    refused(post(w, [good[0], dict(good[1], accountId="x")]), 400, "invalid_value", "entries[1].accountId")
    equal(post(w, [good[0], dict(good[1], accountId=str(uuid.uuid4()))]).status, 404)
    equal(post(w, [good[0], dict(good[0], direction="credit")]).status, 400)
    other = account(w, "CUSTOMER_WALLET", c, "XTB")
    check(post(w, legs(gateway, other, 5)).status in (400, 409))
    refused(w.admin.post("admin/ledger/accounts", {"kind": "PIGGY_BANK", "currency": "XTA"}), 400, "invalid_value", "kind")
    refused(w.admin.post("admin/ledger/accounts", {"kind": "CUSTOMER_WALLET", "currency": "XTA"}), 400, "invalid_value", "ownerId")
    refused(w.admin.post("admin/ledger/accounts", {"kind": "PROMOTIONS", "currency": "euro"}), 400, "invalid_value", "currency")
    equal(w.psql("SELECT count(*) FROM hail.ledger_transactions"), count)


@test("many transactions are posted at once, all or nothing or each on its own; a repeated key is told in its row")
def _(w):
    gateway, wallet = account(w, "GATEWAY_CLEARING", currency="XTD"), account(w, "CUSTOMER_WALLET", w.person("customer"), "XTD")
    tag = uuid.uuid4().hex

    def batch(amounts, apart=None, **change):
        body = {"transactions": [{"key": f"{tag} {n}", "kind": "adjustment"} for n, _ in enumerate(amounts)],
                "entries": [dict(leg, transaction=n + 1) for n, amount in enumerate(amounts) for leg in legs(gateway, wallet, amount)]}
        return w.admin.post("admin/ledger/transactions/batch", dict(body, **change) if apart is None else dict(body, apart=apart, **change))

    done = made(batch([5, 6, 7]), 200)["results"]
    equal([(r["item"], r["repeated"], r["balances"]) for r in done],
          [(1, False, [None, 5]), (2, False, [None, 11]), (3, False, [None, 18])])
    again = made(batch([5, 6, 7, 8]), 200)["results"]
    equal([(r["transactionId"], r["repeated"]) for r in again][:3], [(r["transactionId"], True) for r in done])
    equal(again[3]["repeated"], False)
    for wrong, field in ((1.5, "entries[1].amount"), ("5", "entries[1].amount"), (0, "entries[1].amount")):
        entries = legs(gateway, wallet, 5)
        refused(batch([5], entries=[dict(entries[0], transaction=1), dict(entries[1], transaction=1, amount=wrong)]), 400, "invalid_value", field)
    refused(batch([5], transactions=[{"kind": "x"}]), 400, "invalid_value", "transactions[0].key")
    refused(batch([5], transactions=[]), 400, "invalid_value", "transactions")
    tag = uuid.uuid4().hex
    out = [dict(leg, transaction=n) for n, pair in ((1, legs(gateway, wallet, 1)), (2, legs(wallet, gateway, 10 ** 9))) for leg in pair]
    refused(batch([1, 1], entries=out), 409, "insufficient_balance")
    equal(made(w.admin.get(f"admin/ledger/accounts/{wallet}"), 200)["posted"], 26)
    rows = table(w.admin.post("admin/ledger/transactions/batch?format=csv", {
        "transactions": [{"key": f"{tag} {n}", "kind": "x"} for n in (1, 2)], "entries": out, "apart": True}))
    equal([(r["item"], r["error"]) for r in rows], [("1", ""), ("2", "insufficient_balance")])
    equal(made(w.admin.get(f"admin/ledger/accounts/{wallet}"), 200)["posted"], 27)


@test("eight posts with one key at once make one transaction")
def _(w):
    gateway, wallet = account(w, "GATEWAY_CLEARING"), account(w, "CUSTOMER_WALLET", w.person("customer"))
    answers = []
    threads = [threading.Thread(target=lambda: answers.append(post(w, legs(gateway, wallet, 5), key="books-at-once"))) for _ in range(8)]
    [t.start() for t in threads], [t.join() for t in threads]
    done = [a for a in answers if a.status == 201]
    equal({(a.status, a.error["code"]) for a in answers if a not in done} - {(409, "in_flight")}, set())
    equal(len({a.data["id"] for a in done}), 1)
    equal(len([a for a in done if a.headers["Idempotency-Replayed"] is None]), 1)
    equal(made(w.admin.get(f"admin/ledger/accounts/{wallet}"), 200)["posted"], 5)


@test("accounts and transactions are read in pages, as JSON and CSV; texts that could be formulas are disarmed")
def _(w):
    c = w.person("customer")
    gateway, wallet = account(w, "GATEWAY_CLEARING", currency="XTC"), account(w, "CUSTOMER_WALLET", c, "XTC")
    nasty = ["=1+1", "+1", "-1", "@x", "plain", 'say "hi", you', "two\nlines", "tab\t", "\t=x", "é€😀", " edge "]
    for text in nasty:
        made(post(w, legs(gateway, wallet, 10), referenceType="ticket", metadata={"note": text}))
    analyst = w.person("analyst")
    listed = analyst.get(f"admin/ledger/transactions?accountId={wallet}&limit=100").data
    equal([t["metadata"]["note"] for t in listed["transactions"]], nasty[::-1])
    rows, path = [], f"/api/v1/admin/ledger/transactions?accountId={wallet}&limit=4&format=csv"
    while path:
        answer = w.call("GET", path, token=analyst.token)
        rows += table(answer)
        path = answer.headers["Link"] and answer.headers["Link"].split(">")[0][1:]
    equal([(r["id"], r["referenceType"]) for r in rows], [(t["id"], "ticket") for t in listed["transactions"]])
    accounts = table(analyst.get("admin/ledger/accounts?currency=XTC", Accept="text/csv"))
    equal([(a["kind"], a["posted"], a["ownerId"]) for a in accounts],
          [("GATEWAY_CLEARING", str(-10 * len(nasty)), ""), ("CUSTOMER_WALLET", str(10 * len(nasty)), c.id)])
    equal(len(analyst.get(f"admin/ledger/accounts?ownerId={c.id}&limit=1").data["accounts"]), 1)
    for text in nasty:
        made(post(w, legs(gateway, wallet, 10), kind="k", referenceType=text) if "\n" not in text and "\t" not in text else
             post(w, legs(gateway, wallet, 10)))
    shown = [r["referenceType"] for r in table(analyst.get(f"admin/ledger/transactions?accountId={wallet}&kind=k&format=csv&limit=100"))]
    guarded = lambda t: "'" + t if t[0] in "=+-@" else t
    equal(shown, [guarded(t) for t in nasty[::-1] if "\n" not in t and "\t" not in t])
    refused(analyst.get("admin/ledger/accounts?kind=NONE"), 400, "invalid_value", "kind")
    refused(analyst.get("admin/ledger/transactions?from=yesterday"), 400, "invalid_value", "from")


@test("the books of a day are compared with everything; no finding is an empty list")
def _(w):
    day = w.psql("SELECT (hail.clock() AT TIME ZONE 'UTC')::date")
    for event in w.admin.get("admin/gateway-events?unresolved=true&limit=100").data["events"]:  # what other tests have left to look at
        equal([(f["checkName"], f["subject"]) for f in w.admin.get(f"admin/ledger/reconcile?day={day}").data["findings"]
               if f["subject"].endswith(event["eventId"])], [("gateway_event_" + event["outcome"], f"{event['gateway']} {event['eventId']}")])
        made(w.admin.post("admin/gateway-events/resolve", {"gateway": event["gateway"], "eventId": event["eventId"], "note": "a test's"}), 200)
    equal(made(w.admin.get(f"admin/ledger/reconcile?day={day}"), 200)["findings"], [])
    check(w.admin.get(f"admin/ledger/reconcile?day={day}&format=csv").raw.startswith(b"checkName,subject,expected,actual\r\n"))
    for bad in ("", "2030-02-30", "2030-1-1", "today", "2030-01-01T00:00:00Z", "20300101", "0000-01-01"):
        for report in ("reconcile", "trial-balance"):
            refused(w.admin.get(f"admin/ledger/{report}?day={bad}"), 400, "invalid_value", "day")
    refused(w.admin.get("admin/ledger/reconcile"), 400, "invalid_value", "day")
    equal(made(w.admin.get("admin/ledger/reconcile-all"), 200)["findings"], [])
    analyst = w.person("analyst")
    for of in (analyst.get(f"admin/ledger/trial-balance?day={day}").data["balances"],
               table(analyst.get(f"admin/ledger/trial-balance?day={day}&format=csv"))):
        by_currency = {}
        for row in of:
            opening, closing = by_currency.get(row["currency"], (0, 0))
            by_currency[row["currency"]] = opening + int(row["opening"]), closing + int(row["closing"])
            equal(int(row["closing"]), int(row["opening"]) + int(row["credits"]) - int(row["debits"]))
        check("XTA" in by_currency and set(by_currency.values()) == {(0, 0)}, by_currency)
    report = analyst.get(f"admin/ledger/daily-report?day={day}").data["lines"]
    equal({(l["currency"], l["item"]): l["number"] for l in report if l["section"] == "transactions" and l["currency"] == "XTC"},
          {("XTC", "adjustment"): 14, ("XTC", "k"): 8})
    equal(analyst.get("admin/ledger/chain").data["broken"], [])
    account = w.admin.get("admin/ledger/accounts?currency=XTC").data["accounts"][0]["id"]
    equal(analyst.get(f"admin/ledger/accounts/{account}/chain").data["broken"], [])
    templates = analyst.get("admin/ledger/templates").data["templates"]
    check({"trip_fare_wallet"} <= {t["template"] for t in templates}, templates)
    equal(w.customer().get("admin/ledger/templates").status, 403)


@test("a day that is over is closed once, in the order of days")
def _(w):
    day = w.psql("SELECT min(e.created_at AT TIME ZONE 'UTC')::date FROM hail.ledger_entries e")
    today = w.psql("SELECT (hail.clock() AT TIME ZONE 'UTC')::date")
    refused(w.admin.post("admin/ledger/closes", {"day": today}), 409, "wrong_state", "day")
    for bad in ("today", "2030-02-30", 20300101, None):
        refused(w.admin.post("admin/ledger/closes", {"day": bad}), 400, "invalid_value", "day")
    w.psql("SELECT hail.advance_clock('25 hours')")
    first = made(w.admin.post("admin/ledger/closes", {"day": day}), 200)
    equal((first["day"], made(w.admin.post("admin/ledger/closes", {"day": day}), 200)), (day, first))
    equal([c["day"] for c in w.admin.get(f"admin/ledger/closes?from={day}&to={day}").data["closes"]], [day])
    equal(table(w.person("analyst").get("admin/ledger/closes?format=csv"))[0]["transactions"], str(first["transactions"]))
    refused(w.admin.get("admin/ledger/closes?from=2030-02-30"), 400, "invalid_value", "from")
    refused(w.person("analyst").post("admin/ledger/closes", {"day": today}), 403, "forbidden")


MONEY = ("/wallet", "/earnings", "/payments", "/withdrawals", "/admin/ledger", "/admin/gateways", "/admin/fraud", "/admin/promotions", "/tip",
         "/tolls", "/promotion")


# POSTs that move no money, or that find what there is when sent again.
KEYLESS = ("/batch", "/verify", "/promotion", "/promotions", "/calculate", "/accounts", "/closes", "/gateways", "/secrets", "/resolve", "/decide",
           "/statements")


@test("each endpoint of money answers its roles, and 403 or 404 to others, 401 to nobody")
def _(w):
    people = {role: w.person(role) for role in ("customer", "driver", "partner", "analyst")}
    people["admin"] = w.admin
    document = w.call("GET", "/openapi.json").json
    seen = 0
    for path, methods in document["paths"].items():
        if not any(m in path for m in MONEY):
            continue
        for method, operation in methods.items():
            seen += 1
            parts = ["JPY" if p == "{currency}" else "xxx" if p in ("{gateway}", "{name}", "{code}") else str(uuid.uuid4()) if p.startswith("{") else p for p in path.split("/")]
            query = "&".join(f"{p['name']}={example(p['schema'])}" for p in operation["parameters"] if p["in"] == "query" and p["required"])
            headers = {"Idempotency_Key": uuid.uuid4().hex} if any(p["name"] == "Idempotency-Key" for p in operation["parameters"]) else {}
            content = operation.get("requestBody", {}).get("content", {})
            url, body = f"{'/'.join(parts)}?{query}", None
            if "application/json" in content:
                body = sample(content["application/json"]["schema"])
            elif content:
                headers.update(raw="a,b\r\n", Content_Type=next(iter(content)))
            if "x-roles" not in operation:
                equal(w.call(method.upper(), url, body, **headers).status, 401, "signed, not by a token", method, path)
                continue
            equal(w.call(method.upper(), url, body, **headers).status, 401, method, path)
            for role, person in people.items():
                answer = person.call(method.upper(), url, body, **headers)
                allowed = role in operation["x-roles"].split()
                check(answer.status < 500, role, method, path, answer)
                check(allowed or answer.status in (403, 404), role, method, path, answer)
                check(not allowed or answer.status != 403 or "{" in path, role, method, path, answer)
            if method == "post" and not any(path.endswith(end) for end in KEYLESS):
                check("Idempotency_Key" in headers, "moves money without a key?", method, path)
                who = people[operation["x-roles"].split()[0]]
                refused(who.call("POST", url, body), 400, "idempotency_key_required")
    check(seen >= 12, seen)


def example(schema):
    formats = {"date": "2030-01-01", "date-time": "2030-01-01T00:00:00Z", "uuid": str(uuid.uuid4())}
    return schema.get("enum", [formats.get(schema.get("format"), "XTA")])[0] if schema["type"] == "string" else 1
