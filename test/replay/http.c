/*
 * The HTTP client: a queue in front of a fixed set of libcurl easy handles on one multi handle; see http.h.
 */
#include "http.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <curl/curl.h>

#define RETRY_WAIT_S  0.25
#define ATTEMPT_S     30
#define OUTAGE_STEP_S 0.2

const char *const endpoint_names[EP_COUNT] = {
    [EP_LOCATION] = "POST /location/update",
    [EP_ONLINE] = "PUT /driver/online-status",
    [EP_OFFERS] = "GET /driver/offers",
    [EP_NEARBY] = "GET /location/nearby",
    [EP_SURGE] = "GET /pricing/surge-map",
    [EP_QUOTE] = "POST /pricing/quote",
    [EP_REQUEST] = "POST /trips/request",
    [EP_MATCHING] = "GET /trips/:id/matching-status",
    [EP_TRIP] = "GET /trips/:id",
    [EP_RESPONSE] = "POST /trips/:id/driver-response",
    [EP_STATUS] = "POST /trips/:id/status",
    [EP_CANCEL] = "POST /trips/:id/cancel-search",
    [EP_EARNINGS] = "GET /earnings/driver/:id",
    [EP_WALLET] = "GET /wallet",
};

typedef struct Request {
    struct Request *next; /* in the queue or the list of those to be repeated */
    Endpoint endpoint;
    const char *method, *token;
    char *url, *body, *key;
    HttpDone done;
    void *who;
    int sent;
    double queued_wall;
    double first_wall; /* when it first went out; 0: not yet */
    double first_clock;
    double repeat_at; /* wall */
} Request;

/* A connection's worth of state: an easy handle and the answer it is reading. */
typedef struct Slot {
    struct Slot *next_free;
    CURL *easy;
    struct curl_slist *headers;
    Request *request;
    char *answer;
    size_t length, room;
} Slot;

/* First in, first out. */
typedef struct Queue {
    Request *head, **tail;
} Queue;

HttpStats http_stats;

static HttpOptions options;
static CURLM *multi;
static Slot *free_slots;
static Queue urgent = {NULL, &urgent.head}, reports = {NULL, &reports.head};
static double longest_wait;
static Request *repeats;
static size_t queued, in_flight, waiting;
static double *outages;
static size_t outage_count;

static size_t on_body(char *bytes, size_t size, size_t count, void *arg)
{
    Slot *slot = arg;
    size_t more = size * count;

    if (slot->length + more + 1 > slot->room) {
        slot->room = 2 * (slot->length + more + 1);
        slot->answer = xrealloc(slot->answer, slot->room);
    }
    memcpy(slot->answer + slot->length, bytes, more);
    slot->length += more;
    slot->answer[slot->length] = '\0';
    return more;
}

void http_init(const HttpOptions *given)
{
    options = *given;
    if (curl_global_init(CURL_GLOBAL_DEFAULT) != CURLE_OK || !(multi = curl_multi_init()))
        die("cannot start libcurl");
    curl_multi_setopt(multi, CURLMOPT_MAXCONNECTS, (long)options.connections);
    for (int i = 0; i < options.connections; i++) {
        Slot *slot = xcalloc(1, sizeof(Slot));

        slot->easy = curl_easy_init();
        curl_easy_setopt(slot->easy, CURLOPT_PRIVATE, slot);
        curl_easy_setopt(slot->easy, CURLOPT_WRITEFUNCTION, on_body);
        curl_easy_setopt(slot->easy, CURLOPT_WRITEDATA, slot);
        curl_easy_setopt(slot->easy, CURLOPT_TIMEOUT, (long)ATTEMPT_S);
        curl_easy_setopt(slot->easy, CURLOPT_NOSIGNAL, 1L);
        curl_easy_setopt(slot->easy, CURLOPT_TCP_NODELAY, 1L);
        curl_easy_setopt(slot->easy, CURLOPT_PROXY, "");
        slot->next_free = free_slots;
        free_slots = slot;
    }
}

