"""Position reports of many at once share calls to the database; every one gets its own verdict."""
import contextlib
import http.client
import json
import re
import signal
import threading
import time

from concurrency import at_once, hold_table
from harness import Haild, PICKUP, check, equal, eventually, send, test


def later(w):
    """The rates of earlier tests are forgotten."""
    w.psql("SELECT hail.advance_clock('2 minutes')")


def timestamp(w, ago="0 s"):
    return w.psql(f"SELECT to_json(hail.clock() - interval '{ago}')#>>'{{}}'")


def merged(port):
    """Calls, and the requests they were for."""
    text = send(port, "GET", "/metrics").raw.decode()
    return [int(re.search(rf"^hail_merged_{name}_total (\d+)", text, re.M).group(1)) for name in ("calls", "requests")]


def register(w, count, status="approved"):
    """Drivers without anything else; their tokens."""
    rows = w.psql(f"""WITH u AS (INSERT INTO hail.users (name, role) SELECT 'reporter', 'driver' FROM generate_series(1, {count}) RETURNING id),
        d AS (INSERT INTO hail.drivers (id, region_id, service_classes, class_mask, status, online)
              SELECT id, (SELECT id FROM hail.regions WHERE code = 'cairo'), '{{economy}}', 1, '{status}', false FROM u RETURNING id)
        SELECT id || ' ' || hail.sign_token(id, 'driver', hail.clock() + interval '1 day') FROM d""")
    return [tuple(row.split()) for row in rows.splitlines()]


@contextlib.contextmanager
def locked(driver):
    """Another session has locked the driver's row. The index does not know the driver: its report has to wait."""
    holder = hold_table(f"SELECT FROM hail.drivers WHERE id = '{driver}' FOR UPDATE")
    try:
        yield holder
    finally:
        holder.kill()
        holder.wait()


def waits_for_lock(w):
    return w.psql("SELECT count(*) FROM pg_stat_activity WHERE usename = 'hail_front' AND wait_event_type = 'Lock'") != "0"


@test("sixty reports at once, good and bad: each has the answer it would have had alone")
def _(w):
    later(w)
    c = w.customer()
    with w.driver() as far, w.driver() as late:
        good = register(w, 30)
        pending = register(w, 4, "pending")
        far_away = dict(lat=PICKUP["lat"] + 20, lng=PICKUP["lng"])
        equal(far.post("location/update", PICKUP).data["applied"], True)
        equal(late.post("location/update", PICKUP).data["applied"], True)
        expired = w.psql(f"SELECT hail.sign_token('{far.id}', 'driver', hail.clock() - interval '1 hour')")
        unknown = w.person("driver")
        old = dict(PICKUP, timestamp=timestamp(w, "1 minute"))
        cases = [(t, dict(PICKUP, speed=n), 200, {"state": "offline", "pendingOffers": 0, "applied": True}, [], None)
                 for n, (_, t) in enumerate(good)]
        cases += [(t, PICKUP, 409, "driver_not_eligible", ["driverId"], "Only approved drivers report positions.") for _, t in pending]
        cases += [(far.token, far_away, 200, {"state": "available", "pendingOffers": 0, "applied": False}, [], None)] * 3
        cases += [(late.token, old, 200, {"state": "available", "pendingOffers": 0, "applied": False}, [], None)] * 3
        cases += [(expired, PICKUP, 401, "token_expired", [], "Get a new token and try again.")] * 3
        cases += [("a.b.c", PICKUP, 401, "unauthenticated", [], None)] * 3
        cases += [('",{}\\', PICKUP, 401, "unauthenticated", [], None)] * 2
        cases += [(c.token, PICKUP, 403, "forbidden", [], None)] * 3
        cases += [(unknown.token, PICKUP, 404, "not_found", ["driverId"], None)] * 3
        cases += [(far.token, dict(PICKUP, lat=91), 400, "invalid_value", ["lat"], None)] * 3
        cases += [(far.token, dict(PICKUP, timestamp=timestamp(w, "2 days")), 400, "invalid_value", ["recordedAt"], None)] * 3
        before = merged(w.port)
        answers = at_once([lambda n=n, case=case: w.call("POST", "location/update", case[1], token=case[0], Request_Id=f"merge-{n}")
                           for n, case in enumerate(cases)])
        for n, ((token, body, status, wanted, fields, hint), answer) in enumerate(zip(cases, answers)):
            equal(answer.status, status, n, answer)
            equal(answer.headers["Request-Id"], f"merge-{n}")
            equal(answer.json["meta"]["requestId"], f"merge-{n}")
            if status == 200:
                equal(answer.data, wanted)
                continue
            equal((answer.error["code"], answer.fields, answer.error.get("hint")), (wanted, fields, hint), n, answer)
            equal(answer.headers["WWW-Authenticate"], 'Bearer error="invalid_token"' if status == 401 else None)
        calls, requests = (after - b for after, b in zip(merged(w.port), before))
        equal(requests >= len(cases) - 3, True, calls, requests)
        check(calls < requests, "some shared a call:", calls, requests)
        for n, (id, _) in enumerate(good):
            equal(w.psql(f"SELECT speed FROM hail.live_drivers WHERE driver_id = '{id}'"), str(n))
        equal(w.psql(f"SELECT count(*) FROM hail.live_drivers WHERE driver_id IN ('{far.id}', '{late.id}') AND lat = {PICKUP['lat']}"), "2")


