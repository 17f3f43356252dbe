/*
 * Contexts of the four messages that rendering is measured with, 200 each, and the
 * same messages written by hand in SQL. All values follow from the number.
 */
CREATE TABLE bench.messages (kind text PRIMARY KEY, template text);
CREATE TABLE bench.contexts (kind text, n int, context jsonb, PRIMARY KEY (kind, n));
-- read as they are: unpacking them is no part of rendering
ALTER TABLE bench.messages ALTER template SET STORAGE PLAIN;
ALTER TABLE bench.contexts ALTER context SET STORAGE PLAIN;
CREATE SEQUENCE bench.fresh CACHE 1000;

CREATE FUNCTION bench.pick(n int, VARIADIC choices text[]) RETURNS text
LANGUAGE sql IMMUTABLE AS 'SELECT choices[1 + n % cardinality(choices)]';

CREATE FUNCTION bench.items(n int, count int) RETURNS jsonb
LANGUAGE sql IMMUTABLE AS $$
	SELECT jsonb_agg(jsonb_strip_nulls(jsonb_build_object(
		'sku', format('A-%s', 10000 + n * 7 + i),
		'name', bench.pick(n + i, 'Trekking shoe "Alp" & laces', 'Tent for two', 'Stove', 'Sleeping bag, down, for long winters', 'Lamp <bright>', 'Cup'),
		'note', CASE WHEN (n + i) % 4 = 0 THEN 'As a present, please, with a card that says "many happy returns"' END,
		'quantity', 1 + (n * i) % 3,
		'cents', 199 + (n * 37 + i * 1013) % 20000)))
	FROM generate_series(1, count) i
$$;

INSERT INTO bench.contexts
SELECT 'push', n, jsonb_build_object('guests', 1 + n % 8, 'booked_at', to_char(timestamp '2026-03-01' + n * interval '7 h 5 min', 'YYYY-MM-DD"T"HH24:MI:SS"Z"'))
	|| CASE WHEN n % 5 = 0 THEN '{}' ELSE jsonb_build_object('first_name', bench.pick(n, 'Anna', 'Béla', 'Chloé', '')) END
FROM generate_series(1, 200) n
UNION ALL
SELECT 'cart', n, jsonb_build_object('user', CASE WHEN n % 5 = 0 THEN '{}' ELSE jsonb_build_object('first_name', bench.pick(n, 'Anna', 'Béla', 'Chloé')) END,
	'cart', jsonb_build_object('items', bench.items(n, 5), 'cents', 1000 + n * 731))
FROM generate_series(1, 200) n
UNION ALL
SELECT 'cond', n, jsonb_build_object('user', jsonb_build_object('orders', n % 17, 'country', bench.pick(n, 'DE', 'AT', 'FR', 'US', 'PL'),
	'tags', CASE WHEN n % 3 = 0 THEN '["vip", "quiet"]' ELSE '["vip"]' END::jsonb, 'city', bench.pick(n, 'Bonn', 'Wien', '')))
FROM generate_series(1, 200) n
UNION ALL
SELECT 'email', n, jsonb_build_object('locale', 'en',
	'shop', '{"name": "Out & About", "url": "https://shop.example", "street": "Low Road 5, Leeds"}'::jsonb,
	'user', jsonb_build_object('id', format('u/%s+%s', n, n * 3), 'first_name', bench.pick(n, 'Anna', 'Béla', 'O''Neil', ''), 'street', format('Hill Street %s', n),
		'city', bench.pick(n, 'Bonn', 'Wien', 'Lyon'), 'subscribed', n % 2 = 0),
	'order', jsonb_build_object('number', 100000 + n, 'at', to_char(date '2026-01-01' + n, 'YYYY-MM-DD'), 'express', n % 4 = 0, 'days', 2 + n % 5,
		'cents', 1000 + n * 931, 'items', bench.items(n, 2 + n % 6)))
FROM generate_series(1, 200) n;

