# Every way an event can come in: each matching row starts its journey exactly once,
# and no row that is rolled back does. Prepared transactions run no commit callback;
# the worker finds what they left by itself.
use strict;
use warnings;

use Test::More;
use TriggerEngine;

my $te = TriggerEngine->new(conf => { 'trigger_engine.poll_interval' => '200ms' });
my $receiver = $te->receiver;

$te->webhook('hook', $receiver->url('/hook'), max_in_flight => 1000);
$te->journey('welcome', where => '$.n > 0', content => '{"body": "{{ user.user_id }}"}');
$te->journey('changed', event => 'changed', content => '{"body": "{{ user.user_id }}"}');
my $row = q{'cart', '{"n": 1}'};

# Runs SQL and holds who gets a message against who should: users as a list, each
# as often as the user is named.
my $seen = 0;
sub sends_exactly
{
	my ($what, $sql, @users) = @_;
	my ($status, undef, $error) = $te->try($sql);

	is($status, 0, "$what works") or diag $error;
	return arrives($what, @users);
}

sub arrives
{
	my ($what, @users) = @_;

	$receiver->wait_for($seen + @users, 60);
	$te->idle(60) or diag "$what: the queue does not drain";
	my @requests = $receiver->received;
	my @new = map { $_->{body} =~ /"body": ?"([^"]*)"/ } @requests[ $seen .. $#requests ];
	$seen = @requests;
	is(join(' ', sort @new), join(' ', sort @users), "$what: exactly the matching rows fire");
	return;
}

my $partition = $te->sql(q{SELECT tableoid::regclass FROM trigger_engine.events LIMIT 1})
  || $te->sql(sprintf q{INSERT INTO trigger_engine.events (user_id, name) VALUES ('nobody', 'nothing') RETURNING tableoid::regclass});
like($partition, qr/^trigger_engine\.events_p\d{8}$/, 'events of today go into a partition of their own');

# ---- plain statements ----

sends_exactly('one row', "INSERT INTO trigger_engine.events (user_id, name, properties) VALUES ('a1', $row), ('a2', 'cart', '{}'), ('a3', 'other', '{\"n\": 1}')", 'a1');
sends_exactly('2500 rows in one statement',
	q{INSERT INTO trigger_engine.events (user_id, name, properties) SELECT 'b' || i, CASE WHEN i % 2 = 0 THEN 'cart' ELSE 'other' END, '{"n": 1}' FROM generate_series(1, 2500) i},
	map { 'b' . $_ * 2 } 1 .. 1250);
sends_exactly('the same user three times', "INSERT INTO trigger_engine.events (user_id, name, properties) VALUES ('c', $row), ('c', $row); INSERT INTO trigger_engine.events (user_id, name, properties) VALUES ('c', $row)",
	('c') x 3);
sends_exactly('writable CTEs', "WITH x AS (INSERT INTO trigger_engine.events (user_id, name, properties) VALUES ('d1', $row) RETURNING user_id), y AS (INSERT INTO trigger_engine.events (user_id, name, properties) SELECT 'd2', $row FROM x RETURNING 1) INSERT INTO trigger_engine.events (user_id, name, properties) SELECT 'd3', $row FROM y", qw(d1 d2 d3));
sends_exactly('PREPARE and EXECUTE', "PREPARE p(text) AS INSERT INTO trigger_engine.events (user_id, name, properties) VALUES (\$1, $row); EXECUTE p('e1'); EXECUTE p('e2'); EXECUTE p('e3')", qw(e1 e2 e3));

# ---- straight into a partition: no statement trigger of the parent runs ----

sends_exactly('a partition', "INSERT INTO $partition (user_id, name, properties) VALUES ('f1', $row), ('f2', 'cart', '{}')", 'f1');
sends_exactly('the default partition',
	"INSERT INTO trigger_engine.events_default (user_id, name, properties, occurred_at) VALUES ('g1', $row, now() - interval '60 days')", 'g1');
