/*
 * Events: the capture trigger, tracked tables, schemas.
 */

CREATE FUNCTION trigger_engine._is_watched(name text, user_id text, properties jsonb, occurred_at timestamptz, dedupe_key text)
RETURNS boolean
AS 'MODULE_PATHNAME', 'te_is_watched'
LANGUAGE C STABLE PARALLEL UNSAFE;
COMMENT ON FUNCTION trigger_engine._is_watched(text, text, jsonb, timestamptz, text) IS
'WHEN clause of the capture trigger: whether the engine needs this row. Errors (SQLSTATE TE002): an empty or overlong user_id, name or dedupe_key, properties that are not a JSON object, an instant outside the bounds of the settings.';

CREATE FUNCTION trigger_engine._capture_event() RETURNS trigger
AS 'MODULE_PATHNAME', 'te_capture_event'
LANGUAGE C;
COMMENT ON FUNCTION trigger_engine._capture_event() IS
'Row trigger on events and tracked tables: starts and ends journeys in the inserting transaction. What it finds is written at the end of the statement.';

CREATE TRIGGER _capture AFTER INSERT ON trigger_engine.events
	FOR EACH ROW WHEN (trigger_engine._is_watched(NEW.name, NEW.user_id, NEW.properties, NEW.occurred_at, NEW.dedupe_key))
	EXECUTE FUNCTION trigger_engine._capture_event();

CREATE FUNCTION trigger_engine._invalidate() RETURNS trigger
AS 'MODULE_PATHNAME', 'te_invalidate'
LANGUAGE C;
COMMENT ON FUNCTION trigger_engine._invalidate() IS
'Statement trigger on configuration tables: tells every backend that its compiled journeys are out of date.';

DO $$
DECLARE
	config_table text;
BEGIN
	FOREACH config_table IN ARRAY ARRAY['_stamp', '_pause', '_journeys', '_journey_versions', '_segments',
		'_templates', '_template_texts', '_providers', '_secrets', '_event_schemas', '_tracked_tables', '_quiet_hours', '_caps', '_provider_kinds']
	LOOP
		EXECUTE pg_catalog.format('CREATE TRIGGER _invalidate AFTER INSERT OR UPDATE OR DELETE OR TRUNCATE'
			' ON trigger_engine.%I FOR EACH STATEMENT EXECUTE FUNCTION trigger_engine._invalidate()', config_table);
	END LOOP;
END
$$;

/* ---- all events ---- */

/*
 * The rows of tracked tables come in by the text of a function and not by the view
 * itself: a view that depended on an application's table would take the whole
 * extension along when that table is dropped with CASCADE. The planner puts the
 * function's query in its place, so that conditions reach the tables' indexes.
 */
CREATE FUNCTION trigger_engine._tracked_events()
RETURNS TABLE (user_id text, name text, properties jsonb, occurred_at timestamptz, source_key text, context jsonb)
LANGUAGE sql STABLE
AS $$SELECT NULL::text, NULL::text, NULL::jsonb, NULL::timestamptz, NULL::text, NULL::jsonb WHERE false$$;
COMMENT ON FUNCTION trigger_engine._tracked_events() IS
'Rows of all tracked tables as events. Its text is written anew by _rebuild_all_events(); it runs with the rights of whoever reads.';

CREATE VIEW trigger_engine.all_events AS
SELECT user_id, name, properties, occurred_at, 'events/' || event_id AS source_key, context FROM trigger_engine.events
UNION ALL
SELECT user_id, name, properties, occurred_at, source_key, context FROM trigger_engine._tracked_events();
COMMENT ON VIEW trigger_engine.all_events IS
'Events of trigger_engine.events and the rows of all tracked tables in one shape: user_id, name, properties, occurred_at, source_key (source and primary key), context. Fast for one user where the source has an index on its user column. Tracked tables are read with the reader''s own rights on them.';

