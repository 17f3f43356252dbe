# Experiments against numbers of others: all cases of GrowthBook's specification, values
# of statistical functions from mpmath, SciPy and statsmodels, and a real e-mail test.
# Then a dump: definitions, stored assignments and the whole past go along.
use strict;
use warnings;

use PostgreSQL::Test::Utils;
use Test::More;
use TriggerEngine;

my $te = TriggerEngine->new;
$te->sql(q{CREATE SCHEMA cases; ALTER DATABASE postgres SET search_path = trigger_engine, cases, public});

# Loads a CSV file, compressed or not, into a new table.
sub load_csv
{
	my ($table, $columns, $file) = @_;
	my $source = $file =~ /\.gz$/ ? "PROGRAM 'gzip -dc $file'" : "'$file'";
	$te->sql("CREATE TABLE $table ($columns);\n\\copy $table FROM $source WITH (FORMAT csv, HEADER, NULL 'no such thing')");
	return;
}

# Passes when the query gives no row; shows those it gives.
sub none
{
	my ($query, $rows, $name) = @_;
	my ($table) = $query =~ /FROM ([\w.]+)/;
	is($te->sql("SELECT count(*) FROM $table"), $rows, "$rows cases of $name");
	is($te->sql($query), '', "they all hold: $name");
	return;
}

# ---- GrowthBook ----

my $growthbook = 'test/data/growthbook_bucketing';
load_csv('cases.hash', 'seed text, value text, version int, expected text', "$growthbook/hash.csv.gz");
none(q{SELECT * FROM cases.hash WHERE bucket(seed, value, version) IS DISTINCT FROM nullif(expected, '')::float8}, 15, 'hash');

load_csv('cases.bucket_range', 'name text, n int, coverage float8, weights jsonb, expected jsonb', "$growthbook/bucket_range.csv.gz");
none(q{SELECT name FROM cases.bucket_range,
	bucket_ranges(n, coverage, CASE WHEN weights <> 'null' THEN ARRAY(SELECT w::float8 FROM jsonb_array_elements_text(weights) WITH ORDINALITY w(w, i) ORDER BY i) END) r
	WHERE NOT (SELECT count(*) = 2 * n AND bool_and(abs(got - want) < 1e-9) FROM unnest(r) WITH ORDINALITY g(got, i)
		FULL JOIN (SELECT v::float8 AS want, row_number() OVER () AS i FROM jsonb_array_elements(expected) p, jsonb_array_elements_text(p) v) w USING (i))}, 13, 'bucket ranges');

load_csv('cases.choose_variation', 'name text, bucket float8, ranges jsonb, expected int', "$growthbook/choose_variation.csv.gz");
none(q{SELECT name FROM cases.choose_variation WHERE expected IS DISTINCT FROM choose_variant(bucket,
	(SELECT array_agg(ARRAY[(r ->> 0)::float8, (r ->> 1)::float8] ORDER BY i) FROM jsonb_array_elements(ranges) WITH ORDINALITY r(r, i)))}, 13, 'the choice of a variation');

load_csv('cases.in_namespace', 'name text, user_id text, namespace text, a float8, b float8, expected boolean', "$growthbook/in_namespace.csv.gz");
none(q{SELECT name FROM cases.in_namespace WHERE in_namespace(user_id, namespace, a, b) IS DISTINCT FROM expected}, 16, 'namespaces');

load_csv('cases.equal_weights', 'n int, expected jsonb', "$growthbook/equal_weights.csv.gz");
none(q{SELECT n FROM cases.equal_weights WHERE cardinality(equal_weights(n)) <> jsonb_array_length(expected)
	OR EXISTS (SELECT FROM unnest(equal_weights(n)) WITH ORDINALITY g(got, i) WHERE abs(got - (expected ->> (i - 1)::int)::float8) > 1e-8)}, 6, 'equal weights');

load_csv('cases.eval_condition', 'name text, condition jsonb, attributes jsonb, expected boolean', "$growthbook/eval_condition.csv.gz");
none(q{SELECT name FROM cases.eval_condition WHERE matches_condition(condition, attributes, '{"group_id": [1, "2", 3]}') IS DISTINCT FROM expected}, 248, 'conditions');

