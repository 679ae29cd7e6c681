# PostgreSQL types to Parquet and back, through the SQL functions of
# test/modules/lh_types_test (make -C there first; skipped if not built).

use strict;
use warnings FATAL => 'all';

use FindBin;
use Lakehouse;
use PostgreSQL::Test::Utils;
use Test::More;

my $module = ($ENV{LH_ROOT} // "$FindBin::RealBin/../..") . '/test/modules/lh_types_test';
my $lib = "$module/lh_types_test.so";
plan skip_all => "$lib is not built" if !-e $lib;

my $node = Lakehouse::new_node('types', preload => '', extension => 0,
	init => [ extra => [ '--encoding=UTF8', '--locale=C.UTF-8' ] ]);

sub load
{
	my ($db, @files) = @_;
	for my $file (@files)
	{
		$node->psql($db, '', on_error_die => 1,
			extra_params => [ '-v', "lib=$lib", '-f', "$module/$file" ]);
	}
	return;
}

sub sql { return $node->safe_psql('postgres', join(";\n", @_)); }

# The SQLSTATE and message of a statement that must fail.
sub error_of
{
	my ($statement) = @_;
	return sql("SELECT types_error(\$x\$$statement\$x\$)");
}

load('postgres', 'functions.sql', 'values.sql');

# ---- every value, exactly ----

my @tables = split /\n/, sql(q{SELECT relname FROM pg_class
	WHERE relkind = 'r' AND relname LIKE 'v\_%' AND relnamespace = 'public'::regnamespace ORDER BY 1});
cmp_ok(scalar @tables, '>=', 20, 'tables of values');
for my $table (@tables)
{
	for my $batch (1, 3, 1000)
	{
		is(sql("SELECT types_differences('$table', $batch)"), '', "$table, $batch rows a batch");
	}
}

# Hostile settings while writing and comparing; other ones while reading.
my @odd = ("SET datestyle = 'German, DMY'", "SET intervalstyle = iso_8601",
	"SET extra_float_digits = -15", "SET timezone = 'Asia/Kolkata'", "SET bytea_output = escape",
	"SET xmloption = document", "SET lc_monetary = 'C'");
for my $table (qw(v_floats v_numeric v_text v_time v_other v_arrays v_rows))
{
	is(sql(@odd, "CREATE TABLE odd AS SELECT types_write('$table') AS f"), '', "$table written under odd settings");
	is(sql("SELECT count(*) FROM (SELECT src_::text FROM $table src_ EXCEPT ALL SELECT got_::text FROM odd, types_read(f, NULL::$table) got_) d"),
		'0', '... and read under plain ones');
	is(sql(@odd, "SELECT types_differences('$table', 2)"), '', '... and under odd ones');
	sql('DROP TABLE odd');
}
is(sql('SELECT current_setting($$datestyle$$)'), 'ISO, MDY', 'settings as they were');
like(sql("SET datestyle = German", "SELECT types_error('SELECT types_read(types_write(''v_time''), NULL::v_rows)')", 'SHOW datestyle'),
	qr/^42804 .*\nGerman, /, 'and after an error');

is(sql("SELECT types_exact_cells(types_write('$_->[0]'))"), $_->[1], "exact cells of $_->[0]")
  for ['v_bool', 0], ['v_floats', 0], ['v_numeric', 1], ['v_time', 4], ['v_text', 1], ['v_arrays', 4], ['v_pg_proc', 0];

# ---- types that changed since the file was written ----

sub same_after
{
	my ($table, $name, @changes) = @_;
	sql("DROP TABLE IF EXISTS old", "CREATE TABLE old AS SELECT types_write('$table') AS f", @changes);
	is(sql("SELECT got_ FROM old, types_read(f, NULL::$table) got_"), sql("SELECT src_ FROM $table src_"), $name);
	return;
}

sql('CREATE TYPE p1 AS (a int, b int)', 'CREATE TYPE p2 AS (x p1, y int, z p1[])',
	'CREATE TABLE ev (c p2, d p2[])', q{INSERT INTO ev VALUES
	(ROW(ROW(1,2),3,ARRAY[ROW(4,5)::p1]), ARRAY[ROW(ROW(6,7),8,'{}')::p2,NULL]),
	(ROW(ROW(1,2),3,ARRAY[ARRAY[ROW(4,5)::p1]]), '[0:0]={"(\"(9,9)\",9,)"}')});
same_after('ev', 'attribute dropped, another added', 'ALTER TYPE p1 DROP ATTRIBUTE a', 'ALTER TYPE p1 ADD ATTRIBUTE n text');
same_after('ev', 'nested attribute dropped', 'ALTER TYPE p2 DROP ATTRIBUTE x');
same_after('ev', 'all attributes dropped', 'ALTER TYPE p1 DROP ATTRIBUTE b', 'ALTER TYPE p1 DROP ATTRIBUTE n');
same_after('ev', 'first attribute added', 'ALTER TYPE p1 ADD ATTRIBUTE q text');
same_after('v_enum', 'labels renamed in a circle', q{ALTER TYPE color RENAME VALUE 'red' TO 'rouge'},
	q{ALTER TYPE color RENAME VALUE 'green' TO 'red'}, q{ALTER TYPE color ADD VALUE 'green'});
same_after('v_domains', 'domain that old values violate', q{ALTER DOMAIN positive ADD CONSTRAINT big CHECK (VALUE > 100) NOT VALID});
same_after('v_dropped', 'columns dropped and added', 'ALTER TABLE v_dropped DROP COLUMN b, ADD COLUMN e int');

# Columns after ALTER TYPE without a rewrite.
sql(q{CREATE TABLE wider (a numeric(9,2), b varchar(5), c cidr, d int, e oid, f timestamp, g xml, h bit(3), i numeric(20,3))},
	q{INSERT INTO wider VALUES (1.23, 'abc', '10.0.0.0/8', -1, 4294967295, 'infinity', '<a/>', '101', 4.567), ('NaN', '', '::/0', 1, 0, '2020-01-01', '', '000', 'NaN')},
	q{SET timezone = 'UTC'});
same_after('wider', 'wider types', q{SET timezone = 'UTC'}, q{ALTER TABLE wider ALTER a TYPE numeric(12,2), ALTER b TYPE text, ALTER c TYPE inet,
	ALTER d TYPE oid, ALTER f TYPE timestamptz, ALTER g TYPE text, ALTER h TYPE varbit, ALTER i TYPE numeric});

sql('CREATE TABLE src (a int, b text, c numeric(9,2), d float4, e date, f text[], g bigint)',
	q{INSERT INTO src VALUES (70000, 'x', 1.55, 1.5, '2020-01-01', '{a}', 5000000000)},
	q{CREATE TABLE files AS SELECT types_write('src') AS f},
	'CREATE TYPE promoted AS (a bigint, b varchar, c numeric(12,1), d float8, e timestamp, f varchar[], g numeric)');
is(sql('SELECT r FROM files, types_read(f, NULL::promoted) r'),
	'(70000,x,1.6,1.5,"2020-01-01 00:00:00",{a},5000000000)', 'promotions');
my $n = 0;
for my $bad (['int2', '22003 value in a data file is out of range for type smallint'],
	['text', '42804 column "a" of a data file cannot be read as type text'],
	['int[]', '42804 column "a" of a data file cannot be read as type integer[]'],
	['date', '42804 column "a" of a data file cannot be read as type date'])
{
	$n++;
	sql("CREATE TYPE bad$n AS (a $bad->[0])");
	is(error_of("SELECT types_read(f, NULL::bad$n) FROM files"), $bad->[1], "integer read as $bad->[0]");
}
sql('CREATE TYPE bad_g AS (a int, b text, c numeric, d float4, e date, f text[], g int)');
like(error_of('SELECT types_read(f, NULL::bad_g) FROM files'), qr/^22003/, 'too big for the type');

# ---- names ----

sql('CREATE TABLE r1 (_row_id int)', 'CREATE TABLE r2 (a int, "_pg_exact" int)', 'CREATE TABLE r3 (_pg_xmin int)');
like(error_of("SELECT types_write('$_')"), qr/^42939 column name .* is reserved/, "reserved name in $_") for qw(r1 r2 r3);

# ---- bounds ----

sql('CREATE TABLE b (a int2, b int, c bigint, d oid, e float8, f numeric(9,2), g numeric(30,5), h date, i timestamp, j timestamptz, k uuid,
	l text COLLATE "C", m text COLLATE "en-x-icu", n char(3) COLLATE "C", o bytea, p bool, q numeric, r int[], s time, t money)',
	q{INSERT INTO b SELECT x, x, x, x, x, x, x, date '2000-01-01' + x, timestamp '2000-01-01' + x * interval '1 s', timestamptz '2000-01-01 00:00+00' + x * interval '1 us',
	lpad(to_hex(x), 32, '0')::uuid, x, x, x, x::text::bytea, x > 5, x, ARRAY[x], x * interval '1 min', x FROM generate_series(1, 9) x});
