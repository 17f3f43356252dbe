# Callbacks of services: signatures made here with openssl and Perl's own digests, what is
# refused, and what comes of each event.
use strict;
use warnings;

use Digest::SHA qw(hmac_sha1_base64 hmac_sha256_base64 hmac_sha256_hex hmac_sha256);
use MIME::Base64;
use Test::More;
use TriggerEngine;

my $te = TriggerEngine->new(virtual_clock => 1);
my $dir = $te->node->basedir;
my $now = 1893456000;    # 2030-01-01
ok($te->wait_for_worker, 'a worker runs');
$te->set_clock('2030-01-01 00:00:00+00');
$te->journey('cart', channel => 'in_app', content => '{"title": "x"}');
$te->event('ann', 'cart');
$te->idle;
my $send = $te->sql('SELECT send_id FROM trigger_engine.sends');
# more messages, as a provider's callbacks know them
$te->sql(qq{INSERT INTO trigger_engine._sends (send_id, user_id, journey_id, version, entry_key, step, channel, state, due_at, event_id, event_at, decided_at, handed_over_at, finished_at, attempts)
	SELECT 1000 + n, 'u' || n, journey_id, version, 'k' || n, 'send', CASE WHEN n < 100 THEN 'email' ELSE 'sms' END, 'accepted', trigger_engine.clock(), 0, trigger_engine.clock(), trigger_engine.clock(), trigger_engine.clock() - interval '1 hour', trigger_engine.clock(), 1
	FROM trigger_engine.journeys, generate_series(1, 120) n WHERE name = 'cart';
	INSERT INTO trigger_engine.endpoints (user_id, channel, address, created_at) SELECT 'u' || n, CASE WHEN n < 100 THEN 'email' ELSE 'sms' END, CASE WHEN n < 100 THEN 'u' || n || '\@example.com' ELSE '+43660' || n END, '2029-01-01' FROM generate_series(1, 120) n});

sub call
{
	my ($name, @arguments) = @_;
	my ($status, $output, $error) = $te->try(sprintf 'SELECT r ->> %s, r ->> %s, r ->> %s FROM trigger_engine.%s(%s) r', (map { $te->quote($_) } qw(recorded repeated ignored)),
		$name, join ', ', map { $te->quote($_) } @arguments);
	return $status == 0 ? $output =~ s/\|/ /gr : $error =~ /ERROR:\s+(?:\S+: )?(.*)/ ? "refused: $1" : $error;
}
sub of { return $te->sql("SELECT coalesce(string_agg(kind || CASE WHEN machine THEN '*' ELSE '' END, ' ' ORDER BY kind, machine), '') FROM trigger_engine.interactions WHERE send_id = $_[0]") }
sub endpoint { return $te->sql("SELECT state FROM trigger_engine.endpoints WHERE user_id = '$_[0]'") }
sub secret { my ($source, $secret) = @_; $te->sql(sprintf 'SET client_min_messages = error; SELECT trigger_engine.set_callback_secret(%s, %s)', $te->quote($source), $te->quote($secret)); return }
sub slurp { return PostgreSQL::Test::Utils::slurp_file($_[0]) }
sub openssl { system('openssl ' . join(' ', @_) . ' 2>/dev/null') == 0 or die "openssl @_"; return }
sub sign
{
	my ($key, $digest, $data) = @_;
	open my $file, '>:raw', "$dir/data" or die $!;
	print $file $data;
	close $file;
	openssl("dgst -$digest -sign $dir/$key -out $dir/signature $dir/data");
	open $file, '<:raw', "$dir/signature" or die $!;
	local $/;
	return encode_base64(<$file>, '');
}
my $refused = qr/^refused: callback of \w+ refused: /;

like(call('ingest_sendgrid', '[]', 'AAAA', $now), qr/cannot be checked/, 'nothing is taken before there is a secret');

# ---- SendGrid: ECDSA over the time and the raw body ----

