-- Templates and contexts made to crash, stall or fill the server: each ends in an error or a bounded result, soon.
\set ECHO none
\i test/sql/include/fresh.sql
\pset null '-'
\pset format unaligned
\pset fieldsep ' | '

-- Room for the limits that do not depend on time to be met first, however busy the machine is.
SET trigger_engine.template_time = '20s';
SET statement_timeout = '1min';

CREATE TABLE test.hostile (n int GENERATED ALWAYS AS IDENTITY, class text, name text, template text, context jsonb DEFAULT '{}',
	partials jsonb DEFAULT '{}', options jsonb DEFAULT '{}', locale text);

-- Seconds of CPU that this session has used; of the clock where that cannot be told.
CREATE FUNCTION test.seconds() RETURNS float8
LANGUAGE sql AS $$
	SELECT coalesce(split_part(pg_read_file('/proc/self/schedstat', 0, 100, true), ' ', 1)::float8 / 1e9,
		extract(epoch FROM clock_timestamp())::float8)
$$;

-- What comes of a case: an error's SQLSTATE and message, or the length of the text and the text itself when it is short.
-- What takes more than two seconds is slow.
CREATE FUNCTION test.outcome(h test.hostile) RETURNS text
LANGUAGE plpgsql AS $$
DECLARE
	start float8 := test.seconds();
	result text;
BEGIN
	BEGIN
		result := render(h.template, h.context, h.locale, h.partials, h.options);
		-- throws when it is not valid text
		PERFORM convert_from(convert_to(result, 'UTF8'), 'UTF8');
		result := format('%s bytes%s', octet_length(result), CASE WHEN length(result) <= 60 THEN ': ' || to_json(result) ELSE '' END);
	EXCEPTION WHEN OTHERS THEN
		result := SQLSTATE || ': ' || CASE WHEN length(SQLERRM) <= 160 THEN SQLERRM ELSE left(SQLERRM, 120) || ' ... of ' || length(SQLERRM) END;
	END;
	RETURN CASE WHEN test.seconds() - start > 2 THEN 'slow, ' ELSE '' END || result;
END
$$;

-- ---- nesting ----
INSERT INTO test.hostile (class, name, template) VALUES
('nesting', 'if blocks', repeat('{% if true %}', 5000) || repeat('{% endif %}', 5000)),
('nesting', 'for blocks', repeat('{% for i in (1..2) %}', 5000) || 'x' || repeat('{% endfor %}', 5000)),
('nesting', 'for blocks within the bound', repeat('{% for i in (1..2) %}', 90) || repeat('{% endfor %}', 90)),
('nesting', 'case in when', repeat('{% case 1 %}{% when 1 %}', 4000) || repeat('{% endcase %}', 4000)),
('nesting', 'capture in capture', repeat('{% capture a %}', 5000) || repeat('{% endcapture %}', 5000)),
('nesting', 'blocks without an end', repeat('{% unless a %}', 10000)),
('nesting', 'ends without a block', repeat('{% endif %}', 10000)),
('nesting', 'brackets', '{{ a' || repeat('[a', 50000) || repeat(']', 50000) || ' }}'),
('nesting', 'brackets without an end', '{{ ' || repeat('a[', 100000)),
('nesting', 'bare brackets', '{{ ' || repeat('[', 50000) || '"a"' || repeat(']', 50000) || ' }}'),
('nesting', 'ranges', '{{ ' || repeat('(1..', 30000) || '2' || repeat(')', 30000) || ' }}'),
('nesting', 'parentheses without an end', '{% for i in ' || repeat('(', 200000) || ' %}'),
('nesting', 'comments', repeat('{% comment %}', 9000) || repeat('{% endcomment %}', 9000)),
('nesting', 'comments without an end', repeat('{% comment %}', 15000)),
('nesting', 'raw in comments', repeat('{% comment %}{% raw %}', 8000)),
('nesting', 'liquid in liquid', '{% ' || repeat('liquid ', 30000) || ' %}'),
('nesting', 'path of many members', '{{ a' || repeat('.a', 100000) || ' }}'),
('nesting', 'chain of and', '{% if true' || repeat(' and true', 25000) || ' %}x{% endif %}'),
('nesting', 'chain of filters', '{{ "a"' || repeat(' | upcase', 25000) || ' }}'),
('nesting', 'arguments', '{{ "a" | append: "b"' || repeat(', "c"', 40000) || ' }}'),
('nesting', 'named arguments', '{% render "p"' || repeat(', a: 1', 30000) || ' %}');

