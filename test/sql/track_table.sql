-- Tables of the application as sources of events.
\set ECHO none
\i test/sql/include/fresh.sql
CREATE VIEW test.heard AS
SELECT user_id, journey, entry_key, event_at, state FROM trigger_engine.sends ORDER BY user_id, journey, entry_key;
SET client_min_messages = warning;
DROP TABLE IF EXISTS orders, "Odd", parts, visits, nokey CASCADE;
RESET client_min_messages;
\set ECHO all
\pset null '-'

CREATE TABLE orders (id integer PRIMARY KEY, customer bigint, total numeric, status text DEFAULT 'new', placed timestamptz, secret text);
SELECT create_template('hello', 'in_app', '{"title": "{{ event.total }} {{ event.status }} {{ event.secret | default: \"none\" }}"}');
CALL journey('ordered', 'order');
CALL journey('changed', 'order', "where" => '$.status == "shipped"');
SELECT track_table('orders', 'order', 'customer', properties => '{total,status}', time_column => 'placed', on_update => '{status}');
SELECT source, event, user_column, time_column, properties, key_columns, on_update, owner = current_user AS mine FROM tracked_tables;

-- inserts
INSERT INTO orders VALUES (1, 7, 10.50, 'new', clock() - interval '1 hour', 'x'), (2, 8, 20, 'shipped', NULL, 'x'), (3, NULL, 30, 'shipped', clock(), 'x');
CALL drain();
-- the time is the column's, or else the transaction's; rows without a user are passed over
SELECT * FROM heard;
SELECT user_id, title FROM inbox ORDER BY 1, 2;
-- no copy of them is kept
SELECT count(*) FROM events;
SELECT user_id, name, properties, occurred_at, source_key FROM all_events ORDER BY 1;
CALL event('e', 'order');
SELECT user_id, source_key LIKE 'events/%' AS from_events FROM all_events WHERE user_id = 'e';

-- updates: only of chosen columns, and only when they change
CALL drain('1 min');
UPDATE orders SET total = 11 WHERE id = 1;
UPDATE orders SET status = 'new' WHERE id = 1;
SELECT count(*) FROM heard WHERE user_id = '7';
UPDATE orders SET status = 'shipped' WHERE id = 1;
CALL drain();
SELECT user_id, journey, entry_key LIKE 'public.orders/1@%' AS of_update FROM sends WHERE user_id = '7' ORDER BY 2, 3;
SELECT title FROM inbox WHERE user_id = '7' ORDER BY 1;
-- insert and updates of one row in one transaction are events of their own
BEGIN;
INSERT INTO orders VALUES (4, 9, 1, 'a');
UPDATE orders SET status = 'b' WHERE id = 4;
UPDATE orders SET status = 'c' WHERE id = 4;
COMMIT;
CALL drain();
SELECT title FROM inbox WHERE user_id = '9' ORDER BY 1;
-- an update happens now, unless it changes the time column
CALL journey('timed', 'order', "where" => '$.total == 77');
INSERT INTO orders VALUES (60, 77, 77, 'a', clock() - interval '3 days'), (70, 77, 77, 'a', NULL);
UPDATE orders SET status = 'b' WHERE customer = 77;
UPDATE orders SET status = 'c', placed = clock() - interval '2 days' WHERE customer = 77;
UPDATE orders SET status = 'd', placed = NULL WHERE customer = 77;
SELECT split_part(entry_key, '@', 1) AS row, split_part(entry_key, '@', 2) <> '' AS of_update, clock() - event_at AS ago FROM sends WHERE journey = 'timed'
ORDER BY 1, 2, 3;
SELECT drop_journey('timed');
DELETE FROM orders WHERE customer = 77;
-- the message says what the row said, not what it says by then
SELECT create_journey('later', '{"kind": "event", "name": "order"}', '[{"id": "w", "wait": "1 h"}, {"id": "send", "send": "hello"}]');
INSERT INTO orders VALUES (5, 10, 55, 'first');
DELETE FROM orders WHERE id = 5;
CALL drain('1 h');
SELECT journey, title FROM inbox WHERE user_id = '10' ORDER BY 1;
-- the same key again is the same event
INSERT INTO orders VALUES (5, 10, 56, 'second');
CALL drain('1 h');
SELECT journey, title FROM inbox WHERE user_id = '10' ORDER BY 1;
-- COPY and rollback
COPY orders (id, customer, total) FROM stdin;
100	11	1
101	11	2
\.
BEGIN;
INSERT INTO orders VALUES (102, 11, 3);
ROLLBACK;
CALL drain();
SELECT title FROM inbox WHERE user_id = '11' AND journey = 'ordered' ORDER BY 1;

