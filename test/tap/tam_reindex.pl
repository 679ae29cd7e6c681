# REINDEX CONCURRENTLY of tables, a schema and the database while others lock rows that
# are in files.  Each lock puts a tuple into the delta, which core cannot index beside it.

use strict;
use warnings FATAL => 'all';

use IPC::Run;
use Lakehouse;
use PostgreSQL::Test::Utils;
use Test::More;
use Time::HiRes qw(usleep);

my $ROWS = 80_000;		# of a round, each locked once: a lock tuple stays

my $node = Lakehouse::new_node('reindex', conf => "fsync = off\nautovacuum = off");

sub sql { return $node->safe_psql('postgres', join(";\n", @_)); }

my $FILES = "SELECT relname, relfilenode FROM pg_class WHERE relname IN ('t_id', 't_v') ORDER BY 1";

# Two sessions that lock the rows of a round, a hundred in a transaction.
sub lockers
{
	my ($round) = @_;
	my ($low, $high) = ($round * $ROWS + 1, ($round + 1) * $ROWS);

	return map {
		my $rest = $_;
		IPC::Run::start(
			[ 'psql', '-X', '-q', '-d', $node->connstr('postgres') . ' application_name=locker', '-c', <<"SQL" ],
DO \$\$
BEGIN
	FOR i IN $low .. $high LOOP
		CONTINUE WHEN i % 2 <> $rest;
		PERFORM 1 FROM t WHERE id = i FOR UPDATE;
		IF i % 400 = $rest THEN ROLLBACK; ELSIF i % 200 = $rest THEN COMMIT; END IF;
	END LOOP;
END \$\$
SQL
			'>', '/dev/null', '2>', '/dev/null')
	} 0, 1;
}

sub is_locking { return sql("SELECT count(*) FROM pg_stat_activity WHERE application_name = 'locker'"); }
sub delta_bytes { return sql("SELECT pg_relation_size(reltoastrelid) FROM pg_class WHERE relname = 't'"); }

# Runs the statement while rows are locked.
sub reindex_beside_locks
{
	my ($round, $statement) = @_;
	my ($files, $bytes) = (sql($FILES), delta_bytes());
	my @lockers = lockers($round);
	my $runs = 0;
	my $failed = '';

	for (1 .. 100 * $PostgreSQL::Test::Utils::timeout_default)
	{
		last if delta_bytes() > $bytes;
		usleep(10_000);
	}
	do
	{
		my ($rc, $out, $err) = $node->psql('postgres', $statement);
		$failed .= $err if $rc != 0;
		$runs++;
	} while ($failed eq '' && is_locking());
	is($failed, '', "$statement, $runs times");
	ok($_->finish, 'rows were locked') for @lockers;
	isnt(sql($FILES), $files, 'the indexes are new ones');
	is(sql('SELECT indexrelid::regclass FROM pg_index WHERE NOT indisvalid'), '', 'and all are valid');
}

sql('CREATE TABLE t (id int, v text) USING lakehouse',
	'INSERT INTO t SELECT i, i % 1000 FROM generate_series(1, ' . 3 * $ROWS . ') i',
	'CREATE INDEX t_id ON t (id)', 'CREATE INDEX t_v ON t (v) WHERE id < 1000', 'CREATE TABLE h (id int PRIMARY KEY)');
sql("SELECT lakehouse.publish('t')");
reindex_beside_locks(0, 'REINDEX TABLE CONCURRENTLY t');
reindex_beside_locks(1, 'REINDEX (CONCURRENTLY) SCHEMA public');
reindex_beside_locks(2, 'REINDEX DATABASE CONCURRENTLY postgres');
is(sql("SELECT * FROM lakehouse.verify('t')"), '', 'nothing is wrong');

# the delta's own index: by REINDEX TABLE, and by its name
my ($delta) = sql("SELECT reltoastrelid::regclass FROM pg_class WHERE relname = 't'");
foreach my $what ('TABLE t', "TABLE CONCURRENTLY $delta", "INDEX CONCURRENTLY ${delta}_index")
{
	my $index = "SELECT relfilenode FROM pg_class WHERE oid = '${delta}_index'::regclass";
	my $before = sql($index);
	sql("REINDEX $what");
	isnt(sql($index), $before, "REINDEX $what rebuilds it");
}
is(sql("SELECT * FROM lakehouse.verify('t')"), '', 'nothing is wrong');

# what core says of a database, and whose tables the owner of a schema may reindex
my ($rc, $out, $err) = $node->psql('postgres', 'REINDEX (VERBOSE) DATABASE CONCURRENTLY postgres');
like($err, qr/INFO:  index "public.$_" was reindexed/, "$_ is among them") for 't_id', 't_v', 'h_pkey';
like($err, qr/INFO:  table "public.$_" was reindexed/, "so is $_") for 't', 'h';
sql('CREATE ROLE owner', 'CREATE SCHEMA s AUTHORIZATION owner', 'CREATE TABLE s.others (id int PRIMARY KEY) USING lakehouse',
	'SET ROLE owner', 'CREATE TABLE s.own (id int PRIMARY KEY)');
($rc, $out, $err) = $node->psql('postgres', "SET ROLE owner;\nREINDEX (CONCURRENTLY, VERBOSE) SCHEMA s");
is($rc, 0, 'the owner of a schema reindexes it');
like($err, qr/WARNING:  permission denied to reindex "others", skipping it/, 'but not the tables of others');
like($err, qr/INFO:  index "s.own_pkey" was reindexed/, 'and goes on');
unlike(slurp_file($node->logfile), qr/PANIC|TRAP:|ERROR:  XX|duplicate key/, 'nothing worse in the log');

$node->stop;
done_testing();
