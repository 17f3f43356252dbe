
=pod

=head1 NAME

Bench - servers, loads, clocks and the table of results

=head1 SYNOPSIS

  use Bench;

  my $server = Bench::server('main');                 # started at the first call, preloaded
  $server->sql('SELECT 1');                           # rows as psql prints them unaligned
  my $run = $server->pgbench(script => $text, clients => 8, seconds => 1);
  my $pairs = Bench::pairs(5, sub { base() }, sub { variant() });
  Bench::result('row', 'what it says', $pairs, '>=', 0.95);

Only ratios of measurements taken back to back mean anything on a shared machine,
so everything is built around C<pairs>: base and variant alternate, the order
changes from pair to pair, and the median of the ratios counts.

=cut

package Bench;

use strict;
use warnings;

use Carp;
use IO::Handle;
use IPC::Open2;
use Time::HiRes qw(time sleep);

our $Pairs = 5;    # pairs a row
our $Seconds = 1;    # of one pgbench run
our $Verbose = 0;
our $Dir;    # scratch directory
our $Source;    # of the bench's own files
our $Tools;    # compiled C programs

my (%servers, @results, @children);

# ---- numbers ----

sub median
{
	my @sorted = sort { $a <=> $b } @_ or croak 'median of nothing';
	my $middle = int(@sorted / 2);
	return @sorted % 2 ? $sorted[$middle] : ($sorted[ $middle - 1 ] + $sorted[$middle]) / 2;
}

