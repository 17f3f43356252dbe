# What operators do: pause and resume, stop and start workers, wait until the queue
# is idle, move the clock. Each says what it means, and says when it cannot.
use strict;
use warnings;

use Test::More;
use Time::HiRes qw(time);
use TriggerEngine;

my $te = TriggerEngine->new(virtual_clock => 1, conf => { 'trigger_engine.drain_timeout' => '500ms' });
my $receiver = $te->receiver;
my $content = '{"body": "{{ user.user_id }}"}';

sub fails_with
{
	my ($sql, $expected, $what) = @_;
	my ($status, undef, $error) = $te->try($sql);
	ok($status != 0 && $error =~ $expected, $what) or diag $error;
	return;
}
sub delivery
{
	return $te->sql(q{SELECT state || coalesce(': ' || reason, '') FROM trigger_engine.worker_status WHERE worker = 'delivery 0'});
}
sub delivery_becomes
{
	my ($expected, $what) = @_;
	return ok($te->poll(q{SELECT state || coalesce(': ' || reason, '') FROM trigger_engine.worker_status WHERE worker = 'delivery 0'},
			$expected), $what);
}

# ---- before anything is made ----

delivery_becomes('idle: not in use yet: nothing was created here and resume() was not called', 'a new extension idles');
$te->sql('SELECT trigger_engine.resume()');
delivery_becomes('running', 'resume() puts it into use');
$te->webhook('hook', $receiver->url('/hook'), timeout => '60 s');
$te->journey('welcome', content => $content);
$te->journey('later', event => 'browse', wait => '1 hour', content => $content);
my $pid = $te->worker_pid;

# ---- pause and resume ----

$receiver->mode('/hook', 'slow', delay => 3);
$te->event('slow', 'cart');
ok($receiver->wait_for(1, 30), 'a message is under way');
$receiver->mode('/hook', 'ok');
$te->sql(q{SELECT trigger_engine.pause()});
delivery_becomes('idle: paused by postgres', 'pause() without a reason');
$te->events(3, 'cart', prefix => 'p');
is($te->sql(q{SELECT count(*) FROM trigger_engine.sends WHERE state = 'due'}), 3, 'events start journeys all the same');
ok($te->poll(q{SELECT state = 'accepted' FROM trigger_engine.sends WHERE user_id = 'slow'}), 'what was under way is finished and recorded');
is($te->worker_pid, $pid, 'the worker stays');
$te->sql(q{SELECT trigger_engine.pause('waiting for legal')});
delivery_becomes('idle: paused by postgres: waiting for legal', 'a second pause() replaces the reason');
$te->sql(qq{BEGIN;\nSELECT trigger_engine.resume();\nROLLBACK;});
is(delivery(), 'idle: paused by postgres: waiting for legal', 'a resume() that is rolled back resumes nothing');
is($te->sql(q{SELECT state FROM trigger_engine.worker_status WHERE worker = 'maintenance'}), 'running', 'maintenance goes on');
is($receiver->count, 1, 'nothing was sent');
$te->node->restart;
delivery_becomes('idle: paused by postgres: waiting for legal', 'a restart changes nothing');
ok(!$te->idle(1), 'the queue is not idle');
$te->sql('SELECT trigger_engine.resume()');
ok($receiver->wait_for(4, 30), 'resume() goes on');
ok($te->idle, 'to the end');
delivery_becomes('running', 'and is seen');
$te->sql(q{SELECT trigger_engine.pause(repeat('x', 10000))});
ok($te->poll(q{SELECT state = 'idle' AND reason ~ '^paused by postgres: x+$' FROM trigger_engine.worker_status WHERE worker = 'delivery 0'}), 'a reason may be long');
$te->sql('SELECT trigger_engine.resume()');

# ---- stop and start ----

