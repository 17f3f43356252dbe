# When processes do not stay: the launcher ends or is killed, workers fail again and
# again, the server has no room for them. None of it is a crash loop, none of it is
# for ever, and worker_status and the log give the reason.
use strict;
use warnings;

use Test::More;
use TriggerEngine;

my $te = TriggerEngine->new(conf => { 'restart_after_crash' => 'on' });
my $receiver = $te->receiver;

$te->webhook('hook', $receiver->url('/hook'));
$te->journey('welcome', content => '{"body": "{{ user.user_id }}"}');
ok($te->poll(q{SELECT count(*) = 3 AND bool_and(state = 'running') FROM trigger_engine.worker_status}), 'launcher and workers run');

sub launcher
{
	my (undef, $pid) = $te->try(q{SELECT pid FROM pg_stat_activity WHERE backend_type = 'trigger_engine launcher'});
	return $pid;
}
sub sends
{
	my ($user) = @_;
	my $before = $receiver->count;
	$te->event($user, 'cart');
	return $receiver->wait_for($before + 1, 30) && $te->idle;
}

# ---- the launcher ends ----

my ($launcher, $worker) = (launcher(), $te->worker_pid);
$te->sql("SELECT pg_terminate_backend($launcher)");
ok($te->poll(q{SELECT state = 'absent' AND reason ~ 'starts within seconds' FROM trigger_engine.worker_status WHERE worker = 'launcher'}), 'the launcher is ended, which is seen');
ok(sends('u1'), 'workers go on without it');
is($te->worker_pid, $worker, 'the same as before');
$te->kill_worker('TERM');
ok(TriggerEngine::wait_until(sub { my $pid = launcher(); return $pid ne '' && $pid ne $launcher }), 'the postmaster starts it again');
my $successor = $te->wait_for_worker;
isnt($successor, $worker, 'and it starts the worker that ended meanwhile');
ok(sends('u2'), 'which works');

# ---- the launcher is killed ----

$launcher = launcher();
my $position = $te->log_position;
kill 'KILL', $launcher;
ok(TriggerEngine::wait_until(sub { return $te->log_since($position) =~ /all server processes terminated; reinitializing/ }), 'the launcher is killed, the server restarts');
ok($te->poll(q{SELECT count(*) = 3 AND bool_and(state = 'running') FROM trigger_engine.worker_status}, 't', 60), 'all is back');
ok(sends('u3'), 'and works');

# ---- a database that workers cannot connect to ----

my $directory = $te->node->data_dir . '/base/' . $te->sql('SELECT oid FROM pg_database WHERE datname = current_database()');
$position = $te->log_position;
$worker = $te->worker_pid;
rename "$directory/PG_VERSION", "$directory/PG_VERSION.away" or die $!;
kill 'TERM', $worker;
my $failed = qr/FATAL: .*is not a valid data directory/;
ok(TriggerEngine::wait_until(sub { my @n = $te->log_since($position) =~ /$failed/g; return @n >= 3 }, 60), 'a worker fails again and again');
rename "$directory/PG_VERSION.away", "$directory/PG_VERSION" or die $!;
my ($failures, $wait, $reason) = split /\|/, $te->sql(q{SELECT failures, extract(epoch FROM retry_at - since), reason FROM trigger_engine.worker_status WHERE worker = 'delivery 0' AND state = 'backoff'});
cmp_ok($failures, '>=', 3, 'its failures are counted');
cmp_ok($wait, '>=', 2 ** ($failures - 1) - 0.1, 'it waits twice as long after each') if defined $wait;
like($reason, qr/failed; see the server log/, 'and says where to look');
my @at = map { /^\S+ (\d+):(\d+):([\d.]+)/ ? $1 * 3600 + $2 * 60 + $3 : () } grep { /$failed/ } split /\n/, $te->log_since($position);
cmp_ok($at[2] - $at[1], '>', $at[1] - $at[0], 'so it was no crash loop');
$te->sql('SELECT trigger_engine.start_workers()');
ok($te->poll(q{SELECT state = 'running' FROM trigger_engine.worker_status WHERE worker = 'delivery 0'}), 'start_workers() need not wait for that time');
is($te->sql(q{SELECT failures FROM trigger_engine.worker_status WHERE worker = 'delivery 0'}), 0, 'and starts the count anew');
ok(sends('u4'), 'the worker works');

# by itself it comes back, too
$position = $te->log_position;
$worker = $te->worker_pid;
rename "$directory/PG_VERSION", "$directory/PG_VERSION.away" or die $!;
kill 'TERM', $worker;
ok(TriggerEngine::wait_until(sub { return $te->log_since($position) =~ $failed }), 'it fails once more');
rename "$directory/PG_VERSION.away", "$directory/PG_VERSION" or die $!;
ok($te->poll(q{SELECT state = 'running' FROM trigger_engine.worker_status WHERE worker = 'delivery 0'}), 'and comes back by itself');
ok(sends('u5'), 'to work');
is($receiver->count, 5, 'nothing was sent twice');

# ---- no room in the server ----

# one place is taken by the server's own logical replication launcher
$te->node->append_conf('postgresql.conf', "max_worker_processes = 3\n");
$te->node->restart;
ok($te->poll(q{SELECT count(*) > 0 FROM trigger_engine.worker_status WHERE worker <> 'launcher' AND state = 'backoff' AND reason ~ 'no free background worker slot: raise max_worker_processes'}),
	'a worker without a place in the server says so');
is($te->sql(q{SELECT reason FROM trigger_engine.worker_status WHERE worker = 'launcher'}), 'no background worker slot is free', 'so does the launcher');
like($te->log_since($position), qr/WARNING: .*no background worker slot is free\n.*HINT:  Raise max_worker_processes and restart the server/, 'and the log says what to do');
$te->node->append_conf('postgresql.conf', "max_worker_processes = 2\n");
$te->node->restart;
ok($te->poll(q{SELECT reason = 'no background worker slot is free' FROM trigger_engine.worker_status WHERE worker = 'launcher'}), 'without any place');
like($te->sql(q{SELECT state || ' ' || reason FROM trigger_engine.worker_status WHERE worker = 'delivery 0'}), qr/^absent see the launcher/, 'workers point to the launcher');
$te->event('u6', 'cart');
is($te->sql(q{SELECT state FROM trigger_engine.sends WHERE user_id = 'u6'}), 'due', 'events start journeys all the same');
$te->node->append_conf('postgresql.conf', "max_worker_processes = 1\n");
$te->node->restart;
is($te->sql(q{SELECT count(*) FROM pg_stat_activity WHERE backend_type LIKE 'trigger_engine%' AND datname IS NOT NULL}), 0, 'without a place for the launcher');
is($te->sql(q{SELECT count(*) > 0 FROM trigger_engine.worker_status WHERE worker = 'delivery 0' AND state = 'absent'}), 't', 'worker_status still answers');
$te->node->append_conf('postgresql.conf', "max_worker_processes = 16\n");
$te->node->restart;
ok($receiver->wait_for(6, 60), 'with room again what waited is sent');
ok($te->idle, 'and nothing is left');

unlike($te->log_since($position), qr/TRAP|PANIC|terminated by signal/, 'nothing crashed');
done_testing();
