/* The length of a recorded track; see track.h. */
#include "history/track.h"

#include <math.h>

#include "geo/geo.h"

/* Keeps the usable points and makes longitudes continuous across the antimeridian. */
static int usable_points(TrackPoint *points, int count)
{
    int kept = 0;

    for (int i = 0; i < count; i++) {
        if (points[i].accuracy > TRACK_MAX_ACCURACY_M)
            continue;
        points[kept] = points[i];
        if (kept > 0)
            points[kept].lng -= 360.0 * round((points[kept].lng - points[kept - 1].lng) / 360.0);
        kept++;
    }
    return kept;
}

static double median3(double a, double b, double c)
{
    return fmax(fmin(a, b), fmin(fmax(a, b), c));
}

static void smooth(TrackPoint *points, int count)
{
    TrackPoint before = points[0];

    for (int i = 1; i < count - 1; i++) {
        TrackPoint raw = points[i];

        points[i].lat = median3(before.lat, raw.lat, points[i + 1].lat);
        points[i].lng = median3(before.lng, raw.lng, points[i + 1].lng);
        before = raw;
    }
}

double track_length_m(TrackPoint *points, int count)
{
    double length = 0;
    int last = 0;

    count = usable_points(points, count);
    if (count < 2)
        return 0;
    smooth(points, count);
    for (int i = 1; i < count; i++) {
        double step = geo_distance_m(points[last].lat, points[last].lng, points[i].lat, points[i].lng);

        if (step < fmax(TRACK_MIN_STEP_M, points[i].accuracy)) /* fmax: NaN gives the other */
            continue;
        length += step;
        last = i;
    }
    return length;
}