-- ---- size of the program ----
INSERT INTO test.hostile (class, name, template) VALUES
('size', 'text beyond the limit', repeat('x', 300000)),
('size', 'text within it', repeat('x', 250000)),
('size', 'many nodes', repeat('{{a}}', 52000)),
('size', 'many empty tags', repeat('{%%}', 60000)),
('size', 'many branches of when', '{% case 1 %}' || repeat('{% when 2 %}', 20000) || '{% endcase %}'),
('size', 'many values of when', '{% case 1 %}{% when 2' || repeat(' or 2', 50000) || ' %}{% endcase %}'),
('size', 'many branches of elsif', '{% if a %}' || repeat('{% elsif a %}', 18000) || '{% endif %}'),
('size', 'many values of cycle', '{% cycle 1' || repeat(', 1', 80000) || ' %}'),
('size', 'many lines of liquid', '{% liquid' || repeat(E'\necho 1', 30000) || ' %}'),
('size', 'a long name', '{{ ' || repeat('a', 200000) || ' }}'),
('size', 'a long name of a filter', '{{ 1 | ' || repeat('a', 200000) || ' }}'),
('size', 'a long name of a tag', '{% ' || repeat('a', 200000) || ' %}'),
('size', 'a long number', '{{ ' || repeat('9', 200000) || ' }}'),
('size', 'a long fraction', '{{ 0.' || repeat('9', 200000) || ' | plus: 1 }}'),
('size', 'many long numbers', repeat('{{ 1234567890123456789012345 }}', 8000)),
('size', 'openings only', repeat('{{', 120000)),
('size', 'openings of tags only', repeat('{%', 120000)),
('size', 'openings of tags with names', repeat('{% if ', 40000)),
('size', 'braces only', repeat('{', 250000)),
('size', 'closings only', repeat('%}', 120000)),
('size', 'dashes', '{{' || repeat('-', 250000) || '}}'),
('size', 'a string without an end', '{{ "' || repeat('x', 250000)),
('size', 'quotes', '{{ ' || repeat('"', 250000) || ' }}'),
('size', 'raw without an end', '{% raw %}' || repeat('{% endraw ', 25000)),
('size', 'white space', '{{' || repeat(' ', 250000) || '}}'),
('size', 'white space to strip', repeat(repeat(' ', 100) || '{%- assign a = 1 -%}', 2000));

-- ---- loops ----
INSERT INTO test.hostile (class, name, template, context) VALUES
('loops', 'giant range, empty body', '{% for i in (1..1000000000) %}{% endfor %}', '{}'),
('loops', 'giant range, limit', '{% for i in (1..1000000000) limit: 2 %}{{ i }},{% endfor %}', '{}'),
('loops', 'giant range, offset', '{% for i in (1..1000000000) offset: 999999998 %}{{ i }},{% endfor %}', '{}'),
('loops', 'giant range, reversed', '{% for i in (1..1000000000) reversed %}{{ i }},{% break %}{% endfor %}', '{}'),
('loops', 'giant range, break', '{% for i in (1..9223372036854775807) %}{{ i }}{% break %}{% endfor %}', '{}'),
('loops', 'range of all integers', '{% for i in (-9223372036854775808..9223372036854775807) %}{{ i }},{% if forloop.index == 2 %}{% break %}{% endif %}{% endfor %}', '{}'),
('loops', 'range beyond integers', '{% for i in (1..a) limit: 2 %}{{ i }},{% endfor %}', '{"a": 1e30}'),
('loops', 'loops in loops', '{% for a in (1..1000) %}{% for b in (1..1000) %}{% for c in (1..1000) %}{% endfor %}{% endfor %}{% endfor %}', '{}'),
('loops', 'tablerow', '{% tablerow i in (1..1000000000) %}{% endtablerow %}', '{}'),
('loops', 'tablerow of many columns', '{% tablerow i in (1..3) cols: 9223372036854775807 %}{{ i }}{% endtablerow %}', '{}'),
('loops', 'output in a loop', '{% for i in (1..99999) %}0123456789012345678901234567890123456789{% endfor %}', '{}'),
('loops', 'errors in a loop', '{% for i in (1..99999) %}{{ 1 | divided_by: 0 }}{% endfor %}', '{}'),
('loops', 'offset: continue', '{% for i in (1..50000) %}{% for j in (1..5) limit: 1 offset: continue %}{% endfor %}{% endfor %}x', '{}'),
('loops', 'cycle and increment', '{% for i in (1..90000) %}{% cycle 1, 2 %}{% increment a %}{% endfor %}', '{}'),
('loops', 'ifchanged', '{% for i in (1..90000) %}{% ifchanged %}{{ i | modulo: 2 }}{% endifchanged %}{% endfor %}', '{}'),
('loops', 'many names', '{% for i in (1..90000) %}{% assign a = i %}{% capture b %}{{ i }}{% endcapture %}{% endfor %}{{ a }}', '{}'),
('loops', 'parentloop far up', '{% for i in (1..2) %}{{ forloop' || repeat('.parentloop', 20000) || '.index }}{% endfor %}', '{}');
UPDATE test.hostile SET options = '{"errors": "inline"}' WHERE name = 'errors in a loop';

