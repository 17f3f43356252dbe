# What each answer of a receiver comes to, on a virtual clock.
#
# Promise: 2xx is accepted; 4xx and redirects are rejected at once; 410 disables the
# provider and later sends are held; 429 and 503 wait as long as they ask; what was
# surely not processed, and what may have been, is tried again with the same
# webhook-id after waits of 5 s, 5 min, 30 min, 2 h, 5 h, 10 h, 14 h, 20 h, 24 h and a
# fifth more at most, and then the send has failed.
use strict;
use warnings;

use IO::Socket::INET;
use POSIX qw(strftime);
use Test::More;
use TriggerEngine;

my $te = TriggerEngine->new(virtual_clock => 1);
my $receiver = $te->receiver;
ok($te->wait_for_worker, 'a delivery worker runs');
my $worker = $te->worker_pid;
$te->set_clock($te->sql(q{SELECT date_trunc('second', clock_timestamp())}));

$te->sql(q{SELECT trigger_engine.create_template('hello', 'webhook', '{"body": "hello {{ user.user_id }}"}')});

# Providers, journeys and events of one name each, for receivers that answer as told:
# (name => [ mode, options ], ...), where url and timeout are the provider's.
sub set_up
{
	my (%wanted) = @_;
	my $secret = $te->quote(TriggerEngine::json({ keys => [ Webhook::new_secret() ] }));
	my $sql = "SET client_min_messages = error;\n";

	for my $name (sort keys %wanted)
	{
		my ($mode, %option) = @{ $wanted{$name} };
		my $provider = { url => delete $option{url} // $receiver->url("/$name"), timeout => delete $option{timeout} // '20 s' };

		$receiver->mode("/$name", $mode, %option);
		$sql .= sprintf "SELECT trigger_engine.create_provider('%s', 'webhook', %s), trigger_engine.set_secret('%s', %s),"
		  . " trigger_engine.create_journey('%s', '{\"kind\": \"event\", \"name\": \"%s\"}',"
		  . " '[{\"id\": \"send\", \"send\": \"hello\", \"provider\": \"%s\"}]');\n",
		  $name, $te->quote(TriggerEngine::json($provider)), $name, $secret, ($name) x 3;
	}
	$te->sql($sql);
	return;
}

# State, attempts and the outcome of the latest hand-over of a journey's only send.
sub look
{
	my ($name) = @_;
	my %row;
	@row{qw(state attempts outcome status reason wait)} = split /\|/, $te->sql(
		sprintf q{SELECT s.state, s.attempts, a.outcome, coalesce(a.status, 0), coalesce(a.reason, ''),
			round(extract(epoch FROM s.due_at - trigger_engine.clock()), 3)
		FROM trigger_engine.sends s
		LEFT JOIN LATERAL (SELECT * FROM trigger_engine.attempts a WHERE a.user_id = s.user_id AND a.send_id = s.send_id
			ORDER BY attempt DESC LIMIT 1) a ON true WHERE s.journey = %s}, $te->quote($name)), 6;
	return \%row;
}

sub requests { return scalar(() = $receiver->received("/$_[0]")) }

# The only webhook-id that a journey's requests carried, or their number.
sub only_id
{
	my ($name) = @_;
	my %ids = map { $_->{id} => 1 } $receiver->received("/$name");
	return keys %ids == 1 ? 'same' : scalar keys %ids;
}

# ---- one answer each ----

my %redirect = map { ("r$_" => [ status => $_, headers => { Location => $receiver->url('/elsewhere') } ]) }
  qw(301 302 303 307 308);
my %case = (
	# name => [ state, outcome, mode, options ]
	(map { ("s$_" => [ 'accepted', 'accepted', 'status', status => $_ ]) } qw(200 201 202 204)),
	(map { ("s$_" => [ 'rejected', 'rejected', 'status', status => $_ ]) } qw(400 404 405 409 413 422)),
	(map { ($_ => [ 'rejected', 'rejected', 'status', @{ $redirect{$_} } ]) } keys %redirect),
	(map { ("s$_" => [ 'due', 'auth', 'status', status => $_ ]) } qw(401 403)),
	(map { ("s$_" => [ 'due', 'retry', 'status', status => $_ ]) } qw(408 425 500 503)),
	s429 => [ 'due', 'throttled', 'status', status => 429 ],
	(map { ("s$_" => [ 'due', 'ambiguous', 'status', status => $_ ]) } qw(502 504 520)),
	(map { ($_ => [ 'due', 'ambiguous', $_ ]) } qw(reset cut half half_header malformed)),
	wait => [ 'accepted', 'accepted', 'slow', delay => 0.5 ],
	(map { ($_ => [ 'due', 'ambiguous', $_, timeout => '500 ms' ]) } qw(hang drip wrong_length)));

set_up(map { $_ => [ @{ $case{$_} }[ 2 .. $#{ $case{$_} } ] ] } keys %case);
$te->sql(join ';', map { "INSERT INTO trigger_engine.events(user_id, name) VALUES ('u_$_', '$_')" } sort keys %case);
ok($te->idle, 'every message was handed over');
for my $name (sort keys %case)
{
	my ($state, $outcome, $mode, %option) = @{ $case{$name} };
	my $is = look($name);

	is("$is->{state} $is->{attempts} $is->{outcome}", "$state 1 $outcome", "$name: $outcome, $state");
	is(requests($name), 1, "$name: one request");
	is($is->{status}, $option{status}, "$name: the status is on record") if $option{status};
	cmp_ok($is->{reason}, 'ne', '', "$name: and why") unless $state eq 'accepted';
	next unless $state eq 'due';
	cmp_ok($is->{wait}, '>=', 5, "$name: tried again after 5 s or more");
	cmp_ok($is->{wait}, '<=', 6, "$name: and after 6 s at most");
}
is(requests('elsewhere'), 0, 'no redirect was followed');

# every one that is due goes again, with the identity it had
my @again = sort grep { $case{$_}[0] eq 'due' } keys %case;
$receiver->mode("/$_", 'ok') for @again;
$te->advance('4.9 s');
ok($te->idle, 'nothing comes due earlier');
is_deeply([ grep { requests($_) != 1 } @again ], [], 'and nothing is sent');
$te->advance('1.2 s');
ok($te->idle, 'after 6 s everything is sent again');
for my $name (@again)
{
	my $is = look($name);
	is("$is->{state} $is->{attempts} " . only_id($name), 'accepted 2 same', "$name: accepted at the second attempt, under the same webhook-id");
}
is($te->sql(q{SELECT count(*) FROM trigger_engine.sends WHERE state NOT IN ('accepted', 'rejected')}), 0, 'nothing else is left');

# ---- Retry-After ----

my %retry_after = (
	seconds => [ 429, 120 ],
	unavailable => [ 503, 600 ],
	date => [ 429, strftime('%a, %d %b %Y %H:%M:%S GMT', gmtime(time + 300)) ],
	short => [ 429, 1 ],
	past => [ 429, 'Wed, 21 Oct 2015 07:28:00 GMT' ],
	nonsense => [ 429, 'soon' ],
	endless => [ 429, '99999999999999999999' ]);
set_up(map { $_ => [ 'status', status => $retry_after{$_}[0], headers => { 'Retry-After' => $retry_after{$_}[1] } ] }
	  keys %retry_after);
my @waits = sort keys %retry_after;
$te->event('u1', $_) for @waits;
ok($te->idle, 'throttled messages are handed over');
is(look('seconds')->{wait}, '120.000', 'seconds are waited for');
is(look('unavailable')->{wait}, '600.000', 'also after 503');
my $date = look('date')->{wait};
cmp_ok($date, '>', 300 - 90, 'a date is waited for');
cmp_ok($date, '<=', 301, 'and not longer');
for my $name (qw(short past nonsense))
{
	my $wait = look($name)->{wait};
	ok($wait >= 5 && $wait <= 6, "$name: the usual wait") or diag($wait);
}
cmp_ok(look('endless')->{wait}, '<=', 7 * 86400, 'an endless one is cut at a week');
$receiver->mode("/$_", 'ok') for @waits;
$te->advance('119 s');
ok($te->idle, 'a second before');
is(requests('seconds'), 1, 'nothing is sent');
$te->advance('2 s');
ok($te->idle, 'a second after');
is(look('seconds')->{state}, 'accepted', 'it is');
is(only_id('seconds'), 'same', 'under the same webhook-id');

# ---- until the last attempt ----

my @schedule = (5, 300, 1800, 7200, 18000, 36000, 50400, 72000, 86400);
set_up(lost => [ 'status', status => 500 ], vague => ['cut']);
$te->event('u1', $_) for qw(lost vague);
ok($te->idle, 'a receiver that fails');
my (%wrong, %seen_wait);
for my $attempt (1 .. @schedule)
{
	for my $name (qw(lost vague))
	{
		my $is = look($name);
		my $base = $schedule[ $attempt - 1 ];
		push @{ $wrong{$name} }, "attempt $is->{attempts}: $is->{state} in $is->{wait} s"
		  unless $is->{state} eq 'due' and $is->{attempts} == $attempt and $is->{wait} >= $base - 0.001
		  and $is->{wait} <= 1.2 * $base;
		$seen_wait{ sprintf '%.5f', $is->{wait} / $base } = 1;
	}
	$te->advance(1.2 * $schedule[ $attempt - 1 ] . ' s');
	$te->idle;
}
is_deeply(\%wrong, {}, 'is tried again after the waits of the schedule');
cmp_ok(scalar keys %seen_wait, '>', 2, 'which are spread');
my $is = look('lost');
is("$is->{state} $is->{attempts}", 'rejected 10', 'a send that was refused ten times has failed');
is(requests('lost'), 10, 'after ten requests');
is(only_id('lost'), 'same', 'under one webhook-id');
$is = look('vague');
is("$is->{state} $is->{attempts}", 'unknown 10', 'one whose outcome nobody knows stays unknown and is not folded into failed');
is(only_id('vague'), 'same', 'under one webhook-id');
is($te->sql(q{SELECT count(*) FROM trigger_engine.attempts a JOIN trigger_engine.sends s USING (user_id, send_id)
	WHERE s.journey = 'lost'}), 10, 'every attempt is on record');
$te->advance('30 days');
ok($te->idle, 'a month later');
is(requests('lost') + requests('vague'), 20, 'they are not tried again');

# ---- not sent: nobody listens ----

my $probe = IO::Socket::INET->new(LocalAddr => '127.0.0.1', Listen => 1, Proto => 'tcp');
my $port = $probe->sockport;
close $probe;
set_up(refused => [ 'ok', url => "http://127.0.0.1:$port/refused" ]);
$te->event('u1', 'refused');
ok($te->idle, 'nobody listens');
$is = look('refused');
is("$is->{state} $is->{attempts} $is->{outcome}", 'due 1 not_sent', 'refused: not sent, due again');
my $late = $te->receiver(port => $port);
$te->advance('6 s');
ok($te->idle, 'somebody listens');
is(look('refused')->{state}, 'accepted', 'it is accepted');
is(scalar(() = $late->received), 1, 'once');

# ---- gone ----

set_up(gone => [ 'status', status => 410 ]);
$te->event('first', 'gone');
ok($te->idle, 'a receiver that is gone');
is($te->sql(q{SELECT state FROM trigger_engine.sends WHERE user_id = 'first' AND journey = 'gone'}), 'rejected', 'the message is rejected');
is($te->sql(q{SELECT state FROM trigger_engine.providers WHERE name = 'gone'}), 'disabled', 'the provider is disabled');
like($te->sql(q{SELECT state_reason FROM trigger_engine.providers WHERE name = 'gone'}), qr/410/, 'with a reason');
$te->event('second', 'gone');
$te->event('bystander', 's200');
ok($te->idle, 'later messages');
like($te->sql(q{SELECT state || ' ' || attempts || ' ' || reason FROM trigger_engine.sends WHERE user_id = 'second'}),
	qr/^due 0 .*disabled/, 'are held, visible, with the reason and no attempt');
is($te->sql(q{SELECT held FROM trigger_engine.queue_status WHERE journey = 'gone'}), 1, 'and counted as held');
$te->advance('1 day');
ok($te->idle, 'a day later');
is(requests('gone'), 1, 'nothing was sent to it');
is($te->sql(q{SELECT state FROM trigger_engine.sends WHERE user_id = 'bystander'}), 'accepted', 'other providers go on');
$receiver->mode('/gone', 'ok');
$te->sql(q{SELECT trigger_engine.alter_provider('gone', enabled => true)});
$te->advance('2 h');
ok($te->idle, 'enabled again');
is($te->sql(q{SELECT state FROM trigger_engine.sends WHERE user_id = 'second'}), 'accepted', 'what was held is sent');

# ---- a person's choice ----

$receiver->mode('/lost', 'ok');
is($te->sql(q{SELECT trigger_engine.retry_sends('lost', '{rejected}')}), 1, 'a failed send can be tried again');
ok($te->idle, 'it goes');
$is = look('lost');
is("$is->{state} $is->{attempts} " . only_id('lost'), 'accepted 11 same', 'under its own identity');

is($te->worker_pid, $worker, 'one worker did all this');
done_testing();
