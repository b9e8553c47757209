-- hail.check() and hail.metrics(): what is well is said to be, what is broken is named, and only to whom it concerns.
SELECT hail.set_clock('2024-01-10 12:00+00');
SELECT count(*) > 0 AS ran FROM hail.keep();
SELECT DISTINCT area FROM hail.check() ORDER BY 1;
SELECT status, detail, hint FROM hail.check_partitions() ORDER BY detail;

-- Forty days on, nobody has made partitions: rows still go into the default one.
SELECT hail.advance_clock('40 days');
SELECT status, detail, hint FROM hail.check_partitions() ORDER BY detail;

-- A table without any partition refuses rows: that is a failure.
BEGIN;
INSERT INTO hail.partitioned_tables VALUES ('nowhere', 'at', NULL);
SELECT status, detail, hint FROM hail.check_partitions() WHERE status = 'fail';
ROLLBACK;

-- Money that moved without entries (only a superuser who takes the guards away can do that).
BEGIN;
SELECT detail FROM hail.check_ledger();
ALTER TABLE hail.accounts DISABLE TRIGGER ALL;
UPDATE hail.accounts SET posted = posted + 1 WHERE id IN (SELECT id FROM hail.accounts WHERE NOT is_system ORDER BY id LIMIT 1);
SELECT status, hint FROM hail.check_ledger();
ROLLBACK;

-- Figures.
SELECT name, kind, bool_and(value >= 0) AS positive FROM hail.metrics() GROUP BY name, kind ORDER BY name;

-- For administrators; figures for analysts too.
BEGIN;
SELECT role FROM hail.authenticate(hail.issue_token((hail.register_user('+15550009901', 'An Analyst', 'analyst')).id));
SELECT count(*) > 0 AS figures FROM hail.metrics();
SAVEPOINT refused;
SELECT * FROM hail.check();
ROLLBACK;
BEGIN;
SELECT role FROM hail.authenticate(hail.issue_token((hail.register_user('+15550009902', 'A Driver', 'driver')).id));
SAVEPOINT refused;
SELECT * FROM hail.metrics();
ROLLBACK TO refused;
SELECT * FROM hail.check_ledger();
ROLLBACK;
