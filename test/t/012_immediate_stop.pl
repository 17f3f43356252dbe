# An immediate stop in the middle of a batch, and at the two points between the
# batch's commit and the hand-over, then a start.
#
# Promise: nothing is lost, nothing stays claimed, open batches are settled, and the
# receiver sees a message twice only under the same webhook-id.
use strict;
use warnings;

use Test::More;
use TriggerEngine;

use constant MESSAGES => 50;

my $te = TriggerEngine->new;
my $receiver = $te->receiver;
$te->webhook('hook', $receiver->url('/hook'), timeout => '20 s');
$te->webhook('fast', $receiver->url('/fast'));
$te->journey('cart_mail', event => 'cart');
$te->journey('fast_mail', event => 'fast', provider => 'fast');
ok($te->wait_for_worker, 'a delivery worker runs');

# Stops the server at once and starts it again with a receiver that answers.
sub crash
{
	$te->node->stop('immediate');
	$receiver->mode('/hook', 'ok');
	$te->start;
	return;
}

# Waits until nothing is claimed or due, also not in some seconds.
sub wait_settled
{
	return $te->poll(q{SELECT count(*) = 0 FROM trigger_engine.sends WHERE state IN ('claimed', 'due')});
}

# How often each user's message was seen, and under how many identities.
sub seen_by_user
{
	my (%times, %ids);
	for my $request ($receiver->received)
	{
		my ($user) = $request->{body} =~ /"user_id": ?"([^"]+)"/;
		$times{$user}++;
		$ids{$user}{ $request->{id} } = 1;
	}
	return (\%times, { map { $_ => scalar keys %{ $ids{$_} } } keys %ids });
}

# ---- while messages are at the receiver, some answered and recorded, some not ----

$te->events(MESSAGES, 'fast', prefix => 'fast-');
$receiver->mode('/hook', 'hang');
$te->events(MESSAGES, 'cart', prefix => 'slow-');
ok($receiver->wait_for(2 * MESSAGES), 'all messages are at the receiver');
ok($te->poll(sprintf q{SELECT count(*) = %d FROM trigger_engine.sends WHERE state = 'accepted'}, MESSAGES),
	'half of them are answered and recorded');
is($te->sql(q{SELECT count(*) FROM trigger_engine.sends WHERE state = 'claimed'}),
	MESSAGES, 'the others are visible as claimed');
crash();
ok(wait_settled(), 'after the start nothing stays claimed');
is_deeply({ $te->states }, { accepted => 2 * MESSAGES }, 'everything was accepted');
is($te->sql('SELECT count(*) FROM trigger_engine._batches'), 0, 'no batch is open');
is($te->sql(q{SELECT count(*) FROM trigger_engine.attempts WHERE outcome = 'unknown'}),
	MESSAGES, 'the hand-overs of unknown outcome are on record');
is($te->sql(q{SELECT string_agg(DISTINCT attempts::text, ',') FROM trigger_engine.sends WHERE user_id LIKE 'slow-%'}),
	2, 'each counts as an attempt');
is($te->sql(q{SELECT string_agg(DISTINCT attempts::text, ',') FROM trigger_engine.sends WHERE user_id LIKE 'fast-%'}),
	1, 'what was recorded is not repeated');

my ($times, $ids) = seen_by_user();
is(scalar(grep { /^fast/ && $times->{$_} == 1 } keys %$times), MESSAGES, 'and not seen twice');
is(scalar(grep { /^slow/ && $times->{$_} == 2 } keys %$times), MESSAGES, 'the others are seen twice');
is_deeply([ grep { $ids->{$_} != 1 } sort keys %$ids ], [], 'each under one webhook-id');

# ---- between the commit of the batch and the hand-over ----

for my $point (qw(before_recheck before_hand_over))
{
	my $before = $receiver->count;
	my $session = $te->node->background_psql('postgres');

	$session->query_safe("SELECT pg_advisory_lock(hashtext('$point'))");
	$te->events(MESSAGES, 'cart', prefix => "$point-");
	ok($te->poll(sprintf q{SELECT count(*) = %d FROM trigger_engine.sends WHERE state = 'claimed'}, MESSAGES),
		"$point: messages are claimed and not handed over");
	is($receiver->count, $before, 'the receiver has none of them');
	crash();
	$session->{run}->kill_kill;
	ok(wait_settled(), 'after the start nothing stays claimed');
	my ($seen, $identities) = seen_by_user();
	is(scalar(grep { /^$point-/ && $seen->{$_} == 1 } keys %$seen), MESSAGES, 'the receiver has each once');
	is($te->sql("SELECT string_agg(DISTINCT state || ' ' || attempts, ',') FROM trigger_engine.sends WHERE user_id LIKE '$point-%'"),
		'accepted 2', 'and they count as one unknown attempt and one accepted');
}

# ---- where commits are not waited for ----

# Commits reach the disk late here. The batch must be there before its messages go
# out all the same, else they would go again as new ones.
$te->sql('ALTER SYSTEM SET synchronous_commit = off');
$te->sql(q{ALTER SYSTEM SET wal_writer_delay = '10 s'});
$te->sql(q{ALTER SYSTEM SET wal_writer_flush_after = '1 GB'});
$te->node->restart;
$te->wait_for_worker;
for my $round (1 .. 2)
{
	my $before = $receiver->count;

	$receiver->mode('/hook', 'hang');
	$te->sql(sprintf q{SET synchronous_commit = on;
		INSERT INTO trigger_engine.events(user_id, name) SELECT 'late%d-' || i, 'cart' FROM generate_series(1, 3) i},
		$round);
	ok($receiver->wait_for($before + 3), "late commits $round: stopped while messages are at the receiver");
	crash();
	ok(wait_settled(), 'after the start nothing stays claimed');
	my ($seen, $identities) = seen_by_user();
	is($te->sql("SELECT count(*) FROM trigger_engine.sends WHERE user_id LIKE 'late$round-%' AND state = 'accepted'"),
		3, 'each message is accepted');
	is_deeply([ map { $identities->{"late$round-$_"} } 1 .. 3 ], [ 1, 1, 1 ], 'under one webhook-id each');
}

done_testing();
