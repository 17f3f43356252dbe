-- Filters that messages need beyond the standard ones, against vectors of RFCs, of products' documents, and of PostgreSQL itself.
\set ECHO none
\i test/sql/include/fresh.sql
-- the templates of a list whose result is another than the one given beside them
CREATE FUNCTION test.differing(cases text[], context jsonb DEFAULT '{}', locale text DEFAULT NULL, options jsonb DEFAULT '{}')
RETURNS TABLE (template text, expected text, got text)
LANGUAGE plpgsql AS $$
BEGIN
	FOR n IN 1 .. array_length(cases, 1)
	LOOP
		template := cases[n][1];
		expected := cases[n][2];
		BEGIN
			got := trigger_engine.render(template, context, locale, options => options);
		EXCEPTION WHEN OTHERS THEN
			got := SQLSTATE || ': ' || SQLERRM;
		END;
		IF got IS DISTINCT FROM expected THEN
			RETURN NEXT;
		END IF;
	END LOOP;
END
$$;
\set ECHO all
\pset null '-'

-- digests: FIPS 180-4, RFC 1321, and what Braze documents
SELECT * FROM differing(ARRAY[
	['{{ "hey" | md5 }}', '6057f13c496ecf7fd777ceb9e79ae285'],
	['{{ "hey" | sha1 }}', '7f550a9f4c44173a37664d938f1355f0f92a47a7'],
	['{{ "hey" | sha2 }}', 'fa690b82061edfd2852629aeba8a8977b57e40fcb77d1a7a28b26cba62591204'],
	['{{ "" | md5 }}', 'd41d8cd98f00b204e9800998ecf8427e'],
	['{{ "abc" | sha1 }}', 'a9993e364706816aba3e25717850c26c9cd0d89d'],
	['{{ nothing | sha256 }}', 'e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855'],
	['{{ 12.50 | sha256 }}', encode(sha256('12.5'), 'hex')],
	['{{ "Größe" | md5 }}', md5('Größe')],
	['{{ "abc" | sha256 }}', encode(sha256('abc'), 'hex')],
	['{{ "abc" | sha512 }}', encode(sha512('abc'), 'hex')],
	['{{ long | sha256 }}', encode(sha256(repeat('x', 100000)::bytea), 'hex')]
], jsonb_build_object('long', repeat('x', 100000)));
-- keyed digests: case 2 of RFC 2202 and of RFC 4231, and Braze's
SELECT * FROM differing(ARRAY[
	['{{ d | hmac_sha1: "Jefe" }}', 'effcdf6ae5eb2fa2d27416d5f184df9c259a7c79'],
	['{{ d | hmac_sha256: "Jefe" }}', '5bdcc146bf60754e6a042426089575c75a003f089d2739839dec58b964ec3843'],
	['{{ d | hmac_sha512: "Jefe" }}', '164b7a7bfcf819e2e395fbe73b56e0a387bd64222e831fd610270cd7ea2505549758bf75c05a994a6d034f65f8f0e6fdcaeab1a34d4a6b4b636e070a38bce737'],
	['{{ d | hmac_sha256_base64: "Jefe" }}', encode('\x5bdcc146bf60754e6a042426089575c75a003f089d2739839dec58b964ec3843'::bytea, 'base64')],
	['{{ d | hmac_sha512_hex: "Jefe" | hex_base64 | size }}', '88'],
	['{{ d | hmac_sha512_base64: "Jefe" | size }}', '88'],
	['{{ "hey" | hmac_sha1_hex: "secret_key" }}', '2a3969bed25bfeefb00aca4063eb9590b4df8f0e'],
	['{{ "hey" | hmac_sha1_base64: "secret_key" }}', 'KjlpvtJb/u+wCspAY+uVkLTfjw4='],
	['{{ "hey" | hmac_sha256_hex: "secret_key" }}', '8df897f8da3d7992fe57c8dbc6f27578cfbf2dcc4d0fbb4000b8c924841d508e'],
	['{{ "hey" | hmac_sha256_base64: "secret_key" }}', 'jfiX+No9eZL+V8jbxvJ1eM+/LcxND7tAALjJJIQdUI4='],
	['{{ "x" | hmac_sha256: k | size }}', '64']
], jsonb_build_object('d', 'what do ya want for nothing?', 'k', repeat('k', 200)));
SELECT t AS template, render(t, options => '{"errors": "inline"}') FROM unnest(ARRAY[
	'{{ "x" | hmac_sha256 }}', '{{ "x" | hmac_sha256: "" }}', '{{ "x" | hmac_sha256: nil }}', '{{ "x" | md5: 1 }}']) t;

