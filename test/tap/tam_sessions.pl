# Random turns of three sessions on heap and on lakehouse (test/diff/sessions.py):
# 3,000 of fixed seeds.  SEED=n N=100000 takes others.  And the isolation specs of
# locks and updates, run on heap: what is expected of lakehouse is what heap shows.

use strict;
use warnings FATAL => 'all';

use FindBin;
use Lakehouse;
use PostgreSQL::Test::Utils;
use Test::More;

my $script = "$FindBin::RealBin/../diff/sessions.py";
plan skip_all => "$script is not here" if !-e $script;

my $node = Lakehouse::new_node('sessions', conf => "fsync = off\nautovacuum = off",
	init => [ extra => [ '--encoding=UTF8', '--locale=C.UTF-8' ] ]);

$ENV{PGHOST} = $node->host;
$ENV{PGPORT} = $node->port;
$ENV{PGDATABASE} = 'postgres';

my ($out, $err);
my $same = run_log([ 'python3', $script, '--statements', $ENV{N} // 3000 ], '>', \$out, '2>', \$err);
ok($same, 'heap and lakehouse agree') or diag($out, $err);
like($out, qr/, no difference$/, 'all turns were taken');
like($out, qr/ [1-9]\d+ waits, [1-9]\d* serializable transactions undone/, 'sessions waited, and some failed to be serialized');
note $out;
unlike(slurp_file($node->logfile), qr/was terminated by signal|PANIC/, 'no crash');

my $heap = "$FindBin::RealBin/../isolation/heap.sh";
SKIP:
{
	skip "$heap is not here", 1 if !-e $heap;
	my $ok = run_log([ $heap ], '>', \$out, '2>', \$err);
	ok($ok, 'expected outputs of tam-lock-*, tam-serial-* and tam-update-* are those of heap') or diag($out, $err);
}

done_testing();