-- tracked again with other columns; the default is all of them but the user
SELECT track_table('orders', 'purchase', 'customer');
SELECT event, properties, time_column, on_update FROM tracked_tables;
SELECT tgname FROM pg_trigger WHERE tgrelid = 'orders'::regclass AND NOT tgisinternal ORDER BY 1;
SELECT name, properties ? 'secret' AS has_secret, occurred_at FROM all_events WHERE user_id = '7';
CALL journey('purchased', 'purchase', "where" => '$.secret == "tell"');
INSERT INTO orders VALUES (6, 12, 60, 'new', NULL, 'tell'), (7, 12, 70, 'new', NULL, 'not');
UPDATE orders SET secret = 'tell' WHERE id = 7;
CALL drain();
SELECT journey, entry_key FROM sends WHERE user_id = '12' ORDER BY 1, 2;

-- a column that is renamed under the trigger is named by an error
ALTER TABLE orders RENAME COLUMN total TO amount;
SELECT error($$INSERT INTO orders VALUES (8, 13, 1)$$);
ALTER TABLE orders RENAME COLUMN amount TO total;
INSERT INTO orders VALUES (8, 13, 1);
-- one that is dropped, too; the other tables' rows are there all the same
BEGIN;
ALTER TABLE orders DROP COLUMN total;
SELECT error($$INSERT INTO orders VALUES (9, 13, 'new')$$);
SELECT maintain();
SELECT name FROM all_events;
ROLLBACK;
-- columns may be added, and tables renamed
ALTER TABLE orders ADD COLUMN more text;
INSERT INTO orders VALUES (9, 13, 1, 'new', NULL, 'tell', 'more');
CALL drain();
SELECT journey, entry_key FROM sends WHERE user_id = '13' ORDER BY 1, 2;

ALTER TABLE orders RENAME TO buys;
SELECT maintain();
SELECT name, source_key FROM all_events WHERE user_id = '13' ORDER BY 2;
INSERT INTO buys VALUES (20, 15, 1, 'new', NULL, 'tell');
CALL drain();
SELECT entry_key FROM sends WHERE user_id = '15';
ALTER TABLE buys RENAME TO orders;
SELECT maintain();
-- the union is as fast as its parts: a condition reaches the table's own index
CREATE INDEX ON orders ((customer::text));
SET enable_seqscan = off;
CREATE FUNCTION test.uses_index(query text) RETURNS boolean LANGUAGE plpgsql AS $$
DECLARE
	line text;
BEGIN
	FOR line IN EXECUTE 'EXPLAIN (COSTS OFF) ' || query LOOP
		IF line ~ 'orders_customer_idx' THEN
			RETURN true;
		END IF;
	END LOOP;
	RETURN false;
END
$$;
SELECT uses_index($$SELECT * FROM all_events WHERE user_id = '13'$$);
RESET enable_seqscan;

-- untrack: nothing more is heard, what is due stays due
SELECT create_journey('last', '{"kind": "event", "name": "purchase"}', '[{"id": "w", "wait": "1 h"}, {"id": "send", "send": "hello"}]');
INSERT INTO orders VALUES (10, 14, 1);
SELECT untrack_table('orders');
INSERT INTO orders VALUES (11, 14, 2);
SELECT count(*) FROM tracked_tables;
SELECT tgname FROM pg_trigger WHERE tgrelid = 'orders'::regclass AND NOT tgisinternal;
SELECT count(*) FROM all_events WHERE user_id = '14';
CALL drain('1 h');
SELECT entry_key, state FROM sends WHERE user_id = '14';
SELECT error($$SELECT untrack_table('orders')$$);
SELECT untrack_table('orders', if_exists => true);
ALTER TABLE orders DROP COLUMN secret;

