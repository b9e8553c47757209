/*
 * redis_load SOCKET MODE CLIENTS SECONDS SEED POINTS
 *    The peer's client: as many connections as pgbench has clients, each sending one command (or one
 * pipeline) at a time over the unix socket. POINTS: lines "id lat lng". Prints operations a second.
 *
 *    load        GEOADD of every point, pipelined, once; prints their number
 *    nearest     GEOSEARCH of the 50 nearest within 2 km of a random place, with distance and coordinates
 *    report      GEOADD of one point
 *    report1000  GEOADD of 1,000 points, one command each, in one pipeline
 */
#include <hiredis/hiredis.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

typedef struct Point {
    char id[40];
    double lat, lng;
} Point;

static Point *points;
static int point_count;
static const char *socket_path, *mode;
static double seconds;
static unsigned seed;
static atomic_long operations;

static void fail(const char *what)
{
    fprintf(stderr, "redis_load: %s\n", what);
    exit(1);
}

static double now(void)
{
    struct timespec t;

    clock_gettime(CLOCK_MONOTONIC, &t);
    return t.tv_sec + t.tv_nsec / 1e9;
}

static void read_points(const char *path)
{
    FILE *file = fopen(path, "r");
    int room = 0;

    if (file == NULL)
        fail("cannot read the points");
    for (;;) {
        if (point_count == room)
            points = realloc(points, (room = room ? 2 * room : 1024) * sizeof(Point));
        if (fscanf(file, "%39s %lf %lf", points[point_count].id, &points[point_count].lat,
                   &points[point_count].lng) != 3)
            break;
        point_count++;
    }
    fclose(file);
    if (point_count == 0)
        fail("no points");
}

static void receive(redisContext *redis, int replies)
{
    for (int n = 0; n < replies; n++) {
        redisReply *reply;

        if (redisGetReply(redis, (void **)&reply) != REDIS_OK || reply->type == REDIS_REPLY_ERROR)
            fail("command failed");
        freeReplyObject(reply);
    }
}

static void add(redisContext *redis, const Point *point, double lat, double lng)
{
    redisAppendCommand(redis, "GEOADD drivers %.6f %.6f %s", lng, lat, point->id);
}

static double shifted(double degrees, unsigned *state)
{
    return degrees + (rand_r(state) % 2001 - 1000) * 1e-6;
}

/* One operation of the mode; returns how many it counts as. */
static int operate(redisContext *redis, unsigned *state)
{
    if (strcmp(mode, "nearest") == 0) {
        double lat = 41.10 + rand_r(state) % 100001 / 1e6, lng = -8.66 + rand_r(state) % 100001 / 1e6;

        redisAppendCommand(
            redis, "GEOSEARCH drivers FROMLONLAT %.6f %.6f BYRADIUS 2000 m ASC COUNT 50 WITHDIST WITHCOORD",
            lng, lat);
        receive(redis, 1);
        return 1;
    }
    int batch = strcmp(mode, "report1000") == 0 ? 1000 : 1;

    for (int n = 0; n < batch; n++) {
        const Point *point = &points[rand_r(state) % point_count];

        add(redis, point, shifted(point->lat, state), shifted(point->lng, state));
    }
    receive(redis, batch);
    return batch;
}

static void *client(void *arg)
{
    unsigned state = seed + (unsigned)(long)arg;
    redisContext *redis = redisConnectUnix(socket_path);
    double until;

    if (redis == NULL || redis->err)
        fail("cannot connect");
    until = now() + seconds;
    while (now() < until)
        operations += operate(redis, &state);
    redisFree(redis);
    return NULL;
}

static void load(void)
{
    redisContext *redis = redisConnectUnix(socket_path);

    if (redis == NULL || redis->err)
        fail("cannot connect");
    for (int n = 0; n < point_count; n++) {
        add(redis, &points[n], points[n].lat, points[n].lng);
        if (n % 1000 == 999 || n == point_count - 1)
            receive(redis, n % 1000 + 1);
    }
    redisFree(redis);
    printf("%d\n", point_count);
}

int main(int argc, char **argv)
{
    if (argc != 7)
        fail("usage: redis_load SOCKET MODE CLIENTS SECONDS SEED POINTS");
    socket_path = argv[1];
    mode = argv[2];
    seconds = atof(argv[4]);
    seed = (unsigned)atoi(argv[5]);
    read_points(argv[6]);
    if (strcmp(mode, "load") == 0) {
        load();
        return 0;
    }
    int clients = atoi(argv[3]);
    pthread_t threads[1024];
    double start = now();

    if (clients < 1 || clients > 1024)
        fail("clients: 1 to 1024");
    for (long n = 0; n < clients; n++)
        pthread_create(&threads[n], NULL, client, (void *)n);
    for (int n = 0; n < clients; n++)
        pthread_join(threads[n], NULL);
    printf("%.1f\n", operations / (now() - start));
    return 0;
}
