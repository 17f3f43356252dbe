# Without shared_preload_libraries everything but the workers works, and whatever
# needs workers says how to turn them on.
use strict;
use warnings;

use Test::More;
use TriggerEngine;

my $te = TriggerEngine->new(preload => 0);
my $receiver = $te->receiver;

is($te->sql('SHOW shared_preload_libraries'), '', 'nothing is preloaded');
my ($status, $output) = $te->try('SELECT worker, state, reason FROM trigger_engine.worker_status');
like($output, qr/^launcher\|not preloaded\|Add trigger_engine to shared_preload_libraries and restart the server/, 'worker_status says so, and what to do');
is($te->sql(q{SELECT count(*) FROM pg_stat_activity WHERE backend_type LIKE 'trigger_engine%'}), 0, 'no worker runs');

# ---- what works ----

$te->webhook('hook', $receiver->url('/hook'));
$te->journey('welcome', where => '$.total > 10', exit_on => 'order', wait => '1 s', content => '{"body": "{{ user.user_id }}"}');
$te->journey('once', event => 'signup', content => '{"body": "{{ user.user_id }}"}', more => q{reentry => '{"policy": "once"}'});
is($te->sql(q{SELECT string_agg(name || ' ' || state, ', ' ORDER BY name) FROM trigger_engine.journeys}), 'once live, welcome live', 'journeys are made');
is($te->sql(q{SELECT trigger_engine.render('hi {{ name | default: "you" }}', '{}')}), 'hi you', 'templates render');
$te->sql(q{CREATE TABLE members (user_id text); INSERT INTO members VALUES ('u1');
	CREATE VIEW member AS SELECT user_id FROM members; SELECT trigger_engine.create_segment('member', 'member')});
is($te->sql(q{SELECT trigger_engine.in_segment('member', 'u1'), trigger_engine.in_segment('member', 'u2')}), 't|f', 'segments answer');
is($te->sql(q{SELECT string_agg(m, ' ') FROM trigger_engine.segment_members('member') m}), 'u1', 'and list their members');
$te->sql(q{CREATE TABLE orders (id int PRIMARY KEY, customer text); SELECT trigger_engine.track_table('orders', 'signup', 'customer')});

for ([ 'u1', 20 ], [ 'u2', 5 ], [ 'u3', 30 ])
{
	$te->event($_->[0], 'cart', qq({"total": $_->[1]}));
}
$te->event('u3', 'order');
$te->event('u4', 'signup');
$te->event('u4', 'signup');
$te->sql(q{INSERT INTO orders VALUES (1, 'u5');
	INSERT INTO trigger_engine.events (user_id, name, dedupe_key) VALUES ('u6', 'signup', 'k'), ('u6', 'signup', 'k')});
is($te->sql(q{SELECT string_agg(user_id || ' ' || state, ', ' ORDER BY user_id) FROM trigger_engine.sends}),
	'u1 due, u3 cancelled, u4 due, u5 due, u6 due', 'events start and end journeys');
is($te->sql(q{SELECT count(*) FROM trigger_engine.events WHERE user_id = 'u6'}), 1, 'dedupe keys hold');
is($te->sql(q{SELECT trigger_engine.wait_until_idle('1 s')}), 'f', 'the queue is not idle, as nobody drains it');
is($te->sql(q{SELECT count(*) > 0 FROM pg_inherits WHERE inhparent = 'trigger_engine.events'::regclass AND inhrelid <> 'trigger_engine.events_default'::regclass}), 't',
	'there are partitions');
($status, undef, $output) = $te->try('SELECT trigger_engine.maintain()');
is($status, 0, 'maintain() does what the maintenance worker would') or diag $output;
$te->sql(q{SELECT trigger_engine.pause('no hurry')});
$te->sql('CREATE DATABASE other TEMPLATE postgres');
is($te->in('other')->sql('SELECT count(*) FROM trigger_engine._due'), 4, 'a database can be copied');
$te->in('other')->event('u9', 'signup');
is($te->in('other')->sql('SELECT count(*) FROM trigger_engine._due'), 4, 'the copy is fenced here, too');
$te->sql('DROP DATABASE other');

# ---- what does not ----

for my $call (q{stop_workers()}, q{start_workers()}, q{set_clock('2026-01-01')}, q{advance_clock('1 day')})
{
	my $state = $te->sql(qq{DO \$\$ BEGIN PERFORM trigger_engine.$call; EXCEPTION WHEN OTHERS THEN PERFORM set_config('t.state', SQLSTATE, false); END \$\$;
		SELECT current_setting('t.state')});
	my (undef, undef, $error) = $te->try("SELECT trigger_engine.$call");

	is($state, 'TE004', "$call fails with a code of its own");
	like($error, qr/trigger_engine is not preloaded, so there are no workers\nHINT:  Add trigger_engine to shared_preload_libraries and restart the server/,
		"$call says how to turn workers on");
}
for my $setting ('workers', 'virtual_clock', 'databases', 'max_databases')
{
	my ($status) = $te->try("LOAD 'trigger_engine'; SET trigger_engine.$setting = '2'");
	isnt($status, 0, "trigger_engine.$setting cannot be set in a session");
}

# ---- a session that loads the library by itself is no different ----

is($te->sql(q{LOAD 'trigger_engine'; SELECT state FROM trigger_engine.worker_status}), 'not preloaded', 'LOAD starts nothing');
is($receiver->count, 0, 'nothing was sent up to here');

# ---- turning it on ----

$te->node->append_conf('postgresql.conf', "shared_preload_libraries = 'trigger_engine'\n");
$te->node->restart;
ok($te->wait_for_worker, 'preloaded, a worker comes');
ok($te->poll(q{SELECT count(*) > 0 FROM trigger_engine.worker_status WHERE worker = 'delivery 0' AND reason ~ 'paused by .*: no hurry'}), 'the pause still holds');
$te->sql('SELECT trigger_engine.resume()');
ok($receiver->wait_for(4, 30), 'what waited is sent');
ok($te->idle, 'all of it');
is(join(' ', sort map { $_->{body} =~ /"body": ?"([^"]*)"/ } $receiver->received), 'u1 u4 u5 u6', 'each once');

done_testing();
