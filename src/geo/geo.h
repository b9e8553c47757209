/* geo.h: great-circle geometry on the sphere. Pure: no allocation, no errors. Degrees in, metres out. */
#ifndef HAIL_GEO_H
#define HAIL_GEO_H

#include <math.h>
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

/* A point that distances to many others are measured from. */
typedef struct GeoOrigin {
    double lat, lng; /* degrees */
    double cos_lat, sin_lat;
} GeoOrigin;

extern GeoOrigin geo_origin(double lat, double lng);

#define GEO_RADIANS(d) ((d) * (M_PI / 180.0))

/* Angles below this (radians; some 300 km) go by polynomials, exact to the last bits of a double. */
#define GEO_SMALL 0.05

/* (2 sin(x / 2))^2, for any x: its Taylor series, whose next term is below 2e-17 of it. */
static inline double geo_hav4(double x)
{
    double q = x * x, s;

    if (q < GEO_SMALL * GEO_SMALL)
        return q * (1 - q * (1 / 12.0) * (1 - q * (1 / 30.0) * (1 - q * (1 / 56.0) * (1 - q * (1 / 90.0)))));
    s = 2 * sin(x / 2);
    return s * s;
}

/* Cosine of a latitude (degrees). */
static inline double geo_cos_lat(const GeoOrigin *origin, double lat)
{
    double d = GEO_RADIANS(lat - origin->lat), q = d * d;

    if (q >= GEO_SMALL * GEO_SMALL)
        return cos(GEO_RADIANS(lat));
    return origin->cos_lat *
               (1 - q * (1 / 2.0) * (1 - q * (1 / 12.0) * (1 - q * (1 / 30.0) * (1 - q * (1 / 56.0))))) -
           origin->sin_lat * d * (1 - q * (1 / 6.0) * (1 - q * (1 / 20.0) * (1 - q * (1 / 42.0))));
}

/*
 * Squared chord from the origin to a point, in [0, 4]: the haversine, in which nothing cancels. Without a
 * sine or cosine within 300 km, nor any vector to be stored; good to a few units in the last place at any
 * distance short of the antipode.
 */
static inline double geo_chord2_from(const GeoOrigin *origin, double lat, double lng)
{
    double dlng = fabs(lng - origin->lng), chord2;

    if (dlng > 180)
        dlng = 360 - dlng;
    chord2 = geo_hav4(GEO_RADIANS(lat - origin->lat)) +
             origin->cos_lat * geo_cos_lat(origin, lat) * geo_hav4(GEO_RADIANS(dlng));
    return chord2 > 4 ? 4 : chord2;
}

/* Metres along the great circle for a squared chord, and back (metres clamped to half the circumference). */
extern double geo_chord2_to_m(double chord2);
extern double geo_m_to_chord2(double metres);

/* Great-circle distance in metres: 2 R asin(chord / 2). Stable at any distance. */
extern double geo_distance_m(double lat1, double lng1, double lat2, double lng2);

#endif
