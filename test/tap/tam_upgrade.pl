# pg_upgrade: the schema is restored on a server with our catalog half there,
# the publisher keeps still meanwhile, and what architecture.md says to copy is
# enough to go on.

use strict;
use warnings FATAL => 'all';

use Lakehouse;
use PostgreSQL::Test::Utils;
use Test::More;

my $old = Lakehouse::new_node('old', conf => "lakehouse.publish = '1h'\n");
plan skip_all => 'no pg_upgrade' if !-x $old->config_data('--bindir') . '/pg_upgrade';

sub sql { my ($node, @statements) = @_; return $node->safe_psql('postgres', join(";\n", @statements)); }

sql($old, 'CREATE TABLE t (id int PRIMARY KEY, b text) USING lakehouse WITH (bulk_threshold = 5, fillfactor = 70)',
	q{INSERT INTO t SELECT i, 'b' || i FROM generate_series(1, 1000) i});
sql($old, "SELECT lakehouse.publish('t')");
sql($old, 'DELETE FROM t WHERE id % 10 = 0', "UPDATE t SET b = 'new' WHERE id % 10 = 1", 'CREATE INDEX ON t (b)');
sql($old, "SELECT lakehouse.publish('t')");
sql($old, q{INSERT INTO t VALUES (5000, 'in the delta')});
sql($old, 'CREATE TABLE s (a int, b int) USING lakehouse', 'ALTER TABLE s DROP a', 'INSERT INTO s VALUES (7)');
sql($old, 'CREATE TABLE p (a int CHECK (a > 0)) PARTITION BY RANGE (a)',
	'CREATE TABLE p1 PARTITION OF p FOR VALUES FROM (0) TO (10) USING lakehouse', 'INSERT INTO p VALUES (1), (2)',
	'CREATE TABLE f (id int REFERENCES t) USING lakehouse', 'INSERT INTO f VALUES (1), (2)');
sql($old, 'CREATE MATERIALIZED VIEW m USING lakehouse AS SELECT count(*) FROM t');
sql($old, q{CREATE TYPE e AS ENUM ('x', 'y')}, 'CREATE TABLE en (e e) USING lakehouse', q{INSERT INTO en VALUES ('x')});
sql($old, 'ALTER DATABASE postgres SET default_table_access_method = lakehouse');
sql($old, 'CREATE UNLOGGED TABLE u (a int) USING lakehouse WITH (compression = none)', 'INSERT INTO u VALUES (3)');

my $rows = 'SELECT count(*), sum(id), max(b) FROM t UNION ALL SELECT a, b, NULL FROM (SELECT 1 a, * FROM s) s '
  . 'UNION ALL SELECT *, NULL FROM (SELECT count(*), sum(a) FROM p) p UNION ALL SELECT a, NULL, NULL FROM u '
  . 'UNION ALL SELECT count, NULL, NULL FROM m UNION ALL SELECT NULL, NULL, e::text FROM en';
my $facts = q{SELECT relname, amname, relpersistence, reloptions FROM pg_class c JOIN pg_am a ON a.oid = relam
	WHERE relnamespace IN ('public'::regnamespace, 'lakehouse'::regnamespace) AND relkind IN ('r', 'm') ORDER BY 1};
my $versions = q{SELECT version, snapshot_id, rows, deleted_rows FROM lakehouse.versions WHERE table_name = 't'::regclass AND version < 3 ORDER BY 1};
my @before = map { sql($old, $_) } $rows, $facts, $versions;
my $uuid = sql($old, "SELECT lakehouse.table_uuid('t')");
$old->stop;

my $new = PostgreSQL::Test::Cluster->new('new');
$new->init;
$new->append_conf('postgresql.conf', "shared_preload_libraries = 'lakehouse'\nlakehouse.publish = '1h'\n");
my $bin = $old->config_data('--bindir');
chdir $new->basedir or die $!;
command_ok([ 'pg_upgrade', '--no-sync', '--retain', '-b', $bin, '-B', $bin, '-d', $old->data_dir, '-D', $new->data_dir,
		'-s', $new->host, '-p', $old->port, '-P', $new->port ], 'pg_upgrade');
command_ok([ 'cp', '-a', $old->data_dir . "/$_", $new->data_dir ], "copy of $_") for qw(lakehouse pg_lakehouse);
my ($log) = glob $new->data_dir . '/pg_upgrade_output.d/*/log/pg_upgrade_server.log';
unlike(slurp_file($log), qr/lakehouse (publisher|launcher)/, 'no publisher meanwhile');

$new->start;
my $i = 0;
is(sql($new, $_), $before[ $i++ ], 'the same') for $rows, $facts, $versions;
is(sql($new, "SELECT lakehouse.table_uuid('t')"), $uuid, 'the same table');
is(sql($new, "SELECT * FROM lakehouse.verify('$_')"), '', "$_ is sound") for qw(t s p1 f m en);
is(sql($new, 'SELECT count(*) FROM t TABLESAMPLE lakehouse.as_of_version(1)'), '1000', 'an old version');

sql($new, q{INSERT INTO t VALUES (6000, 'here')}, "UPDATE t SET b = 'changed' WHERE id IN (5000, 7)", 'DELETE FROM t WHERE id = 8',
	"ALTER TYPE e RENAME VALUE 'x' TO 'z'");
sql($new, "SELECT lakehouse.publish('t')");
is(sql($new, 'SELECT rows FROM lakehouse.versions WHERE table_name = \'t\'::regclass ORDER BY version DESC LIMIT 1'), '901', 'it goes on publishing');
is(sql($new, "SELECT * FROM lakehouse.verify('t')"), '', 'and is sound');
like(sql($new, "SELECT lakehouse.metadata_location('t')"), qr/\Q@{[$new->data_dir]}\E/, 'in the new directory');
my ($rc, undef, $err) = $new->psql('postgres', q{INSERT INTO t VALUES (5000, 'twice')});
like($err, qr/duplicate key/, 'keys are kept');
sql($new, 'ALTER TABLE u SET LOGGED');
is(sql($new, 'SHOW default_table_access_method'), 'lakehouse', 'the default is kept');
is(sql($new, 'TABLE u'), '3', 'an unlogged table becomes a lakehouse table');
is(sql($new, 'TABLE en'), 'z', 'a label in a file that has its old name');

done_testing();
