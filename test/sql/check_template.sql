-- check_template(): every problem of a text, with its place.
\set ECHO none
\i test/sql/include/fresh.sql
\set ECHO all
\pset null '-'
SELECT * FROM check_template('Hello {{ name | default: "you" }}{% for i in (1..3) %}{{ i }}{% endfor %}');
SELECT * FROM check_template(NULL);
-- all of them, in their order
SELECT * FROM check_template(E'{% if %}ä {{ a b }}\n{% nothing %}{{ x | | }}\n  {% endfor %}{{ "open }}{% assign = 1 %}{% endif %}{% endif %}\n{% case x %}{% when %}{% endcase %}{% for a %}{% endfor %}{% unless y %}');
SELECT * FROM check_template('{% raw %}never {{ closed');
SELECT * FROM check_template(E'{% comment %}\n{% doc x %}');
SELECT * FROM check_template('{% comment %}');
SELECT * FROM check_template('{{ a');
SELECT line, "column", message FROM check_template(E'{% liquid\n  echo 1 2\n  foo\n  if x\n%}');
-- what is probably wrong
SELECT * FROM check_template('{{ a | upcas | nosuchfilteratall }}{{ a | upcase: 1 }}{{ a | truncate: 1, 2, 3 }}');
-- what the sample lacks
SELECT * FROM check_template(E'{{ user.name }} {{ user.naem | default: "x" }}\n{{ missing }} {{ list.size }} {{ list[0].x }}{% assign own = missing_too %}{{ own }}{% for i in list %}{{ i.x }}{{ forloop.index }}{% endfor %}',
	'{"user": {"name": "Ann"}, "list": [1]}');
SELECT error($$SELECT check_template('', '[]')$$);
-- bounded
SELECT count(*) FROM check_template(repeat('{{ | }}', 10000));
SELECT * FROM check_template(repeat('{% if a %}', 1000)) LIMIT 2;
SELECT message FROM check_template(repeat('x', 300000));
