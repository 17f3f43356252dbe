
=pod

=head1 NAME

LiquidCases - runs the cases of a Liquid conformance suite in a database

=head1 SYNOPSIS

  use LiquidCases;

  my $cases = LiquidCases->new(sub { return $te->sql($_[0]) });    # runs psql, returns its rows
  my $result = $cases->run('golden', 'test/data/liquid/golden_liquid.jsonl', modes => 1);
  # { count => 130, passed => 130, groups => { 'tags/if' => [9, 9], ... }, failures => [...], slowest => {...} }

A file holds one JSON object a line; its members are described in
test/data/liquid/README.md. Each case is rendered twice: by C<render_json>, which must
give what the suite says, and by C<render>, where keys are in jsonb's order. It passes
when both do. An error that is wanted must be of the engine's own SQLSTATE for
templates, so that a limit, a crash or an internal error never passes.

=cut

package LiquidCases;

use strict;
use warnings;

use JSON::PP;
use Time::HiRes qw(time);

our $Batch = 500;    # cases a psql session

my $helper = <<'SQL';
CREATE SCHEMA liquid_cases;
CREATE TABLE liquid_cases.cases (suite text, n int GENERATED ALWAYS AS IDENTITY, line json);

-- What one way of rendering gives: its text, or the SQLSTATE and message of its error; and the time it took.
CREATE FUNCTION liquid_cases.try(c json, keep_order boolean, modes boolean) RETURNS json
LANGUAGE plpgsql AS $$
DECLARE
	options jsonb := jsonb_build_object('timezone', 'UTC', 'errors',
		CASE WHEN coalesce((c->>'inline_errors')::boolean, c->>'error' IS NULL) THEN 'inline' ELSE 'raise' END);
	start timestamptz := clock_timestamp();
	output text;
BEGIN
	IF modes AND coalesce(c->>'mode', 'lax') = 'lax' THEN
		options := options || '{"syntax": "lax"}';
	END IF;
	IF c->>'now' IS NOT NULL THEN
		options := options || jsonb_build_object('now', c->>'now');
	END IF;
	IF keep_order THEN
		output := trigger_engine.render_json(c->>'template', c->'data', NULL, (c->>'partials')::jsonb, options);
	ELSE
		output := trigger_engine.render(c->>'template', (c->>'data')::jsonb, NULL, (c->>'partials')::jsonb, options);
	END IF;
	RETURN json_build_object('text', output, 'ms', round(extract(epoch FROM clock_timestamp() - start) * 1000, 1));
EXCEPTION WHEN OTHERS THEN
	RETURN json_build_object('sqlstate', SQLSTATE, 'message', SQLERRM,
		'ms', round(extract(epoch FROM clock_timestamp() - start) * 1000, 1));
END
$$;
SQL

sub new
{
	my ($class, $sql) = @_;
	my $self = bless { sql => $sql, json => JSON::PP->new->utf8 }, $class;

	$sql->("SET client_min_messages = error; DROP SCHEMA IF EXISTS liquid_cases CASCADE;\n$helper");
	return $self;
}

=pod

=head2 $cases->run($suite, $path, modes => 1)

Loads the file, renders all its cases and returns counts by group as passed and all.
With C<modes> cases that the reference parsed in its lax mode are parsed in the lax
syntax, else all are in the strict one.

=cut

sub run
{
	my ($self, $suite, $path, %option) = @_;
	my $modes = $option{modes} ? 'true' : 'false';
	my $start = time;
	my %result = (count => 0, passed => 0, groups => {}, failures => [], slowest => { ms => 0 });

	# one column, whatever is in it: control characters cannot occur in JSON text
	$self->{sql}->("COPY liquid_cases.cases (suite, line) FROM STDIN (FORMAT csv, DELIMITER E'\\x01', QUOTE E'\\x02');\n"
		  . join('', map { "$suite\x01$_" } lines($path))
		  . "\\.\n");
	my ($from, $to) = split /\|/, $self->{sql}->("SELECT min(n), max(n) FROM liquid_cases.cases WHERE suite = '$suite'");
	for (my $at = $from; $at <= $to; $at += $Batch)
	{
		$self->count(\%result, $_) for $self->render($at, smallest($to, $at + $Batch - 1), $modes);
	}
	$result{seconds} = time - $start;
	return \%result;
}

sub smallest { return $_[0] < $_[1] ? $_[0] : $_[1] }

