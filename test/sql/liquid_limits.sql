-- Each limit of templates: what it counts, and the error at it.
\set ECHO none
\i test/sql/include/fresh.sql
\set ECHO all
\pset format unaligned
\pset tuples_only on

-- length of the text, of partials
SET trigger_engine.template_size = '2kB';
SELECT length(render(repeat('x', 2048)));
SELECT error($$SELECT render(repeat('x', 2049))$$);
RESET trigger_engine.template_size;
SET trigger_engine.template_partial_size = '1kB';
SELECT length(render('{% render "p" %}', partials => jsonb_build_object('p', repeat('x', 1024))));
SELECT error($$SELECT render('{% render "p" %}', partials => jsonb_build_object('p', repeat('x', 1025)))$$);
RESET trigger_engine.template_partial_size;

-- nodes
SET trigger_engine.template_nodes = 10;
SELECT render(repeat('{{ 1 }}', 10));
SELECT error($$SELECT render(repeat('{{ 1 }}', 11))$$);
RESET trigger_engine.template_nodes;

-- nesting of blocks, of brackets and ranges
SET trigger_engine.template_nesting = 5;
SELECT render(repeat('{% if true %}', 5) || 'x' || repeat('{% endif %}', 5));
SELECT error($$SELECT render(repeat('{% if true %}', 6) || 'x' || repeat('{% endif %}', 6))$$);
SELECT render('{{ a' || repeat('[a', 4) || repeat(']', 4) || ' }}');
SELECT error($$SELECT render('{{ a' || repeat('[a', 5) || repeat(']', 5) || ' }}')$$);
SELECT error($$SELECT render('{{ ' || repeat('(1..', 9) || '1' || repeat(')', 9) || ' }}')$$);
SELECT error($$SELECT render('{% ' || repeat('liquid ', 9) || ' %}')$$);
RESET trigger_engine.template_nesting;

-- partials within partials, and all together
SET trigger_engine.template_partial_depth = 3;
SELECT render('{% render "a" %}', partials => '{"a": "a{% render \"b\" %}", "b": "b{% include \"c\" %}", "c": "c"}', options => '{"errors": "inline"}');
SELECT render('{% include "a" %}', partials => '{"a": "a{% include \"b\" %}", "b": "b{% include \"c\" %}", "c": "c"}');
SELECT error($$SELECT render('{% include "a" %}', partials => '{"a": "{% include \"a\" %}"}')$$);
SELECT render('{% include "a" %}', partials => '{"a": "x{% include \"a\" %}"}', options => '{"errors": "inline"}');
RESET trigger_engine.template_partial_depth;
SET trigger_engine.template_partials = 4;
SELECT render('{% for i in (1..4) %}{% render "a" %}{% endfor %}', partials => '{"a": "x"}');
SELECT error($$SELECT render('{% for i in (1..5) %}{% render "a" %}{% endfor %}', partials => '{"a": "x"}')$$);
RESET trigger_engine.template_partials;
SELECT error($$SELECT render('{% include "a" %}', partials => '{"a": "{% include \"a\" %}{% include \"a\" %}"}', options => '{"errors": "inline"}')$$) AS "doubling partials";

-- iterations: all loops together, of empty bodies too
SET trigger_engine.template_iterations = 10;
SELECT render('{% for i in (1..10) %}{{ i }}{% endfor %}');
SELECT error($$SELECT render('{% for i in (1..11) %}{% endfor %}')$$);
SELECT error($$SELECT render('{% for i in (1..3) %}{% for j in (1..3) %}{% endfor %}{% endfor %}')$$);
SELECT error($$SELECT render('{% tablerow i in (1..11) %}{% endtablerow %}')$$);
SELECT error($$SELECT render('{% render "a" for (1..11) %}', partials => '{"a": ""}')$$);
SELECT error($$SELECT render('{% include "a" for (1..11) %}{% include "a" for b %}', jsonb_build_object('b', array_fill(1, ARRAY[11])), partials => '{"a": ""}')$$);
RESET trigger_engine.template_iterations;
SELECT error($$SELECT render('{% for i in (1..9223372036854775807) %}{% endfor %}')$$);

-- steps
SET trigger_engine.template_steps = 1000;
SELECT length(render('{% for i in (1..490) %}x{% endfor %}'));
SELECT error($$SELECT render('{% for i in (1..1000) %}x{% endfor %}')$$);
RESET trigger_engine.template_steps;

-- output
SET trigger_engine.template_output = '1kB';
SELECT length(render('{{ a }}', jsonb_build_object('a', repeat('x', 1024))));
SELECT error($$SELECT render('{{ a }}', jsonb_build_object('a', repeat('x', 1025)))$$);
SELECT error($$SELECT render('{% capture b %}{{ a }}{% endcapture %}', jsonb_build_object('a', repeat('x', 1025)))$$);
RESET trigger_engine.template_output;

-- memory
SET trigger_engine.template_memory = '1MB';
SELECT error($$SELECT render('{% for i in (1..100) %}{% assign a = a | append: "0123456789" | append: a %}{% endfor %}')$$);
SELECT length(render('{% for i in (1..100) %}{% assign a = "0123456789" %}{% endfor %}{{ a }}'));
RESET trigger_engine.template_memory;

-- time, and the server's own
SET trigger_engine.template_iterations = 2000000000;
SET trigger_engine.template_steps = 2000000000;
SET trigger_engine.template_time = '50ms';
SELECT error($$SELECT render('{% for i in (1..2000000000) %}{% endfor %}')$$);
RESET trigger_engine.template_time;
SET statement_timeout = '50ms';
SELECT render('{% for i in (1..2000000000) %}{% endfor %}');
RESET statement_timeout;
RESET trigger_engine.template_iterations;
RESET trigger_engine.template_steps;

-- within the limits again, nothing is left of what went before
SELECT render('{{ a }}', '{"a": 1}');