@test("a value only the database can refuse fails its own request, not those that share its call")
def _(w):
    later(w)
    drivers = register(w, 40)
    bodies = [dict(PICKUP, timestamp="2026-02-30T00:00:00Z") if n % 8 == 0 else PICKUP for n in range(40)]
    answers = at_once([lambda t=t, b=b: w.call("POST", "location/update", b, token=t) for (_, t), b in zip(drivers, bodies)])
    for n, answer in enumerate(answers):
        equal(answer.status, 400 if n % 8 == 0 else 200, n, answer)
        if n % 8 == 0:
            equal(answer.error["code"], "invalid_value")


@test("a report that has to wait for a lock holds up no other for long")
def _(w):
    later(w)
    (slow, slow_token), *drivers = register(w, 30)
    answers = []
    with locked(slow) as holder:
        thread = threading.Thread(target=lambda: answers.append(w.call("POST", "location/update", PICKUP, token=slow_token)))
        thread.start()
        eventually(lambda: waits_for_lock(w))
        for answer in at_once([lambda t=t: w.call("POST", "location/update", PICKUP, token=t) for _, t in drivers]):
            equal(answer.status, 200, answer)
        equal(answers, [])
        # and now several in the same boat
        mixed = [lambda t=slow_token: w.call("POST", "location/update", PICKUP, token=t)] * 3
        mixed += [lambda t=t: w.call("POST", "location/update", PICKUP, token=t) for _, t in drivers]
        threads = [threading.Thread(target=lambda call=call: answers.append(call())) for call in mixed]
        for t in threads:
            t.start()
        eventually(lambda: len(answers) == len(drivers))
        equal({a.status for a in answers}, {200})
        holder.communicate("ROLLBACK;\n")
        for t in [thread, *threads]:
            t.join()
    equal((len(answers), {a.status for a in answers}), (4 + len(drivers), {200}))


@test("one that waits too long is 504, in time")
def _(w):
    later(w)
    (slow, token), = register(w, 1)
    with locked(slow):
        answer = w.call("POST", "location/update", PICKUP, token=token)
        equal((answer.status, answer.error["code"]), (504, "timeout"), answer)


@test("a client that does not wait for its answer disturbs nobody")
def _(w):
    later(w)
    (slow, slow_token), *drivers = register(w, 10)
    with locked(slow) as holder:
        gone = [http.client.HTTPConnection("127.0.0.1", w.port) for _ in range(5)]
        for connection in gone:
            connection.request("POST", "/api/v1/location/update", json.dumps(PICKUP),
                               {"Authorization": "Bearer " + slow_token, "Content-Type": "application/json"})
        eventually(lambda: waits_for_lock(w))
        for connection in gone:
            connection.close()
        for answer in at_once([lambda t=t: w.call("POST", "location/update", PICKUP, token=t) for _, t in drivers]):
            equal(answer.status, 200, answer)
        holder.communicate("ROLLBACK;\n")
    eventually(lambda: "hail_http_in_flight 1\n" in send(w.port, "GET", "/metrics").raw.decode())


