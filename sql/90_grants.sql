/*
 * Who may do what. Nothing is granted to PUBLIC but pure functions, and what an
 * INSERT of an event calls as the inserting role: the WHEN clause, and the number and
 * the clock of the defaults.
 */
DO $$
DECLARE
	f record;
BEGIN
	FOR f IN SELECT p.oid::pg_catalog.regprocedure AS signature FROM pg_catalog.pg_proc p
		WHERE p.pronamespace = 'trigger_engine'::pg_catalog.regnamespace
	LOOP
		EXECUTE pg_catalog.format('REVOKE ALL ON FUNCTION %s FROM PUBLIC', f.signature);
	END LOOP;
END
$$;

GRANT EXECUTE ON FUNCTION trigger_engine._is_watched(text, text, jsonb, timestamptz, text) TO PUBLIC;
GRANT EXECUTE ON FUNCTION trigger_engine._next_event_id(regclass) TO PUBLIC;
GRANT EXECUTE ON FUNCTION trigger_engine.clock() TO PUBLIC;
GRANT EXECUTE ON FUNCTION trigger_engine._gates(text, text, text) TO PUBLIC;
GRANT EXECUTE ON FUNCTION trigger_engine.render(text, jsonb, text, jsonb, jsonb) TO PUBLIC;
GRANT EXECUTE ON FUNCTION trigger_engine.version() TO PUBLIC;
GRANT USAGE ON SEQUENCE trigger_engine._event_id_seq, trigger_engine._endpoint_id_seq TO PUBLIC;

CREATE FUNCTION trigger_engine._level_objects(level text)
RETURNS TABLE (privilege text, object text)
LANGUAGE sql STABLE
SET search_path = pg_catalog, pg_temp
AS $$
	WITH listed(level, privilege, object) AS (VALUES
		('reader', 'SELECT', '{journeys,segments,templates,providers,event_schemas,tracked_tables,sends,decisions,attempts,enrollments,consents,queue_status,worker_status,quarantined_events,all_events}'),
		('reader', 'EXECUTE', '{explain_send,in_segment,segment_members,_worker_status,_tracked_events}'),
		('app', 'INSERT', '{events}'),
		('app', 'SELECT,INSERT,UPDATE,DELETE', '{users,endpoints}'),
		('app', 'EXECUTE', '{set_consent,inbox,inbox_counts,mark_inbox,in_segment}'),
		('analyst', 'EXECUTE', '{create_segment,drop_segment,create_template,drop_template,create_journey,alter_journey,enable_journey,disable_journey,drop_journey,create_event_schema,drop_event_schema,release_event,cancel_sends,track_table,untrack_table}'),
		('admin', 'EXECUTE', '{create_provider,alter_provider,drop_provider,set_secret,pause,resume,stop_workers,start_workers,wait_until_idle,set_clock,advance_clock,maintain,retry_sends,set_consent}')
	), ranks(level, includes) AS (VALUES ('reader', '{reader}'::text[]), ('app', '{app}'), ('analyst', '{reader,analyst}'),
		('admin', '{reader,analyst,admin}'))
	SELECT l.privilege, CASE WHEN l.privilege = 'EXECUTE' THEN 'FUNCTION ' || p.oid::regprocedure
		ELSE 'TABLE ' || format('trigger_engine.%I', o.name) END
	FROM ranks r JOIN listed l ON l.level = ANY (r.includes) CROSS JOIN LATERAL unnest(l.object::text[]) o(name)
	LEFT JOIN pg_proc p ON l.privilege = 'EXECUTE' AND p.pronamespace = 'trigger_engine'::regnamespace AND p.proname = o.name
	WHERE r.level = $1
$$;
COMMENT ON FUNCTION trigger_engine._level_objects(text) IS 'The grants that make up a level of access.';

CREATE FUNCTION trigger_engine._change_usage(role regrole, level text, statement text) RETURNS void
LANGUAGE plpgsql
SET search_path = pg_catalog, pg_temp
AS $$
#variable_conflict use_variable
DECLARE
	g record;
BEGIN
	IF level IS NULL OR level NOT IN ('reader', 'app', 'analyst', 'admin') THEN
		RAISE EXCEPTION 'unknown level "%"', level USING ERRCODE = 'invalid_parameter_value',
			HINT = 'Levels are reader, app, analyst and admin.';
	END IF;
	FOR g IN SELECT * FROM trigger_engine._level_objects(level)
	LOOP
		EXECUTE format(statement, g.privilege, g.object, role);
	END LOOP;
END
$$;
COMMENT ON FUNCTION trigger_engine._change_usage(regrole, text, text) IS 'Behind grant_usage() and revoke_usage().';

CREATE FUNCTION trigger_engine.grant_usage(role regrole, level text) RETURNS void
LANGUAGE plpgsql
SET search_path = pg_catalog, pg_temp
AS $$
BEGIN
	PERFORM trigger_engine._change_usage(role, level, 'GRANT %s ON %s TO %s');
	EXECUTE format('GRANT USAGE ON SCHEMA trigger_engine TO %s', role);
END
$$;
COMMENT ON FUNCTION trigger_engine.grant_usage(regrole, text) IS
'Gives a role a level of access. reader: views, segments, explanations. app: inserting events, users and endpoints, consent, the inbox. analyst: reader, and segments, templates, journeys, schemas. admin: analyst, and providers, secrets, pause, workers. Called by the extension''s owner.';

CREATE FUNCTION trigger_engine.revoke_usage(role regrole, level text) RETURNS void
LANGUAGE plpgsql
SET search_path = pg_catalog, pg_temp
AS $$
BEGIN
	PERFORM trigger_engine._change_usage(role, level, 'REVOKE %s ON %s FROM %s');
END
$$;
COMMENT ON FUNCTION trigger_engine.revoke_usage(regrole, text) IS 'Takes what grant_usage() gave for a level.';

REVOKE ALL ON FUNCTION trigger_engine.grant_usage(regrole, text), trigger_engine.revoke_usage(regrole, text),
	trigger_engine._change_usage(regrole, text, text), trigger_engine._level_objects(text) FROM PUBLIC;
