"""Wallets, earnings, and the forms that money takes over HTTP: integers in JSON, lists as text/csv."""
import csv
import io
import uuid

from bad_input import refused
from harness import check, equal, test


def table(answer):
    """The rows of a text/csv answer, by name of column."""
    equal(answer.headers["Content-Type"], "text/csv; charset=utf-8; header=present", answer)
    text = answer.raw.decode()
    check(text.endswith("\r\n") and "\n" not in text.replace("\r\n", ""), text)
    return list(csv.DictReader(io.StringIO(text, newline=""), strict=True))


@test("amounts are integers: fractions, exponents, text and what no program can count are refused by name")
def _(w):
    path = f"trips/{uuid.uuid4()}/bids"
    with w.driver(online=False) as d:
        for amount in ("1.5", "1.0", "1e3", '"100"', "-1", "0", "true", "[1]", "9007199254740993", str(2 ** 63), str(-2 ** 70),
                       "123456789012345678901234567890"):
            answer = d.call("POST", path, raw='{"note":"a \\"quoted\\" [note","amount":%s}' % amount,
                            Content_Type="application/json")
            refused(answer, 400, "invalid_value", "amount")
        refused(d.call("POST", path, raw='{"amount":1e999}', Content_Type="application/json"), 400, "invalid_json")
        refused(d.post(path, {"amount": 10 ** 15}), 404, "not_found")
    big = lambda raw: w.admin.call("POST", "location/batch-update", raw=raw, Content_Type="application/json")
    n = "9" * 30
    refused(big('{"a":{"b":[1,"x",{"c":2,"d":%s}]}}' % n), 400, "invalid_value", "a.b[2].d")
    refused(big('{"a":[[],{"b":1},%s]}' % n), 400, "invalid_value", "a[2]")
    refused(big('{"a":{"b":1},"c":%s}' % n), 400, "invalid_value", "c")
    refused(big('{"%s":%s}' % ("x" * 300, n)), 400, "invalid_json")
    refused(big(n), 400, "invalid_json")


@test("a list is CSV when Accept or ?format says so; what is wrong stays JSON")
def _(w):
    c = w.customer(funds=100000)
    with w.driver() as d:
        trip = w.matched_trip(c, d, method="wallet")
        for status in ({"status": "arrived"}, {"status": "started", "pickupCode": trip["pickupCode"]}, {"status": "completed"}):
            equal(d.post(f"trips/{trip['id']}/status", status).status, 200)
        path = f"earnings/driver/{d.id}"
        row = d.get(path).data["earnings"][0]
        for answer in (d.get(path, Accept="text/csv"), d.get(path + "?format=csv"), d.get(path, Accept="text/csv, */*;q=0.1"),
                       d.get(path + "?format=csv", Accept="application/json")):
            equal(answer.status, 200)
            equal(table(answer), [{k: str(v) for k, v in row.items()}])
            equal(answer.headers["Content-Disposition"], 'attachment; filename="earnings.csv"')
            check("Accept" in answer.headers["Vary"], answer.headers)
        for answer in (d.get(path, Accept="*/*"), d.get(path, Accept="text/csv;q=0.5, application/json"),
                       d.get(path + "?format=json", Accept="text/csv")):
            equal(answer.data["earnings"], [row])
        empty = d.get(path + "?format=csv&to=2020-01-01T00:00:00Z")
        equal(empty.raw, b"currency,trips,gross,commission,net,tolls,promotions,tips,cancellationFees,refunds,adjustments,"
              b"cashCollected,withdrawn,withdrawalFees,deposited,walletChange\r\n")
        head = d.call("HEAD", path + "?format=csv")
        equal((head.status, head.raw, head.headers["Content-Type"][:8]), (200, b"", "text/csv"))
        refused(d.get(path + "?format=xml"), 400, "invalid_value", "format")
        refused(d.get("wallet?format=csv&x=1"), 400, "invalid_value", "x")
        refused(d.get(f"earnings/driver/{w.admin.id}", Accept="text/csv"), 403, "forbidden")
        refused(d.get("auth/profile?format=csv"), 400, "invalid_value", "format")


