-- Operation from SQL: pause, stop, start, wait, clock, status.
\set ECHO none
\i test/sql/include/fresh.sql
-- waits until a query gives true; the query's own text is what fails
CREATE PROCEDURE test.until(query text) LANGUAGE plpgsql AS $$
DECLARE
	good boolean;
	deadline timestamptz := clock_timestamp() + interval '60 s';
BEGIN
	LOOP
		EXECUTE query INTO good;
		EXIT WHEN good;
		IF clock_timestamp() > deadline THEN
			RAISE WARNING 'never: %', query;
			EXIT;
		END IF;
		COMMIT;
		PERFORM pg_sleep(0.01);
	END LOOP;
END
$$;
\set ECHO all
\pset null '-'

SELECT trigger_engine.version() = extversion AS same_version FROM pg_extension WHERE extname = 'trigger_engine';
-- not in use yet: workers idle and say so
CALL until($$SELECT count(*) = 2 FROM worker_status WHERE worker <> 'launcher' AND state = 'idle' AND reason IS NOT NULL AND pid IS NOT NULL$$);
SELECT worker FROM worker_status ORDER BY 1;
SELECT bool_and(database = current_database()) AS of_this_database FROM worker_status WHERE worker <> 'launcher';
CALL journey('j');
CALL until($$SELECT count(*) = 3 FROM worker_status WHERE state = 'running' AND pid IS NOT NULL AND coalesce(failures, 0) = 0 AND retry_at IS NULL$$);
SELECT s.worker, a.backend_type FROM worker_status s JOIN pg_stat_activity a USING (pid) ORDER BY 1;
SELECT claimed, accepted, failed, withheld FROM worker_status WHERE worker = 'delivery 0' \gset before_
SELECT set_consent('no', 'in_app', 'opted_out');
INSERT INTO events (user_id, name) VALUES ('no', 'cart'), ('u1', 'cart'), ('u2', 'cart');
CALL drain();
CALL until(format($$SELECT claimed = %s + 3 AND accepted = %s + 2 AND withheld = %s + 1 FROM worker_status WHERE worker = 'delivery 0'$$, :before_claimed, :before_accepted, :before_withheld));
SELECT claimed - :before_claimed AS claimed, accepted - :before_accepted AS accepted, failed - :before_failed AS failed, withheld - :before_withheld AS withheld, in_flight
FROM worker_status WHERE worker = 'delivery 0';

-- pause: events still start journeys, nothing is sent, until resume
BEGIN;
SELECT pause('never');
ROLLBACK;
CALL event('p0', 'cart');
SELECT wait_until_idle();
SELECT pause('for the audit');
CALL until($$SELECT state = 'idle' AND reason ~ 'for the audit' FROM worker_status WHERE worker = 'delivery 0'$$);
SELECT pause('another reason');
CALL until($$SELECT state = 'idle' AND reason ~ 'another reason' FROM worker_status WHERE worker = 'delivery 0'$$);
CALL event('p1', 'cart');
SELECT user_id, state FROM sends WHERE user_id ~ '^p' ORDER BY 1;
SELECT wait_until_idle('200 ms');
SELECT journey, due, overdue FROM queue_status;
SELECT count(*) FROM inbox WHERE user_id = 'p1';
SELECT resume();
SELECT wait_until_idle('60 s');
SELECT user_id, state FROM sends WHERE user_id = 'p1';
CALL until($$SELECT state = 'running' FROM worker_status WHERE worker = 'delivery 0'$$);
SELECT resume();

-- stop and start
SELECT stop_workers();
SELECT worker, state, pid FROM worker_status WHERE worker <> 'launcher' ORDER BY 1;
SELECT count(*) FROM pg_stat_activity WHERE datname = current_database() AND backend_type LIKE 'trigger_engine%';
SELECT stop_workers('1 s');
CALL event('s1', 'cart');
SELECT wait_until_idle('200 ms');
SELECT state FROM sends WHERE user_id = 's1';
SELECT start_workers();
SELECT wait_until_idle('60 s');
SELECT state FROM sends WHERE user_id = 's1';
SELECT start_workers();

-- a prepared transaction wakes nobody when it is committed: the worker finds its rows by itself
BEGIN;
CALL event('x1', 'cart');
PREPARE TRANSACTION 'regress te';
SELECT wait_until_idle();
SELECT count(*) FROM sends WHERE user_id = 'x1';
COMMIT PREPARED 'regress te';
SELECT wait_until_idle();
SELECT state FROM sends WHERE user_id = 'x1';
BEGIN;
CALL event('x2', 'cart');
PREPARE TRANSACTION 'regress te';
ROLLBACK PREPARED 'regress te';
SELECT wait_until_idle();
SELECT count(*) FROM sends WHERE user_id = 'x2';

-- waiting
SELECT wait_until_idle('0'), wait_until_idle(NULL);
SELECT error($$SELECT wait_until_idle('-1 s')$$);
BEGIN ISOLATION LEVEL REPEATABLE READ;
SELECT error($$SELECT wait_until_idle()$$);
ROLLBACK;
-- inside the transaction that inserts it sees only what is committed
BEGIN;
CALL event('w1', 'cart');
SELECT count(*) FROM sends WHERE user_id = 'w1';
ROLLBACK;

-- the clock
SELECT set_clock('2030-06-01 00:00+00');
SELECT clock();
SELECT advance_clock('1 day'), advance_clock('-1 h'), advance_clock('0'), advance_clock('1 month');
SELECT clock();
SELECT error($$SELECT set_clock('infinity')$$);
SELECT error($$SELECT advance_clock('1000000 years')$$);
SELECT clock();
SELECT set_clock(NULL);
SELECT clock() = now() AS real, clock() <> clock_timestamp() AS of_the_transaction;
SELECT a - now() BETWEEN interval '59 min' AND interval '61 min' AS from_the_real_one FROM advance_clock('1 h') a;
SELECT set_clock('2030-01-15 12:00+00');

-- what only some may do
CREATE ROLE regress_te_analyst;
SELECT grant_usage('regress_te_analyst', 'analyst');
SET ROLE regress_te_analyst;
SELECT trigger_engine.pause();
SELECT trigger_engine.resume();
SELECT trigger_engine.stop_workers();
SELECT trigger_engine.start_workers();
SELECT trigger_engine.set_clock(NULL);
SELECT trigger_engine.advance_clock('1 h');
SELECT trigger_engine.maintain();
SELECT count(*) FROM trigger_engine.worker_status;
RESET ROLE;
SELECT error($$SELECT grant_usage('regress_te_analyst', 'owner')$$);
SELECT error($$SELECT revoke_usage('regress_te_analyst', NULL)$$);
DROP OWNED BY regress_te_analyst;
DROP ROLE regress_te_analyst;
