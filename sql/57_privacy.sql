/*
 * What is kept about a person, as one document, and its erasure. Both go by the catalogue:
 * every table of the schema that has a column user_id is covered.
 */

CREATE TABLE trigger_engine._tombstones (
	digest	  bytea PRIMARY KEY,
	erased_at timestamptz NOT NULL
);
COMMENT ON TABLE trigger_engine._tombstones IS 'SHA-256 of the ids of users who were erased: their late events are dropped. Written by erase_user().';

CREATE TRIGGER _invalidate AFTER INSERT OR UPDATE OR DELETE OR TRUNCATE ON trigger_engine._tombstones
	FOR EACH STATEMENT EXECUTE FUNCTION trigger_engine._invalidate();

CREATE FUNCTION trigger_engine._user_tables() RETURNS TABLE (relation regclass, name name)
LANGUAGE sql STABLE
SET search_path = pg_catalog, pg_temp
AS $$
	SELECT c.oid::regclass, c.relname FROM pg_class c JOIN pg_attribute a ON a.attrelid = c.oid AND a.attname = 'user_id'
	WHERE c.relnamespace = 'trigger_engine'::regnamespace AND c.relkind IN ('r', 'p') AND NOT c.relispartition
		AND a.attnum > 0 AND NOT a.attisdropped
	ORDER BY c.relname
$$;
COMMENT ON FUNCTION trigger_engine._user_tables() IS 'Every table of the schema that has rows of users; partitions count as their parent.';

CREATE FUNCTION trigger_engine.export_user(user_id text) RETURNS jsonb
AS 'MODULE_PATHNAME', 'te_call_as_owner'
LANGUAGE C VOLATILE;
COMMENT ON FUNCTION trigger_engine.export_user(text) IS
'All that the engine keeps about a user, as one JSON object: an array of rows for each table that has some, and under_way for messages that a worker holds. Rows of tracked tables are the application''s, and not in it.';

CREATE FUNCTION trigger_engine._export_user(invoker name, user_id text) RETURNS jsonb
LANGUAGE plpgsql
SET search_path = pg_catalog, pg_temp
AS $$
#variable_conflict use_variable
DECLARE
	t record;
	found_rows jsonb;
	result jsonb := '{}';
BEGIN
	IF user_id IS NULL OR user_id = '' THEN
		RAISE EXCEPTION 'user_id is required' USING ERRCODE = 'null_value_not_allowed';
	END IF;
	FOR t IN SELECT * FROM trigger_engine._user_tables()
	LOOP
		EXECUTE format('SELECT jsonb_agg(to_jsonb(r)) FROM %s r WHERE r.user_id = $1', t.relation) INTO found_rows USING user_id;
		IF found_rows IS NOT NULL THEN
			result := result || jsonb_build_object(ltrim(t.name, '_'), found_rows);
		END IF;
	END LOOP;
	SELECT jsonb_agg(to_jsonb(o)) INTO found_rows FROM trigger_engine._open_items o WHERE o.user_id = user_id;
	IF found_rows IS NOT NULL THEN
		result := result || jsonb_build_object('under_way', found_rows);
	END IF;
	RETURN result;
END
$$;
COMMENT ON FUNCTION trigger_engine._export_user(name, text) IS 'Behind export_user().';

CREATE FUNCTION trigger_engine._erase_rows(user_id text, pseudonym text) RETURNS jsonb
LANGUAGE plpgsql
SET search_path = pg_catalog, pg_temp
AS $$
#variable_conflict use_variable
DECLARE
	t record;
	n bigint;
	result jsonb := '{}';
BEGIN
	FOR t IN SELECT * FROM trigger_engine._user_tables() u WHERE u.name <> '_erasures'
	LOOP
		CASE t.name
			-- what counts and results are made of stays, under a name that leads to nobody
			WHEN '_sends' THEN
				UPDATE trigger_engine._sends s SET user_id = pseudonym, provider_ref = NULL, response = NULL, detail = NULL,
					-- what a receiver answered may quote an address
					reason = CASE WHEN s.handed_over_at IS NULL AND strpos(s.reason, user_id) = 0 THEN s.reason END,
					entry_key = encode(sha256(convert_to(pseudonym || s.entry_key, 'UTF8')), 'hex')
				WHERE s.user_id = user_id;
			WHEN '_attempts' THEN
				UPDATE trigger_engine._attempts a SET user_id = pseudonym, reason = NULL, response = NULL WHERE a.user_id = user_id;
			WHEN '_enrollments' THEN
				UPDATE trigger_engine._enrollments e SET user_id = pseudonym,
					entry_key = encode(sha256(convert_to(pseudonym || e.entry_key, 'UTF8')), 'hex')
				WHERE e.user_id = user_id;
			ELSE
				EXECUTE format('DELETE FROM %s r WHERE r.user_id = $1', t.relation) USING user_id;
		END CASE;
		GET DIAGNOSTICS n = ROW_COUNT;
		IF n > 0 THEN
			result := result || jsonb_build_object(ltrim(t.name, '_'), n);
		END IF;
	END LOOP;
	RETURN result;
