"""The database goes away and comes back; haild is told to stop."""
import os
import signal
import subprocess
import threading
import time

from concurrency import hold_table
from harness import Haild, PICKUP, check, equal, eventually, send, test
from merge import Traffic, no_rate, register


def cluster(*words):
    subprocess.run(["scripts/cluster.sh", words[0], os.environ["CLUSTER"], *words[1:]], check=True,
                   stdout=subprocess.DEVNULL)


@test("a killed database connection is replaced without the client noticing")
def _(w):
    for _ in range(3):
        equal(w.admin.get("auth/profile").status, 200)
        w.psql("SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE application_name = 'haild'")
        equal(w.admin.get("auth/profile").status, 200)


@test("a connection killed at rest does not fail a call that may not be sent twice")
def _(w):
    customer = w.customer()
    for _ in range(3):
        w.quote(customer)
        w.psql("SELECT pg_terminate_backend(pid, 5000) FROM pg_stat_activity WHERE application_name = 'haild'")
        w.quote(customer)


@test("a new secret counts on open connections too: tokens of the old one are refused, and back again")
def _(w):
    def status(token):
        return w.call("GET", "auth/profile", token=token).status

    old = w.admin.token
    equal(status(old), 200)
    w.psql("ALTER SYSTEM SET hail.jwt_secret = 'another-secret-of-at-least-32-bytes'")
    try:
        w.psql("SELECT pg_reload_conf()")
        eventually(lambda: status(old) == 401)
        equal(status(w.token(w.admin.id)), 200)
    finally:
        w.psql("ALTER SYSTEM RESET hail.jwt_secret")
        w.psql("SELECT pg_reload_conf()")
    eventually(lambda: status(old) == 200)


@test("a database restart under traffic: 503 while it is away, then service again")
def _(w):
    statuses, stop = [], threading.Event()

    def traffic():
        while not stop.is_set():
            try:
                statuses.append(w.call("GET", "auth/profile", token=w.admin.token).status)
            except OSError as e:
                statuses.append(repr(e))
                return
    threads = [threading.Thread(target=traffic) for _ in range(4)]
    for t in threads:
        t.start()
    try:
        eventually(lambda: statuses.count(200) > 50)
        cluster("stop", "fast")
        eventually(lambda: 503 in statuses)
        answer = w.call("GET", "auth/profile", token=w.admin.token)
        equal((answer.status, answer.error["code"]), (503, "database_unavailable"))
        check(int(answer.headers["Retry-After"]) >= 1)
        equal(w.call("GET", "/health/live").status, 200)
        equal(w.call("GET", "/health/ready").status, 503)
        cluster("start")
        eventually(lambda: w.call("GET", "auth/profile", token=w.admin.token).status == 200)
        count = statuses.count(200)
        eventually(lambda: statuses.count(200) > count + 50)
    finally:
        stop.set()
        for t in threads:
            t.join()
    equal(set(statuses), {200, 503})


@test("a database restart under merged reports: each is answered, 503 while it is away, then service again")
def _(w):
    with no_rate(w):
        traffic = Traffic(w.port, [token for _, token in register(w, 12)])
        try:
            eventually(lambda: traffic.statuses.count(200) > 100)
            cluster("stop", "immediate")
            eventually(lambda: traffic.statuses.count(503) > 20)
            cluster("start")
            count = traffic.statuses.count(200)
            eventually(lambda: traffic.statuses.count(200) > count + 100)
        finally:
            statuses = traffic.stop()
    equal(set(statuses), {200, 503})


@test("ready means that the live index is complete")
def _(w):
    answer = w.call("GET", "/health/ready")
    equal((answer.status, answer.error["message"]), (503, "the live index is warming"))
    answer = w.admin.get("location/nearby?lat=30&lng=31")
    equal((answer.status, answer.error["code"]), (503, "warming"))
    check(int(answer.headers["Retry-After"]) >= 1)
    w.psql("SELECT count(*) FROM hail.keep()")
    equal(w.call("GET", "/health/ready").status, 200)
    equal(w.admin.get("location/nearby?lat=30&lng=31").status, 200)


def clock_still_frozen(w):
    """The test clock lives in shared memory: it went with the restart."""
    w.psql("SELECT hail.set_clock(now())")


@test("SIGTERM: a running request is finished, new connections are refused, exit status 0")
def _(w):
    clock_still_frozen(w)
    haild = Haild()
    answers = []
    holder = hold_table("LOCK TABLE hail.users IN ACCESS EXCLUSIVE MODE")
    try:
        thread = threading.Thread(target=lambda: answers.append(
            send(haild.port, "GET", "/api/v1/auth/profile", token=w.admin.token)))
        thread.start()
        eventually(lambda: w.psql("SELECT count(*) FROM pg_stat_activity WHERE application_name = 'haild' "
                                  "AND wait_event_type = 'Lock'") == "1")
        haild.process.send_signal(signal.SIGTERM)

        def refused():
            try:
                send(haild.port, "GET", "/health/live")
                return False
            except ConnectionError:
                return True
        eventually(refused)
        check(haild.process.poll() is None, "it waits for the running request")
        holder.communicate("ROLLBACK;\n")
        thread.join()
        equal(answers[0].status, 200)
        equal(answers[0].headers["Connection"], "close")
        equal(haild.process.wait(30), 0)
    finally:
        holder.kill()
        haild.stop()


@test("SIGTERM with nothing to do ends at once, idle connections or not")
def _(w):
    import http.client
    haild = Haild(HAIL_KEEP_ALIVE_MS="60000")
    idle = http.client.HTTPConnection("127.0.0.1", haild.port)
    idle.request("GET", "/health/live")
    idle.getresponse().read()
    start = time.monotonic()
    equal(haild.stop(), 0)
    check(time.monotonic() - start < 20)


@test("haild starts while the database is away, and serves when it is there")
def _(w):
    cluster("stop", "fast")
    haild = Haild()
    try:
        equal(send(haild.port, "GET", "/health/live").status, 200)
        equal(send(haild.port, "GET", "/api/v1/auth/profile", token=w.admin.token).status, 503)
        cluster("start")
        clock_still_frozen(w)
        eventually(lambda: send(haild.port, "GET", "/api/v1/auth/profile", token=w.admin.token).status == 200)
    finally:
        equal(haild.stop(), 0)
