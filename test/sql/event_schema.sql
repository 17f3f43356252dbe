-- Schemas of event names: every keyword, refuse and quarantine, release.
\set ECHO none
\i test/sql/include/fresh.sql
-- what the schema says to the properties: "ok", or the error of the insert
CREATE FUNCTION test.hold(schema jsonb, properties jsonb) RETURNS text
LANGUAGE plpgsql AS $$
BEGIN
	PERFORM trigger_engine.create_event_schema('probe', schema, or_replace => true);
	INSERT INTO trigger_engine.events (user_id, name, properties) VALUES ('u', 'probe', properties);
	RETURN 'ok';
EXCEPTION WHEN SQLSTATE 'TE002' THEN
	RETURN replace(SQLERRM, 'event "probe" violates its schema: ', '');
END
$$;
\set ECHO all
\pset null '-'

SELECT n, schema, properties, hold(schema, properties) FROM (VALUES
	(10, '{}', '{"anything": [1, {"x": null}]}'),
	(11, '{"type": "object"}', '{}'),
	(20, '{"properties": {"a": {"type": "string"}}}', '{"a": "x"}'),
	(21, '{"properties": {"a": {"type": "string"}}}', '{"a": 1}'),
	(22, '{"properties": {"a": {"type": "number"}}}', '{"a": 1.5}'),
	(23, '{"properties": {"a": {"type": "number"}}}', '{"a": "1.5"}'),
	(24, '{"properties": {"a": {"type": "integer"}}}', '{"a": 5.0}'),
	(25, '{"properties": {"a": {"type": "integer"}}}', '{"a": 5.5}'),
	(26, '{"properties": {"a": {"type": "boolean"}}}', '{"a": false}'),
	(27, '{"properties": {"a": {"type": "boolean"}}}', '{"a": "false"}'),
	(28, '{"properties": {"a": {"type": "null"}}}', '{"a": null}'),
	(29, '{"properties": {"a": {"type": "null"}}}', '{"a": 0}'),
	(30, '{"properties": {"a": {"type": "object"}}}', '{"a": {}}'),
	(31, '{"properties": {"a": {"type": "object"}}}', '{"a": []}'),
	(32, '{"properties": {"a": {"type": "array"}}}', '{"a": []}'),
	(33, '{"properties": {"a": {"type": "array"}}}', '{"a": {}}'),
	(34, '{"properties": {"a": {"type": ["string", "null"]}}}', '{"a": null}'),
	(35, '{"properties": {"a": {"type": ["string", "null"]}}}', '{"a": 1}'),
	(40, '{"required": ["a", "b"]}', '{"a": 1, "b": null}'),
	(41, '{"required": ["a", "b"]}', '{"a": 1}'),
	(42, '{"properties": {"a": {"required": ["b"]}}}', '{"a": {"c": 1}}'),
	(43, '{"properties": {"a": {"required": ["b"]}}}', '{}'),
	(50, '{"properties": {"a": {}}, "additionalProperties": false}', '{"a": 1}'),
	(51, '{"properties": {"a": {}}, "additionalProperties": false}', '{"a": 1, "b": 2}'),
	(52, '{"properties": {"a": {}}, "additionalProperties": true}', '{"a": 1, "b": 2}'),
	(60, '{"properties": {"a": {"enum": ["x", 1, null, [1]]}}}', '{"a": 1.0}'),
	(61, '{"properties": {"a": {"enum": ["x", 1, null, [1]]}}}', '{"a": [1]}'),
	(62, '{"properties": {"a": {"enum": ["x", 1, null, [1]]}}}', '{"a": "1"}'),
	(63, '{"properties": {"a": {"const": {"b": 1}}}}', '{"a": {"b": 1}}'),
	(64, '{"properties": {"a": {"const": {"b": 1}}}}', '{"a": {"b": 2}}'),
	(65, '{"properties": {"a": {"const": null}}}', '{"a": null}'),
	(66, '{"properties": {"a": {"const": null}}}', '{"a": false}'),
	(70, '{"properties": {"a": {"minimum": 1, "maximum": 2.5}}}', '{"a": 1}'),
	(71, '{"properties": {"a": {"minimum": 1, "maximum": 2.5}}}', '{"a": 2.5}'),
	(72, '{"properties": {"a": {"minimum": 1, "maximum": 2.5}}}', '{"a": 0.999}'),
	(73, '{"properties": {"a": {"minimum": 1, "maximum": 2.5}}}', '{"a": 2.50001}'),
	(74, '{"properties": {"a": {"minimum": 1, "maximum": 2.5}}}', '{"a": "not a number"}'),
	(80, '{"properties": {"a": {"minLength": 2, "maxLength": 3}}}', '{"a": "äöü"}'),
	(81, '{"properties": {"a": {"minLength": 2, "maxLength": 3}}}', '{"a": "ä"}'),
	(82, '{"properties": {"a": {"minLength": 2, "maxLength": 3}}}', '{"a": "abcd"}'),
	(83, '{"properties": {"a": {"maxLength": 0}}}', '{"a": "a"}'),
	(90, '{"properties": {"a": {"pattern": "^[A-Z]{3}$"}}}', '{"a": "EUR"}'),
	(91, '{"properties": {"a": {"pattern": "^[A-Z]{3}$"}}}', '{"a": "EURO"}'),
	(92, '{"properties": {"a": {"pattern": "b"}}}', '{"a": "abc"}'),
	(100, '{"properties": {"a": {"items": {"type": "integer"}}}}', '{"a": [1, 2]}'),
	(101, '{"properties": {"a": {"items": {"type": "integer"}}}}', '{"a": [1, "2"]}'),
	(102, '{"properties": {"a": {"minItems": 1, "maxItems": 2}}}', '{"a": []}'),
	(103, '{"properties": {"a": {"minItems": 1, "maxItems": 2}}}', '{"a": [1, 2, 3]}'),
	(104, '{"properties": {"a": {"maxItems": 0}}}', '{"a": [1]}'),
	(110, '{"properties": {"a": {"items": {"properties": {"b": {"items": {"required": ["c"]}}}}}}}', '{"a": [{"b": [{"c": 1}, {}]}]}'),
	(120, '{"$schema": "https://json-schema.org/draft/2020-12/schema", "title": "t", "description": "d"}', '{}')
) v(n, s, p), LATERAL (SELECT s::jsonb AS schema, p::jsonb AS properties) j ORDER BY n;

