# Journeys that start when people enter or leave a segment: in the transaction of the log row, once for each
# stay, and not for those who were in it when it was registered.
use strict;
use warnings;

use Test::More;
use TriggerEngine;

my $te = TriggerEngine->new(virtual_clock => 1);

sub started
{
	my ($journey) = @_;
	return $te->sql(qq{SELECT coalesce(string_agg(user_id, ' ' ORDER BY user_id, due_at), '') FROM trigger_engine._due d
		JOIN trigger_engine._journeys j USING (journey_id) WHERE j.name = '$journey'});
}
sub refresh { return $te->sql(q{SELECT entered, left_it FROM trigger_engine.refresh_segment('gold')}) }
sub plan_of { return $te->sql(sprintf q{INSERT INTO trigger_engine.users (user_id, attributes) VALUES ('%1$s', '{"plan": "%2$s"}')
	ON CONFLICT (user_id) DO UPDATE SET attributes = excluded.attributes}, @_) }

$te->sql(q{SELECT trigger_engine.set_clock('2030-01-15 12:00+00');
	SELECT trigger_engine.create_template('hello', 'in_app', '{"title": "hello"}');
	INSERT INTO trigger_engine.users (user_id, attributes) VALUES ('ann', '{"plan": "gold"}'), ('bob', '{}');
	CREATE VIEW public.gold AS SELECT user_id FROM trigger_engine.users WHERE attributes ->> 'plan' = 'gold';
	SELECT trigger_engine.create_segment('gold', 'public.gold', refresh => '100 days');
	SELECT trigger_engine.create_journey('welcome', '{"kind": "segment", "segment": "gold", "on": "entered"}', '[{"id": "w", "wait": "1 day"}, {"id": "s", "send": "hello"}]');
	SELECT trigger_engine.create_journey('farewell', '{"kind": "segment", "segment": "gold", "on": "left"}', '[{"id": "w", "wait": "1 day"}, {"id": "s", "send": "hello"}]')});

is(refresh(), '1|0', 'the first pass finds who was in it');
is(started('welcome'), '', 'who has not entered');
plan_of('bob', 'gold');
is(refresh(), '1|0', 'somebody enters');
is(started('welcome'), 'bob', 'and the journey with him');
is(refresh(), '0|0', 'another pass finds nothing');
is(started('welcome'), 'bob', 'and starts nothing');
is(started('farewell'), '', 'nobody has left');

$te->sql(q{SELECT trigger_engine.advance_clock('1 minute')});
plan_of('bob', 'none');
is($te->sql(q{BEGIN; SELECT left_it FROM trigger_engine.refresh_segment('gold'); ROLLBACK}), 1, 'a pass that is rolled back');
is(started('farewell'), '', 'starts nothing');
is($te->sql(q{SELECT count(*) FROM trigger_engine.segment_log WHERE left_at IS NOT NULL}), 0, 'and logs nothing');
is(refresh(), '0|1', 'he leaves');
is(started('farewell'), 'bob', 'and that journey starts');
is($te->sql(q{SELECT string_agg(DISTINCT d.entry_key, ' ' ORDER BY d.entry_key) FROM trigger_engine._due d}),
	'segment/2030-01-15 12:00:00+00 segment/2030-01-15 12:01:00+00', 'a run is known by the instant of entering or leaving');
plan_of('bob', 'gold');
is(refresh(), '1|0', 'he comes back');
is(started('welcome'), 'bob bob', 'which is another stay');

my ($status, undef, $error) = $te->try(q{SELECT trigger_engine.drop_segment('gold')});
like($error, qr/segment "gold" is used by journey/, 'a segment that starts journeys is not dropped');

$te->sql(q{SELECT trigger_engine.disable_journey('welcome')});
plan_of('eve', 'gold');
is(refresh(), '1|0', 'somebody enters while the journey is paused');
is(started('welcome') =~ /eve/ ? 1 : 0, 0, 'and does not enter that');
done_testing();