CREATE FUNCTION trigger_engine._tracked_events_text() RETURNS text
LANGUAGE sql STABLE
SET search_path = pg_catalog, pg_temp
AS $function$
	SELECT concat_ws(' UNION ALL ',
		'SELECT NULL::text, NULL::text, NULL::jsonb, NULL::timestamptz, NULL::text, NULL::jsonb WHERE false',
		string_agg(format('SELECT %I::pg_catalog.text, %L::pg_catalog.text, %s, %s,'
			' %L::pg_catalog.text OPERATOR(pg_catalog.||) %s, NULL::pg_catalog.jsonb FROM %s WHERE %I IS NOT NULL',
			t.user_column, t.event,
			-- a function takes 100 arguments
			(SELECT coalesce(string_agg(format('pg_catalog.jsonb_build_object(%s)', o.pairs), ' OPERATOR(pg_catalog.||) ' ORDER BY o.n),
				'''{}''::pg_catalog.jsonb')
			 FROM (SELECT (n - 1) / 50 AS n, string_agg(format('%L, %I', p, p), ', ' ORDER BY n) AS pairs
				FROM unnest(t.properties) WITH ORDINALITY AS u(p, n) GROUP BY 1) o),
			CASE WHEN t.time_column IS NULL THEN 'NULL' ELSE quote_ident(t.time_column) END || '::pg_catalog.timestamptz',
			t.source::text || '/',
			(SELECT string_agg(format('coalesce(%I::pg_catalog.text, '''')', k),
				' OPERATOR(pg_catalog.||) ''/'' OPERATOR(pg_catalog.||) ' ORDER BY n)
			 FROM unnest(t.key_columns) WITH ORDINALITY AS u(k, n)),
			t.source, t.user_column), ' UNION ALL ' ORDER BY t.source::text COLLATE "C"))
	FROM trigger_engine._tracked_tables t
	-- tables whose columns have changed are left out until they are tracked again
	WHERE NOT EXISTS (SELECT FROM unnest(t.properties || t.key_columns || t.user_column || t.time_column) c
		WHERE c IS NOT NULL AND NOT EXISTS (SELECT FROM pg_attribute a
			WHERE a.attrelid = t.source AND a.attname = c AND a.attnum > 0 AND NOT a.attisdropped))
$function$;
COMMENT ON FUNCTION trigger_engine._tracked_events_text() IS 'The query of _tracked_events() as the tracked tables are now.';

CREATE FUNCTION trigger_engine._rebuild_all_events() RETURNS boolean
LANGUAGE plpgsql
SET search_path = pg_catalog, pg_temp
AS $$
BEGIN
	-- once without the lock, and again with it, as others do the same
	FOR attempt IN 1..2
	LOOP
		IF EXISTS (SELECT FROM trigger_engine._tracked_tables t WHERE NOT EXISTS (SELECT FROM pg_class WHERE oid = t.source)) THEN
			DELETE FROM trigger_engine._tracked_tables t WHERE NOT EXISTS (SELECT FROM pg_class WHERE oid = t.source);
		END IF;
		EXIT WHEN trigger_engine._tracked_events_text()
			= (SELECT prosrc FROM pg_proc WHERE oid = 'trigger_engine._tracked_events()'::regprocedure);
		IF attempt = 1 THEN
			LOCK TABLE trigger_engine._tracked_tables IN SHARE ROW EXCLUSIVE MODE;
		ELSE
			EXECUTE format('CREATE OR REPLACE FUNCTION trigger_engine._tracked_events()'
				' RETURNS TABLE (user_id text, name text, properties jsonb, occurred_at timestamptz, source_key text, context jsonb)'
				' LANGUAGE sql STABLE AS %L', trigger_engine._tracked_events_text());
		END IF;
	END LOOP;
	RETURN false;
END
$$;
COMMENT ON FUNCTION trigger_engine._rebuild_all_events() IS
'Fits the view all_events to the tracked tables: what was tracked or untracked, and tables and columns that were renamed or dropped. Called by the maintenance worker, too; there is never more to do.';

CREATE FUNCTION trigger_engine._check_event_name(event text) RETURNS void
LANGUAGE plpgsql IMMUTABLE
SET search_path = pg_catalog, pg_temp
AS $$
BEGIN
	IF octet_length(event) > 127 THEN
		RAISE EXCEPTION 'event name "%" is longer than 127 bytes', event USING ERRCODE = 'name_too_long',
			HINT = 'No event has such a name: inserting one is refused.';
	END IF;
