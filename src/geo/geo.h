/* geo.h: great-circle geometry on the sphere. Pure: no allocation, no errors. Degrees in, metres out. */
#ifndef HAIL_GEO_H
#define HAIL_GEO_H

#include <stdbool.h>

/* Mean radius of WGS84, (2a + b) / 3, as PostGIS ST_DistanceSphere uses it; metres. */
#define GEO_EARTH_RADIUS_M 6371008.7714150598

/* Unit vector of a point: the chord between two of them orders points as the great circle does. */
typedef struct GeoVector {
    double x, y, z;
} GeoVector;

/* Finite, lat in [-90, 90], lng in [-180, 180]. */
extern bool geo_valid(double lat, double lng);

extern GeoVector geo_vector(double lat, double lng);

/* Squared chord between unit vectors, in [0, 4]. */
static inline double geo_chord2(GeoVector a, GeoVector b)
{
    double dx = a.x - b.x, dy = a.y - b.y, dz = a.z - b.z;

    return dx * dx + dy * dy + dz * dz;
}

/* Metres along the great circle for a squared chord, and back (metres clamped to half the circumference). */
extern double geo_chord2_to_m(double chord2);
extern double geo_m_to_chord2(double metres);

/* Great-circle distance in metres: 2 R asin(chord / 2). Stable at any distance. */
extern double geo_distance_m(double lat1, double lng1, double lat2, double lng2);

#endif
