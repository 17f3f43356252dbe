# Databases in other encodings than UTF8: what is counted in bytes, and what is only handed on.
use strict;
use warnings;

use JSON::PP;
use Test::More;
use TriggerEngine;

my $te = TriggerEngine->new(encoding => 'SQL_ASCII');
is($te->sql('SHOW server_encoding'), 'SQL_ASCII', 'a database without an encoding');
my $receiver = $te->receiver;
$te->webhook('hook', $receiver->url('/hook'));
$te->journey('mail', content => qq({"body": "f\xc3\xbcr {{ user.user_id }}: {{ event.what }}"}));
$te->event("z\xc3\xbcndorn", 'cart', qq({"what": "\xe4\xb8\xad\xe6\x96\x87"}));
ok($te->idle, 'a message of any bytes');
my ($request) = $receiver->received;
my $body = eval { JSON::PP->new->utf8->decode($request->{body})->{data}{content}{body} };
is($body, "f\x{fc}r z\x{fc}ndorn: \x{4e2d}\x{6587}", 'arrives as it was');

# names are bounded by bytes everywhere
my $name = "\xc3\xbc" x 63;
$te->journey('long', event => $name);
$te->event('u1', $name);
ok($te->idle, 'an event name of 126 bytes');
is($te->sql(q{SELECT state FROM trigger_engine.sends WHERE journey = 'long'}), 'accepted', 'works');
my ($status, undef, $error) = $te->try(sprintf 'SELECT trigger_engine.create_event_schema(%s, \'{}\')', $te->quote($name . "\xc3\xbc"));
like($error, qr/longer than 127 bytes/, 'one of 128 bytes is refused');

$te->sql(q{CREATE DATABASE latin TEMPLATE template0 ENCODING 'LATIN1' LOCALE 'C'});
my $latin = $te->in('latin');
$latin->sql('CREATE EXTENSION trigger_engine');
$latin->sql(qq{SET client_encoding = 'UTF8';
	SELECT trigger_engine.create_template('hello', 'in_app', '{"title": "f\xc3\xbcr {{ user.user_id }}"}');
	SELECT trigger_engine.create_journey('j', '{"kind": "event", "name": "cart"}', '[{"id": "s", "send": "hello"}]');
	INSERT INTO trigger_engine.events (user_id, name) VALUES ('z\xc3\xbcndorn', 'cart')});
ok($latin->idle, 'a database in LATIN1');
is($latin->sql(q{SET client_encoding = 'UTF8'; SELECT title FROM trigger_engine.inbox}), "f\xc3\xbcr z\xc3\xbcndorn", 'has its messages in its own');

done_testing();
