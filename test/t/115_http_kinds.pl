# Kinds of providers made of data on the wire: what services get, and what comes of their answers.
#
# Promise: a request of Amazon's carries a signature that an independent recomputation of
# what was received comes to; outcomes are by the kind's table, and a repeat only where it says so.
use strict;
use warnings;

use Digest::SHA qw(sha256_hex hmac_sha256 hmac_sha256_hex);
use JSON::PP;
use MIME::Base64 qw(decode_base64);
use Test::More;
use TriggerEngine;

my $te = TriggerEngine->new(virtual_clock => 1);
my $receiver = $te->receiver;
ok($te->wait_for_worker, 'a delivery worker runs');
$te->set_clock($te->sql(q{SELECT date_trunc('second', clock_timestamp())}));

# A provider of a kind, a template and a journey on an event, all of that name.
sub set_up
{
	my ($kind, $channel, $options, $secret, $content) = @_;
	my $json = JSON::PP->new->canonical;
	my ($q, $c) = map { $te->quote($_) } $kind, $channel;
	$te->sql(sprintf 'SET client_min_messages = error; SELECT trigger_engine.create_provider(%s, %s, %s), trigger_engine.set_secret(%s, %s), trigger_engine.create_template(%s, %s, %s)',
		$q, $q, $te->quote($json->encode($options)), $q, $te->quote($json->encode($secret)), $q, $c, $te->quote($content));
	$te->sql(sprintf q{SELECT trigger_engine.create_journey(%s, %s, %s, transactional => true, ttl => '1 hour')}, $q,
		$te->quote(encode_json({ kind => 'event', name => $kind })),
		$te->quote(encode_json([ { id => 'send', send => $kind, channel => $channel, provider => $kind } ])));
	return;
}

sub endpoint
{
	my ($user, $channel, $address) = @_;
	$te->sql(sprintf 'INSERT INTO trigger_engine.endpoints(user_id, channel, address) VALUES (%s, %s, %s)',
		map { $te->quote($_) } $user, $channel, $address);
	return;
}

sub header
{
	my ($request, $name) = @_;
	my @values = $request->{headers} =~ /^\Q$name\E:[ \t]*([^\r\n]*)/mig;
	return @values == 1 ? $values[0] : scalar(@values) . ' values';
}

# State, outcome and the service's id of the only send of a user.
sub outcome
{
	my ($user) = @_;
	return $te->sql(sprintf q{SELECT concat_ws(' ', s.state, a.outcome, s.provider_ref) FROM trigger_engine.sends s
		LEFT JOIN LATERAL (SELECT * FROM trigger_engine.attempts a WHERE a.user_id = s.user_id AND a.send_id = s.send_id
			ORDER BY attempt DESC LIMIT 1) a ON true WHERE s.user_id = %s}, $te->quote($user));
}

sub send_id
{
	my ($user) = @_;
	return $te->sql(sprintf 'SELECT send_id FROM trigger_engine.sends WHERE user_id = %s', $te->quote($user));
}

# ---- mail: SES ----

set_up('ses', 'email', { url => $receiver->url(''), region => 'eu-west-1', from => 'shop@example.com' },
	{ access_key_id => 'AKIDEXAMPLE', secret_access_key => 'secret/key' },
	'{"subject": "Gr\u00fc\u00dfe, {{ user.user_id }}", "html": "<p>H\u00e4llo</p>", "text": "H\u00e4llo"}');
$receiver->mode('/v2/email/outbound-emails', 'status', status => 200, body => '{"MessageId":"0102018"}');
endpoint('m1', 'email', 'ada@example.com');
$te->event('m1', 'ses');
ok($te->idle, 'SES: handed over');
is(outcome('m1'), 'accepted accepted 0102018', 'SES: accepted, with its id');
my ($mail) = $receiver->received('/v2/email/outbound-emails');
my $body = decode_json($mail->{body});
is_deeply($body->{EmailTags}, [ { Name => 'send_id', Value => send_id('m1') } ], 'SES: our number is a tag');
is($body->{Content}{Simple}{Subject}{Data}, "Gr\x{fc}\x{df}e, m1", 'SES: the rendered subject');
my $stamp = header($mail, 'x-amz-date');
my $scope = substr($stamp, 0, 8) . '/eu-west-1/ses/aws4_request';
my $canonical = join "\n", 'POST', '/v2/email/outbound-emails', '', 'content-type:' . header($mail, 'content-type'),
	'host:' . header($mail, 'host'), "x-amz-date:$stamp", '', 'content-type;host;x-amz-date', sha256_hex($mail->{body});
my $key = 'AWS4secret/key';
$key = hmac_sha256($_, $key) for split m{/}, $scope;
is(header($mail, 'authorization'), "AWS4-HMAC-SHA256 Credential=AKIDEXAMPLE/$scope, SignedHeaders=content-type;host;x-amz-date, Signature="
	. hmac_sha256_hex(join("\n", 'AWS4-HMAC-SHA256', $stamp, $scope, sha256_hex($canonical)), $key), 'SES: signed over what was received');
$receiver->mode('/v2/email/outbound-emails', 'status', status => 400, times => 1, body => '{"message":"no"}',
	headers => { 'x-amzn-ErrorType' => 'MessageRejected:http://internal.amazon.com/' });
endpoint('m2', 'email', 'bob@example.com');
$te->event('m2', 'ses');
$te->idle;
is(outcome('m2'), 'rejected rejected', 'SES: a refusal by its header');
$receiver->mode('/v2/email/outbound-emails', 'half', times => 1, body => '{"MessageId":"1"}');
endpoint('m3', 'email', 'cy@example.com');
$te->event('m3', 'ses');
$te->idle;
like(outcome('m3'), qr/ ambiguous$/, 'SES: an answer that was cut is ambiguous');

