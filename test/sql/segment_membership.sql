-- Segments: who is in them is kept by passes that ask for those only for whom something has changed.
\set ECHO none
\i test/sql/include/fresh.sql
SET client_min_messages = warning;
DROP TABLE IF EXISTS shop_orders CASCADE;
RESET client_min_messages;
-- what differs between what is kept and what the view says
CREATE FUNCTION test.differs(segment text) RETURNS bigint LANGUAGE sql AS $$
	SELECT count(*) FROM (SELECT user_id FROM trigger_engine.segment_memberships m WHERE m.segment = $1) k
	FULL JOIN trigger_engine.segment_members($1) v(user_id) USING (user_id) WHERE k IS NULL OR v IS NULL
$$;
\set ECHO all
\pset null '-'

CREATE TABLE shop_orders (id int PRIMARY KEY, customer text, total numeric);
SELECT track_table('shop_orders', 'order', 'customer');
CREATE VIEW gold AS SELECT user_id FROM users WHERE attributes ->> 'plan' = 'gold';
CREATE VIEW active AS SELECT user_id, max(occurred_at) + interval '7 days' AS valid_until FROM events
	WHERE name = 'view' AND occurred_at > clock() - interval '7 days' GROUP BY 1;
CREATE VIEW spenders AS SELECT customer AS user_id FROM shop_orders GROUP BY 1 HAVING sum(total) > 10;
INSERT INTO users (user_id, attributes) VALUES ('ann', '{"plan": "gold"}'), ('bob', '{}');
SELECT create_segment('gold', 'gold'), create_segment('active', 'active', timeout => '5 s', work_mem => '8MB'), create_segment('spenders', 'spenders', '1 day');
SELECT segment, state, lag, refresh FROM segment_status ORDER BY 1;
-- before the first pass the view itself is counted
SELECT segment_size('gold');
-- the first pass looks at everybody
SELECT name, r.* FROM segments, LATERAL refresh_segment(name) r ORDER BY 1;
-- the next ones at those for whom something has changed: an event, a row of users, of a tracked table
CALL event('bob', 'view');
SELECT * FROM refresh_segment('active');
INSERT INTO shop_orders VALUES (1, 'bob', 8), (2, 'eve', 20);
UPDATE users SET attributes = '{"plan": "gold"}' WHERE user_id = 'bob';
SELECT name, r.* FROM segments, LATERAL refresh_segment(name) r ORDER BY 1;
-- nothing is asked twice
SELECT name, r.* FROM segments, LATERAL refresh_segment(name) r ORDER BY 1;
SELECT advance_clock('10 min');
UPDATE shop_orders SET total = total + 3 WHERE id = 1;
DELETE FROM shop_orders WHERE id = 2;
SELECT * FROM refresh_segment('spenders');
SELECT * FROM segment_memberships ORDER BY 1, 2;
-- an end that the view knows is kept to
SELECT advance_clock('7 days');
UPDATE trigger_engine._segment_state SET full_at = clock();
SELECT * FROM refresh_segment('active');
-- what only time changes is found when all of it is looked at
SELECT advance_clock('59 min');
SELECT kind FROM refresh_segment('gold');
SELECT advance_clock('1 min');
SELECT kind FROM refresh_segment('gold');
SELECT kind FROM refresh_segment('gold', everybody => true);
SELECT * FROM segment_log ORDER BY 1, 2, 3;
SELECT (segment_at('active', '2030-01-16')).user_id, (segment_at('active', '2030-01-16')).left_at;
SELECT count(*) FROM segment_at('active', '2030-01-25');
-- sizes
SELECT segment_size('gold'), segment_size('gold', exact => true), segment_overlap('gold', 'spenders');
SELECT error($$SELECT segment_size('nothing')$$);
SELECT error($$SELECT refresh_segment('nothing')$$);
SELECT error($$SELECT explain_segment('nothing')$$);
SELECT jsonb_object_keys(explain_segment('gold')) AS key ORDER BY 1;
SELECT explain_segment('gold') -> 'one' -> 'nodes' -> 0 ->> 'node';
-- a snapshot of before is refused
BEGIN ISOLATION LEVEL REPEATABLE READ;
SELECT error($$SELECT refresh_segment('gold')$$);
ROLLBACK;
-- one that fails is noted and rests; the others go on
CREATE VIEW failing AS SELECT user_id FROM users WHERE 1 / (length(user_id) - 3) > 0;
INSERT INTO users (user_id) VALUES ('longer');
DELETE FROM users WHERE length(user_id) = 3;
SELECT create_segment('failing', 'failing');
INSERT INTO users (user_id) VALUES ('new');
SELECT maintain();
SELECT segment, state, failures, error, rest_until > now() AS rests FROM segment_status ORDER BY 1;
SELECT differs('gold'), differs('active'), differs('spenders');
SELECT drop_segment('failing');
-- one that takes too long
CREATE VIEW endless AS SELECT user_id FROM users WHERE pg_sleep(100) IS NOT NULL;
SELECT create_segment('endless', 'endless', timeout => '20 ms');
SELECT error($$SELECT refresh_segment('endless')$$);
SELECT drop_segment('endless');
-- registration
CREATE VIEW odd AS SELECT user_id, 1 AS valid_until FROM users;
SELECT error($$SELECT create_segment('odd', 'odd')$$);
SELECT error($$SELECT create_segment('gold', 'gold', or_replace => true, timeout => '0')$$);
SELECT error($$SELECT create_segment('gold', 'gold', or_replace => true, work_mem => 'much')$$);
-- a probe that must read everything is warned of
INSERT INTO users (user_id) SELECT 'u' || i FROM generate_series(1, 60000) i;
ANALYZE users;
CREATE VIEW upper_ids AS SELECT upper(user_id) AS user_id FROM users;
\set VERBOSITY terse
SELECT create_segment('upper_ids', 'upper_ids');
\set VERBOSITY default
SELECT drop_segment('upper_ids');
DELETE FROM users WHERE user_id ~ 'u...';
-- another view is another membership; who left by it has left
CREATE OR REPLACE VIEW active AS SELECT user_id, NULL::timestamptz AS valid_until FROM users WHERE user_id IN ('u1', 'u2');
SELECT create_segment('active', 'active', or_replace => true);
SELECT * FROM refresh_segment('active');
-- random changes: what is kept is what the view says, at every tick
CREATE PROCEDURE test.act(seed int) LANGUAGE plpgsql AS $$
BEGIN
	FOR i IN 1..30 LOOP
		CASE hashint4(seed * 1000 + i) & 7
			WHEN 0 THEN UPDATE users SET attributes = '{"plan": "gold"}' WHERE user_id = 'u' || (hashint4(seed * i) & 63);
			WHEN 1 THEN UPDATE users SET attributes = '{}' WHERE user_id = 'u' || (hashint4(seed * i) & 63);
			WHEN 2 THEN DELETE FROM shop_orders WHERE customer = 'u' || (hashint4(seed * i) & 63);
			WHEN 3 THEN UPDATE shop_orders SET total = total + 4 WHERE customer = 'u' || (hashint4(seed * i) & 63);
			WHEN 4, 5 THEN INSERT INTO shop_orders VALUES (seed * 100 + i, 'u' || (hashint4(seed * i) & 63), hashint4(i) & 15);
			ELSE INSERT INTO events (user_id, name, occurred_at) VALUES ('u' || (hashint4(seed * i) & 63), 'view', clock() - ((hashint4(i) & 255) || ' hours')::interval);
		END CASE;
	END LOOP;