END
$$;
COMMENT ON FUNCTION trigger_engine._check_event_name(text) IS 'Throws unless an event can have that name.';

CREATE FUNCTION trigger_engine.track_table(source regclass, event text, user_column name,
	properties name[] DEFAULT NULL, time_column name DEFAULT NULL, on_update name[] DEFAULT NULL)
RETURNS void
AS 'MODULE_PATHNAME', 'te_call_as_owner'
LANGUAGE C VOLATILE;
COMMENT ON FUNCTION trigger_engine.track_table(regclass, text, name, name[], name, name[]) IS
'Makes rows of an application table events. event: their name. user_column: whose they are (rows without a user, or with one of more than 512 bytes, are passed over). properties: columns that become properties, default all but the user. time_column: when it happened (timestamptz, timestamp or date), default the transaction''s time. on_update: columns whose change is an event, too, which happens now unless the update changes time_column. Rows are not copied. Only the table''s owner may; the table needs a primary key. Track again to change.';

CREATE FUNCTION trigger_engine._track_table(invoker name, source regclass, event text, user_column name,
	properties name[], time_column name, on_update name[])
RETURNS void
LANGUAGE plpgsql
SET search_path = pg_catalog, pg_temp
AS $$
#variable_conflict use_variable
DECLARE
	keys name[];
	missing name;
	arguments text;
	watched text;
BEGIN
	IF source IS NULL OR event IS NULL OR event = '' OR user_column IS NULL THEN
		RAISE EXCEPTION 'source, event and user_column are required' USING ERRCODE = 'null_value_not_allowed';
	END IF;
	PERFORM trigger_engine._check_event_name(event);
	PERFORM trigger_engine._stamp_if_empty(invoker);
	IF NOT pg_has_role(invoker, (SELECT relowner FROM pg_class WHERE oid = source), 'USAGE') THEN
		RAISE EXCEPTION 'must be owner of table %', source USING ERRCODE = 'insufficient_privilege';
	END IF;
	IF (SELECT relnamespace FROM pg_class WHERE oid = source) = 'trigger_engine'::regnamespace THEN
		RAISE EXCEPTION 'tables of trigger_engine cannot be tracked' USING ERRCODE = 'wrong_object_type';
	END IF;
	IF (SELECT relkind NOT IN ('r', 'p') FROM pg_class WHERE oid = source) THEN
		RAISE EXCEPTION '% is not a table', source USING ERRCODE = 'wrong_object_type';
	END IF;
	IF (SELECT relpersistence = 't' FROM pg_class WHERE oid = source) THEN
		RAISE EXCEPTION 'temporary tables cannot be tracked' USING ERRCODE = 'wrong_object_type';
	END IF;
	SELECT array_agg(a.attname ORDER BY k.n) INTO keys
	FROM pg_index i CROSS JOIN LATERAL unnest(i.indkey) WITH ORDINALITY AS k(attnum, n)
	JOIN pg_attribute a ON a.attrelid = i.indrelid AND a.attnum = k.attnum
	WHERE i.indrelid = source AND i.indisprimary;
	IF keys IS NULL THEN
		RAISE EXCEPTION 'table % has no primary key', source USING ERRCODE = 'object_not_in_prerequisite_state',
			HINT = 'Add one: it identifies the event for ever.';
	END IF;
	IF properties IS NULL THEN
		properties := ARRAY(SELECT attname FROM pg_attribute WHERE attrelid = source AND attnum > 0
			AND NOT attisdropped AND attname <> user_column ORDER BY attnum);
	END IF;
	SELECT c INTO missing
	FROM unnest(properties || on_update || ARRAY[user_column] || time_column) c
	WHERE c IS NOT NULL AND NOT EXISTS (SELECT FROM pg_attribute a
		WHERE a.attrelid = source AND a.attname = c AND a.attnum > 0 AND NOT a.attisdropped) LIMIT 1;
	IF missing IS NOT NULL THEN
		RAISE EXCEPTION 'table % has no column "%"', source, missing USING ERRCODE = 'undefined_column';
	END IF;
	IF time_column IS NOT NULL AND (SELECT atttypid NOT IN ('timestamptz'::regtype, 'timestamp'::regtype, 'date'::regtype)
		FROM pg_attribute WHERE attrelid = source AND attname = time_column) THEN
		RAISE EXCEPTION 'column "%" of % holds no time', time_column, source USING ERRCODE = 'datatype_mismatch',
			HINT = 'Use a column of type timestamptz, timestamp or date.';
	END IF;

	PERFORM trigger_engine._untrack_table(invoker, source, true);
	INSERT INTO trigger_engine._tracked_tables
	VALUES (source, event, user_column, time_column, properties, keys, on_update, invoker, trigger_engine.clock());
	arguments := format('%L, %L, %L, %L, %L', event, user_column, coalesce(time_column, ''),
		(SELECT string_agg(quote_ident(k), ',' ORDER BY n) FROM unnest(keys) WITH ORDINALITY AS u(k, n)),
		(SELECT coalesce(string_agg(quote_ident(p), ',' ORDER BY n), '') FROM unnest(properties) WITH ORDINALITY AS u(p, n)));
	watched := format('trigger_engine._is_watched(%L, NULL, NULL, NULL, NULL)', event);
	EXECUTE format('CREATE TRIGGER trigger_engine_capture AFTER INSERT ON %s FOR EACH ROW WHEN (%s)'
		' EXECUTE FUNCTION trigger_engine._capture_event(%s)', source, watched, arguments);
	IF cardinality(on_update) > 0 THEN
		EXECUTE format('CREATE TRIGGER trigger_engine_capture_update AFTER UPDATE OF %s ON %s FOR EACH ROW'
			' WHEN (%s AND ROW(%s) IS DISTINCT FROM ROW(%s)) EXECUTE FUNCTION trigger_engine._capture_event(%s)',
			(SELECT string_agg(quote_ident(c), ', ') FROM unnest(on_update) c), source, watched,
			(SELECT string_agg('OLD.' || quote_ident(c), ', ') FROM unnest(on_update) c),
			(SELECT string_agg('NEW.' || quote_ident(c), ', ') FROM unnest(on_update) c), arguments);
	END IF;
	PERFORM trigger_engine._watch_changes(source, user_column, 'INSERT', 'UPDATE', 'DELETE');
	PERFORM trigger_engine._rebuild_all_events();