@test("the twenty-first report of a minute is 429 and says when to come back; others go on")
def _(w):
    later(w)
    (_, eager), (_, calm) = register(w, 2)
    answers = at_once([lambda: w.call("POST", "location/update", PICKUP, token=eager)] * 24)
    equal(sorted(a.status for a in answers), [200] * 20 + [429] * 4)
    for answer in answers:
        if answer.status == 429:
            equal((answer.error["code"], answer.error["hint"]), ("rate_limited", "Wait as many seconds as Retry-After says."), answer)
            equal(answer.headers["Retry-After"], "3")
            equal(answer.headers["RateLimit"], '"driver";r=0;t=3')
            equal(answer.headers["RateLimit-Policy"], '"driver";q=20;w=60, "porter";q=600;w=60')
    equal(w.call("POST", "location/update", PICKUP, token=calm).status, 200)
    batch = w.call("POST", "location/batch-update", {"locations": [dict(PICKUP, timestamp=timestamp(w))]}, token=eager)
    equal((batch.status, batch.headers["Retry-After"]), (429, "3"), batch)
    w.psql("SELECT hail.advance_clock('3 seconds')")
    equal([w.call("POST", "location/update", PICKUP, token=eager).status for _ in range(2)], [200, 429])


@test("the rate in the headers is the one in force")
def _(w):
    later(w)
    (_, token), = register(w, 1)
    w.psql("ALTER SYSTEM SET hail.report_rate = 2")
    try:
        w.psql("SELECT pg_reload_conf()")

        def refusal():
            later(w)
            answers = [w.call("POST", "location/update", PICKUP, token=token) for _ in range(3)]
            return answers[2] if answers[2].status == 429 else None
        answer = eventually(refusal)
        eventually(lambda: refusal().headers["RateLimit-Policy"] == '"driver";q=2;w=60, "porter";q=600;w=60')
        equal(answer.headers["Retry-After"], "30")
    finally:
        w.psql("ALTER SYSTEM RESET hail.report_rate")
        w.psql("SELECT pg_reload_conf()")


class Traffic:
    """Drivers that report again and again over connections of their own, until told to stop."""

    def __init__(self, port, tokens):
        self.port, self.statuses, self.stopping = port, [], threading.Event()
        self.threads = [threading.Thread(target=self.drive, args=(t,)) for t in tokens]
        for t in self.threads:
            t.start()

    def drive(self, token):
        connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=30)
        while not self.stopping.is_set():
            try:
                connection.request("POST", "/api/v1/location/update", json.dumps(PICKUP),
                                   {"Authorization": "Bearer " + token, "Content-Type": "application/json"})
                response = connection.getresponse()
                response.read()
                self.statuses.append(response.status)
            except (ConnectionError, http.client.HTTPException) as error:
                connection.close()
                self.statuses.append(repr(error))
                if self.stopping.is_set():
                    return

    def stop(self):
        self.stopping.set()
        for t in self.threads:
            t.join(60)
            check(not t.is_alive(), "a request hangs")
        return self.statuses


@contextlib.contextmanager
def no_rate(w):
    w.psql("ALTER SYSTEM SET hail.report_rate = 0")
    w.psql("SELECT pg_reload_conf()")
    eventually(lambda: w.psql("SHOW hail.report_rate") == "0")
    try:
        yield
    finally:
        w.psql("ALTER SYSTEM RESET hail.report_rate")
        w.psql("SELECT pg_reload_conf()")


@test("connections killed under merged load: every report is answered, none hangs")
def _(w):
    later(w)
    with no_rate(w):
        traffic = Traffic(w.port, [t for _, t in register(w, 16)])
        try:
            for n in range(1, 9):
                eventually(lambda: traffic.statuses.count(200) > 100 * n)
                w.psql("SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE usename = 'hail_front'")
        finally:
            statuses = traffic.stop()
        # 503: its call was killed twice in a row, or while it connected
        check(set(statuses) <= {200, 503}, set(statuses))


@test("SIGTERM under merged load: what was taken is answered, exit status 0")
def _(w):
    later(w)
    haild = Haild()
    with no_rate(w):
        traffic = Traffic(haild.port, [t for _, t in register(w, 16)])
        try:
            eventually(lambda: traffic.statuses.count(200) > 200)
            traffic.stopping.set()
            haild.process.send_signal(signal.SIGTERM)
        finally:
            statuses = traffic.stop()
        equal(haild.process.wait(30), 0)
    refused = [s for s in statuses if s != 200]
    check(all("Refused" in s or "Disconnected" in s or "Reset" in s for s in map(str, refused)), refused)
