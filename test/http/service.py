"""Health, metrics, the API's description, headers, CORS, settings."""
import os
import subprocess

from harness import check, equal, send, test


@test("health endpoints answer without a token")
def _(w):
    for path in ("/health", "/health/live", "/health/ready", "/health/startup"):
        answer = w.call("GET", path)
        equal(answer.status, 200, path, answer)
        equal(answer.data["status"], "ok")


@test("the operations address serves health and metrics, not the API")
def _(w):
    equal(send(w.haild.ops_port, "GET", "/health/live").status, 200)
    equal(send(w.haild.ops_port, "GET", "/metrics").status, 200)
    equal(send(w.haild.ops_port, "GET", "/api/v1/wallet", token=w.admin.token).status, 404)


@test("metrics count requests by route and status")
def _(w):
    w.admin.get("auth/profile")
    text = w.call("GET", "/metrics").raw.decode()
    check('hail_http_requests_total{method="GET",route="/api/v1/auth/profile",status="200"}' in text, text)
    check("hail_http_request_seconds_bucket" in text and "hail_db_connects_total" in text)
    check("hail_http_in_flight 1\n" in text, text)


@test("administrators read the engine's checks and figures, others don't")
def _(w):
    checks = w.admin.get("admin/check")
    equal(checks.status, 200, checks)
    equal({c["status"] for c in checks.data["checks"]} - {"ok", "warn"}, set(), checks)
    check({"live", "history", "ledger"} <= {c["area"] for c in checks.data["checks"]}, checks)
    figures = w.admin.get("admin/metrics")
    equal(figures.status, 200, figures)
    check("hail_live_searches_total" in {m["name"] for m in figures.data["metrics"]}, figures)
    for path in ("admin/check", "admin/metrics"):
        equal(w.customer().get(path).status, 403, path)
        equal(w.call("GET", f"/api/v1/{path}").status, 401, path)


@test("openapi.json is OpenAPI 3.1 and lists every endpoint and error code")
def _(w):
    document = w.call("GET", "/openapi.json").json
    equal(document["openapi"], "3.1.0")
    routes = subprocess.run([os.environ["HAILD"], "--routes"], capture_output=True, text=True).stdout.splitlines()
    check(len(routes) > 20)
    for route in routes:
        method, path = route.split("\t")[:2]
        path = "/".join("{" + p[1:] + "}" if p.startswith(":") else p for p in path.split("/"))
        check(method.lower() in document["paths"][path], method, path)
    codes = document["components"]["schemas"]["ErrorCode"]
    known = w.psql("SELECT string_agg(code || ' ' || http_status, ',') FROM hail.error_codes()").split(",")
    for line in known:
        code, status = line.split(" ")
        equal(codes["x-http-status"][code], int(status), code)
    equal(len(codes["enum"]), len(set(codes["enum"])), "no code twice")
    body = document["paths"]["/api/v1/pricing/quote"]["post"]["requestBody"]["content"]["application/json"]["schema"]
    equal(body["properties"]["pickup"]["required"], ["lat", "lng"])
    equal(len(document["paths"]["/api/v1/trips/{id}/status"]["post"]["requestBody"]["content"]["application/json"]
              ["schema"]["oneOf"]), 4)


@test("every answer has the security headers and no server banner")
def _(w):
    for answer in (w.call("GET", "/health/live"), w.call("GET", "/nothing"), w.admin.get("auth/profile")):
        equal(answer.headers["X-Content-Type-Options"], "nosniff")
        equal(answer.headers["Cache-Control"], "no-store")
        equal(answer.headers["X-Frame-Options"], "DENY")
        check("default-src 'none'" in answer.headers["Content-Security-Policy"])
        equal(answer.headers["Server"], None)


@test("a Request-Id is echoed, reaches meta, and is made when missing or unfit")
def _(w):
    answer = w.admin.get("auth/profile", Request_Id="abc-123")
    equal(answer.headers["Request-Id"], "abc-123")
    equal(answer.json["meta"]["requestId"], "abc-123")
    for bad in (None, "", "x" * 129, "with space", 'with"quote'):
        id = w.admin.get("auth/profile", Request_Id=bad).headers["Request-Id"]
        check(id != bad and len(id) == 32, bad, id)


@test("success is wrapped in data and meta")
def _(w):
    answer = w.admin.get("auth/profile")
    equal(sorted(answer.json), ["data", "meta", "success"])
    equal(answer.json["meta"]["version"], "v1")
    check(answer.json["meta"]["timestamp"].endswith("Z"))
    equal(answer.data["role"], "admin")
    check("createdAt" in answer.data and "created_at" not in answer.data)


@test("errors come as problem+json on request")
def _(w):
    answer = w.admin.get("trips/not-a-uuid", Accept="application/problem+json")
    equal(answer.status, 400)
    equal(answer.headers["Content-Type"], "application/problem+json")
    equal(answer.json["code"], "invalid_value")
    equal(answer.json["status"], 400)
    equal(answer.json["errors"][0]["field"], "id")


@test("only origins of the allow-list may call from a browser")
def _(w):
    good, bad = "https://app.example.com", "https://evil.example.com"
    answer = w.call("OPTIONS", "trips/request", Origin=good, Access_Control_Request_Method="POST")
    equal(answer.status, 204)
    equal(answer.headers["Access-Control-Allow-Origin"], good)
    check("POST" in answer.headers["Access-Control-Allow-Methods"])
    check("Idempotency-Key" in answer.headers["Access-Control-Allow-Headers"])
    answer = w.call("OPTIONS", "trips/request", Origin=bad, Access_Control_Request_Method="POST")
    equal(answer.status, 403)
    equal(answer.headers["Access-Control-Allow-Origin"], None)
    equal(w.admin.get("auth/profile", Origin=good).headers["Access-Control-Allow-Origin"], good)
    equal(w.admin.get("auth/profile", Origin=bad).headers["Access-Control-Allow-Origin"], None)
    equal(w.call("OPTIONS", "trips/request").headers["Allow"], "POST, OPTIONS")


@test("HEAD answers like GET, without a body")
def _(w):
    answer = w.admin.call("HEAD", "auth/profile")
    equal((answer.status, answer.raw), (200, b""))
    check(int(answer.headers["Content-Length"]) > 0)


@test("wrong settings are all named at start, and end haild with status 2")
def _(w):
    environment = dict(os.environ, HAIL_THREADS="many", HAIL_LISTEN="nowhere", HAIL_ORIGINS="*", HAIL_LOG_LEVEL="loud")
    environment.pop("HAIL_DATABASE_URL", None)
    done = subprocess.run([os.environ["HAILD"]], env=environment, capture_output=True, text=True, timeout=20)
    equal(done.returncode, 2)
    for name in ("HAIL_DATABASE_URL", "HAIL_THREADS", "HAIL_LISTEN", "HAIL_ORIGINS", "HAIL_LOG_LEVEL"):
        check(name + ":" in done.stderr, name, done.stderr)


@test("settings are never printed when they are secret")
def _(w):
    environment = dict(os.environ, HAIL_THREADS="0", HAIL_DATABASE_URL="host=x password=hunter2")
    done = subprocess.run([os.environ["HAILD"]], env=environment, capture_output=True, text=True, timeout=20)
    equal(done.returncode, 2)
    check("hunter2" not in done.stderr + done.stdout)


@test("logs hold no tokens and no phone numbers")
def _(w):
    w.admin.get("auth/profile")
    logged = w.haild.logged()
    check('"route":"/api/v1/auth/profile"' in logged, logged[-500:])
    check(w.admin.token not in logged and w.admin.token.split(".")[2] not in logged and "+2010" not in logged)
