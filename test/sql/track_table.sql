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

-- a tracked table can be dropped as any other, and takes nothing along but its own
DROP TABLE visits CASCADE;
SELECT extname FROM pg_extension WHERE extname = 'trigger_engine';
SELECT maintain();
SELECT count(*) FROM tracked_tables;
SELECT count(*) > 0 AS there FROM all_events;
SELECT user_id, state FROM sends WHERE journey = 'visited';

DROP TABLE orders, "Odd", parts, nokey CASCADE;
SELECT revoke_usage('regress_te_other', 'reader');
REVOKE USAGE ON SCHEMA trigger_engine FROM regress_te_other;
DROP ROLE regress_te_other;
