/*
 * Where the database's vector is pgvector's own: our access methods under names
 * of ours, with the operator classes that pgvector's have, on its types.
 */
SELECT lakehouse_vector_setup('pgvector', $beside$
CREATE FUNCTION lakehouse.hnsw_handler(internal) RETURNS index_am_handler
	AS 'MODULE_PATHNAME', 'lh_hnsw_beside_handler' LANGUAGE C;
COMMENT ON FUNCTION lakehouse.hnsw_handler(internal) IS 'handler of the index access method lakehouse_hnsw';

CREATE FUNCTION lakehouse.ivfflat_handler(internal) RETURNS index_am_handler
	AS 'MODULE_PATHNAME', 'lh_ivfflat_beside_handler' LANGUAGE C;
COMMENT ON FUNCTION lakehouse.ivfflat_handler(internal) IS 'handler of the index access method lakehouse_ivfflat';

CREATE ACCESS METHOD lakehouse_hnsw TYPE INDEX HANDLER lakehouse.hnsw_handler;
COMMENT ON ACCESS METHOD lakehouse_hnsw IS 'hnsw of lakehouse on the types of pgvector';

CREATE ACCESS METHOD lakehouse_ivfflat TYPE INDEX HANDLER lakehouse.ivfflat_handler;
COMMENT ON ACCESS METHOD lakehouse_ivfflat IS 'ivfflat of lakehouse on the types of pgvector';

DO $do$
DECLARE
	class record;
BEGIN
	FOR class IN SELECT a.amname AS method, c.opcname AS name, c.opcintype::regtype AS type,
			p.amopopr::regoperator AS operator,
			(SELECT string_agg(format(', FUNCTION %s %s', amprocnum, amproc::regprocedure), '' ORDER BY amprocnum)
				FROM pg_amproc WHERE amprocfamily = c.opcfamily) AS functions
			FROM pg_opclass c JOIN pg_am a ON a.oid = c.opcmethod AND a.amname IN ('hnsw', 'ivfflat')
			JOIN pg_amop p ON p.amopfamily = c.opcfamily AND p.amoppurpose = 'o' AND p.amopstrategy = 1
	LOOP
		EXECUTE format('CREATE OPERATOR CLASS %I FOR TYPE %s USING lakehouse_%s AS OPERATOR 1 %s FOR ORDER BY float_ops%s',
			class.name, class.type, class.method, class.operator, class.functions);
	END LOOP;
END $do$;
$beside$);