openssl("ecparam -name prime256v1 -genkey -noout -out $dir/ec.pem");
openssl("ecparam -name prime256v1 -genkey -noout -out $dir/other.pem");
openssl("ec -in $dir/ec.pem -pubout -outform DER -out $dir/ec.der");
secret('sendgrid', '{"public_key": "' . encode_base64(slurp("$dir/ec.der"), '') . '"}');
my $body = qq{[{"email": "u1\@example.com", "event": "delivered", "sg_event_id": "a", "send_id": "1001", "timestamp": $now},\r\n}
  . qq{ {"email": "u1\@example.com", "event": "open", "sg_event_id": "b", "send_id": "1001", "timestamp": $now, "sg_machine_open": true},}
  . qq{ {"email": "u1\@example.com", "event": "click", "sg_event_id": "c", "send_id": 1001, "timestamp": $now, "url": "https://x.example/"},}
  . qq{ {"email": "u2\@example.com", "event": "bounce", "type": "bounce", "sg_event_id": "d", "send_id": "1002", "timestamp": $now, "reason": "550 5.1.1"},}
  . qq{ {"email": "u3\@example.com", "event": "bounce", "type": "blocked", "sg_event_id": "e", "send_id": "1003", "timestamp": $now},}
  . qq{ {"email": "u4\@example.com", "event": "spamreport", "sg_event_id": "f", "send_id": "1004", "timestamp": $now},}
  . qq{ {"email": "u5\@example.com", "event": "unsubscribe", "sg_event_id": "g", "send_id": "1005", "timestamp": $now},}
  . qq{ {"event": "processed", "sg_event_id": "h", "send_id": "1005"}, {"event": "open", "sg_event_id": "i", "send_id": "77777"}, {"event": "open", "sg_event_id": "j", "send_id": "x' OR 1"}, {"event": "open"}]};
