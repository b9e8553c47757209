/*
 * Nearest available drivers, exact.
 *
 * Best first over the grid levels: a queue of cells ordered by a lower bound of their distance, starting from
 * the few cells that cover the search radius; a coarse cell with drivers is replaced by its family, a cell of
 * level 0 is read. Hits are kept in a heap of the best k; the search ends when the next bound lies
 * beyond the radius or the k-th hit. Distances are squared chords, in metres only for the result. Equal
 * distances are ordered by driver id. Where drivers are dense, a radius that should hold enough of them is
 * tried before the one asked for: its cover and its tiles are few.
 *
 * The nearest of each of several classes are found in one such search, whose limit is the farthest of them.
 *
 * One cell lock is held at a time, so a driver that changes cells meanwhile can be met twice or not at all.
 * Counters by tile tell (see LiveTile): a search during which a driver was linked into a cell of any tile it
 * may look at runs again, and after MAX_RUNS closes the gate to such moves. A driver that stays linked, in
 * whatever cells, is so never missed, and none is found twice.
 *
 * The counts of coarse cells are hashed and never too low, but may be too high, the more so the more drivers
 * are spread over empty land. A search led astray by them more often than reading every driver would cost
 * reads every driver: so it never costs much more than that.
 */
#include "postgres.h"

#include <math.h>

#include "miscadmin.h"

#include "base/guc.h"
#include "live/layout.h"

#define QUEUE_ROOM 256
#define MAX_RUNS   4

/* Cells read in one go, and blocks of each that are fetched ahead. */
#define WAVE         4
#define FETCH_BLOCKS 4

/* Cells about 2.4 km high. */
#define DENSITY_LEVEL 2

typedef struct QueuedCell {
    double bound;
    uint32 row, col, entry; /* entry: of the level's table */
    int32 level;
} QueuedCell;

typedef struct Found {
    double chord2;
    int32 slot;
    int32 hit; /* where its copy is */
} Found;

typedef struct SearchRun {
    const LiveSearch *search;
    GeoOrigin origin;
    double radius_m;         /* of this run */
    double limit;            /* squared chord: nothing farther can be a result */
    TimestampTz now, oldest; /* fresh_at must not be before `oldest` */
    bool needs_cold;         /* some condition does */
    int64 class_bits;        /* one of them; 0: any */
    const int *classes;      /* the nearest of each is asked for; NULL: the best max_results */
    int class_count;
    uint32 max_pending;
    bool with_room;
    QueuedCell *queue;
    int queued, queue_room;
    Found *found; /* heap, farthest on top; of each class, without a slot where there is none */
    int count;
    LiveHit *hits; /* copies, unordered */
    CellsRange cover, tiles;
    int64 cells_visited, drivers_visited, reruns;
    int64 patience; /* cells that may still be taken from the queue */
} SearchRun;

/* ---- queue of cells ---- */

static void push_cell(SearchRun *run, QueuedCell cell)
{
    int i = run->queued++;

    if (run->queued > run->queue_room) {
        QueuedCell *larger = palloc(sizeof(QueuedCell) * 2 * run->queue_room);

        memcpy(larger, run->queue, sizeof(QueuedCell) * run->queue_room);
        run->queue = larger; /* the old one goes with the context: sizes double, so little is wasted */
        run->queue_room *= 2;
    }
    for (; i > 0 && run->queue[(i - 1) / 2].bound > cell.bound; i = (i - 1) / 2)
        run->queue[i] = run->queue[(i - 1) / 2];
    run->queue[i] = cell;
}

static QueuedCell pop_cell(SearchRun *run)
{
    QueuedCell top = run->queue[0], last = run->queue[--run->queued];
    int i = 0, child;

    while ((child = 2 * i + 1) < run->queued) {
        if (child + 1 < run->queued && run->queue[child + 1].bound < run->queue[child].bound)
            child++;
        if (run->queue[child].bound >= last.bound)
            break;
        run->queue[i] = run->queue[child];
        i = child;
    }
    run->queue[i] = last;
    return top;
}

/* ---- the best k ---- */

static int found_cmp(const SearchRun *run, const Found *a, const Found *b)
{
    if (a->chord2 != b->chord2)
        return a->chord2 < b->chord2 ? -1 : 1;
    return live_uuid_cmp(&run->hits[a->hit].driver_id, &run->hits[b->hit].driver_id);
}

