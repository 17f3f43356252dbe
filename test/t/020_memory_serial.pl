# 100,000 sends: the worker's memory stays flat, and the statistics that autovacuum
# goes by have seen the churn of the queue.
use strict;
use warnings;

use Test::More;
use Time::HiRes qw(time);
use TriggerEngine;
use Tls;

use constant { WARM_UP => 20_000, PART => 20_000, PARTS => 5 };

my $te = TriggerEngine->new(
	conf => {
		autovacuum => 'on',
		autovacuum_naptime => '1s',
		log_autovacuum_min_duration => -1,
		shared_buffers => '256MB',
		max_wal_size => '4GB',
		'trigger_engine.max_in_flight' => 500 });
my $receiver = $te->receiver(bodies => 0);
$te->webhook('hook', $receiver->url('/hook'), max_in_flight => 128);
$te->journey('cart_mail', event => 'cart', content => '{"body": "hello {{ user.user_id }}, {{ event.total }}"}');
ok($te->wait_for_worker, 'a delivery worker runs');
my $worker = $te->worker_pid;

# Memory of the worker that is its own, and not the shared buffers it has touched, in kB.
sub own_memory
{
	my ($kb) = PostgreSQL::Test::Utils::slurp_file("/proc/$worker/status") =~ /^RssAnon:\s+(\d+) kB/m;
	return $kb;
}

# Bytes that the server's memory contexts hold in the worker.
sub context_memory
{
	my $position = $te->log_position;
	$te->sql("SELECT pg_log_backend_memory_contexts($worker)");
	my $used;
	TriggerEngine::wait_until(
		sub { ($used) = $te->log_since($position) =~ /Grand total:.*; (\d+) used/; return defined $used });
	return $used;
}

# Sends n messages and records what memory the worker has when it is idle again.
my ($sent, @own, @contexts) = (0);
sub send_part
{
	my ($n) = @_;
	my $start = time;

	$te->events($n, 'cart', from => $sent + 1, properties => '{"total": 12.5, "items": [1, 2, 3]}');
	$sent += $n;
	$te->idle(300) or BAIL_OUT('the queue is not drained');
	push @own, own_memory();
	push @contexts, context_memory();
	note sprintf '%d messages at %.0f a second; own memory %d kB, contexts %d kB',
	  $n, $n / (time - $start), $own[-1], $contexts[-1] / 1024;
	return;
}

send_part(WARM_UP);
send_part(PART) for 1 .. PARTS;

is($te->worker_pid, $worker, 'one worker did all this');
cmp_ok($own[-1] - $own[0], '<', 8 * 1024, 'its memory grew by less than 8 MB over 100,000 messages');
cmp_ok($contexts[-1] - $contexts[0], '<', 1024 * 1024, 'and its memory contexts by less than 1 MB');
cmp_ok($own[-1], '<', 200 * 1024, 'it is a small process');

is_deeply({ $te->states }, { accepted => $sent }, 'every message was accepted');
my %ids = $receiver->count_ids;
is(scalar keys %ids, $sent, 'the receiver has all');
is(scalar(grep { $_ != 1 } values %ids), 0, 'once each');
is($te->sql('SELECT max(attempts) FROM trigger_engine.sends'), 1, 'at the first attempt');

# ---- statistics ----

my $stats = q{FROM pg_stat_user_tables WHERE schemaname = 'trigger_engine' AND relname =};
ok($te->poll("SELECT n_tup_del >= $sent $stats '_due'"), 'statistics count the rows that the worker deleted');
ok($te->poll("SELECT n_tup_ins >= $sent $stats '_due'"), 'and those that were inserted');
ok($te->poll("SELECT n_tup_ins > 0 AND n_tup_del > 0 $stats '_batches'"), 'and the batches');
ok($te->poll(
		q{SELECT sum(n_tup_ins) >= } . $sent . q{ FROM pg_stat_user_tables WHERE schemaname = 'trigger_engine' AND relname LIKE '\_sends%'}),
	'and the history, which the worker alone writes');
ok($te->poll("SELECT autovacuum_count > 0 $stats '_due'", 't', 60), 'autovacuum was there');
$te->sql('VACUUM trigger_engine._due');
cmp_ok($te->sql(q{SELECT pg_relation_size('trigger_engine._due')}), '<', 64 * 1024 * 1024, 'the queue did not grow without bounds');

# ---- the same over TLS and HTTP/2 ----

SKIP:
{
	skip 'nginx and openssl are needed', 3 unless Tls::available();
	my $tls = Tls->new(dir => $te->node->basedir, receiver => $receiver);

	$te->sql(sprintf 'SELECT trigger_engine.alter_provider(%s, %s)', $te->quote('hook'),
		$te->quote(TriggerEngine::json({ url => $tls->url('/hook'), ca_file => $tls->ca_file })));
	@own = @contexts = ();
	send_part(5000) for 1 .. 4;
	is_deeply({ $te->states }, { accepted => $sent }, 'over TLS: every message was accepted');
	cmp_ok($own[-1] - $own[0], '<', 6 * 1024, 'the memory grew by less than 6 MB over 15,000 messages');
	cmp_ok($contexts[-1] - $contexts[0], '<', 1024 * 1024, 'the memory contexts by less than 1 MB');
}

done_testing();
