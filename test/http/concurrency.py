"""Many at once: races are decided in the database, the front stays responsive."""
import contextlib
import subprocess
import threading

from harness import DROPOFF, Haild, PICKUP, check, equal, eventually, send, test


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
    with contextlib.ExitStack() as stack:
        drivers = [stack.enter_context(w.driver()) for _ in range(5)]
        trip = w.request_trip(c).data["id"]
        answers = at_once([lambda d=d: d.post(f"trips/{trip}/driver-response", {"response": "accept"}) for d in drivers])
        equal(sorted(a.status for a in answers), [200, 409, 409, 409, 409])
        equal({a.error["code"] for a in answers if a.status == 409}, {"trip_taken"})
        winner = drivers[[a.status for a in answers].index(200)]
        equal(c.get(f"trips/{trip}").data["driverId"], winner.id)
        equal(c.post(f"trips/{trip}/status", {"status": "cancelled"}).status, 200)


@test("the same request eight times at once makes one trip; who comes while it runs is told so")
def _(w):
    c = w.customer()
    quote = w.quote(c)
    answers = at_once([lambda: w.request_trip(c, quote, key="once")] * 8)
    made = [a for a in answers if a.status == 201]
    equal({(a.status, a.error["code"]) for a in answers if a.status != 201} - {(409, "in_flight")}, set(), *answers)
    equal(len({a.data["id"] for a in made}), 1)
    equal([a.headers["Idempotency-Replayed"] for a in made].count(None), 1, "one made it, the others got it again")
    equal(w.psql(f"SELECT count(*) FROM hail.trips WHERE customer_id = '{c.id}'"), "1")
    equal(c.post(f"trips/{made[0].data['id']}/cancel-search").status, 200)


@test("a key in use elsewhere is 409 in_flight at once, and free afterwards")
def _(w):
    c = w.customer()
    quote = w.quote(c)
    holder = subprocess.Popen(["psql", "-qXAt", "-v", "ON_ERROR_STOP=1", "-d", "hail"], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
    holder.stdin.write(f"BEGIN; SELECT replayed FROM hail.claim_trip_key('held', '{quote['id']}');\n")
    holder.stdin.flush()
    equal(holder.stdout.readline().strip(), "f")
    answer = w.request_trip(c, quote, key="held")
    equal((answer.status, answer.error["code"], answer.fields), (409, "in_flight", ["Idempotency-Key"]), answer)
    holder.communicate("ROLLBACK;\n")
    again = w.request_trip(c, quote, key="held")
    equal((again.status, again.headers["Idempotency-Replayed"]), (201, None), again)
    equal(c.post(f"trips/{again.data['id']}/cancel-search").status, 200)


QUOTE = {"pickup": PICKUP, "dropoff": DROPOFF, "serviceClass": "economy"}


@contextlib.contextmanager
def quote_trigger(w, body, kind="TRIGGER", timing="BEFORE", deferral=""):
    """Runs plpgsql for each new quote, as long as the block lasts."""
    w.psql(f"""CREATE SEQUENCE public.tries; GRANT ALL ON SEQUENCE public.tries TO PUBLIC;
        CREATE FUNCTION public.on_quote() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN {body} RETURN NEW; END $$;
        CREATE {kind} on_quote {timing} INSERT ON hail.quotes {deferral} FOR EACH ROW EXECUTE FUNCTION public.on_quote()""")
    try:
        yield
    finally:
        w.psql("DROP TRIGGER on_quote ON hail.quotes; DROP FUNCTION public.on_quote(); DROP SEQUENCE public.tries")


@test("a serialization failure is sent again, out of the client's sight")
def _(w):
    c = w.customer()
    with quote_trigger(w, """IF nextval('public.tries') < 3 THEN RAISE SQLSTATE '40001'; END IF;"""):
        equal(c.post("pricing/quote", QUOTE).status, 201)
    equal(w.psql(f"SELECT count(*) FROM hail.quotes WHERE customer_id = '{c.id}'"), "1")


@test("one that does not end is 503 with Retry-After, and nothing is left behind")
def _(w):
    c = w.customer()
    with quote_trigger(w, "PERFORM nextval('public.tries'); RAISE SQLSTATE '40P01';"):
        answer = c.post("pricing/quote", QUOTE)
        equal((answer.status, answer.error["code"]), (503, "serialization_failure"), answer)
        check(int(answer.headers["Retry-After"]) >= 1)
        equal(w.psql("SELECT last_value FROM public.tries"), "4")
    equal(w.psql(f"SELECT count(*) FROM hail.quotes WHERE customer_id = '{c.id}'"), "0")


@test("an overload is 503 with the seconds that the database names")
def _(w):
    with quote_trigger(w, "RAISE SQLSTATE 'UH081' USING MESSAGE = 'too many wait', DETAIL = 'retry_after_s=7';"):
        answer = w.customer().post("pricing/quote", QUOTE)
    equal((answer.status, answer.error["code"], answer.error["message"]), (503, "overloaded", "too many wait"), answer)
    equal(answer.headers["Retry-After"], "7")


@test("an error at commit is an error, never a success")
def _(w):
    c = w.customer()
    with quote_trigger(w, "RAISE SQLSTATE 'UH061' USING MESSAGE = 'refused at commit';", "CONSTRAINT TRIGGER",
                       "AFTER", "DEFERRABLE INITIALLY DEFERRED"):
        answer = c.post("pricing/quote", QUOTE)
        equal((answer.status, answer.error["code"]), (409, "unbalanced_transaction"), answer)
    equal(w.psql(f"SELECT count(*) FROM hail.quotes WHERE customer_id = '{c.id}'"), "0")
    equal(c.post("pricing/quote", QUOTE).status, 201)


@test("a changed function is prepared anew on live connections")
def _(w):
    equal(w.admin.get("auth/profile").status, 200)
    w.psql("ALTER TABLE hail.users ADD COLUMN test_extra text")
    try:
        equal(w.admin.get("auth/profile").data["testExtra"], None)
    finally:
        w.psql("ALTER TABLE hail.users DROP COLUMN test_extra")
    equal(w.admin.get("auth/profile").status, 200)


def hold_table(lock):
    """Another session that holds a lock until its stdin closes."""
    holder = subprocess.Popen(["psql", "-qXAt", "-v", "ON_ERROR_STOP=1", "-d", "hail"], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
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
    c = w.customer()
    holder = hold_table("LOCK TABLE hail.quotes IN ACCESS EXCLUSIVE MODE")
    try:
        answer = c.post("pricing/quote", QUOTE)
        equal((answer.status, answer.error["code"]), (504, "timeout"), answer)
        equal(w.psql("SELECT count(*) FROM pg_stat_activity WHERE application_name = 'haild' AND state <> 'idle'"), "0")
    finally:
        holder.kill()
    equal(w.admin.get("auth/profile").status, 200)
