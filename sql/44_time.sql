/*
 * Local time.
 */

CREATE FUNCTION trigger_engine.at_local(local timestamp, zone text) RETURNS timestamptz
AS 'MODULE_PATHNAME', 'te_at_local'
LANGUAGE C STABLE STRICT PARALLEL SAFE;
COMMENT ON FUNCTION trigger_engine.at_local(timestamp, text) IS
'The first instant at which the clock of a zone (an IANA name) shows a local time or a later one. So a time that the clock passes over as it is put forward is the instant at which it is, and one that it shows twice the first of the two; PostgreSQL''s AT TIME ZONE takes the second. Errors: 22023 for an unknown zone.';

CREATE FUNCTION trigger_engine.next_cron(expression text, after timestamptz, zone text DEFAULT 'UTC') RETURNS timestamptz
AS 'MODULE_PATHNAME', 'te_next_cron'
LANGUAGE C STABLE STRICT PARALLEL SAFE;
COMMENT ON FUNCTION trigger_engine.next_cron(text, timestamptz, text) IS
'The first instant after another at which a crontab expression fires by the clock of a zone (an IANA name). Five fields: minute, hour, day of month (L = the last), month, day of week (0 or 7 = Sunday), with lists, ranges, steps and names; with both kinds of day either will do. NULL when there is none within eight years. Errors: TE001 for what is no expression, 22023 for an unknown zone.';