-- what is no schema, or asks for more than is checked, is refused when it is created
SELECT schema, error(format('SELECT create_event_schema(%L, %L)', 'bad', schema)) FROM (VALUES
	('[]'), ('"object"'), ('{"typo": 1}'), ('{"requird": ["a"]}'), ('{"properties": {"a": {"minLenght": 1}}}'),
	('{"items": {"properties": {"a": {"oneOf": []}}}}'), ('{"type": "text"}'), ('{"type": ["string", "int"]}'),
	('{"type": 1}'), ('{"required": "a"}'), ('{"required": [1]}'), ('{"properties": []}'), ('{"properties": {"a": 1}}'),
	('{"additionalProperties": {}}'), ('{"enum": "a"}'), ('{"minimum": "1"}'), ('{"minItems": "1"}'),
	('{"pattern": "("}'), ('{"pattern": 1}'), ('{"items": []}')
) v(schema);
SELECT error($$SELECT create_event_schema(NULL, '{}')$$);
SELECT error($$SELECT create_event_schema('', '{}')$$);
SELECT error($$SELECT create_event_schema('x', NULL)$$);
SELECT error($$SELECT create_event_schema('x', '{}', 'ignore')$$);
SELECT error($$SELECT create_event_schema('probe', '{}')$$);
SELECT event FROM event_schemas;

