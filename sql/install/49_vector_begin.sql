/*
 * The vector types, their operators and index access methods: the files up to
 * 69_vector_end.sql.  They are the script of the extension vector, our shim by
 * pgvector's name, too (make install-vector), and run for the extension that
 * comes first.  They stand in the extension's target schema, since clients
 * look for them in public.
 */
CREATE FUNCTION lakehouse_vector_setup(text, text) RETURNS void
	AS 'MODULE_PATHNAME', 'lh_vector_setup' LANGUAGE C STRICT;
COMMENT ON FUNCTION lakehouse_vector_setup(text, text) IS 'runs SQL of an extension script if this extension is to own the vector types';

SELECT lakehouse_vector_setup('own', $lakehouse_vector$
