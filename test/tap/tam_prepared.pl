# Row locks of a prepared transaction, more than the lock table could hold: they
# stand over a restart, until it ends.

use strict;
use warnings FATAL => 'all';

use Lakehouse;
use PostgreSQL::Test::Utils;
use Test::More;

my $ROWS = 30_000;		# the default configuration has room for some 14,000 locks
my $node = Lakehouse::new_node('prepared', conf => "autovacuum = off\nlakehouse.publish = '1h'\n");

sub sql { my (@statements) = @_; return $node->safe_psql('postgres', join(";\n", @statements)); }

my $updates = 0;
my $MANY = "SELECT count(*) FROM (SELECT id FROM t WHERE id <= $ROWS";

sub is_locked
{
	my ($when) = @_;

	is(sql("$MANY FOR UPDATE SKIP LOCKED) l"), '0', "$when: nothing to lock");
	is(sql("$MANY FOR KEY SHARE SKIP LOCKED) l"), $ROWS, "$when: but with a lock that does not conflict");
	is(sql("SELECT count(*) FROM (SELECT id FROM t FOR UPDATE SKIP LOCKED) l"), '10', "$when: the others are free");
	my (undef, undef, $err) = $node->psql('postgres', 'SELECT * FROM t WHERE id = 7 FOR UPDATE NOWAIT');
	like($err, qr/could not obtain lock on row in relation "t"/, "$when: NOWAIT");
	(undef, undef, $err) = $node->psql('postgres', "SET lock_timeout = '100ms'; DELETE FROM t WHERE id = $ROWS");
	like($err, qr/lock timeout/, "$when: a delete waits");
	is(sql('UPDATE t SET v = v + 1 WHERE id = 9 RETURNING v'), ++$updates, "$when: an update of no key does not");
	(undef, undef, $err) = $node->psql('postgres', "SET lock_timeout = '100ms'; UPDATE t SET id = -1 WHERE id = 9");
	like($err, qr/lock timeout/, "$when: one of the key does");
	return;
}

sql('CREATE TABLE t (id int PRIMARY KEY, v int DEFAULT 0) USING lakehouse',
	"INSERT INTO t SELECT generate_series(1, $ROWS + 10)", "SELECT lakehouse.publish('t')",
	'BEGIN', "$MANY FOR KEY SHARE) l", 'INSERT INTO t VALUES (-5)', "PREPARE TRANSACTION 'locks'");
is_locked('prepared');
$node->restart;
is_locked('restarted');
$node->stop('immediate');
$node->start;
sql("SELECT lakehouse.publish('t')", 'VACUUM t');
is_locked('after a crash');
sql("COMMIT PREPARED 'locks'");
is(sql("$MANY FOR UPDATE SKIP LOCKED) l"), $ROWS + 1, 'free when it has ended');
is(sql("SELECT * FROM lakehouse.verify('t')"), '', 'nothing is wrong');

$node->stop;
done_testing();
