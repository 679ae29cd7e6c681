/* Looking at vector indexes. */

CREATE FUNCTION lakehouse.hnsw_info(index regclass, OUT dims int, OUT coding text, OUT code_bytes int, OUT node_bytes int,
		OUT m int, OUT ef_construction int, OUT entry bigint, OUT entry_level int, OUT centred boolean)
	AS 'MODULE_PATHNAME', 'lh_hnsw_info' LANGUAGE C STRICT;
COMMENT ON FUNCTION lakehouse.hnsw_info(regclass) IS 'how an hnsw index keeps its vectors';

CREATE FUNCTION lakehouse.hnsw_graph(index regclass, OUT node bigint, OUT level int, OUT live boolean, OUT links bigint[],
		OUT fillers int, OUT rows tid[]) RETURNS SETOF record
	AS 'MODULE_PATHNAME', 'lh_hnsw_graph' LANGUAGE C STRICT;
COMMENT ON FUNCTION lakehouse.hnsw_graph(regclass) IS 'the lowest layer of an hnsw index: its nodes, their links and heap rows';

REVOKE ALL ON FUNCTION lakehouse.hnsw_info(regclass), lakehouse.hnsw_graph(regclass) FROM PUBLIC;

/*
 * Rows of the index that are no farther than the k-th true neighbour, of all
 * there should be; so equal distances do not matter.
 */
CREATE FUNCTION lakehouse.hnsw_recall(index regclass, sample int DEFAULT 50, k int DEFAULT 10) RETURNS float8
	LANGUAGE plpgsql STRICT
	SET search_path = pg_catalog SET enable_seqscan = on SET enable_indexscan = on SET enable_bitmapscan = off
	SET enable_indexonlyscan = off AS $$
DECLARE
	near text;
	queries text;
	query text;
	exact float8[];
	found float8[];
	plan jsonb;
	hits bigint := 0;
	wanted bigint := 0;
BEGIN
	SELECT format('SELECT array_agg(d ORDER BY d) FROM (SELECT %1$s OPERATOR(%2$s) %%L::%3$s AS d FROM %4$s WHERE %5$s ORDER BY %1$s OPERATOR(%2$s) %%1$L::%3$s LIMIT %6$s) a',
			e.key, (SELECT quote_ident(nspname) FROM pg_namespace WHERE oid = o.oprnamespace) || '.' || o.oprname,
			format_type(a.atttypid, a.atttypmod), i.indrelid::regclass, e.pred, k),
		format('SELECT (%s)::text FROM %s WHERE %s ORDER BY random() LIMIT %s', e.key, i.indrelid::regclass, e.pred, sample)
		INTO STRICT near, queries
		FROM pg_index i
		JOIN pg_attribute a ON a.attrelid = i.indexrelid AND a.attnum = 1
		JOIN pg_opclass c ON c.oid = i.indclass[0]
		JOIN pg_amop p ON p.amopfamily = c.opcfamily AND p.amoppurpose = 'o' AND p.amopstrategy = 1
		JOIN pg_operator o ON o.oid = p.amopopr
		CROSS JOIN LATERAL (SELECT '(' || pg_get_indexdef(i.indexrelid, 1, true) || ')' AS key,
			coalesce(pg_get_expr(i.indpred, i.indrelid), 'true') || ' AND (' || pg_get_indexdef(i.indexrelid, 1, true) || ') IS NOT NULL' AS pred) e
		WHERE i.indexrelid = index;
	FOR query IN EXECUTE queries LOOP
		PERFORM set_config('enable_seqscan', 'on', true), set_config('enable_indexscan', 'off', true);
		EXECUTE format(near, query) INTO exact;
		PERFORM set_config('enable_seqscan', 'off', true), set_config('enable_indexscan', 'on', true);
		IF plan IS NULL THEN
			EXECUTE 'EXPLAIN (FORMAT json) ' || format(near, query) INTO plan;
			IF NOT jsonb_path_exists(plan, '$.**."Index Name" ? (@ == $name)',
					jsonb_build_object('name', (SELECT relname FROM pg_class WHERE oid = index))) THEN
				RAISE EXCEPTION 'searches do not use index "%"', index
					USING ERRCODE = 'object_not_in_prerequisite_state',
						HINT = 'It may be invalid, or another index on the same column is preferred.';
			END IF;
		END IF;
		EXECUTE format(near, query) INTO found;
		wanted := wanted + cardinality(exact);
		hits := hits + (SELECT count(*) FROM unnest(found) d WHERE d <= exact[cardinality(exact)]);
	END LOOP;
	RETURN hits::float8 / nullif(wanted, 0);
END $$;
COMMENT ON FUNCTION lakehouse.hnsw_recall(regclass, int, int) IS 'share of the k nearest neighbours that an index finds, for a sample of its own rows';
