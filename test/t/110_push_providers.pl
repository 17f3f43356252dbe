# FCM, APNs and web push on the wire: what a receiver gets, and what comes of its answers.
#
# Promise: the access token of FCM is got once for all messages; the provider token of APNs
# stays the same over a restart and is a valid ES256 signature; a web push message is
# encrypted for its subscription, and its sender identified for the endpoint's origin.
use strict;
use warnings;

use JSON::PP;
use MIME::Base64 qw(encode_base64url decode_base64url);
use Test::More;
use TriggerEngine;

plan skip_all => 'openssl is not installed' if system('openssl version > /dev/null 2>&1') != 0;

my $te = TriggerEngine->new(virtual_clock => 1);
my $receiver = $te->receiver;
my $directory = $te->node->basedir;
ok($te->wait_for_worker, 'a delivery worker runs');
$te->set_clock($te->sql(q{SELECT date_trunc('second', clock_timestamp())}));

# A private key in PEM.
sub key
{
	my @how = @_;
	my $pem = `openssl genpkey @how 2> /dev/null`;
	die 'no key' unless $pem =~ /BEGIN PRIVATE KEY/;
	return $pem;
}
my $rsa = key('-algorithm RSA -pkeyopt rsa_keygen_bits:2048');
my $p256 = key('-algorithm EC -pkeyopt ec_paramgen_curve:P-256');

sub set_up
{
	my ($name, $kind, $options, $secret) = @_;
	my $json = JSON::PP->new->canonical;
	$te->sql(sprintf 'SET client_min_messages = error; SELECT trigger_engine.create_provider(%s, %s, %s), trigger_engine.set_secret(%s, %s)',
		$te->quote($name), $te->quote($kind), $te->quote($json->encode($options)), $te->quote($name), $te->quote($json->encode($secret)));
	return;
}

# A journey on an event of its name, with a step to a provider.
sub journey
{
	my ($name, $channel, $provider, $template) = @_;
	$te->sql(sprintf 'SELECT trigger_engine.create_template(%s, %s, %s)', $te->quote("t_$name"), $te->quote($channel), $te->quote($template));
	$te->sql(sprintf q{SELECT trigger_engine.create_journey(%s, %s, %s, transactional => true, ttl => '1 hour')}, $te->quote($name),
		$te->quote(encode_json({ kind => 'event', name => $name })),
		$te->quote(encode_json([ { id => 'send', send => "t_$name", channel => $channel, provider => $provider } ])));
	return;
}

