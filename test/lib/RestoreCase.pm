
=pod

=head1 NAME

RestoreCase - a database in full use, and what must be true of its restored copies

=head1 SYNOPSIS

  use RestoreCase;

  my $case = RestoreCase->new($te, $receiver);    # fills the database and stops it
  ...dump and restore...
  $case->check($te->in('copy'), 'plain dump');

=head1 DESCRIPTION

C<new> uses every table of the extension: configuration by a role of its own,
events in partitions and in DEFAULT, keys, messages that are done, that wait and
that are under way, an inbox, a quarantine, a tracked table, a segment. Then it
stops the workers, so that nothing changes any more. The virtual clock must be on;
C<prepare> puts that of another server to the same instant and makes the roles.

C<check> holds a copy against the original and takes it into use.

=cut

package RestoreCase;

use strict;
use warnings;

use PostgreSQL::Test::Utils;
use Test::More;
use TriggerEngine;

use constant NOW => '2026-05-01 12:00:00+00';

my $copies = 0;

sub new
{
	my ($class, $te, $receiver) = @_;
	my $self = bless { te => $te, receiver => $receiver }, $class;

	$te->set_clock(NOW);
	$te->sql(q{CREATE ROLE analyst LOGIN; CREATE ROLE app LOGIN;
		SELECT trigger_engine.grant_usage('analyst', 'analyst'), trigger_engine.grant_usage('app', 'app');
		GRANT CREATE ON SCHEMA public TO analyst});
	$te->webhook('hook', $receiver->url('/original'), max_in_flight => 50);
	$te->webhook('spare', $receiver->url('/spare'));
	$te->sql(q{SELECT trigger_engine.alter_provider('spare', enabled => false)});
	as($te, 'analyst', q{
CREATE TABLE orders (id int PRIMARY KEY, customer text, total numeric);
CREATE VIEW buyers AS SELECT DISTINCT customer AS user_id FROM orders;
SELECT trigger_engine.track_table('orders', 'ordered', 'customer');
SELECT trigger_engine.create_segment('buyers', 'buyers');
SELECT trigger_engine.create_event_schema('lax', '{"required": ["sku"]}', on_violation => 'quarantine');
SELECT trigger_engine.create_template('t', 'webhook', '{"body": "{{ user.user_id }}"}');
SELECT trigger_engine.create_template('t', 'webhook', '{"body": "{{ user.user_id }}"}', locale => 'de');
SELECT trigger_engine.create_template('note', 'in_app', '{"title": "hello {{ user.user_id }}"}');
SELECT trigger_engine.create_journey('welcome', '{"kind": "event", "name": "cart"}', '[{"id": "send", "send": "t", "provider": "hook"}]');
SELECT trigger_engine.create_journey('thanks', '{"kind": "event", "name": "ordered"}', '[{"id": "send", "send": "t", "provider": "hook"}]', segment => 'buyers');
SELECT trigger_engine.create_journey('once', '{"kind": "event", "name": "signup"}', '[{"id": "send", "send": "t", "provider": "hook"}]', reentry => '{"policy": "once"}');
SELECT trigger_engine.create_journey('later', '{"kind": "event", "name": "browse"}', '[{"id": "wait", "wait": "2 days"}, {"id": "send", "send": "t", "provider": "hook"}]', exit_on => '[{"name": "order"}, {"name": "ordered"}]');
SELECT trigger_engine.create_journey('inside', '{"kind": "event", "name": "read"}', '[{"id": "send", "send": "note"}]');
SELECT trigger_engine.create_journey('lax', '{"kind": "event", "name": "lax"}', '[{"id": "send", "send": "t", "provider": "hook"}]');
SELECT trigger_engine.create_journey('gone', '{"kind": "event", "name": "gone"}', '[{"id": "send", "send": "t"}]');
SELECT trigger_engine.drop_journey('gone');
SELECT trigger_engine.alter_journey('welcome', purpose => 'second version');
});
	as($te, 'app', q{
INSERT INTO trigger_engine.users (user_id, attributes, locale, zone) VALUES ('u1', '{"plan": "gold"}', 'de', 'Europe/Berlin');
INSERT INTO trigger_engine.endpoints (user_id, channel, address) VALUES ('u1', 'email', 'u1@example.test');
SELECT trigger_engine.set_consent('u1', 'email', 'opted_in', source => 'form');
INSERT INTO trigger_engine.events (user_id, name, dedupe_key) SELECT 'u' || i, 'cart', 'k' || i FROM generate_series(1, 10) i;
INSERT INTO trigger_engine.events (user_id, name) SELECT 'w' || i, 'browse' FROM generate_series(1, 5) i;
INSERT INTO trigger_engine.events (user_id, name) VALUES ('u1', 'signup'), ('u1', 'read'), ('u2', 'read'), ('q1', 'lax');
});
	as($te, 'analyst', q{INSERT INTO orders SELECT i, 'u' || i, i FROM generate_series(1, 3) i});
	$te->idle or die 'the original does not come to rest';

	# an attempt that failed, and its repetition
	$receiver->mode('/original', 'status', status => 503, times => 1);
	$te->event('u11', 'cart');
	$te->poll(q{SELECT attempts = 1 FROM trigger_engine.sends WHERE user_id = 'u11'}) or die 'no attempt';
	$te->advance('1 day');
	$te->poll(q{SELECT state = 'accepted' FROM trigger_engine.sends WHERE user_id = 'u11'}) or die 'no repetition';

	# three messages under way, and four that never were, whose events are in DEFAULT
	$receiver->mode('/original', 'hang');
	my $before = $receiver->count;
	$te->events(3, 'cart', prefix => 'h');
	$receiver->wait_for($before + 3, 30) or die 'no messages under way';
	$te->sql(q{SELECT trigger_engine.pause('for the dump')});
	$te->sql(q{SELECT trigger_engine.stop_workers('30 s')}) eq 't' or die 'workers do not stop';
	$te->sql(q{INSERT INTO trigger_engine.events (user_id, name, occurred_at) SELECT 'd' || i, 'cart', trigger_engine.clock() - interval '100 days' FROM generate_series(1, 4) i});

	$self->{requests} = $receiver->count;
	$self->{clock} = $te->sql('SELECT trigger_engine.clock()');
	$self->{tables} = [ split /\n/, $te->sql(q{SELECT oid::regclass FROM pg_class
		WHERE relnamespace = 'trigger_engine'::regnamespace AND relkind = 'r' AND relname <> '_secrets' ORDER BY relname}) ];
	$self->{sequences} = [ split /\n/, $te->sql(q{SELECT oid::regclass FROM pg_class
		WHERE relnamespace = 'trigger_engine'::regnamespace AND relkind = 'S' ORDER BY relname}) ];
	$self->{contents} = $self->contents($te);
	$self->{structure} = structure($te);
	for (qw(events_default _due _batches _event_keys _entry_keys _enrollments _exits _send_keys inbox quarantined_events _pause users endpoints _consents))
	{
		$self->{contents} =~ /^(?:trigger_engine\.)?$_ [1-9]/m or die "the original has nothing in $_";
	}
	return $self;
}

