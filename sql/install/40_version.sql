/* Time travel: FROM t TABLESAMPLE lakehouse.as_of(...). */

CREATE FUNCTION lakehouse.as_of(internal) RETURNS tsm_handler
	AS 'MODULE_PATHNAME', 'lh_tsm_as_of' LANGUAGE C STRICT;
COMMENT ON FUNCTION lakehouse.as_of(internal) IS
	'TABLESAMPLE lakehouse.as_of(timestamptz): the newest version published at or before that time';

CREATE FUNCTION lakehouse.as_of_snapshot(internal) RETURNS tsm_handler
	AS 'MODULE_PATHNAME', 'lh_tsm_as_of_snapshot' LANGUAGE C STRICT;
COMMENT ON FUNCTION lakehouse.as_of_snapshot(internal) IS
	'TABLESAMPLE lakehouse.as_of_snapshot(bigint): the version with that Iceberg snapshot id';

CREATE FUNCTION lakehouse.as_of_version(internal) RETURNS tsm_handler
	AS 'MODULE_PATHNAME', 'lh_tsm_as_of_version' LANGUAGE C STRICT;
COMMENT ON FUNCTION lakehouse.as_of_version(internal) IS
	'TABLESAMPLE lakehouse.as_of_version(bigint): the version with that number';
