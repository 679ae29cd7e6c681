-- Every distance of every type against arithmetic in float8 over arrays.
CREATE FUNCTION numbers(seed int, n int) RETURNS float8[] LANGUAGE sql IMMUTABLE AS $$
	SELECT array_agg(((seed::bigint * 7919 + k * 104729 + k * k * 31) % 4097 - 2048)::float8 / 1024 ORDER BY k)
	FROM generate_series(1, n) k $$;
CREATE FUNCTION oracle(what text, a float8[], b float8[]) RETURNS float8 LANGUAGE sql IMMUTABLE AS $$
	SELECT CASE what
		WHEN 'l2' THEN sqrt(sum((x - y) * (x - y)))
		WHEN 'l2sq' THEN sum((x - y) * (x - y))
		WHEN 'ip' THEN sum(x * y)
		WHEN 'l1' THEN sum(abs(x - y))
		WHEN 'cos' THEN 1 - sum(x * y) / nullif(sqrt(sum(x * x) * sum(y * y)), 0)
		WHEN 'norm' THEN sqrt(sum(x * x)) END
	FROM unnest(a, b) AS t (x, y) $$;
-- Relative to the operands' size; NULL where both say "no number".
CREATE FUNCTION near(got float8, wanted float8, size float8) RETURNS bool LANGUAGE sql IMMUTABLE AS $$
	SELECT CASE WHEN wanted IS NULL THEN got = 'NaN' ELSE abs(got - wanted) <= 1e-5 * (1 + size) END $$;

-- Lengths around the registers' widths and their multiples, and long ones;
-- every third element is zero for sparsevec.
CREATE TABLE cases AS
SELECT n, seed, a, b, size, a::vector AS va, b::vector AS vb, a::halfvec AS ha, b::halfvec AS hb,
	a::sparsevec AS sa, b::sparsevec AS sb
FROM (SELECT n, seed, a, b, (SELECT sum(x * x) FROM unnest(a || b) x) AS size
	FROM (SELECT n, seed,
			(SELECT array_agg(CASE WHEN i % 3 = seed % 3 THEN 0 ELSE x END ORDER BY i) FROM unnest(numbers(seed, n)) WITH ORDINALITY u (x, i)) AS a,
			(SELECT array_agg(CASE WHEN i % 4 = seed % 4 THEN 0 ELSE x END ORDER BY i) FROM unnest(numbers(seed + 50, n)) WITH ORDINALITY u (x, i)) AS b
		FROM (SELECT generate_series(1, 140) UNION ALL SELECT unnest('{255,256,257,383,511,768,1025,1536,2000}'::int[])) l (n),
			generate_series(1, 2) seed) s) t;
SELECT count(*) FROM cases;

