-- Conditions on events: the compiled and indexed set of journeys lets in whom
-- jsonpath, evaluated in SQL over all journeys, lets in.
\set ECHO none
\i test/sql/include/fresh.sql
\set ECHO all
\pset null '-'

CREATE TABLE test.condition (name text PRIMARY KEY, path text, form text);
CREATE TABLE test.probe (user_id text PRIMARY KEY, properties jsonb);

-- numbers that do not change from run to run
CREATE FUNCTION test.chance(salt text, n integer) RETURNS integer LANGUAGE sql IMMUTABLE AS
$$ SELECT (('x' || substr(md5($1), 1, 7))::bit(28)::integer % $2) $$;

-- what jsonpath says of every condition and every probe, without the engine
CREATE VIEW test.wanted AS
SELECT c.name AS journey, p.user_id
FROM condition c CROSS JOIN probe p
WHERE CASE WHEN path IS NULL THEN true WHEN c.form = 'predicate' THEN jsonb_path_match(p.properties, c.path::jsonpath, silent => true)
	ELSE jsonb_path_exists(p.properties, c.path::jsonpath, silent => true) END;
-- what the engine did
CREATE VIEW test.entered AS
SELECT journey, user_id FROM trigger_engine.enrollments WHERE journey IN (SELECT name FROM condition);
CREATE VIEW test.difference AS
SELECT 'missed' AS what, path, properties FROM (TABLE wanted EXCEPT TABLE entered) d JOIN condition c ON c.name = d.journey JOIN probe USING (user_id)
UNION ALL
SELECT 'wrong', path, properties FROM (TABLE entered EXCEPT TABLE wanted) d JOIN condition c ON c.name = d.journey JOIN probe USING (user_id);

-- conditions by hand
INSERT INTO condition VALUES
	('all', NULL, NULL),
	('number', '$.a == 5', 'predicate'), ('decimal', '$.a == 5.0', 'predicate'), ('exponent', '$.a == 50e-1', 'predicate'), ('negative', '$.a == -5', 'predicate'),
	('huge', '$.a == 123456789012345678901234567890.5', 'predicate'),
	('string', '$.a == "5"', 'predicate'), ('empty', '$.a == ""', 'predicate'), ('unicode', '$.a == "\u00e9"', 'predicate'), ('true', '$.a == true', 'predicate'), ('false', '$.a == false', 'predicate'),
	('null', '$.a == null', 'predicate'), ('turned', '5 == $.a', 'predicate'),
	('nested', '$.c.d == 5', 'predicate'), ('deep', '$.c.d.e.f == "x"', 'predicate'), ('quoted', '$."odd key"."$x" == 5', 'predicate'),
	('first', '$.a[0] == 5', 'predicate'), ('any', '$.a[*] == 5', 'predicate'), ('last', '$.a[last] == 5', 'predicate'), ('star', '$.* == 5', 'predicate'), ('anywhere', '$.**.d == 5', 'predicate'),
	('and', '$.a == 5 && $.b == "x"', 'predicate'), ('and more', '$.b > 1 && ($.a == 5 && $.c.d == 5)', 'predicate'), ('or', '$.a == 5 || $.b == "x"', 'predicate'), ('not', '!($.a == 5)', 'predicate'),
	('unknown', '($.a == "5") is unknown', 'predicate'), ('exists', 'exists($.c.d)', 'predicate'), ('regex', '$.a like_regex "^X" flag "i"', 'predicate'), ('starts', '$.a starts with "x"', 'predicate'),
	('less', '$.a < 5', 'predicate'), ('unequal', '$.a <> 5', 'predicate'), ('strict', 'strict $.a == 5', 'predicate'), ('strict nested', 'strict $.c.d == 5', 'predicate'), ('lax', 'lax $.c.d == 5', 'predicate'),
	('two paths', '$.a == $.b', 'predicate'), ('arithmetic', '$.a + 1 == 6', 'predicate'), ('minus', '-$.a == -5', 'predicate'), ('method', '$.a.double() == 5', 'predicate'), ('size', '$.a.size() == 2', 'predicate'),
	('literal method', '$.a == "5".double()', 'predicate'), ('literal method, turned', '"5".double() == $.a', 'predicate'), ('literal method, number', '$.a == (5.5).floor()', 'predicate'),
	('of a predicate', '($.a == 5).type() == "boolean"', 'predicate'), ('yields text', '($.a == 5).type()', 'filter'),
	('filter', '$ ? (@.a == 5)', 'filter'), ('filter turned', '$ ? (5 == @.a)', 'filter'), ('filter root', '$ ? ($.a == 5)', 'filter'), ('filter and', '$ ? (@.a == 5 && @.b == "x")', 'filter'),
	('filter or', '$ ? (@.a == 5 || @.b == "x")', 'filter'), ('filter then', '$ ? (@.a == 5).b', 'filter'), ('filter twice', '$ ? (@.a == 5) ? (@.b == "x")', 'filter'), ('filter below', '$.c ? (@.d == 5)', 'filter'),
	('filter items', '$.items[*] ? (@.sku == "x")', 'filter'), ('filter unequal', '$ ? (@.a <> 5)', 'filter'), ('filter strict', 'strict $ ? (@.a == 5)', 'filter'), ('path', '$.c.d', 'filter'), ('path strict', 'strict $.c.d', 'filter');