-- ---- by hand: one expression a message, over c = the context ----
CREATE FUNCTION bench.escape(t text) RETURNS text
LANGUAGE sql IMMUTABLE AS $$
	SELECT replace(replace(replace(replace(replace(t, '&', '&amp;'), '<', '&lt;'), '>', '&gt;'), '"', '&quot;'), '''', '&#39;')
$$;

CREATE FUNCTION bench.money(cents numeric) RETURNS text
LANGUAGE sql IMMUTABLE AS $$ SELECT div(cents, 100) || '.' || lpad((cents % 100)::text, 2, '0') $$;

CREATE FUNCTION bench.by_hand_push(c jsonb) RETURNS text
LANGUAGE sql IMMUTABLE AS $$
	SELECT format('%s, your table for %s is ready on %s.', coalesce(nullif(c->>'first_name', ''), 'Hello'), c->>'guests',
		to_char((c->>'booked_at')::timestamp, 'FMDD FMMonth "at" HH24:MI'))
$$;

CREATE FUNCTION bench.by_hand_cart(c jsonb) RETURNS text
LANGUAGE sql IMMUTABLE AS $$
	SELECT format(E'%s, still thinking it over?\n%sTotal: %s EUR for %s items\n', coalesce(nullif(c #>> '{user,first_name}', ''), 'Hi'),
		(SELECT string_agg(format(E'%s x %s %s EUR\n', i->>'quantity',
			CASE WHEN length(i->>'name') > 24 THEN left(i->>'name', 21) || '...' ELSE i->>'name' END,
			bench.money((i->>'cents')::numeric)), '' ORDER BY n)
			FROM jsonb_array_elements(c #> '{cart,items}') WITH ORDINALITY e(i, n)),
		bench.money((c #>> '{cart,cents}')::numeric), jsonb_array_length(c #> '{cart,items}'))
$$;

CREATE FUNCTION bench.by_hand_cond(c jsonb) RETURNS text
LANGUAGE sql IMMUTABLE AS $$
	SELECT format('%s, %s friend%s', CASE WHEN c #>> '{user,country}' IN ('DE', 'AT') THEN 'Servus' WHEN c #>> '{user,country}' = 'FR' THEN 'Salut' ELSE 'Hello' END,
		CASE WHEN (c #>> '{user,orders}')::int > 10 THEN 'gold' WHEN (c #>> '{user,orders}')::int > 3 THEN 'silver' ELSE 'new' END,
		CASE WHEN c #> '{user,tags}' ? 'quiet' THEN '' ELSE ', see what is new' || coalesce(' in ' || nullif(c #>> '{user,city}', ''), '') || '!' END)
$$;

-- the mail: format() with the fixed text between, as a programmer would write it
CREATE FUNCTION bench.by_hand_email(c jsonb, frame text, row_frame text) RETURNS text
LANGUAGE sql IMMUTABLE AS $$
	SELECT format(frame, c->>'locale', bench.escape(c #>> '{shop,name}'), c #>> '{order,number}', c #>> '{shop,url}',
		coalesce(bench.escape(nullif(c #>> '{user,first_name}', '')), 'customer'), to_char((c #>> '{order,at}')::date, 'FMDD FMMonth YYYY'),
		CASE WHEN (c #>> '{order,express}')::boolean THEN 'today' ELSE format('within %s days', c #>> '{order,days}') END,
		(SELECT string_agg(format(row_frame, c #>> '{shop,url}', i->>'sku', bench.escape(i->>'name'), CASE WHEN i ? 'note' THEN
			E'\n<br><i>' || CASE WHEN length(bench.escape(i->>'note')) > 40 THEN left(bench.escape(i->>'note'), 37) || '...' ELSE bench.escape(i->>'note') END || '</i>' ELSE '' END,
			i->>'quantity', bench.money((i->>'cents')::numeric)), '' ORDER BY n) FROM jsonb_array_elements(c #> '{order,items}') WITH ORDINALITY e(i, n)),
		jsonb_array_length(c #> '{order,items}'), bench.money((c #>> '{order,cents}')::numeric),
		CASE WHEN (c #>> '{user,subscribed}')::boolean THEN '' ELSE format(E'\n<tr>\n<td class="text" colspan="3">\n<a href="%s/news?u=%s">Hear of new things first</a>\n</td>\n</tr>',
			c #>> '{shop,url}', replace(replace(c #>> '{user,id}', '/', '%2F'), '+', '%2B')) END,
		bench.escape(c #>> '{user,street}'), upper(bench.escape(c #>> '{user,city}')), bench.escape(c #>> '{shop,street}'),
		replace(replace(c #>> '{user,id}', '/', '%2F'), '+', '%2B'))
$$;
