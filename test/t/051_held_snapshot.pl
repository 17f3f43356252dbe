# The queue keeps draining while a REPEATABLE READ transaction holds its snapshot, and
# rows that commit late, with an earlier time than those that were sent already, are
# sent none the less, though nobody polls. (How fast it drains is measured by the bench.)
use strict;
use warnings;

use Test::More;
use TriggerEngine;

my $te = TriggerEngine->new(conf => { 'trigger_engine.batch_size' => 100, 'trigger_engine.poll_interval' => '10min' });
my $receiver = $te->receiver;

$te->webhook('hook', $receiver->url('/hook'));
$te->webhook('other', $receiver->url('/other'));
my $content = '{"body": "{{ user.user_id }}"}';
$te->journey('welcome', content => $content);
$te->journey('elsewhere', event => 'visit', provider => 'other', content => $content);
$te->journey('chain', event => 'chain', steps => '[{"id": "a", "send": "welcome_template", "provider": "hook"}, {"id": "w", "wait": "1 s"}, {"id": "b", "send": "welcome_template", "provider": "hook"}]');
ok($te->wait_for_worker, 'the worker runs');
$te->event('first', 'cart');
ok($te->idle, 'and sends');

# ---- a snapshot is held ----

my $holder = $te->node->background_psql('postgres');
$holder->query_safe("BEGIN ISOLATION LEVEL REPEATABLE READ;\nSELECT count(*) FROM trigger_engine._due;");
my $pid = $holder->query_safe('SELECT pg_backend_pid();');
my $xmin = $te->sql("SELECT backend_xmin FROM pg_stat_activity WHERE pid = $pid");
like($xmin, qr/^\d+$/, 'a session holds a snapshot');
for my $round (1 .. 5)
{
	$te->events(400, 'cart', prefix => "r${round}_");
	$te->events(100, 'visit', prefix => "s${round}_");
	ok($te->idle(60), "round $round drains");
}
$te->events(50, 'chain', prefix => 'c');
ok($te->poll(q{SELECT count(*) = 100 FROM trigger_engine.sends WHERE journey = 'chain' AND state = 'accepted'}), 'steps that wait go on');
is($receiver->count, 2601, 'everything is sent');
is($te->sql("SELECT backend_xmin FROM pg_stat_activity WHERE pid = $pid"), $xmin, 'while the snapshot was held');
cmp_ok($te->sql(q{SELECT n_dead_tup FROM pg_stat_user_tables WHERE relid = 'trigger_engine._due'::regclass}), '>', 0, 'so that dead rows piled up');
is($holder->query_safe('SELECT count(*) FROM trigger_engine.sends;'), 1, 'its own view of the world is as it was');

# ---- rows that commit late ----

# Their transactions begin, and so their time is, before that of everything sent below.
my @late = map { $te->node->background_psql('postgres') } 1 .. 3;
$late[0]->query_safe(q{BEGIN; INSERT INTO trigger_engine.events (user_id, name) VALUES ('late1', 'cart');});
$late[1]->query_safe(q{BEGIN; INSERT INTO trigger_engine.events (user_id, name) SELECT 'late2_' || i, CASE WHEN i % 2 = 0 THEN 'cart' ELSE 'visit' END FROM generate_series(1, 250) i;});
$late[2]->query_safe(q{BEGIN ISOLATION LEVEL REPEATABLE READ; INSERT INTO trigger_engine.events (user_id, name) VALUES ('late3', 'chain');});
$te->events(300, 'cart', prefix => 'mid');
$te->events(300, 'visit', prefix => 'mid');
ok($te->idle(60), 'later ones overtake them');
is($receiver->count, 3201, 'and are sent');
for my $session (@late)
{
	$session->query_safe('COMMIT;');
	# one by one, each with others that come at the same time
	$te->events(5, 'cart', prefix => 'then' . ($session + 0) . '_');
	ok($te->idle(60), 'a late transaction commits, and the queue drains');
	$session->quit;
}
ok($te->poll(q{SELECT count(*) = 2 FROM trigger_engine.sends WHERE user_id = 'late3' AND state = 'accepted'}), 'all its steps are sent');
is($te->sql(q{SELECT count(*) FROM trigger_engine.sends WHERE user_id LIKE 'late2%' AND state = 'accepted'}), 250, 'so are all rows of a large one');
is($te->sql(q{SELECT string_agg(user_id, ' ') FROM trigger_engine.sends WHERE state <> 'accepted'}), '', 'nothing was passed over');

# an exit that is under way locks its row: the claim passes it over, and finds it again
# by polling
$te->sql(q{ALTER SYSTEM SET trigger_engine.poll_interval = '200ms'; SELECT pg_reload_conf()});
$te->sql(q{SELECT trigger_engine.create_journey('soon', '{"kind": "event", "name": "soon"}', '[{"id": "w", "wait": "2 s"}, {"id": "s", "send": "welcome_template", "provider": "hook"}]', exit_on => '[{"name": "leave"}]')});
$te->events(3, 'soon', prefix => 'e');
my $leaver = $te->node->background_psql('postgres');
$leaver->query_safe(q{BEGIN; INSERT INTO trigger_engine.events (user_id, name) VALUES ('e1', 'leave'), ('e2', 'leave');});
ok($te->poll(q{SELECT state = 'accepted' FROM trigger_engine.sends WHERE user_id = 'e3'}), 'a row beside one that is locked is sent in time');
is($te->sql(q{SELECT string_agg(state, ' ') FROM trigger_engine.sends WHERE user_id IN ('e1', 'e2')}), 'due due', 'those that are about to be cancelled are not');
$leaver->query_safe('ROLLBACK;');
$leaver->quit;
ok($te->poll(q{SELECT count(*) = 2 FROM trigger_engine.sends WHERE user_id IN ('e1', 'e2') AND state = 'accepted'}, 't', 30), 'when the exit is rolled back they are sent after all');

$holder->query_safe('COMMIT;');
$holder->quit;
my %seen = $receiver->count_ids;
is_deeply([ grep { $seen{$_} != 1 } keys %seen ], [], 'no message was sent twice');

done_testing();