# ---- mail: SendGrid, whose id is in a header ----

set_up('sendgrid', 'email', { url => $receiver->url(''), from => 'shop@example.com' }, { api_key => 'SG.x' }, '{"subject": "Hi", "text": "T"}');
$receiver->mode('/v3/mail/send', 'status', status => 202, body => '', headers => { 'X-Message-Id' => '14c5d75ce93' });
endpoint('g1', 'email', 'g@example.com');
$te->event('g1', 'sendgrid');
$te->idle;
is(outcome('g1'), 'accepted accepted 14c5d75ce93', 'SendGrid: accepted, with its id');
my ($grid) = $receiver->received('/v3/mail/send');
is(header($grid, 'authorization'), 'Bearer SG.x', 'SendGrid: authorized');
is(decode_json($grid->{body})->{custom_args}{send_id}, send_id('g1'), 'SendGrid: our number');

# ---- text messages: Twilio ----

my $sms = '/2010-04-01/Accounts/AC1/Messages.json';
set_up('twilio', 'sms', { url => $receiver->url('/'), account_sid => 'AC1', from => '+15005550006', status_callback => 'https://app.test/cb' },
	{ auth_token => 'tok:en' }, '{"text": "Ready & waiting: 50%"}');
$receiver->mode($sms, 'status', status => 201, body => '{"sid":"SM1","status":"queued"}');
endpoint('t1', 'sms', '+491701');
$te->event('t1', 'twilio');
$te->idle;
is(outcome('t1'), 'accepted accepted SM1', 'Twilio: accepted');
my ($text) = $receiver->received($sms);
my %form = map { my ($n, $v) = split /=/, $_, 2; ($n, $v =~ s/%(..)/chr hex $1/ger) } split /&/, $text->{body};
is($form{Body}, 'Ready & waiting: 50%', 'Twilio: the text as it is');
is($form{StatusCallback}, 'https://app.test/cb?send_id=' . send_id('t1'), 'Twilio: our number is in the callback');
is(decode_base64((split / /, header($text, 'authorization'))[1]), 'AC1:tok:en', 'Twilio: authorized');
is(header($text, 'content-type'), 'application/x-www-form-urlencoded', 'Twilio: a form');
$receiver->mode($sms, 'status', status => 400, times => 1, body => '{"code":21610,"message":"Attempt to send to unsubscribed recipient"}');
endpoint('t2', 'sms', '+491702');
$te->event('t2', 'twilio');
$te->idle;
is(outcome('t2'), 'rejected rejected', 'Twilio: who has written STOP');
is($te->sql(q{SELECT state FROM trigger_engine.endpoints WHERE user_id = 't2'}), 'disabled', 'Twilio: is retired with the outcome');

# ---- chat: Discord, whose address is the secret, and its wait is in the body ----

set_up('discord', 'chat', {}, { url => $receiver->url('/api/webhooks/1/hidden') }, '{"text": "A \"word\""}');
$receiver->mode('/api/webhooks/1/hidden?wait=true', 'status', status => 429, times => 1, body => '{"retry_after":20.5,"global":false}');
$te->event('d1', 'discord');
$te->advance('0');
my $due = $te->sql(q{SELECT due_at - trigger_engine.clock() >= '20 s' FROM trigger_engine.sends WHERE user_id = 'd1'});
is(outcome('d1') . " $due", 'due throttled t', 'Discord: waits as long as the answer says');
$receiver->mode('/api/webhooks/1/hidden?wait=true', 'status', status => 200, body => '{"id":"77"}');
$te->advance('1 min');
$te->idle;
is(outcome('d1'), 'accepted accepted 77', 'Discord: then it is accepted');
is(decode_json(($receiver->received('/api/webhooks/1/hidden?wait=true'))[-1]{body})->{content}, 'A "word"', 'Discord: the text');
is($te->sql(q{SELECT count(*) FROM trigger_engine.attempts a WHERE a::text ~ 'hidden'}), 0, 'the address is in no record');

# ---- a kind of one's own, that knows repeats ----

$te->sql(q{SELECT trigger_engine.create_provider_kind('pager', 'sms', '{"url": "https://pager.test", "path": "/page", "idempotent": true,
	"headers": {"idempotency-key": "{{ message_id }}"}, "body": "{\"to\": \"{{ address }}\", \"text\": \"{{ message.text }}\"}", "accept": "ok", "secrets": ["key"],
	"auth": {"type": "header", "name": "x-key", "value": "{{ secret.key }}"}}')});
set_up('pager', 'sms', { url => $receiver->url('') }, { key => 'k' }, '{"text": "now"}');
$receiver->mode('/page', 'cut', times => 1);
endpoint('p1', 'sms', '+1');
$te->event('p1', 'pager');
$te->advance('0');
$receiver->mode('/page', 'status', status => 200, body => '{"ok":"yes"}');
$te->advance('10 min');
$te->idle;
is(outcome('p1'), 'accepted accepted', 'its own kind: repeated after a cut');
my @pages = $receiver->received('/page');
is(scalar(@pages) . ' ' . (header($pages[0], 'idempotency-key') eq header($pages[-1], 'idempotency-key') ? 'same' : 'other'), '2 same', 'with the same key');
$te->sql(q{SELECT trigger_engine.create_provider_kind('pager', 'sms', '{"url": "https://pager.test", "path": "/v2", "body": "{}"}', or_replace => true)});
$receiver->mode('/v2', 'ok');
endpoint('p2', 'sms', '+2');
$te->event('p2', 'pager');
$te->idle;
is(scalar(my @v2 = $receiver->received('/v2')), 1, 'a changed kind is used from its commit on');

done_testing();