sub endpoint
{
	my ($user, $channel, $address, $data) = @_;
	$te->sql(sprintf 'INSERT INTO trigger_engine.endpoints(user_id, channel, address, data) VALUES (%s, %s, %s, %s)',
		map { $te->quote($_) } $user, $channel, $address, $data // '{}');
	return;
}

sub header
{
	my ($request, $name) = @_;
	my @values = $request->{headers} =~ /^\Q$name\E:[ \t]*([^\r\n]*)/mig;
	return @values == 1 ? $values[0] : scalar(@values) . ' values';
}

# State and outcome of the only send of a user.
sub outcome
{
	my ($user) = @_;
	return $te->sql(sprintf q{SELECT s.state || ' ' || coalesce(a.outcome, '') FROM trigger_engine.sends s
		LEFT JOIN LATERAL (SELECT * FROM trigger_engine.attempts a WHERE a.user_id = s.user_id AND a.send_id = s.send_id
			ORDER BY attempt DESC LIMIT 1) a ON true WHERE s.user_id = %s}, $te->quote($user));
}

sub endpoint_state
{
	my ($user) = @_;
	return $te->sql(sprintf 'SELECT state FROM trigger_engine.endpoints WHERE user_id = %s', $te->quote($user));
}

# ---- FCM ----

set_up('fcm', 'fcm', { url => $receiver->url('/fcm/'), token_uri => $receiver->url('/token') },
	{ type => 'service_account', project_id => 'shop-1', private_key_id => 'k1', private_key => $rsa,
		client_email => 'push@shop-1.iam.gserviceaccount.com' });
journey('fcm', 'push', 'fcm', '{"title": "Hi {{ user.user_id }}", "body": "\"quoted\"", "url": "https://shop.test/", "data": {"n": 1}}');
$receiver->mode('/token', 'slow', delay => 0.3, body => '{"access_token":"ya29.test","expires_in":3599,"token_type":"Bearer"}');
$receiver->mode('/fcm/v1/projects/shop-1/messages:send', 'status', status => 200, body => '{"name":"projects/shop-1/messages/0:1%31bd"}');
endpoint("f$_", 'push', "token-$_") for 1 .. 5;
$te->events(5, 'fcm', prefix => 'f');
ok($te->idle, 'FCM: everything was handed over');
is($te->sql(q{SELECT string_agg(DISTINCT state, ' ') FROM trigger_engine.sends WHERE journey = 'fcm'}), 'accepted', 'FCM: and accepted');
my @tokens = $receiver->received('/token');
is(scalar @tokens, 1, 'FCM: one access token for all');
my %form = map { split /=/, $_, 2 } split /&/, $tokens[0]{body};
is($form{grant_type}, 'urn%3Aietf%3Aparams%3Aoauth%3Agrant-type%3Ajwt-bearer', 'FCM: by an assertion');
my ($head, $claims) = map { decode_json(decode_base64url($_)) } (split /\./, $form{assertion})[ 0, 1 ];
is_deeply($head, { alg => 'RS256', typ => 'JWT', kid => 'k1' }, 'FCM: its header');
is_deeply([ @$claims{qw(iss scope aud)} ], [ 'push@shop-1.iam.gserviceaccount.com',
	'https://www.googleapis.com/auth/firebase.messaging', $receiver->url('/token') ], 'FCM: its claims');
is($claims->{exp} - $claims->{iat}, 3600, 'FCM: for an hour');
ok(verify($rsa, 'RSA', $form{assertion}), 'FCM: signed with the key');
my ($message) = grep { $_->{body} =~ /token-1"/ } $receiver->received('/fcm/v1/projects/shop-1/messages:send');
is(header($message, 'authorization'), 'Bearer ya29.test', 'FCM: messages carry it');
my $body = decode_json($message->{body})->{message};
is_deeply($body->{notification}, { title => 'Hi f1', body => '"quoted"' }, 'FCM: the notification');
is_deeply([ @{ $body->{data} }{qw(n url send_id)} ], [ '1', 'https://shop.test/',
	$te->sql(q{SELECT send_id FROM trigger_engine.sends WHERE user_id = 'f1'}) ], 'FCM: data are texts, with the send id');
like($body->{android}{ttl}, qr/^3(?:600|59\d)s$/, 'FCM: no longer than the journey\'s ttl');
is($te->sql(q{SELECT count(*) FROM trigger_engine.sends WHERE journey = 'fcm' AND provider_ref = 'projects/shop-1/messages/0:1%31bd'}), 5,
	'FCM: the service\'s id is kept');

$receiver->mode('/fcm/v1/projects/shop-1/messages:send', 'status', status => 404, times => 1,
	body => '{"error":{"code":404,"status":"NOT_FOUND","details":[{"@type":"type.googleapis.com/google.firebase.fcm.v1.FcmError","errorCode":"UNREGISTERED"}]}}');
endpoint('gone', 'push', 'dead');
$te->event('gone', 'fcm');
ok($te->idle, 'FCM: a token that is gone');
is(outcome('gone') . ' ' . endpoint_state('gone'), 'rejected rejected disabled', 'FCM: is retired with the outcome');

$receiver->mode('/token', 'status', status => 200, body => '{"access_token":"ya29.second","expires_in":3599}');
$receiver->mode('/fcm/v1/projects/shop-1/messages:send', 'status', status => 401, times => 1,
	body => '{"error":{"code":401,"status":"UNAUTHENTICATED"}}');
endpoint('expired', 'push', 'token-e');
$te->event('expired', 'fcm');
$te->idle;
is(outcome('expired'), 'due auth', 'FCM: a refused access token');
$receiver->mode('/fcm/v1/projects/shop-1/messages:send', 'status', status => 200, body => '{"name":"x"}');
$te->advance('10 s');
ok($te->idle, 'FCM: is replaced');
is(outcome('expired'), 'accepted accepted', 'FCM: and the message repeated');
is(header(($receiver->received('/fcm/v1/projects/shop-1/messages:send'))[-1], 'authorization'), 'Bearer ya29.second', 'FCM: with the new one');

# ---- APNs ----

set_up('apns', 'apns', { url => $receiver->url(''), topic => 'com.example.shop' },
	{ key => $p256, key_id => 'ABC123DEFG', team_id => 'DEF123GHIJ' });
journey('apns', 'push', 'apns', '{"title": "Hello", "body": "you", "badge": 3, "sound": "default"}');
my $device = '00fc13adff785122b4ad28809a3420982341241421348097878e577c991de8f0';
endpoint('a1', 'push', $device);
endpoint('a2', 'push', 'no/../hex');
$te->events(2, 'apns', prefix => 'a');
ok($te->idle, 'APNs: everything was decided');
my ($first) = $receiver->received("/3/device/$device");
is(outcome('a1'), 'accepted accepted', 'APNs: accepted');
is(outcome('a2'), 'withheld ', 'APNs: what is no device token stays here');
is(header($first, 'apns-topic'), 'com.example.shop', 'APNs: topic');
is(header($first, 'apns-push-type') . header($first, 'apns-priority'), 'alert10', 'APNs: type and priority');
like(header($first, 'apns-id'), qr/^[0-9a-f]{8}(?:-[0-9a-f]{4}){3}-[0-9a-f]{12}$/, 'APNs: our identity is its id');
cmp_ok(abs(header($first, 'apns-expiration') - time - 3600), '<', 60, 'APNs: expires with the journey\'s ttl');
my $payload = decode_json($first->{body});
is_deeply($payload->{aps}, { alert => { title => 'Hello', body => 'you' }, badge => 3, sound => 'default' }, 'APNs: the payload');
my ($token) = header($first, 'authorization') =~ /^bearer (.*)$/;
($head, $claims) = map { decode_json(decode_base64url($_)) } (split /\./, $token)[ 0, 1 ];
is_deeply($head, { alg => 'ES256', kid => 'ABC123DEFG' }, 'APNs: header of the provider token');
is($claims->{iss}, 'DEF123GHIJ', 'APNs: the team');
ok($claims->{iat} <= time && $claims->{iat} > time - 3600, 'APNs: not older than an hour');
ok(verify($p256, 'EC', $token), 'APNs: signed with the key');

$te->node->restart;
$te->wait_for_worker;
endpoint('a3', 'push', 'aabb');
$te->event('a3', 'apns');
ok($te->idle, 'APNs: after a restart');
my ($again) = header(($receiver->received('/3/device/aabb'))[0], 'authorization') =~ /^bearer (.*)$/;
ok($again eq $token || time % 3000 < 60, 'APNs: the provider token is the same');

# gone at an instant: what was registered later is another one
for my $case ([ 'b1', '0101', 0, 'active' ], [ 'b2', '0202', 4_000_000_000_000, 'disabled' ])
{
	my ($user, $address, $ms, $state) = @$case;
	$receiver->mode("/3/device/$address", 'status', status => 410,
		body => encode_json({ reason => 'Unregistered', timestamp => $ms || 1_400_000_000_000 }));
	endpoint($user, 'push', $address);
	$te->event($user, 'apns');
	ok($te->idle, "APNs: a device that was gone, $state");
	is(outcome($user) . " " . endpoint_state($user), "rejected rejected $state", 'APNs: counts from its time on');
}

# ---- web push ----

my $ua_public = 'BCVxsr7N_eNgVRqvHtD0zTZsEc6-VV-JvLexhqUzORcxaOzi6-AYWXvTBHm4bjyPjs7Vd8pZGH6SRpkNtoIAiw4';
my $subscription = encode_json({ p256dh => $ua_public, auth => 'BTBZMqHH6r4Tts7J_aSIgg' });
set_up('web', 'web_push', {}, { private_key => 'yfWPiYE-n46HLnH0KqZOF1fJJU3MYrct3AELtAQ-oRw', subject => 'mailto:push@example.com' });
journey('web', 'web_push', 'web', '{"title": "Hello", "body": "from the web"}');
endpoint('w1', 'web_push', $receiver->url('/wp/1'), $subscription);
endpoint('w2', 'web_push', $receiver->url('/wp/2'), $subscription);
endpoint('w3', 'web_push', $receiver->url('/wp/3'));
$receiver->mode('/wp/1', 'status', status => 201, headers => { Location => 'https://push.test/m/1' });
$receiver->mode('/wp/2', 'status', status => 410);
$te->events(3, 'web', prefix => 'w');
ok($te->idle, 'web push: everything was decided');
is_deeply([ map { outcome($_) } qw(w1 w2 w3) ], [ 'accepted accepted', 'rejected rejected', 'withheld ' ], 'web push: outcomes');
is(endpoint_state('w2'), 'disabled', 'web push: a subscription that is gone is retired');
my ($web) = $receiver->received('/wp/1');
is(header($web, 'content-encoding'), 'aes128gcm', 'web push: encoding');
like(header($web, 'ttl'), qr/^3(?:600|59\d)$/, 'web push: TTL');
is(header($web, 'urgency'), 'high', 'web push: a transactional message is urgent');
like(header($web, 'topic'), qr/^[0-9a-f]{32}$/, 'web push: a topic by which a second copy replaces the first');
my ($t, $k) = header($web, 'authorization') =~ /^vapid t=(\S+), k=(\S+)$/;
is($k, 'BP4z9KsN6nGRTbVYI_c7VJSPQTBtkgcy27mlmlMoZIIgDll6e3vCYLocInmYWAmS6TlzAC8wEqKK6PBru3jl7A8', 'web push: the public key');
($head, $claims) = map { decode_json(decode_base64url($_)) } (split /\./, $t)[ 0, 1 ];
is_deeply([ $claims->{aud}, $claims->{sub} ], [ $receiver->url(''), 'mailto:push@example.com' ], 'web push: for this origin')
  or diag($claims->{aud});
ok($claims->{exp} > time && $claims->{exp} <= time + 86400, 'web push: for less than a day');
is(unpack('N', substr $web->{body}, 16, 4), 4096, 'web push: one record');
is(ord substr($web->{body}, 20, 1), 65, 'web push: with the sender\'s key');
my $plain = length($web->{body}) - 103;
my $sent = $te->sql(q{SELECT length(format('{"title":"Hello","body":"from the web","send_id":"%s"}', send_id)) FROM trigger_engine.sends WHERE user_id = 'w1'});
is($plain, $sent, 'web push: of the whole message');

# Checks a token against the public part of a private key.
sub verify
{
	my ($pem, $type, $jwt) = @_;
	my ($signed, $signature) = $jwt =~ /^(.*)\.([^.]*)$/;
	my $bytes = decode_base64url($signature);

	if ($type eq 'EC')
	{
		return 0 if length $bytes != 64;
		my @numbers = map { my $n = $_ =~ s/^\0+(?=.)//rs; $n = "\0$n" if ord($n) > 127; chr(2) . chr(length $n) . $n }
		  substr($bytes, 0, 32), substr($bytes, 32);
		my $sequence = join '', @numbers;
		$bytes = chr(0x30) . chr(length $sequence) . $sequence;
	}
	for ([ 'key', $pem ], [ 'sig', $bytes ], [ 'data', $signed ])
	{
		open my $file, '>:raw', "$directory/$_->[0]" or die;
		print $file $_->[1];
		close $file;
	}
	return system("openssl pkey -in $directory/key -pubout -out $directory/pub && openssl dgst -sha256 -verify $directory/pub -signature $directory/sig $directory/data > /dev/null") == 0;
}

$te->node->stop;
done_testing();
