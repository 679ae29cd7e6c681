/* Kysely */
import { Kysely, PostgresDialect, sql } from 'kysely';
import pg from 'pg';
import pgvector from 'pgvector/kysely';
import { DIMS, suite } from './suite.js';

const db = new Kysely({ dialect: new PostgresDialect({ pool: new pg.Pool() }) });

suite('kysely', {
	enable: () => sql`CREATE EXTENSION IF NOT EXISTS vector`.execute(db),
	create: () => db.schema.createTable('items').addColumn('id', 'integer', (c) => c.primaryKey())
		.addColumn('embedding', sql`vector(${sql.lit(DIMS)})`).execute(),
	insert: (items) => db.insertInto('items')
		.values(items.map((i) => ({ id: i.id, embedding: pgvector.toSql(i.embedding) }))).execute(),
	read: async (id) => pgvector.fromSql(
		(await db.selectFrom('items').selectAll().where('id', '=', id).executeTakeFirst()).embedding),
	nearest: async (metric, q, k) => (await db.selectFrom('items').select('id')
		.orderBy(pgvector[metric]('embedding', q)).limit(k).execute()).map((r) => r.id),
	index: () => db.schema.createIndex('items_embedding').on('items').using('hnsw')
		.expression(sql`embedding vector_l2_ops`).execute(),
	drop: () => db.schema.dropTable('items').ifExists().execute(),
	close: () => db.destroy(),
});
