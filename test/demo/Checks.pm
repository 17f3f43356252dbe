
=pod

=head1 NAME

Checks - what must hold after the replay, asked independently of the engine where that is possible

=head1 SYNOPSIS

  my $good = Checks::run($clickstream, $campaigns);

Each check is a query that returns whether it holds and the figures that show it.

=cut

package Checks;

use strict;
use warnings;

use Screen;

# Held in both databases.
my @everywhere = (
	[ 'every accepted webhook was received, and no other' => q{
		SELECT count(*) FILTER (WHERE s.send_id IS NULL OR m.send_id IS NULL) = 0 AND count(*) > 0,
			format('%s accepted, %s received', count(s.send_id), count(m.send_id))
		FROM (SELECT send_id FROM trigger_engine.sends WHERE channel = 'webhook' AND state = 'accepted') s
		FULL JOIN demo.messages m USING (send_id)} ],
	[ 'no webhook-id came twice' => q{
		SELECT count(*) = count(DISTINCT id), format('%s different of %s', count(DISTINCT id), count(*)) FROM demo.messages} ],
	[ 'every signature was right' => q{
		SELECT bool_and(status = 204), format('%s of %s', count(*) FILTER (WHERE status = 204), count(*)) FROM demo.messages} ],
	[ 'nothing failed, nothing is unknown' => q{
		SELECT count(*) FILTER (WHERE state NOT IN ('accepted', 'cancelled', 'withheld')) = 0,
			(SELECT string_agg(n || ' ' || state, ', ' ORDER BY state)
			 FROM (SELECT state, count(*) AS n FROM trigger_engine.sends GROUP BY state) g)
		FROM trigger_engine.sends} ],
	[ 'each run ended with one decision' => q{
		SELECT e.runs = e.ended AND e.runs = d.decisions AND d.decisions = d.runs,
			format('%s runs, %s ended, %s decisions', e.runs, e.ended, d.decisions)
		FROM (SELECT count(*) AS runs, count(*) FILTER (WHERE state <> 'active') AS ended FROM trigger_engine.enrollments) e,
			(SELECT count(*) AS decisions, count(DISTINCT (s.user_id, s.journey, s.entry_key)) AS runs
			 FROM trigger_engine.decisions JOIN trigger_engine.sends s USING (send_id)) d} ],
	[ 'none went early, or missed the first stop of the clock' => q{
		SELECT bool_and(went_at >= due_at AND went_at = stop), format('%s messages', count(*))
		FROM (SELECT coalesce(handed_over_at, decided_at) AS went_at, due_at,
				(SELECT min(t.at) FROM demo.stops t WHERE t.at >= due_at) AS stop
			FROM trigger_engine.sends WHERE state = 'accepted') s} ]);

