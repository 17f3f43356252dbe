# The capture trigger on another table of the shape of events, partitioned as shards
# of a cluster would be. It must not know which table it is on: entries, exits,
# re-entry keys, dedupe keys and schemas work there as on events, through the
# partitions too, and without the statement trigger. (DESIGN.md section 11, rule 3)
use strict;
use warnings;

use Test::More;
use TriggerEngine;

my $te = TriggerEngine->new;
my $receiver = $te->receiver;

$te->webhook('hook', $receiver->url('/hook'), max_in_flight => 1000);
my $content = '{"body": "{{ user.user_id }}"}';
$te->journey('welcome', where => '$.total > 10', content => $content);
$te->journey('reminder', event => 'browse', wait => '1 day', exit_on => 'order', content => $content);
$te->journey('once', event => 'signup', content => $content, more => q{reentry => '{"policy": "once"}'});
$te->journey('parallel', event => 'visit', wait => '1 day', content => $content, more => q{reentry => '{"policy": "parallel", "limit": 2}'});
$te->sql(q{SELECT trigger_engine.create_event_schema('strict', '{"required": ["sku"]}');
	SELECT trigger_engine.create_event_schema('lax', '{"required": ["sku"]}', on_violation => 'quarantine')});
$te->journey('lax', event => 'lax', content => $content);

# another name, another schema, other partitions; the triggers made by hand
my $capture = 'FOR EACH ROW WHEN (trigger_engine._is_watched(NEW.name, NEW.user_id, NEW.properties, NEW.occurred_at, NEW.dedupe_key)) EXECUTE FUNCTION trigger_engine._capture_event()';
$te->sql(qq{CREATE SCHEMA "Shop floor";
CREATE TABLE "Shop floor"."What happened" (LIKE trigger_engine.events INCLUDING DEFAULTS INCLUDING CONSTRAINTS) PARTITION BY HASH (user_id);
CREATE TABLE "Shop floor".shard_0 PARTITION OF "Shop floor"."What happened" FOR VALUES WITH (MODULUS 2, REMAINDER 0);
CREATE TRIGGER capture AFTER INSERT ON "Shop floor"."What happened" $capture;
CREATE TABLE "Shop floor".shard_1 PARTITION OF "Shop floor"."What happened" FOR VALUES WITH (MODULUS 2, REMAINDER 1);
CREATE TABLE plain (LIKE trigger_engine.events INCLUDING DEFAULTS INCLUDING CONSTRAINTS);
CREATE TRIGGER capture AFTER INSERT ON plain $capture;
CREATE TABLE reordered (note text, context jsonb, dedupe_key text, occurred_at timestamptz DEFAULT now(), properties jsonb DEFAULT '{}', name text, dropped int, user_id text,
	event_id bigint DEFAULT nextval('trigger_engine._event_id_seq'));
ALTER TABLE reordered DROP COLUMN dropped;
CREATE TRIGGER capture AFTER INSERT ON reordered $capture});

# elsewhere such a table is a part of events, so that a worker finds there what is in it
my $copied = 'FOR EACH ROW EXECUTE FUNCTION show_as_event()';
$te->sql(qq{CREATE FUNCTION show_as_event() RETURNS trigger LANGUAGE plpgsql SET trigger_engine.ingest = off AS \$\$
BEGIN
	INSERT INTO trigger_engine.events (event_id, user_id, name, properties, occurred_at) VALUES (NEW.event_id, NEW.user_id, NEW.name, NEW.properties, NEW.occurred_at);
	RETURN NULL;
END
\$\$;
CREATE TRIGGER copied AFTER INSERT ON "Shop floor"."What happened" $copied;
CREATE TRIGGER copied AFTER INSERT ON plain $copied;
CREATE TRIGGER copied AFTER INSERT ON reordered $copied});

my %seen;
# Users who got messages since the last call, as often as they did.
sub new_users
{
	$te->idle or diag 'the queue does not drain';
	my @new = grep { !$seen{ $_->{id} }++ } $receiver->received;
	return join ' ', sort map { $_->{body} =~ /"body": ?"([^"]*)"/ } @new;
}