-- and by the hundred: forms, paths and values combined
INSERT INTO condition
SELECT 'c' || n, path, form FROM (
	SELECT row_number() OVER (ORDER BY form, template, key, value) AS n, format(template, key, value) AS path, form
	FROM (VALUES ('predicate', '$.%1$s == %2$s'), ('predicate', '%2$s == $.%1$s'), ('predicate', '$.%1$s != %2$s'), ('predicate', '$.%1$s >= %2$s'), ('predicate', '!($.%1$s == %2$s)'),
		('predicate', '($.%1$s == %2$s) is unknown'), ('predicate', 'strict $.%1$s == %2$s'), ('predicate', '$.%1$s == %2$s && $.b == "x"'), ('predicate', '$.b == 5 && $.%1$s == %2$s'),
		('predicate', '$.%1$s == %2$s || $.b == 5'), ('predicate', 'exists($.%1$s ? (@ == %2$s))'), ('predicate', '$.%1$s[*] == %2$s'), ('predicate', '$.%1$s[0] == %2$s'), ('predicate', '$.** == %2$s && exists($.%1$s)'),
		('predicate', '($.a == 5 && $.%1$s == %2$s) && exists($.b)'), ('predicate', '$.%1$s == %2$s && $.%1$s != %2$s'),
		('filter', '$ ? (@.%1$s == %2$s)'), ('filter', '$ ? (%2$s == @.%1$s)'), ('filter', '$.%1$s ? (@ == %2$s)'), ('filter', '$[*] ? (@.%1$s == %2$s && @.b == 5)'),
		('filter', 'strict $ ? (@.%1$s == %2$s)'), ('filter', '$ ? (@.%1$s == %2$s) ? (@.b == "x")'), ('filter', '$ ? (@.%1$s != %2$s)'), ('filter', '$ ? (@.%1$s == %2$s || @.b == true)')) f(form, template)
	CROSS JOIN (VALUES ('a'), ('b'), ('c.d'), ('c'), ('"odd key"')) k(key)
	CROSS JOIN (VALUES ('5'), ('5.0'), ('5.5'), ('"5"'), ('"x"'), ('true'), ('false'), ('null'), ('-1')) v(value)
) all_of_them WHERE chance('condition ' || n, 4) = 0;

-- probes: every value at a, then mixtures
INSERT INTO probe
SELECT 'a' || n, jsonb_build_object('a', value) FROM unnest(ARRAY['5', '5.0', '50e-1', '5.5', '-5', '0', '-0', '123456789012345678901234567890.50', '"5"', '""', '"x"', '"X"', '"é"', '"xyz"', 'true', 'false', 'null',
	'[]', '[5]', '[5.0, "x"]', '["x", 5]', '[[5]]', '[null]', '[{"d": 5}]', '{}', '{"d": 5}']::jsonb[]) WITH ORDINALITY u(value, n);
INSERT INTO probe VALUES ('e', '{}'), ('n1', '{"c": {"d": 5}}'), ('n2', '{"c": {"d": [5, 6]}}'), ('n3', '{"c": [{"d": 5}, {"d": "x"}]}'), ('n4', '{"c": [[{"d": 5}]]}'), ('n5', '{"c": {"d": {"e": {"f": "x"}}}}'),
	('n6', '{"c": {"d": [{"e": [{"f": "x"}]}]}}'), ('n7', '{"odd key": {"$x": 5}}'), ('n8', '{"odd key": [{"$x": [5]}]}'), ('n9', '{"items": [{"sku": "y"}, {"sku": "x"}]}'), ('n10', '{"a": 5, "b": "x", "c": {"d": 5}}'), ('n11', '{"a": 5, "b": 5, "c": {"d": 5}}');
