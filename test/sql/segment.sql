-- Segments: views over anything with a user_id, asked for one person and for all.
\set ECHO none
\i test/sql/include/fresh.sql
-- whether the exact probe agrees with the list, for every one of the candidates
CREATE FUNCTION test.agrees(segment text, VARIADIC candidates text[]) RETURNS boolean
LANGUAGE sql AS $$
	SELECT bool_and(trigger_engine.in_segment($1, c) = (c IN (SELECT trigger_engine.segment_members($1)))) FROM unnest($2) c
$$;
SET client_min_messages = warning;
DROP TABLE IF EXISTS customers, numbers, small, uuids, names, others CASCADE;
DROP DOMAIN IF EXISTS code;
DROP TYPE IF EXISTS letter;
RESET client_min_messages;
\set ECHO all
\pset null '-'

-- over the engine's own tables
INSERT INTO users (user_id, attributes, country) VALUES ('ann', '{"plan": "gold"}', 'DE'), ('bob', '{"plan": "free"}', 'DE'), ('eve', '{"plan": "gold"}', 'FR');
CREATE VIEW gold AS SELECT user_id FROM users WHERE attributes ->> 'plan' = 'gold';
SELECT create_segment('gold', 'gold', description => 'who pays');
SELECT name, view, owner = current_user AS mine, description, created_at FROM segments;
SELECT u, in_segment('gold', u) FROM unnest(ARRAY['ann', 'bob', 'eve', 'nobody', '', NULL]) u;
SELECT * FROM segment_members('gold') ORDER BY 1;
-- refresh is how often all of it is looked at
SELECT create_segment('hourly', 'gold', '1 hour', 'who pays');
SELECT create_segment('hourly', 'gold', or_replace => true);
SELECT refresh, description FROM segments WHERE name = 'hourly';
SELECT create_segment('hourly', 'gold', refresh => '5 min', or_replace => true);
SELECT refresh FROM segments ORDER BY name;
SELECT error($$SELECT create_segment('x', 'gold', '0')$$);
SELECT error($$SELECT create_segment('x', 'gold', '-1 min')$$);
SELECT error($$SELECT create_segment('x', 'gold', '1 day -25 hours')$$);
SELECT error(format($$SELECT create_segment(%L, 'gold')$$, repeat('x', 128)));
SELECT drop_segment('hourly');
-- exact now, in the asking transaction
BEGIN;
UPDATE users SET attributes = '{"plan": "gold"}' WHERE user_id = 'bob';
SELECT in_segment('gold', 'bob');
ROLLBACK;
SELECT in_segment('gold', 'bob');
-- over events
CALL event('ann', 'order');
CALL event('ann', 'order');
CALL event('bob', 'order');
CREATE VIEW buyers AS SELECT user_id, count(*) AS orders FROM events WHERE name = 'order' AND occurred_at > clock() - interval '1 day' GROUP BY user_id;
SELECT create_segment('buyers', 'buyers');
SELECT u, in_segment('buyers', u) FROM unnest(ARRAY['ann', 'bob', 'eve']) u;
SELECT advance_clock('25 h');
SELECT count(*) FROM segment_members('buyers');
-- views of views, duplicates, nulls, a user without a row of users
CREATE VIEW both_of_them AS SELECT g.user_id FROM gold g JOIN buyers b USING (user_id) UNION ALL SELECT user_id FROM gold UNION ALL SELECT NULL UNION ALL SELECT 'ghost';
SELECT create_segment('both', 'both_of_them');
SELECT * FROM segment_members('both') ORDER BY 1;
SELECT agrees('both', 'ann', 'bob', 'eve', 'ghost');
-- materialized
CREATE MATERIALIZED VIEW frozen AS SELECT user_id FROM users WHERE country = 'DE';
SELECT create_segment('frozen', 'frozen');
UPDATE users SET country = 'DE';
SELECT in_segment('frozen', 'eve');
REFRESH MATERIALIZED VIEW frozen;
SELECT in_segment('frozen', 'eve');

-- keys of the application's own types: the id of a person is what the server prints
CREATE TABLE numbers (user_id bigint PRIMARY KEY);
INSERT INTO numbers VALUES (0), (7), (-7), (1234567890123456789), (9223372036854775807), (-9223372036854775808);
CREATE VIEW by_bigint AS SELECT user_id FROM numbers;
SELECT create_segment('by_bigint', 'by_bigint');
SELECT u, in_segment('by_bigint', u) FROM unnest(ARRAY['0', '7', '-7', '1234567890123456789', '9223372036854775807', '-9223372036854775808', '8',
	'07', '+7', ' 7', '7 ', '7.0', '-0', '', '-', 'seven', '9223372036854775808', '99999999999999999999999']) u;
