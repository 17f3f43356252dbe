-- The trigger runs as the extension's owner, and nothing of who inserts does.
\set ECHO none
\i test/sql/include/fresh.sql
SET client_min_messages = warning;
DROP SCHEMA IF EXISTS hostile CASCADE;
DROP ROLE IF EXISTS te_hostile;
RESET client_min_messages;
\set ECHO all

CREATE ROLE te_hostile;
SELECT grant_usage('te_hostile', 'app');
SELECT grant_usage('te_hostile', 'analyst');
CREATE SCHEMA hostile AUTHORIZATION te_hostile;

SELECT create_template('hello', 'in_app', '{"title": "hello"}');
CALL journey('every', 'go');
CALL journey('once', 'go', reentry => '{"policy": "once"}');
CALL journey('keyed', 'go', entry_key => '$.k');
CALL journey('after', 'go', reentry => '{"policy": "after", "after": "1 hour"}');
CALL journey('limited', 'go', reentry => '{"policy": "parallel", "limit": 1}');
SELECT create_journey('left', '{"kind": "event", "name": "go"}', '[{"id": "w", "wait": "1 hour"}, {"id": "s", "send": "hello"}]',
	exit_on => '[{"name": "stop"}]', goal => '[{"name": "won"}]') IS NOT NULL AS ok;
SELECT create_event_schema('strict', '{"required": ["x"]}', 'quarantine');

-- the worker looks at all of it at once
SELECT pause('identity');

-- operators that would be found before the system's own
SET ROLE te_hostile;
DO $$
DECLARE
	o record;
	n integer := 0;
BEGIN
	FOR o IN SELECT DISTINCT oprname, l.t AS l, r.t AS r
		FROM pg_catalog.pg_operator
		CROSS JOIN unnest(ARRAY['text', 'int2', 'int4', 'int8', 'timestamptz', 'jsonb', 'name', 'oid', 'boolean']) l(t)
		CROSS JOIN unnest(ARRAY['text', 'int2', 'int4', 'int8', 'timestamptz', 'jsonb', 'name', 'oid', 'boolean', 'text[]', 'int4[]', 'int8[]']) r(t)
		WHERE oprname IN ('=', '<>', '<', '<=', '>', '>=', '->', '->>', '?', '||', '@>', '+', '-')
		ORDER BY 1, 2, 3
	LOOP
		n := n + 1;
		EXECUTE format('CREATE FUNCTION hostile.trap%s(%s, %s) RETURNS %s LANGUAGE plpgsql AS'
			' ''BEGIN RAISE EXCEPTION ''''hostile operator ran as %%'''', current_user; END''',
			n, o.l, o.r, CASE WHEN o.oprname IN ('->>', '||') THEN 'text' WHEN o.oprname = '->' THEN 'jsonb'
				WHEN o.oprname IN ('+', '-') THEN o.l ELSE 'boolean' END);
		EXECUTE format('CREATE OPERATOR hostile.%s (LEFTARG = %s, RIGHTARG = %s, FUNCTION = hostile.trap%s)', o.oprname, o.l, o.r, n);
	END LOOP;
	FOR o IN SELECT t FROM unnest(ARRAY['text', 'int2', 'int4', 'int8', 'timestamptz', 'jsonb']) t
	LOOP
		EXECUTE format('CREATE FUNCTION hostile.unnest(%s[]) RETURNS SETOF %1$s LANGUAGE plpgsql AS'
			' ''BEGIN RAISE EXCEPTION ''''hostile function ran as %%'''', current_user; END''', o.t);
	END LOOP;
END
$$;
SELECT count(*) > 1000 AS armed FROM pg_catalog.pg_operator WHERE oprnamespace = 'hostile'::regnamespace;
SET search_path = hostile, pg_catalog;
-- that they would be found
SELECT 'a'::text = 'a'::text;

INSERT INTO trigger_engine.events (user_id, name, properties, dedupe_key) VALUES ('a', 'go', '{"k": 1}', 'd');
INSERT INTO trigger_engine.events (user_id, name, properties, dedupe_key) VALUES ('a', 'go', '{"k": 1}', 'd');
INSERT INTO trigger_engine.events (user_id, name, properties) VALUES ('a', 'go', '{"k": 1}'), ('a', 'go', '{"k": 2}');
INSERT INTO trigger_engine.events (user_id, name) VALUES ('a', 'strict');
INSERT INTO trigger_engine.events (user_id, name) VALUES ('b', 'go'), ('b', 'stop'), ('c', 'go'), ('c', 'won');
-- with a temporary schema, and in a subtransaction that is rolled back
CREATE TEMP TABLE mine (id integer);
BEGIN;
SAVEPOINT s;
INSERT INTO trigger_engine.events (user_id, name, dedupe_key) VALUES ('d', 'go', 'd');
INSERT INTO trigger_engine.events (user_id, name, occurred_at) VALUES ('d', 'go', '-infinity');
ROLLBACK TO s;
INSERT INTO trigger_engine.events (user_id, name, dedupe_key) VALUES ('d', 'go', 'd');
COMMIT;
-- the search_path is the session's again
SELECT 'a'::text = 'a'::text;

-- a type that brings a cast to json along
SET search_path = public, trigger_engine, test;
CREATE TYPE hostile.mood AS ENUM ('fine');
CREATE TABLE hostile.seen (who text);
GRANT INSERT ON hostile.seen TO PUBLIC;
CREATE FUNCTION hostile.as_json(hostile.mood) RETURNS json LANGUAGE plpgsql AS
$$ BEGIN INSERT INTO hostile.seen VALUES (current_user); RETURN '"cast"'; END $$;
CREATE CAST (hostile.mood AS json) WITH FUNCTION hostile.as_json(hostile.mood);
CREATE TABLE hostile.orders (id integer PRIMARY KEY, customer text, mood hostile.mood);
SELECT track_table('hostile.orders', 'go', 'customer', on_update => '{mood}');
SET search_path = hostile, pg_catalog;
INSERT INTO hostile.orders VALUES (1, 'e', NULL);
UPDATE hostile.orders SET mood = 'fine';
RESET ROLE;
SET search_path = public, trigger_engine, test;
SELECT DISTINCT who FROM hostile.seen;
SELECT resume();
CALL drain();
SELECT user_id, journey, state, count(*) FROM sends GROUP BY 1, 2, 3 ORDER BY 1, 2, 3;
SELECT user_id, name, reason FROM quarantined_events;

SELECT untrack_table('hostile.orders');
SET client_min_messages = warning;
DROP SCHEMA hostile CASCADE;
SELECT revoke_usage('te_hostile', 'app');
SELECT revoke_usage('te_hostile', 'analyst');
DROP OWNED BY te_hostile;
DROP ROLE te_hostile;