sends_exactly('a transaction of both', "BEGIN; INSERT INTO $partition (user_id, name, properties) VALUES ('h1', $row); INSERT INTO trigger_engine.events (user_id, name, properties) VALUES ('h2', $row); INSERT INTO $partition (user_id, name, properties) VALUES ('h3', $row); COMMIT",
	qw(h1 h2 h3));

# ---- COPY ----

sub copy_text
{
	my ($prefix, $n) = @_;
	return join('', map { sprintf "%s%d\tcart\t{\"n\": %d}\n", $prefix, $_, $_ % 3 } 1 .. $n) . "\\.\n";
}
sends_exactly('COPY', "COPY trigger_engine.events (user_id, name, properties) FROM stdin;\n" . copy_text('i', 3000), map { "i$_" } grep { $_ % 3 } 1 .. 3000);
sends_exactly('COPY into a partition', "COPY $partition (user_id, name, properties) FROM stdin;\n" . copy_text('j', 30), map { "j$_" } grep { $_ % 3 } 1 .. 30);
my ($status, undef, $error) = $te->try("COPY trigger_engine.events (user_id, name, properties) FROM stdin;\nk1\tcart\t{\"n\": 1}\nk2\tcart\t[]\n\\.\n");
like($error, qr/properties of an event must be a JSON object/, 'a COPY with a malformed row fails');
arrives('that COPY');

# ---- ON CONFLICT ----

sends_exactly('rows for ON CONFLICT', "INSERT INTO trigger_engine.events (event_id, user_id, name, properties, occurred_at) VALUES (900001, 'l1', $row, current_date), (900002, 'l2', $row, current_date)",
	qw(l1 l2));
sends_exactly('ON CONFLICT DO NOTHING', "INSERT INTO trigger_engine.events (event_id, user_id, name, properties, occurred_at) VALUES (900001, 'l1', $row, current_date), (900003, 'l3', $row, current_date) ON CONFLICT DO NOTHING",
	'l3');
my $today = $te->sql(q{SELECT tableoid::regclass FROM trigger_engine.events WHERE event_id = 900001});
sends_exactly('ON CONFLICT DO UPDATE in a partition', "INSERT INTO $today (event_id, user_id, name, properties, occurred_at) VALUES (900002, 'l2', $row, current_date), (900004, 'l4', $row, current_date) ON CONFLICT (user_id, occurred_at, event_id) DO UPDATE SET context = '{\"again\": true}'",
	'l4');
sends_exactly('a dedupe key', "INSERT INTO trigger_engine.events (user_id, name, properties, dedupe_key) VALUES ('m1', $row, 'k'), ('m1', $row, 'k'), ('m2', $row, 'k'); INSERT INTO trigger_engine.events (user_id, name, properties, dedupe_key) VALUES ('m1', $row, 'k')",
	qw(m1 m2));
is($te->sql(q{SELECT count(*) FROM trigger_engine.events WHERE user_id = 'm1'}), 1, 'a repeated event is a no-op');
$te->sql(q{CREATE TABLE carts (id int PRIMARY KEY, customer text, state text);
	SELECT trigger_engine.track_table('carts', 'changed', 'customer', on_update => '{state}')});
sends_exactly('a tracked table', q{INSERT INTO carts VALUES (1, 'n1', 'new'), (2, 'n2', 'new'), (3, NULL, 'new')}, qw(n1 n2));
sends_exactly('its ON CONFLICT DO NOTHING', q{INSERT INTO carts VALUES (1, 'n1', 'new'), (4, 'n4', 'new') ON CONFLICT DO NOTHING}, 'n4');
sends_exactly('its ON CONFLICT DO UPDATE', q{INSERT INTO carts VALUES (1, 'n1', 'paid'), (2, 'n2', 'new'), (5, 'n5', 'new') ON CONFLICT (id) DO UPDATE SET state = excluded.state},
	qw(n1 n5));
sends_exactly('its UPDATE', q{UPDATE carts SET state = 'sent' WHERE id IN (1, 2); UPDATE carts SET customer = 'n4' WHERE id = 4}, qw(n1 n2));
sends_exactly('its COPY', "COPY carts FROM stdin;\n6\tn6\tnew\n7\tn7\tnew\n\\.\n", qw(n6 n7));

