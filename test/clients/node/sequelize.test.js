/* Sequelize */
import pgvector from 'pgvector/sequelize';
import Sequelize from 'sequelize';
import { DIMS, suite } from './suite.js';

pgvector.registerTypes(Sequelize);
const { DataTypes } = Sequelize;
const { PGHOST, PGPORT, PGUSER, PGDATABASE } = process.env;
const sequelize = new Sequelize(PGDATABASE, PGUSER, '', { host: PGHOST, port: PGPORT, dialect: 'postgres', logging: false });

const Item = sequelize.define('items', {
	id: { type: DataTypes.INTEGER, primaryKey: true },
	embedding: { type: DataTypes.VECTOR(DIMS) },
}, { timestamps: false });

suite('sequelize', {
	enable: () => sequelize.query('CREATE EXTENSION IF NOT EXISTS vector'),
	create: () => Item.sync({ force: true }),
	insert: (items) => Item.bulkCreate(items),
	read: async (id) => (await Item.findByPk(id)).embedding,
	nearest: async (metric, q, k) => (await Item.findAll({ order: pgvector[metric]('embedding', q, sequelize), limit: k }))
		.map((i) => i.id),
	index: () => sequelize.getQueryInterface().addIndex('items', {
		name: 'items_embedding', fields: ['embedding'], using: 'hnsw', operator: 'vector_l2_ops',
	}),
	drop: () => Item.drop(),
	close: () => sequelize.close(),
});
