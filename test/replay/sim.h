/*
 * sim.h
 *    The data model of a replay: its options, its people, and what happened to each trip.
 *
 * Everything runs in one thread. A driver and a customer are each a small state machine that has at most one
 * step outstanding: a timer or an HTTP request (completing a trip twice at once is the one exception).
 */
#ifndef REPLAY_SIM_H
#define REPLAY_SIM_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>

#include <libpq-fe.h>

#include "data.h"
#include "util.h"

typedef struct Options {
    const char *scenario, *data_directory, *url, *db, *report_file;
    const char *strategy; /* asked for by customers; NULL: none */
    long trips, drivers;
    double minutes;        /* only requests of the first so many minutes; 0: all */
    double longest;        /* metres: only trips up to this length */
    double speed;          /* clock seconds per wall second, when the machine keeps pace */
    double accept;         /* a driver's answers to offers: this share accepts, */
    double ignore;         /* this one lets them expire, the rest declines */
    double cancel;         /* share of customers who cancel, half of them while searching */
    double driver_cancel;  /* share of matched trips that drivers give back */
    double cash, poor;     /* shares of customers: pay cash; have next to nothing in the wallet */
    double idle_interval;  /* clock s between position reports of a free driver */
    double trip_interval;  /* and of one on a trip */
    double settle_minutes; /* clock minutes to wait after the last request for trips to end */
    uint64_t seed;
    int connections;
    bool crash; /* something will be killed: tolerate it, put the test clock back, allow for loss */
    bool now;   /* shift the data to the present */
} Options;

typedef struct Person {
    char id[37];
    char *token;
} Person;

typedef struct Customer {
    Person person;
    bool cash, poor;
    struct Customer *next_idle;
} Customer;

typedef enum TripStage { TRIP_AHEAD, TRIP_ASKING, TRIP_SEARCHING, TRIP_MATCHED, TRIP_OVER } TripStage;

typedef struct Trip {
    const DataTrip *data;
    const char *service_class;
    Customer *customer;
    TripStage stage;
    char id[37], quote_id[37];
    char code[8];        /* pickup code, once the customer has read it */
    char outcome[32];    /* final state, or why there was no trip */
    double cancel_at;    /* clock; 0: not going to */
    bool cancel_matched; /* cancels after the match, not while searching */
    long points;         /* on-trip reports the server said it applied */
    long unsure;         /* reports that may be recorded too: their first answer was lost */
    long lossy;          /* of `points`: reported just before a crash */
} Trip;

typedef enum DriverStage {
    DRIVER_OUT,
    DRIVER_IDLE,
    DRIVER_THINKING,
    DRIVER_TO_PICKUP,
    DRIVER_BOARDING,
    DRIVER_TO_DROPOFF,
    DRIVER_GONE
} DriverStage;

typedef struct Driver {
    Person person;
    DriverStage stage;
    double lat, lng, heading;                                      /* where it is while it stands */
    double from_lat, from_lng, to_lat, to_lng, leg_start, leg_end; /* the drive, clock seconds */
    double online_at, board_until, cancel_at, deaf_until;          /* clock */
    bool accepts, try_wrong_code, retried;
    int completions_out; /* answers to `completed` still to come */
    long completed;
    Trip *trip;  /* being driven */
    Trip *offer; /* being thought about */
    double offer_pickup[2], offer_dropoff[2];
} Driver;

typedef struct Sim {
    Options options;
    Dataset data;
    Trip *trips;
    size_t trip_count;
    Customer *customers;
    size_t customer_count;
    Driver *drivers;
    size_t driver_count;
    Customer *idle_customers, **idle_tail; /* a queue */
    double speed_mps, road_factor;         /* the region's figures */
    double first_at, last_at;              /* clock of the first and last request */
    bool closing;                          /* no trip is left: drivers go offline */
    size_t over, online, driving;          /* trips that are over; drivers online; on a trip */
    size_t asked, matched, completed, cancelled, no_drivers, refused;
    long lost_races, presence_lapses, driver_cancels, wrong_codes, double_completions;
    long clock_resets;
    long earnings_compared, wrong_earnings;
    long contradictions; /* answers that contradict each other: a defect of the server */
} Sim;

extern Sim sim;

/* setup.c: everything that exists before the first request, made through SQL. Leaves the clock frozen. */
extern PGconn *db_connect(void);
extern PGresult *db_query(PGconn *db, const char *sql, int count, const char *const *values);
extern void setup_run(PGconn *db);
extern void setup_start_clock(PGconn *db);
extern void setup_change_speed(PGconn *db, double speed);
/* Crash runs: put the test clock back when the server has lost it. Never blocks for long. */
extern void setup_guard_clock(void);

/* customer.c, driver.c */
extern void customers_start(void);
extern void drivers_start(void);

/* Find a trip of this run by id; NULL when there is none. */
extern Trip *sim_find_trip(const char *id);
extern void sim_index_trip(Trip *trip);

/* report.c */
extern void progress_show(bool final);
extern void report_write(PGconn *db, int failed_checks);

/* checks.c: true when a check failed. */
extern int checks_run(PGconn *db, const char *file);
extern void checks_note_point(Trip *trip, double asked_wall);
extern void checks_apply_outages(void);

#endif
