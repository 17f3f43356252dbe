/*
 * Pressure: quiet hours, send windows and frequency caps.
 */

CREATE FUNCTION trigger_engine._check_quiet_hours(windows jsonb, scope jsonb, zone text) RETURNS void
AS 'MODULE_PATHNAME', 'te_check_quiet_hours'
LANGUAGE C STABLE PARALLEL SAFE;
COMMENT ON FUNCTION trigger_engine._check_quiet_hours(jsonb, jsonb, text) IS 'Throws, naming part and key, where quiet hours make no sense.';

CREATE FUNCTION trigger_engine._check_cap(max integer, per interval, scope jsonb, "window" text) RETURNS void
AS 'MODULE_PATHNAME', 'te_check_cap'
LANGUAGE C IMMUTABLE STRICT PARALLEL SAFE;
COMMENT ON FUNCTION trigger_engine._check_cap(integer, interval, jsonb, text) IS 'Throws, naming part and key, where a cap makes no sense.';

CREATE FUNCTION trigger_engine._check_user_limits(quiet_hours jsonb, caps jsonb) RETURNS void
AS 'MODULE_PATHNAME', 'te_check_user_limits'
LANGUAGE C IMMUTABLE PARALLEL SAFE;
COMMENT ON FUNCTION trigger_engine._check_user_limits(jsonb, jsonb) IS 'Throws, naming part and key, where a user''s own limits make no sense.';

/* ---- quiet hours ---- */

CREATE FUNCTION trigger_engine.create_quiet_hours(name text, windows jsonb, scope jsonb DEFAULT '{}',
	kind text DEFAULT 'quiet', on_quiet text DEFAULT 'hold', zone text DEFAULT NULL, or_replace boolean DEFAULT false)
RETURNS void
AS 'MODULE_PATHNAME', 'te_call_as_owner'
LANGUAGE C VOLATILE;
COMMENT ON FUNCTION trigger_engine.create_quiet_hours(text, jsonb, jsonb, text, text, text, boolean) IS
'Hours in which no message is sent, or with kind send_window those outside of which none is. windows: [{"from": "22:00", "to": "08:00", "days": ["mon", ...]}] in local time; one whose end is not after its beginning reaches into the next day, and days are those on which it begins. scope: {"channel", "topic", "journey", "purpose"} it applies to, {} = all. on_quiet: hold until they end, or drop. zone: an IANA name, NULL = the reader''s (the user''s, else trigger_engine.default_zone). Evaluation goes on meanwhile; what is held is decided anew when its time comes. Transactional messages are exempt. Errors: TE001.';

CREATE FUNCTION trigger_engine._create_quiet_hours(invoker name, name text, windows jsonb, scope jsonb, kind text,
	on_quiet text, zone text, or_replace boolean)
RETURNS void
LANGUAGE plpgsql
SET search_path = pg_catalog, pg_temp
AS $$
#variable_conflict use_variable
BEGIN
	IF name IS NULL OR name = '' OR windows IS NULL THEN
		RAISE EXCEPTION 'name and windows are required' USING ERRCODE = 'null_value_not_allowed';
	END IF;
	IF coalesce(kind, '') NOT IN ('quiet', 'send_window') THEN
		RAISE EXCEPTION 'kind must be "quiet" or "send_window"' USING ERRCODE = 'TE001';
	ELSIF coalesce(on_quiet, '') NOT IN ('hold', 'drop') THEN
		RAISE EXCEPTION 'on_quiet must be "hold" or "drop"' USING ERRCODE = 'TE001';
	END IF;
	PERFORM trigger_engine._check_quiet_hours(windows, coalesce(scope, '{}'), zone);
	PERFORM trigger_engine._stamp_if_empty(invoker);
	IF EXISTS (SELECT FROM trigger_engine._quiet_hours q WHERE q.name = name) THEN
		IF NOT coalesce(or_replace, false) THEN
			RAISE EXCEPTION 'quiet hours "%" exist already', name USING ERRCODE = 'duplicate_object',
				HINT = 'Pass or_replace => true to replace them.';
		END IF;
		PERFORM trigger_engine._check_owner(invoker, q.owner, format('quiet hours "%s"', name))
		FROM trigger_engine._quiet_hours q WHERE q.name = name;
	END IF;
	INSERT INTO trigger_engine._quiet_hours
	VALUES (name, windows, coalesce(scope, '{}'), kind, on_quiet, zone, invoker, trigger_engine.clock())
	ON CONFLICT ON CONSTRAINT _quiet_hours_pkey DO UPDATE SET windows = excluded.windows, scope = excluded.scope,
		kind = excluded.kind, on_quiet = excluded.on_quiet, zone = excluded.zone, owner = excluded.owner;
END
$$;
COMMENT ON FUNCTION trigger_engine._create_quiet_hours(name, text, jsonb, jsonb, text, text, text, boolean) IS 'Behind create_quiet_hours().';

