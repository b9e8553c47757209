-- 85_worker: background workers and their chores by hand

CREATE TABLE hail.worker_epochs (
    worker     text PRIMARY KEY,
    epoch      bigint NOT NULL,
    started_at timestamptz NOT NULL
);
COMMENT ON TABLE hail.worker_epochs IS 'How often each background worker has begun to serve this database, and since when it does.';
GRANT SELECT ON hail.worker_epochs TO hail_admin;
CREATE POLICY worker_epochs_admin ON hail.worker_epochs FOR SELECT TO hail_admin
    USING (hail.current_role_name() = 'admin');

CREATE FUNCTION hail.keep(OUT step text, OUT "rows" bigint) RETURNS SETOF record
LANGUAGE c VOLATILE SECURITY DEFINER SET search_path = pg_catalog, pg_temp
AS 'MODULE_PATHNAME', 'hail_keep';
COMMENT ON FUNCTION hail.keep() IS
'Do once, in this transaction, what the keeper worker does all the time: rebuild the index, maintain partitions, drain history, write positions, expire presence, and so on. For servers without workers, and for tests.';
GRANT EXECUTE ON FUNCTION hail.keep() TO hail_admin;