-- JSON
SELECT * FROM differing(ARRAY[
	['{{ v | json }}', '{"a":[1,2.5,"x\"y",null,true],"größe":"ü"}'],
	['{{ v.a | to_json }} {{ v.a[2] | jsonify }} {{ nothing | json }}', '[1,2.5,"x\"y",null,true] "x\"y" null'],
	['{{ html | json }}', '"<\/script>\u2028&"'],
	['{{ v.a[2] | json_escape }}', 'x\"y'],
	['{{ html | json_escape }}', '<\/script>\u2028&'],
	['{% assign x = text | from_json %}{{ x.b[1].c }} {{ x.b | size }} {% for p in x %}{{ p[0] }}{% endfor %}', '2.0 2 zb'],
	['{{ v | from_json | json }}', '{"a":[1,2.5,"x\"y",null,true],"größe":"ü"}'],
	['{{ "7" | from_json | plus: 1 }}', '8']
], jsonb_build_object('v', '{"a": [1, 2.50, "x\"y", null, true], "größe": "ü"}'::jsonb, 'html', E'</script>\u2028&',
	'text', '{"z": 1, "b": [1, {"c": 2.0}]}'));
SELECT render('{{ odd | json_escape }}', jsonb_build_object('odd', E'\n\t\r\b\f\x01\\"</x'));
SELECT t AS template, render(t, options => '{"errors": "inline"}') FROM unnest(ARRAY[
	'{{ "{" | from_json }}', '{{ "" | from_json }}', '{{ "[1,]" | from_json }}', '{{ "1 2" | from_json }}']) t;

-- URLs: whole ones, and parts
SELECT * FROM differing(ARRAY[
	['{{ "hey<>hi" | url_escape }}', 'hey%3C%3Ehi'],
	['{{ "hey<&>hi" | url_param_escape }}', 'hey%3C%26%3Ehi'],
	['{{ "<hello> & <shopify>" | url_escape }}', '%3Chello%3E%20&%20%3Cshopify%3E'],
	['{{ "<hello> & <shopify>" | url_param_escape }}', '%3Chello%3E%20%26%20%3Cshopify%3E'],
	['{{ "+1 212" | url_param_escape }}', '%2B1%20212'],
	['{{ "foo, bar; baz? é/" | cgi_escape }}', 'foo%2C+bar%3B+baz%3F+%C3%A9%2F'],
	['{{ "https://x.example/a b?c=[1]#d é" | uri_escape }}', 'https://x.example/a%20b?c=[1]#d%20%C3%A9'],
	['{{ "~a_b-c.d*" | cgi_escape }}', '~a_b-c.d%2A'],
	['{{ "100%" | url_escape }}', '100%25']
]);
SELECT u AS url, render('[{{ u | safe_url }}] [{{ u | safe_url: "https://shop.example/" }}]', jsonb_build_object('u', u)) FROM unnest(ARRAY[
	'https://a.example/?b=c', 'http://a.example', 'mailto:a@b.example', '/path', 'path:with colon', 'shop://cart/7', '?a=b', '', '#x',
	'javascript:alert(1)', 'JavaScript:alert(1)', E' \x01javascript:alert(1)', E'java\tscr\nipt:alert(1)', 'data:text/html,x', 'DATA:x', 'vbscript:x', 'file:///etc/passwd',
	'blob:x', 'view-source:x', 'jar:x', 'about:blank']) u;

-- markup, hexadecimal digits
SELECT * FROM differing(ARRAY[
	['{{ x | xml_escape }}', '&lt;a b=&#39;c&#39;&gt;&amp;&quot;'],
	['{{ x | raw }}', '<a b=''c''>&"'],
	['{{ "Grüße" | hex_encode }}', '4772c3bcc39f65'],
	['{{ "4772C3bcc39f65" | hex_decode }}', 'Grüße'],
	['{{ "" | hex_decode }}', ''],
	['{{ "hey" | sha1 | hex_base64 }}', 'f1UKn0xEFzo3Zk2TjxNV8PkqR6c=']
], '{"x": "<a b=''c''>&\""}');
SELECT t AS template, render(t, options => '{"errors": "inline"}') FROM unnest(ARRAY[
	'{{ "abc" | hex_decode }}', '{{ "zz" | hex_decode }}', '{{ "ff" | hex_decode }}', '{{ "00" | hex_decode }}', '{{ "1" | hex_base64 }}']) t;