@test("a user reads what moved its wallet and what is reserved on it, in pages, and nothing of others")
def _(w):
    c, other = w.customer(funds=50000), w.customer(funds=777)
    with w.driver() as d:
        trip = w.matched_trip(c, d, method="wallet")
        holds = c.get("wallet/holds").data["holds"]
        equal([(h["amount"], h["currency"], h["referenceId"]) for h in holds],
              [(w.wallet(c)["CUSTOMER_WALLET"]["held"], "EGP", trip["id"])])
        equal(other.get("wallet/holds").data["holds"], [])
        for status in ({"status": "arrived"}, {"status": "started", "pickupCode": trip["pickupCode"]}, {"status": "completed"}):
            equal(d.post(f"trips/{trip['id']}/status", status).status, 200)
        equal(c.get("wallet/holds").data["holds"], [])
        page = c.get("wallet/transactions?limit=1")
        fare = page.data["transactions"][0]
        equal((fare["amount"], fare["referenceId"], fare["balanceAfter"]), (-trip["price"], trip["id"], 50000 - trip["price"]))
        equal(set(fare), {"transactionId", "accountId", "kind", "amount", "currency", "balanceAfter", "referenceType",
                          "referenceId", "effectiveAt", "createdAt"})
        check(page.data["hasMore"] and 'rel="next"' in page.headers["Link"], page.headers)
        rest = w.call("GET", page.headers["Link"].split(">")[0][1:], token=c.token)
        equal([(t["kind"], t["amount"], t["balanceAfter"]) for t in rest.data["transactions"]], [("DEPOSIT", 50000, 50000)])
        equal((rest.data["hasMore"], rest.headers["Link"]), (False, None))
        cursor = page.data["nextCursor"]
        refused(other.get(f"wallet/transactions?limit=1&cursor={cursor}"), 400, "invalid_value", "cursor")
        refused(c.get(f"wallet/transactions?kind=DEPOSIT&cursor={cursor}"), 400, "invalid_value", "cursor")
        earned = d.get("wallet/transactions?format=csv&limit=10000")
        equal([(r["amount"], r["currency"]) for r in table(earned)], [(str(w.wallet(d)["DRIVER_WALLET"]["posted"]), "EGP")])
        refused(d.get("wallet/transactions?limit=101"), 400, "invalid_value", "limit")
        refused(d.get("wallet/transactions?limit=10001&format=csv"), 400, "invalid_value", "limit")
    first = c.get("wallet/transactions?limit=1&format=csv", Accept="application/json")
    equal([r["transactionId"] for r in table(first)], [fare["transactionId"]])
    check("format=csv&cursor=" in first.headers["Link"], first.headers)
    account = w.wallet(c)["CUSTOMER_WALLET"]["accountId"]
    statement = c.get(f"wallet/statement?accountId={account}")
    equal([(l["amount"], l["balance"]) for l in statement.data["lines"]], [(50000, 50000), (-trip["price"], 50000 - trip["price"])])
    lines = table(c.get(f"wallet/statement?accountId={account}&limit=1&format=csv"))
    equal([(l["amount"], l["currency"]) for l in lines], [("50000", "EGP")])
    totals = c.get("wallet/statement/totals?from=2020-01-01T00:00:00Z").data["accounts"][0]
    equal((totals["openingBalance"], totals["credited"], totals["debited"], totals["closingBalance"]),
          (0, 50000, trip["price"], 50000 - trip["price"]))
    for answer in (other.get(f"wallet/statement?accountId={account}"), other.get(f"wallet/statement?accountId={uuid.uuid4()}")):
        refused(answer, 404, "not_found")
    refused(c.get("wallet/statement"), 400, "invalid_value", "accountId")
    refused(c.get(f"wallet/statement?accountId={account}&from=2030-01-02T00:00:00Z&to=2030-01-01T00:00:00Z"), 400, "invalid_value")
    equal(len(w.admin.get(f"admin/ledger/accounts/{account}/statement").data["lines"]), 2)
    equal(w.admin.get(f"admin/ledger/accounts/{account}/statement/totals").data["accounts"][0]["closingBalance"], 50000 - trip["price"])
    equal(c.get("wallet/transactions?from=2099-01-01T00:00:00Z").data["transactions"], [])
    refused(w.call("GET", "wallet/transactions"), 401, "unauthenticated")