$receiver->mode('/hook', 'hang');
$te->event('hang', 'cart');
ok($receiver->wait_for(5, 30), 'a message is under way');
$receiver->mode('/hook', 'ok');
my $start = time;
is($te->sql(q{SELECT trigger_engine.stop_workers('30 s')}), 't', 'stop_workers() says that they are gone');
cmp_ok(time - $start, '<', 15, 'it does not wait for the receiver');
is($te->sql(q{SELECT count(*) FROM pg_stat_activity WHERE backend_type LIKE 'trigger_engine%' AND datname = current_database()}), 0, 'and they are');
is(delivery(), 'stopped: by stop_workers()', 'worker_status says why');
$te->event('stopped', 'cart');
is($te->sql(q{SELECT string_agg(user_id || ' ' || state, ', ' ORDER BY user_id) FROM trigger_engine.sends WHERE state <> 'accepted'}), 'hang claimed, stopped due', 'messages wait');
is($te->sql(q{SELECT trigger_engine.stop_workers()}), 't', 'stopping twice is no mistake');
is($te->sql(qq{BEGIN;\nSELECT trigger_engine.start_workers();\nROLLBACK;}), '', 'start_workers() is not transactional');
ok($te->wait_for_worker, 'the workers come back');
ok($receiver->wait_for(6, 30), 'what waited is sent');
$te->advance('1 min');
ok($te->poll(q{SELECT bool_and(state = 'accepted') FROM trigger_engine.sends}), 'what was under way, too');
$te->sql('SELECT trigger_engine.stop_workers()');
$te->node->restart;
ok($te->wait_for_worker, 'a restart starts them as well');
is($te->sql('SELECT trigger_engine.start_workers()'), '', 'starting those that run is no mistake');
fails_with(q{SELECT trigger_engine.stop_workers('-1 s')}, qr/timeout must be between/, 'a negative timeout is refused');

# a worker that cannot leave in time: it waits for a lock, and the drain time is longer than ours
$te->sql(q{ALTER SYSTEM SET trigger_engine.drain_timeout = '5s'; SELECT pg_reload_conf()});
my $session = $te->node->background_psql('postgres', on_error_stop => 0);
$session->query_safe("BEGIN;\nLOCK TABLE trigger_engine._due IN ACCESS EXCLUSIVE MODE;");
ok($te->poll(q{SELECT count(*) > 0 FROM pg_locks WHERE relation = 'trigger_engine._due'::regclass AND NOT granted}), 'the worker waits for a lock');
is($te->sql(q{SELECT trigger_engine.stop_workers('200 ms')}), 'f', 'stop_workers() says when they have not left in time');
is($te->sql(q{SELECT trigger_engine.stop_workers('30 s')}), 't', 'they leave at the end of the drain time, lock or not');
$session->query_safe('COMMIT;');
$session->quit;
$te->sql(q{ALTER SYSTEM RESET trigger_engine.drain_timeout; SELECT pg_reload_conf(); SELECT trigger_engine.start_workers()});

# ---- wait_until_idle ----

ok($te->idle, 'nothing is due: idle');
$te->event('b1', 'browse');
ok($te->idle(1), 'what is due in an hour does not count');
$receiver->mode('/hook', 'slow', delay => 2);
$te->event('under way', 'cart');
is($te->sql(q{SELECT trigger_engine.wait_until_idle('200 ms')}), 'f', 'what is under way does');
ok($te->idle, 'until it is answered');
is($te->sql(q{SELECT state FROM trigger_engine.sends WHERE user_id = 'under way'}), 'accepted', 'and recorded');
$receiver->mode('/hook', 'ok');
is($te->sql(q{SELECT trigger_engine.wait_until_idle('0')}), 't', 'a timeout of nothing just looks');
fails_with("BEGIN ISOLATION LEVEL REPEATABLE READ;\nSELECT trigger_engine.wait_until_idle();", qr/cannot see the queue change in a REPEATABLE READ transaction\nHINT:  Call it under READ COMMITTED/, 'it needs READ COMMITTED');
$te->sql('SELECT trigger_engine.stop_workers()');
$te->event('c1', 'cart');
my $waiter = $te->node->background_psql('postgres');
$waiter->query_until(qr/^sent$/m, "\\echo sent\nSELECT trigger_engine.wait_until_idle('60 s');\n");
ok($te->poll(q{SELECT pg_cancel_backend(pid) FROM pg_stat_activity WHERE query ~ 'wait_until_idle' AND state = 'active' AND pid <> pg_backend_pid()}), 'it can be cancelled');
eval { $waiter->quit };
$te->sql('SELECT trigger_engine.start_workers()');
ok($te->idle, 'and goes on');

