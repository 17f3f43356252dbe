
=pod

=head1 NAME

TriggerEngine - a PostgreSQL::Test::Cluster node with the extension, and words for what tests do

=head1 SYNOPSIS

  use TriggerEngine;

  my $te = TriggerEngine->new;                       # a preloaded server, extension created
  my $receiver = $te->receiver;                      # a Receiver in the test's directory
  $te->webhook('hook', $receiver->url('/hook'));     # provider with a secret
  $te->journey('cart_mail', event => 'cart', wait => '1 min', exit_on => 'order');

  $te->event('u1', 'cart', '{"total": 12}');
  ok($te->idle, 'nothing left to do');
  is_deeply({ $te->states }, { accepted => 1 });
  ok(Webhook::verify($_, $te->secret('hook'))) for $receiver->received;

=head1 METHODS

=cut

package TriggerEngine;

use strict;
use warnings;

use Carp;
use Exporter 'import';
use PostgreSQL::Test::Cluster;
use PostgreSQL::Test::Utils;
use Time::HiRes qw(time sleep);

use Receiver;
use Webhook;

=pod

=head2 TriggerEngine->new(%options)

Makes and starts a node. Options: C<name> (main), C<conf> (hash of settings that
win over those of the tests), C<preload> (1), C<virtual_clock> (0), C<extension>
(1: CREATE EXTENSION in C<database>), C<database> (postgres), C<encoding> (UTF8),
C<streaming> (0: can have standbys), C<start> (1), C<environment> (hash of variables
the server is started with).

=cut

