# Standard Webhooks 1.0: identity, timestamp of the attempt, signature over the exact
# bytes, two keys while they are rotated.
use strict;
use warnings;

use JSON::PP;
use Test::More;
use Time::HiRes qw(time sleep);
use TriggerEngine;

my $te = TriggerEngine->new(virtual_clock => 1);
my $receiver = $te->receiver;
my ($old, $new, $other) = map { Webhook::new_secret($_) } qw(old new other);
$te->webhook('hook', $receiver->url('/hook'), keys => [$old]);
ok($te->wait_for_worker, 'a delivery worker runs');

# The value of a header of a request, which must be there once.
sub header
{
	my ($request, $name) = @_;
	my @values = $request->{headers} =~ /^\Q$name\E:[ \t]*([^\r\n]*)/mig;
	return @values == 1 ? $values[0] : scalar(@values) . ' values';
}

# Sends one event and returns the request it led to.
sub request_for
{
	my ($user, $event, $properties) = @_;
	my $before = $receiver->count;

	$te->event($user, $event, $properties);
	$receiver->wait_for($before + 1) or diag('no request');
	$te->idle;
	return ($receiver->received)[-1];
}

sub set_keys
{
	$te->sql(sprintf q{SET client_min_messages = error; SELECT trigger_engine.set_secret('hook', %s)},
		$te->quote(TriggerEngine::json({ keys => [@_] })));
	return;
}

# ---- one message ----

my $content = { body => "He said: \"\x{fc}ber\" \x{1F600} \\ / \t \x{2028} {{ event.what }}", number => 1.50, list => [ 1, 'a', undef ] };
$te->journey('cart_mail', event => 'cart', content => encode_json($content));
my $what = "\x{e9}\x{4e2d}\x{6587}\"\\\n";
my $request = request_for("u-\x{fc}-1" =~ s/\x{fc}/\xc3\xbc/r, 'cart', encode_json({ what => $what }));

is($request->{method}, 'POST', 'a POST');
like(header($request, 'content-type'), qr{^application/json(?:$|;)}, 'of JSON');
like($request->{id}, qr/^msg_[0-9a-f]{32}$/, 'with an identity without a dot');
is($request->{id}, $te->sql(q{SELECT 'msg_' || left(encode(sha256(
	sha256(convert_to(concat_ws(E'\n', t.system_identifier, t.database_oid, t.extension_oid, t.installation), 'UTF8'))
	|| string_agg(convert_to(part, 'UTF8') || '\\x00', '' ORDER BY n)), 'hex'), 32)
	FROM trigger_engine._stamp t, trigger_engine.sends s
	CROSS JOIN LATERAL unnest(ARRAY[s.journey_id::text, s.user_id, s.entry_key, s.step, s.channel, 'normal']) WITH ORDINALITY AS u(part, n)
	GROUP BY t.system_identifier, t.database_oid, t.extension_oid, t.installation}), 'which anybody can compute');
is(header($request, 'webhook-id'), $request->{id}, 'once');
like($request->{timestamp}, qr/^\d{10,}$/, 'a timestamp in whole seconds');
like($request->{signature}, qr{^v1,[A-Za-z0-9+/]{43}=$}, 'and one signature');
ok(Webhook::verify($request, $old), 'which is right for the bytes that arrived');
ok(!Webhook::verify({ %$request, body => $request->{body} =~ s/"type"/"Type"/r }, $old), 'and for no others');
ok(!Webhook::verify({ %$request, id => 'msg_other' }, $old), 'nor for another identity');
ok(!Webhook::verify({ %$request, timestamp => $request->{timestamp} - 1 }, $old), 'nor for another time');
is(header($request, 'content-length'), length $request->{body}, 'the length is that of the bytes');
unlike($request->{headers}, qr/^(?:expect|transfer-encoding|cookie|proxy-[a-z-]+):/mi, 'no header that should not be there');

my $message = eval { JSON::PP->new->utf8->decode($request->{body}) };
ok(ref $message eq 'HASH', 'the body is JSON') or diag($@);
like($message->{type}, qr/^[a-zA-Z0-9_]+(?:\.[a-zA-Z0-9_]+)+$/, 'it has a type with a dot');
like($message->{timestamp}, qr/^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(?:\.\d+)?(?:Z|[+-]\d\d:\d\d)$/, 'an ISO 8601 time');
is(ref $message->{data}, 'HASH', 'and data');
is($message->{data}{user_id}, "u-\x{fc}-1", 'the user');
is($message->{data}{send_id}, $te->sql('SELECT send_id FROM trigger_engine.sends'), 'our send id');
like($message->{data}{content}{body}, qr/^\QHe said: "\E\x{fc}\Qber" \E\x{1F600}/, 'the text in any alphabet');
like($message->{data}{content}{body}, qr/\Q$what\E$/, 'with what the event said');
is_deeply($message->{data}{content}{list}, [ 1, 'a', undef ], 'other members as they are');

# a claim that was lost, as by a failover, is made again: another number, the same identity
$te->sql(q{WITH gone AS (DELETE FROM trigger_engine._sends RETURNING *), k AS (DELETE FROM trigger_engine._send_keys), r AS (DELETE FROM trigger_engine._enrollments)
	INSERT INTO trigger_engine._due (user_id, journey_id, entry_key, step, lane, due_at, event_id, event_at, version)
	SELECT user_id, journey_id, entry_key, step, trigger_engine._lane(journey_id, version, step), due_at, event_id, event_at, version FROM gone});
