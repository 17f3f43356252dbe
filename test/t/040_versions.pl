# A library that finds SQL objects of another version: workers idle with a warning,
# functions go on working, and nothing of what came in meanwhile is lost.
use strict;
use warnings;

use Test::More;
use TriggerEngine;

my $te = TriggerEngine->new;
my $receiver = $te->receiver;

$te->webhook('hook', $receiver->url('/hook'));
$te->journey('welcome', content => '{"body": "{{ user.user_id }}"}');
$te->event('u1', 'cart');
ok($te->idle, 'the versions fit');
is($receiver->count, 1, 'and messages are sent');
my $pid = $te->worker_pid;

my $position = $te->log_position;
$te->sql(q{UPDATE pg_extension SET extversion = '0.9' WHERE extname = 'trigger_engine'});
ok($te->poll(q{SELECT count(*) > 0 FROM trigger_engine.worker_status WHERE worker = 'delivery 0' AND state = 'idle' AND reason ~ 'version'}), 'an old version: the worker idles');
my $reason = $te->sql(q{SELECT reason FROM trigger_engine.worker_status WHERE worker = 'delivery 0'});
like($reason, qr/1\.0.*0\.9/, 'its reason names both versions');
like($reason, qr/ALTER EXTENSION trigger_engine UPDATE/, 'and says what to do');
ok(TriggerEngine::wait_until(sub { return $te->log_since($position) =~ /WARNING: .*delivery 0.*version/ }), 'a warning is in the log');

is($te->sql('SELECT trigger_engine.version()'), '1.0', 'functions work: version()');
is($te->sql(q{SELECT trigger_engine.render('hi {{ name }}', '{"name": "Ada"}')}), 'hi Ada', 'render()');
$te->journey('another', event => 'browse', content => '{"body": "{{ user.user_id }}"}');
$te->events(3, 'cart', prefix => 'm');
$te->event('n1', 'browse');
is($te->sql(q{SELECT count(*) FROM trigger_engine.sends WHERE state = 'due'}), 4, 'events start journeys');
ok(!$te->idle(1), 'which wait');
$te->sql(q{CREATE VIEW everybody AS SELECT 'm1'::text AS user_id; SELECT trigger_engine.create_segment('everybody', 'everybody')});
is($te->sql(q{SELECT trigger_engine.in_segment('everybody', 'm1')}), 't', 'segments answer');
$te->sql(q{SELECT trigger_engine.pause('x'); SELECT trigger_engine.resume()});
is($receiver->count, 1, 'nothing is sent, whatever resume() says');
$te->node->restart;
ok($te->poll(q{SELECT count(*) > 0 FROM trigger_engine.worker_status WHERE worker = 'delivery 0' AND state = 'idle' AND reason ~ 'version'}), 'a restart changes nothing');
my @warnings = $te->log_since($position) =~ /(WARNING: .*delivery 0.*version)/g;
is(scalar @warnings, 2, 'each process warned once');

$te->sql(q{UPDATE pg_extension SET extversion = '9.9' WHERE extname = 'trigger_engine'});
ok($te->poll(q{SELECT count(*) > 0 FROM trigger_engine.worker_status WHERE worker = 'delivery 0' AND state = 'idle' AND reason ~ '9[.]9'}), 'a version from the future idles, too');
$te->sql(q{UPDATE pg_extension SET extversion = '1.0' WHERE extname = 'trigger_engine'});
ok($receiver->wait_for(5, 30), 'when the versions fit again, what waited is sent');
ok($te->idle, 'all of it');
is(join(' ', sort map { $_->{body} =~ /"body": ?"([^"]*)"/ } $receiver->received), 'm1 m2 m3 n1 u1', 'each message once');
unlike($te->log_since, qr/TRAP|PANIC|terminated by signal/, 'nothing crashed');

done_testing();
