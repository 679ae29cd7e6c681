# The random differential test: 10,000 statements of fixed seeds on heap and on
# lakehouse tables.  SEED=n N=100000 runs others.

use strict;
use warnings FATAL => 'all';

use FindBin;
use Lakehouse;
use PostgreSQL::Test::Utils;
use Test::More;

my $script = "$FindBin::RealBin/../diff/difftest.py";
plan skip_all => "$script is not here" if !-e $script;

my $node = Lakehouse::new_node('diff', conf => "fsync = off\nmax_worker_processes = 16",
	init => [ extra => [ '--encoding=UTF8', '--locale=C.UTF-8' ] ]);

$ENV{PGHOST} = $node->host;
$ENV{PGPORT} = $node->port;
$ENV{PGDATABASE} = 'postgres';
my ($out, $err);
my $same = run_log([ 'python3', $script, '--out', $PostgreSQL::Test::Utils::tmp_check . '/difftest' ],
	'>', \$out, '2>', \$err);
ok($same, 'heap and lakehouse agree') or diag($out, $err);
like($out, qr/no difference$/, 'all statements were run');
note $out;
unlike(slurp_file($node->logfile), qr/was terminated by signal|PANIC/, 'no crash');

done_testing();
