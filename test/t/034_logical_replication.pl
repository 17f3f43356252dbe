# A logical subscriber with an engine of its own. By default replicated events fire
# nothing there, so that nobody gets a message twice; with the capture trigger set
# to REPLICA or ALWAYS they fire, each once, though apply fires row triggers only
# and no statement trigger. Publisher and subscriber are databases of one server.
use strict;
use warnings;

use Test::More;
use TriggerEngine;

my $pub = TriggerEngine->new(streaming => 1, conf => { 'wal_level' => 'logical' });
my $receiver = $pub->receiver;
$pub->sql('CREATE DATABASE replica');
my $sub = $pub->in('replica');
$sub->sql('CREATE EXTENSION trigger_engine');

for ([ $pub, '/pub' ], [ $sub, '/sub' ])
{
	my ($te, $path) = @$_;

	$te->webhook('hook', $receiver->url($path));
	$te->journey('welcome', event => 'cart', where => '$.total > 10', content => '{"body": "{{ user.user_id }}"}');
	$te->journey('reminder', event => 'browse', wait => '1 day', exit_on => 'order', content => '{"body": "{{ user.user_id }}"}');
	$te->journey('thanks', event => 'paid', content => '{"body": "{{ user.user_id }}"}');
	$te->sql(q{CREATE TABLE payments (id int PRIMARY KEY, customer text, amount numeric);
		SELECT trigger_engine.track_table('payments', 'paid', 'customer')});
}

# Users whose messages came to a path, with repeats.
sub users_at
{
	my ($path) = @_;
	return join ' ', sort map { $_->{body} =~ /"body": ?"([^"]*)"/ } $receiver->received($path);
}

# Waits until the subscriber has applied everything.
sub caught_up
{
	$pub->node->wait_for_catchup('subscriber');
	return $pub->idle && $sub->idle;
}

$pub->sql(q{CREATE PUBLICATION events FOR TABLE trigger_engine.events, payments WITH (publish = 'insert', publish_via_partition_root = true);
	SELECT pg_create_logical_replication_slot('subscriber', 'pgoutput')});
$sub->sql(sprintf q{CREATE SUBSCRIPTION subscriber CONNECTION '%s' PUBLICATION events WITH (create_slot = false, slot_name = 'subscriber', copy_data = false)},
	$pub->node->connstr('postgres') =~ s/'/''/gr);

# ---- as it comes ----

$pub->events(50, 'cart', properties => '{"total": 20}');
$pub->events(10, 'browse', prefix => 'b');
$pub->sql(q{INSERT INTO payments SELECT i, 'p' || i, i FROM generate_series(1, 5) i});
ok(caught_up(), 'events are replicated');
is(scalar(() = $receiver->received('/pub')), 55, 'they fire at the publisher');
is(users_at('/sub'), '', 'and not at the subscriber');
is($sub->sql('SELECT count(*) FROM trigger_engine._due'), 0, 'nor do they wait there');
$sub->event('local', 'cart', '{"total": 11}');
ok($sub->idle, 'an event of the subscriber itself');
is(users_at('/sub'), 'local', 'fires');

# ---- REPLICA: replicated events fire, and only they ----

$sub->sql('ALTER TABLE trigger_engine.events ENABLE REPLICA TRIGGER _capture; ALTER TABLE payments ENABLE REPLICA TRIGGER trigger_engine_capture');
$receiver->clear;
$pub->sql(q{BEGIN;
INSERT INTO trigger_engine.events (user_id, name, properties) SELECT 'r' || i, 'cart', jsonb_build_object('total', i) FROM generate_series(1, 20) i;
SAVEPOINT s;
INSERT INTO trigger_engine.events (user_id, name, properties) VALUES ('rolled back', 'cart', '{"total": 20}');
ROLLBACK TO s;
INSERT INTO trigger_engine.events (user_id, name, properties, dedupe_key) VALUES ('d1', 'cart', '{"total": 20}', 'k'), ('d1', 'cart', '{"total": 20}', 'k');
INSERT INTO payments VALUES (10, 'p10', 1);
COMMIT;});
ok(caught_up(), 'a transaction of events is replicated');
my $expected = join ' ', sort 'd1', 'p10', map { "r$_" } 11 .. 20;
is(users_at('/pub'), $expected, 'it fires at the publisher');
is(users_at('/sub'), $expected, 'and at the subscriber, each event that matches, once');
$receiver->clear;
$sub->event('local', 'cart', '{"total": 11}');
ok($sub->idle, 'an event of the subscriber itself');
is(users_at('/sub'), '', 'does not fire under REPLICA');

# ---- ALWAYS: both ----

$sub->sql('ALTER TABLE trigger_engine.events ENABLE ALWAYS TRIGGER _capture; ALTER TABLE payments ENABLE ALWAYS TRIGGER trigger_engine_capture');
$receiver->clear;
$pub->sql(q{COPY trigger_engine.events (user_id, name, properties) FROM PROGRAM 'for i in $(seq 1 2500); do echo "c$i cart {\"total\":20}"; done' WITH (DELIMITER ' ')});
$sub->event('local', 'cart', '{"total": 11}');
ok(caught_up(), 'a COPY is replicated');
ok($receiver->wait_for(5001, 60), 'and fires on both sides');
ok(caught_up(), 'to the end');
my %seen;
$seen{ $_->{body} =~ /"body": ?"([^"]*)"/ ? $1 : '' }++ for $receiver->received('/sub');
is(scalar keys %seen, 2501, 'at the subscriber for every event, its own too');
is_deeply([ grep { $seen{$_} != 1 } keys %seen ], [], 'once for each');

# an exit that is replicated cancels what is due
$pub->events(10, 'browse', prefix => 'x');
$pub->events(4, 'order', prefix => 'x');
ok(caught_up(), 'entries and exits are replicated');
for ([ $pub, 'publisher' ], [ $sub, 'subscriber' ])
{
	my ($te, $what) = @$_;

	is($te->sql(q{SELECT state, count(*) FROM trigger_engine.sends WHERE user_id LIKE 'x%' GROUP BY state ORDER BY state}),
		"cancelled|4\ndue|6", "exits count at the $what");
}

# a new partition has the trigger as its parent has it
is($sub->sql(q{SELECT string_agg(DISTINCT tgenabled::text, ',') FROM pg_trigger WHERE tgname = '_capture'}), 'A', 'all partitions fire alike');
$sub->sql(q{SELECT trigger_engine._new_partition('trigger_engine.events', 'occurred_at', '2021-01-04', '2021-01-11')});
is($sub->sql(q{SELECT string_agg(DISTINCT tgenabled::text, ',') FROM pg_trigger WHERE tgname = '_capture'}), 'A', 'a new one too');

unlike($pub->log_since, qr/ERROR|terminated by signal|PANIC|TRAP/, 'nothing failed');
$sub->sql('ALTER SUBSCRIPTION subscriber DISABLE');
$sub->sql('ALTER SUBSCRIPTION subscriber SET (slot_name = NONE); DROP SUBSCRIPTION subscriber');
$pub->sql(q{SELECT pg_drop_replication_slot('subscriber') FROM pg_replication_slots WHERE NOT active});
done_testing();