# SQL as a role; dies when it fails.
sub as
{
	my ($te, $role, $sql) = @_;
	return $te->sql($sql, extra_params => [ '-U', $role ]);
}

# Makes another server ready to take a copy.
sub prepare
{
	my ($self, $te) = @_;
	my $file = PostgreSQL::Test::Utils::tempdir() . '/roles.sql';

	$self->{te}->node->command_ok([ 'pg_dumpall', '--roles-only', '-f', $file, '-d', $self->{te}->node->connstr('postgres') ], 'pg_dumpall --roles-only');
	my $roles = join '', grep { !/^CREATE ROLE postgres;/ } map { "$_\n" } split /\n/, slurp_file($file);
	$te->sql($roles);
	$te->sql('CREATE DATABASE clock');
	$te->in('clock')->sql('CREATE EXTENSION trigger_engine');
	$te->in('clock')->set_clock($self->{clock});
	return;
}

# Rows and checksum of every table, and the state of every sequence.
sub contents
{
	my ($self, $te) = @_;
	my @parts = map { "SELECT '$_', count(*), md5(coalesce(string_agg(t::text, E'\\n' ORDER BY t::text COLLATE \"C\"), '')) FROM ONLY $_ t" } @{ $self->{tables} };
	push @parts, map { "SELECT '$_', last_value, is_called::text FROM $_" } @{ $self->{sequences} };
	return join '', map { s/\|/ /gr . "\n" } split /\n/, $te->sql(join(' UNION ALL ', @parts) . ' ORDER BY 1');
}

# Columns, indexes, triggers, owners and privileges of all tables.
sub structure
{
	my ($te) = @_;
	return $te->sql(q{
SELECT 'table', c.oid::regclass::text, c.relkind::text, pg_get_userbyid(relowner), pg_get_expr(relpartbound, c.oid), (SELECT string_agg(a::text, ' ' ORDER BY a::text) FROM unnest(relacl) a)
FROM pg_class c WHERE relnamespace = 'trigger_engine'::regnamespace AND relkind IN ('r', 'p', 'S', 'v')
UNION ALL SELECT 'index', indexrelid::regclass::text, pg_get_indexdef(indexrelid), NULL, NULL, NULL
FROM pg_index JOIN pg_class c ON c.oid = indrelid WHERE relnamespace = 'trigger_engine'::regnamespace
UNION ALL SELECT 'trigger', tgrelid::regclass::text, pg_get_triggerdef(t.oid), tgenabled::text, (tgparentid <> 0)::text, NULL
FROM pg_trigger t JOIN pg_class c ON c.oid = tgrelid WHERE (relnamespace = 'trigger_engine'::regnamespace OR tgname LIKE 'trigger_engine%') AND NOT (tgisinternal AND tgparentid = 0)
UNION ALL SELECT 'constraint', conrelid::regclass::text, conname, pg_get_constraintdef(t.oid), NULL, NULL
FROM pg_constraint t JOIN pg_class c ON c.oid = conrelid WHERE relnamespace = 'trigger_engine'::regnamespace
UNION ALL SELECT 'function', p.oid::regprocedure::text, pg_get_userbyid(proowner), NULL, NULL, (SELECT string_agg(a::text, ' ' ORDER BY a::text) FROM unnest(proacl) a)
FROM pg_proc p WHERE pronamespace = 'trigger_engine'::regnamespace
ORDER BY 1, 2, 3});
}

