
=pod

=head1 NAME

Session - one psql that stays open, for scripts without a database driver

=head1 SYNOPSIS

  my $session = Session->new('shop', 'postgres');      # role, database
  $session->run('INSERT ...; SELECT ...');     # dies on an error
  my @rows = $session->rows('SELECT a, b');    # ([a, b], ...), NULL as ''
  my $value = $session->value('SELECT 1');
  my $literal = Session::quote("it's");

The server is that of the environment. The values of a row must not
contain tabs or line ends.

=cut

package Session;

use strict;
use warnings;

use Carp;
use IPC::Open3;

my $mark = '-- end of answer --';

# Opens a session as a role in a database.
sub new
{
	my ($class, $role, $database) = @_;
	local $ENV{PGOPTIONS} = '-c client_min_messages=error';
	my $self = bless { role => $role }, $class;

	# its errors come with its output
	$self->{pid} = open3($self->{in}, $self->{out}, undef,
		'psql', '-qAtX', '-v', 'ON_ERROR_STOP=1', '-F', "\t", '-U', $role, $database);
	binmode $self->{$_}, ':encoding(UTF-8)' for qw(in out);
	$self->{in}->autoflush(1);
	return $self;
}

# Runs statements or psql commands; returns the lines they give.
sub run
{
	my ($self, $sql) = @_;
	my @lines;

	local $SIG{PIPE} = 'IGNORE';    # psql ends at an error; its last words tell why
	my $end = $sql =~ /^\\|\\\.$/ ? '' : ';';    # a psql command, or COPY with its rows
	print { $self->{in} } "$sql$end\n\\echo $mark\n";
	while (defined(my $line = readline $self->{out}))
	{
		chomp $line;
		return @lines if $line eq $mark;
		push @lines, $line;
	}
	waitpid $self->{pid}, 0;
	croak "psql as $self->{role}: " . join "\n", @lines;
}

sub rows
{
	my ($self, $sql) = @_;
	return map { [ split /\t/, $_, -1 ] } $self->run($sql);
}

sub value
{
	my ($self, $sql) = @_;
	return ($self->run($sql))[-1];
}

# Ends psql.
sub DESTROY
{
	my ($self) = @_;
	local ($?, $@, $!);
	local $SIG{PIPE} = 'IGNORE';
	close $self->{in};
	waitpid $self->{pid}, 0;
	return;
}

# A text as an SQL literal.
sub quote
{
	my ($text) = @_;
	return "'" . ($text =~ s/'/''/gr) . "'";
}

1;
