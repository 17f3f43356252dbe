# Addresses that messages may not be sent to: refused after the name was resolved and
# before a connection is made.
#
# Promise: loopback, link-local, private, reserved and mapped addresses in any
# spelling, names that resolve to them, and redirects to them are refused unless
# trigger_engine.allowed_private_cidrs names their network; plain http is refused
# anywhere else. Nothing connects.
use strict;
use warnings;

use IO::Select;
use IO::Socket::INET;
use IO::Socket::IP;
use Socket qw(SOMAXCONN);
use Test::More;
use TriggerEngine;
use FakeDns;

my $dns = FakeDns->new(dir => PostgreSQL::Test::Utils::tempdir());
my $te = TriggerEngine->new(
	virtual_clock => 1,
	environment => $dns->environment,
	conf => { 'trigger_engine.allowed_private_cidrs' => '' });
ok($te->wait_for_worker, 'a delivery worker runs');
my $worker = $te->worker_pid;
$te->set_clock($te->sql('SELECT clock_timestamp()'));
$te->sql(q{SELECT trigger_engine.create_template('hello', 'webhook', '{"body": "hello"}')});

# One port of every address of this machine, on which nothing ever accepts: whoever
# connects stays visible.
my $trap = IO::Socket::INET->new(LocalAddr => '0.0.0.0', Listen => SOMAXCONN, Proto => 'tcp') or die "listen: $@";
my $port = $trap->sockport;
my $trap6 = IO::Socket::IP->new(LocalHost => '::', LocalPort => $port, Listen => SOMAXCONN, V6Only => 1);
note 'no IPv6 here' unless $trap6;

# Takes whatever connected; how many did.
sub trapped
{
	my $count = 0;
	for my $listener (grep { defined } $trap, $trap6)
	{
		while (IO::Select->new($listener)->can_read(0))
		{
			$count++ if $listener->accept;
		}
	}
	return $count;
}

# A provider, its secret and a journey to it; false when the URL is not taken.
$te->sql(
	q{CREATE FUNCTION try_provider(name text, options jsonb, secret jsonb) RETURNS boolean LANGUAGE plpgsql AS $$
	BEGIN
		PERFORM trigger_engine.create_provider(name, 'webhook', options), trigger_engine.set_secret(name, secret);
		PERFORM trigger_engine.create_journey(name, jsonb_build_object('kind', 'event', 'name', name),
			jsonb_build_array(jsonb_build_object('id', 's', 'send', 'hello', 'provider', name)));
		RETURN true;
	EXCEPTION WHEN SQLSTATE 'TE001' THEN
		RETURN false;
	END $$});
my $number = 0;
my $secret = $te->quote(TriggerEngine::json({ keys => [ Webhook::new_secret() ] }));

# Providers for URLs, and one message to each. Returns by URL "refused at once" when
# create_provider() would not have it, else "state, outcome: reason".
sub send_to
{
	my @urls = @_;
	my %name = map { ('p' . ++$number => $_) } @urls;
	my %result;
	my $sql = join "\n", map {
		sprintf q{SELECT '%s', try_provider('%1$s', %s, %s);},
		  $_, $te->quote(TriggerEngine::json({ url => $name{$_}, timeout => '3 s' })), $secret
	} keys %name;

	for my $row (split /\n/, $te->sql("SET client_min_messages = error;\n$sql"))
	{
		my ($name, $taken) = split /\|/, $row;
		$result{ delete $name{$name} } = 'refused at once' if $taken ne 't';
	}
	$te->sql(join ';', map { "INSERT INTO trigger_engine.events(user_id, name) VALUES ('u', '$_')" } keys %name) if %name;
	$te->idle(60) or diag('not idle');
	for my $row (split /\n/, $te->sql(
			q{SELECT s.journey, s.state, a.outcome, coalesce(a.reason, '') FROM trigger_engine.sends s
			  LEFT JOIN trigger_engine.attempts a USING (user_id, send_id)}))
	{
		my ($name, $state, $outcome, $reason) = split /\|/, $row, 4;
		$result{ $name{$name} } = "$state, $outcome: $reason" if exists $name{$name};
	}
	return \%result;
}

# ---- addresses in every spelling ----

my @local = (
	'127.0.0.1', '127.0.0.2', '127.255.255.254', '127.1', '127.0.1', '2130706433', '0x7f000001', '0x7f.0.0.1', '0177.0.0.1',
	'017700000001', '127.0.0.1.', 'localhost', 'LOCALHOST', 'localhost.', '0.0.0.0', '0', '%31%32%37.0.0.1',
	"\xef\xbc\x91\xef\xbc\x92\xef\xbc\x97.0.0.1", "127\xe3\x80\x820\xe3\x80\x820\xe3\x80\x821",
	'[::1]', '[0:0:0:0:0:0:0:1]', '[::0001]', '[::]', '[::ffff:127.0.0.1]', '[::ffff:7f00:1]', '[0:0:0:0:0:ffff:7f00:0001]',
	'[::127.0.0.1]', '[64:ff9b::127.0.0.1]', '[64:ff9b::7f00:1]', '[2002:7f00:1::1]', '[::ffff:0:0]');