# ---- the clock ----

my $before = $receiver->count;
$te->set_clock('2026-06-01 10:00:00+00');
is($te->sql(q{SELECT trigger_engine.clock() = '2026-06-01 10:00:00+00'}), 't', 'set_clock() freezes the clock');
$te->event('d1', 'browse');
is($te->sql(q{SELECT occurred_at = '2026-06-01 10:00:00+00' FROM trigger_engine.events WHERE user_id = 'd1'}), 't', 'events happen then');
is($te->sql(q{SELECT due_at = '2026-06-01 11:00:00+00' FROM trigger_engine.sends WHERE user_id = 'd1'}), 't', 'waits start then');
is($te->sql(q{SELECT trigger_engine.advance_clock('59 min') = '2026-06-01 10:59:00+00'}), 't', 'advance_clock() returns where it stands');
ok($te->idle, 'nothing is due a minute before');
is($te->sql(q{SELECT state FROM trigger_engine.sends WHERE user_id = 'd1'}), 'due', 'so it waits');
is($te->sql(qq{BEGIN;\nSELECT trigger_engine.advance_clock('1 min') = '2026-06-01 11:00:00+00';\nROLLBACK;}), 't', 'it moves at once, in or out of a transaction');
ok($te->idle, 'the minute comes');
is($te->sql(q{SELECT state, finished_at = '2026-06-01 11:00:00+00' FROM trigger_engine.sends WHERE user_id = 'd1'}), 'accepted|t', 'and the message goes, by that clock');
$te->sql('CREATE DATABASE other');
$te->in('other')->sql('CREATE EXTENSION trigger_engine');
is($te->in('other')->sql(q{SELECT trigger_engine.clock() = '2026-06-01 11:00:00+00'}), 't', 'it is the clock of all databases');
is($te->sql(q{SELECT trigger_engine.advance_clock('1 month -1 day') = '2026-07-01 11:00:00+00'::timestamptz - interval '1 day'}), 't', 'months are months');
$te->set_clock('2026-06-01 10:00:00+00');
is($te->sql(q{SELECT trigger_engine.clock() = '2026-06-01 10:00:00+00'}), 't', 'it can go back');
fails_with(qq{SELECT trigger_engine.$_}, qr/cannot be set to infinity|out of range/, "$_ is refused") for q{set_clock('infinity')}, q{set_clock('-infinity')}, q{advance_clock('300000 years')};
$te->set_clock(undef);
is($te->sql(q{SELECT trigger_engine.clock() = now()}), 't', 'NULL lets the real clock run');
is($te->sql(q{SELECT abs(extract(epoch FROM trigger_engine.advance_clock('1 day') - now()) - 86400) < 60}), 't', 'advance_clock() starts from there');
$te->node->restart;
is($te->sql(q{SELECT trigger_engine.clock() = now()}), 't', 'a restart forgets it');
$te->node->append_conf('postgresql.conf', 'trigger_engine.virtual_clock = off');
$te->node->restart;
fails_with(qq{SELECT trigger_engine.$_}, qr/the clock cannot be moved on this server\nHINT:  Set trigger_engine.virtual_clock to on/, "without the setting $_ is refused")
  for q{set_clock('2026-01-01')}, q{set_clock(NULL)}, q{advance_clock('1 day')};

unlike($te->log_since, qr/TRAP|PANIC|terminated by signal/, 'nothing crashed');
done_testing();