static void sift_up(SearchRun *run, int i)
{
    Found moving = run->found[i];

    for (; i > 0 && found_cmp(run, &run->found[(i - 1) / 2], &moving) < 0; i = (i - 1) / 2)
        run->found[i] = run->found[(i - 1) / 2];
    run->found[i] = moving;
}

/* Let found[0] sink among the first `count`. */
static void sift_down(SearchRun *run, int count)
{
    Found moving = run->found[0];
    int i = 0, child;

    while ((child = 2 * i + 1) < count) {
        if (child + 1 < count && found_cmp(run, &run->found[child + 1], &run->found[child]) > 0)
            child++;
        if (found_cmp(run, &run->found[child], &moving) <= 0)
            break;
        run->found[i] = run->found[child];
        i = child;
    }
    run->found[i] = moving;
}

static void copy_hit(const SearchRun *run, int32 slot, LiveHit *hit)
{
    const LiveHot *hot = &live_index->hot[slot];
    LiveEntry entry;

    if (run->search->brief) {
        hit->driver_id = hot->driver_id;
        hit->lat = hot->lat;
        hit->lng = hot->lng;
        hit->class_mask = hot->class_mask;
        return;
    }
    live_copy_slot(live_index, slot, &entry);
    live_hit_fill(hit, &entry, 0);
}

static void keep_of_best(SearchRun *run, int32 slot, double chord2)
{
    bool full = run->count == run->search->max_results;
    Found f = {chord2, slot, full ? run->found[0].hit : run->count};

    if (full && chord2 == run->found[0].chord2 &&
        live_uuid_cmp(&live_index->hot[slot].driver_id, &run->hits[f.hit].driver_id) > 0)
        return;
    copy_hit(run, slot, &run->hits[f.hit]);
    if (full) {
        run->found[0] = f;
        sift_down(run, run->count);
    } else {
        run->found[run->count++] = f;
        sift_up(run, run->count - 1);
    }
    if (run->count == run->search->max_results)
        run->limit = Min(run->limit, run->found[0].chord2);
}

static void keep_of_classes(SearchRun *run, int32 slot, double chord2)
{
    const LiveHot *hot = &live_index->hot[slot];
    double farthest = 0;

    for (int i = 0; i < run->class_count; i++) {
        Found *nearest = &run->found[i];

        if (hot->class_mask >> run->classes[i] & 1 &&
            (chord2 < nearest->chord2 ||
             (chord2 == nearest->chord2 && live_uuid_cmp(&hot->driver_id, &run->hits[i].driver_id) < 0))) {
            run->count += nearest->slot == LIVE_NO_SLOT;
            *nearest = (Found){chord2, slot, i};
            copy_hit(run, slot, &run->hits[i]);
        }
        farthest = Max(farthest, nearest->chord2);
    }
    run->limit = Min(run->limit, farthest);
}

/* Cell lock held: no errors, no allocation. */
static inline void keep_hit(SearchRun *run, int32 slot, double chord2)
{
    if (run->classes != NULL)
        keep_of_classes(run, slot, chord2);
    else
        keep_of_best(run, slot, chord2);
}

/* Cell lock held: no errors, no allocation. */
static void note_passed(LivePassed *passed, int32 slot, double chord2, LivePass why)
{
    passed->count[why]++;
    if (why == LIVE_PASS_CLASS || passed->noted == LIVE_PASSED_MAX)
        return;
    passed->drivers[passed->noted].driver_id = live_index->hot[slot].driver_id;
    passed->drivers[passed->noted].distance_m = (float)geo_chord2_to_m(chord2);
    passed->drivers[passed->noted++].why = why;
}

/* What findable() leaves to ask; LIVE_PASSES: nothing is against it. */
static LivePass unwanted(const SearchRun *run, int32 slot)
{
    const LiveSearch *search = run->search;

    if (run->needs_cold) {
        const LiveCold *cold = &live_index->cold[slot];

        if (cold->rating < search->min_rating)
            return LIVE_PASS_RATING;
        if (cold->area_mask != 0 && (cold->area_mask & search->area_mask) == 0)
            return LIVE_PASS_AREA;
    }
    for (int i = 0; i < search->excluded_count; i++)
        if (live_uuid_cmp(&search->excluded[i], &live_index->hot[slot].driver_id) == 0)
            return LIVE_PASS_EXCLUDED;
    return LIVE_PASSES;
}

