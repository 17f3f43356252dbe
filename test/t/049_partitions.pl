# Partitions of events and history come ahead of time, take over what had to go into
# DEFAULT, and go when what they hold is older than it is kept, all by themselves. What
# must hold for ever (dedupe keys, entry keys, identities) outlives them.
use strict;
use warnings;

use Test::More;
use TriggerEngine;

my $te = TriggerEngine->new(
	virtual_clock => 1,
	conf => {
		'trigger_engine.partition_interval' => '1d',
		'trigger_engine.event_retention' => '10d',
		'trigger_engine.history_retention' => '5d',
		'trigger_engine.event_lead' => '1d' });
my $receiver = $te->receiver;
my $content = '{"body": "{{ user.user_id }}"}';

# Days of the partitions of a table, as DDMM.
sub days
{
	my ($table) = @_;
	return "SELECT coalesce(string_agg(to_char(starts AT TIME ZONE 'UTC', 'DDMM'), ' ' ORDER BY starts), '') FROM trigger_engine._partitions('trigger_engine.$table')";
}
sub holds_until
{
	my ($table, $expected, $what) = @_;
	return ok($te->poll(days($table), $expected), $what);
}
sub stored_in
{
	my ($user) = @_;
	return $te->sql("SELECT coalesce(string_agg(tableoid::regclass::text, ' '), '') FROM trigger_engine.events WHERE user_id = '$user'");
}
sub insert_at
{
	my ($user, $name, $age, %option) = @_;
	my ($status, undef, $error) = $te->try(sprintf q{INSERT INTO trigger_engine.events (user_id, name, occurred_at, dedupe_key) VALUES (%s, %s, trigger_engine.clock() - interval '%s', %s)},
		$te->quote($user), $te->quote($name), $age, $te->quote($option{key}));
	return $status == 0 ? '' : $error;
}
my %seen;
sub new_users
{
	$te->idle(60) or diag 'the queue does not drain';
	my @new = grep { !$seen{ $_->{id} }++ } $receiver->received;
	return join ' ', sort map { $_->{body} =~ /"body": ?"([^"]*)"/ } @new;
}

# ---- ahead of time ----

$te->set_clock('2026-03-01 12:00:00+00');
$te->webhook('hook', $receiver->url('/hook'));
$te->journey('welcome', content => $content);
$te->journey('once', event => 'signup', content => $content, more => q{reentry => '{"policy": "once"}'});
$te->journey('long', event => 'browse', wait => '12 days', content => $content);
is($te->sql(days($_)), '0103 0203 0303', "$_ has a partition for today and two ahead, from the start") for qw(events _sends _attempts);
is(insert_at('now', 'cart', '0', key => 'k'), '', 'an event of now');
is(stored_in('now'), 'trigger_engine.events_p20260301', 'goes into the partition of today');
is(insert_at('soon', 'cart', '-20 hours'), '', 'an event of tomorrow');
is(stored_in('soon'), 'trigger_engine.events_p20260302', 'goes into that of tomorrow');
is(insert_at('member', 'signup', '0'), '', 'somebody signs up');
is(insert_at('patient', 'browse', '0'), '', 'somebody will hear of us in twelve days');
is(new_users(), 'member now', 'what is due is sent');
is($te->sql(q{SELECT DISTINCT tableoid::regclass FROM trigger_engine._sends}), 'trigger_engine._sends_p20260301', 'history goes into the partition of today');

# ---- out of DEFAULT ----

