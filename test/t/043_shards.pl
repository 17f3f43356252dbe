# Two delivery workers share a database: every message is sent exactly once, and all
# of a user's messages by the same worker, also while one of them comes and goes and
# after the number of workers has changed.
use strict;
use warnings;

use Test::More;
use TriggerEngine;

my $te = TriggerEngine->new(conf => { 'trigger_engine.workers' => 2, 'trigger_engine.drain_timeout' => '300ms' });
my $receiver = $te->receiver;

$te->webhook('hook', $receiver->url('/hook'), max_in_flight => 2000, timeout => '60 s');
$te->journey('first', content => '{"body": "{{ user.user_id }}"}');
$te->journey('second', content => '{"body": "{{ user.user_id }}"}');
$te->sql(q{SELECT trigger_engine.create_template('note', 'in_app', '{"title": "x"}');
SELECT trigger_engine.create_journey('inside', '{"kind": "event", "name": "read"}', '[{"id": "send", "send": "note"}]')});

ok($te->poll(q{SELECT string_agg(worker || ' ' || state, ', ' ORDER BY worker) FROM trigger_engine.worker_status WHERE worker LIKE 'delivery%'}, 'delivery 0 running, delivery 1 running'),
	'two workers run');
is($te->sql(q{SELECT count(DISTINCT pid) FROM trigger_engine.worker_status WHERE worker LIKE 'delivery%'}), 2, 'in two processes');

# ---- many messages ----

$te->events(500, 'cart') for 1, 2;
ok($te->idle(60), 'four messages for each of five hundred users');
my %seen = $receiver->count_ids;
is(scalar keys %seen, 2000, 'all arrive');
is_deeply([ grep { $seen{$_} != 1 } keys %seen ], [], 'each exactly once');
is($te->sql(q{SELECT count(*) FROM trigger_engine.worker_status WHERE worker LIKE 'delivery%' AND accepted >= 600}), 2, 'both workers had their share');
$te->events(500, 'read');
ok($te->idle(60), 'messages without a provider');
is($te->sql('SELECT count(*), count(DISTINCT user_id) FROM trigger_engine.inbox'), '500|500', 'arrive once as well');

# ---- who sends for whom ----

# A user's requests come over connections of one worker only: connections that share
# a user belong together, and there are two such groups at least.
my (%group, %users_of);
push @{ $users_of{ $_->{connection} } }, $_->{body} =~ /"body": ?"([^"]*)"/ for $receiver->received;
sub find { my ($x) = @_; $x = $group{$x} while $group{$x} ne $x; return $x }
for my $connection (keys %users_of)
{
	my $c = "connection $connection";
	$group{$c} = $c;
	for my $user (@{ $users_of{$connection} })
	{
		$group{$user} //= $user;
		$group{ find($user) } = find($c);
	}
}
my %groups = map { find($_) => 1 } keys %group;
cmp_ok(scalar keys %groups, '>=', 2, 'no user is served by both workers');

$receiver->mode('/hook', 'hang');
my $before = $receiver->count;
$te->events(20, 'cart', prefix => 'h') for 1, 2;
ok($receiver->wait_for($before + 80, 30), 'messages are under way');
is($te->sql(q{SELECT count(DISTINCT shard), count(DISTINCT worker_pid) FROM trigger_engine._batches}), '2|2', 'in batches of both workers');
is($te->sql(q{SELECT count(*) FROM (SELECT u FROM trigger_engine._batches, unnest(user_ids) u GROUP BY u HAVING count(DISTINCT shard) > 1) t}), 0,
	'a user is in batches of one of them');

# ---- one of them comes and goes ----

my %pids = map { split /\|/ } split /\n/, $te->sql(q{SELECT worker, pid FROM trigger_engine.worker_status WHERE worker LIKE 'delivery%'});
$receiver->mode('/hook', 'ok');
$te->sql("SELECT pg_terminate_backend($pids{'delivery 1'})");
ok($te->poll(qq{SELECT state = 'running' AND pid <> $pids{'delivery 1'} FROM trigger_engine.worker_status WHERE worker = 'delivery 1'}), 'a worker that was terminated comes back');
is($te->sql(q{SELECT pid FROM trigger_engine.worker_status WHERE worker = 'delivery 0'}), $pids{'delivery 0'}, 'the other one did not care');
ok($te->poll(q{SELECT count(*) > 0 AND bool_and(shard = 0) FROM trigger_engine._batches}), 'its open batches are settled by its successor alone');
ok($te->poll(q{SELECT bool_and(state = 'claimed') FROM trigger_engine.sends WHERE user_id LIKE 'h%' AND state <> 'accepted'}), 'and their messages repeated');

# ---- fewer workers: what the missing one left is not forgotten ----

$te->sql('ALTER SYSTEM SET trigger_engine.workers = 1');
$te->node->restart;
ok($te->poll(q{SELECT count(*) = 1 AND bool_and(state = 'running') FROM trigger_engine.worker_status WHERE worker LIKE 'delivery%'}), 'one worker runs');
ok($te->poll(q{SELECT bool_and(state = 'accepted') FROM trigger_engine.sends}, 't', 60), 'it settles what both left');
%seen = $receiver->count_ids;
is(scalar keys %seen, 2080, 'every message under one identity');
is(scalar(grep { $seen{$_} > 2 } keys %seen), 0, 'repeated once at most');
$te->sql('SELECT trigger_engine.stop_workers()');
$te->events(100, 'cart', prefix => 'n');

# ---- more workers: what waits is divided anew ----

$te->sql('ALTER SYSTEM SET trigger_engine.workers = 3');
$te->node->restart;
ok($te->poll(q{SELECT count(*) = 3 AND bool_and(state = 'running') FROM trigger_engine.worker_status WHERE worker LIKE 'delivery%'}), 'three workers run');
ok($te->idle(60), 'the queue drains');
%seen = $receiver->count_ids;
is(scalar keys %seen, 2280, 'nothing is lost');
is($te->sql('SELECT count(*), count(DISTINCT (user_id, journey_id, entry_key, step)) FROM trigger_engine.sends'), '2780|2780', 'and nothing doubled');

done_testing();
