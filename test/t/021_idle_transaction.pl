# No transaction and no snapshot of a worker while a slow provider is being waited for.
use strict;
use warnings;

use Test::More;
use Time::HiRes qw(time sleep);
use TriggerEngine;

my $te = TriggerEngine->new(conf => { autovacuum => 'off', log_statement => 'none' });
my $receiver = $te->receiver;
$te->webhook('slow', $receiver->url('/slow'), timeout => '30 s');
$te->webhook('fast', $receiver->url('/fast'));
$te->journey('slow_mail', event => 'slow', provider => 'slow');
$te->journey('fast_mail', event => 'fast', provider => 'fast');
$te->journey('mixed', event => 'mixed', provider => 'fast', wait => '1 s');
$receiver->mode('/slow', 'slow', delay => 12);
ok($te->wait_for_worker, 'a delivery worker runs');
$te->sql('CREATE TABLE junk AS SELECT generate_series(1, 1000) AS i');

# The processes of the extension, asked in one session: what a snapshot of statistics
# says is forgotten between the questions.
my $session = $te->node->background_psql('postgres');
my $question = q{SELECT pg_stat_clear_snapshot();
	SELECT backend_type, coalesce(extract(epoch FROM clock_timestamp() - xact_start), 0), backend_xmin, backend_xid,
		coalesce(wait_event_type, ''), coalesce(wait_event, '')
	FROM pg_stat_activity WHERE backend_type LIKE 'trigger_engine%'};

$te->events(40, 'slow');
ok($receiver->wait_for(40), 'messages are at a receiver that needs 12 s');
my $started = time;

my ($samples, $waiting, $oldest) = (0, 0, 0);
my (%types, @pinned);
my $next_work = 0;
while (time - $started < 6)
{
	# some work meanwhile, so that there are transactions to be seen
	if (time > $next_work)
	{
		$te->events(20, $_, prefix => time . '-') for qw(fast mixed);
		$next_work = time + 0.5;
	}
	for my $row (grep { /^trigger_engine/ } split /\n/, $session->query_safe($question))
	{
		my ($type, $age, $xmin, $xid, $wait_type, $wait) = split /\|/, $row, 6;
		$samples++;
		$types{$type} = 1;
		$oldest = $age if $age > $oldest;
		next unless $wait_type eq 'Extension';
		$waiting++;
		push @pinned, $row if $xmin ne '' or $xid ne '' or $age > 0;
	}
}
is($te->sql(q{SELECT count(*) FROM trigger_engine.sends WHERE journey = 'slow_mail' AND state = 'claimed'}), 40,
	'they are under way all the time');
note "$samples samples, $waiting of processes that wait; the oldest transaction was $oldest s old";
cmp_ok($samples, '>', 50, 'processes were looked at');
is_deeply([ sort keys %types ], [ 'trigger_engine delivery', 'trigger_engine launcher', 'trigger_engine maintenance' ], 'all of them');
cmp_ok($waiting, '>', 20, 'many times while they waited');
cmp_ok($oldest, '<', 1, 'no transaction is older than a second');
# the columns of a row are not read at one instant, so a few may be torn
cmp_ok(scalar @pinned, '<', 1 + $waiting / 50, 'and a process that waits has none, nor a snapshot') or diag(join "\n", @pinned);
$session->quit;

# what that is good for: rows deleted meanwhile can be removed
$te->sql('DELETE FROM junk');
my (undef, undef, $said) = $te->try('VACUUM (VERBOSE) junk');
like($said, qr/1000 (?:removed|dead row versions|row versions)/, 'VACUUM removes what was deleted meanwhile');
like($said, qr/0 (?:are dead but not yet removable|dead row versions cannot be removed)/, 'nothing holds it back');
my $vacuum = time;
$te->sql('VACUUM FULL trigger_engine._due');
cmp_ok(time - $vacuum, '<', 5, 'VACUUM FULL of the queue does not wait for the provider');

is($te->sql(q{SELECT count(*) FROM trigger_engine.sends WHERE journey = 'slow_mail' AND state = 'claimed'}), 40,
	'they are still under way');
ok($te->poll(q{SELECT count(*) = 40 FROM trigger_engine.sends WHERE journey = 'slow_mail' AND state = 'accepted'}),
	'in the end they are accepted');

# ---- the assertion ----

# The library of a test is built with assertions; the one before its wait is there and
# would have ended the worker, and with it the server.
my $source = PostgreSQL::Test::Utils::slurp_file('src/worker/delivery_worker.c');
is(scalar(() = $source =~ /\b(?:WaitEventSetWait|WaitLatch|pg_usleep)\s*\(/g), 1, 'the delivery worker waits in one place');
like($source, qr/Assert\(!IsTransactionState\(\)\);(?:[^{}]*\n)*?[^{}]*WaitEventSetWait/, 'and asserts before it that no transaction is open');
chomp(my $library = qx{$ENV{PG_CONFIG} --pkglibdir});
my ($installed) = grep { -f } map { "$_/trigger_engine.so" }
  (($te->node->config_data('--bindir') =~ s{/bin$}{/lib}r), ($ENV{TE_SANDBOX} // '') . $library);
ok(defined $installed && PostgreSQL::Test::Utils::slurp_file($installed) =~ /!IsTransactionState\(\)/,
	'the library that was tested has the assertion');

done_testing();
