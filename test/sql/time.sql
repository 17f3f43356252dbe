-- Local time: gaps, folds, every zone of the server, and crontab expressions.
\set ECHO none
\i test/sql/include/fresh.sql
\set ECHO all
\pset null '-'
SET timezone = 'UTC';

-- an hour that is passed over, one that comes twice, a day that never was
SELECT at_local('2026-03-29 02:30', 'Europe/Berlin') AS gap, at_local('2026-10-25 02:30', 'Europe/Berlin') AS fold;
SELECT at_local('2011-12-30 10:00', 'Pacific/Apia') AS no_such_day, at_local('2026-10-04 02:15', 'Australia/Lord_Howe') AS half_an_hour;
SELECT at_local('2026-06-01 09:00', 'Pacific/Kiritimati') AS first, at_local('2026-06-01 09:00', 'Etc/GMT+12') AS last;
SELECT at_local('infinity', 'UTC'), at_local(NULL, 'UTC');

-- in every zone it is the first instant at which the clock shows that time or a later one
-- (names that are abbreviations, too, mean a fixed offset to AT TIME ZONE)
WITH found AS (
	SELECT name, local, at_local(local, name) AS at
	FROM pg_timezone_names, generate_series(timestamp '2026-01-01 00:17', '2026-12-31', interval '23 h 3 min') local
	WHERE name !~ '^posix' AND name ~ '/')
SELECT count(DISTINCT name) > 400 AS zones, count(*) FILTER (WHERE (at AT TIME ZONE name) < local) AS too_early,
	count(*) FILTER (WHERE ((at - interval '1 us') AT TIME ZONE name) >= local) AS too_late
FROM found;
-- on both sides of each change of the clock of a year, by the minute
WITH change AS (
	SELECT name, hour AT TIME ZONE name AS local
	FROM (SELECT name, hour, lag(hour AT TIME ZONE name) OVER (PARTITION BY name ORDER BY hour) AS before
		FROM pg_timezone_names, generate_series(timestamptz '2026-01-01', '2026-12-31 23:00', interval '1 h') hour
		WHERE name ~ '^(Europe|America|Australia|Africa)/') s
	WHERE hour AT TIME ZONE name - before <> interval '1 h'),
found AS (
	SELECT name, l AS local, at_local(l, name) AS at
	FROM change, generate_series(local - interval '3 h', local + interval '3 h', interval '1 min') l)
SELECT count(DISTINCT name) > 100 AS zones, count(*) FILTER (WHERE (at AT TIME ZONE name) < local) AS too_early,
	count(*) FILTER (WHERE ((at - interval '1 us') AT TIME ZONE name) >= local) AS too_late
FROM found;

SELECT error($$SELECT at_local('2026-01-01', 'Mars/Olympus')$$), error($$SELECT at_local('2026-01-01', '+02')$$);
SELECT error($$SELECT at_local('2026-01-01', 'CET-1CEST')$$), error($$SELECT at_local('2026-01-01', '')$$);
SELECT error($$SELECT at_local('294276-12-31 23:00', 'Pacific/Pago_Pago')$$);

-- crontab expressions
SELECT expression, next_cron(expression, '2026-11-27 17:50') FROM (VALUES ('*/15 9-17 * * mon-fri'), ('0 9 L * *'),
	('0 0 29 2 *'), ('5,35 * * * *'), ('0 6 13 * 5'), ('0 6 * * 7'), ('0 6 * * 0'), ('30/10 8 1-7 JAN Mon'), ('0 0 1 1 *')) v(expression);
SELECT next_cron('0 0 29 2 *', '2097-01-01') AS leap_year_left_out;
SELECT next_cron('30 2 * * *', '2026-03-28 12:00', 'Europe/Berlin') AS gap, next_cron('30 2 * * *', '2026-03-29 01:00', 'Europe/Berlin') AS next;
SELECT next_cron('30 2 * * *', '2026-10-24 12:00', 'Europe/Berlin') AS fold, next_cron('30 2 * * *', '2026-10-25 00:30', 'Europe/Berlin') AS next;
-- all of a year, in a zone with both changes: once a day, at 02:30 but for one day
WITH RECURSIVE fire AS (
	SELECT next_cron('30 2 * * *', '2026-01-01', 'Europe/Berlin') AS at
	UNION ALL SELECT next_cron('30 2 * * *', at, 'Europe/Berlin') FROM fire WHERE at < '2026-12-31')
SELECT count(*), count(DISTINCT (at AT TIME ZONE 'Europe/Berlin')::date) AS days,
	count(*) FILTER (WHERE (at AT TIME ZONE 'Europe/Berlin')::time <> '02:30') AS at_another_time FROM fire WHERE at < '2027-01-01';
SELECT expression, error(format('SELECT next_cron(%L, now())', expression)) FROM (VALUES ('0 25 * * *'), ('0 0 * *'), ('0 0 30 2 *'),
	('0 0 * * * *'), ('a 0 * * *'), ('5-1 0 * * *'), ('*/0 * * * *'), ('1,,2 * * * *'), (''), ('0 0 32 * *'), ('99999999999 * * * *')) v(expression);
