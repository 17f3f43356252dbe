-- render(): paths, defaults, and errors that say where.
\set ECHO none
\i test/sql/include/fresh.sql
\set ECHO all
\pset null '-'

SELECT t AS template, '>' || render(t, '{"name": "Ann", "n": 7, "price": 12.50, "big": 12345678901234567890.0001, "yes": true, "no": false, "nil": null, "empty": "", "list": [1, "two", {"three": 3}], "none": [],
	"user": {"city": {"name": "Bonn"}, "under_score": 1, "da-sh": 2}, "Größe": "L", "0": "zero", "size": {"first": "x"}}') || '<' AS text FROM unnest(ARRAY[
	'', 'plain', 'Hello {{ name }}!', '{{name}}', '{{   name   }}', E'{{\n\tname\r\n}}', '{{ n }} {{ price }} {{ big }} {{ yes }} {{ no }}', '{{ nil }}', '{{ missing }}', '{{ missing.deeper.still }}', '{{ name.deeper }}',
	'{{ user.city.name }}', '{{ user.under_score }} {{ user.da-sh }}', '{{ list[0] }} {{ list[1] }} {{ list[2].three }} {{ list[9] }}', '{{ list }}', '{{ user.city }}', '{{ none }}', '{{ Größe }}', '{{ 0 }}',
	'{{ name | default: "x" }}', '{{ missing | default: "x" }}', '{{ missing | default: ''it "is"'' }}', '{{ missing|default:"" }}', '{{ nil | default: "x" }}', '{{ no | default: "x" }}', '{{ empty | default: "x" }}', '{{ none | default: "x" }}',
	'{{ n | default: "x" }}', '{{ missing | default: "{{ name }}" }}', '{{ name }}{{ name }}', 'a { b } c { {', '{', '}}', '{ { name } }', '{{ name }} }}', 'ä{{ name }}ö', '<b>{{ name }}</b>']) WITH ORDINALITY u(t, n) ORDER BY n;

SELECT t AS template, error(format('SELECT render(%L)', t)) FROM unnest(ARRAY[
	'{{', '{{ ', '{{ }}', '{{ name', '{{ name }', '{{ name } }}', '{{ name name }}', '{{ .name }}', '{{ name. }}', '{{ name..x }}', '{{ list[ }}', '{{ list[] }}', '{{ list[x] }}', '{{ list[-1] }}', '{{ list[1 }}',
	'{{ "text" }}', '{{ name | }}', '{{ name | upcase }}', '{{ name | default }}', '{{ name | default: }}', '{{ name | default: x }}', '{{ name | default: "x }}', '{{ name | default: "x" y }}', '{{ $.name }}',
	E'first\nsecond {{ bad! }}', E'ä€{{ }}', E'{{ good }}\n\n  {{ also_good }} {{ 1 + 1 }}']) WITH ORDINALITY u(t, n) ORDER BY n;

-- its arguments
SELECT render(NULL), render('x', NULL), render('{{ a }}', '{"a": 1}', 'de', '{}', '{}');
SELECT render(template => '{{ a }}', context => '{"a": 1}');
SELECT error($$SELECT render('x', '[]')$$);
SELECT error($$SELECT render('x', '"y"')$$);
SELECT error($$SELECT render('x', '{}', options => '{"strict": true}')$$);
-- anybody may call it, and it looks at nothing
CREATE ROLE regress_te_nobody;
GRANT USAGE ON SCHEMA trigger_engine TO regress_te_nobody;
SET ROLE regress_te_nobody;
SELECT trigger_engine.render('{{ a | default: "b" }}');
RESET ROLE;
REVOKE USAGE ON SCHEMA trigger_engine FROM regress_te_nobody;
DROP ROLE regress_te_nobody;
-- long texts
SELECT length(render(repeat('{{ a }}', 100000), '{"a": "0123456789"}'));
SELECT length(render(repeat('x', 10000000)));