/* Candidates of a cell wait until this many are there: their other cache lines are fetched meanwhile. */
#define CANDIDATES 16

typedef struct Candidates {
    int count;
    int32 slots[CANDIDATES];
    double chord2[CANDIDATES];
} Candidates;

static void keep_candidates(SearchRun *run, Candidates *candidates)
{
    for (int i = 0; i < candidates->count; i++) {
        LivePass why;

        if (candidates->chord2[i] > run->limit)
            continue;
        why = unwanted(run, candidates->slots[i]);
        if (why == LIVE_PASSES)
            keep_hit(run, candidates->slots[i], candidates->chord2[i]);
        else if (run->search->passed != NULL)
            note_passed(run->search->passed, candidates->slots[i], candidates->chord2[i], why);
    }
    candidates->count = 0;
}

static inline void add_candidate(SearchRun *run, Candidates *candidates, int32 slot, double chord2)
{
    if (!run->search->brief || run->needs_cold) {
        const char *cold = (const char *)&live_index->cold[slot];

        __builtin_prefetch(cold);
        __builtin_prefetch(cold + sizeof(LiveCold) - 1);
    }
    candidates->slots[candidates->count] = slot;
    candidates->chord2[candidates->count] = chord2;
    if (++candidates->count == CANDIDATES)
        keep_candidates(run, candidates);
}

/* Is the driver of a linked slot one to be found now, as far as the line at hand tells? */
static inline bool findable(const SearchRun *run, const LiveHot *hot)
{
    return hot->fresh_at >= run->oldest &&
           (hot->on_trip ? run->with_room : hot->cooldown_until <= run->now) &&
           (run->class_bits == 0 || (hot->class_mask & run->class_bits) != 0) &&
           hot->pending_offers < run->max_pending;
}

/* Why findable() says no. */
static LivePass why_not_findable(const SearchRun *run, const LiveHot *hot)
{
    if (run->class_bits != 0 && (hot->class_mask & run->class_bits) == 0)
        return LIVE_PASS_CLASS;
    if (hot->fresh_at < run->oldest)
        return LIVE_PASS_STALE;
    if (hot->on_trip && !run->with_room)
        return LIVE_PASS_BUSY;
    return !hot->on_trip && hot->cooldown_until > run->now ? LIVE_PASS_COOLDOWN : LIVE_PASS_OFFERS;
}

/* Drivers of a bucket, whatever their cells: no cell has this key. */
#define ANY_CELL PG_UINT64_MAX

static inline void read_slot(SearchRun *run, Candidates *candidates, CellsKey cell, int32 slot)
{
    const LiveHot *hot = &live_index->hot[slot];
    double chord2;
    bool found;

    run->drivers_visited++;
    found = findable(run, hot);
    if (!found && run->search->passed == NULL)
        return;
    chord2 = geo_chord2_from(&run->origin, hot->lat, hot->lng);
    /* other cells may share the bucket */
    if (chord2 > run->limit || (cell != ANY_CELL && cells_key(hot->lat, hot->lng) != cell))
        return;
    if (found)
        add_candidate(run, candidates, slot, chord2);
    else
        note_passed(run->search->passed, slot, chord2, why_not_findable(run, hot));
}

/* Fetch this block's drivers and the block after it: they are read after the block before it. */
static inline void fetch_block(const LiveBlock *block)
{
    if (block->next != LIVE_NO_SLOT)
        __builtin_prefetch(&live_index->blocks[block->next]);
    for (int i = 0; i < LIVE_BLOCK_ROOM && block->slots[i] != LIVE_NO_SLOT; i++)
        __builtin_prefetch(&live_index->hot[block->slots[i]]);
}

static void read_blocks(SearchRun *run, Candidates *candidates, CellsKey cell, const LiveBlock *block)
{
    while (block != NULL) {
        const LiveBlock *next = block->next != LIVE_NO_SLOT ? &live_index->blocks[block->next] : NULL;

        if (next != NULL)
            fetch_block(next);
        for (int i = 0; i < LIVE_BLOCK_ROOM && block->slots[i] != LIVE_NO_SLOT; i++)
            read_slot(run, candidates, cell, block->slots[i]);
        block = next;
    }
}

/* Its lock held shared, the drivers of a bucket that are in `cell`. */
static void read_bucket(SearchRun *run, CellsKey cell, uint32 entry)
{
    int32 head = live_index->cells[entry];
    Candidates candidates;

    candidates.count = 0;
    if (head < 0)
        read_slot(run, &candidates, cell, live_head_slot(head));
    else if (head > 0)
        read_blocks(run, &candidates, cell, &live_index->blocks[live_head_block(head)]);
    keep_candidates(run, &candidates);
}

