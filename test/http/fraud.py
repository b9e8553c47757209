"""Signs of fraud as administrators see and decide them."""
import uuid

from bad_input import refused
from harness import check, equal, test
from wallet import table


@test("a sign of fraud is raised, listed, decided; rules are changed for a reason")
def _(w):
    c = w.customer()
    for n in range(12):
        w.psql(f"""SELECT hail.post_transaction('adjustment', ARRAY[ROW(g.id, 'debit', 100), ROW(a.id, 'credit', 100)]::hail.entry_input[],
            '{uuid.uuid4()}') FROM hail.accounts g, hail.accounts a WHERE g.kind = 'GATEWAY_CLEARING' AND g.currency = 'EGP' AND a.owner_id = '{c.id}'""")
    w.psql("SELECT hail.watch_money(100000)")
    path = f"admin/fraud/signals?userId={c.id}"
    signals = w.admin.get(path).data["signals"]
    equal([(s["kind"], s["state"], s["userId"]) for s in signals], [("many_transactions", "open", c.id)])
    equal([r["id"] for r in table(w.admin.get(path + "&format=csv"))], [signals[0]["id"]])
    decide = lambda **body: w.admin.post(f"admin/fraud/signals/{signals[0]['id']}/decide", body)
    refused(decide(decision="forgotten", reason="x"), 400, "invalid_value", "decision")
    refused(decide(decision="dismissed"), 400, "invalid_value", "reason")
    done = decide(decision="dismissed", reason="a test")
    equal((done.status, done.data["state"], done.data["reason"]), (200, "dismissed", "a test"), done)
    refused(decide(decision="confirmed", reason="x"), 409, "wrong_state")
    refused(w.admin.post(f"admin/fraud/signals/{uuid.uuid4()}/decide", {"decision": "confirmed", "reason": "x"}), 404, "not_found")
    refused(w.admin.get("admin/fraud/signals?state=lost"), 400, "invalid_value", "state")
    rule = {r["kind"]: r for r in w.person("analyst").get("admin/fraud/rules").data["rules"]}["many_transactions"]
    equal((rule["threshold"], rule["periodS"]), (10, 3600))
    try:
        changed = w.admin.call("PUT", "admin/fraud/rules/many_transactions", {"reason": "too many signs", "threshold": 50, "periodS": 7200})
        equal((changed.data["threshold"], changed.data["periodS"], changed.data["version"]), (50, 7200, rule["version"] + 1), changed)
    finally:
        w.admin.call("PUT", "admin/fraud/rules/many_transactions", {"reason": "as before", "threshold": 10, "periodS": 3600})
    refused(w.admin.call("PUT", "admin/fraud/rules/many_transactions", {"reason": "x", "periodS": 1}), 400, "invalid_value", "periodS")
    refused(w.admin.call("PUT", "admin/fraud/rules/nothing", {"reason": "x"}), 404, "not_found")
    check(any(k["kind"] == "many_transactions" for k in w.admin.get("admin/fraud/summary").data["kinds"]))
    refused(c.get("admin/fraud/signals"), 403, "forbidden")
    refused(w.person("analyst").get("admin/fraud/signals"), 403, "forbidden")
