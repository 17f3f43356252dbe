# A worker killed with SIGKILL while it connects, and workers that cannot start.
#
# Promise: one crash restart for each kill and no loop of them; a start that fails is
# tried again after a growing wait, which worker_status shows; never given up.
use strict;
use warnings;

use Test::More;
use TriggerEngine;

my $te = TriggerEngine->new(name => 'kill', conf => { restart_after_crash => 'on' });
my $receiver = $te->receiver;
$te->webhook('hook', $receiver->url('/hook'));
$te->journey('cart_mail', event => 'cart');

# A worker that is starting and has been stopped there, seen by a session that holds
# a lock every new connection needs.
sub catch_starting_worker
{
	my ($session, $former) = @_;
	my $pid = '';

	TriggerEngine::wait_until(
		sub {
			$pid = $session->query_safe(
				q{SELECT pid FROM trigger_engine.worker_status WHERE worker = 'delivery 0' AND state = 'starting'});
			return $pid =~ /^\d+$/ && $pid != $former;
		}, 30) or return;
	return $pid;
}

# The number of times that the server has reinitialized.
sub restarts
{
	return scalar(() = $te->log_since(0) =~ /all server processes terminated; reinitializing/g);
}

# ---- killed while connecting ----

for my $kill (1 .. 3)
{
	my $former = $te->wait_for_worker;
	my $session = $te->node->background_psql('postgres', on_error_stop => 0);

	$session->query_safe('BEGIN');
	$session->query_safe('LOCK TABLE pg_catalog.pg_db_role_setting IN ACCESS EXCLUSIVE MODE');
	# a worker that is told to go is no failure and is back after a second
	kill 'TERM', $former;
	my $pid = catch_starting_worker($session, $former);
	ok(defined $pid, "kill $kill: a worker hangs while it connects") or BAIL_OUT('no worker to kill');
	kill 'KILL', $pid;
	ok(TriggerEngine::wait_until(sub { restarts() == $kill }), 'the server restarts');
	# its connection is gone, so psql does not leave by itself
	$session->{run}->kill_kill;
	ok($te->poll('SELECT true'), 'and answers again');
	ok($te->poll(
			q{SELECT count(*) = 2 FROM trigger_engine.worker_status WHERE worker <> 'launcher' AND state = 'running'}),
		'all workers run');
}

# ---- killed at once, whenever a new one appears ----

my $killed = '';
for my $kill (1 .. 4)
{
	my $pid;
	TriggerEngine::wait_until(
		sub {
			(undef, $pid) = $te->try(
				q{SELECT pid FROM trigger_engine.worker_status WHERE worker = 'delivery 0' AND pid IS NOT NULL});
			return $pid =~ /^\d+$/ && $pid ne $killed;
		});
	$killed = $pid;
	kill 'KILL', $pid;
	TriggerEngine::wait_until(sub { restarts() == 3 + $kill });
}
ok($te->poll('SELECT true'), 'workers killed as soon as they are there: the server answers again');
ok($te->wait_for_worker, 'and has a worker again');

# ---- and the launcher ----

my ($launcher) = map { $_->{pid} } grep { $_->{worker} eq 'launcher' } $te->status;
kill 'KILL', $launcher;
ok(TriggerEngine::wait_until(sub { restarts() == 8 }), 'the launcher is killed');
ok($te->poll('SELECT true'), 'the server answers again');
ok($te->wait_for_worker, 'and has a worker again');

$te->event('u1', 'cart');
ok($receiver->wait_for(1, 20), 'messages are sent');
ok($te->idle, 'and recorded');
is_deeply({ $te->states }, { accepted => 1 }, 'as accepted');
is(restarts(), 8, 'the server restarted as often as a process was killed, and not more');
$te->node->stop('fast');

# ---- no room for a worker ----

# The server's own logical replication launcher and ours take a slot each, so that
# three are left for four workers of two databases.
my $full = TriggerEngine->new(name => 'full', conf => { max_worker_processes => 5 });
ok($full->poll(
		q{SELECT count(*) = 2 FROM trigger_engine.worker_status WHERE pid IS NOT NULL AND worker <> 'launcher'}),
	'one database has its workers');
$full->sql('CREATE DATABASE second');
my $second = $full->in('second');
$second->sql('CREATE EXTENSION trigger_engine');

my $waiting = q{FROM trigger_engine.worker_status WHERE worker <> 'launcher' AND state = 'backoff'};
ok($second->poll("SELECT count(*) = 1 $waiting"), 'there is no room for the last one, which backs off');
like($second->sql("SELECT reason $waiting"), qr/max_worker_processes/, 'for a reason that says what to do');
my %wait;
ok( TriggerEngine::wait_until(
		sub {
			my ($failures, $seconds) = split /\|/, ($second->try(
				"SELECT failures, extract(epoch FROM retry_at - since) $waiting AND retry_at > clock_timestamp()"))[1];
			$wait{$failures} //= $seconds if defined $seconds;
			return keys %wait >= 3;
		}, 60),
	'it is tried again, and its failures are counted');
my @waits = map { $wait{$_} } sort { $a <=> $b } keys %wait;
cmp_ok($waits[1], '>', 1.5 * $waits[0], 'after a wait that grows');
cmp_ok($waits[2], '>', 1.5 * $waits[1], 'and grows');
like($second->sql(q{SELECT reason FROM trigger_engine.worker_status WHERE worker = 'launcher'}),
	qr/no background worker slot is free/, 'the launcher says so as well');
cmp_ok(scalar(() = $full->log_since(0) =~ /max_worker_processes/g), '<', 10, 'the log is not flooded');

$full->sql('DROP EXTENSION trigger_engine');
ok($second->poll(
		q{SELECT count(*) = 2 FROM trigger_engine.worker_status WHERE pid IS NOT NULL AND worker <> 'launcher'},
		't', 90),
	'it runs as soon as there is room');

done_testing();