my @remote = (
	'0.1.2.3', '10.0.0.1', '10.255.255.254', '167772161', '172.16.0.1', '172.31.255.254', '192.168.0.1', '192.168.255.254',
	'100.64.0.1', '100.127.255.254', '169.254.169.254', '0xa9fea9fe', '192.0.0.8', '192.0.2.1', '198.18.0.1', '198.51.100.1',
	'203.0.113.1', '224.0.0.1', '239.255.255.255', '240.0.0.1', '255.255.255.255',
	'[fe80::1]', '[fe80::1%25lo]', '[fec0::1]', '[fc00::1]', '[fd12:3456::1]', '[ff02::1]', '[100::1]', '[2001:db8::1]', '[2001::1]',
	'[::ffff:10.0.0.1]', '[::ffff:169.254.169.254]', '[64:ff9b::10.0.0.1]', '[64:ff9b:1::1]', '[2002:a00:1::1]', '[2002:c0a8:1::]');

for my $scheme (qw(http https))
{
	my %url = map { ("$scheme://$_:$port/hook" => $_) } @local, @remote;
	my $result = send_to(sort keys %url);
	# a URL that the parser will not have, or a spelling that is a name which nobody
	# knows, is as good as an address refused
	my %wrong = map { ($_ => $result->{$_} // 'no result') }
	  grep { ($result->{$_} // '') !~ /^(?:refused at once|due, config: .*(?:refused|URL)|due, not_sent: .*resolve)/ } keys %url;

	is_deeply(\%wrong, {}, "$scheme: every private address is refused");
	is(trapped(), 0, "$scheme: and nothing connected");
	like($result->{"$scheme://127.0.0.1:$port/hook"}, qr/127\.0\.0\.1.*loopback.*allowed_private_cidrs/,
		"$scheme: the reason names address and setting");
	cmp_ok(scalar(grep { /config: .*refused/ } values %$result), '>', 40, "$scheme: most were refused as addresses");
}

# ---- URLs that are none ----

my @bad = ("file:///etc/passwd", "ftp://127.0.0.1:$port/", "gopher://127.0.0.1:$port/", "dict://127.0.0.1:$port/",
	"smtp://127.0.0.1:$port/", "scp://127.0.0.1:$port/", 'javascript:alert(1)', '//127.0.0.1/', '/hook', 'hook', '',
	"https://user\@example.com/", "https://user:password\@example.com/", "https://example.com/#fragment",
	"https://exa mple.com/", "https://", "https://example.com:99999/", "https://example.com/\r\nX-Header: 1");
my $result = send_to(@bad);
is_deeply([ grep { $result->{$_} ne 'refused at once' } @bad ], [], 'a URL that cannot be used is refused at once');

# ---- names ----

$dns->set(
	'private.test' => '10.1.2.3', 'loopback.test' => '127.0.0.1', 'loopback6.test' => '::1', 'mapped.test' => '::ffff:127.0.0.1',
	'metadata.test' => '169.254.169.254', 'public.test' => '93.184.216.34', 'none.test' => 'fail');
my @names = map { "https://$_.test:$port/hook" } qw(private loopback loopback6 mapped metadata);
$result = send_to(@names);
is_deeply([ grep { $result->{$_} !~ /^due, config: .*refused/ } @names ], [], 'names that resolve to private addresses are refused')
  or diag(explain($result));
is(trapped(), 0, 'and nothing connected');

$result = send_to("http://public.test:$port/hook");
like($result->{"http://public.test:$port/hook"}, qr/^due, config: http to 93\.184\.216\.34 is refused.*https/,
	'plain http to a public address is refused');
$result = send_to("http://none.test:$port/hook");
like($result->{"http://none.test:$port/hook"}, qr/^due, not_sent: /, 'a name that does not exist is not refused but tried again');

# ---- a network that is allowed, and what leads out of it ----

sub allow
{
	my ($cidrs) = @_;
	$te->sql(sprintf q{ALTER SYSTEM SET trigger_engine.allowed_private_cidrs = %s}, $te->quote($cidrs));
	$te->sql('SELECT pg_reload_conf()');
	return;
}

$dns->set('rebind.test' => '127.0.0.2,127.0.0.1', 'loopback.test' => '127.0.0.1');
my $receiver = $te->receiver(address => '127.0.0.2');
my $inner = $receiver->port;
my $beside = IO::Socket::INET->new(LocalAddr => '127.0.0.1', LocalPort => $inner, Listen => 5, Proto => 'tcp', ReuseAddr => 1);
allow('127.0.0.2/32');
ok($beside, 'two addresses, one port');

my $good = "http://127.0.0.2:$inner/good";
ok( TriggerEngine::wait_until(
		sub { $result = send_to($good); return $result->{$good} =~ /^accepted/ }),
	'an address that is allowed gets its message') or diag(explain($result));
$result = send_to("http://127.0.0.1:$inner/hook", "http://loopback.test:$inner/hook", "http://[::ffff:127.0.0.1]:$inner/hook");
is(scalar(grep { /^due, config: .*refused/ } values %$result), 3, 'its neighbours do not');
$result = send_to("http://[::ffff:127.0.0.2]:$inner/mapped", "http://0x7f.2:$inner/hex");
is(scalar(grep { /^accepted/ } values %$result), 2, 'it is the same in other spellings');

for my $status (301, 302, 303, 307, 308)
{
	$receiver->mode("/redirect$status", 'status', status => $status, headers => { Location => "http://127.0.0.1:$inner/hook" });
}
$result = send_to(map { "http://127.0.0.2:$inner/redirect$_" } 301, 302, 303, 307, 308);
is(scalar(grep { /^rejected, rejected: .*redirect not followed/ } values %$result), 5, 'a redirect to a private address is not followed');
ok(!IO::Select->new($beside)->can_read(0), 'nothing connected to the neighbour');

# a name whose answer changes: the first one is allowed, the second is not
my $rebind = "http://rebind.test:$inner/rebind";
$receiver->mode('/rebind', 'cut');
$result = send_to($rebind);
like($result->{$rebind}, qr/^due, ambiguous/, 'a name that resolves to the allowed address is connected to');
$receiver->mode('/rebind', 'ok');
allow('127.0.0.2/32, 127.0.0.3/32');
my $third = "http://127.0.0.3:$inner/hook";
ok( TriggerEngine::wait_until(sub { $result = send_to($third); return $result->{$third} =~ /^due, not_sent/ }),
	'other rules are in force, under which names are looked up anew');
$te->advance('6 s');
ok($te->idle, 'its second attempt');
is($te->sql(q{SELECT a.outcome || ' ' || a.attempt FROM trigger_engine.attempts a
		WHERE a.reason LIKE 'address 127.0.0.1 is refused%' AND provider = (SELECT name FROM trigger_engine.providers
		WHERE options ->> 'url' LIKE '%/rebind')}), 'config 2', 'when the name resolves to another address it is refused');
ok(!IO::Select->new($beside)->can_read(0), 'nothing connected to the neighbour');

# ---- the rules change while connections are open ----

$receiver->mode('/redirect301', 'ok');
allow('');
ok( TriggerEngine::wait_until(
		sub {
			$te->sql(q{INSERT INTO trigger_engine.events(user_id, name) VALUES ('closed-' || clock_timestamp(), 'p'
				|| (SELECT substr(name, 2) FROM trigger_engine.providers WHERE options ->> 'url' LIKE '%/good' ORDER BY name LIMIT 1))});
			$te->idle;
			return $te->sql(q{SELECT count(*) > 0 FROM trigger_engine.sends s JOIN trigger_engine.attempts a USING (user_id, send_id)
				WHERE s.user_id LIKE 'closed-%' AND a.outcome = 'config'}) eq 't';
		}),
	'an address that is no longer allowed is refused, also where a connection was open');
my $count = () = $receiver->received('/good');
$te->sql(q{INSERT INTO trigger_engine.events(user_id, name) VALUES ('last', 'p'
	|| (SELECT substr(name, 2) FROM trigger_engine.providers WHERE options ->> 'url' LIKE '%/good' ORDER BY name LIMIT 1))});
ok($te->idle, 'another message');
is(scalar(() = $receiver->received('/good')), $count, 'does not arrive');

# ---- the setting ----

for my $value ('banana', '127.0.0.1/33', '10.0.0.0/8,', '10.0.0.1/8', 'fe80::/129', '10.0.0.0/8 192.168.0.0/16', 'localhost')
{
	my ($status) = $te->try(sprintf 'ALTER SYSTEM SET trigger_engine.allowed_private_cidrs = %s', $te->quote($value));
	isnt($status, 0, "the setting refuses \"$value\"");
}
for my $value ('', '10.0.0.0/8', ' 10.0.0.0/8 , fd00::/8', '127.0.0.1', '0.0.0.0/0,::/0')
{
	my ($status) = $te->try(sprintf 'ALTER SYSTEM SET trigger_engine.allowed_private_cidrs = %s', $te->quote($value));
	is($status, 0, "and takes \"$value\"");
}
my ($status) = $te->try(q{SET trigger_engine.allowed_private_cidrs = '0.0.0.0/0'});
isnt($status, 0, 'a session cannot change it');

is($te->worker_pid, $worker, 'one worker did all this');
done_testing();
