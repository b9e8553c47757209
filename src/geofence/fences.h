/*
 * fences.h
 *    Every fence there is, prepared, kept by each process that asks. Used inside src/geofence only.
 */
#ifndef HAIL_GEOFENCE_FENCES_H
#define HAIL_GEOFENCE_FENCES_H

#include "postgres.h"
#include "datatype/timestamp.h"

#include "geofence/shape.h"

/* A place in more fences than this is answered with the first of them. */
#define FENCES_MAX_FOUND 64

typedef enum FenceKind {
    FENCE_SERVICE_AREA, /* of a region; id is the region's */
    FENCE_AIRPORT,
    FENCE_RESTRICTED,
    FENCE_AREA
} FenceKind;

typedef struct Fence {
    int32 id; /* geofences.id, regions.id */
    FenceKind kind;
    char *name, *code; /* code: of a region */
    double leave_margin_m;
    int64 leave_after_us;
    int queue_offers;
    bool active;
} Fence;

/* Service areas come first, the smallest first, then geofences by id, those not active last. */
typedef struct FenceSet {
    uint64 number; /* another one for every loading */
    Fence *fences;
    Shape **shapes; /* of the active ones */
    ShapeGrid *grid;
    int count, active;
} FenceSet;

/*
 * The fences as of now: what this process has kept (base/kept.h), or, when hail.geofences or hail.regions
 * have changed since, read anew. Valid until the transaction ends. In a transaction, as whomever.
 */
extern const FenceSet *fences_get(void);

/* Numbers of the active fences that hold a valid place, ascending; at most FENCES_MAX_FOUND. */
extern int fences_covering(const FenceSet *set, double lat, double lng, int *found);

/* The number of a fence in the set, or -1. `service_area`: of a region, by its id. */
extern int fences_find(const FenceSet *set, int32 id, bool service_area);

extern const char *fence_kind_name(FenceKind kind);

#endif