load_csv('cases.run', 'name text, context jsonb, experiment jsonb, value jsonb, in_experiment boolean, hash_used boolean', "$growthbook/run.csv.gz");
none(q{SELECT name FROM cases.run, growthbook_experiment(experiment, context) r
	WHERE (r -> 'value', (r -> 'inExperiment')::boolean, (r -> 'hashUsed')::boolean) IS DISTINCT FROM (value, in_experiment, hash_used)}, 73, 'experiments');

load_csv('cases.sticky_bucket', 'name text, c jsonb', "$growthbook/sticky_bucket.csv.gz");
none(q{SELECT name FROM cases.sticky_bucket, growthbook_feature(c ->> 2, (c -> 0) || jsonb_build_object('stickyBucketAssignmentDocs', c -> 1)) r
	WHERE (coalesce(r -> 'experimentResult', 'null'), r -> 'stickyBucketAssignmentDocs') IS DISTINCT FROM (c -> 3, c -> 4)}, 13, 'sticky buckets');

# ---- values ----

load_csv('cases.vectors', 'expression text, expected float8, tolerance float8, source text', 'test/data/experiment_vectors/vectors.csv');
$te->sql(q{CREATE TABLE cases.results AS SELECT *, NULL::float8 AS got FROM cases.vectors LIMIT 0;
DO $$
DECLARE
	v record;
	got float8;
BEGIN
	FOR v IN SELECT * FROM cases.vectors LOOP
		EXECUTE 'SELECT ' || v.expression INTO got;
		INSERT INTO cases.results VALUES (v.expression, v.expected, v.tolerance, v.source, got);
	END LOOP;
END
$$});
for my $source (split /\n/, $te->sql('SELECT DISTINCT source FROM cases.results ORDER BY 1'))
{
	my $quoted = $te->quote($source);
	is($te->sql(qq{SELECT expression || ' is ' || got || ', not ' || expected FROM cases.results WHERE source = $quoted
		AND (got = expected OR abs(got - expected) <= tolerance * greatest(abs(expected), abs(got))) IS NOT TRUE}), '',
		$te->sql("SELECT count(*) FROM cases.results WHERE source = $quoted") . " values of $source");
}
cmp_ok($te->sql('SELECT count(*) FROM cases.results'), '>=', 530, 'none is missing');

# ---- Hillstrom's e-mail test, where it is at hand ----

