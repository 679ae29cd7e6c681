/* Looking at ivfflat indexes. */

CREATE FUNCTION lakehouse.ivfflat_lists(index regclass, OUT list int, OUT rows bigint, OUT pages bigint, OUT run bigint)
	RETURNS SETOF record
	AS 'MODULE_PATHNAME', 'lh_ivfflat_lists' LANGUAGE C STRICT;
COMMENT ON FUNCTION lakehouse.ivfflat_lists(regclass) IS 'the lists of an ivfflat index: rows and pages, and how many of these stand behind each other';

REVOKE ALL ON FUNCTION lakehouse.ivfflat_lists(regclass) FROM PUBLIC;