static void read_cell(SearchRun *run, const QueuedCell *queued)
{
    LWLock *lock = live_cell_lock(live_index, live_cell_lock_of(queued->entry));

    run->cells_visited++;
    live_lock(live_index, lock, LW_SHARED);
    read_bucket(run, cells_at(queued->row, queued->col), queued->entry);
    LWLockRelease(lock);
}

/* Every linked driver, a family of buckets at a time: they share a lock. */
static void read_all(SearchRun *run)
{
    uint32 entries = (live_index->family_mask[0] + 1) * CELLS_FAMILY;

    for (uint32 family = 0; family < entries; family += CELLS_FAMILY) {
        LWLock *lock = live_cell_lock(live_index, live_cell_lock_of(family));

        live_lock(live_index, lock, LW_SHARED);
        for (uint32 entry = family; entry < family + CELLS_FAMILY; entry++)
            if (live_index->cells[entry] != 0)
                read_bucket(run, ANY_CELL, entry);
        LWLockRelease(lock);
        CHECK_FOR_INTERRUPTS();
    }
    run->cells_visited += entries;
}

/* ---- the search ---- */

/*
 * Fetch what read_cell() will read, without its lock: what is followed here may be old, but is always a
 * number of a block or a slot, and is only fetched.
 */
static void fetch_cell(const QueuedCell *queued)
{
    int32 head = *(volatile int32 *)&live_index->cells[queued->entry];
    int32 block = live_head_block(head);

    if (head < 0)
        __builtin_prefetch(&live_index->hot[live_head_slot(head)]);
    for (int i = 0; head > 0 && i < FETCH_BLOCKS && block != LIVE_NO_SLOT; i++) {
        const volatile LiveBlock *b = &live_index->blocks[block];

        for (int j = 0; j < LIVE_BLOCK_ROOM; j++) {
            int32 slot = b->slots[j];

            if (slot != LIVE_NO_SLOT)
                __builtin_prefetch(&live_index->hot[slot]);
        }
        block = b->next;
    }
}

/*
 * Read the nearest cell of level 0 and those next to it in the queue: the drivers of all are fetched before
 * the first is looked at, so that their cache lines, anywhere in memory, arrive at the same time.
 */
static void read_wave(SearchRun *run, QueuedCell first)
{
    QueuedCell wave[WAVE];
    int count = 0;

    wave[count++] = first;
    while (count < WAVE && run->queued > 0 && run->queue[0].level == 0 && run->queue[0].bound <= run->limit)
        wave[count++] = pop_cell(run);
    for (int i = 0; i < count; i++)
        fetch_cell(&wave[i]);
    for (int i = 0; i < count && wave[i].bound <= run->limit; i++)
        read_cell(run, &wave[i]);
}

/* May say yes of an empty cell. The first block of a level 0 cell is fetched: it is looked at soon. */
static inline bool occupied(int level, uint32 entry)
{
    int32 head;

    if (level > 0)
        return pg_atomic_read_u32(&live_index->counts[level][entry]) != 0;
    head = *(volatile int32 *)&live_index->cells[entry];
    if (head > 0)
        __builtin_prefetch(&live_index->blocks[live_head_block(head)]);
    return head != 0;
}

/* Queue the cells of a range that can hold a result. At most as many columns as a cover has. */
static void push_range(SearchRun *run, CellsRange range)
{
    double cols[CELLS_COVER_SPAN];
    uint32 width = cells_cols(range.level);

    for (uint32 c = 0; c < range.cols; c++)
        cols[c] = cells_col(&run->origin, range.level, (range.col + c) % width);
    for (uint32 r = 0; r < range.rows; r++) {
        CellsRow row = cells_row(&run->origin, range.level, range.row + r);

        for (uint32 c = 0; c < range.cols; c++) {
            double bound = cells_bound(row, cols[c]);
            uint32 col = (range.col + c) % width, entry;

            if (bound > run->limit)
                continue;
            entry = live_entry_of(live_index, range.level, cells_at(range.row + r, col));
            if (occupied(range.level, entry))
                push_cell(run, (QueuedCell){bound, range.row + r, col, entry, range.level});
        }
    }
}