-- refuse: nothing of the statement stays
CALL journey('j', 'order');
SELECT create_event_schema('order', '{"required": ["total"], "properties": {"total": {"type": "number", "minimum": 0}}}');
SELECT event, on_violation, owner = current_user AS mine FROM event_schemas WHERE event = 'order';
SELECT error($$INSERT INTO events (user_id, name, properties) VALUES ('r1', 'order', '{"total": 1}'), ('r2', 'order', '{"total": -1}')$$);
SELECT count(*) FROM events WHERE user_id LIKE 'r_';
SELECT count(*) FROM sends;
COPY events (user_id, name, properties) FROM stdin;
r3	order	{"total": 1}
r4	order	{}
\.
SELECT count(*) FROM events WHERE user_id LIKE 'r_';
-- another name is not concerned
CALL event('r5', 'cart', '{"total": -1}');
-- a refused event leaves its dedupe key free
SELECT error($$CALL event('r6', 'order', '{}', NULL, 'k')$$);
CALL event('r6', 'order', '{"total": 3}', NULL, 'k');
SELECT properties FROM events WHERE user_id = 'r6';

-- a name that no event can have
SELECT error(format($$SELECT create_event_schema(%L, '{}')$$, repeat('x', 128)));
SELECT create_event_schema(repeat('x', 127), '{}');
SELECT drop_event_schema(repeat('x', 127));

-- quarantine: the others of the statement go their way
SELECT create_event_schema('order', '{"required": ["total"], "properties": {"total": {"type": "number", "minimum": 0}}}',
	on_violation => 'quarantine', or_replace => true);
INSERT INTO events (user_id, name, properties, occurred_at, dedupe_key, context) VALUES
	('q1', 'order', '{"total": 1}', clock() - interval '1 hour', 'a', '{"page": 1}'),
	('q2', 'order', '{"total": -1}', clock() - interval '1 hour', 'a', '{"page": 2}'),
	('q3', 'order', '{"sum": 1}', clock() - interval '1 hour', NULL, NULL);
SELECT user_id, properties FROM events WHERE user_id LIKE 'q_' ORDER BY 1;
SELECT user_id, name, properties, occurred_at, dedupe_key, context, reason, quarantined_at FROM quarantined_events ORDER BY 1;
SELECT user_id FROM sends WHERE user_id LIKE 'q_';
-- rolled back with its transaction
BEGIN;
CALL event('q4', 'order', '{}');
ROLLBACK;
SELECT count(*) FROM quarantined_events WHERE user_id = 'q4';
-- its dedupe key is taken: the repeat is none
CALL event('q2', 'order', '{"total": 5}', NULL, 'a');
SELECT count(*) FROM events WHERE user_id = 'q2';

-- release: it returns while the schema says so, and fires once it does not
SELECT release_event(user_id, event_id) FROM quarantined_events WHERE user_id = 'q2';
SELECT user_id, reason FROM quarantined_events ORDER BY 1;
SELECT create_event_schema('order', '{"properties": {"total": {"type": "number"}}}', 'quarantine', or_replace => true);
SELECT event_id AS id FROM quarantined_events WHERE user_id = 'q2' \gset
SELECT release_event('q2', :id);
SELECT event_id = :id AS same_id, user_id, name, properties, occurred_at, dedupe_key, context FROM events WHERE user_id = 'q2';
SELECT user_id FROM quarantined_events;
SELECT user_id, event_id = :id AS of_it FROM sends WHERE user_id = 'q2';
-- now it is an event as any other: its key holds
CALL event('q2', 'order', '{"total": 6}', NULL, 'a');
SELECT count(*) FROM events WHERE user_id = 'q2';
SELECT error(format('SELECT release_event(%L, %s)', 'q2', :id));
SELECT error($$SELECT release_event('nobody', 1)$$);
-- one that is too old by now stays where it is
SELECT event_id AS id FROM quarantined_events WHERE user_id = 'q3' \gset
SELECT advance_clock('401 days');
SELECT left(error(format('SELECT release_event(%L, %s)', 'q3', :id)), 20);
SELECT user_id FROM quarantined_events;

-- drop
SELECT error($$SELECT drop_event_schema('no such')$$);
SELECT drop_event_schema('no such', if_exists => true);
SELECT drop_event_schema('order');
CALL event('r7', 'order', '{"total": "any"}');
SELECT count(*) FROM events WHERE user_id = 'r7';
