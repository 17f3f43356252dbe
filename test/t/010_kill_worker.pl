# A delivery worker killed with SIGKILL in the middle of sending, 20 times, and a
# message that is under way in three crashes.
#
# Promise: nothing is lost; the receiver sees a message twice only under the same
# webhook-id; every hand-over is counted before it happens; the server comes back.
use strict;
use warnings;

use Test::More;
use TriggerEngine;

use constant { PAIRS => 10, MESSAGES => 30 };

# what the receiver does while the worker is killed
my @pairs = (
	(map { [ 'slow', delay => 2 ] } 1 .. 4),
	(map { ['hang'] } 1 .. 3),
	(map { [ 'cut', delay => 2 ] } 1 .. 3));

# The crash restart of a test's node is off unless told. A crash sets the virtual
# clock back to the real one.
my $te = TriggerEngine->new(
	virtual_clock => 1,
	conf => { restart_after_crash => 'on' });
my $receiver = $te->receiver;
$te->webhook('hook', $receiver->url('/hook'), timeout => '20 s');
$te->journey('cart_mail', event => 'cart');
ok($te->wait_for_worker, 'a delivery worker runs');

# Waits until the server has crashed and answers again.
sub wait_for_restart
{
	my ($position) = @_;
	TriggerEngine::wait_until(sub { $te->log_since($position) =~ /reinitializing/ }, 30) or return 0;
	return $te->poll('SELECT true');
}

# Kills the worker, has something done while it is dead, and waits for the server;
# true when it came back with another worker.
sub kill_and_wait
{
	my ($meanwhile) = @_;
	my $position = $te->log_position;
	my $former = $te->kill_worker;

	$meanwhile->() if $meanwhile;
	return 0 unless wait_for_restart($position);
	my $pid = $te->wait_for_worker(30);
	return defined $pid && $pid != $former;
}

# Messages under way, as the worker says.
sub in_flight
{
	return $te->sql('SELECT coalesce(sum(in_flight), 0) FROM trigger_engine.worker_status');
}

# Puts the clock so far ahead that what waits after a crash is due.
sub clock_ahead
{
	my ($interval) = @_;
	$te->set_clock($te->sql("SELECT clock_timestamp() + interval '$interval'"));
	return;
}

my ($kills, $back, $mid_send, $visible) = (0, 0, 0, 0);
for my $pair (0 .. PAIRS - 1)
{
	my ($mode, %option) = @{ $pairs[$pair] };

	$receiver->mode('/hook', $mode, %option);
	my $seen = $receiver->count;
	$te->events(MESSAGES, 'cart', prefix => "p$pair-");
	for my $half (0, 1)
	{
		# at every kill another number of messages has gone out
		my $reached = $seen + 1 + ($kills * 7) % MESSAGES;

		$receiver->wait_for($reached, 30)
		  or diag("pair $pair: only " . $receiver->count . " of $reached requests");
		$mid_send++ if in_flight() > 0;
		$back++ if kill_and_wait(
			sub {
				$receiver->mode('/hook', 'ok') if $half == 1;
				$seen = $receiver->count;
			});
		$kills++;
		clock_ahead('1 h');
	}
	# crashes are on record, whether the item is due again or under way again
	$visible++
	  if $te->poll(sprintf q{SELECT count(*) > 0 FROM trigger_engine.attempts
		WHERE outcome = 'unknown' AND reason LIKE '%%worker ended%%' AND user_id LIKE 'p%d-%%'}, $pair);
	ok($te->idle, "pair $pair ($mode): what was under way is sent again") or last;
}
is($kills, 20, 'the worker was killed 20 times');
is($back, $kills, 'the server was back each time, with a new worker');
is($mid_send, $kills, 'messages were at the receiver each time');
is($visible, PAIRS, 'what was under way was visible as unknown each time');
is(() = $te->log_since(0) =~ /all server processes terminated; reinitializing/g,
	$kills, 'and it restarted no more often than the worker was killed');

# what "cut" left waits for its next attempt
for my $days (1 .. 5)
{
	clock_ahead("$days days");
	ok($te->idle, "day $days: nothing is left to do") or last;
	last if $te->sql(q{SELECT count(*) FROM trigger_engine.sends WHERE state = 'due'}) eq '0';
}

