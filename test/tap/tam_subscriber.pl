# Logical replication into lakehouse tables: copies, changes by key, by an index
# and by REPLICA IDENTITY FULL, partitions, triggers, TRUNCATE, conflicts, rows
# that the publisher (of either kind) has moved or written meanwhile.

use strict;
use warnings FATAL => 'all';

use Lakehouse;
use PostgreSQL::Test::Utils;
use Test::More;

my $node = Lakehouse::new_node('node', init => [ allows_streaming => 'logical' ], conf => "max_worker_processes = 20\n");
$node->safe_psql('postgres', "CREATE DATABASE $_") for qw(source target);
$node->safe_psql('target', 'CREATE EXTENSION lakehouse');

sub source { return $node->safe_psql('source', join(";\n", @_)); }
sub target { return $node->safe_psql('target', join(";\n", @_)); }

# Both sides, when the target has all that the source has committed.
sub same
{
	my ($what) = @_;
	my @tables = qw(keyed whole parts chain);
	my $query = join ' UNION ALL ', map { "SELECT '$_', count(*), md5(string_agg(x::text, ',' ORDER BY x::text)) FROM $_ x" } @tables;
	$node->wait_for_catchup('sub');
	is(target($query), source($query), $what);
	is(target("SELECT * FROM lakehouse.verify('$_')"), '', "$_ is sound") for grep { $_ ne 'parts' } @tables;
}

my @tables = ('CREATE TABLE keyed (id int PRIMARY KEY, a text, b numeric)',
	'CREATE TABLE whole (a int, b text, c float)', 'ALTER TABLE whole REPLICA IDENTITY FULL',
	'CREATE TABLE parts (id int PRIMARY KEY, a text)',
	'CREATE TABLE chain (a int, b int NOT NULL, c text)', 'CREATE UNIQUE INDEX chain_b ON chain (b)',
	'ALTER TABLE chain REPLICA IDENTITY USING INDEX chain_b');
my @partitions = ('CREATE TABLE parts (id int PRIMARY KEY, a text) PARTITION BY RANGE (id)',
	'CREATE TABLE parts1 PARTITION OF parts FOR VALUES FROM (MINVALUE) TO (50)',
	'CREATE TABLE parts2 PARTITION OF parts FOR VALUES FROM (50) TO (MAXVALUE)');
source(@tables,
	q{INSERT INTO keyed SELECT i, 'a' || i, i * 1.5 FROM generate_series(1, 3000) i},
	q{INSERT INTO whole SELECT i % 20, 'b' || i % 7, CASE WHEN i % 3 > 0 THEN i END FROM generate_series(1, 100) i},
	q{INSERT INTO parts SELECT i, 'p' || i FROM generate_series(1, 100) i},
	q{INSERT INTO chain SELECT i, i, 'c' || i FROM generate_series(1, 50) i},
	'CREATE PUBLICATION pub FOR TABLE keyed, whole, parts, chain',
	q{SELECT pg_create_logical_replication_slot('sub', 'pgoutput')});
target('SET default_table_access_method = lakehouse', grep({ !/ parts / } @tables), @partitions,
	'ALTER TABLE whole SET (bulk_threshold = 0)',
	'CREATE TABLE log (n serial, what text) USING lakehouse',
	q{CREATE FUNCTION note() RETURNS trigger LANGUAGE plpgsql AS $$
	BEGIN INSERT INTO public.log (what) VALUES (TG_OP || ' ' || coalesce(OLD.c, '') || ' ' || coalesce(NEW.c, '')); RETURN NULL; END $$},
	'CREATE TRIGGER note AFTER UPDATE OR DELETE ON chain FOR EACH ROW EXECUTE FUNCTION note()',
	'ALTER TABLE chain ENABLE ALWAYS TRIGGER note');
my $source = $node->connstr('source') =~ s/'/''/gr;
target("CREATE SUBSCRIPTION sub CONNECTION '$source' PUBLICATION pub WITH (create_slot = false, slot_name = 'sub')");
$node->wait_for_subscription_sync($node, 'sub', 'target');
same('the first copy');

