# hnsw indexes under load: inserts, deletes, VACUUM and searches at once with
# every change replayed and compared; a standby and a server that was killed
# find what the primary found; a page that was overwritten is an error.

use strict;
use warnings FATAL => 'all';

use Test::More;
use VectorIndex;

# All there is in the graph: what searches find follows from it.
my $t = VectorIndex->start('hnsw',
	create => 'CREATE INDEX t_v ON t USING hnsw (v vector_l2_ops)',
	search => 'SET hnsw.ef_search = 100',
	contents => "SELECT md5(string_agg(g::text, ';' ORDER BY node)) FROM lakehouse.hnsw_graph('t_v') g");

$t->load;
cmp_ok($t->recall, '>=', 0.9, 'recall after it');
$t->sql('VACUUM t');
cmp_ok($t->recall, '>=', 0.9, 'recall after VACUUM');
$t->replay;

for my $fill ("\0", "\xff", "\x41")
{
	$t->overwrite([ grep { $_ % 3 == 0 } 1 .. $t->n_blocks - 1 ], 24, $fill x 8168);
	$t->fails($t->near(3), 'overwritten pages');
	$t->{node}->psql('postgres', 'INSERT INTO t VALUES (1, point(5))');
	is($t->sql('SELECT 1'), 1, 'and the server lives');
	$t->sql('REINDEX INDEX t_v');
	cmp_ok($t->recall, '>=', 0.9, 'REINDEX helps');
}

$t->stop;
done_testing();
