/*
 * What every library is asked to do: the documented use of vectors, with
 * answers that are computed here by looking at all rows.
 *
 * A library's test file describes itself by an object:
 *	enable()				CREATE EXTENSION IF NOT EXISTS vector
 *	create()				table `items`: id int, embedding vector(DIMS)
 *	insert(rows)			of {id, embedding}, an array of numbers
 *	read(id)				the embedding
 *	nearest(metric, q, k)	ids, by an ORDER BY with the library's own function
 *	index()					hnsw by L2 distance
 *	drop(), close()
 */
import assert from 'node:assert/strict';
import { after, before, test } from 'node:test';

export const DIMS = 8;
const K = 10;

/* A generator with a fixed seed; multiples of 1/64, which float4 and text keep. */
let state = 12345;
function random() {
	state = (Math.imul(state, 1103515245) + 12345) & 0x7fffffff;
	return ((state >> 8) % 512 - 256) / 64;
}

const vector = () => Array.from({ length: DIMS }, random);
export const rows = Array.from({ length: 300 }, (_, i) => ({ id: i + 1, embedding: vector() }));
export const queries = Array.from({ length: 8 }, vector);

const sum = (a, b, f) => a.reduce((s, x, i) => s + f(x, b[i]), 0);
const product = (a, b) => sum(a, b, (x, y) => x * y);
const distances = {
	l2Distance: (a, b) => Math.sqrt(sum(a, b, (x, y) => (x - y) ** 2)),
	maxInnerProduct: (a, b) => -product(a, b),
	cosineDistance: (a, b) => 1 - product(a, b) / Math.sqrt(product(a, a) * product(b, b)),
	l1Distance: (a, b) => sum(a, b, (x, y) => Math.abs(x - y)),
};

/* The k-th smallest distance, and that of each id. */
function exact(metric, q) {
	const of = new Map(rows.map((r) => [r.id, distances[metric](r.embedding, q)]));
	const sorted = [...of.values()].sort((a, b) => a - b);
	return { of, kth: sorted[K - 1] };
}

/* How many of the ids are among the nearest; they must be different, and in order. */
function hits(ids, metric, q) {
	const { of, kth } = exact(metric, q);
	const found = ids.map((id) => of.get(Number(id)));
	assert.equal(new Set(ids.map(Number)).size, K);
	for (let i = 1; i < K; i++)
		assert.ok(found[i] >= found[i - 1] - 1e-6, `${metric}: row ${i} is nearer than the one before`);
	return found.filter((d) => d <= kth + 1e-6).length;
}

export function suite(name, lib, metrics = Object.keys(distances)) {
	before(async () => {
		await lib.enable();
		await lib.drop();
	});
	after(async () => {
		await lib.drop();
		await lib.close();
	});

	test(`${name}: the extension is there already`, () => lib.enable());

	test(`${name}: a table, rows, and the same values back`, async () => {
		await lib.create();
		await lib.insert(rows);
		for (const r of rows.slice(0, 5))
			assert.deepEqual(await lib.read(r.id), r.embedding);
	});

	for (const metric of metrics)
		test(`${name}: nearest by ${metric}`, async () => {
			for (const q of queries)
				assert.equal(hits(await lib.nearest(metric, q, K), metric, q), K);
		});

	test(`${name}: nearest by an index`, async () => {
		let found = 0;
		await lib.index();
		for (const q of queries)
			found += hits(await lib.nearest('l2Distance', q, K), 'l2Distance', q);
		assert.ok(found >= 0.95 * K * queries.length, `found ${found}`);
	});
}
