"""What dispatch offers beyond a plain trip: pages, entity tags, offers as their readers may see them."""
import http.client
import uuid

from harness import check, equal, test


def refused(answer, status, code, *fields):
    equal(answer.status, status, answer)
    equal(answer.error["code"], code, answer)
    if fields:
        equal(sorted(answer.fields), sorted(fields), answer)
    return answer


def cancelled_trips(w, customer, count):
    ids = []
    for _ in range(count):
        ids.insert(0, w.request_trip(customer).data["id"])
        equal(customer.post(f"trips/{ids[0]}/cancel-search").status, 200)
    return ids


def follow(person, path):
    """All pages from a path on, along their Link headers."""
    pages = []
    while path:
        answer = person.get(path)
        equal(answer.status, 200, answer)
        pages.append([t["id"] for t in answer.data["trips"]])
        link = answer.headers["Link"]
        equal(link is not None, answer.data["hasMore"], answer)
        equal(answer.data["nextCursor"] is not None, answer.data["hasMore"])
        check(link is None or link.endswith('; rel="next"'), link)
        check(link is None or answer.data["nextCursor"] in link, link)
        path = link and link[link.index("<") + 1:link.index(">")]
    return pages


@test("a customer's trips come in pages, newest first, each once, along Link and nextCursor")
def _(w):
    c = w.customer()
    ids = cancelled_trips(w, c, 5)
    equal(follow(c, "trips?limit=2"), [ids[:2], ids[2:4], ids[4:]])
    equal(follow(c, "trips?limit=5"), [ids])
    equal(follow(c, "trips?limit=2&state=cancelled,completed&service=ride"), [ids[:2], ids[2:4], ids[4:]])
    equal(follow(c, "trips?state=completed"), [[]])
    equal(follow(c, "trips?from=2000-01-01T00:00:00%2B00:00&to=2001-01-01T00:00:00Z"), [[]])
    equal(follow(w.customer(), "trips"), [[]])
    page = c.get("trips?limit=3").data
    w.psql("SELECT hail.advance_clock('1 second')")
    newer = cancelled_trips(w, c, 1)
    equal([t["id"] for t in c.get(f"trips?limit=3&cursor={page['nextCursor']}").data["trips"]], ids[3:], "nothing moved")
    equal(follow(c, "trips?limit=3")[0], newer + ids[:2])


@test("drivers list the trips they drove, administrators those of all, of one customer or of one driver")
def _(w):
    c = w.customer()
    with w.driver() as d, w.driver(online=False) as other:
        trip = w.matched_trip(c, d)["id"]
        equal(follow(d, "driver/trips"), [[trip]])
        equal(follow(d, "driver/trips?state=searching"), [[]])
        equal(follow(other, "driver/trips"), [[]])
        equal(c.post(f"trips/{trip}/status", {"status": "cancelled"}).status, 200)
    equal(follow(w.admin, f"admin/trips?customerId={c.id}"), [[trip]])
    equal(follow(w.admin, f"admin/trips?driverId={d.id}&state=cancelled"), [[trip]])
    rows = w.psql("SELECT id FROM hail.trips ORDER BY requested_at DESC, id DESC LIMIT 150").split("\n")
    listed = sum(follow(w.admin, "admin/trips?limit=7"), [])
    equal(listed[:150], rows)
    equal(len(listed), len(set(listed)))


@test("lists refuse what is no filter, no limit or no cursor of theirs, and the wrong role")
def _(w):
    c = w.customer()
    cancelled_trips(w, c, 2)
    cursor = c.get("trips?limit=1").data["nextCursor"]
    for path, field in (("limit=0", "limit"), ("limit=101", "limit"), ("limit=ten", "limit"), ("state=flying", "state"),
                        ("state=,", "state"), ("state=", "state"), ("service=taxi", "service"), ("from=yesterday", "from"),
                        ("to=2030-02-30T00:00:00Z", "to"), ("cursor=", "cursor"), ("cursor=x", "cursor"), ("order=asc", "order"),
                        ("cursor=" + "A" * 43, "cursor"), ("cursor=" + "A" * 101, "cursor"), (f"cursor={cursor[:-1]}", "cursor"),
                        (f"cursor={cursor}A", "cursor"), (f"cursor={cursor}&state=cancelled", "cursor"),
                        (f"cursor={cursor[:20] + ('A' if cursor[20] != 'A' else 'B') + cursor[21:]}", "cursor"),
                        (f"cursor={cursor}&cursor={cursor}", "cursor"), (f"customerId={c.id}", "customerId")):
        refused(c.get("trips?" + path), 400, "invalid_value", field)
    refused(w.customer().get(f"trips?cursor={cursor}"), 400, "invalid_value", "cursor")
    refused(w.admin.get(f"admin/trips?customerId={c.id}&driverId={c.id}"), 400, "invalid_value", "driverId")
    refused(c.get("admin/trips"), 403, "forbidden")
    refused(c.get("driver/trips"), 403, "forbidden")
    with w.driver(online=False) as d:
        refused(d.get("trips"), 403, "forbidden")
        refused(d.get(f"admin/trips?customerId={c.id}"), 403, "forbidden")
    refused(w.call("GET", "trips"), 401, "unauthenticated")


