# The coming and going of the extension while messages are under way: a rolled back
# DROP leaves everything as it was, a committed one ends the workers, a rolled back
# CREATE leaves none, and after DROP and CREATE nothing remembers the old objects.
use strict;
use warnings;

use Test::More;
use Time::HiRes qw(time);
use TriggerEngine;

use constant { HANG => '60 s', PROMPT => 15 };

my $te = TriggerEngine->new(conf => { 'trigger_engine.drain_timeout' => '500ms' });
my $receiver = $te->receiver;
my $start = $te->log_position;

# Runs SQL in a session and gives its error text, empty when there was none.
sub in_session
{
	my ($session, $sql) = @_;

	$session->{stderr} = '';
	$session->query($sql);
	return $session->{stderr};
}

sub timed
{
	my ($action) = @_;
	my $begin = time;
	my $result = $action->();

	return ($result, time - $begin);
}

# Journeys as SQL, for sessions of the test itself.
sub setup_sql
{
	my ($path) = @_;
	my $key = Webhook::new_secret('hook');

	return sprintf q{SET client_min_messages = error;
SELECT trigger_engine.create_provider('hook', 'webhook', '{"url": "%s"}');
SELECT trigger_engine.set_secret('hook', '{"keys": ["%s"]}');
SELECT trigger_engine.create_template('t', 'webhook', '{"body": "{{ user.user_id }}"}');
SELECT trigger_engine.create_journey('welcome', '{"kind": "event", "name": "cart"}', '[{"id": "send", "send": "t", "provider": "hook"}]',
	exit_on => '[{"name": "order"}]');}, $receiver->url($path), $key;
}

# Users whose messages arrived at a path, with repeats.
sub users_at
{
	my ($path) = @_;
	return join ' ', sort map { $_->{body} =~ /"body": ?"([^"]*)"/ } $receiver->received($path);
}

sub workers
{
	my ($db) = @_;
	return $te->sql(sprintf q{SELECT count(*) FROM pg_stat_activity WHERE backend_type LIKE 'trigger_engine%%' AND datname = %s},
		$te->quote($db));
}

# ---- DROP EXTENSION, rolled back ----

$te->webhook('hook', $receiver->url('/a'), timeout => HANG);
$te->journey('welcome', content => '{"body": "{{ user.user_id }}"}');
$receiver->mode('/a', 'hang');
$te->events(5, 'cart');
ok($receiver->wait_for(5, 30), 'messages are under way');
my $pid = $te->worker_pid;

my $session = $te->node->background_psql('postgres', on_error_stop => 0);
my ($error, $seconds) = timed(sub { in_session($session, "BEGIN;\nDROP EXTENSION trigger_engine") });
is($error, '', 'DROP EXTENSION in a transaction');
cmp_ok($seconds, '<', PROMPT, 'it does not wait for the receiver');
ok(TriggerEngine::wait_until(sub { return $te->log_since($start) =~ /is idle: the extension is being dropped or changed/ }),
	'the worker idles meanwhile');
is(in_session($session, 'ROLLBACK'), '', 'it is rolled back');
$receiver->mode('/a', 'ok');
$te->event('u6', 'cart');
ok($receiver->wait_for(6, 30), 'a new event fires');
is($te->worker_pid, $pid, 'the worker went on');
is($te->sql(q{SELECT sum(in_flight) FROM trigger_engine.worker_status}), 5, 'with what it has under way');
is($te->sql(q{SELECT string_agg(state || ' ' || n, ', ' ORDER BY state) FROM (SELECT state, count(*) n FROM trigger_engine.sends GROUP BY state) s}),
	'accepted 1, claimed 5', 'which is still on record');

# ---- DROP EXTENSION, committed ----

my $position = $te->log_position;
($error, $seconds) = timed(sub { in_session($session, 'DROP EXTENSION trigger_engine') });
is($error, '', 'DROP EXTENSION');
cmp_ok($seconds, '<', PROMPT, 'it does not wait for the receiver');
ok(TriggerEngine::wait_until(sub { return workers('postgres') == 0 }), 'the workers leave');
is($te->sql(q{SELECT count(*) FROM pg_class c JOIN pg_namespace n ON n.oid = relnamespace WHERE nspname = 'trigger_engine'}), 0,
	'no table is left of it, nor a partition');
unlike($te->log_since($position), qr/WARNING|ERROR|FATAL|PANIC|TRAP/, 'no complaint is in the log');

# ---- CREATE EXTENSION, rolled back ----

$te->sql('CREATE DATABASE other');
$position = $te->log_position;
$te->sql("BEGIN;\nCREATE EXTENSION trigger_engine;\nROLLBACK;");
$te->sql("BEGIN;\nSAVEPOINT s;\nCREATE EXTENSION trigger_engine;\nROLLBACK TO s;\nCOMMIT;");
my $other = $te->in('other');
$other->sql('CREATE EXTENSION trigger_engine');
ok($other->wait_for_worker, 'a worker comes where CREATE EXTENSION was committed');
is(workers('postgres'), 0, 'none comes where it was rolled back');
unlike($te->log_since($position), qr/started in database "postgres"/, 'nor did one come for a moment');
$other->sql('DROP EXTENSION trigger_engine');
ok(TriggerEngine::wait_until(sub { return workers('other') == 0 }), 'an unused extension can be dropped as well');

