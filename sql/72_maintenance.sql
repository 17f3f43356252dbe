/*
 * Maintenance: partitions made ahead and retired, and old rows trimmed. Each
 * function that the maintenance worker calls does one bounded piece of work and
 * returns whether there is more, so that every transaction is short.
 */

CREATE FUNCTION trigger_engine._partitioned_tables(
	OUT parent regclass, OUT time_column name, OUT retention interval, OUT lead_time interval)
RETURNS SETOF record
LANGUAGE sql STABLE
SET search_path = pg_catalog, pg_temp
AS $function$
	SELECT t.parent::regclass, t.time_column::name,
		   nullif(current_setting(t.retention)::interval, '0'), current_setting(t.lead_time)::interval
	FROM (VALUES
		('trigger_engine.events', 'occurred_at', 'trigger_engine.event_retention', 'trigger_engine.event_lead'),
		('trigger_engine._sends', 'finished_at', 'trigger_engine.history_retention', 'trigger_engine.event_lead'),
		('trigger_engine._attempts', 'at', 'trigger_engine.history_retention', 'trigger_engine.event_lead'),
		('trigger_engine._interactions', 'recorded_at', 'trigger_engine.history_retention', 'trigger_engine.event_lead')
	) AS t(parent, time_column, retention, lead_time)
$function$;
COMMENT ON FUNCTION trigger_engine._partitioned_tables() IS
'Tables partitioned by time, with the column, how long rows are kept (NULL = for ever) and how far ahead they may lie.';

CREATE FUNCTION trigger_engine._partitions(
	parent regclass, OUT partition regclass, OUT starts timestamptz, OUT ends timestamptz)
RETURNS SETOF record
LANGUAGE sql STABLE
SET search_path = pg_catalog, pg_temp
SET TimeZone = 'UTC'
SET DateStyle = 'ISO'
AS $function$
	SELECT c.oid::regclass, b.bounds[1]::timestamptz, b.bounds[2]::timestamptz
	FROM pg_inherits AS i
	JOIN pg_class AS c ON c.oid = i.inhrelid
	CROSS JOIN LATERAL regexp_match(pg_get_expr(c.relpartbound, c.oid),
									$re$FROM \('([^']+)'\) TO \('([^']+)'\)$re$) AS b(bounds)
	WHERE i.inhparent = parent AND b.bounds IS NOT NULL
$function$;
COMMENT ON FUNCTION trigger_engine._partitions(regclass) IS
'Partitions of a table with their bounds, without the DEFAULT partition.';

CREATE FUNCTION trigger_engine._default_partition(parent regclass) RETURNS regclass
LANGUAGE sql STABLE
SET search_path = pg_catalog, pg_temp
AS $function$ SELECT nullif(partdefid, 0)::regclass FROM pg_partitioned_table WHERE partrelid = parent $function$;
COMMENT ON FUNCTION trigger_engine._default_partition(regclass) IS 'DEFAULT partition of a table, or NULL.';

CREATE FUNCTION trigger_engine._missing_range(
	parent regclass, time_column name, retention interval, lead_time interval,
	OUT starts timestamptz, OUT ends timestamptz)
LANGUAGE plpgsql STABLE
SET search_path = pg_catalog, pg_temp
AS $function$
DECLARE
	origin	CONSTANT timestamptz := '1970-01-01 00:00:00+00';
	span	CONSTANT interval := current_setting('trigger_engine.partition_interval')::interval;
	instant timestamptz := trigger_engine.clock();
	horizon timestamptz := date_bin(span, instant, origin) + 3 * span;
	covered timestamptz;
BEGIN
	-- the current span and two ahead
	LOOP
		SELECT max(p.ends) INTO covered
		FROM trigger_engine._partitions(parent) AS p
		WHERE p.starts <= instant AND p.ends > instant;
		EXIT WHEN covered IS NULL OR instant >= horizon;
		instant := covered;
	END LOOP;

	-- then whatever lies in DEFAULT although it is to be kept
	IF instant >= horizon THEN
		EXECUTE format('SELECT min(%1$I) FROM ONLY %2$s WHERE %1$I >= $1 AND %1$I < $2 AND isfinite(%1$I)',
					   time_column, trigger_engine._default_partition(parent))
		INTO instant
		USING coalesce(trigger_engine.clock() - retention, '-infinity'),
			  greatest(horizon, trigger_engine.clock() + lead_time);
		IF instant IS NULL OR
		   (SELECT count(*) FROM trigger_engine._partitions(parent)) >= 1000 THEN
			RETURN;
		END IF;
	END IF;

	SELECT greatest(date_bin(span, instant, origin), max(p.ends) FILTER (WHERE p.ends <= instant)),
		   least(date_bin(span, instant, origin) + span, min(p.starts) FILTER (WHERE p.starts > instant))
	INTO STRICT _missing_range.starts, _missing_range.ends
	FROM trigger_engine._partitions(parent) AS p;
