# Events keep coming, late ones and those of now, in several sessions, while partitions
# are made for them and rows are moved: no insert fails, and no event and no message is
# lost or doubled.
use strict;
use warnings;

use Test::More;
use TriggerEngine;

my $te = TriggerEngine->new(
	conf => {
		'trigger_engine.partition_interval' => '1h',
		'trigger_engine.event_retention' => '30d',
		'max_locks_per_transaction' => 256 });
$te->sql(q{SELECT trigger_engine.create_template('note', 'in_app', '{"title": "{{ user.user_id }}"}');
	SELECT trigger_engine.create_journey('inside', '{"kind": "event", "name": "read"}', '[{"id": "send", "send": "note"}]');
	CREATE SEQUENCE number});

# Late events, of which every dozen is of an hour that has no partition yet, and events
# of now with a key, twice each.
my $script = PostgreSQL::Test::Utils::tempdir() . '/insert.sql';
open my $file, '>', $script or die $!;
print $file <<'SQL';
INSERT INTO trigger_engine.events (user_id, name, occurred_at) SELECT 'late' || n, 'read', date_trunc('hour', now()) - (n / 24 % 700) * interval '1 hour' - interval '5 min' FROM (SELECT nextval('number') AS n) s;
INSERT INTO trigger_engine.events (user_id, name, dedupe_key) SELECT 'now' || n, 'read', 'k' FROM (SELECT nextval('number') AS n) s, generate_series(1, 2);
SQL
close $file;

my ($output, $errors) = ('', '');
my $load = IPC::Run::start([ $te->node->installed_command('pgbench'), '-n', '-c', '8', '-j', '2', '-T', '10', '-f', $script, '-d', $te->node->connstr('postgres') ],
	'>', \$output, '2>', \$errors);
my $made = 0;
while ($load->pumpable)
{
	my ($status) = $te->try('SELECT trigger_engine.maintain()');
	$made++ if $status == 0;
	$load->pump_nb;
}
$load->finish;
is($load->full_result(0), 0, 'no client fails') or diag $errors;
unlike($errors, qr/ERROR|aborted/, 'and no insert does');
my ($done) = $output =~ /number of transactions actually processed: (\d+)/;
cmp_ok($done, '>', 0, 'events were inserted');
note "$done transactions, $made runs of maintain()";

ok(TriggerEngine::wait_until(sub { my ($status) = $te->try('SELECT trigger_engine.maintain()'); return $status == 0 }), 'when it is quiet maintenance comes to its end');
is($te->sql('SELECT count(*) FROM trigger_engine.events_default'), 0, 'with nothing left in DEFAULT');
cmp_ok($te->sql(q{SELECT count(*) FROM trigger_engine._partitions('trigger_engine.events')}), '>', 10, 'and partitions for all the hours');
is($te->sql('SELECT count(*), count(DISTINCT user_id), count(DISTINCT event_id) FROM trigger_engine.events'), join('|', (2 * $done) x 3), 'every event is there once');
ok($te->idle(120), 'the queue drains');
is($te->sql(q{SELECT count(*), count(DISTINCT user_id) FROM trigger_engine.sends WHERE state = 'accepted'}), join('|', (2 * $done) x 2), 'every event had its message');
is($te->sql('SELECT count(*), count(DISTINCT title) FROM trigger_engine.inbox'), join('|', (2 * $done) x 2), 'which was delivered once');
is($te->sql(q{SELECT count(*) FROM trigger_engine.events e, trigger_engine._partitions('trigger_engine.events') p WHERE e.tableoid = p.partition AND NOT (occurred_at >= starts AND occurred_at < ends)}), 0,
	'and every row is where it belongs');

unlike($te->log_since, qr/TRAP|PANIC|terminated by signal|deadlock/, 'nothing crashed, nothing deadlocked');
done_testing();
