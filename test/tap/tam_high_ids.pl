# Row ids beyond a gigabyte of imagined blocks, up to the last one there is: what
# Postgres would do with the blocks that a TID names (prefetch them, sample them,
# pack them into a posting list), it must not do here.

use strict;
use warnings FATAL => 'all';

use Lakehouse;
use PostgreSQL::Test::Utils;
use Test::More;

my $ROWS_PER_BLOCK = 291;
my $LAST = (2**32 - 1) * $ROWS_PER_BLOCK + $ROWS_PER_BLOCK - 1;

my $node = Lakehouse::new_node('high', conf => <<'CONF');
autovacuum = off
lakehouse.publish = '1h'
effective_io_concurrency = 16
maintenance_io_concurrency = 16
ignore_checksum_failure = on
CONF

sub sql { my (@statements) = @_; return $node->safe_psql('postgres', join(";\n", @statements)); }

# The counter in the metapage (offsets 32 and 40 after the page's header), as if
# so many rows had been written.  Since 18 pages have checksums, which this breaks.
sub skip_to
{
	my ($table, $row_id) = @_;
	my $path = $node->data_dir . '/' . sql("SELECT pg_relation_filepath('$table')");

	$node->stop;
	open my $file, '+<:raw', $path or die "$path: $!";
	seek $file, 24 + 32, 0;
	print $file pack('Q<Q<', $row_id, $row_id);
	close $file or die "$path: $!";
	$node->start;
	return;
}

sub block_of { return "(ctid::text::point)[0]::bigint"; }

sql('CREATE TABLE t (id int PRIMARY KEY, v int, a int[], s text) USING lakehouse WITH (row_group_rows = 1000)',
	'CREATE INDEX t_gin ON t USING gin (a)', 'CREATE INDEX t_v ON t (v)', 'CREATE INDEX t_hash ON t USING hash (s)',
	'CREATE INDEX t_brin ON t USING brin (id)',
	'CREATE TABLE h (LIKE t) USING heap');

my $FILL = "SELECT i, i %% 100, ARRAY[i %% 10, i %% 7], 's' || i %% 50 FROM generate_series(%d, %d) i";

# low ids, then such as lie in the second gigabyte of blocks, in files and in the delta
my @places = (0, 131072 * $ROWS_PER_BLOCK - 500, 40_000_000_000, $LAST - 20_000);
my $id = 0;
for my $place (@places)
{
	skip_to('t', $place) if $place > 0;
	sql(sprintf("INSERT INTO t $FILL", $id + 1, $id + 1500));
	sql("SELECT lakehouse.publish('t')") if $place != $places[-1];
	$id += 1500;
}
sql(sprintf("INSERT INTO h $FILL", 1, $id));
is(sql('SELECT count(DISTINCT ' . block_of() . ') > 10, max(' . block_of() . ') > 4294967200 FROM t'), 't|t', 'rows lie far apart');

my $ANALYZE = "SELECT reltuples FROM pg_class WHERE oid = 't'::regclass";
sql('ANALYZE t');
is(sql($ANALYZE), $id, 'ANALYZE counts them');
sql('VACUUM t', 'DELETE FROM t WHERE v = 3', 'DELETE FROM h WHERE v = 3', 'UPDATE t SET v = -1 WHERE v = 4',
	'UPDATE h SET v = -1 WHERE v = 4', 'VACUUM ANALYZE t', "SELECT lakehouse.publish('t')", 'VACUUM ANALYZE t');

# every kind of scan has what heap has
for my $where ('v = 17', 'v < 5', 'a @> ARRAY[3]', 'a @> ARRAY[9, 6] OR v = 50', "s = 's7'", 'id BETWEEN 1400 AND 3100', 'v IN (-1, 3, 4)')
{
	for my $off ('bitmapscan', 'indexscan', 'seqscan')
	{
		my $set = "SET enable_$off = off; SET enable_seqscan = off";
		my $query = "SELECT count(*), sum(id) FROM %s WHERE $where";

		is(sql($set, sprintf($query, 't')), sql(sprintf($query, 'h')), "$where without $off");
	}
}
is(sql("SELECT count(*) FROM t x JOIN t y ON x.ctid = y.ctid"), sql('SELECT count(*) FROM h'), 'TID scans');
is(sql("SELECT count(*) FROM t WHERE ctid >= '(131072,1)'"), sql('SELECT count(*) FROM t WHERE ' . block_of() . ' >= 131072'), 'a range of TIDs');
is(sql('SELECT count(*) FROM t TABLESAMPLE system (100)'), sql('SELECT count(*) FROM h'), 'a sample of everything');

# the executor makes a second plan for a row that somebody has changed, where
# nobody asks our hook: it must not prefetch there, either
my $first = $node->background_psql('postgres');
my $second = $node->background_psql('postgres');
$second->query_safe('SET enable_seqscan = off; SET enable_indexscan = off');
for my $tablespace ('', 'ALTER TABLESPACE pg_default SET (effective_io_concurrency = 8)')
{
	sql($tablespace) if $tablespace;
	$first->query_safe('BEGIN; UPDATE t SET v = 77 WHERE id = 5');
	$second->query_until(qr/started/, <<'SQL');
\echo started
UPDATE t SET s = (SELECT count(*)::text FROM t i WHERE i.a @> ARRAY[t.id % 10] AND i.v <> t.v) WHERE id = 5 RETURNING s;
SQL
	$node->poll_query_until('postgres', "SELECT count(*) > 0 FROM pg_stat_activity WHERE wait_event_type = 'Lock'");
	$first->query_safe('COMMIT');
	$second->query_safe('SELECT 1');
	is(sql("SELECT s > '100' FROM t WHERE id = 5"), 't', 'a correlated subquery in a second look at a row' . ($tablespace && ', whatever the tablespace says'));
	sql("UPDATE t SET s = '' WHERE id = 5");
}
$second->quit;
$first->quit;

# small transactions take few of them
sql('CREATE TABLE few (id int) USING lakehouse');
$node->safe_psql('postgres', join('', map { "INSERT INTO few VALUES ($_);\n" } 1 .. 1000));
cmp_ok(sql("SELECT max(${\block_of()}) * $ROWS_PER_BLOCK FROM few"), '<', 2000, 'a row id or two for a transaction of one row');

# the last row ids: a statement that needs more than there are fails whole
my $rows = sql('SELECT count(*) FROM t');
my ($code, $out, $err) = $node->psql('postgres', sprintf("INSERT INTO t $FILL", 100_001, 130_000));
like($err, qr/lakehouse table "t" has no row ids left\nDETAIL: .*\nHINT: /, 'an error when they run out');
is(sql('SELECT count(*) FROM t'), $rows, 'which changes nothing');
sql('VACUUM FULL t');
sql(sprintf("INSERT INTO t $FILL", 100_001, 130_000));
is(sql('SELECT count(*), max(' . block_of() . ') < 1000 FROM t'), ($rows + 30_000) . '|t', 'the hint helps');
is(sql("SELECT * FROM lakehouse.verify('t')"), '', 'nothing is wrong');
unlike(slurp_file($node->logfile), qr/PANIC|TRAP:|could not open file/, 'nobody has looked for blocks that are not there');

$node->stop;
done_testing();
