# Rows about a million timers that lie in the future.
package Timers;

use strict;
use warnings;

use Bench;
use Sinks;
use Time::HiRes qw(time sleep);

sub million
{
	my $server = Bench::server('main');
	my ($timers, $due, $seconds) = (1_000_000, 10_000, 20);
	my $sink = Sinks::noting();

	$server->wait_for_worker;
	$server->sql('SELECT bench.drop_journeys()');
	$server->clear;
	Sinks::provider($server, 'timed', $sink);
	Sinks::journey($server, 'timer', 'timed', wait => '1 hour');

	# far ones straight into the queue, as that is quicker, among users and over a month
	$server->sql("INSERT INTO trigger_engine._due (user_id, journey_id, entry_key, step, lane, due_at, event_id, event_at, version)"
		  . " SELECT 'timer' || i, j.journey_id, 'events/' || -i, 'send', p.provider_id % 63 + 1,"
		  . " now() + interval '2 hours' + i * interval '2.6 s', -i, now(), j.version"
		  . " FROM generate_series(1, $timers) i, trigger_engine.journeys j, trigger_engine._providers p"
		  . " WHERE j.name = 'timer' AND p.name = 'timed'");
	$server->sql('VACUUM (ANALYZE) trigger_engine._due');

	# and those that are measured, as events of an hour ago
	my $gap = 1_000_000 * $seconds / $due;
	my $start = int((time + 3) * 1_000_000);
	$server->sql("INSERT INTO trigger_engine.events (user_id, name, properties, occurred_at)"
		  . " SELECT 'soon' || i, 'timer', jsonb_build_object('id', i::text),"
		  . " to_timestamp(($start - 3600000000 + i * $gap)::numeric / 1000000) FROM generate_series(0, $due - 1) i");
	my $late = int(time * 1_000_000) > $start;
	sleep $seconds + 4;
	$server->sql(q{SELECT trigger_engine.wait_until_idle('10 s')});

	# idle now, with the million still there
	my @pids = $server->engine_pids;
	my $idle_for = 30;
	sleep 2;
	my %before = map { $_ => Bench::process_cpu_us($_) } @pids;
	my $from = time;
	sleep $idle_for;
	my $cpu = 0;
	$cpu += Bench::process_cpu_us($_) - $before{$_} for @pids;
	my $share = $cpu / (time - $from) / 10_000;

	my $arrived = Sinks::arrivals($sink);
	die 'not all timers fired: ' . keys(%$arrived) . "\n" if keys(%$arrived) != $due;
	die "the machine was too slow to set the timers up in time\n" if $late;
	my @ms = map { ($arrived->{$_} - ($start + $_ * $gap)) / 1000 } keys %$arrived;
	my $note = sprintf 'p95 %.2f, most %.2f', Bench::quantile(0.95, @ms), Bench::largest(@ms);
	Bench::result('timers', 'lateness on the wire of 500 timers/s among a million, p50', Bench::quantile(0.5, @ms), '<=', 5, unit => 'ms');
	Bench::result('timers', 'lateness on the wire of 500 timers/s among a million, p99', Bench::quantile(0.99, @ms), '<=', 25, unit => 'ms', note => $note);
	Bench::result('timers', 'idle with a million timers: CPU of all engine processes', $share, '<=', 0.3, unit => '%', note => 'of one core');
	return;
}

1;
