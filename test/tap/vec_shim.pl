# vec_shim.pl - the extensions lakehouse and vector (ours) in every order:
# who owns the types, what DROP refuses, what a dump brings back.

use strict;
use warnings FATAL => 'all';

use Lakehouse;
use PostgreSQL::Test::Utils;
use Test::More;

# Not preloaded: the vector types need nothing of the shared memory.
my $node = Lakehouse::new_node('main', preload => '', extension => 0);
my $dumps = $node->basedir;

sub fresh
{
	my ($db) = @_;
	$node->safe_psql('postgres', "CREATE DATABASE $db");
}

# "owner of type vector / extensions and what each depends on"
sub state_of
{
	my ($db) = @_;
	return $node->safe_psql($db, <<'SQL');
SELECT coalesce((SELECT extname FROM pg_depend JOIN pg_extension e ON e.oid = refobjid
                 WHERE classid = 'pg_type'::regclass AND deptype = 'e'
                   AND objid = (SELECT oid FROM pg_type WHERE typname = 'vector')), 'nobody')
       || ': ' || coalesce(string_agg(x.extname || coalesce('>' || r.extname, ''), ' ' ORDER BY x.extname), '')
FROM pg_extension x
     LEFT JOIN pg_depend d ON d.classid = 'pg_extension'::regclass AND d.objid = x.oid
                              AND d.refclassid = 'pg_extension'::regclass
     LEFT JOIN pg_extension r ON r.oid = d.refobjid
WHERE x.extname IN ('lakehouse', 'vector')
SQL
}

sub refuses
{
	my ($db, $sql, $error, $what) = @_;
	my ($rc, $out, $err) = $node->psql($db, $sql);
	isnt($rc, 0, "$what is refused");
	like($err, $error, "$what says why");
}

# The database through pg_dump into a new one.
sub dumped
{
	my ($db) = @_;
	my $copy = "${db}_copy";
	fresh($copy);
	$node->command_ok([ 'pg_dump', '-f', "$dumps/$db.sql", '-d', $node->connstr($db) ], "dump of $db");
	$node->command_ok([ 'psql', '-X', '-q', '-v', 'ON_ERROR_STOP=1', '-d', $node->connstr($copy), '-f', "$dumps/$db.sql" ],
		"restore of $db");
	is(indexes_of($copy), indexes_of($db), "indexes of $db");
	return $copy;
}

# Their definitions, without schemas.
sub indexes_of
{
	my ($db) = @_;
	return $node->safe_psql($db, 'SELECT pg_get_indexdef(indexrelid) FROM pg_index '
		  . "WHERE indrelid IN (SELECT oid FROM pg_class WHERE relname IN ('t', 'lake')) ORDER BY 1") =~ s/\bext\.//gr;
}

my $table = "CREATE TABLE t (v vector(3), h halfvec(3), s sparsevec(3), CHECK (v <-> '[0,0,0]' < 100));"
  . "INSERT INTO t VALUES ('[1,2,3]', '[1,2,3]', '{1:1}/3'); CREATE INDEX ON t (v);"
  . 'CREATE INDEX t_hnsw ON t USING hnsw (v vector_cosine_ops) WITH (m = 8); CREATE INDEX t_ivf ON t USING ivfflat (h halfvec_l2_ops) WITH (lists = 1);';

# lakehouse first
fresh('a');
$node->safe_psql('a', "CREATE EXTENSION lakehouse; $table");
is(state_of('a'), 'lakehouse: lakehouse', 'lakehouse alone owns the types');
$node->safe_psql('a', 'CREATE EXTENSION IF NOT EXISTS vector');
is(state_of('a'), 'lakehouse: lakehouse vector>lakehouse', 'vector after it owns nothing and depends on it');
$node->safe_psql('a', 'CREATE EXTENSION IF NOT EXISTS vector');
refuses('a', 'DROP EXTENSION lakehouse', qr/extension vector depends on extension lakehouse/, 'DROP of the owner');
my $copy = dumped('a');
is(state_of($copy), state_of('a'), 'a dump brings back the same owner');
is($node->safe_psql($copy, "SELECT * FROM t ORDER BY v <-> '[3,3,3]'"), '[1,2,3]|[1,2,3]|{1:1}/3', 'and the rows');
$node->safe_psql('a', 'ALTER EXTENSION vector SET SCHEMA information_schema');
$node->safe_psql('a', 'DROP EXTENSION vector');
is(state_of('a'), 'lakehouse: lakehouse', 'DROP of the empty vector leaves the types');
refuses('a', 'DROP EXTENSION lakehouse', qr/column v of table t depends on type vector/, 'DROP with columns');
$node->safe_psql('a', 'CREATE EXTENSION vector; DROP EXTENSION lakehouse CASCADE');
is(state_of('a'), 'nobody: ', 'CASCADE takes both');

# vector first, in a schema of its own
fresh('b');
$node->safe_psql('b', "CREATE SCHEMA ext; CREATE EXTENSION vector SCHEMA ext; SET search_path = public, ext; $table");
is(state_of('b'), 'vector: vector', 'vector alone owns the types');
$node->safe_psql('b', 'CREATE EXTENSION lakehouse');
is(state_of('b'), 'vector: lakehouse>vector vector', 'lakehouse after it leaves them there');
refuses('b', 'DROP EXTENSION vector', qr/extension lakehouse depends on extension vector/, 'DROP of the owner');
$copy = dumped('b');
is(state_of($copy), state_of('b'), 'a dump brings back the same owner');
is($node->safe_psql($copy, 'SELECT v::text, pg_typeof(v) FROM t'), '[1,2,3]|ext.vector', 'and schema and rows');
$node->safe_psql('b', 'DROP EXTENSION lakehouse');
is(state_of('b'), 'vector: vector', 'DROP of the second leaves the first');
is($node->safe_psql('b', 'SELECT v::text FROM t'), '[1,2,3]', 'and its columns');

