# Receivers that answer nonsense, endlessly, by drops or not at all.
#
# Promise: they hurt neither the worker nor other providers; what is kept of an answer
# is short, valid text; libcurl never sends a message a second time by itself; a
# provider that says "too fast" gets nothing for as long as it asked.
use strict;
use warnings;

use Test::More;
use Time::HiRes qw(time);
use TriggerEngine;

my $te = TriggerEngine->new(virtual_clock => 1, extension => 0);
$te->sql(q{CREATE DATABASE utf8 TEMPLATE template0 ENCODING 'UTF8' LOCALE 'C'});
$te = $te->in('utf8');
$te->sql('CREATE EXTENSION trigger_engine');
my $receiver = $te->receiver;
ok($te->wait_for_worker, 'a delivery worker runs');
my $worker = $te->worker_pid;

# Memory of the worker that is its own, in kB.
sub own_memory
{
	my ($kb) = PostgreSQL::Test::Utils::slurp_file("/proc/$worker/status") =~ /^RssAnon:\s+(\d+) kB/m;
	return $kb;
}

sub set_up
{
	my ($name, %option) = @_;
	$te->webhook($name, $receiver->url("/$name"), timeout => '2 s', %option);
	$te->journey($name, event => $name, provider => $name);
	return;
}

# ---- bad answers beside good ones ----

# an answer's body of bytes that are no text
my $binary = join '', map { chr } 0 .. 255;
my %bad = (
	huge => ['huge'],
	malformed => ['malformed'],
	half => ['half'],
	half_header => ['half_header'],
	empty => ['cut'],
	reset => ['reset'],
	wrong_length => ['wrong_length'],
	drip => [ 'drip', interval => 0.2, size => 1000 ],
	headers => [ 'status', headers => { map { ("X-$_" => 'x' x 6000) } 1 .. 20 } ],
	binary => [ 'status', status => 400, body => $binary x 20 ],
	text => [ 'status', status => 400, body => "Gr\xc3\xbc\xc3\x9fe " x 1000 ],
	cookie => [ 'status', headers => { 'Set-Cookie' => 'track=1', 'Refresh' => '0; url=http://127.0.0.1/' } ]);
for my $name (sort keys %bad)
{
	my ($mode, @option) = @{ $bad{$name} };
	$receiver->mode("/$name", $mode, @option);
	set_up($name);
}
set_up('good');
$te->event('warm', 'good');
ok($te->idle, 'a good receiver');
my $before = own_memory();

my $start = time;
$te->sql(join ';', map { "INSERT INTO trigger_engine.events(user_id, name) SELECT 'u' || i, '$_' FROM generate_series(1, 5) i" }
	  sort keys %bad);
$te->events(50, 'good');
ok($te->poll(q{SELECT count(*) = 51 FROM trigger_engine.sends WHERE journey = 'good' AND state = 'accepted'}),
	'the good receiver gets everything');
is($te->sql(q{SELECT count(*) FROM trigger_engine.sends WHERE journey = 'good' AND attempts <> 1 OR
	journey = 'good' AND took > interval '1900 ms'}), 0, 'at once');
ok($te->poll(q{SELECT NOT EXISTS (SELECT FROM trigger_engine.sends WHERE state = 'claimed')}),
	'the bad ones come to an end');
is($te->worker_pid, $worker, 'the worker lives');
my $growth = own_memory() - $before;
note "the worker grew by $growth kB";
cmp_ok($growth, '<', 20_000, 'and did not keep 250 MB of answers');

my %outcome = map { split /\|/ } split /\n/, $te->sql(
	q{SELECT s.journey, string_agg(DISTINCT a.outcome, ',') FROM trigger_engine.attempts a
	  JOIN trigger_engine.sends s USING (user_id, send_id) WHERE a.attempt = 1 GROUP BY s.journey});
is_deeply(
	[ map { "$_: $outcome{$_}" } qw(malformed half half_header empty reset wrong_length drip headers) ],
	[ map { "$_: ambiguous" } qw(malformed half half_header empty reset wrong_length drip headers) ],
	'an answer that is none leaves the outcome open');
is($outcome{huge}, 'accepted', 'an endless answer counts by its status');
is($outcome{binary}, 'rejected', 'one of any bytes, too');
is($te->sql(q{SELECT max(octet_length(response)) < 512 FROM trigger_engine.attempts}), 't', 'little of an answer is kept');
is($te->sql(q{SELECT count(*) FROM trigger_engine.attempts WHERE response ~ '[\x01-\x1f\x7f]' OR reason ~ '[\x01-\x1f\x7f]'}),
	0, 'without control characters');