SELECT 'vector' AS type, count(*) FILTER (WHERE NOT near(va <-> vb, oracle('l2', a, b), size)) AS l2,
	count(*) FILTER (WHERE NOT near(vector_l2_squared_distance(va, vb), oracle('l2sq', a, b), size)) AS l2sq,
	count(*) FILTER (WHERE NOT near(va <#> vb, -oracle('ip', a, b), size)) AS ip,
	count(*) FILTER (WHERE NOT near(inner_product(va, vb), oracle('ip', a, b), size)) AS ip2,
	count(*) FILTER (WHERE NOT near(va <=> vb, oracle('cos', a, b), 1)) AS cos,
	count(*) FILTER (WHERE NOT near(va <+> vb, oracle('l1', a, b), size)) AS l1,
	count(*) FILTER (WHERE NOT near(vector_norm(va), oracle('norm', a, a), size)) AS norm,
	count(*) FILTER (WHERE (va <-> vb) IS DISTINCT FROM (vb <-> va) OR l2_distance(va, vb) <> (va <-> vb)) AS asymmetric
FROM cases
UNION ALL
SELECT 'halfvec', count(*) FILTER (WHERE NOT near(ha <-> hb, oracle('l2', a, b), size)),
	count(*) FILTER (WHERE NOT near(halfvec_l2_squared_distance(ha, hb), oracle('l2sq', a, b), size)),
	count(*) FILTER (WHERE NOT near(ha <#> hb, -oracle('ip', a, b), size)),
	count(*) FILTER (WHERE NOT near(inner_product(ha, hb), oracle('ip', a, b), size)),
	count(*) FILTER (WHERE NOT near(ha <=> hb, oracle('cos', a, b), 1)),
	count(*) FILTER (WHERE NOT near(ha <+> hb, oracle('l1', a, b), size)),
	count(*) FILTER (WHERE NOT near(l2_norm(ha), oracle('norm', a, a), size)),
	count(*) FILTER (WHERE (ha <-> hb) IS DISTINCT FROM (hb <-> ha) OR l2_distance(ha, hb) <> (ha <-> hb))
FROM cases
UNION ALL
SELECT 'sparsevec', count(*) FILTER (WHERE NOT near(sa <-> sb, oracle('l2', a, b), size)),
	count(*) FILTER (WHERE NOT near(sparsevec_l2_squared_distance(sa, sb), oracle('l2sq', a, b), size)),
	count(*) FILTER (WHERE NOT near(sa <#> sb, -oracle('ip', a, b), size)),
	count(*) FILTER (WHERE NOT near(inner_product(sa, sb), oracle('ip', a, b), size)),
	count(*) FILTER (WHERE NOT near(sa <=> sb, oracle('cos', a, b), 1)),
	count(*) FILTER (WHERE NOT near(sa <+> sb, oracle('l1', a, b), size)),
	count(*) FILTER (WHERE NOT near(l2_norm(sa), oracle('norm', a, a), size)),
	count(*) FILTER (WHERE NOT near(sa <-> sb, sb <-> sa, size) OR l2_distance(sa, sb) <> (sa <-> sb))
FROM cases;

-- Elements that a half holds exactly: floats and halves agree to the bit.
SELECT count(*) FROM cases WHERE va::halfvec::vector = va AND ((va <-> vb) <> (ha <-> hb) OR (va <=> vb) <> (ha <=> hb));

-- The angle between unit vectors, as a share of half a turn.
SELECT count(*) FROM cases
WHERE NOT near(cos(pi() * vector_spherical_distance(l2_normalize(va), l2_normalize(vb))), coalesce(1 - oracle('cos', a, b), 0), 1);

-- Bits: of every length, counted one by one.
SELECT count(*) FILTER (WHERE (x <~> y) <> differ) AS hamming,
	count(*) FILTER (WHERE abs((x <%> y) - CASE WHEN both_set = 0 THEN 1 ELSE 1 - both_set::float8 / any_set END) > 1e-12) AS jaccard,
	count(*) FILTER (WHERE hamming_distance(x, y) <> (y <~> x) OR jaccard_distance(x, y) <> (y <%> x)) AS asymmetric, count(*)
FROM (SELECT x, y, (SELECT count(*) FROM generate_series(0, n - 1) i WHERE get_bit(x, i) <> get_bit(y, i)) AS differ,
		(SELECT count(*) FROM generate_series(0, n - 1) i WHERE get_bit(x, i) + get_bit(y, i) = 2) AS both_set,
		(SELECT count(*) FROM generate_series(0, n - 1) i WHERE get_bit(x, i) + get_bit(y, i) > 0) AS any_set
	FROM (SELECT n,
			(SELECT string_agg(((i * i + n) % 3 % 2)::text, '') FROM generate_series(1, n) i)::varbit AS x,
			(SELECT string_agg(((i * 7 + n) % 5 % 2)::text, '') FROM generate_series(1, n) i)::varbit AS y
		FROM (SELECT generate_series(1, 200) UNION ALL SELECT unnest('{511,512,513,1024,1999}'::int[])) l (n)) b) c;

-- The ends of the range.
SELECT '[3e38]'::vector <-> '[-3e38]' AS l2, '[3e38,3e38]'::vector <#> '[3e38,3e38]' AS ip, '[3e38]'::vector <+> '[-3e38]' AS l1,
	'[0,0]'::vector <=> '[1,1]' AS cos_zero, '[3e38]'::vector <=> '[3e38]' AS cos_huge, vector_norm('[3e38,3e38]') < 4.3e38 AS norm;
SELECT '[1,2]'::vector <-> '[1]';
SELECT '[1,2]'::halfvec <=> '[1]';
SELECT '{1:1}/2'::sparsevec <+> '{1:1}/3';
SELECT B'101' <~> B'1010';

-- Nearest neighbours by sorting: the same rows as by the oracle.
SELECT count(*) FROM (
	SELECT id FROM (SELECT id, numbers(id, 32)::vector AS v FROM generate_series(1, 2000) id) t
	ORDER BY v <-> numbers(77777, 32)::vector, id LIMIT 20) x
JOIN (SELECT id FROM generate_series(1, 2000) id
	ORDER BY oracle('l2', numbers(id, 32), numbers(77777, 32)), id LIMIT 20) y USING (id);

DROP TABLE cases;
DROP FUNCTION near, oracle, numbers;