my @changes = (
	q{UPDATE keyed SET a = a || '!' WHERE id % 3 = 0}, 'DELETE FROM keyed WHERE id % 7 = 0',
	'UPDATE keyed SET id = id + 100000 WHERE id % 11 = 0', q{INSERT INTO keyed SELECT m + i, 'more', NULL FROM (SELECT max(id) AS m FROM keyed) k, generate_series(1, 1000) i},
	# of equal rows one is changed for each
	q{UPDATE whole SET c = 4.5 WHERE a = 3 AND c IS NULL}, 'DELETE FROM whole WHERE a = 5',
	q{INSERT INTO whole SELECT 1, 'same', NULL FROM generate_series(1, 5)}, q{DELETE FROM whole WHERE ctid IN (SELECT ctid FROM whole WHERE b = 'same' LIMIT 2)},
	'UPDATE parts SET id = id + 45 WHERE id BETWEEN 41 AND 48 AND id NOT IN (SELECT id - 45 FROM parts)', q{UPDATE parts SET a = 'x' WHERE id % 2 = 0},
	'DELETE FROM parts WHERE id IN (3, 60)', 'UPDATE parts SET id = -id WHERE id IN (4, 70)',
	'UPDATE chain SET b = b + 1000 WHERE a % 2 = 0', q{UPDATE chain SET c = 'twice' WHERE a = 2}, 'DELETE FROM chain WHERE a = 4');
source($_) for @changes;
same('changes of rows');
is(target(q{SELECT count(*) FILTER (WHERE what LIKE 'UPDATE%'), count(*) FILTER (WHERE what LIKE 'DELETE%') FROM log}), '26|1', 'seen by triggers');

target("SELECT lakehouse.publish('$_')") for qw(keyed whole parts1 parts2 chain);
source($_) for @changes;
same('changes of published rows');
source('BEGIN', q{UPDATE keyed SET a = 'a' WHERE id = 1}, 'SAVEPOINT s', q{UPDATE keyed SET a = 'b' WHERE id = 1}, 'ROLLBACK TO s',
	q{UPDATE keyed SET b = 5 WHERE id = 1}, 'DELETE FROM keyed WHERE id = 2', q{INSERT INTO keyed VALUES (2, 'again')}, 'COMMIT');
same('several changes of a row in a transaction');

# a row that is not there is passed over, a key that is there stops until it is gone
target('DELETE FROM keyed WHERE id = 1', q{INSERT INTO keyed VALUES (777777, 'mine')});
source(q{UPDATE keyed SET a = 'gone' WHERE id = 1}, 'DELETE FROM keyed WHERE id = 1', q{INSERT INTO keyed VALUES (777777, 'theirs')},
	q{INSERT INTO keyed VALUES (777778, 'after')});
$node->poll_query_until('target', "SELECT apply_error_count > 0 FROM pg_stat_subscription_stats WHERE subname = 'sub'");
is(target('SELECT a FROM keyed WHERE id = 777777'), 'mine', 'a conflict changes nothing');
target('DELETE FROM keyed WHERE id = 777777');
same('it goes on when the row is gone');

source('TRUNCATE whole, chain', 'INSERT INTO whole VALUES (1)');
same('TRUNCATE');

# another session's lock is waited for
my $other = $node->background_psql('target');
$other->query_safe('BEGIN');
$other->query_safe('SELECT * FROM keyed WHERE id = 8 FOR UPDATE');
source(q{UPDATE keyed SET a = 'waited' WHERE id = 8});
$node->poll_query_until('target', q{SELECT count(*) > 0 FROM pg_stat_activity WHERE wait_event_type = 'Lock'});
$other->query_safe('UPDATE keyed SET b = 8 WHERE id = 8');
$other->query_safe('COMMIT');
$other->quit;
$node->wait_for_catchup('sub');
is(target('SELECT a FROM keyed WHERE id = 8'), 'waited', 'a locked row');
target("SELECT lakehouse.publish('keyed')");
is(target("SELECT * FROM lakehouse.verify('keyed')"), '', 'sound in the end');

target('DROP SUBSCRIPTION sub');
done_testing();
