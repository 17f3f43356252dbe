/*
 * Segments: registered views with a user_id column.
 */

CREATE FUNCTION trigger_engine.create_segment(name text, view regclass, refresh interval DEFAULT NULL,
	description text DEFAULT NULL, or_replace boolean DEFAULT false, timeout interval DEFAULT NULL,
	work_mem text DEFAULT NULL)
RETURNS void
AS 'MODULE_PATHNAME', 'te_call_as_owner'
LANGUAGE C VOLATILE;
COMMENT ON FUNCTION trigger_engine.create_segment(text, regclass, interval, text, boolean, interval, text) IS
'Registers a view with a user_id column as a segment. It is read as the view''s owner in a restricted operation. The maintenance worker keeps its membership (view segment_memberships, view segment_log): each minute it asks for people with new events, with changed rows in users, endpoints, consents or tracked tables, and for those whose column valid_until (timestamptz, optional) has passed. refresh: how often all of it is looked at for members that come and go with time alone, NULL = every hour. timeout: of one pass, NULL = 1 minute. work_mem: as the setting of that name, for passes. A member that a message is about is asked for at that moment in any case; a delivery worker gives that trigger_engine.segment_timeout. The caller must own the view. A warning names the part of the plan that makes asking for one person expensive. Errors: TE001; TE003 when valid_until holds no time.';

CREATE FUNCTION trigger_engine._create_segment(invoker name, name text, view regclass, refresh interval,
	description text, or_replace boolean, timeout interval, work_mem text)
RETURNS void
LANGUAGE plpgsql
SET search_path = pg_catalog, pg_temp
AS $$
#variable_conflict use_variable
DECLARE
	relation pg_class;
BEGIN
	IF name IS NULL OR name = '' OR view IS NULL THEN
		RAISE EXCEPTION 'name and view are required' USING ERRCODE = 'null_value_not_allowed';
	END IF;
	IF octet_length(name) > 127 THEN
		RAISE EXCEPTION 'segment name "%" is longer than 127 bytes', name USING ERRCODE = 'name_too_long',
			HINT = 'Choose a shorter one.';
	END IF;
	IF refresh <= interval '0' OR NOT isfinite(refresh) THEN
		RAISE EXCEPTION 'refresh of segment "%" must be a positive interval', name USING ERRCODE = 'invalid_parameter_value',
			HINT = 'Give it as in ''5 min'', or leave it out.';
	END IF;
	IF timeout <= interval '0' OR timeout > interval '1 day' THEN
		RAISE EXCEPTION 'timeout of segment "%" must be between 0 and 1 day', name USING ERRCODE = 'TE001',
			HINT = 'Give it as in ''30 s'', or leave it out.';
	END IF;
	IF work_mem IS NOT NULL THEN
		BEGIN
			PERFORM set_config('work_mem', work_mem, true);
		EXCEPTION WHEN invalid_parameter_value THEN
			RAISE EXCEPTION 'work_mem of segment "%" is not a size: %', name, work_mem USING ERRCODE = 'TE001',
				HINT = 'Give it as in ''64MB'', or leave it out.';
		END;
	END IF;
	SELECT * INTO relation FROM pg_class WHERE oid = view;
	IF NOT FOUND OR relation.relkind NOT IN ('v', 'm') THEN
		RAISE EXCEPTION '% is not a view', view USING ERRCODE = 'wrong_object_type',
			HINT = 'Write the segment as CREATE VIEW ... AS SELECT user_id FROM ...';
	END IF;
	IF NOT pg_has_role(invoker, relation.relowner, 'USAGE') THEN
		RAISE EXCEPTION 'must be owner of view %', view USING ERRCODE = 'insufficient_privilege';
	END IF;
	IF NOT EXISTS (SELECT FROM pg_attribute WHERE attrelid = view AND attname = 'user_id' AND attnum > 0 AND NOT attisdropped) THEN
		RAISE EXCEPTION 'view % has no column "user_id"', view USING ERRCODE = 'undefined_column',
			HINT = 'Name the column that identifies the person user_id.';
	END IF;
	IF EXISTS (SELECT FROM pg_attribute WHERE attrelid = view AND attname = 'valid_until' AND attnum > 0 AND NOT attisdropped
			AND atttypid NOT IN ('timestamptz'::regtype, 'timestamp'::regtype, 'date'::regtype)) THEN
		RAISE EXCEPTION 'column "valid_until" of view % holds no time', view USING ERRCODE = 'TE003',
			HINT = 'Make it a timestamptz, or give it another name.';
	END IF;
	PERFORM trigger_engine._stamp_if_empty(invoker);
	IF EXISTS (SELECT FROM trigger_engine._segments s WHERE s.name = name) AND NOT coalesce(or_replace, false) THEN
		RAISE EXCEPTION 'segment "%" exists already', name USING ERRCODE = 'duplicate_object',
			HINT = 'Pass or_replace => true to replace it.';
	END IF;
	PERFORM trigger_engine._check_owner(invoker, (SELECT s.owner FROM trigger_engine._segments s WHERE s.name = name),
		format('segment "%s"', name));
	INSERT INTO trigger_engine._segments VALUES (name, view, invoker, refresh, description, trigger_engine.clock(), timeout, work_mem)
	ON CONFLICT ON CONSTRAINT _segments_pkey DO UPDATE SET view = excluded.view, owner = excluded.owner,
		refresh = excluded.refresh, description = coalesce(excluded.description, _segments.description),
		timeout = excluded.timeout, work_mem = excluded.work_mem;
	-- another view is another membership: all of it is looked at by the next pass
	INSERT INTO trigger_engine._segment_state (segment) VALUES (name)
	ON CONFLICT ON CONSTRAINT _segment_state_pkey DO UPDATE SET full_at = NULL, rest_until = NULL, tried_at = excluded.tried_at, failures = 0, error = NULL
		WHERE _segment_state.passed_at IS NOT NULL;
	-- a first probe shows what a worker would meet
	PERFORM trigger_engine.in_segment(name, '');
	PERFORM trigger_engine._warn_of_cost(name);
