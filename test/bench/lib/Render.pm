# Rows about rendering: four messages, 200 contexts each, by the engine, by liquidjs and by
# SQL written by hand. Rates are renders a second of CPU time of the one process that
# renders.
package Render;

use strict;
use warnings;

use Bench;
use IO::Handle;
use IPC::Open2;
use JSON::PP;
use Time::HiRes qw(time);

# messages, and the renders a second that are aimed at with and without the cache
my @kinds = (
	[ 'push', 300_000, 70_000 ],
	[ 'cart', 80_000, undef ],
	[ 'cond', 300_000, undef ],
	[ 'email', 30_000, 6_700 ],
);
my $ratio = 6;    # times liquidjs
my $json = JSON::PP->new->utf8->allow_nonref;
my ($node, $to_node, $from_node);

sub text { return Bench::slurp("$Bench::Source/templates/$_[0]") }
sub quote { return "E'" . ($_[0] =~ s/([\\'])/$1$1/gr) . "'" }

# ---- liquidjs ----

# Starts it, if it is installed.
sub start_node
{
	return 0 unless -d "$Bench::Dir/node/node_modules/liquidjs";
	local $ENV{TZ} = 'UTC';
	$node = open2($from_node, $to_node, 'node', "$Bench::Source/liquidjs.js", "$Bench::Dir/node");
	$to_node->autoflush;
	return 1;
}

sub ask
{
	my (%command) = @_;
	print $to_node $json->encode(\%command), "\n";
	my $answer = <$from_node> // die "liquidjs ended\n";
	return $json->decode($answer);
}

sub stop_node
{
	return unless $node;
	close $to_node;
	waitpid $node, 0;
	undef $node;
	return;
}

sub by_liquidjs
{
	my ($kind, $cached) = @_;
	return sub {
		my $cpu = Bench::process_cpu_us($node);
		my $renders = ask(do => 'run', kind => $kind, cached => $cached ? JSON::PP::true : JSON::PP::false, seconds => $Bench::Seconds);
		return { rate => $renders / (Bench::process_cpu_us($node) - $cpu) * 1e6 };
	};
}

# ---- the engine and SQL ----

# Renders all contexts of a kind with an expression over m.template, c.context and the
# number i, again and again in one session.
sub by_session
{
	my ($server, $kind, $expression) = @_;
	my $pid = $server->sql('SELECT pg_backend_pid()');
	my $repeats = 5;

	return sub {
		my ($cpu, $until, $renders) = (Bench::process_cpu_us($pid), time + $Bench::Seconds, 0);
		while (time < $until)
		{
			my $start = time;
			$server->sql("SELECT sum(length($expression)) FROM generate_series(1, $repeats) i, bench.contexts c, bench.messages m "
				  . "WHERE c.kind = '$kind' AND m.kind = c.kind");
			$renders += $repeats * 200;
			# statements of a tenth of a second
			$repeats = 1 + int($repeats * Bench::smallest(4, 0.1 / (time - $start + 1e-6)));
		}
		return { rate => $renders / (Bench::process_cpu_us($pid) - $cpu) * 1e6 };
	};
}

sub outputs
{
	my ($server, $kind, $expression) = @_;
	return @{ $json->decode($server->sql("SELECT json_agg($expression ORDER BY n) FROM bench.contexts c, bench.messages m WHERE c.kind = '$kind' AND m.kind = c.kind")) };
}

# How many of the texts differ, but for how they write a quote.
sub differences
{
	my ($one, $other) = @_;
	my @first = grep { $one->[$_] =~ s/&#34;/&quot;/gr ne $other->[$_] =~ s/&#34;/&quot;/gr } 0 .. $#$one;

	Bench::detail("    differs:\n$one->[ $first[0] ]\n    from:\n$other->[ $first[0] ]") if @first;
	return scalar @first;
}

# ---- rows ----

sub rates
{
	my $server = Bench::server('main');
	my $node_there = start_node();
	my $engine = 'trigger_engine.render(m.template, c.context)';
	my $fresh = q{trigger_engine.render(m.template || ' ' || nextval('bench.fresh'), c.context)};
	my %hand = map { $_->[0] => "bench.by_hand_$_->[0](c.context)" } @kinds;
	$hand{email} = sprintf 'bench.by_hand_email(c.context, %s, %s)', map { quote(text($_)) } 'email.format', 'email_row.format';

	$server->file('templates.sql');
	$server->sql(q{SET timezone = 'UTC'});
	for my $row (@kinds)
	{
		my ($kind, $aim, $fresh_aim) = @$row;
		my $template = text("$kind.liquid");
		$server->sql(sprintf 'INSERT INTO bench.messages VALUES (%s, %s)', quote($kind), quote($template));
		my @ours = outputs($server, $kind, $engine);
		my @hand = outputs($server, $kind, $hand{$kind});
		my $wrong = differences(\@hand, \@ours);
		my $length = Bench::median(map { length } @ours);
		my %rate = (ours => by_session($server, $kind, $engine), fresh => by_session($server, $kind, $fresh), hand => by_session($server, $kind, $hand{$kind}));
		my $note = sub { return $_[0] ? "$_[0] of 200 outputs differ" : 'outputs equal' };

		if ($node_there)
		{
			ask(do => 'load', kind => $kind, template => $json->decode($server->sql('SELECT to_json(' . quote($template) . '::text)')),
				contexts => $json->decode($server->sql("SELECT json_agg(context ORDER BY n) FROM bench.contexts WHERE kind = '$kind'")));
			my $differ = differences(ask(do => 'outputs', kind => $kind), \@ours);
			my $pairs = Bench::pairs($Bench::Pairs, by_liquidjs($kind, 1), $rate{ours});
			Bench::result('render', "$kind ($length characters), parsed once, against liquidjs", $pairs, '>=', $ratio, note => $note->($differ));
			absolute("$kind, parsed once", $pairs, $aim);
			$pairs = Bench::pairs($Bench::Pairs, by_liquidjs($kind, 0), $rate{fresh});
			Bench::result('render', "$kind, another text each time, against liquidjs", $pairs, '>=', $ratio);
			absolute("$kind, another text each time", $pairs, $fresh_aim);
		}
		my $pairs = Bench::pairs($Bench::Pairs, $rate{hand}, $rate{ours});
		Bench::result('render', "$kind, parsed once, against SQL by hand", $pairs, undef, undef, note => $note->($wrong));
		absolute("$kind, parsed once", $pairs, $aim) unless $node_there;
	}
	stop_node();
	Bench::say_now('render         liquidjs was skipped: node, npm or the package was not to be had') unless $node_there;
	return;
}

# The engine's own rate, in thousands.
sub absolute
{
	my ($what, $pairs, $aim) = @_;
	Bench::result('render', "$what, a second of CPU", Bench::median(@{ $pairs->{variant} }) / 1000, '>=', defined $aim ? $aim / 1000 : undef, unit => 'k/s');
	return;
}

1;