CREATE FUNCTION trigger_engine.drop_quiet_hours(name text, if_exists boolean DEFAULT false) RETURNS boolean
AS 'MODULE_PATHNAME', 'te_call_as_owner'
LANGUAGE C VOLATILE;
COMMENT ON FUNCTION trigger_engine.drop_quiet_hours(text, boolean) IS
'Drops quiet hours; what they hold is looked at again when they would have ended. Returns whether there were any of that name.';

CREATE FUNCTION trigger_engine._drop_quiet_hours(invoker name, name text, if_exists boolean) RETURNS boolean
LANGUAGE plpgsql
SET search_path = pg_catalog, pg_temp
AS $$
#variable_conflict use_variable
BEGIN
	PERFORM trigger_engine._check_owner(invoker, q.owner, format('quiet hours "%s"', name))
	FROM trigger_engine._quiet_hours q WHERE q.name = name;
	DELETE FROM trigger_engine._quiet_hours q WHERE q.name = name;
	IF NOT FOUND AND NOT coalesce(if_exists, false) THEN
		RAISE EXCEPTION 'quiet hours "%" do not exist', name USING ERRCODE = 'undefined_object';
	END IF;
	RETURN FOUND;
END
$$;
COMMENT ON FUNCTION trigger_engine._drop_quiet_hours(name, text, boolean) IS 'Behind drop_quiet_hours().';

CREATE VIEW trigger_engine.quiet_hours AS
SELECT name, windows, scope, kind, on_quiet, zone, owner, created_at FROM trigger_engine._quiet_hours;
COMMENT ON VIEW trigger_engine.quiet_hours IS 'Quiet hours and send windows; a NULL zone is the reader''s own.';

/* ---- caps ---- */

CREATE FUNCTION trigger_engine._fill_slots(of_user text, since timestamptz) RETURNS void
LANGUAGE sql
SET search_path = pg_catalog, pg_temp
AS $$
	INSERT INTO trigger_engine._slots (user_id, journey_id, entry_key, step, channel, at, topic, journey, purpose, priority, used)
	SELECT s.user_id, s.journey_id, s.entry_key, s.step, s.channel, coalesce(s.handed_over_at, s.finished_at), v.topic, j.name,
		v.purpose, v.priority, true
	FROM trigger_engine._sends s JOIN trigger_engine._journeys j USING (journey_id)
	JOIN trigger_engine._journey_versions v ON v.journey_id = s.journey_id AND v.version = s.version
	WHERE s.state IN ('accepted', 'unknown') AND s.finished_at > since AND (of_user IS NULL OR s.user_id = of_user)
		AND NOT v.transactional
	ON CONFLICT DO NOTHING
$$;
COMMENT ON FUNCTION trigger_engine._fill_slots(text, timestamptz) IS
'Gives earlier messages their slots, so that a new cap counts them: those of a user, or of all.';

CREATE FUNCTION trigger_engine.create_cap(name text, max integer, per interval, scope jsonb DEFAULT '{}',
	"window" text DEFAULT 'rolling', on_excess text DEFAULT 'defer', or_replace boolean DEFAULT false)
RETURNS void
AS 'MODULE_PATHNAME', 'te_call_as_owner'
LANGUAGE C VOLATILE;
COMMENT ON FUNCTION trigger_engine.create_cap(text, integer, interval, jsonb, text, text, boolean) IS
'At most max messages to a person per interval. max 0 = none, NULL = no limit. scope: {"channel", "topic", "journey", "purpose"} that are counted and limited together, {} = all; a minimum gap is a cap of 1. window: rolling (any stretch of that length) or calendar (an hour, a day, a week from Monday or a month of the reader''s zone). on_excess: defer to the first instant with room within the journey''s ttl, or drop. Planned messages count, so that concurrent ones cannot overshoot; the journey with the higher priority goes first. Messages of the last interval are counted from the start. Transactional messages neither count nor wait. Errors: TE001.';

CREATE FUNCTION trigger_engine._create_cap(invoker name, name text, max integer, per interval, scope jsonb,
	"window" text, on_excess text, or_replace boolean)
RETURNS void
LANGUAGE plpgsql
SET search_path = pg_catalog, pg_temp
AS $$
#variable_conflict use_variable
BEGIN
	IF name IS NULL OR name = '' OR per IS NULL THEN
		RAISE EXCEPTION 'name and per are required' USING ERRCODE = 'null_value_not_allowed';
	END IF;
	IF coalesce("window", '') NOT IN ('rolling', 'calendar') THEN
		RAISE EXCEPTION 'window must be "rolling" or "calendar"' USING ERRCODE = 'TE001';
	ELSIF coalesce(on_excess, '') NOT IN ('defer', 'drop') THEN
		RAISE EXCEPTION 'on_excess must be "defer" or "drop"' USING ERRCODE = 'TE001';
	END IF;
	PERFORM trigger_engine._check_cap(coalesce(max, 1), per, coalesce(scope, '{}'), "window");
	PERFORM trigger_engine._stamp_if_empty(invoker);
	IF EXISTS (SELECT FROM trigger_engine._caps c WHERE c.name = name) THEN
		IF NOT coalesce(or_replace, false) THEN
			RAISE EXCEPTION 'cap "%" exists already', name USING ERRCODE = 'duplicate_object',
				HINT = 'Pass or_replace => true to replace it.';
		END IF;
		PERFORM trigger_engine._check_owner(invoker, c.owner, format('cap "%s"', name))
		FROM trigger_engine._caps c WHERE c.name = name;
	END IF;
	INSERT INTO trigger_engine._caps
	VALUES (name, max, per, coalesce(scope, '{}'), "window", on_excess, invoker, trigger_engine.clock())
	ON CONFLICT ON CONSTRAINT _caps_pkey DO UPDATE SET max = excluded.max, per = excluded.per, scope = excluded.scope,
		"window" = excluded."window", on_excess = excluded.on_excess, owner = excluded.owner;
	PERFORM trigger_engine._fill_slots(NULL, trigger_engine.clock() - per);