INSERT INTO test.hostile (class, name, template)
SELECT 'ranges', f, '{{ (1..1000000000000) | ' || f || ' }}' FROM unnest(ARRAY['size', 'first', 'last', 'join', 'json', 'reverse', 'sort',
	'sum', 'map: "a"', 'concat: a', 'uniq', 'slice: 5, 2', 'where: "a"', 'upcase', 'append: "x"', 'compact | size', 'sort_natural',
	'group_by: "a"', 'push: 1', 'array_to_sentence_string']) f;

-- ---- partials ----
INSERT INTO test.hostile (class, name, template, partials) VALUES
('partials', 'itself by render', '{% render "a" %}', '{"a": "{% render \"a\" %}"}'),
('partials', 'itself by include', '{% include "a" %}', '{"a": "x{% include \"a\" %}"}'),
('partials', 'in a circle', '{% render "a" %}', '{"a": "{% render \"b\" %}", "b": "{% include \"c\" %}", "c": "{% render \"a\" %}"}'),
('partials', 'in a circle by include', '{% include "a" %}', '{"a": "{% include \"b\" %}", "b": "{% include \"a\" %}"}'),
('partials', 'itself twice', '{% render "a" %}', '{"a": "{% render \"a\" %}{% render \"a\" %}"}'),
('partials', 'a tree of 2^16', '{% render "p16" %}', (SELECT jsonb_object_agg('p' || i, format('{%% render "p%s" %%}{%% render "p%1$s" %%}', i - 1)) || '{"p0": "x"}' FROM generate_series(1, 16) i)),
('partials', 'a tree of 16^8', '{% render "p8" %}', (SELECT jsonb_object_agg('p' || i, repeat(format('{%% render "p%s" %%}', i - 1), 16)) || '{"p0": ""}' FROM generate_series(1, 8) i)),
('partials', 'for every item of a giant range', '{% assign r = (1..1000000000) %}{% render "a" for r %}', '{"a": ""}'),
('partials', 'in a loop, parsed anew', '{% for i in (1..50000) %}{% render "a" %}{% endfor %}', jsonb_build_object('a', repeat('{% if false %}x{% endif %}', 2000))),
('partials', 'a long one', '{% render "a" %}', jsonb_build_object('a', repeat('x', 100000))),
('partials', 'names of files', '{% render "../../../../etc/passwd" %}', '{}'),
('partials', 'no name', '{% render "" %}', '{}'),
('partials', 'a name of an object', '{% include a %}', '{}'),
('partials', 'no text', '{% render "a" %}', '{"a": {"b": 1}}'),
('partials', 'a template in data is text', '{% render "a", b: "{{ 1 }}" %}', '{"a": "{{ b }}"}');