END
$function$;
COMMENT ON FUNCTION trigger_engine._missing_range(regclass, name, interval, interval) IS
'The next span of time that needs a partition, cut where others begin or end; NULLs when none is needed. Spans are aligned on the Unix epoch in UTC. Beyond 1000 partitions rows stay in DEFAULT.';

CREATE FUNCTION trigger_engine._new_partition(
	parent regclass, time_column name, starts timestamptz, ends timestamptz) RETURNS void
LANGUAGE plpgsql
SET search_path = pg_catalog, pg_temp
SET TimeZone = 'UTC'
SET DateStyle = 'ISO'
SET lock_timeout = '2s'
AS $function$
DECLARE
	source	  regclass := trigger_engine._default_partition(parent);
	base	  text := (SELECT relname FROM pg_class WHERE oid = parent) || '_p' ||
					  to_char(starts, CASE WHEN starts = date_trunc('day', starts)
									  THEN 'YYYYMMDD' ELSE 'YYYYMMDD"t"HH24MI' END);
	partition name := base;
	number	  integer := 1;
BEGIN
	WHILE to_regclass(format('trigger_engine.%I', partition)) IS NOT NULL LOOP
		number := number + 1;
		partition := base || '_' || number;
	END LOOP;

	-- Made apart in the likeness of DEFAULT, so that nothing waits while rows move.
	EXECUTE format('CREATE TABLE trigger_engine.%I (LIKE %s INCLUDING ALL, '
				   'CONSTRAINT _span CHECK (%3$I IS NOT NULL AND %3$I >= %4$L AND %3$I < %5$L))',
				   partition, source, time_column, starts, ends);
	PERFORM trigger_engine._move_rows(source, partition, time_column, starts, ends);

	-- A row that was on its way to DEFAULT would be refused once its partition is attached. So where there may
	-- be such rows, those under way are waited for; not for long, as everybody queues up behind. So are readers: one
	-- that has looked up the partitions already would look for the moved rows in vain.
	IF starts <= trigger_engine.clock() + current_setting('trigger_engine.event_lead')::interval THEN
		PERFORM set_config('lock_timeout', '200ms', true);
		EXECUTE format('LOCK TABLE ONLY %s IN ACCESS EXCLUSIVE MODE', parent);
		PERFORM set_config('lock_timeout', '2s', true);
	END IF;

	-- Then a short time in which nobody writes to DEFAULT.
	EXECUTE format('LOCK TABLE ONLY %s IN ACCESS EXCLUSIVE MODE', source);
	PERFORM trigger_engine._move_rows(source, partition, time_column, starts, ends);
	EXECUTE format('ALTER TABLE %s ATTACH PARTITION trigger_engine.%I FOR VALUES FROM (%L) TO (%L)',
				   parent, partition, starts, ends);
	EXECUTE format('ALTER TABLE trigger_engine.%I DROP CONSTRAINT _span', partition);
END
$function$;
COMMENT ON FUNCTION trigger_engine._new_partition(regclass, name, timestamptz, timestamptz) IS
'Makes a partition for a span of time, with the indexes and constraints of the DEFAULT partition, moves the rows that belong there, and attaches it. No capture trigger fires for moved rows. An error when a lock is not granted within two seconds, or the one on the parent at once, which is needed where rows may be on their way to DEFAULT.';

CREATE FUNCTION trigger_engine._move_rows(
	source regclass, target name, time_column name, starts timestamptz, ends timestamptz) RETURNS void
LANGUAGE plpgsql
SET search_path = pg_catalog, pg_temp
AS $function$
BEGIN
	EXECUTE format('WITH moved AS (DELETE FROM ONLY %1$s WHERE %2$I >= $1 AND %2$I < $2 RETURNING *) '
				   'INSERT INTO trigger_engine.%3$I SELECT * FROM moved',
				   source, time_column, target)
	USING starts, ends;
