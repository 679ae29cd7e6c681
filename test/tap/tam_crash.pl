# kill -9 of the postmaster or a random process while sessions write with keys,
# locks, savepoints and prepared transactions, and others publish and vacuum.
#
# Every transaction writes the same to a lakehouse and to a heap table: after the
# crash they must be equal.  What a session was told to be committed must be
# there, indexes and rows must agree, and the publisher must go on.
#
# LH_CRASH_SECONDS (30) and SEED (1) make it longer, and another.

use strict;
use warnings FATAL => 'all';

use IPC::Run;
use Lakehouse;
use PostgreSQL::Test::Utils;
use Test::More;
use Time::HiRes qw(time usleep);

my $seconds = $ENV{LH_CRASH_SECONDS} // 30;
my $seed = $ENV{SEED} // 1;
my $n_writers = 4;
my $n_ids = 40;

srand($seed);
note "seed $seed";

my $node = Lakehouse::new_node('tamcrash', conf => <<'CONF');
lakehouse.bulk_threshold = 10
lakehouse.bulk_delete_rows = 2
autovacuum_naptime = 1
deadlock_timeout = 100ms
CONF

sub sql { return $node->safe_psql('postgres', join(";\n", @_)); }

sql('CREATE TABLE l (id int PRIMARY KEY, u int UNIQUE, v int, w text) USING lakehouse',
	'CREATE INDEX ON l (v)',
	'CREATE TABLE h (id int PRIMARY KEY, u int, v int, w text) USING heap',
	'CREATE TABLE c (id int PRIMARY KEY, l int NOT NULL REFERENCES l ON DELETE CASCADE) USING lakehouse',
	'CREATE TABLE progress (writer int PRIMARY KEY, n int) USING heap',
	"INSERT INTO progress SELECT i, 0 FROM generate_series(1, $n_writers) i",
	"INSERT INTO l SELECT i, i, 0, 'start' FROM generate_series(1, $n_ids) i", 'INSERT INTO h SELECT * FROM l');

# One change of both tables, told by lakehouse's row.
sub change
{
	my $id = 1 + int rand $n_ids;
	my $kind = rand;

	return "WITH x AS (UPDATE l SET v = v + 1, w = 'w' || v WHERE id = $id RETURNING *) UPDATE h SET v = x.v, w = x.w FROM x WHERE h.id = x.id"
	  if $kind < 0.45;
	return "WITH x AS (DELETE FROM l WHERE id = $id RETURNING id) DELETE FROM h USING x WHERE h.id = x.id"
	  if $kind < 0.6;
	return "WITH x AS (UPDATE l SET u = -u WHERE id = $id RETURNING *) UPDATE h SET u = x.u FROM x WHERE h.id = x.id"
	  if $kind < 0.65;
	return "INSERT INTO c SELECT $id * 1000 + " . int(rand 1000) . ", id FROM l WHERE id = $id ON CONFLICT DO NOTHING"
	  if $kind < 0.7;
	return "SELECT id FROM l WHERE id > $id ORDER BY id LIMIT 2 FOR " . (rand() < 0.5 ? 'UPDATE' : 'KEY SHARE') . ' SKIP LOCKED'
	  if $kind < 0.75;
	return "WITH x AS (INSERT INTO l VALUES ($id, $id, 0, 'new') ON CONFLICT (id) DO UPDATE SET v = l.v + 10 RETURNING *)"
	  . ' INSERT INTO h SELECT * FROM x ON CONFLICT (id) DO UPDATE SET v = excluded.v'
	  if $kind < 0.97;
	# every other row of what was written by the many, of blocks that are deleted together
	return 'DO $$ DECLARE r record; BEGIN FOR r IN DELETE FROM l WHERE id >= 1000 AND id % 2 = ' . int(rand 2)
	  . ' RETURNING id LOOP DELETE FROM h WHERE id = r.id; END LOOP; END $$'
	  if $kind < 0.98;
	# many rows, written to files at once, then less
	my $from = 1000 + int rand 1000000;
	return "WITH x AS (INSERT INTO l SELECT i, i, 1, 'many' FROM generate_series($from, $from + 200) i ON CONFLICT DO NOTHING RETURNING *) INSERT INTO h SELECT * FROM x;\n"
	  . "WITH x AS (DELETE FROM l WHERE id >= $from AND id < $from + 150 RETURNING id) DELETE FROM h USING x WHERE h.id = x.id";
}

# A script of a writer, which says after each commit how far it is.
sub script
{
	my ($writer, $first) = @_;
	my $text = '';

	for my $n ($first .. $first + 3000)
	{
		$text .= "BEGIN;\nUPDATE progress SET n = $n WHERE writer = $writer;\n";
		for (0 .. int rand 3)
		{
			$text .= change() . ";\n" if rand() < 0.9;
			$text .= "SAVEPOINT s;\nUPDATE l SET w = 'undone' WHERE id % 10 = " . int(rand 10) . ";\nDELETE FROM l WHERE id = "
			  . (1 + int rand $n_ids) . ";\nROLLBACK TO s;\n" if rand() < 0.2;
		}
		my $end = rand;
		$text .= $end < 0.1 ? "UPDATE l SET w = 'undone' WHERE id = " . (1 + int rand $n_ids) . ";\nROLLBACK;\n"
		  : $end < 0.17 ? "PREPARE TRANSACTION 'p${writer}_$n';\nCOMMIT PREPARED 'p${writer}_$n';\n"
		  : "COMMIT;\n";
		$text .= "SELECT 'told ' || n FROM progress WHERE writer = $writer;\n";
	}
	return $text;
}