@test("a trip that has not changed is 304 without a body, one that has comes with a new tag")
def _(w):
    c = w.customer()
    with w.driver() as d:
        trip = w.request_trip(c).data["id"]
        for path in (f"trips/{trip}", f"trips/{trip}/matching-status"):
            first = c.get(path)
            tag = first.headers["ETag"]
            equal((first.status, first.headers["Cache-Control"]), (200, "private, no-cache"), first)
            check(tag.startswith('"') and tag.endswith('"') and len(tag) > 10, tag)
            for sent in (tag, "W/" + tag, '"x", ' + tag, "*", f'W/"y",{tag},"z"'):
                same = c.get(path, If_None_Match=sent)
                equal((same.status, same.raw, same.headers["ETag"]), (304, b"", tag), sent)
                equal((same.headers["Content-Type"], same.headers["Content-Length"]), (None, None))
            for sent in ('"x"', tag.strip('"'), "", '"', tag[:-1], "W/", '"x" ' + tag[1:]):
                equal(c.get(path, If_None_Match=sent).status, 200, sent)
            equal(c.call("HEAD", path, If_None_Match=tag).status, 304)
            check(d.get(path).headers["ETag"] != tag or "matching" in path, "another reader, another view")
        before = c.get(f"trips/{trip}").headers["ETag"]
        equal(d.post(f"trips/{trip}/driver-response", {"response": "accept"}).status, 200)
        after = c.get(f"trips/{trip}", If_None_Match=before)
        equal((after.status, after.data["state"]), (200, "matched"))
        check(after.headers["ETag"] != before)
        equal(c.post(f"trips/{trip}/status", {"status": "cancelled"}).status, 200)


@test("a connection goes on after 304")
def _(w):
    c = w.customer()
    trip = w.request_trip(c).data["id"]
    connection = http.client.HTTPConnection("127.0.0.1", w.port, timeout=20)
    tag = c.get(f"trips/{trip}").headers["ETag"]
    for sent, wanted in ((tag, 304), (tag, 304), ('"x"', 200), (tag, 304)):
        connection.request("GET", f"/api/v1/trips/{trip}", headers={"Authorization": "Bearer " + c.token, "If-None-Match": sent})
        response = connection.getresponse()
        response.read()
        equal((response.status, response.headers["ETag"]), (wanted, tag))
    connection.close()
    equal(c.post(f"trips/{trip}/cancel-search").status, 200)


@test("the offers of a trip: its customer learns how they stand, administrators who was asked and why")
def _(w):
    c = w.customer()
    with w.driver() as one, w.driver() as two:
        trip = w.request_trip(c).data["id"]
        equal(one.post(f"trips/{trip}/driver-response", {"response": "decline", "reason": "too far"}).status, 200)
        offers = c.get(f"trips/{trip}/offers").data["offers"]
        equal(sorted(o["status"] for o in offers), ["declined", "pending"])
        equal({(o["driverId"], o["driverName"], o["score"], o["reason"]) for o in offers}, {(None, None, None, None)})
        seen = {o["driverId"]: o for o in w.admin.get(f"trips/{trip}/offers").data["offers"]}
        equal((seen[one.id]["reason"], seen[two.id]["status"]), ("too far", "pending"))
        check(seen[two.id]["score"] > 0)
        equal(two.post(f"trips/{trip}/driver-response", {"response": "accept"}).status, 200)
        equal({o["driverId"] for o in c.get(f"trips/{trip}/offers").data["offers"]}, {None, two.id})
        refused(w.customer().get(f"trips/{trip}/offers"), 404, "not_found")
        refused(two.get(f"trips/{trip}/offers"), 403, "forbidden")
        refused(c.get(f"trips/{uuid.uuid4()}/offers"), 404, "not_found")
        equal(c.post(f"trips/{trip}/status", {"status": "cancelled"}).status, 200)