-- automatic escaping by field: marked results are left alone where they fit, and only there
SELECT e AS escape, render('{{ x }} {{ x | raw }} {{ x | xml_escape }} {{ x | url_param_escape }} {{ x | json_escape }} {{ x | json }}',
	'{"x": "<a> & \"b\""}', options => jsonb_build_object('escape', e)) FROM unnest(ARRAY['none', 'html', 'json', 'url', 'header']) e;
-- in an URL a whole one may come first, unless it runs code
SELECT render(t, '{"u": "https://a.example/b c?d=e&f", "p": "b/c&d=é", "js": "javascript:alert(1)"}', options => '{"escape": "url"}')
FROM unnest(ARRAY['{{ u }}', 'https://x.example/{{ p }}', '{{ u }}&q={{ p }}', 'https://x.example/?q={{ p }}', 'https://x.example/#{{ p }}', '{{ js }}', '{{ u }}{{ u }}', '{{ nothing }}{{ u }}']) t;
-- a header is one line, and nothing in it turns around what follows; emoji and Arabic stay whole
SELECT n, render('{{ x }}|', jsonb_build_object('x', x), options => '{"escape": "header"}') AS line FROM (VALUES
	('line ends', E'a\r\nBcc: b\n\rc\u2028d\u2029e\u0085f'), ('controls', E'a\x01\x7f\u009bb\tc'), ('overrides', E'a\u202eb\u202ac\u202cd'), ('zero width', E'a\u200bb\ufeffc\u2060d'),
	('joiners', E'\U0001F468\u200d\U0001F469\u200d\U0001F467 نامه\u200cها')) v(n, x);
SELECT n, replace(replace(replace(render('{{ x }}', jsonb_build_object('x', x), options => '{"escape": "header"}'), U&'\2067', '<'), U&'\2068', '<'), U&'\2069', '>') AS isolates FROM (VALUES
	('closed', E'a\u2068b\u2069c'), ('open', E'a\u2067b\u2068c'), ('closed twice', E'a\u2068b\u2069\u2069c'), ('closed only', E'\u2069a')) v(n, x);

-- SMS: the alphabet, and what stands in for others
SELECT * FROM differing(ARRAY[
	['{{ "Hällo ñ Ç Δ €[]{}~|^\\" | gsm7 }}', 'Hällo ñ Ç Δ €[]{}~|^\\'],
	['{{ "“It’s” – façade… `x` ‚" | gsm7 }}', '"It''s" - facade... ''x'' '''],
	['{{ "Żółć Šťastný Ğ ő ș ﬁ" | gsm7 }}', 'Zolc Stastny G o s fi'],
	['{{ "Hi 😀👍🏽!" | gsm7 }}', 'Hi !'],
	['{{ "Привет" | gsm7 }} {{ "Привет" | gsm7: "" }}|', '?????? |'],
	['{{ "Καλημέρα κόσμε" | gsm7 }}', 'KAΛHMEPA KOΣME'],
	['{{ "½ × 3 ÷ 2 © ™" | gsm7 }}', '1/2 x 3 / 2 (C) (TM)']
]);
SELECT d AS text, render('{{ t | sms_segments }}', jsonb_build_object('t', t)) AS segments FROM (VALUES
	('empty', ''), ('160 a', repeat('a', 160)), ('161 a', repeat('a', 161)), ('306 a', repeat('a', 306)), ('307 a', repeat('a', 307)),
	('80 €', repeat('€', 80)), ('81 €', repeat('€', 81)), ('152 a, €, 20 a', repeat('a', 152) || '€' || repeat('a', 20)),
	('152 a, €, 151 a', repeat('a', 152) || '€' || repeat('a', 151)), ('152 a, €, 152 a', repeat('a', 152) || '€' || repeat('a', 152)),
	('70 ы', repeat('ы', 70)), ('71 ы', repeat('ы', 71)), ('134 ы', repeat('ы', 134)), ('135 ы', repeat('ы', 135)), ('35 😀', repeat('😀', 35)), ('36 😀', repeat('😀', 36)),
	('66 ы, 😀, 66 ы', repeat('ы', 66) || '😀' || repeat('ы', 66)), ('70 ç', repeat('ç', 70)), ('71 ç', repeat('ç', 71)), ('160 Ç', repeat('Ç', 160))) v(d, t);