-- odd names, several key columns, date and timestamp
CREATE TABLE "Odd" ("Who, what" text, "a""b" date, "Key" text, k2 integer, PRIMARY KEY ("Key", k2));
SELECT track_table('"Odd"', 'it''s', 'Who, what', properties => '{"a\"b"}', time_column => 'a"b');
CALL journey('odd', 'it''s', "where" => '$."a\"b" == "2030-01-15"');
INSERT INTO "Odd" VALUES ('me', '2030-01-15', 'x/y', 3);
CALL drain();
SELECT user_id, entry_key, event_at FROM sends WHERE journey = 'odd';
SELECT user_id, name, properties, occurred_at, source_key FROM all_events WHERE user_id = 'me';
SELECT untrack_table('"Odd"');

-- a partitioned table is one source, whatever partition a row goes to
CREATE TABLE parts (id integer, at timestamp, who text, PRIMARY KEY (id, at)) PARTITION BY RANGE (at);
CREATE TABLE parts_1 PARTITION OF parts FOR VALUES FROM ('2030-01-01') TO ('2030-02-01');
SELECT track_table('parts', 'part', 'who', time_column => 'at', on_update => '{at}');
CREATE TABLE parts_2 PARTITION OF parts FOR VALUES FROM ('2030-02-01') TO ('2030-03-01');
CALL journey('part', 'part');
INSERT INTO parts VALUES (1, '2030-01-15 08:00', 'p1');
INSERT INTO parts_1 VALUES (2, '2030-01-15 09:00', 'p2');
INSERT INTO parts VALUES (3, '2030-02-15 08:00', 'p3');
CALL drain();
SELECT s.user_id, s.entry_key, s.event_at, s.entry_key = e.source_key AS as_in_all_events
FROM sends s LEFT JOIN all_events e ON e.user_id = s.user_id AND e.name = 'part' WHERE journey = 'part' ORDER BY 1;
SELECT untrack_table('parts');
SELECT count(*) FROM pg_trigger WHERE tgrelid IN ('parts'::regclass, 'parts_1'::regclass) AND NOT tgisinternal;

-- a row's time may be anywhere in the calendar: that is no reason to refuse it
CREATE TABLE ends (id integer PRIMARY KEY, who text, z timestamptz, t timestamp, d date);
CALL journey('ends', 'end', wait => '300 days');
CALL journey('ends after', 'end', reentry => '{"policy": "after", "after": "99 years"}', exit_on => '[{"name": "end"}]');
SELECT c, track_table('ends', 'end', 'who', time_column => c) FROM unnest('{z}'::name[]) c;
INSERT INTO ends VALUES (1, 'z1', '294276-12-31 23:59:59+00'), (2, 'z2', 'infinity'), (3, 'z3', '-infinity'), (4, 'z4', '4714-11-24 00:00:00+00 BC');
SELECT c, track_table('ends', 'end', 'who', time_column => c) FROM unnest('{t}'::name[]) c;
SET timezone = 'America/New_York';
INSERT INTO ends (id, who, t) VALUES (5, 't1', '294276-12-31 23:59:59'), (6, 't2', 'infinity'), (7, 't3', '4714-11-24 00:00:00 BC');
SET timezone = 'UTC';
SELECT c, track_table('ends', 'end', 'who', time_column => c) FROM unnest('{d}'::name[]) c;
INSERT INTO ends (id, who, d) VALUES (8, 'd1', '5874897-12-31'), (9, 'd2', 'infinity'), (10, 'd3', '4714-11-24 BC'), (11, 'd4', '294276-12-31');
UPDATE ends SET d = '5874897-12-30' WHERE id = 8;
SELECT user_id, event_at, due_at, state FROM sends WHERE journey = 'ends' AND due_at > clock() ORDER BY 1;
CALL drain();
SELECT user_id, state FROM sends WHERE journey = 'ends' AND state <> 'due' ORDER BY 1;
DROP TABLE ends;
SELECT drop_journey(j) FROM unnest(ARRAY['ends', 'ends after']) j;

