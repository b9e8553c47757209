/*
 * http_load HOST PORT CLIENTS SECONDS REQUESTS [once]
 *    Keep-alive HTTP/1.1 load: each client sends one request of REQUESTS after another over its own
 * connection and waits for the whole answer. REQUESTS: blocks of a byte count on a line of its own and that
 * many bytes, each a complete request. Client n starts at block n and strides by the number of clients, so
 * blocks are shared out. At most one thread per core, each with an epoll
 *    of its clients. `once`: every request is sent once, SECONDS is only a limit; else they begin again.
 *
 *    Prints: requests a second, median and 99th percentile in ms, answers other than 2xx, separated by
 * blanks. Answers need a Content-Length. A closed connection is opened again.
 */
#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <netinet/tcp.h>
#include <pthread.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

#define BUFFER_BYTES 65536
#define BUCKETS      200000 /* latency histogram: 10 us each, up to 2 s */

typedef struct Request {
    const char *bytes;
    size_t length;
} Request;

typedef struct Client {
    int fd;
    int next;  /* request to send next */
    bool idle; /* nothing left to send */
    size_t sent, received;
    double started;
    char answer[BUFFER_BYTES];
} Client;

typedef struct Worker {
    pthread_t thread;
    int first, count; /* clients */
    int idle;         /* of them, those with nothing left to send */
    long answers, failures;
    unsigned *histogram;
} Worker;

static struct sockaddr_in address;
static Request *requests;
static int request_count, client_count;
static bool once;
static double until;

static void fail(const char *what)
{
    fprintf(stderr, "http_load: %s: %s\n", what, strerror(errno));
    exit(1);
}

static double now(void)
{
    struct timespec t;

    clock_gettime(CLOCK_MONOTONIC, &t);
    return t.tv_sec + t.tv_nsec / 1e9;
}

static void read_requests(const char *path)
{
    FILE *file = fopen(path, "rb");
    size_t length;
    int room = 0;

    if (file == NULL)
        fail(path);
    while (fscanf(file, "%zu", &length) == 1) {
        char *bytes = malloc(length);

        if (fgetc(file) != '\n' || bytes == NULL || fread(bytes, 1, length, file) != length)
            fail("requests are cut short");
        if (request_count == room)
            requests = realloc(requests, (room = room ? 2 * room : 1024) * sizeof(Request));
        requests[request_count++] = (Request){bytes, length};
    }
    fclose(file);
    if (request_count == 0)
        fail("no requests");
}

static void open_connection(Client *client)
{
    int one = 1;

    if (client->fd >= 0)
        close(client->fd);
    client->fd = socket(AF_INET, SOCK_STREAM, 0);
    if (client->fd < 0 || connect(client->fd, (struct sockaddr *)&address, sizeof(address)) != 0)
        fail("connect");
    setsockopt(client->fd, IPPROTO_TCP, TCP_NODELAY, &one, sizeof(one));
    fcntl(client->fd, F_SETFL, O_NONBLOCK);
}

static void watch(int epoll, Client *client, int op)
{
    struct epoll_event event = {.events = EPOLLIN, .data.ptr = client};

    if (epoll_ctl(epoll, op, client->fd, &event) != 0)
        fail("epoll_ctl");
}

/* Requests are small: they fit the socket's buffer, or something is wrong. */
static void send_request(Worker *worker, Client *client)
{
    const Request *request = &requests[client->next % request_count];

    if (once && client->next >= request_count) {
        client->idle = true;
        worker->idle++;
        return;
    }
    client->next = once ? client->next + client_count : (client->next + client_count) % request_count;
    client->received = 0;
    client->started = now();
    if (write(client->fd, request->bytes, request->length) != (ssize_t)request->length)
        fail("write");
}

/* The header's Content-Length; -1 without one. Header ends at `end`. */
static long content_length(const char *answer, const char *end)
{
    for (const char *line = answer; line != NULL && line < end; line = strchr(line, '\n')) {
        line += *line == '\n';
        if (strncasecmp(line, "content-length:", 15) == 0)
            return atol(line + 15);
    }
    return -1;
}