END
$$;
COMMENT ON FUNCTION trigger_engine._create_segment(name, text, regclass, interval, text, boolean, interval, text) IS 'Behind create_segment().';

CREATE FUNCTION trigger_engine.drop_segment(name text, if_exists boolean DEFAULT false)
RETURNS boolean
AS 'MODULE_PATHNAME', 'te_call_as_owner'
LANGUAGE C VOLATILE;
COMMENT ON FUNCTION trigger_engine.drop_segment(text, boolean) IS
'Unregisters a segment and ends all membership; its view and its log stay. An error while a journey uses it. Returns whether there was one.';

CREATE FUNCTION trigger_engine._drop_segment(invoker name, name text, if_exists boolean)
RETURNS boolean
LANGUAGE plpgsql
SET search_path = pg_catalog, pg_temp
AS $$
#variable_conflict use_variable
DECLARE
	journey text;
BEGIN
	SELECT j.name INTO journey FROM trigger_engine._journeys j
	JOIN trigger_engine._journey_versions v USING (journey_id, version)
	WHERE (v.segment = name OR v.trigger ->> 'kind' = 'segment' AND v.trigger ->> 'segment' = name) AND j.state <> 'archived' ORDER BY j.name LIMIT 1;
	IF journey IS NOT NULL THEN
		RAISE EXCEPTION 'segment "%" is used by journey "%"', name, journey
			USING ERRCODE = 'dependent_objects_still_exist', HINT = 'Alter or drop the journey first.';
	END IF;
	PERFORM trigger_engine._check_owner(invoker, (SELECT s.owner FROM trigger_engine._segments s WHERE s.name = name),
		format('segment "%s"', name));
	DELETE FROM trigger_engine._segment_state s WHERE s.segment = name;
	DELETE FROM trigger_engine._segment_members m WHERE m.segment = name;
	UPDATE trigger_engine._segment_log l SET left_at = trigger_engine.clock() WHERE l.segment = name AND l.left_at IS NULL;
	DELETE FROM trigger_engine._segments s WHERE s.name = name;
	IF NOT FOUND AND NOT coalesce(if_exists, false) THEN
		RAISE EXCEPTION 'segment "%" does not exist', name USING ERRCODE = 'undefined_object';
	END IF;
	RETURN FOUND;
END
$$;
COMMENT ON FUNCTION trigger_engine._drop_segment(name, text, boolean) IS 'Behind drop_segment().';

CREATE FUNCTION trigger_engine.in_segment(name text, user_id text) RETURNS boolean
AS 'MODULE_PATHNAME', 'te_in_segment'
LANGUAGE C STABLE STRICT PARALLEL UNSAFE;
COMMENT ON FUNCTION trigger_engine.in_segment(text, text) IS
'Whether the user is in the segment now: an exact probe of the view for one user, in the caller''s transaction, as the view''s owner. Errors: an unknown segment; TE003 when its view has lost the column user_id; what the view''s SQL throws, with the segment named in the context.';

CREATE FUNCTION trigger_engine.segment_members(name text) RETURNS SETOF text
AS 'MODULE_PATHNAME', 'te_segment_members'
LANGUAGE C STABLE STRICT PARALLEL UNSAFE;
COMMENT ON FUNCTION trigger_engine.segment_members(text) IS
'All users in the segment now, each once, read as the view''s owner.';

/* ---- plans ---- */

