
=pod

=head1 NAME

FakeDns - name resolution that hangs or lies, for the server of a test

=head1 SYNOPSIS

  use FakeDns;

  my $dns = FakeDns->new(dir => $directory);
  $dns->set('slow.test' => 'hang 30', 'rebind.test' => '93.184.216.34,127.0.0.1', 'none.test' => 'fail');
  my $te = TriggerEngine->new(environment => $dns->environment);

C<set> may be called again while the server runs. A list of addresses is used one
a look-up; the last one stays.

=cut

package FakeDns;

use strict;
use warnings;

use Carp;
use File::Basename qw(dirname);

# Compiles the library into the directory.
sub new
{
	my ($class, %option) = @_;
	my $self = bless { library => "$option{dir}/fake_dns.so", file => "$option{dir}/fake_dns.conf" }, $class;
	my $source = dirname(__FILE__) . '/fake_dns.c';

	system('cc', '-O1', '-shared', '-fPIC', '-o', $self->{library}, $source, '-ldl', '-lpthread') == 0
	  or croak 'could not compile fake_dns.c';
	$self->set;
	return $self;
}

# Replaces all names.
sub set
{
	my ($self, %names) = @_;
	my $temporary = "$self->{file}.new";

	open my $file, '>', $temporary or croak "$temporary: $!";
	print $file "$_ $names{$_}\n" for sort keys %names;
	close $file;
	rename $temporary, $self->{file} or croak "$self->{file}: $!";
	return;
}

# Variables to start the server with.
sub environment
{
	my ($self) = @_;
	return { LD_PRELOAD => $self->{library}, TE_FAKE_DNS => $self->{file} };
}

1;