END
$$;
COMMENT ON FUNCTION trigger_engine._track_table(name, regclass, text, name, name[], name, name[]) IS 'Behind track_table().';

CREATE FUNCTION trigger_engine.untrack_table(source regclass, if_exists boolean DEFAULT false)
RETURNS boolean
AS 'MODULE_PATHNAME', 'te_call_as_owner'
LANGUAGE C VOLATILE;
COMMENT ON FUNCTION trigger_engine.untrack_table(regclass, boolean) IS
'Stops taking rows of a table as events: removes its triggers. What is already due stays due. Returns whether it was tracked.';

CREATE FUNCTION trigger_engine._untrack_table(invoker name, source regclass, if_exists boolean)
RETURNS boolean
LANGUAGE plpgsql
SET search_path = pg_catalog, pg_temp
AS $$
#variable_conflict use_variable
DECLARE
	name text;
BEGIN
	IF NOT pg_has_role(invoker, (SELECT relowner FROM pg_class WHERE oid = source), 'USAGE') THEN
		RAISE EXCEPTION 'must be owner of table %', source USING ERRCODE = 'insufficient_privilege';
	END IF;
	DELETE FROM trigger_engine._tracked_tables t WHERE t.source = source;
	IF NOT FOUND THEN
		IF NOT coalesce(if_exists, false) THEN
			RAISE EXCEPTION 'table % is not tracked', source USING ERRCODE = 'undefined_object';
		END IF;
		RETURN false;
	END IF;
	FOREACH name IN ARRAY ARRAY['trigger_engine_capture', 'trigger_engine_capture_update', 'trigger_engine_touch_insert',
		'trigger_engine_touch_update', 'trigger_engine_touch_delete']
	LOOP
		IF EXISTS (SELECT FROM pg_trigger WHERE tgrelid = source AND tgname = name) THEN
			EXECUTE format('DROP TRIGGER %I ON %s', name, source);
		END IF;
	END LOOP;
	PERFORM trigger_engine._rebuild_all_events();
	RETURN true;
