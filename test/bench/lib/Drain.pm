# Rows about emptying the queue: rate, CPU, and what an old snapshot does to them.
package Drain;

use strict;
use warnings;

use Bench;
use Sinks;
use Time::HiRes qw(time sleep);

my $tls;

# A server whose event "bulk" goes to nginx as a body of about 1 KiB.
sub prepare
{
	my $server = Bench::server('main');

	$tls //= Sinks::tls();
	$server->wait_for_worker;
	$server->sql('SELECT bench.drop_journeys()');
	$server->clear;
	$server->sql(q{SELECT trigger_engine.create_template('bulk', 'webhook', jsonb_build_object('text', repeat('x', 830)), or_replace => true)});
	Sinks::provider($server, 'bulk', $tls, max_in_flight => 1000);
	Sinks::journey($server, 'bulk', 'bulk', template => 'bulk');
	Bench::pin($server->wait_for_worker, 0);
	return $server;
}

sub fill
{
	my ($server, $n) = @_;
	$server->sql("INSERT INTO trigger_engine.events (user_id, name) SELECT 'user' || i, 'bulk' FROM generate_series(1, $n) i");
	return;
}

# Sends n messages that wait already; from resume() until the last is recorded.
sub drain
{
	my ($server, $n) = @_;
	my $pid = $server->worker_pid;

	$server->clear;
	$server->sql(q{SELECT trigger_engine.pause('bench')});
	$server->wait_for_state('idle');
	fill($server, $n);
	$server->sql('CHECKPOINT');
	my $before = $server->accepted;
	my $cpu = Bench::process_cpu_us($pid);
	my $from = time;
	$server->sql('SELECT trigger_engine.resume()');
	Bench::wait_until(
		sub {
			return $server->accepted - $before >= $n
			  && $server->sql('SELECT count(*) FROM trigger_engine._batches') == 0;
		},
		60, 'everything is sent and recorded');
	my $seconds = time - $from;
	my $sent = $server->sql(q{SELECT count(*) FROM trigger_engine._sends WHERE state = 'accepted'});
	die "$sent of $n messages were accepted\n" if $sent != $n;
	return { rate => $n / $seconds, cpu => (Bench::process_cpu_us($pid) - $cpu) / $n };
}

# The bare libcurl loop with the same number, body, connections and messages under way.
sub post
{
	my ($n) = @_;
	my ($rate, $cpu, $failed) = split ' ',
	  Bench::run('taskset', '-c', 0, "$Bench::Tools/post", $tls->{url}, $tls->{ca_file}, $n, 1000, 4, 1024);
	die "$failed posts failed\n" if $failed;
	return { rate => $rate, cpu => $cpu };
}

sub rate
{
	my $server = prepare();
	my $n = 20_000;

	post(2000);
	drain($server, 2000);
	Bench::result('drain', 'drain of 20,000 to TLS HTTP/2, against a bare libcurl loop',
		Bench::pairs(Bench::smallest($Bench::Pairs, 5), sub { post($n) }, sub { drain($server, $n) }), '>=', 0.6);
	return;
}

# ---- an old snapshot ----

# Feeds the queue as fast as it is emptied and returns messages a second over the last
# part of the time.
sub closed_loop
{
	my ($server, $seconds, $last) = @_;
	my $from = time;
	my $start = $server->accepted;
	my ($filled, $mark, $marked_at) = (0);

	while (time - $from < $seconds)
	{
		my $sent = $server->accepted - $start;
		($mark, $marked_at) = ($sent, time) if not defined $mark and time - $from >= $seconds - $last;
		if ($filled - $sent < 4000)
		{
			$server->sql("INSERT INTO trigger_engine.events (user_id, name) SELECT 'user' || (i::bigint * 7919 % 1000000), 'bulk' FROM generate_series($filled, $filled + 1999) i");
			$filled += 2000;
		}
		else
		{
			sleep 0.01;
		}
	}
	my $rate = ($server->accepted - $start - $mark) / (time - $marked_at);
	$server->sql(q{SELECT trigger_engine.wait_until_idle('30 s')});
	return $rate;
}

sub snapshot
{
	my $server = prepare();
	my ($seconds, $last) = (65, 15);

	my $free = closed_loop($server, $seconds, $last);
	prepare();
	open my $old, '|-', 'psql', '-Xq', '-o', '/dev/null', $server->connection or die "psql: $!\n";
	$old->autoflush;
	print $old "BEGIN ISOLATION LEVEL REPEATABLE READ;\nSELECT count(*) FROM pg_class;\n";
	sleep 0.5;
	my $held = closed_loop($server, $seconds, $last);
	close $old;
	Bench::result('old-snapshot', 'drain in the last 15 of 65 s under an old snapshot, against none', $held / $free, '>=', 0.9,
		note => sprintf '%.0f against %.0f/s', $held, $free);
	return;
}

# ---- what waits ----

# CPU of the worker a message, while a steady load goes by n rows that wait: half of
# them for their time, half for a provider that takes one a second.
sub steady_cpu
{
	my ($server, $waiting) = @_;
	my $pid = $server->worker_pid;

	$server->clear;
	for my $event (qw(later slow))
	{
		$server->sql(sprintf q{INSERT INTO trigger_engine.events (user_id, name) SELECT '%s' || i, '%s' FROM generate_series(1, %d) i},
			$event, $event, $waiting / 2);
	}
	$server->sql('ANALYZE trigger_engine._due');
	sleep 0.5;
	my $from = $server->accepted;
	my $script = Bench::write_file("$Bench::Dir/script.sql",
		"\\set u random(1, 1000000)\nINSERT INTO trigger_engine.events (user_id, name) VALUES ('user' || :u, 'bulk');\n");
	my $cpu = Bench::process_cpu_us($pid);
	Bench::run('pgbench', '-n', '-M', 'prepared', '-f', $script, '-c', 2, '-R', 1000, '-T', 3, $server->connection);
	sleep 0.2;
	return ($server->accepted - $from) / (Bench::process_cpu_us($pid) - $cpu);
}

sub backlog
{
	my $server = prepare();

	Sinks::provider($server, 'slow', $tls, rate => 1);
	Sinks::journey($server, 'slow', 'slow', template => 'bulk');
	Sinks::journey($server, 'later', 'bulk', template => 'bulk', wait => '1 hour');
	my $steady = Bench::pairs(Bench::smallest($Bench::Pairs, 3), sub { steady_cpu($server, 100) }, sub { steady_cpu($server, 100_000) });
	Bench::result('backlog', 'CPU a message at 1,000/s with 100,000 waiting, against 100', 1 / Bench::median(@{ $steady->{ratios} }), '<=', 1.2,
		note => sprintf '%.0f against %.0f us', 1 / Bench::median(@{ $steady->{variant} }), 1 / Bench::median(@{ $steady->{base} }));
	return;
}

1;
