/*
 * offers.h
 *    What a round leaves behind: offers, their event, and the trip's row.
 *
 * No round waits for another one: see offers.c.
 */
#ifndef HAIL_DISPATCH_OFFERS_H
#define HAIL_DISPATCH_OFFERS_H

#include "postgres.h"
#include "datatype/timestamp.h"

#include "dispatch/matching.h"

/* A search that ends sooner makes no more offers: nobody could answer one. Microseconds. */
#define OFFER_MIN_US USECS_PER_SEC

typedef struct OfferTerms {
    int round; /* trips.round from now on */
    TimestampTz now, expires_at;
    TimestampTz retry_at; /* the trip's next round, should nobody be offered the trip; else: expires_at */
    bool searched;   /* false: the live index was being rebuilt, or the search ends; there was no round */
    int wanted;      /* offers, at most, as match_find() says */
    int slots;       /* pending offers that a driver may hold, this one included */
    double radius_m; /* searched by this round; for the event */
} OfferTerms;

typedef struct OfferDraft {
    pg_uuid_t id, driver_id;
    int slot;
    float score;
    int pickup_distance_m, pickup_eta_s;
} OfferDraft;

typedef struct OfferDrafts {
    OfferDraft *offers;
    int count;
} OfferDrafts;

/*
 * Take a driver's offer lock if nobody has it: until the transaction ends nobody else offers the driver
 * anything. offers_send() takes it itself.
 */
extern bool offers_try_lock(const pg_uuid_t *driver_id);

/*
 * Offer the trip to the first `wanted` of `count` candidates (best first) that can be had, and give its row
 * the round and the next round's time; an event tells of the offers, if any. The caller is inside SPI, has
 * locked the searching trip and loaded it since. Returns the number of offers made. Counts event_version of
 * *trip up with the row's.
 */
extern int offers_send(MatchTrip *trip, const MatchCandidate *candidates, int count, int wanted,
                       const OfferTerms *terms);

/*
 * The same in two steps, for a trip whose row is yet to be written: choose, taking the drivers' offer locks
 * until the transaction ends; then, the row being there, write. offers_write() returns how many were made and
 * leaves these in *drafts; less than chosen only when somebody wrote offers without the locks.
 */
extern OfferDrafts offers_choose(const MatchTrip *trip, const MatchCandidate *candidates, int count,
                                 int wanted, const OfferTerms *terms);
extern int offers_write(const MatchTrip *trip, const OfferTerms *terms, OfferDrafts *drafts);

/* Payload of the event OfferCreated. */
extern char *offers_payload(const OfferTerms *terms, const OfferDrafts *drafts);

/* Give the trip's row a round, the next round's time and a version. */
extern void offers_advance_trip(const pg_uuid_t *trip_id, int round, TimestampTz next_at, int version);

#endif
