"""Framing tricks, on raw sockets. Each must end in one answer of 400 (or as named) and a closed connection."""
import json

from harness import Haild, check, equal, exchange, test

PATH = "/api/v1/location/update"
BODY = '{"lat":30.05,"lng":31.24}'


def request(w, *headers, body=BODY, method="POST", path=PATH):
    return "\r\n".join([f"{method} {path} HTTP/1.1", "Host: x", f"Authorization: Bearer {w.admin.token}",
                        "Content-Type: application/json", *headers, "", body])


def refused(w, data, status=400, code="bad_request"):
    got = exchange(w.port, data)
    equal(got.count("HTTP/1.1 "), 1, got)
    check(got.startswith(f"HTTP/1.1 {status} "), got)
    check("Connection: close" in got, got)
    equal(json.loads(got.split("\r\n\r\n", 1)[1])["error"]["code"], code)


@test("Transfer-Encoding is refused, in any spelling")
def _(w):
    chunked = "1a\r\n" + BODY + "\r\n0\r\n\r\n"
    for header in ("Transfer-Encoding: chunked", "transfer-encoding: CHUNKED", "Transfer-Encoding: identity",
                   "Transfer-Encoding: gzip, chunked", "Transfer-Encoding: x", "Transfer-Encoding:"):
        refused(w, request(w, header, body=chunked))
    refused(w, request(w, "Content-Length: 5", "Transfer-Encoding: chunked", body=chunked))


@test("a second Content-Length is refused, even the same")
def _(w):
    n = f"Content-Length: {len(BODY)}"
    refused(w, request(w, n, n))
    refused(w, request(w, n, "Content-Length: 3"))
    refused(w, request(w, f"Content-Length: {len(BODY)}, {len(BODY)}"))


@test("a Content-Length that is not digits is refused")
def _(w):
    for value in ("-1", "+25", "0x19", "25x", "2 5", "", "1e2", "99999999999999999999999"):
        refused(w, request(w, "Content-Length: " + value))


@test("a body larger than 1 MB is refused unread")
def _(w):
    refused(w, request(w, "Content-Length: 1048577"), 413, "payload_too_large")
    refused(w, request(w, "Content-Length: 999999999999"), 413, "payload_too_large")


@test("a body that ends early is refused")
def _(w):
    refused(w, request(w, "Content-Length: 4000"))


@test("more headers than the server keeps are refused")
def _(w):
    refused(w, request(w, *[f"X-{i}: 1" for i in range(70)], f"Content-Length: {len(BODY)}"), 431, "headers_too_large")


@test("headers of more than 16 kB are refused")
def _(w):
    refused(w, request(w, "X-Long: " + "x" * 20000, f"Content-Length: {len(BODY)}"))


@test("what is not HTTP is refused in our form")
def _(w):
    refused(w, "GARBAGE\r\n\r\n")
    refused(w, "BREW /api/v1/wallet HTTP/1.1\r\n\r\n")
    refused(w, "GET /api/v1/wallet HTTP/3.7\r\n\r\n")
    refused(w, "GET nowhere HTTP/1.1\r\nHost: x\r\n\r\n")


@test("a body on GET is refused")
def _(w):
    refused(w, request(w, f"Content-Length: {len(BODY)}", method="GET", path="/api/v1/wallet"))


@test("a request after a refused one on the same connection is not served")
def _(w):
    follow = "GET /health/live HTTP/1.1\r\nHost: x\r\n\r\n"
    refused(w, request(w, "Transfer-Encoding: chunked", body="0\r\n\r\n" + follow))
    refused(w, request(w, "Content-Length: 5", "Content-Length: 25") + follow)


@test("a body on an unknown path can't smuggle a request")
def _(w):
    inner = "GET /health/live HTTP/1.1\r\nHost: x\r\n\r\n"
    refused(w, request(w, f"Content-Length: {len(inner)}", path="/nowhere", body=inner), 404, "not_found")


@test("several requests on one connection are all answered")
def _(w):
    one = "GET /health/live HTTP/1.1\r\nHost: x\r\n\r\n"
    equal(exchange(w.port, one + one + one).count("HTTP/1.1 200 OK"), 3)


@test("an urlencoded body with a zero byte is refused at once")
def _(w):
    body = "a=\0b"
    refused(w, request(w, f"Content-Length: {len(body)}", body=body).replace("application/json",
            "application/x-www-form-urlencoded"), 415, "unsupported_media_type")


@test("a client that sends its request too slowly is let go")
def _(w):
    haild = Haild(HAIL_READ_TIMEOUT_MS="300")
    try:
        head = request(w, "Content-Length: 4000")
        got = exchange(haild.port, head, read_all=False)
        check(got.startswith("HTTP/1.1 400 ") and "Connection: close" in got, got)
    finally:
        equal(haild.stop(), 0)
