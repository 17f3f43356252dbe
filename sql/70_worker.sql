/*
 * Operation: stamp and pause, workers, clock, status.
 */

CREATE FUNCTION trigger_engine._current_stamp(
	OUT system_identifier text, OUT database_oid oid, OUT extension_oid oid, OUT installation text)
AS 'MODULE_PATHNAME', 'te_current_stamp'
LANGUAGE C STABLE PARALLEL SAFE;
COMMENT ON FUNCTION trigger_engine._current_stamp() IS
'What the stamp of this server, database, extension and installation would say.';

CREATE FUNCTION trigger_engine._fence() RETURNS text
AS 'MODULE_PATHNAME', 'te_fence'
LANGUAGE C STABLE PARALLEL RESTRICTED;
COMMENT ON FUNCTION trigger_engine._fence() IS
'What keeps this database from firing and sending; NULL when the stamp matches.';

CREATE FUNCTION trigger_engine._wake_workers_at_commit() RETURNS void
AS 'MODULE_PATHNAME', 'te_wake_workers'
LANGUAGE C VOLATILE PARALLEL UNSAFE;
COMMENT ON FUNCTION trigger_engine._wake_workers_at_commit() IS
'Wakes every worker of this database once the current transaction has committed.';

CREATE FUNCTION trigger_engine._extension_created() RETURNS void
AS 'MODULE_PATHNAME', 'te_extension_created'
LANGUAGE C VOLATILE PARALLEL UNSAFE;
COMMENT ON FUNCTION trigger_engine._extension_created() IS
'Asks the launcher to look into this database after CREATE EXTENSION has committed; an error anywhere else.';

CREATE FUNCTION trigger_engine._wait_idle(timeout interval) RETURNS boolean
AS 'MODULE_PATHNAME', 'te_wait_until_idle'
LANGUAGE C VOLATILE STRICT PARALLEL UNSAFE;
COMMENT ON FUNCTION trigger_engine._wait_idle(interval) IS 'Body of wait_until_idle().';

CREATE FUNCTION trigger_engine._stamp_if_empty(invoker name) RETURNS void
LANGUAGE plpgsql
SET search_path = pg_catalog, pg_temp
AS $function$
BEGIN
	INSERT INTO trigger_engine._stamp
		(system_identifier, database_oid, extension_oid, installation, stamped_at, stamped_by)
	SELECT c.system_identifier, c.database_oid, c.extension_oid, c.installation, clock_timestamp(), invoker
	FROM trigger_engine._current_stamp() AS c
	WHERE NOT EXISTS (SELECT FROM trigger_engine._stamp)
	ON CONFLICT DO NOTHING;
	IF FOUND THEN
		PERFORM trigger_engine._wake_workers_at_commit();
		-- partitions now rather than later: rows that need not be moved cannot be missed meanwhile
		BEGIN
			WHILE trigger_engine._make_partition() LOOP
			END LOOP;
		EXCEPTION WHEN lock_not_available THEN
			NULL;		-- somebody writes events: the maintenance worker makes them
		END;
	END IF;
END
$function$;
COMMENT ON FUNCTION trigger_engine._stamp_if_empty(name) IS
'Stamps this installation if nothing ever did; called by every create_* function.';

CREATE FUNCTION trigger_engine._pause(invoker name, reason text) RETURNS void
LANGUAGE plpgsql
SET search_path = pg_catalog, pg_temp
AS $function$
BEGIN
	INSERT INTO trigger_engine._pause AS p (reason, paused_at, paused_by)
	VALUES (_pause.reason, clock_timestamp(), invoker)
	ON CONFLICT (only_row) DO UPDATE
	SET reason = EXCLUDED.reason, paused_at = EXCLUDED.paused_at, paused_by = EXCLUDED.paused_by;
	PERFORM trigger_engine._wake_workers_at_commit();
END
$function$;
COMMENT ON FUNCTION trigger_engine._pause(name, text) IS 'Body of pause().';

CREATE FUNCTION trigger_engine.pause(reason text DEFAULT NULL) RETURNS void
AS 'MODULE_PATHNAME', 'te_call_as_owner'
LANGUAGE C VOLATILE PARALLEL UNSAFE;
COMMENT ON FUNCTION trigger_engine.pause(text) IS
'Stops sending from this database until resume(). Events still start journeys and the queue still fills; what is being handed over at this moment is finished. A second call replaces the reason. Works without preloaded workers, and survives a restart and a dump.';

CREATE FUNCTION trigger_engine._resume(invoker name) RETURNS void
LANGUAGE plpgsql
SET search_path = pg_catalog, pg_temp
AS $function$
DECLARE
	stamp	 record;
	former	 record;
	restored boolean;
BEGIN
	SELECT * INTO STRICT stamp FROM trigger_engine._current_stamp();
	SELECT s.system_identifier, s.database_oid, s.extension_oid, s.installation
	INTO former FROM trigger_engine._stamp AS s FOR UPDATE;
	restored := FOUND AND former IS DISTINCT FROM stamp;

	INSERT INTO trigger_engine._stamp AS s
		(system_identifier, database_oid, extension_oid, installation, stamped_at, stamped_by)
	VALUES (stamp.system_identifier, stamp.database_oid, stamp.extension_oid, stamp.installation,
			clock_timestamp(), invoker)
	ON CONFLICT (only_row) DO UPDATE
	SET system_identifier = EXCLUDED.system_identifier,
		database_oid = EXCLUDED.database_oid,
		extension_oid = EXCLUDED.extension_oid,
		installation = EXCLUDED.installation,
		stamped_at = EXCLUDED.stamped_at,
		stamped_by = EXCLUDED.stamped_by;
	DELETE FROM trigger_engine._pause;
	IF restored THEN
		PERFORM trigger_engine._after_restore();
	END IF;
	PERFORM trigger_engine._wake_workers_at_commit();
