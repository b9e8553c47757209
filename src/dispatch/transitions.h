/*
 * transitions.h
 *    The state machine of trips. hail.trip_transitions alone decides; each backend keeps a copy of it
 * (base/kept.h).
 */
#ifndef HAIL_DISPATCH_TRANSITIONS_H
#define HAIL_DISPATCH_TRANSITIONS_H

/*
 * State that a trip goes to from a state by an action of an actor. The caller has locked the trip before it
 * read `from_state`. Error wrong_state, naming state and action, when the table has no such move. Valid until
 * the transaction ends.
 */
extern const char *transition_next(const char *from_state, const char *action, const char *actor);

#endif