-- words
SELECT * FROM differing(ARRAY[
	['{{ "the quick BROWN fox" | titlecase }}', 'The Quick Brown Fox'],
	['{{ "don''t élan-vital о''рейли 2nd" | titlecase }}', 'Don''t Élan-Vital О''рейли 2nd'],
	['{{ "ǆungla" | titlecase }}', 'ǅungla'],
	['{{ "  The _config.yml file  " | slugify }}', 'the-config-yml-file'],
	['{{ "The _config.yml file" | slugify: "pretty" }}', 'the-_config.yml-file'],
	['{{ "The _cönfig.yml file" | slugify: "ascii" }}', 'the-c-nfig-yml-file'],
	['{{ "The cönfig ßtraße Łódź" | slugify: "latin" }}', 'the-config-sstrasse-lodz'],
	['{{ "Привет, Мир!" | slugify }}', 'привет-мир'],
	['{{ "A  b_C" | slugify: "raw" }}', 'a-b_c'],
	['{{ "!!!" | slugify }}', ''],
	['{{ 1 | pluralize: "item", "items" }} {{ 2 | pluralize: "item", "items" }} {{ 0 | pluralize: "item" }} {{ 1.0 | pluralize: "item" }} {{ "1" | pluralize: "item" }}', 'item items items item item']
]);
SELECT render('{{ "x" | slugify: "best" }}', options => '{"errors": "inline"}');

-- lists
SELECT * FROM differing(ARRAY[
	['{{ l | push: "d" | join }} {{ l | unshift: 0 | join }} {{ l | join }}', 'a b c d 0 a b c a b c'],
	['{{ l | pop | join }}|{{ l | pop: 2 | join }}|{{ l | pop: 9 | join }}|{{ l | shift | join }}|{{ l | shift: 2 | join }}|{{ nothing | pop | join }}', 'a b|a||b c|c|'],
	['{{ l | limit: 2 | join }}|{{ l | limit: 0 | join }}|{{ l | limit: 9 | join }}|{{ (1..9) | limit: 3 | join }}', 'a b||a b c|1 2 3'],
	['{{ l | intersect: m | join }}|{{ m | intersect: l | join }}|{{ l | intersect: nothing | join }}', 'b c|c b|'],
	['{{ l | push: l | json }}', '["a","b","c",["a","b","c"]]'],
	['{% assign g = p | group_by: "kind" %}{% for x in g %}{{ x.name }}:{{ x.size }}:{{ x.items | map: "n" | join: "," }};{% endfor %}', 'x:2:1,3;y:1:2;:1:4;'],
	['{{ p | where_not: "kind", "x" | map: "n" | join: "," }}', '2,4'],
	['{{ h | property_accessor: "a" }} {{ h | property_accessor: k }} {{ h | property_accessor: "z" }}', '42 7 '],
	['{{ l | array_to_sentence_string }}|{{ l | array_to_sentence_string: "or" }}|{{ l | pop | array_to_sentence_string }}|{{ l | limit: 1 | array_to_sentence_string }}|{{ nothing | array_to_sentence_string }}', 'a, b, and c|a, b, or c|a and b|a|']
], '{"l": ["a", "b", "c"], "m": ["c", "x", "b", "c"], "p": [{"n": 1, "kind": "x"}, {"n": 2, "kind": "y"}, {"n": 3, "kind": "x"}, {"n": 4}], "h": {"a": 42, "b": 7}, "k": "b"}');
SELECT l AS locale, render('{{ l | array_to_sentence_string }}', '{"l": ["a", "b", "c"]}', l) FROM unnest(ARRAY['en', 'en-GB', 'de', 'es', 'ja', 'ar']) l;
SELECT t AS template, render(t, options => '{"errors": "inline"}') FROM unnest(ARRAY['{{ "x" | pop: -1 }}', '{{ "x" | limit: "a" }}', '{{ "x" | limit }}']) t;

