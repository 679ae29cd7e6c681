/* Objection.js */
import Knex from 'knex';
import { Model } from 'objection';
import 'pgvector/knex';
import * as objection from 'pgvector/objection';
import { DIMS, suite } from './suite.js';

const pgvector = objection.default ?? objection;
const knex = Knex({ client: 'pg', connection: {} });
Model.knex(knex);

class Item extends Model {
	static tableName = 'items';
}

suite('objection', {
	enable: () => knex.schema.enableExtension('vector'),
	create: () => knex.schema.createTable('items', (table) => {
		table.integer('id').primary();
		table.vector('embedding', DIMS);
	}),
	insert: (items) => Item.query().insert(items.map((i) => ({ id: i.id, embedding: pgvector.toSql(i.embedding) }))),
	read: async (id) => pgvector.fromSql((await Item.query().findById(id)).embedding),
	nearest: async (metric, q, k) => (await Item.query().orderBy(pgvector[metric]('embedding', q)).limit(k)).map((i) => i.id),
	index: () => knex.schema.alterTable('items', (table) => {
		table.index(knex.raw('embedding vector_l2_ops'), 'items_embedding', 'hnsw');
	}),
	drop: () => knex.schema.dropTableIfExists('items'),
	close: () => knex.destroy(),
});
