# Segments whose SQL is slow or never ends: only the messages to their members wait,
# with the reason on record; everybody else's go on, and so do theirs as soon as they can.
use strict;
use warnings;

use Test::More;
use Time::HiRes qw(time);
use TriggerEngine;

my $te = TriggerEngine->new(virtual_clock => 1, conf => { 'trigger_engine.segment_timeout' => '300ms' });
my $log = $te->log_position;

# a message of each journey for each user, those of one journey to members of a segment only
$te->sql(q{SELECT trigger_engine.create_template('hello', 'in_app', '{"title": "hello"}');
	INSERT INTO trigger_engine.users (user_id) SELECT 'u' || i FROM generate_series(1, 40) i;
	CREATE FUNCTION slow(user_id text) RETURNS boolean LANGUAGE plpgsql AS $$
	DECLARE
		seconds float8 := (SELECT s.seconds FROM public.slowness s WHERE slow.user_id ~ s.pattern);
	BEGIN
		PERFORM pg_sleep(seconds);
		RETURN true;
	END
	$$;
	CREATE TABLE slowness (pattern text, seconds float8);
	CREATE VIEW members AS SELECT user_id FROM trigger_engine.users WHERE public.slow(user_id)});
sub gated
{
	my ($name, $view) = @_;
	$te->sql(sprintf q{SELECT trigger_engine.create_segment(%1$s, %2$s);
		SELECT trigger_engine.create_journey(%1$s, '{"kind": "event", "name": "%3$s"}', '[{"id": "s", "send": "hello"}]', segment => %1$s)},
		$te->quote($name), $te->quote($view), $name);
	return;
}
sub states
{
	my ($journey) = @_;
	return $te->sql(sprintf q{SELECT string_agg(state || ' ' || n, ', ' ORDER BY state) FROM
		(SELECT state, count(*) AS n FROM trigger_engine.sends WHERE journey = %s GROUP BY 1) s}, $te->quote($journey));
}
# Moves the clock on until at least so many messages to members are accepted.
sub accepted
{
	my ($least, $what) = @_;
	my $until = time + 90;
	my $count = sub { $te->sql(q{SELECT count(*) FROM trigger_engine.sends WHERE journey = 'members' AND state = 'accepted'}) };

	while ($count->() < $least and time < $until)
	{
		$te->advance('15 min');
		$te->idle(60);
	}
	return cmp_ok($count->(), '>=', $least, $what);
}
$te->sql(q{SELECT trigger_engine.create_journey('plain', '{"kind": "event", "name": "plain"}', '[{"id": "s", "send": "hello"}]')});
gated('members', 'members');
gated('wrong', 'members');
ok($te->wait_for_worker, 'a delivery worker runs');
my $pid = $te->worker_pid;

# ---- it never ends ----

$te->sql(q{INSERT INTO slowness VALUES ('.', 3600)});
$te->events(40, 'members');
$te->events(40, 'plain');
ok($te->idle(60), 'a segment that never ends holds nobody up');
is(states('plain'), 'accepted 40', 'other messages go');
is(states('members'), 'due 40', 'those to its members wait');
is($te->sql(q{SELECT DISTINCT reason FROM trigger_engine.sends WHERE journey = 'members'}),
	'segment: segment "members" takes longer than trigger_engine.segment_timeout', 'and say why');
is($te->sql(q{SELECT held FROM trigger_engine.queue_status WHERE journey = 'members'}), 40, 'also in queue_status');
like($te->log_since($log), qr/segment "members" takes longer than 300 ms for single users/, 'the log says so');

# it is left alone for a while, so that the worker has time for others
my $began = time;
for (1 .. 5)
{
	$te->advance('1 h');
	$te->idle(60);
}
cmp_ok(time - $began, '<', 10, 'looking again and again costs little');
is($te->worker_pid, $pid, 'the worker never ended');

# ---- it ends for all but one ----

$te->sql(q{UPDATE slowness SET pattern = '^u7$'});
# those who alone took too long before are left out for an hour
accepted(30, 'the others get theirs');
is($te->sql(q{SELECT state FROM trigger_engine.sends WHERE journey = 'members' AND user_id = 'u7'}), 'due', 'the one does not');

# another limit is tried at once
$te->sql(q{TRUNCATE slowness; ALTER SYSTEM SET trigger_engine.segment_timeout = '400ms'});
$te->sql('SELECT pg_reload_conf()');
accepted(40, 'with another limit they are asked for again');

# ---- it is slow for each, and too slow for all at once ----

$te->sql(q{INSERT INTO slowness VALUES ('.', 0.03)});
$te->events(40, 'members');
accepted(80, 'a segment that is slow gets done bit by bit');

# ---- its SQL fails as if it had been cancelled ----

$te->sql(q{CREATE OR REPLACE FUNCTION slow(user_id text) RETURNS boolean LANGUAGE plpgsql AS $$
	BEGIN
		IF user_id = 'u3' THEN
			RAISE query_canceled USING MESSAGE = 'not me';
		END IF;
		RETURN true;
	END
	$$});
$te->events(40, 'wrong');
$te->events(40, 'plain');
ok($te->idle(60), 'SQL that says it was cancelled');
is(states('wrong'), 'accepted 39, due 1', 'holds the messages of those only whom it fails for');
is($te->sql(q{SELECT reason FROM trigger_engine.sends WHERE journey = 'wrong' AND state = 'due'}), 'segment: segment "wrong" failed: not me', 'and says why');
is(states('plain'), 'accepted 80', 'others go');
is($te->worker_pid, $pid, 'the worker never ended');

done_testing();
