-- The test clock: superusers only, frozen, moved, running.
SELECT hail.set_clock('2013-11-18 16:00+00');
SELECT hail.clock();
SELECT hail.advance_clock('90 seconds');
SELECT hail.clock() = hail.clock() AS frozen;
SELECT hail.set_clock('infinity');
SELECT hail.set_clock('2013-11-18', -1);
SELECT hail.set_clock('2013-11-18', 'nan');
SET ROLE hail_admin;
SELECT hail.set_clock('2013-11-18');
SELECT hail.reset_clock();
SELECT hail.advance_clock('1 day');
RESET ROLE;
SELECT hail.reset_clock() BETWEEN now() - interval '1 minute' AND clock_timestamp() AS wall_clock;

-- Ids ascend and carry version 7.
SELECT count(DISTINCT id) AS ids, bool_and(id > before) AS ascending, bool_and(substr(id::text, 15, 1) = '7') AS version_7
FROM (SELECT id, lag(id) OVER (ORDER BY n) AS before
      FROM (SELECT n, hail.uuid7() AS id FROM generate_series(1, 1000) n) AS ids) AS pairs;

-- The error registry: no SQLSTATE and no word twice.
SELECT count(*) > 20 AS filled, count(*) = count(DISTINCT sqlstate) AND count(*) = count(DISTINCT code) AS unique_rows,
       bool_and(http_status BETWEEN 400 AND 599) AS statuses
FROM hail.error_codes();
DO $$
DECLARE
    state text; field text; hint text;
BEGIN
    PERFORM hail.fail('trip_taken', 'somebody was faster', 'trip_id', 'Look for another trip.');
EXCEPTION WHEN OTHERS THEN
    GET STACKED DIAGNOSTICS state = RETURNED_SQLSTATE, field = COLUMN_NAME, hint = PG_EXCEPTION_HINT;
    RAISE NOTICE '% % % %', state, SQLERRM, field, hint;
END $$;
SELECT hail.fail('no_such_code', 'x');
