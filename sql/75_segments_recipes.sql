/*
 * Recipes: views that analysts copy and fit to their own events.
 */

CREATE FUNCTION trigger_engine.segment_recipes() RETURNS TABLE (name text, description text, sql text)
LANGUAGE sql IMMUTABLE PARALLEL SAFE
SET search_path = pg_catalog, pg_temp
AS $function$
	SELECT r.name, r.description, btrim(replace(r.sql, E'\n\t\t', E'\n'), E'\n\t')
	FROM (VALUES
		('new_users', 'Became users in the last 7 days', $$
		SELECT user_id, created_at + interval '7 days' AS valid_until
		FROM trigger_engine.users WHERE created_at > trigger_engine.clock() - interval '7 days'$$),
		('recent_buyers', 'Recency: bought in the last 30 days', $$
		SELECT user_id, max(occurred_at) + interval '30 days' AS valid_until
		FROM trigger_engine.all_events WHERE name = 'order' AND occurred_at > trigger_engine.clock() - interval '30 days'
		GROUP BY user_id$$),
		('frequent_buyers', 'Frequency: five orders or more in 90 days', $$
		SELECT user_id, min(occurred_at) + interval '90 days' AS valid_until
		FROM trigger_engine.all_events WHERE name = 'order' AND occurred_at > trigger_engine.clock() - interval '90 days'
		GROUP BY user_id HAVING count(*) >= 5$$),
		('vip', 'Monetary: spent 1000 or more in a year', $$
		SELECT user_id, min(occurred_at) + interval '1 year' AS valid_until
		FROM trigger_engine.all_events WHERE name = 'order' AND occurred_at > trigger_engine.clock() - interval '1 year'
		GROUP BY user_id HAVING sum((properties ->> 'total')::numeric) >= 1000$$),
		('rfm_best', 'In the best fifth by recency, frequency and money of the year. Compares everybody: asking for one person reads all orders', $$
		SELECT user_id FROM (
			SELECT user_id, ntile(5) OVER (ORDER BY max(occurred_at)) AS r, ntile(5) OVER (ORDER BY count(*)) AS f,
				ntile(5) OVER (ORDER BY sum((properties ->> 'total')::numeric)) AS m
			FROM trigger_engine.all_events WHERE name = 'order' AND occurred_at > trigger_engine.clock() - interval '1 year'
			GROUP BY user_id) t
		WHERE r = 5 AND f = 5 AND m = 5$$),
		('at_risk', 'Stage of life: was seen 14 to 30 days ago and not since', $$
		SELECT user_id, max(occurred_at) + interval '30 days' AS valid_until
		FROM trigger_engine.all_events GROUP BY user_id
		HAVING max(occurred_at) <= trigger_engine.clock() - interval '14 days'
			AND max(occurred_at) > trigger_engine.clock() - interval '30 days'$$),
		('lapsed_by_week', 'Not seen for a week, and not yet for two', $$
		SELECT user_id, max(occurred_at) + interval '14 days' AS valid_until
		FROM trigger_engine.all_events GROUP BY user_id
		HAVING max(occurred_at) <= trigger_engine.clock() - interval '7 days'
			AND max(occurred_at) > trigger_engine.clock() - interval '14 days'$$),
		('lapsed_by_month', 'Not seen for a month, and not yet for two', $$
		SELECT user_id, max(occurred_at) + interval '60 days' AS valid_until
		FROM trigger_engine.all_events GROUP BY user_id
		HAVING max(occurred_at) <= trigger_engine.clock() - interval '30 days'
			AND max(occurred_at) > trigger_engine.clock() - interval '60 days'$$),
		('won_back', 'Came back in the last week after a month or more', $$
		SELECT user_id FROM (
			SELECT user_id, occurred_at, occurred_at - lag(occurred_at) OVER (PARTITION BY user_id ORDER BY occurred_at) AS gap
			FROM trigger_engine.all_events) e
		WHERE gap >= interval '30 days' AND occurred_at > trigger_engine.clock() - interval '7 days'
		GROUP BY user_id$$),
		('cart_abandoners', 'Filled a cart an hour to a day ago and ordered nothing since', $$
		SELECT user_id, max(occurred_at) FILTER (WHERE name = 'cart') + interval '1 day' AS valid_until
		FROM trigger_engine.all_events WHERE name IN ('cart', 'order') AND occurred_at > trigger_engine.clock() - interval '1 day'
		GROUP BY user_id
		HAVING max(occurred_at) FILTER (WHERE name = 'cart') <= trigger_engine.clock() - interval '1 hour'
			AND coalesce(max(occurred_at) FILTER (WHERE name = 'order') < max(occurred_at) FILTER (WHERE name = 'cart'), true)$$),
		('speaks_german', 'By language: the locale is a German one', $$
		SELECT user_id FROM trigger_engine.users WHERE locale = 'de' OR locale LIKE 'de-%'$$),
		('in_zone', 'By time zone', $$
		SELECT user_id FROM trigger_engine.users WHERE zone = 'Europe/Berlin'$$),
		('in_city', 'By city, an attribute', $$
		SELECT user_id FROM trigger_engine.users WHERE attributes ->> 'city' = 'Berlin'$$),
		('near_store', 'Within 10 km of a point, by the attributes latitude and longitude (haversine formula, Earth''s radius 6371 km)', $$
		SELECT user_id FROM trigger_engine.users
		WHERE 2 * 6371 * asin(sqrt(least(1, power(sind(((attributes ->> 'latitude')::float8 - 52.52) / 2), 2)
			+ cosd(52.52) * cosd((attributes ->> 'latitude')::float8) * power(sind(((attributes ->> 'longitude')::float8 - 13.405) / 2), 2)))) <= 10$$),
		('on_ios', 'By device: has an endpoint whose data says so', $$
		SELECT DISTINCT user_id FROM trigger_engine.endpoints WHERE state = 'active' AND data ->> 'device' = 'ios'$$),
		('old_app', 'By app version: all parts are compared as numbers', $$
		SELECT DISTINCT user_id FROM trigger_engine.endpoints
		WHERE data ->> 'app_version' ~ '^[0-9]{1,9}(\.[0-9]{1,9})*$'
			AND string_to_array(data ->> 'app_version', '.')::int[] < ARRAY[3, 2]$$),
		('wants_news', 'By topic: opted in to mail about it, and has not opted out since', $$
		SELECT user_id FROM trigger_engine.consents
		WHERE channel = 'email' AND topic = 'news' AND state = 'opted_in'$$),
		('likes_category', 'Looked at three or more of a category in 30 days and bought none', $$
		SELECT user_id, min(occurred_at) FILTER (WHERE name = 'view') + interval '30 days' AS valid_until
		FROM trigger_engine.all_events
		WHERE name IN ('view', 'order') AND properties ->> 'category' = 'shoes' AND occurred_at > trigger_engine.clock() - interval '30 days'
		GROUP BY user_id
		HAVING count(*) FILTER (WHERE name = 'view') >= 3 AND count(*) FILTER (WHERE name = 'order') = 0$$),
		('likes_brand', 'Half or more of what they looked at in 90 days is of one brand, and five at least', $$
		SELECT user_id FROM trigger_engine.all_events
		WHERE name = 'view' AND occurred_at > trigger_engine.clock() - interval '90 days'
		GROUP BY user_id
		HAVING count(*) >= 5 AND count(*) FILTER (WHERE properties ->> 'brand' = 'acme') * 2 >= count(*)$$),
		('likely_to_churn', 'Three orders or more, and none for twice the time that usually lies between two', $$
		SELECT user_id FROM trigger_engine.all_events WHERE name = 'order'
		GROUP BY user_id
		HAVING count(*) >= 3 AND max(occurred_at) + 2 * (max(occurred_at) - min(occurred_at)) / (count(*) - 1) < trigger_engine.clock()$$),
		('evening_people', 'Are mostly active between 18 and 23 o''clock of their own zone', $$
		SELECT e.user_id FROM trigger_engine.all_events e LEFT JOIN trigger_engine.users u ON u.user_id = e.user_id
		WHERE e.occurred_at > trigger_engine.clock() - interval '30 days'
		GROUP BY e.user_id
		HAVING count(*) >= 5
			AND count(*) FILTER (WHERE extract(hour FROM e.occurred_at AT TIME ZONE coalesce(u.zone, 'UTC')) BETWEEN 18 AND 22) * 2 > count(*)$$),
		('sample', 'A tenth of all users, always the same ones', $$
		SELECT user_id FROM trigger_engine.users WHERE trigger_engine.bucket('sample', user_id, 2) < 0.1$$),
		('german_not_new', 'Nested, and without another: members of one segment who are not in a second', $$
		SELECT user_id FROM trigger_engine.users WHERE country = 'DE'
		EXCEPT SELECT user_id FROM trigger_engine.users WHERE created_at > trigger_engine.clock() - interval '7 days'$$)
	) r(name, description, sql)
$function$;
COMMENT ON FUNCTION trigger_engine.segment_recipes() IS
'Views to copy: name, what it is for, and the query. CREATE VIEW ... AS it with your own event names (here cart, view and order with total, category and brand in its properties) and numbers, then create_segment(). The view''s owner must be able to read what it names.';
