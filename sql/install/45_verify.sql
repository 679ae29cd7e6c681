/* Checking a table. */

CREATE FUNCTION lakehouse.verify(relation regclass, OUT kind text, OUT object text, OUT detail text)
	RETURNS SETOF record
	AS 'MODULE_PATHNAME', 'lh_verify' LANGUAGE C STRICT VOLATILE PARALLEL UNSAFE;
COMMENT ON FUNCTION lakehouse.verify(regclass) IS
	'checks files, delete files, rows, tombstones, published metadata and indexes of a table; a row per finding';
