# ivfflat indexes under load: inserts, deletes, VACUUM and searches at once with
# every change replayed and compared; a standby and a server that was killed
# have what the primary had; a page that was overwritten is an error.

use strict;
use warnings FATAL => 'all';

use Lakehouse;
use PostgreSQL::Test::Utils;
use Test::More;

my $node = Lakehouse::new_node('primary', init => [ allows_streaming => 1 ], conf => <<'CONF');
wal_consistency_checking = 'generic'
autovacuum = off
restart_after_crash = off
CONF
my $standby = Lakehouse::new_standby($node, 'standby');

sub sql { return $node->safe_psql('postgres', join(";\n", @_)); }

my $near = <<'SQL';
SET enable_seqscan = off;
SET ivfflat.probes = 20;
SELECT string_agg(i::text, ',') FROM (
	SELECT i FROM t ORDER BY v <-> (SELECT array_agg(((q * 37 + k * k * 11) % 101) / 101.0 ORDER BY k) FROM generate_series(1, 48) k)::vector, i
	LIMIT 10) a
SQL
# Sorted by nothing but the distance, or the index cannot be used.
(my $near_by_index = $near) =~ s/::vector, i/::vector/;

sub answers
{
	my ($server) = @_;
	return join "\n", map { (my $sql = $near_by_index) =~ s/\bq\b/$_/g; $server->safe_psql('postgres', $sql) } 1 .. 8;
}

# All lists are read: what the index finds are the true neighbours.
sub is_exact
{
	my ($what) = @_;
	my $exact = join "\n", map { (my $sql = $near) =~ s/\bq\b/$_/g; $sql =~ s/enable_seqscan/enable_indexscan/; sql($sql) } 1 .. 8;
	is(answers($node), $exact, $what);
}

sql("CREATE FUNCTION point(i int) RETURNS vector LANGUAGE sql IMMUTABLE AS
	'SELECT array_agg((hashint8(i::int8 * 1000003 + k) % 10007)::float4 / 10007 ORDER BY k)::vector FROM generate_series(1, 48) k'",
	'CREATE TABLE t (i int, v vector(48))',
	'INSERT INTO t SELECT i, point(i) FROM generate_series(1, 1500) i',
	'CREATE INDEX t_v ON t USING ivfflat (v vector_l2_ops) WITH (lists = 20)',
	'CREATE SEQUENCE s START 100000');

# ---- everything at once ----

$node->pgbench(
	'--no-vacuum --client=4 --jobs=1 --transactions=60', 0, [qr{actually processed}], [qr{^$}], 'all at once',
	{
		'ivf_insert@6' => "INSERT INTO t SELECT n, point(n::int) FROM (SELECT nextval('s') AS n) a;\n",
		'ivf_delete@4' => "\\set i random(1, 1500)\nDELETE FROM t WHERE i BETWEEN :i AND :i + 4;\n",
		'ivf_vacuum@1' => "VACUUM (PARALLEL 0) t;\n",
		'ivf_update@2' => "\\set i random(1, 1500)\nUPDATE t SET v = point(:i + 7000) WHERE i = :i;\n",
		'ivf_search@6' => "\\set i random(1, 1500)\nSET enable_seqscan = off;\n"
		  . "SELECT count(*) FROM (SELECT i FROM t ORDER BY v <-> point(:i) LIMIT 10) a;\n",
	});
is_exact('nothing is lost by it');
sql('VACUUM t');
is_exact('nor by VACUUM');

# The first rows of lists, by many at once.
sql('CREATE TABLE e (i int, v vector(48))', 'CREATE INDEX ON e USING ivfflat (v vector_l2_ops) WITH (lists = 8)');
$node->pgbench(
	'--no-vacuum --client=6 --jobs=1 --transactions=20', 0, [qr{actually processed}], [qr{^$}], 'into an empty index',
	{ 'ivf_first' => "INSERT INTO e SELECT n, point(n::int) FROM (SELECT nextval('s') AS n) a;\n" });
is(sql('SET enable_seqscan = off', 'SET ivfflat.probes = 8', 'SELECT count(*) FROM (SELECT * FROM e ORDER BY v <-> point(1)) a'),
	120, 'has all rows');

# ---- settings in workers ----

