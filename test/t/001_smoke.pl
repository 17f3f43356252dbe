# From an inserted event to a signed message at a real HTTP server.
use strict;
use warnings;

use Test::More;
use TriggerEngine;

my $te = TriggerEngine->new;
my $receiver = $te->receiver;
$te->webhook('hook', $receiver->url('/hook'));
$te->journey('welcome', event => 'cart', exit_on => 'order');

ok($te->wait_for_worker, 'a delivery worker runs');

$te->event('u1', 'cart', '{"total": 12}');
ok($receiver->wait_for(1, 10), 'the message arrives');
ok($te->idle, 'nothing is left to do');

my @requests = $receiver->received;
is(scalar @requests, 1, 'it arrives once');
my ($request) = @requests;
is($request->{method}, 'POST', 'as a POST');
like($request->{headers}, qr/^content-type: application\/json/mi, 'of JSON');
like($request->{body}, qr/hello u1/, 'with the rendered text');
ok(Webhook::verify($request, $te->secret('hook')), 'its signature is right');
ok(!Webhook::verify($request, Webhook::new_secret('another')), 'and would not be by another secret');
ok(!Webhook::verify({ %$request, body => "$request->{body} " }, $te->secret('hook')), 'nor for another body');

is($te->sql('SELECT user_id, journey, step, channel, state FROM trigger_engine.sends'),
	'u1|welcome|send|webhook|accepted', 'the send is on record');
is($request->{id} ne '', 1, 'the message has an identity');

$te->event('u2', 'other');
$te->event('u3', 'cart');
ok($te->idle, 'again nothing is left to do');
is($receiver->count, 2, 'an unwatched event sends nothing');

my ($status) = $te->try(q{BEGIN; INSERT INTO trigger_engine.events(user_id, name) VALUES ('u4', 'cart'); ROLLBACK});
is($status, 0, 'an event is rolled back');
ok($te->idle, 'nothing is due');
is($receiver->count, 2, 'and so is its message');

done_testing();