END
$$;
CREATE OR REPLACE VIEW active AS SELECT user_id, min(occurred_at) + interval '7 days' AS valid_until FROM events
	WHERE name = 'view' AND occurred_at > clock() - interval '7 days' GROUP BY 1 HAVING count(*) >= 2;
SELECT create_segment('active', 'active', refresh => '100 days', or_replace => true), create_segment('gold', 'gold', refresh => '100 days', or_replace => true),
	create_segment('spenders', 'spenders', refresh => '100 days', or_replace => true);
DO $$
DECLARE
	wrong bigint := 0;
	changes bigint := 0;
	kinds text[];
BEGIN
	FOR tick IN 1..60 LOOP
		CALL test.act(tick);
		PERFORM trigger_engine.advance_clock('5 hours');
		SELECT changes + sum(entered + left_it), kinds || array_agg(kind) INTO changes, kinds
		FROM trigger_engine.segments s CROSS JOIN LATERAL trigger_engine.refresh_segment(s.name);
		wrong := wrong + test.differs('gold') + test.differs('active') + test.differs('spenders');
	END LOOP;
	RAISE NOTICE 'differences: %, changes enough: %, passes over everybody: %', wrong, changes > 300, cardinality(array_positions(kinds, 'all'));
END
$$;
-- the log agrees with the members
SELECT count(*) FROM (SELECT segment, user_id, entered_at FROM segment_memberships EXCEPT SELECT segment, user_id, entered_at FROM segment_log WHERE left_at IS NULL) d;
SELECT count(*) FROM (SELECT segment, user_id, entered_at FROM segment_log WHERE left_at IS NULL EXCEPT SELECT segment, user_id, entered_at FROM segment_memberships) d;
-- stays of one person do not overlap
SELECT count(*) FROM segment_log a JOIN segment_log b USING (segment, user_id) WHERE a.entered_at < b.entered_at AND (a.left_at IS NULL OR a.left_at > b.entered_at);
-- notes are deleted when all have seen them
SELECT maintain();
SELECT trigger_engine._trim_segments() AS more;
SELECT count(*) FROM trigger_engine._segment_touched WHERE touch_id <= (SELECT min(touch_low) FROM trigger_engine._segment_state);
-- an index finds what has arrived
INSERT INTO events (user_id, name, occurred_at) SELECT 'u' || i % 20, 'other', clock() FROM generate_series(1, 20000) i;
ANALYZE events;
CREATE FUNCTION test.plan(statement text) RETURNS text LANGUAGE plpgsql AS $$ DECLARE plan json; BEGIN EXECUTE 'EXPLAIN (FORMAT json) ' || statement INTO plan; RETURN plan; END $$;
SELECT plan(format('SELECT user_id FROM events WHERE event_id > %s', (SELECT last_value - 10 FROM trigger_engine._event_id_seq))) ~ 'Bitmap Index Scan.*event_id_idx' AS by_index;
-- every recipe runs, and its probe agrees with its list
DO $$
DECLARE
	r record;
	wrong bigint := 0;
	members bigint := 0;
	recipes int := 0;
