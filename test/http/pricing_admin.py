"""Those who make prices: price lists, time rules, event areas, surge, experiments; and who may not."""
import uuid

from harness import DROPOFF, PICKUP, check, equal, test
from pricing import TRIP, refused

HALVES = [{"name": "control", "isControl": True, "shareBp": 5000, "priceMultiplier": 1},
          {"name": "dear", "isControl": False, "shareBp": 5000, "priceMultiplier": 1.1}]


def delete(person, path):
    return person.call("DELETE", path)


@test("an experiment is drafted, started, read and stopped; its name is its key")
def _(w):
    made = w.admin.post("pricing/experiments", {"name": "ten-more", "variants": HALVES, "region": "cairo", "serviceClass": "van"})
    equal((made.status, made.data["state"], made.data["variants"]), (201, "draft", 2), made)
    refused(w.admin.post("pricing/experiments", {"name": "ten-more", "variants": HALVES}), 409, "already_exists", "name")
    refused(w.admin.get("pricing/experiments/ten-more/outcomes"), 409, "wrong_state")
    equal(w.admin.post("pricing/experiments/ten-more/start").data["state"], "running")
    refused(w.admin.post("pricing/experiments/ten-more/start"), 409, "wrong_state")
    analyst = w.person("analyst")
    rows = analyst.get("pricing/experiments?state=running").data["variants"]
    equal([(r["variant"], r["isControl"], r["shareBp"], r["priceMultiplier"]) for r in rows],
          [("control", True, 5000, 1.0), ("dear", False, 5000, 1.1)])
    w.psql("SELECT hail.advance_clock('1 second')")
    equal(w.customer().post("pricing/quote", dict(TRIP, serviceClass="van")).status, 201)
    split = analyst.get("pricing/experiments/ten-more/split")
    equal((split.status, [v["variant"] for v in split.data["variants"]]), (200, ["control", "dear"]), split)
    outcomes = analyst.get("pricing/experiments/ten-more/outcomes")
    equal(outcomes.status, 200, outcomes)
    check({"conversion", "completion"} <= {o["metric"] for o in outcomes.data["outcomes"]}, outcomes)
    refused(delete(w.admin, "pricing/experiments/ten-more"), 409, "wrong_state")
    equal(w.admin.post("pricing/experiments/ten-more/stop").data["state"], "stopped")
    equal(w.admin.post("pricing/experiments", {"name": "draft", "variants": HALVES}).status, 201)
    equal(delete(w.admin, "pricing/experiments/draft").data, {"name": "draft"})
    refused(delete(w.admin, "pricing/experiments/draft"), 404, "not_found")


@test("experiments with wrong names, shares or variants are refused by field and make nothing")
def _(w):
    def post(name="bad", variants=HALVES, **more):
        return w.admin.post("pricing/experiments", {"name": name, "variants": variants, **more})

    count = w.psql("SELECT count(*) FROM hail.experiments")
    with_ = lambda **change: [HALVES[0], dict(HALVES[1], **change)]
    for answer, *fields in ((post(name="Ten More"), "name"), (post(name=""), "name"), (post(name="x" * 64), "name"),
                            (post(variants=HALVES[:1]), "variants"), (post(variants={}), "variants"),
                            (post(variants=with_(name="a,b\"}")), "name"), (post(variants=with_(name="control")), "name"),
                            (post(variants=with_(shareBp=0)), "variants[1].shareBp"), (post(variants=with_(shareBp=5001)), "shareBp"),
                            (post(variants=with_(shareBp="1")), "variants[1].shareBp"), (post(variants=with_(isControl=True)), "priceMultiplier"),
                            (post(variants=with_(isControl=True, priceMultiplier=1)), "isControl"),
                            (post(variants=with_(priceMultiplier=2.1)), "variants[1].priceMultiplier"),
                            (post(variants=with_(priceMultiplier=1.001)), "priceMultiplier"), (post(variants=with_(x=1)), "variants[1].x"),
                            (post(variants=[HALVES[0], {}]), "variants[1].name", "variants[1].isControl", "variants[1].shareBp",
                             "variants[1].priceMultiplier"), (post(salt="1"), "salt"), (post(price=1), "price")):
        refused(answer, 400, "invalid_value", *fields)
    refused(post(region="nowhere"), 404, "not_found", "region")
    refused(post(serviceClass="yacht"), 400, "unknown_class", "serviceClass")
    refused(w.admin.get("pricing/experiments?state=flying"), 400, "invalid_value", "state")
    refused(w.admin.post("pricing/experiments/none/start"), 404, "not_found")
    refused(w.admin.get("pricing/experiments/none/outcomes?fromTime=yesterday"), 400, "invalid_value", "fromTime")
    equal(w.psql("SELECT count(*) FROM hail.experiments"), count)
