# A standby runs no workers and reads what is replicated. When it is promoted they
# start by themselves: what was sent is not sent again, what was under way is
# repeated under its own identity, what waits is sent when its time comes.
use strict;
use warnings;

use Test::More;
use TriggerEngine;

my $te = TriggerEngine->new(streaming => 1, virtual_clock => 1);
my $receiver = $te->receiver;

$te->set_clock('2026-03-01 12:00:00+00');
$te->webhook('hook', $receiver->url('/hook'), timeout => '60 s');
$te->journey('welcome', content => '{"body": "{{ user.user_id }}"}');
$te->journey('later', event => 'browse', wait => '1 hour', content => '{"body": "{{ user.user_id }}"}');
$te->sql(q{CREATE TABLE members (user_id text); INSERT INTO members VALUES ('u1');
CREATE VIEW member AS SELECT user_id FROM members; SELECT trigger_engine.create_segment('member', 'member')});

$te->node->backup('base');
my $node = PostgreSQL::Test::Cluster->new('standby');
$node->init_from_backup($te->node, 'base', has_streaming => 1);
$node->start;
my $standby = TriggerEngine->wrap($node);

$te->events(10, 'cart');
ok($te->idle, 'messages of the primary');
is($receiver->count, 10, 'are sent');
$te->events(5, 'browse', prefix => 'waiting');
$receiver->mode('/hook', 'hang');
$te->events(3, 'cart', prefix => 'hanging');
ok($receiver->wait_for(13, 30), 'some are under way');
my ($primary_batches) = $te->sql('SELECT count(*) FROM trigger_engine._batches');
$te->node->wait_for_catchup('standby', 'replay');

# ---- while it is a standby ----

is($standby->sql(q{SELECT count(*) FROM pg_stat_activity WHERE backend_type LIKE 'trigger_engine%'}), 0, 'no worker runs on the standby');
is($standby->sql(q{SELECT DISTINCT state FROM trigger_engine.worker_status}), 'absent', 'worker_status says so');
is($standby->sql(q{SELECT bool_and(reason ~ 'recovery') FROM trigger_engine.worker_status}), 't', 'and why');
is($standby->sql('SELECT state, count(*) FROM trigger_engine.sends GROUP BY state ORDER BY state'), "accepted|10\nclaimed|3\ndue|5",
	'it shows what the primary does');
is($standby->sql(q{SELECT trigger_engine.in_segment('member', 'u1'), trigger_engine.in_segment('member', 'u2')}), 't|f', 'segments can be read');
is($standby->sql(q{SELECT trigger_engine.render('hi {{ name }}', '{"name": "Ada"}')}), 'hi Ada', 'templates render');
my ($status, undef, $error) = $standby->try(q{INSERT INTO trigger_engine.events (user_id, name) VALUES ('u1', 'cart')});
like($error, qr/read-only transaction/, 'events cannot be inserted');
($status, undef, $error) = $standby->try('SELECT trigger_engine.resume()');
like($error, qr/read-only transaction/, 'nor can resume() be called');
for my $function ('start_workers()', q{stop_workers('1 s')})
{
	($status, undef, $error) = $standby->try("SELECT trigger_engine.$function");
	is($standby->sql(q{SELECT count(*) FROM pg_stat_activity WHERE backend_type LIKE 'trigger_engine%'}), 0, "$function starts nothing");
}
is($receiver->count, 13, 'nothing was sent from it');
$standby->sql('SELECT trigger_engine.start_workers()');

# ---- promotion ----

$te->node->stop('immediate');
$receiver->mode('/hook', 'ok');
$standby->sql(q{SELECT trigger_engine.set_clock('2026-03-01 12:00:00+00')});
$node->promote;
ok($standby->wait_for_worker, 'a worker starts on the promoted server');
ok($standby->poll(q{SELECT count(*) = 2 FROM trigger_engine.worker_status WHERE worker <> 'launcher' AND state = 'running'}),
	'it runs: a standby is the same installation');
$standby->advance('1 min');
ok($standby->poll(q{SELECT count(*) = 13 FROM trigger_engine.sends WHERE state = 'accepted'}), 'what was under way is repeated');
my %seen = $receiver->count_ids;
is(scalar(grep { $seen{$_} == 2 } keys %seen), 3, 'under its own identity');
is(scalar(grep { $seen{$_} == 1 } keys %seen), 10, 'and nothing else is');
is($standby->sql(q{SELECT count(*) FROM trigger_engine.attempts WHERE outcome = 'unknown'}), 3, 'its first attempt stays on record as unknown');

$standby->advance('1 hour');
ok($standby->idle, 'time passes');
%seen = $receiver->count_ids;
is(scalar keys %seen, 18, 'what waited on the primary is sent');
$standby->events(5, 'cart', prefix => 'new');
ok($standby->idle, 'new events');
%seen = $receiver->count_ids;
is(scalar keys %seen, 23, 'fire, with identities that were not used before');
is(join(' ', sort map { $_->{body} =~ /"body": ?"([^"]*)"/ } $receiver->received), join(' ', sort +(map { ("u$_") } 1 .. 10),
		(map { ("hanging$_") x 2 } 1 .. 3), (map { "waiting$_" } 1 .. 5), (map { "new$_" } 1 .. 5)),
	'everybody got what was meant for them');

$node->stop('fast');
done_testing();
