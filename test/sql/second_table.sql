-- The capture trigger on another table of the shape of events, as it stands on a shard: nothing in it looks at which table it fires on.
\set ECHO none
\i test/sql/include/fresh.sql
SET client_min_messages = warning;
DROP TABLE IF EXISTS events_102008;
RESET client_min_messages;
\set ECHO all
\pset null '-'

-- the function that makes the tables of people can be called again, and changes nothing
SELECT _create_user_tables();
CREATE TABLE events_102008 (LIKE trigger_engine.events INCLUDING DEFAULTS INCLUDING CONSTRAINTS);
CREATE UNIQUE INDEX ON events_102008 (user_id, occurred_at, event_id);
CREATE TRIGGER _capture AFTER INSERT ON events_102008 FOR EACH ROW
	WHEN (trigger_engine._is_watched(NEW.name, NEW.user_id, NEW.properties, NEW.occurred_at, NEW.dedupe_key)) EXECUTE FUNCTION trigger_engine._capture_event();
-- elsewhere such a table is a part of events, so that a worker finds there what is in it
CREATE FUNCTION test.show_as_event() RETURNS trigger LANGUAGE plpgsql SET trigger_engine.ingest = off AS $$
BEGIN
	INSERT INTO trigger_engine.events (event_id, user_id, name, properties, occurred_at) VALUES (NEW.event_id, NEW.user_id, NEW.name, NEW.properties, NEW.occurred_at);
	RETURN NULL;
END
$$;
CREATE TRIGGER show_as_event AFTER INSERT ON events_102008 FOR EACH ROW EXECUTE FUNCTION test.show_as_event();
CALL journey('j', 'cart', wait => '1 h', "where" => '$.total > 10', exit_on => '[{"name": "order"}]');
CALL journey('once', 'cart', wait => '1 h', reentry => '{"policy": "once"}');
SELECT create_event_schema('cart', '{"properties": {"total": {"type": "number"}}}', 'quarantine');

INSERT INTO events_102008 (user_id, name, properties, dedupe_key) VALUES
	('a', 'cart', '{"total": 12}', 'k'), ('a', 'cart', '{"total": 12}', 'k'), ('b', 'cart', '{"total": 5}', NULL), ('c', 'cart', '{"total": "x"}', NULL), ('d', 'cart', '{"total": 20}', NULL), ('d', 'order', '{}', NULL);
SELECT user_id, name, properties FROM events_102008 ORDER BY 1, 2;
SELECT count(*) FROM events WHERE dedupe_key = 'k';
SELECT user_id, journey, state FROM sends ORDER BY 1, 2;
SELECT user_id, reason FROM quarantined_events;
-- one key for both tables
INSERT INTO events (user_id, name, properties, dedupe_key) VALUES ('a', 'cart', '{"total": 12}', 'k');
SELECT count(*) FROM events WHERE dedupe_key = 'k';
INSERT INTO events (user_id, name) VALUES ('a', 'order');
SELECT user_id, journey, state FROM sends WHERE user_id = 'a' ORDER BY 1, 2;
COPY events_102008 (user_id, name, properties) FROM stdin;
e	cart	{"total": 30}
e	cart	{"total": 1}
\.
BEGIN;
INSERT INTO events_102008 (user_id, name, properties) VALUES ('f', 'cart', '{"total": 12}');
ROLLBACK;
SELECT error($$INSERT INTO events_102008 (user_id, name, properties) VALUES ('g', 'cart', '[]')$$);
CALL drain('1 h');
SELECT user_id, journey, state FROM sends ORDER BY 1, 2;
DROP TABLE events_102008;
