# Mail by SMTP: what goes over the wire, what each reply means, connections, and links in it.
use strict;
use warnings;

use MIME::Base64;
use MIME::QuotedPrint;
use Test::More;
use TriggerEngine;
use MailServer;

my $te = TriggerEngine->new(virtual_clock => 1, conf => {
	'trigger_engine.public_url' => 'https://me.example/mail', 'trigger_engine.click_url' => 'https://t.example/c/', 'trigger_engine.open_url' => 'https://t.example/o/' });
my $dir = $te->node->basedir;
my $server = MailServer->new(dir => $dir);
my $guarded = MailServer->new(dir => $dir, user => 'shop', password => 'pass word');

sub provider
{
	my ($name, $mail_server, %option) = @_;
	return sprintf 'SELECT trigger_engine.create_provider(%s, %s, %s);', $te->quote($name), $te->quote('smtp'), $te->quote(TriggerEngine::json(
		{ url => $mail_server->url, from => 'shop@example.com', from_name => 'Größe & "Co"', tls => 'none', bounce => 'bounce+{send_id}@b.example.com', timeout => '3 s', %option }));
}
sub mails_to { my ($to, $from) = @_; return grep { $_->{to} eq $to } ($from // $server)->mails }

my $long = 'x' x 1200;
$te->sql(provider('mail', $server) . q{SET client_min_messages = error;
	SELECT trigger_engine.create_template('m', 'email', $${"subject": "{{ event.subject }}", "text": "{{ event.text }}",
		"html": "<body><p>{{ event.text }}</p><a href=\"https://shop.example/?a=1&amp;b=2\">x</a><img src=\"data:image/png;base64,aGVsbG8=\"><a href=\"https://shop.example/unsubscribe\">u</a></body>",
		"preheader": "pre <x>", "list_unsubscribe": "https://shop.example/u?x=1"}$$);
	SELECT trigger_engine.create_template('plain', 'email', '{"subject": "{{ event.subject }}", "text": "{{ event.text }}", "from": "me@other.example", "from_name": "Me", "reply_to": "you@other.example"}');
	SELECT trigger_engine.create_journey('mail', '{"kind": "event", "name": "mail"}', '[{"id": "s", "send": "m", "channel": "email"}]', transactional => true);
	SELECT trigger_engine.create_journey('news', '{"kind": "event", "name": "news"}', '[{"id": "s", "send": "plain", "channel": "email", "provider": "mail"}]', topic => 'news');
	SELECT trigger_engine.create_journey('plain', '{"kind": "event", "name": "plain"}', '[{"id": "s", "send": "plain", "channel": "email", "provider": "mail"}]', transactional => true)});

# One mail; returns it as the server got it, its state and its send.
sub send_mail
{
	my ($user, $address, $event, %property) = @_;
	$te->sql(sprintf 'INSERT INTO trigger_engine.endpoints (user_id, channel, address) VALUES (%s, %s, %s) ON CONFLICT DO NOTHING', map { $te->quote($_) } $user, 'email', $address);
	$te->event($user, $event, TriggerEngine::json({ subject => 'Hello', text => 'Hi', %property }));
	$te->idle or diag "$user is not idle";
	my ($mail) = reverse mails_to($address);
	return ($mail, split /\|/, $te->sql(sprintf 'SELECT state, send_id, coalesce(provider_ref, %s) FROM trigger_engine.sends WHERE user_id = %s ORDER BY send_id DESC LIMIT 1', $te->quote(''), $te->quote($user)));
}
# Head (unfolded, by name) and body of a part.
sub part
{
	my ($text) = @_;
	my ($head, $body) = split /\r\n\r\n/, $text, 2;
	$head =~ s/\r\n(?=[ \t])//g;
	return ({ map { /^([^:]+): ?(.*)$/ ? (lc $1 => $2) : () } split /\r\n/, $head }, $body, [ map { /^([^:]+):/ ? $1 : () } split /\r\n/, $head ]);
}
sub parts
{
	my ($head, $body) = @_;
	my ($boundary) = $head->{'content-type'} =~ /boundary="([^"]+)"/;
	my @parts = split /(?:^|\r\n)--\Q$boundary\E(?:--)?\r\n/, "\r\n$body";
	return map { [ part($_) ] } grep { /\S/ } @parts;
}
sub words { return join '', map { decode_base64($_) } $_[0] =~ /=\?UTF-8\?B\?([^?]*)\?=/g }

# ---- what a mail looks like ----

