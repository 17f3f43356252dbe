# Conformance of the Liquid engine: golden-liquid and liquid-spec.
#
# Promise: a case gives the output of Shopify/liquid 5.13, or an error where that gives
# one. Cases of each group are in test/data/liquid. Larger parts of both suites run too
# when their folder is there: conformance/liquid in the folder that the environment
# variable TE_SHARED names, or in ../shared. All run once as the reference parsed them, and once in the
# strict syntax.
use strict;
use warnings;

use Test::More;
use TriggerEngine;
use LiquidCases;

# what was reached, as the reference parsed and in the strict syntax: fewer is a failure
my @subset = (
	[ golden => 'golden_liquid.jsonl', 170, 170 ],
	[ spec => 'liquid_spec.jsonl', 251, 242 ]);
my @whole = (
	[ golden => 'cases.jsonl', 541, 540 ],
	[ spec => 'liquid_spec.jsonl', 3109, 3026 ]);

my $te = TriggerEngine->new(extension => 0, conf => { 'statement_timeout' => '60s' });
$te->sql(q{CREATE DATABASE liquid TEMPLATE template0 ENCODING 'UTF8' LOCALE 'C'});
$te = $te->in('liquid');
$te->sql('CREATE EXTENSION trigger_engine');

# Runs the cases of a file and compares with the numbers that must pass.
sub check
{
	my ($cases, $which, $suite, $path, $least, $least_strict) = @_;

	for my $modes (1, 0)
	{
		my $name = "$suite, $which" . ($modes ? '' : ', strict syntax');
		my $result = $cases->run($name, $path, modes => $modes);
		my $failures = $modes ? $result->{failures} : [];

		note sprintf '%s: %d of %d passed in %.1f s, the slowest, %s, took %.1f ms', $name, @$result{qw(passed count seconds)},
		  $result->{slowest}{name} // '-', $result->{slowest}{ms};
		cmp_ok($result->{passed}, '>=', $modes ? $least : $least_strict, "$name: cases passed of $result->{count}");
		cmp_ok($result->{slowest}{ms}, '<', 2000, "$name: none takes long");
		next unless $modes;
		note sprintf '    %5d of %5d  %s', @{ $result->{groups}{$_} }, $_ for sort keys %{ $result->{groups} };
		note(LiquidCases::describe($_)) for @$failures > 20 ? @$failures[ 0 .. 19 ] : @$failures;
		note(sprintf '... and %d more', @$failures - 20) if @$failures > 20;
	}
	return;
}

my $cases = LiquidCases->new(sub { return $te->sql($_[0]) });
check($cases, 'given here', $_->[0], "test/data/liquid/$_->[1]", @$_[ 2, 3 ]) for @subset;

my $folder = ($ENV{TE_SHARED} // '../shared') . '/conformance/liquid';
SKIP:
{
	skip "$folder is not there", 4 * @whole unless -r "$folder/cases.jsonl";
	check($cases, 'whole', $_->[0], "$folder/$_->[1]", @$_[ 2, 3 ]) for @whole;
}

# ---- a case that is wrong does not pass ----

my %case = (group => 'g', name => 'n', template => 't', data => {}, partials => {});
my $error = { sqlstate => 'TE005', message => 'x' };
ok(LiquidCases::passes({ %case, error => 1 }, 'json', $error), 'an error that is wanted passes');
ok(!LiquidCases::passes({ %case, error => 1 }, 'json', { text => '' }), 'but no output');
ok(!LiquidCases::passes({ %case, error => 1 }, 'json', { sqlstate => $_ }), "nor an error $_") for qw(XX000 54000 57014 TE006 died);
ok(LiquidCases::passes({ %case, error => 1, render_error => ['nesting too deep'] }, 'json', { sqlstate => 'TE006' }), 'but for a limit that is wanted');
ok(!LiquidCases::passes({ %case, result => '' }, 'json', $error), 'an error where output is wanted does not');
ok(LiquidCases::passes({ %case, result => '' }, 'json', { text => '' }), 'nothing is an output, too');
ok(!LiquidCases::passes({ %case, result => 'a', result_jsonb_order => 'b' }, 'jsonb', { text => 'a' }), 'jsonb has its own order');
ok(LiquidCases::passes({ %case, result_matches => [ 'X', 're:^a.c$' ] }, 'json', { text => "x\nabc" }), 'patterns match');
ok(!LiquidCases::passes({ %case, result_matches => [ 'X', 're:^a.c$' ] }, 'json', { text => "x\nabcd" }), 'or not');

done_testing();