END
$$;
COMMENT ON FUNCTION trigger_engine._untrack_table(name, regclass, boolean) IS 'Behind untrack_table().';

CREATE VIEW trigger_engine.tracked_tables AS
SELECT source, event, user_column, time_column, properties, key_columns, on_update, owner, created_at
FROM trigger_engine._tracked_tables;
COMMENT ON VIEW trigger_engine.tracked_tables IS 'Application tables whose rows are events, and which columns say what.';

/* ---- schemas ---- */

CREATE FUNCTION trigger_engine._check_event_schema(schema jsonb) RETURNS void
AS 'MODULE_PATHNAME', 'te_check_event_schema'
LANGUAGE C IMMUTABLE STRICT PARALLEL SAFE;
COMMENT ON FUNCTION trigger_engine._check_event_schema(jsonb) IS 'Throws unless the schema uses the supported subset of JSON Schema.';

CREATE FUNCTION trigger_engine._may_act_for(invoker name, owner name) RETURNS boolean
LANGUAGE sql STABLE
SET search_path = pg_catalog, pg_temp
AS $$
	-- what belonged to a role that is gone is left to superusers
	SELECT coalesce((SELECT pg_has_role($1, r.oid, 'USAGE') FROM pg_roles r WHERE r.rolname = $2),
		(SELECT r.rolsuper FROM pg_roles r WHERE r.rolname = $1), false)
$$;
COMMENT ON FUNCTION trigger_engine._may_act_for(name, name) IS 'Whether the invoker is the owner of an object, a member of that role, or a superuser.';

CREATE FUNCTION trigger_engine._check_owner(invoker name, owner name, object text) RETURNS void
LANGUAGE plpgsql STABLE
SET search_path = pg_catalog, pg_temp
AS $$
BEGIN
	IF owner IS NOT NULL AND NOT trigger_engine._may_act_for(invoker, owner) THEN
		RAISE EXCEPTION 'must be owner of %', object USING ERRCODE = 'insufficient_privilege';
	END IF;
END
$$;
COMMENT ON FUNCTION trigger_engine._check_owner(name, name, text) IS 'Throws unless the invoker may act for the owner; an owner of NULL means that there is no such object.';

CREATE FUNCTION trigger_engine.create_event_schema(event text, schema jsonb,
	on_violation text DEFAULT 'refuse', or_replace boolean DEFAULT false)
RETURNS void
AS 'MODULE_PATHNAME', 'te_call_as_owner'
LANGUAGE C VOLATILE;
COMMENT ON FUNCTION trigger_engine.create_event_schema(text, jsonb, text, boolean) IS
'Holds the properties of an event name to a JSON Schema (type, required, properties, additionalProperties, enum, const, minimum, maximum, minLength, maxLength, pattern, items, minItems, maxItems). on_violation: refuse (the insert fails, SQLSTATE TE002) or quarantine (the event is set aside in quarantined_events).';

CREATE FUNCTION trigger_engine._create_event_schema(invoker name, event text, schema jsonb,
	on_violation text, or_replace boolean)
RETURNS void
LANGUAGE plpgsql
SET search_path = pg_catalog, pg_temp
AS $$
#variable_conflict use_variable
BEGIN
	IF event IS NULL OR event = '' OR schema IS NULL THEN
		RAISE EXCEPTION 'event and schema are required' USING ERRCODE = 'null_value_not_allowed';
	END IF;
	PERFORM trigger_engine._check_event_name(event);
	IF on_violation IS NULL OR on_violation NOT IN ('refuse', 'quarantine') THEN
		RAISE EXCEPTION 'on_violation must be "refuse" or "quarantine"' USING ERRCODE = 'invalid_parameter_value';
	END IF;
	PERFORM trigger_engine._check_event_schema(schema);
	PERFORM trigger_engine._stamp_if_empty(invoker);
	IF EXISTS (SELECT FROM trigger_engine._event_schemas s WHERE s.event = event) AND NOT coalesce(or_replace, false) THEN
		RAISE EXCEPTION 'a schema for event "%" exists already', event USING ERRCODE = 'duplicate_object',
			HINT = 'Pass or_replace => true to replace it.';
	END IF;
	PERFORM trigger_engine._check_owner(invoker, (SELECT s.owner FROM trigger_engine._event_schemas s WHERE s.event = event),
		format('the schema of event "%s"', event));
	INSERT INTO trigger_engine._event_schemas VALUES (event, schema, on_violation, invoker, trigger_engine.clock())
	ON CONFLICT ON CONSTRAINT _event_schemas_pkey DO UPDATE SET schema = excluded.schema,
		on_violation = excluded.on_violation, owner = excluded.owner, updated_at = excluded.updated_at;
