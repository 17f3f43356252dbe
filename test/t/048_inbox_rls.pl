# An application role that reads the inbox table itself sees the rows of one user, the
# one that the setting trigger_engine.user_id names, and can change and add no others.
use strict;
use warnings;

use Test::More;
use TriggerEngine;

my $te = TriggerEngine->new;
$te->sql(q{SELECT trigger_engine.create_template('note', 'in_app', '{"title": "to {{ user.user_id }}"}');
SELECT trigger_engine.create_journey('inside', '{"kind": "event", "name": "read"}', '[{"id": "send", "send": "note"}]');
CREATE ROLE web LOGIN; CREATE ROLE stranger LOGIN; CREATE ROLE app LOGIN;
GRANT USAGE ON SCHEMA trigger_engine TO web, stranger;
GRANT SELECT, INSERT, UPDATE, DELETE ON trigger_engine.inbox TO web;
SELECT trigger_engine.grant_usage('app', 'app')});
$te->events(3, 'read');
$te->event('u2', 'read');
ok($te->idle, 'messages are delivered');
is($te->sql('SELECT user_id, count(*) FROM trigger_engine.inbox GROUP BY user_id ORDER BY user_id'), "u1|1\nu2|2\nu3|1", 'to the inboxes of three users');

sub as
{
	my ($role, $sql) = @_;
	my ($status, $output, $error) = $te->try($sql, extra_params => [ '-U', $role ]);
	return $status == 0 ? $output : $error;
}
sub as_user
{
	my ($user, $sql) = @_;
	return as('web', sprintf "BEGIN; SET LOCAL trigger_engine.user_id = %s; $sql; COMMIT", $te->quote($user));
}

is(as('web', 'SELECT count(*) FROM trigger_engine.inbox'), 0, 'without a user nothing is seen');
is(as_user('u2', 'SELECT string_agg(DISTINCT user_id, $$ $$), count(*) FROM trigger_engine.inbox'), 'u2|2', 'with one, his messages');
is(as_user('u2', q{SELECT count(*) FROM trigger_engine.inbox WHERE user_id = 'u1'}), 0, 'even if another is asked for');
is(as_user('nobody', 'SELECT count(*) FROM trigger_engine.inbox'), 0, 'an unknown one has none');
is(as_user('', 'SELECT count(*) FROM trigger_engine.inbox'), 0, 'nor has an empty one');
is(as('web', q{BEGIN; SET LOCAL trigger_engine.user_id = 'u2'; COMMIT; SELECT count(*) FROM trigger_engine.inbox}), 0, 'the user is forgotten with the transaction');

is(as_user('u2', 'WITH x AS (UPDATE trigger_engine.inbox SET read_at = now() RETURNING user_id) SELECT count(*) FROM x'), 2, 'an UPDATE of everything changes his rows');
is($te->sql('SELECT string_agg(DISTINCT user_id, $$ $$) FROM trigger_engine.inbox WHERE read_at IS NOT NULL'), 'u2', 'and no others');
like(as_user('u2', q{UPDATE trigger_engine.inbox SET user_id = 'u1'}), qr/violates row-level security policy/, 'a message cannot be given away');
like(as_user('u2', q{INSERT INTO trigger_engine.inbox (user_id, send_id, journey, created_at) VALUES ('u1', 99, 'x', now())}), qr/violates row-level security policy/,
	'nor be put into another inbox');
is(as_user('u2', 'WITH x AS (DELETE FROM trigger_engine.inbox RETURNING user_id) SELECT count(*) FROM x'), 2, 'a DELETE of everything deletes his rows');
is($te->sql('SELECT count(*) FROM trigger_engine.inbox'), 2, 'and no others');

like(as('stranger', 'SELECT count(*) FROM trigger_engine.inbox'), qr/permission denied for table inbox/, 'without a grant nothing is seen at all');
like(as('app', 'SELECT count(*) FROM trigger_engine.inbox'), qr/permission denied for table inbox/, 'the level app has the functions, and not the table');
is(as('app', q{SELECT title FROM trigger_engine.inbox('u1')}), 'to u1', 'which serve any user');
is(as('app', q{SELECT trigger_engine.mark_inbox('u1', 'archived'); SELECT total, archived FROM trigger_engine.inbox_counts('u1')}), "1\n0|1", 'and mark');

# the engine itself delivers whatever the setting says
$te->sql(q{ALTER DATABASE postgres SET trigger_engine.user_id = 'u9'});
$te->sql('SELECT trigger_engine.stop_workers(); SELECT trigger_engine.start_workers()');
$te->event('u5', 'read');
ok($te->idle, 'the worker delivers');
is($te->sql(q{SELECT count(*) FROM trigger_engine.inbox WHERE user_id = 'u5'}), 1, 'to everybody');

done_testing();