$te->sql('SELECT trigger_engine.stop_workers()');
is(insert_at('late', 'cart', '4 days 3 hours', key => 'late'), '', 'a late event');
is(insert_at('late2', 'cart', '4 days 4 hours'), '', 'and another of that day');
is(stored_in('late'), 'trigger_engine.events_default', 'goes into DEFAULT');
$te->sql('SELECT trigger_engine.start_workers()');
holds_until('events', '2502 0103 0203 0303', 'its day gets a partition');
is(stored_in('late'), 'trigger_engine.events_p20260225', 'which takes it over');
is(new_users(), 'late late2', 'it fires, once');
is($te->sql('SELECT count(*) FROM trigger_engine.events_default'), 0, 'nothing is left in DEFAULT');
is(insert_at('late3', 'cart', '4 days 5 hours'), '', 'one more of that day');
is(stored_in('late3'), 'trigger_engine.events_p20260225', 'goes there at once');
is(insert_at('late', 'cart', '4 days 3 hours', key => 'late'), '', 'a repeated event');
$te->sql(q{INSERT INTO trigger_engine.events_p20260225 (user_id, name, occurred_at) VALUES ('direct', 'cart', '2026-02-25 10:00:00+00')});
is(new_users(), 'direct late3', 'the new partition fires like any other');
is($te->sql(q{SELECT count(*) FROM trigger_engine.events WHERE user_id = 'late'}), 1, 'and knows its dedupe keys');
is($te->sql(q{SELECT count(DISTINCT c) FROM (SELECT relid, (SELECT string_agg(regexp_replace(pg_get_indexdef(indexrelid), ' INDEX .* ON \S+ ', ' '), ';') FROM pg_index WHERE indrelid = relid)
	|| (SELECT string_agg(tgname || tgenabled::text, ';' ORDER BY tgname) FROM pg_trigger WHERE tgrelid = relid AND NOT (tgisinternal AND tgparentid = 0)) AS c
	FROM pg_partition_tree('trigger_engine.events') WHERE isleaf AND relid <> 'trigger_engine.events_default'::regclass) t}), 1, 'all partitions have the same indexes and triggers');

# ---- bounds ----

like(insert_at('old', 'cart', '10 days 1 hour'), qr/older than trigger_engine.event_retention/, 'an event that would be gone already is refused');
like(insert_at('far', 'cart', '-1 day -1 hour'), qr/further ahead than trigger_engine.event_lead/, 'so is one from too far ahead');
is(insert_at('old', 'unwatched', '9 days 12 hours'), '', 'just within is accepted');
is(insert_at('far', 'unwatched', '-23 hours'), '', 'on both sides');

$te->advance('1 s');
holds_until('events', '2002 2502 0103 0203 0303', 'and has its partition');

# ---- time passes ----

$te->advance('1 day');
holds_until('events', '2002 2502 0103 0203 0303 0403', 'a day later there is one more');
holds_until('_sends', '0103 0203 0303 0403', 'also for history');
is(new_users(), 'soon', 'what was to come has come');
$te->advance('1 day');
holds_until('events', '2502 0103 0203 0303 0403 0503', 'what is older than it is kept goes, whole partitions at a time');
is($te->sql(q{SELECT count(*) FROM pg_class WHERE relname = 'events_p20260220'}), 0, 'for good');
$te->advance('4 days');
holds_until('_sends', '0203 0303 0403 0503 0703 0803 0903', 'history goes earlier, by its own setting');
holds_until('events', '2502 0103 0203 0303 0403 0503 0703 0803 0903', 'events are still there');
is($te->sql(q{SELECT count(*) FROM trigger_engine.sends WHERE user_id = 'now'}), 0, 'the send of that day is forgotten');
is(insert_at('now', 'cart', '0', key => 'k'), '', 'its event comes again');
is(insert_at('member', 'signup', '0'), '', 'and so does the one that signed up');
is(new_users(), '', 'and starts nothing: keys hold');
$te->advance('5 days');
holds_until('events', '0203 0303 0403 0503 0703 0803 0903 1203 1303 1403', 'the partition of the event itself goes');
is($te->sql(q{SELECT count(*) FROM trigger_engine.events WHERE user_id = 'now'}), 0, 'and the event with it');
is(insert_at('now', 'cart', '0', key => 'k'), '', 'it comes once more');
is(insert_at('late', 'cart', '1 hour', key => 'late'), '', 'as does another');
is($te->sql(q{SELECT count(*) FROM trigger_engine.events WHERE user_id IN ('now', 'late')}), 0, 'and is a no-op: dedupe keys outlive partitions');
$te->advance('1 day');
is(new_users(), '', 'a wait that is longer than events are kept ends without a message');
like($te->sql(q{SELECT state || ' ' || gate || ' ' || reason FROM trigger_engine.sends WHERE user_id = 'patient'}),
	qr/^withheld render its event of .* is not there any more/, 'and the reason on record');