/* The tiles of a cover: no more rows and columns of them than there are. */
static CellsRange tiles_of(CellsRange cover)
{
    CellsRange tiles = {LIVE_TILE_LEVEL};

    if (cover.level <= LIVE_TILE_LEVEL) {
        int shift = CELLS_SHIFT * (LIVE_TILE_LEVEL - cover.level);

        tiles.row = cover.row >> shift;
        tiles.col = cover.col >> shift;
        tiles.rows = ((cover.row + cover.rows - 1) >> shift) - tiles.row + 1;
        tiles.cols = ((cover.col + cover.cols - 1) >> shift) - tiles.col + 1;
    } else {
        int shift = CELLS_SHIFT * (cover.level - LIVE_TILE_LEVEL);

        tiles.row = cover.row << shift;
        tiles.col = cover.col << shift;
        tiles.rows = Min(cover.rows << shift, LIVE_TILES);
        tiles.cols = Min(cover.cols << shift, LIVE_TILES);
    }
    return tiles;
}

/* `begun` is never behind `ended` in any tile and both only rise: equal sums are equal counters. */
static uint32 sum_tiles(CellsRange tiles, bool ended)
{
    uint32 sum = 0;

    for (uint32 r = 0; r < tiles.rows; r++)
        for (uint32 c = 0; c < tiles.cols; c++) {
            LiveTile *tile = live_tile(live_index, tiles.row + r, tiles.col + c);

            sum += pg_atomic_read_u32(ended ? &tile->ended : &tile->begun);
        }
    return sum;
}

/*
 * So many cells cost about as much to look at as reading all drivers, which is to read every family of
 * buckets (a cell's worth of time for 10) and every driver (20); a few more for small worlds.
 */
static int64 patience(void)
{
    return 256 + live_index->family_mask[0] / 10 + *(volatile int32 *)&live_index->shared->used / 20;
}

static void start_over(SearchRun *run)
{
    run->queued = run->count = 0;
    if (run->search->passed != NULL)
        memset(run->search->passed, 0, offsetof(LivePassed, drivers));
    run->limit = geo_m_to_chord2(run->radius_m);
    for (int i = 0; i < run->class_count; i++)
        run->found[i] = (Found){INFINITY, LIVE_NO_SLOT, i};
}

/* True: no driver was linked into a cell of the cover meanwhile, the result is good. */
static bool search_once(SearchRun *run)
{
    uint32 ended = sum_tiles(run->tiles, true);

    pg_read_barrier();
    start_over(run);
    push_range(run, run->cover);
    while (run->queued > 0 && run->queue[0].bound <= run->limit) {
        QueuedCell cell = pop_cell(run);

        if (--run->patience < 0) {
            start_over(run);
            read_all(run);
            break;
        }
        if (cell.level == 0)
            read_wave(run, cell);
        else
            push_range(run, (CellsRange){cell.level - 1, cell.row * CELLS_FAN, CELLS_FAN,
                                         cell.col * CELLS_FAN, CELLS_FAN});
        CHECK_FOR_INTERRUPTS();
    }
    pg_read_barrier();
    return sum_tiles(run->tiles, false) == ended;
}

/*
 * With the gate closed only moves that have passed it before can disturb: a handful, done in microseconds.
 * Out of memory in the queue is the one error possible; the gate itself is then released with the
 * transaction.
 */
static void search_at_closed_gate(SearchRun *run)
{
    pg_atomic_fetch_add_u32(&live_index->shared->waiting, 1);
    PG_TRY();
    {
        LWLockAcquire(live_gate(live_index), LW_EXCLUSIVE);
        while (!search_once(run))
            run->reruns++;
        LWLockRelease(live_gate(live_index));
    }
    PG_FINALLY();
    {
        pg_atomic_fetch_sub_u32(&live_index->shared->waiting, 1);
    }
    PG_END_TRY();
}

/* Heap to ascending order. */
static void sort_found(SearchRun *run)
{
    for (int n = run->count - 1; n > 0; n--) {
        Found top = run->found[0];

        run->found[0] = run->found[n];
        run->found[n] = top;
        sift_down(run, n);
    }
}

/* Of a hit, what is filled in. */
static Size hit_size(const SearchRun *run)
{
    return run->search->brief ? offsetof(LiveHit, heading) : sizeof(LiveHit);
}

