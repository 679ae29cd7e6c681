/* Drizzle ORM, which has vectors built in; over node-postgres. */
import { cosineDistance, eq, innerProduct, l1Distance, l2Distance, sql } from 'drizzle-orm';
import { drizzle } from 'drizzle-orm/node-postgres';
import { integer, pgTable, vector } from 'drizzle-orm/pg-core';
import pg from 'pg';
import { DIMS, suite } from './suite.js';

const pool = new pg.Pool();
const db = drizzle(pool);
const items = pgTable('items', {
	id: integer('id').primaryKey(),
	embedding: vector('embedding', { dimensions: DIMS }),
});
const functions = { l2Distance, cosineDistance, l1Distance, maxInnerProduct: innerProduct };

suite('drizzle', {
	enable: () => db.execute(sql`CREATE EXTENSION IF NOT EXISTS vector`),
	create: () => db.execute(sql.raw(`CREATE TABLE items (id int PRIMARY KEY, embedding vector(${DIMS}))`)),
	insert: (rows) => db.insert(items).values(rows),
	read: async (id) => (await db.select().from(items).where(eq(items.id, id)))[0].embedding,
	nearest: async (metric, q, k) => (await db.select().from(items).orderBy(functions[metric](items.embedding, q)).limit(k))
		.map((r) => r.id),
	index: () => db.execute(sql`CREATE INDEX ON items USING hnsw (embedding vector_l2_ops)`),
	drop: () => db.execute(sql`DROP TABLE IF EXISTS items`),
	close: () => pool.end(),
});