{
	my ($status, $out, $err) = $node->psql('postgres', join ";\n", 'SET ivfflat.probes = 7', 'SET min_parallel_table_scan_size = 0',
		'SET max_parallel_maintenance_workers = 2', 'SET client_min_messages = debug1',
		'CREATE INDEX t_w ON t USING ivfflat (v vector_ip_ops) WITH (lists = 5)', 'DROP INDEX t_w');
	like($err, qr/using \d+ parallel workers/, 'a build with workers');
	unlike($err, qr/WARNING/, 'which are given settings from before the index was opened');
}

# ---- standby and crash ----

sub lists
{
	my ($server) = @_;
	return $server->safe_psql('postgres', "SELECT string_agg(l::text, ';' ORDER BY list) FROM lakehouse.ivfflat_lists('t_v') l");
}

# VACUUM's last records wait in memory for somebody's commit.
sql('CREATE TABLE flushed ()');
my $answers = answers($node);
my $lists = lists($node);
is(answers($node), $answers, 'asked again');
$node->wait_for_catchup($standby, 'replay', $node->lsn('flush'));
is(lists($standby), $lists, 'the standby has the same lists');
is(answers($standby), $answers, 'and finds the same');
unlike(slurp_file($standby->logfile), qr/inconsistent page|PANIC/, 'and has replayed the same pages');

$node->stop('immediate');
$node->start;
is(answers($node), $answers, 'so does the server after a crash');

sql('CREATE UNLOGGED TABLE u (v vector(3))', 'CREATE INDEX ON u USING ivfflat (v vector_l2_ops)', "INSERT INTO u VALUES ('[1,2,3]')");
$node->stop('immediate');
$node->start;
sql("INSERT INTO u VALUES ('[1,2,3]')");
is(sql('SET enable_seqscan = off', "SELECT count(*) FROM (SELECT * FROM u ORDER BY v <-> '[1,2,3]') a"), 1, 'an unlogged index starts empty');

# ---- corruption ----

# A page is 8192 bytes; its last 16 are the tail: next (4), list (2), kind (2), …
my %damage = (
	'overwritten by zeros' => [ 24, "\0" x 8168 ],
	'overwritten by ones' => [ 24, "\xff" x 8168 ],
	'overwritten by letters' => [ 24, 'A' x 8168 ],
	'of another list' => [ 8180, pack('S', 999) ],
	'with too many rows' => [ 12, pack('S', 8000) ],
	'that is its own next' => [ 8176, undef ],
	'whose next is not there' => [ 8176, pack('L', 0xfffffff0) ],
	'whose next is a new one' => [ 8176, pack('L', 0xffffffff) ]);
for my $what (sort keys %damage)
{
	my ($offset, $bytes) = @{ $damage{$what} };
	my $file = $node->data_dir . '/' . sql("SELECT pg_relation_filepath('t_v')");
	my $blocks = sql("SELECT pg_relation_size('t_v') / current_setting('block_size')::int");
	$node->stop;
	open my $fh, '+<:raw', $file or die "$file: $!";
	# Behind the pages of centres.
	for my $block ($blocks - 8 .. $blocks - 1)
	{
		seek $fh, $block * 8192 + $offset, 0;
		print $fh $bytes // pack('L', $block);
	}
	close $fh;
	$node->start;
	for my $statement ($near_by_index =~ s/\bq\b/3/gr, 'DELETE FROM t WHERE i % 7 = 3; VACUUM t')
	{
		my ($status, $out, $err) = $node->psql('postgres', $statement);
		isnt($status, 0, "a page $what is an error");
		like($err, qr/corrupted|REINDEX|invalid page|could not read block|could not open file/, 'that says so');
	}
	$node->psql('postgres', 'INSERT INTO t SELECT 1, point(i) FROM generate_series(1, 50) i');
	is(sql('SELECT 1'), 1, 'and the server lives');
	sql('REINDEX INDEX t_v');
	is_exact('REINDEX helps');
}

# The pages of centres and the meta page.
for my $block (0, 1)
{
	my $file = $node->data_dir . '/' . sql("SELECT pg_relation_filepath('t_v')");
	$node->stop;
	open my $fh, '+<:raw', $file or die "$file: $!";
	seek $fh, $block * 8192 + 24, 0;
	print $fh "\xff" x 8168;
	close $fh;
	$node->start;
	my ($status, $out, $err) = $node->psql('postgres', $near_by_index =~ s/\bq\b/3/gr);
	isnt($status, 0, "block $block overwritten is an error");
	like($err, qr/corrupted|REINDEX/, 'that says so');
	sql('REINDEX INDEX t_v');
}
is_exact('REINDEX helps here, too');

$standby->stop;
$node->stop;
done_testing();