my @clickstream = (
	[ 'nobody who ordered within the hour was reminded' => q{
		SELECT count(*) FILTER (WHERE ordered) = 0 AND count(*) > 0,
			format('%s reminders, %s after an order', count(*), count(*) FILTER (WHERE ordered))
		FROM (SELECT EXISTS (SELECT FROM trigger_engine.events e WHERE e.user_id = body ->> 'user_id' AND e.name = 'order'
				AND e.occurred_at BETWEEN cart_at AND cart_at + interval '1 hour') AS ordered
			FROM (SELECT body::jsonb -> 'data' AS body,
					(body::jsonb #>> '{data,content,carted_at}')::timestamptz AS cart_at
				FROM demo.messages WHERE body::jsonb ->> 'type' = 'cart.abandoned') m) r} ],
	[ 'plain SQL over the events finds the same reminders' => q{
		WITH RECURSIVE run AS (		-- a cart, and the next one 6 hours later or more
			SELECT user_id, min(occurred_at) AS at FROM trigger_engine.events WHERE name = 'cart' GROUP BY user_id
			UNION ALL
			SELECT r.user_id, (SELECT min(e.occurred_at) FROM trigger_engine.events e WHERE e.user_id = r.user_id
				AND e.name = 'cart' AND e.occurred_at >= r.at + interval '6 hours')
			FROM run r WHERE r.at IS NOT NULL
		), due AS MATERIALIZED (	-- and the clock's first stop an hour later
			SELECT r.user_id, r.at, (SELECT min(t.at) FROM demo.stops t WHERE t.at >= r.at + interval '1 hour') AS stop
			FROM run r WHERE r.at IS NOT NULL
		), wanted AS (
			SELECT d.user_id, d.at FROM due d
			WHERE NOT EXISTS (SELECT FROM trigger_engine.events o WHERE o.user_id = d.user_id AND o.name = 'order'
					AND o.occurred_at >= d.at AND o.occurred_at < d.stop)
				AND (SELECT count(*) FROM trigger_engine.events c WHERE c.user_id = d.user_id AND c.name = 'click'
					AND c.occurred_at > d.stop - interval '7 days' AND c.occurred_at <= d.stop) >= 3
				AND NOT EXISTS (SELECT FROM trigger_engine.consents n WHERE n.user_id = d.user_id AND n.at <= d.stop
					AND n.state = 'opted_out')
		), got AS (
			SELECT body::jsonb #>> '{data,user_id}' AS user_id, (body::jsonb #>> '{data,content,carted_at}')::timestamptz AS at
			FROM demo.messages WHERE body::jsonb ->> 'type' = 'cart.abandoned'
		)
		SELECT count(*) FILTER (WHERE w.at IS NULL OR g.at IS NULL) = 0, format('%s wanted, %s received', count(w.at), count(g.at))
		FROM wanted w FULL JOIN got g USING (user_id, at)} ],
	[ 'the inbox has every accepted message, and no other' => q{
		SELECT count(*) FILTER (WHERE s.send_id IS NULL OR i.send_id IS NULL) = 0,
			format('%s accepted, %s in the inbox', count(s.send_id), count(i.send_id))
		FROM (SELECT user_id, send_id FROM trigger_engine.sends WHERE channel = 'in_app' AND state = 'accepted') s
		FULL JOIN trigger_engine.inbox i USING (user_id, send_id)} ],
	[ 'events sent twice count once (dedupe keys)' => q{
		SELECT 2 * count(*) = %d, format('%%s offered, %%s stored', %1$d, count(*)) FROM trigger_engine.events} ]);

my @campaigns = (
	[ 'plain SQL over the tables finds the same reminders' => q{
		WITH wanted AS (
			SELECT m.household, m.campaign FROM shop.mailings m
			WHERE NOT EXISTS (SELECT FROM shop.redemptions r WHERE r.household = m.household
					AND r.day >= m.day AND r.day < m.day + 14)
				AND EXISTS (SELECT FROM shop.shopping_days s WHERE s.household = m.household
					AND s.day < m.day + 14 AND s.day > m.day + 14 - 30)
		), got AS (
			SELECT body::jsonb #>> '{data,user_id}' AS household,
				(body::jsonb #>> '{data,content,campaign}')::integer AS campaign
			FROM demo.messages
		)
		SELECT count(*) FILTER (WHERE w.campaign IS NULL OR g.campaign IS NULL) = 0,
			format('%s wanted, %s received', count(w.campaign), count(g.campaign))
		FROM (SELECT *, household AS h FROM wanted) w FULL JOIN (SELECT *, household AS h FROM got) g
			ON w.h = g.h AND w.campaign = g.campaign} ]);

# Runs all checks and prints them; true when all hold.
sub run
{
	my ($shop, $grocer) = @_;
	my $good = 1;

	Screen::heading('Checks');
	for my $act ($shop, $grocer)
	{
		for my $check (@everywhere, $act == $shop ? @clickstream : @campaigns)
		{
			my ($name, $sql) = @$check;
			$sql = sprintf $sql, $act->{offered} if $sql =~ /%1\$d/;
			my ($holds, $figures) = @{ ($act->admin->rows($sql))[0] };
			$good = 0 if $holds ne 't';
			printf "  %s  %-6s  %s %s\n",
			  $holds eq 't' ? Screen::paint('green', 'ok    ') : Screen::paint('red', 'FAILED'),
			  $act->{database}, $name, Screen::paint('dim', "($figures)");
		}
	}
	print "\n  ", $good ? Screen::paint('green', 'All of it holds.') : Screen::paint('red', 'Not all of it holds.'), "\n\n";
	return $good;
}

1;
