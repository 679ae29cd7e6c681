/* node-postgres, also with the types that other libraries only wrap. */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import pg from 'pg';
import { SparseVector } from 'pgvector';
import pgvector from 'pgvector/pg';
import { DIMS, queries, suite } from './suite.js';

const client = new pg.Client();
await client.connect();
const operators = { l2Distance: '<->', maxInnerProduct: '<#>', cosineDistance: '<=>', l1Distance: '<+>' };

suite('pg', {
	enable: () => client.query('CREATE EXTENSION IF NOT EXISTS vector'),
	async create() {
		await pgvector.registerTypes(client);
		await client.query(`CREATE TABLE items (id int PRIMARY KEY, embedding vector(${DIMS}))`);
	},
	async insert(items) {
		for (const item of items)
			await client.query('INSERT INTO items VALUES ($1, $2)', [item.id, pgvector.toSql(item.embedding)]);
	},
	read: async (id) => (await client.query('SELECT embedding FROM items WHERE id = $1', [id])).rows[0].embedding,
	nearest: async (metric, q, k) => (await client.query({
		name: metric, text: `SELECT id FROM items ORDER BY embedding ${operators[metric]} $1 LIMIT $2`, values: [pgvector.toSql(q), k],
	})).rows.map((r) => r.id),
	async index() {
		await client.query('CREATE INDEX ON items USING hnsw (embedding vector_l2_ops)');
		await client.query('CREATE INDEX ON items USING ivfflat (embedding vector_cosine_ops) WITH (lists = 4)');
		await client.query('SET enable_seqscan = off');
	},
	drop: () => client.query('DROP TABLE IF EXISTS items'),
	close: () => client.end(),
});

test('pg: halfvec, sparsevec and bit', async () => {
	await client.query('CREATE TABLE others (id int, half halfvec(3), sparse sparsevec(3), bits bit(3))');
	await client.query('INSERT INTO others VALUES ($1, $2, $3, $4), ($5, $6, $7, $8)',
		[1, pgvector.toSql([1, 2, 3]), new SparseVector([1, 0, 3]), '101', 2, '[4,5,6]', '{2:5}/3', '000']);
	const found = (await client.query('SELECT * FROM others ORDER BY bits <~> $1', ['100'])).rows;
	assert.deepEqual(found.map((r) => r.id), [1, 2]);
	assert.deepEqual(found.map((r) => r.half), [[1, 2, 3], [4, 5, 6]]);
	assert.deepEqual(found.map((r) => r.sparse.toArray()), [[1, 0, 3], [0, 5, 0]]);
	assert.deepEqual((await client.query('SELECT id FROM others ORDER BY sparse <-> $1', [new SparseVector([0, 4, 0])])).rows[0], { id: 2 });
	await client.query('DROP TABLE others');
});

test('pg: a transaction, a savepoint, an upsert', async () => {
	await client.query(`CREATE TABLE others (id int PRIMARY KEY, embedding vector(${DIMS}))`);
	await client.query('BEGIN');
	for (const embedding of queries)
		await client.query('INSERT INTO others VALUES (1, $1) ON CONFLICT (id) DO UPDATE SET embedding = excluded.embedding',
			[pgvector.toSql(embedding)]);
	await client.query('SAVEPOINT s');
	await assert.rejects(client.query('INSERT INTO others VALUES (2, $1)', [pgvector.toSql([1, 2])]),
		{ code: '22000', message: `expected ${DIMS} dimensions, not 2` });
	await client.query('ROLLBACK TO s');
	await client.query('COMMIT');
	assert.deepEqual((await client.query('SELECT * FROM others')).rows, [{ id: 1, embedding: queries.at(-1) }]);
	assert.deepEqual((await client.query('SELECT avg(embedding) AS a FROM others')).rows[0].a, queries.at(-1));
	await client.query('DROP TABLE others');
});
