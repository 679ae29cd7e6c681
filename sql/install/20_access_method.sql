/* The table access method. */

CREATE FUNCTION lakehouse.handler(internal) RETURNS table_am_handler
	AS 'MODULE_PATHNAME', 'lh_am_handler' LANGUAGE C;
COMMENT ON FUNCTION lakehouse.handler(internal) IS 'handler of the table access method lakehouse';

CREATE ACCESS METHOD lakehouse TYPE TABLE HANDLER lakehouse.handler;
COMMENT ON ACCESS METHOD lakehouse IS 'tables kept as Parquet files under Apache Iceberg metadata';