sub new
{
	my ($class, %option) = @_;
	my $node = PostgreSQL::Test::Cluster->new($option{name} // 'main');
	my %conf = (
		'trigger_engine.allowed_private_cidrs' => '127.0.0.0/8',
		'trigger_engine.poll_interval' => '50ms',
		'max_worker_processes' => 32,
		'max_prepared_transactions' => 10,
		'log_min_messages' => 'info');

	$conf{'shared_preload_libraries'} = 'trigger_engine' if $option{preload} // 1;
	$conf{'trigger_engine.virtual_clock'} = 'on' if $option{virtual_clock};
	%conf = (%conf, %{ $option{conf} // {} });

	my $self = bless {
		node => $node,
		database => $option{database} // 'postgres',
		environment => $option{environment} // {},
		secrets => {} }, $class;
	$node->init(
		allows_streaming => $option{streaming} // 0,
		extra => [ '--no-locale', '--encoding', $option{encoding} // 'UTF8' ]);
	$node->append_conf('postgresql.conf', join '', map { "$_ = '$conf{$_}'\n" } sort keys %conf);
	if ($option{start} // 1)
	{
		$self->start;
		$self->sql('CREATE EXTENSION trigger_engine') if $option{extension} // 1;
	}
	return $self;
}

=pod

=head2 TriggerEngine->wrap($node, database => ...)

The same words for a node that exists, for example a standby.

=cut

sub wrap
{
	my ($class, $node, %option) = @_;
	return bless {
		node => $node,
		database => $option{database} // 'postgres',
		environment => {},
		secrets => {} }, $class;
}

=pod

=head2 $te->in($database)

The same node and secrets, another database.

=cut

sub in
{
	my ($self, $database) = @_;
	return bless { %$self, database => $database }, ref $self;
}

sub node { return $_[0]->{node} }
sub database { return $_[0]->{database} }
sub secret { return $_[0]->{secrets}{ $_[1] } }

sub start
{
	my ($self) = @_;
	local @ENV{ keys %{ $self->{environment} } } = values %{ $self->{environment} };
	return $self->node->start;
}

=pod

=head2 $te->receiver(%options)

A Receiver whose record lies in the node's directory. Options as of Receiver->new.

=cut

sub receiver
{
	my ($self, %option) = @_;
	my $dir = $self->node->basedir;
	return Receiver->new(dir => $dir, name => 'receiver' . ++$self->{receivers}, %option);
}

=pod

=head2 $te->sql($query, %options), $te->try($query), $te->quote($text)

C<sql> returns the rows as psql prints them unaligned and dies on an error. C<try>
returns (exit status, output, error text). C<quote> makes an SQL literal.

=cut

sub sql
{
	my ($self, $query, %option) = @_;
	return $self->node->safe_psql($self->{database}, $query, %option);
}

sub try
{
	my ($self, $query, %option) = @_;
	my ($output, $error) = ('', '');
	my $status = $self->node->psql(
		$self->{database}, $query,
		stdout => \$output,
		stderr => \$error,
		on_error_stop => 1,
		%option);
	return ($status, $output, $error);
}

sub quote
{
	my ($self, $text) = @_;
	return 'NULL' unless defined $text;
	return "E'" . ($text =~ s/([\\'])/$1$1/gr) . "'";
}

=pod

=head2 $te->poll($query, $expected, $timeout)

Waits until the query gives the expected output ("t" unless told); false after
timeout seconds (30). C<wait_until> does the same for a Perl function.

=cut

sub poll
{
	my ($self, $query, $expected, $timeout) = @_;
	my $last = '';
	my $found = wait_until(
		sub { (undef, $last) = $self->try($query); return $last eq ($expected // 't') }, $timeout);
	note_text("poll: got \"$last\" for: $query") unless $found;
	return $found;
}

sub wait_until
{
	my ($condition, $timeout) = @_;
	my $until = time + ($timeout // 30);

	until ($condition->())
	{
		return 0 if time > $until;
		sleep 0.05;
	}
	return 1;
}

sub note_text
{
	my ($text) = @_;
	print STDERR "# $text\n" =~ s/\n(?=.)/\n# /gr;
	return;
}

=pod

=head2 $te->webhook($name, $url, %options)

A provider of kind webhook with a secret. C<keys> are the secret's keys, one made
here unless told; all else goes into the provider's options (timeout, rate,
max_in_flight, ca_file, cost).

=cut

sub webhook
{
	my ($self, $name, $url, %option) = @_;
	my $keys = delete $option{keys} // [ Webhook::new_secret($name) ];

	$self->{secrets}{$name} = $keys->[0];
	$self->sql(sprintf
		  'SET client_min_messages = error; SELECT trigger_engine.create_provider(%s, %s, %s); SELECT trigger_engine.set_secret(%s, %s)',
		$self->quote($name), $self->quote('webhook'), $self->quote(json({ url => $url, %option })),
		$self->quote($name), $self->quote(json({ keys => $keys })));
	return;
}

=pod

=head2 $te->journey($name, %options)

A journey on an event with one webhook step, and the template it needs. Options:
C<event> (cart), C<where>, C<entry_key>, C<wait> (none), C<provider> (hook),
C<template> (the name of one that exists, else one is made), C<content>,
C<channel> (webhook), C<exit_on> (an event's name), C<steps> (jsonb text, instead of
all this), C<more> (further arguments as SQL text).

=cut

sub journey
{
	my ($self, $name, %option) = @_;
	my $channel = $option{channel} // 'webhook';
	my $template = $option{template};

	if (not defined $template and not defined $option{steps})
	{
		$template = "${name}_template";
		$self->sql(sprintf 'SELECT trigger_engine.create_template(%s, %s, %s)',
			$self->quote($template), $self->quote($channel),
			$self->quote($option{content} // '{"body": "hello {{ user.user_id }}"}'));
	}
	my %trigger = (kind => 'event', name => $option{event} // 'cart');
	$trigger{$_} = $option{$_} for grep { defined $option{$_} } qw(where entry_key);
	my @steps;
	push @steps, { id => 'wait', wait => $option{wait} } if defined $option{wait};
	push @steps, { id => 'send', send => $template, channel => $channel,
		$channel eq 'webhook' ? (provider => $option{provider} // 'hook') : () };
	my $more = defined $option{more} ? ", $option{more}" : '';
	$more .= ', exit_on => ' . $self->quote(json([ { name => $option{exit_on} } ])) if defined $option{exit_on};
	$self->sql(sprintf 'SELECT trigger_engine.create_journey(%s, %s, %s%s)',
		$self->quote($name), $self->quote(json(\%trigger)),
		$self->quote($option{steps} // json(\@steps)), $more);
	return;
}

# JSON of hashes, arrays and scalars; numbers stay numbers.
sub json
{
	my ($value) = @_;
	return 'null' unless defined $value;
	return '[' . join(', ', map { json($_) } @$value) . ']' if ref $value eq 'ARRAY';
	return '{' . join(', ', map { json("$_") . ': ' . json($value->{$_}) } sort keys %$value) . '}'
	  if ref $value eq 'HASH';
	return $value if $value =~ /^-?(?:0|[1-9]\d*)(?:\.\d+)?$/;
	return '"' . ($value =~ s/(["\\])/\\$1/gr =~ s/([\x00-\x1f])/sprintf '\\u%04x', ord $1/ger) . '"';
}

=pod

=head2 $te->event($user, $name, $properties), $te->events($n, $name, %options)

Insert one event, or n of them in one statement for the users C<prefix>1 to
C<prefix>n (prefix C<u>; C<from> shifts the numbers; C<properties> as JSON text).

=cut

sub event
{
	my ($self, $user, $name, $properties) = @_;
	$self->sql(sprintf 'INSERT INTO trigger_engine.events(user_id, name, properties) VALUES (%s, %s, %s)',
		$self->quote($user), $self->quote($name), $self->quote($properties // '{}'));
	return;
}

sub events
{
	my ($self, $n, $name, %option) = @_;
	my $from = $option{from} // 1;
	$self->sql(sprintf
		  'INSERT INTO trigger_engine.events(user_id, name, properties) SELECT %s || i, %s, %s FROM generate_series(%d, %d) i',
		$self->quote($option{prefix} // 'u'), $self->quote($name),
		$self->quote($option{properties} // '{}'), $from, $from + $n - 1);
	return;
}

=pod

=head2 $te->idle($timeout), $te->states, $te->status

Whether nothing is due or in flight within the timeout (30 s); the number of
sends by state as a list of pairs; the rows of worker_status as hashes.

=cut

sub idle
{
	my ($self, $timeout) = @_;
	return $self->sql(sprintf q{SELECT trigger_engine.wait_until_idle('%s s')}, $timeout // 30) eq 't';
}

sub states
{
	my ($self) = @_;
	return map { split /\|/ } split /\n/,
	  $self->sql('SELECT state, count(*) FROM trigger_engine.sends GROUP BY state ORDER BY state');
}

sub status
{
	my ($self) = @_;
	return map { my %row; @row{qw(worker state pid reason)} = split /\|/, $_, 4; \%row }
	  split /\n/,
	  $self->sql('SELECT worker, state, pid, reason FROM trigger_engine.worker_status ORDER BY worker');
}

=pod

=head2 $te->worker_pid, $te->wait_for_worker($timeout), $te->kill_worker($signal)

The process id of the first delivery worker of this database or nothing; waiting
until there is one; killing it (KILL unless told) and returning its former pid.

=cut

sub worker_pid
{
	my ($self) = @_;
	my (undef, $pid) = $self->try(
		q{SELECT pid FROM pg_stat_activity WHERE backend_type LIKE 'trigger_engine%delivery%' AND datname = current_database() ORDER BY pid LIMIT 1}
	);
	return $pid =~ /^\d+$/ ? $pid : undef;
}

sub wait_for_worker
{
	my ($self, $timeout) = @_;
	my $pid;
	wait_until(sub { return defined($pid = $self->worker_pid) }, $timeout);
	return $pid;
}

sub kill_worker
{
	my ($self, $signal) = @_;
	my $pid = $self->worker_pid // croak 'there is no delivery worker';
	kill $signal // 'KILL', $pid or croak "could not signal $pid: $!";
	return $pid;
}

=pod

=head2 $te->set_clock($at), $te->advance($interval)

Move the virtual clock.

=cut

sub set_clock
{
	my ($self, $at) = @_;
	$self->sql('SELECT trigger_engine.set_clock(' . $self->quote($at) . ')');
	return;
}

sub advance
{
	my ($self, $by) = @_;
	$self->sql('SELECT trigger_engine.advance_clock(' . $self->quote($by) . ')');
	return;
}

=pod

=head2 $te->log_since($position), $te->log_position

The server's log from a position on, and its present end.

=cut

sub log_position
{
	my ($self) = @_;
	return -s $self->node->logfile;
}

sub log_since
{
	my ($self, $position) = @_;
	return slurp_file($self->node->logfile, $position // 0);
}

1;