-- ---- memory ----
INSERT INTO test.hostile (class, name, template, context) VALUES
('memory', 'append to itself', '{% assign a = "0123456789" %}{% for i in (1..64) %}{% assign a = a | append: a %}{% endfor %}', '{}'),
('memory', 'capture of itself', '{% assign a = "0123456789" %}{% for i in (1..64) %}{% capture a %}{{ a }}{{ a }}{% endcapture %}{% endfor %}', '{}'),
('memory', 'concat with itself', '{% assign a = "a,b,c" | split: "," %}{% for i in (1..64) %}{% assign a = a | concat: a %}{% endfor %}', '{}'),
('memory', 'lists in lists', '{% assign a = "a,b,c" | split: "," %}{% for i in (1..64) %}{% assign a = a | push: a %}{% endfor %}{{ a }}', '{}'),
('memory', 'replace by long texts', '{{ a | replace: "a", a | replace: "a", a }}', jsonb_build_object('a', repeat('a', 5000))),
('memory', 'replace of nothing', '{{ a | replace: "", a }}', jsonb_build_object('a', repeat('a', 20000))),
('memory', 'join by long texts', '{{ a | split: "" | join: a }}', jsonb_build_object('a', repeat('a', 20000))),
('memory', 'split into a million', '{{ a | split: " " | size }}', jsonb_build_object('a', repeat('a ', 1000000))),
('memory', 'split into characters', '{{ a | split: "" | size }}', jsonb_build_object('a', repeat('a', 1000000))),
('memory', 'escape of a megabyte', '{{ a | escape | escape | escape | size }}', jsonb_build_object('a', repeat('&', 1000000))),
('memory', 'url_encode of a megabyte', '{{ a | url_encode | url_encode | size }}', jsonb_build_object('a', repeat('ä', 500000))),
('memory', 'a large text printed', '{{ a }}', jsonb_build_object('a', repeat('a', 20000000))),
('memory', 'a large text as it is', '{{ a | size }}', jsonb_build_object('a', repeat('a', 20000000))),
('memory', 'multiplied numbers', '{% assign a = 99999999999 %}{% for i in (1..10000) %}{% assign a = a | times: 99999999999 %}{% endfor %}{{ a | size }}', '{}'),
('memory', 'doubled fractions', '{% assign a = 1.1 %}{% for i in (1..10000) %}{% assign a = a | times: a %}{% endfor %}{{ a }}', '{}'),
('memory', 'prepend in a loop', '{% for i in (1..50000) %}{% assign a = a | prepend: "0123456789" %}{% endfor %}{{ a | size }}', '{}'),
('memory', 'truncate to a giant length', '{{ "a" | truncate: 999999999999, "b" }}{{ "a" | truncate: -999999999999 }}', '{}'),
('memory', 'truncatewords to a giant length', '{{ "a b" | truncatewords: 999999999999 }}{{ "a b" | truncatewords: 2147483647 }}', '{}'),
('memory', 'a giant ellipsis', '{{ "abc" | truncate: 1, a | size }}', jsonb_build_object('a', repeat('a', 1000000)));