INSERT INTO probe
SELECT 'p' || n, jsonb_strip_nulls(jsonb_build_object('a', pool[1 + chance('a' || n, 20)], 'b', pool[1 + chance('b' || n, 20)], 'c', pool[1 + chance('c' || n, 20)], 'odd key', pool[1 + chance('o' || n, 20)]))
FROM generate_series(1, 180) n, (SELECT ARRAY['5', '5.0', '5.5', '-1', '"5"', '"x"', 'true', 'false', '[]', '[5]', '["x", 5]', '[[5]]', '[null, true]', '{"d": 5}', '{"d": "x"}', '{"d": [5, "5"]}',
	'[{"d": 5.5}, {"d": "x"}]', '{"d": {"d": 5}}', NULL, NULL]::jsonb[] AS pool) pool;
SELECT count(*) > 250 AS many_conditions FROM condition;

-- all journeys on one event name; none is due before tomorrow
SELECT create_template('hello', 'in_app', '{"title": "hello"}');
SELECT count(create_journey(name, jsonb_strip_nulls(jsonb_build_object('kind', 'event', 'name', 'probe', 'where', path)), '[{"id": "w", "wait": "1 day"}, {"id": "s", "send": "hello"}]')) = count(*) AS created
FROM condition;

-- one statement, then one for each
INSERT INTO events (user_id, name, properties) SELECT user_id, 'probe', properties FROM probe WHERE user_id NOT LIKE 'p%';
DO $$
DECLARE
	p probe;
BEGIN
	FOR p IN SELECT * FROM probe WHERE user_id LIKE 'p%'
	LOOP
		INSERT INTO events (user_id, name, properties) VALUES (p.user_id, 'probe', p.properties);
	END LOOP;
END
$$;
SELECT count(*) > 5000 AS many FROM entered;
SELECT * FROM difference LIMIT 20;
-- by name, for the eye: whom the handwritten conditions let in among values of a
SELECT journey, string_agg((properties -> 'a')::text, '  ' ORDER BY length(user_id), user_id) AS values_of_a
FROM entered JOIN probe USING (user_id) WHERE user_id LIKE 'a%' AND journey !~ '^c[0-9]' AND journey <> 'all' GROUP BY 1 ORDER BY 1;

-- fewer journeys, other conditions: the index follows
SELECT count(drop_journey(name)) > 80 AS dropped FROM condition WHERE name ~ '^c[0-9]*[02468]$';
DELETE FROM condition WHERE name ~ '^c[0-9]*[02468]$';
UPDATE condition SET path = '$.a == 5.5' WHERE name IN ('number', 'string', 'nested');
SELECT count(alter_journey(name, trigger => jsonb_build_object('kind', 'event', 'name', 'probe', 'where', path))) FROM condition WHERE name IN ('number', 'string', 'nested');
-- (what is in already stays as it was: other people now)
UPDATE probe SET user_id = 'again ' || user_id;
INSERT INTO events (user_id, name, properties) SELECT user_id, 'probe', properties FROM probe;
SELECT * FROM difference LIMIT 20;
SELECT count(*) > 3000 AS many FROM entered JOIN probe USING (user_id);

-- exits take conditions, too
SELECT create_journey('leave', '{"kind": "event", "name": "in"}', '[{"id": "w", "wait": "1 day"}, {"id": "s", "send": "hello"}]',
	exit_on => '[{"name": "out", "where": "$.a == 5"}, {"name": "out", "where": "$ ? (@.b == \"x\")"}, {"name": "gone"}]');
INSERT INTO events (user_id, name) SELECT 'x' || i, 'in' FROM generate_series(1, 6) i;
INSERT INTO events (user_id, name, properties) VALUES ('x1', 'out', '{"a": 5.0}'), ('x2', 'out', '{"a": 6}'), ('x3', 'out', '{"b": ["x"]}'), ('x4', 'gone', '{}'), ('x5', 'out', '{"a": "5"}');
SELECT user_id, state FROM sends WHERE journey = 'leave' ORDER BY 1;
