/* What about a trip may say how long it takes; see eta_features.h. */
#include "pricing/eta_features.h"

#include <math.h>

#include "geo/geo.h"

#define DEGREE_M (GEO_EARTH_RADIUS_M * M_PI / 180) /* of latitude */

#define BAND_FIRST_M  125.0
#define BAND_COUNT    10
#define TRAFFIC_KNOTS 5 /* 1, 2, 4, 8, 16 km */
#define HEADINGS      16
#define PATH_POINTS   12

#define TIME(spread) (ETA_TIME_NOISE * ETA_TIME_NOISE / ((spread) * (spread)))
#define ROAD(spread) (ETA_ROAD_NOISE * ETA_ROAD_NOISE / ((spread) * (spread)))

/* How far apart effects of a kind are, in logarithms: tuned on one part of the trips of two cities, tested on
 * another (eta_model.h). */
#define PRIOR_REGION     TIME(2.0)
#define PRIOR_ROAD       ROAD(1.0)
#define PRIOR_BAND       TIME(0.15)
#define PRIOR_PART       TIME(0.2)
#define PRIOR_HOUR       TIME(0.05)
#define PRIOR_TRAFFIC    TIME(0.055)
#define PRIOR_HEADING    TIME(0.14)
#define PRIOR_DAY        TIME(0.035)
#define PRIOR_PAIR       TIME(0.055)
#define PRIOR_END        TIME(0.15)
#define PRIOR_SPOT       TIME(0.035)
#define PRIOR_CELL_PART  TIME(0.025)
#define PRIOR_CELL_WAY   TIME(0.03)
#define PRIOR_NEAR_PAIR  TIME(0.07)
#define PRIOR_PATH_WAY   TIME(0.2)
#define PRIOR_PATH_PART  TIME(0.14)
#define PRIOR_ROAD_BAND  ROAD(0.1)
#define PRIOR_ROAD_PLACE ROAD(0.06)

/* A belt of latitude whose cells have the same width in degrees. */
typedef struct Belt {
    int index;
    double degree_m; /* of longitude */
} Belt;

/* A trip as the kinds see it. */
typedef struct View {
    const EtaTrip *trip;
    double metres;      /* great circle */
    double north, east; /* of the straight line, degrees; east is the shorter way around */
    double heading;     /* 0 .. 1: clockwise from the north */
    int part;           /* of the day and week, 0 .. 9 */
    int way;            /* direction, 0 .. 7 */
    Belt belt;
} View;

static uint64_t mixed(uint64_t h)
{
    h = (h ^ (h >> 30)) * UINT64_C(0xbf58476d1ce4e5b9);
    h = (h ^ (h >> 27)) * UINT64_C(0x94d049bb133111eb);
    return h ^ (h >> 31);
}

/* The cell of a place, 35 bits for the smallest size (250 m): row and column. */
static uint64_t cell_at(Belt *belt, double lat, double lng, double size_m)
{
    int index = (int)((lat + 90) * 4);
    int64_t columns, column;

    if (index != belt->index) {
        belt->index = index;
        belt->degree_m = DEGREE_M * fabs(cos(GEO_RADIANS((index + 0.5) / 4 - 90)));
    }
    columns = (int64_t)(360 * belt->degree_m / size_m);
    column = (int64_t)((lng + 180) * belt->degree_m / size_m);
    if (column >= columns)
        column = 0;
    return ((uint64_t)((lat + 90) * DEGREE_M / size_m) << 18) | (uint64_t)column;
}

static void add(EtaFeatures *f, const View *view, EtaKind kind, uint64_t what, double share, double prior)
{
    if (share <= 0)
        return;
    f->key[f->count] = eta_key(view->trip->region, kind, what);
    f->share[f->count] = share;
    f->prior[f->count++] = prior;
}

/* Where a value lies between the knots 0 .. count - 1: the lower one and the share of the upper one. */
static int between(double value, int count, double *upper)
{
    double clamped = fmin(fmax(value, 0), count - 1);
    int lower = clamped >= count - 1 ? count - 2 : (int)clamped;

    *upper = clamped - lower;
    return lower;
}

static int day_type(int hour_of_week)
{
    int day = hour_of_week / 24;

    return day < 5 ? 0 : day - 4;
}

/* Night, morning, midday, evening, late; at the weekend 5 more. */
static int part_of(int hour_of_week)
{
    int hour = hour_of_week % 24;
    int part = hour < 6 ? 0 : hour < 11 ? 1 : hour < 16 ? 2 : hour < 20 ? 3 : 4;

    return day_type(hour_of_week) == 0 ? part : part + 5;
}

