-- Declares the functions of lh_types_test.c; psql variable lib is its path.

-- The rows of a table, in the order of a scan, as the bytes of a Parquet file.
CREATE FUNCTION types_write(regclass, row_ids bool DEFAULT true) RETURNS bytea
	AS :'lib' LANGUAGE C STRICT;
-- The rows of a file as rows of a type, so many a batch.
CREATE FUNCTION types_read(file bytea, row_type anyelement, batch int DEFAULT 3)
	RETURNS SETOF anyelement AS :'lib' LANGUAGE C;
-- Iceberg schema of a table, as JSON.
CREATE FUNCTION types_iceberg(regclass) RETURNS text AS :'lib' LANGUAGE C STRICT;
-- Bounds of the columns of a file's first row group, as text; null: none usable.
CREATE FUNCTION types_bounds(file bytea, row_type anyelement,
	OUT attnum int, OUT low text, OUT high text)
	RETURNS SETOF record AS :'lib' LANGUAGE C;
-- Cells of _pg_exact that are not null.
CREATE FUNCTION types_exact_cells(file bytea) RETURNS bigint AS :'lib' LANGUAGE C STRICT;
-- Milliseconds to write a table so many times, and to read it back.
CREATE FUNCTION types_time(regclass, times int, OUT write_ms float8, OUT read_ms float8, OUT rows bigint)
	AS :'lib' LANGUAGE C STRICT;

-- What differs after a round trip: rows whose text or whose binary image changed.
CREATE FUNCTION types_differences(tab regclass, batch int DEFAULT 3) RETURNS SETOF text
LANGUAGE plpgsql AS $$
BEGIN
	RETURN QUERY EXECUTE format(
		'WITH a AS (SELECT row_number() OVER () AS n, src_ AS original FROM %1$s src_),
			b AS (SELECT row_number() OVER () AS n, got_ AS got FROM types_read(types_write(%2$L), NULL::%1$s, %3$s) got_)
		 SELECT format(''row %%s: %%s => %%s'', n, left(original::text, 2000), left(got::text, 2000))
		 FROM a FULL JOIN b USING (n)
		 WHERE original::text IS DISTINCT FROM got::text OR NOT (original *= got)', tab, tab, batch);
END $$;

-- Runs a statement that must fail; returns its SQLSTATE and message.
CREATE FUNCTION types_error(statement text) RETURNS text LANGUAGE plpgsql AS $$
BEGIN
	EXECUTE statement;
	RETURN 'no error';
EXCEPTION WHEN OTHERS THEN
	RETURN SQLSTATE || ' ' || SQLERRM;
END $$;