END
$function$;
COMMENT ON FUNCTION trigger_engine._move_rows(regclass, name, name, timestamptz, timestamptz) IS
'Moves the rows of a span of time from one table to another of the same shape.';

CREATE FUNCTION trigger_engine._make_partition() RETURNS boolean
LANGUAGE plpgsql
SET search_path = pg_catalog, pg_temp
SET lock_timeout = '2s'
AS $function$
DECLARE
	t record;
	r record;
BEGIN
	FOR t IN SELECT * FROM trigger_engine._partitioned_tables() LOOP
		SELECT * INTO r
		FROM trigger_engine._missing_range(t.parent, t.time_column, t.retention, t.lead_time);
		CONTINUE WHEN r.starts IS NULL;

		-- one at a time, and look again once it is our turn
		EXECUTE format('LOCK TABLE ONLY %s IN SHARE UPDATE EXCLUSIVE MODE', t.parent);
		SELECT * INTO r
		FROM trigger_engine._missing_range(t.parent, t.time_column, t.retention, t.lead_time);
		CONTINUE WHEN r.starts IS NULL;
		PERFORM trigger_engine._new_partition(t.parent, t.time_column, r.starts, r.ends);
		RETURN true;
	END LOOP;
	RETURN false;
END
$function$;
COMMENT ON FUNCTION trigger_engine._make_partition() IS
'Makes one partition that is missing; true if it did and there may be more.';

CREATE FUNCTION trigger_engine._retire_partition() RETURNS boolean
LANGUAGE plpgsql
SET search_path = pg_catalog, pg_temp
SET lock_timeout = '200ms'
AS $function$
DECLARE
	old record;
BEGIN
	SELECT t.parent, p.partition INTO old
	FROM trigger_engine._partitioned_tables() AS t
	CROSS JOIN LATERAL trigger_engine._partitions(t.parent) AS p
	WHERE p.ends <= trigger_engine.clock() - t.retention
	ORDER BY p.ends
	LIMIT 1;
	IF old IS NULL THEN
		RETURN false;
	END IF;
	EXECUTE format('ALTER TABLE %s DETACH PARTITION %s', old.parent, old.partition);
	EXECUTE format('DROP TABLE %s', old.partition);
	RETURN true;
END
$function$;
COMMENT ON FUNCTION trigger_engine._retire_partition() IS
'Drops the oldest partition whose rows are all older than they are kept; true if there was one. An error when the lock on its table is not granted at once.';

CREATE FUNCTION trigger_engine._trim_default_rows() RETURNS boolean
LANGUAGE plpgsql
SET search_path = pg_catalog, pg_temp
AS $function$
DECLARE
	batch CONSTANT integer := 10000;
	t	  record;
	n	  bigint;
	more  boolean := false;
BEGIN
	FOR t IN SELECT * FROM trigger_engine._partitioned_tables() WHERE retention IS NOT NULL LOOP
		EXECUTE format('DELETE FROM ONLY %1$s WHERE ctid = ANY (ARRAY('
					   'SELECT ctid FROM ONLY %1$s WHERE %2$I < $1 LIMIT $2))',
					   trigger_engine._default_partition(t.parent), t.time_column)
		USING trigger_engine.clock() - t.retention, batch;
		GET DIAGNOSTICS n = ROW_COUNT;
		more := more OR n = batch;
	END LOOP;
	RETURN more;
END
$function$;
COMMENT ON FUNCTION trigger_engine._trim_default_rows() IS
'Deletes a batch of rows that are older than they are kept from the DEFAULT partitions; true if there may be more.';

CREATE FUNCTION trigger_engine._trim_slots() RETURNS boolean
LANGUAGE plpgsql
SET search_path = pg_catalog, pg_temp
AS $function$
DECLARE
	batch CONSTANT integer := 10000;
	-- users' own caps look back a month at most
	back  interval := greatest('31 days', (SELECT max(c.per) FROM trigger_engine._caps c)) + interval '1 day';
	n	  bigint;
BEGIN
	DELETE FROM trigger_engine._slots WHERE ctid = ANY (ARRAY(
		SELECT s.ctid FROM trigger_engine._slots s WHERE s.at < trigger_engine.clock() - back ORDER BY s.at LIMIT batch
		FOR UPDATE SKIP LOCKED));
	GET DIAGNOSTICS n = ROW_COUNT;
	RETURN n = batch;