SKIP:
{
	my $file = ($ENV{TE_SHARED} // '') . '/data/hillstrom_email/customers.csv.gz';
	skip 'the e-mail test of Hillstrom is not there', 12 unless -r $file;
	load_csv('cases.mails', 'row_id int, recency int, history_segment text, history float8, mens int, womens int, zip_code text, newbie int, channel text, segment text, visit int, conversion int, spend float8', $file);
	$te->sql(q{CREATE TABLE cases.arms AS SELECT segment, count(*) AS n, sum(visit) AS visits, sum(conversion) AS conversions,
		avg(spend) AS m, var_samp(spend) AS v, avg(history) AS mx, var_samp(history) AS vx, covar_samp(spend, history) AS c FROM cases.mails GROUP BY 1});
	my $arms = q{FROM cases.arms c, cases.arms t WHERE c.segment = 'No E-Mail' AND t.segment = };
	is($te->sql(q{SELECT array_agg(n ORDER BY segment) FROM cases.arms}), '{21307,21306,21387}', 'as many people as published');
	for (['Mens E-Mail', '7.66 22.49', '0.681 7.39', '0.770 5.30 0.485 1.055'], [ 'Womens E-Mail', '4.52 13.95', '0.311 3.78', '0.424 3.26' ])
	{
		my ($segment, $visit, $conversion, $spend) = @$_;
		is($te->sql("SELECT round(100 * difference::numeric, 2) || ' ' || round(z::numeric, 2) FROM (SELECT (proportion_test(c.visits, c.n, t.visits, t.n)).* $arms '$segment') r"), $visit, "$segment: visits");
		is($te->sql("SELECT round(100 * difference::numeric, 3) || ' ' || round(z::numeric, 2) FROM (SELECT (proportion_test(c.conversions, c.n, t.conversions, t.n)).* $arms '$segment') r"), $conversion, "$segment: conversions");
		like($te->sql("SELECT concat_ws(' ', round(difference::numeric, 3), round(t::numeric, 2), round(ci_low::numeric, 3), round(ci_high::numeric, 3)) FROM (SELECT (welch_test(c.m, c.v, c.n, t.m, t.v, t.n)).* $arms '$segment') r"),
			qr/^\Q$spend\E/, "$segment: spend");
	}
	is($te->sql("SELECT round((proportion_test(c.conversions, c.n, t.conversions, t.n)).p_value::numeric, 6) $arms 'Womens E-Mail'"), '0.000157', 'p of the women\'s conversions');
	is($te->sql("SELECT round((welch_test(c.m, c.v, c.n, t.m, t.v, t.n)).p_value::numeric, 4) $arms 'Womens E-Mail'"), '0.0011', 'p of their spend');
	is($te->sql(q{SELECT round((srm_test(array_agg(n), '{1,1,1}')).p_value::numeric, 3) FROM cases.arms}), '0.904', 'the sample ratio is in order');
	is($te->sql("SELECT round(100 * (1 - (cuped_test(c.n, c.m, c.v, c.mx, c.vx, c.c, t.n, t.m, t.v, t.mx, t.vx, t.c)).variance_ratio)::numeric, 2) $arms 'Mens E-Mail'"), '0.04', 'what was spent before explains nothing');
	is($te->sql("SELECT holm(ARRAY[(proportion_test(c.conversions, c.n, t.conversions, t.n)).p_value, (welch_test(c.m, c.v, c.n, t.m, t.v, t.n)).p_value]) <= '{0.01,0.01}' $arms 'Womens E-Mail'"), 't', 'both hold together');
}

# ---- a dump ----

$te->sql(q{SELECT create_namespace('layer'); SELECT create_experiment('e', '{"factors": {"copy": ["short", "long"], "hour": ["9", "18"]}}', 0.8, 'layer', namespace_range => '{0.2,0.9}')});
$te->sql(q{SELECT create_holdout('h', 0.1, topic => 'offers'); SELECT create_experiment('s', '["a", "b"]', sticky => true); SELECT count(assign('s', 'u' || i)) FROM generate_series(1, 100) i});
$te->sql(q{SELECT force_assignment('e', 'u1', 'copy=long,hour=9'); SELECT import_assignments('e', ARRAY['u2'], ARRAY['copy=short,hour=18'])});
my $between = $te->sql('SELECT clock()');
$te->sql(q{SELECT alter_experiment('e', salt => 'second', coverage => 1); SELECT alter_experiment('s', variants => '[{"name": "a", "weight": 0}, {"name": "b", "weight": 1}]'); SELECT alter_holdout('h', share => 0.2); SELECT stop_experiment('s', 'b')});
my $now = $te->sql('SELECT clock()');
my $answers = join ' UNION ALL ', map { my $at = $_; map { qq{SELECT '$_', '$at', i, assignment('$_', 'u' || i, '$at') FROM generate_series(1, 200) i} } qw(e s h) } $between, $now;
my $question = qq{SELECT md5(string_agg(q::text, ',' ORDER BY q::text)) FROM (SELECT *, held_out('u' || i, NULL, 'offers', '$between') FROM ($answers) a(e, at, i, v)) q};
my $before = $te->sql($question);

my $file = $te->node->basedir . '/dump.sql';
$te->node->command_ok([ 'pg_dump', '-f', $file, '-d', $te->node->connstr('postgres'), '-N', 'cases' ], 'a dump');
$te->sql('CREATE DATABASE restored');
my $restored = $te->in('restored');
$te->node->command_ok([ 'psql', '-qX', '-v', 'ON_ERROR_STOP=1', '-f', $file, '-d', $te->node->connstr('restored') ], 'is restored');
$restored->sql('ALTER DATABASE restored SET search_path = trigger_engine, public');
is($restored->sql($question), $before, 'every assignment is what it was, now and in the past');
is($restored->sql('SELECT count(*) FROM stored_assignments'), 102, 'stored ones went along');
like($restored->sql(q{SELECT create_experiment('new', '["a", "b"]')}), qr/^\d+$/, 'and new experiments get numbers of their own');

done_testing();
