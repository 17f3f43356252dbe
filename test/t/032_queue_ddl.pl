# Maintenance of the queue's tables while a slow receiver keeps messages under way:
# TRUNCATE, VACUUM FULL, ALTER TABLE and the like get their locks at once, since no
# transaction is open while a message is under way, and the worker goes on.
use strict;
use warnings;

use Test::More;
use TriggerEngine;

my $te = TriggerEngine->new(conf => { 'deadlock_timeout' => '1s' });
my $receiver = $te->receiver;

$te->webhook('hook', $receiver->url('/hook'), timeout => '60 s');
$te->journey('welcome', content => '{"body": "{{ user.user_id }}"}');
$te->journey('later', event => 'browse', wait => '1 day');
$te->events(3, 'browse', prefix => 'waiting');
my $position = $te->log_position;

# Runs statements none of which may wait: a message under way would hold a lock for
# as long as the receiver takes.
sub return_at_once
{
	my ($what, @statements) = @_;
	my ($status, undef, $error) = $te->try(join ";\n", "SET lock_timeout = '5s'", @statements, '');

	is($status, 0, "$what: every statement gets its lock") or diag $error;
	return;
}

# Hands over messages of n users that are answered late.
my $users = 0;
sub send_slowly
{
	my ($n) = @_;
	my $before = $receiver->count;

	$receiver->mode('/hook', 'slow', delay => 10);
	$te->events($n, 'cart', from => $users + 1);
	$users += $n;
	ok($receiver->wait_for($before + $n, 30), "$n messages are under way");
	$receiver->mode('/hook', 'ok');
	return;
}

send_slowly(10);
my $pid = $te->worker_pid;
return_at_once('maintenance',
	'VACUUM (FULL) trigger_engine._due',
	'VACUUM (FULL) trigger_engine._batches',
	'VACUUM (FULL) trigger_engine._send_keys',
	'CLUSTER trigger_engine._due USING _due_order',
	'REINDEX TABLE trigger_engine._due',
	'REINDEX TABLE CONCURRENTLY trigger_engine._batches',
	'ALTER TABLE trigger_engine._due SET (fillfactor = 90)',
	'ALTER TABLE trigger_engine._batches SET (fillfactor = 90)',
	'ALTER TABLE trigger_engine._due ALTER COLUMN note SET STATISTICS 10',
	'ALTER TABLE trigger_engine._enrollments SET (fillfactor = 75)',
	'ANALYZE trigger_engine._due');
is($te->sql(q{SELECT count(*) FROM trigger_engine.sends WHERE state = 'claimed'}), 10, 'all that while the messages are under way');
$te->event('after', 'cart');
ok($te->poll(q{SELECT state = 'accepted' FROM trigger_engine.sends WHERE user_id = 'after'}), 'the worker goes on meanwhile');
is($te->sql(q{SELECT count(*) FROM trigger_engine.sends WHERE state = 'due'}), 3, 'what waits still waits');

# ---- TRUNCATE takes rows away under the worker ----

send_slowly(10);
return_at_once('TRUNCATE', 'TRUNCATE trigger_engine._due', 'TRUNCATE trigger_engine._batches');
is($te->sql(q{SELECT count(*) FROM trigger_engine.sends WHERE state IN ('due', 'claimed')}), 0, 'the queue is empty');
$te->event('after truncate', 'cart');
ok($te->poll(q{SELECT state = 'accepted' FROM trigger_engine.sends WHERE user_id = 'after truncate'}), 'the worker goes on');
ok($te->poll(q{SELECT count(*) = 22 FROM trigger_engine.sends WHERE state = 'accepted'}),
	'it even records the answers of what was under way');

# ---- a lock that somebody keeps ----

my $session = $te->node->background_psql('postgres');
$session->query_safe("BEGIN;\nLOCK TABLE trigger_engine._due IN SHARE MODE;");
my $before = $receiver->count;
my $inserter = $te->node->background_psql('postgres');
$inserter->query_until(qr/^sent$/m, "\\echo sent\nINSERT INTO trigger_engine.events (user_id, name) VALUES ('held up', 'cart');\n");
ok($te->poll(q{SELECT count(*) > 0 FROM pg_locks WHERE relation = 'trigger_engine._due'::regclass AND NOT granted}), 'somebody waits for the lock');
is($receiver->count, $before, 'nothing is sent');
$session->query_safe('COMMIT;');
$inserter->query_safe('SELECT 1;');
ok($receiver->wait_for($before + 1, 30), 'when the lock goes, all goes on');
ok($te->idle, 'to the end');
$session->quit;
$inserter->quit;

is($te->worker_pid, $pid, 'one worker did all this');
my %seen = $receiver->count_ids;
is_deeply([ grep { $seen{$_} != 1 } keys %seen ], [], 'every message was sent once');
is(scalar keys %seen, 23, 'and none was lost');
unlike($te->log_since($position), qr/ERROR|FATAL|PANIC|TRAP|deadlock/, 'no complaint is in the log');

done_testing();