# a dump of either restores where the other is there already
fresh('c');
$node->safe_psql('c', 'CREATE EXTENSION lakehouse');
fresh('d');
$node->safe_psql('d', "CREATE EXTENSION vector; $table");
$node->command_ok([ 'pg_dump', '-f', "$dumps/d.sql", '-d', $node->connstr('d') ], 'dump of vector alone');
$node->command_ok([ 'psql', '-X', '-q', '-v', 'ON_ERROR_STOP=1', '-d', $node->connstr('c'), '-f', "$dumps/d.sql" ],
	'restored into a database with lakehouse');
is(state_of('c'), 'lakehouse: lakehouse vector>lakehouse', 'whose types it uses');

# names that are taken
fresh('e');
my ($rc, $out, $err) = $node->psql('e', 'CREATE TYPE vector AS (x int); CREATE EXTENSION lakehouse');
is($rc, 0, 'lakehouse where a type vector is');
like($err, qr/WARNING:  the vector types and index access methods are not created/, 'says that it makes none');
refuses('e', 'CREATE EXTENSION vector', qr/type "vector" already exists/, 'vector there');

# not a superuser
fresh('f');
$node->safe_psql('f', 'CREATE ROLE app LOGIN; GRANT CREATE ON DATABASE f TO app; GRANT CREATE ON SCHEMA public TO app');
$node->safe_psql('f', "SET ROLE app; CREATE EXTENSION vector; $table");
is(state_of('f'), 'vector: vector', 'an owner of nothing creates vector, as pgvector lets them');

# the function of the scripts is gone, and useless to others
is($node->safe_psql('f', "SELECT count(*) FROM pg_proc WHERE proname = 'lakehouse_vector_setup'"), '0', 'no trace of the set-up');
refuses('f', "CREATE FUNCTION s(text, text) RETURNS void AS '\$libdir/lakehouse', 'lh_vector_setup' LANGUAGE C; SELECT s('own', 'SELECT 1')",
	qr/works only while an extension is being created/, 'the set-up outside of a script');

# soft errors, where the server has them
SKIP:
{
	skip 'soft errors came with PostgreSQL 16', 6 if $node->pg_version < 16;
	for my $case (
		[ 'vector', '[1,2,3', 't' ], [ 'vector(2)', '[1,2,3]', 't' ], [ 'halfvec', '[65520]', 't' ],
		[ 'sparsevec', '{1:1,1:2}/3', 't' ], [ 'sparsevec', '{9:1}/3', 't' ], [ 'vector(2)', '[1,2]', 'f' ])
	{
		my ($type, $text, $bad) = @$case;
		is($node->safe_psql('d', "SELECT NOT pg_input_is_valid('$text', '$type')"), $bad, "$text as $type");
	}
}

# ---- lakehouse tables ----

# Either order, in the custom format by two workers, whose indexes are built on restored rows.
$node->append_conf('postgresql.conf', "shared_preload_libraries = 'lakehouse'");
$node->restart;
for my $order ([ 'lakehouse', 'vector' ], [ 'vector', 'lakehouse' ])
{
	my $db = "lake_$order->[0]";
	fresh($db);
	$node->safe_psql($db, <<"SQL");
CREATE EXTENSION $order->[0];
CREATE EXTENSION $order->[1];
CREATE TABLE lake (i int PRIMARY KEY, v vector(4), b bit(8)) USING lakehouse;
INSERT INTO lake SELECT i, ARRAY[i, i % 7, i % 11, 1]::real[]::vector, (i % 256)::bit(8) FROM generate_series(1, 500) i;
CREATE INDEX lake_hnsw ON lake USING hnsw (v vector_l2_ops);
CREATE INDEX lake_bits ON lake USING hnsw (b bit_hamming_ops);
CREATE INDEX lake_ivf ON lake USING ivfflat (v vector_cosine_ops) WITH (lists = 4);
SQL
	fresh("${db}_copy");
	$node->command_ok([ 'pg_dump', '-Fc', '-f', "$dumps/$db.dump", '-d', $node->connstr($db) ], "dump of $db");
	$node->command_ok([ 'pg_restore', '-j2', '-e', '-d', $node->connstr("${db}_copy"), "$dumps/$db.dump" ], "restore of $db");
	is(state_of("${db}_copy"), state_of($db), 'the same owner of the types');
	is(indexes_of("${db}_copy"), indexes_of($db), 'the same indexes');
	my @near = map { $node->safe_psql($_, "SET enable_seqscan = off; SET hnsw.ef_search = 500;
		SELECT string_agg(i::text, ',') FROM (SELECT i FROM lake ORDER BY v <-> '[250.2,3,3,1]' LIMIT 5) a") } $db, "${db}_copy";
	is($near[1], $near[0], 'and the same neighbours');
	is($node->safe_psql("${db}_copy", "SELECT amname FROM pg_class c JOIN pg_am a ON a.oid = relam WHERE relname = 'lake'"),
		'lakehouse', 'of a lakehouse table');
	refuses("${db}_copy", "DROP EXTENSION $order->[0]", qr/other objects depend on it/, 'DROP of the first');
	$node->safe_psql("${db}_copy", "DROP EXTENSION $order->[0] CASCADE");
	is(state_of("${db}_copy"), 'nobody: ', 'CASCADE takes both');
}

$node->stop;
done_testing();