SELECT agrees('by_bigint', '0', '7', '-7', '07', '-0', '1234567890123456789', '9223372036854775807', '9223372036854775808', 'x');
CREATE TABLE small (user_id integer, s smallint);
INSERT INTO small VALUES (2147483647, 32767), (-2147483648, -32768), (1000000000, 10000);
CREATE VIEW by_integer AS SELECT user_id FROM small;
CREATE VIEW by_smallint AS SELECT s AS user_id FROM small;
SELECT create_segment('by_integer', 'by_integer'), create_segment('by_smallint', 'by_smallint');
SELECT u, in_segment('by_integer', u) FROM unnest(ARRAY['2147483647', '-2147483648', '1000000000', '2147483648', '1']) u;
SELECT u, in_segment('by_smallint', u) FROM unnest(ARRAY['32767', '-32768', '10000', '32768', '1']) u;
CREATE TABLE uuids (user_id uuid);
INSERT INTO uuids VALUES ('a0eebc99-9c0b-4ef8-bb6d-6bb9bd380a11');
CREATE VIEW by_uuid AS SELECT user_id FROM uuids;
SELECT create_segment('by_uuid', 'by_uuid');
SELECT u, in_segment('by_uuid', u) FROM unnest(ARRAY['a0eebc99-9c0b-4ef8-bb6d-6bb9bd380a11', 'a0eebc99-9c0b-4ef8-bb6d-6bb9bd380a12', 'x', 'A0EEBC99-9C0B-4EF8-BB6D-6BB9BD380A11', 'a0eebc99-9c0b-4ef8-bb6d-6bb9bd380a111', 'a0eebc999c0b4ef8bb6d6bb9bd380a11', '------------------------------------']) u;
CREATE DOMAIN code AS text CHECK (value ~ '^[a-z]+$');
CREATE TYPE letter AS ENUM ('a', 'b');
CREATE TABLE others (v varchar(10), c char(5), n name, d code, e letter, x numeric, t date);
INSERT INTO others VALUES ('ann', 'ann', 'ann', 'ann', 'a', 1.50, '2030-01-15');
CREATE VIEW by_varchar AS SELECT v AS user_id FROM others;
CREATE VIEW by_char AS SELECT c AS user_id FROM others;
CREATE VIEW by_name AS SELECT n AS user_id FROM others;
CREATE VIEW by_domain AS SELECT d AS user_id FROM others;
CREATE VIEW by_enum AS SELECT e AS user_id FROM others;
CREATE VIEW by_numeric AS SELECT x AS user_id FROM others;
CREATE VIEW by_date AS SELECT t AS user_id FROM others;
SELECT s, create_segment('by_' || s, ('by_' || s)::regclass) FROM unnest(ARRAY['varchar', 'char', 'name', 'domain', 'enum', 'numeric', 'date']) s;
SELECT s, segment_members('by_' || s), agrees('by_' || s, 'ann', 'Ann', 'ann lee', 'a', '1.50', '1.5', '2030-01-15', '2030-1-15', '', '1', repeat('ann', 50)) FROM unnest(ARRAY['varchar', 'char', 'name', 'domain', 'enum', 'numeric', 'date']) s;
-- an index on the key serves the probe
EXPLAIN (COSTS OFF) SELECT 1 FROM by_bigint WHERE user_id = 7;

-- its view may be renamed and replaced
SELECT in_segment('gold', 'ann');
ALTER VIEW gold RENAME TO golden;
SELECT in_segment('gold', 'ann'), agrees('gold', 'ann', 'bob');
CREATE OR REPLACE VIEW golden AS SELECT user_id FROM users WHERE attributes ->> 'plan' = 'free';
SELECT in_segment('gold', 'ann'), in_segment('gold', 'bob');
CREATE VIEW platinum AS SELECT 'max'::text AS user_id;
SELECT error($$SELECT create_segment('gold', 'platinum')$$);
SELECT create_segment('gold', 'platinum', or_replace => true);
SELECT in_segment('gold', 'bob'), in_segment('gold', 'max');
SELECT description FROM segments WHERE name = 'gold';

-- errors
SELECT error($$SELECT create_segment(NULL, 'platinum')$$);
SELECT error($$SELECT create_segment('', 'platinum')$$);
SELECT error($$SELECT create_segment('x', NULL)$$);
SELECT error($$SELECT create_segment('x', 'others')$$);
CREATE VIEW nobody AS SELECT v AS person FROM others;
SELECT error($$SELECT create_segment('x', 'nobody')$$);
CREATE FUNCTION fails() RETURNS text LANGUAGE plpgsql AS $$ BEGIN RAISE EXCEPTION 'not today'; END $$;
CREATE VIEW failing AS SELECT fails() AS user_id;
SELECT error($$SELECT create_segment('x', 'failing')$$);
SELECT count(*) FROM segments WHERE name = 'x';
SELECT error($$SELECT in_segment('x', 'ann')$$);
SELECT error($$SELECT * FROM segment_members('x')$$);
CREATE OR REPLACE VIEW platinum AS SELECT (100 / (SELECT count(*) FROM others WHERE v = 'ann'))::text AS user_id;
SELECT in_segment('gold', '100');
UPDATE others SET v = 'lee';
SELECT error($$SELECT in_segment('gold', 'ann')$$);
UPDATE others SET v = 'ann';
SELECT in_segment('gold', '100');
DROP VIEW platinum;
SELECT error($$SELECT in_segment('gold', 'ann')$$);
SELECT error($$SELECT * FROM segment_members('gold')$$);
SELECT error($$SELECT drop_segment('x')$$);
SELECT drop_segment('x', if_exists => true);
SELECT drop_segment('gold');
CREATE OR REPLACE PROCEDURE test.gated() LANGUAGE plpgsql AS $$
BEGIN
	PERFORM create_template('hello', 'in_app', '{"title": "hello"}');
	PERFORM create_journey('gated', '{"kind": "event", "name": "cart"}', '[{"id": "s", "send": "hello"}]', segment => 'buyers');