-- a cast to json that writes into the same table, and makes everybody look at it anew
CREATE TYPE shown AS ENUM ('leaf', 'tree');
CREATE TABLE deep (id integer PRIMARY KEY, who text, s shown);
CREATE FUNCTION shown_as_json(s shown) RETURNS json LANGUAGE plpgsql AS $$
BEGIN
	IF s = 'tree' THEN
		GRANT SELECT ON deep TO PUBLIC;
		REVOKE SELECT ON deep FROM PUBLIC;
		INSERT INTO deep SELECT max(id) + 100, 'deep', 'leaf' FROM deep;
	END IF;
	RETURN to_json(s::text);
END
$$;
CREATE CAST (shown AS json) WITH FUNCTION shown_as_json(shown);
SELECT track_table('deep', 'deep', 'who');
CALL journey('deep', 'deep');
INSERT INTO deep VALUES (1, 'deep', 'leaf'), (2, 'deep', 'tree'), (3, 'deep', 'tree');
CALL drain();
SELECT entry_key, state, d.properties FROM sends s JOIN (SELECT user_id, source_key, properties FROM all_events) d ON d.source_key = s.entry_key WHERE journey = 'deep' ORDER BY 1;
DROP TABLE deep;
DROP CAST (shown AS json);
DROP FUNCTION shown_as_json(shown);
DROP TYPE shown;

-- more columns than a function takes arguments for
CREATE TABLE wide (id integer PRIMARY KEY, who text);
DO $$
BEGIN
	FOR i IN 1..120 LOOP
		EXECUTE format('ALTER TABLE wide ADD COLUMN c%s integer DEFAULT %1$s', i);
	END LOOP;
END
$$;
SELECT track_table('wide', 'wide', 'who');
CALL journey('wide', 'wide', "where" => '$.c1 == 1 && $.c51 == 51 && $.c120 == 120 && $.id == 7');
INSERT INTO wide VALUES (7, 'w'), (8, 'w');
CALL drain();
SELECT entry_key, state FROM sends WHERE journey = 'wide';
SELECT source_key, count(*) FROM all_events CROSS JOIN LATERAL jsonb_object_keys(properties) WHERE name = 'wide' GROUP BY 1 ORDER BY 1;
SELECT track_table('wide', 'wide', 'who', properties => '{}');
SELECT source_key, properties FROM all_events WHERE name = 'wide' ORDER BY 1;
DROP TABLE wide;

-- what cannot be tracked
CREATE TABLE nokey (id integer, who text);
CREATE TABLE visits (id integer PRIMARY KEY, who text, at timestamptz);
CREATE VIEW seen AS SELECT * FROM visits;
SELECT error($$SELECT track_table('nokey', 'x', 'who')$$);
SELECT error($$SELECT track_table('seen', 'x', 'who')$$);
SELECT error($$SELECT track_table('trigger_engine.users', 'x', 'user_id')$$);
SELECT error($$SELECT track_table('visits', 'x', 'whom')$$);
SELECT error($$SELECT track_table('visits', 'x', 'who', properties => '{id,nothing}')$$);
SELECT error($$SELECT track_table('visits', 'x', 'who', on_update => '{nothing}')$$);
SELECT error($$SELECT track_table('visits', 'x', 'who', time_column => 'nothing')$$);
SELECT error($$SELECT track_table('visits', 'x', 'who', time_column => 'id')$$);
SELECT error($$SELECT track_table('visits', NULL, 'who')$$);
SELECT error($$SELECT track_table('visits', '', 'who')$$);
SELECT error($$SELECT track_table(NULL, 'x', 'who')$$);
SELECT error(format($$SELECT track_table('visits', %L, 'who')$$, repeat('x', 128)));
SELECT error(format($$SELECT track_table('visits', %L, 'who')$$, repeat('x', 126) || 'ä')) ~ 'longer than 127 bytes' AS bytes_count;
CREATE ROLE regress_te_other;
SELECT grant_usage('regress_te_other', 'analyst');
SET ROLE regress_te_other;
SELECT trigger_engine.track_table('visits', 'x', 'who');
SELECT trigger_engine.untrack_table('visits', true);
RESET ROLE;
-- the owner may, and needs nothing on the engine's tables to insert
ALTER TABLE visits OWNER TO regress_te_other;
SELECT event, key_columns FROM tracked_tables;
SET ROLE regress_te_other;
SELECT trigger_engine.track_table('visits', 'visit', 'who');
RESET ROLE;
SELECT revoke_usage('regress_te_other', 'analyst');
CALL journey('visited', 'visit');
SET ROLE regress_te_other;
INSERT INTO visits VALUES (1, 'v1', now());
RESET ROLE;
CALL drain();
SELECT user_id, state FROM sends WHERE journey = 'visited';
-- a violated schema of a tracked row can only refuse it
SELECT create_event_schema('visit', '{"required": ["page"]}', 'quarantine');
SELECT error($$INSERT INTO visits VALUES (2, 'v2', now())$$);