static View view_of(const EtaTrip *trip, double metres)
{
    View view = {.trip = trip, .metres = metres, .belt = {-1, 0}};
    double middle = (trip->from_lat + trip->to_lat) / 2;

    view.north = trip->to_lat - trip->from_lat;
    view.east = trip->to_lng - trip->from_lng;
    if (view.east > 180)
        view.east -= 360;
    if (view.east < -180)
        view.east += 360;
    view.heading = atan2(view.east * cos(GEO_RADIANS(middle)), view.north) / (2 * M_PI);
    if (view.heading < 0)
        view.heading += 1;
    view.part = part_of(trip->hour_of_week);
    view.way = (int)(view.heading * 8 + 0.5) % 8;
    return view;
}

static void add_bands(EtaFeatures *f, const View *view, EtaKind kind, double prior)
{
    double upper;
    int band = between(log2(fmax(view->metres, 1) / BAND_FIRST_M), BAND_COUNT, &upper);

    add(f, view, kind, band, 1 - upper, prior);
    add(f, view, kind, band + 1, upper, prior);
}

/* Knots lie in the middle of hours and of parts, and wrap: over the week for hours, over the day for parts.
 */
static void add_clock(EtaFeatures *f, const View *view)
{
    int hour_of_week = view->trip->hour_of_week, type = day_type(hour_of_week);
    double hours = hour_of_week + (view->trip->minute + 0.5) / 60, late, share, far;
    double knot = hours - 0.5 + (hours < 0.5 ? 168 : 0), part = fmod(hours, 24) / 4 - 0.5 + 6;
    int first = (int)knot, hour[2] = {first % 168, (first + 1) % 168};
    int km = between(log2(fmax(view->metres, 1) / 1000), TRAFFIC_KNOTS, &far);

    late = part - (int)part;
    add(f, view, ETA_KIND_PART, type * 8 + (int)part % 6, 1 - late, PRIOR_PART);
    add(f, view, ETA_KIND_PART, type * 8 + ((int)part + 1) % 6, late, PRIOR_PART);
    for (int k = 0; k < 2; k++) {
        int traffic = (day_type(hour[k]) * 24 + hour[k] % 24) * 8;

        share = k == 0 ? 1 - (knot - first) : knot - first;
        add(f, view, ETA_KIND_HOUR, hour[k], share, PRIOR_HOUR);
        add(f, view, ETA_KIND_TRAFFIC, traffic + km, share * (1 - far), PRIOR_TRAFFIC);
        add(f, view, ETA_KIND_TRAFFIC, traffic + km + 1, share * far, PRIOR_TRAFFIC);
    }
    add(f, view, ETA_KIND_DAY, (uint32_t)view->trip->day, 1, PRIOR_DAY);
}

static void add_heading(EtaFeatures *f, const View *view)
{
    double sector = view->heading * HEADINGS, next = sector - floor(sector);
    int first = (int)sector % HEADINGS, second = (first + 1) % HEADINGS;

    add(f, view, ETA_KIND_HEADING, first, 1 - next, PRIOR_HEADING);
    add(f, view, ETA_KIND_HEADING, second, next, PRIOR_HEADING);
}

static void add_ends(EtaFeatures *f, View *view)
{
    const EtaTrip *t = view->trip;
    uint64_t from[4], to[4];
    static const double size_m[4] = {250, 1250, 2000, 5000};

    for (int k = 0; k < 4; k++) {
        from[k] = cell_at(&view->belt, t->from_lat, t->from_lng, size_m[k]);
        to[k] = cell_at(&view->belt, t->to_lat, t->to_lng, size_m[k]);
    }
    add(f, view, ETA_KIND_FROM_SPOT, from[0], 1, PRIOR_SPOT);
    add(f, view, ETA_KIND_TO_SPOT, to[0], 1, PRIOR_SPOT);
    add(f, view, ETA_KIND_FROM_PART, from[1] * 16 + view->part, 1, PRIOR_CELL_PART);
    add(f, view, ETA_KIND_TO_PART, to[1] * 16 + view->part, 1, PRIOR_CELL_PART);
    add(f, view, ETA_KIND_FROM_WAY, from[2] * 8 + view->way, 1, PRIOR_CELL_WAY);
    add(f, view, ETA_KIND_TO_WAY, to[2] * 8 + view->way, 1, PRIOR_CELL_WAY);
    add(f, view, ETA_KIND_NEAR_PAIR, mixed(mixed(from[1]) + to[1]), 1, PRIOR_NEAR_PAIR);
    add(f, view, ETA_KIND_FROM, from[3], 1, PRIOR_END);
    add(f, view, ETA_KIND_TO, to[3], 1, PRIOR_END);
    add(f, view, ETA_KIND_PAIR, mixed(mixed(from[3]) + to[3]), 1, PRIOR_PAIR);
}

