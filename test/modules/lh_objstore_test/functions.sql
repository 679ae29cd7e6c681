-- Declares the functions of lh_objstore_test.c; psql variable lib is its path.
CREATE FUNCTION os_normalize(text) RETURNS text AS :'lib' LANGUAGE C STRICT;
CREATE FUNCTION os_default() RETURNS text AS :'lib' LANGUAGE C STRICT;
CREATE FUNCTION os_check(location text, privileged bool) RETURNS void AS :'lib' LANGUAGE C STRICT;
CREATE FUNCTION os_name_of_uri(location text, uri text) RETURNS text AS :'lib' LANGUAGE C STRICT;
CREATE FUNCTION os_put(location text, name text, data bytea, replace bool DEFAULT false) RETURNS void AS :'lib' LANGUAGE C STRICT;
CREATE FUNCTION os_upload(location text, name text, chunk bytea, n int, ending text) RETURNS bigint AS :'lib' LANGUAGE C STRICT;
CREATE FUNCTION os_upload_many(location text, prefix text, n int) RETURNS void AS :'lib' LANGUAGE C STRICT;
CREATE FUNCTION os_fetch(location text, name text, start bigint, len bigint) RETURNS bytea AS :'lib' LANGUAGE C STRICT;
CREATE FUNCTION os_fetch_many(location text, prefix text, n int) RETURNS int AS :'lib' LANGUAGE C STRICT;
CREATE FUNCTION os_size(location text, name text, missing_ok bool DEFAULT false) RETURNS bigint AS :'lib' LANGUAGE C STRICT;
CREATE FUNCTION os_read_all(location text, name text, max bigint DEFAULT 1000000, missing_ok bool DEFAULT false) RETURNS bytea AS :'lib' LANGUAGE C STRICT;
CREATE FUNCTION os_list(location text, prefix text DEFAULT '', OUT name text, OUT size bigint, OUT mtime timestamptz, OUT is_temp bool) RETURNS SETOF record AS :'lib' LANGUAGE C STRICT;
CREATE FUNCTION os_remove(location text, name text, missing_ok bool DEFAULT false) RETURNS bool AS :'lib' LANGUAGE C STRICT;
CREATE FUNCTION os_remove_seen(location text, name text, horizon xid) RETURNS bool AS :'lib' LANGUAGE C STRICT;
CREATE FUNCTION os_may_remove(horizon xid) RETURNS bool AS :'lib' LANGUAGE C STRICT;
CREATE FUNCTION os_remove_empty_dirs(location text, prefix text DEFAULT '') RETURNS void AS :'lib' LANGUAGE C STRICT;
CREATE FUNCTION os_release_files() RETURNS void AS :'lib' LANGUAGE C STRICT;
CREATE FUNCTION os_counters() RETURNS text AS :'lib' LANGUAGE C STRICT;

-- Runs a statement that must fail; returns its SQLSTATE and message.
CREATE FUNCTION os_error(statement text) RETURNS text LANGUAGE plpgsql AS $$
BEGIN
	EXECUTE statement;
	RETURN 'no error';
EXCEPTION WHEN OTHERS THEN
	RETURN SQLSTATE || ' ' || SQLERRM;
END $$;
