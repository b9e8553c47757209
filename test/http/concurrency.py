"""Many at once: races are decided in the database, the front stays responsive."""
import subprocess
import threading

from harness import Haild, PICKUP, check, equal, eventually, send, test


def at_once(calls):
    answers = [None] * len(calls)

    def run(i):
        answers[i] = calls[i]()
    threads = [threading.Thread(target=run, args=(i,)) for i in range(len(calls))]
    for t in threads:
        t.start()
    for t in threads:
        t.join()
    return answers


@test("five drivers accept at once: one wins, the others are told that it is taken")
def _(w):
    c = w.customer()
    import contextlib
    with contextlib.ExitStack() as stack:
        drivers = [stack.enter_context(w.driver()) for _ in range(5)]
        trip = w.request_trip(c).data["id"]
        answers = at_once([lambda d=d: d.post(f"trips/{trip}/driver-response", {"response": "accept"}) for d in drivers])
        equal(sorted(a.status for a in answers), [200, 409, 409, 409, 409])
        equal({a.error["code"] for a in answers if a.status == 409}, {"trip_taken"})
        winner = drivers[[a.status for a in answers].index(200)]
        equal(c.get(f"trips/{trip}").data["driverId"], winner.id)
        equal(c.post(f"trips/{trip}/status", {"status": "cancelled"}).status, 200)


@test("the same request eight times at once makes one trip")
def _(w):
    c = w.customer()
    quote = w.quote(c)
    answers = at_once([lambda: w.request_trip(c, quote, key="once")] * 8)
    equal({a.status for a in answers}, {201}, *answers)
    equal(len({a.data["id"] for a in answers}), 1)
    equal(c.post(f"trips/{answers[0].data['id']}/cancel-search").status, 200)


def hold_table(lock):
    """Another session that holds a lock until its stdin closes."""
    holder = subprocess.Popen(["psql", "-qXAt", "-d", "hail"], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
    holder.stdin.write(f"BEGIN; {lock}; SELECT 'held';\n")
    holder.stdin.flush()
    equal(holder.stdout.readline().strip(), "held")
    return holder


@test("health and metrics answer while every thread waits for the database")
def _(w):
    haild = Haild(HAIL_THREADS="4", HAIL_DB_CONNECTIONS="4", HAIL_OPS_LISTEN="127.0.0.1:0")
    holder = hold_table("LOCK TABLE hail.users IN ACCESS EXCLUSIVE MODE")
    try:
        waiting = [threading.Thread(target=send, args=(haild.port, "GET", "/api/v1/auth/profile"),
                                    kwargs={"token": w.admin.token}) for _ in range(4)]
        for t in waiting:
            t.start()
        eventually(lambda: "hail_http_in_flight 5" in send(haild.ops_port, "GET", "/metrics").raw.decode())
        equal(send(haild.ops_port, "GET", "/health/live").status, 200)
        holder.communicate("ROLLBACK;\n")
        for t in waiting:
            t.join()
    finally:
        holder.kill()
        equal(haild.stop(), 0)


@test("more calls than database connections wait, then are told to come back")
def _(w):
    haild = Haild(HAIL_DB_CONNECTIONS="1", HAIL_POOL_WAIT_MS="200")
    holder = hold_table("LOCK TABLE hail.users IN ACCESS EXCLUSIVE MODE")
    answers = []
    call = lambda: answers.append(send(haild.port, "GET", "/api/v1/auth/profile", token=w.admin.token))
    try:
        threads = [threading.Thread(target=call) for _ in range(3)]
        for t in threads:
            t.start()
        eventually(lambda: len(answers) == 2)
        equal({a.status for a in answers}, {503})
        equal({a.error["code"] for a in answers}, {"overloaded"})
        equal(answers[0].headers["Retry-After"], "1")
        holder.communicate("ROLLBACK;\n")
        for t in threads:
            t.join()
        equal(answers[2].status, 200)
    finally:
        holder.kill()
        equal(haild.stop(), 0)


@test("a call that takes too long is cancelled and answered 504")
def _(w):
    with w.driver() as d:
        holder = hold_table(f"SELECT FROM hail.drivers WHERE id = '{d.id}' FOR UPDATE")
        try:
            w.psql("ALTER ROLE hail_front SET lock_timeout = 0")
            holder2 = hold_table("LOCK TABLE hail.driver_positions, hail.quotes IN ACCESS EXCLUSIVE MODE")
            answer = w.customer().post("pricing/quote", {"pickup": PICKUP, "dropoff": {"lat": 30.1, "lng": 31.3}, "serviceClass": "economy"})
            equal((answer.status, answer.error["code"]), (504, "timeout"), answer)
            holder2.kill()
        finally:
            holder.kill()
    check(w.admin.get("auth/profile").status == 200)