-- the view all_events reads a tracked table with the reader's own rights
SELECT grant_usage('regress_te_other', 'reader');
SET ROLE regress_te_other;
SELECT name, source_key FROM trigger_engine.all_events WHERE user_id = 'v1';
RESET ROLE;
ALTER TABLE visits OWNER TO CURRENT_USER;
SET ROLE regress_te_other;
SELECT name, source_key FROM trigger_engine.all_events WHERE user_id = 'v1';
RESET ROLE;

-- a tracked table can be dropped as any other, and takes nothing along but its own; the view knows at once
SELECT track_table('parts', 'part', 'who');
SELECT count(*) FROM all_events WHERE name = 'part';
BEGIN;
DROP TABLE visits CASCADE;
SELECT source FROM tracked_tables;
SELECT count(*) FROM all_events WHERE name = 'visit';
ROLLBACK;
SELECT count(*) FROM all_events WHERE name = 'visit';
DROP TABLE visits CASCADE;
SELECT extname FROM pg_extension WHERE extname = 'trigger_engine';
SELECT count(*) FROM tracked_tables;
SELECT count(*) > 0 AS there FROM all_events;
-- so it does when it is renamed, moved, or loses a column, and when its schema is
CREATE SCHEMA shop;
ALTER TABLE parts RENAME TO pieces;
SELECT DISTINCT split_part(source_key, '/', 1) FROM all_events WHERE name = 'part';
ALTER TABLE pieces SET SCHEMA shop;
SELECT DISTINCT split_part(source_key, '/', 1) FROM all_events WHERE name = 'part';
ALTER SCHEMA shop RENAME TO store;
SELECT DISTINCT split_part(source_key, '/', 1) FROM all_events WHERE name = 'part';
ALTER TABLE store.pieces RENAME who TO whom;
SELECT count(*) FROM all_events WHERE name = 'part';
ALTER TABLE store.pieces RENAME whom TO who;
SELECT count(*) FROM all_events WHERE name = 'part';
ALTER TABLE store.pieces DROP COLUMN who;
SELECT count(*) FROM all_events WHERE name = 'part';
DROP SCHEMA store CASCADE;
SELECT count(*) FROM all_events WHERE name = 'part';
SELECT count(*) FROM tracked_tables;
-- a failed command changes nothing
CREATE TABLE visits (id integer PRIMARY KEY, who text, page text);
CREATE VIEW visitors AS SELECT who FROM visits;
SELECT track_table('visits', 'visit', 'who');
INSERT INTO visits VALUES (1, 'v1', 'home');
DROP TABLE visits;
SELECT count(*) FROM all_events WHERE name = 'visit';
DROP TABLE visits CASCADE;
SELECT maintain();
SELECT user_id, state FROM sends WHERE journey = 'visited';

DROP TABLE orders, "Odd", nokey CASCADE;
SELECT revoke_usage('regress_te_other', 'reader');
REVOKE USAGE ON SCHEMA trigger_engine FROM regress_te_other;
DROP ROLE regress_te_other;