BEGIN
	INSERT INTO users (user_id, locale, zone, country, attributes) SELECT 'r' || i, CASE WHEN i % 2 = 0 THEN 'de-AT' ELSE 'en' END, 'Europe/Berlin', 'DE',
		jsonb_build_object('city', 'Berlin', 'latitude', 52.5 + i / 100.0, 'longitude', 13.4) FROM generate_series(1, 50) i;
	INSERT INTO endpoints (user_id, channel, address, data) SELECT 'r' || i, 'push', 'a' || i, jsonb_build_object('device', 'ios', 'app_version', '3.' || i % 5 || '.1') FROM generate_series(1, 50) i;
	INSERT INTO events (user_id, name, properties, occurred_at) SELECT 'r' || i % 50, (ARRAY['view', 'view', 'view', 'cart', 'order'])[1 + i * 7 % 5],
		jsonb_build_object('total', i % 300, 'category', 'shoes', 'brand', CASE WHEN i % 3 = 0 THEN 'other' ELSE 'acme' END), clock() - (i * i % 2400) * interval '1 hour'
	FROM generate_series(1, 2000) i;
	PERFORM trigger_engine.set_consent('r1', 'email', 'opted_in', 'news');
	SET LOCAL client_min_messages = error;
	FOR r IN SELECT * FROM trigger_engine.segment_recipes() LOOP
		EXECUTE format('CREATE VIEW public.%I AS %s', 'recipe_' || r.name, r.sql);
		PERFORM trigger_engine.create_segment(r.name, ('public.recipe_' || r.name)::regclass);
		PERFORM trigger_engine.refresh_segment(r.name);
		wrong := wrong + test.differs(r.name)
			+ (SELECT count(*) FROM generate_series(1, 50) i
				WHERE trigger_engine.in_segment(r.name, 'r' || i) <> EXISTS (SELECT FROM segment_memberships m WHERE m.segment = r.name AND m.user_id = 'r' || i));
		recipes := recipes + 1;
		members := members + least(trigger_engine.segment_size(r.name), 1);
	END LOOP;
	SET LOCAL client_min_messages = notice;
	RAISE NOTICE 'recipes: %, differences: %, with members: %', recipes, wrong, members;
END
$$;
SELECT bool_and(drop_segment(name)) FROM segments;
SELECT count(*) FROM segment_memberships;
SET client_min_messages = warning;
DROP TABLE shop_orders CASCADE;
SELECT format('DROP VIEW public.%I', 'recipe_' || name) FROM segment_recipes() \gexec
DROP VIEW gold, active, failing, endless, odd, upper_ids CASCADE;