# ---- rollback, whole and in part ----

sends_exactly('a rolled back transaction', "BEGIN; INSERT INTO trigger_engine.events (user_id, name, properties) VALUES ('o1', $row); INSERT INTO $partition (user_id, name, properties) VALUES ('o2', $row); ROLLBACK");
sends_exactly('savepoints', qq{BEGIN;
INSERT INTO $partition (user_id, name, properties) VALUES ('p1', $row);
SAVEPOINT a;
INSERT INTO $partition (user_id, name, properties) VALUES ('p2', $row);
SAVEPOINT b;
INSERT INTO trigger_engine.events (user_id, name, properties) VALUES ('p3', $row);
RELEASE b;
ROLLBACK TO a;
INSERT INTO trigger_engine.events (user_id, name, properties) VALUES ('p4', $row);
SAVEPOINT c;
INSERT INTO $partition (user_id, name, properties) VALUES ('p5', $row);
RELEASE c;
SAVEPOINT d;
INSERT INTO $partition (user_id, name, properties) VALUES ('p6', $row);
ROLLBACK TO d;
INSERT INTO $partition (user_id, name, properties) VALUES ('p7', $row);
COMMIT}, qw(p1 p4 p5 p7));
sends_exactly('exception blocks', qq{DO \$\$
BEGIN
	FOR i IN 1 .. 20 LOOP
		BEGIN
			INSERT INTO $partition (user_id, name, properties) VALUES ('q' || i, $row);
			INSERT INTO trigger_engine.events (user_id, name, properties) VALUES ('q' || i || 'b', $row);
			IF i % 4 = 0 THEN
				RAISE EXCEPTION 'no';
			END IF;
		EXCEPTION WHEN raise_exception THEN
			INSERT INTO trigger_engine.events (user_id, name, properties) VALUES ('q' || i || 'e', $row);
		END;
	END LOOP;
END
\$\$}, map { $_ % 4 ? ("q$_", "q${_}b") : "q${_}e" } 1 .. 20);
($status, undef, $error) = $te->try(qq{INSERT INTO trigger_engine.events (user_id, name, properties) SELECT 'r' || i, 'cart', CASE WHEN i = 1500 THEN '[]' ELSE '{"n": 1}' END::jsonb FROM generate_series(1, 1500) i});
isnt($status, 0, 'a statement fails at its last row');
arrives('that statement');
sends_exactly('a procedure that commits', qq{CREATE PROCEDURE fill() LANGUAGE plpgsql AS \$\$
BEGIN
	FOR i IN 1 .. 6 LOOP
		INSERT INTO trigger_engine.events (user_id, name, properties) VALUES ('s' || i, $row);
		IF i % 2 = 0 THEN
			COMMIT;
		ELSE
			ROLLBACK;
		END IF;
	END LOOP;
END
\$\$; CALL fill()}, qw(s2 s4 s6));

# ---- from other triggers ----

sends_exactly('triggers of an application', qq{CREATE TABLE signups (name text);
CREATE FUNCTION note() RETURNS trigger LANGUAGE plpgsql AS \$\$
BEGIN
	INSERT INTO trigger_engine.events (user_id, name, properties) VALUES (NEW.name || TG_NAME, $row);
	RETURN NEW;
END
\$\$;
CREATE TRIGGER b BEFORE INSERT ON signups FOR EACH ROW EXECUTE FUNCTION note();
CREATE TRIGGER a AFTER INSERT ON signups FOR EACH ROW EXECUTE FUNCTION note();
CREATE CONSTRAINT TRIGGER d AFTER INSERT ON signups DEFERRABLE INITIALLY DEFERRED FOR EACH ROW EXECUTE FUNCTION note();
INSERT INTO signups VALUES ('t1'), ('t2')}, qw(t1b t1a t1d t2b t2a t2d));

