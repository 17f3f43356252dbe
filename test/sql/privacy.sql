-- Export and erasure: every table with users in it is covered, and nobody comes back.
\set ECHO none
\i test/sql/include/fresh.sql
CALL journey('waits', 'cart', wait => '1 h');
CALL journey('at once', 'cart', entry_key => '$.key');
SELECT create_topic('news', frequencies => '{"daily": {"max": 1, "per": "1 day"}}') \gset
CREATE PROCEDURE test.live(u text) LANGUAGE plpgsql AS $$
BEGIN
	INSERT INTO users (user_id, attributes) VALUES (u, jsonb_build_object('name', u));
	INSERT INTO endpoints (user_id, channel, address) VALUES (u, 'email', u || '@example.test');
	INSERT INTO events (user_id, name, properties, dedupe_key) VALUES (u, 'cart', jsonb_build_object('key', u), u), (u, 'unwatched', '{}', NULL);
	PERFORM set_preference(u, 'news', 'opted_in', 'email', 'daily', source => u), suppress('sms', user_id => u, reason => u),
		suppress('email', u || '@example.test'), request_opt_in(u, 'email'), record_basket(u, ARRAY['a', 'b']);
END
$$;
-- a row in each table that has none of a user yet: the tables of later versions, too
CREATE FUNCTION test.fill(u text) RETURNS TABLE (unfilled text) LANGUAGE plpgsql AS $$
DECLARE
	t record;
	present boolean;
BEGIN
	FOR t IN SELECT c.oid::regclass AS relation, c.relname, string_agg(quote_ident(a.attname), ', ' ORDER BY a.attnum) AS columns,
			string_agg(CASE WHEN a.attname = 'user_id' THEN quote_literal(u) WHEN typcategory = 'A' THEN '''{}''' WHEN typname = 'jsonb' THEN '''{}'''
				WHEN typcategory = 'D' THEN 'trigger_engine.clock()' WHEN typcategory IN ('N', 'U') THEN '''1''' WHEN typcategory = 'B' THEN 'false'
				WHEN a.attname IN ('provider', 'outcome', 'state', 'channel') THEN quote_literal('x')
				WHEN a.attname = 'attempt_class' THEN '''test''' WHEN a.attname = 'source' THEN '''kept'''
				ELSE quote_literal(u) END, ', ' ORDER BY a.attnum) AS vals
		FROM pg_class c JOIN pg_attribute a ON a.attrelid = c.oid AND a.attnum > 0 AND NOT a.attisdropped JOIN pg_type y ON y.oid = a.atttypid
		WHERE relnamespace = 'trigger_engine'::regnamespace AND relkind IN ('r', 'p') AND NOT relispartition
			AND EXISTS (SELECT FROM pg_attribute k WHERE k.attrelid = c.oid AND k.attname = 'user_id') AND relname <> '_erasures'
		GROUP BY c.oid, c.relname ORDER BY c.relname
	LOOP
		EXECUTE format('SELECT EXISTS (SELECT FROM %s WHERE user_id = %L)', t.relation, u) INTO present;
		IF NOT present THEN
			BEGIN
				EXECUTE format('INSERT INTO %s (%s) VALUES (%s)', t.relation, t.columns, t.vals);
			EXCEPTION WHEN OTHERS THEN
				unfilled := t.relname || ': ' || SQLERRM;
				RETURN NEXT;
			END;
		END IF;
	END LOOP;
END
$$;
-- tables of the schema in which a text is found, in whatever column
CREATE FUNCTION test.found(what text) RETURNS text LANGUAGE plpgsql AS $$
DECLARE
	t regclass;
	n bigint;
	result text;
BEGIN
	FOR t IN SELECT oid FROM pg_class WHERE relnamespace = 'trigger_engine'::regnamespace AND relkind IN ('r', 'p') AND NOT relispartition ORDER BY relname
	LOOP
		EXECUTE format('SELECT count(*) FROM %s r WHERE strpos(to_jsonb(r)::text, %L) > 0', t, what) INTO n;
		IF n > 0 THEN
			result := concat_ws(' ', result, t);
		END IF;
	END LOOP;
	RETURN coalesce(result, 'nowhere');
END
$$;
\set ECHO all
CALL live('erase-me');
CALL live('bystander');
CALL drain();
SELECT * FROM fill('erase-me');
-- what waits to be counted or looked at may be gone again
SELECT ARRAY(SELECT ltrim(t.name, '_') FROM _user_tables() t WHERE t.name NOT IN ('_erasures', '_metric_sends', '_metric_interactions', '_segment_touched')
	EXCEPT SELECT jsonb_object_keys(export_user('erase-me'))) AS missing;
SELECT export_user('nobody'), error($$SELECT export_user('')$$);
SELECT export_user('bystander') AS before \gset
SELECT count(*) FROM sends;
SELECT erase_user('erase-me') -> 'under_way' AS under_way;
SELECT maintain();
SELECT found('erase-me');
SELECT export_user('erase-me');
-- counts stay, and those of others as they were
SELECT count(*) > 2 AS counted, count(*) FILTER (WHERE user_id ~ '^erased/') > 0 AS pseudonymous FROM sends;
SELECT export_user('bystander') = :'before'::jsonb AS untouched;
-- nobody comes back by a late event, watched or not, one by one or copied; others do
INSERT INTO events (user_id, name, dedupe_key) VALUES ('erase-me', 'cart', NULL), ('erase-me', 'cart', 'again'), ('erase-me', 'unwatched', NULL), ('newcomer', 'cart', NULL);
COPY events (user_id, name) FROM stdin;
erase-me	cart
erase-me	unwatched
newcomer	unwatched
\.
CALL drain('1 h');
SELECT found('erase-me');
SELECT user_id, count(*) FROM events GROUP BY 1 ORDER BY 1;
-- an erasure that is rolled back was none
BEGIN;
SELECT erase_user('newcomer') -> 'under_way' AS under_way;
INSERT INTO events (user_id, name) VALUES ('newcomer', 'late');
SELECT count(*) FROM events WHERE user_id = 'newcomer';
ROLLBACK;
INSERT INTO events (user_id, name) VALUES ('newcomer', 'late');
SELECT count(*) FROM events WHERE user_id = 'newcomer';
-- again is harmless; a text is never code
SELECT erase_user('erase-me');
SELECT erase_user($$x'; DROP TABLE trigger_engine.users; --$$);
SELECT maintain();
SELECT found('erase-me'), found('DROP TABLE');
SELECT error($$SELECT erase_user(NULL)$$);

-- who comes back by choice is let in; identify() merges
SELECT error($$SELECT identify('erase-me', '{"a": 1}')$$);
SELECT readmit_user('erase-me'), readmit_user('erase-me');
SELECT identify('erase-me', '{"a": 1, "b": 2}', locale => 'de'), identify('erase-me', '{"b": null, "c": {"d": 3}}', zone => 'Europe/Berlin');
SELECT attributes, locale, zone FROM users WHERE user_id = 'erase-me';
INSERT INTO events (user_id, name) VALUES ('erase-me', 'unwatched');
SELECT count(*) FROM events WHERE user_id = 'erase-me';
SELECT erase_user('erase-me') -> 'users' AS users, error($$SELECT readmit_user('erase-me')$$);
SELECT error($$SELECT identify('')$$), error($$SELECT identify('u', '[]')$$);