CREATE FUNCTION trigger_engine._segment_plan(name text, what text) RETURNS text
AS 'MODULE_PATHNAME', 'te_segment_plan'
LANGUAGE C VOLATILE STRICT PARALLEL UNSAFE;
COMMENT ON FUNCTION trigger_engine._segment_plan(text, text) IS
'The server''s plan for all members (what = all) or for one person (what = one), as JSON, made as the view''s owner.';

CREATE FUNCTION trigger_engine._plan_nodes(plan jsonb) RETURNS TABLE (node text, cost float8)
LANGUAGE sql IMMUTABLE
SET search_path = pg_catalog, pg_temp
AS $$
	WITH RECURSIVE nodes(part) AS (
		SELECT plan
		UNION ALL
		SELECT child FROM nodes, jsonb_array_elements(part -> 'Plans') child
	)
	SELECT concat_ws(' ', part ->> 'Node Type', 'on ' || (part ->> 'Relation Name'), 'of ' || (part ->> 'Function Name')),
		(part ->> 'Total Cost')::float8
			- coalesce((SELECT sum((child ->> 'Total Cost')::float8) FROM jsonb_array_elements(part -> 'Plans') child), 0)
	FROM nodes
$$;
COMMENT ON FUNCTION trigger_engine._plan_nodes(jsonb) IS 'The nodes of a plan with what each adds to its cost, in the planner''s units.';

CREATE FUNCTION trigger_engine._warn_of_cost(name text) RETURNS void
LANGUAGE plpgsql
SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
	one	  jsonb := trigger_engine._segment_plan(name, 'one')::jsonb -> 0 -> 'Plan';
	worst record;
BEGIN
	-- what some tens of thousands of rows cost to read
	IF (one ->> 'Total Cost')::float8 > 1000 THEN
		SELECT * INTO worst FROM trigger_engine._plan_nodes(one) ORDER BY cost DESC LIMIT 1;
		RAISE WARNING 'segment "%" cannot ask for one person cheaply: the plan costs %', name, round((one ->> 'Total Cost')::numeric)
			USING DETAIL = format('Most of it is: %s.', worst.node),
				HINT = 'Let the view compare user_id itself, without a cast or a function around it, outside of window functions and LIMIT, and have an index on the column beneath it. See trigger_engine.explain_segment().';
	END IF;
END
$$;
COMMENT ON FUNCTION trigger_engine._warn_of_cost(text) IS 'Warns of a segment whose probe reads much, and names the node of the plan.';

CREATE FUNCTION trigger_engine.explain_segment(name text) RETURNS jsonb
AS 'MODULE_PATHNAME', 'te_call_as_owner'
LANGUAGE C VOLATILE STRICT;
COMMENT ON FUNCTION trigger_engine.explain_segment(text) IS
'What a segment costs, as JSON: for all members and for one person the cost in the planner''s units, the rows expected and the parts of the plan that cost most; then durations of the last passes in ms, the lag, the last error. Plans are made, nothing is run. Only the owner of the segment may ask, since a plan tells about rows. Errors: an unknown segment.';

CREATE FUNCTION trigger_engine._explain_segment(invoker name, name text) RETURNS jsonb
LANGUAGE plpgsql
SET search_path = pg_catalog, pg_temp
AS $$
#variable_conflict use_variable
DECLARE
	result jsonb := '{}';
	what   text;
	plan   jsonb;
BEGIN
	PERFORM trigger_engine._check_owner(invoker, (SELECT s.owner FROM trigger_engine._segments s WHERE s.name = name),
		format('segment "%s"', name));
	FOREACH what IN ARRAY ARRAY['all', 'one']
	LOOP
		plan := trigger_engine._segment_plan(name, what)::jsonb -> 0 -> 'Plan';
		result := result || jsonb_build_object(what, jsonb_build_object('cost', plan -> 'Total Cost', 'rows', plan -> 'Plan Rows',
			'nodes', (SELECT jsonb_agg(jsonb_build_object('node', n.node, 'cost', round(n.cost::numeric, 2)))
				FROM (SELECT * FROM trigger_engine._plan_nodes(plan) ORDER BY cost DESC LIMIT 5) n)));
	END LOOP;
	RETURN result || (SELECT jsonb_build_object('last_pass_ms', extract(epoch FROM t.took) * 1000,
			'last_full_pass_ms', extract(epoch FROM t.full_took) * 1000, 'people_looked_at', t.looked_at,
			'lag', trigger_engine.clock() - t.passed_at, 'error', t.error)
		FROM trigger_engine._segment_state t WHERE t.segment = name);
END
$$;
COMMENT ON FUNCTION trigger_engine._explain_segment(name, text) IS 'Behind explain_segment().';

CREATE VIEW trigger_engine.segments AS
SELECT name, view, owner, refresh, description, created_at FROM trigger_engine._segments;
COMMENT ON VIEW trigger_engine.segments IS 'Registered segments and their views.';
