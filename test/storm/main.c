/* Options, and the storms one after the other. */
#include "storm.h"

#include <getopt.h>
#include <stdio.h>
#include <stdlib.h>

#include "http.h"

static void usage(void)
{
    puts("storm --db CONNINFO --directory DIR [--races N] [--http N --url URL] [--kills N] [--seed N] "
         "[--json FILE]\n"
         "  Races of 64 drivers for one trip, over SQL and over HTTP, and kill -9 under load, on a database "
         "that\n"
         "  test/storm/run has set up. CONNINFO without a user: postgres and hail_front are let in.");
    exit(2);
}

static void parse(int argc, char **argv)
{
    static const struct option names[] = {{"db", required_argument, NULL, 'd'},
                                          {"directory", required_argument, NULL, 'D'},
                                          {"races", required_argument, NULL, 'r'},
                                          {"http", required_argument, NULL, 'h'},
                                          {"url", required_argument, NULL, 'u'},
                                          {"kills", required_argument, NULL, 'k'},
                                          {"seed", required_argument, NULL, 's'},
                                          {"json", required_argument, NULL, 'j'},
                                          {NULL, 0, NULL, 0}};
    Options *o = &world.options;

    for (int option; (option = getopt_long(argc, argv, "", names, NULL)) != -1;) {
        switch (option) {
        case 'd':
            o->db = optarg;
            break;
        case 'D':
            o->directory = optarg;
            break;
        case 'r':
            o->races = atol(optarg);
            break;
        case 'h':
            o->http_races = atol(optarg);
            break;
        case 'u':
            o->url = optarg;
            break;
        case 'k':
            o->kills = atol(optarg);
            break;
        case 's':
            o->seed = strtoull(optarg, NULL, 10);
            break;
        case 'j':
            o->report_file = optarg;
            break;
        default:
            usage();
        }
    }
    if (!o->db || !o->directory || (o->http_races > 0 && !o->url))
        usage();
}

int main(int argc, char **argv)
{
    parse(argc, argv);
    setlinebuf(stdout);
    printf("seed %llu\n", (unsigned long long)world.options.seed);
    random_seed(world.options.seed);
    clock_start(0, 1);
    world_connect();
    world_make("test/storm/world.sql");
    if (world.options.kills > 0)
        crashes_run(world.options.kills);
    if (world.options.races > 0)
        races_run(world.options.races, false);
    if (world.options.http_races > 0) {
        http_init(&(HttpOptions){.base_url = world.options.url, .connections = 2 * SEATS});
        races_run(world.options.http_races, true);
    }
    if (world.options.races + world.options.http_races > 0)
        report_rules("after all races", TEST_ROWS, true);
    return report_end();
}