-- ---- time ----
INSERT INTO test.hostile (class, name, template, context) VALUES
('time', 'strip_html of open scripts', '{{ a | strip_html | size }}', jsonb_build_object('a', repeat('<script', 100000))),
('time', 'strip_html of open comments', '{{ a | strip_html | size }}', jsonb_build_object('a', repeat('<!--', 180000))),
('time', 'strip_html of open styles', '{{ a | strip_html | size }}', jsonb_build_object('a', repeat('<style>', 100000))),
('time', 'strip_html of open brackets', '{{ a | strip_html | size }}', jsonb_build_object('a', repeat('<', 700000))),
('time', 'escape_once of ampersands', '{{ a | escape_once | size }}', jsonb_build_object('a', repeat('&a', 150000))),
('time', 'escape_once of numbers', '{{ a | escape_once | size }}', jsonb_build_object('a', '&#' || repeat('1', 300000))),
('time', 'split by what is nearly there', '{{ a | split: b | size }}', jsonb_build_object('a', repeat('a', 500000), 'b', repeat('a', 250000) || 'b')),
('time', 'replace of what is nearly there', '{{ a | replace: b, "" | size }}', jsonb_build_object('a', repeat('a', 500000), 'b', repeat('a', 250000) || 'b')),
('time', 'replace_last of what is nearly there', '{{ a | replace_last: b, "" | size }}', jsonb_build_object('a', repeat('a', 500000), 'b', 'b' || repeat('a', 250000))),
('time', 'contains in a long text', '{% for i in (1..50000) %}{% if a contains b %}x{% endif %}{% endfor %}', jsonb_build_object('a', repeat('a', 500000), 'b', repeat('a', 1000) || 'b')),
('time', 'contains in a long list', '{% for i in (1..50000) %}{% if a contains "b" %}x{% endif %}{% endfor %}', jsonb_build_object('a', (SELECT jsonb_agg(i::text) FROM generate_series(1, 20000) i))),
('time', 'uniq of a long list', '{{ a | uniq | size }}', jsonb_build_object('a', (SELECT jsonb_agg(i) FROM generate_series(1, 60000) i))),
('time', 'uniq of lists', '{{ a | uniq | size }}', jsonb_build_object('a', (SELECT jsonb_agg(jsonb_build_array(1, 2, i)) FROM generate_series(1, 20000) i))),
('time', 'sort of a long list', '{{ a | sort | first }}', jsonb_build_object('a', (SELECT jsonb_agg(60000 - i) FROM generate_series(1, 60000) i))),
('time', 'sort of equals', '{{ a | sort | first }}', jsonb_build_object('a', (SELECT jsonb_agg(1) FROM generate_series(1, 60000) i))),
('time', 'sort of long texts alike', '{{ a | sort | size }}', jsonb_build_object('a', (SELECT jsonb_agg(repeat('a', 10000) || i) FROM generate_series(1, 500) i))),
('time', 'sort_natural of long texts alike', '{{ a | sort_natural | size }}', jsonb_build_object('a', (SELECT jsonb_agg(repeat('Ä', 5000) || i) FROM generate_series(1, 500) i))),
('time', 'intersect of long lists', '{{ a | intersect: a | size }}', jsonb_build_object('a', (SELECT jsonb_agg(i) FROM generate_series(1, 60000) i))),
('time', 'equality of long texts', '{% for i in (1..50000) %}{% if a == b %}x{% endif %}{% endfor %}', jsonb_build_object('a', repeat('a', 2000000) || '1', 'b', repeat('a', 2000000) || '2')),
('time', 'size of a long text', '{% for i in (1..50000) %}{% assign b = a.size %}{% endfor %}', jsonb_build_object('a', repeat('ä', 1000000))),
('time', 'digests of a long text', '{% for i in (1..50000) %}{% assign b = a | sha256 %}{% endfor %}', jsonb_build_object('a', repeat('ä', 1000000))),
('time', 'slices of a long text', '{% for i in (1..50000) %}{% assign b = a | slice: 999990, 2 %}{% endfor %}', jsonb_build_object('a', repeat('ä', 1000000))),
('time', 'from_json of a long text', '{% for i in (1..50000) %}{% assign b = a | from_json %}{% endfor %}', jsonb_build_object('a', (SELECT jsonb_agg(i)::text FROM generate_series(1, 20000) i))),
('time', 'json of a long list', '{% for i in (1..50000) %}{% assign b = a | json %}{% endfor %}', jsonb_build_object('a', (SELECT jsonb_agg(i) FROM generate_series(1, 20000) i))),
('time', 'members of a large object', '{% for i in (1..1000) %}{% for m in a %}{% endfor %}{% endfor %}', jsonb_build_object('a', (SELECT jsonb_object_agg(i, i) FROM generate_series(1, 20000) i))),
('time', 'blank of a long text', '{% for i in (1..50000) %}{% if a == blank %}x{% endif %}{% endfor %}', jsonb_build_object('a', repeat(' ', 1000000) || 'x'));