END
$$;
COMMENT ON FUNCTION trigger_engine._create_event_schema(name, text, jsonb, text, boolean) IS 'Behind create_event_schema().';

CREATE FUNCTION trigger_engine.drop_event_schema(event text, if_exists boolean DEFAULT false)
RETURNS boolean
AS 'MODULE_PATHNAME', 'te_call_as_owner'
LANGUAGE C VOLATILE;
COMMENT ON FUNCTION trigger_engine.drop_event_schema(text, boolean) IS 'Removes the schema of an event name. Returns whether there was one.';

CREATE FUNCTION trigger_engine._drop_event_schema(invoker name, event text, if_exists boolean)
RETURNS boolean
LANGUAGE plpgsql
SET search_path = pg_catalog, pg_temp
AS $$
#variable_conflict use_variable
BEGIN
	PERFORM trigger_engine._check_owner(invoker, (SELECT s.owner FROM trigger_engine._event_schemas s WHERE s.event = event),
		format('the schema of event "%s"', event));
	DELETE FROM trigger_engine._event_schemas s WHERE s.event = event;
	IF NOT FOUND AND NOT coalesce(if_exists, false) THEN
		RAISE EXCEPTION 'there is no schema for event "%"', event USING ERRCODE = 'undefined_object';
	END IF;
	RETURN FOUND;
END
$$;
COMMENT ON FUNCTION trigger_engine._drop_event_schema(name, text, boolean) IS 'Behind drop_event_schema().';

CREATE VIEW trigger_engine.event_schemas AS
SELECT event, schema, on_violation, owner, updated_at FROM trigger_engine._event_schemas;
COMMENT ON VIEW trigger_engine.event_schemas IS 'JSON Schemas of event properties by event name.';

CREATE FUNCTION trigger_engine.release_event(user_id text, event_id bigint) RETURNS void
AS 'MODULE_PATHNAME', 'te_call_as_owner'
LANGUAGE C VOLATILE STRICT;
COMMENT ON FUNCTION trigger_engine.release_event(text, bigint) IS
'Inserts a quarantined event again, under its own id; it is checked and fires as if it had just been inserted. Correct its schema first, or it returns to quarantine.';

CREATE FUNCTION trigger_engine._release_event(invoker name, user_id text, event_id bigint) RETURNS void
LANGUAGE plpgsql
SET search_path = pg_catalog, pg_temp
AS $$
#variable_conflict use_variable
DECLARE
	event trigger_engine.quarantined_events;
BEGIN
	DELETE FROM trigger_engine.quarantined_events q
	WHERE q.user_id = user_id AND q.event_id = event_id RETURNING * INTO event;
	IF NOT FOUND THEN
		RAISE EXCEPTION 'event % of user "%" is not quarantined', event_id, user_id USING ERRCODE = 'undefined_object';
	END IF;
	-- its number is one of the past
	INSERT INTO trigger_engine._segment_touched (user_id) VALUES (user_id);
	INSERT INTO trigger_engine.events (event_id, user_id, name, properties, occurred_at, dedupe_key, context)
	VALUES (event.event_id, event.user_id, event.name, event.properties, event.occurred_at, event.dedupe_key, event.context);
END
$$;
COMMENT ON FUNCTION trigger_engine._release_event(name, text, bigint) IS 'Behind release_event().';