is(sql("SET timezone = 'UTC'", q{SELECT string_agg(format('%s:%s..%s', attnum, low, high), ' ' ORDER BY attnum) FROM types_bounds(types_write('b'), NULL::b)}),
	join(' ', '1:1..9', '2:1..9', '3:1..9', '4:1..9', '5:1..9', '6:1.00..9.00', '7:1.00000..9.00000', '8:2000-01-02..2000-01-10',
		'9:2000-01-01 00:00:01..2000-01-01 00:00:09', '10:2000-01-01 00:00:00.000001+00..2000-01-01 00:00:00.000009+00',
		'11:00000000-0000-0000-0000-000000000001..00000000-0000-0000-0000-000000000009', '12:1..9', '13:..', '14:..',
		'15:\x31..\x39', '16:f..t', '17:..', '18:..', '19:00:01:00..00:09:00', '20:$1.00..$9.00'),
	'bounds');

# ---- Iceberg schema ----

is(sql("SELECT types_iceberg('v_none')"), '{"type":"struct","schema-id":0,"fields":[]}', 'no columns');
is(sql(q{SELECT count(*) > 1000 AND count(*) = count(DISTINCT i) AND max(i::text::bigint) < 2147480001
	FROM jsonb_path_query(types_iceberg('v_deep')::jsonb, 'strict $.**.id') i}), 't', 'field ids of deep types are distinct');