-- ---- data ----
INSERT INTO test.hostile (class, name, template, context)
SELECT 'deep data', f, f, jsonb_build_object('a', (repeat('[', 3000) || repeat(']', 3000))::jsonb, 'b', (repeat('{"a":', 3000) || '1' || repeat('}', 3000))::jsonb)
FROM unnest(ARRAY['{{ a }}', '{{ b }}', '{{ a | json }}', '{{ b | json }}', '{{ a | join }}', '{{ a | uniq | size }}', '{{ a | sort | size }}', '{{ a | compact | size }}',
	'{% if a == a %}x{% endif %}', '{% if b == b %}x{% endif %}', '{% if a contains a %}x{% endif %}', '{{ a | concat: a | uniq }}', '{{ a | sum }}', '{{ b | escape }}',
	'{% for i in b %}{{ i | size }}{% endfor %}', '{{ b | sort_natural | size }}', '{{ a | reverse | first }}', '{{ a | map: "a" }}', '{% case a %}{% when b %}x{% endcase %}', '{{ a | group_by: "a" }}']) f;
INSERT INTO test.hostile (class, name, template, context) VALUES
('data', 'from_json of deep text', '{{ a | from_json }}', jsonb_build_object('a', repeat('[', 100000))),
('data', 'from_json of deep objects', '{{ a | from_json }}', jsonb_build_object('a', repeat('{"a":', 50000) || '1' || repeat('}', 50000))),
('data', 'sort of all kinds', '{{ a | sort }}', '{"a": [1, "a", true, null, [1], {"b": 2}, 1.5]}'),
('data', 'sort of lists', '{{ a | sort }}', '{"a": [[2, 1], [1, "a"], [1, 2]]}'),
('data', 'sort_natural of all kinds', '{{ a | sort_natural }}', '{"a": [1, "a", true, null, [1], {"b": 2}, 1.5]}'),
('data', 'sort by a member', '{{ a | sort: "b" }}', '{"a": [{"b": 1}, {"b": "1"}, {"b": null}, 3]}'),
('data', 'sum of all kinds', '{{ a | sum }}', '{"a": [1, "2", "x", true, null, [3, [4]], {"b": 2}, 1e308, 1e308]}'),
('data', 'a giant number', '{{ a }}', '{"a": 1e400}'),
('data', 'a more than giant number', '{{ a }}', '{"a": 1e100000}'),
('data', 'a tiny number', '{{ a | plus: 1 }}', '{"a": 1e-10000}'),
('data', 'giant numbers multiplied', '{{ a | times: a | times: a | size }}', '{"a": 1e100000}'),
('data', 'giant numbers divided', '{{ 1 | divided_by: a }}{{ a | divided_by: 3 | size }}', '{"a": 1e100000}'),
('data', 'a giant number as text', '{{ a | plus: 1 | size }}', jsonb_build_object('a', repeat('9', 100000))),
('data', 'a giant exponent as text', '{{ "1e999999999" | plus: 1 }}{{ "1e-999999999" | plus: 1 }}', '{}'),
('data', 'division by nothing', '{{ 1 | divided_by: 0 }}', '{}'),
('data', 'division by 0.0', '{{ 1 | divided_by: 0.0 }},{{ -1.5 | divided_by: 0.0 }},{{ 0 | divided_by: 0.0 }}', '{}'),
('data', 'modulo nothing', '{{ 1 | modulo: 0 }}', '{}'),
('data', 'modulo 0.0', '{{ 1 | modulo: 0.0 }}', '{}'),
('data', 'the least integer', '{{ a | divided_by: -1 }},{{ a | abs }},{{ a | modulo: -1 }},{{ a | minus: 1 }},{{ a | times: -1 }}', '{"a": -9223372036854775808}'),
('data', 'integers beyond 64 bits', '{{ 9223372036854775807 | plus: 1 }},{{ 9223372036854775807 | times: 9223372036854775807 }}', '{}'),
('data', 'round to many digits', '{{ 1.5 | round: 999999999999 }},{{ 1.5 | round: -999999999999 }},{{ 1.5 | round: 400 }}', '{}'),
('data', 'slice at the ends of integers', '{{ "abc" | slice: -9223372036854775808, 9223372036854775807 }},{{ "abc" | slice: 9223372036854775807, 9223372036854775807 }}', '{}'),
('data', 'slice of a list at the ends', '{{ "a b c" | split: " " | slice: 1, 9223372036854775807 }}', '{}'),
('data', 'indexes at the ends', '{{ a[9223372036854775807] }}{{ a[-9223372036854775808] }}{{ a[99999999999999999999] }}{{ a[1.5] }}', '{"a": [1]}'),
('data', 'names of the host', '{{ a.class }}{{ a.__proto__ }}{{ a.constructor }}{{ "a" | map: "constructor" }}{{ a.size.size.size.first }}', '{"a": {}}'),
('data', 'a member named size', '{{ a.size }},{{ a["size"] }},{{ a.first }}', '{"a": {"size": "x", "first": "y"}}'),
('data', 'many members', '{{ a | size }}{{ a["99999"] }}', jsonb_build_object('a', (SELECT jsonb_object_agg(i, i) FROM generate_series(1, 100000) i))),
('data', 'templates in data', '{{ a }}{{ b | t }}', '{"a": "{{ b }}{% render \"c\" %}", "b": "{{ a }}"}');

