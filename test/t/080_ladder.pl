# A ladder of channels with providers that refuse (acceptance A7).
#
# Promise: a message that its provider rejects has the next rung go at once, under its own
# identity and before its time; the rungs after it keep theirs;
# a second rung is never sent twice.
use strict;
use warnings;

use Test::More;
use TriggerEngine;

my $te = TriggerEngine->new(virtual_clock => 1, conf => { max_prepared_transactions => 2 });
my $receiver = $te->receiver;
ok($te->wait_for_worker, 'a delivery worker runs');
$te->set_clock('2030-01-15 12:00+00');
$receiver->mode('/refuses', 'status', status => 400);
for my $name (qw(refuses takes))
{
	my $provider = $te->quote(TriggerEngine::json({ url => $receiver->url("/$name"), timeout => '20 s' }));
	my $secret = $te->quote(TriggerEngine::json({ keys => [ Webhook::new_secret() ] }));
	$te->sql("SELECT trigger_engine.create_provider('$name', 'webhook', $provider), trigger_engine.set_secret('$name', $secret)");
}
$te->sql(q{SELECT trigger_engine.create_template('ping', 'webhook', '{"text": "x"}'), trigger_engine.create_template('bell', 'in_app', '{"title": "x"}')});
for my $name (qw(refuses takes))
{
	$te->sql(qq{SELECT trigger_engine.create_journey('$name', '{"kind": "event", "name": "$name"}', '[{"id": "l", "ladder": [
		{"id": "a", "send": "ping", "provider": "$name"}, {"id": "b", "send": "bell", "after": "1 h"}, {"id": "c", "send": "bell", "after": "2 h"}]}]')});
}

# Steps of a journey with their states and times.
sub steps
{
	my ($journey) = @_;
	return $te->sql(qq{SELECT string_agg(step || ' ' || state || ' ' || to_char(due_at AT TIME ZONE 'UTC', 'HH24:MI'), ', ' ORDER BY step)
		FROM trigger_engine.sends WHERE journey = '$journey'});
}

$te->events(1, 'refuses');
$te->events(1, 'takes');
ok($te->idle, 'all that is due now is done');
is(steps('refuses'), 'a rejected 12:00, b accepted 12:00, c due 13:00', 'the next rung takes over at once, and the one after it keeps its distance');
is(steps('takes'), 'a accepted 12:00, b due 13:00', 'one that arrives leaves the next rung its time');
$te->sql(q{SELECT trigger_engine.advance_clock('3 h')});
ok($te->idle, 'later, too');
is(steps('refuses'), 'a rejected 12:00, b accepted 12:00, c accepted 13:00', 'each rung is sent once');
is(steps('takes'), 'a accepted 12:00, b accepted 13:00, c accepted 14:00', 'each at its time');
is($te->sql(q{SELECT count(*) FROM trigger_engine._due}), 0, 'nothing is left');

# a transaction that holds the next rung, as one does that cancels it, is not waited for
$receiver->mode('/refuses', 'status', status => 400, delay => 1);
my $requests = $receiver->count;
$te->event('held', 'refuses');
ok($receiver->wait_for($requests + 1), 'a message is under way');
$te->sql(q{BEGIN; SELECT FROM trigger_engine._due WHERE user_id = 'held' AND step = 'b' FOR UPDATE; PREPARE TRANSACTION 'holds'});
ok($te->poll(q{SELECT state = 'rejected' FROM trigger_engine.sends WHERE user_id = 'held' AND step = 'a'}), 'its outcome is recorded while the next rung is held');
$te->sql(q{ROLLBACK PREPARED 'holds'});
is($te->sql(q{SELECT due_at - trigger_engine.clock() FROM trigger_engine._due WHERE user_id = 'held' AND step = 'b'}), '01:00:00', 'which then keeps its time');
done_testing();
