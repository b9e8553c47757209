/*
 * experiment.h
 *    Which variant of an experiment a customer is in. Pure: a function of the experiment's salt, the customer
 *    and the shares, the same on every machine, in every backend and for ever. Nothing is stored per
 * customer.
 *
 * Hash: SipHash-2-4 (J.-P. Aumasson and D. J. Bernstein, "SipHash: a fast short-input PRF", INDOCRYPT 2012)
 * of the customer's 16 bytes with the salt's 16 bytes as its key. It is a pseudorandom function of its key:
 * what one salt says of a customer tells nothing of what another one says, so that experiments don't inherit
 * each other's customers (which R. Kohavi et al., "Controlled experiments on the web", 2009, 4.1, found of
 * simpler hashes). Bucket: the hash times 10,000, its upper 64 bits; no bucket is likelier than another by
 * more than 10,000 / 2^64.
 *
 * Shares: the first variant (by convention the control) has the buckets from 0 up, the others lie side by
 * side from 9,999 down, the second one topmost; the rest between is in no variant. A share that grows takes
 * from the rest: in an experiment of two variants nobody ever changes sides, and of more variants only those
 * at the borders below the share that changed do, one bucket at a border for each basis point.
 */
#ifndef HAIL_PRICING_EXPERIMENT_H
#define HAIL_PRICING_EXPERIMENT_H

#include <stdint.h>

#define EXPERIMENT_BUCKETS      10000
#define EXPERIMENT_MAX_VARIANTS 20

/* SipHash-2-4 of 16 bytes. */
extern uint64_t experiment_hash(const unsigned char salt[16], const unsigned char customer[16]);

/* 0 to EXPERIMENT_BUCKETS - 1. */
extern int experiment_bucket(const unsigned char salt[16], const unsigned char customer[16]);

/*
 * Index of the variant that has the bucket, -1: none, the customer is not in the experiment. Shares in basis
 * points, none negative, together at most EXPERIMENT_BUCKETS; the control first, then by id.
 */
extern int experiment_variant(const int32_t *share_bp, int count, int bucket);

#endif
