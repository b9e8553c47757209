/*
 * redis_load SOCKET MODE CLIENTS SECONDS SEED POINTS [SOUTH WEST HEIGHT WIDTH]
 *    The peer's client: connections of a thread each, sending one command (or one pipeline) at a time over
 * the unix socket. POINTS: lines "id lat lng". Commands are put together without printf: the client must not
 * be what is slow.
 *
 *    load        GEOADD of every point, pipelined, once; prints their number
 *    nearest     GEOSEARCH of the 50 nearest within 2 km of a random place, with distance and coordinates
 *    nearest_ids the same without coordinates and distances
 *    ten         GEOSEARCH of the 10 nearest within 5 km, with distance and coordinates
 *    report      GEOADD of one point
 *    report1000  GEOADD of 1,000 points, one command each, in one pipeline
 *    mixed       nine times out of ten report, else nearest
 */
#include <hiredis/hiredis.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "load.h"

static const char *socket_path, *mode;

static void *open_redis(void)
{
    redisContext *redis = redisConnectUnix(socket_path);

    if (redis == NULL || redis->err)
        load_fail("cannot connect to redis", redis ? redis->errstr : NULL);
    return redis;
}

static void close_redis(void *connection)
{
    redisFree(connection);
}

static void receive(redisContext *redis, int replies)
{
    for (int n = 0; n < replies; n++) {
        redisReply *reply;

        if (redisGetReply(redis, (void **)&reply) != REDIS_OK || reply->type == REDIS_REPLY_ERROR)
            load_fail("redis command failed", redis->errstr);
        freeReplyObject(reply);
    }
}

/* Append an argument: "$<length>\r\n<text>\r\n". Texts are shorter than 100 bytes. */
static char *put_text(char *at, const char *text, size_t length)
{
    *at++ = '$';
    if (length >= 10)
        *at++ = (char)('0' + length / 10);
    *at++ = (char)('0' + length % 10);
    memcpy(at, "\r\n", 2);
    memcpy(at + 2, text, length);
    memcpy(at + 2 + length, "\r\n", 2);
    return at + 4 + length;
}

/* Degrees with six decimals. */
static char *put_degrees(char *at, double degrees)
{
    char text[16], *end = text + sizeof(text), *c = end;
    long long micro = (long long)(degrees * 1e6 + (degrees < 0 ? -0.5 : 0.5));
    unsigned long long rest = (unsigned long long)(micro < 0 ? -micro : micro);

    for (int digit = 0; digit < 7 || rest > 0; digit++) {
        if (digit == 6)
            *--c = '.';
        *--c = (char)('0' + rest % 10);
        rest /= 10;
    }
    if (micro < 0)
        *--c = '-';
    return put_text(at, c, (size_t)(end - c));
}

static void add(redisContext *redis, const LoadPoint *point, double lat, double lng)
{
    static const char head[] = "*5\r\n$6\r\nGEOADD\r\n$7\r\ndrivers\r\n";
    char command[192], *at = command;

    memcpy(at, head, sizeof(head) - 1);
    at = put_degrees(at + sizeof(head) - 1, lng);
    at = put_degrees(at, lat);
    at = put_text(at, point->id, 36);
    redisAppendFormattedCommand(redis, command, (size_t)(at - command));
}

static int report(redisContext *redis, unsigned *random, int count)
{
    for (int n = 0; n < count; n++) {
        double lat, lng;
        const LoadPoint *point = load_random_report(random, &lat, &lng);

        add(redis, point, lat, lng);
    }
    receive(redis, count);
    return count;
}

static int search(redisContext *redis, unsigned *random, const char *command)
{
    double lat, lng;

    load_random_place(random, &lat, &lng);
    redisAppendCommand(redis, command, lng, lat);
    receive(redis, 1);
    return 1;
}

static const char nearest[] =
    "GEOSEARCH drivers FROMLONLAT %f %f BYRADIUS 2000 m ASC COUNT 50 WITHDIST WITHCOORD";
static const char nearest_ids[] = "GEOSEARCH drivers FROMLONLAT %f %f BYRADIUS 2000 m ASC COUNT 50";
static const char ten[] =
    "GEOSEARCH drivers FROMLONLAT %f %f BYRADIUS 5000 m ASC COUNT 10 WITHDIST WITHCOORD";

static int call_redis(void *redis, unsigned *random, LoadKind *kind)
{
    *kind = LOAD_SEARCH;
    if (strcmp(mode, "nearest") == 0)
        return search(redis, random, nearest);
    if (strcmp(mode, "nearest_ids") == 0)
        return search(redis, random, nearest_ids);
    if (strcmp(mode, "ten") == 0)
        return search(redis, random, ten);
    if (strcmp(mode, "mixed") == 0 && rand_r(random) % 10 == 0)
        return search(redis, random, nearest);
    *kind = LOAD_REPORT;
    return report(redis, random, strcmp(mode, "report1000") == 0 ? 1000 : 1);
}

static void load_once(void)
{
    redisContext *redis = open_redis();

    for (int n = 0; n < load_point_count; n++) {
        add(redis, &load_points[n], load_points[n].lat, load_points[n].lng);
        if (n % 1000 == 999 || n == load_point_count - 1)
            receive(redis, n % 1000 + 1);
    }
    redisFree(redis);
    printf("%d\n", load_point_count);
}

int main(int argc, char **argv)
{
    static const LoadProgram program = {open_redis, call_redis, close_redis};

    if (argc != 7 && argc != 11)
        load_fail("usage: redis_load SOCKET MODE CLIENTS SECONDS SEED POINTS [SOUTH WEST HEIGHT WIDTH]",
                  NULL);
    socket_path = argv[1];
    mode = argv[2];
    load_read_points(argv[6]);
    if (argc == 11)
        load_area = (LoadArea){atof(argv[7]), atof(argv[8]), atof(argv[9]), atof(argv[10])};
    if (strcmp(mode, "load") == 0)
        load_once();
    else
        load_run(&program, atoi(argv[3]), atof(argv[4]), (unsigned)atoi(argv[5]));
    return 0;
}