/* Copy the hits out, nearest first. */
static int write_hits(SearchRun *run, LiveHit *hits)
{
    Size size = hit_size(run);

    sort_found(run);
    for (int i = 0; i < run->count; i++) {
        memcpy(&hits[i], &run->hits[run->found[i].hit], size);
        hits[i].distance_m = geo_chord2_to_m(run->found[i].chord2);
    }
    return run->count;
}

static void search_within(SearchRun *run, double radius_m)
{
    int runs = 0;

    run->radius_m = radius_m;
    run->cover = cells_cover(&run->origin, radius_m);
    run->tiles = tiles_of(run->cover);
    while (!search_once(run)) {
        run->reruns++;
        if (++runs == MAX_RUNS) {
            search_at_closed_gate(run);
            break;
        }
    }
}

/*
 * A radius that should hold so many drivers, to judge by those linked in the origin's cell of a coarse
 * level, and three standard deviations more; never mind if it does not.
 */
static double likely_radius_m(const SearchRun *run, int drivers)
{
    CellsKey key = cells_parent(cells_key(run->origin.lat, run->origin.lng), DENSITY_LEVEL);
    double linked = pg_atomic_read_u32(live_count_of(live_index, DENSITY_LEVEL, key));
    double side = M_PI * GEO_EARTH_RADIUS_M / cells_rows(DENSITY_LEVEL);
    double wanted = drivers + 3 * sqrt(drivers);

    if (linked < wanted)
        return run->search->radius_m;
    return sqrt(wanted / linked * side * side * run->origin.cos_lat / M_PI);
}

static void count_search(const SearchRun *run)
{
    LiveStripe *stripe = live_stripe(live_index);

    pg_atomic_fetch_add_u64(&stripe->searches, 1);
    pg_atomic_fetch_add_u64(&stripe->cells_visited, run->cells_visited);
    pg_atomic_fetch_add_u64(&stripe->drivers_visited, run->drivers_visited);
    if (run->reruns > 0)
        pg_atomic_fetch_add_u64(&stripe->search_reruns, run->reruns);
}

/* Search for `wanted` hits, in places that are all there at once; `queue` has QUEUE_ROOM. */
static void search_all(SearchRun *run, TimestampTz now, QueuedCell *queue, int wanted, int drivers)
{
    const LiveSearch *search = run->search;
    double likely;

    run->origin = geo_origin(search->lat, search->lng);
    run->now = now;
    run->oldest = now - (TimestampTz)hail_presence_ttl_s * USECS_PER_SEC;
    run->needs_cold = search->min_rating > 0 || search->area_mask != LIVE_ANY_AREA;
    run->with_room = search->with_room;
    run->max_pending = search->max_pending_offers > 0 ? (uint32)search->max_pending_offers : PG_UINT32_MAX;
    run->patience = patience();
    run->queue = queue;
    run->queue_room = QUEUE_ROOM;
    run->found = palloc(sizeof(Found) * wanted);
    run->hits = palloc(sizeof(LiveHit) * wanted);

    likely = likely_radius_m(run, drivers);
    if (likely < search->radius_m)
        search_within(run, likely);
    if (run->count < wanted)
        search_within(run, search->radius_m);
    count_search(run);
}

int live_index_search(const LiveSearch *search, TimestampTz now, LiveHit *hits)
{
    QueuedCell queue[QUEUE_ROOM];
    SearchRun run = {search};

    run.class_bits = search->class_id >= 0 ? INT64CONST(1) << search->class_id : 0;
    search_all(&run, now, queue, search->max_results, search->max_results);
    return write_hits(&run, hits);
}

/* Drivers among whom the nearest of each class is looked for first. */
#define DRIVERS_OF_CLASS 6

int live_index_search_nearest(const LiveSearch *search, const int *class_ids, int count, TimestampTz now,
                              LiveHit *hits, bool *found)
{
    QueuedCell queue[QUEUE_ROOM];
    SearchRun run = {search, .classes = class_ids, .class_count = count};

    for (int i = 0; i < count; i++)
        run.class_bits |= INT64CONST(1) << class_ids[i];
    search_all(&run, now, queue, count, DRIVERS_OF_CLASS * count);
    for (int i = 0; i < count; i++) {
        found[i] = run.found[i].slot != LIVE_NO_SLOT;
        if (!found[i])
            continue;
        memcpy(&hits[i], &run.hits[i], hit_size(&run));
        hits[i].distance_m = geo_chord2_to_m(run.found[i].chord2);
    }
    return run.count;
}