# A row of the outer statement is already collected when a trigger after it begins a
# subtransaction, inserts an event there, which writes all that is collected, and fails.
$te->sql(qq{CREATE TABLE visits (id int PRIMARY KEY, customer text);
SELECT trigger_engine.track_table('visits', 'changed', 'customer');
CREATE FUNCTION audit() RETURNS trigger LANGUAGE plpgsql AS \$\$
BEGIN
	BEGIN
		INSERT INTO trigger_engine.events (user_id, name, properties) VALUES (NEW.customer || 'event', $row);
		IF NEW.id % 3 > 0 THEN
			RAISE EXCEPTION 'no';
		END IF;
	EXCEPTION WHEN raise_exception THEN
		NULL;
	END;
	RETURN NULL;
END
\$\$;
CREATE TRIGGER zz AFTER INSERT ON visits FOR EACH ROW EXECUTE FUNCTION audit()});
sends_exactly('a subtransaction within a trigger', q{INSERT INTO visits SELECT i, 'vt' || i FROM generate_series(1, 6) i},
	(map { "vt$_" } 1 .. 6), qw(vt3event vt6event));
sends_exactly('many of them', q{INSERT INTO visits SELECT i, 'vu' || i FROM generate_series(1001, 3500) i},
	(map { "vu$_" } 1001 .. 3500), map { "vu${_}event" } grep { $_ % 3 == 0 } 1001 .. 3500);

# ---- isolation levels ----

for my $level ('REPEATABLE READ', 'SERIALIZABLE')
{
	my $prefix = $level eq 'SERIALIZABLE' ? 'v' : 'u';

	sends_exactly($level, "BEGIN ISOLATION LEVEL $level; SELECT count(*) FROM trigger_engine.events; INSERT INTO trigger_engine.events (user_id, name, properties) VALUES ('${prefix}1', $row); INSERT INTO $partition (user_id, name, properties) VALUES ('${prefix}2', $row); COMMIT",
		"${prefix}1", "${prefix}2");
}

# ---- what does not count ----

sends_exactly('session_replication_role', "SET session_replication_role = replica; INSERT INTO trigger_engine.events (user_id, name, properties) VALUES ('w1', $row)");
sends_exactly('trigger_engine.ingest', "SET trigger_engine.ingest = off; INSERT INTO trigger_engine.events (user_id, name, properties) VALUES ('w2', $row); RESET trigger_engine.ingest; INSERT INTO trigger_engine.events (user_id, name, properties) VALUES ('w3', $row)", 'w3');
sends_exactly('UPDATE and DELETE of events', "UPDATE trigger_engine.events SET context = '{}' WHERE user_id = 'a1'; DELETE FROM trigger_engine.events WHERE user_id = 'a1'");

# ---- two-phase commit ----

$te->sql("BEGIN; INSERT INTO trigger_engine.events (user_id, name, properties) VALUES ('x1', $row); INSERT INTO $partition (user_id, name, properties) VALUES ('x2', $row); PREPARE TRANSACTION 'x'");
$te->sql("BEGIN; INSERT INTO trigger_engine.events (user_id, name, properties) VALUES ('y1', $row); SAVEPOINT s; INSERT INTO $partition (user_id, name, properties) VALUES ('y2', $row); ROLLBACK TO s; PREPARE TRANSACTION 'y'");
$te->sql("BEGIN; INSERT INTO $partition (user_id, name, properties) VALUES ('z1', $row); PREPARE TRANSACTION 'z'");
arrives('PREPARE TRANSACTION');
sends_exactly('later events', "INSERT INTO trigger_engine.events (user_id, name, properties) VALUES ('later', $row)", 'later');
sends_exactly('ROLLBACK PREPARED', "ROLLBACK PREPARED 'z'");
sends_exactly('COMMIT PREPARED, found by polling', "COMMIT PREPARED 'x'", qw(x1 x2));
$te->node->restart;
sends_exactly('COMMIT PREPARED after a restart', "COMMIT PREPARED 'y'", 'y1');

is($te->sql(q{SELECT count(*) FROM (SELECT send_id FROM trigger_engine.sends GROUP BY send_id HAVING count(*) > 1) s}), 0, 'every send is on record once');
is($te->sql(q{SELECT string_agg(DISTINCT state, ' ') FROM trigger_engine.sends}), 'accepted', 'as accepted');

done_testing();
