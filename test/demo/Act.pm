
=pod

=head1 NAME

Act - one history that is replayed into a database of its own

=head1 SYNOPSIS

  my $act = Act->new(
      name => 'clickstream',    # and clickstream.sql defines it,
      here => $directory,       # in this directory,
      as => 'marketing',        # run by this role
      database => 'shop',
      url => $url,              # of the receiver
      start => $ms);            # where the clock stands before the first step
  $act->play(@steps);           # [ms, rows, sub { ... }], in the order of time

=head1 DESCRIPTION

Times are milliseconds since 1970, UTC. The virtual clock of the server goes from
step to step. When a message is due before the next step, the clock goes to the next
whole minute first and stops until everything is handed over; minutes in which
nothing is due are passed over, as nothing could happen in them. So the clock never
passes a due time without a stop at most one minute after it.

=cut

package Act;

use strict;
use warnings;

use Carp;
use Screen;
use Session;
use Time::HiRes qw(time);

# How long after the last step something may still be due: 30 days, in milliseconds.
use constant LONGEST_WAIT => 30 * 86_400_000;

# Makes the database with the extension, the provider and what SQL file name.sql says.
sub new
{
	my ($class, %option) = @_;
	my $self = bless { %option, rows => 0, shown => 0 }, $class;
	my $database = $option{database};

	Session->new('postgres', 'postgres')->run("CREATE DATABASE $database");
	my $admin = $self->{admin} = Session->new('postgres', $database);
	$admin->run("\\i $option{here}/setup.sql");
	$self->{operator} = Session->new('operator', $database);
	$self->{shop} = Session->new('shop', $database);
	$self->set_clock($option{start});
	$self->{operator}->run(sprintf q{
		SELECT trigger_engine.create_provider('crm', 'webhook', jsonb_build_object('url', %s));
		SELECT trigger_engine.set_secret('crm', '{"keys": ["file:crm"]}')}, Session::quote("$option{url}/$database"));
	Session->new($option{as}, $database)->run("\\i $option{here}/$option{name}.sql");
	return $self;
}

# The application's, the operator's and the superuser's session.
sub shop { return $_[0]->{shop} }
sub operator { return $_[0]->{operator} }
sub admin { return $_[0]->{admin} }

# A time as an SQL expression, exact to the millisecond.
sub instant { return "timestamptz 'epoch' + $_[0] * interval '1 ms'" }

# Puts the clock to a time and notes when it did.
sub set_clock
{
	my ($self, $ms) = @_;
	my $at = instant($ms);
	$self->{operator}->run("INSERT INTO demo.stops VALUES ($at, clock_timestamp()) ON CONFLICT DO NOTHING;"
		  . "SELECT trigger_engine.set_clock($at)");
	$self->{now} = $ms;
	return;
}

# Waits until nothing is due now and nothing is under way, and finds out when the
# next message will be due (undef = none), rounded up to milliseconds.
sub settle
{
	my ($self) = @_;
	my ($idle, $next) = $self->{operator}->run(q{
		SELECT trigger_engine.wait_until_idle('30 s');
		SELECT ceil(extract(epoch FROM min(next_due_at)) * 1000) FROM trigger_engine.queue_status});

	croak 'the engine did not come to rest within 30 s: '
	  . join '; ', $self->{operator}->run('TABLE trigger_engine.worker_status')
	  if $idle ne 't';
	$self->{next_due} = length $next ? $next : undef;
	return;
}

# Lets time pass until a time, as long as something is due before it.
sub let_pass
{
	my ($self, $until) = @_;

	while (defined $self->{next_due} and $self->{next_due} <= $until)
	{
		my $minute = 60_000 * int(($self->{next_due} + 59_999) / 60_000);
		last if $minute > $until;
		$self->set_clock($minute);
		$self->settle;
		$self->show_progress;
	}
	return;
}

# Plays all steps and what is due after the last of them.
sub play
{
	my ($self, @steps) = @_;
	my $started = time;

	$self->{first} = $steps[0][0];
	$self->{last} = $steps[-1][0];
	$self->settle;
	for my $step (@steps)
	{
		my ($ms, $rows, $action) = @$step;

		$self->let_pass($ms);
		$self->set_clock($ms);
		$self->settle if defined $self->{next_due} and $self->{next_due} <= $ms;
		$action->($self);
		$self->settle;
		$self->{rows} += $rows;
		$self->show_progress;
	}
	$self->let_pass($self->{last} + LONGEST_WAIT);
	$self->show_progress(1);
	Screen::progress_done();
	$self->{took} = time - $started;
	return;
}

# Draws how far it is, at most five times a second unless it is finished.
sub show_progress
{
	my ($self, $finished) = @_;

	return if not $finished and time - $self->{shown} < 0.2;
	my ($counts) = $self->{admin}->rows(q{
		SELECT (SELECT count(*) FROM trigger_engine.enrollments), count(*) FILTER (WHERE state = 'accepted'),
			count(*) FILTER (WHERE state = 'cancelled'), count(*) FILTER (WHERE state = 'withheld')
		FROM trigger_engine.sends});
	my ($second, $minute, $hour, $day, $month, $year) = gmtime $self->{now} / 1000;
	my $share = ($self->{now} - $self->{first}) / ($self->{last} - $self->{first} || 1);
	Screen::progress($finished || $share > 1 ? 1 : $share,
		sprintf('%04d-%02d-%02d %02d:%02d', $year + 1900, $month + 1, $day, $hour, $minute),
		sprintf('%5d rows  %4d runs  %4d sent  %3d cancelled  %3d held', $self->{rows}, @$counts));
	$self->{shown} = time;
	return;
}

1;
