/* dispatch.h: what the files of this module share, besides matching.h, rounds.h, score.h and transitions.h.
 */
#ifndef HAIL_DISPATCH_H
#define HAIL_DISPATCH_H

#include "postgres.h"

/* Four digits, every code equally likely, from the system's strong source; palloc'd. */
extern char *make_pickup_code(void);

#endif
