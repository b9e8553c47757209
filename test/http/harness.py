"""Runs the tests of the files named on the command line: each function marked @test prints `ok - name` or `not ok - name`.

A test gets the World: haild (started here), psql, and makers of customers and drivers with a token. No test sleeps to
wait for something; `eventually` polls a condition with a generous limit.
"""
import collections
import contextlib
import http.client
import importlib
import itertools
import json
import os
import re
import signal
import socket
import subprocess
import sys
import time
import traceback
import uuid

TESTS = []
PICKUP = {"lat": 30.05, "lng": 31.24}
DROPOFF = {"lat": 30.10, "lng": 31.30}


def test(name):
    def mark(function):
        TESTS.append((name, function))
        return function
    return mark


def check(condition, *shown):
    if not condition:
        raise AssertionError(" ".join(str(s) for s in shown) or "condition is false")


def equal(got, wanted, *shown):
    check(got == wanted, "got", repr(got), "wanted", repr(wanted), *shown)


def eventually(condition, limit=30):
    end = time.monotonic() + limit
    while True:
        value = condition()
        if value:
            return value
        check(time.monotonic() < end, "not within", limit, "s")
        time.sleep(0.05)


class Answer:
    def __init__(self, status, headers, raw):
        self.status, self.headers, self.raw = status, headers, raw
        kind = (headers.get("Content-Type") or "").split(";")[0]
        self.json = json.loads(raw) if kind.endswith("json") and raw else None

    @property
    def data(self):
        check(self.json and self.json.get("success") is True, self)
        return self.json["data"]

    @property
    def error(self):
        check(self.json and self.json.get("success") is False, self)
        return self.json["error"]

    @property
    def fields(self):
        details = self.error["details"]
        return [d["field"] for d in (details["errors"] if isinstance(details, dict) else details)]

    def __str__(self):
        return f"{self.status} {self.raw[:600]!r}"


# Keys that no answer to these roles may hold, at any depth, not even with null. Who asks for a price learns amounts and
# multipliers; not what the operator earns, how many asked for rides or drive around, or what it tries out on whom.
OPERATORS = {"commission", "commissionBp", "policyId", "holdId", "excludedDrivers", "codeAttempts", "roundsBefore",
             "nextRoundAt", "pooledAt", "backupDriverId", "variantId", "variantMultiplier", "variant", "experiment",
             "experimentId", "bucket", "fareId", "perKm", "perMinute", "minimumFare", "rounding", "demand", "supply",
             "requests", "ratio", "raw", "smoothed", "target", "heldUntil", "support", "weight", "samples", "counts"}
UNSEEN = {"customer": OPERATORS, "partner": OPERATORS,
          "driver": OPERATORS - {"commission", "commissionBp", "backupDriverId"}}


def keys_of(json):
    if isinstance(json, dict):
        return set(json).union(*map(keys_of, json.values()))
    return set().union(*map(keys_of, json)) if isinstance(json, list) else set()


class Person:
    """A user with a token; call(method, path, body) is a request in its name."""

    def __init__(self, world, id, token, role):
        self.world, self.id, self.token, self.role = world, id, token, role

    def call(self, method, path, body=None, **headers):
        answer = self.world.call(method, path, body, token=self.token, **headers)
        told = keys_of(answer.json) & UNSEEN.get(self.role, set())
        self.world.answers[self.role] += 1
        if told:
            self.world.leaks.add((self.role, method, re.sub("[0-9a-f-]{36}", ":id", path), *sorted(told)))
        return answer

    def get(self, path, **headers):
        return self.call("GET", path, **headers)

    def post(self, path, body=None, **headers):
        return self.call("POST", path, {} if body is None else body, **headers)


class Haild:
    def __init__(self, **settings):
        environment = dict(os.environ, HAIL_LISTEN="127.0.0.1:0", HAIL_DATABASE_URL=(
            f"host={os.environ['PGHOST']} port={os.environ['PGPORT']} dbname=hail user=hail_front"), **settings)
        self.log_path = os.environ["CLUSTER"] + f"/haild-{uuid.uuid4().hex}.log"
        self.log = open(self.log_path, "w")
        self.process = subprocess.Popen([os.environ["HAILD"]], env=environment, stdout=subprocess.PIPE,
                                        stderr=self.log, text=True)
        self.ops_port = None
        line = self.process.stdout.readline()
        if "operations" in line:
            self.ops_port = int(line.rsplit(" ", 1)[1])
            line = self.process.stdout.readline()
        check("listening" in line, "haild did not start:", line, open(self.log_path).read())
        self.port = int(line.rsplit(" ", 1)[1])

    def logged(self):
        return open(self.log_path).read()

    def stop(self):
        if self.process.poll() is None:
            self.process.send_signal(signal.SIGTERM)
        return self.process.wait(60)


def send(port, method, path, body=None, token=None, raw=None, **headers):
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=60)
    names = {k.replace("_", "-"): v for k, v in headers.items() if v is not None}
    if token:
        names["Authorization"] = "Bearer " + token
    if body is not None:
        raw = json.dumps(body)
        names.setdefault("Content-Type", "application/json")
    connection.request(method, path, body=raw, headers=names)
    response = connection.getresponse()
    answer = Answer(response.status, response.headers, response.read())
    connection.close()
    return answer


