/*
 * assign.h
 *    Who drives whom: the assignment of waiting trips to drivers with the least total cost, exactly.
 *
 * A sparse, rectangular problem: each trip has edges to the few drivers it may be given (its candidates),
 * each with a cost, and a cost of staying unmatched; each driver takes one trip at most. Wanted is the choice
 * of edges whose sum, with that of the trips left over, is the smallest there is.
 *
 * Method: shortest augmenting paths with prices, on the sparse graph (R. Jonker, A. Volgenant, "A shortest
 * augmenting path algorithm for dense and sparse linear assignment problems", Computing 38, 1987; the
 * rectangular case as in D. F. Crouse, "On implementing 2D rectangular assignment algorithms", IEEE Trans.
 * Aerospace and Electronic Systems 52(4), 2016). It starts with two passes of augmenting row reduction, which
 * is an auction without epsilon (D. P. Bertsekas, "The auction algorithm", Annals of Operations Research 14,
 * 1988), and then adds each trip left over by one Dijkstra search with a heap. A trip's staying unmatched is
 * a column of its own that nobody else can take, so every search ends.
 *
 * Exact: costs are integers and the prices at the end prove the optimum (assign_proven). Deterministic: the
 * same arrays give the same choice; of choices that cost the same, one with more trips matched is not
 * sought, but a free driver is taken rather than none. Time: for n trips with k edges each O(n (n k) log n)
 * at worst; in practice a search touches a few drivers.
 *
 * Pure: no allocation, no clock, no errors but the result. Safe to run without any lock.
 */
#ifndef HAIL_DISPATCH_ASSIGN_H
#define HAIL_DISPATCH_ASSIGN_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* Costs lie within +-this (any unit: dispatch uses microseconds); sums of prices then can't overflow. */
#define ASSIGN_COST_MAX ((int64_t)1 << 40)

typedef struct AssignProblem {
    int trips, drivers;
    const int *first;         /* trips + 1 entries: edges first[t] .. first[t + 1] - 1 are those of trip t */
    const int *driver;        /* of each edge: 0 .. drivers - 1; the same one may come twice */
    const int64_t *cost;      /* of each edge; below zero is fine */
    const int64_t *unmatched; /* of each trip: cost of getting no driver now */
} AssignProblem;

typedef enum AssignResult {
    ASSIGN_OPTIMAL,
    ASSIGN_STOPPED, /* `go_on` said no: a valid choice, but some trips were not looked at and stay unmatched
                     */
    ASSIGN_INVALID  /* a number out of its range; nothing was written */
} AssignResult;

/* Asked now and then (some thousand edges apart) with `argument`; false ends the work. NULL: never asked. */
typedef bool (*AssignGoOn)(void *argument);

/* Bytes of working memory for a problem of this size (0: too large for any). */
extern size_t assign_memory(int trips, int drivers);

/*
 * Solve. `memory`: assign_memory() bytes, aligned for int64_t; contents don't matter. `choice`: trips
 * entries; gets the number of the chosen edge, or -1 where the trip stays unmatched. `price` (may be NULL):
 * drivers entries; gets what each driver is worth, at most 0: by so much the total would grow without it.
 */
extern AssignResult assign_solve(const AssignProblem *problem, void *memory, AssignGoOn go_on, void *argument,
                                 int *choice, int64_t *price);

/* The total cost of a choice. */
extern int64_t assign_total(const AssignProblem *problem, const int *choice);

/*
 * Do these prices prove that no choice costs less? They do when they are at most 0, those of drivers left
 * over 0, and no trip would rather have another edge, or none, at them (complementary slackness). `memory` as
 * above.
 */
extern bool assign_proven(const AssignProblem *problem, void *memory, const int *choice,
                          const int64_t *price);

#endif
