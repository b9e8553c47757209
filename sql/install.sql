-- The extension installs over an empty database, with what it needs.
SET client_min_messages = warning;
CREATE EXTENSION pg_hail CASCADE;
SELECT extname FROM pg_extension WHERE extname IN ('pg_hail', 'postgis', 'btree_gist') ORDER BY 1;