my $events = PAIRS * MESSAGES;
is_deeply({ $te->states }, { accepted => $events }, 'every message was accepted in the end');
is($te->sql('SELECT count(DISTINCT user_id) FROM trigger_engine.sends'), $events, 'one for each event');
is($te->sql('SELECT count(*) FROM trigger_engine._batches'), 0, 'no batch is left open');

my (%ids_of_user, %users_of_id, %requests);
for my $request ($receiver->received)
{
	my ($user) = $request->{body} =~ /"user_id": ?"([^"]+)"/;
	$ids_of_user{$user}{ $request->{id} } = 1;
	$users_of_id{ $request->{id} }{$user} = 1;
	$requests{$user}++;
}
is(scalar keys %ids_of_user, $events, 'nothing is lost: the receiver saw a message for every event');
is_deeply([ grep { keys %{ $ids_of_user{$_} } > 1 } sort keys %ids_of_user ],
	[], 'a message came twice only under the same webhook-id');
is_deeply([ grep { keys %{ $users_of_id{$_} } > 1 } sort keys %users_of_id ],
	[], 'and no webhook-id served two messages');
cmp_ok(scalar(grep { $_ > 1 } values %requests), '>', 0, 'some did come twice, so that this says something');

my %attempts = map { split /\|/ } split /\n/, $te->sql('SELECT user_id, attempts FROM trigger_engine.sends');
is_deeply([ grep { $requests{$_} > $attempts{$_} } sort keys %requests ],
	[], 'no message reached the receiver more often than it was counted');
is($te->sql(q{SELECT count(*) FROM trigger_engine.sends s WHERE s.attempts <>
	(SELECT count(DISTINCT a.attempt) FROM trigger_engine.attempts a
	 WHERE a.user_id = s.user_id AND a.send_id = s.send_id)}), 0, 'every attempt is on record');
is(scalar(grep { !Webhook::verify($_, $te->secret('hook')) } $receiver->received),
	0, 'every request is signed');

# ---- poison: a message that is under way in three crashes ----

$te->sql('SELECT trigger_engine.set_clock(NULL)');
$te->webhook('poison', $receiver->url('/poison'), timeout => '60 s');
$te->journey('poison', event => 'poison', provider => 'poison');
$receiver->mode('/poison', 'hang');
$te->event('victim', 'poison');
for my $crash (1 .. 3)
{
	ok(TriggerEngine::wait_until(sub { scalar($receiver->received('/poison')) == $crash }, 30),
		"crash $crash finds it under way");
	ok(kill_and_wait(), 'the server is back');
}
my @times = map { $_->{time} } $receiver->received('/poison');
cmp_ok($times[1] - $times[0], '>', 1, 'after a crash it waits');
cmp_ok($times[2] - $times[1], '>', 2, 'and longer after each');
ok($te->poll(q{SELECT state = 'unknown' FROM trigger_engine.sends WHERE user_id = 'victim'}),
	'after the third it is set aside as unknown');
like($te->sql(q{SELECT reason FROM trigger_engine.sends WHERE user_id = 'victim'}),
	qr/quarantined.*3 crashes/, 'and the reason says so');
is($te->sql(q{SELECT attempts FROM trigger_engine.sends WHERE user_id = 'victim'}), 3, 'with its attempts');

$receiver->mode('/poison', 'ok');
$te->event('bystander', 'poison');
ok($te->poll(q{SELECT state = 'accepted' FROM trigger_engine.sends WHERE user_id = 'bystander'}),
	'others go on');
clock_ahead('7 days');
ok($te->idle, 'nothing is left to do');
is(scalar(grep { $_->{body} =~ /"victim"/ } $receiver->received('/poison')), 3, 'it is not repeated by itself');

is($te->sql(q{SELECT trigger_engine.retry_sends('poison', '{unknown}')}), 1, 'a person may repeat it');
ok($te->idle, 'and it goes');
is($te->sql(q{SELECT state || ' ' || attempts FROM trigger_engine.sends WHERE user_id = 'victim'}),
	'accepted 4', 'with its attempts counted on');
is(scalar keys %{ { map { $_->{id} => 1 } grep { $_->{body} =~ /"victim"/ } $receiver->received('/poison') } },
	1, 'under its own identity');

done_testing();