-- ---- dates ----
INSERT INTO test.hostile (class, name, template, context)
SELECT 'dates', f, format('{{ "2024-02-29 12:34:56" | date: %s }}', f), '{}' FROM unnest(ARRAY['"%9999999d"', '"%99999999999999999999d"', '"%255Y"', '"%-_0^#d"',
	'"%:::::z"', '"%"', '"%E"', '"%O%Q%!"', '"%1000N"', '"%+"', '"%%%%"', '"%10"', '"%s%s%s"', 'a', '"%Y", "../../etc/passwd"', '"%Y", "Etc/GMT+99"']) f;
INSERT INTO test.hostile (class, name, template, context) VALUES
('dates', 'a long format', '{{ "2024-02-29" | date: a | size }}', jsonb_build_object('a', repeat('%A', 500000))),
('dates', 'far years', '{{ "999999999-01-01" | date: "%Y" }},{{ "-4713-01-01" | date: "%Y" }},{{ "0000-00-00" | date: "%Y" }}', '{}'),
('dates', 'giant seconds', '{{ 99999999999999999999 | date: "%Y" }},{{ 9223372036854775807 | date: "%Y" }},{{ -9223372036854775808 | date: "%Y" }},{{ a | date: "%Y" }}', '{"a": 1e300}'),
('dates', 'long text', '{{ a | date: "%Y" | size }}', jsonb_build_object('a', repeat('2024-', 200000))),
('dates', 'infinity', '{{ "infinity" | date: "%Y" }},{{ "-infinity" | date: "%Y" }},{{ "epoch" | date: "%Y" }},{{ "nan" | date: "%Y" }}', '{}');

-- ---- text ----
INSERT INTO test.hostile (class, name, template, context) VALUES
('text', 'bytes that are no text, by base64', '{{ "/w==" | base64_decode }}', '{}'),
('text', 'a zero byte, by base64', '{{ "AGE=" | base64_decode }}', '{}'),
('text', 'half a character, by base64', '{{ "w6TDpA==" | base64_decode }}{{ "4oI=" | base64_decode }}', '{}'),
('text', 'bytes that are no text, by url_decode', '{{ "%ff%fe" | url_decode }}', '{}'),
('text', 'a zero byte, by url_decode', '{{ "a%00b" | url_decode }}', '{}'),
('text', 'broken escapes of an URL', '{{ "%" | url_decode }},{{ "%4" | url_decode }},{{ "%zz" | url_decode }}', '{}'),
('text', 'a zero byte, by from_json', '{{ a | from_json }}', '{"a": "\"\\u0000\""}'),
('text', 'half a surrogate pair, by from_json', '{{ a | from_json }}', '{"a": "\"\\ud83d\""}'),
('text', 'characters beyond 16 bits', '{{ "😀😀" | slice: 1 }}{{ "😀😀" | size }}{{ "😀" | reverse }}{{ "👩‍👩‍👧" | truncate: 4 }}', '{}'),
('text', 'letters that grow', '{{ "ßŉǰΐ" | upcase }}{{ "İ" | downcase | size }}{{ "ﬃ" | capitalize }}', '{}'),
('text', 'marks on marks', '{{ a | truncate: 10 | size }}', jsonb_build_object('a', 'a' || repeat(E'\u0301', 100000))),
('text', 'separators of lines', '{{ a | newline_to_br }}{{ a | strip_newlines }}{{ a | strip | size }}', '{"a": "a\u2028\u0085\r\n\u000b"}'),
('text', 'controls', '{{ a | json }}{{ a | escape }}', '{"a": "\u0001\u001f\u007f\ufffe\uffff"}'),
('text', 'quotes within quotes', '{{ ''"'' }}{{ "''" }}{% assign a = "%{" %}{{ a }}', '{}'),
('text', 'ends within quotes', '{% assign a = "%}" %}{{ a }}{{ "}}" }}', '{}'),
('text', 'raw within strings', '{% raw %}{{ "{% endraw' || '%}" }}{% endraw %}', '{}'),
('text', 'SQL', '{{ a }}{% assign b = a %}{{ b | json }}', '{"a": "''; DROP TABLE users; --"}'),
('text', 'formats', '{{ "%s%n%d" }}{{ "%s%n" | append: "%s" }}{{ 1 | plus: "%s%n" }}', '{}'),
('text', 'formats in messages', '{% render "%s%n%s%n" %}', '{}');

