-- Conversions: which message gets the credit, by model, once, however late an event comes.
\set ECHO none
\i test/sql/include/fresh.sql
CALL journey('last', 'a');
CALL journey('first', 'a');
CALL journey('even', 'a');
CALL journey('open', 'a');
CALL journey('click', 'a');
CALL journey('view', 'a');
CALL journey('short', 'a');
CREATE PROCEDURE test.interact(kind text, journey text, nth int)
LANGUAGE sql AS $$
	INSERT INTO _interactions (user_id, send_id, journey_id, entry_key, step, channel, kind, at, recorded_at)
	SELECT s.user_id, s.send_id, s.journey_id, s.entry_key, s.step, s.channel, $1, clock(), clock()
	FROM (SELECT s.*, row_number() OVER (ORDER BY s.finished_at) AS n FROM _sends s JOIN _journeys j USING (journey_id) WHERE j.name = $2) s WHERE s.n = $3
$$;
\set ECHO all
\pset null '-'
SELECT error($$SELECT set_conversion('nothing', '{order}')$$);
SELECT error($$SELECT set_conversion('last', '{order}', model => 'best')$$);
SELECT error($$SELECT set_conversion('last', '{order}', '-1 day')$$);
SELECT error($$SELECT set_conversion('last', '{order}', '1 day', channel_windows => '{"push": "2 days"}')$$);
SELECT set_conversion(name, '{order,subscribe}', '3 days', model => name, value => 'total') FROM journeys WHERE name <> 'short' ORDER BY name;
SELECT set_conversion('short', '{order}', '3 days', channel_windows => '{"in_app": "1 hour"}');

-- three messages a day apart; the second one is opened, the first clicked; then an order in the windows of all
CALL event('u', 'a'); CALL drain(); CALL interact('clicked', 'click', 1); CALL interact('opened', 'view', 1);
CALL drain('1 day'); CALL event('u', 'a'); CALL drain(); CALL interact('opened', 'open', 2); CALL interact('delivered', 'view', 2); CALL interact('clicked', 'view', 2);
CALL drain('1 day'); CALL event('u', 'a'); CALL drain();
CALL drain('6 h'); CALL event('u', 'order', '{"total": 30}'); CALL drain();
-- an opening after the order earns nothing
CALL drain('1 h'); CALL interact('opened', 'open', 3);
SELECT maintain();
CREATE VIEW test.credits AS SELECT c.journey, c.event, c.at, s.finished_at AS sent_at, round(c.credit, 3) AS credit, c.value, c.why FROM conversions c JOIN sends s USING (user_id, send_id) ORDER BY 1, 3, 4;
SELECT journey, sent_at, credit, value, why FROM credits;
-- looked at again: nothing twice; an event that arrives late is found, one beyond the window is not, an amount that is no number counts 0
CALL event('u', 'subscribe', '{"total": "much"}', '2030-01-17 13:00+00');
CALL drain('2 days'); CALL event('u', 'order', '{"total": 5}');
CALL drain('1 h'); SELECT maintain();
CALL drain('1 day'); SELECT maintain();
SELECT journey, event, at, count(*), sum(credit) FROM credits WHERE journey IN ('last', 'even') GROUP BY 1, 2, 3 ORDER BY 1, 3;
SELECT count(*) FROM credits WHERE journey = 'short';
-- within a shorter window of the channel; other people's orders count for them alone
CALL event('v', 'a'); CALL drain(); CALL drain('30 min'); CALL event('v', 'order'); CALL event('w', 'order');
CALL drain('30 min'); CALL event('v', 'order'); CALL drain('5 min');
SELECT maintain();
SELECT user_id, at - sent_at AS after FROM _conversions c JOIN _journeys j USING (journey_id) WHERE j.name = 'short';
-- the counters are what the rows say, and nobody is watched for ever
SELECT journey, sum(conversions) = (SELECT sum(credit) FROM conversions c WHERE c.journey = m.journey) AS credits, sum(revenue) = (SELECT sum(credit * value) FROM conversions c WHERE c.journey = m.journey) AS revenue
FROM conversion_metrics m GROUP BY 1 ORDER BY 1;
SELECT count(*) > 0 AS watched FROM _conversion_watches;
CALL drain('5 days'); SELECT maintain();
SELECT count(*) FROM _conversion_watches;
-- no more after the rule is gone
SELECT set_conversion('last', '{}');
CALL event('x', 'a'); CALL drain(); SELECT maintain();
SELECT journey FROM conversion_rules ORDER BY 1;
SELECT j.name FROM _conversion_watches w JOIN _journeys j USING (journey_id) ORDER BY 1;
