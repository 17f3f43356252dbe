# TLS: certificates that must be refused, ca_file, HTTP/2 and HTTP/1.1, no proxy.
use strict;
use warnings;

use IO::Select;
use IO::Socket::INET;
use List::Util;
use Test::More;
use TriggerEngine;
use FakeDns;
use Tls;

plan skip_all => 'nginx and openssl are needed' unless Tls::available();

# a proxy in the server's environment is not to be used
my $proxy = IO::Socket::INET->new(LocalAddr => '127.0.0.1', Listen => 5, Proto => 'tcp');
my $proxy_url = 'http://127.0.0.1:' . $proxy->sockport;
my $dns = FakeDns->new(dir => PostgreSQL::Test::Utils::tempdir());
$dns->set('hook.test' => '127.0.0.1', 'other.test' => '127.0.0.1');
my $te = TriggerEngine->new(
	virtual_clock => 1,
	environment => {
		%{ $dns->environment },
		map { ($_ => $proxy_url) } qw(http_proxy https_proxy all_proxy HTTPS_PROXY ALL_PROXY) });
my $dir = $te->node->basedir;
my $receiver = $te->receiver;
ok($te->wait_for_worker, 'a delivery worker runs');
$te->set_clock($te->sql('SELECT clock_timestamp()'));

# with a receiver behind nginx, which alone answers before it has read the message
my %server = map { $_ => Tls->new(dir => $dir, certificate => $_, receiver => $receiver) }
  qw(good expired wrong_host self_signed);
my $http1 = Tls->new(dir => $dir, http2 => 0, receiver => $receiver);
my $behind = Tls->new(dir => $dir, receiver => $receiver);

# Sends one message to a provider; returns state, outcome and reason.
sub send_one
{
	my ($name, $url, %option) = @_;
	$te->webhook($name, $url, %{ { timeout => '10 s', %option } });
	$te->journey($name, event => $name, provider => $name);
	$te->event('u1', $name);
	$te->idle or diag("$name is not idle");
	return split /\|/, $te->sql(
		sprintf q{SELECT s.state, a.outcome, coalesce(a.reason, '') FROM trigger_engine.sends s
			JOIN trigger_engine.attempts a USING (user_id, send_id) WHERE s.journey = %s}, $te->quote($name)), 3;
}

# ---- who may be trusted ----

my ($state, $outcome, $reason) = send_one('trusted', $server{good}->url('/x'), ca_file => $server{good}->ca_file);
is("$state $outcome", 'accepted accepted', 'a certificate of the given CA is taken');
is(scalar $server{good}->requests, 1, 'the receiver has the message');

my %refused = (
	unknown_ca => [ 'good' ],
	expired => [ 'expired', ca_file => $server{expired}->ca_file ],
	wrong_host => [ 'wrong_host', ca_file => $server{wrong_host}->ca_file ],
	self_signed => [ 'self_signed', ca_file => $server{self_signed}->ca_file ],
	self_signed_alone => ['self_signed'],
	another_ca => [ 'good', ca_file => $server{expired}->ca_file ]);
for my $name (sort keys %refused)
{
	my ($certificate, %option) = @{ $refused{$name} };
	my $before = () = $server{$certificate}->requests;

	($state, $outcome, $reason) = send_one($name, $server{$certificate}->url('/x'), %option);
	is("$state $outcome", 'due not_sent', "$name: not sent, due again");
	like($reason, qr/certificate|SSL|subject/i, "$name: the reason speaks of the certificate");
	is(scalar(() = $server{$certificate}->requests), $before, "$name: the receiver got nothing");
}

($state, $outcome, $reason) = send_one('by_name', 'https://hook.test:' . $server{good}->port . '/x', ca_file => $server{good}->ca_file);
is("$state $outcome", 'accepted accepted', 'a name in the certificate is taken');
($state, $outcome, $reason) = send_one('other_name', 'https://other.test:' . $server{good}->port . '/x', ca_file => $server{good}->ca_file);
is("$state $outcome", 'due not_sent', 'another name of the same address is not');

