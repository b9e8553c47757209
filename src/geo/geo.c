/* Great-circle geometry; see geo.h. */
#include "geo/geo.h"

bool geo_valid(double lat, double lng)
{
    return lat >= -90 && lat <= 90 && lng >= -180 && lng <= 180; /* false for NaN */
}

GeoVector geo_vector(double lat, double lng)
{
    double phi = GEO_RADIANS(lat), lambda = GEO_RADIANS(lng);
    GeoVector v = {cos(phi) * cos(lambda), cos(phi) * sin(lambda), sin(phi)};

    return v;
}

GeoOrigin geo_origin(double lat, double lng)
{
    GeoOrigin origin = {lat, lng, cos(GEO_RADIANS(lat)), sin(GEO_RADIANS(lat))};

    return origin;
}

double geo_chord2_to_m(double chord2)
{
    double half = sqrt(chord2) / 2;

    return 2 * GEO_EARTH_RADIUS_M * asin(half > 1 ? 1 : half);
}

double geo_m_to_chord2(double metres)
{
    double angle = metres / GEO_EARTH_RADIUS_M;
    double chord = angle >= M_PI ? 2 : 2 * sin(angle / 2);

    return chord * chord;
}

double geo_distance_m(double lat1, double lng1, double lat2, double lng2)
{
    return geo_chord2_to_m(geo_chord2(geo_vector(lat1, lng1), geo_vector(lat2, lng2)));
}
