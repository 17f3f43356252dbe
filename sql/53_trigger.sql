/*
 * What starts journeys beside an event as such: entries by array, counters, timers.
 */

CREATE FUNCTION trigger_engine._enter(journey_ids bigint[], user_ids text[], entry_keys text[], at timestamptz[], context jsonb[])
RETURNS integer
AS 'MODULE_PATHNAME', 'te_enter'
LANGUAGE C VOLATILE STRICT PARALLEL UNSAFE;
COMMENT ON FUNCTION trigger_engine._enter(bigint[], text[], text[], timestamptz[], jsonb[]) IS
'Lets users enter live journeys, element by element of arrays of equal length: from that instant on, under that entry key, with that context in place of an event''s properties. Policies of re-entry hold; a key under which the user is or was in the journey does nothing. Returns how many were let in, a key that comes twice in one call twice; none while the installation is fenced.';

CREATE FUNCTION trigger_engine._capture_user() RETURNS trigger
AS 'MODULE_PATHNAME', 'te_capture_user'
LANGUAGE C;
COMMENT ON FUNCTION trigger_engine._capture_user() IS
'Row trigger on users: starts journeys on changed attributes and sets timers of dates, in the writing transaction.';

CREATE TRIGGER _capture_user AFTER INSERT OR UPDATE ON trigger_engine.users
	FOR EACH ROW EXECUTE FUNCTION trigger_engine._capture_user();

/* ---- dates ---- */

CREATE FUNCTION trigger_engine._next_date(trigger jsonb, value text, zone text, after timestamptz) RETURNS timestamptz
LANGUAGE plpgsql STABLE
SET search_path = pg_catalog, pg_temp
SET DateStyle = 'ISO'
SET TimeZone = 'UTC'
AS $$
DECLARE
	day		date;
	at		time := coalesce(trigger ->> 'at', '09:00')::time;
	shift	interval := coalesce(trigger ->> 'offset', '0')::interval;
	instant timestamptz;
	month	integer;
	dom		integer;
BEGIN
	BEGIN
		day := substring(value FROM '^\d{4}-\d{2}-\d{2}')::date;
	EXCEPTION WHEN data_exception THEN
		RETURN NULL;
	END;
	IF day IS NULL THEN
		RETURN NULL;
	END IF;
	BEGIN
		PERFORM trigger_engine.at_local('2000-01-01', zone);
	EXCEPTION WHEN invalid_parameter_value THEN
		zone := NULL;
	END;
	zone := coalesce(zone, current_setting('trigger_engine.default_zone'));
	IF trigger ->> 'every' = 'once' THEN
		instant := trigger_engine.at_local(day + at + shift, zone);
		RETURN CASE WHEN instant > after THEN instant END;
	END IF;
	-- an offset may lead into a year before or after
	FOR year IN greatest(extract(year FROM day), extract(year FROM after - shift)::integer - 1) .. extract(year FROM after - shift)::integer + 2
	LOOP
		month := extract(month FROM day);
		dom := extract(day FROM day);
		IF month = 2 AND dom = 29 AND NOT (year % 4 = 0 AND (year % 100 <> 0 OR year % 400 = 0)) THEN
			month := CASE WHEN trigger ->> 'feb29' = 'mar1' THEN 3 ELSE 2 END;
			dom := CASE WHEN trigger ->> 'feb29' = 'mar1' THEN 1 ELSE 28 END;
		END IF;
		instant := trigger_engine.at_local(make_date(year, month, dom) + at + shift, zone);
		IF instant > after THEN
			RETURN instant;
		END IF;
	END LOOP;
	-- a date that lies ahead has its first time in its own year
	RETURN trigger_engine.at_local(day + at + shift, zone);
END
$$;
COMMENT ON FUNCTION trigger_engine._next_date(jsonb, text, text, timestamptz) IS
'The first time after an instant at which a date trigger is due, for an attribute that reads as value (YYYY-MM-DD and more) and a zone; an unknown zone counts as trigger_engine.default_zone. NULL when the value is no date, or the time is over for good.';

