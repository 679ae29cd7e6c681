# ivfflat indexes under load: inserts, deletes, VACUUM and searches at once with
# every change replayed and compared; a standby and a server that was killed
# have what the primary had; a page that was overwritten is an error.

use strict;
use warnings FATAL => 'all';

use Test::More;
use VectorIndex;

my $t = VectorIndex->start('ivfflat',
	create => 'CREATE INDEX t_v ON t USING ivfflat (v vector_l2_ops) WITH (lists = 20)',
	search => 'SET ivfflat.probes = 20',
	contents => "SELECT string_agg(l::text, ';' ORDER BY list) FROM lakehouse.ivfflat_lists('t_v') l");

# All lists are read: what the index finds are the true neighbours.
sub is_exact
{
	my ($what) = @_;
	is($t->answers($t->{node}), $t->answers($t->{node}, 'table'), $what);
}

$t->load;
is_exact('nothing is lost by it');
$t->sql('VACUUM t');
is_exact('nor by VACUUM');

# The first rows of lists, by many at once.
$t->sql('CREATE TABLE e (i int, v vector(48))', 'CREATE INDEX ON e USING ivfflat (v vector_l2_ops) WITH (lists = 8)');
$t->{node}->pgbench(
	'--no-vacuum --client=6 --jobs=1 --transactions=20', 0, [qr{actually processed}], [qr{^$}], 'into an empty index',
	{ 'ivf_first' => "INSERT INTO e SELECT n, point(n::int) FROM (SELECT nextval('s') AS n) a;\n" });
is($t->sql('SET enable_seqscan = off', 'SET ivfflat.probes = 8', 'SELECT count(*) FROM (SELECT * FROM e ORDER BY v <-> point(1)) a'),
	120, 'has all rows');

# ---- settings in workers ----

{
	my ($status, $out, $err) = $t->{node}->psql('postgres', join ";\n", 'SET ivfflat.probes = 7', 'SET min_parallel_table_scan_size = 0',
		'SET max_parallel_maintenance_workers = 2', 'SET client_min_messages = debug1',
		'CREATE INDEX t_w ON t USING ivfflat (v vector_ip_ops) WITH (lists = 5)', 'DROP INDEX t_w');
	like($err, qr/using \d+ parallel workers/, 'a build with workers');
	unlike($err, qr/WARNING/, 'which are given settings from before the index was opened');
}

$t->replay;

# ---- corruption ----

# A page is 8192 bytes; its last 16 are the tail: next (4), list (2), kind (2), …
my %damage = (
	'overwritten by zeros' => [ 24, "\0" x 8168 ],
	'overwritten by ones' => [ 24, "\xff" x 8168 ],
	'overwritten by letters' => [ 24, 'A' x 8168 ],
	'of another list' => [ 8180, pack('S', 999) ],
	'with too many rows' => [ 12, pack('S', 8000) ],
	'that is its own next' => [ 8176, sub { pack('L', $_[0]) } ],
	'whose next is not there' => [ 8176, pack('L', 0xfffffff0) ],
	'whose next is a new one' => [ 8176, pack('L', 0xffffffff) ]);
for my $what (sort keys %damage)
{
	# Behind the pages of centres.
	my $blocks = $t->n_blocks;
	$t->overwrite([ $blocks - 8 .. $blocks - 1 ], @{ $damage{$what} });
	$t->fails($_, "a page $what") for $t->near(3), 'DELETE FROM t WHERE i % 7 = 3; VACUUM t';
	$t->{node}->psql('postgres', 'INSERT INTO t SELECT 1, point(i) FROM generate_series(1, 50) i');
	is($t->sql('SELECT 1'), 1, 'and the server lives');
	$t->sql('REINDEX INDEX t_v');
	is_exact('REINDEX helps');
}

# The pages of centres and the meta page.
for my $block (0, 1)
{
	$t->overwrite([$block], 24, "\xff" x 8168);
	$t->fails($t->near(3), "block $block overwritten");
	$t->sql('REINDEX INDEX t_v');
}
is_exact('REINDEX helps here, too');

$t->stop;
done_testing();