my $text = "Grüße\n.dot\nFrom me =\n$long\n" . ('ü' x 300) . "\n trailing \n";
my ($mail, $state, $send_id, $ref) = send_mail('ann', 'ann@example.com', 'mail', subject => 'Grüße ☃' . (' und noch mehr Wörter' x 8), text => $text);
is($state, 'accepted', 'a mail is accepted');
is($ref, 'Q616e6e40', 'the name that the server gave it is kept');
is($mail->{from}, "bounce+$send_id\@b.example.com", 'bounces come back with the number of the send');
my @long = grep { length > 78 } split /\r\n/, $mail->{data};
is(scalar @long, 0, 'no line is longer than 78');
unlike($mail->{data}, qr/[^\r]\n|\r[^\n]/, 'every line ends with CRLF');
unlike($mail->{data}, qr/[\x80-\xff]/, 'seven bits are enough');
my ($head, $body, $order) = part($mail->{data});
is(join(' ', @$order), 'From To Subject Date Message-ID List-Unsubscribe List-Unsubscribe-Post Auto-Submitted X-Send-Id MIME-Version Content-Type', 'headers, once each, in their order');
is(words($head->{from}), 'Größe & "Co"', 'the sender has a name');
like($head->{from}, qr/ <shop\@example\.com>$/, 'and an address');
is(words($head->{subject}), 'Grüße ☃' . (' und noch mehr Wörter' x 8), 'the subject comes back whole');
ok(!(grep { length > 75 } $head->{subject} =~ /(=\?\S*\?=)/g), 'no encoded word is longer than 75');
is($head->{'x-send-id'}, $send_id, 'our number travels along');
like($head->{'message-id'}, qr/^<msg_[0-9a-f]{32}\@example\.com>$/, 'the message has its identity');
like($head->{date}, qr/^\w{3}, \d\d \w{3} \d{4} \d\d:\d\d:\d\d \+0000$/, 'and a date');
is($head->{'list-unsubscribe'}, '<https://shop.example/u?x=1>', 'how to leave the list');
is($head->{'list-unsubscribe-post'}, 'List-Unsubscribe=One-Click', 'with one click');
my ($plain, $related) = parts($head, $body);
is(decode_qp($plain->[1]) =~ s/\r\n/\n/gr, "$text", 'the text is what it was') or diag $plain->[1];
is($plain->[0]{'content-type'}, 'text/plain; charset=utf-8', 'it comes first');
my ($html, $image) = parts(@$related);
my $markup = decode_qp($html->[1]);
like($markup, qr/^<body><div style="display:none[^>]*>pre &lt;x><\/div><p>Grüße\r?\n/, 'the preheader is there, and not seen');
my ($cid) = $image->[0]{'content-id'} =~ /<(.*)>/;
like($markup, qr/<img src="cid:\Q$cid\E">/, 'the picture is a part of its own');
is(decode_base64($image->[1]), 'hello', 'and holds what it held');

# marketing says how to leave by itself, and it works
$te->sql(q{SELECT trigger_engine.set_consent('lea', 'email', 'opted_in')});
($mail) = send_mail('lea', 'lea@example.com', 'news');
($head) = part($mail->{data});
my ($token) = $head->{'list-unsubscribe'} =~ m{^<https://me\.example/mail/unsubscribe\?token=(\S+)>$};
is($head->{'list-unsubscribe-post'}, 'List-Unsubscribe=One-Click', 'a mail that is no transaction says how to leave');
$te->sql(sprintf 'SELECT trigger_engine.unsubscribe(%s, %s)', map { $te->quote($_) } $token, 'List-Unsubscribe=One-Click');
(undef, $state) = send_mail('lea', 'lea@example.com', 'news');
is($state, 'withheld', 'and who does so gets no more of that topic');

# an encoded subject cannot break out, nor can an address
($mail) = send_mail('eve', 'eve@example.com', 'plain', subject => "a\r\nBcc: x\@example.com\r\n\r\nbody", text => "\r\n.\r\nMAIL FROM:<x\@example.com>\r\n");
($head, $body, $order) = part($mail->{data});
is(join(' ', @$order), 'From To Subject Date Message-ID Reply-To Auto-Submitted X-Send-Id MIME-Version Content-Type Content-Transfer-Encoding', 'a line break in a subject begins no header');
is($head->{from}, '"Me" <me@other.example>', 'the content may name the sender');
is(scalar mails_to('eve@example.com'), 1, 'a dot in the text does not end the message');
is(decode_qp($body) =~ s/\r\n/\n/gr, "\n.\nMAIL FROM:<x\@example.com>\n\n", 'and is in it');
(undef, $state) = send_mail('mal', "mal\@example.com>\r\nRCPT TO:<x\@example.com", 'plain');
is($state, 'rejected', 'an address with a line break is none');
is(scalar(grep { $_->{to} eq 'x@example.com' } $server->mails), 0, 'and nobody else gets the mail');

# ---- what the replies mean ----

my %means = (
	'rcpt-550-5.1.1' => 'rejected target_dead disabled', 'rcpt-550-5.1.10' => 'rejected target_dead disabled', 'basic-550' => 'rejected target_dead disabled',
	'basic-551' => 'rejected target_dead disabled', 'basic-553' => 'rejected target_dead disabled', 'rcpt-550-5.7.1' => 'rejected rejected active',
	'rcpt-552-5.2.2' => 'rejected rejected active', 'basic-554' => 'rejected rejected active', 'mail-550-5.7.1' => 'rejected rejected active', 'mail-554-5.6.0' => 'rejected rejected active',
	'rcpt-450-4.2.0' => 'due retry active', 'rcpt-451-4.7.1' => 'due retry active', 'mail-452-4.3.1' => 'due retry active', 'mail-421-4.3.2' => 'due retry active',
	'drop' => 'due not_sent active', 'cutdata' => 'unknown ambiguous active');
$te->sql('SELECT trigger_engine.alter_journey(\'plain\', transactional => false)');
$te->sql(join ';', map { my $a = $te->quote("$_\@example.com");
	"INSERT INTO trigger_engine.endpoints (user_id, channel, address) VALUES ($a, 'email', $a); SELECT trigger_engine.set_consent($a, 'email', 'opted_in');
	 INSERT INTO trigger_engine.events (user_id, name) VALUES ($a, 'plain')" } sort keys %means);
$te->idle or diag 'not idle';
my %found = map { my @f = split /\|/; ($f[0] => $f[1]) } split /\n/, $te->sql(q{
	SELECT split_part(s.user_id, '@', 1), s.state || ' ' || coalesce((SELECT outcome FROM trigger_engine.attempts a WHERE a.user_id = s.user_id AND a.outcome <> s.state ORDER BY at LIMIT 1),
		CASE WHEN s.state = 'unknown' THEN 'ambiguous' WHEN e.state = 'disabled' THEN 'target_dead' ELSE s.state END) || ' ' || e.state
	FROM trigger_engine.sends s JOIN trigger_engine.endpoints e USING (user_id) WHERE s.journey = 'plain' AND s.user_id ~ '@'});
is($found{$_}, $means{$_}, "what $_ means") for sort keys %means;
is($te->sql(q{SELECT min(due_at) >= trigger_engine.clock() + interval '4 min' FROM trigger_engine.sends WHERE user_id = 'rcpt-451-4.7.1@example.com'}), 't', 'a greylisted mail waits some minutes');
like($te->sql(q{SELECT reason FROM trigger_engine.sends WHERE user_id = 'rcpt-550-5.1.1@example.com'}), qr/^the server says: 550 5\.1\.1 as told/, 'the reason is the server\'s');
(undef, $state) = send_mail('hang', 'hang@example.com', 'mail');
is($te->sql(q{SELECT outcome FROM trigger_engine.attempts WHERE user_id = 'hang' ORDER BY at LIMIT 1}), 'ambiguous', 'no answer to a whole message is not known');
$te->sql(q{SELECT trigger_engine.cancel_sends(journey => 'mail'), trigger_engine.cancel_sends(journey => 'plain')});

# ---- connections ----

$te->sql(q{INSERT INTO trigger_engine.endpoints (user_id, channel, address) SELECT 'b' || i, 'email', 'b' || i || '@example.com' FROM generate_series(1, 300) i});
$te->events(300, 'mail', prefix => 'b', properties => '{"subject": "s", "text": "t"}');
$te->idle or diag 'not idle';
my @bulk = grep { $_->{to} =~ /^b\d+\@/ } $server->mails;
is(scalar @bulk, 300, 'three hundred mails arrive');
my (%connection, %to);
$connection{ $_->{connection} }++, $to{ $_->{to} }++ for @bulk;
cmp_ok(scalar keys %connection, '<=', 8, 'over no more connections than allowed');
is(scalar keys %to, 300, 'once each');

# ---- who may send ----

$te->sql('SET client_min_messages = error;' . provider('guarded', $guarded, bounce => undef) . q{SELECT trigger_engine.set_secret('guarded', '{"username": "shop", "password": "pass word"}');
	SELECT trigger_engine.create_journey('guarded', '{"kind": "event", "name": "guarded"}', '[{"id": "s", "send": "plain", "channel": "email", "provider": "guarded"}]', transactional => true)});
send_mail('ann', 'ann@example.com', 'guarded');
my ($known) = mails_to('ann@example.com', $guarded);
is($known->{auth}, 'shop', 'we log in');
is($known->{from}, 'shop@example.com', 'without a bounce address mail comes from the sender');
$te->sql(q{SET client_min_messages = error; SELECT trigger_engine.set_secret('guarded', '{"username": "shop", "password": "wrong"}')});
send_mail('ann', 'ann@example.com', 'guarded');
is(scalar mails_to('ann@example.com', $guarded), 1, 'nothing is sent with a wrong password');
is($te->sql(q{SELECT outcome FROM trigger_engine.attempts WHERE provider = 'guarded' ORDER BY at DESC LIMIT 1}), 'config', 'which an administrator has to put right');
$te->sql('SET client_min_messages = error;' . provider('secure', $server, tls => 'required') . q{
	SELECT trigger_engine.create_journey('secure', '{"kind": "event", "name": "secure"}', '[{"id": "s", "send": "plain", "channel": "email", "provider": "secure"}]', transactional => true)});
send_mail('sec', 'sec@example.com', 'secure');
is(scalar mails_to('sec@example.com'), 0, 'nothing goes to a server without STARTTLS');
is($te->sql(q{SELECT outcome || ' ' || reason FROM trigger_engine.attempts WHERE provider = 'secure' LIMIT 1}), 'config the server does not offer STARTTLS', 'and that is said');

# ---- links ----

$te->sql(q{SELECT trigger_engine.set_link_tracking('{"utm": true, "clicks": true, "opens": true}', journey => 'mail')});
($mail, $state, $send_id) = send_mail('lin', 'lin@example.com', 'mail', text => 'see https://shop.example/t.');
($head, $body) = part($mail->{data});
($plain, $related) = parts($head, $body);
$markup = decode_qp((parts(@$related))[0][1]);
my ($click) = $markup =~ m{href="https://t\.example/c/([\w-]+)"};
my ($open) = $markup =~ m{src="https://t\.example/o/([\w-]+)"};
like($markup, qr{href="https://shop\.example/unsubscribe"}, 'the link to unsubscribe stays as it is');
is($te->sql("SELECT trigger_engine.resolve_click('$click')"), 'https://shop.example/?a=1&b=2&utm_source=trigger_engine&utm_medium=email&utm_campaign=mail&utm_content=m&utm_term=s', 'a click leads where it should');
like(decode_qp($plain->[1]), qr{see https://t\.example/c/[\w-]+\.}, 'links in the text, too');
$te->sql("SELECT trigger_engine.advance_clock('1 min')");
is($te->sql("SELECT trigger_engine.resolve_open('$open')"), 't', 'the picture counts an open');
is($te->sql("SELECT string_agg(kind, ' ' ORDER BY kind) FROM trigger_engine.interactions WHERE send_id = $send_id AND NOT machine"), 'clicked opened', 'both are recorded');

# ---- what cannot be configured ----

for ([ '{"url": "http://x"}', 'smtp://' ], [ '{"url": "smtp://u:p@x", "from": "a@b.c"}', 'user or password' ], [ '{"url": "smtp://x"}', '"from"' ], [ '{"from": "a@b.c"}', '"url"' ],
	[ '{"url": "smtp://x", "from": "A <a@b.c>"}', 'e-mail address' ], [ '{"url": "smtp://x", "from": "a@b.c", "bounce": "{send_id}"}', 'e-mail address' ],
	[ '{"url": "smtp://x", "from": "a@b.c", "tls": "maybe"}', '"tls"' ], [ '{"url": "smtp://x", "from": "a@b.c", "connections": 0}', '"connections"' ])
{
	my ($options, $says) = @$_;
	my ($status, undef, $error) = $te->try(sprintf 'SELECT trigger_engine.create_provider(%s, %s, %s)', map { $te->quote($_) } 'x', 'smtp', $options);
	ok($status != 0 && $error =~ /\Q$says\E/, "not $options") or diag $error;
}

done_testing();
