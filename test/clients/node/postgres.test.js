/* Postgres.js, which has no types of its own for vectors. */
import pgvector from 'pgvector';
import postgres from 'postgres';
import { DIMS, suite } from './suite.js';

const sql = postgres({ onnotice: () => {} });
const operators = { l2Distance: sql`<->`, maxInnerProduct: sql`<#>`, cosineDistance: sql`<=>`, l1Distance: sql`<+>` };

suite('postgres', {
	enable: () => sql`CREATE EXTENSION IF NOT EXISTS vector`,
	create: () => sql`CREATE TABLE items (id int PRIMARY KEY, embedding vector(${sql.unsafe(String(DIMS))}))`,
	insert: (items) => sql`INSERT INTO items ${sql(items.map((i) => ({ id: i.id, embedding: pgvector.toSql(i.embedding) })))}`,
	read: async (id) => pgvector.fromSql((await sql`SELECT embedding FROM items WHERE id = ${id}`)[0].embedding),
	nearest: async (metric, q, k) => (await sql`
		SELECT id FROM items ORDER BY embedding ${operators[metric]} ${pgvector.toSql(q)} LIMIT ${k}`).map((r) => r.id),
	index: () => sql`CREATE INDEX ON items USING hnsw (embedding vector_l2_ops)`,
	drop: () => sql`DROP TABLE IF EXISTS items`,
	close: () => sql.end(),
});
