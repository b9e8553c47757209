-- The state machine: every move there is.
SELECT * FROM hail.trip_transitions ORDER BY from_state, action, actor;