CREATE FUNCTION trigger_engine._arm_dates(journey_id bigint, user_id text DEFAULT NULL) RETURNS void
LANGUAGE plpgsql
SET search_path = pg_catalog, pg_temp
AS $$
#variable_conflict use_variable
DECLARE
	trigger jsonb := (SELECT v.trigger FROM trigger_engine._journeys j JOIN trigger_engine._journey_versions v USING (journey_id, version)
		WHERE j.journey_id = journey_id);
	-- a time that is over, and that no pass has come to yet, is not forgotten
	since timestamptz := least(trigger_engine.clock(), (SELECT t.due_at FROM trigger_engine._timers t
		WHERE t.user_id = user_id AND t.journey_id = journey_id));
BEGIN
	DELETE FROM trigger_engine._timers t WHERE t.journey_id = journey_id AND (user_id IS NULL OR t.user_id = user_id);
	INSERT INTO trigger_engine._timers AS t (user_id, journey_id, due_at)
	SELECT n.user_id, journey_id, n.at - trigger_engine._horizon()
	FROM (SELECT u.user_id, trigger_engine._next_date(trigger, u.attributes ->> (trigger ->> 'attribute'), u.zone, since) AS at
		FROM trigger_engine.users u
		WHERE (user_id IS NULL OR u.user_id = user_id) AND u.attributes ? (trigger ->> 'attribute') AND octet_length(u.user_id) <= 512) n
	WHERE n.at IS NOT NULL
	ON CONFLICT ON CONSTRAINT _timers_pkey DO UPDATE SET due_at = excluded.due_at;
END
$$;
COMMENT ON FUNCTION trigger_engine._arm_dates(bigint, text) IS 'Sets the timers of a date trigger anew, for one user or, when a journey is made, for all.';

CREATE FUNCTION trigger_engine._horizon() RETURNS interval
LANGUAGE sql IMMUTABLE PARALLEL SAFE
AS $$SELECT interval '2 minutes'$$;
COMMENT ON FUNCTION trigger_engine._horizon() IS 'How long before its time a pass puts what it knows of into the queue, whose precision it then has.';

/* ---- what a trigger needs when it is made, and leaves behind ---- */

CREATE FUNCTION trigger_engine._arm_inactivity(journey_id bigint, trigger jsonb) RETURNS void
LANGUAGE sql
SET search_path = pg_catalog, pg_temp
SET TimeZone = 'UTC'
AS $$
	INSERT INTO trigger_engine._timers (user_id, journey_id, due_at, rung, last_at)
	SELECT l.user_id, $1, coalesce(l.last_at + r.rung, 'infinity'), coalesce(r.n - 1, jsonb_array_length($2 -> 'for')), l.last_at
	FROM (SELECT e.user_id, max(e.occurred_at) AS last_at FROM trigger_engine.events e
		WHERE e.name IN (SELECT x ->> 'name' FROM jsonb_array_elements($2 -> 'events') x) AND e.occurred_at <= trigger_engine.clock()
		GROUP BY 1) l
	LEFT JOIN LATERAL (SELECT f.rung::interval AS rung, f.n FROM jsonb_array_elements_text($2 -> 'for') WITH ORDINALITY f(rung, n)
		WHERE l.last_at + f.rung::interval > trigger_engine.clock() ORDER BY f.n LIMIT 1) r ON true
	ON CONFLICT ON CONSTRAINT _timers_pkey DO NOTHING
$$;
COMMENT ON FUNCTION trigger_engine._arm_inactivity(bigint, jsonb) IS
'Timers for those who were active before an inactivity trigger was made; rungs whose time was over by then are passed over.';