sub start_session
{
	my ($script) = @_;
	my %session = (in => $script, out => '');

	$session{run} = IPC::Run::start([ 'psql', '-X', '-q', '-A', '-t', '-d', $node->connstr('postgres') ],
		'<', \$session{in}, '>', \$session{out}, '2>', '/dev/null');
	return \%session;
}

# The highest number that the server said was committed, while it could.
sub told
{
	my ($session) = @_;
	my $n = 0;

	$n = $1 > $n ? $1 : $n while $session->{out} =~ /^told (\d+)$/mg;
	return $n;
}

sub is_none
{
	my ($sql, $what) = @_;
	is(sql($sql), '', $what);
	return;
}

sub check
{
	my ($what) = @_;

	is_none('(TABLE l EXCEPT ALL TABLE h) UNION ALL (TABLE h EXCEPT ALL TABLE l)', "$what: as heap");
	my $rows = sql('SELECT count(*), sum(id), sum(v) FROM h');
	is(sql('SELECT count(*), sum(id), sum(v) FROM l'), $rows, "$what: count");
	for my $column (qw(id u v))
	{
		# by the index from low to high, against the scan
		is_none("SET enable_seqscan = off; SET enable_bitmapscan = off; SELECT h.id FROM h WHERE h.$column IS NOT NULL AND NOT EXISTS"
			  . " (SELECT FROM l WHERE l.$column = h.$column AND l.id = h.id)", "$what: all by the index of $column");
	}
	is_none('SELECT id FROM l GROUP BY id HAVING count(*) > 1', "$what: no key twice");
	is_none('SELECT * FROM c WHERE NOT EXISTS (SELECT FROM l WHERE l.id = c.l)', "$what: no child without parent");
	return;
}

my ($rounds, $committed, $begin) = (0, 0, time);
my @done = (0) x ($n_writers + 1);
while (time - $begin < $seconds || $rounds < 3)
{
	$rounds++;
	my @writers = map { start_session(script($_, $done[$_] + 1)) } 1 .. $n_writers;
	my $keeper = start_session("SELECT lakehouse.publish('l');\nVACUUM l;\nSELECT pg_sleep(0.05);\n" x 300);

	my $until = time + 0.4 + rand 2.5;
	while (time < $until)
	{
		eval { $_->{run}->pump_nb } for @writers, $keeper;	# not of one that has ended
		usleep(20_000);
	}
	my $how = rand() < 0.5 ? 'postmaster' : 'process';
	if ($how eq 'postmaster')
	{
		Lakehouse::kill_postmaster($node);
	}
	else
	{
		my @pids = split /\n/, sql("SELECT pid FROM pg_stat_activity WHERE pid <> pg_backend_pid() AND (backend_type = 'client backend' OR backend_type LIKE '%lakehouse%')");
		kill 'KILL', $pids[rand @pids];
		Lakehouse::wait_down($node);
	}
	for my $session (@writers, $keeper)
	{
		eval { $session->{run}->finish };
	}
	$how eq 'postmaster' ? Lakehouse::start_killed($node) : Lakehouse::start($node);
	for my $gid (split /\n/, sql('SELECT gid FROM pg_prepared_xacts'))
	{
		sql((rand() < 0.5 ? 'COMMIT' : 'ROLLBACK') . " PREPARED '$gid'");
	}
	for my $writer (1 .. $n_writers)
	{
		my $n = sql("SELECT n FROM progress WHERE writer = $writer");
		cmp_ok($n, '>=', told($writers[$writer - 1]), "round $rounds, $how killed: writer $writer has what it was told");
		$committed += $n - $done[$writer];
		$done[$writer] = $n;
	}
	check("round $rounds");
	sql("SELECT lakehouse.publish('l')") if rand() < 0.7;
	check("round $rounds, later") if rand() < 0.3;
}
sql("SELECT lakehouse.publish('l')");
is(sql("SELECT count(*) FROM l TABLESAMPLE lakehouse.as_of(now())"), sql('SELECT count(*) FROM h'), 'the last version has them all');
is_none("SELECT kind, object, detail FROM lakehouse.verify('l') UNION ALL SELECT kind, object, detail FROM lakehouse.verify('c')", 'verify finds nothing');
cmp_ok($committed, '>', 50, 'they did something') and note "$rounds rounds, $committed transactions";
unlike(slurp_file($node->logfile), qr/PANIC|TRAP:|terminated by signal (?!9)/, 'no crash but ours');

done_testing();