=pod

=head2 $case->check($te, $what, %options)

Some thirty tests of a copy: first as it was restored, then after C<resume()>. With
C<reason> the fence must give a reason that matches.

=cut

sub check
{
	my ($self, $te, $what, %option) = @_;

	$self->check_untouched($te, $what, $option{reason} // qr/restored/);
	$self->check_fenced($te, $what);
	$self->check_resumed($te, $what);
	return;
}

# Everything is there and nothing has happened.
sub check_untouched
{
	my ($self, $te, $what, $reason) = @_;

	ok(TriggerEngine::wait_until(sub {
			my (undef, $output) = $te->try(q{SELECT state, reason FROM trigger_engine.worker_status WHERE worker <> 'launcher'});
			my @rows = split /\n/, $output;
			return @rows == 2 && 2 == (grep { /^idle\|/ } @rows) && grep { $_ =~ $reason } @rows;
	}), "$what: workers idle, and say why") or diag $te->sql(q{SELECT worker, state, reason FROM trigger_engine.worker_status});
	is($self->contents($te), $self->{contents}, "$what: every row and sequence is there, and none more");
	is(structure($te), $self->{structure}, "$what: so are indexes, triggers and privileges");
	is($te->sql('SELECT count(*) FROM trigger_engine._secrets'), 0, "$what: no secret came along");
	is($self->{receiver}->count, $self->{requests}, "$what: nothing was sent");
	return;
}

# What is done while the copy is fenced has no consequences.
sub check_fenced
{
	my ($self, $te, $what) = @_;
	my $queue = $te->sql('SELECT count(*) FROM trigger_engine._due');
	my $sends = $te->sql('SELECT count(*) FROM trigger_engine.sends');

	as($te, 'app', q{INSERT INTO trigger_engine.events (user_id, name) VALUES ('f1', 'cart'), ('w1', 'order');
		INSERT INTO trigger_engine.events (user_id, name, dedupe_key) VALUES ('u1', 'cart', 'k1'), ('f2', 'cart', 'f'), ('f2', 'cart', 'f')});
	as($te, 'analyst', q{INSERT INTO orders VALUES (100, 'u1', 1);
		SELECT trigger_engine.create_template('fenced', 'webhook', '{"body": "x"}'); SELECT trigger_engine.drop_template('fenced')});
	$te->sql('SELECT trigger_engine.maintain()');
	is($te->sql('SELECT count(*) FROM trigger_engine._due'), $queue, "$what: events that come while it is fenced start nothing and end nothing");
	is($te->sql('SELECT count(*) FROM trigger_engine.sends'), $sends, "$what: nor does any message appear");
	like($te->sql(q{SELECT DISTINCT state FROM trigger_engine.worker_status WHERE worker <> 'launcher'}), qr/^idle$/, "$what: creating something does not lift the fence");
	$te->advance('1 hour');
	is($self->{receiver}->count, $self->{requests}, "$what: still nothing was sent");
	return;
}

# After resume() the copy is a database like any other.
sub check_resumed
{
	my ($self, $te, $what) = @_;
	my $path = '/copy' . ++$copies;
	my $receiver = $self->{receiver};
	my $users = sub { return join ' ', sort map { $_->{body} =~ /"body": ?"([^"]*)"/ } $receiver->received($path) };
	my $max = $te->sql('SELECT max(send_id) FROM trigger_engine.sends');
	my $max_event = $te->sql('SELECT max(event_id) FROM trigger_engine.events');

	$te->sql(sprintf q{SELECT trigger_engine.alter_provider('hook', '{"url": "%s"}')}, $receiver->url($path));
	$te->sql('SELECT trigger_engine.resume()');
	ok($te->poll(q{SELECT count(*) = 2 FROM trigger_engine.worker_status WHERE worker <> 'launcher' AND state = 'running'}), "$what: resume() lifts the fence");
	is($te->sql(q{SELECT string_agg(user_id, ' ' ORDER BY user_id) FROM trigger_engine.sends WHERE state = 'unknown'}), 'h1 h2 h3',
		"$what: what was under way is unknown");
	is($te->sql(q{SELECT count(*) FROM trigger_engine.events WHERE (user_id, name, dedupe_key) = ('u1', 'cart', 'k1')}), 1, "$what: a repeated event of meanwhile is gone");
	is($te->sql(q{SELECT count(*) FROM trigger_engine.events WHERE user_id = 'f2'}), 1, "$what: so is one that was new then");

	# without its secret a provider holds what is to be sent
	as($te, 'app', q{INSERT INTO trigger_engine.events (user_id, name) VALUES ('n1', 'cart')});
	ok($te->poll(q{SELECT reason ~ 'cannot be used' FROM trigger_engine.sends WHERE user_id = 'n1'}), "$what: new events fire, and are held for want of the secret");
	$te->sql(sprintf q{SET client_min_messages = error; SELECT trigger_engine.set_secret('hook', '{"keys": ["%s"]}')}, Webhook::new_secret('copy'));
	$te->advance('2 hours');
	ok($te->poll(q{SELECT state = 'accepted' FROM trigger_engine.sends WHERE user_id = 'n1'}), "$what: with it they are sent");
	ok($te->idle, "$what: the queue drains");
	is($users->(), 'd1 d2 d3 d4 n1', "$what: with what never was handed over, and nothing else is");

	# keys of before hold, and identities go on
	as($te, 'app', q{INSERT INTO trigger_engine.events (user_id, name, dedupe_key) VALUES ('u2', 'cart', 'k2'), ('f2', 'cart', 'f'), ('n2', 'cart', 'k2');
		INSERT INTO trigger_engine.events (user_id, name) VALUES ('u1', 'signup'), ('n3', 'signup'), ('n4', 'read'), ('n5', 'lax'), ('w2', 'order')});
	as($te, 'analyst', q{INSERT INTO orders VALUES (101, 'n6', 1)});
	ok($te->idle, "$what: more events");
	is($users->(), 'd1 d2 d3 d4 n1 n2 n3 n6', "$what: dedupe keys, entry keys and tracked tables work as before");
	is($te->sql(q{SELECT string_agg(user_id, ' ' ORDER BY user_id) FROM trigger_engine.quarantined_events}), 'n5 q1', "$what: so do schemas");
	is($te->sql(q{SELECT string_agg(title, ', ' ORDER BY title) FROM trigger_engine.inbox}), 'hello n4, hello u1, hello u2', "$what: and the inbox");
	is($te->sql("SELECT min(send_id) > $max FROM trigger_engine.sends WHERE user_id LIKE 'n_'"), 't', "$what: identities of sends go on");
	is($te->sql("SELECT min(event_id) > $max_event FROM trigger_engine.events WHERE user_id LIKE 'n_'"), 't', "$what: ids of events go on");
	is($te->sql(q{SELECT count(*) FROM trigger_engine.all_events WHERE name = 'ordered'}), 5, "$what: all_events shows tracked tables");
	is(as($te, 'analyst', q{SELECT trigger_engine.in_segment('buyers', 'n6'), trigger_engine.in_segment('buyers', 'n1')}), 't|f', "$what: segments answer");
	as($te, 'analyst', q{SELECT trigger_engine.alter_journey('welcome', purpose => 'third version');
		SELECT trigger_engine.create_journey('another', '{"kind": "event", "name": "another"}', '[{"id": "send", "send": "t", "provider": "hook"}]')});
	is($te->sql('SELECT count(DISTINCT journey_id) = count(*) AND count(*) = 7 FROM trigger_engine.journeys'), 't', "$what: owners can change and add journeys");

	# what waited is sent when its time comes, unless an exit came before
	$te->advance('2 days');
	ok($te->idle, "$what: time passes");
	is($users->(), 'd1 d2 d3 d4 n1 n2 n3 n6 w3 w4 w5', "$what: what waited is sent, once, but for exits, of meanwhile and of now");
	$te->advance('30 days');
	$te->sql('SELECT trigger_engine.maintain()');
	is($te->sql(q{SELECT count(*) FROM trigger_engine.events_default}), 0, "$what: partitions are made on");
	as($te, 'app', q{INSERT INTO trigger_engine.events (user_id, name) VALUES ('n9', 'cart')});
	ok($te->idle, "$what: an event in a new partition");
	like($users->(), qr/ n9 /, "$what: fires");
	my %ids;
	$ids{ $_->{id} }++ for $receiver->received($path);
	is_deeply([ grep { $ids{$_} > 1 } keys %ids ], [], "$what: no identity went out twice");
	$self->{requests} = $receiver->count;
	$te->sql(q{SELECT trigger_engine.stop_workers('30 s')});
	return;
}

1;
