-- Tables whose rows must come back exactly; types.pl runs them all through
-- types_differences().  Every table is called v_<something>.
SET client_min_messages = warning;

CREATE TYPE color AS ENUM ('red', 'green', 'blue with spaces', 'été', 'quote"\');
CREATE TYPE pair AS (a int, b text);
CREATE TYPE empty_row AS ();
CREATE TYPE inner_row AS (n numeric(10,2), tags text[]);
CREATE TYPE outer_row AS (id int, items inner_row[], span interval, c color, gone int, last pair);
ALTER TYPE outer_row DROP ATTRIBUTE gone;
CREATE DOMAIN positive AS int CHECK (VALUE > 0);
CREATE DOMAIN ints AS int[];
CREATE DOMAIN money2 AS numeric(12,2);
CREATE DOMAIN a_pair AS pair;
CREATE TYPE float_range AS RANGE (subtype = float8);

CREATE TABLE v_bool (v bool);
INSERT INTO v_bool VALUES (true), (NULL), (false), (NULL), (NULL);

CREATE TABLE v_ints (a int2, b int4, c int8, d oid, e xid, f xid8, g money, h cid);
INSERT INTO v_ints VALUES
	(-32768, -2147483648, -9223372036854775808, 0, '0', '0', '-92233720368547758.08', '0'),
	(32767, 2147483647, 9223372036854775807, 4294967295, '4294967295', '18446744073709551615', '92233720368547758.07', '4294967295'),
	(NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL),
	(0, 0, 0, 2147483648, '7', '9223372036854775808', '0', '1'),
	(1, -1, 1, 1, '1', '9223372036854775807', '1.01', '2');

CREATE TABLE v_reg (a regclass, b regtype, c regproc, d regnamespace, e regrole, f regprocedure, g regoperator, h regconfig, i regdictionary, j regcollation, k regoper);
INSERT INTO v_reg VALUES ('pg_class', 'int4', 'now', 'pg_catalog', 'postgres', 'upper(text)', '=(int4,int4)', 'english', 'simple', '"C"', '0'),
	('4000000000', '0', '0', '0', '0', '0', '0', '0', '0', '0', '0'),
	(NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL);

CREATE TABLE v_floats (a float4, b float8);
INSERT INTO v_floats VALUES (0, 0), ('-0', '-0'), ('NaN', 'NaN'), ('inf', 'inf'), ('-inf', '-inf'), (NULL, NULL),
	(1e-45, 5e-324), (3.4028235e38, 1.7976931348623157e308), (0.1, 0.1), (1.1754944e-38, 2.2250738585072014e-308);

CREATE TABLE v_decimal (a numeric(1,0), b numeric(9,2), c numeric(18,9), d numeric(19,0), e numeric(38,38), f numeric(38,0), g numeric(38,19), h numeric(4,4), i numeric(20,3), j numeric(3,1));
INSERT INTO v_decimal VALUES
	(9, 9999999.99, 999999999.999999999, 9999999999999999999, 0.99999999999999999999999999999999999999, 99999999999999999999999999999999999999, 9999999999999999999.9999999999999999999, 0.9999, 99999999999999999.999, 99.9),
	(-9, -9999999.99, -999999999.999999999, -9999999999999999999, -0.99999999999999999999999999999999999999, -99999999999999999999999999999999999999, -9999999999999999999.9999999999999999999, -0.9999, -99999999999999999.999, -99.9),
	(0, 0, 0, 0, 0, 0, 0, 0, 0, 0),
	(1, 0.01, 0.000000001, 1, 0.00000000000000000000000000000000000001, 1, 0.0000000000000000001, 0.0001, 0.001, 0.1),
	(-1, -0.01, -0.000000001, 10000, 0.0001, 10000, 10000, 0.001, 10000, 10),
	(NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL),
	('NaN', 'NaN', 'NaN', 'NaN', 'NaN', 'NaN', 'NaN', 'NaN', 'NaN', 'NaN'),
	(5, 100, 10000.0001, 100000000, 0.1, 100000000000000000000, 12345678.87654321, 0.5, 12345678901234567.890, 0.5);
INSERT INTO v_decimal SELECT x, x * 1.01, x * 1.000100010, x, x / 100.0, (10::numeric ^ x)::numeric(38,0), 10::numeric ^ x / 3, x / 10.0, x * 10000, x FROM generate_series(0, 8) x;
INSERT INTO v_decimal(f, e, c, i) SELECT 10::numeric ^ x, 10::numeric ^ -(x + 1), 10::numeric ^ (x % 9 - 9), 10::numeric ^ (x % 17 - 3) FROM generate_series(0, 37) x;
INSERT INTO v_decimal(b, d, g) SELECT (random() * 1e7)::numeric(9,2), (random() * 1e18)::numeric(19,0), (random() * 1e18)::numeric(38,19) FROM generate_series(1, 200);

CREATE TABLE v_numeric (a numeric, b numeric(50,2), c numeric(5,-2), d numeric(3,5), e money2);
INSERT INTO v_numeric VALUES (1.10, 1.1, 12345, 0.00123, 1.5), (1.100, 0, 100, 0, -0.01), ('NaN', 'NaN', 'NaN', 'NaN', 'NaN'),
	('inf', NULL, NULL, NULL, NULL), ('-inf', NULL, NULL, NULL, NULL), (0.000, NULL, 0, NULL, NULL), (NULL, NULL, NULL, NULL, NULL),
	(repeat('9', 1000)::numeric, 123456789012345678901234567890123456789012345678.99, NULL, NULL, NULL),
	(('0.' || repeat('123', 300))::numeric, NULL, NULL, NULL, NULL), (-1e-1000, NULL, NULL, NULL, NULL), (1e1000, NULL, NULL, NULL, 9999999999.99);

CREATE TABLE v_text (a text, b varchar(10), c char(5), d name, e "char", f bytea, g json, h xml);
INSERT INTO v_text VALUES ('', '', '', '', '', '', '{}', ''),
	('a', 'b', 'c', 'd', 'e', 'f', ' { "a" : 1.00, "a":2 } ', '<a/>'),
	('żółć 🎉', 'żółć', 'ż', 'ż', 'z', '\x00ff00', '"é"', '<?xml version="1.0" encoding="UTF-8"?><a>é</a>'),
	(NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL),
	(E'line\nbreak\t\\ "quote"', ' x ', '  x', E'\\', E'\001', E'\\\\x', '[1e400, -0]', 'text only'),
	(repeat('x', 1000000), NULL, NULL, repeat('n', 63), 'é'::bytea::text::"char", decode(repeat('ab', 100000), 'hex'), NULL, NULL);
UPDATE v_text SET e = (-100)::int4::"char" WHERE b = 'żółć';

CREATE TABLE v_time (a date, b time, c timetz, d timestamp, e timestamptz, f interval);
INSERT INTO v_time VALUES ('2000-01-01', '00:00', '00:00+00', '2000-01-01', '2000-01-01 00:00+00', '0'),
	('4713-01-01 BC', '23:59:59.999999', '24:00:00-15:59', '4713-01-01 BC', '4713-01-01 00:00+00 BC', '1 year 2 mons 3 days 04:05:06.789012'),
	('5874897-12-31', '24:00:00', '12:34:56.789+05:30', '294276-12-31 23:59:59.999999', '294276-12-31 23:59:59.999999+00', '-178000000 years'),
	('infinity', '12:00', '12:00:00.5+01:02:03', 'infinity', 'infinity', '178000000 years -5 days -1 microsecond'),
	('-infinity', NULL, NULL, '-infinity', '-infinity', NULL),
	('1969-12-31', '00:00:00.000001', '00:00:00+15:59:59', '1969-12-31 23:59:59.999999', '1969-12-31 23:59:59.999999+00', '1 mon -1 day'),
	('9999-12-31', NULL, NULL, '9999-12-31 23:59:59.999999', '9999-12-31 23:59:59.999999+00', '2562047788:00:54.775807'),
	('0001-01-01', NULL, NULL, '0001-01-01', '0001-01-01 00:00+00', NULL),
	('0001-12-31 BC', NULL, NULL, '294247-01-10 04:00:54.775807', '294247-01-10 04:00:54.775807+00', NULL),
	(NULL, NULL, NULL, '294247-01-10 04:00:54.775808', '294247-01-10 04:00:54.775808+00', NULL),
	(NULL, NULL, NULL, NULL, NULL, NULL);

CREATE TABLE v_other (a uuid, b jsonb, c inet, d cidr, e macaddr, f macaddr8, g bit(5), h bit varying, i pg_lsn, j tid, k int4range, l tstzrange, m nummultirange, n tsvector, o tsquery, p point, q polygon, r float_range, s jsonpath, t oidvector, u int2vector, w pg_snapshot, x aclitem, y circle, z datemultirange);
INSERT INTO v_other VALUES
	('00000000-0000-0000-0000-000000000000', '{}', '0.0.0.0', '0.0.0.0/0', '00:00:00:00:00:00', '00:00:00:00:00:00:00:00', '00000', '', '0/0', '(0,0)', 'empty', 'empty', '{}', '', '', '(0,0)', '((0,0))', 'empty', '$', '', '', '10:20:', 'postgres=r/postgres', '<(0,0),0>', '{}'),
	('ffffffff-ffff-ffff-ffff-ffffffffffff', '{"a": [1, 1.00, 1e400, "é", null, {"b": 123456789012345678901234567890.0001}]}', '192.168.1.5/24', '192.168.0.0/16', '08:00:2b:01:02:03', '08:00:2b:01:02:03:04:05', '10101', '1', 'FFFFFFFF/FFFFFFFF', '(4294967295,65535)', '[1,10)', '["2020-01-01 00:00+00",infinity)', '{[1.10,2.0),(3,)}', '''a'':1A b:2', 'a & !b:*', '(0.12345678901234567,-1e-300)', '((0.1,0.2),(0.30000000000000004,4))', '[0.1,1.7976931348623157e308)', '$.a[*] ? (@ > 1.50)', '1 2 4294967295', '1 -2 3', '10:20:10,14,15', '=arwdDxt/postgres', '<(0.1,1e100),3>', '{[2020-01-01,2020-02-01)}'),
	(NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL),
	(gen_random_uuid(), '"x"', '::1', '2001:db8::/32', NULL, NULL, NULL, '010101010101', NULL, NULL, '(,)', '(,"2020-01-01 00:00+00"]', NULL, 'x', 'x', NULL, NULL, '(,)', NULL, NULL, NULL, NULL, NULL, NULL, NULL);

CREATE TABLE v_enum (a color, b color[], c color);
INSERT INTO v_enum VALUES ('red', '{red,NULL,"blue with spaces"}', 'quote"\'), (NULL, NULL, NULL), ('été', '{}', 'green'), ('green', '[0:1]={red,green}', 'red'), ('red', '{{red},{green}}', NULL);

CREATE TABLE v_arrays (a int[], b text[], c numeric(10,2)[], d timestamp[], e pair[], f ints, g ints[], h uuid[], i bool[], j "char"[], k regclass[], l date[]);
INSERT INTO v_arrays VALUES
	('{}', '{}', '{}', '{}', '{}', '{}', '{}', '{}', '{}', '{}', '{}', '{}'),
	(NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL),
	('{1}', '{""}', '{1.5}', '{2020-01-01}', '{"(1,a)"}', '{1}', '{"{1,2}"}', '{00000000-0000-0000-0000-000000000000}', '{t}', '{a}', '{pg_class}', '{2020-01-01}'),
	('{NULL}', '{NULL,"NULL",""}', '{NaN,1,NULL}', '{infinity,NULL,2020-01-01,294276-12-31}', '{NULL,"(,)","(1,)"}', '{1,NULL}', '{NULL,"{}","{{1},{2}}"}', '{NULL}', '{t,f,NULL}', E'{\\377,""}', '{pg_class,NULL,0}', '{-infinity}'),
	('{{1,2},{3,4}}', '{{a,b}}', '{{1.1},{2.2}}', '{{2020-01-01}}', '{{"(1,x)"},{"(2,y)"}}', '[0:1]={5,6}', '[3:3]={"[2:2]={7}"}', NULL, '{{t}}', '{{a}}', '{{pg_class},{pg_type}}', '{{2020-01-01}}'),
	('[-5:-3]={1,2,3}', '[0:0]={x}', '[2:3]={1,NaN}', '[0:0]={infinity}', '[7:7]={"(,)"}', NULL, NULL, '[0:1]={NULL,ffffffff-ffff-ffff-ffff-ffffffffffff}', '[0:2]={t,NULL,f}', NULL, '[0:0]={pg_class}', '[0:1]={infinity,NULL}'),
	('{{{1,2},{3,4}},{{5,6},{7,NULL}}}', ARRAY[repeat('y', 100000), NULL], NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL);
INSERT INTO v_arrays(a, b) SELECT array_agg(y), array_agg(CASE WHEN y % 3 > 0 THEN y::text END) FROM generate_series(1, 50) x, generate_series(1, x * 7) y GROUP BY x;

CREATE TABLE v_rows (a pair, b outer_row, c outer_row[], d a_pair, e empty_row, f empty_row[]);
INSERT INTO v_rows VALUES
	(NULL, NULL, NULL, NULL, NULL, NULL),
	(ROW(NULL, NULL), ROW(NULL, NULL, NULL, NULL, NULL), '{}', ROW(NULL, NULL), ROW(), '{}'),
	(ROW(1, ''), ROW(1, '{}', '1 day', 'red', NULL), ARRAY[NULL::outer_row], ROW(1, 'x'), ROW(), ARRAY[NULL, ROW()::empty_row]),
	(ROW(NULL, 'x"\,()'), ROW(2, ARRAY[ROW(1.5, '{a,NULL}')::inner_row, NULL, ROW(NULL, NULL)::inner_row, ROW(2, '{}')::inner_row], NULL, 'été', ROW(5, 'five')),
		ARRAY[ROW(1, ARRAY[ROW(1, '{}')::inner_row, ROW(2, '{x,y}')::inner_row], NULL, NULL, NULL)::outer_row, ROW(2, NULL, NULL, NULL, NULL)::outer_row, ROW(3, '{}', '-1 mon', 'green', ROW(NULL, NULL))::outer_row], NULL, NULL, NULL),
	(ROW(3, 'y'), ROW(3, ARRAY[ROW('NaN', '{{a,b},{c,d}}')::inner_row], '1 mon', 'quote"\', ROW(6, 'six')),
		ARRAY[[ROW(1, '[0:0]={"(NaN,)"}', '1 us', 'red', ROW(7, NULL))::outer_row]], ROW(9, ''), NULL, '[0:0]={"()"}');

CREATE TYPE deep1 AS (a int, b int, c text[], d interval, e int, f int, g int, h int, i int, j numeric(10,2));
CREATE TYPE deep2 AS (a deep1, b deep1[], c deep1, d deep1, e deep1, f deep1, g deep1[], h deep1);
CREATE TYPE deep3 AS (a deep2, b deep2[], c deep2, d deep2);
CREATE TYPE deep4 AS (a deep3, b deep3[]);
CREATE TABLE v_deep (a deep4, b deep4[]);
INSERT INTO v_deep SELECT ROW(NULL, NULL)::deep4, '{}';
INSERT INTO v_deep SELECT ROW(ROW(NULL, ARRAY[ROW(NULL, ARRAY[x, NULL, x], NULL, x, NULL, NULL, '{}', x)::deep2, NULL], NULL, NULL)::deep3, ARRAY[NULL, ROW(NULL, '{}', NULL, NULL)::deep3])::deep4, NULL
	FROM (SELECT ROW(1, 2, '{x,NULL}', '1 day', 5, 6, 7, 8, 9, 1.5)::deep1) y(x);

CREATE TABLE v_domains (a positive, b ints, c money2, d a_pair, e positive[]);
INSERT INTO v_domains VALUES (1, '{1,2}', 5, ROW(1, 'x'), '{1,NULL}'), (NULL, NULL, NULL, NULL, NULL), (2, '{{1}}', 'NaN', NULL, '[2:2]={7}');

CREATE TABLE v_dropped (a int, b text, c numeric(5,2), d int);
ALTER TABLE v_dropped DROP COLUMN a, DROP COLUMN c;
INSERT INTO v_dropped VALUES ('x', 1), (NULL, 2), ('z', NULL);

CREATE TABLE v_none ();
INSERT INTO v_none DEFAULT VALUES;
INSERT INTO v_none DEFAULT VALUES;

CREATE TABLE v_all_null (a int, b text[], c outer_row, d numeric(38,10), e date);
INSERT INTO v_all_null SELECT FROM generate_series(1, 10);

CREATE TABLE v_no_rows (a int, b text[]);

-- The catalogs themselves: aclitem[], pg_node_tree, oidvector, names, "char".
CREATE TABLE v_pg_class AS SELECT * FROM pg_class;
CREATE TABLE v_pg_attribute AS SELECT attrelid, attname, atttypid, attstattarget, attlen, attstorage, attoptions, attacl FROM pg_attribute;
CREATE TABLE v_pg_proc AS SELECT oid, proname, prokind, proargtypes, proallargtypes, proargmodes, proargnames, proargdefaults, prosrc, proacl, proconfig FROM pg_proc;
CREATE TABLE v_pg_rewrite AS SELECT * FROM pg_rewrite;