my $before = sql("SELECT types_iceberg('v_rows')::jsonb");
sql('ALTER TYPE pair DROP ATTRIBUTE a', 'ALTER TYPE inner_row ADD ATTRIBUTE z int');
my $ids = q{SELECT string_agg(DISTINCT i::text, ' ') FROM jsonb_path_query(%s, '$.**.id') i};
my %old = map { $_ => 1 } split / /, sql(sprintf($ids, "'$before'::jsonb"));
my @new = grep { !$old{$_} } split / /, sql(sprintf($ids, "types_iceberg('v_rows')::jsonb"));
is(scalar @new, 2, 'field ids do not move when attributes come and go (two new ones)');

# ---- hostile bytes ----

for my $case (['v_arrays', 5], ['v_time', 3], ['v_ints', 1], ['v_decimal', 6])
{
	my $seen = sql("SELECT types_cell_faults('$case->[0]', $case->[1])");
	unlike($seen, qr/XX000|null/i, "damaged exact cells of $case->[0]: $seen");
}
for my $table (qw(v_arrays v_rows v_time v_other v_decimal v_enum))
{
	my $seen = sql("SELECT types_file_faults('$table', 300)");
	unlike($seen, qr/XX000/, "damaged files of $table: $seen");
}

# ---- other encodings ----

for my $encoding (qw(LATIN1 SQL_ASCII EUC_JP EUC_CN WIN1251))
{
	sql("CREATE DATABASE enc ENCODING '$encoding' LOCALE 'C' TEMPLATE template0");
	load('enc', 'functions.sql', 'encoding.sql');
	is($node->safe_psql('enc', "SELECT types_differences('chars', 100)"), '', "$encoding: every character");
	is($node->safe_psql('enc', "SELECT types_exact_cells(types_write('texts')) > 0"), $encoding eq 'LATIN1' ? 'f' : 't',
		'... exact cells just for characters without a UTF-8 form');
	is($node->safe_psql('enc', "SELECT types_differences('labels', 100)"), '', "$encoding: enum labels");
	sql('DROP DATABASE enc');
}

$node->stop;
done_testing();