static void enqueue(Request *request)
{
    Queue *queue = request->endpoint == EP_LOCATION ? &reports : &urgent;

    request->next = NULL;
    *queue->tail = request;
    queue->tail = &request->next;
    queued++;
}

void http_send(Endpoint endpoint, const char *method, const char *path, const char *token, const char *key,
               const char *body, HttpDone done, void *who)
{
    Request *request = xcalloc(1, sizeof(Request));

    request->endpoint = endpoint;
    request->method = method;
    request->token = token;
    request->url = xasprintf("%s%s", options.base_url, path);
    request->body = body ? xstrdup(body) : NULL;
    request->key = key ? xstrdup(key) : NULL;
    request->done = done;
    request->who = who;
    request->queued_wall = wall_now();
    enqueue(request);
}

static void add_header(Slot *slot, const char *name, const char *value)
{
    char *line = xasprintf("%s: %s", name, value);

    slot->headers = curl_slist_append(slot->headers, line);
    free(line);
}

static void start(Slot *slot, Request *request)
{
    char *bearer = xasprintf("Bearer %s", request->token);

    slot->request = request;
    slot->length = 0;
    slot->headers = NULL;
    add_header(slot, "Authorization", bearer);
    free(bearer);
    slot->headers = curl_slist_append(slot->headers, "Expect:");
    if (request->key)
        add_header(slot, "Idempotency-Key", request->key);
    curl_easy_setopt(slot->easy, CURLOPT_URL, request->url);
    if (request->body) {
        add_header(slot, "Content-Type", "application/json");
        curl_easy_setopt(slot->easy, CURLOPT_POSTFIELDS, request->body);
        curl_easy_setopt(slot->easy, CURLOPT_POSTFIELDSIZE, (long)strlen(request->body));
    } else {
        curl_easy_setopt(slot->easy, CURLOPT_HTTPGET, 1L);
    }
    curl_easy_setopt(slot->easy, CURLOPT_CUSTOMREQUEST, request->method);
    curl_easy_setopt(slot->easy, CURLOPT_HTTPHEADER, slot->headers);
    if (request->sent++ == 0) {
        request->first_wall = wall_now();
        request->first_clock = clock_now();
        samples_add(&http_stats.queue_wait, 1000 * (request->first_wall - request->queued_wall));
        if (longest_wait < request->first_wall - request->queued_wall)
            longest_wait = request->first_wall - request->queued_wall;
    }
    http_stats.requests++;
    in_flight++;
    curl_multi_add_handle(multi, slot->easy);
}

static void start_queued(void)
{
    while (queued > 0 && free_slots) {
        Queue *queue = urgent.head ? &urgent : &reports;
        Request *request = queue->head;
        Slot *slot = free_slots;

        free_slots = slot->next_free;
        queue->head = request->next;
        if (!queue->head)
            queue->tail = &queue->head;
        queued--;
        start(slot, request);
    }
}

void http_note_outage(void)
{
    double now = wall_now();

    if (outage_count > 0 && now - outages[outage_count - 1] < OUTAGE_STEP_S)
        return;
    outages = xrealloc(outages, (outage_count + 1) * sizeof(double));
    outages[outage_count++] = now;
}

const double *http_outages(size_t *count)
{
    *count = outage_count;
    return outages;
}

/* Take the answer apart. The result keeps the document alive through *document. */
static HttpReply read_reply(const Slot *slot, CURLcode outcome, json_t **document)
{
    HttpReply reply = {
        .code = "no_answer", .sent = slot->request->sent, .asked_at = slot->request->first_clock};

    *document = NULL;
    if (outcome != CURLE_OK)
        return reply;
    curl_easy_getinfo(slot->easy, CURLINFO_RESPONSE_CODE, &reply.status);
    *document = slot->length ? json_loadb(slot->answer, slot->length, JSON_DECODE_ANY, NULL) : NULL;
    if (reply.status >= 200 && reply.status < 300) {
        reply.code = "";
        reply.data = json_object_get(*document, "data");
    } else {
        const char *code = json_string_value(json_object_get(json_object_get(*document, "error"), "code"));

        reply.code = code ? code : "no_code";
    }
    return reply;
}

