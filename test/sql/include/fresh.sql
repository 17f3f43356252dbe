-- A new extension, a clock that stands still, and words for what the scripts do.
SET client_min_messages = warning;
DROP EXTENSION IF EXISTS trigger_engine CASCADE;
CREATE EXTENSION trigger_engine;
DROP SCHEMA IF EXISTS test CASCADE;
CREATE SCHEMA test;
RESET client_min_messages;
SET timezone = 'UTC';
SET datestyle = 'ISO, MDY';
\set SHOW_CONTEXT never
SET search_path = public, trigger_engine, test;
SELECT trigger_engine.set_clock('2030-01-15 12:00:00+00') AS clock \gset

-- runs a statement that must fail and returns what its error says
CREATE FUNCTION test.error(statement text) RETURNS text
LANGUAGE plpgsql AS $$
DECLARE
	code text;
	message text;
	detail text;
	hint text;
	context text;
	place text;
BEGIN
	BEGIN
		EXECUTE statement;
	EXCEPTION WHEN OTHERS THEN
		GET STACKED DIAGNOSTICS code = RETURNED_SQLSTATE, message = MESSAGE_TEXT, detail = PG_EXCEPTION_DETAIL,
			hint = PG_EXCEPTION_HINT, context = PG_EXCEPTION_CONTEXT;
		-- the engine's own lines of context, without those of PL/pgSQL
		SELECT string_agg(line, E'\n') INTO place FROM regexp_split_to_table(context, E'\n') line
		WHERE line ~ '^(key|segment) "';
		RETURN concat_ws(E'\n', code || ': ' || message, 'DETAIL: ' || nullif(detail, ''), 'HINT: ' || nullif(hint, ''),
			'PLACE: ' || place);
	END;
	RETURN 'no error';
END
$$;

-- an event, with defaults as an application has them
CREATE PROCEDURE test.event(user_id text, name text, properties jsonb DEFAULT '{}', occurred_at timestamptz DEFAULT NULL,
	dedupe_key text DEFAULT NULL)
LANGUAGE sql AS $$
	INSERT INTO trigger_engine.events (user_id, name, properties, occurred_at, dedupe_key)
	VALUES ($1, $2, $3, coalesce($4, trigger_engine.clock()), $5)
$$;

-- moves the clock on and waits until all that is due then is done
CREATE PROCEDURE test.drain(by interval DEFAULT '0')
LANGUAGE plpgsql AS $$
BEGIN
	PERFORM trigger_engine.advance_clock(by);
	IF NOT trigger_engine.wait_until_idle('60 s') THEN
		RAISE WARNING 'not idle';
	END IF;
END
$$;

-- a journey on an event that sends one in-app message, at once or after a wait
CREATE PROCEDURE test.journey(name text, event text DEFAULT 'cart', wait text DEFAULT NULL, "where" text DEFAULT NULL,
	exit_on jsonb DEFAULT NULL, reentry jsonb DEFAULT NULL, entry_key text DEFAULT NULL)
LANGUAGE plpgsql AS $$
BEGIN
	IF NOT EXISTS (SELECT FROM trigger_engine.templates t WHERE t.name = 'hello') THEN
		PERFORM trigger_engine.create_template('hello', 'in_app', '{"title": "hello {{ user.user_id }}"}');
	END IF;
	PERFORM trigger_engine.create_journey(name,
		jsonb_strip_nulls(jsonb_build_object('kind', 'event', 'name', event, 'where', "where", 'entry_key', entry_key)),
		CASE WHEN wait IS NULL THEN '[]' ELSE jsonb_build_array(jsonb_build_object('id', 'wait', 'wait', wait)) END
			|| '[{"id": "send", "send": "hello"}]',
		exit_on => exit_on, reentry => reentry);
END
$$;