($state, $outcome, $reason) = send_one('no_file', $server{good}->url('/x'), ca_file => "$dir/missing.pem");
is("$state $outcome", 'due config', 'a CA file that is missing is a matter of configuration');
like($reason, qr/missing\.pem|CA|certificate/i, 'and the reason says so');

($state, $outcome, $reason) = send_one('no_tls', 'https://127.0.0.1:' . $receiver->port . '/x', timeout => '1 s');
is("$state $outcome", 'due not_sent', 'a receiver without TLS gets nothing');

# the right CA, given later, and what waited goes
$te->sql(sprintf 'SELECT trigger_engine.alter_provider(%s, %s)', $te->quote('unknown_ca'),
	$te->quote(TriggerEngine::json({ ca_file => $server{good}->ca_file })));
$te->advance('6 s');
ok($te->idle, 'a CA file is given later');
is($te->sql(q{SELECT state || ' ' || attempts FROM trigger_engine.sends WHERE journey = 'unknown_ca'}), 'accepted 2', 'what waited goes');

# ---- HTTP/2 ----

$te->webhook('many', $behind->url('/many'), ca_file => $behind->ca_file, max_in_flight => 400);
$te->journey('many', event => 'many', provider => 'many');
$te->events(500, 'many');
ok($te->idle(60), '500 messages over TLS');
is($te->sql(q{SELECT count(*) FROM trigger_engine.sends WHERE journey = 'many' AND state = 'accepted' AND attempts = 1}), 500, 'are accepted');
my %protocols = $behind->protocols;
is_deeply(\%protocols, { 'HTTP/2.0' => 500 }, 'HTTP/2 is used');
my %connections;
$connections{ $_->[1] }++ for $behind->requests;
my @most = (sort { $b <=> $a } values %connections)[ 0 .. 3 ];
is(List::Util::sum(map { $_ // 0 } @most), 500, 'on no more than four connections, from the first message on');
is(scalar(grep { $_ > 1 } values %{ { $behind->count_ids } }), 0, 'none of them twice');

$te->webhook('http1', $http1->url('/x'), ca_file => $http1->ca_file);
$te->journey('http1', event => 'http1', provider => 'http1');
$te->events(50, 'http1');
ok($te->idle, '50 messages to a receiver of HTTP/1.1');
%protocols = $http1->protocols;
is_deeply(\%protocols, { 'HTTP/1.1' => 50 }, 'arrive by HTTP/1.1');

# ---- answers through a gateway ----

$receiver->mode('/gateway', 'cut', first_of_id => 1);
$te->webhook('gateway', $behind->url('/gateway'), ca_file => $behind->ca_file);
$te->journey('gateway', event => 'gateway', provider => 'gateway');
$te->events(20, 'gateway');
ok($te->idle, 'a gateway whose receiver breaks off says 502');
is($te->sql(q{SELECT count(*) FROM trigger_engine.attempts WHERE provider = 'gateway' AND outcome = 'ambiguous' AND status = 502}),
	20, 'which leaves the outcome open');
$te->advance('6 s');
ok($te->idle, 'they go again');
is($te->sql(q{SELECT count(*) FROM trigger_engine.sends WHERE journey = 'gateway' AND state = 'accepted' AND attempts = 2}), 20, 'and are accepted');
my %times;
$times{ $_->{id} }++ for $receiver->received('/gateway');
is_deeply([ values %times ], [ (2) x 20 ], 'under the webhook-id they had');
is(scalar(grep { !Webhook::verify($_, $te->secret('gateway')) } $receiver->received('/gateway')), 0, 'signed');

# ---- proxies ----

ok(!IO::Select->new($proxy)->can_read(0), 'nobody came to the proxy of the environment');

done_testing();
