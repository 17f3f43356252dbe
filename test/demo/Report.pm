
=pod

=head1 NAME

Report - what became of the events, by SQL over the tables of both databases

=head1 SYNOPSIS

  my $good = Report::show([ $clickstream, $campaigns ], $record);

Every number comes from a query below. C<$record> is the file that the receiver wrote;
it is loaded into demo.received, so that it can be compared in SQL.

=cut

package Report;

use strict;
use warnings;

use Checks;
use Screen;
use Session;

my @acts;

# Prints everything; true when all checks hold.
sub show
{
	my ($acts, $record) = @_;

	@acts = @$acts;
	$_->admin->run(sprintf q{COPY demo.received FROM %s WHERE path = '/%s'; ANALYZE},
		Session::quote($record), $_->{database}) for @acts;
	events();
	journeys();
	held_back();
	lateness();
	messages();
	story();
	scale();
	return Checks::run(@acts);
}

# The rows of a query in both databases, one after the other.
sub rows_of_both
{
	my ($sql) = @_;
	return map { $_->admin->rows($sql) } @acts;
}

sub events
{
	Screen::heading('Events in');
	Screen::table([ '<database', '<event', '>rows', '>people', '<first', '<last' ],
		rows_of_both(q{
			SELECT current_database(), name, count(*), count(DISTINCT user_id),
				min(occurred_at)::timestamp(0), max(occurred_at)::timestamp(0)
			FROM trigger_engine.all_events GROUP BY name ORDER BY count(*) DESC}));
	Screen::note(sprintf 'Besides, %s rows of shopping days in a table of the grocer, which is not watched and answers a segment.',
		$acts[1]->admin->value('SELECT count(*) FROM shop.shopping_days'));
	return;
}

sub journeys
{
	Screen::heading('Journeys');
	Screen::table([ '<journey', '<channel', '>entered', '>sent', '>cancelled', '>held back', '>expired', '>failed', '>open' ],
		rows_of_both(q{
			SELECT j.name, min(s.channel),
				(SELECT count(*) FROM trigger_engine.enrollments e WHERE e.journey = j.name),
				count(*) FILTER (WHERE s.state = 'accepted'), count(*) FILTER (WHERE s.state = 'cancelled'),
				count(*) FILTER (WHERE s.state = 'withheld'), count(*) FILTER (WHERE s.state = 'expired'),
				count(*) FILTER (WHERE s.state IN ('rejected', 'unknown')),
				count(*) FILTER (WHERE s.state IN ('due', 'claimed'))
			FROM trigger_engine.journeys j JOIN trigger_engine.sends s ON s.journey = j.name
			GROUP BY j.journey_id, j.name ORDER BY j.journey_id}));
	return;
}

sub held_back
{
	Screen::heading('Cancelled or held back, and why');
	Screen::table([ '<journey', '<state', '<gate', '>messages', '<reason' ],
		rows_of_both(q{
			SELECT journey, state, stopped_by, count(*), regexp_replace(reason, ' \([^()]*/[^()]*\)$', '') AS why
			FROM trigger_engine.decisions WHERE stopped_by IS NOT NULL
			GROUP BY journey, state, stopped_by, why ORDER BY journey, state, count(*) DESC}));
	return;
}

sub lateness
{
	# the clock's first stop at or after the due time is the earliest a message could go
	my $sends = q{
		WITH send AS (
			SELECT s.*, coalesce(s.handed_over_at, s.decided_at) AS went_at, m.arrived_at,
				(SELECT min(t.at) FROM demo.stops t WHERE t.at >= s.due_at) AS stop
			FROM trigger_engine.sends s LEFT JOIN demo.messages m USING (send_id) WHERE s.state = 'accepted'
		)};

	Screen::heading('Lateness on the virtual clock');
	Screen::table([ '<journey', '>sent', '>p50', '>p95', '>p99', '>max', '>at the first stop' ],
		rows_of_both(qq{$sends, late AS (
			SELECT journey, journey_id, went_at = stop AS first_stop, extract(epoch FROM went_at - due_at) AS seconds FROM send
		)
		SELECT journey, count(*), to_char(percentile_disc(0.5) WITHIN GROUP (ORDER BY seconds), 'FM990.0 "s"'),
			to_char(percentile_disc(0.95) WITHIN GROUP (ORDER BY seconds), 'FM990.0 "s"'),
			to_char(percentile_disc(0.99) WITHIN GROUP (ORDER BY seconds), 'FM990.0 "s"'),
			to_char(max(seconds), 'FM990.0 "s"'), count(*) FILTER (WHERE first_stop) || ' of ' || count(*)
		FROM late GROUP BY journey, journey_id ORDER BY journey_id}));
	Screen::note('Hand-over against due time. The clock stops at whole minutes, so up to 60 s are the clock\'s own; what the '
		  . 'engine adds would show as messages that missed the first stop at or after their due time.');

	Screen::heading('In real time');
	Screen::table([ '<webhooks', '<database', '>messages', '>p50', '>p95', '>p99', '>max' ],
		map { percentiles($_, $sends) } @acts);
	my ($wave) = $acts[1]->admin->rows(qq{$sends
		SELECT count(*), to_char(stop, 'YYYY-MM-DD'), round(1000 * extract(epoch FROM max(arrived_at) - min(real_at))),
			round(count(*) / extract(epoch FROM max(arrived_at) - min(real_at)))
		FROM send JOIN demo.stops ON at = stop GROUP BY stop ORDER BY count(*) DESC LIMIT 1});
	Screen::note('Due is when the clock got there; durations depend on this machine and on what else it does.');
	Screen::note(sprintf 'Largest wave: %s messages due at once on %s were all at the receiver, decided, rendered, signed and '
		  . 'handed over, %s ms after the clock got there (%s a second).', @$wave);
	return;
}