is(call('ingest_sendgrid', $body, sign('ec.pem', 'sha256', $now . $body), $now), '7 0 4', 'a batch of SendGrid');
is(call('ingest_sendgrid', $body, sign('ec.pem', 'sha256', $now . $body), $now), '0 7 4', 'the same again is nothing new');
is(of(1001), 'clicked delivered opened*', 'what came of the first');
is(join(' ', map { endpoint("u$_") } 1 .. 5), 'active disabled active disabled active', 'a hard bounce and a complaint disable the endpoint');
is($te->sql(q{SELECT string_agg(user_id || ' ' || state, ', ' ORDER BY user_id) FROM trigger_engine.consents}), 'u4 opted_out, u5 opted_out', 'a complaint and an unsubscription opt out');
like(call('ingest_sendgrid', "$body ", sign('ec.pem', 'sha256', $now . $body), $now), $refused, 'not one byte of the body may differ');
like(call('ingest_sendgrid', $body, sign('other.pem', 'sha256', $now . $body), $now), $refused, 'another key is none');
like(call('ingest_sendgrid', $body, sign('ec.pem', 'sha256', ($now - 601) . $body), $now - 601), qr/another time/, 'an old one is refused');
like(call('ingest_sendgrid', $body, sign('ec.pem', 'sha256', $now . $body), $now + 1), $refused, 'the time is signed, too');
like(call('ingest_sendgrid', $body, $_, $now), $refused, 'and so is a signature that is none') for undef, '', 'x', '!!!!', 'AAAA';
is($te->sql(sprintf q{SET request.headers = %s; SELECT trigger_engine.ingest_sendgrid(%s) ->> 'repeated'}, $te->quote(TriggerEngine::json({
	'x-twilio-email-event-webhook-signature' => sign('ec.pem', 'sha256', $now . $body), 'x-twilio-email-event-webhook-timestamp' => "t$now" =~ s/t//r })), $te->quote($body)),
	'7', 'under PostgREST the headers are those of the request');

# ---- Mailgun ----

secret('mailgun', '{"signing_key": "mg key"}');
sub mailgun
{
	my ($at, $key, %event) = @_;
	return TriggerEngine::json({ signature => { timestamp => "$at", token => 'tok', signature => hmac_sha256_hex("${at}tok", $key) }, 'event-data' => \%event });
}
my %failed = (event => 'failed', severity => 'permanent', id => 'm1', timestamp => "$now.25", recipient => 'u6@example.com', 'user-variables' => { send_id => '1006' });
is(call('ingest_mailgun', mailgun($now, 'mg key', %failed)), '1 0 0', 'a failure of Mailgun');
is(of(1006) . ' ' . endpoint('u6'), 'bounced disabled', 'which is a bounce');
is(call('ingest_mailgun', mailgun($now, 'mg key', %failed, id => 'm2', severity => 'temporary', recipient => 'u7@example.com', 'user-variables' => { send_id => 1007 })) . ' ' . endpoint('u7'), '1 0 0 active', 'a temporary one disables nothing');
is(call('ingest_mailgun', mailgun($now, 'mg key', event => 'opened', id => 'm3', 'user-variables' => { send_id => 1007 }, 'client-info' => { bot => 'gmail' })) . ' ' . of(1007), '1 0 0 bounced opened*', 'a bot that opens is a machine');
like(call('ingest_mailgun', mailgun($now, 'wrong', %failed)), $refused, 'another key is refused');
like(call('ingest_mailgun', mailgun($now - 90000, 'mg key', %failed)), qr/another time/, 'so is one of the day before yesterday');
like(call('ingest_mailgun', '{}'), $refused, 'and one without a signature');

# ---- Postmark ----

secret('postmark', '{"username": "pm", "password": "s3cret"}');
my $bounce = '{"RecordType": "Bounce", "Type": "HardBounce", "ID": 42, "MessageID": "p1", "Email": "u8@example.com", "BouncedAt": "2030-01-01T00:00:00Z", "Metadata": {"send_id": "1008"}}';
is(call('ingest_postmark', $bounce, 'Basic ' . encode_base64('pm:s3cret', '')) . ' ' . endpoint('u8'), '1 0 0 disabled', 'a hard bounce of Postmark');
is(call('ingest_postmark', $bounce, 'Basic ' . encode_base64('pm:s3cret', '')), '0 1 0', 'and again');
like(call('ingest_postmark', $bounce, $_), $refused, 'others are refused') for undef, 'Basic ' . encode_base64('pm:s3cre', ''), 'Bearer x', 'Basic', 'Basic ' . encode_base64('pm', '');
is(call('ingest_postmark', '{"RecordType": "SubscriptionChange", "SuppressSending": true, "SuppressionReason": "ManualSuppression", "MessageID": "p2", "ChangedAt": "2030-01-01T00:00:00Z", "Metadata": {"send_id": "1009"}}', 'Basic ' . encode_base64('pm:s3cret', '')) . ' ' . of(1009), '1 0 0 unsubscribed', 'a change of subscription');

# ---- Twilio ----

secret('twilio', '{"auth_token": "tw"}');
my $url = 'https://shop.example/sms?send_id=1101&x=%20';
sub twilio
{
	my ($to, %form) = @_;
	my $encode = sub { $_[0] =~ s/([^A-Za-z0-9._-])/sprintf '%%%02X', ord $1/ger =~ s/%20/+/gr };
	return ($to, join('&', map { $encode->($_) . '=' . $encode->($form{$_}) } reverse sort keys %form), hmac_sha1_base64($to . join('', map { "$_$form{$_}" } sort keys %form), 'tw') . '=');
}
is(call('ingest_twilio', twilio($url, MessageSid => 'SM1', MessageStatus => 'delivered', To => '+43660101')), '1 0 0', 'a text message was delivered');
is(call('ingest_twilio', twilio($url, MessageSid => 'SM1', MessageStatus => 'sent', To => '+43660101')), '0 0 1', 'a late state before that is nothing');
is(call('ingest_twilio', twilio($url =~ s/1101/1102/r, MessageSid => 'SM2', MessageStatus => 'undelivered', ErrorCode => '30006', To => '+43660102')) . ' ' . endpoint('u102'), '1 0 0 disabled', 'a number that takes none is dead');
is(call('ingest_twilio', twilio($url =~ s/1101/1103/r, MessageSid => 'SM3', MessageStatus => 'undelivered', ErrorCode => '30003', To => '+43660103')) . ' ' . endpoint('u103'), '1 0 0 active', 'one that is switched off is not');
is(call('ingest_twilio', twilio('https://shop.example/in', MessageSid => 'SM4', From => '+43660104', Body => ' Stop. ')), '1 0 0', 'somebody writes STOP');
is($te->sql(q{SELECT channel || ' ' || state FROM trigger_engine.consents WHERE user_id = 'u104'}), 'sms opted_out', 'and is opted out of text messages');
$te->sql(q{SELECT trigger_engine.advance_clock('1 min')});
is(call('ingest_twilio', twilio('https://shop.example/in', MessageSid => 'SM5', From => '+43660104', Body => 'start')), '0 0 1', 'START is no interaction');
is($te->sql(q{SELECT state FROM trigger_engine.consents WHERE user_id = 'u104'}), 'opted_in', 'but an opt-in');
is(call('ingest_twilio', twilio('https://shop.example/in', MessageSid => 'SM4', From => '+43660104', Body => ' Stop. ')) . ' ' . $te->sql(q{SELECT string_agg(state, ' ') FROM trigger_engine.consents WHERE user_id = 'u104'}), '0 1 0 opted_in', 'the same STOP again undoes nothing, and there was none of a topic');
$te->sql(q{SELECT trigger_engine.advance_clock('1 s'), trigger_engine.set_consent('u104', 'sms', 'opted_out')});
$te->sql(q{SELECT trigger_engine.advance_clock('1 s')});
call('ingest_twilio', twilio('https://shop.example/in', MessageSid => 'SM5', From => '+43660104', Body => 'start'));
is($te->sql(q{SELECT state FROM trigger_engine.consents WHERE user_id = 'u104'}), 'opted_out', 'nor does the same START');
is(call('ingest_twilio', twilio('https://shop.example/in', MessageSid => 'SM6', From => '+43660105', Body => 'Stop by later & 50% =?')) . ' ' . of(1105), '1 0 0 replied', 'anything else is a reply');
is($te->sql(q{SELECT data ->> 'text' FROM trigger_engine.interactions WHERE send_id = 1105}), 'Stop by later & 50% =?', 'kept as it was written');
is(call('ingest_twilio', twilio('https://shop.example/in', MessageSid => 'SM7', From => '+1', Body => 'STOP')), '0 0 0', 'a number of nobody');
my @signed = twilio($url, MessageSid => 'SM8', MessageStatus => 'delivered');
like(call('ingest_twilio', $url =~ s/1101/1104/r, @signed[ 1, 2 ]), $refused, 'the address is signed');
like(call('ingest_twilio', $signed[0], "$signed[1]&Body=STOP", $signed[2]), $refused, 'and so is the form');

# ---- SES through SNS ----

openssl("req -x509 -newkey rsa:2048 -nodes -keyout $dir/sns.pem -out $dir/sns.crt -days 3 -subj /CN=sns");
my $certificate_url = 'https://sns.eu-west-1.amazonaws.com/SimpleNotificationService-1.pem';
secret('sns', TriggerEngine::json({ certificates => { $certificate_url => slurp("$dir/sns.crt"), 'https://evil.example/x.pem' => slurp("$dir/sns.crt") }, topics => ['arn:aws:sns:eu-west-1:1:ses'] }));
sub sns
{
	my ($version, %m) = @_;
	%m = (Type => 'Notification', MessageId => 'n1', TopicArn => 'arn:aws:sns:eu-west-1:1:ses', Timestamp => '2030-01-01T00:00:30.000Z', %m);
	my @keys = $m{Type} eq 'Notification' ? qw(Message MessageId Subject Timestamp TopicArn Type) : qw(Message MessageId SubscribeURL Timestamp Token TopicArn Type);
	my $signature = sign('sns.pem', $version eq '2' ? 'sha256' : 'sha1', join '', map { defined $m{$_} ? "$_\n$m{$_}\n" : () } @keys);
	return TriggerEngine::json({ SigningCertURL => $certificate_url, %m, SignatureVersion => $version, Signature => $signature });
}
sub ses { my ($type, $id, %detail) = @_; return TriggerEngine::json({ eventType => $type, mail => { messageId => 'x', tags => { send_id => ["$id"] } }, lc $type => { timestamp => '2030-01-01T00:00:10.000Z', %detail } }) }
my $permanent = sns('1', Message => ses('Bounce', 1010, bounceType => 'Permanent', bouncedRecipients => [ { emailAddress => 'u10@example.com' } ]));
is(call('ingest_sns', $permanent) . ' ' . endpoint('u10'), '1 0 0 disabled', 'a permanent bounce of SES');
is(call('ingest_sns', $permanent), '0 1 0', 'and again');
is(call('ingest_sns', sns('2', MessageId => 'n2', Subject => 'x', Message => ses('Bounce', 1011, bounceType => 'Transient', bouncedRecipients => [ { emailAddress => 'u11@example.com' } ]))) . ' ' . endpoint('u11'), '1 0 0 active', 'a transient one, signed with SHA-256');
is(call('ingest_sns', sns('2', MessageId => 'n3', Message => '{"notificationType": "Complaint", "mail": {"headers": [{"name": "X-Send-Id", "value": "1012"}]}, "complaint": {"complainedRecipients": [{"emailAddress": "u12@example.com"}]}}')) . ' ' . endpoint('u12'), '1 0 0 disabled', 'a complaint that knows our header only');
like(call('ingest_sns', $permanent =~ s/1010/1013/r), $refused, 'a changed one is refused');
like(call('ingest_sns', $permanent =~ s/\Q$certificate_url\E/https:\/\/evil.example\/x.pem/r), qr/no certificate/, 'as is a certificate from elsewhere');
like(call('ingest_sns', sns('1', TopicArn => 'arn:aws:sns:eu-west-1:666:x', Message => '{}')), qr/not one of ours/, 'a topic of somebody else');
like(call('ingest_sns', sns('1', Timestamp => '2029-12-30T00:00:00Z', Message => '{}')), qr/another time/, 'an old one');
is($te->sql(sprintf q{SELECT trigger_engine.ingest_sns(%s) ->> 'confirm'}, $te->quote(sns('2', Type => 'SubscriptionConfirmation', Message => 'm', Token => 't', SubscribeURL => 'https://sns.eu-west-1.amazonaws.com/?Action=ConfirmSubscription'))),
	'https://sns.eu-west-1.amazonaws.com/?Action=ConfirmSubscription', 'a subscription says what to visit');

# ---- Standard Webhooks ----

my @keys = map { encode_base64("key $_ " . 'x' x 24, '') } 1 .. 2;
secret('webhook', TriggerEngine::json({ keys => [ map { "whsec_$_" } @keys ] }));
sub standard
{
	my ($id, $at, $content, @with) = @_;
	return ($content, $id, $at, join ' ', map { 'v1,' . encode_base64(hmac_sha256("$id.$at.$content", $_ =~ /^=/ ? substr($_, 1) : decode_base64($_)), '') } @with);
}
my $click = '{"type": "message.clicked", "timestamp": "2030-01-01T00:00:00Z", "data": {"send_id": 1020, "url": "app://x"}}';
my $at = $now + 62;
is(call('ingest_webhook', standard('w1', $at, $click, $keys[1])) . ' ' . of(1020), '1 0 0 clicked', 'a webhook of our own');
is(call('ingest_webhook', standard('w1', $at, $click, '=wrong', $keys[0])), '0 1 0', 'one good signature of several will do');
like(call('ingest_webhook', standard('w2', $at, $click, '=wrong')), $refused, 'a bad one will not');
like(call('ingest_webhook', standard('w2', $at - 301, $click, $keys[0])), qr/another time/, 'five minutes are the limit');
like(call('ingest_webhook', standard('w2', $at + 301, $click, $keys[0])), qr/another time/, 'ahead, too');
is(call('ingest_webhook', standard('w3', $at, '{"type": "message.liked", "data": [1]}', $keys[0])), '0 0 1', 'what we do not know is passed over');

# ---- secrets ----

like(($te->try(sprintf 'SELECT trigger_engine.set_callback_secret(%s, %s)', map { $te->quote($_) } @$_))[2], qr/ERROR/, "not @$_") for [ 'fax', '{}' ], [ 'mailgun', '{}' ], [ 'mailgun', '{"signing_key": 1}' ], [ 'mailgun', '{"signing_key": "file:../x"}' ], [ 'sns', '{"certificates": [], "topics": []}' ], [ 'twilio', '[]' ];
like(($te->try(q{SELECT trigger_engine.set_callback_secret('mailgun', '{"signing_key": "value"}')}))[2], qr/WARNING:.*is stored in the database/, 'a value given inline is warned of');
$te->sql(q{CREATE ROLE web LOGIN; SELECT trigger_engine.grant_usage('web', 'app')});
like(($te->try('SELECT * FROM trigger_engine._callback_secrets', extra_params => [ '-U', 'web' ]))[2], qr/permission denied/, 'an application reads no secret');
like(($te->try(q{SELECT trigger_engine._resolve_reference('env:TRIGGER_ENGINE_SECRET_X')}, extra_params => [ '-U', 'web' ]))[2], qr/permission denied/, 'and resolves none');

done_testing();