END
$$;
COMMENT ON FUNCTION trigger_engine._erase_rows(text, text) IS
'Removes the rows of a user from every table, or moves them to the pseudonym; how many by table.';

CREATE FUNCTION trigger_engine.erase_user(user_id text) RETURNS jsonb
AS 'MODULE_PATHNAME', 'te_call_as_owner'
LANGUAGE C VOLATILE;
COMMENT ON FUNCTION trigger_engine.erase_user(text) IS
'Erases a user from every table, queue, inbox and log of the engine. Sends, attempts and enrollments stay as counts, under a random pseudonym and without contents. A tombstone, a digest of the id, has later events of that id dropped. Addresses of the user on the suppression list become digests. A message that a worker holds at that moment is withheld unless it has left already; what it and transactions of that moment still write is erased by the maintenance that follows, and until then the id itself stays known. Rows of tracked tables are the application''s own. Returns the number of rows by table, and under_way. There is no way back. Must run under READ COMMITTED.';

CREATE FUNCTION trigger_engine._erase_user(invoker name, user_id text) RETURNS jsonb
LANGUAGE plpgsql
SET search_path = pg_catalog, pg_temp
AS $$
#variable_conflict use_variable
DECLARE
	pseudonym text;
	result jsonb;
	open_items bigint;
BEGIN
	IF user_id IS NULL OR user_id = '' THEN
		RAISE EXCEPTION 'user_id is required' USING ERRCODE = 'null_value_not_allowed';
	END IF;
	-- one erasure of a user at a time, and all of it under one pseudonym
	INSERT INTO trigger_engine._erasures AS e VALUES (user_id, trigger_engine.clock(), 'erased/' || gen_random_uuid())
	ON CONFLICT ON CONSTRAINT _erasures_pkey DO UPDATE SET requested_at = e.requested_at
	RETURNING e.pseudonym INTO pseudonym;
	INSERT INTO trigger_engine._tombstones VALUES (sha256(convert_to(user_id, getdatabaseencoding())), trigger_engine.clock())
	ON CONFLICT DO NOTHING;
	UPDATE trigger_engine._suppressed_addresses s SET address = NULL FROM trigger_engine.endpoints e
	WHERE e.user_id = user_id AND s.digest = trigger_engine._address_digest(e.address);
	result := trigger_engine._erase_rows(user_id, pseudonym);
	SELECT count(*) INTO open_items FROM trigger_engine._batches b WHERE user_id = ANY (b.user_ids);
	RETURN result || jsonb_build_object('under_way', open_items > 0);
END
$$;
COMMENT ON FUNCTION trigger_engine._erase_user(name, text) IS 'Behind erase_user().';

CREATE FUNCTION trigger_engine._finish_erasures() RETURNS boolean
LANGUAGE plpgsql
SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
	e record;
BEGIN
	-- an insert that began before the tombstone was there may commit later: wait for those that run now. A horizon
	-- ahead of this server's transactions came with a dump.
	UPDATE trigger_engine._erasures x SET horizon = pg_snapshot_xmax(pg_current_snapshot())
	WHERE x.horizon IS NULL OR x.horizon > pg_snapshot_xmax(pg_current_snapshot());
	FOR e IN SELECT x.* FROM trigger_engine._erasures x WHERE x.horizon <= pg_snapshot_xmin(pg_current_snapshot())
		AND NOT EXISTS (SELECT FROM trigger_engine._batches b WHERE x.user_id = ANY (b.user_ids)) FOR UPDATE SKIP LOCKED
	LOOP
		PERFORM trigger_engine._erase_rows(e.user_id, e.pseudonym);
		DELETE FROM trigger_engine._erasures x WHERE x.user_id = e.user_id;
	END LOOP;
	RETURN false;
END
$$;
COMMENT ON FUNCTION trigger_engine._finish_erasures() IS
'Erases what was still written of users while they were erased, once no worker and no transaction of that time can any more. Always false: there is never more to do.';

CREATE FUNCTION trigger_engine.readmit_user(user_id text) RETURNS boolean
AS 'MODULE_PATHNAME', 'te_call_as_owner'
LANGUAGE C VOLATILE;
COMMENT ON FUNCTION trigger_engine.readmit_user(text) IS
'Takes away the tombstone of a user who was erased and has come back by choice: events count again. Nothing that was erased returns. Returns whether there was one.';

CREATE FUNCTION trigger_engine._readmit_user(invoker name, user_id text) RETURNS boolean
LANGUAGE plpgsql
SET search_path = pg_catalog, pg_temp
AS $$
#variable_conflict use_variable
BEGIN
	IF EXISTS (SELECT FROM trigger_engine._erasures e WHERE e.user_id = user_id) THEN
		RAISE EXCEPTION 'the erasure of user "%" is not finished', user_id USING ERRCODE = 'object_not_in_prerequisite_state',
			HINT = 'Call maintain(), or try again in a minute.';
	END IF;
	DELETE FROM trigger_engine._tombstones t WHERE t.digest = sha256(convert_to(user_id, getdatabaseencoding()));
	RETURN FOUND;
END
$$;
COMMENT ON FUNCTION trigger_engine._readmit_user(name, text) IS 'Behind readmit_user().';
