# Rows about what a committing session has to do with the worker: the price of waking
# it, and how soon after the commit a message is on the wire.
package Commit;

use strict;
use warnings;

use Bench;
use Sinks;
use Time::HiRes qw(time sleep);

# Durable commits whose messages are due at once, for a provider that takes one a second:
# every commit finds the worker asleep and wakes it, and there is next to nothing to send
# that would take CPU from the clients. The other server is not preloaded: it matches and
# writes the same and has nobody to wake.
sub wake
{
	my %load;

	for my $name (qw(main plain))
	{
		my $server = Bench::server($name);
		$server->sql('SELECT bench.drop_journeys()');
		Sinks::provider($server, 'slow', { url => 'http://127.0.0.1:9/' }, rate => 1);
		Sinks::journey($server, 'wake', 'slow');
		$load{$name} = sub {
			$name eq 'main' ? $server->clear : $server->sql('SELECT bench.clear()');
			return $server->pgbench(script => <<'END');
\set u random(1, 1000000)
INSERT INTO trigger_engine.events (user_id, name, properties) VALUES ('user' || :u, 'wake', '{"id": "1"}');
END
		};
	}
	Bench::server('main')->wait_for_worker;
	Bench::result('commit-wake', 'durable commits of 8 clients that wake the worker, against no worker',
		Bench::pairs($Bench::Pairs, @load{qw(plain main)}), '>=', 0.97);
	Bench::server('main')->sql('SELECT bench.drop_journeys()');
	return;
}

# Offers events at a rate for some seconds and returns the milliseconds from each
# commit's return to the arrival of its message. The first second is left out.
sub latencies
{
	my ($server, $sink, $rate, $seconds) = @_;
	my $prefix = "$Bench::Dir/latency";
	my (%committed, @ms, $first);
	my $script = Bench::write_file("$Bench::Dir/script.sql", <<'END');
\set u random(1, 1000000)
\set n :n + 1
INSERT INTO trigger_engine.events (user_id, name, properties) VALUES ('user' || :u, 'ping', ('{"id": "' || :client_id || '.' || :n || '"}')::jsonb);
END

	unlink glob "$prefix.*";
	Bench::run('pgbench', '-n', '-M', 'prepared', '-f', $script, '-c', 4, '-j', 1, '-R', $rate, '-T', $seconds + 1,
		'-D', 'n=0', '-l', "--log-prefix=$prefix", $server->connection);
	$server->sql(q{SELECT trigger_engine.wait_until_idle('10 s')}) unless $sink->{beside};
	sleep 0.3;
	for my $line (map { split /\n/, Bench::slurp($_) } glob "$prefix.*")
	{
		my ($client, $n, undef, undef, $s, $us) = split ' ', $line;
		$committed{"$client.$n"} = $s * 1_000_000 + $us;
	}
	$first = Bench::smallest(values %committed) + 1_000_000;
	my $arrived = Sinks::arrivals($sink);
	for my $id (grep { $committed{$_} >= $first } keys %committed)
	{
		die "message $id did not arrive\n" unless $arrived->{$id};
		my $us = $arrived->{$id} - $committed{$id};
		push @ms, $us > 0 ? $us / 1000 : 0;
	}
	return @ms;
}

# A fresh sink, and the provider and journey that lead there.
sub pinged
{
	my ($server) = @_;
	my $sink = Sinks::noting();

	Sinks::provider($server, 'fast', $sink);
	Sinks::journey($server, 'ping', 'fast');
	return $sink;
}

sub latency
{
	my $server = Bench::server('main');

	$server->wait_for_worker;
	$server->sql('SELECT bench.drop_journeys()');
	$server->clear;
	for my $rate (100, 1000)
	{
		my @ms = latencies($server, pinged($server), $rate, 8);
		my $note = sprintf '%d messages, p95 %.2f, most %.2f', scalar @ms, Bench::quantile(0.95, @ms), Bench::largest(@ms);
		Bench::result('latency', "commit to socket at $rate/s, p50", Bench::quantile(0.50, @ms), '<=', 2, unit => 'ms');
		Bench::result('latency', "commit to socket at $rate/s, p99", Bench::quantile(0.99, @ms), '<=', 10, unit => 'ms', note => $note);
	}
	return;
}

# A sink that never answers, with messages enough to fill what its provider may have
# under way, and time limits that run out while the fast one is measured.
sub hung
{
	my $server = Bench::server('main');
	my @p99;

	$server->wait_for_worker;
	$server->sql('SELECT bench.drop_journeys()');
	$server->clear;
	my $measure = sub {
		my ($beside) = @_;
		my $hung;

		if ($beside)
		{
			$hung = Sinks::noting('hang');
			Sinks::provider($server, 'hung', $hung, timeout => '2 s');
			Sinks::journey($server, 'stuck', 'hung');
			$server->sql(q{INSERT INTO trigger_engine.events (user_id, name) SELECT 'stuck' || i, 'stuck' FROM generate_series(1, 5000) i});
			sleep 0.5;
		}
		my $sink = pinged($server);
		$sink->{beside} = $beside;
		my $p99 = Bench::quantile(0.99, latencies($server, $sink, 500, 4));
		push @{ $p99[ $beside ? 1 : 0 ] }, $p99;
		if ($beside)
		{
			$server->sql('SELECT bench.drop_journeys()');
			Bench::stop_child($hung->{pid});
			$server->sql(q{SELECT trigger_engine.wait_until_idle('30 s')});
			$server->clear;
		}
		return 1 / $p99;
	};
	my $pairs = Bench::pairs(3, sub { $measure->(0) }, sub { $measure->(1) });
	my $ratio = 1 / Bench::median(@{ $pairs->{ratios} });
	Bench::result('hung-sink', 'p99 to a fast sink at 500/s, a hung one beside it, against alone', $ratio, '<=', 2,
		note => sprintf 'p99 %.2f against %.2f ms', Bench::median(@{ $p99[1] }), Bench::median(@{ $p99[0] }));
	return;
}

1;