-- zones, and arithmetic on the calendar
SELECT * FROM differing(ARRAY[
	['{{ t | time_zone: "Europe/Berlin" | date: "%Y-%m-%d %H:%M %z" }}', '2030-03-31 01:30 +0100'],
	['{{ t | timezone: "Asia/Kolkata" | date: "%H:%M" }} {{ t | time_zone: "Etc/GMT+5" | date: "%H:%M" }} {{ t | time_zone: "America/Port-au-Prince" | date: "%z" }}', '06:00 19:30 -0400'],
	-- the hour that 31 March 2030 lacks in Berlin, and the one that 27 October has twice
	['{{ "2030-03-30T02:30:00+01:00" | time_zone: "Europe/Berlin" | add_day: 1 | date: "%Y-%m-%d %H:%M:%S %z" }}', '2030-03-31 03:00:00 +0200'],
	['{{ "2030-10-26T02:30:00+02:00" | time_zone: "Europe/Berlin" | add_days: 1 | date: "%Y-%m-%d %H:%M:%S %z" }}', '2030-10-27 02:30:00 +0200'],
	['{{ "2030-10-26T02:30:00+02:00" | time_zone: "Europe/Berlin" | add_hours: 25 | date: "%Y-%m-%d %H:%M:%S %z" }}', '2030-10-27 02:30:00 +0100'],
	['{{ "2030-01-31" | add_month: 1 | date: "%F" }} {{ "2032-01-31" | add_month: 1 | date: "%F" }} {{ "2032-02-29" | add_year: 1 | date: "%F" }} {{ "2032-02-29" | add_years: 4 | date: "%F" }}', '2030-02-28 2032-02-29 2033-02-28 2036-02-29'],
	['{{ "2030-03-31" | subtract_month: 1 | date: "%F" }} {{ "2030-01-15" | subtract_months: 13 | date: "%F" }} {{ "2030-01-15" | subtract_year: 1 | date: "%F" }} {{ "2030-01-15" | add_months: -12 | date: "%F" }}', '2030-02-28 2028-12-15 2029-01-15 2029-01-15'],
	['{{ t | add_weeks: 1 | date: "%F" }} {{ t | subtract_days: 31 | date: "%F" }} {{ t | add_minutes: 90 | date: "%R" }} {{ t | subtract_seconds: 1 | date: "%T" }}', '2030-04-07 2030-02-28 02:00 00:29:59'],
	['{{ "1600-01-01" | subtract_day: 1 | date: "%F" }} {{ "0001-01-01" | subtract_day: 1 | date: "%F" }} {{ "2030-01-01" | add_days: 100000 | date: "%F" }}', '1599-12-31 0000-12-31 2303-10-18'],
	['{{ 1893456000 | add_day: 1 | date: "%s" }}', '1893542400'],
	['{{ "no date" | add_day: 1 }} {{ nothing | add_day: 1 }} {{ "no date" | time_zone: "UTC" }}', 'no date  no date'],
	['{{ t | date_to_string }}, {{ t | date_to_long_string }}', '31 Mar 2030, 31 March 2030'],
	['{{ t | date_to_rfc822 }}', 'Sun, 31 Mar 2030 00:30:00 +0000'],
	['{{ t | time_zone: "America/New_York" | date_to_xmlschema }} {{ t | date_to_xmlschema }}', '2030-03-30T20:30:00-04:00 2030-03-31T00:30:00+00:00']
], '{"t": "2030-03-31T00:30:00Z"}');
SELECT t AS template, render(t, '{"t": "2030-03-31T00:30:00Z", "posix": "FOO3BAR,M3.2.0/2"}', options => '{"errors": "inline"}') FROM unnest(ARRAY[
	'{{ t | time_zone: "Mars/Base" }}', '{{ t | time_zone: "" }}', '{{ t | time_zone: posix }}', '{{ t | time_zone: "UTC+3" }}', '{{ t | time_zone: "../etc/passwd" }}',
	'{{ t | add_day: "x" }}', '{{ t | add_day: 1.5 }}', '{{ t | add_year: 999999 }}', '{{ t | add_seconds: 9223372036854775807 }}', '{{ t | subtract_days: -9223372036854775808 }}', '{{ t | add_month }}']) t;