sub lines
{
	my ($path) = @_;
	open my $file, '<', $path or die "$path: $!\n";
	return <$file>;
}

# The cases of these numbers with what both ways gave. When the session dies they are
# run one at a time to tell which of them did it.
sub render
{
	my ($self, $from, $to, $modes) = @_;
	my $rows = eval {
		$self->{sql}->(
			"SELECT json_build_object('case', line, 'json', liquid_cases.try(line, true, $modes), 'jsonb', liquid_cases.try(line, false, $modes)) "
			  . "FROM liquid_cases.cases WHERE n BETWEEN $from AND $to ORDER BY n");
	};

	return map { $self->{json}->decode($_) } split /\n/, $rows if defined $rows;
	return map { $self->render($_, $_, $modes) } $from .. $to if $from < $to;
	my $died = { sqlstate => 'died', message => $@, ms => 0 };
	sleep 1;
	return { json => $died, jsonb => $died, case => $self->{json}->decode($self->{sql}->("SELECT line FROM liquid_cases.cases WHERE n = $from")) };
}

# Adds one case to the counts.
sub count
{
	my ($self, $result, $row) = @_;
	my $case = $row->{case};
	my $group = $result->{groups}{ $case->{group} } //= [ 0, 0 ];
	my @wrong = grep { !passes($case, $_, $row->{$_}) } qw(json jsonb);

	$result->{count}++;
	$group->[1]++;
	for my $way (qw(json jsonb))
	{
		$result->{slowest} = { ms => $row->{$way}{ms}, name => $case->{name} } if $row->{$way}{ms} > $result->{slowest}{ms};
	}
	if (@wrong)
	{
		push @{ $result->{failures} }, { case => $case, way => $wrong[0], got => $row->{ $wrong[0] } };
		return;
	}
	$result->{passed}++;
	$group->[0]++;
	return;
}

# Whether one way gave what the case wants.
sub passes
{
	my ($case, $way, $got) = @_;

	if ($case->{error})
	{
		my $limit = grep { /nesting too deep/ } @{ $case->{render_error} // [] };
		return defined $got->{sqlstate} && ($got->{sqlstate} eq 'TE005' || $limit && $got->{sqlstate} eq 'TE006');
	}
	my $text = $got->{text} // return 0;
	return $text eq $case->{result_jsonb_order} if $way eq 'jsonb' and defined $case->{result_jsonb_order};
	return !grep { !matches($text, $_) } @{ $case->{result_matches} } if $case->{result_matches};
	return !!grep { $_ eq $text } $case->{results} ? @{ $case->{results} } : $case->{result};
}

# A plain text to be found, or a regular expression as Ruby reads it: ^ and $ are ends
# of lines and (?m) lets a dot match a line's end.
sub matches
{
	my ($text, $pattern) = @_;

	return index(lc $text, lc $pattern) >= 0 unless $pattern =~ s/^re://;
	$pattern =~ s/\(\?m\)/(?s)/g;
	return $text =~ /$pattern/mi;
}

=pod

=head2 LiquidCases::describe($failure)

A failure as text of a few lines.

=cut

sub describe
{
	my ($failure) = @_;
	my ($case, $got) = @$failure{qw(case got)};
	my $json = JSON::PP->new->canonical->allow_nonref->ascii;
	my ($wanted) = grep { defined $case->{$_} } $failure->{way} eq 'jsonb' ? 'result_jsonb_order' : (), qw(error result results result_matches);

	return join "\n",
	  "$case->{group}: $case->{name} ($failure->{way})",
	  map { sprintf '    %-9s %s', $_->[0], length $_->[1] > 600 ? substr($_->[1], 0, 600) . '...' : $_->[1] }
	  [ template => $json->encode($case->{template}) ],
	  %{ $case->{data} } ? [ data => $json->encode($case->{data}) ] : (),
	  %{ $case->{partials} } ? [ partials => $json->encode($case->{partials}) ] : (),
	  [ wanted => ($wanted eq 'error' ? 'an error: ' . $json->encode($case->{parse_error} // $case->{render_error}) : $json->encode($case->{$wanted}))
		. ($case->{inline_errors} ? ' (errors inline)' : '') ],
	  [ got => defined $got->{sqlstate} ? "$got->{sqlstate}: $got->{message}" : $json->encode($got->{text}) ];
}

1;
