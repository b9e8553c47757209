/*
 * routes.h
 *    The tables of endpoints, one per module; each ends with a row without method.
 */
#ifndef HAILD_ROUTES_H
#define HAILD_ROUTES_H

#include "router.h"

extern const Route identity_routes[];
extern const Route fleet_routes[];
extern const Route live_routes[];
extern const Route geofence_routes[];
extern const Route history_routes[];
extern const Route pricing_routes[];
extern const Route pricing_surge_routes[];
extern const Route pricing_admin_routes[];
extern const Route pricing_figures_routes[];
extern const Route dispatch_routes[];
extern const Route job_routes[];
extern const Route dispatch_admin_routes[];
extern const Route wallet_routes[];
extern const Route withdrawal_routes[];
extern const Route payment_routes[];
extern const Route gateway_routes[];
extern const Route trip_money_routes[];
extern const Route fraud_routes[];
extern const Route ledger_admin_routes[];
extern const Route ledger_report_routes[];
extern const Route operations_routes[];

#define API "/api/v1"

#endif