/* Whether the answer is complete; *ok: it is a 2xx. */
static bool complete(Client *client, bool *ok)
{
    char *end;
    long length;

    client->answer[client->received] = '\0';
    end = strstr(client->answer, "\r\n\r\n");
    if (end == NULL)
        return false;
    length = content_length(client->answer, end);
    if (length < 0) {
        errno = 0;
        fail("answer without Content-Length");
    }
    *ok = client->received > 9 && client->answer[9] == '2';
    return client->received >= (size_t)(end + 4 - client->answer) + length;
}

static void count_answer(Worker *worker, Client *client, bool ok)
{
    int bucket = (int)((now() - client->started) * 1e5);

    worker->answers++;
    worker->failures += !ok;
    worker->histogram[bucket < BUCKETS ? bucket : BUCKETS - 1]++;
}

/* Read what there is; reopens the connection when the server has closed it. */
static void read_answer(Worker *worker, int epoll, Client *client)
{
    ssize_t bytes = read(client->fd, client->answer + client->received, BUFFER_BYTES - 1 - client->received);
    bool ok;

    if (bytes < 0 && (errno == EAGAIN || errno == EINTR))
        return;
    if (bytes <= 0 && client->idle) {
        close(client->fd);
        client->fd = -1;
        return;
    }
    if (bytes <= 0) {
        worker->failures += client->received > 0;
        open_connection(client);
        watch(epoll, client, EPOLL_CTL_ADD);
        send_request(worker, client);
        return;
    }
    client->received += bytes;
    if (complete(client, &ok)) {
        count_answer(worker, client, ok);
        send_request(worker, client);
    }
}

static void *work(void *arg)
{
    Worker *worker = arg;
    Client *clients = calloc(worker->count, sizeof(Client));
    struct epoll_event events[64];
    int epoll = epoll_create1(0);

    worker->histogram = calloc(BUCKETS, sizeof(unsigned));
    if (clients == NULL || worker->histogram == NULL || epoll < 0)
        fail("start");
    for (int n = 0; n < worker->count; n++) {
        clients[n].fd = -1;
        clients[n].next = worker->first + n;
        open_connection(&clients[n]);
        watch(epoll, &clients[n], EPOLL_CTL_ADD);
        send_request(worker, &clients[n]);
    }
    while (now() < until && worker->idle < worker->count) {
        int ready = epoll_wait(epoll, events, 64, 100);

        for (int n = 0; n < ready; n++)
            read_answer(worker, epoll, events[n].data.ptr);
    }
    return NULL;
}

/* The latency below which `share` of the answers lie; ms. */
static double percentile(const Worker *workers, int worker_count, long answers, double share)
{
    long seen = 0;

    for (int bucket = 0; bucket < BUCKETS; bucket++) {
        for (int n = 0; n < worker_count; n++)
            seen += workers[n].histogram[bucket];
        if (seen >= share * answers)
            return (bucket + 1) / 100.0;
    }
    return BUCKETS / 100.0;
}

int main(int argc, char **argv)
{
    int worker_count = (int)sysconf(_SC_NPROCESSORS_ONLN);
    Worker workers[256] = {0};
    long answers = 0, failures = 0;

    once = argc == 7 && strcmp(argv[6], "once") == 0;
    if (argc != 6 && !once) {
        fprintf(stderr, "usage: http_load HOST PORT CLIENTS SECONDS REQUESTS [once]\n");
        return 2;
    }
    address = (struct sockaddr_in){.sin_family = AF_INET, .sin_port = htons((uint16_t)atoi(argv[2]))};
    inet_pton(AF_INET, argv[1], &address.sin_addr);
    client_count = atoi(argv[3]);
    if (client_count < 1)
        fail("clients");
    worker_count = worker_count > client_count ? client_count : worker_count > 256 ? 256 : worker_count;
    read_requests(argv[5]);

    double start = now();

    until = start + atof(argv[4]);
    for (int n = 0; n < worker_count; n++) {
        workers[n].first = client_count * n / worker_count;
        workers[n].count = client_count * (n + 1) / worker_count - workers[n].first;
        pthread_create(&workers[n].thread, NULL, work, &workers[n]);
    }
    for (int n = 0; n < worker_count; n++) {
        pthread_join(workers[n].thread, NULL);
        answers += workers[n].answers;
        failures += workers[n].failures;
    }
    printf("%.1f %.2f %.2f %ld\n", answers / (now() - start), percentile(workers, worker_count, answers, 0.5),
           percentile(workers, worker_count, answers, 0.99), failures);
    return 0;
}