like($te->sql(q{SELECT response FROM trigger_engine.sends WHERE journey = 'text' LIMIT 1}),
	qr/^(?:Gr\xc3\xbc\xc3\x9fe )+(?:G(?:r(?:\xc3\xbc(?:\xc3\x9fe?)?)?)?)?$/, 'cut at the end of a character');

# ---- a cookie is not brought back, and nothing else is carried over ----

$te->event('again', 'cookie');
ok($te->poll(q{SELECT state = 'accepted' FROM trigger_engine.sends WHERE user_id = 'again'}), 'another message');
unlike(($receiver->received('/cookie'))[-1]{headers}, qr/^(?:cookie|referer|authorization):/mi, 'a cookie is not kept');

# ---- no silent repeat ----

# Connections that are kept are used again; where one breaks before the first byte of
# the answer, libcurl sends the message again by itself and tells nobody.
$te->set_clock($te->sql('SELECT clock_timestamp()'));
set_up('keep');
$te->events(20, 'keep', prefix => 'warm-');
ok($te->idle, 'connections are open');
my %former = map { $_->{connection} => 1 } $receiver->received('/keep');
for my $mode (qw(cut reset half_header))
{
	my $seen = scalar(() = $receiver->received('/keep'));

	$receiver->mode('/keep', $mode, times => 5);
	$te->events(20, 'keep', prefix => "$mode-");
	ok($te->idle, "$mode: 20 messages of which 5 get no answer");
	my @requests = ($receiver->received('/keep'))[ $seen .. $seen + 40 ];
	@requests = grep { defined } @requests;
	is(scalar @requests, 20, "$mode: are 20 requests, not 25");
	is(scalar keys %{ { map { $_->{id} => 1 } @requests } }, 20, "$mode: of 20 messages");
	cmp_ok(scalar(grep { $_->{mode} eq $mode and $former{ $_->{connection} } } @requests),
		'>', 0, "$mode: some broke on a connection used before, so that this says something");
	is($te->sql("SELECT count(*) FROM trigger_engine.sends WHERE user_id LIKE '$mode-%' AND state = 'due' AND attempts = 1"),
		5, "$mode: the 5 are left to the queue");
	%former = (%former, map { $_->{connection} => 1 } @requests);
	$te->advance('10 s');
	ok($te->idle, "$mode: after the wait");
	is($te->sql("SELECT count(*) FROM trigger_engine.sends WHERE user_id LIKE '$mode-%' AND state = 'accepted'"), 20,
		"$mode: they are accepted");
}
$te->sql('SELECT trigger_engine.set_clock(NULL)');

# ---- too fast ----

set_up('throttled', max_in_flight => 1);
$receiver->mode('/throttled', 'status', status => 429, headers => { 'Retry-After' => 3 }, times => 1);
$te->event('first', 'throttled');
ok($te->poll(q{SELECT state = 'due' AND attempts = 1 FROM trigger_engine.sends WHERE user_id = 'first'}), 'a receiver says "too fast"');
$te->events(5, 'throttled', prefix => 'later-');
$te->events(5, 'good', prefix => 'meanwhile-');
ok($te->poll(q{SELECT count(*) = 5 FROM trigger_engine.sends WHERE user_id LIKE 'meanwhile-%' AND state = 'accepted'}),
	'others go on');
ok($te->poll(q{SELECT count(*) = 6 FROM trigger_engine.sends WHERE journey = 'throttled' AND state = 'accepted'}),
	'in the end it gets everything');
my @times = map { $_->{time} } $receiver->received('/throttled');
is(scalar @times, 7, 'once each, and the first twice');
cmp_ok($times[1] - $times[0], '>=', 2.9, 'after the time it asked for');

# ---- a receiver that hangs holds up only itself ----

set_up('hang', timeout => '5 s', max_in_flight => 10);
$receiver->mode('/hang', 'hang');
$te->events(100, 'hang');
ok($te->poll(q{SELECT count(*) = 10 FROM trigger_engine.sends WHERE journey = 'hang' AND state = 'claimed'}),
	'a receiver that hangs has as many messages as it may have');
$te->events(20, 'good', prefix => 'beside-');
ok($te->poll(q{SELECT count(*) = 20 FROM trigger_engine.sends WHERE user_id LIKE 'beside-%' AND state = 'accepted'}, 't', 4),
	'another one gets all of its messages meanwhile');
is($te->sql(q{SELECT count(*) FROM trigger_engine.sends WHERE user_id LIKE 'beside-%' AND took > interval '1 s'}), 0, 'at once');
is($te->worker_pid, $worker, 'one worker did all this');

done_testing();
