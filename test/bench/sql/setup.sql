/*
 * Tables that the engine's are compared with, and words for setting up loads.
 * Copies have the columns, partitions, indexes and storage settings of the
 * originals and no triggers, no check and plain defaults.
 */
CREATE SCHEMA bench;
SET client_min_messages = error;

-- the first create_* stamps the installation and makes the partitions
SELECT trigger_engine.create_provider('nowhere', 'webhook', '{"url": "http://127.0.0.1:9/"}');
SELECT trigger_engine.create_template('note', 'webhook', '{"id": "{{ event.id }}"}');

CREATE FUNCTION bench.copy_indexes(original regclass, copy regclass) RETURNS void
LANGUAGE plpgsql AS $$
DECLARE
	definition text;
BEGIN
	FOR definition IN SELECT pg_get_indexdef(indexrelid) FROM pg_index WHERE indrelid = original
	LOOP
		EXECUTE regexp_replace(definition, 'INDEX \S+ ON (ONLY )?\S+', format('INDEX ON %s', copy));
	END LOOP;
	EXECUTE coalesce((SELECT format('ALTER TABLE %s SET (%s)', copy, array_to_string(reloptions, ', '))
		FROM pg_class WHERE oid = original AND reloptions IS NOT NULL), 'SELECT');
END
$$;

CREATE FUNCTION bench.copy_events(name text) RETURNS void
LANGUAGE plpgsql AS $$
DECLARE
	part record;
BEGIN
	EXECUTE format('CREATE SEQUENCE bench.%s_id_seq', name);
	EXECUTE format('CREATE TABLE bench.%s (LIKE trigger_engine.events INCLUDING DEFAULTS) PARTITION BY RANGE (occurred_at)', name);
	EXECUTE format('ALTER TABLE bench.%1$s ALTER event_id SET DEFAULT nextval(''bench.%1$s_id_seq''),'
		' ALTER occurred_at SET DEFAULT now()', name);
	FOR part IN SELECT c.oid, c.relname, pg_get_expr(c.relpartbound, c.oid) AS bound
		FROM pg_inherits i JOIN pg_class c ON c.oid = i.inhrelid WHERE i.inhparent = 'trigger_engine.events'::regclass
	LOOP
		EXECUTE format('CREATE TABLE bench.%s_%s PARTITION OF bench.%s %s', name, part.relname, name, part.bound);
		PERFORM bench.copy_indexes(part.oid, format('bench.%s_%s', name, part.relname)::regclass);
	END LOOP;
END
$$;

CREATE FUNCTION bench.copy_due(name text) RETURNS void
LANGUAGE plpgsql AS $$
BEGIN
	EXECUTE format('CREATE TABLE bench.%s (LIKE trigger_engine._due INCLUDING DEFAULTS)', name);
	PERFORM bench.copy_indexes('trigger_engine._due', format('bench.%s', name)::regclass);
END
$$;

-- n journeys on an event, each for one value of k
CREATE FUNCTION bench.journeys(event text, n integer) RETURNS void
LANGUAGE sql AS $$
	SELECT trigger_engine.create_journey(event || ' ' || i,
		jsonb_build_object('kind', 'event', 'name', event, 'where', format('$.k == %s && $.amount > 1', i)),
		'[{"id": "wait", "wait": "1 day"}, {"id": "send", "send": "note", "provider": "nowhere"}]')
	FROM generate_series(1, n) i
$$;

CREATE FUNCTION bench.drop_journeys() RETURNS void
LANGUAGE sql AS $$
	SELECT trigger_engine.drop_journey(name) FROM trigger_engine.journeys
$$;

CREATE FUNCTION bench.clear() RETURNS void
LANGUAGE plpgsql AS $$
DECLARE
	t regclass;
BEGIN
	FOR t IN SELECT c.oid FROM pg_class c WHERE relkind IN ('r', 'p') AND NOT relispartition
		AND (relnamespace = 'bench'::regnamespace AND relname <> 'rules'
			OR relnamespace = 'trigger_engine'::regnamespace AND relname IN ('events', '_due', '_sends', '_attempts',
				'_send_keys', '_enrollments', '_entry_keys', '_batches'))
	LOOP
		EXECUTE format('TRUNCATE %s', t);
	END LOOP;
END
$$;

SELECT bench.copy_events('events');

-- the floor: the client writes both rows itself
SELECT bench.copy_events('floor_events');
SELECT bench.copy_due('floor_due');

-- what a user would write: a trigger in PL/pgSQL with a table of rules
SELECT bench.copy_events('plpgsql_events');
SELECT bench.copy_due('plpgsql_due');
CREATE TABLE bench.rules (rule_id bigint PRIMARY KEY, event text NOT NULL, predicate jsonpath NOT NULL);
CREATE INDEX ON bench.rules (event);
INSERT INTO bench.rules
SELECT i, 'thousand', format('$.k == %s && $.amount > 1', i)::jsonpath FROM generate_series(1, 1000) i;
ANALYZE bench.rules;
CREATE FUNCTION bench.match() RETURNS trigger
LANGUAGE plpgsql AS $$
BEGIN
	INSERT INTO bench.plpgsql_due (user_id, journey_id, entry_key, step, lane, due_at, event_id, event_at, version)
	SELECT NEW.user_id, r.rule_id, 'events/' || NEW.event_id, 'send', 1, NEW.occurred_at + interval '1 day',
		NEW.event_id, NEW.occurred_at, 1
	FROM bench.rules r WHERE r.event = NEW.name AND jsonb_path_match(NEW.properties, r.predicate);
	RETURN NULL;
END
$$;
CREATE TRIGGER match AFTER INSERT ON bench.plpgsql_events FOR EACH ROW EXECUTE FUNCTION bench.match();
