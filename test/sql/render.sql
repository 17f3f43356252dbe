-- render(), render_json(): arguments, options, where errors are said to be, the cache.
\set ECHO none
\i test/sql/include/fresh.sql
\set ECHO all
\pset null '-'
\pset format unaligned
\pset fieldsep ' => '

-- its arguments
SELECT render(NULL), render('x', NULL), render('{{ a }}', '{"a": 1}', 'de', '{}', '{}'), render('', '{}'), render('ä{{ "ö" }}ü', NULL, NULL, NULL, NULL);
SELECT render(template => '{{ a }}', context => '{"a": 1}');
SELECT error($$SELECT render('x', '[]')$$);
SELECT error($$SELECT render('x', '"y"')$$);
SELECT error($$SELECT render('x', '{}', partials => '[]')$$);
SELECT error($$SELECT render_json('x', '[1]')$$);

-- values of the context
SELECT t, to_json(render(t, '{"name": "Ann", "n": 7, "price": 12.50, "big": 12345678901234567890.0001, "yes": true, "no": false, "nil": null, "empty": "", "list": [1, "two", {"three": 3}], "none": [],
	"user": {"city": {"name": "Bonn"}, "under_score": 1, "da-sh": 2, "size": 9}, "a b": "spaced", "key": "name"}'))
FROM unnest(ARRAY['{{ name }}{{name}}{{-name-}}', '{{ n }} {{ price }} {{ big }} {{ yes }} {{ no }} [{{ nil }}] [{{ missing.deeper }}] [{{ name.deeper }}]',
	'{{ list }}|{{ none }}|{{ user }}', '{{ list[0] }} {{ list[-1].three }} {{ list[9] }} {{ list["0"] }}', '{{ list.size }} {{ list.first }} {{ list.last.three }} {{ user.size }} {{ user.city.size }} {{ list["size"] }}',
	'{{ user["city"]["name"] }} {{ user[missing] }}', '{{ ["a b"] }} {{ [key] }} {{ self["a b"] }} {{ self.name }} {{ self }}', '{{ user.under_score }} {{ user.da-sh }}', '{{ "quo''te" }} {{ ''a "b"'' }}',
	'{{ 1 }} {{ -2 }} {{ 1.50 }} {{ 123456789012345678901234567890 }} {{ true }} {{ nil }} {{ empty }}{{ blank }}', '{{ (1..4) }} {{ (n..9) | join: "-" }}']) WITH ORDINALITY u(t, k) ORDER BY k;

-- with json, keys keep their order and their doubles
SELECT render('{{ a }}{% for p in a %} {{ p[0] }}{% endfor %}', '{"a": {"long": 1, "b": 2, "aa": 3}}') AS "by jsonb",
	render_json('{{ a }}{% for p in a %} {{ p[0] }}{% endfor %}', '{"a": {"long": 1, "b": 2, "aa": 3, "b": 4}}') AS "by json";
SELECT render_json('{{ x }}{{ s }}', '{"x": [1.0, 1e2, null, "A\u00e4"], "s": "\ud83d\ude00"}');

-- errors say where: in the text, while it is parsed; by line, and within a partial, later
SELECT t, error(format('SELECT render(%L, partials => %L)', t, '{"p": "fine\n {{ 1 | divided_by: 0 }}", "q": "{% if %}"}')) FROM unnest(ARRAY[
	'{{', '{{ ', '{{ name', '{{ name }', '{{ name name }}', '{{ .name }}', '{{ name. }}', '{{ list[ }}', '{{ list[] }}', '{{ list[1 }}', '{{ name | }}', '{{ name | 1 }}', '{{ name | default: "x }}', '{{ $ }}', '{{ a = 1 }}', '{{ [1] }}',
	'{% if a %}', '{% endif %}', '{% if a %}{% endfor %}{% endif %}', '{% nothing %}', '{% %}', '{% if a', '{% for a of b %}{% endfor %}', '{% for a in b limit 1 %}{% endfor %}', '{% case %}{% endcase %}', '{% assign 1a = 2 %}', '{% assign a 2 %}',
	'{% render name %}', '{% liquid if a %}', E'first\nsecond {{ bad! }}', E'ä€{{ , }}', E'{{ 1 }}\n\n{{ 1 | divided_by: 0 }}', E'\n{% render "p" %}', E'{% include "q" %}', '{% render "r" %}', '{{ "a" | upcase: 1 }}']) WITH ORDINALITY u(t, k) ORDER BY k;

-- inline, errors are written and the rest goes on
SELECT t, to_json(render(t, partials => '{"p": "fine\n{{ 1 | divided_by: 0 }}", "q": "{% if %}"}', options => '{"errors": "inline"}')) FROM unnest(ARRAY[
	E'a {{ 1 | divided_by: 0 }}\n{{ 1 | modulo: 0 }} b', '{% if 1 < "a" %}x{% endif %}!', '{% if 1 < "a" %} {% endif %}!', '{% render "p" %}!', '{% include "q" %}!', '{% render "r" %}!', '{% include 1 %}!',
	'{% assign a = 1 | divided_by: 0 %}[{{ a }}]', '{% capture a %}{{ 1 | divided_by: 0 }}{% endcapture %}[{{ a }}]', '{{ "a" | upcase: 1 }}']) WITH ORDINALITY u(t, k) ORDER BY k;
SELECT error($$SELECT render('{{', options => '{"errors": "inline"}')$$) AS "not of the template itself";

-- strict variables and filters
SELECT t, error(format('SELECT render(%L, %L, options => %L)', t, '{"a": {"b": null}}', '{"strict_variables": true, "strict_filters": true}')) FROM unnest(ARRAY[
	'{{ a }}{{ a.b }}', '{{ missing }}', '{{ a.missing }}', '{{ missing | default: "x" }}', '{% if missing %}{% endif %}', '{% assign c = 1 %}{{ c }}', '{{ a | upcas }}', '{{ self.missing }}']) WITH ORDINALITY u(t, k) ORDER BY k;
SELECT render('{{ "a" | upcas | upcase }}[{{ missing }}]'), render('[{{ missing }}]', options => '{"errors": "inline", "strict_variables": true}');

-- escaping of outputs
SELECT e, render('{{ a }}|{{ a | raw }}|{% capture c %}{{ a }}{% endcapture %}{{ c }}|{{ 1 }}{{ nil }}<{% echo a %}>', E'{"a": "<b> & \\"c\\"\\r\\nX: y/z?"}', options => jsonb_build_object('escape', e))
FROM unnest(ARRAY['none', 'html', 'json', 'header', 'url']) WITH ORDINALITY u(e, k) ORDER BY k;

-- the moment and the zone
SELECT render('{{ "now" | date: "%Y-%m-%d %H:%M %z" }}') AS "the clock's", render('{{ "now" | date: "%Y-%m-%d %H:%M %z" }}', options => '{"now": "2024-02-29 23:30:00+00", "timezone": "Asia/Tokyo"}') AS given;
SELECT render('{{ "abc" | random_bucket_number }}', options => '{"seed": "1"}') = render('{{ "abc" | random_bucket_number }}', options => '{"seed": "1"}') AS "equal seeds";

-- the lax syntax, for templates from elsewhere
SELECT t, error(format('SELECT render(%L, %L)', t, '{"foo": {"bar": 1}}')), render(t, '{"foo": {"bar": 1}}', options => '{"syntax": "lax"}') FROM unnest(ARRAY[
	'{{ false 1 }}', '{{ foo=>bar }}', '{{ "a" | upcase) | append: "b", }}', '{% if foo.bar == 1 && false %}yes{% endif %}', '{% if 1 == 2 or (foo and foo.bar == 1) %}yes{% endif %}', '{% for i in (1...3) %}{{ i }}{% endfor %}',
	'{% case foo=>bar %}{% when 1 x %}one{% endcase %}', '{% cycle n e: "a", "b" %}{% cycle "a" "b", "c" %}', '{% capture "x" %}y{% endcapture %}{{ x }}']) WITH ORDINALITY u(t, k) ORDER BY k;

-- unknown options and values
SELECT o, error(format('SELECT render(%L, options => %L)', '', o)) FROM unnest(ARRAY['{"error": "inline"}', '{"errors": "inlin"}', '{"escape": "xml"}', '{"strict_filters": 1}', '{"now": "soon"}', '{"now": "infinity"}', '{"timezone": "Mars/Base"}', '{"now": 5}', '[]']) WITH ORDINALITY u(o, k) ORDER BY k;

-- a template that stops itself
SELECT error($$SELECT render('a{% if true %}{% abort_message "no offer" %}{% endif %}b')$$);
SELECT error($$SELECT render('{% for i in (1..3) %}{% abort_message(reason) %}{% endfor %}', '{"reason": "later"}')$$);
SELECT error($$SELECT render('{% render "p" %}', partials => '{"p": "{% abort_message %}"}')$$);

-- anybody may call it, and it looks at nothing
CREATE ROLE regress_te_nobody;
GRANT USAGE ON SCHEMA trigger_engine TO regress_te_nobody;
SET ROLE regress_te_nobody;
SELECT trigger_engine.render('{{ a | default: "b" }}'), trigger_engine.render_json('{{ a }}', '{"a": 1}');
RESET ROLE;
REVOKE USAGE ON SCHEMA trigger_engine FROM regress_te_nobody;
DROP ROLE regress_te_nobody;

-- parsed once a session, within the memory that is set
\c -
SET search_path = public, trigger_engine, test;
SELECT sum(length(render('{{ a }}!', jsonb_build_object('a', i)))) FROM generate_series(1, 1000) i;
SELECT entries, hits, misses, evictions, bytes BETWEEN 1000 AND 20000 AS small FROM template_cache;
SELECT render('{{ a }}!', '{"a": 1}'), render('{% include "p" %}{% include "p" %}', partials => '{"p": "{{ a }}!"}');
SELECT entries, hits, misses, evictions FROM template_cache;
SET trigger_engine.template_cache = '64kB';
SELECT sum(length(render(format('{%% assign a = %s %%}{{ a }}', i)))) FROM generate_series(1, 1000) i;
SELECT entries < 60 AS few, misses, evictions > 900 AS many_gone, bytes <= 64 * 1024 + 8192 AS within FROM template_cache;
-- with different texts in turn
SELECT string_agg(render(t, '{"a": 1}'), ',' ORDER BY i) FROM generate_series(1, 3) i, unnest(ARRAY['x{{ a }}', 'y{{ a }}', 'z{{ a }}']) t;