END
$function$;
COMMENT ON FUNCTION trigger_engine._trim_slots() IS
'Deletes a batch of slots that no cap looks back to; true if there may be more.';

CREATE FUNCTION trigger_engine._trim_digests() RETURNS boolean
LANGUAGE plpgsql
SET search_path = pg_catalog, pg_temp
AS $function$
DECLARE
	batch CONSTANT integer := 10000;
	n	  bigint;
BEGIN
	DELETE FROM trigger_engine._digest_events WHERE ctid = ANY (ARRAY(
		SELECT d.ctid FROM trigger_engine._digest_events d WHERE d.event_at < trigger_engine.clock() - interval '31 days'
			AND NOT EXISTS (SELECT FROM trigger_engine._due q
				WHERE q.user_id = d.user_id AND q.journey_id = d.journey_id AND q.entry_key = d.entry_key)
		ORDER BY d.event_at LIMIT batch FOR UPDATE OF d SKIP LOCKED));
	GET DIAGNOSTICS n = ROW_COUNT;
	RETURN n = batch;
END
$function$;
COMMENT ON FUNCTION trigger_engine._trim_digests() IS
'Deletes a batch of collected events of a month ago whose run waits for nothing more; true if there may be more.';

CREATE FUNCTION trigger_engine._take_maintenance_turn() RETURNS void
LANGUAGE sql
SET search_path = pg_catalog, pg_temp
AS $$
	SELECT pg_advisory_xact_lock('trigger_engine._partitioned_tables'::regproc::oid::bigint)
$$;
COMMENT ON FUNCTION trigger_engine._take_maintenance_turn() IS
'Waits until no other session of this database maintains, and keeps the turn until the end of the transaction.';

CREATE FUNCTION trigger_engine._maintain(invoker name) RETURNS void
LANGUAGE plpgsql
SET search_path = pg_catalog, pg_temp
AS $function$
DECLARE
	fence text := trigger_engine._fence();
	tries integer := 0;
BEGIN
	IF fence IS NOT NULL THEN
		RAISE NOTICE 'nothing is maintained here: %', fence;
		RETURN;
	END IF;
	-- the pieces of the maintenance worker take their locks in another order
	PERFORM trigger_engine._take_maintenance_turn();
	-- its locks are asked for briefly, so that nobody queues behind them; here we may ask again
	LOOP
		BEGIN
			EXIT WHEN NOT trigger_engine._retire_partition();
		EXCEPTION WHEN lock_not_available THEN
			IF tries = 20 THEN
				RAISE;
			END IF;
			tries := tries + 1;
			PERFORM pg_sleep(0.05);
		END;
	END LOOP;
	WHILE trigger_engine._trim_default_rows() LOOP
	END LOOP;
	WHILE trigger_engine._trim_slots() LOOP
	END LOOP;
	WHILE trigger_engine._trim_digests() LOOP
	END LOOP;
	PERFORM trigger_engine._finish_erasures();
	WHILE trigger_engine._make_partition() LOOP
	END LOOP;
	WHILE trigger_engine._fold_metrics() LOOP
	END LOOP;
	PERFORM trigger_engine._rebuild_all_events();
	PERFORM trigger_engine._trim_segments();
	PERFORM trigger_engine._try_segment(s.name) FROM trigger_engine._segments s ORDER BY s.name;
	WHILE trigger_engine._run_timers() LOOP
	END LOOP;
	WHILE trigger_engine._run_fanout() LOOP
	END LOOP;
END
$function$;
COMMENT ON FUNCTION trigger_engine._maintain(name) IS 'Body of maintain().';

CREATE FUNCTION trigger_engine.maintain() RETURNS void
AS 'MODULE_PATHNAME', 'te_call_as_owner'
LANGUAGE C VOLATILE PARALLEL UNSAFE;
COMMENT ON FUNCTION trigger_engine.maintain() IS
'Does at once, in this transaction, what the maintenance worker does every minute: makes partitions ahead, moves rows out of the DEFAULT partitions, retires what is older than trigger_engine.event_retention and trigger_engine.history_retention, counts messages and interactions into the metrics, forgets tracked tables that were dropped, makes a pass over every segment, and lets those enter whom timers and fan-outs of triggers are about. For servers without preloaded workers and for tests. A notice and nothing else while the installation stamp does not match. Must run under READ COMMITTED.';
