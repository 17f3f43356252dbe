/*
 * Segments: registered views with a user_id column.
 */

CREATE FUNCTION trigger_engine.create_segment(name text, view regclass, refresh interval DEFAULT NULL,
	description text DEFAULT NULL, or_replace boolean DEFAULT false)
RETURNS void
AS 'MODULE_PATHNAME', 'te_call_as_owner'
LANGUAGE C VOLATILE;
COMMENT ON FUNCTION trigger_engine.create_segment(text, regclass, interval, text, boolean) IS
'Registers a view with a user_id column as a segment. It is read as the view''s owner in a restricted operation. refresh: how often all of it is looked at for members that come and go with time alone, NULL = by default; a member that a message is about is asked for at that moment in any case. The caller must own the view. A worker gives it trigger_engine.segment_timeout.';

CREATE FUNCTION trigger_engine._create_segment(invoker name, name text, view regclass, refresh interval,
	description text, or_replace boolean)
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
	PERFORM trigger_engine._stamp_if_empty(invoker);
	IF EXISTS (SELECT FROM trigger_engine._segments s WHERE s.name = name) AND NOT coalesce(or_replace, false) THEN
		RAISE EXCEPTION 'segment "%" exists already', name USING ERRCODE = 'duplicate_object',
			HINT = 'Pass or_replace => true to replace it.';
	END IF;
	PERFORM trigger_engine._check_owner(invoker, (SELECT s.owner FROM trigger_engine._segments s WHERE s.name = name),
		format('segment "%s"', name));
	INSERT INTO trigger_engine._segments VALUES (name, view, invoker, refresh, description, trigger_engine.clock())
	ON CONFLICT ON CONSTRAINT _segments_pkey DO UPDATE SET view = excluded.view, owner = excluded.owner,
		refresh = excluded.refresh, description = coalesce(excluded.description, _segments.description);
	-- a first probe shows what a worker would meet
	PERFORM trigger_engine.in_segment(name, '');
END
$$;
COMMENT ON FUNCTION trigger_engine._create_segment(name, text, regclass, interval, text, boolean) IS 'Behind create_segment().';

CREATE FUNCTION trigger_engine.drop_segment(name text, if_exists boolean DEFAULT false)
RETURNS boolean
AS 'MODULE_PATHNAME', 'te_call_as_owner'
LANGUAGE C VOLATILE;
COMMENT ON FUNCTION trigger_engine.drop_segment(text, boolean) IS
'Unregisters a segment; its view stays. An error while a journey uses it. Returns whether there was one.';

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
	WHERE v.segment = name AND j.state <> 'archived' ORDER BY j.name LIMIT 1;
	IF journey IS NOT NULL THEN
		RAISE EXCEPTION 'segment "%" is used by journey "%"', name, journey
			USING ERRCODE = 'dependent_objects_still_exist', HINT = 'Alter or drop the journey first.';
	END IF;
	PERFORM trigger_engine._check_owner(invoker, (SELECT s.owner FROM trigger_engine._segments s WHERE s.name = name),
		format('segment "%s"', name));
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

CREATE VIEW trigger_engine.segments AS
SELECT name, view, owner, refresh, description, created_at FROM trigger_engine._segments;
COMMENT ON VIEW trigger_engine.segments IS 'Registered segments and their views.';
