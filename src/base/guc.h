/* guc.h: every setting of the extension (prefix hail.), one table in guc.c. Units in the names. */
#ifndef HAIL_BASE_GUC_H
#define HAIL_BASE_GUC_H

#include "postgres.h"

/* fixed at server start */
extern int hail_max_live_drivers;    /* slots of the live index */
extern int hail_history_ring_points; /* points the history ring holds */
extern int hail_max_eta_effects;     /* learnt effects the ETA model has room for, in all regions */
extern int hail_eta_half_life_days;  /* hail.eta_half_life: trips of so long ago count half */
extern char *hail_worker_database;   /* hail.database: database the workers serve */
extern bool hail_workers; /* start the background workers; off: hail.keep(), hail.dispatch_tick() by hand */

extern int hail_max_surge_cells; /* hail.max_surge_cells: hexagons that shared memory has room for */

/* changeable by reload */
extern int hail_presence_ttl_s; /* hail.presence_ttl: a driver not heard of for so long is not found */
extern int
    hail_history_interval_s;       /* hail.history_interval: off a trip, one point kept per so many seconds */
extern int hail_track_tolerance_m; /* hail.track_tolerance: how far off a kept track may be, at any time */
extern int hail_track_delay_s;     /* hail.track_delay: a trip's track is kept so long after its completion */
extern int hail_track_retention_s; /* hail.track_retention: and deleted so long after it */
extern int
    hail_write_through_ms; /* hail.write_through_interval: positions reach driver_positions this often */
extern int hail_write_through_batch; /* hail.write_through_batch: positions written in one transaction */
extern int hail_quote_ttl_s;         /* hail.quote_ttl */
extern int hail_min_trip_m;  /* hail.min_trip_distance: pickup and dropoff nearer than this are one place */
extern int hail_max_trip_km; /* hail.max_trip_distance: longest trip priced, great circle */
extern int hail_pickup_eta_radius_m; /* hail.pickup_eta_radius: where estimates look for the nearest driver */
extern int hail_surge_window_s;      /* hail.surge_window: requests of so long count as demand */
extern int
    hail_surge_interval_ms;   /* hail.surge_interval: pace of surge_tick, hence how fast a surge may climb */
extern int hail_surge_hold_s; /* hail.surge_hold: a surge that rose is not lowered for so long */
extern int hail_surge_half_life_s;   /* hail.surge_half_life: of the averages of demand and supply; 0: none */
extern int hail_max_speed_kmh;       /* hail.max_speed: faster moves are flagged, not applied */
extern int hail_dispatch_max_lag_ms; /* hail.dispatch_max_lag: overload begins; 0: never */
extern int hail_dispatch_queue_max;  /* hail.dispatch_queue_max: trips that may wait in an overload */
extern int hail_destination_changes_max;    /* hail.destination_changes: of one trip */
extern int hail_toll_limit, hail_tip_limit; /* hail.toll_limit, hail.tip_limit: percent of the price */
extern int hail_tip_window_s;               /* hail.tip_window */
extern int hail_destination_growth; /* hail.destination_growth: times as long as accepted; 0: any length */
extern int hail_arrival_radius_m;   /* hail.arrival_radius: the driver is at the pickup; 0: not asked */
extern int hail_code_tries_max;     /* hail.code_tries: wrong codes at a pickup or stop until it is blocked */
extern int hail_webhook_tolerance_s; /* hail.webhook_tolerance: age of a signed webhook, either way */
extern int hail_report_rate;         /* hail.report_rate: a driver's position reports a minute; 0: no limit */
extern int hail_porter_report_rate;  /* hail.porter_report_rate: the same for drivers of porter classes */
extern int
    hail_trip_request_rate; /* hail.trip_request_rate: trips a user may ask for a minute; 0: no limit */
extern int hail_driver_response_rate; /* hail.driver_response_rate: a driver's answers to offers a minute */
extern int hail_trip_status_rate;     /* hail.trip_status_rate: a user's looks at trips a minute */
extern int hail_partner_order_rate;   /* hail.partner_order_rate: a partner's orders a minute */
extern int hail_quote_rate;           /* hail.quote_rate: requests for quotes of a user a minute */
extern int hail_estimate_rate;        /* hail.estimate_rate: requests for prices that promise nothing */
extern int
    hail_quote_retention_s; /* hail.quote_retention: unused quotes are deleted so long after they expired */
extern int hail_idempotency_ttl_s;    /* hail.idempotency_ttl: request keys are kept so long */
extern int hail_ledger_close_delay_s; /* hail.ledger_close_delay: days are closed so long after their end; -1:
                                         never */
extern bool hail_ledger_chain;        /* hail.ledger_chain: entries are chained by hashes */
extern char *hail_jwt_secret;         /* hail.jwt_secret: HS256 key, 32 bytes or more; superusers only */
extern char *hail_jwt_public_key;     /* hail.jwt_public_key: PEM, for RS256 and EdDSA */
extern int hail_jwt_algorithm;        /* hail.jwt_algorithm: one of HailJwtAlgorithm */
extern char *hail_jwt_issuer;         /* hail.jwt_issuer */
extern char *hail_jwt_audience;       /* hail.jwt_audience */
extern int hail_jwt_leeway_s;         /* hail.jwt_leeway: clock skew accepted, 60 s at most */

typedef enum HailJwtAlgorithm { HAIL_JWT_HS256, HAIL_JWT_RS256, HAIL_JWT_EDDSA } HailJwtAlgorithm;

/*
 * hail.request_id, which any caller may set for its transaction: 1 to 128 printable ASCII characters that
 * events and logs carry, so that a request can be followed. No identity. NULL when not set.
 */
extern const char *hail_request_id(void);

extern void hail_guc_init(void);

#endif