# ---- DROP and CREATE in the same session, which used it before ----

my $bystander = $te->node->background_psql('postgres', on_error_stop => 0);
is(in_session($session, "CREATE EXTENSION trigger_engine;\n" . setup_sql('/b')), '', 'CREATE EXTENSION again');
is(in_session($session, q{INSERT INTO trigger_engine.events (user_id, name, dedupe_key) VALUES ('b1', 'cart', 'k');}), '', 'and use it');
is(in_session($bystander, q{INSERT INTO trigger_engine.events (user_id, name, dedupe_key) VALUES ('b2', 'cart', 'k'), ('b2', 'cart', 'k');}),
	'', 'as another session does');
in_session($_, q{SELECT trigger_engine.wait_until_idle()}) for $session, $bystander;
ok($te->idle, 'the queue drains');
is(users_at('/b'), 'b1 b2', 'two messages arrive');

is(in_session($session, "DROP EXTENSION trigger_engine;\nCREATE EXTENSION trigger_engine;\n" . setup_sql('/c')), '',
	'DROP and CREATE in that session');
is(in_session($session, q{INSERT INTO trigger_engine.events (user_id, name, dedupe_key) VALUES ('c1', 'cart', 'k'), ('c1', 'cart', 'k');}),
	'', 'which inserts');
is(in_session($bystander, q{INSERT INTO trigger_engine.events (user_id, name, dedupe_key) VALUES ('c2', 'cart', 'k'), ('c2', 'cart', 'k');}),
	'', 'as does the other one');
ok($receiver->wait_for(10, 30), 'journeys fire');
ok($te->idle, 'the queue drains');
is(users_at('/c'), 'c1 c2', 'each once: dedupe keys hold');
is(in_session($session, q{SELECT trigger_engine.drop_journey('welcome')}), '', 'the session can change journeys');
is(in_session($bystander, q{INSERT INTO trigger_engine.events (user_id, name) VALUES ('c3', 'cart');}), '', 'and the other one');
is($te->sql(q{SELECT count(*) FROM trigger_engine.sends WHERE user_id = 'c3'}), 0, 'sees it');

# ---- both in one transaction, with a segment and a tracked table in use ----

$te->sql(q{CREATE TABLE orders (id int PRIMARY KEY, customer text, total numeric);
CREATE VIEW everybody AS SELECT customer AS user_id FROM orders});
my $use = setup_sql('/%s') . q{
SELECT trigger_engine.create_segment('everybody', 'everybody', or_replace => true);
SELECT trigger_engine.track_table('orders', 'ordered', 'customer');
SELECT trigger_engine.create_journey('thanks', '{"kind": "event", "name": "ordered"}', '[{"id": "send", "send": "t", "provider": "hook"}]', segment => 'everybody');};
is(in_session($session, "BEGIN;\nDROP EXTENSION trigger_engine CASCADE;\nCREATE EXTENSION trigger_engine;\n" . ($use =~ s/%s/d/r) . "\nCOMMIT;"),
	'', 'DROP and CREATE in one transaction') or diag $session->{stderr};
for ([ $session, 1 ], [ $bystander, 2 ])
{
	my ($who, $n) = @$_;

	is(in_session($who, "INSERT INTO orders VALUES ($n, 'd$n', 5);"), '', "session $n inserts into a tracked table");
	is(in_session($who, "SELECT trigger_engine.in_segment('everybody', 'd$n')"), '', "session $n asks for a segment");
	is(in_session($who, "INSERT INTO trigger_engine.events (user_id, name) VALUES ('e$n', 'cart');"), '', "session $n inserts an event");
}
ok(TriggerEngine::wait_until(sub { return users_at('/d') =~ tr/ // >= 3 }), 'journeys on both fire');
ok($te->idle, 'the queue drains');
is(users_at('/d'), 'd1 d2 e1 e2', 'each once');
is(in_session($session, "BEGIN;\nDROP EXTENSION trigger_engine CASCADE;\nCREATE EXTENSION trigger_engine;\n" . ($use =~ s/%s/e/r) . "\nCOMMIT;"),
	'', 'again');
is(in_session($session, "INSERT INTO orders VALUES (3, 'd3', 5);"), '', 'the first session inserts into the tracked table');
is(in_session($bystander, "INSERT INTO orders VALUES (4, 'd4', 5);"), '', 'and so does the other one');
ok(TriggerEngine::wait_until(sub { return users_at('/e') =~ tr/ // >= 1 }), 'the journey fires');
ok($te->idle, 'the queue drains');
is(users_at('/e'), 'd3 d4', 'once for each');

# ---- DROP SCHEMA ----

$position = $te->log_position;
is(in_session($session, 'DROP SCHEMA trigger_engine CASCADE;'), '', 'DROP SCHEMA ... CASCADE takes the extension with it');
ok(TriggerEngine::wait_until(sub { return workers('postgres') == 0 }), 'the workers leave');
is(in_session($bystander, "INSERT INTO orders VALUES (5, 'd5', 5);"), '', 'the table that was tracked is an ordinary one again');
$session->quit;
$bystander->quit;
unlike($te->log_since($start), qr/terminated by signal|PANIC|TRAP|cache lookup failed|could not open relation/, 'nothing crashed or met a stale OID');

done_testing();
