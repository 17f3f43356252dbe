/*
 * The in-app inbox.
 */

CREATE INDEX inbox_unarchived ON trigger_engine.inbox (user_id, created_at DESC) WHERE archived_at IS NULL;

ALTER TABLE trigger_engine.inbox ENABLE ROW LEVEL SECURITY;
CREATE POLICY inbox_of_one_user ON trigger_engine.inbox
	USING (user_id OPERATOR(pg_catalog.=) pg_catalog.current_setting('trigger_engine.user_id', true))
	WITH CHECK (user_id OPERATOR(pg_catalog.=) pg_catalog.current_setting('trigger_engine.user_id', true));

CREATE FUNCTION trigger_engine.inbox(user_id text, archived boolean DEFAULT false, max_messages integer DEFAULT 50,
	before timestamptz DEFAULT NULL)
RETURNS SETOF trigger_engine.inbox
LANGUAGE sql STABLE SECURITY DEFINER
SET search_path = pg_catalog, pg_temp
AS $$
	SELECT m.* FROM trigger_engine.inbox m
	WHERE m.user_id = $1 AND (m.archived_at IS NOT NULL) = coalesce($2, false)
		AND (m.expires_at IS NULL OR m.expires_at > trigger_engine.clock())
		AND (m.snoozed_until IS NULL OR m.snoozed_until <= trigger_engine.clock())
		AND ($4 IS NULL OR m.created_at < $4)
	ORDER BY m.created_at DESC, m.send_id DESC LIMIT greatest($3, 0)
$$;
COMMENT ON FUNCTION trigger_engine.inbox(text, boolean, integer, timestamptz) IS
'A user''s messages, newest first: without expired and snoozed ones, archived ones only when asked for. before: created_at of the last one seen, for paging.';

CREATE FUNCTION trigger_engine.inbox_counts(user_id text)
RETURNS TABLE (total bigint, unseen bigint, unread bigint, snoozed bigint, archived bigint)
LANGUAGE sql STABLE SECURITY DEFINER
SET search_path = pg_catalog, pg_temp
AS $$
	SELECT count(*) FILTER (WHERE m.archived_at IS NULL AND NOT s.snoozed),
		count(*) FILTER (WHERE m.archived_at IS NULL AND NOT s.snoozed AND m.seen_at IS NULL),
		count(*) FILTER (WHERE m.archived_at IS NULL AND NOT s.snoozed AND m.read_at IS NULL),
		count(*) FILTER (WHERE m.archived_at IS NULL AND s.snoozed),
		count(*) FILTER (WHERE m.archived_at IS NOT NULL)
	FROM trigger_engine.inbox m
	CROSS JOIN LATERAL (SELECT coalesce(m.snoozed_until > trigger_engine.clock(), false) AS snoozed) s
	WHERE m.user_id = $1 AND (m.expires_at IS NULL OR m.expires_at > trigger_engine.clock())
$$;
COMMENT ON FUNCTION trigger_engine.inbox_counts(text) IS
'Badge counts of a user''s inbox: messages shown, not yet seen, not yet read, snoozed, archived.';

CREATE FUNCTION trigger_engine.mark_inbox(user_id text, action text, send_ids bigint[] DEFAULT NULL,
	snooze_until timestamptz DEFAULT NULL)
RETURNS bigint
LANGUAGE plpgsql SECURITY DEFINER
SET search_path = pg_catalog, pg_temp
AS $$
#variable_conflict use_variable
DECLARE
	now timestamptz := trigger_engine.clock();
	changed bigint;
	news bigint[];
BEGIN
	IF action IS NULL OR action NOT IN ('seen', 'unseen', 'read', 'unread', 'archived', 'unarchived', 'interacted',
		'snoozed', 'unsnoozed') THEN
		RAISE EXCEPTION 'unknown inbox action "%"', action USING ERRCODE = 'invalid_parameter_value',
			HINT = 'Actions are seen, unseen, read, unread, archived, unarchived, interacted, snoozed and unsnoozed.';
	END IF;
	IF (action = 'snoozed') <> (snooze_until IS NOT NULL) THEN
		RAISE EXCEPTION 'snooze_until goes with the action "snoozed" and only with it' USING ERRCODE = 'invalid_parameter_value';
	END IF;
	SELECT array_agg(m.send_id ORDER BY m.send_id) INTO news FROM trigger_engine.inbox m
	WHERE m.user_id = user_id AND (send_ids IS NULL OR m.send_id = ANY (send_ids))
		AND CASE WHEN action IN ('seen', 'read') THEN m.seen_at IS NULL AND m.read_at IS NULL
			WHEN action = 'interacted' THEN m.interacted_at IS NULL
			WHEN action = 'archived' THEN m.archived_at IS NULL END;
	UPDATE trigger_engine.inbox m SET
		seen_at = CASE WHEN action IN ('seen', 'read', 'interacted') THEN coalesce(m.seen_at, now)
			WHEN action = 'unseen' THEN NULL ELSE m.seen_at END,
		read_at = CASE WHEN action IN ('read', 'interacted') THEN coalesce(m.read_at, now)
			WHEN action IN ('unread', 'unseen') THEN NULL ELSE m.read_at END,
		archived_at = CASE WHEN action = 'archived' THEN coalesce(m.archived_at, now)
			WHEN action = 'unarchived' THEN NULL ELSE m.archived_at END,
		interacted_at = CASE WHEN action = 'interacted' THEN coalesce(m.interacted_at, now) ELSE m.interacted_at END,
		snoozed_until = CASE WHEN action = 'snoozed' THEN snooze_until
			WHEN action = 'unsnoozed' THEN NULL ELSE m.snoozed_until END
	WHERE m.user_id = user_id AND (send_ids IS NULL OR m.send_id = ANY (send_ids));
	GET DIAGNOSTICS changed = ROW_COUNT;
	IF news IS NOT NULL THEN
		PERFORM trigger_engine._record_for_user(user_id, news, CASE action WHEN 'interacted' THEN 'clicked'
			WHEN 'archived' THEN 'dismissed' ELSE 'opened' END);
	END IF;
	RETURN changed;
END
$$;
COMMENT ON FUNCTION trigger_engine.mark_inbox(text, text, bigint[], timestamptz) IS
'Marks messages of a user: seen, read (implies seen), interacted (implies read), archived, snoozed (with snooze_until), or the reverse. send_ids NULL = all of them. The first time is an interaction as well: seen or read is opened, interacted is clicked, archived is dismissed. Returns how many rows.';