END
$function$;
COMMENT ON FUNCTION trigger_engine._resume(name) IS 'Body of resume().';

CREATE FUNCTION trigger_engine.resume() RETURNS void
AS 'MODULE_PATHNAME', 'te_call_as_owner'
LANGUAGE C VOLATILE PARALLEL UNSAFE;
COMMENT ON FUNCTION trigger_engine.resume() IS
'Lets this database fire and send from here: ends a pause, and after a restore, a clone or pg_upgrade declares this server, database and trigger_engine.installation to be the one that sends. Make sure that the original does not send any more.';

CREATE FUNCTION trigger_engine.stop_workers(timeout interval DEFAULT '10 s') RETURNS boolean
AS 'MODULE_PATHNAME', 'te_stop_workers'
LANGUAGE C VOLATILE STRICT PARALLEL UNSAFE;
COMMENT ON FUNCTION trigger_engine.stop_workers(interval) IS
'Stops the workers of this database and waits for them to leave; true if they have. They finish what is under way within trigger_engine.drain_timeout, and stay away until start_workers() or a restart of the server. Not transactional. Error TE004 when the library is not preloaded.';

CREATE FUNCTION trigger_engine.start_workers() RETURNS void
AS 'MODULE_PATHNAME', 'te_start_workers'
LANGUAGE C VOLATILE PARALLEL UNSAFE;
COMMENT ON FUNCTION trigger_engine.start_workers() IS
'Starts the workers of this database again after stop_workers(), and at once those that wait after a failure. Not transactional. Error TE004 when the library is not preloaded.';

CREATE FUNCTION trigger_engine._wait_until_idle(invoker name, timeout interval) RETURNS boolean
LANGUAGE sql
SET search_path = pg_catalog, pg_temp
AS $function$ SELECT trigger_engine._wait_idle(timeout) $function$;
COMMENT ON FUNCTION trigger_engine._wait_until_idle(name, interval) IS 'Body of wait_until_idle().';

CREATE FUNCTION trigger_engine.wait_until_idle(timeout interval DEFAULT '30 s') RETURNS boolean
AS 'MODULE_PATHNAME', 'te_call_as_owner'
LANGUAGE C VOLATILE PARALLEL UNSAFE;
COMMENT ON FUNCTION trigger_engine.wait_until_idle(interval) IS
'Waits until nothing is due at the engine''s now and nothing is being handed over; false when that was not reached in time. Sees only what has been committed. Must run under READ COMMITTED.';

CREATE FUNCTION trigger_engine.set_clock(at timestamptz) RETURNS void
AS 'MODULE_PATHNAME', 'te_set_clock'
LANGUAGE C VOLATILE PARALLEL UNSAFE;
COMMENT ON FUNCTION trigger_engine.set_clock(timestamptz) IS
'Freezes the engine''s clock at an instant, for all databases of this server and at once; NULL lets the real clock run again. Everything follows it, also the maintenance of databases in which nothing happens: moved far ahead it retires events and history that are older by then than they are kept. Only where the setting trigger_engine.virtual_clock is on. Lost at a restart of the server.';

CREATE FUNCTION trigger_engine.advance_clock(by interval) RETURNS timestamptz
AS 'MODULE_PATHNAME', 'te_advance_clock'
LANGUAGE C VOLATILE STRICT PARALLEL UNSAFE;
COMMENT ON FUNCTION trigger_engine.advance_clock(interval) IS
'Moves the engine''s clock on and returns where it stands; the first call freezes it at the real now plus the interval. A day is 24 hours. What set_clock() says about maintenance holds here, too. Only where the setting trigger_engine.virtual_clock is on.';

CREATE FUNCTION trigger_engine.version() RETURNS text
AS 'MODULE_PATHNAME', 'te_version'
LANGUAGE C IMMUTABLE PARALLEL SAFE;
COMMENT ON FUNCTION trigger_engine.version() IS
'Version of the loaded library. The version of the SQL objects is in pg_extension; workers idle while the two do not fit.';

CREATE FUNCTION trigger_engine._worker_status(
	OUT database text, OUT worker text, OUT state text, OUT reason text, OUT pid integer,
	OUT since timestamptz, OUT retry_at timestamptz, OUT failures integer,
	OUT claimed bigint, OUT accepted bigint, OUT failed bigint, OUT withheld bigint,
	OUT in_flight integer)
RETURNS SETOF record
AS 'MODULE_PATHNAME', 'te_worker_status'
LANGUAGE C VOLATILE PARALLEL RESTRICTED;
COMMENT ON FUNCTION trigger_engine._worker_status() IS 'Rows of the view worker_status.';

CREATE VIEW trigger_engine.worker_status AS
SELECT database, worker, state, reason, pid, since, retry_at, failures,
	   claimed, accepted, failed, withheld, in_flight
FROM trigger_engine._worker_status();
COMMENT ON VIEW trigger_engine.worker_status IS
'The launcher and the workers of this database: state (absent, starting, running, idle, draining, backoff, stopped; not preloaded when there can be none), its reason and since when it lasts; failures in a row and retry_at while a worker waits after a failure; messages claimed, accepted by providers, failed and withheld by gates since the server started, and in_flight now.';

SELECT trigger_engine._extension_created();