# The value below which this share of the list lies.
sub quantile
{
	my ($share, @list) = @_;
	my @sorted = sort { $a <=> $b } @list or croak 'quantile of nothing';
	my $i = int($share * @sorted);
	return $sorted[ $i > $#sorted ? $#sorted : $i ];
}

sub smallest { my ($least) = sort { $a <=> $b } @_; return $least }
sub largest { my ($most) = sort { $b <=> $a } @_; return $most }

=pod

=head2 pairs($n, $base, $variant)

Runs both n times, alternating which goes first. Each returns a number, larger is
better, or a hash with C<rate> and C<cpu> (microseconds an item). Returns the
ratios variant / base, and base / variant of the CPU, with what they were made of.

=cut

sub pairs
{
	my ($n, $base, $variant) = @_;
	my %pairs = (ratios => [], cpus => [], base => [], variant => []);

	for my $i (1 .. $n)
	{
		my %got;
		for my $which ($i % 2 ? qw(base variant) : qw(variant base))
		{
			my $run = $which eq 'base' ? $base->() : $variant->();
			$got{$which} = ref $run ? $run : { rate => $run };
			push @{ $pairs{$which} }, $got{$which}{rate};
		}
		push @{ $pairs{ratios} }, $got{variant}{rate} / $got{base}{rate};
		push @{ $pairs{cpus} }, $got{base}{cpu} / $got{variant}{cpu}
		  if $got{base}{cpu} and $got{variant}{cpu};
		detail(sprintf '    pair %d: %.0f against %.0f = %.3f%s', $i, $got{variant}{rate}, $got{base}{rate},
			$pairs{ratios}[-1], @{ $pairs{cpus} } ? sprintf(', cpu %.3f', $pairs{cpus}[-1]) : '');
	}
	return \%pairs;
}

# ---- results ----

sub detail { print "$_[0]\n" if $Verbose; return }
sub say_now { print "$_[0]\n"; STDOUT->flush; return }

my $format = "%-14s %-62s %16s %9s  %-4s %s\n";

sub heading
{
	printf $format, 'row', 'what', 'measured', 'aim', '', 'more';
	print '-' x 140, "\n";
	STDOUT->flush;
	return;
}

sub shown
{
	my ($value, $unit) = @_;
	return sprintf $unit eq '%' ? '%.2f %%' : $unit ? "%.2f $unit" : '%.2f', $value;
}

=pod

=head2 result($row, $what, $value, $comparison, $aim, %more)

One line of the table. The value is a number or what C<pairs> returned; C<unit> is
ms, %, k/s or nothing; C<note> goes to the end of the line. Without an aim the line only
informs.

=cut

sub result
{
	my ($row, $what, $value, $comparison, $aim, %more) = @_;
	my $unit = $more{unit} // '';
	my @notes = grep { defined and length } $more{note};
	my ($measured, $ok);

	if (ref $value)
	{
		my @ratios = @{ $value->{ratios} };
		my $median = median(@ratios);
		unshift @notes, sprintf('cpu %.2f', median(@{ $value->{cpus} })) if @{ $value->{cpus} // [] };
		unshift @notes, sprintf('%.0f against %.0f/s', median(@{ $value->{variant} }), median(@{ $value->{base} }));
		$measured = sprintf '%.2f (%.2f-%.2f)', $median, smallest(@ratios), largest(@ratios);
		$value = $median;
	}
	else
	{
		$measured = shown($value, $unit);
	}
	$ok = !defined $aim ? '' : ($comparison eq '>=' ? $value >= $aim : $value <= $aim) ? 'ok' : 'MISS';
	my @line = ($row, $what, $measured,
		defined $aim ? $comparison . ' ' . ($unit ? "$aim $unit" : sprintf('%.2f', $aim)) : '', $ok, join(', ', @notes));
	printf $format, @line;
	STDOUT->flush;
	push @results, \@line;
	return;
}

sub missed { return grep { $_->[4] eq 'MISS' } @results }
sub measured { return scalar grep { $_->[4] ne '' } @results }

# ---- processes ----

sub slurp
{
	my ($path) = @_;
	open my $file, '<', $path or return '';
	local $/;
	return <$file> // '';
}

sub write_file
{
	my ($path, $text) = @_;
	open my $file, '>', $path or croak "$path: $!";
	print $file $text;
	close $file;
	return $path;
}

# Runs a program to its end and returns what it printed; dies when it fails.
sub run
{
	my (@command) = @_;
	my $pid = open my $output, '-|' // croak "fork: $!";

	if ($pid == 0)
	{
		open STDERR, '>&', \*STDOUT;
		exec @command or die "$command[0]: $!\n";
	}
	my $text = join '', <$output>;
	close $output or croak "@command: $text";
	return $text;
}

# Starts a program in the background; stopped by stop_child() or at the end.
sub start_child
{
	my (@command) = @_;
	my $pid = fork // croak "fork: $!";

	if ($pid == 0)
	{
		open STDIN, '<', '/dev/null';
		open STDOUT, '>>', "$Dir/children.log";
		open STDERR, '>&', \*STDOUT;
		exec @command or die "$command[0]: $!\n";
	}
	push @children, $pid;
	return $pid;
}

sub stop_child
{
	my ($pid) = @_;
	kill 'TERM', $pid;
	waitpid $pid, 0;
	@children = grep { $_ != $pid } @children;
	return;
}

# Microseconds of CPU that a process and its threads have used, as the scheduler counts
# them.
sub process_cpu_us
{
	my ($pid) = @_;
	my $ns = 0;

	for my $file (glob "/proc/$pid/task/*/schedstat")
	{
		my ($thread) = split ' ', slurp($file) || 0;
		$ns += $thread;
	}
	return $ns / 1000;
}

sub cores { return scalar(() = slurp('/proc/cpuinfo') =~ /^processor\b/mg) || 1 }

# Keeps a process on one core, as far as that is possible.
sub pin
{
	my ($pid, $core) = @_;
	system("taskset -apc $core $pid >/dev/null 2>&1");
	return;
}

sub wait_until
{
	my ($condition, $timeout, $what) = @_;
	my $until = time + $timeout;

	until ($condition->())
	{
		croak "timed out waiting until $what" if time > $until;
		sleep 0.01;
	}
	return;
}

# ---- servers ----

=pod

=head2 server($name)

A private server, made and started when it is first asked for. "main" has the
library preloaded, "plain" has not.

=cut

sub server
{
	my ($name) = @_;
	return $servers{$name} //= Bench::Server->new($name, $name ne 'plain');
}

sub end
{
	stop_child($_) for @children;
	$_->stop for values %servers;
	return;
}

package Bench::Server;

use strict;
use warnings;

use Carp;
use IPC::Open2;
use Time::HiRes qw(time sleep);

sub new
{
	my ($class, $name, $preload) = @_;
	my $data = "$Bench::Dir/$name";
	my $self = bless { name => $name, data => $data, socket => "$Bench::Dir/$name.socket" }, $class;

	mkdir $self->{socket};
	Bench::run(qw(initdb -A trust -U postgres --no-sync --encoding=UTF8 --locale=C -D), $data);
	open my $conf, '>>', "$data/postgresql.conf" or croak "$data/postgresql.conf: $!";
	print $conf "listen_addresses = ''\nunix_socket_directories = '$self->{socket}'\n",
	  $preload ? "shared_preload_libraries = 'trigger_engine'\n" : '',
	  Bench::slurp("$Bench::Source/bench.conf");
	close $conf;
	Bench::run('pg_ctl', '-D', $data, '-l', "$data.log", '-w', '-s', 'start');
	($self->{postmaster}) = split /\n/, Bench::slurp("$data/postmaster.pid");
	$self->sql('CREATE EXTENSION trigger_engine');
	$self->file('setup.sql');
	return $self;
}

sub stop
{
	my ($self) = @_;
	$self->hang_up;
	system('pg_ctl', '-D', $self->{data}, '-s', '-m', 'immediate', 'stop');
	return;
}

sub connection { return ('-h', $_[0]{socket}, '-U', 'postgres', 'postgres') }

# One session that stays, since starting psql costs more than most questions.
sub session
{
	my ($self) = @_;
	return if $self->{in};
	local $ENV{PGOPTIONS} = '-c client_min_messages=error';
	$self->{pid} = open2($self->{out}, $self->{in}, 'psql', '-XqAt', '-v', 'ON_ERROR_STOP=1', $self->connection);
	$self->{in}->autoflush;
	return;
}

sub hang_up
{
	my ($self) = @_;
	return unless $self->{in};
	close delete $self->{in};
	close delete $self->{out};
	waitpid delete $self->{pid}, 0;
	return;
}

=pod

=head2 $server->sql($statements), $server->file($name)

Runs statements in the session that stays and returns their rows as one string;
dies when one fails. C<file> runs a file of the bench's sql folder.

=cut

sub sql
{
	my ($self, $sql) = @_;
	my ($result, $in, $out) = ('');

	$self->session;
	($in, $out) = @$self{qw(in out)};
	print $in "$sql\n;\n\\echo ~end~\n";
	while (1)
	{
		my $line = <$out> // croak "psql ended at: $sql";
		last if $line eq "~end~\n";
		$result .= $line;
	}
	chomp $result;
	return $result;
}

sub file
{
	my ($self, $name) = @_;
	return $self->sql("\\i $Bench::Source/sql/$name");
}

=pod

=head2 $server->pgbench(script => $text, clients => 8, seconds => 1, ...)

Returns C<rate> (transactions a second) and C<cpu> (microseconds of CPU a transaction,
of the sessions and of pgbench together). The first second, in which sessions plan and
fill their caches, is run and not counted. Options: C<env> (PGOPTIONS), C<rows> a transaction (1; the
results count rows).

=cut

sub pgbench
{
	my ($self, %option) = @_;
	my $file = Bench::write_file("$Bench::Dir/script.sql", $option{script});
	my $rows = $option{rows} // 1;
	my $seconds = $option{seconds} // $Bench::Seconds;
	my ($output, $text) = (undef, '');
	my (@backends, $warm, $warm_count, $at, $cpu, $cpu_rate);
	my $pid = open $output, '-|' // croak "fork: $!";

	if ($pid == 0)
	{
		$ENV{PGOPTIONS} = $option{env} // '';
		open STDERR, '>&', \*STDOUT;
		exec 'pgbench', '-n', '-M', 'prepared', '-P', 1, '-f', $file, '-c', $option{clients} // 8, '-j', 2,
		  '-T', 1 + $seconds, $self->connection
		  or die "pgbench: $!\n";
	}
	while (my $line = <$output>)
	{
		$text .= $line;
		next unless not defined $warm and $line =~ /^progress: ([\d.]+) s, ([\d.]+) tps/;
		($warm, $warm_count, my $until) = ($1, $1 * $2, time + $seconds - 0.3);
		@backends = split /\n/, $self->sql(q{SELECT pid FROM pg_stat_activity WHERE application_name = 'pgbench'});
		($at, $cpu) = (time, sum_cpu_us($pid, @backends));
		sleep Bench::largest($until - time, 0.1);
		$cpu_rate = (sum_cpu_us($pid, @backends) - $cpu) / (time - $at);
	}
	close $output or croak "pgbench: $text";
	my ($count) = $text =~ /transactions actually processed: (\d+)/;
	my ($tps) = $text =~ /^tps = ([\d.]+)/m;
	croak "pgbench: $text" unless $count and defined $warm;
	my $rate = ($count - $warm_count) / ($count / $tps - $warm) * $rows;
	return { rate => $rate, cpu => $cpu_rate / $rate };
}

# Microseconds of CPU that processes have used.
sub sum_cpu_us
{
	my $sum = 0;
	$sum += Bench::process_cpu_us($_) for @_;
	return $sum;
}

# Process ids of the engine's own processes: all, or those whose name matches.
sub engine_pids
{
	my ($self, $pattern) = @_;
	my $sql = q{SELECT pid FROM pg_stat_activity WHERE backend_type LIKE 'trigger_engine%'};
	$sql .= " AND backend_type ~ '$pattern'" if $pattern;
	return split /\n/, $self->sql($sql);
}

sub worker_pid
{
	my ($self) = @_;
	my ($pid) = $self->engine_pids('delivery');
	return $pid // croak 'there is no delivery worker: ' . $self->sql('SELECT * FROM trigger_engine.worker_status');
}

sub wait_for_worker
{
	my ($self) = @_;
	$self->wait_for_state('running');
	return $self->worker_pid;
}

# Empties events, queue and history while the worker holds still.
sub clear
{
	my ($self) = @_;

	$self->sql(q{SELECT trigger_engine.pause('bench')});
	$self->wait_for_state('idle');
	$self->sql('SELECT bench.clear()');
	$self->sql('SELECT trigger_engine.resume()');
	$self->wait_for_state('running');
	return;
}

sub wait_for_state
{
	my ($self, $state) = @_;
	Bench::wait_until(
		sub { $self->sql(qq{SELECT count(*) FROM trigger_engine.worker_status WHERE worker = 'delivery 0' AND state = '$state'}) > 0 },
		30, "the worker is $state");
	return;
}

# What the worker has done since the server started.
sub accepted
{
	my ($self) = @_;
	return $self->sql(q{SELECT accepted FROM trigger_engine.worker_status WHERE worker = 'delivery 0'});
}

1;
