-- Bars for psql and a page for a browser, from the metrics; sections without data say so.
\set ECHO none
\i test/sql/include/fresh.sql
CALL journey('cart');
CREATE PROCEDURE test.interact(kind text, every int)
LANGUAGE sql AS $$
	INSERT INTO _interactions (user_id, send_id, journey_id, entry_key, step, channel, kind, at, recorded_at)
	SELECT user_id, send_id, journey_id, entry_key, step, channel, kind, clock(), clock() FROM _sends WHERE state = 'accepted' AND substr(user_id, 2)::int % every = 0
$$;
-- the text of a page without its style, one line an element
CREATE FUNCTION test.page(html text) RETURNS SETOF text LANGUAGE sql AS $$
	SELECT line FROM regexp_split_to_table(regexp_replace(regexp_replace(html, '<style>.*</style>', ''), '<[^>]*>', E'\n', 'g'), E'\n') WITH ORDINALITY l(line, n)
	WHERE line ~ '\S' ORDER BY n
$$;
\set ECHO all
\pset null '-'
\pset format unaligned

-- nothing yet
SELECT * FROM journey_chart('cart');
SELECT page(report_html('cart'));

-- 40 people: 30 get a message, 15 open it, 6 click
SELECT count(set_consent('u' || i, 'in_app', 'opted_out')) FROM generate_series(31, 40) i;
INSERT INTO events (user_id, name) SELECT 'u' || i, 'cart' FROM generate_series(1, 40) i;
CALL drain();
CALL interact('opened', 2);
CALL interact('clicked', 5);
SELECT maintain();
SELECT * FROM journey_chart('cart', width => 20);
SELECT count(*) FROM journey_chart('cart', until => '2030-01-15 12:00+00');
SELECT set_conversion('cart', '{order}', '1 day', value => 'total');
SELECT advance_clock('25 h') \gset
INSERT INTO events (user_id, name) SELECT 'v' || i, 'cart' FROM generate_series(1, 40) i;
CALL drain();
SELECT advance_clock('1 min') \gset
SELECT create_experiment('bold <b>', '["plain", "strong & big"]') > 0 AS ok, create_holdout('none yet', 0.5, journey => 'cart') > 0 AS held;
INSERT INTO _exposures SELECT 'v' || i, 'bold <b>', 1, CASE WHEN i <= 20 THEN 'plain' ELSE 'strong & big' END, j.journey_id, 'k', 's', clock()
FROM generate_series(1, 40) i, _journeys j WHERE j.name = 'cart';
CALL drain('1 h');
INSERT INTO events (user_id, name, properties) SELECT 'v' || i, 'order', '{"total": 10}' FROM generate_series(16, 30) i;
INSERT INTO events (user_id, name) SELECT 'w' || i, 'cart' FROM generate_series(1, 40) i;
CALL drain('1 h');
INSERT INTO events (user_id, name) SELECT 'w' || i, 'order' FROM generate_series(1, 20) i WHERE held_out('w' || i, 'cart') IS NULL;
CALL drain('1 h'); SELECT maintain();
SELECT people_free, conversions_free, people_held, conversions_held FROM holdout_lift('cart');
SELECT page(report_html('cart', '2030-01-15', '2030-01-18'));
-- the bars: 30 of 40 high in the first day, everything within the picture
SELECT jsonb_path_query(_report_context('cart', '2030-01-15', '2030-01-17'), '$.days[*]');
SELECT days ->> 'days_each' AS each, jsonb_array_length(days -> 'days') AS bars FROM unnest('{1,60,61,3000}'::int[]) n, _report_days('cart', '2030-01-01', '2030-01-01'::timestamptz + n * interval '1 day') days;
-- nothing from elsewhere, no script, and no name is markup
SELECT html ~ 'https?://|<script|url\(|@import|<link|<img|javascript:' AS elsewhere, html ~ 'bold <b>' AS markup, html LIKE '%bold &lt;b&gt;%' AS escaped, length(html) < 20000 AS small FROM report_html('cart') html;
-- a page of one's own, which may use other blocks
SELECT create_template('sign', 'block', '{"html": "<i>{{ who }}</i>"}') IS NOT NULL AS sign, create_template('journey_report', 'block', '{"html": "{{ journey.name }}: {{ total.sent }} {% render ''sign'', who: ''&'' %}"}') IS NOT NULL AS own;
SELECT report_html('cart', '2030-01-15', '2030-01-16');
SELECT create_template('brief', 'block', '{"html": "{{ total.withheld }}"}') IS NOT NULL AS brief;
SELECT report_html('cart', '2030-01-15', '2030-01-16', 'brief');
SELECT error($$SELECT report_html('cart', template => 'nothing')$$);
SELECT error($$SELECT report_html('nothing')$$);
SELECT error($$SELECT report_html('cart', '2030-01-16', '2030-01-15')$$);
SELECT error($$SELECT journey_chart('nothing')$$);
SELECT error($$SELECT journey_chart('cart', width => 0)$$);
SELECT * FROM check_template(report_template());
