# Attempts to gain what one was not given. SQL of analysts (views, functions, types,
# casts) runs as its owner in a restricted operation wherever the engine runs it;
# functions and operators that a stranger puts into the search_path are never called
# by the engine's own SQL; internals cannot be reached.
use strict;
use warnings;

use Test::More;
use TriggerEngine;

my $te = TriggerEngine->new;
my $receiver = $te->receiver;

$te->webhook('hook', $receiver->url('/hook'));
$te->sql(q{CREATE ROLE analyst LOGIN; CREATE ROLE rival LOGIN; CREATE ROLE reader LOGIN; CREATE ROLE app LOGIN; CREATE ROLE mallory LOGIN;
	SELECT trigger_engine.grant_usage('analyst', 'analyst'), trigger_engine.grant_usage('rival', 'analyst'),
		trigger_engine.grant_usage('reader', 'reader'), trigger_engine.grant_usage('app', 'app');
	GRANT USAGE ON SCHEMA trigger_engine TO mallory; GRANT INSERT ON trigger_engine.events TO mallory;
	GRANT CREATE ON SCHEMA public TO analyst, rival, mallory});

sub as
{
	my ($role, $sql) = @_;
	my ($status, $output, $error) = $te->try($sql, extra_params => [ '-U', $role ]);
	return wantarray ? ($status == 0, $output, $error) : $output;
}
sub works
{
	my ($role, $sql, $what) = @_;
	my ($done, $output, $error) = as($role, $sql);
	ok($done, $what) or diag $error;
	return $output;
}
sub refused
{
	my ($role, $sql, $expected, $what) = @_;
	my ($done, undef, $error) = as($role, $sql);
	ok(!$done && $error =~ $expected, $what // "$role is refused: $sql") or diag $error;
	return;
}

# ---- what an analyst's function tries when the engine calls it ----

my @attacks = (
	q{ALTER ROLE analyst SUPERUSER},
	q{CREATE ROLE backdoor SUPERUSER LOGIN},
	q{GRANT pg_read_all_data TO analyst},
	q{SET ROLE postgres},
	q{SET SESSION AUTHORIZATION postgres},
	q{RESET ROLE},
	q{RESET SESSION AUTHORIZATION},
	q{SELECT secret FROM trigger_engine._secrets},
	q{UPDATE trigger_engine._journeys SET owner = 'analyst'},
	q{SELECT trigger_engine._set_secret('postgres', 'hook', NULL)},
	q{SELECT trigger_engine.resume()},
	q{INSERT INTO trigger_engine._due (user_id, journey_id, entry_key, step, due_at, event_at, version) VALUES ('x', 1, 'x', 'x', now(), now(), 1)},
	q{DELETE FROM trigger_engine.events},
	q{COPY (SELECT 1) TO PROGRAM 'cat > /dev/null'},
	q{SELECT pg_read_file('postgresql.conf')},
	q{SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE usename = 'postgres' AND pid <> pg_backend_pid()},
	q{CREATE FUNCTION pg_catalog.gain() RETURNS int LANGUAGE sql AS 'SELECT 1'},
	q{CREATE TEMP TABLE temporary (a int)},
	q{DECLARE c CURSOR WITH HOLD FOR SELECT 1},
	q{INSERT INTO public.deferred VALUES (1)},
	q{LISTEN x},
	q{ALTER VIEW public.evil OWNER TO postgres},
	q{ALTER FUNCTION public.try_all(text) OWNER TO postgres},
	q{SET trigger_engine.ingest = off},
	q{SET session_replication_role = replica});
my $list = join ', ', map { $te->quote($_) } @attacks;
works('analyst', qq{CREATE TABLE tries (attempt text, result text, who name DEFAULT current_user, via text);
GRANT SELECT ON tries TO PUBLIC;
CREATE TABLE deferred (a int);
CREATE FUNCTION fire() RETURNS trigger LANGUAGE plpgsql AS \$\$ BEGIN EXECUTE 'ALTER ROLE analyst SUPERUSER'; RETURN NULL; END \$\$;
CREATE CONSTRAINT TRIGGER late AFTER INSERT ON deferred DEFERRABLE INITIALLY DEFERRED FOR EACH ROW EXECUTE FUNCTION fire();
CREATE FUNCTION try_all(via text) RETURNS boolean LANGUAGE plpgsql COST 0.0001 AS \$\$
DECLARE
	attempt text;
	who name := current_user;
BEGIN
	-- a function that runs as anybody else must not break when it cannot write down so
	RAISE LOG 'EVIL % runs as %', via, current_user;
	FOREACH attempt IN ARRAY ARRAY[$list] LOOP
		BEGIN
			EXECUTE attempt;
			INSERT INTO public.tries VALUES (attempt, 'done', who, via);
		EXCEPTION WHEN OTHERS THEN
			INSERT INTO public.tries VALUES (attempt, SQLSTATE, who, via);
		END;
	END LOOP;
	PERFORM set_config('search_path', 'public', false), set_config('work_mem', '64kB', false);
	RETURN true;
EXCEPTION WHEN insufficient_privilege THEN
	RETURN true;
END \$\$;
GRANT INSERT ON tries TO PUBLIC}, 'an analyst writes a function');

# Which of the attacks had success, and as whom they ran.
sub outcome
{
	my ($via) = @_;
	return $te->sql(sprintf q{SELECT count(*) > 0, string_agg(DISTINCT who, ',') FILTER (WHERE who <> 'analyst'), string_agg(DISTINCT attempt, '; ') FILTER (WHERE result = 'done') FROM tries WHERE via = %s},
		$te->quote($via));
}
sub nothing_gained
{
	my ($via, $what) = @_;
	is(outcome($via), 't||', "$what: it runs as its owner, and nothing it tries has success");
	is($te->sql(q{SELECT rolsuper FROM pg_roles WHERE rolname = 'analyst'; SELECT count(*) FROM pg_roles WHERE rolname = 'backdoor'}), "f\n0", "$what: no role has gained");
	my @others = grep { !/runs as analyst$/ } $te->log_since =~ /(EVIL \Q$via\E runs as .*)$/mg;
	is_deeply(\@others, [], "$what: it never ran as anybody else");
	return;
}

# a view
works('analyst', q{CREATE VIEW evil AS SELECT user_id FROM (VALUES ('v1'), ('v2')) v(user_id) WHERE try_all('view')}, 'and a view that calls it');
works('analyst', q{SELECT trigger_engine.create_segment('evil', 'evil')}, 'which becomes a segment');
nothing_gained('view', 'create_segment()');
$te->sql('TRUNCATE tries');
is($te->sql(q{SET search_path = pg_catalog; SELECT trigger_engine.in_segment('evil', 'v1');
	SELECT current_user, session_user, current_setting('search_path'), (SELECT setting = reset_val FROM pg_settings WHERE name = 'work_mem')}), "t\npostgres|postgres|pg_catalog|t",
	'a superuser who asks whether a user is in it is not changed');
nothing_gained('view', 'in_segment() of a superuser');
$te->sql('TRUNCATE tries');
is($te->sql(q{SELECT trigger_engine.segment_members('evil') ORDER BY 1}), "v1\nv2", 'a superuser lists it');
nothing_gained('view', 'segment_members() of a superuser');
$te->sql('TRUNCATE tries');
is(as('reader', q{SELECT trigger_engine.in_segment('evil', 'v1')}), 't', 'a reader asks');
nothing_gained('view', 'in_segment() of a reader');
$te->sql('TRUNCATE tries');
works('analyst', q{SELECT trigger_engine.create_template('t', 'webhook', '{"body": "{{ user.user_id }}"}');
	SELECT trigger_engine.create_journey('gated', '{"kind": "event", "name": "gated"}', '[{"id": "send", "send": "t", "provider": "hook"}]', segment => 'evil')}, 'a journey uses it');
as('app', q{INSERT INTO trigger_engine.events (user_id, name) VALUES ('v1', 'gated')});
ok($te->idle, 'the worker asks');
is($te->sql(q{SELECT state FROM trigger_engine.sends WHERE user_id = 'v1'}), 'accepted', 'and sends');
nothing_gained('view', 'the worker');
is($te->sql(q{SELECT count(*) FROM tries WHERE result = '42501' AND attempt ~ '^(CREATE TEMP|INSERT INTO public.deferred|DECLARE|LISTEN|SET ROLE|SET SESSION)'}), 6,
	'the operation is restricted');

# a type whose check is a function, as the column that users are compared with
works('analyst', q{CREATE DOMAIN evil_text AS text CHECK (public.try_all('domain'));
	CREATE VIEW evil_domain AS SELECT v::evil_text AS user_id FROM (VALUES ('v1'), ('v2')) t(v)}, 'an analyst makes a domain with a check of his own');
$te->sql('TRUNCATE tries');
works('analyst', q{SELECT trigger_engine.create_segment('evil domain', 'evil_domain')}, 'a view of it becomes a segment');
nothing_gained('domain', 'create_segment() with a domain');
$te->sql('TRUNCATE tries');
is($te->sql(q{SELECT trigger_engine.in_segment('evil domain', 'v1')}), 't', 'a superuser asks');
nothing_gained('domain', 'in_segment() with a domain');
$te->sql('TRUNCATE tries');
works('analyst', q{SELECT trigger_engine.alter_journey('gated', segment => 'evil domain')}, 'a journey uses it');
as('app', q{INSERT INTO trigger_engine.events (user_id, name) VALUES ('v2', 'gated')});
ok($te->idle, 'the worker asks');
nothing_gained('domain', 'the worker with a domain');

# a type with a cast to json, in a table that is tracked: as any trigger of that table it
# runs as who inserts, and never as the extension's owner
works('analyst', q{CREATE TYPE mood AS ENUM ('fine');
	CREATE FUNCTION mood_json(mood) RETURNS json LANGUAGE plpgsql AS $$ BEGIN RAISE LOG 'EVIL cast runs as %', current_user; RETURN '"fine"'::json; END $$;
	CREATE CAST (mood AS json) WITH FUNCTION mood_json(mood);
	CREATE TABLE moods (id int PRIMARY KEY, who text, feels mood, more mood[]);
	GRANT INSERT ON moods TO app;
	SELECT trigger_engine.track_table('moods', 'mood', 'who');
	SELECT trigger_engine.create_journey('moody', '{"kind": "event", "name": "mood"}', '[{"id": "send", "send": "t", "provider": "hook"}]')}, 'an analyst tracks a table with a type of his own');
for my $role ('analyst', 'app')
{
	my $position = $te->log_position;

	works($role, "INSERT INTO moods VALUES (length('$role'), '$role', 'fine', '{fine}')", "$role inserts");
	ok($te->idle, 'the queue drains');
	my %runs = map { $_ => 1 } $te->log_since($position) =~ /EVIL cast runs as (.*)$/mg;
	is_deeply([ keys %runs ], [$role], 'the cast runs as who inserts');
}
is($te->sql(q{SELECT count(*) FROM trigger_engine.sends WHERE journey = 'moody' AND state = 'accepted'}), 2, 'and the messages are sent');

# ---- what belongs to somebody else ----

works('rival', q{CREATE VIEW mine AS SELECT 'r1'::text AS user_id; CREATE TABLE goods (id int PRIMARY KEY, who text)}, 'a rival has a view and a table');
refused('rival', q{SELECT trigger_engine.create_segment('stolen', 'evil')}, qr/must be owner of view public\.evil/);
refused('analyst', q{SELECT trigger_engine.create_segment('stolen', 'mine')}, qr/must be owner of view public\.mine/);
refused('analyst', q{SELECT trigger_engine.create_segment('stolen', 'trigger_engine.users')}, qr/is not a view|must be owner/);
refused('analyst', q{SELECT trigger_engine.create_segment('stolen', 'trigger_engine.sends')}, qr/must be owner of view/);
refused('analyst', q{SELECT trigger_engine.create_segment('stolen', 'pg_catalog.pg_roles')}, qr/must be owner of view/);
refused('analyst', q{SELECT trigger_engine.create_segment('evil', 'mine', or_replace => true)}, qr/must be owner of view public\.mine/);
refused('analyst', q{SELECT trigger_engine.track_table('goods', 'x', 'who')}, qr/must be owner of table public\.goods/);
refused('analyst', q{SELECT trigger_engine.track_table('trigger_engine._secrets', 'x', 'provider')}, qr/must be owner|cannot be tracked/);
refused('analyst', q{SELECT trigger_engine.track_table('pg_catalog.pg_authid', 'x', 'rolname')}, qr/must be owner|not a table|permission denied/);
refused('rival', q{SELECT trigger_engine.untrack_table('moods')}, qr/must be owner of table public\.moods/);
refused('rival', qq{SELECT trigger_engine.$_}, qr/must be owner of journey/)
  for q{alter_journey('gated', purpose => 'x')}, q{disable_journey('gated')}, q{drop_journey('gated')}, q{cancel_sends(journey => 'gated')},
  q{create_journey('gated', '{"kind": "event", "name": "x"}', '[{"id": "s", "send": "t"}]', or_replace => true)};
refused('analyst', q{CREATE TRIGGER t AFTER INSERT ON moods FOR EACH ROW EXECUTE FUNCTION trigger_engine._capture_event('x', 'who', '', 'id', '')}, qr/permission denied for function/);
refused('analyst', q{CREATE TRIGGER t AFTER INSERT ON moods FOR EACH STATEMENT EXECUTE FUNCTION trigger_engine._invalidate()}, qr/permission denied for function/);

# ---- internals ----

for my $role (qw(analyst app reader mallory))
{
	refused($role, "SELECT trigger_engine.$_", qr/permission denied for function/)
	  for q{_pause('postgres', 'x')}, q{_resume('postgres')}, q{_create_provider('postgres', 'x', 'webhook', '{}', true)}, q{_set_secret('postgres', 'hook', NULL)},
	  q{_stamp_if_empty('postgres')}, q{_recover_batches(0, 0, now())}, q{_move_rows('trigger_engine._secrets', 'x', 'y', now(), now())};
	refused($role, $_, qr/permission denied for table/)
	  for q{SELECT * FROM trigger_engine._secrets}, q{INSERT INTO trigger_engine._stamp SELECT}, q{DELETE FROM trigger_engine._pause},
	  q{UPDATE trigger_engine._journey_versions SET steps = '[]'}, q{TRUNCATE trigger_engine._due}, q{INSERT INTO trigger_engine._segments VALUES ('x', 'pg_roles', 'postgres', NULL, now())};
}
refused('analyst', q{SELECT trigger_engine._extension_created()}, qr/permission denied/);
like(($te->try(q{SELECT trigger_engine._extension_created()}))[2], qr/called by CREATE EXTENSION only/, 'not even a superuser pretends to create the extension');
is($te->sql(q{SELECT string_agg(p.oid::regprocedure::text, ', ') FROM pg_proc p JOIN pg_language l ON l.oid = prolang WHERE pronamespace = 'trigger_engine'::regnamespace
	AND (prosecdef OR lanname = 'plpgsql') AND NOT coalesce(proconfig @> '{"search_path=pg_catalog, pg_temp"}', false)}), '', 'every function that runs as its owner has a search_path of its own');

# ---- operators and functions of a stranger before those of the system ----

# A shadow of every operator on the types that the engine uses, and of every function it
# names. Each tells who called it, and then does what the real one does.
my $types = q{'{text,name,boolean,smallint,integer,bigint,oid,interval,timestamp with time zone,jsonb,jsonpath,numeric,double precision,text[],bigint[],name[]}'::text[]};
works('mallory', qq{DO \$do\$
DECLARE
	o record;
	n int := 0;
	body text := 'LANGUAGE plpgsql AS \$\$ BEGIN RAISE LOG USING MESSAGE = pg_catalog.concat(''SHADOW '', %L, '' for '', current_user); RETURN %s; END \$\$';
BEGIN
	FOR o IN SELECT oprname, oprleft::regtype AS l, oprright::regtype AS r, oprresult::regtype AS result FROM pg_operator
		WHERE oprnamespace = 'pg_catalog'::regnamespace AND oprleft <> 0 AND oprleft::regtype::text = ANY ($types) AND oprright::regtype::text = ANY ($types)
	LOOP
		n := n + 1;
		EXECUTE format('CREATE FUNCTION public.shadow_%s(l %s, r %s) RETURNS %s ', n, o.l, o.r, o.result)
			|| format(body, format('%s %s %s', o.l, o.oprname, o.r), format('l OPERATOR(pg_catalog.%s) r', o.oprname));
		EXECUTE format('CREATE OPERATOR public.%s (LEFTARG = %s, RIGHTARG = %s, FUNCTION = public.shadow_%s)', o.oprname, o.l, o.r, n);
	END LOOP;
	FOR o IN SELECT DISTINCT p.oid, p.proname, pg_get_function_identity_arguments(p.oid) AS arguments, p.prorettype::regtype AS result,
			(SELECT string_agg('\$' || g, ', ' ORDER BY g) FROM generate_series(1, p.pronargs) g) AS call
		FROM pg_proc p WHERE p.pronamespace = 'pg_catalog'::regnamespace AND p.prokind = 'f' AND NOT p.proretset AND p.provariadic = 0
		AND NOT EXISTS (SELECT FROM unnest(p.proargtypes::oid[] || p.prorettype) a JOIN pg_type t ON t.oid = a WHERE t.typtype = 'p')
		AND (p.proname IN ('now', 'nextval', 'hashtextextended', 'jsonb_typeof', 'abs', 'lower', 'length') OR EXISTS (SELECT FROM pg_proc e
			WHERE e.pronamespace = 'trigger_engine'::regnamespace AND e.prosrc ~ ('\\m' || p.proname || '\\(')))
	LOOP
		EXECUTE format('CREATE FUNCTION public.%I(%s) RETURNS %s ', o.proname, o.arguments, o.result)
			|| format(body, o.oid::regprocedure, format('pg_catalog.%I(%s)', o.proname, coalesce(o.call, '')));
	END LOOP;
	FOR o IN SELECT unnest('{text,bigint,integer,smallint,timestamptz,jsonb}'::text[]) AS t
	LOOP
		EXECUTE format('CREATE FUNCTION public.unnest(%s[]) RETURNS SETOF %s LANGUAGE plpgsql AS \$\$ BEGIN RAISE LOG ''SHADOW unnest for %%'', current_user; RETURN QUERY SELECT pg_catalog.unnest(\$1); END \$\$', o.t, o.t);
	END LOOP;
	CREATE FUNCTION public.jsonb_array_elements(jsonb) RETURNS SETOF jsonb LANGUAGE plpgsql AS
		\$\$ BEGIN RAISE LOG 'SHADOW jsonb_array_elements for %', current_user; RETURN QUERY SELECT pg_catalog.jsonb_array_elements(\$1); END \$\$;
END \$do\$}, 'a stranger shadows operators and functions');
cmp_ok($te->sql(q{SELECT count(*) FROM pg_proc WHERE pronamespace = 'public'::regnamespace AND prosrc ~ 'SHADOW'}), '>', 250, 'hundreds of them');
sub shadows
{
	my ($position) = @_;
	my %seen = map { $_ => 1 } $te->log_since($position) =~ /LOG:  (SHADOW .*)$/mg;
	return join "\n", sort keys %seen;
}
my $position = $te->log_position;
$te->sql('SET search_path = public, pg_catalog; SELECT 1 + 1, now()');
like(shadows($position), qr/SHADOW integer \+ integer for postgres/, 'who sets such a search_path falls for them');

# Everybody has it now, also the worker. No statement of the test may use an operator.
$te->sql('ALTER DATABASE postgres SET search_path = public, pg_catalog');
$te->sql('SELECT trigger_engine.stop_workers()');
$position = $te->log_position;
my $before = $receiver->count;
$te->sql('SELECT trigger_engine.start_workers()');
works('postgres', q{SET client_min_messages = error;
SELECT trigger_engine.create_provider('second', 'webhook', '{"url": "https://example.test/", "timeout": "5 s"}');
SELECT trigger_engine.alter_provider('second', '{"rate": 10}');
SELECT trigger_engine.set_secret('second', '{"keys": ["env:TRIGGER_ENGINE_SECRET_X"]}');
SELECT trigger_engine.create_template('s', 'webhook', '{"body": "{{ user.user_id }} {{ event.properties.total | default: \"x\" }}"}');
SELECT trigger_engine.create_template('s', 'webhook', '{"body": "x"}', locale => 'de');
SELECT trigger_engine.create_template('note', 'in_app', '{"title": "x"}');
CREATE TABLE people (user_id text);
INSERT INTO people VALUES ('s1'), ('s2'), ('s3'), ('s4');
CREATE VIEW person AS SELECT user_id FROM people;
SELECT trigger_engine.create_segment('person', 'person');
SELECT trigger_engine.create_event_schema('lax', '{"required": ["sku"], "properties": {"sku": {"type": "string", "pattern": "^a"}}}', on_violation => 'quarantine');
SELECT trigger_engine.create_journey('shadowed', '{"kind": "event", "name": "cart", "where": "$.total > 10"}', '[{"id": "send", "send": "s", "provider": "hook"}]', segment => 'person', ttl => '1 day');
SELECT trigger_engine.create_journey('waiting', '{"kind": "event", "name": "browse"}', '[{"id": "wait", "wait": "1 day"}, {"id": "send", "send": "s", "provider": "hook"}]', exit_on => '[{"name": "order"}]', goal => '[{"name": "goal"}]');
SELECT trigger_engine.create_journey('once', '{"kind": "event", "name": "once"}', '[{"id": "send", "send": "note"}]', reentry => '{"policy": "once"}');
SELECT trigger_engine.create_journey('keyed', '{"kind": "event", "name": "keyed", "entry_key": "$.sku"}', '[{"id": "send", "send": "note"}]', reentry => '{"policy": "once_per_key"}');
SELECT trigger_engine.create_journey('after', '{"kind": "event", "name": "after"}', '[{"id": "send", "send": "note"}]', reentry => '{"policy": "after", "after": "1 day"}');
SELECT trigger_engine.create_journey('parallel', '{"kind": "event", "name": "parallel"}', '[{"id": "send", "send": "note"}]', reentry => '{"policy": "parallel", "limit": 1}');
SELECT trigger_engine.alter_journey('once', purpose => 'x');
CREATE TABLE purchases (id int PRIMARY KEY, who text, total numeric, at timestamptz, state text);
SELECT trigger_engine.track_table('purchases', 'cart', 'who', time_column => 'at', on_update => '{state}');}, 'configuration under a hostile search_path');
my $events = q{INSERT INTO trigger_engine.events (user_id, name, properties) VALUES ('s1', 'cart', '{"total": 20}'), ('s2', 'browse', '{}'), ('s2', 'order', '{}'), ('s3', 'browse', '{}'), ('s3', 'goal', '{}'), ('s4', 'browse', '{}'),
	('s1', 'once', '{}'), ('s1', 'once', '{}'), ('s1', 'keyed', '{"sku": "a"}'), ('s1', 'keyed', '{"sku": "a"}'), ('s1', 'after', '{}'), ('s1', 'after', '{}'), ('s1', 'parallel', '{}'), ('s1', 'parallel', '{}'), ('s1', 'lax', '{}');
INSERT INTO trigger_engine.events (user_id, name, properties, dedupe_key) VALUES ('s2', 'cart', '{"total": 20}', 'k'), ('s2', 'cart', '{"total": 20}', 'k');};
works('app', $events, 'events of an application');
works('postgres', "$events INSERT INTO purchases VALUES (1, 's3', 20, 'yesterday', 'new'); UPDATE purchases SET state = 'paid';", 'events of a superuser');
works('mallory', q{INSERT INTO trigger_engine.events (user_id, name, properties) VALUES ('s4', 'cart', '{"total": 20}')}, 'events of the stranger');
ok($receiver->wait_for($before + 4, 30), 'messages are sent');
ok($te->idle, 'all of them');
works('postgres', join(' ', map { "SELECT * FROM trigger_engine.$_;" } qw(journeys segments templates providers event_schemas tracked_tables sends decisions attempts enrollments
	consents queue_status worker_status quarantined_events all_events)) . q{
SELECT * FROM trigger_engine.explain_send(1);
SELECT trigger_engine.in_segment('person', 's1');
SELECT * FROM trigger_engine.segment_members('person');
SELECT trigger_engine.set_consent('s1', 'webhook', 'opted_out');
SELECT trigger_engine.set_consent('s1', 'webhook', 'opted_in');
SELECT * FROM trigger_engine.inbox('s1');
SELECT * FROM trigger_engine.inbox_counts('s1');
SELECT trigger_engine.mark_inbox('s1', 'read');
INSERT INTO trigger_engine.users (user_id) VALUES ('s1');
INSERT INTO trigger_engine.endpoints (user_id, channel, address) VALUES ('s1', 'email', 'a@example.test');
SELECT trigger_engine.cancel_sends(journey => 'waiting');
SELECT trigger_engine.retry_sends();
SELECT trigger_engine.pause('x');
SELECT trigger_engine.resume();
SELECT trigger_engine.maintain();
SELECT trigger_engine.disable_journey('once');
SELECT trigger_engine.enable_journey('once');
SELECT trigger_engine.untrack_table('purchases');
SELECT trigger_engine.drop_journey('shadowed');
SELECT trigger_engine.drop_journey('waiting');
SELECT trigger_engine.drop_segment('person');
SELECT trigger_engine.drop_event_schema('lax');
SELECT trigger_engine.drop_template('s');
SELECT trigger_engine.drop_provider('second');
SELECT trigger_engine.grant_usage('reader', 'admin');
SELECT trigger_engine.revoke_usage('reader', 'admin');}, 'views and functions');
ok($te->idle, 'and the worker');
is(shadows($position), '', 'none of it fell for a shadow');
$te->sql('ALTER DATABASE postgres RESET search_path');

# ---- a schema that a stranger made before CREATE EXTENSION ----

$te->sql('CREATE DATABASE trap; GRANT CREATE ON DATABASE trap TO mallory');
my $trap = $te->in('trap');
my ($status, undef, $error) = $trap->try('CREATE SCHEMA trigger_engine', extra_params => [ '-U', 'mallory' ]);
is($status, 0, 'a stranger owns the schema');
($status, undef, $error) = $trap->try('CREATE EXTENSION trigger_engine');
isnt($status, 0, 'the extension does not go into it');
like($error, qr/schema "?trigger_engine"? .*owned by/, 'and says why');
$trap->sql('ALTER SCHEMA trigger_engine OWNER TO postgres');
($status, undef, $error) = $trap->try('CREATE EXTENSION trigger_engine');
is($status, 0, 'into one of its own it does') or diag $error;

unlike($te->log_since, qr/TRAP|PANIC|terminated by signal/, 'nothing crashed');
done_testing();