ok($receiver->wait_for(2), 'a message whose claim was lost goes again');
ok($te->idle, 'and is accepted');
my $again = ($receiver->received)[-1];
is($again->{id}, $request->{id}, 'under the same identity');
isnt(JSON::PP->new->utf8->decode($again->{body})->{data}{send_id}, $message->{data}{send_id}, 'although it has another number');

# ---- many messages: identities ----

$te->events(200, 'cart', properties => encode_json({ what => 'x' x 30_000 }));
ok($te->idle, '200 messages of 30 kB');
my @requests = $receiver->received;
is(scalar keys %{ { map { $_->{id} => 1 } @requests } }, 201, 'have an identity each');
is(scalar(grep { !Webhook::verify($_, $old, tolerance => 60) } @requests), 0, 'and a right signature');
cmp_ok(length $requests[-1]{body}, '>', 30_000, 'long bodies are whole');
is(scalar(grep { !eval { decode_json($_->{body}); 1 } } @requests), 0, 'and JSON');

# ---- the timestamp is that of the attempt ----

# an event of the virtual past, a message that waits two hours, and an attempt that fails
$te->set_clock($te->sql(q{SELECT clock_timestamp() - interval '12 h'}));
$te->journey('later', event => 'later', wait => '2 h');
$receiver->mode('/hook', 'status', status => 500, times => 1);
my $before = $receiver->count;
$te->event('u1', 'later');
ok($te->idle, 'the message waits');
$te->advance('2 h');
ok($receiver->wait_for($before + 1), 'its first attempt');
$te->idle;
my $first = ($receiver->received)[-1];
TriggerEngine::wait_until(sub { int(time) > $first->{timestamp} + 1 });
$te->advance('6 s');
ok($receiver->wait_for($before + 2), 'its second attempt');
ok($te->idle, 'which is accepted');
my $second = ($receiver->received)[-1];
is($first->{status} . ' ' . $second->{status}, '500 200', 'after one that failed');
is($second->{id}, $first->{id}, 'has the identity of the first');
is($second->{body}, $first->{body} =~ s/"timestamp":"[^"]*"/($second->{body} =~ m{("timestamp":"[^"]*")})[0]/er,
	'the same body, but for a timestamp');
cmp_ok($second->{timestamp}, '>', $first->{timestamp} + 1, 'and its own timestamp');
for ($first, $second)
{
	cmp_ok(abs($_->{timestamp} - $_->{time}), '<', 60, 'close to its arrival, as verifiers demand');
	ok(Webhook::verify($_, $old, tolerance => 60), 'with a right signature');
}

# ---- keys are rotated ----

$te->sql('SELECT trigger_engine.set_clock(NULL)');
set_keys($new, $old);
$request = request_for('rotating', 'cart');
like($request->{signature}, qr{^v1,\S{44} v1,\S{44}$}, 'two keys: two signatures');
ok(Webhook::verify($request, $new), 'the new key verifies');
ok(Webhook::verify($request, $old), 'the old one as well');
ok(!Webhook::verify($request, $other), 'another does not');

set_keys($new);
$request = request_for('rotated', 'cart');
like($request->{signature}, qr{^v1,\S{44}$}, 'one key: one signature');
ok(Webhook::verify($request, $new), 'the new key verifies');
ok(!Webhook::verify($request, $old), 'the old one does not any more');

# a message that waits for its second attempt is signed by the keys of that time
$te->set_clock($te->sql('SELECT clock_timestamp()'));
$receiver->mode('/hook', 'status', status => 503, times => 1);
$request = request_for('between', 'cart');
set_keys($other);
$te->advance('6 s');
ok($te->idle, 'the keys change between two attempts');
my $last = ($receiver->received)[-1];
is($last->{id}, $request->{id}, 'the same message');
ok(Webhook::verify($request, $new) && !Webhook::verify($request, $other), 'first by the former key');
ok(Webhook::verify($last, $other) && !Webhook::verify($last, $new), 'then by the present one');

# ---- keys that are none ----

my %refused = (
	'without the prefix' => substr($old, 6),
	'that is no base64' => 'whsec_!!!!',
	'of 23 bytes' => 'whsec_' . MIME::Base64::encode_base64('x' x 23, ''),
	'of 65 bytes' => 'whsec_' . MIME::Base64::encode_base64('x' x 65, ''),
	'that is empty' => '');
for my $name (sort keys %refused)
{
	my ($status, undef, $error) = $te->try(sprintf q{SELECT trigger_engine.set_secret('hook', %s)},
		$te->quote(TriggerEngine::json({ keys => [ $refused{$name} ] })));
	isnt($status, 0, "a key $name is refused");
}
for my $secret ('{}', '{"keys": []}', '{"keys": [1]}', '{"keys": "x"}', '{"key": ["x"]}',
	TriggerEngine::json({ keys => [ map { Webhook::new_secret($_) } 1 .. 5 ] }), '[]', '1')
{
	my ($status) = $te->try(sprintf q{SELECT trigger_engine.set_secret('hook', %s)}, $te->quote($secret));
	isnt($status, 0, 'so is the secret ' . substr $secret, 0, 20);
}
$request = request_for('after', 'cart');
ok(Webhook::verify($request, $other), 'and the former key stays');

done_testing();
