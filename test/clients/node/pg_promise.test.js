/* pg-promise */
import pgpromise from 'pg-promise';
import pgvector from 'pgvector/pg-promise';
import { DIMS, suite } from './suite.js';

let enabled = false;
const pgp = pgpromise({ connect: (e) => enabled ? pgvector.registerTypes(e.client) : null });
const db = pgp({});
const operators = { l2Distance: '<->', maxInnerProduct: '<#>', cosineDistance: '<=>', l1Distance: '<+>' };

suite('pg-promise', {
	async enable() {
		await db.none('CREATE EXTENSION IF NOT EXISTS vector');
		enabled = true;
	},
	create: () => db.none(`CREATE TABLE items (id int PRIMARY KEY, embedding vector(${DIMS}))`),
	insert: (items) => db.none(pgp.helpers.insert(items.map((i) => ({ id: i.id, embedding: pgvector.toSql(i.embedding) })),
		['id', 'embedding'], 'items')),
	read: async (id) => (await db.one('SELECT embedding FROM items WHERE id = $1', [id])).embedding,
	nearest: async (metric, q, k) => (await db.any(`SELECT id FROM items ORDER BY embedding ${operators[metric]} $1 LIMIT $2`,
		[pgvector.toSql(q), k])).map((r) => r.id),
	index: () => db.none('CREATE INDEX ON items USING hnsw (embedding vector_l2_ops)'),
	drop: () => db.none('DROP TABLE IF EXISTS items'),
	close: () => pgp.end(),
});