my $number = 0;
for my $table ('trigger_engine.events', '"Shop floor"."What happened"', 'plain', 'reordered')
{
	my $p = 't' . $number++;
	my $insert = "INSERT INTO $table (user_id, name, properties)";
	my $count = sub { my ($where) = @_; return $te->sql("SELECT count(*) FROM $table WHERE user_id LIKE '$p%' AND $where") };
	my $states = sub {
		my ($user) = @_;
		return $te->sql("SELECT string_agg(DISTINCT journey || ' ' || state, ', ') FROM trigger_engine.sends WHERE user_id = '$p$user'");
	};

	$te->sql("$insert SELECT '$p' || i, 'cart', jsonb_build_object('total', i) FROM generate_series(1, 14) i");
	is(new_users(), join(' ', sort map { $p . $_ } 11 .. 14), "$table: rows that match fire");
	is($count->('true'), 14, "$table: all rows stay");

	$te->sql("COPY $table (user_id, name, properties) FROM stdin;\n" . join('', map { "${p}c$_\tcart\t{\"total\": 20}\n" } 1 .. 2200) . "\\.\n");
	is(scalar(split / /, new_users()), 2200, "$table: COPY of more than a buffer");

	# entry and exit, each in its own transaction, and both in one statement
	$te->sql("$insert VALUES ('${p}browse', 'browse', '{}')");
	is($states->('browse'), 'reminder due', "$table: an entry waits");
	$te->sql("$insert VALUES ('${p}browse', 'order', '{}')");
	is($states->('browse'), 'reminder cancelled', "$table: an exit cancels it");
	$te->sql("$insert VALUES ('${p}both', 'browse', '{}'), ('${p}other', 'browse', '{}'), ('${p}both', 'order', '{}')");
	is($states->('both'), 'reminder cancelled', "$table: also within a statement");
	is($states->('other'), 'reminder due', "$table: of that user only");
	$te->sql("BEGIN; $insert VALUES ('${p}undo', 'browse', '{}'); SAVEPOINT s; $insert VALUES ('${p}undo', 'order', '{}'); ROLLBACK TO s; $insert VALUES ('${p}undone', 'browse', '{}'); ROLLBACK TO s; COMMIT");
	is($states->('undo'), 'reminder due', "$table: a rolled back exit never was");
	is($states->('undone'), '', "$table: nor a rolled back entry");

	$te->sql("$insert VALUES ('${p}s', 'signup', '{}'), ('${p}s', 'signup', '{}'); $insert VALUES ('${p}s', 'signup', '{}')");
	is(new_users(), "${p}s", "$table: once means once");
	$te->sql("$insert SELECT '${p}v', 'visit', '{}' FROM generate_series(1, 5)");
	is($te->sql("SELECT count(*) FROM trigger_engine.sends WHERE user_id = '${p}v'"), 2, "$table: a limit of parallel runs holds");

	$te->sql(qq{INSERT INTO $table (user_id, name, properties, dedupe_key) VALUES ('${p}k', 'cart', '{"total": 20}', 'k'), ('${p}k', 'cart', '{"total": 20}', 'k');
INSERT INTO $table (user_id, name, properties, dedupe_key) VALUES ('${p}k', 'cart', '{"total": 20}', 'k'), ('${p}l', 'unwatched', '{}', 'k'), ('${p}l', 'unwatched', '{}', 'k')});
	is(new_users(), "${p}k", "$table: a repeated event fires once");
	is($count->("dedupe_key = 'k'"), 2, "$table: and is not stored again");

	my (undef, undef, $error) = $te->try("$insert VALUES ('${p}x', 'strict', '{}')");
	like($error, qr/violates its schema/, "$table: a schema refuses");
	$te->sql(qq{$insert VALUES ('${p}y', 'lax', '{}'), ('${p}z', 'lax', '{"sku": 1}')});
	is(new_users(), "${p}z", "$table: a schema sets aside");
	is($te->sql("SELECT count(*) FROM trigger_engine.quarantined_events WHERE user_id = '${p}y'"), 1, "$table: what is set aside is in quarantine");
	is($count->("name = 'lax'"), 1, "$table: and no longer in the table");
	(undef, undef, $error) = $te->try("INSERT INTO $table (user_id, name, occurred_at) VALUES ('${p}old', 'cart', '2001-01-01')");
	like($error, qr/older than trigger_engine.event_retention/, "$table: bounds of time hold");
}

# ---- straight into a partition ----

$te->sql(q{INSERT INTO "Shop floor".shard_0 (user_id, name, properties) SELECT 'direct' || i, 'cart', '{"total": 20}' FROM generate_series(1, 100) i
	WHERE satisfies_hash_partition('"Shop floor"."What happened"'::regclass, 2, 0, 'direct' || i)});
my $direct = $te->sql('SELECT count(*) FROM "Shop floor".shard_0 WHERE user_id LIKE \'direct%\'');
cmp_ok($direct, '>', 0, 'rows straight into a partition');
is(scalar(split / /, new_users()), $direct, 'fire');

# ---- the table may change ----

my $session = $te->node->background_psql('postgres');
$session->query_safe(q{INSERT INTO plain (user_id, name, properties, dedupe_key) VALUES ('m1', 'cart', '{"total": 20}', 'm')});
$te->sql('ALTER TABLE plain RENAME TO renamed; ALTER TABLE renamed SET SCHEMA "Shop floor"; ALTER TABLE "Shop floor".renamed ADD COLUMN more int; ALTER TABLE "Shop floor".renamed DROP COLUMN context');
$session->query_safe(q{INSERT INTO "Shop floor".renamed (user_id, name, properties, dedupe_key) VALUES ('m1', 'cart', '{"total": 20}', 'm'), ('m2', 'cart', '{"total": 20}', 'm')});
$session->quit;
is(new_users(), 'm1 m2', 'a renamed and altered table fires on in a session that knew it before');
is($te->sql(q{SELECT count(*) FROM "Shop floor".renamed WHERE dedupe_key = 'm'}), 2, 'and the repeated event was taken from it');

is($te->sql('SELECT count(*) FROM (SELECT user_id, journey_id, entry_key, step FROM trigger_engine.sends GROUP BY 1, 2, 3, 4 HAVING count(*) > 1) s'), 0,
	'no send has two identities');

done_testing();