static void free_request(Request *request)
{
    free(request->url);
    free(request->body);
    free(request->key);
    free(request);
}

static bool to_be_repeated(const Request *request, const HttpReply *reply)
{
    bool passing = reply->status == 0 || reply->status >= 502 || (reply->status == 401 && options.retry_401);

    if (reply->status == 0 || reply->status >= 500) {
        http_stats.server_errors++;
        http_note_outage();
    }
    return passing && wall_now() - request->first_wall < options.retry_s;
}

static void finish(Slot *slot, CURLcode outcome)
{
    Request *request = slot->request;
    json_t *document;
    HttpReply reply = read_reply(slot, outcome, &document);
    curl_off_t microseconds = 0;

    curl_easy_getinfo(slot->easy, CURLINFO_TOTAL_TIME_T, &microseconds);
    curl_multi_remove_handle(multi, slot->easy);
    curl_slist_free_all(slot->headers);
    slot->next_free = free_slots;
    free_slots = slot;
    in_flight--;
    if (to_be_repeated(request, &reply)) {
        http_count_error(request->endpoint, &reply, options.retry_401);
        http_stats.retries++;
        request->repeat_at = wall_now() + RETRY_WAIT_S;
        request->next = repeats;
        repeats = request;
        waiting++;
    } else {
        if (reply.status != 0) {
            http_stats.answers++;
            samples_add(&http_stats.latency[request->endpoint], (double)microseconds / 1000.0);
        }
        request->done(request->who, &reply);
        free_request(request);
    }
    json_decref(document);
}

static void requeue_repeats(void)
{
    double now = wall_now();

    for (Request **link = &repeats; *link;) {
        Request *request = *link;

        if (request->repeat_at > now) {
            link = &request->next;
            continue;
        }
        *link = request->next;
        waiting--;
        enqueue(request);
    }
}

void http_poll(double timeout_s)
{
    CURLMsg *message;
    int running, left;

    requeue_repeats();
    start_queued();
    curl_multi_perform(multi, &running);
    while ((message = curl_multi_info_read(multi, &left))) {
        Slot *slot;

        if (message->msg != CURLMSG_DONE)
            continue;
        curl_easy_getinfo(message->easy_handle, CURLINFO_PRIVATE, (char **)&slot);
        finish(slot, message->data.result);
        timeout_s = 0;
    }
    if (timeout_s > 0 && !(queued > 0 && free_slots))
        curl_multi_poll(multi, NULL, 0, (int)(timeout_s * 1000) + 1, NULL);
}

size_t http_pending(void)
{
    return queued + in_flight + waiting;
}

size_t http_queued(void)
{
    return queued;
}

double http_longest_wait(void)
{
    double result = longest_wait, now = wall_now();
    const Request *heads[] = {urgent.head, reports.head};

    for (int i = 0; i < 2; i++)
        if (heads[i] && heads[i]->sent == 0 && now - heads[i]->queued_wall > result)
            result = now - heads[i]->queued_wall;
    longest_wait = 0;
    return result;
}

void http_count_error(Endpoint endpoint, const HttpReply *reply, bool expected)
{
    HttpError *e;

    for (size_t i = 0; i < http_stats.error_count; i++) {
        e = &http_stats.errors[i];
        if (e->endpoint == endpoint && e->status == reply->status && e->expected == expected &&
            strncmp(e->code, reply->code, sizeof(e->code) - 1) == 0) {
            e->count++;
            return;
        }
    }
    http_stats.errors = xrealloc(http_stats.errors, (http_stats.error_count + 1) * sizeof(HttpError));
    e = &http_stats.errors[http_stats.error_count++];
    *e = (HttpError){.endpoint = endpoint, .status = reply->status, .expected = expected, .count = 1};
    snprintf(e->code, sizeof(e->code), "%s", reply->code);
}
