# Scoring on data that is too large for the regression scripts, and what one session
# cannot show: models that serve another session, a dump and its restore, refreshes beside
# inserts. The large files lie beside the checkout in shared/data, or are skipped.
use strict;
use warnings;

use Test::More;
use TriggerEngine;

my $te = TriggerEngine->new;
my $data = ($ENV{TE_SHARED} // '') . '/data';
my $directory = PostgreSQL::Test::Utils::tempdir();

sub number
{
	my ($query) = @_;
	return 0 + $te->sql($query);
}

# ---- clusters: the order of rows on disk ----

$te->sql(q{CREATE TABLE points AS SELECT i AS id, hashint4(i) % 1000 / 100.0::float8 AS x, hashint4(i + 1000000) % 1000 / 100.0::float8 AS y, i % 3 AS z FROM generate_series(1, 150000) i;
	CREATE TABLE shuffled AS SELECT * FROM points ORDER BY hashint4(id + 5)});
my $clusters = q{SELECT count(*), bool_and(a.cluster = b.cluster AND a.distance = b.distance)
	FROM trigger_engine.kmeans('SELECT * FROM points', 6, restarts => 2%1$s) a JOIN trigger_engine.kmeans('SELECT * FROM shuffled', 6, restarts => 2%1$s) b USING (key)};
is($te->sql(sprintf $clusters, ''), '150000|t', 'more rows than the sample: the same clusters in another order of rows');
is($te->sql(sprintf $clusters, q{, options => '{"method": "mini_batch"}'}), '150000|t', 'and by batches');

# ---- models serve other sessions, as of what committed ----

$te->sql(q{CREATE TABLE calls AS SELECT i, i % 5 AS kind, i % 5 > 2 AS hit FROM generate_series(1, 2000) i;
	SELECT trigger_engine.train_model('m', 'SELECT kind, hit FROM calls WHERE i < 1000 ORDER BY i', 'hit')});
my $predict = q{SELECT trigger_engine.predict('m', '{"kind": 4}')};
my $one = $te->node->background_psql('postgres');
my $before = $one->query_safe($predict);
$te->sql(q{BEGIN; SELECT trigger_engine.update_model('m', 'SELECT kind, hit FROM calls WHERE i >= 1000 ORDER BY i'); ROLLBACK});
is($one->query_safe($predict), $before, 'a training that is rolled back changes nothing');
$te->sql(q{SELECT trigger_engine.update_model('m', 'SELECT kind, hit FROM calls WHERE i >= 1000 ORDER BY i')});
my $after = $one->query_safe($predict);
isnt($after, $before, 'another session serves the new version');
$te->sql(q{SELECT trigger_engine.rollback_model('m')});
is($one->query_safe($predict), $before, 'and the old one again');
$one->quit;

# ---- interests and baskets of many sessions at once ----

my @sessions = map { $te->node->background_psql('postgres') } 1 .. 4;
for my $round (1 .. 25)
{
	$_->query_safe(q{SELECT trigger_engine.add_interest('u', '{"a": ["1", "2"], "b": "3"}'), trigger_engine.record_basket('u' || pg_backend_pid(), '{x,y}')}) for @sessions;
	$te->sql('SELECT trigger_engine.refresh_recommendations()') if $round % 10 == 0;
}
$_->quit for @sessions;
$te->sql('SELECT trigger_engine.refresh_recommendations()');
is($te->sql(q{SELECT string_agg(round(weight::numeric, 2)::text, ' ') FROM trigger_engine.interests('u')}), '100.00 100.00 100.00', 'no interest is lost between sessions');
is($te->sql(q{SELECT string_agg(item_id || ' ' || baskets || ' ' || counts::text, ', ' ORDER BY item_id) FROM trigger_engine._cooccurrence}), 'x 100 {100}, y 100 {100}', 'no basket is lost or counted twice between refreshes');

# ---- a refresh does not hold inserts up ----

my $refresh = $te->node->background_psql('postgres');
$refresh->query_safe(q{BEGIN; SELECT trigger_engine.refresh_recommendations()});
is($te->sql(q{SET lock_timeout = '2s'; SELECT trigger_engine.record_basket('v', '{x,z}'); SELECT count(*) FROM trigger_engine.recommend('v', 1, items => '{x}')}), "\n1", 'inserts and readers go on beside an open refresh');
$refresh->query_safe('COMMIT');
$refresh->quit;

# ---- dump and restore ----

my $state = q{SELECT string_agg(md5(t::text), ' ' ORDER BY t::text) FROM (SELECT * FROM trigger_engine._model_versions) t
	UNION ALL SELECT string_agg(md5(t::text), ' ' ORDER BY t::text) FROM (SELECT * FROM trigger_engine._interests) t
	UNION ALL SELECT string_agg(md5(t::text), ' ' ORDER BY t::text) FROM (SELECT * FROM trigger_engine._cooccurrence) t
	UNION ALL SELECT string_agg(md5(t::text), ' ' ORDER BY t::text) FROM (SELECT * FROM trigger_engine._baskets) t
	UNION ALL SELECT trigger_engine.predict('m', '{"kind": 1}')::text};
my $expected = $te->sql($state);
$te->node->command_ok([ 'pg_dump', '-Fc', '-f', "$directory/dump", '-d', $te->node->connstr('postgres') ], 'a dump');
$te->sql('CREATE DATABASE copy');
$te->node->command_ok([ 'pg_restore', '--exit-on-error', '-d', $te->node->connstr('copy'), "$directory/dump" ], 'and its restore');
is($te->in('copy')->sql($state), $expected, 'models, interests, counts and what waits come back, and predict the same');
is($te->in('copy')->sql('SELECT trigger_engine.refresh_recommendations()'), 2, 'and go on counting');

# ---- large data ----

SKIP:
{
	skip "no $data", 8 unless -r "$data/bank_marketing/bank_additional_full.csv.gz" and -r "$data/online_retail_h1/lines.csv.gz";
	$te->sql(<<"END");
CREATE TABLE bank (row_id int, age int, job text, marital text, education text, "default" text, housing text, loan text, contact text, month text, day_of_week text, duration int,
	campaign int, pdays int, previous int, poutcome text, emp_var_rate float8, cons_price_idx float8, cons_conf_idx float8, euribor3m float8, nr_employed float8, y text);
\\copy bank FROM PROGRAM 'gzip -dc $data/bank_marketing/bank_additional_full.csv.gz' CSV HEADER
CREATE TABLE lines (line_no int, description text, quantity int, invoice_date timestamptz, unit_price numeric, customer_id text, country text);
\\copy lines FROM PROGRAM 'gzip -dc $data/online_retail_h1/lines.csv.gz' CSV HEADER
CREATE TABLE metrics AS SELECT trigger_engine.train_model('bank', 'SELECT * FROM bank', 'y', '{"exclude": ["duration"], "time_column": "row_id"}') AS m;
CREATE TABLE tested AS SELECT * FROM trigger_engine.backtest_recommendations('SELECT customer_id, description, invoice_date FROM lines WHERE quantity > 0 AND customer_id IS NOT NULL', '2011-05-09', max_basket => 30);
END
	cmp_ok(number(q{SELECT m ->> 'log_loss' FROM metrics}), '<', 0.2772, 'bank: one pass in the order of time loses no more than the reference');
	cmp_ok(number(q{SELECT m ->> 'auc' FROM metrics}), '>', 0.7930, 'and ranks no worse');
	cmp_ok(number(q{SELECT m ->> 'calibration_error' FROM metrics}), '<', 0.01, 'and its probabilities are what happens');
	cmp_ok(number(q{SELECT recall FROM tested WHERE method = 'llr'}), '>', 1.8 * number(q{SELECT recall FROM tested WHERE method = 'popularity'}), 'retail: neighbours find more than popularity');
	cmp_ok(number(q{SELECT ndcg FROM tested WHERE method = 'llr'}), '>', number(q{SELECT ndcg FROM tested WHERE method = 'cosine'}), 'and rank better than the cosine');
	is($te->sql(q{SELECT count(*), count(DISTINCT r), min(cell) >= '111', max(frequency) FROM trigger_engine.rfm('SELECT customer_id, invoice_date, quantity * unit_price FROM lines WHERE quantity > 0 AND customer_id IS NOT NULL')}),
		$te->sql(q{SELECT count(DISTINCT customer_id), 5, true, (SELECT count(DISTINCT invoice_date) AS n FROM lines WHERE quantity > 0 AND customer_id IS NOT NULL GROUP BY customer_id ORDER BY n DESC LIMIT 1) FROM lines WHERE quantity > 0 AND customer_id IS NOT NULL}),
		'RFM of every customer');
	my $hours = q{FROM trigger_engine.backtest_hours('SELECT DISTINCT customer_id, invoice_date FROM lines WHERE quantity > 0 AND customer_id IS NOT NULL', '2011-04-01')};
	cmp_ok(number("SELECT log_loss $hours WHERE strength = 1"), '>', number("SELECT log_loss $hours WHERE strength IS NULL"), 'own hours that are trusted too much lose against those of everybody');
	cmp_ok(number("SELECT log_loss $hours WHERE strength = 20"), '<', number("SELECT log_loss $hours WHERE strength = 1"), 'strong smoothing mends that');
	note $te->sql("SELECT * FROM tested");
	note $te->sql("SELECT strength, events, round(log_loss::numeric, 4), round(hit_rate::numeric, 4) $hours");
}

$te->node->stop;
unlike(PostgreSQL::Test::Utils::slurp_file($te->node->logfile), qr/TRAP|PANIC|terminated by signal/, 'nothing crashed');
done_testing();
