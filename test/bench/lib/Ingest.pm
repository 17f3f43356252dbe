# Rows about inserting events: single rows by 8 clients, and in bulk.
package Ingest;

use strict;
use warnings;

use Bench;
use Time::HiRes qw(time);

my $ready = 0;

sub prepare
{
	my $server = Bench::server('main');

	return $server if $ready++;
	$server->sql('SELECT bench.drop_journeys()');
	$server->sql(q{SELECT bench.journeys('ten', 10)});
	$server->sql(q{SELECT bench.journeys('thousand', 1000)});
	return $server;
}

# About 150 bytes of properties; k picks the journey that matches.
sub properties
{
	my ($k) = @_;
	return qq{('{"k": ' || $k || ', "amount": 42.5, "product": "sku-1234567", "category": "outdoor", "url": "https://shop.test/p/1234567", "source": "newsletter"}')::jsonb};
}

sub insert_one
{
	my ($table, $event) = @_;
	return "INSERT INTO $table (user_id, name, properties) VALUES ('user' || :u, '$event', " . properties(':k') . ')';
}

my $variables = "\\set u random(1, 1000000)\n";

sub script
{
	my ($statement, $values) = @_;
	return $variables . '\\set k random(1, ' . ($values // 1000) . ")\n$statement;\n";
}

my $floor = 'WITH event AS (' . insert_one('bench.floor_events', 'thousand') . q{ RETURNING event_id, user_id, occurred_at)
INSERT INTO bench.floor_due (user_id, journey_id, entry_key, step, lane, due_at, event_id, event_at, version)
SELECT user_id, :k, 'events/' || event_id, 'send', 1, occurred_at + interval '1 day', event_id, occurred_at, 1 FROM event}
  =~ s/\n/ /gr;

# A load of 8 clients that commit without waiting for the disk, so that CPU decides.
sub load
{
	my ($server, $script) = @_;
	return sub {
		$server->sql('SELECT bench.clear()');
		return $server->pgbench(script => $script, env => '-c synchronous_commit=off');
	};
}

sub unwatched
{
	my $server = prepare();

	Bench::result('ingest-unwatched', '1,000 journeys, event not watched, against the bare table',
		Bench::pairs($Bench::Pairs,
			load($server, script(insert_one('bench.events', 'other'))),
			load($server, script(insert_one('trigger_engine.events', 'other')))),
		'>=', 0.95);
	return;
}

sub match
{
	my $server = prepare();
	my $engine = load($server, script(insert_one('trigger_engine.events', 'thousand')));

	Bench::result('ingest-match', '1,000 journeys on the event, one match, against two rows by the client',
		Bench::pairs($Bench::Pairs, load($server, script($floor)), $engine), '>=', 0.95);
	Bench::result('ingest-flat', '1,000 journeys on the event against 10',
		Bench::pairs($Bench::Pairs, load($server, script(insert_one('trigger_engine.events', 'ten'), 10)), $engine),
		'>=', 0.95);
	Bench::result('ingest-plpgsql', '1,000 journeys on the event against a PL/pgSQL trigger',
		Bench::pairs(Bench::smallest($Bench::Pairs, 5), load($server, script(insert_one('bench.plpgsql_events', 'thousand'))), $engine),
		'>=', 5);
	Bench::result('ingest-first', 'first event of a session, which compiles 1,010 journeys', first_event($server), undef, undef, unit => 'ms');
	Bench::result('ingest-bare', '1,000 journeys on the event, one match, against the bare table',
		Bench::pairs(Bench::smallest($Bench::Pairs, 5), load($server, script(insert_one('bench.events', 'thousand'))), $engine));
	return;
}

# Milliseconds of a session's first insert beyond its second, the median of nine sessions.
sub first_event
{
	my ($server) = @_;
	my @ms;

	for (1 .. 9)
	{
		$server->hang_up;
		my @took;
		$server->sql('SELECT 1');
		for (1 .. 2)
		{
			my $from = time;
			$server->sql(q{INSERT INTO trigger_engine.events (user_id, name) VALUES ('first', 'other')});
			push @took, (time - $from) * 1000;
		}
		push @ms, $took[0] - $took[1];
	}
	return Bench::median(@ms);
}

# ---- bulk ----

sub insert_hundred
{
	my ($table, $event) = @_;
	my @rows = map { "('user' || (:u + $_), '$event', " . properties(":k + $_") . ')' } 0 .. 99;
	return "INSERT INTO $table (user_id, name, properties) VALUES " . join ', ', @rows;
}

sub bulk_load
{
	my ($server, $table, $event) = @_;
	my $script = script(insert_hundred($table, $event), 900);
	return sub {
		$server->sql('SELECT bench.clear()');
		return $server->pgbench(script => $script, env => '-c synchronous_commit=off', clients => 2, rows => 100);
	};
}

# COPY of a file by one session; rows a second.
sub copy_load
{
	my ($server, $table, $event) = @_;
	my $rows = 50_000;
	my $file = "$Bench::Dir/copy.$event";

	$server->sql("COPY (SELECT 'user' || (i * 7919 % 1000000), '$event', "
		  . properties('(i % 1000 + 1)') . " FROM generate_series(1, $rows) i) TO '$file'")
	  unless -e $file;
	return sub {
		$server->sql('SELECT bench.clear()');
		my $from = time;
		$server->sql("COPY $table (user_id, name, properties) FROM '$file'");
		return $rows / (time - $from);
	};
}

sub bulk
{
	my $server = prepare();

	$server->sql('SET synchronous_commit = off');
	for my $case ([ 'thousand', 'one match each', 0.50, 0.45 ], [ 'other', 'no match', 0.90, 0.90 ])
	{
		my ($event, $what, $insert_aim, $copy_aim) = @$case;
		Bench::result('bulk-insert', "100 rows an INSERT, $what, against the bare table",
			Bench::pairs($Bench::Pairs, bulk_load($server, 'bench.events', $event),
				bulk_load($server, 'trigger_engine.events', $event)), '>=', $insert_aim);
		Bench::result('bulk-copy', "COPY of 50,000 rows, $what, against the bare table",
			Bench::pairs($Bench::Pairs, copy_load($server, 'bench.events', $event),
				copy_load($server, 'trigger_engine.events', $event)), '>=', $copy_aim);
	}
	Bench::result('bulk-plpgsql', '100 rows an INSERT, one match each, against a PL/pgSQL trigger',
		Bench::pairs(Bench::smallest($Bench::Pairs, 5), bulk_load($server, 'bench.plpgsql_events', 'thousand'),
			bulk_load($server, 'trigger_engine.events', 'thousand')), '>=', 5);
	$server->sql('RESET synchronous_commit');
	return;
}

1;