def exchange(port, data, read_all=True):
    """Raw bytes in, raw bytes out, until the server closes or says nothing for a while."""
    with socket.create_connection(("127.0.0.1", port), timeout=20) as s:
        s.sendall(data if isinstance(data, bytes) else data.encode())
        if read_all:
            with contextlib.suppress(OSError):
                s.shutdown(socket.SHUT_WR)
        got = b""
        with contextlib.suppress(socket.timeout, ConnectionError):
            while chunk := s.recv(65536):
                got += chunk
        return got.decode(errors="replace")


class World:
    def __init__(self):
        self.answers, self.leaks = collections.Counter(), set()
        self.phones = itertools.count(201000000001)
        self.haild = Haild(HAIL_ORIGINS="https://app.example.com", HAIL_OPS_LISTEN="127.0.0.1:0",
                           HAIL_LOG_LEVEL="info", HAIL_DB_CONNECTIONS="8")
        self.port = self.haild.port
        admin = self.psql("SELECT id FROM hail.users WHERE role = 'admin'")
        self.admin = Person(self, admin, self.token(admin), "admin")

    def psql(self, sql):
        done = subprocess.run(["psql", "-qXAt", "-v", "ON_ERROR_STOP=1", "-d", "hail", "-c", sql],
                              capture_output=True, text=True)
        check(done.returncode == 0, done.stderr)
        return done.stdout.strip()

    def call(self, method, path, body=None, **options):
        return send(self.port, method, path if path.startswith("/") else "/api/v1/" + path, body, **options)

    def token(self, user, ttl="10 days"):
        return self.psql(f"SELECT hail.issue_token('{user}', '{ttl}')")

    def person(self, role):
        id = self.psql(f"SELECT (hail.register_user('+{next(self.phones)}', 'A {role}', '{role}')).id")
        return Person(self, id, self.token(id), role)

    def customer(self, funds=0):
        return self.customer_like("customer", funds)

    def customer_like(self, role, funds):
        customer = self.person(role)
        self.psql(f"SELECT hail.open_account('CUSTOMER_WALLET', '{customer.id}', 'EGP')")
        if funds:
            self.psql(f"""SELECT hail.post_transaction('DEPOSIT', ARRAY[ROW(g.id, 'debit', {funds}),
                ROW(w.id, 'credit', {funds})]::hail.entry_input[], 'fund {customer.id}')
                FROM hail.accounts g, hail.accounts w WHERE g.kind = 'GATEWAY_CLEARING' AND g.currency = 'EGP' AND w.owner_id = '{customer.id}'""")
        return customer

    @contextlib.contextmanager
    def driver(self, classes="economy", online=True):
        """An approved driver at the pickup, offline again afterwards."""
        driver = self.person("driver")
        self.psql(f"""SELECT hail.register_driver('{driver.id}', 'cairo', '{{{classes}}}');
            SELECT hail.approve_driver('{driver.id}');
            SELECT hail.add_vehicle('{driver.id}', 'T{next(self.phones)}', 'Sedan', 'white', 2020, 4);
            SELECT hail.open_account('DRIVER_WALLET', '{driver.id}', 'EGP')""")
        if online:
            equal(driver.call("PUT", "driver/online-status", dict(PICKUP, online=True)).status, 200)
        try:
            yield driver
        finally:
            with contextlib.suppress(Exception):
                driver.call("PUT", "driver/online-status", {"online": False})

    def quote(self, customer, service_class="economy"):
        answer = customer.post("pricing/quote", {"pickup": PICKUP, "dropoff": DROPOFF, "serviceClass": service_class})
        equal(answer.status, 201, answer)
        return answer.data

    def request_trip(self, customer, quote=None, method="cash", key=None):
        quote = quote or self.quote(customer)
        return customer.post("trips/request", {"quoteId": quote["id"], "paymentMethod": method},
                             Idempotency_Key=key or uuid.uuid4().hex)

    def matched_trip(self, customer, driver, method="cash"):
        """A trip accepted by the driver, with the pickup code as the customer reads it."""
        trip = self.request_trip(customer, method=method)
        equal(trip.status, 201, trip)
        accepted = driver.post(f"trips/{trip.data['id']}/driver-response", {"response": "accept"})
        equal(accepted.status, 200, accepted)
        return customer.get(f"trips/{trip.data['id']}").data

    def wallet(self, person):
        return {a["kind"]: a for a in person.get("wallet").data["accounts"]}


def leaks_nothing(world):
    """Over all answers of the run: see UNSEEN."""
    equal(world.leaks, set())
    print("#  answers looked through:", dict(world.answers))


def main(names):
    sys.modules["harness"] = sys.modules["__main__"]
    for name in names:
        importlib.import_module(name)
    world = World()
    failed = 0
    test("no answer to a customer, partner or driver holds what only the operator knows")(leaks_nothing)
    for name, function in TESTS:
        try:
            function(world)
            print("ok -", name, flush=True)
        except Exception:
            failed += 1
            print("not ok -", name, flush=True)
            print("#  " + traceback.format_exc(-3).strip().replace("\n", "\n#  "), flush=True)
    world.haild.stop()
    if failed:
        loud = [line for line in world.haild.logged().splitlines() if '"level":"info"' not in line]
        print("#  log of haild:", *loud[-15:], sep="\n#    ")
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