# ---- DEFAULT is trimmed ----

$te->sql(q{SET trigger_engine.ingest = off;
	INSERT INTO trigger_engine.events (user_id, name, occurred_at) SELECT 'h' || i, 'cart', '2020-01-01' FROM generate_series(1, 25000) i});
is($te->sql('SELECT count(*) FROM trigger_engine.events_default'), 25000, 'history that is too old');
$te->advance('1 s');
ok($te->poll('SELECT count(*) = 0 FROM trigger_engine.events_default'), 'is deleted, by and by');
is($te->sql(q{SELECT count(*) FROM pg_class WHERE relname LIKE 'events_p2020%'}), 0, 'without partitions of its own');
is(new_users(), '', 'it never fired');

# ---- a session that holds on to the table ----

my $holder = $te->node->background_psql('postgres');
$holder->query_safe("BEGIN;\nSELECT count(*) FROM trigger_engine.events;");
$te->advance('2 days');
ok($te->poll(q{SELECT reason ~ 'retiring partitions failed|making partitions failed' FROM trigger_engine.worker_status WHERE worker = 'maintenance'}), 'a reader that stays keeps a partition, and worker_status says so');
my ($status, undef, $error) = $te->try(q{SET statement_timeout = '10s'; INSERT INTO trigger_engine.events (user_id, name) VALUES ('meanwhile', 'cart')});
is($status, 0, 'inserts are not held up by that') or diag $error;
is(new_users(), 'meanwhile', 'and fire');
$holder->query_safe('COMMIT;');
$holder->quit;
$te->sql('SELECT trigger_engine.maintain()');
unlike($te->sql(days('events')), qr/^0[2-4]03/, 'when it is gone, so are they');

# ---- other settings ----

$te->sql(q{ALTER SYSTEM SET trigger_engine.partition_interval = '7d'; SELECT pg_reload_conf()});
ok(TriggerEngine::wait_until(sub { return $te->sql('SHOW trigger_engine.partition_interval') eq '7d' }), 'longer partitions');
$te->advance('10 days');
$te->sql('SELECT trigger_engine.maintain()');
is($te->sql(q{SELECT count(*) FROM (SELECT parent, starts, lag(ends) OVER (PARTITION BY parent ORDER BY starts) AS before
	FROM unnest('{trigger_engine.events,trigger_engine._sends,trigger_engine._attempts}'::regclass[]) parent, trigger_engine._partitions(parent)) t WHERE starts < before}), 0, 'do not overlap the shorter ones');
is($te->sql(q{SELECT bool_and(EXISTS (SELECT FROM trigger_engine._partitions('trigger_engine.events') WHERE starts <= d AND ends > d)) FROM generate_series(trigger_engine.clock(), trigger_engine.clock() + interval '14 days', '1 day') d}),
	't', 'and leave no gap ahead');
is($te->sql(q{SELECT bool_or(ends - starts = interval '7 days') FROM trigger_engine._partitions('trigger_engine.events')}), 't', 'they are a week long');
is(insert_at('week', 'cart', '0'), '', 'an event');
like(stored_in('week'), qr/^trigger_engine.events_p/, 'finds its place');
is(new_users(), 'week', 'and fires');
$te->sql(q{ALTER SYSTEM SET trigger_engine.event_retention = 0; SELECT pg_reload_conf()});
ok(TriggerEngine::wait_until(sub { return $te->sql('SHOW trigger_engine.event_retention') eq '0' }), 'retention is switched off');
my $oldest = $te->sql(q{SELECT min(starts) FROM trigger_engine._partitions('trigger_engine.events')});
$te->advance('300 days');
$te->sql('SELECT trigger_engine.maintain()');
is($te->sql(q{SELECT min(starts) FROM trigger_engine._partitions('trigger_engine.events')}), $oldest, 'then events stay for ever');
is(insert_at('ancient', 'cart', '3000 days'), '', 'and old ones are accepted');
is(new_users(), 'ancient', 'and fire');

unlike($te->log_since, qr/TRAP|PANIC|terminated by signal/, 'nothing crashed');
done_testing();
