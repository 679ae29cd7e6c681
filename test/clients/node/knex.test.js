/* Knex.js */
import Knex from 'knex';
import pgvector from 'pgvector/knex';
import { DIMS, suite } from './suite.js';

const knex = Knex({ client: 'pg', connection: {} });

suite('knex', {
	enable: () => knex.schema.enableExtension('vector'),
	create: () => knex.schema.createTable('items', (table) => {
		table.integer('id').primary();
		table.vector('embedding', DIMS);
	}),
	insert: (items) => knex('items').insert(items.map((i) => ({ id: i.id, embedding: pgvector.toSql(i.embedding) }))),
	read: async (id) => pgvector.fromSql((await knex('items').where({ id }).first()).embedding),
	nearest: (metric, q, k) => knex('items').orderBy(knex[metric]('embedding', q)).limit(k).pluck('id'),
	index: () => knex.schema.alterTable('items', (table) => {
		table.index(knex.raw('embedding vector_l2_ops'), 'items_embedding', 'hnsw');
	}),
	drop: () => knex.schema.dropTableIfExists('items'),
	close: () => knex.destroy(),
});