-- amounts, by the reader's locale or a named one
SELECT * FROM differing(ARRAY[
	['{{ 145 | money }} {{ 1234.5 | money }} {{ -0.005 | money }} {{ "12.345" | money }}', '145.00 1,234.50 -0.01 12.35'],
	['{{ 123456 | number_with_delimiter }} {{ 1234.5678 | number_with_delimiter }} {{ -1234567 | number_with_delimiter: " ", "," }} {{ 1234.5 | number_with_delimiter: ".", "," }} {{ 12 | number_with_delimiter: "." }}', '123,456 1,234.5678 -1 234 567 1.234,5 12'],
	['{{ 10000 | format_number }} {{ 10000.125 | format_number: "de" }} {{ 12345678901234567890 | format_number: "en-IN" }}', '10,000 10.000,125 1,23,45,67,89,01,23,45,67,890'],
	['{{ 10.99 | rounded_currency }} {{ 10.5 | rounded_currency: "GBP", "en-GB" }} {{ 1234.4 | rounded_currency: "EUR", locale: "de" }}', '$11 £11 1.234' || U&'\00A0' || '€'],
	['{{ nothing | money }} {{ "x" | format_number }}', '0.00 0']
]);
SELECT l AS locale, render('{{ 1234567.891 | money }} {{ 1234567.891 | format_number }} {{ 1234567.891 | number_with_delimiter }} {{ 1234567.891 | rounded_currency: "EUR" }}', '{}', l)
FROM unnest(ARRAY['de', 'fr-CH', 'hi', 'ar-EG', 'es-MX']) l;
SELECT t AS template, render(t, options => '{"errors": "inline"}') FROM unnest(ARRAY['{{ 1 | money: "no locale" }}', '{{ 1 | rounded_currency: "EURO" }}', '{{ 1 | format_number: "!" }}']) t;

-- chance: the same seed chooses the same, and SQL can tell what was chosen
SELECT render('{{ 100 | random }} {{ 100 | random }} {{ (5..7) | random }} {{ l | sample }} {{ "" | generate_uuid }}', '{"l": ["a", "b", "c"]}', options => '{"seed": "s1"}') AS s1,
	render('{{ 100 | random }} {{ 100 | random }} {{ (5..7) | random }} {{ l | sample }} {{ "" | generate_uuid }}', '{"l": ["a", "b", "c"]}', options => '{"seed": "s1"}') AS again \gx
CREATE FUNCTION test.drawn(seed text, n integer, below bigint) RETURNS bigint LANGUAGE sql AS $$
	SELECT floor((('x' || left(encode(sha256(convert_to($1 || E'\n' || $2, 'UTF8')), 'hex'), 16))::bit(64)::bigint::numeric
		+ CASE WHEN ('x' || left(encode(sha256(convert_to($1 || E'\n' || $2, 'UTF8')), 'hex'), 16))::bit(64)::bigint < 0 THEN 18446744073709551616 ELSE 0 END)
		* $3 / 18446744073709551616)::bigint
$$;
SELECT count(*) FILTER (WHERE render('{{ 1000 | random }} {{ 1000 | random }}', options => jsonb_build_object('seed', n::text)) = format('%s %s', drawn(n::text, 0, 1000), drawn(n::text, 1, 1000))) AS as_told
FROM generate_series(1, 200) n;
SELECT count(DISTINCT r) AS values, min(r), max(r), count(*) FILTER (WHERE r < 5) BETWEEN 400 AND 600 AS even FROM (
	SELECT render('{{ 10 | random }}', options => jsonb_build_object('seed', n::text))::int AS r FROM generate_series(1, 1000) n) x;
-- a person's bucket does not depend on the message; a salt makes another
SELECT count(*) FILTER (WHERE render('{{ u | random_bucket_number }}', jsonb_build_object('u', n), options => '{"seed": "a"}') = render('{{ u | random_bucket_number }}', jsonb_build_object('u', n), options => '{"seed": "b"}')) AS same,
	count(*) FILTER (WHERE render('{{ u | random_bucket_number: "spring" }}', jsonb_build_object('u', n)) = drawn('spring', n, 10000)::text) AS as_told,
	count(*) FILTER (WHERE render('{{ u | random_bucket_number }}', jsonb_build_object('u', n))::int < 2500) BETWEEN 20 AND 80 AS even
FROM generate_series(1, 200) n;
SELECT count(DISTINCT u) AS uuids, bool_and(u ~ '^[0-9a-f]{8}-[0-9a-f]{4}-4[0-9a-f]{3}-[89ab][0-9a-f]{3}-[0-9a-f]{12}$') AS well_formed FROM (
	SELECT render('{{ nil | generate_uuid }}', options => jsonb_build_object('seed', n)) AS u FROM generate_series(1, 100) n) x;
SELECT render('{{ nil | random_bucket_number }} {{ nil | random_bucket_number }}', options => '{"seed": 1}');
SELECT t AS template, render(t, options => '{"errors": "inline"}') FROM unnest(ARRAY['{{ 0 | random }}', '{{ -1 | random }}', '{{ "x" | random }}', '{{ (2..1) | random }}', '{{ 4294967296 | random }}', '{{ 1 | random }}']) t;