-- ---- options ----
INSERT INTO test.hostile (class, name, template, options, locale) VALUES
('options', 'an unknown one', 'x', '{"eval": true}', NULL),
('options', 'of the wrong kind', 'x', '{"errors": {"a": [1]}}', NULL),
('options', 'no object', 'x', '[1, 2]', NULL),
('options', 'a zone outside', '{{ "now" | date: "%Z" }}', '{"timezone": "../../../etc/passwd"}', NULL),
('options', 'a long zone', 'x', jsonb_build_object('timezone', repeat('a', 100000)), NULL),
('options', 'a time without end', '{{ "now" | date: "%Y" }}', '{"now": "infinity"}', NULL),
('options', 'a long seed', '{{ "a" | size }}', jsonb_build_object('seed', repeat('a', 1000000)), NULL),
('options', 'a long locale', 'x', '{}', repeat('a-', 100000)),
('options', 'a locale that is none', '{{ 1.5 | number }}', '{}', E'en_\u00e4/../../x@currency=%s'),
('options', 'an empty locale', 'x', '{}', '');
INSERT INTO test.hostile (class, name, template, context, partials) VALUES
('options', 'a context that is no object', '{{ a }}', '[1]', '{}'),
('options', 'a context that is a scalar', '{{ a }}', '"a"', '{}'),
('options', 'partials that are no object', '{% render "a" %}', '{}', '["a"]');

-- each in a statement of its own, so that one that stalls is seen
\pset tuples_only on
SELECT format('SELECT class, name, test.outcome(h) FROM test.hostile h WHERE n = %s', n) FROM test.hostile ORDER BY n \gexec
\pset tuples_only off

-- ---- the server's own limits reach into a render ----
CREATE FUNCTION test.cancelled(template text, context jsonb) RETURNS text
LANGUAGE plpgsql AS $$
DECLARE
	start timestamptz := clock_timestamp();
BEGIN
	PERFORM render(template, context);
	RETURN 'not cancelled';
EXCEPTION WHEN query_canceled THEN
	RETURN CASE WHEN clock_timestamp() - start < interval '5 s' THEN 'cancelled' ELSE 'cancelled late' END;
END
$$;
SET statement_timeout = '100ms';
SET trigger_engine.template_iterations = 2000000000;
SET trigger_engine.template_steps = 2000000000;
SELECT test.cancelled('{% for i in (1..2000000000) %}{% endfor %}', '{}') AS "empty loop";
SELECT test.cancelled('{% for i in (1..2000000000) %}{% assign b = a | sha256 %}{% endfor %}', jsonb_build_object('a', repeat('a', 100000))) AS "long filters";
SET statement_timeout = '1min';

-- ---- and so does the limit of time ----
SET trigger_engine.template_time = '100ms';
SELECT test.error($$SELECT render('{% for i in (1..2000000000) %}{% endfor %}')$$) AS "limit of time";