END
$$;
COMMENT ON FUNCTION trigger_engine._create_cap(name, text, integer, interval, jsonb, text, text, boolean) IS 'Behind create_cap().';

CREATE FUNCTION trigger_engine.drop_cap(name text, if_exists boolean DEFAULT false) RETURNS boolean
AS 'MODULE_PATHNAME', 'te_call_as_owner'
LANGUAGE C VOLATILE;
COMMENT ON FUNCTION trigger_engine.drop_cap(text, boolean) IS
'Drops a cap; what it holds is looked at again when there would have been room. Returns whether there was one.';

CREATE FUNCTION trigger_engine._drop_cap(invoker name, name text, if_exists boolean) RETURNS boolean
LANGUAGE plpgsql
SET search_path = pg_catalog, pg_temp
AS $$
#variable_conflict use_variable
BEGIN
	PERFORM trigger_engine._check_owner(invoker, c.owner, format('cap "%s"', name))
	FROM trigger_engine._caps c WHERE c.name = name;
	DELETE FROM trigger_engine._caps c WHERE c.name = name;
	IF NOT FOUND AND NOT coalesce(if_exists, false) THEN
		RAISE EXCEPTION 'cap "%" does not exist', name USING ERRCODE = 'undefined_object';
	END IF;
	RETURN FOUND;
END
$$;
COMMENT ON FUNCTION trigger_engine._drop_cap(name, text, boolean) IS 'Behind drop_cap().';

CREATE VIEW trigger_engine.caps AS
SELECT name, max, per, scope, "window", on_excess, owner, created_at FROM trigger_engine._caps;
COMMENT ON VIEW trigger_engine.caps IS 'Frequency caps; a NULL max is no limit.';

/* ---- limits that users choose ---- */

CREATE FUNCTION trigger_engine.set_message_limits(user_id text, quiet_hours jsonb DEFAULT NULL, caps jsonb DEFAULT NULL)
RETURNS void
AS 'MODULE_PATHNAME', 'te_call_as_owner'
LANGUAGE C VOLATILE;
COMMENT ON FUNCTION trigger_engine.set_message_limits(text, jsonb, jsonb) IS
'What a user has chosen: quiet_hours as the windows of create_quiet_hours(), caps as [{"max": 1, "per": "1 day", "window": "rolling" | "calendar", "channel", "topic"}], per at most a month. They hold beside the limits for all. NULL leaves a part as it is, [] takes it away. Errors: TE001.';

CREATE FUNCTION trigger_engine._set_message_limits(invoker name, user_id text, quiet_hours jsonb, caps jsonb)
RETURNS void
LANGUAGE plpgsql
SET search_path = pg_catalog, pg_temp
AS $$
#variable_conflict use_variable
DECLARE
	back interval;
BEGIN
	IF user_id IS NULL OR user_id = '' THEN
		RAISE EXCEPTION 'user_id is required' USING ERRCODE = 'null_value_not_allowed';
	END IF;
	PERFORM trigger_engine._check_user_limits(nullif(quiet_hours, '[]'), caps);
	PERFORM trigger_engine._stamp_if_empty(invoker);
	INSERT INTO trigger_engine._user_limits VALUES (user_id, nullif(quiet_hours, '[]'), nullif(caps, '[]'), trigger_engine.clock())
	ON CONFLICT ON CONSTRAINT _user_limits_pkey DO UPDATE SET
		quiet_hours = CASE WHEN quiet_hours IS NULL THEN _user_limits.quiet_hours ELSE excluded.quiet_hours END,
		caps = CASE WHEN caps IS NULL THEN _user_limits.caps ELSE excluded.caps END, updated_at = excluded.updated_at;
	SELECT max(CASE WHEN jsonb_typeof(c -> 'per') = 'number' THEN make_interval(secs => (c ->> 'per')::float8)
		ELSE (c ->> 'per')::interval END) INTO back FROM jsonb_array_elements(caps) c;
	IF back IS NOT NULL THEN
		PERFORM trigger_engine._fill_slots(user_id, trigger_engine.clock() - back);
	END IF;
END
$$;
COMMENT ON FUNCTION trigger_engine._set_message_limits(name, text, jsonb, jsonb) IS 'Behind set_message_limits().';