# Real durations of an act's webhooks.
sub percentiles
{
	my ($act, $sends) = @_;
	my $figures = join ', ',
	  map { "to_char(percentile_disc($_) WITHIN GROUP (ORDER BY ms), 'FM999990.0 \"ms\"')" } 0.5, 0.95, 0.99, 1;

	return $act->admin->rows(qq{$sends, figure AS (
			SELECT 1 AS n, 'from due to the receiver' AS span,
				1000 * extract(epoch FROM arrived_at - t.real_at) AS ms
			FROM send JOIN demo.stops t ON t.at = stop WHERE channel = 'webhook'
			UNION ALL
			SELECT 2, 'from hand-over to answer', 1000 * extract(epoch FROM took) FROM send WHERE channel = 'webhook'
		)
		SELECT span, current_database(), count(*), $figures FROM figure GROUP BY n, span ORDER BY n});
}

# The last message of each type: the head as it came, the body laid out.
sub messages
{
	Screen::heading('Three messages as they came over the wire', 'Each body came in one line and is laid out here.');
	for my $message (rows_of_both(q{
		SELECT DISTINCT ON (body::jsonb ->> 'type') replace(head, E'\r\n', E'\x01'), body, status
		FROM demo.messages ORDER BY body::jsonb ->> 'type' DESC, send_id DESC}))
	{
		my ($head, $body, $status) = @$message;
		my ($request, @headers) = split /\x01/, $head;
		print "\n  ", Screen::paint('bold', $request), "\n";
		for my $header (@headers)
		{
			my ($name, $value) = split /: */, $header, 2;
			print '  ', Screen::paint('cyan', "$name:"), " $value\n";
		}
		print "\n", Screen::json_pretty($body, '  '), "\n\n";
		Screen::note(($status == 204 ? 'The signature was right' : 'The signature was wrong') . ": answered with $status.");
	}
	return;
}

# explain_send() for a message that went and for one that did not.
sub story
{
	my $admin = $acts[0]->admin;
	my @wanted = (
		[ 'Why a message was sent' => q{s.state = 'accepted' AND s.journey = 'abandoned_cart'} ],
		[ 'Why another one was not' => q{s.state = 'withheld' AND s.gate = 'consent'} ]);

	for my $story (@wanted)
	{
		my ($title, $condition) = @$story;
		my $send_id = $admin->value("SELECT max(send_id) FROM trigger_engine.sends s WHERE $condition");
		Screen::heading("$title: explain_send($send_id)");
		Screen::table([ '>step', '<what', '<result', '<detail' ],
			$admin->rows("SELECT * FROM trigger_engine.explain_send($send_id)"));
	}
	Screen::note('(OTTO has no consents: the demo itself took this one back between the cart and the reminder.)');
	return;
}

# What this was and what it was not.
sub scale
{
	my ($small, $large) = map { ($_->admin->rows(q{
		SELECT (SELECT count(*) FROM trigger_engine.all_events), (SELECT count(DISTINCT user_id) FROM trigger_engine.all_events),
			(SELECT count(*) FROM trigger_engine.sends), (SELECT count(*) FROM demo.messages)}))[0] } @acts;
	my ($version, $workers) = @{ ($acts[0]->admin->rows(
		q{SELECT current_setting('server_version'), current_setting('trigger_engine.workers')}))[0] };

	Screen::heading('Scale');
	Screen::note(sprintf 'The web shop is a sample small enough to follow by hand: %s events of %s people, %s messages decided, %s '
		  . 'over HTTP, in %.0f s. The grocer has %s events of %s households, %s messages decided, %s over HTTP, in %.0f s. Both '
		  . 'on PostgreSQL %s with %s worker a database, durable commits, and receiver, client and server on this one machine.',
		@$small, $acts[0]{took}, @$large, $acts[1]{took}, $version =~ s/ .*//r, $workers);
	Screen::note('This shows that it works, not how fast it is: most of that time the replay waits between one event and the '
		  . 'next for everything to come to rest. "make bench" measures.');
	return;
}

1;
