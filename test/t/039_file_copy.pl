# A copy of the files, taken while messages were being sent and started as a server
# of its own, has the identity of the original in every respect but the setting
# trigger_engine.installation: under another name it keeps still until resume().
use strict;
use warnings;

use Test::More;
use TriggerEngine;

my $te = TriggerEngine->new(streaming => 1, conf => { 'trigger_engine.installation' => 'production' });
my $receiver = $te->receiver;

$te->webhook('hook', $receiver->url('/original'), timeout => '60 s');
$te->journey('welcome', content => '{"body": "{{ user.user_id }}"}');
$te->journey('later', event => 'browse', wait => '2 s', content => '{"body": "{{ user.user_id }}"}');
$te->events(5, 'cart');
ok($te->idle, 'messages of the original');
$receiver->mode('/original', 'hang');
$te->events(3, 'cart', prefix => 'h');
ok($receiver->wait_for(8, 30), 'some are under way');
$te->events(2, 'browse', prefix => 'w');
$te->node->backup('copy');

my $node = PostgreSQL::Test::Cluster->new('copy');
$node->init_from_backup($te->node, 'copy');
$node->append_conf('postgresql.conf', "trigger_engine.installation = 'staging'\n");
$receiver->mode('/original', 'ok');
ok($te->poll(q{SELECT count(*) = 0 FROM trigger_engine._due}), 'the original goes on');
my $before = $receiver->count;
$node->start;
my $copy = TriggerEngine->wrap($node);

ok($copy->poll(q{SELECT count(*) = 2 FROM trigger_engine.worker_status WHERE worker <> 'launcher' AND state = 'idle'}), 'workers of the copy idle');
like($copy->sql(q{SELECT DISTINCT reason FROM trigger_engine.worker_status WHERE worker <> 'launcher'}),
	qr/the stamp belongs to installation "production", and trigger_engine.installation is "staging"; call trigger_engine.resume/, 'and say why');
is($copy->sql('SELECT state, count(*) FROM trigger_engine.sends GROUP BY state ORDER BY state'), "accepted|5\nclaimed|3\ndue|2",
	'it has what the original had');
$copy->events(5, 'cart', prefix => 'x');
is($copy->sql(q{SELECT count(*) FROM trigger_engine.sends WHERE user_id LIKE 'x%'}), 0, 'events of the copy start nothing');
is($receiver->count, $before, 'nothing was sent');

# the name is what counts, and a reload changes it at once
$copy->sql(sprintf q{SET client_min_messages = error; SELECT trigger_engine.alter_provider('hook', '{"url": "%s"}')}, $receiver->url('/copy'));
$copy->sql(q{ALTER SYSTEM SET trigger_engine.installation = 'qa'; SELECT pg_reload_conf()});
ok($copy->poll(q{SELECT bool_or(reason ~ 'is "qa"') FROM trigger_engine.worker_status}), 'a reload changes the name');
$copy->sql('SELECT trigger_engine.resume()');
ok($copy->poll(q{SELECT count(*) = 2 FROM trigger_engine.worker_status WHERE worker <> 'launcher' AND state = 'running'}), 'resume() lifts the fence');
ok($copy->poll(q{SELECT count(*) = 2 FROM trigger_engine.sends WHERE user_id LIKE 'w%' AND state = 'accepted'}), 'what waited is sent from here as well');
is($copy->sql(q{SELECT string_agg(user_id, ' ' ORDER BY user_id) FROM trigger_engine.sends WHERE state = 'unknown'}), 'h1 h2 h3', 'what was under way is unknown');
$copy->events(2, 'cart', prefix => 'new');
ok($copy->idle, 'new events');
is(join(' ', sort map { $_->{body} =~ /"body": ?"([^"]*)"/ } $receiver->received('/copy')), 'new1 new2 w1 w2', 'fire, and nothing was repeated');

$copy->sql(q{ALTER SYSTEM SET trigger_engine.installation = 'another'; SELECT pg_reload_conf()});
ok($copy->poll(q{SELECT bool_or(state = 'idle' AND reason ~ 'installation "qa"') FROM trigger_engine.worker_status}), 'another name fences it again');
my $session = $node->background_psql('postgres');
$session->query_safe(q{INSERT INTO trigger_engine.events (user_id, name) VALUES ('y1', 'cart')});
$copy->sql(q{ALTER SYSTEM SET trigger_engine.installation = 'qa'; SELECT pg_reload_conf()});
ok($copy->poll(q{SELECT count(*) = 2 FROM trigger_engine.worker_status WHERE worker <> 'launcher' AND state = 'running'}), 'the old one opens it');
ok(TriggerEngine::wait_until(sub { return $session->query_safe('SHOW trigger_engine.installation') eq 'qa' }), 'a session knows it');
$session->query_safe(q{INSERT INTO trigger_engine.events (user_id, name) VALUES ('y2', 'cart')});
$session->quit;
ok($copy->idle, 'of its events');
is($copy->sql(q{SELECT string_agg(user_id, ' ') FROM trigger_engine.sends WHERE user_id LIKE 'y%'}), 'y2', 'only those fire that come while the name is right');

$node->stop;
done_testing();