END
$$;
CALL gated();
SELECT error($$SELECT drop_segment('buyers')$$);
SELECT alter_journey('gated', segment => '');
SELECT drop_segment('buyers');

-- a view is read as its owner, in a restricted operation, whoever asks
CREATE ROLE regress_te_analyst;
CREATE ROLE regress_te_reader;
SELECT grant_usage('regress_te_analyst', 'analyst'), grant_usage('regress_te_reader', 'reader');
GRANT CREATE ON SCHEMA public TO regress_te_analyst;
CREATE TABLE customers (user_id text, secret text);
INSERT INTO customers VALUES ('ann', 'x');
SET ROLE regress_te_analyst;
CREATE VIEW theirs AS SELECT user_id FROM customers;
CREATE VIEW who AS SELECT current_user::text AS user_id;
-- not their view, not a view they may read
SELECT trigger_engine.create_segment('stolen', 'golden');
SELECT trigger_engine.create_segment('theirs', 'theirs');
RESET ROLE;
GRANT SELECT ON customers TO regress_te_analyst;
SET ROLE regress_te_analyst;
SELECT trigger_engine.create_segment('theirs', 'theirs');
SELECT trigger_engine.create_segment('who', 'who');
SET ROLE regress_te_reader;
SELECT trigger_engine.in_segment('theirs', 'ann'), trigger_engine.segment_members('who');
SELECT user_id FROM customers;
RESET ROLE;
SELECT in_segment('who', 'regress_te_analyst'), segment_members('who');
-- even a superuser's question runs nothing of theirs as the superuser
SET ROLE regress_te_analyst;
CREATE FUNCTION public.take() RETURNS text LANGUAGE plpgsql AS $$
BEGIN
	EXECUTE 'ALTER ROLE regress_te_analyst SUPERUSER';
	RETURN 'ann';
END
$$;
CREATE FUNCTION public.switch() RETURNS text LANGUAGE plpgsql AS $$
BEGIN
	EXECUTE 'SET ROLE NONE';
	RETURN 'ann';
END
$$;
CREATE FUNCTION public.temp() RETURNS text LANGUAGE plpgsql AS $$
BEGIN
	EXECUTE 'CREATE TEMP TABLE trap (i int)';
	RETURN 'ann';
END
$$;
CREATE OR REPLACE VIEW theirs AS SELECT take() AS user_id;
RESET ROLE;
SELECT error($$SELECT in_segment('theirs', 'ann')$$);
SET ROLE regress_te_analyst;
CREATE OR REPLACE VIEW theirs AS SELECT switch() AS user_id;
RESET ROLE;
SELECT error($$SELECT in_segment('theirs', 'ann')$$);
SET ROLE regress_te_analyst;
CREATE OR REPLACE VIEW theirs AS SELECT temp() AS user_id;
RESET ROLE;
SELECT error($$SELECT * FROM segment_members('theirs')$$);
SELECT current_user = session_user AS still_me, rolsuper FROM pg_roles WHERE rolname = 'regress_te_analyst';
-- nor do names of the asker's path mean anything to it
CREATE SCHEMA trap;
CREATE FUNCTION trap.upper(text) RETURNS text LANGUAGE sql AS $$ SELECT 'trapped'::text $$;
CREATE FUNCTION public.shout(who text) RETURNS text LANGUAGE plpgsql AS $$ BEGIN RETURN upper(who); END $$;
CREATE VIEW loud AS SELECT shout(user_id) AS user_id FROM customers;
SELECT create_segment('loud', 'loud');
SET search_path = trap, pg_catalog, public, trigger_engine, test;
SELECT trigger_engine.in_segment('loud', 'ANN'), trigger_engine.segment_members('loud');
SET search_path = public, trigger_engine, test;

SELECT drop_segment(name) FROM segments ORDER BY name;
SET client_min_messages = warning;
DROP SCHEMA trap CASCADE;
DROP VIEW golden, both_of_them, buyers, failing, nobody CASCADE;
DROP MATERIALIZED VIEW frozen;
DROP TABLE customers, numbers, small, uuids, others CASCADE;
DROP DOMAIN code;
DROP TYPE letter;
DROP FUNCTION fails(), shout(text) CASCADE;
DROP OWNED BY regress_te_analyst, regress_te_reader CASCADE;
DROP ROLE regress_te_analyst, regress_te_reader;