CREATE FUNCTION trigger_engine._count_history(journey_id bigint, trigger jsonb) RETURNS void
LANGUAGE sql
SET search_path = pg_catalog, pg_temp
AS $$
	INSERT INTO trigger_engine._counters AS c (user_id, journey_id, total, reached, fired)
	SELECT h.user_id, $1, h.total, CASE WHEN ($2 ->> 'every')::boolean THEN greatest(floor(h.total / h.reach), 0)
		ELSE (h.total >= h.reach)::integer END, false
	FROM (SELECT e.user_id, coalesce(($2 ->> 'count')::numeric, ($2 #>> '{sum,reach}')::numeric) AS reach,
			CASE WHEN $2 ? 'count' THEN count(*) ELSE coalesce(sum((jsonb_path_query_first(e.properties, ($2 #>> '{sum,path}')::jsonpath, '{}', true) #>> '{}')::numeric)
				FILTER (WHERE jsonb_typeof(jsonb_path_query_first(e.properties, ($2 #>> '{sum,path}')::jsonpath, '{}', true)) = 'number'), 0) END AS total
		FROM trigger_engine.events e
		WHERE e.name = $2 ->> 'event' AND (NOT $2 ? 'where' OR trigger_engine._fulfils(e.properties, $2 ->> 'where'))
		GROUP BY 1) h
	ON CONFLICT ON CONSTRAINT _counters_pkey DO NOTHING
$$;
COMMENT ON FUNCTION trigger_engine._count_history(bigint, jsonb) IS
'What users had come to before a milestone trigger was made; it fires for none of it.';

CREATE FUNCTION trigger_engine._fulfils(properties jsonb, condition text) RETURNS boolean
LANGUAGE sql IMMUTABLE
SET search_path = pg_catalog, pg_temp
AS $$
	-- a predicate yields one boolean, a path with a filter the items that pass
	SELECT EXISTS (SELECT FROM jsonb_path_query($1, $2::jsonpath, '{}', true) v
		WHERE (v = 'true' AND jsonb_path_match($1, $2::jsonpath, '{}', true)) OR jsonb_typeof(v) NOT IN ('boolean', 'null'))
$$;
COMMENT ON FUNCTION trigger_engine._fulfils(jsonb, text) IS 'Whether properties fulfil a "where" of a trigger. An item that is true, false or null is taken for the answer of a predicate.';

CREATE FUNCTION trigger_engine._watch_object(journey_id bigint, trigger jsonb, invoker name) RETURNS void
LANGUAGE plpgsql
SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
	source regclass := to_regclass(trigger ->> 'source');
	key	   name := trigger ->> 'key';
	watched name := trigger ->> 'column';
	least_fall text := coalesce(trigger ->> 'by', '0');
	missing name;
	fires  text;
BEGIN
	IF source IS NULL THEN
		RAISE EXCEPTION 'table "%" of trigger does not exist', trigger ->> 'source' USING ERRCODE = 'undefined_table',
			HINT = 'Write it with its schema, as "shop.products".';
	END IF;
	IF NOT pg_has_role(invoker, (SELECT relowner FROM pg_class WHERE oid = source), 'USAGE') THEN
		RAISE EXCEPTION 'must be owner of table %', source USING ERRCODE = 'insufficient_privilege';
	END IF;
	SELECT c INTO missing FROM unnest(ARRAY[key, watched]) c WHERE NOT EXISTS (SELECT FROM pg_attribute a
		WHERE a.attrelid = source AND a.attname = c AND a.attnum > 0 AND NOT a.attisdropped);
	IF missing IS NOT NULL THEN
		RAISE EXCEPTION 'table % has no column "%"', source, missing USING ERRCODE = 'undefined_column';
	END IF;
	IF least_fall !~ '^\d{1,12}(\.\d{1,12})?%?$' THEN
		RAISE EXCEPTION 'key "by" of trigger must be a number, or one with a percent sign' USING ERRCODE = 'TE001';
	END IF;
	IF trigger ->> 'kind' = 'back_in_stock' THEN
		fires := format('coalesce(OLD.%1$I, 0) <= 0 AND NEW.%1$I > 0', watched);
	ELSIF least_fall LIKE '%\%' THEN
		fires := format('NEW.%1$I < OLD.%1$I AND NEW.%1$I <= OLD.%1$I * (1 - %2$s / 100.0)', watched, rtrim(least_fall, '%'));
	ELSE
		fires := format('NEW.%1$I < OLD.%1$I AND NEW.%1$I <= OLD.%1$I - %2$s', watched, least_fall);
	END IF;
	EXECUTE format('CREATE TRIGGER %I AFTER UPDATE OF %I ON %s FOR EACH ROW WHEN (%s)'
		' EXECUTE FUNCTION trigger_engine._object_changed(%L, %L, %L)',
		'trigger_engine_object_' || journey_id, watched, source, fires, journey_id, key, watched);
END
$$;
COMMENT ON FUNCTION trigger_engine._watch_object(bigint, jsonb, name) IS
'Makes the row trigger of a price_drop or back_in_stock trigger. Only the owner of the table may.';

CREATE FUNCTION trigger_engine._object_changed() RETURNS trigger
LANGUAGE plpgsql SECURITY DEFINER
SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
	object text;
	before text;
	now	   text;
BEGIN
	IF trigger_engine._fence() IS NOT NULL
		OR NOT EXISTS (SELECT FROM trigger_engine._journeys j WHERE j.journey_id = TG_ARGV[0]::bigint AND j.state = 'live') THEN
		RETURN NULL;
	END IF;
	-- by the types' output functions: a cast is the table owner's code, which must not run as we do
	EXECUTE format('SELECT nullif(format(''%%s'', ($1).%1$I), ''''), format(''%%s'', ($2).%2$I), format(''%%s'', ($1).%2$I)', TG_ARGV[1], TG_ARGV[2])
	INTO object, before, now USING NEW, OLD;
	IF object IS NOT NULL AND octet_length(object) <= 512 THEN
		INSERT INTO trigger_engine._fanouts (object, journey_id, key, at, context)
		VALUES (object, TG_ARGV[0]::bigint, 'object/' || nextval('trigger_engine._event_id_seq'), trigger_engine.clock(),
			jsonb_build_object('object', object, 'before', before, 'now', now));
	END IF;
	RETURN NULL;
END
$$;
COMMENT ON FUNCTION trigger_engine._object_changed() IS
'Row trigger on a table of objects (journey id, key column, watched column): notes a lower price, or stock that is back, for the maintenance worker to tell.';

CREATE FUNCTION trigger_engine._unwatch_object(journey_id bigint) RETURNS void
LANGUAGE plpgsql
SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
	t record;
BEGIN
	FOR t IN SELECT tgrelid::regclass AS source, tgname FROM pg_trigger
		WHERE tgfoid = 'trigger_engine._object_changed()'::regprocedure AND tgname = 'trigger_engine_object_' || journey_id
	LOOP
		EXECUTE format('DROP TRIGGER %I ON %s', t.tgname, t.source);
	END LOOP;
END
$$;
COMMENT ON FUNCTION trigger_engine._unwatch_object(bigint) IS 'Removes the row trigger of a price_drop or back_in_stock trigger.';

CREATE FUNCTION trigger_engine._prepare_trigger() RETURNS trigger
LANGUAGE plpgsql
SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
	kind text := NEW.trigger ->> 'kind';
	old jsonb := (SELECT v.trigger FROM trigger_engine._journey_versions v
		WHERE v.journey_id = NEW.journey_id AND v.version < NEW.version ORDER BY v.version DESC LIMIT 1);
BEGIN
	-- not while a dump is loaded, which brings what this would make
	IF trigger_engine._fence() IS NOT NULL OR NEW.trigger IS NOT DISTINCT FROM old THEN
		RETURN NULL;
	END IF;
	DELETE FROM trigger_engine._timers t WHERE t.journey_id = NEW.journey_id;
	-- what was counted stays where another number of the same is wanted
	DELETE FROM trigger_engine._counters c WHERE c.journey_id = NEW.journey_id
		AND (old ->> 'kind', old ->> 'event', old ->> 'where', old #>> '{sum,path}', old ? 'streak')
			IS DISTINCT FROM (kind, NEW.trigger ->> 'event', NEW.trigger ->> 'where', NEW.trigger #>> '{sum,path}', NEW.trigger ? 'streak');
	PERFORM trigger_engine._unwatch_object(NEW.journey_id);
	IF kind = 'milestone' AND (NEW.trigger ->> 'count_history')::boolean AND NOT NEW.trigger ? 'streak' THEN
		PERFORM trigger_engine._count_history(NEW.journey_id, NEW.trigger);
	ELSIF kind = 'inactivity' THEN
		PERFORM trigger_engine._arm_inactivity(NEW.journey_id, NEW.trigger);
	ELSIF kind = 'date' THEN
		PERFORM trigger_engine._arm_dates(NEW.journey_id);
	ELSIF kind = 'schedule' THEN
		INSERT INTO trigger_engine._timers (user_id, journey_id, due_at)
		SELECT '', NEW.journey_id, s.at - trigger_engine._horizon()
		FROM trigger_engine._next_schedule(NEW.trigger, trigger_engine.clock()) s WHERE s.at IS NOT NULL;
	ELSIF kind IN ('price_drop', 'back_in_stock') THEN
		PERFORM trigger_engine._watch_object(NEW.journey_id, NEW.trigger, NEW.created_by);
	END IF;
	IF kind IN ('schedule', 'segment') AND NOT EXISTS (SELECT FROM trigger_engine._segments s WHERE s.name = NEW.trigger ->> 'segment') THEN
		RAISE EXCEPTION 'segment "%" does not exist', NEW.trigger ->> 'segment' USING ERRCODE = 'undefined_object',
			HINT = trigger_engine._segment_hint(NEW.trigger ->> 'segment');
	END IF;
	RETURN NULL;
END
$$;
COMMENT ON FUNCTION trigger_engine._prepare_trigger() IS 'Row trigger on _journey_versions: makes what a new trigger needs, timers and counters of what was before it among it.';

CREATE TRIGGER _prepare AFTER INSERT ON trigger_engine._journey_versions
	FOR EACH ROW EXECUTE FUNCTION trigger_engine._prepare_trigger();

CREATE FUNCTION trigger_engine._prepare_dates() RETURNS trigger
LANGUAGE plpgsql
SET search_path = pg_catalog, pg_temp
AS $$
BEGIN
	IF trigger_engine._fence() IS NULL AND NEW.state = 'live' AND EXISTS (SELECT FROM trigger_engine._journey_versions v
		WHERE v.journey_id = NEW.journey_id AND v.version = NEW.version AND v.trigger ->> 'kind' = 'date') THEN
		PERFORM trigger_engine._arm_dates(NEW.journey_id);
	END IF;
	RETURN NULL;
END
$$;
COMMENT ON FUNCTION trigger_engine._prepare_dates() IS
'Row trigger on _journeys: timers of a date trigger are set anew when its journey goes live or gets a version, as nobody watched users before.';

CREATE TRIGGER _prepare_dates AFTER UPDATE ON trigger_engine._journeys
	FOR EACH ROW EXECUTE FUNCTION trigger_engine._prepare_dates();

CREATE FUNCTION trigger_engine._forget_journey() RETURNS trigger
LANGUAGE plpgsql
SET search_path = pg_catalog, pg_temp
AS $$
BEGIN
	DELETE FROM trigger_engine._counters c WHERE c.journey_id = OLD.journey_id;
	DELETE FROM trigger_engine._timers t WHERE t.journey_id = OLD.journey_id;
	DELETE FROM trigger_engine._followers f WHERE f.journey_id = OLD.journey_id;
	DELETE FROM trigger_engine._fanouts f WHERE f.journey_id = OLD.journey_id;
	PERFORM trigger_engine._unwatch_object(OLD.journey_id);
	RETURN NULL;
END
$$;
COMMENT ON FUNCTION trigger_engine._forget_journey() IS 'Row trigger on _journeys: what triggers keep about people goes with the journey.';

CREATE TRIGGER _forget AFTER DELETE ON trigger_engine._journeys
	FOR EACH ROW EXECUTE FUNCTION trigger_engine._forget_journey();