/* Two effects for each cell under the straight line, with the share of the points that lie in it. */
static void add_path(EtaFeatures *f, View *view)
{
    const EtaTrip *t = view->trip;
    uint64_t last = 0;
    int points = 0;

    for (int k = 0; k <= PATH_POINTS; k++) {
        double along = (k + 0.5) / PATH_POINTS, lng = t->from_lng + view->east * along;
        uint64_t cell = 0;

        if (k < PATH_POINTS)
            cell = cell_at(&view->belt, t->from_lat + view->north * along,
                           lng > 180    ? lng - 360
                           : lng < -180 ? lng + 360
                                        : lng,
                           250);
        if (points > 0 && (k == PATH_POINTS || cell != last)) {
            double share = (double)points / PATH_POINTS;

            add(f, view, ETA_KIND_PATH_WAY, last * 8 + view->way, share, PRIOR_PATH_WAY);
            add(f, view, ETA_KIND_PATH_PART, last * 16 + view->part, share, PRIOR_PATH_PART);
            points = 0;
        }
        last = cell;
        points++;
    }
}

void eta_time_features(const EtaTrip *trip, double metres, EtaFeatures *out)
{
    View view = view_of(trip, metres);

    out->count = 0;
    add(out, &view, ETA_KIND_REGION, 0, 1, PRIOR_REGION);
    add_bands(out, &view, ETA_KIND_BAND, PRIOR_BAND);
    add_clock(out, &view);
    add_heading(out, &view);
    add_ends(out, &view);
    add_path(out, &view);
}

void eta_road_features(const EtaTrip *trip, double metres, EtaFeatures *out)
{
    View view = view_of(trip, metres);
    uint64_t from = cell_at(&view.belt, trip->from_lat, trip->from_lng, 5000);
    uint64_t to = cell_at(&view.belt, trip->to_lat, trip->to_lng, 5000);

    out->count = 0;
    add(out, &view, ETA_KIND_ROAD, 0, 1, PRIOR_ROAD);
    add_bands(out, &view, ETA_KIND_ROAD_BAND, PRIOR_ROAD_BAND);
    add(out, &view, ETA_KIND_ROAD_HEADING, view.way, 1, PRIOR_ROAD_PLACE);
    add(out, &view, ETA_KIND_ROAD_FROM, from, 1, PRIOR_ROAD_PLACE);
    add(out, &view, ETA_KIND_ROAD_TO, to, 1, PRIOR_ROAD_PLACE);
    add(out, &view, ETA_KIND_ROAD_PAIR, mixed(mixed(from) + to), 1, PRIOR_ROAD_PLACE);
}

const char *eta_kind_name(EtaKind kind)
{
    static const struct {
        EtaKind kind;
        const char *name;
    } names[] = {
        {ETA_KIND_REGION, "region"},
        {ETA_KIND_BAND, "band"},
        {ETA_KIND_PART, "part"},
        {ETA_KIND_HOUR, "hour"},
        {ETA_KIND_TRAFFIC, "traffic"},
        {ETA_KIND_HEADING, "heading"},
        {ETA_KIND_DAY, "day"},
        {ETA_KIND_PAIR, "pair"},
        {ETA_KIND_FROM, "from"},
        {ETA_KIND_TO, "to"},
        {ETA_KIND_LOW, "low"},
        {ETA_KIND_HIGH, "high"},
        {ETA_KIND_ROAD, "road"},
        {ETA_KIND_ROAD_BAND, "road_band"},
        {ETA_KIND_ROAD_HEADING, "road_heading"},
        {ETA_KIND_ROAD_FROM, "road_from"},
        {ETA_KIND_ROAD_TO, "road_to"},
        {ETA_KIND_ROAD_PAIR, "road_pair"},
        {ETA_KIND_PICKUP, "pickup"},
        {ETA_KIND_FROM_SPOT, "from_spot"},
        {ETA_KIND_TO_SPOT, "to_spot"},
        {ETA_KIND_FROM_PART, "from_part"},
        {ETA_KIND_TO_PART, "to_part"},
        {ETA_KIND_FROM_WAY, "from_way"},
        {ETA_KIND_TO_WAY, "to_way"},
        {ETA_KIND_NEAR_PAIR, "near_pair"},
        {ETA_KIND_PATH_WAY, "path_way"},
        {ETA_KIND_PATH_PART, "path_part"},
    };

    for (unsigned k = 0; k < sizeof(names) / sizeof(names[0]); k++)
        if (names[k].kind == kind)
            return names[k].name;
    return "unknown";
}
